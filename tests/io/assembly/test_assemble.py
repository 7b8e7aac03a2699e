"""Parts and tables to an atlas: the join by key, the background, homes, and the cheapest maps."""

import ast
import re

import numpy as np
import pytest
from scipy.sparse import csr_array

import atlasinit as ai
from atlasinit.core.provenance import Provenance
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.assembly.exact import find_keys, row_labels
from atlasinit.io.contents import LabelRow, Part
from atlasinit.io.options import ReadOptions

AFFINE = np.diag([2.0, 2.0, 2.0, 1.0])


def surface(keys, side="L", rows=None, **fields):
    keys = np.asarray(keys, np.int32)
    mesh = ai.SurfaceMesh(keys.size, hemisphere=side)
    return Part(f"cortex_{side}", mesh, keys=keys, rows=rows, **fields)


def volume(keys, rows=None, **fields):
    keys = np.asarray(keys, np.int32)
    return Part("volume", ai.VolumeGrid((keys.size, 1, 1), AFFINE), keys=keys, rows=rows, **fields)


def soft(maps, keys=None, rows=None):
    n, locations = maps.shape
    keys = tuple(range(1, n + 1)) if keys is None else keys
    mesh = ai.SurfaceMesh(locations, hemisphere="L")
    return Part("cortex_L", mesh, maps=maps, map_keys=keys, rows=rows)


def rows_of(table):
    return tuple(LabelRow(key, name) for key, name in table.items())


def build(*parts, provenance=Provenance(), **options):  # noqa: B008 (immutable)
    return assemble(parts, ReadOptions(**options), name="a", space="s", provenance=provenance)


def listed(atlas):
    table = atlas.table
    return list(zip(table["compartment"], table["key"], table["name"], strict=True))


def test_rows_follow_the_table_and_data_are_joined_by_key():
    atlas = build(volume([0, 300, 2, 300, 7]), labels={7: "C", 300: "B", 2: "A"})
    assert listed(atlas) == [("volume", 7, "C"), ("volume", 300, "B"), ("volume", 2, "A")]
    assert atlas.maps["volume"].labels.tolist() == [-1, 1, 2, 1, 0]


@pytest.mark.parametrize("factor", [1, 10_000_000])
def test_a_permuted_table_permutes_the_rows_only(factor):
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 30, 400).astype(np.int32) * factor
    names = {k * factor: f"p{k}" for k in range(1, 30)}
    order = rng.permutation(list(names))
    first = build(volume(keys), labels=names)
    other = build(volume(keys), labels={int(k): names[int(k)] for k in order})
    for name in names.values():
        i, j = first.table["name"].index(name), other.table["name"].index(name)
        np.testing.assert_array_equal(first.to_dense()["volume"][i], other.to_dense()["volume"][j])
        np.testing.assert_array_equal(first.to_dense()["volume"][i], keys == int(name[1:]) * factor)


def test_keys_without_an_entry_are_an_error_that_lists_them():
    message = r"2 of 5 keys .*cortex_L: 8; cortex_R: 9.*unlisted=\"name\""
    with pytest.raises(ValueError, match=message):
        build(surface([1, 2, 8]), surface([1, 9], "R"), labels={1: "A", 2: "B"})


def test_keys_without_an_entry_can_be_named():
    atlas = build(volume([9, 1, 8]), labels={1: "A"}, unlisted="name")
    assert listed(atlas) == [("volume", 1, "A"), ("volume", 8, "label-8"), ("volume", 9, "label-9")]


def test_a_table_of_another_atlas_is_called_so():
    with pytest.raises(ValueError, match="belong to another atlas"):
        build(volume([1, 2, 3]), labels={1: "A", 12: "B"})


def test_a_table_that_counts_from_zero_is_called_so():
    with pytest.raises(ValueError, match="add 1 to its keys"):
        build(volume([0, 1, 2, 3]), labels={0: "A", 1: "B", 2: "C"})


def test_without_a_table_parcels_are_named_by_key():
    assert listed(build(volume([0, 3, 1]))) == [
        ("volume", 1, "label-1"),
        ("volume", 3, "label-3"),
    ]


BACKGROUND = (
    *("unknown", "???", "Background", "Medial wall", "Medial_Wall", "clear label"),
    *("Background+FreeSurfer_Defined_Medial_Wall", "FreeSurfer_Defined_Medial_Wall"),
    *("ctx-lh-unknown", "L_???"),
)


