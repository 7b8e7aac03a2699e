"""The masker against nilearn's, on its own terms as an estimator, and in chunks of time."""

import copy
import dataclasses
import pickle

import nibabel as nib
import numpy as np
import pandas as pd
import pytest
from helpers import mixed_atlas, table
from helpers_packages import package_file
from nibabel.cifti2 import BrainModelAxis, SeriesAxis
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

import atlasinit as ai
from atlasinit.io import open_data
from atlasinit.io.unpacking import Unpacked
from atlasinit.masker import AtlasMasker
from atlasinit.projection import xla
from atlasinit.smoothing import smoothing_operator
from atlasinit.streaming import stream

SHAPE, TIME, AFFINE = (8, 9, 7), 40, np.diag([2.0, 2, 2, 1])
LABELS = np.random.default_rng(0).integers(0, 6, SHAPE)


def atlas():
    inside = np.flatnonzero(LABELS.reshape(-1))
    return ai.Atlas(
        name="grid",
        space="test",
        maps={"volume": ai.HardMaps((LABELS.reshape(-1)[inside] - 1).astype(np.int32), 5)},
        geometry={"volume": ai.VolumeGrid(SHAPE, AFFINE, inside)},
        labels=table(["volume"] * 5),
    )


def surface_atlas():
    rng = np.random.default_rng(3)
    kept = {"cortex_L": np.arange(1, 20), "cortex_R": np.arange(18)}
    return ai.Atlas(
        name="sides",
        space="test",
        maps={
            c: ai.HardMaps(rng.integers(-1, 3, len(v)).astype(np.int32), 3) for c, v in kept.items()
        },
        geometry={c: ai.SurfaceMesh(20, vertices=v, hemisphere=c[-1]) for c, v in kept.items()},
        labels=table(["cortex_L"] * 3 + ["cortex_R"] * 3, [1, 2, 3] * 2),
    )


def bold(seed=1, time=TIME, affine=AFFINE):
    values = np.random.default_rng(seed).normal(size=(*SHAPE, time)) + 100
    return nib.Nifti1Image(values.astype(np.float32), affine)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"standardize": "zscore_sample"},
        {"standardize": "psc"},
        {"detrend": True},
        {"low_pass": 0.1, "high_pass": 0.01, "t_r": 2.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("clean", [False, True])
def test_agreement_with_nilearn(options, clean):
    from nilearn.maskers import NiftiLabelsMasker

    rng = np.random.default_rng(5)
    extra = {"confounds": rng.normal(size=(TIME, 3)), "sample_mask": np.arange(3, TIME)}
    extra = extra if clean else {}
    labels = nib.Nifti1Image(LABELS.astype(np.int32), AFFINE)
    masker = NiftiLabelsMasker(labels, **{"standardize": None, **options}, keep_masked_labels=False)
    theirs = masker.fit(bold()).transform(bold(), **extra)
    ours = AtlasMasker(atlas(), **options).fit_transform(bold(), **extra)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=5e-4)


def hemispheres(values):
    """Return a nilearn image of the two hemispheres of `surface_atlas` from (40, n) values."""
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    points = np.random.default_rng(0).normal(size=(20, 3))
    mesh = InMemoryMesh(points, np.arange(18)[:, None] + [[0, 1, 2]])
    return SurfaceImage(PolyMesh(mesh, mesh), {"left": values[:20], "right": values[20:]})


