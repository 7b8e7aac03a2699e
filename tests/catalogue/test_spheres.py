"""Spheres around seeds: the voxels that nilearn takes, overlap, and empty spheres."""

import csv

import nibabel as nb
import numpy as np
import pytest
from helpers_packages import package_file

import atlasinit as ai
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.contents import LabelRow
from atlasinit.io.spheres import spheres
from atlasinit.io.targets import read_target

GREY = "nilearn/datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz"


def seitzman():
    path = package_file(
        "nilearn", "nilearn/datasets/data/seitzman_2018_ROIs_300inVol_MNI_allInfo.txt"
    )
    rows = [line.split() for line in path.read_text().splitlines()[1:]]
    return np.array([r[:3] for r in rows], float), np.array([r[3] for r in rows], float)


def columns(name):
    path = package_file("nilearn", f"nilearn/datasets/data/{name}.csv")
    with path.open() as stream:
        rows = [{k.lower(): v for k, v in row.items()} for row in csv.DictReader(stream)]
    return np.array([[row[axis] for axis in "xyz"] for row in rows], float)


def agrees_with_nilearn(seeds, radius, mask, part):
    """Whether nilearn's means over its spheres are those over ours, for random values."""
    from nilearn.maskers import NiftiSpheresMasker

    values = np.random.default_rng(0).normal(size=(*mask.shape, 3))
    masker = NiftiSpheresMasker(
        [tuple(seed) for seed in seeds],
        radius=radius,
        mask_img=mask,
        allow_overlap=True,
        standardize=None,
    )
    expected = masker.fit_transform(nb.Nifti1Image(values, mask.affine)).T
    own = part.maps @ part.geometry.take(values)
    counts = np.diff(part.maps.indptr)
    np.testing.assert_allclose(own / counts[:, None], expected, rtol=1e-6, atol=1e-9)


def our_voxels(part):
    matrix = part.maps
    return [
        set(part.geometry.voxels[matrix.indices[a:b]].tolist())
        for a, b in zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True)
    ]


def mni(step, threshold):
    """Return nilearn's packaged grey matter as a mask, every `step`-th voxel of it."""
    image = nb.load(package_file("nilearn", GREY))
    values = np.asarray(image.dataobj)[::step, ::step, ::step] > threshold
    affine = image.affine @ np.diag([step, step, step, 1])
    return nb.Nifti1Image(values.astype(np.uint8), affine), ai.VolumeGrid.from_mask(values, affine)


@pytest.mark.parametrize("threshold", [pytest.param(-1, marks=pytest.mark.sweep), 100])
def test_seitzman_2018_equals_nilearn(threshold):
    """All 300 regions, radii of 4 and 5 mm, on a whole grid and within grey matter."""
    seeds, radii = seitzman()
    assert len(seeds) == 300
    image, grid = mni(4 if threshold < 0 else 3, threshold)
    for radius in np.unique(radii):
        own = seeds[radii == radius]
        filled = np.diff(spheres(own, grid, radius=radius).maps.indptr) > 0
        # nilearn refuses a sphere without a voxel.
        assert filled.all() or threshold > 0
        part = spheres(own[filled], grid, radius=radius)
        agrees_with_nilearn(own[filled], radius, image, part)


@pytest.mark.sweep
def test_seitzman_2018_on_the_full_mni_grid_by_brute_force():
    seeds, radii = seitzman()
    grid = read_target(package_file("nilearn", GREY)).grid
    part = spheres(seeds, grid, radius=radii)
    found, coordinates = our_voxels(part), grid.coordinates
    for i in (0, 150, 299):
        near = np.linalg.norm(coordinates - seeds[i], axis=1) <= radii[i]
        assert found[i] == set(np.flatnonzero(near).tolist())


@pytest.mark.sweep
@pytest.mark.parametrize("name", ["power_2011", "dosenbach_2010"])
@pytest.mark.parametrize("radius", [0.5, 5.0])
def test_other_coordinate_atlases_equal_nilearn(name, radius):
    seeds = columns(name)
    image, grid = mni(4, -1)
    part = spheres(seeds, grid, radius=radius)
    agrees_with_nilearn(seeds, radius, image, part)


GRID = ai.VolumeGrid((6, 5, 4), np.diag([2.0, 2.0, 2.0, 1.0]))
ROWS = [LabelRow(10, "A"), LabelRow(20, "B"), LabelRow(30, "C")]


def build(seeds, **options):
    return assemble([spheres(seeds, GRID, **options)], name="a", space="s")


def test_overlapping_spheres_are_soft_and_others_hard():
    apart = build([[2, 2, 2], [8, 6, 4]], radius=2)
    assert isinstance(apart.maps["volume"], ai.HardMaps)
    over = build([[2, 2, 2], [4, 2, 2]], radius=2)
    assert not isinstance(over.maps["volume"], ai.HardMaps)
    assert over.maps["volume"].to_scipy().sum(axis=0).max() == 2
    assert over.maps["volume"].counts().tolist() == [7, 7]


def test_a_seed_without_a_voxel_is_an_empty_row():
    atlas = build([[2, 2, 2], [500, 0, 0], [4, 4, 4]], radius=1, rows=ROWS)
    assert atlas.table["name"] == ("A", "B", "C")
    assert atlas.table["key"] == (10, 20, 30)
    assert atlas.labels["empty"].tolist() == [False, True, False]
    masked = GRID.restrict(GRID.ijk[:, 0] > 3)
    part = spheres([[2, 2, 2]], masked, radius=1)
    assert part.geometry.n_locations == 0
    assert part.maps.shape == (1, 0)


def test_the_voxel_of_the_seed_belongs_to_it_however_small_the_radius():
    part = spheres([[2.9, 1.1, 2.9], [-0.9, 0, 0]], GRID, radius=0)
    assert our_voxels(part) == [{1 * 20 + 1 * 4 + 1}, {0}]


def test_radius_for_each_seed():
    part = spheres([[4, 4, 4], [4, 4, 4]], GRID, radius=[0, 2])
    assert [len(voxels) for voxels in our_voxels(part)] == [1, 7]


def test_only_voxels_of_spheres_are_kept_in_the_order_of_the_grid():
    order = np.random.default_rng(0).permutation(GRID.n_locations)
    mixed = GRID.restrict(order)
    part = spheres([[4, 4, 4]], mixed, radius=2)
    assert part.geometry.n_locations == 7
    kept = [v for v in mixed.voxels.tolist() if v in set(part.geometry.voxels.tolist())]
    assert part.geometry.voxels.tolist() == kept


def test_no_seeds():
    part = spheres(np.zeros((0, 3)), GRID, radius=1)
    assert part.maps.shape == (0, 0)


@pytest.mark.parametrize(
    ("seeds", "options", "message"),
    [
        ([[1, 2]], {"radius": 1}, r"`seeds` should be finite .* shape \(1, 2\)"),
        ([[1, 2, np.nan]], {"radius": 1}, "`seeds` should be finite"),
        ([[1, 2, 3]], {"radius": -1}, "`radius` should be one length"),
        ([[1, 2, 3]], {"radius": [1, 2]}, "or 1 of them"),
        ([[1, 2, 3]], {"radius": np.inf}, "`radius` should be"),
        ([[1, 2, 3]], {"radius": 1, "rows": ROWS}, "one entry for each of 1 seeds, got 3"),
    ],
)
def test_bad_seeds(seeds, options, message):
    with pytest.raises(ValueError, match=message):
        spheres(seeds, GRID, **options)
