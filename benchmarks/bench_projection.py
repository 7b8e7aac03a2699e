"""Hard, sparse and dense projections beside NumPy's sum, its BLAS product and scipy's CSR."""

import subprocess
import sys
from collections.abc import Callable
from time import process_time

import atlases
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from harness import median_seconds, report, row
from scipy import ndimage
from scipy.sparse import block_diag, csr_array

import atlasinit as ai
from atlasinit.nn import AtlasLinear
from atlasinit.projection import project


def _data(n_locations: int, time: int) -> tuple[np.ndarray, jax.Array]:
    """Return one array in memory as NumPy's, for the peers, and as JAX's."""
    x = np.random.default_rng(0).normal(size=(n_locations, time)).astype(np.float32)
    device = jax.device_put(x)
    return np.asarray(device), device


def _seconds(function: Callable[[], object]) -> float:
    return median_seconds(function, repeats=5, warmup=1)


def hard() -> list[dict]:
    rows = []
    for time in (200, 1200):
        x, device = _data(91_282, time)
        total = _seconds(lambda x=x: x.sum(axis=0))
        for n_parcels in (100, 1000):
            labels = np.random.default_rng(1).integers(-1, n_parcels, len(x)).astype(np.int32)
            for order, own in (("shuffled", labels), ("sorted", np.sort(labels))):
                maps = ai.HardMaps(own, n_parcels)
                ours = _seconds(lambda m=maps, d=device: project(m, d))
                name = f"hard mean, 91282 x {time} -> {n_parcels}, {order}"
                # 0.6 times the speed of the sum is 1/0.6 of its time.
                rows.append(row(f"{name}; numpy sum", ours, total, most=1 / 0.6))
                csr = maps.to_scipy()
                theirs = _seconds(lambda c=csr, x=x: c @ x)
                rows.append(row(f"{name}; scipy CSR", ours, theirs, least=2))
    return rows


def ancestor() -> dict:
    """Return a hard mean beside the dense product that hypercoil's AtlasLinear makes of it."""
    _, device = _data(59_412, 1200)
    labels = np.random.default_rng(1).integers(0, 400, len(device)).astype(np.int32)
    maps = ai.HardMaps(labels, 400)
    weights = jax.device_put(maps.to_dense())
    mean = jax.jit(lambda w, d: jnp.matmul(w, d) / w.sum(axis=1, keepdims=True))
    ours, theirs = _seconds(lambda: project(maps, device)), _seconds(lambda: mean(weights, device))
    return row("hard mean, 59412 x 1200 -> 400; hypercoil's dense product", ours, theirs, least=10)


def by_label() -> list[dict]:
    """Return order statistics and spread beside scipy.ndimage, which nilearn calls a volume."""
    rows, time, part = [], 200, 20
    x, _ = _data(91_282, time)
    labels = np.random.default_rng(1).integers(-1, 400, len(x)).astype(np.int32)
    maps, index = ai.HardMaps(labels, 400), np.arange(400)
    for reduction, peer in (
        ("median", ndimage.median),
        ("min", ndimage.minimum),
        ("std", ndimage.standard_deviation),
    ):
        ours = _seconds(lambda r=reduction: project(maps, x, reduction=r))
        theirs = median_seconds(
            lambda f=peer: [f(x[:, t], labels, index) for t in range(part)], repeats=1
        )
        name = f"hard {reduction}, 91282 x {time} -> 400; scipy.ndimage (20 volumes, times 10)"
        rows.append(row(name, ours, theirs * time / part, least=1))
    return rows


