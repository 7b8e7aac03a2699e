"""`ai.refine`: what moves, what stays, and what is refused."""

import dataclasses
import re
import warnings

import jax
import nibabel as nb
import numpy as np
import pytest
from helpers import unchecked
from helpers_refinement import GEOMETRIES, atlas_of, blocks, points_of, series
from sklearn.metrics import adjusted_rand_score

import atlasinit as ai
from atlasinit.refinement import (
    assess_halves,
    kept_variance,
    measure_agreement,
    parcel_pieces,
)


@pytest.fixture(scope="module")
def truth():
    return {c: blocks(g) for c, g in GEOMETRIES.items()}


@pytest.fixture(scope="module")
def start():
    return atlas_of(GEOMETRIES, {c: blocks(g, shift=1.4) for c, g in GEOMETRIES.items()})


@pytest.fixture(scope="module")
def data(truth):
    return np.concatenate([series(found, seed=i) for i, found in enumerate(truth.values())])


@pytest.fixture(scope="module")
def fitted(start, data):
    return ai.refine(start, data)


def labels_of(atlas, compartment):
    return np.asarray(atlas.maps[compartment].labels)


def distance(atlas, truth):
    return sum((labels_of(atlas, c) != found).sum() for c, found in truth.items())


def one(start, data, compartment="volume"):
    part = start.location_slices()[compartment]
    return start.select(compartments=compartment), data[part]


def test_data_named_of_another_space(start, data, tmp_path):
    atlas, values = one(start, data)
    grid = atlas.geometry["volume"]
    named = tmp_path / "sub-01_space-T1w_bold.nii.gz"
    nb.save(nb.Nifti1Image(grid.put(values), grid.affine), named)
    calls = (
        (ai.refine, (atlas,), ()),
        (assess_halves, (atlas,), ()),
        (kept_variance, (atlas,), ()),
        (ai.cluster_atlas, (atlas,), (3,)),
    )
    for call, before, after in calls:
        with pytest.raises(ValueError, match="the space 'T1w'.*data_space=\"test\""):
            call(*before, named, *after)
        found = call(*before, named, *after, data_space="test")
        expected = call(*before, values, *after)
        if isinstance(found, ai.Atlas):
            assert (labels_of(found, "volume") == labels_of(expected, "volume")).all()
        else:
            assert repr(found) == repr(expected)


def test_borders_move_to_the_data_and_names_stay(start, fitted, truth, data):
    assert distance(start, truth) > 50
    assert distance(fitted, truth) == 0
    assert fitted.table == start.table
    assert fitted.geometry == start.geometry
    assert (parcel_pieces(fitted) == 1).all()
    assert kept_variance(fitted, data) > kept_variance(start, data)
    assert fitted.provenance.source == "files"
    moved = distance(start, truth)
    assert fitted.provenance.operations == (
        f"refine(1 run of 80 volumes, neighbours=1, tether=0.3, {moved} locations moved)",
    )


def test_the_same_key_gives_the_same_atlas(start, truth):
    atlas, clean = one(start, np.concatenate([series(t, noise=3.0) for t in truth.values()]))
    key = jax.random.key(3)
    assert ai.refine(atlas, clean, key=key) == ai.refine(atlas, clean, key=key)


def test_noise_keeps_its_borders(start, key):
    noise = np.asarray(jax.random.normal(key, (start.n_locations, 80)))
    with pytest.warns(ai.AtlasWarning, match="no more in common than noise would"):
        found = ai.refine(start, noise)
    assert found.maps == start.maps
    assert found.provenance.operations[-1].endswith("0 locations moved)")


def test_halves_keep_a_start_that_nothing_beats(start, truth):
    # The start is the truth, and noise is strong.
    atlas = atlas_of(GEOMETRIES, truth)
    noisy = np.concatenate([series(t, noise=3.0, seed=4) for t in truth.values()])
    atlas, noisy = one(atlas, noisy)
    found = ai.refine(atlas, noisy, halves=True)
    assert found.maps == atlas.maps
    assert found.provenance.operations[-1] == "refine(1 run of 80 volumes, halves: start kept)"


