"""Data moved by an operator: nilearn, NumPy's product with its matrix, and its adjoint."""

import dataclasses

import jax
import jax.numpy as jnp
import nibabel as nb
import numpy as np
import pytest
from helpers import unchecked
from helpers_resampling import sphere, surface_atlas, volume_atlas
from helpers_surfaces import brain_atlas

import atlasinit as ai
from atlasinit.resampling import ResamplingOperator

FINE = np.diag([2.0, 2, 2, 1])
COARSE = np.array([[-3.0, 0, 0, 11], [0, 3, 0, 6], [0, 0, 2.5, 1], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def grids():
    """A grid without some voxels, another that reaches beyond it, and data (2, sources, 3)."""
    rng = np.random.default_rng(0)
    source = ai.VolumeGrid((6, 7, 5), FINE, np.sort(rng.choice(210, 160, replace=False)))
    target = ai.VolumeGrid((5, 4, 4), COARSE)
    return source, target, rng.normal(size=(2, 160, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def operator(grids):
    return ai.resampling_operator(*grids[:2])


@pytest.mark.parametrize("how", ["nearest", "linear"])
def test_is_nilearns_resample_to_img(how):
    rng = np.random.default_rng(1)
    # With a border of zeros, as nilearn gives up half a voxel of what lies there.
    values = np.pad(rng.normal(size=(7, 6, 5, 2)), [(1, 1)] * 3 + [(0, 0)]).astype(np.float32)
    given = nb.Nifti1Image(values, FINE)
    target = nb.Nifti1Image(np.zeros((5, 5, 5), np.float32), COARSE)
    from nilearn.image import resample_to_img

    oracle = resample_to_img(
        given, target, interpolation=how, copy_header=True, force_resample=True
    ).get_fdata()
    moved = ai.resample_data(values.reshape(-1, 2), given, target, method=how, empty=0.0)
    # Beyond the border, where nilearn gives 0, ours go on by what is there: by zeros.
    np.testing.assert_allclose(np.reshape(moved, oracle.shape), oracle, atol=1e-5)
    assert np.abs(oracle).max() > 1


@pytest.mark.parametrize("method", ["nearest", "linear", "area"])
def test_means_are_those_of_the_kept_neighbours(grids, method):
    source, target, data = grids
    made = ai.resampling_operator(source, target, method=method)
    whole = ai.resampling_operator(ai.VolumeGrid(source.shape, FINE), target, method=method)
    kept = whole.to_scipy().toarray()[:, source.voxels].astype(float)
    totals = kept.sum(axis=1, keepdims=True)
    expected = np.where(totals > 0, kept @ data / np.where(totals > 0, totals, 1), np.nan)
    np.testing.assert_allclose(made(data), expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(made.is_empty, totals[:, 0] == 0)
    assert np.isnan(expected).any()
    np.testing.assert_allclose(made @ data, np.nan_to_num(expected), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made(data, empty=7.0)[:, totals[:, 0] == 0], 7)
    with pytest.raises(TypeError, match="`empty` should be a number, as NaN or 0, got '7'"):
        unchecked(type(made.means).average)(made.means, data, empty="7")
    np.testing.assert_allclose(made(data[0, :, 0]), expected[0, :, 0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(made @ data[0, :, 0], (made @ data)[0, :, 0], atol=1e-6)
    again = ai.resample_data(data, source, target, method=method)
    np.testing.assert_array_equal(again, made(data))


def test_jitted_differentiable_and_adjoint(operator, grids):
    data = jnp.asarray(grids[2])
    weights = operator.to_scipy().toarray()
    y = np.random.default_rng(2).normal(size=(2, len(weights), 3)).astype(np.float32)
    jitted = jax.jit(lambda made, x: made(x))(operator, data)
    np.testing.assert_allclose(jitted, operator(data), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(operator.transpose(y), weights.T @ y, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(operator.transpose(y[0, :, 0]), weights.T @ y[0, :, 0], atol=1e-5)
    filled = ~np.asarray(operator.is_empty)[:, None]
    gradient = jax.grad(lambda x: jnp.where(filled, operator(x) * y, 0.0).sum())(data)
    np.testing.assert_allclose(gradient, operator.transpose(y), rtol=1e-5, atol=1e-5)
    exported = jax.export.export(jax.jit(ResamplingOperator.__call__), platforms=["cuda"])
    assert exported(operator, data).platforms == ("cuda",)


def test_missing_data(operator, grids):
    data = grids[2][0].copy()
    data[::3, 0] = np.nan
    weights = operator.to_scipy().toarray()
    reached = weights @ np.isnan(data) > 0
    empty = np.asarray(operator.is_empty)[:, None]
    np.testing.assert_array_equal(np.isnan(operator(data)), reached | empty)
    seen = weights @ ~np.isnan(data)
    with np.errstate(invalid="ignore"):
        expected = weights @ np.nan_to_num(data) / seen
    omitted = operator(data, missing="omit")
    np.testing.assert_allclose(omitted, expected, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match="`missing` should be one of .*, got 'zero'"):
        operator(data, missing="zero")


def test_compartments_lie_one_after_the_other():
    left, right = sphere(60, 1, 100), sphere(70, 2, 100)
    right = ai.SurfaceMesh(70, sphere=right.sphere, faces=right.faces, hemisphere="R")
    grid, other = ai.VolumeGrid((3, 3, 3), FINE), ai.VolumeGrid((4, 4, 4), np.eye(4))
    source = {"cortex_L": left, "cortex_R": right, "subcortex": grid}
    target = {"subcortex": other, "cortex_R": right, "cortex_L": sphere(30, 3, 100)}
    made = ai.resampling_operator(source, target)
    assert [c for c, _ in made.targets] == ["subcortex", "cortex_R", "cortex_L"]
    assert made.shape == (30 + 70 + 64, 60 + 70 + 27)
    data = {c: np.random.default_rng(4).normal(size=(g.n_locations, 2)) for c, g in source.items()}
    moved = made({c: x.astype(np.float32) for c, x in data.items()})
    np.testing.assert_array_equal(moved[64:134], data["cortex_R"].astype(np.float32))
    one = ai.resample_data(data["subcortex"].astype(np.float32), grid, other)
    np.testing.assert_allclose(moved[:64], one, atol=1e-6)
    assert repr(made) == "ResamplingOperator(157 to 164 locations)"


def test_sources_and_targets_of_every_kind(tmp_path):
    atlas = brain_atlas()
    ai.save_atlas(atlas.select(compartments=["cortex_L", "cortex_R"]), tmp_path / "a.dscalar.nii")
    cifti = nb.load(tmp_path / "a.dscalar.nii")
    data = np.random.default_rng(5).normal(size=(22, 2)).astype(np.float32)
    # By the numbers of vertices, as neither has a sphere.
    for source in (atlas.select(compartments=["cortex_L", "cortex_R"]), cifti):
        np.testing.assert_array_equal(ai.resample_data(data, source, cifti), data)
    grid = ai.VolumeGrid((3, 3, 3), FINE)
    volume = volume_atlas(np.ones((3, 3, 3), int), FINE, soft=False)
    image = nb.Nifti1Image(np.zeros((3, 3, 3), np.float32), FINE)
    nb.save(image, tmp_path / "x.nii.gz")
    values = np.arange(27, dtype=np.float32)
    for source in (grid, volume, image, tmp_path / "x.nii.gz", {"volume": grid}):
        for target in (grid, volume, image, {"volume": grid}):
            np.testing.assert_array_equal(ai.resample_data(values, source, target), values)


LEFT = sphere(60, 1, 100)
ATLAS = surface_atlas(LEFT, ai.HardMaps(np.zeros(60, np.int32), 1))


@pytest.mark.parametrize(
    ("data", "source", "target", "error", "message"),
    [
        (np.ones((60, 2)), None, LEFT, TypeError, "`source` should be an Atlas, a VolumeGrid"),
        (np.ones(60), {"x": 3}, LEFT, TypeError, r"`source` should be a mapping .*\['x'\]"),
        (np.ones(60, int), LEFT, LEFT, TypeError, "real floating-point.*int64"),
        (np.ones((2, 60)), LEFT, LEFT, ValueError, "Time seems to come first"),
        (np.ones((50, 2)), LEFT, LEFT, ValueError, r"\(..., 60 locations, time\)"),
        (np.ones(60), ATLAS, volume_atlas(np.ones((2, 2, 2), int), FINE, soft=False), ValueError,
         "is in MNI, but 's' is in fsaverage"),
        (np.ones(60), LEFT, ai.VolumeGrid((2, 2, 2), FINE), ValueError, "but the source has"),
        (np.ones(60), ai.SurfaceMesh(60), sphere(50, 2, 100), ValueError,
         "`source`: resampling needs the `sphere` of the source mesh"),
        (np.ones(60), {"a": LEFT, "b": LEFT}, LEFT, ValueError, r"mapping from each of \['a', 'b'\]"),
    ],
)  # fmt: skip
def test_refuses(data, source, target, error, message):
    with pytest.raises(error, match=message):
        ai.resample_data(data, source, target)


@pytest.mark.parametrize("transpose", [False, True])
def test_nothing_is_moved_of_or_to_nothing(transpose):
    none, some = ai.VolumeGrid((3, 3, 3), FINE, []), ai.VolumeGrid((2, 2, 2), FINE)
    made = ai.resampling_operator(none, some)
    if transpose:
        assert made.transpose(np.ones((8, 2), np.float32)).shape == (0, 2)
    else:
        assert np.isnan(made(np.ones((0, 2), np.float32))).all()
        assert ai.resample_data(np.ones((8, 2), np.float32), some, none).shape == (0, 2)


def test_rows_are_in_the_order_of_the_target():
    left = sphere(40, 0, 1.0)
    right = dataclasses.replace(left, hemisphere="R")
    grid = ai.VolumeGrid((3, 1, 1), np.eye(4))
    source = {"subcortex": grid, "cortex_R": right, "cortex_L": left}
    target = {c: source[c] for c in ("cortex_L", "cortex_R", "subcortex")}
    rng = np.random.default_rng(0)
    data = {c: rng.normal(size=(g.n_locations, 2)).astype(np.float32) for c, g in source.items()}
    found = ai.resample_data(data, source, target)
    np.testing.assert_allclose(found, np.concatenate([data[c] for c in target]), rtol=1e-6)
    operator = ai.resampling_operator(source, target)
    assert [c for c, _ in operator.targets] == list(target)
    assert [c for c, _ in operator.sources] == list(source)


def test_a_target_of_more_compartments_is_refused():
    grid = ai.VolumeGrid((3, 1, 1), np.eye(4))
    with pytest.raises(ValueError, match=r"has compartments that the source lacks, \['b'\]"):
        ai.resampling_operator({"a": grid}, {"a": grid, "b": grid})