def peak_memory() -> dict:
    """Return the MiB that a hard projection takes beside data and output, in a fresh process."""
    code = """
import resource, jax, jax.numpy as jnp, numpy as np, atlasinit as ai
maps = ai.HardMaps(np.random.default_rng(0).integers(-1, 400, 91282).astype(np.int32), 400)
ai.project(maps, jnp.ones((91282, 1)))
data = jax.block_until_ready(jnp.ones((91282, 1200)))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
out = jax.block_until_ready(ai.project(maps, data))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before - out.nbytes / 1024)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    extra = float(done.stdout) / 1024
    return row("hard mean, 91282 x 1200: MiB beside data and output; 64", extra, 64, most=1)


def sparse(name: str, atlas: ai.Atlas, time: int, *, over_dense: float, over_csr: float) -> list:
    x, device = _data(atlas.n_locations, time)
    csr = csr_array(block_diag(list(atlas.to_scipy().values())), dtype=np.float32)
    weights = csr.toarray()
    density = csr.nnz / weights.size
    ours = _seconds(lambda: project(atlas, device, reduction="sum"))
    name = f"{name}, {density:.2%} of {weights.shape} x {time}"
    rows = [
        row(f"{name}; BLAS", ours, _seconds(lambda: weights @ x), least=over_dense),
        row(f"{name}; scipy CSR", ours, _seconds(lambda: csr @ x), least=over_csr),
    ]
    layer = AtlasLinear.from_atlas(atlas, reduction="sum")
    dense = jax.device_put(weights)
    ours = _seconds(_gradient(lambda m, d: m(d), layer, device))
    theirs = _seconds(_gradient(lambda w, d: jnp.matmul(w, d), dense, device))
    rows.append(row(f"{name}; gradient, dense JAX", ours, theirs, least=over_dense))
    return rows


def dense() -> list[dict]:
    weights = np.random.default_rng(0).random((400, 91_282)).astype(np.float32)
    (x, device), maps = _data(91_282, 200), ai.DenseMaps(weights)
    ours = _seconds(lambda: project(maps, device, reduction="sum"))
    rows = [row("dense, (400, 91282) x 200; BLAS", ours, _seconds(lambda: weights @ x), most=1.15)]
    layer = jax.jit(lambda w, d: project(ai.DenseMaps(w), d, reduction="sum"))
    parameter = jax.device_put(weights)
    forward = _seconds(lambda: layer(parameter, device))
    step = _seconds(_gradient(layer, parameter, device))
    rows.append(row("dense, jitted forward and gradient; forward", step, forward, most=3.5))
    return rows


def layer(name: str, atlas: ai.Atlas) -> dict:
    """Return the time to make a layer of an atlas that nothing is known of, and to apply it."""
    _, device = _data(atlas.n_locations, 1200)

    def build() -> AtlasLinear:
        return AtlasLinear.from_atlas(atlas.replace(maps=dict(atlas.maps), operation="copy"))

    made = build()
    seconds = [_seconds(build), _seconds(lambda: made(device))]
    return row(f"layer from a {name} surface atlas; its forward pass, T=1200", *seconds, most=1)


def compilation(name: str, atlas: ai.Atlas) -> dict:
    """Return the CPU time that tracing and compiling the first call of a layer takes."""
    made, (_, device) = AtlasLinear.from_atlas(atlas), _data(atlas.n_locations, 200)
    seconds = []
    for _ in range(5):
        jax.clear_caches()
        begun = process_time()
        jax.jit(lambda m, d: m(d)).lower(made, device).compile()
        seconds.append(process_time() - begun)
    return row(f"first call of a layer of a {name} atlas, CPU; a second", min(seconds), 1.0, most=1)


def _gradient(apply: Callable, model: object, data: jax.Array) -> Callable[[], object]:
    step = eqx.filter_jit(
        eqx.filter_value_and_grad(lambda model, data: jnp.sum(apply(model, data) ** 2))
    )
    return lambda: step(model, data)


def main() -> list[dict]:
    """Return the rows of the table."""
    surface, volume = atlases.smooth_surface(), atlases.smooth_volume()
    return [
        *hard(),
        ancestor(),
        *by_label(),
        peak_memory(),
        *sparse("surface, FWHM 6 mm", surface, 1200, over_dense=6, over_csr=1),
        *sparse("2 mm volume, sigma 3 mm", volume, 400, over_dense=4, over_csr=3),
        layer("hard", atlases.surface()),
        layer("smoothed", surface),
        compilation("smoothed surface", surface),
        *dense(),
    ]


if __name__ == "__main__":
    report(main())
