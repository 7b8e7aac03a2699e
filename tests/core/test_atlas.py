"""Atlas: construction, selection, normalisation, coverage, equality, repr."""

import re

import jax
import numpy as np
import pytest
from helpers import mixed_atlas, table, unchecked

import atlasinit as ai


def build(**changes):
    atlas = mixed_atlas()
    fields = {
        "name": atlas.name,
        "space": atlas.space,
        "maps": atlas.maps,
        "geometry": atlas.geometry,
        "labels": atlas.table,
    }
    return ai.Atlas(**{**fields, **changes})


def test_labels_have_a_row_a_parcel_and_flag_the_empty():
    labels = mixed_atlas().labels
    assert labels.columns[:7].tolist() == [
        "compartment", "key", "name", "color", "hemisphere", "n_locations", "empty",
    ]  # fmt: skip
    assert labels["name"].tolist()[1] == "L_b"
    assert labels["empty"].tolist() == [False, True] + [False] * 5
    assert labels["n_locations"].tolist()[:5] == [4, 0, 4, 6, 6]
    labels.loc[0, "name"] = "changed"
    assert mixed_atlas().labels.loc[0, "name"] == "L_a"


def test_slices_follow_the_order_of_compartments():
    atlas = mixed_atlas()
    assert atlas.location_slices() == {
        "cortex_L": slice(0, 10), "cortex_R": slice(10, 22), "subcortex": slice(22, 29),
    }  # fmt: skip
    assert [s.start for s in atlas.parcel_slices().values()] == [0, 3, 5]
    assert (atlas.n_parcels, atlas.n_locations) == (7, 29)


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({"parcels": "L_c"}, ["L_c"]),
        ({"parcels": ["R_b", "L_a"]}, ["L_a", "R_b"]),
        ({"parcels": 300}, ["L_c"]),
        ({"parcels": np.int64(300)}, ["L_c"]),
        ({"parcels": ("cortex_R", 1)}, ["R_a"]),
        ({"parcels": 1, "compartments": "cortex_R"}, ["R_a"]),
        ({"parcels": re.compile("_[ab]$")}, ["L_a", "L_b", "R_a", "R_b"]),
        ({"hemisphere": "R"}, ["R_a", "R_b"]),
        ({"network": "Default"}, ["L_c", "R_b"]),
        ({"network": ["Vis", "Default"], "hemisphere": "L"}, ["L_a", "L_c"]),
        ({"compartments": ["subcortex"]}, ["Left-Thalamus", "Right-Thalamus"]),
    ],
)
def test_select(conditions, names):
    atlas = mixed_atlas()
    chosen = atlas.select(**conditions)
    assert chosen.labels["name"].tolist() == names
    wanted = [atlas.labels["name"].tolist().index(n) for n in names]
    kept = [c for c in atlas.compartments if c in chosen.compartments]
    whole = {c: m for c, m in zip(atlas.compartments, split_rows(atlas, wanted), strict=True)}
    for c in kept:
        np.testing.assert_array_equal(chosen.maps[c].to_dense(), whole[c])
        assert chosen.geometry[c] == atlas.geometry[c]


def split_rows(atlas, wanted):
    for c, rows in atlas.parcel_slices().items():
        yield atlas.to_dense()[c][[w - rows.start for w in wanted if rows.start <= w < rows.stop]]


@pytest.mark.parametrize(
    ("conditions", "message"),
    [
        ({"parcels": "L_d"}, "no parcel 'L_d' in .* Did you mean .*'L_"),
        ({"parcels": 7}, "no key 7"),
        ({"parcels": 1}, r"key 1 is ambiguous.*\('cortex_L', 1\) 'L_a'.*\('cortex_R', 1\) 'R_a'"),
        ({"parcels": ("cortex_R", 300)}, "no .compartment, key. .'cortex_R', 300."),
        ({"parcels": re.compile("zzz")}, "no name matches the pattern 'zzz'"),
        ({"hemisphere": "both"}, '"L", "R"'),
        ({"network": "Visual"}, "there is no network 'Visual'.* Known: Vis, Default"),
        ({"compartments": "cortex_l"}, "no compartment 'cortex_l'. Did you mean 'cortex_L'"),
        ({"hemisphere": "L", "network": "Default", "parcels": "R_b"}, "satisfies all"),
    ],
)
def test_select_refuses(conditions, message):
    with pytest.raises(ValueError, match=message):
        mixed_atlas().select(**conditions)


def test_select_takes_no_mask_for_keys():
    atlas = mixed_atlas()
    with pytest.raises(TypeError, match="names, keys, .* got booleans"):
        atlas.select([True] * atlas.n_parcels)


def test_select_network_without_networks():
    with pytest.raises(ValueError, match="name no networks"):
        build(labels=table(list(mixed_atlas().table["compartment"]))).select(network="Vis")


