"""Meshes that come with values are compared with an atlas's."""

import nibabel as nb
import numpy as np
import pytest
from nilearn.datasets import load_fsaverage
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage
from scipy.spatial import ConvexHull

import atlasinit as ai
from atlasinit.core.labels import LabelTable
from atlasinit.io import open_data
from atlasinit.io.overlay.surfaces import Surface


def sphere_of(n):
    """Return points of a spiral on a sphere of 100 mm, and the triangles of their hull."""
    i = np.arange(n) + 0.5
    z, turn = 1 - 2 * i / n, i * np.pi * (3 - 5**0.5)
    ring = np.sqrt(1 - z**2)
    points = np.stack([ring * np.cos(turn), ring * np.sin(turn), z], 1)
    faces = ConvexHull(points).simplices
    # Of each triangle the corners in the order in which its normal points outwards.
    inwards = np.linalg.det(points[faces]) < 0
    return 100 * points, np.where(inwards[:, None], faces[:, ::-1], faces)


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


def gifti_of(points, faces, values, shape=None):
    """Return a GIFTI image of values beside their mesh, and of labels if they are whole."""
    labels = np.issubdtype(values.dtype, np.integer)
    kinds = (
        (points.astype("f4"), "NIFTI_INTENT_POINTSET", "NIFTI_TYPE_FLOAT32"),
        (faces.astype("i4"), "NIFTI_INTENT_TRIANGLE", "NIFTI_TYPE_INT32"),
        (values, f"NIFTI_INTENT_{'LABEL' if labels else 'NONE'}", values.dtype),
    )
    arrays = [
        nb.gifti.GiftiDataArray(values, intent=intent, datatype=kind)
        for values, intent, kind in kinds
    ]
    if shape:
        arrays[0].meta["GeometricType"] = shape
    return nb.GiftiImage(darrays=arrays)


def saved(image, path):
    nb.save(image, path)
    return path


def test_a_file_with_its_mesh(tmp_path):
    def write(points, faces, name="lh.run.func.gii"):
        return saved(gifti_of(points, faces, np.arange(300, dtype="f4")), tmp_path / name)

    atlas = atlas_of(**ALL).select(compartments="cortex_L")
    assert open_data(write(BOTH["left"], FACES), atlas).n_time == 1
    with pytest.raises(ValueError, match="its triangles differ"):
        open_data(write(BOTH["left"][ORDER], PLACES[FACES], "lh.other.func.gii"), atlas)
    mixed = gifti_of(BOTH["left"], FACES, np.arange(299, dtype="f4"))
    with pytest.raises(ai.AtlasFileError, match="arrays differ in length"):
        open_data(saved(mixed, tmp_path / "lh.mixed.func.gii"), atlas)


def test_both_hemispheres_of_a_file_with_their_mesh(tmp_path):
    n = 642
    points, faces = sphere_of(n)
    ellipsoid = points * [0.3, 0.7, 0.5]
    both = np.concatenate([ellipsoid - [60, 0, 0], ellipsoid + [60, 0, 0]])
    labels = np.tile(np.arange(n) % 3 + 1, 2).astype("i4")

    def path(points, name):
        triangles = np.concatenate([faces, faces + n])
        return saved(gifti_of(points, triangles, labels), tmp_path / name)

    atlas = ai.load_atlas(path(both, "both.label.gii"), space="mine")
    for c, half in (("cortex_L", slice(0, n)), ("cortex_R", slice(n, 2 * n))):
        np.testing.assert_array_equal(atlas.geometry[c].anatomical, both[half].astype("f4"))
        np.testing.assert_array_equal(atlas.geometry[c].faces, faces)
    swapped = path(both[::-1], "swapped.label.gii")
    with pytest.raises(ValueError, match="comes with the mesh of the other hemisphere"):
        ai.load_atlas(swapped, space="mine")
    with pytest.raises(ValueError, match="its triangles differ|of the other hemisphere"):
        open_data(swapped, atlas, reduction="mode")
    assert open_data(path(both, "again.label.gii"), atlas, reduction="mode").n_time == 1


# Meshes of atlases

