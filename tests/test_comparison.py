"""Two atlases compared, beside scikit-learn, SciPy and closed forms."""

import re

import numpy as np
import pytest
from helpers import mixed_atlas, table, unchecked
from helpers_smoothing import icosphere
from scipy.optimize import linear_sum_assignment
from scipy.sparse import csr_array
from scipy.spatial.distance import cdist, directed_hausdorff
from sklearn.metrics import (
    adjusted_rand_score,
    mutual_info_score,
    normalized_mutual_info_score,
)

import atlasinit as ai
from atlasinit.comparison import overlaps
from atlasinit.comparison.partitions import adjusted_rand, mutual_information

SHAPE, AFFINE = (6, 5, 4), np.diag([2.0, 3, 1.5, 1])
GRID = ai.VolumeGrid(SHAPE, AFFINE)


def atlas_of(maps, name, *, grid=GRID, c="volume", space="mine"):
    labels = table([c] * maps.n_parcels, names=[f"{name}{k}" for k in range(maps.n_parcels)])
    return ai.Atlas(name=name, space=space, maps={c: maps}, geometry={c: grid}, labels=labels)


def labels_of(n, seed, kept=0.8):
    rng = np.random.default_rng(seed)
    found = rng.integers(0, n, GRID.n_locations)
    return np.where(rng.random(found.size) < kept, found, -1).astype(np.int32)


def hard(n, seed, **options):
    return atlas_of(ai.HardMaps(labels_of(n, seed), n), "ab"[seed % 2], **options)


def test_labels_beside_scikit_learn_and_scipy():
    # Parcels of one location, and one without any.
    one, other = labels_of(5, 0), labels_of(8, 1)
    one[one == 3] = -1
    a, b = atlas_of(ai.HardMaps(one, 5), "a"), atlas_of(ai.HardMaps(other, 8), "b")
    found = ai.compare(a, b)
    dense = a.maps["volume"].to_dense(), b.maps["volume"].to_dense()
    shared = dense[0] @ dense[1].T
    np.testing.assert_array_equal(found.overlap.toarray(), shared)
    np.testing.assert_allclose(found.overlap_size.toarray(), 9 * shared)
    sums = [m.sum(axis=1) for m in dense]
    dice = 2 * shared / np.add.outer(*sums)
    np.testing.assert_allclose(found.dice.toarray(), dice, rtol=1e-6)
    assert found.dice.nnz == np.count_nonzero(shared)
    both = (one >= 0) & (other >= 0)
    pair = one[both], other[both]
    np.testing.assert_allclose(found.rand, adjusted_rand_score(*pair), atol=1e-12)
    np.testing.assert_allclose(found.nmi, normalized_mutual_info_score(*pair), atol=1e-12)
    mutual = mutual_info_score(*pair) / np.log(2)
    entropies = [mutual_info_score(x, x) / np.log(2) for x in pair]
    np.testing.assert_allclose(found.vi, sum(entropies) - 2 * mutual, atol=1e-12)
    rows, columns = linear_sum_assignment(dice, maximize=True)
    kept = dice[rows, columns] > 0
    np.testing.assert_allclose(found.match_dice.sum(), dice[rows, columns].sum())
    assert sorted(found.matches[found.matches >= 0]) == sorted(set(found.matches) - {-1})
    assert (found.matches >= 0).sum() == kept.sum() == 4
    np.testing.assert_allclose(found.mean_dice, found.match_dice[found.matches >= 0].mean())
    for row, column in enumerate(found.matches.tolist()):
        if column < 0:
            assert np.isnan(found.hausdorff[row])
            continue
        A, B = (GRID.coordinates[labels == k] for labels, k in ((one, row), (other, column)))
        expected = max(directed_hausdorff(A, B)[0], directed_hausdorff(B, A)[0])
        np.testing.assert_allclose(found.hausdorff[row], expected)
        # All of these scattered voxels lie at borders.
        apart = cdist(A, B)
        mean = np.concatenate([apart.min(axis=0), apart.min(axis=1)]).mean()
        np.testing.assert_allclose(found.boundary_distance[row], mean)


