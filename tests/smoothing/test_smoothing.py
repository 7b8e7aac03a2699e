"""Smoothing of atlases, and what all operators share: gradients, dtypes, lowering, bad input."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
from helpers import table
from helpers_smoothing import plane_mesh, sphere_mesh
from jax import export

import atlasinit as ai
from atlasinit.smoothing import blocks, smooth, smoothing_operator
from atlasinit.smoothing.build import host_spread
from atlasinit.smoothing.sparse import spread_maps
from atlasinit.support.sparse import multiply

try:
    from jax import enable_x64
except ImportError:
    from jax.experimental import enable_x64  # pyright: ignore[reportAttributeAccessIssue]

GRID = ai.VolumeGrid.from_mask(np.indices((5, 6, 7)).sum(0) % 5 > 0, np.diag([2.0, 2, 3, 1]))
CASES = {
    "grid": (GRID, {"sigma": 3.0}),
    "sphere": (sphere_mesh(2, vertices=np.arange(5, 150)), {"sigma": 20.0}),
    "heat": (sphere_mesh(2), {"sigma": 20.0, "profile": "heat"}),
    "surface": (plane_mesh(9, vertices=np.delete(np.arange(81), [7, 40])), {"sigma": 1.5}),
}
CONSERVE = ("constant", "mass", "balanced")


@functools.cache
def operator(case, conserve="constant"):
    geometry, options = CASES[case]
    return smoothing_operator(geometry, conserve=conserve, **options)


def hard(op, n=4):
    labels = np.random.default_rng(5).integers(-1, n, op.n_locations).astype(np.int32)
    labels[labels == 2] = -1  # an empty parcel
    return ai.HardMaps(labels, n)


def atlas():
    left = sphere_mesh(3, vertices=np.arange(20, 600))
    maps = {
        "cortex_L": ai.HardMaps((np.arange(580) * 6 // 580 - 1).astype(np.int32), 5),
        "subcortex": ai.HardMaps((np.arange(GRID.n_locations) % 2).astype(np.int32), 2),
    }
    return ai.Atlas(
        name="a",
        space="s",
        maps=maps,
        geometry={"cortex_L": left, "subcortex": GRID},
        labels=table(["cortex_L"] * 5 + ["subcortex"] * 2),
    )


@pytest.fixture(params=CASES)
def case(request):
    return request.param


@pytest.mark.sweep
@pytest.mark.parametrize("sigma", [1e6, 1e20])
@pytest.mark.parametrize("name", ["grid", "surface"])
def test_the_widest_of_kernels_takes_the_mean(name, sigma):
    geometry = CASES[name][0]
    op = smoothing_operator(geometry, sigma=sigma)
    data = np.random.default_rng(2).random((op.n_locations, 2)).astype(np.float32)
    mean = np.average(data, axis=0, weights=np.asarray(op.areas))
    for found in (op(data), op(data, sigma=sigma)):
        np.testing.assert_allclose(found, np.broadcast_to(mean, data.shape), rtol=1e-5)
    labels = table(["c"] * 4)
    hard_atlas = ai.Atlas(
        name="a", space="s", maps={"c": hard(op)}, geometry={"c": geometry}, labels=labels
    )
    soft = smooth(hard_atlas, sigma=sigma).to_dense()["c"]
    shares = hard(op).to_dense() @ np.asarray(op.areas) / np.asarray(op.areas).sum()
    np.testing.assert_allclose(soft, np.broadcast_to(shares[:, None], soft.shape), rtol=1e-5)


@pytest.mark.sweep
@pytest.mark.parametrize("conserve", CONSERVE)
def test_constant_mass_and_adjoint(case, conserve):
    op = operator(case, conserve)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, op.n_locations, 3)).astype(np.float32)
    ones = np.ones((op.n_locations, 1), np.float32)
    areas = np.asarray(op.areas, np.float64)
    maps = hard(op)
    weights = op.smooth_maps(maps).to_dense().astype(np.float64)
    if conserve == "mass":
        before, after = maps.to_dense() @ areas, weights @ areas
        np.testing.assert_allclose(after, before, rtol=1e-6)
        np.testing.assert_allclose(op.transpose(areas[:, None]), areas[:, None], rtol=2e-6)
    else:
        inside = op.smooth_maps(ai.HardMaps(np.zeros(op.n_locations, np.int32), 1)).to_dense()
        np.testing.assert_allclose(inside, 1, atol=1e-6)
        np.testing.assert_allclose(op(ones), 1, atol=1e-6)
        assert (weights >= 0).all()
    np.testing.assert_allclose((y * op(x)).sum(), (op.transpose(y) * x).sum(), rtol=1e-4)


def test_maps_are_smoothed_as_data_are(case):
    op = operator(case)
    rng = np.random.default_rng(1)
    signed = rng.normal(size=(3, op.n_locations)).astype(np.float32)
    sparse = signed * (rng.uniform(size=signed.shape) < 0.05)
    from scipy.sparse import csr_array

    for maps in (hard(op), ai.DenseMaps(signed), ai.SparseMaps.from_scipy(csr_array(sparse))):
        expected = np.asarray(op(maps.to_dense().T)).T
        np.testing.assert_allclose(op.smooth_maps(maps).to_dense(), expected, atol=1e-6)
        wider = np.asarray(op(maps.to_dense().T, sigma=op.sigma * 1.1)).T
        again = op.smooth_maps(maps, sigma=op.sigma * 1.1)
        np.testing.assert_allclose(again.to_dense(), wider, atol=1e-6)
    empty = op.smooth_maps(hard(op)).to_dense()[2]
    assert (empty == 0).all()


@pytest.mark.sweep
@pytest.mark.parametrize("conserve", ["constant", "balanced"])
def test_gradients_in_double_precision(case, conserve):
    geometry, options = CASES[case]
    with enable_x64(True):  # noqa: FBT003
        op = smoothing_operator(geometry, conserve=conserve, **options)
        rng = np.random.default_rng(2)
        x, y, direction = (jnp.asarray(v) for v in rng.normal(size=(3, op.n_locations, 2)))

        @jax.jit
        def loss(sigma, data):
            return jnp.sum(op(data, sigma=sigma) ** 2 * y)

        @jax.jit
        def gradients(sigma, data):
            _, forward = jax.jvp(lambda s: loss(s, data), (sigma,), (jnp.ones_like(sigma),))
            # The operator is linear: its adjoint is the exact gradient.
            pulled = jax.grad(lambda d: jnp.sum(op(d) * y))(data)
            return *jax.grad(loss, argnums=(0, 1))(sigma, data), forward, pulled

        sigma, h = jnp.asarray(0.9 * op.sigma), 1e-5
        by_sigma, by_data, forward, pulled = gradients(sigma, x)
        numeric = (loss(sigma + h, x) - loss(sigma - h, x)) / (2 * h)
        np.testing.assert_allclose(by_sigma, numeric, rtol=1e-6)
        np.testing.assert_allclose(forward, by_sigma, rtol=1e-9)
        numeric = (loss(sigma, x + h * direction) - loss(sigma, x - h * direction)) / (2 * h)
        np.testing.assert_allclose(jnp.sum(by_data * direction), numeric, rtol=1e-6)
        np.testing.assert_allclose(pulled, op.transpose(y), rtol=1e-10, atol=1e-12)


def test_learned_width_of_maps(case):
    op = operator(case)
    maps = hard(op)
    target = op.smooth_maps(maps)
    assert isinstance(target, ai.SparseMaps | ai.DenseMaps)

    @jax.jit
    def loss(sigma):
        return jnp.sum((op.smooth_maps(maps, sigma=sigma).values - target.values) ** 2)

    at, h = 0.8 * op.sigma, 1e-2 * op.sigma
    gradient = jax.grad(loss)(at)
    np.testing.assert_allclose(gradient, (loss(at + h) - loss(at - h)) / (2 * h), rtol=2e-2)
    assert float(gradient) < 0
    assert float(loss(op.sigma)) < 1e-9


def test_gradient_in_the_values_of_sparse_maps(case):
    op = operator(case)
    maps = ai.SparseMaps.from_scipy(hard(op).to_scipy())
    weights = np.random.default_rng(0).normal(size=op.smooth_maps(maps).to_dense().shape)

    def loss(maps):
        out = op.smooth_maps(maps)
        if isinstance(out, ai.DenseMaps):
            return jnp.sum(out.values * jnp.asarray(weights, jnp.float32))
        return jnp.sum(out.values * jnp.asarray(weights, jnp.float32)[out.rows(), out.indices])

    gradient = eqx.filter_grad(lambda values: loss(eqx.tree_at(lambda m: m.values, maps, values)))(
        jnp.asarray(maps.values)
    )
    expected = op.transpose(weights.T.astype(np.float32))[maps.indices, maps.rows()]
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_batches_dtypes_and_jit(case):
    op = operator(case)
    x = np.random.default_rng(3).normal(size=(2, 3, op.n_locations, 4)).astype(np.float32)
    out = op(x)
    np.testing.assert_allclose(out[1, 2], op(x[1, 2]), atol=1e-6)
    np.testing.assert_allclose(jax.vmap(jax.vmap(op))(x), out, atol=1e-6)
    np.testing.assert_allclose(eqx.filter_jit(lambda o, d: o(d))(op, x), out, atol=1e-6)
    np.testing.assert_allclose(op(x[..., :1]), out[..., :1], atol=1e-6)
    half = op(jnp.asarray(x, jnp.bfloat16))
    assert half.dtype == jnp.bfloat16
    np.testing.assert_allclose(half.astype(jnp.float32), out, atol=0.05)
    assert op(np.ones((op.n_locations, 1), np.int32)).dtype == jnp.float32
    assert op(x[..., :0]).shape == (2, 3, op.n_locations, 0)


@pytest.mark.parametrize("traced", [False, True])
def test_lowers_for_cuda(case, traced):
    op = operator(case)
    data = jax.ShapeDtypeStruct((op.n_locations, 8), jnp.float32)
    width = jax.ShapeDtypeStruct((), jnp.float32)

    def run(data, sigma):
        return op(data, sigma=sigma if traced else None)

    module = export.export(jax.jit(run), platforms=("cuda",))(data, width).mlir_module()
    assert "f64" not in module
    assert "callback" not in module


def test_large_weights_are_evaluated_when_used(monkeypatch, case):
    small = operator(case)
    monkeypatch.setattr(blocks, "STORED_BYTES", 0)
    geometry, options = CASES[case]
    large = smoothing_operator(geometry, **options)
    assert (large.stored is None) == (case != "grid")
    x = np.random.default_rng(3).normal(size=(small.n_locations, 3)).astype(np.float32)
    np.testing.assert_allclose(large(x), small(x), atol=2e-6)
    maps = hard(small)
    np.testing.assert_allclose(
        large.smooth_maps(maps).to_dense(), small.smooth_maps(maps).to_dense(), atol=1e-6
    )


@pytest.mark.parametrize("case", ["sphere", "heat", "surface"])
def test_sparse_matrix_multiplies_as_the_kernel(case):
    op = operator(case, "mass")
    kernel = eqx.tree_at(lambda o: o.matrix, op, None, is_leaf=lambda x: x is None)
    x = np.random.default_rng(3).normal(size=(2, op.n_locations, 3)).astype(np.float32)
    maps = hard(op)
    for data in (x, x[1], jnp.asarray(x[0])):
        np.testing.assert_allclose(op(data), kernel(data), atol=2e-6)
        np.testing.assert_allclose(op.transpose(data), kernel.transpose(data), atol=2e-6)
    in_parts = multiply(*map(np.asarray, op.matrix), x[0], part_bytes=64)
    np.testing.assert_allclose(in_parts, kernel(x[0]), atol=2e-6)
    expected = kernel.smooth_maps(maps).to_dense()
    np.testing.assert_allclose(op.smooth_maps(maps).to_dense(), expected, atol=1e-6)


def test_atlas_by_sparse_matrix_or_by_tiles():
    by_matrix = smooth(atlas(), sigma=12.0, geometry="sphere").maps["cortex_L"]
    spread = host_spread(
        atlas().geometry["cortex_L"],
        sigma=12.0,
        geometry="sphere",
        truncate=4.0,
        conserve="constant",
        weights="area",
        profile="gaussian",
        spherical_scale=1.0,
        most_pairs=0,
    )
    by_tiles = spread_maps(atlas().maps["cortex_L"], spread, threshold=0.0)
    np.testing.assert_allclose(by_matrix.to_dense(), by_tiles.to_dense(), atol=1e-6)


def test_nan_stays_near(case):
    op = operator(case)
    x = np.zeros((op.n_locations, 2), np.float32)
    x[3, 0] = np.nan
    out = np.asarray(op(x))
    assert np.isnan(out[3, 0])
    assert not np.isnan(out[:, 1]).any()


def test_smooth_atlas():
    before = atlas()
    after = smooth(before, fwhm={"cortex_L": 30.0, "subcortex": 6.0})
    assert after.compartments == before.compartments
    assert after.table == before.table
    for name, maps in after.maps.items():
        width = {"cortex_L": 30.0, "subcortex": 6.0}[name]
        op = smoothing_operator(before.geometry[name], fwhm=width)
        expected = op(before.maps[name].to_dense().T).T
        np.testing.assert_allclose(maps.to_dense(), expected, atol=1e-6)
    (operation,) = after.provenance.operations
    assert operation.startswith("smooth(sigma={'cortex_L': 12.7")
    only = smooth(before, sigma={"subcortex": 3.0})
    assert only.maps["cortex_L"] is before.maps["cortex_L"]


def test_smooth_follows_labels():
    before = atlas()
    rows = [3, 0, 4, 1, 2]
    labels = before.select([before.table["name"][i] for i in range(5)]).maps["cortex_L"].labels
    renamed = np.where(labels < 0, -1, np.argsort(rows)[labels])
    permuted = ai.HardMaps(renamed.astype(np.int32), 5)
    op = smoothing_operator(before.geometry["cortex_L"], sigma=15.0)
    plain = op.smooth_maps(before.maps["cortex_L"]).to_dense()
    np.testing.assert_allclose(op.smooth_maps(permuted).to_dense(), plain[rows], atol=1e-7)


def test_hemispheres_that_mirror_each_other():
    mesh = sphere_mesh(3, vertices=np.arange(20, 600))
    assert mesh.sphere is not None
    assert mesh.faces is not None
    mirrored = mesh.replace(sphere=mesh.sphere * np.float32([-1, 1, 1]), faces=mesh.faces[:, ::-1])
    data = np.random.default_rng(0).normal(size=(580, 2)).astype(np.float32)
    left, right = (smoothing_operator(m, sigma=15.0)(data) for m in (mesh, mirrored))
    np.testing.assert_allclose(left, right, atol=2e-6)


def test_order_of_steps(key):
    before = atlas()
    plain = smooth(before, sigma=8.0, threshold=0.01)
    noisy = smooth(before, sigma=8.0, threshold=0.01, noise_sigma=0.1, key=key)
    for i, name in enumerate(before.compartments):
        dense = plain.maps[name].to_dense()
        assert not ((dense != 0) & (np.abs(dense) <= 0.01)).any()
        noise = 0.1 * jr.normal(jr.fold_in(key, i), dense.shape)
        np.testing.assert_allclose(noisy.maps[name].to_dense(), dense + noise, atol=1e-6)
    normal = smooth(before, sigma=8.0, threshold=0.01, noise_sigma=0.1, key=key, normalize="parcel")
    for name in before.compartments:
        expected = noisy.normalize(per="parcel").maps[name].to_dense()
        np.testing.assert_array_equal(normal.maps[name].to_dense(), expected)


def test_progress_and_empty_compartments():
    calls = []
    smooth(atlas(), sigma=8.0, progress=lambda *call: calls.append(call))
    assert calls == [("cortex_L", 0, 2), ("subcortex", 1, 2)]
    empty = ai.Atlas(
        name="a",
        space="s",
        maps={"volume": ai.HardMaps(np.zeros(0, np.int32), 1)},
        geometry={"volume": ai.VolumeGrid((2, 2, 2), np.eye(4), np.zeros(0, np.int32))},
        labels=table(["volume"]),
    )
    assert smooth(empty, sigma=2.0).n_locations == 0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({}, ValueError, "`sigma` or `fwhm` should be given, in mm, and not both"),
        (
            {"sigma": 1.0, "fwhm": 1.0},
            ValueError,
            "`sigma` or `fwhm` should be given, in mm, and not both",
        ),
        ({"sigma": 0}, ValueError, "`sigma` should be positive and finite, got 0"),
        ({"sigma": -1.0}, ValueError, "`sigma` should be positive"),
        ({"fwhm": float("nan")}, ValueError, "`fwhm` should be positive and finite, got nan"),
        ({"fwhm": np.inf}, ValueError, "`fwhm` should be positive"),
        ({"sigma": "3"}, TypeError, "`sigma` should be one number"),
        ({"sigma": [1.0, 2.0]}, TypeError, "`sigma` should be one number"),
        ({"sigma": 9.0, "truncate": 0.0}, ValueError, "`truncate` should be positive"),
        ({"sigma": 9.0, "conserve": "all"}, ValueError, "`conserve` should be one of constant"),
        ({"sigma": 9.0, "weights": "no"}, ValueError, "`weights` should be one of area"),
        ({"sigma": 9.0, "profile": "box"}, ValueError, "`profile` should be one of gaussian"),
        ({"sigma": 9.0, "spherical_scale": -1}, ValueError, "`spherical_scale` should be pos"),
    ],
)
def test_bad_options(options, error, message):
    with pytest.raises(error, match=message):
        smooth(atlas(), **options)
    with pytest.raises(error, match=message):
        smoothing_operator(sphere_mesh(2), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sigma": {"volume": 3.0}}, "names .'volume'.; the compartments are .'cortex_L'"),
        (
            {"sigma": 9.0, "geometry": "plane"},
            "`geometry` should be one of auto, grid, sphere, anatomical",
        ),
        ({"sigma": 9.0, "geometry": "anatomical"}, "needs the mesh's `anatomical` surface"),
        ({"sigma": 9.0, "noise_sigma": -1.0}, "`noise_sigma` should be 0 or more"),
        ({"sigma": 9.0, "noise_sigma": 1.0}, "needs a `key`"),
        ({"sigma": 9.0, "threshold": -1.0}, "`threshold` should be 0 or more"),
        ({"sigma": 9.0, "normalize": "row"}, '`normalize` should be "parcel" or "location"'),
    ],
)
def test_bad_options_of_smooth(options, message):
    with pytest.raises(ValueError, match=message):
        smooth(atlas(), **options)


@pytest.mark.parametrize("option", ["geometry", "profile"])
def test_bad_options_of_grids(option):
    volume = atlas().select(compartments="subcortex")
    with pytest.raises(ValueError, match=f"`{option}` should be one of"):
        smooth(volume, sigma=3.0, **{option: "foo"})


@pytest.mark.parametrize("kind", ["sparse", "dense"])
def test_a_threshold_is_of_the_weights_of_the_width_asked_for(case, kind):
    op = operator(case)
    maps = hard(op)
    if kind == "dense":
        maps = ai.DenseMaps(maps.to_dense())
    whole = op.smooth_maps(maps, sigma=0.7 * op.sigma).to_dense()
    learned = functools.partial(op.smooth_maps, maps, threshold=0.2)
    for found in (learned(sigma=0.7 * op.sigma), jax.jit(learned)(sigma=0.7 * op.sigma)):
        np.testing.assert_allclose(found.to_dense(), np.where(whole > 0.2, whole, 0), atol=1e-6)


def test_bad_calls(case):
    op = operator(case)
    with pytest.raises(ValueError, match=r"`data` should be \(..., locations, k\)"):
        op(np.zeros((3, 2), np.float32))
    with pytest.raises(TypeError, match="`data` should be real"):
        op(np.zeros((op.n_locations, 2), np.complex64))
    with pytest.raises(ValueError, match="`maps` should have the operator's"):
        op.smooth_maps(ai.HardMaps(np.zeros(3, np.int32), 1))
    with pytest.raises(ValueError, match="`sigma` should be positive"):
        op(np.zeros((op.n_locations, 2), np.float32), sigma=0.0)
    with pytest.raises(ValueError, match="`sigma` should be a scalar"):
        jax.jit(lambda s: op(np.zeros((op.n_locations, 2), np.float32), sigma=s))(jnp.ones(2))
    geometry, options = CASES[case]
    with pytest.raises(TypeError, match="`sigma` is traced here"):
        jax.jit(lambda s: smoothing_operator(geometry, **options | {"sigma": s}).left)(1.0)