def test_normalize():
    atlas = mixed_atlas()
    rows = np.concatenate([m.sum(1) for m in atlas.normalize("parcel").to_dense().values()])
    expected = [1, 0, 1, 1, 1, 1, 1]
    np.testing.assert_allclose(rows, expected, atol=1e-5)
    columns = atlas.normalize("location").to_dense()["subcortex"].sum(0)
    present = atlas.to_dense()["subcortex"].any(0)
    np.testing.assert_allclose(columns, present, atol=1e-5)
    with pytest.raises(ValueError, match='"parcel" or "location"'):
        atlas.normalize("row")


def test_a_mesh_of_the_other_hemisphere_is_refused():
    atlas = mixed_atlas()
    right = ai.SurfaceMesh(12, vertices=np.arange(1, 11), hemisphere="R")
    with pytest.raises(ValueError, match="'cortex_L' should be of hemisphere 'L'.*R, 10 of 12"):
        atlas.replace(geometry={"cortex_L": right})
    unstated = ai.SurfaceMesh(12, vertices=np.arange(1, 11))
    assert atlas.replace(geometry={"cortex_L": unstated}).geometry["cortex_L"] == unstated


def test_coverage():
    atlas = mixed_atlas()
    assert atlas.coverage(np.ones(29, bool)).tolist() == [1, 0, 1, 1, 1, 1, 1]
    mask = np.zeros(29, bool)
    mask[[0, 1, 10]] = True
    assert atlas.coverage(mask).tolist() == pytest.approx([0.5, 0, 0, 0, 1 / 6, 0, 0])
    parts = {c: mask[s] for c, s in atlas.location_slices().items()}
    assert atlas.coverage(parts).equals(atlas.coverage(mask))
    with pytest.raises(ValueError, match=r"\(29,\).*\(28,\)"):
        atlas.coverage(mask[:-1])
    with pytest.raises(ValueError, match=r"lacks the compartments \['cortex_L'"):
        atlas.coverage({})
    with pytest.raises(ValueError, match="boolean"):
        atlas.coverage(mask.astype(float))


def test_harden_and_drop_empty():
    atlas = mixed_atlas()
    hardened = atlas.harden()
    assert all(isinstance(m, ai.HardMaps) for m in hardened.maps.values())
    assert hardened.n_parcels == atlas.n_parcels
    assert "L_b" not in atlas.drop_empty().labels["name"].tolist()
    assert atlas.drop_empty().n_locations == atlas.n_locations
    assert hardened.provenance.operations == ("harden()",)


def test_equal_by_value_and_a_pytree():
    atlas = mixed_atlas()
    assert atlas == mixed_atlas()
    assert atlas != atlas.harden()
    assert build(name="other") != build()
    leaves, structure = jax.tree.flatten(atlas)
    assert len(leaves) == 5
    assert hash(structure) == hash(jax.tree.structure(mixed_atlas()))
    assert structure.unflatten(leaves) == atlas
    traces = []
    count = jax.jit(lambda a: traces.append(None) or a.maps["cortex_L"].labels.sum())
    assert count(atlas) == count(mixed_atlas())
    assert len(traces) == 1


def test_repr_reads():
    text = repr(mixed_atlas())
    for part in ("'mixed' in test: 7 parcels", "cortex_L: 3 parcels, HardMaps", "L_b", "CC0"):
        assert part in text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"maps": {}}, "at least one"),
        ({"geometry": {"cortex_L": ai.SurfaceMesh(10)}}, "same compartments"),
        ({"labels": mixed_atlas().table.take([3, 4, 0, 1, 2, 5, 6])}, "same order"),
        ({"labels": mixed_atlas().table.take([0, 1, 3, 4, 5, 6])}, r"\(2, 10\).*\(3, 10\)"),
    ],
)
def test_construction_refuses(changes, message):
    with pytest.raises(ValueError, match=message):
        build(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": 3}, '`space` should be text, got 3; pass `""` where there is none'),
        ({"space": None}, "`space` should be text, got None"),
        ({"space": np.float32(2)}, r"`space` should be text, got np.float32\(2.0\)"),
        ({"name": b"a"}, "`name` should be text, got b'a'"),
        ({"geometry": ai.SurfaceMesh(10)}, "`geometry` should be a mapping from compartments to"),
        ({"geometry": {"a": (10,)}}, r"`geometry\['a'\]` should be a VolumeGrid or a Surf.*10"),
        ({"geometry": {1: ai.SurfaceMesh(10)}}, "names of compartments, got 1"),
        ({"labels": mixed_atlas().labels}, "`labels` should be a LabelTable, got DataFrame"),
        ({"provenance": "mine"}, "`provenance` should be a Provenance, got 'mine'"),
    ],
)
def test_what_is_of_another_kind_is_refused(changes, message):
    atlas = mixed_atlas()
    fields = {"name": "a", "space": "", "maps": atlas.maps, "geometry": atlas.geometry}
    fields |= {"labels": atlas.table}
    with pytest.raises(TypeError, match=message):
        # The constructor as users have it; it raises before a field is set.
        unchecked(ai.Atlas.__init__)(object.__new__(ai.Atlas), **fields | changes)


def test_replace_refuses_unknown_compartments():
    with pytest.raises(ValueError, match="`maps`: compartments are"):
        mixed_atlas().replace(maps={"cerebellum": ai.HardMaps(np.zeros(1, np.int32), 1)})