def test_agreement_with_nilearn_on_surfaces():
    from nilearn.maskers import SurfaceLabelsMasker, SurfaceMapsMasker

    rng, own = np.random.default_rng(6), surface_atlas()
    data = hemispheres(rng.normal(size=(40, 12)).astype(np.float32) + 10)
    rows = {c: r.start for c, r in own.parcel_slices().items()}
    keys = [
        g.put(np.where(m.labels < 0, 0, m.labels + rows[c] + 1).astype(np.int32))
        for (c, g), m in zip(own.geometry.items(), own.maps.values(), strict=True)
    ]
    theirs = SurfaceLabelsMasker(hemispheres(np.concatenate(keys)), standardize=None).fit_transform(
        data
    )
    np.testing.assert_allclose(AtlasMasker(own).fit_transform(data), theirs, rtol=1e-5)

    weights = {c: rng.random(m.to_dense().shape).astype(np.float32) for c, m in own.maps.items()}
    soft = own.replace(maps={c: ai.DenseMaps(w) for c, w in weights.items()})
    maps = np.zeros((40, 6), np.float32)
    for i, (c, g) in enumerate(own.geometry.items()):
        maps[20 * i + g.vertices, 3 * i : 3 * i + 3] = weights[c].T
    theirs = SurfaceMapsMasker(hemispheres(maps), standardize=None).fit(data)
    ours = AtlasMasker(soft, reduction="lstsq").fit()
    series = ours.transform(data)
    np.testing.assert_allclose(series, theirs.transform(data), rtol=1e-4, atol=1e-4)
    painted = theirs.inverse_transform(series).data.parts
    for c, part in zip(own.compartments, ("left", "right"), strict=True):
        kept = painted[part][own.geometry[c].vertices]
        np.testing.assert_allclose(ours.inverse_transform(series)[c], kept, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("mask", [[3, 4, 5], [3 <= i < 6 for i in range(TIME)], [np.arange(3, 6)]])
def test_a_sample_mask_may_be_a_list(mask):
    masker = AtlasMasker(atlas()).fit()
    expected = masker.transform(bold(), sample_mask=np.arange(3, 6))
    np.testing.assert_array_equal(masker.transform(bold(), sample_mask=mask), expected)


def test_fitting_and_extracting_at_once_takes_confounds_and_masks_too():
    extra = {"confounds": np.linspace(0, 1, TIME)[:, None], "sample_mask": np.arange(3, TIME)}
    masker = AtlasMasker(atlas(), standardize="zscore_sample")
    expected = masker.fit().transform(bold(), **extra)
    np.testing.assert_array_equal(masker.fit_transform(bold(), **extra), expected)
    frame = masker.set_output(transform="pandas").fit_transform(bold(), **extra)
    assert list(frame.columns) == list(masker.atlas.table["name"])
    np.testing.assert_array_equal(frame, expected)
    with pytest.raises(ValueError, match="another grid"):
        AtlasMasker(atlas()).fit_transform(bold(affine=np.diag([3.0, 3, 3, 1])), **extra)


def test_paths_lists_and_memory(tmp_path):
    paths = [tmp_path / "a.nii", tmp_path / "b.nii.gz"]
    for seed, path in enumerate(paths):
        nib.save(bold(seed), path)
    plain = [AtlasMasker(atlas()).fit_transform(bold(seed)) for seed in range(2)]
    masker = AtlasMasker(atlas(), n_jobs=2, memory=str(tmp_path / "cache")).fit(paths)
    for _ in range(2):
        for one, expected in zip(masker.transform(paths), plain, strict=True):
            np.testing.assert_allclose(one, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="one per image"):
        masker.transform(paths, confounds=[None])


@pytest.fixture
def map_paths(tmp_path):
    paths = [tmp_path / f"{i}.nii.gz" for i in range(12)]
    for path, image in zip(paths, nib.four_to_three(bold(time=12)), strict=True):
        nib.save(image, path)
    return paths


@pytest.mark.parametrize(
    "kind",
    [
        *("paths", "array", "surfaces"),
        *(pytest.param(kind, marks=pytest.mark.sweep) for kind in ("images", "objects", "column")),
    ],
)
def test_a_list_of_maps_is_one_table_as_nilearn_makes_it(map_paths, kind):
    from nilearn.maskers import NiftiLabelsMasker

    labels = nib.Nifti1Image(LABELS.astype(np.int32), AFFINE)
    theirs = NiftiLabelsMasker(labels, keep_masked_labels=False, standardize="zscore_sample")
    expected = theirs.fit().transform(map_paths)
    masker, names = AtlasMasker(atlas(), standardize="zscore_sample"), list(map(str, map_paths))
    if kind == "surfaces":
        masker = AtlasMasker(surface_atlas())
        values = np.random.default_rng(0).normal(size=(40, 12)).astype(np.float32)
        imgs = [hemispheres(column) for column in values.T]
        expected = masker.fit_transform(hemispheres(values))
    else:
        imgs = {
            "paths": map_paths,
            "images": list(map(nib.load, names)),
            "array": np.array(names),
            "objects": np.array(map_paths),
            "column": pd.Series(names),
        }[kind]
    np.testing.assert_allclose(masker.fit_transform(imgs), expected, rtol=1e-5, atol=1e-3)
    frame = masker.set_output(transform="pandas").transform(imgs)
    assert frame.shape == expected.shape
    with pytest.raises(ValueError, match="`imgs` is empty"):
        masker.transform(imgs[:0])


def test_maps_are_the_samples_of_a_search(map_paths):
    pipeline = make_pipeline(AtlasMasker(), LogisticRegression())
    grid = {"atlasmasker__atlas": [atlas()], "atlasmasker__reduction": ["mean", "median"]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise")
    search.fit(map_paths, np.arange(12) % 2)
    assert search.predict(map_paths[:3]).shape == (3,)


def test_memory_keeps_no_result_of_what_has_changed(tmp_path):
    path, memory = tmp_path / "a.nii", str(tmp_path / "cache")
    masker = AtlasMasker(atlas(), smoothing_fwhm=3.0, memory=memory).fit()
    for seed in range(2):
        nib.save(bold(seed), path)
        for imgs in (path, {"volume": path}, (path,)):
            series = masker.transform(imgs)
            expected = AtlasMasker(atlas(), smoothing_fwhm=3.0).fit_transform(bold(seed))
            np.testing.assert_allclose(series, expected, rtol=1e-6)
    # What is set after `fit` neither takes effect in parts, nor enters the memory as if it had.
    before = masker.transform(path)
    kept = masker.set_params(smoothing_fwhm=9.0, atlas=surface_atlas()).transform(path)
    np.testing.assert_array_equal(kept, before)
    assert masker.inverse_transform(kept).shape == (*SHAPE, TIME)
    again = AtlasMasker(atlas(), smoothing_fwhm=9.0, memory=memory).fit_transform(path)
    expected = AtlasMasker(atlas(), smoothing_fwhm=9.0).fit_transform(path)
    np.testing.assert_allclose(again, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"confounds": np.r_[np.full((1, 2), np.nan), np.ones((TIME - 1, 2))]}, "fillna"),
        ({"sample_mask": np.zeros(TIME, bool)}, f"none of the {TIME} time points"),
        ({"sample_mask": [np.array([], int)]}, f"none of the {TIME} time points"),
        (
            {"sample_mask": [1, TIME]},
            rf"of the {TIME} time points, from 0 to {TIME - 1}, got {TIME}",
        ),
        ({"sample_mask": np.array([-1])}, "from 0 to .* got -1"),
        ({"sample_mask": [True] * 3}, f"3 truths for {TIME} time points"),
        ({"sample_mask": [0.5, 1]}, "numbers of the time points.* float64"),
        ({"sample_mask": [[0, 1], [2, 3]]}, "2 masks for one image"),
        ({"confounds": np.ones((3, 2))}, f"a row for each of the {TIME} time points, got 3"),
        ({"confounds": [pd.DataFrame(np.ones((3, 2)))]}, f"each of the {TIME} time points, got 3"),
    ],
)
def test_what_cannot_be_cleaned_is_refused(extra, message):
    with pytest.raises(ValueError, match=message):
        AtlasMasker(atlas()).fit_transform(bold(), **extra)