_KEYS = (np.arange(300) // 100 + 1).astype(np.int32)
_SIDES = {"left": "cortex_L", "right": "cortex_R"}


def labels_of(points, faces, form, tmp_path):
    """Return labels of both hemispheres with their meshes, as nilearn or GIFTI have them."""
    if form == "SurfaceImage":
        parts = {side: InMemoryMesh(own.astype("f4"), faces) for side, own in points.items()}
        return SurfaceImage(PolyMesh(**parts), dict.fromkeys(parts, _KEYS))
    images = {c: gifti_of(points[side], faces, _KEYS) for side, c in _SIDES.items()}
    if form == "GIFTI in memory":
        return images
    return {c: saved(image, tmp_path / f"{c}.label.gii") for c, image in images.items()}


FORMS = ["SurfaceImage", "GIFTI in memory", "GIFTI"]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("points", "role"),
    [(dict.fromkeys(SHIFTS, POINTS), "sphere"), (BOTH, "anatomical")],
    ids=["sphere", "anatomical"],
)
def test_the_mesh_of_labels_stays_with_their_atlas(form, points, role, tmp_path):
    files = labels_of(points, FACES, form, tmp_path)
    atlas = ai.load_atlas(files, space="mine")
    other = {"sphere": "anatomical", "anatomical": "sphere"}[role]
    for side, c in _SIDES.items():
        mesh = atlas.geometry[c]
        np.testing.assert_array_equal(mesh.faces, FACES)
        np.testing.assert_array_equal(getattr(mesh, role), points[side].astype("f4"))
        assert getattr(mesh, other) is None
    painted = ai.AtlasMasker(atlas).fit().inverse_transform(np.ones(6), surface_image=True)
    for side in _SIDES:
        np.testing.assert_array_equal(
            painted.mesh.parts[side].coordinates, points[side].astype("f4")
        )
    assert ai.smooth(atlas, sigma=10.0).n_parcels == 6
    # What the user states goes before, and a mask cuts nothing out of the mesh.
    stated = {c: {"sphere": POINTS.astype("f4") / 2} for c in _SIDES.values()}
    both = ai.load_atlas(files, space="mine", meshes=stated, mask=dict.fromkeys(stated, _KEYS > 1))
    assert both.geometry["cortex_L"].radius == pytest.approx(50)
    np.testing.assert_array_equal(both.geometry["cortex_R"].faces, FACES)
    assert both.geometry["cortex_R"].n_locations == 200


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("points", "faces", "meshes", "problem"),
    [
        (
            {s: p[ORDER] for s, p in BOTH.items()},
            PLACES[FACES],
            Surface(POINTS.astype("f4"), FACES),
            "its triangles differ",
        ),
        (
            dict.fromkeys(SHIFTS, POINTS[ORDER]),
            PLACES[FACES],
            POINTS.astype("f4"),
            "on the sphere its vertices lie elsewhere",
        ),
        (SWAPPED, FACES, None, "comes with the mesh of the other hemisphere"),
    ],
    ids=["triangles", "sphere", "sides"],
)
def test_another_mesh_of_labels_is_refused(form, points, faces, meshes, problem, tmp_path):
    files = labels_of(points, faces, form, tmp_path)
    stated = None if meshes is None else {c: {"sphere": meshes} for c in _SIDES.values()}
    with pytest.raises(ValueError, match=f"`files`.*{problem}"):
        ai.load_atlas(files, space="mine", meshes=stated)


@pytest.mark.parametrize("form", ["SurfaceImage", "GIFTI"])
def test_a_mask_of_another_mesh_than_that_of_the_labels_is_refused(form, tmp_path):
    def mask_of(points, faces):
        inside = (_KEYS > 1).astype("i4")
        if form == "GIFTI":
            return {c: gifti_of(points[side], faces, inside) for side, c in _SIDES.items()}
        parts = {side: InMemoryMesh(own.astype("f4"), faces) for side, own in points.items()}
        return SurfaceImage(PolyMesh(**parts), dict.fromkeys(parts, inside))

    files = labels_of(BOTH, FACES, form, tmp_path)
    atlas = ai.load_atlas(files, space="mine", mask=mask_of(BOTH, FACES[::-1]))
    assert atlas.geometry["cortex_L"].n_locations == 200
    moved = {side: points[ORDER] for side, points in BOTH.items()}
    with pytest.raises(ValueError, match=r"`mask` of 'cortex_L' .*its triangles differ"):
        ai.load_atlas(files, space="mine", mask=mask_of(moved, PLACES[FACES]))


