"""The layer: the same numbers as the projection, training, freezing, back to an atlas, Flax."""

import dataclasses
import inspect
import pickle

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import optax
import paramax
import pytest
from helpers import mixed_atlas, table

import atlasinit as ai
from atlasinit import domains
from atlasinit.nn import AtlasLinear
from atlasinit.projection import project


def data_of(atlas, time=5, seed=1):
    shape = (2, atlas.n_locations, time)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    ("reduction", "trainable", "dense"),
    [
        ("sum", True, False),
        ("mean", False, False),
        ("mean", ["cortex_L"], True),
        ("zscore", True, False),
        ("lstsq", True, False),
        ("lstsq", False, True),
    ],
)
def test_a_layer_is_the_projection(reduction, trainable, dense):
    atlas = mixed_atlas()
    x = data_of(atlas)
    layer = AtlasLinear.from_atlas(atlas, reduction=reduction, trainable=trainable, dense=dense)
    expected = project(atlas, x, reduction=reduction)
    np.testing.assert_allclose(eqx.filter_jit(layer)(x), expected, rtol=1e-3, atol=1e-5)


def test_order_statistics_in_a_layer():
    atlas = mixed_atlas().harden()
    x = data_of(atlas)
    layer = AtlasLinear.from_atlas(atlas, reduction="median")
    np.testing.assert_allclose(layer(x), project(atlas, x, reduction="median"))