@pytest.mark.parametrize("name", BACKGROUND)
def test_the_background_is_never_a_row(name):
    atlas = build(surface([0, 41, 65793]), labels={41: "A", 65793: name})
    assert listed(atlas) == [("cortex_L", 41, "A")]
    assert atlas.maps["cortex_L"].labels.tolist() == [-1, 0, -1]


def test_corpus_callosum_is_background_on_surfaces_only():
    labels = {1: "A", 4: "corpuscallosum"}
    assert build(surface([1, 4]), labels=labels).n_parcels == 1
    assert build(volume([1, 4]), labels=labels).n_parcels == 2


@pytest.mark.parametrize(
    ("background", "kept", "operations"),
    [
        ((), [0, 1, 2], ("background()",)),
        ([0], [1, 2], ("background(0)",)),
        ([0, "B"], [1], ("background(0, 'B')",)),
        ("unknown", [1, 2], ("background('unknown')",)),
    ],
)
def test_the_user_states_the_background(background, kept, operations):
    labels = {0: "unknown", 1: "A", 2: "B"}
    atlas = build(volume([0, 1, 2]), labels=labels, background=background)
    assert list(atlas.table["key"]) == kept
    assert atlas.provenance.operations == operations


@pytest.mark.parametrize(("background", "kept"), [(["a"], [0, 2]), ("B", [0, 1]), (2, [0, 1])])
def test_a_background_that_replaces_key_0_says_so(background, kept):
    labels = {0: "unknown", 1: "A", 2: "B"}
    with pytest.warns(ai.AtlasWarning, match="replaces key 0.* pass background=") as caught:
        atlas = build(volume([0, 1, 2]), labels=labels, background=background)
    assert list(atlas.table["key"]) == kept
    # What the warning advises leaves key 0 out too.
    advice = str(caught[0].message).rsplit("background=", 1)[1].rstrip(".")
    atlas = build(volume([0, 1, 2]), labels=labels, background=ast.literal_eval(advice))
    assert list(atlas.table["key"]) == [key for key in kept if key]


def test_a_background_of_unknown_name_is_refused():
    with pytest.raises(ValueError, match="no table has an entry 'Medail'. Did you mean 'Medial'"):
        build(volume([1, 2]), labels={1: "A", 2: "Medial"}, background=["Medail"])


def test_a_file_may_state_its_background():
    atlas = build(surface([-1, 0, 1], background=(-1,), rows=rows_of({0: "A", 1: "unknown"})))
    assert listed(atlas) == [("cortex_L", 0, "A"), ("cortex_L", 1, "unknown")]


def test_negative_keys_are_refused():
    with pytest.raises(ValueError, match=r"'volume' should not be negative, .* -3"):
        build(volume([1, -3]))
    atlas = build(volume([1, 0, -3]), background=[0, -3])
    assert listed(atlas) == [("volume", 1, "label-1")]


def test_entries_without_a_location_are_empty_rows():
    atlas = build(volume([1, 3]), labels={1: "A", 2: "B", 3: "C"})
    assert atlas.labels["empty"].tolist() == [False, True, False]
    assert atlas.labels["n_locations"].tolist() == [1, 0, 1]


def test_one_table_for_all_goes_where_the_keys_are():
    labels = {1: "A", 2: "lh-B", 3: "rh-C", 4: "D", 9: "E", 10: "F"}
    atlas = build(surface([1, 1]), surface([4, 9], "R"), labels=labels)
    # B and C by the side in their names, F beside the nearest lower key.
    assert listed(atlas) == [
        *[("cortex_L", 1, "A"), ("cortex_L", 2, "lh-B")],
        *[("cortex_R", 3, "rh-C"), ("cortex_R", 4, "D"), ("cortex_R", 9, "E")],
        ("cortex_R", 10, "F"),
    ]


def test_rows_of_a_hemisphere_apply_to_its_cortex_and_to_volumes():
    labels = [
        *(LabelRow(7, "A", hemisphere="L"), LabelRow(7, "B", hemisphere="R")),
        *(LabelRow(8, "C", hemisphere="R"), LabelRow(9, "D")),
    ]
    atlas = build(surface([7, 9]), surface([7, 8], "R"), labels=labels)
    assert listed(atlas) == [
        *[("cortex_L", 7, "A"), ("cortex_L", 9, "D")],
        *[("cortex_R", 7, "B"), ("cortex_R", 8, "C")],
    ]
    with pytest.raises(ValueError, match="several entries for key 7 in volume: 'A' and 'B'"):
        build(volume([7]), labels=labels)
    with pytest.raises(ValueError, match="cortex_L: 8"):
        build(surface([7, 8]), labels=labels)


