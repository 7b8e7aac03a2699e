"""Parcels that several compartments share, against nilearn and against one matrix of all."""

import equinox as eqx
import jax
import jax.numpy as jnp
import nibabel as nib
import numpy as np
import pytest
from nilearn.maskers import NiftiLabelsMasker, SurfaceLabelsMasker, SurfaceMapsMasker
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

import atlasinit as ai
from atlasinit.io.overlay.surfaces import Surface
from atlasinit.projection import back_project, chosen, coverage, project

SIZES = {"left": 60, "right": 70}
TIME = 8


def mesh_image(values):
    rng = np.random.default_rng(0)
    meshes = {
        side: InMemoryMesh(
            rng.normal(size=(n, 3)).astype(np.float32), rng.integers(0, n, (2 * n, 3))
        )
        for side, n in SIZES.items()
    }
    return SurfaceImage(PolyMesh(**meshes), values)


def label_image():
    rng = np.random.default_rng(1)
    labels = {side: rng.integers(0, 5, n).astype(np.int32) for side, n in SIZES.items()}
    labels["right"][-4:] = 9  # a region of one side alone
    return mesh_image(labels)


def maps_image(share=0.5):
    rng = np.random.default_rng(2)
    shapes = {side: (n, 6) for side, n in SIZES.items()}
    return mesh_image(
        {
            side: (rng.random(s) * (rng.random(s) < share)).astype(np.float32)
            for side, s in shapes.items()
        }
    )


def data_image(dtype=np.float32):
    rng = np.random.default_rng(3)
    return mesh_image(
        {s: (50 + rng.normal(size=(n, TIME))).astype(dtype) for s, n in SIZES.items()}
    )


def array_of(image):
    return np.concatenate([image.data.parts["left"], image.data.parts["right"]])


def united(kind):
    if kind == "hard":
        return ai.load_atlas(label_image(), space="mine").unite()
    share = {"sparse": 0.3, "dense": 1.0}[kind]
    atlas = ai.load_atlas(maps_image(share), space="mine", kind="maps").unite()
    assert {type(m).__name__.lower() for m in atlas.maps.values()} == {f"{kind}maps"}
    return atlas


def whole_matrix(atlas):
    w = np.zeros((atlas.n_parcels, atlas.n_locations))
    for c, rows in atlas.parcel_slices().items():
        w[rows, atlas.location_slices()[c]] += atlas.to_dense()[c]
    return w


KINDS = ("hard", "sparse", "dense")


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")  # nilearn's own
@pytest.mark.parametrize(
    ("strategy", "reduction"),
    [
        ("mean", "mean"),
        ("median", "median"),
        ("sum", "sum"),
        ("minimum", "min"),
        ("maximum", "max"),
        ("standard_deviation", "std"),
        ("variance", "var"),
    ],
)
def test_labels_of_both_hemispheres_are_those_of_nilearn(strategy, reduction):
    atlas = ai.load_atlas(label_image(), space="mine")
    assert atlas.n_parcels == 9  # each side's own, unless it is asked for
    both = atlas.unite()
    assert both.labels["key"].tolist() == [1, 2, 3, 4, 9]
    theirs = SurfaceLabelsMasker(label_image(), strategy=strategy, standardize=None).fit_transform(
        data_image()
    )
    ours = ai.AtlasMasker(both, reduction=reduction).fit_transform(data_image())
    np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-6)


def test_maps_of_both_hemispheres_solve_one_system_as_those_of_nilearn():
    masker = ai.AtlasMasker(united("sparse"), reduction="lstsq")
    ours = masker.fit_transform(data_image())
    peer = SurfaceMapsMasker(maps_image(0.3), standardize=None).fit()
    np.testing.assert_allclose(ours, peer.transform(data_image()), rtol=1e-5, atol=1e-4)
    painted = masker.inverse_transform(ours)
    image = peer.inverse_transform(ours)
    for c, side in (("cortex_L", "left"), ("cortex_R", "right")):
        np.testing.assert_allclose(painted[c], image.data.parts[side], rtol=1e-5, atol=1e-4)