@pytest.mark.parametrize("reduction", ["mean", "median"])
def test_parcels_that_are_hardly_seen(tmp_path, reduction):
    values = np.asarray(bold().dataobj).copy()
    values[:4, ..., 3] = np.nan
    image = nib.Nifti1Image(values, AFFINE)
    data = values.reshape(-1, TIME)[atlas().geometry["volume"].voxels]
    shares = np.asarray(ai.coverage(atlas(), data)).T
    least = float(np.median(shares[3]))
    options = {"reduction": reduction, "missing": "omit", "memory": str(tmp_path)}
    everything = AtlasMasker(atlas(), **options).fit_transform(image)
    covered = AtlasMasker(atlas(), min_coverage=least, **options).fit_transform(image)
    np.testing.assert_array_equal(covered, np.where(shares >= least, everything, np.nan))
    assert np.isnan(covered).sum() == 2


def test_data_of_another_space_is_refused():
    masker = AtlasMasker(atlas()).fit()
    with pytest.raises(ValueError, match="another grid.*[Rr]esample"):
        masker.transform(bold(affine=np.diag([3.0, 3, 3, 1])))
    with pytest.raises(ValueError, match="another grid"):
        AtlasMasker(atlas()).fit(bold(affine=np.diag([3.0, 3, 3, 1])))


def test_painting_back():
    masker = AtlasMasker(atlas()).fit()
    series = np.arange(10, dtype=np.float32).reshape(2, 5)
    image = masker.inverse_transform(series)
    painted = image.get_fdata()
    assert painted.shape == (*SHAPE, 2)
    for key in range(1, 6):
        assert (painted[LABELS == key] == series[:, key - 1]).all()
    assert (painted[LABELS == 0] == 0).all()
    np.testing.assert_allclose(masker.transform(image), series, rtol=1e-6)
    assert masker.inverse_transform(series[0]).shape == SHAPE
    own = atlas()
    named = ai.Atlas(
        name="named",
        space="test",
        maps={"subcortex": own.maps["volume"]},
        geometry={"subcortex": own.geometry["volume"]},
        labels=table(["subcortex"] * 5),
    )
    again = AtlasMasker(named).fit().inverse_transform(series)
    np.testing.assert_array_equal(again.get_fdata(), painted)
    with pytest.raises(ValueError, match="`signals` should be"):
        masker.inverse_transform(np.ones((2, 4)))


def test_several_compartments():
    mixed = mixed_atlas()
    x = np.random.default_rng(0).normal(size=(mixed.n_locations, 6)).astype(np.float32)
    masker = AtlasMasker(mixed, reduction="sum").fit()
    series = masker.transform(x)
    np.testing.assert_allclose(
        series, np.asarray(ai.projection.project(mixed, x, reduction="sum")).T
    )
    painted = masker.inverse_transform(series)
    assert {c: v.shape for c, v in painted.items()} == {
        c: (s.stop - s.start, 6) for c, s in mixed.location_slices().items()
    }


def test_smoothing_comes_first():
    own = atlas()
    smoothed = AtlasMasker(own, smoothing_fwhm=4.0).fit_transform(bold())
    operator = smoothing_operator(own.geometry["volume"], fwhm=4.0)
    x = np.asarray(operator(open_data(bold(), own).all()))
    np.testing.assert_allclose(smoothed, AtlasMasker(own).fit_transform(x), rtol=1e-5)


def test_smoothing_of_data_with_holes():
    own, operator = slabs(), smoothing_operator(slabs().geometry["volume"], fwhm=4.0)
    kernel = np.asarray(operator(np.eye(own.n_locations, dtype=np.float32)), np.float64)
    x = np.random.default_rng(2).normal(size=(own.n_locations, 3)).astype(np.float32)
    x[5, 0] = x[:40, 2] = np.nan
    lost = np.isnan(x)
    filled = np.where(lost, 0, x)
    near = np.where(kernel @ lost > 0, np.nan, kernel @ filled).astype(np.float32)
    assert 0 < np.isnan(near[:, 0]).mean() < 0.5
    least = np.where(lost, np.nan, kernel @ filled / (kernel @ ~lost)).astype(np.float32)
    for missing, expected in (("propagate", near), ("omit", least)):
        series = AtlasMasker(own, smoothing_fwhm=4.0, missing=missing).fit_transform(x)
        wanted = np.asarray(ai.project(own, expected, missing=missing)).T
        assert np.isfinite(wanted).any()
        np.testing.assert_allclose(series, wanted, rtol=1e-4, atol=1e-5)