def test_parcels_that_are_hardly_seen():
    atlas, options = mixed_atlas(), {"missing": "omit", "min_coverage": 0.6, "empty": -1.0}
    x = data_of(atlas)
    x[:, : atlas.n_locations // 2, 1] = np.nan
    layer = AtlasLinear.from_atlas(atlas, reduction="absmean", **options)
    expected = project(atlas, x, reduction="absmean", **options)
    assert 0 < (np.asarray(expected)[:, :, 1] == -1).sum() < 2 * atlas.n_parcels
    np.testing.assert_allclose(eqx.filter_jit(layer)(x), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match='`min_coverage` needs missing="omit"'):
        AtlasLinear.from_atlas(atlas, min_coverage=0.5)


def test_rows_by_compartment():
    atlas = mixed_atlas()
    x = data_of(atlas)
    whole = AtlasLinear.from_atlas(atlas)(x)
    parts = AtlasLinear.from_atlas(atlas, concatenate=False)(x)
    assert tuple(parts) == atlas.compartments
    np.testing.assert_array_equal(np.concatenate(list(parts.values()), axis=1), whole)
    flat = AtlasLinear.from_atlas(atlas, concatenate=False)(x[0, :, 0])
    assert [len(v) for v in flat.values()] == [3, 2, 2]


@pytest.mark.parametrize("trainable", [["cortex_L"], {"cortex_L": True, "cortex_R": False}])
def test_gradients_reach_only_what_is_trained(trainable):
    atlas = mixed_atlas()
    x = data_of(atlas)
    layer = AtlasLinear.from_atlas(
        atlas, dense=True, trainable=trainable, reduction="sum", empty=0.0
    )
    grads = eqx.filter_grad(lambda m: jnp.sum(m(x) ** 2))(layer)
    sizes = [
        float(
            sum(
                jnp.abs(leaf).sum() for leaf in jax.tree.leaves(eqx.filter(g, eqx.is_inexact_array))
            )
        )
        for g in grads.maps
    ]
    assert sizes[0] > 0
    assert sizes[1:] == [0, 0]


def test_sparse_weights_train_at_fixed_positions():
    atlas = mixed_atlas()
    layer = AtlasLinear.from_atlas(atlas, reduction="sum")
    params, static = eqx.partition(layer, eqx.is_inexact_array)
    assert [leaf.shape for leaf in jax.tree.leaves(params)] == [
        atlas.maps["subcortex"].values.shape
    ]
    moved = eqx.combine(jax.tree.map(lambda p: 2 * p, params), static).to_atlas()
    np.testing.assert_allclose(
        moved.to_dense()["subcortex"], 2 * atlas.to_dense()["subcortex"], rtol=1e-6
    )


@dataclasses.dataclass(frozen=True)
class SharesOfParcels(domains.Domain):
    """A user's domain: squares that sum to 1 per parcel, dense only."""

    def image(self, x):
        squares = jnp.square(x)
        return squares / squares.sum(-1, keepdims=True)

    def preimage(self, y):
        return jnp.sqrt(jnp.abs(y))


class SparseShares(SharesOfParcels):
    """The same, which knows what to do with sparse maps."""

    def image_of_sparse(self, maps):
        rows = jnp.asarray(np.repeat(np.arange(maps.n_parcels), np.diff(maps.indptr)))
        squares = jnp.square(maps.values)
        return squares / jax.ops.segment_sum(squares, rows, maps.n_parcels)[rows]

    def preimage_of_sparse(self, maps):
        return jnp.sqrt(jnp.abs(maps.values))


def test_a_domain_of_the_users_own_constrains_a_sparse_layer():
    atlas = mixed_atlas().select(compartments="subcortex")
    maps = atlas.maps["subcortex"]
    data = jr.normal(jr.key(0), (atlas.n_locations, 4))
    layers = [
        AtlasLinear.from_atlas(atlas, domain=SparseShares(), reduction="sum", dense=dense)
        for dense in (False, True)
    ]
    assert isinstance(layers[0].maps[0].free, ai.SparseMaps)
    found, expected = (layer(data) for layer in layers)
    assert np.isfinite(expected).all()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    slopes, dense = (eqx.filter_grad(lambda layer: (layer(data) ** 2).sum())(m) for m in layers)
    np.testing.assert_allclose(
        slopes.maps[0].free.values,
        dense.maps[0].free.values[maps.rows(), maps.indices],
        rtol=1e-4,
        atol=1e-6,
    )


def test_a_domain_without_sparse_maps_says_what_to_do_and_it_works():
    atlas = mixed_atlas().select(compartments="subcortex")
    with pytest.raises(TypeError, match="`SharesOfParcels` needs every weight.*`dense=True`"):
        AtlasLinear.from_atlas(atlas, domain=SharesOfParcels())
    layer = AtlasLinear.from_atlas(atlas, domain=SharesOfParcels(), dense=True)
    np.testing.assert_allclose(layer.weights()["subcortex"].values.sum(1), 1, rtol=1e-5)
    node = domains.constrained(ai.DenseMaps(atlas.maps["subcortex"].to_dense()), SharesOfParcels())
    assert domains.saturation({"w": node}) == {}


@pytest.mark.parametrize("purity", [0.9, 0.99])
def test_a_simplex_layer_keeps_memberships(purity):
    atlas = mixed_atlas().select(compartments=["cortex_L", "cortex_R"])
    layer = AtlasLinear.from_atlas(atlas, domain=domains.Simplex(purity=purity))
    for weights in layer.weights().values():
        sums = np.asarray(weights.values).sum(0)
        # A location of no parcel stays one.
        assert ((np.abs(sums - 1) < 1e-5) | (sums == 0)).all()
    left = np.asarray(layer.weights()["cortex_L"].values)
    labels = atlas.maps["cortex_L"].labels
    kept = np.flatnonzero(labels >= 0)
    np.testing.assert_allclose(left[labels[kept], kept], purity, rtol=1e-4)


@pytest.mark.parametrize("empty", [float("nan"), 0.5])
def test_a_copy_equals_its_layer(empty):
    layer = AtlasLinear.from_atlas(mixed_atlas(), empty=empty)
    copy = pickle.loads(pickle.dumps(layer))
    assert jax.tree.structure(copy) == jax.tree.structure(layer)
    np.testing.assert_array_equal(copy.empty, empty)


OPTIONS = [
    {"reduction": "zscore"},
    {"reduction": "sum", "empty": 0.0},
    {"reduction": ai.projection.zscore(ddof=0)},
    {"reduction": "lstsq", "ridge": 0.5},
    {"missing": "omit", "min_coverage": 0.5, "empty": -1.0},
    {"reduction": "lstsq", "missing": "propagate"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=[" ".join(map(str, o)) for o in OPTIONS])
def test_options_of_a_call_win_over_the_layers(options):
    atlas = mixed_atlas().drop_empty()
    layer = AtlasLinear.from_atlas(atlas, reduction="lstsq", ridge=0.25, trainable=False)
    x = data_of(atlas)
    own = layer(x)
    ridge = options.get("ridge", 0.25 if options.get("reduction", "lstsq") == "lstsq" else 0.0)
    given = {"reduction": "lstsq", "ridge": ridge, **options}
    if "missing" in options and options["missing"] == "omit":
        options = {"reduction": "mean", **options}
        given |= {"reduction": "mean", "ridge": 0.0}
    wanted = ai.project(atlas, x, kernel="dense", **given)
    np.testing.assert_allclose(layer(x, **options), wanted, rtol=2e-4, atol=2e-5)
    np.testing.assert_array_equal(layer(x), own)


def test_options_of_a_call_are_checked_and_traced():
    atlas = mixed_atlas().select(compartments=["cortex_L", "cortex_R"])
    layer, x = AtlasLinear.from_atlas(atlas, kernel="dense"), data_of(atlas)
    found = eqx.filter_jit(lambda layer, x: layer(x, reduction="median", concatenate=False))(
        layer, x
    )
    wanted = ai.project(atlas, x, reduction="median")
    np.testing.assert_allclose(jnp.concatenate(list(found.values()), -2), wanted, rtol=1e-6)
    with pytest.raises(ValueError, match="`reduction` should be one of"):
        layer(x, reduction="median_of")
    with pytest.raises(ValueError, match="`min_coverage` needs"):
        layer(x, min_coverage=0.5)
    with pytest.raises(ValueError, match="a function of NumPy, which a layer cannot jit"):
        layer(x, reduction=lambda values, weights: values[0])
    with pytest.raises(ValueError, match="'median' is for hard maps"):
        AtlasLinear.from_atlas(atlas, dense=True)(x, reduction="median")


def test_a_layer_of_sizes_alone(key):
    layer = AtlasLinear.from_sizes({"left": 40, "b": 50}, {"left": 3, "b": 2}, key=key)
    memberships = layer.weights()
    assert [m.values.shape for m in memberships.values()] == [(3, 40), (2, 50)]
    for maps in memberships.values():
        np.testing.assert_allclose(maps.values.sum(0), 1, atol=1e-5)
    assert layer(jnp.ones((90, 2))).shape == (5, 2)
    with pytest.raises(
        ValueError, match=r"`n_locations\['left'\]` should be a whole number from 1"
    ):
        AtlasLinear.from_sizes({"left": 0}, 2, key=key)


def test_noise_needs_a_key(key):
    atlas = mixed_atlas()
    with pytest.raises(ValueError, match="`noise` should be 0 or more"):
        AtlasLinear.from_atlas(atlas, noise=-1.0, key=key)
    with pytest.raises(ValueError, match="`noise` needs"):
        AtlasLinear.from_atlas(atlas, noise=0.1)
    with pytest.raises(ValueError, match="`noise` is for weights that are trained, and none is"):
        AtlasLinear.from_atlas(atlas, noise=0.1, key=key, trainable=False)
    with pytest.raises(ValueError, match="of cortex_L, cortex_R; pass `dense=True` or a"):
        AtlasLinear.from_atlas(atlas, noise=0.1, key=key)
    AtlasLinear.from_atlas(atlas, noise=0.1, key=key, trainable="subcortex")
    layers = [AtlasLinear.from_atlas(atlas, noise=s, key=key, dense=True) for s in (0.0, 0.1)]
    plain, noisy = (layer.weights()["cortex_L"].values for layer in layers)
    assert 0.01 < float(jnp.std(noisy - plain)) < 0.3


def test_unknown_compartments_are_refused():
    with pytest.raises(ValueError, match="`trainable`: compartments are"):
        AtlasLinear.from_atlas(mixed_atlas(), trainable="cerebellum")


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [
        ({"atlas": "schaefer2018"}, TypeError, "`atlas` should be an Atlas, got str.*load_atlas"),
        (
            {"domain": domains.Simplex},
            TypeError,
            r"`domain` should be a domain, got the class Simplex",
        ),
        ({"reduction": "lstsq", "ridge": -1.0}, ValueError, "`ridge` should be 0 or more"),
        ({"reduction": "average"}, ValueError, "`reduction` should be one of"),
    ],
)
def test_what_is_no_layer_is_refused(options, kind, message):
    # Without the checks of types that the tests put around it, as users call it.
    from_atlas = inspect.unwrap(AtlasLinear.from_atlas.__func__)
    with pytest.raises(kind, match=message):
        from_atlas(AtlasLinear, **{"atlas": mixed_atlas(), **options})


def test_weight_decay_leaves_what_the_optimiser_does_not_get():
    atlas = mixed_atlas()
    layer = AtlasLinear.from_atlas(atlas, dense=True, trainable=["cortex_L"])
    trained = eqx.filter(
        layer,
        eqx.is_inexact_array,
        is_leaf=lambda node: isinstance(node, paramax.NonTrainable),
    )
    with jax.numpy_dtype_promotion("standard"):
        optimiser = optax.adamw(0.1, weight_decay=0.5)
        grads = jax.tree.map(jnp.zeros_like, trained)
        updates, _ = optimiser.update(grads, optimiser.init(trained), trained)
        moved = eqx.apply_updates(layer, updates).weights()
    for c, weights in atlas.to_dense().items():
        kept = np.array_equal(moved[c].values, weights)
        assert kept == (c != "cortex_L")


def test_shape_errors_through_jit():
    layer = AtlasLinear.from_atlas(mixed_atlas())
    with pytest.raises(ValueError, match="29 locations"):
        eqx.filter_jit(layer)(jnp.ones((28, 3)))


def test_back_to_an_atlas():
    atlas = mixed_atlas()
    back = AtlasLinear.from_atlas(atlas).to_atlas()
    assert back.table == atlas.table
    assert back.geometry == atlas.geometry
    assert back.provenance.operations[-1] == "AtlasLinear"
    for c, weights in atlas.to_dense().items():
        assert type(back.maps[c]) is type(atlas.maps[c])
        np.testing.assert_array_equal(back.to_dense()[c], weights)


@pytest.mark.parametrize("domain", [None, domains.Simplex(purity=0.95)], ids=["free", "simplex"])
def test_serialisation(tmp_path, domain, key):
    atlas = mixed_atlas()
    if domain is not None:
        atlas = atlas.select(compartments=["cortex_L", "cortex_R"])
    # Hard labels have no weights for noise.
    soft = ["subcortex"] if domain is None else True
    layer = AtlasLinear.from_atlas(atlas, domain=domain, noise=0.2, key=key, trainable=soft)
    eqx.tree_serialise_leaves(tmp_path / "layer.eqx", layer)
    fresh = AtlasLinear.from_atlas(atlas, domain=domain, trainable=soft)
    loaded = eqx.tree_deserialise_leaves(tmp_path / "layer.eqx", fresh)
    x = data_of(atlas)
    np.testing.assert_array_equal(loaded(x), layer(x))


def test_maps_are_restored_where_another_kernel_computes(tmp_path, key):
    atlas = mixed_atlas()
    layer = AtlasLinear.from_atlas(
        atlas, kernel="groups", noise=0.2, key=key, trainable="subcortex"
    )
    eqx.tree_serialise_leaves(tmp_path / "maps.eqx", layer.maps)
    fresh = AtlasLinear.from_atlas(atlas, kernel="tiles", trainable="subcortex")
    maps = eqx.tree_deserialise_leaves(tmp_path / "maps.eqx", fresh.maps)
    loaded = eqx.tree_at(lambda layer: layer.maps, fresh, maps)
    x = data_of(atlas)
    np.testing.assert_allclose(loaded(x), layer(x), rtol=1e-5, atol=1e-6)


def test_a_layer_through_safetensors(tmp_path):
    atlas = mixed_atlas()
    layer = AtlasLinear.from_atlas(atlas)
    ai.save_atlas(layer.to_atlas(), tmp_path / "layer.safetensors")
    loaded = AtlasLinear.from_atlas(ai.load_atlas(tmp_path / "layer.safetensors"))
    np.testing.assert_array_equal(loaded(data_of(atlas)), layer(data_of(atlas)))
    assert loaded.table == layer.table
    assert loaded.header.provenance.operations[-1] == "AtlasLinear"


def test_a_layer_of_random_memberships(key):
    atlas = mixed_atlas().select(compartments=["cortex_L"])
    one, other = (AtlasLinear.from_dirichlet(atlas, key=k) for k in jr.split(key))
    assert one(data_of(atlas)).shape == (2, 3, 5)
    weights = one.weights()["cortex_L"].values
    np.testing.assert_allclose(weights.sum(0), np.ones(10), rtol=1e-5)
    assert float(jnp.abs(weights - other.weights()["cortex_L"].values).max()) > 1e-3


def test_training_recovers_planted_parcels(key):
    """Noisy series of four parcels; the start has a third of the memberships shuffled."""
    rng = np.random.default_rng(0)
    n_parcels, n_locations, time = 4, 60, 80
    truth = np.arange(n_locations, dtype=np.int32) * n_parcels // n_locations
    start = truth.copy()
    wrong = rng.choice(n_locations, n_locations // 3, replace=False)
    start[wrong] = rng.permutation(start[wrong])

    def run():
        latent = rng.normal(size=(n_parcels, time))
        noise = rng.normal(size=(n_locations, time))
        x = latent[truth] + 0.7 * noise
        return jnp.asarray(x - x.mean(1, keepdims=True), jnp.float32)

    train, held_out = jnp.stack([run() for _ in range(6)]), jnp.stack([run() for _ in range(2)])
    atlas = ai.Atlas(
        name="planted",
        space="test",
        maps={"volume": ai.HardMaps(start, n_parcels)},
        geometry={"volume": ai.VolumeGrid((60, 1, 1), np.eye(4), np.arange(60))},
        labels=table(["volume"] * n_parcels),
    )
    layer = AtlasLinear.from_atlas(atlas, domain=domains.Simplex(purity=0.9))

    def loss(layer, x):
        """Mean squared error of the data rebuilt from the series of its parcels."""
        weights = layer.weights()["volume"].values
        rebuilt = jnp.einsum("pl,bpt->blt", weights, layer(x))
        return jnp.mean((x - rebuilt) ** 2)

    optimiser = optax.adam(0.05)
    params, static = eqx.partition(layer, eqx.is_inexact_array)
    state = optimiser.init(params)

    @jax.jit
    def step(params, state):
        grads = jax.grad(lambda p: loss(eqx.combine(p, static), train))(params)
        updates, state = optimiser.update(grads, state, params)
        return optax.apply_updates(params, updates), state

    # Optax counts its steps in int32 beside Python floats.
    with jax.numpy_dtype_promotion("standard"):
        for _ in range(300):
            params, state = step(params, state)
    trained = eqx.combine(params, static)
    found = trained.to_atlas().harden().maps["volume"].labels
    assert (start == truth).mean() < 0.85
    assert (found == truth).mean() > 0.97
    assert loss(trained, held_out) < 0.9 * loss(layer, held_out)


def test_a_training_step_lowers_for_cuda():
    atlas = mixed_atlas()
    layer = AtlasLinear.from_atlas(atlas, empty=0.0)
    params, static = eqx.partition(layer, eqx.is_array)

    def step(params, x):
        def loss(layer):
            return jnp.sum(layer(x) ** 2)

        return eqx.filter(eqx.filter_grad(loss)(eqx.combine(params, static)), eqx.is_array)

    exported = jax.export.export(jax.jit(step), platforms=("cuda",))(
        jax.eval_shape(lambda p: p, params),
        jax.ShapeDtypeStruct((atlas.n_locations, 3), jnp.float32),
    )
    assert "f64" not in exported.mlir_module()
    assert "callback" not in exported.mlir_module()


def test_one_compilation_for_all_layers_of_a_shape(key):
    count = 0

    @eqx.filter_jit
    def run(layer, x):
        nonlocal count
        count += 1
        return layer(x)

    atlas = mixed_atlas()
    for k in jr.split(key, 3):
        run(AtlasLinear.from_atlas(atlas, dense=True, noise=0.1, key=k), data_of(atlas))
    assert count == 1


@pytest.mark.parametrize("own", [np.asarray, jnp.asarray], ids=["numpy", "jax"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"dense": True},
        {"domain": domains.Affine(2.0)},
        {"trainable": False},
        {"trainable": False, "reduction": "lstsq"},
    ],
    ids=str,
)
def test_a_layer_that_is_donated_takes_nothing_with_it(options, own):
    atlas = mixed_atlas().select(["R_a", "R_b", "Left-Thalamus", "Right-Thalamus"])
    # The maps may themselves be arrays of JAX, which the layer copies too.
    atlas = atlas.replace(maps={c: jax.tree.map(own, m) for c, m in atlas.maps.items()})
    data = jnp.asarray(data_of(atlas))
    layer = AtlasLinear.from_atlas(atlas, **options)
    expected, projected = np.asarray(layer(data)), np.asarray(project(atlas, data))

    eqx.filter_jit(lambda spent: jax.tree.map(lambda a: a * 1, spent), donate="all")(layer)
    assert not any(leaf.is_deleted() for leaf in jax.tree.leaves(atlas.maps) if own is jnp.asarray)
    np.testing.assert_array_equal(AtlasLinear.from_atlas(atlas, **options)(data), expected)
    np.testing.assert_array_equal(project(atlas, data), projected)
    jax.jit(lambda x: project(atlas, x))(data)
