"""Atlases joined: compartments, and parcels of one grid or mesh, beside NumPy."""

import re

import numpy as np
import pytest
from helpers import mixed_atlas, table, unchecked
from helpers_smoothing import icosphere

import atlasinit as ai
from atlasinit.joining import CONFLICTS

SHAPE, AFFINE = (4, 3, 2), np.diag([2.0, 2, 2, 1])
FLIPPED = np.array([[-2.0, 0, 0, 6], [0, 2, 0, 0], [0, 0, 2, 0], [0, 0, 0, 1]])


def volume(keys, name, *, kept=None, form="hard", names=None, grid=None, **extra):
    """Return an atlas whose labels (24,) of the whole grid, or weights (parcels, 24), are given."""
    values = np.asarray(keys)
    grid = ai.VolumeGrid(SHAPE, AFFINE, kept) if grid is None else grid
    values = values[..., grid.voxels]
    rows = np.unique(values[values > 0]).tolist() if form == "hard" else range(1, len(values) + 1)
    maps = {
        "hard": lambda: ai.HardMaps(np.where(values > 0, np.searchsorted(rows, values), -1).astype(np.int32), len(rows)),
        "sparse": lambda: ai.SparseMaps.from_scipy(values),
        "dense": lambda: ai.DenseMaps(values),
    }[form]()  # fmt: skip
    labels = table(
        ["volume"] * len(rows), list(rows), names or [f"{name}{k}" for k in rows], **extra
    )
    return ai.Atlas(name=name, space="mine", maps={"volume": maps}, geometry={"volume": grid}, labels=labels)  # fmt: skip


def whole(atlas, c="volume"):
    """Return the weights (parcels, 24) on the whole grid."""
    return atlas.geometry[c].put(atlas.maps[c].to_dense().T).reshape(24, -1).T


ONE = np.array([2] * 6 + [5] * 6 + [0] * 12)
OTHER = np.array([0] * 10 + [1] * 8 + [2] * 6)


def test_parcels_of_one_grid_are_rows_in_the_order_of_the_atlases():
    one, other = volume(ONE, "a", lobe=["x", None]), volume(np.where(ONE > 0, 0, OTHER), "b")
    joined = ai.join([one, other])
    # The key 2 of the second is taken, so that all of its keys are moved.
    assert joined.table["key"] == (2, 5, 11, 12)
    assert joined.table["name"] == ("a2", "a5", "b1", "b2")
    assert joined.table["lobe"] == ("x", None, None, None)
    assert (joined.name, joined.compartments) == ("a+b", ("volume",))
    np.testing.assert_array_equal(whole(joined), np.concatenate([whole(one), whole(other)]))
    assert isinstance(joined.maps["volume"], ai.HardMaps)
    assert joined.provenance.operations == ("join(conflicts='error'; 0 locations of several)",)
    # In the other order, too: nothing is matched by position.
    turned = ai.join([other, one])
    assert turned.table["name"] == ("b1", "b2", "a2", "a5")
    assert turned.table["key"] == (1, 2, 12, 15)
    np.testing.assert_array_equal(whole(turned), np.concatenate([whole(other), whole(one)]))


WINS = {
    # Locations 10 and 11 are of a5 (6 voxels) and of b1 (8 voxels).
    "first": lambda a, b: (a, np.where(a.any(axis=0), 0, b)),
    "last": lambda a, b: (np.where(b.any(axis=0), 0, a), b),
    "larger": lambda a, b: (np.where(b.any(axis=0), 0, a), b),
}