def slabs():
    """Return an atlas of slabs, wider than a kernel reaches."""
    grid = ai.VolumeGrid((24, 6, 5), AFFINE)
    labels = np.repeat(np.arange(8, dtype=np.int32), grid.n_locations // 8)
    return ai.Atlas(
        name="slabs",
        space="test",
        maps={"volume": ai.HardMaps(labels, 8)},
        geometry={"volume": grid},
        labels=table(["volume"] * 8),
    )


@pytest.mark.parametrize("per_chunk", [1, 7, 13, 40, 1000])
def test_chunks_of_time_change_nothing(per_chunk):
    own = atlas()
    source = open_data(bold(), own)
    spans = []
    watched = ai.io.DataSource(
        source.n_locations, source.n_time, lambda s: (spans.append(s), source.read(s))[1]
    )
    series = stream(own, watched, chunk_bytes=4 * source.n_locations * per_chunk)
    np.testing.assert_allclose(series, AtlasMasker(own).fit_transform(bold()), rtol=1e-6)
    assert max(s.stop - s.start for s in spans) <= per_chunk
    assert len({s.start for s in spans}) == len(spans)


def soft_atlas():
    """Signed weights of three parcels, the last without any, on half of the voxels."""
    rng = np.random.default_rng(8)
    weights = rng.normal(size=(3, 252)).astype(np.float32) * (rng.random((3, 252)) < 0.4)
    weights[2] = 0
    grid = ai.VolumeGrid(SHAPE, AFFINE, rng.permutation(504)[:252])
    return ai.Atlas(
        name="soft",
        space="test",
        maps={"volume": ai.SparseMaps.from_scipy(csr_array(weights))},
        geometry={"volume": grid},
        labels=table(["volume"] * 3),
    )


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "memory"])
@pytest.mark.parametrize("make", [atlas, soft_atlas])
@pytest.mark.parametrize("reduction", ["mean", "sum", "absmean"])
@pytest.mark.parametrize("scaled", [False, True])
def test_sums_of_volumes_are_those_of_rows(tmp_path, name, make, reduction, scaled):
    stored = np.random.default_rng(6).integers(-500, 30000, (*SHAPE, 5)).astype(np.int16)
    image = nib.Nifti1Image(np.asfortranarray(stored), AFFINE)
    if scaled:
        image = nib.Nifti1Image(np.asfortranarray(0.25 * stored - 3), AFFINE, dtype=np.int16)
    if name != "memory":
        # Stored from right to left, as many scanners do.
        nib.save(image.as_reoriented(np.array([[0, -1], [1, 1], [2, 1]])), tmp_path / name)
        # The numbers as they were rounded.
        image = nib.as_closest_canonical(nib.load(tmp_path / name))
    own = make()
    source = open_data(image if name == "memory" else tmp_path / name, own)
    assert source.sums is not None
    found = stream(own, source, reduction=reduction)
    by_rows = stream(own, dataclasses.replace(source, sums=None), reduction=reduction)
    # Signed weights take amounts off each other, which leaves rows in single precision less.
    np.testing.assert_allclose(found, by_rows, rtol=1e-5, atol=0.05)
    weights = own.to_scipy()["volume"].toarray().astype(float)
    values = np.asarray(image.dataobj).reshape(-1, 5)[own.geometry["volume"].voxels]
    sizes = {
        "mean": weights.sum(1),
        "absmean": np.abs(weights).sum(1),
        "sum": np.ones(len(weights)),
    }
    with np.errstate(invalid="ignore"):
        expected = (weights @ values / sizes[reduction][:, None]).T
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("missing", ["propagate", "omit"])
@pytest.mark.parametrize("make", [atlas, soft_atlas])
def test_what_is_missing_late_in_a_file_counts_as_in_memory(tmp_path, value, missing, make):
    values, own = np.asarray(bold(time=4).dataobj).copy(order="F"), make()
    used = own.to_scipy()["volume"].tocsc().indptr
    voxels = own.geometry["volume"].voxels
    values.reshape(-1, 4)[voxels[np.flatnonzero(np.diff(used))[:2]], 2] = value
    # One that no parcel has a weight at counts for nothing.
    values.reshape(-1, 4)[voxels[np.flatnonzero(np.diff(used) == 0)[:1]], 0] = value
    image = nib.Nifti1Image(values, AFFINE)
    nib.save(image, tmp_path / "x.nii.gz")
    found = AtlasMasker(own, missing=missing).fit_transform(tmp_path / "x.nii.gz")
    expected = ai.project(own, values.reshape(-1, 4)[voxels], missing=missing)
    np.testing.assert_allclose(found, np.asarray(expected).T, rtol=1e-5)
    assert np.isfinite(found[[0, 1, 3]][:, :2]).all()