def test_halves_choose_weights(start, data, truth):
    atlas, part = one(start, data)
    found = ai.refine(atlas, part, halves=True)
    assert distance(found, {"volume": truth["volume"]}) == 0


@pytest.mark.parametrize("frozen", ["volume_2", [("volume", 2)], ["volume_2"]])
def test_frozen_parcels_keep_their_locations(start, data, frozen):
    atlas, part = one(start, data)
    found = ai.refine(atlas, part, frozen=frozen)
    before, after = labels_of(atlas, "volume"), labels_of(found, "volume")
    assert ((before == 1) == (after == 1)).all()
    assert (before != after).any()


@pytest.mark.parametrize(("limit", "steps"), [({"max_hops": 1}, 1), ({"max_mm": 3.9}, 1)])
def test_parcels_grow_no_further_than_they_may(start, data, limit, steps):
    start = atlas_of(GEOMETRIES, {c: blocks(g, shift=3.0) for c, g in GEOMETRIES.items()})
    atlas, part = one(start, data)
    free = labels_of(ai.refine(atlas, part), "volume")
    held = labels_of(ai.refine(atlas, part, **limit), "volume")
    before, points = labels_of(atlas, "volume"), points_of(atlas.geometry["volume"])

    def reach(labels):
        far = []
        for i in np.flatnonzero(labels != before):
            apart = np.abs(points[before == labels[i]] - points[i]).sum(1)
            far.append(apart.min())
        return max(far)

    assert reach(free) > steps
    assert reach(held) == steps


def test_limits_of_zero_move_nothing(start, data):
    atlas, part = one(start, data)
    for limit in ({"max_hops": 0}, {"max_mm": 0.0}):
        assert ai.refine(atlas, part, **limit).maps == atlas.maps


def test_locations_of_no_parcel_stay_unless_filled(start, data, truth):
    atlas, part = one(start, data)
    labels = labels_of(atlas, "volume").copy()
    labels[60:70] = -1
    part = part.copy()
    part[60] = np.nan
    holes = atlas.replace(maps={"volume": ai.HardMaps(labels, 4)})
    found = ai.refine(holes, part)
    assert (labels_of(found, "volume")[60:70] == -1).all()
    filled = labels_of(ai.refine(holes, part, fill=True), "volume")
    assert filled[60] == -1
    assert (filled[61:70] == truth["volume"][61:70]).all()


def test_locations_without_data_keep_their_parcel(start, data, truth):
    atlas, part = one(start, data)
    part = part.copy()
    wrong = np.flatnonzero(labels_of(atlas, "volume") != truth["volume"])
    part[wrong[:3]] = 7.0
    part[wrong[3], 5] = np.nan
    found = labels_of(ai.refine(atlas, part, strays=0), "volume")
    assert (found[wrong[:4]] == labels_of(atlas, "volume")[wrong[:4]]).all()
    assert (found != labels_of(atlas, "volume")).any()


@pytest.mark.parametrize("share", [0.0, 0.7])
def test_parcels_with_too_little_data_keep_their_locations(start, data, share):
    atlas, part = one(start, data)
    part = part.copy()
    before = labels_of(atlas, "volume")
    inside = np.flatnonzero(before == 1)
    lost = inside[: int(0.4 * inside.size)] if share else inside
    part[lost] = np.nan
    moved = labels_of(ai.refine(atlas, part), "volume")
    if share:
        assert ((before == 1) != (moved == 1)).any()
        with pytest.warns(ai.AtlasWarning, match=r"less than 70 % of .* keep these: volume_2\."):
            moved = labels_of(ai.refine(atlas, part, min_coverage=share), "volume")
    assert ((before == 1) == (moved == 1)).all()
    assert (before != moved).any()


def test_a_run_that_lacks_a_location_leaves_it_to_the_others(start, data, truth):
    atlas, part = one(start, data)
    first, second = part[:, :40].copy(), part[:, 40:]
    wrong = np.flatnonzero(labels_of(atlas, "volume") != truth["volume"])
    first[wrong[:3], 0] = np.nan
    found = ai.refine(atlas, [first, second])
    assert distance(found, {"volume": truth["volume"]}) == 0
    assert found.provenance.operations[-1].startswith("refine(2 runs of 80 volumes, ")


