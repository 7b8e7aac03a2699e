"""Parcels split at the midline and into pieces, beside NumPy, SciPy, networkx and nilearn."""

import networkx
import nibabel as nb
import numpy as np
import pytest
from helpers import mixed_atlas, table
from helpers_smoothing import icosphere
from helpers_surfaces import brain_atlas
from nilearn.regions import connected_label_regions
from scipy import ndimage

import atlasinit as ai

SHAPE = (7, 6, 5)
AFFINES = {
    "right to left": np.array([[-2.0, 0, 0, 6], [0, 2, 0, -4], [0, 0, 2, 0], [0, 0, 0, 1]]),
    "off the middle": np.array([[2.0, 0, 0, -7], [0, 2, 0, -4], [0, 0, 2, 0], [0, 0, 0, 1]]),
    "x last": np.array([[0, 0, 1.5, -3.0], [0, 2, 0, -4], [-2, 0, 0, 0], [0, 0, 0, 1]]),
    "oblique": np.array([[1.8, 0.4, 0, -6], [-0.4, 1.8, 0, -4], [0, 0, 2, 0], [0, 0, 0, 1]]),
    # 0.7 steps from -2.1, in float32, end beside 0.
    "rounded": np.diag(np.float32([0.7, 0.7, 0.7, 1])).astype(float) + np.outer([1, 0, 0, 0], [0, 0, 0, -2.1]),
}  # fmt: skip
FORMS = {
    "hard": lambda w: ai.HardMaps(np.where(w.max(axis=0) > 0.6, w.argmax(axis=0), -1).astype(np.int32), len(w)),
    "dense": lambda w: ai.DenseMaps(np.where(w > 0.6, w - 0.8, 0)),
    "sparse": lambda w: ai.SparseMaps.from_scipy(np.where(w > 0.6, w - 0.8, 0)),
}  # fmt: skip


def volume(form="hard", affine="right to left", seed=0):
    """Return four parcels in many pieces, of which the third is empty, on most voxels of a grid."""
    rng = np.random.default_rng(seed)
    grid = ai.VolumeGrid(SHAPE, AFFINES[affine], np.flatnonzero(rng.random(SHAPE) < 0.9))
    weights = rng.random((4, grid.n_locations)).astype(np.float32)
    weights[2] = 0
    labels = table(["volume"] * 4, [4, 9, 2, 1], ["one é", "two", "none", "four"], lobe=["x", None, "y", "x"])  # fmt: skip
    return ai.Atlas(name="v", space="mine", maps={"volume": FORMS[form](weights)}, geometry={"volume": grid}, labels=labels)  # fmt: skip


def surface(form="hard", *, united=False):
    """Return three parcels in many pieces on two spheres, without a few of the vertices."""
    points, faces = icosphere(2)
    rng = np.random.default_rng(1)
    maps, geometry = {}, {}
    for c in ("cortex_L", "cortex_R"):
        kept = np.flatnonzero(rng.random(len(points)) < 0.95)
        geometry[c] = ai.SurfaceMesh(len(points), kept, hemisphere=c[-1], faces=faces)
        maps[c] = FORMS[form](rng.random((3, kept.size)).astype(np.float32))
    names = ["L_a", "L_b", "L_c", "R_a", "R_b", "R_c"]
    labels = table(["cortex_L"] * 3 + ["cortex_R"] * 3, [1, 2, 3] * 2, names)
    atlas = ai.Atlas(name="s", space="mine", maps=maps, geometry=geometry, labels=labels)
    return atlas.unite() if united else atlas


def dense(atlas):
    """Return one matrix (parcels, locations), by the rows of the table."""
    out = np.zeros((atlas.n_parcels, atlas.n_locations))
    for c, matrix in atlas.to_dense().items():
        out[atlas.parcel_slices()[c], atlas.location_slices()[c]] = matrix
    return out


def check_rest(atlas, split, parts):
    """Check the table, given how many rows each parcel became."""
    rows = np.repeat(np.arange(atlas.n_parcels), parts)
    first = np.diff(rows, prepend=-1) > 0
    assert split.n_parcels == rows.size
    for title in {*atlas.table.columns} - {"key", "name", "hemisphere"}:
        assert split.table[title] == tuple(np.array(atlas.table[title], object)[rows]), title
    keys = np.array(split.table["key"])
    np.testing.assert_array_equal(keys[first], atlas.table["key"])
    count = np.count_nonzero(~first)
    top = max(atlas.table["key"])
    np.testing.assert_array_equal(keys[~first], np.arange(top + 1, top + 1 + count))
    assert split.geometry == atlas.geometry
    assert {c: type(m) for c, m in split.maps.items()} == {c: type(m) for c, m in atlas.maps.items()}  # fmt: skip
    # Each location's weight is in one of the parts, and merging finds the maps again.
    names = {}
    for row, new in zip(rows, split.table["name"], strict=True):
        names.setdefault(atlas.table["name"][row], []).append(new)
    merged = ai.merge_parcels(split, names)
    assert {c: (type(m), m.to_dense().tolist()) for c, m in merged.maps.items()} == {
        c: (type(m), m.to_dense().tolist()) for c, m in atlas.maps.items()
    }
    assert (merged.table["key"], merged.table["name"]) == (atlas.table["key"], atlas.table["name"])
    assert merged.table["color"] == atlas.table["color"]
    return rows


