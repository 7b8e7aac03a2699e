"""Initial activities against an independent NumPy evaluation of the published definitions."""

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.linalg
from helpers import mixed_atlas

import atlasinit as ai
from atlasinit import activities, domains

SIZES = [10, 20, 20, 5]
BATCH = 7


def layers(sizes, key=0):
    """Linear, then tanh of linear: the layers of a plain network."""
    keys = jr.split(jr.key(key), len(sizes) - 1)
    pairs = zip(sizes[:-1], sizes[1:], keys, strict=True)
    linear = [eqx.nn.Linear(m, n, use_bias=False, key=k) for m, n, k in pairs]
    return [linear[0], *(eqx.nn.Sequential([eqx.nn.Lambda(jnp.tanh), f]) for f in linear[1:])]


def weights(model):
    return [np.asarray(jax.tree.leaves(eqx.filter(f, eqx.is_array))[0], np.float64) for f in model]


def reference(model, x, *, scales, skips=None):
    """z_l = a_l W_l phi(z_{l-1}) + z_{l-1}, with phi the identity in the first layer."""
    states = [np.asarray(x, np.float64)]
    for i, (w, a) in enumerate(zip(weights(model), scales, strict=True)):
        source = states[-1] if i == 0 else np.tanh(states[-1])
        new = a * source @ w.T
        if skips is not None and skips[i]:
            new = new + states[-1]
        states.append(new)
    return states[1:]


def scales_of(scaling, widths, *, skipping=False, gamma=1.0):
    """Table 1 of arXiv:2505.13124 for D inputs, one width N and L layers."""
    d, n, depth = widths[0], widths[1], len(widths) - 1
    hidden = 1 / np.sqrt(n * depth) if skipping else 1 / np.sqrt(n)
    last = {"standard": 1.0, "mupc": 1 / n, "ntp": 1 / np.sqrt(n)}[scaling]
    inner = [1.0] * (depth - 1) if scaling == "standard" else [d**-0.5, *[hidden] * (depth - 2)]
    return [*inner, last / gamma]


@pytest.mark.parametrize("scaling", ["standard", "mupc", "ntp"])
def test_feedforward_without_inputs(scaling):
    (found,) = activities.feedforward([lambda x: x], jnp.zeros((3, 0)), scaling=scaling)
    assert found.shape == (3, 0)


@pytest.mark.parametrize("scaling", ["standard", "mupc", "ntp"])
@pytest.mark.parametrize("gamma", [None, 4.0])
def test_feedforward_equals_the_definition(scaling, gamma, key):
    model, x = layers(SIZES), jr.normal(key, (BATCH, 10))
    found = activities.feedforward(model, x, scaling=scaling, gamma=gamma)
    wanted = reference(model, x, scales=scales_of(scaling, SIZES, gamma=gamma or 1.0))
    assert [z.shape for z in found] == [(7, 20), (7, 20), (7, 5)]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


# Of 16 inputs: JPC's `_get_param_scalings` gives `scalings[0]`, the first layer's, and leaves out
# gamma, which here divides what is the last layer too.
@pytest.mark.parametrize(
    ("scaling", "gamma", "scale"),
    [
        ("standard", None, 1.0),
        ("mupc", None, 0.25),
        ("ntp", None, 0.25),
        ("standard", 4.0, 0.25),
        ("mupc", 2.0, 0.125),
        ("ntp", 2.0, 0.125),
    ],
)
@pytest.mark.parametrize("skip", [None, lambda z: z[:5]])
def test_the_only_layer_is_first_and_last(scaling, gamma, scale, skip, key):
    x = jr.normal(key, (BATCH, 16))
    (found,) = activities.feedforward(
        [lambda z: z[:5]], x, skip_model=[skip], scaling=scaling, gamma=gamma
    )
    np.testing.assert_allclose(found, (scale + (skip is not None)) * x[:, :5], rtol=1e-6)


# 10 inputs, width 20 and 3 layers; JPC's numbers, from its table of scalings.
JPC = {
    ("standard", False): [1, 1, 1],
    ("mupc", False): [0.31622777, 0.2236068, 0.05],
    ("mupc", True): [0.31622777, 0.12909944, 0.05],
    ("ntp", False): [0.31622777, 0.2236068, 0.2236068],
    ("ntp", True): [0.31622777, 0.12909944, 0.2236068],
}


@pytest.mark.parametrize(("scaling", "skipping"), JPC)
@pytest.mark.parametrize("gamma", [None, 5.0])
def test_scales_are_jpcs(scaling, skipping, gamma):
    """Layers of ones, in whose activities the scales can be read."""
    sizes = [20, 20, 5]
    model = [lambda z, n=n: jnp.ones(n) for n in sizes]
    skips = [None, (lambda z: 0 * z) if skipping else None, None]
    x = jnp.ones((2, 10))
    found = activities.feedforward(model, x, skip_model=skips, scaling=scaling, gamma=gamma)
    wanted = np.array(JPC[scaling, skipping], np.float64) / [1, 1, gamma or 1]
    np.testing.assert_allclose([z[0, 0] for z in found], wanted, rtol=1e-6)


