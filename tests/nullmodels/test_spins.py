"""Rotated atlases: by definition, by neuromaps, and what is refused."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import unchecked
from helpers_nulls import as_giftis, bent_sphere, two_hemispheres
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

import atlasinit as ai
from atlasinit.nullmodels import draw_rotations, nearest
from atlasinit.nullmodels.hemispheres import find_hemispheres
from atlasinit.nullmodels.spinning import find_centroids

MIRROR = np.diag([-1.0, 1.0, 1.0])


@pytest.fixture(scope="module")
def rotations():
    return draw_rotations(6, key=jax.random.key(3))


@pytest.fixture(scope="module")
def spinning():
    from neuromaps.nulls import spins

    return spins


def nearest_by_definition(points, places, rotation):
    moved = points.astype(np.float64) @ rotation.T
    return np.linalg.norm(places[:, None] - moved, axis=2).argmin(axis=1)


def test_rotations_are_uniform(key):
    drawn = draw_rotations(20_000, key=key)
    np.testing.assert_allclose(
        drawn @ drawn.transpose(0, 2, 1), np.tile(np.eye(3), (20_000, 1, 1)), atol=1e-12
    )
    # Of the angle the density is (1 - cos a) / pi, by which both the trace has the mean 0 and
    # the variance 1, and a rotated point is uniform: mean 0, variance 1/3 along each axis.
    traces = np.trace(drawn, axis1=1, axis2=2)
    assert abs(traces.mean()) < 0.03
    assert abs(traces.var() - 1) < 0.03
    np.testing.assert_allclose(drawn.mean(axis=0), 0, atol=0.02)
    np.testing.assert_allclose(drawn.var(axis=0), 1 / 3, atol=0.02)


@pytest.mark.parametrize("medial_wall", ["none", "nearest"])
@pytest.mark.parametrize("jitted", [False, True])
def test_vertices_by_definition(rotations, medial_wall, jitted, monkeypatch):
    if jitted:
        monkeypatch.setattr(nearest, "_FEW", 0)
    atlas = two_hemispheres()
    found = ai.spins(atlas, rotations=rotations, medial_wall=medial_wall)
    assert found.indices.dtype == np.int32
    assert found.indices.shape == (6, atlas.n_locations)
    for c, m in (("cortex_L", np.eye(3)), ("cortex_R", MIRROR)):
        mesh, place = atlas.geometry[c], atlas.location_slices()[c]
        moved = np.arange(mesh.n_vertices) if medial_wall == "none" else mesh.vertices
        for i, r in enumerate(rotations):
            expected = moved[
                nearest_by_definition(mesh.sphere[moved], mesh.sphere[mesh.vertices], m @ r @ m)
            ]
            expected = np.where(mesh.mask[expected], mesh.locations[expected] + place.start, -1)
            np.testing.assert_array_equal(found.indices[i, place], expected)
    labels = np.concatenate(
        [m.labels + atlas.parcel_slices()[c].start for c, m in atlas.maps.items()]
    )
    expected = np.where(found.indices < 0, -1, labels[found.indices])
    for i, one in enumerate(found):
        given = np.concatenate([one.maps[c].labels for c in one.compartments])
        given = np.where(
            given < 0, -1, given + np.repeat([0, 8], [m.n_locations for m in one.maps.values()])
        )
        np.testing.assert_array_equal(given, expected[i])
        np.testing.assert_array_equal(given, found.labels(i))
    assert (expected < 0).any() == (medial_wall == "none")
    assert found[0].provenance.operations[-1] == "spins(assign='vertex')[0]"
    assert len(list(found)) == 6
    with pytest.raises(IndexError):
        found[6]
    with pytest.raises(TypeError):
        unchecked(type(found).__getitem__)(found, slice(2))


@pytest.mark.parametrize("case", ["even", "uneven", "few", "doubled"])
def test_the_search_is_that_of_a_tree(case, rotations, monkeypatch):
    """Points whose lists do not suffice go to the tree, so that all answers are its."""
    rng = np.random.default_rng(0)
    points = bent_sphere()[0].astype(np.float64)
    if case == "uneven":
        points = rng.normal(size=(642, 3)) * [1, 0.1, 3]
        points *= 100 / np.linalg.norm(points, axis=1, keepdims=True)
    if case == "few":
        points = points[:8]
    if case == "doubled":
        points = np.concatenate([points[:321]] * 2)
    places = bent_sphere(seed=5)[0].astype(np.float64)
    monkeypatch.setattr(nearest, "_FEW", 0)
    found = nearest.nearest_rotated(points, places, rotations)
    for r, own in zip(rotations, found, strict=True):
        distance = np.linalg.norm(places[:, None] - points @ r.T, axis=2)
        np.testing.assert_array_equal(distance[np.arange(len(own)), own], distance.min(axis=1))


def test_the_search_lowers_for_gpus(rotations):
    points = bent_sphere()[0].astype(np.float64)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    tables = nearest._make_tables(unit, KDTree(unit), 1.0)
    arguments = (
        jnp.asarray(unit.T, jnp.float32),
        jnp.asarray(rotations[0], jnp.float32),
        tables.first,
        tables.listed,
        tables.coordinates,
        tables.reach,
    )
    exported = jax.export.export(nearest._search, platforms=["cuda"])(*arguments)
    assert exported.platforms == ("cuda",)
    # No product of matrices, whose precision a GPU lowers.
    assert "dot_general" not in exported.mlir_module()
    found, sure = nearest._search(*arguments)
    turned = unit @ rotations[0]
    expected = KDTree(unit).query(turned)[1]
    np.testing.assert_array_equal(np.asarray(found)[np.asarray(sure)], expected[np.asarray(sure)])


@pytest.mark.parametrize("assign", ["vertex", "nearest", "hungarian"])
def test_assignments_are_those_of_neuromaps(spinning, assign):
    atlas = two_hemispheres(12)
    state = np.random.RandomState(0)
    drawn = np.stack([spinning._gen_rotation(state)[0] for _ in range(20)])
    # There the rows of coordinates are multiplied from the right.
    found = ai.spins(atlas, rotations=drawn.transpose(0, 2, 1), assign=assign)
    hemispheres = find_hemispheres(atlas)
    parts = [h.sphere if assign == "vertex" else find_centroids(h)[1] for h in hemispheres]
    hemi = np.repeat([0, 1], [len(part) for part in parts])
    method = "hungarian" if assign == "hungarian" else "original"
    theirs = spinning.gen_spinsamples(
        np.concatenate(parts), hemi, n_rotate=20, seed=np.random.RandomState(0), method=method
    ).T
    if assign == "vertex":
        # They number vertices, of which locations are those kept.
        location = np.full(len(hemi), -1)
        kept = np.concatenate([h.mesh.mask for h in hemispheres])
        location[kept] = np.arange(kept.sum())
        theirs = location[theirs[:, kept]]
    np.testing.assert_array_equal(found.indices, theirs)


def test_centroids_and_means_are_those_of_neuromaps(spinning, tmp_path, rotations):
    atlas = two_hemispheres(12)
    spheres, labels = as_giftis(atlas, tmp_path)
    centroids, hemi = spinning.get_parcel_centroids(spheres, labels)
    own = [find_centroids(h)[1] for h in find_hemispheres(atlas)]
    np.testing.assert_array_equal(np.concatenate(own), centroids)
    found = ai.spins(atlas, rotations=rotations)
    # Theirs number all vertices of both sides.
    vertices = np.concatenate(
        [m.vertices + i * m.n_vertices for i, m in enumerate(atlas.geometry.values())]
    )
    resampled = np.tile(np.arange(2 * 642), (6, 1))
    every = ai.spins(_whole(atlas), rotations=rotations).indices
    resampled[:] = every
    np.testing.assert_array_equal(found.indices >= 0, np.isin(every[:, vertices], vertices))
    values = np.random.default_rng(0).normal(size=24)
    theirs = spinning.spin_data(values, spheres, labels, n_rotate=6, spins=resampled.T)
    np.testing.assert_allclose(found.apply(values), theirs.T, rtol=1e-12)


def _whole(atlas):
    """Return the atlas with every vertex kept."""
    meshes = {
        c: ai.SurfaceMesh(m.n_vertices, hemisphere=m.hemisphere, sphere=m.sphere)
        for c, m in atlas.geometry.items()
    }
    maps = {}
    for c, m in atlas.maps.items():
        labels = atlas.geometry[c].put(np.asarray(m.labels), fill=-1.0)
        maps[c] = ai.HardMaps(labels.astype(np.int32), m.n_parcels)
    return ai.Atlas(name="whole", space="test", maps=maps, geometry=meshes, labels=atlas.table)


def test_no_rotation_moves_nothing():
    atlas = two_hemispheres()
    for assign in ("vertex", "nearest", "hungarian"):
        found = ai.spins(atlas, rotations=np.eye(3), assign=assign)
        np.testing.assert_array_equal(found.indices, [np.arange(found.indices.shape[1])])
        assert found.n_distinct == 1
        values = np.arange(16.0)
        np.testing.assert_array_equal(found.apply(values), [values])


def test_hemispheres_turn_as_mirror_images(rotations):
    """The right hemisphere alone turns as beside the left one, and as its mirror image."""
    atlas = two_hemispheres()
    both = ai.spins(atlas, rotations=rotations)
    right = ai.spins(atlas.select(compartments="cortex_R"), rotations=rotations)
    start = atlas.location_slices()["cortex_R"].start
    beside = both.indices[:, start:]
    np.testing.assert_array_equal(right.indices, np.where(beside < 0, -1, beside - start))
    mesh = atlas.geometry["cortex_R"]
    turned = ai.SurfaceMesh(
        mesh.n_vertices, mesh.vertices, sphere=np.multiply(mesh.sphere, [-1, 1, 1])
    )
    labels = atlas.table.take(range(8)).replace(compartment=["cortex"] * 8, hemisphere=[""] * 8)
    left = ai.Atlas(
        name="x",
        space="",
        maps={"cortex": atlas.maps["cortex_R"]},
        geometry={"cortex": turned},
        labels=labels,
    )
    np.testing.assert_array_equal(ai.spins(left, rotations=rotations).indices, right.indices)


def test_draws_depend_on_the_key_alone(key):
    atlas = two_hemispheres()
    first = ai.spins(atlas, n=5, key=key, assign="nearest")
    again = ai.spins(atlas, n=5, key=key, assign="nearest")
    other = ai.spins(atlas, n=5, key=jax.random.key(1), assign="nearest")
    np.testing.assert_array_equal(first.indices, again.indices)
    assert (first.indices != other.indices).any()
    given = ai.spins(atlas, rotations=Rotation.from_matrix(first.rotations), assign="nearest")
    np.testing.assert_array_equal(first.indices, given.indices)
    assert not first.indices.flags.writeable
    assert repr(first) == "Spins(5 of 'two', assign='nearest')"


def test_centroids_match_one_to_one_or_not(key):
    atlas = two_hemispheres()
    matched = ai.spins(atlas, n=50, key=key, assign="hungarian").indices
    np.testing.assert_array_equal(np.sort(matched, axis=1), np.tile(np.arange(16), (50, 1)))
    free = ai.spins(atlas, n=50, key=key, assign="nearest")
    assert any(len(set(row)) < 16 for row in free.indices)
    i = 7
    own, table = free[i], np.concatenate([m.labels for m in atlas.maps.values()])
    for c, rows in atlas.parcel_slices().items():
        expected = (free.indices[i, rows] - rows.start)[np.asarray(atlas.maps[c].labels)]
        np.testing.assert_array_equal(own.maps[c].labels, expected)
    assert table.size == atlas.n_locations


@pytest.mark.parametrize("assign", ["vertex", "nearest", "hungarian"])
def test_empty_parcels_and_nan(assign, rotations):
    """An empty parcel has no value after a rotation, and NaN takes part nowhere."""
    atlas = two_hemispheres()
    labels = np.asarray(atlas.maps["cortex_L"].labels)
    emptied = atlas.replace(
        maps={"cortex_L": ai.HardMaps(np.where(labels == 3, np.int32(2), labels), 8)}
    )
    found = ai.spins(emptied, rotations=rotations, assign=assign)
    values = np.arange(16.0)
    maps = found.apply(np.stack([values, np.where(values == 5, np.nan, values)], axis=1))
    assert maps.shape == (6, 16, 2)
    assert np.isnan(maps[:, 3]).all()
    if assign == "vertex":
        # What a parcel has is the mean of what lies on it.
        own = found.labels(2)[np.r_[labels == 0, np.zeros(atlas.n_locations - labels.size, bool)]]
        for k, left in enumerate(([-1], [-1, 5])):
            np.testing.assert_allclose(maps[2, 0, k], own[~np.isin(own, left)].mean())
        return
    assert (found.indices[:, 3] == -1).all()
    assert not (np.delete(found.indices, 3, axis=1) == 3).any()
    np.testing.assert_array_equal(
        np.delete(maps[..., 0], 3, axis=1), np.delete(found.indices, 3, axis=1)
    )
    np.testing.assert_array_equal(
        np.isnan(maps[..., 1]), (found.indices == 5) | (found.indices < 0)
    )


def test_values_go_by_name(rotations):
    import pandas as pd

    atlas = two_hemispheres()
    found = ai.spins(atlas, rotations=rotations, assign="hungarian")
    series = pd.Series(np.arange(16.0), index=atlas.labels["name"])
    np.testing.assert_array_equal(found.apply(series.sample(frac=1, random_state=0)), found.indices)


def test_shared_parcels_rotate_by_vertices(rotations):
    shared = two_hemispheres().unite()
    with pytest.raises(ai.ArgumentError, match=r"8 parcels lie in several hemispheres, .*vertex"):
        ai.spins(shared, rotations=rotations, assign="nearest")
    found = ai.spins(shared, rotations=rotations)
    apart = ai.spins(two_hemispheres(), rotations=rotations)
    np.testing.assert_array_equal(found.indices, apart.indices)
    np.testing.assert_array_equal(
        found.labels(0), np.where(apart.labels(0) < 0, -1, apart.labels(0) % 8)
    )
    # A mean over both sides is weighted by their locations.
    assert found.apply(np.ones(8)).shape == (6, 8)
    np.testing.assert_array_equal(
        found[1].maps["cortex_R"].labels, apart[1].maps["cortex_R"].labels
    )


def grid_atlas():
    maps = ai.HardMaps(np.zeros(8, np.int32), 1)
    return ai.Atlas(
        name="v",
        space="test",
        maps={"volume": maps},
        geometry={"volume": ai.VolumeGrid((2, 2, 2), np.eye(4))},
        labels=ai.LabelTable(
            {
                "compartment": ["volume"],
                "key": [1],
                "name": ["a"],
                "color": [""],
                "hemisphere": [""],
            }
        ),
    )


def _soft():
    return two_hemispheres().replace(
        maps={"cortex_L": ai.SparseMaps.from_scipy(two_hemispheres().to_scipy()["cortex_L"])}
    )


def _bare():
    mesh = two_hemispheres().geometry["cortex_L"]
    return two_hemispheres().replace(
        geometry={"cortex_L": ai.SurfaceMesh(mesh.n_vertices, mesh.vertices)}
    )


def _inflated():
    mesh = two_hemispheres().geometry["cortex_L"]
    return two_hemispheres().replace(
        geometry={"cortex_L": mesh.replace(sphere=np.multiply(mesh.sphere, [1, 2, 1]))}
    )


def _alike():
    atlas = two_hemispheres()
    return ai.join([atlas.select(compartments="cortex_L"), grid_atlas()])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (grid_atlas, r"'volume' has voxels, .*method=\"moran\""),
        (_alike, r"'volume' has voxels, .*select\(compartments=\['cortex_L'\]\)"),
        (_soft, r"'cortex_L' are weights, .*atlas.harden\(\)"),
        (_bare, r"'cortex_L' has no sphere .*mesh.replace\(sphere"),
        (_inflated, r"\['cortex_L'\].sphere` should have one radius"),
    ],
)
def test_atlases_without_spheres_are_refused(make, message, rotations):
    with pytest.raises(ai.ArgumentError, match=message):
        ai.spins(make(), rotations=rotations)


def test_advice_works(rotations):
    assert len(ai.spins(_soft().harden(), rotations=rotations)) == 6
    assert len(ai.spins(_alike().select(compartments=["cortex_L"]), rotations=rotations)) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rotations": np.eye(4)}, r"matrices \(n, 3, 3\).*got shape \(1, 4, 4\)"),
        ({"rotations": np.ones((2, 3, 3))}, "2 of 2 are not"),
        ({"rotations": np.full((3, 3), np.nan)}, "1 of 1 are not"),
        (
            {"rotations": np.stack([np.eye(3), -np.eye(3)])},
            "1 of 2 are reflections, the first is number 1",
        ),
        ({"rotations": np.zeros((0, 3, 3))}, "got shape"),
        ({"rotations": [[1, 2], [3]]}, "`rotations` should be numbers"),
        ({"rotations": "mine"}, "`rotations` should be numbers"),
        ({"rotations": np.eye(3), "n": 3}, "leave out `n` and `key`"),
        ({"n": 0, "key": jax.random.key(0)}, "`n` should be a whole number from 1, got 0"),
        ({"n": 3}, re.escape("`key` should be a key of JAX, got None; pass `jax.random.key(0)`")),
        ({"rotations": np.eye(3), "assign": "vasa"}, "`assign` should be one of"),
        ({"rotations": np.eye(3), "medial_wall": "cut"}, '`medial_wall` should be "none" or'),
        (
            {"rotations": np.eye(3), "medial_wall": "nearest", "assign": "nearest"},
            "centroids know none",
        ),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises((ai.ArgumentError, ai.ArgumentTypeError), match=message):
        unchecked(ai.spins)(two_hemispheres(), **options)


def test_sides_have_to_differ(rotations):
    atlas = two_hemispheres()
    mesh, maps = atlas.geometry["cortex_L"], atlas.maps["cortex_L"]
    table = atlas.table.replace(compartment=["a"] * 8 + ["b"] * 8, hemisphere=[""] * 16)
    twice = ai.Atlas(
        name="x",
        space="",
        maps={"a": maps, "b": maps},
        geometry={"a": mesh, "b": mesh},
        labels=table,
    )
    with pytest.raises(
        ai.ArgumentError, match=r"a left and a right one, got the sides \{'a': 'L', 'b': 'L'\}"
    ):
        ai.spins(twice, rotations=rotations)


def test_traced_atlases_are_refused(rotations):
    atlas = two_hemispheres()
    with pytest.raises(ai.ArgumentTypeError, match="is traced here"):
        jax.jit(lambda a: ai.spins(a, rotations=rotations).indices)(atlas)


def test_what_is_no_atlas_is_refused(rotations):
    wrong = {"cortex_L": 1}
    for call, arguments in ((ai.spins, (wrong,)), (ai.nulls, (np.arange(4.0), wrong))):
        with pytest.raises(
            ai.ArgumentTypeError, match=r"should be an Atlas, got dict; pass `.*load_atlas"
        ):
            unchecked(call)(*arguments, rotations=rotations)


@pytest.mark.parametrize("assign", ["vertex", "nearest", "hungarian"])
def test_a_hemisphere_without_parcels(assign, rotations):
    """As of an atlas of which one side's parcels were selected."""
    left = two_hemispheres().select(hemisphere="L")
    found = ai.spins(left, rotations=rotations, assign=assign)
    both = ai.spins(two_hemispheres(), rotations=rotations, assign=assign)
    values = np.arange(8.0)
    np.testing.assert_array_equal(found.apply(values), both.apply(np.tile(values, 2))[:, :8])
    assert (found.labels(0)[582:] == -1).all()