def other_atlas():
    """Labels of some voxels that `atlas` does not keep, too, on a grid stored right to left."""
    flipped = AFFINE @ np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = AFFINE[0, 0] * (SHAPE[0] - 1)
    voxels = np.arange(100, 400)
    labels = np.random.default_rng(9).integers(-1, 4, 300).astype(np.int32)
    return ai.Atlas(
        name="other",
        space="test",
        maps={"subcortex": ai.HardMaps(labels, 4)},
        geometry={"subcortex": ai.VolumeGrid(SHAPE, flipped, voxels)},
        labels=table(["subcortex"] * 4),
    )


def elsewhere():
    own = atlas()
    return ai.Atlas(
        name="elsewhere", space="moon", maps=own.maps, geometry=own.geometry, labels=own.table
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reduction": "median"},
        {"reduction": "absmean", "standardize": "zscore_sample"},
        {"smoothing_fwhm": 4.0},
        {"missing": "omit"},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "kind",
    ["x.nii.gz", *(pytest.param(k, marks=pytest.mark.sweep) for k in ("memory", "with NaN"))],
)
def test_several_atlases_are_each_as_alone(tmp_path, options, kind):
    image = bold()
    if kind == "with NaN":
        np.asarray(image.dataobj)[3:5, 3:5, 3:5, 7] = np.nan
    if kind == "x.nii.gz":
        nib.save(image, tmp_path / kind)
        image = tmp_path / kind
    several = {"grid": atlas(), "soft": soft_atlas(), "right": other_atlas()}
    if options.get("reduction") == "median":
        del several["soft"]
    masker = AtlasMasker(several, **options).fit(image)
    found = masker.transform(image)
    assert list(found) == list(masker.labels_) == list(several)
    for name, own in several.items():
        alone = AtlasMasker(own, **options).fit_transform(image)
        np.testing.assert_allclose(found[name], alone, rtol=1e-5, atol=1e-5)
        assert masker.labels_[name] == own.labels["name"].tolist()
        assert masker.n_elements_[name] == own.n_parcels


def test_an_image_is_read_once_for_several_atlases(tmp_path, monkeypatch):
    nib.save(bold(), tmp_path / "x.nii.gz")
    unpacked = []
    read = Unpacked.read
    monkeypatch.setattr(
        Unpacked, "read", lambda self, size=-1: unpacked.append(found := read(self, size)) or found
    )
    AtlasMasker([atlas(), soft_atlas(), other_atlas()]).fit_transform(tmp_path / "x.nii.gz")
    total = 352 + 4 * TIME * np.prod(SHAPE)
    assert total <= sum(map(len, unpacked)) < total + 1000


def test_several_atlases_of_surfaces_and_of_a_part_of_them():
    whole = surface_atlas()
    left = ai.Atlas(
        name="left",
        space="test",
        maps={"cortex_L": ai.HardMaps(np.array([0, 1, 0], np.int32), 2)},
        geometry={"cortex_L": ai.SurfaceMesh(20, vertices=[0, 5, 3], hemisphere="L")},
        labels=table(["cortex_L"] * 2),
    )
    rng = np.random.default_rng(2)
    data = {c: rng.normal(size=(20, 6)).astype(np.float32) for c in whole.compartments}
    found = AtlasMasker([left, whole]).fit_transform(data)
    expected = AtlasMasker(left).fit_transform({"cortex_L": data["cortex_L"]})
    np.testing.assert_allclose(found["left"], expected, rtol=1e-6)
    np.testing.assert_allclose(found["sides"], AtlasMasker(whole).fit_transform(data), rtol=1e-6)


def test_lists_of_images_for_several_atlases(tmp_path):
    masker = AtlasMasker([atlas(), other_atlas()], memory=str(tmp_path)).fit()
    runs = masker.transform([bold(), bold(2)], confounds=[np.arange(TIME)[:, None]] * 2)
    assert [list(run) for run in runs] == [["grid", "other"]] * 2
    alone = AtlasMasker(atlas()).fit_transform(bold(2), confounds=np.arange(TIME)[:, None])
    np.testing.assert_allclose(runs[1]["grid"], alone, rtol=1e-5, atol=1e-4)
    maps = masker.transform([bold(time=1), bold(3, time=1), bold(4, time=1)])
    assert {name: found.shape for name, found in maps.items()} == {"grid": (3, 5), "other": (3, 4)}
    painted = masker.inverse_transform(maps)
    assert painted["grid"].shape == (*SHAPE, 3)
    np.testing.assert_array_equal(
        painted["other"].get_fdata(),
        AtlasMasker(other_atlas()).fit().inverse_transform(maps["other"]).get_fdata(),
    )
    assert masker.get_feature_names_out().size == 9


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: AtlasMasker([]).fit(), "`atlas` should hold at least one atlas, got none"),
        (
            lambda: AtlasMasker([atlas(), 3]).fit(),
            "`atlas` should be an Atlas, or several, got int",
        ),
        (lambda: AtlasMasker("aal").fit(), "`atlas` should be an Atlas, or several, got str"),
        (
            lambda: AtlasMasker([atlas(), atlas()]).fit(),
            "`atlas` should hold atlases of different names, got grid, grid; pass a mapping",
        ),
        (
            lambda: AtlasMasker([atlas(), elsewhere()]).fit(bold()),
            "should be of one space, got test, moon; extract each by itself",
        ),
        (
            lambda: AtlasMasker([atlas(), surface_atlas()]).fit(bold()),
            r"`data` holds nothing for \['cortex_L', 'cortex_R'\]",
        ),
        (
            lambda: (
                AtlasMasker([atlas(), other_atlas()])
                .set_output(transform="pandas")
                .fit_transform(bold())
            ),
            "`atlas` holds several, where `set_output` makes a table of one; make a masker of each",
        ),
        (
            lambda: AtlasMasker([atlas(), other_atlas()]).fit().generate_report(bold()),
            "`atlas` holds several, .*; ask for the report of each",
        ),
        (
            lambda: AtlasMasker([atlas(), other_atlas()]).fit().inverse_transform(np.ones(9)),
            "`signals` should be a mapping from the names of atlases",
        ),
        (
            lambda: (
                AtlasMasker([atlas(), other_atlas()]).fit().inverse_transform({"c": np.ones(9)})
            ),
            r"`signals`: the atlases are \['grid', 'other'\], got \['c'\]",
        ),
    ],
)
def test_what_several_atlases_cannot_do(call, message):
    with pytest.raises((ValueError, TypeError), match=message):
        call()