def test_rows_of_a_compartment_apply_to_it_alone():
    labels = [
        LabelRow(1, "A", extra={"compartment": "cortex_L", "network": "x"}),
        LabelRow(1, "B", extra={"compartment": "cortex_R", "network": "y"}),
    ]
    atlas = build(surface([1]), surface([1], "R"), labels=labels)
    assert listed(atlas) == [("cortex_L", 1, "A"), ("cortex_R", 1, "B")]
    assert atlas.table["network"] == ("x", "y")


def test_hemispheres_may_share_keys_with_other_meanings():
    left, right = rows_of({1: "A", 2: "B"}), rows_of({1: "Z", 2: "B"})
    atlas = build(surface([1, 2], rows=left), surface([1, 0], "R", rows=right))
    assert listed(atlas) == [
        *[("cortex_L", 1, "A"), ("cortex_L", 2, "L_B")],
        *[("cortex_R", 1, "Z"), ("cortex_R", 2, "R_B")],
    ]
    assert atlas.labels["empty"].tolist() == [False, False, False, True]


def test_parts_of_one_file_share_its_table():
    rows = rows_of({1: "A", 2: "B", 3: "C"})
    atlas = build(surface([1, 1], rows=rows), surface([2, 2], "R", rows=rows))
    assert listed(atlas) == [("cortex_L", 1, "A"), ("cortex_R", 2, "B"), ("cortex_R", 3, "C")]


def test_a_table_for_one_compartment_leaves_the_others_theirs():
    parts = surface([1], rows=rows_of({1: "own"})), surface([1], "R", rows=rows_of({1: "own"}))
    atlas = build(*parts, labels={"cortex_R": {1: "given"}})
    assert atlas.table["name"] == ("own", "given")
    with pytest.raises(ValueError, match=r"got tables for \['x'\]"):
        build(*parts, labels={"x": {1: "given"}})


def test_names_that_both_sides_of_a_volume_share_get_the_side():
    labels = [LabelRow(1, "A", hemisphere="L"), LabelRow(2, "A", hemisphere="R"), LabelRow(3, "B")]
    atlas = build(volume([1, 2, 3]), labels=labels)
    assert atlas.table["name"] == ("L_A", "R_A", "B")
    assert atlas.table["hemisphere"] == ("L", "R", "")


def test_columns_are_united_and_reserved_names_are_kept_apart():
    labels = [LabelRow(1, "A", extra={"network": "x", "key": 5}), LabelRow(2, "B", extra={"t": 1})]
    table = build(volume([1, 2]), labels=labels).table
    assert table["network"] == ("x", None)
    assert table["file_key"] == (5, None)
    assert table["t"] == (None, 1)


def test_of_a_whole_grid_the_labelled_voxels_are_kept():
    keys = [0, 4, 0, 5, 4, 6]
    table = {4: "A", 5: "B", 6: "background"}
    whole = build(volume(keys, whole=True), labels=table)
    assert whole.geometry["volume"].voxels.tolist() == [1, 3, 4]
    assert whole.maps["volume"].labels.tolist() == [0, 1, 0]
    assert build(volume(keys), labels=table).n_locations == 6


