"""What a training step needs beside its data, and gradients that are added up over chunks of time."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import mixed_atlas, table
from scipy.sparse import csr_array

import atlasinit as ai

MIB = 2**20


def step_of(layer, *, chunk=None):
    """The gradient of a loss that is a sum over time; in chunks, none of which stores its own."""
    params, static = eqx.partition(layer, eqx.is_inexact_array)

    def loss(params, x):
        return jnp.sum(eqx.combine(params, static)(x) ** 2)

    def in_chunks(params, x):
        @jax.checkpoint
        def one(params, start):
            # Cut out here, so that the way back cuts it out again and stores no copy.
            return loss(params, jax.lax.dynamic_slice_in_dim(x, start, chunk, axis=-1))

        starts = jnp.arange(0, x.shape[-1], chunk, dtype=jnp.int32)
        add = lambda total, start: (total + one(params, start), None)  # noqa: E731
        return jax.lax.scan(add, jnp.zeros(()), starts)[0]

    return jax.jit(jax.grad(loss if chunk is None else in_chunks)), params


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
def test_gradients_of_chunks_add_up_to_those_of_the_whole(dense):
    atlas = mixed_atlas()
    layer = ai.AtlasLinear.from_atlas(atlas, dense=dense, empty=0.0, reduction="absmean")
    data = jax.random.normal(jax.random.key(0), (atlas.n_locations, 12))
    whole, params = step_of(layer)
    expected = whole(params, data)
    added = jax.tree.map(jnp.zeros_like, params)
    for start in range(0, 12, 4):
        added = jax.tree.map(jnp.add, added, whole(params, data[:, start : start + 4]))
    for found in (added, step_of(layer, chunk=4)[0](params, data)):
        for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


@pytest.mark.sweep
def test_a_step_of_a_run_of_1200_volumes_is_bounded_by_a_chunk():
    n, n_parcels = 91_282, 400
    first = np.arange(n) * n_parcels // n
    where = (
        np.concatenate([first, np.minimum(first + 1, n_parcels - 1)]),
        np.tile(np.arange(n), 2),
    )
    weights = csr_array((np.repeat([0.7, 0.3], n).astype(np.float32), where), (n_parcels, n))
    atlas = ai.Atlas(
        name="run",
        space="test",
        maps={"volume": ai.SparseMaps.from_scipy(weights)},
        geometry={"volume": ai.VolumeGrid((n, 1, 1), np.eye(4))},
        labels=table(["volume"] * n_parcels),
    )
    layer = ai.AtlasLinear.from_atlas(atlas, domain=ai.domains.Simplex())
    step, params = step_of(layer)

    def memory(step, time):
        shape = jax.ShapeDtypeStruct((n, time), jnp.float32)
        return step.lower(params, shape).compile().memory_analysis()

    # Sparse maps: beside the run of 418 MiB itself, a step needs no copy of it.
    whole = memory(step, 1200)
    assert whole.argument_size_in_bytes > 418 * MIB
    assert whole.temp_size_in_bytes < 64 * MIB
    # A chunk that comes from the host needs its own size alone: gradients are added up.
    chunk = memory(step, 100)
    assert chunk.argument_size_in_bytes + chunk.temp_size_in_bytes < 64 * MIB
    # And a run on the device, cut within the step, is not stored again for the way back.
    cut = memory(step_of(layer, chunk=100)[0], 1200)
    assert cut.temp_size_in_bytes < 128 * MIB