@pytest.mark.parametrize("reduction", ["zscore", "psc"])
def test_scores_are_of_all_chunks_of_time(reduction):
    own, source = atlas(), open_data(bold(), atlas())
    series = stream(own, source, reduction=reduction, chunk_bytes=4 * source.n_locations * 7)
    expected = ai.project(own, source.all(), reduction=reduction).T
    np.testing.assert_allclose(series, expected, rtol=1e-3, atol=1e-3)


def test_one_compilation_for_all_chunks():
    own, source = atlas(), open_data(bold(), atlas())
    xla.reduce_data.clear_cache()
    stream(own, source, chunk_bytes=4 * source.n_locations * 7)
    assert xla.reduce_data._cache_size() == 1


def test_an_image_without_time_points_is_refused():
    nothing = np.zeros((atlas().n_locations, 0))
    for call in (AtlasMasker(atlas()).fit, AtlasMasker(atlas()).fit_transform):
        with pytest.raises(ValueError, match="`imgs` holds an image without a time point"):
            call(nothing)
    with pytest.raises(ValueError, match="without a time point"):
        AtlasMasker(atlas()).fit_transform([bold(), nothing])


@pytest.mark.parametrize("list_of_runs", [False, True])
def test_extracting_changes_nothing_that_is_fitted(list_of_runs):
    masker = AtlasMasker(atlas(), standardize="zscore_sample").fit()
    before, pickled = dict(vars(masker)), pickle.dumps(masker)
    masker.transform([bold(), bold(2)] if list_of_runs else bold())
    assert all(vars(masker)[name] is value for name, value in before.items())
    assert vars(masker).keys() == before.keys()
    assert pickle.dumps(masker) == pickled


def test_a_folder_may_be_a_path(tmp_path):
    nib.save(bold(), tmp_path / "a.nii")
    masker = AtlasMasker(atlas(), memory=tmp_path / "cache").fit()
    expected = AtlasMasker(atlas()).fit_transform(bold())
    for _ in range(2):
        np.testing.assert_allclose(masker.transform(tmp_path / "a.nii"), expected, rtol=1e-6)
    assert any((tmp_path / "cache").rglob("output.pkl"))


def spheres(seeds, radius=4.5):
    """Return overlapping spheres on the whole grid as binary maps."""
    grid = ai.VolumeGrid(SHAPE, AFFINE)
    near = [np.linalg.norm(grid.coordinates - seed, axis=1) <= radius for seed in seeds]
    maps = ai.SparseMaps.from_scipy(np.array(near, np.float32))
    return ai.Atlas(
        name="spheres",
        space="test",
        maps={"volume": maps},
        geometry={"volume": grid},
        labels=table(["volume"] * len(seeds)),
    )


def test_overlapping_spheres_are_painted_as_nilearn_does():
    from nilearn.maskers import NiftiSpheresMasker

    seeds = [(4, 6, 6), (8, 6, 6), (8, 10, 6), (12, 14, 10)]
    mask = nib.Nifti1Image(np.ones(SHAPE, np.int8), AFFINE)
    theirs = NiftiSpheresMasker(
        seeds, radius=4.5, allow_overlap=True, mask_img=mask, standardize=None
    ).fit()
    masker = AtlasMasker(spheres(seeds)).fit()
    series = theirs.transform(bold())
    np.testing.assert_allclose(masker.transform(bold()), series, rtol=1e-5)
    painted = masker.inverse_transform(series).get_fdata()
    np.testing.assert_allclose(painted, theirs.inverse_transform(series).get_fdata(), rtol=1e-5)
    np.testing.assert_allclose(masker.inverse_transform(series[0]).get_fdata(), painted[..., 0])
    assert set(np.unique(masker.inverse_transform(np.full(4, 2.0)).get_fdata())) == {0, 2}