def test_labels_painted_back_are_those_of_nilearn():
    parts = label_image().mesh.parts
    surfaces = {c: parts[side] for c, side in (("cortex_L", "left"), ("cortex_R", "right"))}
    meshes = {
        c: {"anatomical": Surface(np.float32(m.coordinates), np.int32(m.faces))}
        for c, m in surfaces.items()
    }
    atlas = ai.load_atlas(label_image(), space="mine", meshes=meshes).unite()
    masker = ai.AtlasMasker(atlas)
    series = masker.fit_transform(data_image())
    peer = SurfaceLabelsMasker(label_image(), standardize=None).fit()
    ours = masker.inverse_transform(series, surface_image=True)
    theirs = peer.inverse_transform(series)
    for side in SIZES:
        np.testing.assert_allclose(ours.data.parts[side], theirs.data.parts[side], rtol=1e-6)


def test_a_volume_that_was_cut_in_two_gives_what_the_whole_gives(tmp_path):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 6, (6, 5, 4)).astype(np.int16)
    bold = rng.normal(size=(6, 5, 4, 7)).astype(np.float32)
    cut = {}
    for name, side in (("left", slice(0, 3)), ("right", slice(3, 6))):
        part = np.zeros_like(labels)
        part[side] = labels[side]
        cut[name] = nib.Nifti1Image(part, np.eye(4))
    atlas = ai.load_atlas(cut, space="mine").unite(by="name")
    image = nib.Nifti1Image(bold, np.eye(4))
    ours = ai.AtlasMasker(atlas).fit_transform({"left": image, "right": image})
    theirs = NiftiLabelsMasker(nib.Nifti1Image(labels, np.eye(4)), standardize=None)
    np.testing.assert_allclose(ours, theirs.fit_transform(image), rtol=1e-5, atol=1e-6)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "sum", "absmean", "lstsq", "zscore"])
def test_every_way_to_compute_agrees_with_one_matrix(kind, reduction):
    atlas, x = united(kind), array_of(data_image())
    w = whole_matrix(atlas)
    if reduction == "lstsq":
        expected = np.linalg.lstsq(w.T, x.astype(np.float64), rcond=None)[0]
    else:
        expected = w @ x.astype(np.float64)
        expected = expected if reduction == "sum" else expected / w.sum(axis=1, keepdims=True)
        if reduction == "zscore":
            centre = expected - expected.mean(axis=1, keepdims=True)
            expected = centre / expected.std(axis=1, ddof=1, keepdims=True)
    tolerance = dict(rtol=1e-4, atol=5e-3 if reduction == "zscore" else 1e-3)
    layer = ai.AtlasLinear.from_atlas(atlas, reduction=reduction)
    found = {
        "host": project(atlas, x, reduction=reduction, kernel="host"),
        "auto": project(atlas, x, reduction=reduction),
        "jit": jax.jit(lambda x: project(atlas, x, reduction=reduction))(x),
        "traced": jax.jit(lambda a, x: project(a, x, reduction=reduction))(atlas, x),
        "layer": eqx.filter_jit(lambda layer, x: layer(x))(layer, x),
    }
    for way, values in found.items():
        np.testing.assert_allclose(values, expected, **tolerance, err_msg=way)


@pytest.mark.parametrize("kind", KINDS)
def test_values_are_painted_on_all_compartments_and_their_coverage_is_of_all(kind):
    atlas, x = united(kind), array_of(data_image())
    w, y = whole_matrix(atlas), np.arange(2.0 * atlas.n_parcels, dtype=np.float32).reshape(-1, 2)
    np.testing.assert_allclose(back_project(atlas, y), w.T @ y, rtol=1e-5, atol=1e-6)
    x[:20] = np.nan
    share = w[:, 20:].sum(axis=1) / w.sum(axis=1)
    np.testing.assert_allclose(coverage(atlas, x)[:, 0], share, rtol=1e-5)
    np.testing.assert_allclose(atlas.coverage(~np.isnan(x[:, 0])), share, rtol=1e-5)
    means = project(atlas, x, missing="omit")
    seen = (w[:, 20:] @ x[20:].astype(np.float64)) / w[:, 20:].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(means, seen, rtol=1e-5)