@pytest.mark.parametrize("scaling", ["standard", "mupc", "ntp"])
def test_feedforward_with_skips(scaling, key):
    sizes = [6, 6, 6, 6, 6]
    model, x = layers(sizes), jr.normal(key, (BATCH, 6))
    skips = [None, lambda z: z, lambda z: z, None]
    found = activities.feedforward(model, x, skip_model=skips, scaling=scaling)
    wanted = reference(
        model,
        x,
        scales=scales_of(scaling, sizes, skipping=True),
        skips=[s is not None for s in skips],
    )
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_mupc_keeps_the_size_of_deep_residual_activities(key):
    """The paper's point: with weights of variance 1 activities neither vanish nor explode."""
    width, depth = 64, 40
    keys = jr.split(key, depth)
    model = [
        lambda z, k=k: jr.normal(k, (width, width)) @ (jnp.maximum(z, 0) * 2**0.5) for k in keys
    ]
    skips = [None, *[lambda z: z] * (depth - 2), None]
    x = jr.normal(jr.fold_in(key, 1), (16, width))
    states = activities.feedforward(model, x, skip_model=skips, scaling="mupc")
    sizes = np.array([float(jnp.sqrt((z**2).mean())) for z in states[:-1]])
    assert sizes.max() / sizes.min() < np.e
    assert sizes[-1] == pytest.approx(np.sqrt(np.e), rel=0.5)


def test_gradients_reach_the_weights(key):
    model, x = layers(SIZES), jr.normal(key, (BATCH, 10))

    def loss(m):
        return activities.feedforward(m, x, scaling="mupc")[-1].sum()

    grads = weights(eqx.filter_grad(loss)(model))
    assert all(np.abs(g).max() > 0 for g in grads)


@pytest.mark.parametrize(
    ("mode", "shapes"),
    [
        ("supervised", [(7, 20), (7, 20), (7, 5)]),
        ("unsupervised", [(7, 10), (7, 20), (7, 20), (7, 5)]),
    ],
)
def test_normal_and_zero_activities_have_the_layers_shapes(mode, shapes, key):
    drawn = activities.from_normal(SIZES, BATCH, key=key, mode=mode)
    assert [z.shape for z in drawn] == shapes
    zeros = activities.zero_errors(SIZES, BATCH, mode=mode)
    assert [z.shape for z in zeros] == shapes
    assert all((z == 0).all() for z in zeros)
    common = activities.from_normal(SIZES, BATCH, key=key, mode="supervised")
    np.testing.assert_array_equal(drawn[-1], common[-1])


def test_normal_activities_have_the_moments_asked_for(key):
    n = 400 * 500
    drawn = activities.from_normal([3, 400], 500, key=key, sigma=0.05)[0]
    # Standard errors of the mean and of the standard deviation of n normal draws.
    assert abs(float(drawn.mean())) < 5 * 0.05 / np.sqrt(n)
    assert abs(float(drawn.std()) - 0.05) < 5 * 0.05 / np.sqrt(2 * n)
    half = activities.from_normal([3, 4], 5, key=key, sigma=np.float64(0.1), dtype=jnp.bfloat16)
    assert half[0].dtype == jnp.bfloat16
    two = activities.from_normal([3, 400, 400], 500, key=key)
    assert abs(np.corrcoef(two[0].ravel(), two[1].ravel())[0, 1]) < 5 / np.sqrt(n)


def test_amortised_activities_are_reversed_with_a_prediction_last(key):
    generator, amortiser = layers(SIZES), layers(SIZES[::-1], key=1)
    y = jr.normal(key, (BATCH, 5))
    found = activities.amortised(amortiser, generator, y)
    assert [z.shape for z in found] == [(7, 10), (7, 20), (7, 20), (7, 5)]
    forward = reference(amortiser, y, scales=[1, 1, 1])
    wanted = [*forward[::-1], np.tanh(forward[0]) @ weights(generator)[-1].T]
    for a, b in zip(found, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=2e-6)


BAD = [
    (lambda: activities.feedforward([], jnp.ones((2, 3))), "`model` should have at least one"),
    (lambda: activities.feedforward(layers([3, 2]), jnp.ones(3)), r"`inputs` should be \(batch"),
    (lambda: forward(skip_model=[None]), "`skip_model` should have 2 entries, got 1"),
    (lambda: forward(scaling="sp"), "`scaling` should be"),
    (lambda: forward(gamma=0.0), "`gamma` should be positive"),
    (lambda: activities.from_normal([3], 2, key=jr.key(0)), "`sizes` should be two or more"),
    (lambda: activities.from_normal([3, 0], 2, key=jr.key(0)), "positive widths"),
    (lambda: activities.from_normal([3, 2], 2, key=jr.key(0), sigma=-1.0), "`sigma` should not"),
    (lambda: activities.zero_errors([3, 2], 2, mode="both"), "`mode` should be"),
    (lambda: activities.zero_errors([3, 2], 2, dtype="float64"), "x64 mode"),
    (lambda: activities.amortised(layers([3, 2]), [], jnp.ones((2, 3))), "`generator` should"),
]


def forward(**options):
    return activities.feedforward(layers([3, 4, 2]), jnp.ones((2, 3)), **options)


@pytest.mark.parametrize(("call", "match"), BAD)
def test_bad_input(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_network_that_begins_with_an_atlas(key):
    """The worked example: parcel means, then a plain network; data is (batch, locations)."""
    atlas = mixed_atlas().select(compartments=["cortex_L", "cortex_R"]).drop_empty()
    layer = ai.AtlasLinear.from_atlas(atlas, domain=ai.domains.Simplex(purity=0.9))

    def parcels(x):
        return layer(x[:, None])[:, 0]

    x = jr.normal(key, (BATCH, atlas.n_locations))
    model = [parcels, *layers([atlas.n_parcels, 6, 2])]
    states = activities.feedforward(model, x)
    assert [z.shape for z in states] == [(BATCH, atlas.n_parcels), (BATCH, 6), (BATCH, 2)]
    maps = [domains.unwrap(m).values for m in layer.maps]
    blocks = scipy.linalg.block_diag(*maps)
    means = np.asarray(x) @ (blocks / blocks.sum(1, keepdims=True)).T
    np.testing.assert_allclose(states[0], means, atol=1e-5)
    np.testing.assert_allclose(states[1], means @ weights(model[1:])[0].T, atol=1e-5)