def test_weights_that_are_no_masks_are_painted_as_nilearns_maps_are():
    from nilearn.maskers import NiftiMapsMasker

    own = ai.smooth(spheres([(4, 6, 6), (8, 6, 6)]), fwhm=4.0)
    volumes = own.geometry["volume"].put(own.to_dense()["volume"].T)
    theirs = NiftiMapsMasker(nib.Nifti1Image(volumes, AFFINE), standardize=None).fit()
    masker = AtlasMasker(own, reduction="lstsq").fit()
    series = np.array([[1.0, -2.0], [3.0, 0.5]])
    expected = theirs.inverse_transform(series).get_fdata()
    np.testing.assert_allclose(
        masker.inverse_transform(series).get_fdata(), expected, rtol=1e-5, atol=1e-6
    )


def with_meshes(own):
    points = np.random.default_rng(0).normal(size=(20, 3))
    faces = np.arange(18)[:, None] + [[0, 1, 2]]
    return own.replace(
        geometry={c: g.replace(anatomical=points, faces=faces) for c, g in own.geometry.items()}
    )


def test_surfaces_are_painted_as_a_surface_image_on_request():
    from nilearn.maskers import SurfaceLabelsMasker

    own = with_meshes(surface_atlas())
    rows = {c: r.start for c, r in own.parcel_slices().items()}
    keys = [
        g.put(np.where(m.labels < 0, 0, m.labels + rows[c] + 1).astype(np.int32))
        for (c, g), m in zip(own.geometry.items(), own.maps.values(), strict=True)
    ]
    theirs = SurfaceLabelsMasker(hemispheres(np.concatenate(keys)), standardize=None).fit()
    for series in (np.arange(12.0).reshape(2, 6), np.arange(6.0)):
        image = AtlasMasker(own).fit().inverse_transform(series, surface_image=True)
        expected = theirs.inverse_transform(series)
        for side in ("left", "right"):
            np.testing.assert_allclose(
                np.squeeze(image.data.parts[side]), np.squeeze(expected.data.parts[side])
            )
            mesh, other = image.mesh.parts[side], expected.mesh.parts[side]
            np.testing.assert_array_equal(mesh.faces, other.faces)
            np.testing.assert_allclose(mesh.coordinates, other.coordinates, rtol=1e-6)
    again = AtlasMasker(own).fit_transform(image)
    np.testing.assert_allclose(again, series[None], rtol=1e-6)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (surface_atlas, r"has no faces or no coordinates; add them by `mesh.replace"),
        (atlas, "one mesh of each hemisphere.*select the cortex"),
    ],
)
def test_what_is_no_surface_image_is_refused(own, message):
    masker = AtlasMasker(own()).fit()
    with pytest.raises(ValueError, match=message):
        masker.inverse_transform(np.ones(masker.n_elements_), surface_image=True)


def test_a_fitted_masker_can_be_pickled():
    masker = AtlasMasker(atlas(), smoothing_fwhm=4.0).fit()
    again = pickle.loads(pickle.dumps(masker))
    np.testing.assert_array_equal(again.transform(bold()), masker.transform(bold()))


def test_estimator_conventions():
    masker = AtlasMasker(atlas(), standardize="psc")
    assert clone(masker).get_params()["standardize"] == "psc"
    assert clone(masker).get_params()["atlas"].table == masker.atlas.table
    assert "standardize='psc'" in repr(masker)
    with pytest.raises(NotFittedError):
        masker.transform(bold())
    fitted = masker.fit()
    assert fitted is masker
    assert list(masker.get_feature_names_out()) == list(masker.atlas.table["name"])
    frame = masker.set_output(transform="pandas").transform(bold())
    assert list(frame.columns) == list(masker.atlas.table["name"])
    assert frame.shape == (TIME, 5)
    with pytest.raises(ValueError, match="one by one"):
        masker.transform([bold(), bold()])
    assert make_pipeline(AtlasMasker(atlas()), StandardScaler()).fit_transform(bold()).shape == (
        TIME,
        5,
    )


@pytest.mark.parametrize("several", [False, True])
def test_copies_of_an_estimator(several):
    given = {"one": atlas(), "same": atlas()} if several else atlas()
    masker = AtlasMasker(given, reduction="sum", smoothing_fwhm=4.0).fit()
    expected = masker.transform(bold())
    # Parameters are given on as they are; what is fitted is not.
    again = clone(masker)
    assert again.get_params() | {"atlas": 0} == masker.get_params() | {"atlas": 0}
    with pytest.raises(NotFittedError):
        again.get_feature_names_out()
    for copied in (copy.deepcopy(masker), pickle.loads(pickle.dumps(masker)), again.fit()):
        found = copied.transform(bold())
        assert type(found) is type(expected)
        for name in expected if several else (slice(None),):
            np.testing.assert_array_equal(found[name], expected[name])
        assert copied.get_feature_names_out().tolist() == masker.get_feature_names_out().tolist()
    # What fits made stays until the next one.
    set_up = masker.set_params(reduction="mean", smoothing_fwhm=None)
    assert set_up is masker
    np.testing.assert_equal(masker.transform(bold()), expected)
    np.testing.assert_equal(
        masker.fit().transform(bold()), AtlasMasker(given).fit_transform(bold())
    )
    with pytest.raises(ValueError, match="Invalid parameter 'smoothing'"):
        masker.set_params(smoothing=4.0)


