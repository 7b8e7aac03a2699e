"""On a GPU: projections, their gradients and smoothing beside cuSPARSE, by CuPy, and cuBLAS."""

import time
from collections.abc import Callable
from importlib.util import find_spec
from statistics import median
from typing import Any

import atlases
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from harness import report, row
from scipy.sparse import block_diag, csr_array

import atlasinit as ai
from atlasinit.projection import project
from atlasinit.smoothing import smoothing_operator


def _seconds(function: Callable[[], Any], wait: Callable[[Any], Any] = jax.block_until_ready):
    """Return the time of a call, of 20 that the device computes one after the other."""
    times = []
    for _ in range(6):
        start = time.perf_counter()
        for _ in range(19):
            function()
        wait(function())
        times.append((time.perf_counter() - start) / 20)
    return median(times[1:])


def _cusparse(matrix: csr_array, data: np.ndarray) -> float:
    """Return the seconds of the product of a CSR matrix, by cuSPARSE."""
    import cupy  # pyright: ignore[reportMissingImports]
    from cupyx.scipy.sparse import csr_matrix  # pyright: ignore[reportMissingImports]

    weights, x = csr_matrix(matrix.astype(np.float32)), cupy.asarray(data)
    return _seconds(lambda: weights @ x, lambda _: cupy.cuda.Device().synchronize())


def _normal(n_locations: int, time: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(n_locations, time)).astype(np.float32)


def hard(n_parcels: int, time: int, *, is_sorted: bool) -> list[dict]:
    """Return the rows of hard parcels."""
    labels = np.random.default_rng(1).integers(-1, n_parcels, 91_282).astype(np.int32)
    maps = ai.HardMaps(np.sort(labels) if is_sorted else labels, n_parcels)
    x = _normal(maps.n_locations, time)
    device = jax.device_put(x)
    ours = _seconds(lambda: project(maps, device))
    order = "sorted" if is_sorted else "shuffled"
    name = f"GPU: hard mean, 91282 x {time} -> {n_parcels}, {order}"
    column_sum = jax.jit(lambda x: x.sum(axis=0))
    return [
        row(f"{name}; sum", ours, _seconds(lambda: column_sum(device)), most=1 / 0.6),
        row(f"{name}; cuSPARSE", ours, _cusparse(maps.to_scipy(), x), least=1),
        row(
            f"{name}; atomic additions",
            ours,
            _seconds(lambda: project(maps, device, kernel="scatter")),
        ),
    ]


def sparse(name: str, atlas: ai.Atlas, time: int) -> list[dict]:
    """Return the rows of a smoothed atlas."""
    csr = csr_array(block_diag(list(atlas.to_scipy().values())), dtype=np.float32)
    x = _normal(atlas.n_locations, time)
    device, dense = jax.device_put(x), jax.device_put(csr.toarray())
    name = f"GPU: {name}, {csr.nnz / dense.size:.2%} of {csr.shape} x {time}"

    @jax.jit
    def product(w: jax.Array, x: jax.Array) -> jax.Array:
        return jnp.matmul(w, x, precision="highest")

    ours = _seconds(lambda: project(atlas, device, reduction="sum"))
    rows = [
        row(f"{name}; cuBLAS", ours, _seconds(lambda: product(dense, device)), least=1),
        row(f"{name}; cuSPARSE", ours, _cusparse(csr, x), least=1),
    ]
    layer = ai.AtlasLinear.from_atlas(atlas, reduction="sum")
    ours = _seconds(_gradient(lambda layer, x: layer(x), layer, device))
    theirs = _seconds(_gradient(product, dense, device))
    return [*rows, row(f"{name}; gradient, cuBLAS", ours, theirs, least=1)]


def smoothing(atlas: ai.Atlas, columns: int) -> dict:
    """Return the row of a built smoothing operator."""
    operator = smoothing_operator(atlas.geometry["cortex_L"], sigma=3.0)
    x = _normal(operator.n_locations, columns)
    device = jax.device_put(x)
    theirs = _cusparse(operator.kernel.matrix(operator.stored), x)
    on_gpu = jax.device_put(operator)
    ours = _seconds(lambda: on_gpu(device))
    return row(f"GPU: smooth 32k sphere, sigma 3 mm, x {columns}; cuSPARSE", ours, theirs)


def _gradient(apply: Callable, model: object, data: jax.Array) -> Callable[[], object]:
    step = eqx.filter_jit(
        eqx.filter_value_and_grad(lambda model, data: jnp.sum(apply(model, data) ** 2))
    )
    return lambda: step(model, data)


def main() -> list[dict]:
    """Return the rows of the table; none without a GPU and CuPy."""
    if jax.default_backend() != "gpu" or find_spec("cupy") is None:
        print("no benchmark of the GPU: it needs one, and CuPy")
        return []
    surface, volume = atlases.smooth_surface(), atlases.smooth_volume()
    return [
        *hard(100, 1200, is_sorted=True),
        *hard(400, 1200, is_sorted=False),
        *hard(1000, 200, is_sorted=True),
        *sparse("surface, FWHM 6 mm", surface, 1200),
        *sparse("surface, FWHM 6 mm", surface, 200),
        *sparse("2 mm volume, sigma 3 mm", volume, 400),
        smoothing(surface, 1),
        smoothing(surface, 100),
    ]


if __name__ == "__main__":
    report(main())