@pytest.mark.parametrize("affine", AFFINES)
@pytest.mark.parametrize("form", FORMS)
def test_the_midline_is_where_numpy_has_it(form, affine):
    atlas = volume(form, affine)
    split = ai.split_parcels(atlas, "midline")
    mask = atlas.geometry["volume"].mask
    ijk = np.argwhere(mask)
    x = nb.affines.apply_affine(AFFINES[affine], ijk)[:, 0].round(5)
    expected, names, sides, parts = [], [], [], []
    for row, weights in enumerate(dense(atlas)):
        own, name = weights != 0, atlas.table["name"][row]
        two = (own & (x < 0)).any() and (own & (x > 0)).any()
        halves = {"L": x <= 0, "R": x > 0} if two else {"": x == x}
        parts.append(len(halves))
        for side, half in halves.items():
            expected.append(np.where(half, weights, 0))
            names.append(f"{side}_{name}" if side else name)
            sides.append(side)
    np.testing.assert_array_equal(dense(split), expected)
    assert split.table["name"] == tuple(names)
    assert split.table["hemisphere"] == tuple(sides)
    assert parts == [2, 2, 1, 2]
    check_rest(atlas, split, parts)
    told = "split_parcels(by='midline'; 'one é', 'two', 'four'; 4 parcels to 7)"
    assert split.provenance.operations == (told,)


def test_the_midline_itself_makes_no_parcel_two():
    labels = np.array([0, 0, 1, 1, 2, 2, 2, -1], np.int32)
    affine = np.diag([1.0, 1, 1, 1])
    affine[0, 3] = -1
    # x is -1, 0 / 0, 1 / -1, 0, 1 / 0.
    voxels = [0 * 8, 1 * 8, 1 * 8 + 1, 2 * 8 + 1, 2, 1 * 8 + 2, 2 * 8 + 2, 1 * 8 + 3]
    atlas = ai.Atlas(
        name="m",
        space="mine",
        maps={"volume": ai.HardMaps(labels, 3)},
        geometry={"volume": ai.VolumeGrid((3, 1, 8), affine, voxels)},
        labels=table(["volume"] * 3, names=["left", "right", "both"]),
    )
    split = ai.split_parcels(atlas, "midline")
    assert split.table["name"] == ("left", "right", "L_both", "R_both")
    assert split.maps["volume"].labels.tolist() == [0, 0, 1, 1, 2, 2, 3, -1]


def test_surfaces_have_one_side_unless_both_share_a_parcel():
    atlas = surface()
    same = ai.split_parcels(atlas, "midline")
    assert (same.table, same.maps) == (atlas.table, atlas.maps)
    assert same.provenance.operations == ("split_parcels(by='midline'; 6 parcels to 6)",)
    united = surface(united=True)
    split = ai.split_parcels(united, "midline")
    assert split.table["name"] == ("L_a", "R_a", "L_b", "R_b", "L_c", "R_c")
    assert split.table["hemisphere"] == ("L", "R") * 3
    check_rest(united, split, [2, 2, 2])
    for c in atlas.compartments:
        own = dense(atlas)[:, atlas.location_slices()[c]]
        rows = [split.table["name"].index(n) for n in atlas.table["name"]]
        np.testing.assert_array_equal(dense(split)[rows][:, atlas.location_slices()[c]], own)


def test_cortex_stays_beside_a_volume_that_is_split():
    atlas = mixed_atlas()
    split = ai.split_parcels(atlas, "midline")
    # All voxels of the grid have x <= 0.
    assert split.table == atlas.table
    moved = ai.VolumeGrid((3, 4, 5), np.array([[-2.0, 0, 0, 2], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]]), atlas.geometry["subcortex"].voxels)  # fmt: skip
    atlas = atlas.replace(geometry={"subcortex": moved})
    split = ai.split_parcels(atlas, "midline")
    assert split.table["name"][5:] == ("L_Left-Thalamus", "R_Left-Thalamus", "L_Right-Thalamus", "R_Right-Thalamus")  # fmt: skip
    assert split.table["key"] == (1, 2, 300, 1, 2, 10, 301, 49, 302)
    check_rest(atlas, split, [1] * 5 + [2, 2])


