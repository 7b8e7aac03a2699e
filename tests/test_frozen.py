"""Parcels and locations of a layer that stay as they start, whatever trains the others."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from helpers import mixed_atlas

import atlasinit as ai
from atlasinit import domains
from atlasinit.flax import NnxAtlas

DOMAINS = {
    "free": None,
    "affine": domains.Affine(2.0),
    "simplex": domains.Simplex(),
    "slack": domains.Simplex(slack=True),
}
SEEDS = ["Left-Thalamus"], {"subcortex": np.arange(7) < 3}


def made(domain, *, dense, **options):
    """A layer of three soft parcels at seven voxels, of which voxels 0 to 2 and one are frozen."""
    rng = np.random.default_rng(0)
    weights = rng.random((3, 7)) * (rng.random((3, 7)) < 0.8)
    weights /= 1.25 * weights.sum(0).max()
    from scipy.sparse import csr_array

    atlas = ai.Atlas(
        name="three",
        space="test",
        maps={"subcortex": ai.SparseMaps.from_scipy(csr_array(weights.astype(np.float32)))},
        geometry={"subcortex": mixed_atlas().geometry["subcortex"]},
        labels=ai.LabelTable(
            {
                "compartment": ["subcortex"] * 3,
                "key": [1, 2, 3],
                "name": ["Left-Thalamus", "b", "c"],
                "color": [""] * 3,
                "hemisphere": [""] * 3,
            }
        ),
    )
    return ai.AtlasLinear.from_atlas(atlas, domain=domain, dense=dense, **options)


def dense_weights(layer):
    return np.asarray(layer.weights()["subcortex"].to_dense())


@pytest.mark.sweep
@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
@pytest.mark.parametrize("name", DOMAINS)
def test_what_is_frozen_stays_under_weight_decay_noise_and_casts(name, dense, key):
    parcels, locations = SEEDS
    plain = made(DOMAINS[name], dense=dense)
    layer = made(
        DOMAINS[name],
        dense=dense,
        frozen_parcels=parcels,
        frozen_locations=locations,
        noise=0.3,
        key=key,
    )
    start = dense_weights(plain)
    data = jax.random.normal(key, (7, 5))
    params, static = eqx.partition(layer, eqx.is_inexact_array)
    slopes = jax.grad(lambda p: (eqx.combine(p, static)(data) ** 2).sum())(params)
    optimiser = optax.adamw(0.1, weight_decay=0.5)
    with jax.numpy_dtype_promotion("standard"):  # Optax's own arithmetic
        updates, _ = optimiser.update(slopes, optimiser.init(params), params)
    moved = eqx.apply_updates(layer, updates)
    found = dense_weights(moved)
    np.testing.assert_array_equal(found[0], start[0])
    np.testing.assert_array_equal(found[:, :3], start[:, :3])
    assert np.abs(found[1:, 3:] - start[1:, 3:]).max() > 1e-3
    if name == "simplex":
        np.testing.assert_allclose(found.sum(0), start.sum(0), atol=1e-6)
    if name == "slack":
        assert (found.sum(0) < 1).all()
    half = jax.tree.map(lambda x: x.astype(jnp.bfloat16) if eqx.is_inexact_array(x) else x, moved)
    kept = np.asarray(half.weights()["subcortex"].to_dense(), np.float32)[:, :3]
    np.testing.assert_array_equal(kept, np.asarray(jnp.bfloat16(start[:, :3]), np.float32))


def test_gradients_of_what_is_trained_are_those_of_differences():
    layer = made(domains.Simplex(), dense=True, frozen_parcels=["b"])
    free, rest = eqx.partition(layer, eqx.is_inexact_array)

    def value(x):
        moved = eqx.tree_at(lambda m: m.maps[0].node.free.values, free, x)
        return (eqx.combine(moved, rest).weights()["subcortex"].values ** 3).sum()

    x = free.maps[0].node.free.values
    direction = jnp.sin(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape)
    difference = (value(x + 1e-2 * direction) - value(x - 1e-2 * direction)) / 2e-2
    np.testing.assert_allclose((jax.grad(value)(x) * direction).sum(), difference, rtol=2e-3)


def test_frozen_layers_serve_flax_and_become_atlases(tmp_path):
    layer = made(domains.Simplex(), dense=True, frozen_parcels=["b"])
    module = NnxAtlas(layer)
    data = jnp.ones((7, 2))
    np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(module, data), layer(data), rtol=1e-6)
    module.weights["subcortex"][...] += jnp.arange(7.0)[None, :] * jnp.arange(3.0)[:, None]
    found, start = dense_weights(module.layer()), dense_weights(layer)
    np.testing.assert_array_equal(found[1], start[1])
    assert np.abs(found - start).max() > 0.01
    np.testing.assert_allclose(layer.to_atlas().to_dense()["subcortex"], start)
    eqx.tree_serialise_leaves(tmp_path / "layer.eqx", layer)
    fresh = made(domains.Simplex(), dense=True, frozen_parcels=["b"])
    loaded = eqx.tree_deserialise_leaves(tmp_path / "layer.eqx", fresh)
    np.testing.assert_array_equal(dense_weights(loaded), start)


def test_labels_that_are_not_trained_are_frozen_already():
    layer = ai.AtlasLinear.from_atlas(mixed_atlas(), frozen_parcels=["L_a", "Left-Thalamus"])
    data = jnp.ones((29, 2))
    np.testing.assert_array_equal(layer(data), ai.AtlasLinear.from_atlas(mixed_atlas())(data))


@pytest.mark.parametrize(
    ("options", "kind", "match"),
    [
        ({"frozen_parcels": "thalamus-left"}, ValueError, "`frozen_parcels` .* no parcels of"),
        ({"frozen_parcels": ["Left-thalamu"]}, ValueError, "Did you mean 'Left-Thalamus'"),
        ({"frozen_locations": np.zeros(6, bool)}, ValueError, "true or false at 7 locations"),
        ({"frozen_locations": np.zeros(7)}, ValueError, "true or false at 7 locations"),
        ({"frozen_locations": {"cortex": np.zeros(7, bool)}}, ValueError, "compartments are"),
    ],
)
def test_what_cannot_be_frozen_is_refused(options, kind, match):
    with pytest.raises(kind, match=match):
        made(None, dense=True, **options)


def test_a_domain_of_whole_vectors_says_what_to_do():
    with pytest.raises(TypeError, match="`NormSphere` cannot keep single entries.*`trainable=`"):
        made(domains.NormSphere(outside="renormalize"), dense=True, frozen_parcels=["b"])


# Constrained values used without `unwrap` --------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        lambda node, x: node @ x,
        lambda node, x: x @ node,
        lambda node, x: x * node,
        lambda node, x: 1 - node,
        lambda node, x: jnp.dot(node, x),
        lambda node, x: jax.nn.softplus(node),
        lambda node, x: node[0],
        lambda node, x: np.asarray(node),
        lambda node, x: list(node),
    ],
    ids=["matmul", "rmatmul", "rmul", "rsub", "dot", "jax.nn", "index", "numpy", "list"],
)
def test_a_node_that_is_computed_with_says_to_unwrap_it(use):
    node = domains.constrained(jnp.eye(3), domains.Simplex())
    with pytest.raises(TypeError, match=r"stands for an array.*domains.unwrap\(model\)` first"):
        use(node, jnp.ones((3, 3)))
    if "list" not in str(use):
        np.asarray(use(domains.unwrap(node), jnp.ones((3, 3))))


def test_a_model_that_is_not_unwrapped_says_so():
    model = eqx.nn.Linear(3, 2, key=jax.random.key(0))
    model = domains.constrain(model, "weight", domains.Positive(outside="clip"))
    with pytest.raises(TypeError, match="unwrap"):
        model(jnp.ones(3))
    assert domains.unwrap(model)(jnp.ones(3)).shape == (2,)
    with pytest.raises(AttributeError, match="`shape` of a Constrained node.*unwrap"):
        _ = model.weight.shape
    assert not hasattr(model.weight, "__len__")