def test_sample_mask_takes_volumes(start, data):
    atlas, part = one(start, data)
    spoilt = np.concatenate([part, np.full((len(part), 5), np.nan, np.float32)], axis=1)
    clean = ai.refine(atlas, part)
    kept = np.arange(85) < 80
    for mask in (kept, np.flatnonzero(kept), kept.tolist()):
        assert ai.refine(atlas, spoilt, sample_mask=mask).maps == clean.maps
    twice = ai.refine(atlas, [spoilt, spoilt], sample_mask=[kept, np.arange(80)])
    assert twice.provenance.operations[-1].startswith("refine(2 runs of 160 volumes")


def test_raw_series_weigh_by_their_variance(start, data, truth):
    atlas, part = one(start, data)
    assert (
        distance(ai.refine(atlas, 100 * part, standardize=False), {"volume": truth["volume"]}) == 0
    )
    loud = part.copy()
    loud[labels_of(atlas, "volume") != truth["volume"]] *= 0.01
    still = ai.refine(atlas, loud, standardize=False)
    assert distance(still, {"volume": truth["volume"]}) > 0
    assert distance(ai.refine(atlas, loud), {"volume": truth["volume"]}) == 0


def test_a_group_and_then_each_of_its_persons(start, truth):
    atlas = start.select(compartments="volume")
    shift = blocks(atlas.geometry["volume"], shift=-1.0)
    people = [series(truth["volume"], seed=s) for s in range(3)] + [series(shift, seed=9)]
    group = ai.refine(atlas, people)
    assert distance(group, {"volume": truth["volume"]}) == 0
    odd = ai.refine(group, people[-1])
    assert distance(odd, {"volume": shift}) < distance(group, {"volume": shift}) / 5
    assert len(odd.provenance.operations) == 3


def test_memberships_harden_to_the_labels(start, data, fitted):
    soft = ai.refine(start, data, memberships=True)
    for c, maps in soft.maps.items():
        assert isinstance(maps, ai.SparseMaps)
        np.testing.assert_allclose(maps.to_dense().sum(0), 1, rtol=1e-5)
        assert (np.asarray(maps.harden().labels) == labels_of(fitted, c)).all()


def test_small_parcels_keep_what_they_have(start, data):
    atlas, part = one(start, data)
    sizes = atlas.maps["volume"].counts()
    found = ai.refine(atlas, part, min_size=int(sizes.max()))
    assert (found.maps["volume"].counts() >= sizes).all()


def test_empty_parcels_stay_and_are_named(data, truth):
    atlas = atlas_of(GEOMETRIES, truth, n_parcels={"volume": 5})
    with pytest.warns(ai.AtlasWarning, match=r"1 of 9 parcels .* stay empty: volume_5\."):
        found = ai.refine(atlas, data)
    assert [m.counts().min() for m in found.maps.values()] == [
        0,
        np.bincount(truth["cortex_L"]).min(),
    ]


def test_one_parcel_has_no_border_and_no_warning(start, data):
    atlas, part = one(start, data)
    whole = atlas.replace(maps={"volume": ai.HardMaps(0 * labels_of(atlas, "volume"), 4)})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message=".* stay empty")
        assert ai.refine(whole, part).maps == whole.maps


def test_stray_pieces_join_what_they_touch(start, data, truth):
    atlas, part = one(start, data)
    labels = labels_of(atlas, "volume").copy()
    labels[0] = 3
    split = atlas.replace(maps={"volume": ai.HardMaps(labels, 4)})
    assert parcel_pieces(split)[3] == 2
    assert (parcel_pieces(ai.refine(split, part)) == 1).all()


def test_progress_is_told_and_changes_nothing(start, data, fitted):
    told = []
    watched = ai.refine(start, data, progress=lambda *step: told.append(step))
    assert watched.maps == fitted.maps
    assert {c for c, *_ in told} == set(start.compartments)
    assert told[0][1:] == (10, 400)


def test_sweeps_that_end_too_soon_are_told(start, data):
    atlas, part = one(start, data)
    with pytest.warns(
        ai.AtlasWarning, match="had not settled after 1 sweeps; pass more by `sweeps`"
    ):
        ai.refine(atlas, part, sweeps=1)