@pytest.mark.sweep
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("reduction", ["mean", "lstsq"])
def test_gradients_of_layers_are_those_of_one_matrix(kind, reduction):
    atlas, x = united(kind), jnp.asarray(array_of(data_image()) - 50)
    domain = ai.domains.Simplex(purity=0.9) if kind == "hard" else None
    ridge = 0.1 if reduction == "lstsq" else 0.0
    layer = ai.AtlasLinear.from_atlas(atlas, domain=domain, reduction=reduction, ridge=ridge)

    def loss(layer):
        return (layer(x) ** 2).sum()

    def whole(layer):
        parts = [ai.domains.unwrap(m) for m in layer.maps]
        dense = [
            m.values
            if isinstance(m, ai.DenseMaps)
            else jnp.zeros((m.n_parcels, m.n_locations)).at[m.rows(), m.indices].add(m.values)
            for m in parts
        ]
        maps = ai.DenseMaps(jnp.concatenate(dense, axis=1))
        return (project(maps, x, reduction=reduction, ridge=ridge) ** 2).sum()

    ours, theirs = eqx.filter_grad(loss)(layer), eqx.filter_grad(whole)(layer)
    pairs = zip(jax.tree.leaves(ours.maps), jax.tree.leaves(theirs.maps), strict=True)
    for one, other in pairs:
        scale = float(jnp.abs(other).max())
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4 * scale)
    assert any(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(ours.maps))


def test_weights_to_start_from_are_one_matrix():
    atlas = united("hard")
    weights = ai.initializers.AtlasWeights(atlas)(jax.random.key(0), (5, atlas.n_locations))
    np.testing.assert_array_equal(weights, whole_matrix(atlas))


def test_a_layer_returns_shared_rows_for_each_of_their_compartments():
    atlas, x = united("hard"), array_of(data_image())
    out = ai.AtlasLinear.from_atlas(atlas, concatenate=False)(x)
    assert list(out) == ["cortex_L", "cortex_R"]
    np.testing.assert_array_equal(out["cortex_L"], out["cortex_R"])
    assert ai.AtlasLinear.from_atlas(atlas).to_atlas().labels.equals(atlas.labels)


def test_compartments_between_those_that_share_parcels_keep_their_own():
    rng, volumes = np.random.default_rng(5), {}
    for name, first in (("first", 0), ("middle", 10), ("last", 0)):
        labels = rng.integers(0, 4, (4, 4, 3)).astype(np.int16)
        volumes[name] = nib.Nifti1Image(
            np.where(labels > 0, labels + first, 0).astype(np.int16), np.eye(4)
        )
    atlas = ai.load_atlas(volumes, space="mine").unite(compartments=["first", "last"])
    assert atlas.labels["compartment"].tolist() == ["first+last"] * 3 + ["middle"] * 3
    x = np.random.default_rng(6).normal(size=(atlas.n_locations, 4)).astype(np.float32)
    w = whole_matrix(atlas)
    expected = (w @ x) / w.sum(axis=1, keepdims=True)
    for kernel in ("auto", "host", "dense", "tiles"):
        np.testing.assert_allclose(project(atlas, x, kernel=kernel), expected, rtol=1e-4, atol=1e-6)
    assert set(chosen(atlas, x).kernels) == {"first", "middle", "last"}
    medians = project(atlas, x, reduction="median")
    np.testing.assert_allclose(
        medians, [np.median(x[row > 0], axis=0) for row in w], rtol=1e-6, atol=1e-7
    )