def test_the_table_tells_what_matches_what_in_the_order_of_the_first():
    labels = np.repeat([0, 1, 2, -1], 30).astype(np.int32)
    other = np.repeat([1, 1, 0, 0, -1, 2], 20).astype(np.int32)
    a, b = atlas_of(ai.HardMaps(labels, 4), "a"), atlas_of(ai.HardMaps(other, 3), "b")
    found = ai.compare(a, b).table
    assert found["parcel"].tolist() == ["a0", "a1", "a2", "a3"]
    assert found["locations"].tolist() == [30, 30, 30, 0]
    assert found["largest"].tolist() == ["b1", "b0", "b0", ""]
    np.testing.assert_allclose(found["share"], [1, 2 / 3, 2 / 3, np.nan])
    # a1 and a2 both lie in b0 by as much: one of them alone can have it.
    assert found["match"].tolist() in (["b1", "b0", "", ""], ["b1", "", "b0", ""])
    assert np.isnan(found["dice"].to_numpy()).sum() == 2
    text = repr(ai.compare(a, b))
    assert text.startswith(
        "Comparison of 'a' (4 parcels) with 'b' (3) in volume\n  adjusted Rand 0."
    )
    assert "2 parcels matched, mean Dice" in text


def test_equal_atlases():
    atlas = mixed_atlas()
    found = ai.compare(atlas, atlas)
    # Of parcels that are empty, or of negative weights alone, there is nothing to match.
    there = np.concatenate([(m > 0).any(axis=1) for m in atlas.to_dense().values()])
    assert there.tolist() == [True, False, True, True, True, False, True]
    np.testing.assert_array_equal(found.matches, np.where(there, np.arange(7), -1))
    np.testing.assert_allclose(found.match_dice, there)
    # There are no areas of these meshes, and no coordinates.
    assert found.overlap_size is None
    assert np.isnan(found.hausdorff[:5]).all()
    assert found.hausdorff[6] == found.boundary_distance[6] == 0
    left = ai.compare(*[atlas.select(compartments="cortex_L")] * 2)
    assert (left.rand, left.nmi, left.vi) == (1, 1, 0)
    one = ai.compare(atlas, atlas.select(compartments=["cortex_R"]))
    assert (one.compartments, one.left_out) == (("cortex_R",), ("cortex_L", "subcortex"))
    assert one.overlap.shape == (7, 2)
    assert one.sizes.tolist() == [0, 0, 0, 6, 6, 0, 0]
    assert "not compared: cortex_L, subcortex" in repr(one)


def soft(seed, form, scale=1.0):
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random((3, GRID.n_locations)) < 0.4, rng.normal(size=(3, 120)), 0)
    weights[0, :3] = np.nan
    return atlas_of(form(scale * weights), "ab"[seed]), weights


@pytest.mark.parametrize("scale", [1.0, 100.0])
def test_soft_maps(scale, monkeypatch):
    # A few pairs at once, so that there are many parts.
    monkeypatch.setattr(overlaps, "_PAIRS", 20)
    (a, u), (b, v) = soft(0, ai.DenseMaps, scale), soft(1, ai.SparseMaps.from_scipy)
    found = ai.compare(a, b)
    p, q = (np.nan_to_num(np.maximum(w, 0)) for w in (u, v))
    m, n = (w / w.max(axis=1, keepdims=True) for w in (p, q))
    least = np.minimum(m[:, None], n[None]).sum(axis=2)
    np.testing.assert_allclose(found.overlap.toarray(), least, rtol=1e-6)
    np.testing.assert_allclose(found.overlap_size.toarray(), 9 * least, rtol=1e-6)
    dice = 2 * least / np.add.outer(m.sum(axis=1), n.sum(axis=1))
    np.testing.assert_allclose(found.dice.toarray(), dice, rtol=1e-6)
    both = (p.sum(axis=0) > 0) & (q.sum(axis=0) > 0)
    p, q = (w[:, both] / w[:, both].sum(axis=0) for w in (p, q))
    joint = p @ q.T / both.sum()
    product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    mutual = (joint * np.log2(joint / product)).sum()
    entropies = [-(x * np.log2(x)).sum() for x in (joint.sum(axis=1), joint.sum(axis=0))]
    np.testing.assert_allclose(found.nmi, 2 * mutual / sum(entropies), rtol=1e-5)
    np.testing.assert_allclose(found.vi, sum(entropies) - 2 * mutual, rtol=1e-6)
    # Distances are those of the hardened maps.
    matched = ai.compare(a.harden(), b.harden())
    same = matched.matches == found.matches
    np.testing.assert_array_equal(found.hausdorff[same], matched.hausdorff[same])
    np.testing.assert_allclose(ai.compare(a, a).match_dice, 1)