def test_a_mesh_has_finite_coordinates():
    # nilearn's `SurfaceImage` has them by itself.
    files = {"cortex_L": gifti_of(BOTH["left"] * np.nan, FACES, _KEYS)}
    with pytest.raises(ValueError, match="some of whose coordinates are not finite"):
        ai.load_atlas(files, space="mine")


def test_files_of_one_hemisphere_have_one_mesh(tmp_path):
    half = np.where(_KEYS < 2, _KEYS, 0), np.where(_KEYS < 2, 0, _KEYS)
    images = [
        ("one", gifti_of(BOTH["left"], FACES, half[0])),
        ("two", gifti_of(BOTH["left"], FACES[::-1], half[1])),
        ("other", gifti_of(BOTH["left"][ORDER], PLACES[FACES], half[1])),
        ("none", nb.GiftiImage(darrays=gifti_of(POINTS, FACES, half[0]).darrays[2:])),
    ]
    paths = {name: saved(image, tmp_path / f"{name}.label.gii") for name, image in images}

    def load(*names):
        return ai.load_atlas({"cortex_L": [paths[name] for name in names]}, space="mine")

    for names in (("one", "two"), ("none", "two")):
        mesh = load(*names).geometry["cortex_L"]
        np.testing.assert_array_equal(mesh.anatomical, BOTH["left"].astype("f4"))
    with pytest.raises(ValueError, match=r"is not that of .*one.label.gii: its triangles differ"):
        load("one", "other")


def folded(n):
    """Return a surface that is folded as a cortex is, and its triangles."""
    points, faces = sphere_of(n)
    x, y, z = points.T / 100
    waves = 1 + 0.2 * np.sin(8 * np.arctan2(y, x)) * np.sin(8 * np.arccos(z))
    return points * waves[:, None] * [0.3, 0.7, 0.5], faces


@pytest.mark.parametrize(
    ("make", "shape", "role"),
    [
        (lambda n: folded(n)[0], None, "anatomical"),
        (lambda n: sphere_of(n)[0] * [0.3, 0.7, 0.5], None, None),
        (lambda n: sphere_of(n)[0] * [0.3, 0.7, 0.5], "Anatomical", "anatomical"),
        (lambda n: folded(n)[0], "Inflated", None),
        (lambda n: sphere_of(n)[0], "Spherical", "sphere"),
        (lambda n: sphere_of(n)[0] * [1, 1, 0], "Flat", "nothing"),
    ],
    ids=["folds", "inflated", "stated anatomical", "stated inflated", "sphere", "flat"],
)
def test_a_mesh_shows_what_it_is(make, shape, role):
    n = 2500
    faces = sphere_of(n)[1]
    image = gifti_of(make(n), faces, np.ones(n, np.int32), shape)
    mesh = ai.load_atlas({"cortex_L": image}, space="mine").geometry["cortex_L"]
    kept = {name for name in ("sphere", "anatomical") if getattr(mesh, name) is not None}
    assert kept == {role} - {None, "nothing"}
    assert (mesh.faces is None) == (role == "nothing")


@pytest.mark.parametrize(
    ("surface", "kept"),
    [
        ("pial", {"faces", "anatomical"}),
        ("white_matter", {"faces", "anatomical"}),
        ("inflated", {"faces"}),
        ("sphere", {"faces", "sphere"}),
    ],
)
def test_the_surfaces_of_fsaverage5_show_what_they_are(surface, kept):
    mesh = load_fsaverage("fsaverage5")[surface]
    image = SurfaceImage(mesh, {side: np.arange(10242) % 7 for side in ("left", "right")})
    for own in ai.load_atlas(image, space="fsaverage5").geometry.values():
        roles = {
            role for role in ("faces", "sphere", "anatomical") if getattr(own, role) is not None
        }
        assert roles == kept