@pytest.mark.parametrize("how", WINS)
def test_labels_of_two_atlases(how):
    one, other = volume(ONE, "a"), volume(OTHER, "b")
    joined = ai.join([one, other], conflicts=how)
    expected = np.concatenate(WINS[how](whole(one), whole(other)))
    np.testing.assert_array_equal(whole(joined), expected)
    assert joined.provenance.operations == (f"join(conflicts={how!r}; 2 locations of several)",)
    # Whoever is larger stays so in another order; of equal ones the first wins.
    if how == "larger":
        turned = ai.join([other, one], conflicts=how)
        np.testing.assert_array_equal(whole(turned), np.roll(expected, 2, axis=0))
        same = volume(np.where(ONE == 5, 9, 0), "c")
        with pytest.warns(ai.AtlasWarning, match="1 parcel lost all .* without locations are c9"):
            kept = ai.join([one, same], conflicts=how)
        assert kept.labels["n_locations"].tolist() == [6, 6, 0]


def test_labels_of_two_atlases_are_refused_with_where_they_meet():
    one, other = volume(ONE, "a"), volume(OTHER, "b")
    message = (
        "`atlases`: 'a' and 'b' both have labels at 2 voxels of 'volume', 2 of them 'a5' of the one "
        "and 'b1' of the other; as at (2, 4, 0) and (2, 4, 2) mm. Pass conflicts=\"first\", "
        'conflicts="last" or conflicts="larger" to keep one of them.'
    )
    with pytest.raises(ai.ArgumentError, match=re.escape(message)):
        ai.join([one, volume(np.zeros(24, int), "none"), other])


@pytest.mark.parametrize("forms", [("hard", "sparse"), ("dense", "dense"), ("sparse", "dense")])
@pytest.mark.parametrize("how", CONFLICTS)
def test_weights_overlap_unless_one_atlas_wins(forms, how):
    rng = np.random.default_rng(3)
    weights = np.where(rng.random((2, 2, 24)) < 0.5, rng.random((2, 2, 24)), 0)
    weights[:, :, [0, 8]] = 0  # so that no label loses all
    given = [ONE if f == "hard" else w for f, w in zip(forms, weights, strict=True)]
    atlases = [volume(g, n, form=f) for g, n, f in zip(given, "ab", forms, strict=True)]
    joined = ai.join(atlases, conflicts=how)
    own = [whole(atlas) for atlas in atlases]
    totals = np.stack([w.sum(axis=0) for w in own])
    both = (totals > 0).all(axis=0)
    assert 0 < both.sum() < 24
    wins = {"first": 0, "last": 1, "larger": totals.argmax(axis=0)}
    if how != "error":
        own = [np.where(both & (wins[how] != i), 0, w) for i, w in enumerate(own)]
    np.testing.assert_allclose(whole(joined), np.concatenate(own), rtol=1e-6)
    dense = forms == ("dense", "dense")
    assert type(joined.maps["volume"]) is (ai.DenseMaps if dense else ai.SparseMaps)
    # In the precision that they have had.
    assert joined.maps["volume"].values.dtype == np.float64


@pytest.mark.parametrize("affine", [AFFINE, FLIPPED], ids=["as it is", "right to left"])
def test_other_voxels_of_one_grid(affine):
    """Kept voxels in any order, stored in either direction: the union, found by coordinates."""
    order = np.random.default_rng(0).permutation(12)
    one = volume(ONE, "a", kept=order)
    stored = ONE[::-1] if affine is AFFINE else OTHER.reshape(SHAPE)[::-1].reshape(-1)
    other = volume(stored, "b", grid=ai.VolumeGrid(SHAPE, affine, np.flatnonzero(stored)))
    joined = ai.join([one, other], conflicts="last")
    grid = joined.geometry["volume"]
    assert grid.affine.tolist() == AFFINE.tolist()
    assert np.array_equal(grid.voxels, np.arange(24))
    place = {tuple(xyz): i for i, xyz in enumerate(grid.coordinates.tolist())}
    got = joined.maps["volume"].to_dense()
    for rows, atlas in ((slice(0, 2), one), (slice(2, None), other)):
        at = [place[tuple(xyz)] for xyz in atlas.geometry["volume"].coordinates.tolist()]
        mine = atlas.maps["volume"].to_dense()
        lost = 0 if atlas is other else (got[2:, at].any(axis=0) & mine.any(axis=0))
        np.testing.assert_array_equal(got[rows, at], np.where(lost, 0, mine))


