"""What is computed on four devices, as JSON: `test_devices.py` runs it in a process of its own."""

import collections
import itertools
import json
import re
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from helpers import table
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

import atlasinit as ai

SPECS = {
    "subjects": P("d"),
    "runs": P(None, "d"),
    "locations": P(None, None, "d"),
    "time": P(None, None, None, "d"),
}
KINDS = AxisType.Explicit, AxisType.Auto
COLLECTIVES = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"


def layers():
    """Two soft or hard hemispheres of 80 vertices and 5 parcels, one location in none."""
    rng = np.random.default_rng(0)
    labels = np.arange(80, dtype=np.int32) // 16
    labels[3] = -1
    weights = np.where(rng.random((5, 80)) < 0.4, rng.random((5, 80)), 0).astype(np.float32)
    sides = ("cortex_L", "cortex_R")

    def atlas(maps):
        return ai.Atlas(
            name="two",
            space="test",
            maps=dict.fromkeys(sides, maps),
            geometry={c: ai.SurfaceMesh(80, hemisphere=c[-1]) for c in sides},
            labels=table(["cortex_L"] * 5 + ["cortex_R"] * 5, [*range(1, 6)] * 2),
        )

    soft = atlas(ai.DenseMaps(weights))
    sparse = atlas(ai.SparseMaps.from_scipy(atlas(ai.DenseMaps(weights)).to_scipy()["cortex_L"]))
    made = ai.AtlasLinear.from_atlas
    return {
        "hard": made(atlas(ai.HardMaps(labels, 5)), empty=0.0),
        "grouped": made(atlas(ai.HardMaps(labels, 5)), empty=0.0, kernel="groups"),
        "median": made(atlas(ai.HardMaps(labels, 5)), empty=0.0, reduction="median"),
        "tiles": made(sparse, domain=ai.domains.Positive()),
        "groups": made(sparse, kernel="groups"),
        "zscore": made(sparse, reduction="zscore"),
        "dense": made(soft, domain=ai.domains.Simplex()),
        "lstsq": made(soft, reduction="lstsq"),
    }


def moved(compiled):
    """Return which collectives a program has, with the number of values that each moves."""
    found = collections.Counter()
    pattern = rf"= \(?\w+\[([0-9,]*)\][^=\n]* ({COLLECTIVES})(?:-start)?\("
    for shape, name in re.findall(pattern, compiled.as_text()):
        found[name] = max(found[name], int(np.prod([int(n) for n in shape.split(",") if n])))
    return dict(found)


def error(found, expected):
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return max(float(jnp.abs(jax.device_get(a) - jax.device_get(b)).max()) for a, b in pairs)


def called(layer, data, mesh):
    """Return what calls on data split along locations give, which nothing traces."""
    split = NamedSharding(mesh, SPECS["locations"])
    lacking = data.copy()
    lacking[0, 0, [3, 20, 90], 1] = np.nan
    lacking[1, 1, :17] = np.nan
    atlas = layer.to_atlas()
    options = {"missing": "omit", "min_coverage": 0.5, "empty": -1.0}
    functions = {
        "layer": (layer, data),
        "coverage": (lambda x: ai.coverage(atlas, x), lacking),
        "omit": (lambda x: ai.project(atlas, x, **options), lacking),
    }
    if layer.reduction.solve:
        del functions["omit"]
    return {
        name: {"error": error(f(jax.device_put(x, split)), f(x)), "moved": {}, "spec": ""}
        for name, (f, x) in functions.items()
    }


def spec_of(array):
    return str(getattr(array.sharding, "spec", array.sharding))


def run(layer, *, thorough):
    data = np.random.default_rng(1).normal(size=(4, 8, 160, 4)).astype(np.float32)
    params, static = eqx.partition(layer, eqx.is_inexact_array)

    def forward(params, x):
        return eqx.combine(params, static)(x)

    def backward(params, x):
        return jax.grad(lambda *a: (forward(*a) ** 2).mean(), argnums=(0, 1))(params, x)

    expected = {f: jax.jit(f)(params, data) for f in (forward, backward)}
    out = {}
    for axis, kind, function in itertools.product(SPECS, KINDS, (forward, backward)):
        if not thorough and axis != "subjects" and (kind, function) != (KINDS[0], forward):
            continue
        mesh = jax.make_mesh((4,), ("d",), axis_types=(kind,))
        x = jax.device_put(data, NamedSharding(mesh, SPECS[axis]))
        with jax.set_mesh(mesh):
            compiled = jax.jit(function).lower(params, x).compile()
            found = compiled(params, x)
        out[f"{function.__name__} {kind.name} {axis}"] = {
            "error": error(found, expected[function]),
            "moved": moved(compiled),
            "spec": spec_of(jax.tree.leaves(found)[-1]),
        }
    mesh = jax.make_mesh((4,), ("d",), axis_types=(AxisType.Auto,))
    x = jax.device_put(data, NamedSharding(mesh, P("d")))
    eager = layer(x)
    out["called"] = {"error": error(eager, expected[forward]), "spec": spec_of(eager), "moved": {}}
    if thorough:
        out |= {f"called {name} locations": one for name, one in called(layer, data, mesh).items()}
    compiled = jax.jit(jax.vmap(forward, in_axes=(None, 0))).lower(params, x).compile()
    found = compiled(params, x)
    out["vmap"] = {
        "error": error(found, expected[forward]),
        "spec": spec_of(found),
        "moved": moved(compiled),
    }
    for function, specs in ((forward, P("d")), (backward, (P(), P("d")))):

        def local(params, x, function=function):
            if function is forward:
                return forward(params, x)
            # The mean over all subjects, whose gradient by the weights adds up the devices'.
            mean = lambda *a: jax.lax.pmean((forward(*a) ** 2).mean(), "d")  # noqa: E731
            return jax.grad(mean, argnums=(0, 1))(params, x)

        mapped = jax.shard_map(local, mesh=mesh, in_specs=(P(), P("d")), out_specs=specs)
        compiled = jax.jit(mapped).lower(params, x).compile()
        found = compiled(params, x)
        out[f"{function.__name__} shard_map"] = {
            "error": error(found, expected[function]),
            "spec": spec_of(jax.tree.leaves(found)[-1]),
            "moved": moved(compiled),
        }
    return out


if __name__ == "__main__":
    assert jax.device_count() == 4
    names = sys.argv[1].split(",")
    made = layers()
    print(json.dumps({n: run(made[n], thorough="thorough" in sys.argv) for n in names}))
