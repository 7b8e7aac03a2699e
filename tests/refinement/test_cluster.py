"""`ai.cluster_atlas`: connected parcels from data alone."""

import numpy as np
import pytest
from helpers import unchecked
from helpers_refinement import GEOMETRIES, blocks, series
from sklearn.metrics import adjusted_rand_score

import atlasinit as ai
from atlasinit.core.adjacency import find_touching
from atlasinit.refinement import kept_variance, parcel_pieces
from atlasinit.refinement.starts import ward_labels


@pytest.fixture(scope="module")
def truth():
    return {c: blocks(g) for c, g in GEOMETRIES.items()}


@pytest.fixture(scope="module")
def data(truth):
    return np.concatenate([series(t, noise=2.0, seed=i) for i, t in enumerate(truth.values())])


def test_parcels_are_found_and_connected(truth, data):
    found = ai.cluster_atlas(GEOMETRIES, data, 4)
    for c, labels in truth.items():
        assert adjusted_rand_score(labels, np.asarray(found.maps[c].labels)) > 0.97
        first = [np.flatnonzero(np.asarray(found.maps[c].labels) == k)[0] for k in range(4)]
        assert first == sorted(first)
    assert (parcel_pieces(found) == 1).all()
    assert found.table["name"][:2] == ("volume_1", "volume_2")
    assert found.provenance.source == "data"
    assert found.provenance.operations == ("cluster_atlas(1 run of 80 volumes, neighbours=1)",)


def test_more_is_kept_of_new_data_than_by_ward(truth, data):
    geometry = {"volume": GEOMETRIES["volume"]}
    n = geometry["volume"].n_locations
    noisy, new = (series(truth["volume"], noise=4.0, seed=s) for s in (5, 5))
    rng = np.random.default_rng(1)
    new = new + rng.normal(size=new.shape).astype(np.float32)
    ours = ai.cluster_atlas(geometry, noisy, 4)
    labels = ward_labels(noisy - noisy.mean(1, keepdims=True), find_touching(geometry["volume"]), 4)
    ward = ours.replace(maps={"volume": ai.HardMaps(labels, 4)})
    assert ours.n_locations == n
    assert kept_variance(ours, new) > kept_variance(ward, new)


def test_numbers_differ_by_compartment_and_an_atlas_lends_its_space(truth, data):
    like = ai.cluster_atlas(GEOMETRIES, data, 2, restarts=1, name="mine", space="here")
    found = ai.cluster_atlas(like, data, {"volume": 3, "cortex_L": 5}, restarts=1)
    assert [m.n_parcels for m in found.maps.values()] == [3, 5]
    assert (like.name, found.space) == ("mine", "here")
    assert not found.labels["empty"].to_numpy().any()


def test_locations_without_data_belong_to_no_parcel(truth, data):
    geometry = {"volume": GEOMETRIES["volume"]}
    part = data[: geometry["volume"].n_locations].copy()
    part[5:9], part[20, 3] = 0, np.nan
    labels = np.asarray(ai.cluster_atlas(geometry, part, 4, restarts=1).maps["volume"].labels)
    assert set(np.flatnonzero(labels < 0)) == {5, 6, 7, 8, 20}


def test_separate_parts_have_parcels_of_their_own():
    grid = GEOMETRIES["volume"]
    parts = grid.restrict((grid.ijk[:, 0] < 3) | (grid.ijk[:, 0] > 6))
    labels = (parts.ijk[:, 0] > 6).astype(int) + 2 * (parts.ijk[:, 1] > 4)
    found = ai.cluster_atlas({"volume": parts}, series(labels), 4, restarts=1)
    assert adjusted_rand_score(labels, np.asarray(found.maps["volume"].labels)) == 1
    with pytest.raises(ValueError, match="at least the 2 separate parts"):
        ai.cluster_atlas({"volume": parts}, series(labels), 1)


def test_noise_has_parcels_too(key):
    import jax

    noise = np.asarray(jax.random.normal(key, (GEOMETRIES["volume"].n_locations, 60)))
    found = ai.cluster_atlas({"volume": GEOMETRIES["volume"]}, noise, 7, restarts=1)
    assert (parcel_pieces(found) == 1).all()