def test_a_geometry_that_has_all_locations_stays():
    order = np.random.default_rng(1).permutation(24)
    grid = ai.VolumeGrid(SHAPE, AFFINE, order, (("CIFTI_STRUCTURE_THALAMUS_LEFT", 24),))
    one = volume(np.where(ONE > 0, ONE, 0), "a", kept=np.arange(12))
    joined = ai.join([one, volume(np.where(ONE > 0, 0, OTHER), "b", grid=grid)])
    assert joined.geometry["volume"] == grid
    np.testing.assert_array_equal(whole(joined)[:2], whole(one))


def test_structures_of_cifti_stay_runs():
    left, right, stem = (
        f"CIFTI_STRUCTURE_{n}" for n in ("CAUDATE_LEFT", "CAUDATE_RIGHT", "BRAIN_STEM")
    )
    one = ai.VolumeGrid(SHAPE, AFFINE, [9, 1, 2, 20], ((left, 2), (stem, 2)))
    other = ai.VolumeGrid(SHAPE, AFFINE, [5, 4, 21], ((right, 2), (stem, 1)))
    atlases = [volume(np.ones(24), n, grid=g) for n, g in (("a", one), ("b", other))]
    grid = ai.join(atlases).geometry["volume"]
    assert grid.structures == ((left, 2), (stem, 3), (right, 2))
    assert grid.voxels.tolist() == [1, 9, 2, 20, 21, 4, 5]
    # One voxel in two of them: nobody can say which.
    clash = ai.VolumeGrid(SHAPE, AFFINE, [9, 3], ((right, 2),))
    joined = ai.join([atlases[0], volume(np.ones(24), "c", grid=clash)], conflicts="first")
    assert joined.geometry["volume"].structures == ()


def surface(labels, name, *, side="L", **mesh):
    points, faces = icosphere(1)
    labels = np.asarray(labels, np.int32)
    kept = np.flatnonzero(labels > -2)
    own = ai.SurfaceMesh(len(points), kept, hemisphere=side, **{"faces": faces, **mesh})
    n = int(labels.max()) + 1
    c = f"cortex_{side}"
    rows = table([c] * n, range(1, n + 1), [f"{name}{k}" for k in range(n)])
    return ai.Atlas(name=name, space="mine", maps={c: ai.HardMaps(labels[kept], n)}, geometry={c: own}, labels=rows)  # fmt: skip


def test_meshes_of_one_hemisphere():
    points, faces = icosphere(1)
    labels = np.repeat([0, -2, 1], 14)
    one = surface(labels, "a", sphere=points)
    other = surface(np.where(labels == -2, 0, -2), "b", anatomical=points / 2, faces=None)
    joined = ai.join([one, other])
    mesh = joined.geometry["cortex_L"]
    assert mesh == ai.SurfaceMesh(42, hemisphere="L", faces=faces, sphere=points, anatomical=points / 2)  # fmt: skip
    assert joined.maps["cortex_L"].labels.tolist() == np.repeat([0, 2, 1], 14).tolist()
    assert ai.join([one, surface(labels, "r", side="R")]).compartments == ("cortex_L", "cortex_R")
    with pytest.raises(ValueError, match=r"28 vertices of 'cortex_L', 14 of them 'a0' .* vertex 0"):
        ai.join([one, surface(labels, "c")])
    for own, told in (
        ({"faces": faces[:, [1, 0, 2]][::-1]}, ""),
        ({"faces": np.roll(faces, 1)}, "its triangles differ"),
        ({"sphere": -points}, "on the sphere its vertices lie elsewhere"),
    ):
        third = surface(np.where(labels == -2, 0, -2), "d", **own)
        if not told:
            assert ai.join([one, third]).n_parcels == 3
            continue
        with pytest.raises(ValueError, match=f"of 'a' and of 'd' lie on different meshes: {told}"):
            ai.join([one, third])