def pieces_of(weights, geometry):
    """Return the pieces of (locations,) weights as lists of locations, by networkx."""
    graph = networkx.Graph()
    own = np.flatnonzero(weights).tolist()
    graph.add_nodes_from(own)
    if isinstance(geometry, ai.SurfaceMesh):
        numbers = geometry.vertices.tolist()
        edges = [pair for face in geometry.faces.tolist() for pair in zip(face, face[1:] + face[:1], strict=True)]  # fmt: skip
    else:
        numbers = [tuple(v) for v in geometry.ijk.tolist()]
        edges = [(v, tuple(np.add(v, step).tolist())) for v in numbers for step in np.eye(3, dtype=int)]  # fmt: skip
    place = {number: i for i, number in enumerate(numbers)}
    joined = [(place.get(a), place.get(b)) for a, b in edges]
    graph.add_edges_from((a, b) for a, b in joined if a in graph and b in graph)
    return [sorted(piece) for piece in networkx.connected_components(graph)]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("make", [volume, surface, lambda form: surface(form, united=True)])
def test_pieces_are_the_connected_components_of_networkx(make, form):
    atlas = make(form)
    split = ai.split_parcels(atlas, "pieces")
    matrix, expected, parts, names = dense(atlas), [], [], []
    for row, weights in enumerate(matrix):
        found = []
        for c, at in atlas.location_slices().items():
            found += [[i + at.start for i in piece] for piece in pieces_of(weights[at], atlas.geometry[c])]  # fmt: skip
        found.sort(key=lambda piece: (-len(piece), piece[0]))
        name = atlas.table["name"][row]
        names += [f"{name}-{i + 1}" for i in range(len(found))] if len(found) > 1 else [name]
        parts.append(max(len(found), 1))
        for piece in found or [[]]:
            expected.append(np.where(np.isin(np.arange(weights.size), piece), weights, 0))
    assert max(parts) > 3
    np.testing.assert_array_equal(dense(split), expected)
    assert split.table["name"] == tuple(names)
    rows = check_rest(atlas, split, parts)
    assert split.table["hemisphere"] == tuple(np.array(atlas.table["hemisphere"])[rows])
    # Pieces of pieces are these.
    assert ai.split_parcels(split, "pieces").table == split.table


def test_pieces_as_scipy_and_nilearn_have_them():
    atlas = volume()
    grid = atlas.geometry["volume"]
    split = ai.split_parcels(atlas, "pieces")
    before = grid.put(np.asarray(atlas.maps["volume"].labels), fill=-1.0)
    after = grid.put(np.asarray(split.maps["volume"].labels), fill=-1.0)
    for row in range(4):
        theirs = np.asarray(ndimage.label(before == row)[0])
        ours = np.where(before == row, after, -1)
        pairs = {(a, b) for a, b in zip(theirs.ravel(), ours.ravel(), strict=True)}
        # One to one.
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})
    image = nb.Nifti1Image((before + 1).astype(np.int32), grid.affine)
    regions = connected_label_regions(image, connect_diag=False)
    theirs = np.asarray(regions.dataobj).ravel().astype(int)
    pairs = {(a, b) for a, b in zip(theirs, after.ravel(), strict=True)}
    assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs}) == split.labels["n_locations"].gt(0).sum() + 1  # fmt: skip


def test_names_that_are_taken_get_a_count():
    atlas = volume()
    atlas = atlas.replace(labels=atlas.table.replace(name=["two", "L_four", "R_two", "four"]))
    names = ai.split_parcels(atlas, "midline").table["name"]
    assert names == ("L_two", "R_two-2", "L_L_four", "R_L_four", "R_two", "L_four", "R_four")
    assert atlas.table["name"][2] in names


def test_what_is_stored_as_0_or_nan():
    grid = ai.VolumeGrid((4, 1, 1), np.diag([1.0, 1, 1, 1]))
    values = np.array([np.nan, 0, 2, -1], np.float32)
    for maps in (
        ai.DenseMaps(values[None]),
        ai.SparseMaps(values, np.arange(4, dtype=np.int32), np.array([0, 4], np.int32), 4),
    ):
        atlas = ai.Atlas(name="n", space="mine", maps={"volume": maps}, geometry={"volume": grid}, labels=table(["volume"]))  # fmt: skip
        split = ai.split_parcels(atlas, "pieces")
        np.testing.assert_array_equal(split.to_dense()["volume"], [[0, 0, 2, -1], [np.nan, 0, 0, 0]])  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