MAPS = np.array([[1, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]], np.float32)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
@pytest.mark.parametrize(
    ("maps", "kind"),
    [
        (MAPS, ai.HardMaps),
        (MAPS * [[1], [0.5], [1]], ai.SparseMaps),
        (MAPS + [[0, 0, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], ai.SparseMaps),
        (-MAPS, ai.SparseMaps),
        (np.arange(12.0).reshape(3, 4), ai.DenseMaps),
        (np.zeros((3, 4)), ai.HardMaps),
    ],
)
def test_maps_take_the_cheapest_exact_form(form, maps, kind):
    atlas = build(soft(form(maps.astype(np.float32))))
    assert type(atlas.maps["cortex_L"]) is kind
    np.testing.assert_array_equal(atlas.to_dense()["cortex_L"], maps)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_maps_are_joined_by_key_too(form):
    maps = np.array([[0.5, 0, 0], [0, 2, 0], [0, 0.25, 0]], np.float32)
    labels = {3: "C", 7: "absent", 1: "A", 2: "background"}
    atlas = build(soft(form(maps)), labels=labels)
    assert listed(atlas) == [("cortex_L", 3, "C"), ("cortex_L", 7, "absent"), ("cortex_L", 1, "A")]
    np.testing.assert_array_equal(atlas.to_dense()["cortex_L"], [maps[2], [0, 0, 0], maps[0]])


def test_maps_are_counted_as_the_table_counts():
    maps = np.array([[0.5, 0], [0, 2]], np.float32)
    zero = build(soft(maps), labels={0: "A", 1: "B"})
    one = build(soft(maps), labels={1: "A", 2: "B"})
    assert (zero.table["key"], one.table["key"]) == ((0, 1), (1, 2))
    assert zero.table["name"] == one.table["name"] == ("A", "B")
    # A table with both 0 and the number of maps counts from 1 and names the background.
    atlas = build(soft(maps), labels={0: "background", 1: "A", 2: "B"})
    assert atlas.table["key"] == (1, 2)


@pytest.mark.parametrize("form", [np.asarray, csr_array])
def test_nan_weights(form):
    dense = np.array([[np.nan, 1, 2, 3], [0, 0, 0, 1], [np.nan, 0, np.nan, 0]], np.float32)
    with pytest.raises(ValueError, match=r"NaN \('label-1': 1, 'label-3': 2\).*nan=\"zero\""):
        build(soft(form(dense)))
    atlas = build(soft(form(dense)), nan="zero")
    np.testing.assert_array_equal(atlas.to_dense()["cortex_L"], np.nan_to_num(dense))
    # Single precision ends at 3.4e38.
    for wide in (np.float32([[np.inf, 1]]), np.array([[1e300, 1]]), np.array([[-4e38, 1]])):
        with pytest.raises(ValueError, match=r"infinity or more than 3.4e\+38"):
            build(soft(form(wide)), nan="zero")


def test_many_nan_weights_that_are_dense():
    dense = np.ones((2, 4), np.float32)
    dense[1, 2] = np.nan
    atlas = build(soft(dense + 1), nan="zero")
    assert isinstance(atlas.maps["cortex_L"], ai.DenseMaps)
    assert atlas.to_dense()["cortex_L"][1].tolist() == [2, 2, 0, 2]


@pytest.mark.parametrize(
    ("parts", "options", "message"),
    [
        ([], {}, "one per compartment, got \\[\\]"),
        ([volume([1]), volume([1])], {}, "one per compartment"),
        ([volume([1])], {"unlisted": "drop"}, "`unlisted` should be"),
        ([volume([0, 0])], {}, "has no parcel"),
        ([soft(MAPS, keys=(1, 1, 2))], {}, "`map_keys` of 'cortex_L' should be distinct"),
        ([volume([1])], {"labels": rows_of({1: "A"}) + rows_of({1: "B"})}, "several entries"),
    ],
)
def test_bad_input(parts, options, message):
    with pytest.raises(ValueError, match=message):
        build(*parts, **options)


def test_entries_that_are_repeated_word_for_word_are_one():
    assert build(volume([1]), labels=rows_of({1: "A"}) * 2).n_parcels == 1


def test_what_reading_did_is_in_the_provenance():
    part = soft(MAPS)
    part = Part(**{**part.__dict__, "operations": ("scale(0.01)",)})
    assert build(part, provenance=ai.Provenance("files")).provenance.operations == ("scale(0.01)",)


@pytest.mark.parametrize("top", [5, 300, 70_000, 2**31 - 1])
def test_lookup_and_search_agree_with_numpy(top):
    rng = np.random.default_rng(top)
    keys = rng.choice(np.r_[rng.integers(0, top, 40), 0, top], 500).astype(np.int32)
    unique, inverse = np.unique(keys, return_inverse=True)
    assert find_keys(keys) == tuple(unique.tolist())
    np.testing.assert_array_equal(row_labels(keys, unique.tolist()), inverse)
    shuffled = rng.permutation(unique)
    np.testing.assert_array_equal(shuffled[row_labels(keys, shuffled.tolist())], keys)
    assert (row_labels(keys, []) == -1).all()
    assert re.fullmatch(r"\(\)", str(find_keys(keys[:0])))