def test_a_compartment_without_parcels_stays(start, data):
    atlas = start.select(re.compile("volume"))
    found = ai.refine(atlas, data)
    assert found.maps["cortex_L"] == atlas.maps["cortex_L"]


def test_files_are_read(tmp_path, start, data):
    import nibabel as nb

    atlas, part = one(start, data)
    geometry = atlas.geometry["volume"]
    image = nb.Nifti1Image(geometry.put(part), geometry.affine)
    nb.save(image, tmp_path / "run.nii.gz")
    expected = ai.refine(atlas, part)
    assert ai.refine(atlas, tmp_path / "run.nii.gz").maps == expected.maps
    assert ai.refine(atlas, [image]).maps == expected.maps


BAD = {
    "soft": (
        lambda a, d: (ai.smooth(a, fwhm=4.0), d, {}),
        r"should be of labels.*`atlas\.harden\(\)`",
    ),
    "few volumes": (
        lambda a, d: (a, d[:, :9], {}),
        r"`data` should have at least 30 volumes.*got 9",
    ),
    "constant": (lambda a, d: (a, 0 * d, {}), "`data` should change over time somewhere"),
    "missing": (lambda a, d: (a, np.nan * d, {}), "constant, NaN or infinite everywhere in"),
    "no runs": (lambda a, d: (a, [], {}), "`data` is an empty list"),
    "other space": (lambda a, d: (a, d[:-1], {}), "locations"),
    "weight": (
        lambda a, d: (a, d, {"neighbours": -1.0}),
        "`neighbours` should be 0 or more, got -1",
    ),
    "tether": (lambda a, d: (a, d, {"tether": np.inf}), "`tether` should be 0 or more, got inf"),
    "hops": (
        lambda a, d: (a, d, {"max_hops": -1}),
        "`max_hops` should be a whole number from 0, got -1",
    ),
    "mm": (lambda a, d: (a, d, {"max_mm": -0.5}), "`max_mm` should be 0 or more"),
    "strays": (
        lambda a, d: (a, d, {"strays": 1.5}),
        "`strays` should be a number from 0 to 1, got 1.5",
    ),
    "min_size": (
        lambda a, d: (a, d, {"min_size": 0}),
        "`min_size` should be a whole number from 1, got 0",
    ),
    "sweeps": (
        lambda a, d: (a, d, {"sweeps": 0}),
        "`sweeps` should be a whole number from 1, got 0",
    ),
    "both": (
        lambda a, d: (a, d, {"halves": True, "tether": 1.0}),
        "`tether` and `halves` are both given",
    ),
    "frozen": (
        lambda a, d: (a, d, {"frozen": "volume_9"}),
        "`frozen`: there is no parcel 'volume_9'",
    ),
    "part of a hop": (
        lambda a, d: (a, d, {"max_hops": 1.5}),
        "`max_hops` should be a whole number from 0, got 1.5",
    ),
    "part of a sweep": (
        lambda a, d: (a, d, {"sweeps": 2.5}),
        "`sweeps` should be a whole number from 1, got 2.5",
    ),
    "NaN": (lambda a, d: (a, d, {"max_mm": np.nan}), "`max_mm` should be 0 or more, got nan"),
    "min_volumes": (
        lambda a, d: (a, d, {"min_volumes": 0.5}),
        "`min_volumes` should be a whole number from 2, got 0.5",
    ),
    "keys": (
        lambda a, d: (a, d, {"key": jax.random.split(jax.random.key(0))}),
        r"`key` should be one key, got shape \(2,\)",
    ),
    "mask": (
        lambda a, d: (a, d, {"sample_mask": np.ones(5, bool)}),
        "`sample_mask` should be the numbers of the volumes to keep, or 80 booleans",
    ),
    "mask range": (lambda a, d: (a, d, {"sample_mask": [0, 80]}), "numbers from 0 to 79"),
    "masks": (lambda a, d: (a, [d], {"sample_mask": [None, None]}), "one for each run"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(start, data, case):
    make, message = BAD[case]
    atlas, part, options = make(*one(start, data))
    with pytest.raises(ValueError, match=message):
        unchecked(ai.refine)(atlas, part, **options)


WRONG_TYPES = {
    "seed": (
        {"key": 3},
        r"`key` should be a key of JAX, got 3; pass `jax\.random\.key\(3\)`",
    ),
    "no key": (
        {"key": "a"},
        r"`key` should be a key of JAX, got 'a'; pass `jax\.random\.key\(0\)`",
    ),
    "hops": ({"max_hops": "2"}, "`max_hops` should be a whole number from 0, got '2'"),
    "mm": ({"max_mm": [1.0, 2.0]}, r"`max_mm` should be 0 or more, got \[1\.0, 2\.0\]"),
    "weight": ({"neighbours": True}, "`neighbours` should be 0 or more, got True"),
    "tether": ({"tether": 1j}, "`tether` should be 0 or more, got 1j"),
    "strays": ({"strays": None}, "`strays` should be a number from 0 to 1, got None"),
    "sweeps": ({"sweeps": None}, "`sweeps` should be a whole number from 1, got None"),
    "min_size": ({"min_size": "all"}, "`min_size` should be a whole number from 1, got 'all'"),
    "min_volumes": ({"min_volumes": "few"}, "`min_volumes` should be a whole number from 2"),
    "switch": ({"fill": "no"}, "`fill` should be True or False, got 'no'"),
    "number": ({"halves": 2}, "`halves` should be True or False, got 2"),
    "space": ({"data_space": 3}, "`data_space` should be a str, got 3"),
    "progress": ({"progress": True}, "`progress` should be a function or None, got True"),
}


@pytest.mark.parametrize("case", WRONG_TYPES)
def test_wrong_types_are_refused(start, data, case):
    options, message = WRONG_TYPES[case]
    atlas, part = one(start, data)
    with pytest.raises(TypeError, match=message):
        unchecked(ai.refine)(atlas, part, **options)
    options = {name: value for name, value in options.items() if name != "memberships"}
    with pytest.raises(TypeError, match=message):
        unchecked(assess_halves)(atlas, part, **options)


def test_numbers_and_keys_of_any_kind_count(start, data):
    atlas, part = one(start, data)
    expected = ai.refine(atlas, part, max_hops=2, key=jax.random.key(3))
    for hops, key in (
        (2.0, jax.random.PRNGKey(3)),
        (np.int64(2), np.asarray(jax.random.PRNGKey(3))),
        (np.array(2), jax.random.key(3)),
    ):
        found = unchecked(ai.refine)(atlas, part, max_hops=hops, key=key)
        assert found.maps == expected.maps


def test_advice_on_few_volumes_and_weights_can_be_followed(start, data):
    atlas, part = one(start, data)
    ai.refine(atlas, part[:, :20], min_volumes=20)
    ai.refine(ai.smooth(atlas, fwhm=4.0).harden(), part)


def test_a_mesh_without_faces_is_refused_with_advice(start, data):
    atlas, part = one(start, data, "cortex_L")
    mesh = atlas.geometry["cortex_L"]
    bare = dataclasses.replace(mesh, faces=None)
    blind = atlas.replace(geometry={"cortex_L": bare})
    with pytest.raises(ValueError, match=r"which locations touch.*mesh\.replace\(faces=\.\.\.\)"):
        ai.refine(blind, part)
    seeing = blind.replace(geometry={"cortex_L": bare.replace(faces=mesh.faces)})
    assert ai.refine(seeing, part).maps == ai.refine(atlas, part).maps


def test_distances_need_coordinates(start, data):
    atlas, part = one(start, data, "cortex_L")
    flat = dataclasses.replace(atlas.geometry["cortex_L"], anatomical=None)
    with pytest.raises(ValueError, match="`max_mm` needs coordinates.*`max_hops`"):
        ai.refine(atlas.replace(geometry={"cortex_L": flat}), part, max_mm=2.0)


def test_kept_variance_is_that_of_means(start, data):
    labels = labels_of(start, "volume")
    atlas, part = one(start, data)
    x = part - part.mean(1, keepdims=True)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    rest = x.copy()
    for k in range(4):
        rest[labels == k] -= x[labels == k].mean(0)
    assert kept_variance(atlas, part) == pytest.approx(1 - (rest**2).sum() / (x**2).sum())


def test_agreement_is_that_of_scikit_learn(start, truth):
    other = atlas_of(GEOMETRIES, truth)
    found = measure_agreement(start, other)
    both = [
        np.concatenate([labels_of(a, c) + 10 * i for i, c in enumerate(truth)])
        for a in (start, other)
    ]
    assert found.rand == pytest.approx(adjusted_rand_score(*both))
    k = (labels_of(start, "volume") == 2, truth["volume"] == 2)
    assert found.dice[2] == pytest.approx(2 * (k[0] & k[1]).sum() / (k[0].sum() + k[1].sum()))
    assert measure_agreement(start, start).mean_dice == 1
    with pytest.raises(ValueError, match="`other` should have the parcels"):
        measure_agreement(start, start.select(compartments="volume"))


def test_halves_judge_each_other(start, data):
    atlas, part = one(start, data)
    found = assess_halves(atlas, part)
    assert found.after > found.before + 0.05
    assert found.agreement.mean_dice > 0.95
    assert 0 < found.moved < 1
    with pytest.raises(ValueError, match="at least 60 volumes"):
        assess_halves(atlas, part[:, :40])


def test_halves_may_choose_the_weights_of_the_fits_that_they_judge(start, data):
    atlas, part = one(start, data)
    found = assess_halves(atlas, part, halves=True)
    assert found.after > found.before + 0.05


def test_denoised_fits_hold_better_in_new_data(truth):
    start = atlas_of({"volume": GEOMETRIES["volume"]}, {"volume": truth["volume"]})
    rng = np.random.default_rng(3)
    labels = truth["volume"]
    # In a few volumes, as of motion, something strong that has nothing to do with the parcels.
    wave = rng.normal(size=(labels.size, 1)) * np.pad(12 * rng.normal(size=10), (30, 40))
    noisy = series(labels, noise=3.0, seed=2) + wave.astype(np.float32)
    wrong = [
        distance(ai.refine(start, noisy, denoise=d), {"volume": labels}) for d in (True, False)
    ]
    assert wrong[0] < wrong[1]


def test_results_do_not_hang_on_the_precision_or_the_order_of_memory(start, data):
    atlas, part = one(start, data)
    expected = ai.refine(atlas, part)
    for other in (part.astype(np.float64), np.asfortranarray(part), 1e4 * part + 7):
        found = ai.refine(atlas, other)
        assert (labels_of(found, "volume") == labels_of(expected, "volume")).all()
    assert labels_of(expected, "volume").dtype == np.int32


def test_a_list_of_no_frozen_parcels_freezes_none(start, data):
    atlas, part = one(start, data)
    assert ai.refine(atlas, part, frozen=[]).maps == ai.refine(atlas, part).maps


def test_where_all_parcels_are_frozen_nothing_moves(start, data):
    atlas, part = one(start, data)
    found = ai.refine(atlas, part, frozen=list(atlas.labels["name"]))
    assert found.maps == atlas.maps


@pytest.fixture(scope="module")
def sides():
    """An atlas whose parcels lie in both hemispheres, its truth, and data; noisier on the right."""
    right = dataclasses.replace(GEOMETRIES["cortex_L"], hemisphere="R")
    geometry = {"cortex_L": GEOMETRIES["cortex_L"], "cortex_R": right}
    truth = {c: blocks(g) for c, g in geometry.items()}
    both = np.concatenate(list(truth.values()))
    data = series(both, noise=2.0)
    half = both.size // 2
    data[half:] += 6 * np.random.default_rng(1).normal(size=data[half:].shape).astype(np.float32)
    start = atlas_of(geometry, {c: blocks(g, shift=1.4) for c, g in geometry.items()})
    return start, truth, data


def test_parcels_of_both_hemispheres_have_one_mean(sides):
    start, truth, data = sides
    united = start.unite()
    fitted = ai.refine(united, data)
    assert fitted.table == united.table
    assert distance(fitted, {"cortex_L": truth["cortex_L"]}) == 0
    # What the left says of a parcel's mean helps the right.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ai.AtlasWarning)
        apart = ai.refine(start, data)
    right = {"cortex_R": truth["cortex_R"]}
    assert distance(fitted, right) < 0.7 * distance(apart, right)
    assert (parcel_pieces(fitted) == 2).all()
    # The share that is kept is that of the means over both.
    labels = np.concatenate([labels_of(fitted, c) for c in truth])
    x = data - data.mean(1, keepdims=True)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    rest = x - np.stack([x[labels == k].mean(0) for k in range(4)])[labels]
    assert kept_variance(fitted, data) == pytest.approx(1 - (rest**2).sum() / (x**2).sum())
    assert assess_halves(united, data).after > kept_variance(united, data) - 0.1


def test_parcels_of_both_hemispheres_stay_in_both(sides):
    start, truth, data = sides
    labels = labels_of(start, "cortex_R").copy()
    small = np.flatnonzero(labels == 0)[0]
    labels[labels == 0] = 1
    labels[small] = 0
    maps = {"cortex_R": ai.HardMaps(labels, 4)}
    united = start.replace(maps=maps).unite()
    # A parcel of one vertex on the right, whose series are another parcel's.
    other = data.copy()
    inside = np.concatenate([truth["cortex_L"], np.full(labels.size, -1)]) == 1
    right = start.location_slices()["cortex_R"]
    other[right] = other[inside].mean(0)
    for limit, least in (({}, 1), ({"min_size": 5}, 1)):
        found = ai.refine(united, other, **limit)
        assert (np.bincount(labels_of(found, "cortex_R"), minlength=4) >= least).all()
        assert (labels_of(found, "cortex_R") != labels).any()


@pytest.mark.parametrize(
    "options",
    [{"max_hops": 1}, {"max_mm": 1.1}, {"frozen": "1"}, {"memberships": True}, {"fill": True}],
    ids=repr,
)
def test_options_hold_in_both_hemispheres(sides, options):
    start, truth, data = sides
    united = start.unite()
    if "frozen" in options:
        options = {"frozen": united.table["name"][0]}
    found = ai.refine(united, data, **options)
    for c in truth:
        before, after = labels_of(united, c), np.asarray(found.maps[c].harden().labels)
        assert (before != after).any()
        if "frozen" in options:
            assert ((before == 0) == (after == 0)).all()
        if {"max_hops", "max_mm"} & set(options):
            points = points_of(united.geometry[c])
            for i in np.flatnonzero(before != after):
                near = np.linalg.norm(points[before == after[i]] - points[i], axis=1).min()
                assert near < 1.5
        if "memberships" in options:
            assert isinstance(found.maps[c], ai.SparseMaps)
            np.testing.assert_allclose(found.maps[c].to_dense().sum(0), 1, rtol=1e-5)


def test_cifti_of_several_compartments_and_runs_of_hemispheres(tmp_path, truth, data):
    import nibabel as nb

    names = {"volume": "subcortex", "cortex_L": "cortex_L"}
    geometry = {names[c]: g for c, g in GEOMETRIES.items()}
    structures = (("CIFTI_STRUCTURE_THALAMUS_LEFT", geometry["subcortex"].n_locations),)
    geometry["subcortex"] = dataclasses.replace(geometry["subcortex"], structures=structures)
    labels = {names[c]: blocks(g, shift=1.4) for c, g in GEOMETRIES.items()}
    atlas = atlas_of(geometry, labels)
    with pytest.warns(ai.AtlasWarning, match="one label table cannot hold"):
        ai.save_atlas(atlas, tmp_path / "start.dlabel.nii")
    models = nb.load(tmp_path / "start.dlabel.nii").header.get_axis(1)
    # The file has its structures in an order of its own.
    where = ai.load_atlas(tmp_path / "start.dlabel.nii", space="test").location_slices()
    parts = atlas.location_slices()
    rows = np.zeros((len(models), data.shape[1]), np.float32)
    for c, part in where.items():
        rows[part] = data[parts[c]]
    image = nb.Cifti2Image(rows.T, (nb.cifti2.SeriesAxis(0, 1, data.shape[1]), models))
    nb.save(image, tmp_path / "run.dtseries.nii")
    found = ai.refine(atlas, [tmp_path / "run.dtseries.nii"])
    assert distance(found, {names[c]: t for c, t in truth.items()}) == 0
    halves = [{c: data[part] for c, part in parts.items()}] * 2
    assert ai.refine(atlas, halves).maps == ai.refine(atlas, [data, data]).maps