def test_distances_of_boxes():
    """Two boxes, the one within the other: the closed form."""

    def box(low, high):
        labels = np.full((20, 20, 20), -1, np.int32)
        labels[low:high, low:high, low:high] = 0
        grid = ai.VolumeGrid((20, 20, 20), np.diag([2.0, 2, 2, 1]))
        return atlas_of(ai.HardMaps(labels.reshape(-1), 1), "a", grid=grid)

    found = ai.compare(box(2, 12), box(4, 10))
    # From corner to corner; and sizes of 10^3 and 6^3 voxels.
    np.testing.assert_allclose(found.hausdorff, [4 * np.sqrt(3)])
    np.testing.assert_allclose(found.dice.toarray(), [[2 * 216 / 1216]])
    # The inner one's border lies 2 voxels below the outer's; its own by faces, edges and corners.
    outer = np.array(np.meshgrid(*[np.arange(10)] * 3)).reshape(3, -1).T
    rim = outer[((outer == 0) | (outer == 9)).any(axis=1)]
    inner = outer[((outer >= 2) & (outer <= 7)).all(axis=1)]
    core = inner[((inner == 2) | (inner == 7)).any(axis=1)]
    apart = 2 * cdist(rim, core)
    mean = (apart.min(axis=0).sum() + apart.min(axis=1).sum()) / (len(rim) + len(core))
    np.testing.assert_allclose(found.boundary_distance, [mean])


def test_caps_on_a_sphere():
    points, faces = icosphere(3)
    mesh = ai.SurfaceMesh(
        len(points), hemisphere="L", faces=faces, sphere=points, anatomical=points
    )

    def cap(height):
        labels = np.where(points[:, 2] > height * np.linalg.norm(points[0]), 0, -1).astype(np.int32)
        return atlas_of(ai.HardMaps(labels, 1), "a", grid=mesh, c="cortex_L")

    small, large = cap(0.8), cap(0.5)
    found = ai.compare(small, large)
    inside = [np.flatnonzero(m.maps["cortex_L"].labels == 0) for m in (small, large)]
    np.testing.assert_allclose(
        found.hausdorff[0], directed_hausdorff(points[inside[1]], points[inside[0]])[0]
    )
    # The rings at the two borders lie one in the other.
    radius = np.linalg.norm(points[0])
    chord = 2 * radius * np.sin((np.arccos(0.5) - np.arccos(0.8)) / 2)
    assert abs(found.boundary_distance[0] - chord) < 0.1 * radius
    areas = mesh.vertex_areas
    np.testing.assert_allclose(found.overlap_size.toarray(), areas[inside[0]].sum(), rtol=1e-6)
    # Without triangles no border is known, and without a surface no distance.
    bare = small.replace(
        geometry={"cortex_L": ai.SurfaceMesh(len(points), anatomical=points, areas=areas)}
    )
    assert np.isfinite(ai.compare(bare, bare).hausdorff[0])
    assert np.isnan(ai.compare(bare, bare).boundary_distance[0])


def test_other_kept_voxels_and_directions():
    a = hard(4, 0)
    flipped = AFFINE @ [[-1, 0, 0, 5], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]
    turned = np.asarray(labels_of(6, 1)).reshape(SHAPE)[::-1].reshape(-1)
    whole = ai.VolumeGrid(SHAPE, flipped)
    kept = np.flatnonzero(turned >= 0)
    b = atlas_of(ai.HardMaps(turned[kept], 6), "b", grid=whole.restrict(kept))
    straight = ai.compare(a, hard(6, 1))
    found = ai.compare(a, b)
    np.testing.assert_array_equal(found.overlap.toarray(), straight.overlap.toarray())
    assert (found.rand, found.vi) == (straight.rand, straight.vi)
    np.testing.assert_allclose(found.hausdorff, straight.hausdorff)


