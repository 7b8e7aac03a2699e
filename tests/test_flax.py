"""The layer as modules of Flax, and the atlas as a `kernel_init` of Flax's own layers."""

import functools
import pickle

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from helpers import mixed_atlas

import atlasinit as ai
from atlasinit.flax import NnxAtlas, linen_module, trained_values, with_values

OPTIONS = {
    "sparse": dict(reduction="sum", empty=0.0),
    "dense, one frozen": dict(dense=True, trainable=["cortex_L", "subcortex"], empty=0.0),
    "in a domain": dict(domain=ai.domains.Affine(2.0), reduction="sum"),
}


@pytest.fixture
def data():
    return jnp.asarray(np.random.default_rng(0).normal(size=(29, 4)), jnp.float32)


def loss_of(apply):
    return lambda *args: jnp.sum(apply(*args) ** 2)


@pytest.mark.parametrize("name", OPTIONS)
def test_modules_compute_and_train_what_the_layer_does(name, data, key):
    layer = ai.AtlasLinear.from_atlas(mixed_atlas(), **OPTIONS[name])
    start = trained_values(layer)
    expected = jax.grad(loss_of(lambda v: with_values(layer, v)(data)))(
        {c: jnp.asarray(v) for c, v in start.items()}
    )
    assert any(jnp.abs(g).max() > 0 for g in expected.values())

    linen = linen_module(layer)
    variables = linen.init(key, data)
    assert list(variables) == ["params"]
    assert set(variables["params"]) == set(start)
    np.testing.assert_allclose(jax.jit(linen.apply)(variables, data), layer(data), rtol=1e-5)
    grads = jax.grad(loss_of(lambda v: linen.apply(v, data)))(variables)["params"]

    module = NnxAtlas(layer)
    for shown in (linen, module):
        assert "<mixed: 7 parcels>" in repr(shown)
    np.testing.assert_allclose(nnx.jit(lambda m, x: m(x))(module, data), layer(data), rtol=1e-5)
    others = nnx.grad(loss_of(lambda m: m(data)))(module)
    for c, g in expected.items():
        np.testing.assert_allclose(grads[c], g, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(others.weights[c][...], g, rtol=1e-4, atol=1e-5)


def test_a_trained_module_becomes_a_layer_again(data):
    layer = ai.AtlasLinear.from_atlas(mixed_atlas(), reduction="sum")
    module = NnxAtlas(layer)
    module.weights["subcortex"][...] *= 2
    doubled = module.layer().to_atlas().to_dense()["subcortex"]
    np.testing.assert_allclose(doubled, 2 * mixed_atlas().to_dense()["subcortex"])


def test_an_atlas_as_a_kernel_of_dense_layers(data, key):
    """Flax's kernels are (in, out): locations x parcels."""
    atlas = mixed_atlas()
    init = ai.initializers.AtlasWeights(atlas, layout="locations_parcels")
    expected = ai.project(atlas, data, reduction="sum").T
    linen = nn.Dense(atlas.n_parcels, use_bias=False, kernel_init=init, precision="highest")
    np.testing.assert_allclose(
        linen.init_with_output(key, data.T)[0], expected, rtol=1e-5, atol=1e-5
    )
    layer = nnx.Linear(
        atlas.n_locations,
        atlas.n_parcels,
        use_bias=False,
        kernel_init=init,
        precision="highest",
        rngs=nnx.Rngs(0),
    )
    np.testing.assert_allclose(layer(data.T), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", OPTIONS)
def test_modules_start_anew_after_their_parameters_were_donated(name, data, key):
    layer = ai.AtlasLinear.from_atlas(mixed_atlas(), **OPTIONS[name])
    expected = np.asarray(layer(data))
    spend = jax.jit(lambda values: jax.tree.map(jnp.negative, values), donate_argnums=0)

    module = linen_module(layer)
    spend(module.init(key, data))
    np.testing.assert_allclose(module.init_with_output(key, data)[0], expected, rtol=1e-5)
    spend(nnx.state(NnxAtlas(layer)))
    np.testing.assert_allclose(NnxAtlas(layer)(data), expected, rtol=1e-5)


def test_equal_modules_compile_once(data, key):
    layers = [ai.AtlasLinear.from_atlas(mixed_atlas(), **OPTIONS["in a domain"]) for _ in range(2)]
    other = ai.AtlasLinear.from_atlas(mixed_atlas(), domain=ai.domains.Affine(3.0), reduction="sum")
    traces = []

    @functools.partial(jax.jit, static_argnums=0)
    def linen(module, variables):
        traces.append("linen")
        return module.apply(variables, data)

    @nnx.jit
    def stateful(module):
        traces.append("nnx")
        return module(data)

    modules = [linen_module(layer) for layer in (*layers, layers[0])]
    modules.append(pickle.loads(pickle.dumps(modules[0])))
    for module in modules:
        linen(module, module.init(key, data))
    for layer in layers:
        stateful(NnxAtlas(layer))
    assert traces == ["linen", "nnx"]
    assert linen_module(other) != modules[0]
    assert modules[0] != "another kind"
    # What is trained is no constant of an nnx module, whose parameters may differ.
    moved = NnxAtlas(layers[0])
    moved.weights["subcortex"][...] *= 2
    stateful(moved)
    assert traces == ["linen", "nnx"]


@pytest.mark.parametrize("options", [{}, OPTIONS["dense, one frozen"], OPTIONS["in a domain"]])
def test_nnx_modules_are_made_under_transformations(options, data):
    def make():
        return NnxAtlas(ai.AtlasLinear.from_atlas(mixed_atlas(), **options))

    expected = make()(data)
    np.testing.assert_allclose(nnx.jit(make)()(data), expected, rtol=1e-5)
    graph, shapes = nnx.split(nnx.eval_shape(make))
    full = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    assert nnx.merge(graph, full)(data).shape == expected.shape


@pytest.mark.parametrize("name", ["layer", "held", "weights", "name", "parent", "maps"])
def test_compartments_may_have_any_name(name, key):
    grid = ai.VolumeGrid((3, 1, 1), np.eye(4))
    atlas = ai.dirichlet_atlas({name: grid}, n_parcels=2, key=key)
    layer = ai.AtlasLinear.from_atlas(atlas)
    data = jnp.ones((3, 5))
    np.testing.assert_allclose(NnxAtlas(layer)(data), layer(data), rtol=1e-6)
    assert list(NnxAtlas(layer).layer().weights()) == [name]
    out, variables = linen_module(layer).init_with_output(key, data)
    np.testing.assert_allclose(out, layer(data), rtol=1e-6)
    assert list(variables["params"]) == [name]


@pytest.mark.sweep
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("transform", ["jit", "vmap", "scan", "eval_shape"])
def test_both_apis_under_transformations(transform, name, data, key):
    layer = ai.AtlasLinear.from_atlas(mixed_atlas(), **OPTIONS[name])
    many = jnp.stack([data, 2 * data, -data])
    expected = jnp.stack([layer(x) for x in many])
    linen, module = linen_module(layer), NnxAtlas(layer)
    variables = linen.init(key, data)
    graph, state = nnx.split(module)

    def functional(state, x):
        return nnx.merge(graph, state)(x)

    for apply, values in ((linen.apply, variables), (functional, state)):
        if transform == "jit":
            out = jnp.stack([jax.jit(apply)(values, x) for x in many])
        elif transform == "vmap":
            out = jax.vmap(apply, in_axes=(None, 0))(values, many)
        elif transform == "scan":
            out = jax.lax.scan(lambda v, x, apply=apply: (v, apply(v, x)), values, many)[1]
        else:
            out = jax.eval_shape(jax.vmap(apply, in_axes=(None, 0)), values, many)
            assert (out.shape, out.dtype) == (expected.shape, expected.dtype)
            continue
        np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-6)
    if transform == "vmap":
        ensemble = jax.tree.map(lambda v: jnp.stack([v, v, v]), state)
        np.testing.assert_allclose(
            jax.vmap(functional)(ensemble, many), expected, rtol=1e-5, atol=1e-6
        )
        found = nnx.vmap(lambda m, x: m(x), in_axes=(None, 0))(module, many)
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if transform == "scan":
        found = nnx.scan(lambda m, x: (m, m(x)), in_axes=(nnx.Carry, 0), out_axes=(nnx.Carry, 0))(
            module, many
        )[1]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