def test_parcels_that_compartments_share():
    both = ai.join([surface(np.repeat([0, -1], 21), "p", side=s) for s in "LR"]).unite(by="key")
    rest = ai.join([surface(np.repeat([-1, 0], 21), "p", side=s) for s in "LR"])
    with pytest.raises(ValueError, match=r"of 'p\+p' in cortex_L\+cortex_R, .* in cortex_L; let both share them by `atlas.unite"):  # fmt: skip
        ai.join([both, rest])
    joined = ai.join([both, rest.unite(by="key")])
    assert joined.table["compartment"] == ("cortex_L+cortex_R",) * 2
    for maps in joined.maps.values():
        assert maps.labels.tolist() == [0] * 21 + [1] * 21


def test_names_that_are_taken():
    twice = ai.join([volume(ONE, "a"), volume(np.where(ONE == 0, 2, 0), "a")])
    assert twice.table["name"] == ("a2-2", "a5", "a2-12")


def test_compartments_of_other_names_and_one_atlas_stay():
    atlas = mixed_atlas()
    assert ai.join([atlas]) == atlas
    left, rest = atlas.select(hemisphere="L"), mixed_atlas()
    parts = [
        left.select(compartments="cortex_L"),
        rest.select(compartments=["cortex_R", "subcortex"]),
    ]
    joined = ai.join(parts, name="again")
    assert (joined.name, joined.compartments) == ("again", atlas.compartments)
    assert joined.table["name"] == atlas.table["name"]
    assert joined.maps == atlas.maps


@pytest.mark.parametrize(
    ("atlases", "error", "message"),
    [
        ([], ValueError, "`atlases` should hold at least one atlas, got none"),
        (mixed_atlas(), TypeError, "`atlases` should be a list of atlases, got Atlas"),
        (["aal", mixed_atlas()], TypeError, r"a list of atlases, got \['str'\]"),
        ({"a": mixed_atlas()}, TypeError, "got dict"),
        ("aal", TypeError, "got str"),
        (None, TypeError, r"got \['NoneType'\]"),
    ],
    ids=str,
)
def test_what_are_no_atlases(atlases, error, message):
    with pytest.raises(error, match=message):
        unchecked(ai.join)(atlases)


def test_places_that_differ():
    one = volume(ONE, "a")
    moved = volume(OTHER, "b", grid=ai.VolumeGrid(SHAPE, AFFINE * [[1], [1], [2], [1]]))
    with pytest.raises(ValueError, match=r"'volume' of 'a' and of 'b' lie on different grids, .*ai\.resample\(atlas, other\)"):  # fmt: skip
        ai.join([one, moved])
    # What the error says helps.
    assert ai.join([one, ai.resample(moved, one)], conflicts="first").n_parcels == 4
    mesh = ai.SurfaceMesh(24)
    odd = ai.Atlas(
        name="m", space="mine", maps=one.maps, geometry={"volume": mesh}, labels=one.table
    )
    with pytest.raises(ValueError, match="are VolumeGrid and SurfaceMesh"):
        ai.join([one, odd])
    with pytest.raises(ValueError, match="`conflicts` should be \"error\", .* got 'second'"):
        ai.join([one], conflicts="second")


def test_keys_that_leave_no_room_are_refused_with_what_helps():
    most = 2**31 - 1
    atlases = [volume(np.where(ONE == 2, 1, np.where(ONE, most, 0)), name) for name in "ab"]
    message = "keys up to 2147483647 do not fit int32 .* by `ai.renumber_parcels"
    with pytest.raises(ValueError, match=message):
        ai.join(atlases, conflicts="first")
    numbered = [ai.renumber_parcels(atlas) for atlas in atlases]
    with pytest.warns(ai.AtlasWarning, match="2 parcels lost all locations"):
        joined = ai.join(numbered, conflicts="first")
    assert joined.labels["key"].tolist() == [1, 2, 11, 12]
