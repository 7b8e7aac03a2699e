"""Levels of hierarchical atlases, from tables as Allen and brainglobe have them."""

import json

import nibabel as nb
import numpy as np
import pytest
from helpers import unchecked
from typer.testing import CliRunner

import atlasinit as ai
from atlasinit.cli import app

# Key, name, short name, path from the root, colour; only some of them lie anywhere.
TREE = [
    (997, "root", "root", [997], "FFFFFF"),
    (8, "Basic cell groups", "grey", [997, 8], "BFDAE3"),
    (567, "Cerebrum", "CH", [997, 8, 567], "B0F0FF"),
    (688, "Cerebral cortex", "CTX", [997, 8, 567, 688], "B0FFB8"),
    (500, "Motor areas", "MO", [997, 8, 567, 688, 500], "1F9D5A"),
    (453, "Sensory areas", "SS", [997, 8, 567, 688, 453], "188064"),
    (623, "Nuclei", "CNU", [997, 8, 567, 623], "98D6F9"),
    (512, "Cerebellum", "CB", [997, 8, 512], "F0F080"),
    (1009, "Fiber tracts", "fiber", [997, 1009], "CCCCCC"),
    (614454277, "Bundle", "b", [997, 1009, 614454277], "CCCCCC"),
]
PATHS = {key: path for key, _, _, path, _ in TREE}
# The cerebrum has voxels of its own besides those of its parts, as in Allen's images.
THERE = [0, 567, 500, 453, 623, 512, 614454277]
VALUES = np.random.default_rng(0).choice(THERE, (6, 5, 4)).astype(np.int32)


def brainglobe_json(path):
    rows = [
        {"acronym": a, "id": k, "name": n, "structure_id_path": p,
         "rgb_triplet": list(bytes.fromhex(c))}
        for k, n, a, p, c in TREE
    ]  # fmt: skip
    path.write_text(json.dumps(rows))


def brainglobe_csv(path):
    lines = ["acronym,id,name,structure_id_path,parent_structure_id"]
    for k, n, a, p, _ in TREE:
        parent = p[-2] if len(p) > 1 else ""
        lines.append(f"{a},{k},{n},/{'/'.join(map(str, p))}/,{parent}")
    path.write_text("\n".join(lines) + "\n")


def allen_json(path):
    """Nested, as the structure graph that Allen's API returns."""

    def nest(key):
        k, n, a, p, c = next(row for row in TREE if row[0] == key)
        children = [nest(row[0]) for row in TREE if row[3][-2:-1] == [key]]
        parent = p[-2] if len(p) > 1 else None
        return {
            "id": k, "atlas_id": None, "ontology_id": 1, "acronym": a, "name": n,
            "color_hex_triplet": c, "graph_order": 0, "st_level": len(p) - 1, "hemisphere_id": 3,
            "parent_structure_id": parent, "children": children,
        }  # fmt: skip

    path.write_text(json.dumps({"success": True, "num_rows": 1, "msg": [nest(997)]}))


def parents_csv(path):
    """As nilearn's and others': the parent alone, with an empty one of the root."""
    lines = ["id,name,parent_structure_id"]
    lines += [f"{k},{n},{p[-2] if len(p) > 1 else ''}" for k, n, _, p, _ in reversed(TREE)]
    path.write_text("\n".join(lines) + "\n")


FORMS = {
    "brainglobe.json": brainglobe_json,
    "structures.csv": brainglobe_csv,
    "allen.json": allen_json,
    "parents.csv": parents_csv,
}


def load(folder, name):
    FORMS[name](folder / name)
    image = nb.Nifti1Image(VALUES, np.eye(4))
    nb.save(image, folder / "annotation.nii.gz")
    return ai.load_atlas(folder / "annotation.nii.gz", labels=folder / name, space="CCFv3")


@pytest.fixture(scope="module", params=FORMS)
def atlas(request, tmp_path_factory):
    return load(tmp_path_factory.mktemp("tree"), request.param)


