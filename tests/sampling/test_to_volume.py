"""Atlases of surfaces in voxels, against Workbench and by definition."""

import shutil
import subprocess

import nibabel as nb
import numpy as np
import pytest
from helpers import mixed_atlas, table, unchecked
from helpers_smoothing import _gifti, icosphere

import atlasinit as ai

AFFINE = np.array([[-2.0, 0, 0.1, 31], [0, 2.1, 0, -33], [0, 0.2, 1.9, -30.5], [0, 0, 0, 1]])
GRID = ai.VolumeGrid((32, 33, 31), AFFINE)
POINTS, FACES = icosphere(3, 1.0)
WAVE = 1 + 0.1 * np.sin(7 * POINTS @ [1, 2, 0.5])
WHITE = (20 * WAVE[:, None] * POINTS).astype(np.float32)
PIAL = (WHITE + (3 + np.cos(5 * POINTS @ [0, 1, 2]))[:, None] * POINTS).astype(np.float32)
MESH = ai.SurfaceMesh(len(POINTS), hemisphere="L", faces=FACES)
OCTANTS = ((POINTS > 0.02) @ [1, 2, 4]).astype(np.int32)
SURFACES = {"white": WHITE, "pial": PIAL, "space": "T1w"}


def octants(mesh=MESH, labels=OCTANTS):
    """Labels of seven octants, and none in the first."""
    return ai.Atlas(
        name="octants",
        space="mine",
        maps={"cortex_L": ai.HardMaps(labels - 1, 7)},
        geometry={"cortex_L": mesh},
        labels=table(["cortex_L"] * 7),
    )


def by_workbench(folder, values, *options, labels):
    if shutil.which("wb_command") is None:
        pytest.skip("wb_command is not installed")
    for name, points in (("white", WHITE), ("pial", PIAL), ("middle", (WHITE + PIAL) / 2)):
        nb.save(_gifti([points, FACES], ["POINTSET", "TRIANGLE"]), folder / f"{name}.surf.gii")
    image = _gifti([values], ["LABEL" if labels else "NORMAL"])
    if labels:
        image.darrays[0].data, image.darrays[0].datatype = values.astype(np.int32), 8
        for key in range(8):
            label = nb.gifti.GiftiLabel(key, key / 8, 0, 0, 1)
            label.label = f"p{key}" if key else "???"
            image.labeltable.labels.append(label)
    nb.save(image, folder / "in.gii")
    nb.save(nb.Nifti1Image(np.zeros(GRID.shape, np.float32), AFFINE), folder / "grid.nii")
    command = "-label-to-volume-mapping" if labels else "-metric-to-volume-mapping"
    files = ["in.gii", "middle.surf.gii", "grid.nii", "out.nii"]
    ribbon = ["-ribbon-constrained", "white.surf.gii", "pial.surf.gii", *options]
    subprocess.run(["wb_command", command, *files, *ribbon], cwd=folder, check=True)
    return np.asarray(nb.load(folder / "out.nii").dataobj).reshape(-1)


@pytest.mark.parametrize(
    ("options", "min_share"), [((), 0.5), pytest.param(("-greedy",), 0, marks=pytest.mark.sweep)]
)
def test_labels_are_workbenchs(tmp_path, options, min_share):
    theirs = by_workbench(tmp_path, OCTANTS, *options, labels=True)
    ours = ai.to_volume(octants(), GRID, min_share=min_share, **SURFACES).maps["volume"].labels
    assert (theirs > 0).sum() > 1000
    # Where two have as many points, or rounding moves one to the other side.
    assert (theirs != ours + 1).sum() < 0.005 * (theirs > 0).sum()


@pytest.mark.sweep
def test_maps_are_workbenchs(tmp_path):
    values = np.random.default_rng(0).random((2, len(POINTS))).astype(np.float32)
    theirs = by_workbench(tmp_path, values[1], "-greedy", labels=False)
    atlas = ai.Atlas(
        name="maps",
        space="mine",
        maps={"cortex_L": ai.DenseMaps(values)},
        geometry={"cortex_L": MESH},
        labels=table(["cortex_L"] * 2),
    )
    ours = ai.to_volume(atlas, GRID, min_share=0, **SURFACES).to_dense()["volume"][1]
    np.testing.assert_array_equal(ours > 0, theirs > 0)
    assert np.corrcoef(ours[ours > 0], theirs[ours > 0])[0, 1] > 0.9999


def test_there_and_back():
    operator = ai.sampling_operator(GRID, MESH, white=WHITE, pial=PIAL)
    back = ai.to_surface(ai.to_volume(octants(), GRID, **SURFACES), operator, space="mine")
    assert (back.maps["cortex_L"].labels == OCTANTS - 1).mean() > 0.9


def test_vertices_that_are_not_kept_have_none():
    kept = np.flatnonzero(OCTANTS > 0)
    some = octants(MESH.restrict(kept), OCTANTS[kept])
    whole, part = (ai.to_volume(atlas, GRID, **SURFACES) for atlas in (octants(), some))
    np.testing.assert_array_equal(whole.maps["volume"].labels, part.maps["volume"].labels)


def both_sides(**changes):
    """Both hemispheres, with equal keys, and a voxel of a subcortex."""
    labels = {"cortex_L": OCTANTS, "cortex_R": OCTANTS}
    right = ai.SurfaceMesh(len(POINTS), hemisphere="R", faces=FACES)
    deep = GRID.restrict(np.array([16 * 33 * 31 + 16 * 31 + 16, 0]))
    return ai.Atlas(
        name="both",
        space="mine",
        maps={c: ai.HardMaps(own - 1, 7) for c, own in labels.items()}
        | {"subcortex": ai.HardMaps(np.array([0, -1], np.int32), 1)},
        geometry={"cortex_L": MESH, "cortex_R": right, "subcortex": changes.get("deep", deep)},
        labels=table(["cortex_L"] * 7 + ["cortex_R"] * 7 + ["subcortex"], [*range(1, 8)] * 2 + [1]),
    )


