"""Layers that are stored and used elsewhere: Orbax, programs without the package, PyTorch, bfloat16."""

import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import mixed_atlas

import atlasinit as ai


def trained():
    """A layer of soft maps after some steps, and data."""
    atlas = mixed_atlas().select(compartments=["cortex_L", "cortex_R"])
    layer = ai.AtlasLinear.from_atlas(atlas, domain=ai.domains.Simplex(purity=0.9), empty=0.0)
    data = jax.random.normal(jax.random.key(0), (atlas.n_locations, 6))
    return atlas, steps(layer, data, 3)[0], data


def steps(layer, data, count, *, dtype=jnp.float32):
    params, static = eqx.partition(layer, eqx.is_inexact_array)
    optimiser = optax.adam(0.05)
    state = optimiser.init(params)

    @jax.jit
    def step(params, state):
        def loss(params):
            half = jax.tree.map(lambda x: x.astype(dtype), params)
            return -jnp.var(eqx.combine(half, static)(data.astype(dtype)).astype(jnp.float32))

        value, slopes = jax.value_and_grad(loss)(params)
        updates, state_after = optimiser.update(slopes, state, params)
        return optax.apply_updates(params, updates), state_after, value

    values = []
    with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
        for _ in range(count):
            params, state, value = step(params, state)
            values.append(float(value))
    return eqx.combine(params, static), values


@pytest.mark.sweep
def test_a_checkpoint_of_orbax_is_restored(tmp_path):
    orbax = pytest.importorskip("orbax.checkpoint", reason="comes with Flax")
    atlas, layer, data = trained()
    params, static = eqx.partition(layer, eqx.is_array)
    leaves, structure = jax.tree.flatten(params)
    with orbax.StandardCheckpointer() as checkpointer:
        checkpointer.save(tmp_path / "checkpoint", leaves)
        checkpointer.wait_until_finished()
        fresh = ai.AtlasLinear.from_atlas(atlas, domain=ai.domains.Simplex(purity=0.9), empty=0.0)
        shapes = jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding),
            jax.tree.leaves(eqx.filter(fresh, eqx.is_array)),
        )
        restored = checkpointer.restore(tmp_path / "checkpoint", shapes)
    loaded = eqx.combine(jax.tree.unflatten(structure, restored), static)
    assert np.abs(np.asarray(fresh(data)) - layer(data)).max() > 1e-3
    np.testing.assert_array_equal(loaded(data), layer(data))


@pytest.mark.parametrize("kind", ["simplex", "sparse"])
def test_an_exported_layer_runs_without_the_package(tmp_path, kind):
    _, layer, data = trained()
    if kind == "sparse":
        atlas = mixed_atlas().select(compartments="subcortex")
        layer = ai.AtlasLinear.from_atlas(atlas, kernel="tiles")
        data = data[:7]
    shape = jax.ShapeDtypeStruct(data.shape, data.dtype)
    exported = jax.export.export(jax.jit(lambda x: layer(x)), platforms=("cpu", "cuda"))(shape)
    (tmp_path / "layer.bin").write_bytes(exported.serialize())
    np.save(tmp_path / "data.npy", data)
    code = """
import sys
import jax, numpy as np
from jax import export
sys.modules["atlasinit"] = None  # which makes its import an error
layer = export.deserialize(bytearray(open("layer.bin", "rb").read()))
np.save("values.npy", layer.call(np.load("data.npy")))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    np.testing.assert_allclose(np.load(tmp_path / "values.npy"), layer(data), rtol=1e-5, atol=1e-6)


def test_pytorch_loads_the_state(tmp_path):
    torch = pytest.importorskip(
        "torch", reason="PyPI has it for Linux with CUDA alone, 2 GB and more"
    )
    from safetensors.torch import load_file

    _, layer, data = trained()
    ai.save_atlas(layer.to_atlas(), tmp_path / "layer.weight.safetensors")
    linear = torch.nn.Linear(layer.n_locations, layer.n_parcels, bias=False)
    # Beside the weights the file has the places of the locations.
    weight = load_file(tmp_path / "layer.weight.safetensors")["weight"]
    linear.load_state_dict({"weight": weight})
    # PyTorch's last axis are the locations; a sum over them is not divided by the weights.
    sums = linear(torch.from_numpy(np.array(data, np.float32).T)).detach().numpy().T
    totals = np.concatenate([m.totals() for m in layer.to_atlas().maps.values()])
    np.testing.assert_allclose(sums / totals[:, None], layer(data), rtol=1e-4, atol=1e-5)


def test_training_in_bfloat16_follows_that_in_float32():
    """Free values and the optimiser's state in float32, the step in bfloat16."""
    _, layer, data = trained()
    single, expected = steps(layer, data, 20)
    half, found = steps(layer, data, 20, dtype=jnp.bfloat16)
    # bfloat16 has 8 digits: weights and data differ by up to 2**-9 of their size.
    np.testing.assert_allclose(found, expected, rtol=0.03)
    assert found[-1] < found[0]
    for c, weights in single.weights().items():
        np.testing.assert_allclose(half.weights()[c].values, weights.values, atol=0.03)


def test_a_layer_of_bfloat16_computes_in_single_precision():
    _, layer, data = trained()
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16) if eqx.is_inexact_array(x) else x, layer)
    found = half(data.astype(jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    # A constant of 300 locations is not lost, as sums in bfloat16 would stand still at 256.
    maps = ai.HardMaps(np.zeros(300, np.int32), 1)
    assert ai.project(maps, jnp.ones((300, 1), jnp.bfloat16), reduction="sum") == 300
    np.testing.assert_allclose(np.asarray(found, np.float32), layer(data), rtol=0.02, atol=0.02)