@pytest.mark.parametrize("level", range(6))
def test_parcels_are_those_of_the_level(atlas, level):
    merged = ai.merge_parcels(atlas, level=level)
    keys = np.array([0, *merged.labels["key"]])
    got = merged.geometry["volume"].put(keys[np.asarray(merged.maps["volume"].labels) + 1])
    own = {0: 0} | {key: path[min(level, len(path) - 1)] for key, path in PATHS.items()}
    np.testing.assert_array_equal(got, np.vectorize(own.get)(VALUES))
    # Rows are those of the level, each as the table has it, in the table's order.
    filled = {own[key] for key in THERE[1:]}
    inner = {key for path in PATHS.values() for key in path[:-1][:level]}
    wanted = [k for k in atlas.table["key"] if own[k] == k and (k in filled or k not in inner)]
    assert list(merged.table["key"]) == wanted
    names = {key: name for key, name, *_ in TREE}
    assert list(merged.table["name"]) == [names[key] for key in wanted]
    if "acronym" in merged.table:
        short = {key: a for key, _, a, *_ in TREE}
        assert list(merged.table["acronym"]) == [short[key] for key in wanted]
    assert f"merge_parcels(level={level}; 10 parcels to" in merged.provenance.operations[-1]


BAD = {
    "negative": ({"level": -1}, ValueError, "`level` should be a whole number from 0, got -1"),
    "text": ({"level": "CTX"}, TypeError, "`level` should be a whole number from 0, got 'CTX'"),
    "both": ({"by": "name", "level": 1}, TypeError, "`by` or `level` should be given, got by="),
    "neither": ({}, TypeError, "`by` or `level` should be given"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_level(atlas, case):
    options, error, message = BAD[case]
    with pytest.raises(error, match=message):
        unchecked(ai.merge_parcels)(atlas, **options)


def test_tables_that_tell_no_hierarchy(atlas):
    plain = atlas.replace(
        labels=ai.LabelTable({t: atlas.table[t] for t in atlas.table.columns
                              if not t.startswith(("structure", "parent"))})
    )  # fmt: skip
    with pytest.raises(ValueError, match="hierarchy, of which the labels tell nothing; load"):
        ai.merge_parcels(plain, level=1)
    leaves = atlas.select([500, 453, 512])
    with pytest.raises(
        ValueError, match=r"`level`: the labels do not list (8|567|688).*whole table"
    ):
        ai.merge_parcels(leaves, level=2)
    if "structure_id_path" in leaves.table:
        assert ai.merge_parcels(leaves, level=6).table == leaves.table


def test_a_parcel_that_is_a_part_of_itself(tmp_path):
    atlas = load(tmp_path, "parents.csv")
    parents = [688 if key == 567 else p for key, p in zip(
        atlas.table["key"], atlas.table["parent_structure_id"], strict=True)]  # fmt: skip
    looped = atlas.replace(labels=atlas.table.replace(parent_structure_id=parents))
    with pytest.raises(ValueError, match="is a part of itself, by"):
        ai.merge_parcels(looped, level=2)
    wrong = atlas.replace(labels=atlas.table.replace(structure_id_path=["/a/"] * 10))
    with pytest.raises(ValueError, match="should be keys from the root, got '/a/'"):
        ai.merge_parcels(wrong, level=2)


def test_the_hierarchy_outlives_a_table_of_text(tmp_path):
    atlas = load(tmp_path, "brainglobe.json")
    ai.save_atlas(atlas, tmp_path / "again.nii.gz")
    again = ai.load_atlas(tmp_path / "again.nii.gz", space="CCFv3")
    for level in range(4):
        found, wanted = (ai.merge_parcels(each, level=level) for each in (again, atlas))
        assert found.table["key"] == wanted.table["key"]
        assert found.maps["volume"] == wanted.maps["volume"]
    # As pandas writes a list.
    paths = [str(list(path)) for path in atlas.table["structure_id_path"]]
    listed = atlas.replace(labels=atlas.table.replace(structure_id_path=paths))
    merged = ai.merge_parcels(listed, level=2)
    assert merged.table["key"] == ai.merge_parcels(atlas, level=2).table["key"]


def test_levels_on_the_command_line(tmp_path):
    load(tmp_path, "structures.csv")
    words = ["build", str(tmp_path / "annotation.nii.gz"), "--labels",
             str(tmp_path / "structures.csv"), "--space", "CCFv3", "--merge-level", "2",
             "-o", str(tmp_path / "out.npz")]  # fmt: skip
    found = CliRunner().invoke(app, words)
    assert found.exit_code == 0, found.output
    names = ai.load_atlas(tmp_path / "out.npz").table["name"]
    assert names == ("Cerebrum", "Cerebellum", "Bundle")