def test_cortex_and_subcortex_on_one_grid(tmp_path):
    away = {"cortex_L": 0.4, "cortex_R": 0.6}
    surfaces = {
        name: {c: points * share for c, share in away.items()}
        for name, points in (("white", WHITE), ("pial", PIAL))
    }
    image = nb.Nifti1Image(np.zeros(GRID.shape, np.int8), AFFINE)
    nb.save(image, tmp_path / "t1.nii.gz")
    atlas = ai.to_volume(both_sides(), tmp_path / "t1.nii.gz", space="T1w", min_share=0, **surfaces)
    assert atlas.space == "T1w"
    assert atlas.labels["key"].tolist() == list(range(1, 16))
    labels = np.asarray(atlas.maps["volume"].labels)
    assert labels[16 * 33 * 31 + 16 * 31 + 16] == 14
    radius = np.linalg.norm(GRID.coordinates, axis=1)
    assert radius[(labels >= 0) & (labels < 7)].max() < radius[(labels >= 7) & (labels < 14)].max()
    assert "to_volume(VolumeGrid(" in atlas.provenance.operations[-1]
    names = [f"{side}_p{key}" for side in "LR" for key in range(1, 8)] + ["deep"]
    named = both_sides().replace(labels=both_sides().table.replace(name=names))
    united = named.unite(by="key", compartments=["cortex_L", "cortex_R"])
    one = ai.to_volume(united, image, space="T1w", min_share=0, **surfaces)
    assert one.n_parcels == 8
    sides = np.where(labels < 0, -1, np.where(labels == 14, 7, labels % 7))
    # But where both sides of a parcel add up to more than another one.
    assert (one.maps["volume"].labels != sides).sum() < 5


def test_soft_maps_keep_those_of_the_voxels():
    values = np.ones((1, len(POINTS)), np.float32)
    deep = GRID.restrict(np.array([0]))
    atlas = ai.Atlas(
        name="soft",
        space="mine",
        maps={"cortex_L": ai.DenseMaps(values), "subcortex": ai.DenseMaps(values[:, :1] / 4)},
        geometry={"cortex_L": MESH, "subcortex": deep},
        labels=table(["cortex_L", "subcortex"]),
    )
    cortex, own = ai.to_volume(atlas, GRID, **SURFACES).to_dense()["volume"]
    assert np.unique(cortex).tolist() == [0, 1]
    assert np.flatnonzero(own).tolist() == [0]
    assert own[0] == 0.25


def test_parcels_without_a_voxel_are_told():
    with pytest.warns(ai.AtlasWarning, match="parcels of 'octants' have no voxel"):
        out = ai.to_volume(
            octants(), GRID.restrict(np.flatnonzero(GRID.coordinates[:, 0] > 3)), **SURFACES
        )
    assert out.n_parcels == 7


OTHER = ai.VolumeGrid((4, 4, 4), np.eye(4))
PAIR = {name: dict.fromkeys(("cortex_L", "cortex_R"), SURFACES[name]) for name in ("white", "pial")}


@pytest.mark.parametrize(
    ("atlas", "changes", "error", "message"),
    [
        ("a", {}, TypeError, "`atlas` should be an Atlas, got str"),
        (octants(), {"space": ""}, TypeError, "`space` should name the space of the grid"),
        (
            octants(),
            {"min_share": 2},
            ValueError,
            "`min_share` should be a number from 0 to 1, got 2",
        ),
        (octants(), {"min_share": "0.5"}, TypeError, "`min_share` should be a number from 0 to 1"),
        (octants(), {"min_share": np.nan}, ValueError, "`min_share` should be a .*, got nan"),
        (octants(), {"subdivisions": 0}, ValueError, "`subdivisions` should be a whole number"),
        (octants(), {"subdivisions": "3"}, TypeError, "`subdivisions` should be a whole .*'3'"),
        (octants(), {"grid": MESH}, TypeError, "`grid` should be a VolumeGrid or an image"),
        (
            mixed_atlas().select(compartments="subcortex"),
            {},
            ValueError,
            "`white` is of surfaces, but 'mixed' has",
        ),
        (both_sides(), {}, ValueError, "`white` should be a mapping from each of .* got one"),
        (
            both_sides(),
            PAIR | {"pial": {"cortex_L": PIAL}},
            ValueError,
            r"`pial` should have a surface for each of .* got \['cortex_L'\]",
        ),
        (
            both_sides(deep=OTHER.restrict(np.array([0, 1]))),
            PAIR,
            ValueError,
            "`grid` has other voxels than 'subcortex' of the atlas",
        ),
        (octants(), {"white": WHITE + 300, "pial": PIAL + 300}, ValueError, "hold no kept voxel"),
        (octants(), {"white": None, "pial": None}, ValueError, "`white` and `pial` are needed"),
        (both_sides(), {"white": None, "pial": None}, ValueError, "`white` and `pial` are needed"),
        (octants(), {"white": PIAL, "pial": WHITE}, ValueError, "`pial` is smaller than `white`"),
    ],
)
def test_what_does_not_fit_is_refused(atlas, changes, error, message):
    options = {"grid": GRID, **SURFACES, **changes}
    with pytest.raises(error, match=message):
        unchecked(ai.to_volume)(atlas, options.pop("grid"), **options)