@pytest.mark.parametrize("form", ["dense", "sparse"])
def test_weights_keep_their_precision(form, dtype):
    atlas = volume(form)
    own = atlas.maps["volume"]
    values = np.random.default_rng(0).random(own.values.shape).astype(dtype)
    maps = ai.DenseMaps(values) if form == "dense" else ai.SparseMaps(values, own.indices, own.indptr, own.n_locations)  # fmt: skip
    atlas = atlas.replace(maps={"volume": maps})
    found = ai.split_parcels(atlas, "midline").maps["volume"].values
    assert found.dtype == dtype
    np.testing.assert_array_equal(np.sort(found[found != 0]), np.sort(values[values != 0]))


@pytest.mark.parametrize(
    ("make", "by", "message"),
    [
        (volume, "side", "`by` should be \"midline\" or \"pieces\", got 'side'"),
        (mixed_atlas, "pieces", r"the mesh of 'cortex_L' has no triangles.*`mesh\.replace\(faces=\.\.\.\)`"),
        (lambda: sideless(), "midline", "the mesh of 'surface' states no side; state it by the name of its compartment"),
        (lambda: volume().replace(labels=volume().table.replace(key=[2**31 - 2, 1, 2, 3])), "midline", r"no keys are left .* above 2147483646.*`ai\.renumber_parcels\(atlas\)`"),
    ],
)  # fmt: skip
def test_what_cannot_be_split_is_refused(make, by, message):
    with pytest.raises(ValueError, match=message):
        ai.split_parcels(make(), by)


def sideless():
    return ai.load_atlas({"surface": np.array([1, 1, 2, 0])}, space="mine")


def test_the_advice_of_these_errors_works():
    named = ai.load_atlas({"cortex_R": np.array([1, 1, 2, 0])}, space="mine")
    assert ai.split_parcels(named, "midline").n_parcels == 2
    high = volume().replace(labels=volume().table.replace(key=[2**31 - 2, 1, 2, 3]))
    assert ai.split_parcels(ai.renumber_parcels(high), "midline").n_parcels == 7
    atlas = mixed_atlas()
    faces = [[0, 1, 2], [1, 2, 3], [8, 9, 10]]
    meshes = {c: atlas.geometry[c].replace(faces=faces) for c in ("cortex_L", "cortex_R")}
    assert ai.split_parcels(atlas.replace(geometry=meshes), "pieces").n_parcels > atlas.n_parcels


@pytest.mark.parametrize(
    ("form", "by", "name"),
    [
        ("hard", "pieces", "x.nii.gz"),
        ("hard", "midline", "x.npz"),
        ("sparse", "pieces", "x.nii.gz"),
    ],
)
def test_files_of_the_parts(tmp_path, form, by, name):
    split = ai.split_parcels(volume(form), by)
    ai.save_atlas(split, tmp_path / name)
    again = ai.load_atlas(tmp_path / name)
    assert again.table == split.table
    assert again.provenance.operations[-1] == split.provenance.operations[-1]
    # A file holds the whole grid, of which the atlas kept the most.
    mask = split.geometry["volume"].mask
    grid = again.geometry["volume"]
    np.testing.assert_array_equal(
        split.geometry["volume"].take(grid.put(dense(again).T)), dense(split).T
    )
    assert not grid.put(dense(again).T)[~mask].any()


def test_cifti_of_the_parts(tmp_path):
    atlas = brain_atlas()
    moved = np.array([[-2.0, 0, 0, 2], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])
    own = atlas.geometry["subcortex"]
    grid = ai.VolumeGrid(own.shape, moved, own.voxels, own.structures)
    labels = ai.HardMaps(np.array([0, 1, 1, 0, -1, 0, 1], np.int32), 2)
    atlas = atlas.replace(geometry={"subcortex": grid}, maps={"subcortex": labels})
    split = ai.split_parcels(ai.renumber_parcels(atlas), "midline")
    assert split.n_parcels == 9
    (path,) = ai.save_atlas(split, tmp_path / "x.dlabel.nii")
    again = ai.load_atlas(path)
    assert again.table == split.table
    np.testing.assert_array_equal(dense(again), dense(split))


@pytest.mark.parametrize("by", ["midline", "pieces"])
def test_masks_of_the_parts(tmp_path, by):
    plain = ai.rename_parcels(volume(), {"one é": "one"})
    split = ai.split_parcels(plain, by).drop_empty()
    found = ai.save_masks(split, tmp_path / "masks")
    assert list(found) == list(split.table["name"])
    assert len({path.name for (path,) in found.values()}) == split.n_parcels
    for row, (path,) in zip(dense(split), found.values(), strict=True):
        mask = np.asarray(nb.load(path).dataobj)
        np.testing.assert_array_equal(split.geometry["volume"].take(mask), row)
        assert mask.sum() == row.sum()
