"""Meshes that come with values are compared with an atlas's."""

import nibabel as nb
import numpy as np
import pytest
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage
from scipy.spatial import ConvexHull

import atlasinit as ai
from atlasinit.core.labels import LabelTable
from atlasinit.io import open_data


def sphere_of(n):
    """Return points of a spiral on a sphere of 100 mm, and the triangles of their hull."""
    i = np.arange(n) + 0.5
    z, turn = 1 - 2 * i / n, i * np.pi * (3 - 5**0.5)
    ring = np.sqrt(1 - z**2)
    points = np.stack([ring * np.cos(turn), ring * np.sin(turn), z], 1)
    return 100 * points, ConvexHull(points).simplices


POINTS, FACES = sphere_of(300)
SHIFTS = {"left": [-60, 0, 0], "right": [60, 0, 0]}


def anatomical(side):
    return POINTS * [0.3, 0.7, 0.5] + SHIFTS[side]


def atlas_of(**known):
    meshes = {
        c: ai.SurfaceMesh(len(POINTS), hemisphere=c[-1], **known) for c in ("cortex_L", "cortex_R")
    }
    labels = np.arange(300, dtype=np.int32) // 100
    return ai.Atlas(
        name="thirds",
        space="mine",
        maps=dict.fromkeys(meshes, ai.HardMaps(labels, 3)),
        geometry=meshes,
        labels=LabelTable(
            {
                "compartment": ["cortex_L"] * 3 + ["cortex_R"] * 3,
                "key": [1, 2, 3] * 2,
                "name": [f"{side}_{k}" for side in "LR" for k in "abc"],
                "color": [""] * 6,
                "hemisphere": ["L"] * 3 + ["R"] * 3,
            }
        ),
    )


def image_of(points, faces=FACES, order=None):
    values = np.repeat(np.arange(3, dtype=np.float32), 100)[:, None] + np.zeros((1, 4), np.float32)
    if order is not None:
        values = values[order]
    parts = {side: InMemoryMesh(points[side].astype("f4"), faces) for side in ("left", "right")}
    return SurfaceImage(PolyMesh(**parts), dict.fromkeys(parts, values))


ALL = {"sphere": POINTS.astype("f4"), "faces": FACES.astype(np.int32)}
BOTH = {side: anatomical(side) for side in SHIFTS}
SWAPPED = {"left": BOTH["right"], "right": BOTH["left"]}
ORDER = np.random.default_rng(0).permutation(300)
# The triangles of the same surface whose vertices are counted in another order.
PLACES = np.argsort(ORDER)


@pytest.mark.parametrize("known", [{}, ALL, {"sphere": ALL["sphere"]}, {"faces": ALL["faces"]}])
@pytest.mark.parametrize("points", [dict.fromkeys(SHIFTS, POINTS), BOTH], ids=["sphere", "white"])
def test_the_same_mesh_is_taken(known, points):
    source = open_data(image_of(points), atlas_of(**known))
    np.testing.assert_allclose(
        ai.project(atlas_of(**known), source.read(slice(0, 4))), [[k] * 4 for k in (0, 1, 2) * 2]
    )
    turned = image_of(points, faces=FACES[::-1][:, [1, 0, 2]])
    assert open_data(turned, atlas_of(**known)).n_time == 4


@pytest.mark.parametrize("known", [{}, ALL, {"faces": ALL["faces"]}])
def test_a_flat_map_lacks_some_triangles(known):
    # The lower half of the mesh, unrolled; what was cut away keeps its place.
    low = POINTS[:, 2] < 0
    cut = FACES[low[FACES].all(axis=1)]
    assert 0 < len(cut) < len(FACES)
    kept = np.isin(np.arange(300), cut)[:, None]
    # Each is laid out far on the other side, as nilearn's of fsaverage5 are.
    points = {
        s: np.where(kept, POINTS * [1, 1, 0] - np.array(x), POINTS) for s, x in SHIFTS.items()
    }
    source = open_data(image_of(points, cut), atlas_of(**known))
    np.testing.assert_allclose(
        ai.project(atlas_of(**known), source.all()), [[k] * 4 for k in (0, 1, 2) * 2]
    )
    if known:
        with pytest.raises(ValueError, match="its triangles differ"):
            open_data(image_of(points, PLACES[cut]), atlas_of(**known))


@pytest.mark.parametrize(
    ("known", "points", "faces", "problem"),
    [
        (ALL, {s: p[ORDER] for s, p in BOTH.items()}, PLACES[FACES], "its triangles differ"),
        (
            {"sphere": ALL["sphere"]},
            dict.fromkeys(SHIFTS, POINTS[ORDER]),
            PLACES[FACES],
            "on the sphere its vertices lie elsewhere",
        ),
        ({}, SWAPPED, FACES, "comes with the mesh of the other hemisphere"),
    ],
)
def test_another_order_or_side_is_refused(known, points, faces, problem):
    with pytest.raises(ValueError, match=problem):
        open_data(image_of(points, faces), atlas_of(**known))
    with pytest.raises(ValueError, match=problem):
        ai.AtlasMasker(atlas_of(**known)).fit_transform(image_of(points, faces))


def test_a_file_with_its_mesh(tmp_path):
    def write(points, faces, name="lh.run.func.gii"):
        kinds = (
            (points.astype("f4"), "NIFTI_INTENT_POINTSET", "NIFTI_TYPE_FLOAT32"),
            (faces.astype("i4"), "NIFTI_INTENT_TRIANGLE", "NIFTI_TYPE_INT32"),
            (np.arange(300, dtype="f4"), "NIFTI_INTENT_NONE", "NIFTI_TYPE_FLOAT32"),
        )
        arrays = [
            nb.gifti.GiftiDataArray(values, intent=intent, datatype=kind)
            for values, intent, kind in kinds
        ]
        nb.save(nb.GiftiImage(darrays=arrays), tmp_path / name)
        return tmp_path / name

    atlas = atlas_of(**ALL).select(compartments="cortex_L")
    assert open_data(write(BOTH["left"], FACES), atlas).n_time == 1
    with pytest.raises(ValueError, match="its triangles differ"):
        open_data(write(BOTH["left"][ORDER], PLACES[FACES], "lh.other.func.gii"), atlas)