def test_parcels_that_compartments_share():
    points, faces = icosphere(1)
    mesh = {f"cortex_{s}": ai.SurfaceMesh(42, hemisphere=s, faces=faces, anatomical=points + x) for s, x in (("L", -3), ("R", 3))}  # fmt: skip
    labels = np.repeat([0, 1], 21).astype(np.int32)
    both = ai.Atlas(name="u", space="mine", maps={c: ai.HardMaps(labels, 2) for c in mesh}, geometry=mesh, labels=table(["cortex_L"] * 2 + ["cortex_R"] * 2, [1, 2] * 2, ["L_a", "L_b", "R_a", "R_b"]))  # fmt: skip
    united = both.unite(by="name")
    found = ai.compare(united, both)
    np.testing.assert_array_equal(found.overlap.toarray(), [[21, 0, 21, 0], [0, 21, 0, 21]])
    assert found.sizes.tolist() == [42, 42]
    np.testing.assert_allclose(found.dice.toarray()[0, 0], 42 / 63)


def test_nothing_is_shared():
    labels = labels_of(2, 0)
    a = atlas_of(ai.HardMaps(np.where(np.arange(120) < 60, labels, -1), 2), "a")
    b = atlas_of(ai.HardMaps(np.where(np.arange(120) < 60, -1, labels), 2), "b")
    found = ai.compare(a, b)
    assert found.overlap.nnz == found.dice.nnz == 0
    assert (found.matches == -1).all()
    assert np.isnan([found.rand, found.nmi, found.vi, found.mean_dice]).all()
    assert found.table["largest"].tolist() == ["", ""]


@pytest.mark.parametrize(
    ("cells", "rand"),
    [([[5]], 1), ([[1, 0], [0, 1]], 1), ([[1]], np.nan), ([[0, 0]], np.nan), ([[4, 4]], 0)],
)
def test_partitions_in_their_limits(cells, rand):
    table = csr_array(np.array(cells, float))
    np.testing.assert_allclose(adjusted_rand(table), rand)
    counts = np.array(cells)
    if not np.isnan(rand):
        pair = [np.repeat(i.reshape(-1), counts.reshape(-1)) for i in np.indices(counts.shape)]
        np.testing.assert_allclose(adjusted_rand_score(*pair), rand)
        mutual = mutual_information(table) * np.log(2)
        np.testing.assert_allclose(mutual, mutual_info_score(*pair), atol=1e-12)


def test_what_is_returned_cannot_be_changed():
    found = ai.compare(hard(3, 0), hard(3, 1))
    with pytest.raises(ValueError, match="read-only"):
        found.dice.data[0] = 1
    with pytest.raises(ValueError, match="read-only"):
        found.sizes[0] = 1
    with pytest.raises(AttributeError):
        found.rand = 1


def test_what_cannot_be_compared():
    a = hard(3, 0)
    other = hard(3, 1, space="MNI152NLin6Asym")
    with pytest.raises(ValueError, match=re.escape("`b` should be in the space of 'a', fsLR, got 'b' in fsaverage")):  # fmt: skip
        ai.compare(hard(3, 0, space="fsLR"), hard(3, 1, space="fsaverage"))
    ai.compare(hard(3, 0, space="MNI152"), other)
    grid = ai.VolumeGrid(SHAPE, AFFINE * [[1], [1], [1.1], [1]])
    moved = hard(3, 1, grid=grid)
    with pytest.raises(ValueError, match=r"`b`: 'volume' of 'a' and of 'b' lie on different grids, .*ai\.resample\(atlas, other\)"):  # fmt: skip
        ai.compare(a, moved)
    assert ai.compare(a, ai.resample(moved, a)).overlap.nnz
    with pytest.raises(ValueError, match="`b` should have a compartment of 'a', which has volume, got cortex_L"):  # fmt: skip
        ai.compare(a, atlas_of(ai.HardMaps(np.zeros(4, np.int32), 1), "m", c="cortex_L", grid=ai.SurfaceMesh(4)))  # fmt: skip
    for wrong in ((a, None), ("aal", a)):
        with pytest.raises(TypeError, match=r"`[ab]` should be an Atlas, got (NoneType|str)"):
            unchecked(ai.compare)(*wrong)