def test_names_of_parcels_go_through_pipelines():
    names = atlas().table["name"]
    line = make_pipeline(AtlasMasker(atlas()), StandardScaler()).set_output(transform="pandas")
    found = line.fit_transform(bold())
    assert found.columns.tolist() == line.get_feature_names_out().tolist() == list(names)
    line.set_params(atlasmasker__reduction="sum")
    assert line.get_params()["atlasmasker__reduction"] == "sum"
    # A table of shuffled columns is painted by their names.
    masker = AtlasMasker(atlas()).fit()
    painted = masker.inverse_transform(found[list(names[::-1])])
    np.testing.assert_array_equal(
        painted.get_fdata(), masker.inverse_transform(found.to_numpy()).get_fdata()
    )


# The checks of scikit-learn that fit no table of samples x features. (Parameters of any type
# are taken by `__init__`, but not in the tests, where annotations are checked.)
CHECKS = (
    "estimator_cloneable",
    "estimator_repr",
    "estimator_tags_renamed",
    "estimators_unfitted",
    "get_params_invariance",
    "mixin_order",
    "no_attributes_set_in_init",
    "parameters_default_constructible",
    "set_params",
    "transformer_n_iter",
    "valid_tag_types",
)


@pytest.mark.parametrize("name", CHECKS)
def test_scikit_learn_checks(name):
    check = getattr(estimator_checks, f"check_{name}")
    check("AtlasMasker", AtlasMasker(atlas()))


def test_surface_files_and_cifti_series(tmp_path):
    rng, own = np.random.default_rng(4), surface_atlas()
    whole = {c: rng.normal(size=(20, 6)).astype(np.float32) for c in own.compartments}
    kept = [whole[c][g.vertices] for c, g in own.geometry.items()]
    expected = np.asarray(ai.project(own, np.concatenate(kept))).T
    for side, hemisphere, values in zip("LR", ("lh", "rh"), whole.values(), strict=True):
        arrays = [nib.gifti.GiftiDataArray(column) for column in values.T.copy()]
        nib.save(nib.GiftiImage(darrays=arrays), tmp_path / f"hemi-{side}_bold.func.gii")
        overlay = nib.MGHImage(values.reshape(20, 1, 1, 6), np.eye(4, dtype=np.float32))
        nib.save(overlay, tmp_path / f"{hemisphere}.bold.mgz")
    names = ("CortexLeft", "CortexRight")
    left, right = (
        BrainModelAxis.from_surface(g.vertices, 20, name)
        for g, name in zip(own.geometry.values(), names, strict=True)
    )
    header = (SeriesAxis(0, 2, 6), left + right)
    nib.save(nib.Cifti2Image(np.concatenate(kept).T, header), tmp_path / "bold.dtseries.nii")
    masker = AtlasMasker(own).fit()
    gifti = (tmp_path / "hemi-L_bold.func.gii", tmp_path / "hemi-R_bold.func.gii")
    overlays = (tmp_path / "lh.bold.mgz", tmp_path / "rh.bold.mgz")
    together = masker.transform([gifti, overlays, tmp_path / "bold.dtseries.nii", whole])
    for series in together:
        np.testing.assert_allclose(series, expected, rtol=1e-5, atol=1e-6)


def test_real_resting_overlays():
    """Whole hemispheres of a person with a real atlas, against NumPy's means."""
    stem = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01.fsa5"
    paths = tuple(package_file("brainspace", f"{stem}.{side}.mgz") for side in ("lh", "rh"))
    own = ai.load_atlas("desikan-killiany", space="fsaverage5")
    series = AtlasMasker(own).fit().transform(paths)
    assert series.shape == (652, own.n_parcels)
    column = 0
    for path, (c, maps) in zip(paths, own.maps.items(), strict=True):
        values = np.asarray(nib.load(path).dataobj).reshape(10242, 652)
        values = values[own.geometry[c].vertices]
        for parcel in range(maps.n_parcels):
            mean = values[maps.labels == parcel].mean(0, dtype=np.float64)
            np.testing.assert_allclose(series[:, column], mean, rtol=1e-5, atol=1e-6)
            column += 1


@pytest.mark.parametrize(
    ("masker", "kind", "message"),
    [
        (AtlasMasker("aal"), TypeError, "`atlas` should be an Atlas"),
        (AtlasMasker(atlas(), reduction="psc"), ValueError, 'standardize="psc"'),
        (AtlasMasker(atlas(), reduction="zscore"), ValueError, 'standardize="zscore_sample"'),
        (AtlasMasker(atlas(), reduction="modus"), ValueError, "`reduction` should be one of"),
        (AtlasMasker(atlas(), missing="drop"), ValueError, "`missing` should be"),
        (AtlasMasker(mixed_atlas(), reduction="median"), ValueError, "is for hard maps"),
        (AtlasMasker(atlas(), smoothing_fwhm=-1.0), ValueError, "`fwhm` should be positive"),
    ],
)
def test_bad_parameters_are_refused(masker, kind, message):
    with pytest.raises(kind, match=message):
        masker.fit()