def test_progress_is_told(data):
    told = []
    ai.cluster_atlas(GEOMETRIES, data, 4, restarts=1, progress=lambda *step: told.append(step))
    assert told == [(c, step, 3) for c in GEOMETRIES for step in (1, 2, 3)]
    told.clear()
    mesh, own = {"cortex_L": GEOMETRIES["cortex_L"]}, data[GEOMETRIES["volume"].n_locations :]
    ai.cluster_atlas(mesh, own, 4, progress=lambda *step: told.append(step))
    assert told[-1] == ("cortex_L", 9, 9)  # three times


def test_of_restarts_the_one_that_keeps_most_is_returned(truth):
    geometry = {"volume": GEOMETRIES["volume"]}
    noisy = series(truth["volume"], noise=6.0, seed=3)
    found = [ai.cluster_atlas(geometry, noisy, 6, restarts=n, denoise=False) for n in (1, 2, 5)]
    kept = [kept_variance(atlas, noisy) for atlas in found]
    # The first of several is the only one of one, so that more never keep less.
    assert kept == sorted(kept)
    assert kept[0] < kept[-1]


BAD = [
    (ValueError, {"n_parcels": 0}, "`n_parcels` should be a whole number from 1, got 0"),
    (ValueError, {"n_parcels": 2.5}, "`n_parcels` should be a whole number from 1, got 2.5"),
    (ValueError, {"n_parcels": np.nan}, "`n_parcels` should be a whole number from 1, got nan"),
    (TypeError, {"n_parcels": "3"}, "`n_parcels` should be a whole number from 1, got '3'"),
    (TypeError, {"n_parcels": [3, 4]}, r"`n_parcels` should be a whole .* got \[3, 4\]"),
    (
        ValueError,
        {"n_parcels": {"volume": 3, "cortex_L": 0}},
        r"`n_parcels\['cortex_L'\]` should be a whole number from 1, got 0",
    ),
    (ValueError, {"n_parcels": {"volume": 3}}, "should have the compartments"),
    (ValueError, {"n_parcels": 1000}, "at most the locations with data"),
    (ValueError, {"neighbours": -1.0}, "`neighbours` should be 0 or more, got -1"),
    (TypeError, {"neighbours": "1"}, "`neighbours` should be 0 or more, got '1'"),
    (ValueError, {"restarts": 0}, "`restarts` should be a whole number from 1, got 0"),
    (TypeError, {"restarts": "4"}, "`restarts` should be a whole number from 1, got '4'"),
    (ValueError, {"min_volumes": 81}, "at least 81 volumes"),
    (TypeError, {"key": 7}, r"pass `jax\.random\.key\(7\)`"),
    (TypeError, {"standardize": "yes"}, "`standardize` should be True or False"),
    (TypeError, {"progress": 1}, "`progress` should be a function or None, got 1"),
    (
        TypeError,
        {"geometry": GEOMETRIES["volume"]},
        r'got VolumeGrid\(.*alone; name its compartment: `\{"volume": geometry\}`',
    ),
    (
        TypeError,
        {"geometry": GEOMETRIES["cortex_L"]},
        r'got SurfaceMesh\(.*alone; name its compartment: `\{"cortex_L": geometry\}`',
    ),
    (TypeError, {"geometry": {"volume": 3}}, "of 'volume' should be a VolumeGrid or a Surf"),
    (TypeError, {"geometry": "fsLR"}, "should be an Atlas or a mapping .* got str"),
    (TypeError, {"geometry": {3: GEOMETRIES["volume"]}}, "names of compartments, got 3"),
    (ValueError, {"geometry": {}}, "`geometry` should have a compartment .* got none"),
]


@pytest.mark.parametrize(("error", "options", "message"), BAD)
def test_bad_input_is_refused(data, error, options, message):
    options = {"geometry": GEOMETRIES, "n_parcels": 3} | options
    with pytest.raises(error, match=message):
        unchecked(ai.cluster_atlas)(data=data, **options)


def test_numbers_of_any_kind_count(data):
    part = {"volume": GEOMETRIES["volume"]}
    n = part["volume"].n_locations
    expected = ai.cluster_atlas(part, data[:n], 3, restarts=1)
    for number in (3.0, np.int32(3), np.array(3)):
        found = unchecked(ai.cluster_atlas)(part, data[:n], number, restarts=1)
        assert found.maps == expected.maps


def test_a_mesh_without_faces_is_refused():
    mesh = ai.SurfaceMesh(30)
    with pytest.raises(ValueError, match="`geometry` should say which locations touch"):
        ai.cluster_atlas({"cortex_L": mesh}, np.random.default_rng(0).normal(size=(30, 40)), 3)
