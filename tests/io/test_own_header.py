"""The JSON header and runs that the formats share."""

import json

import numpy as np
import pytest
from helpers import mixed_atlas
from helpers_surfaces import cortex_atlas, read

from atlasinit.errors import AtlasFileError
from atlasinit.io.formats import gifti
from atlasinit.io.own_header import format_runs, pack_metadata, parse_runs, unpack_metadata


@pytest.mark.parametrize(
    ("indices", "text"),
    [([0, 1, 5, 6, 2], "0:2 5:2 2:1"), ([], ""), ([3], "3:1"), ([2, 1, 0], "2:1 1:1 0:1")],
)
def test_runs(indices, text):
    assert format_runs(np.array(indices, np.int32)) == text
    back = parse_runs(text, "x", below=2**31 - 1)
    assert back.dtype == np.int32
    assert back.tolist() == indices


def test_runs_of_any_mask():
    rng = np.random.default_rng(0)
    for share in (0.01, 0.5, 0.99):
        indices = np.flatnonzero(rng.random(500) < share)
        np.testing.assert_array_equal(
            parse_runs(format_runs(indices), "x", below=2**31 - 1), indices
        )


@pytest.mark.parametrize("text", ["1", "1:2:3", "a:b", "1:2,3"])
def test_damaged_runs(text):
    with pytest.raises(AtlasFileError, match=r"x\.gii: its list of kept locations is damaged"):
        parse_runs(text, "x.gii", below=10)


def test_the_header_holds_everything():
    atlas = mixed_atlas()
    header = unpack_metadata(pack_metadata(atlas), "x")
    assert (header.name, header.space) == (atlas.name, atlas.space)
    assert header.compartments == atlas.compartments
    assert header.labels == atlas.table
    assert header.provenance == atlas.provenance
    assert header.file_keys == atlas.table["key"]
    part = unpack_metadata(pack_metadata(atlas, compartments=["cortex_R"], file_keys=[7, 9]), "x")
    assert part.compartments == ("cortex_R",)
    assert [(k, r.key, r.extra["network"]) for k, r in part.rows_of("cortex_R").items()] == [
        (7, 1, "Vis"),
        (9, 2, "Default"),
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda fields: fields.pop("name"),
        lambda fields: fields.update(provenance="x"),
        lambda fields: fields["labels"].pop("key"),
        lambda fields: fields.update(atlasinit="x"),
    ],
)
def test_damaged_header(change):
    fields = json.loads(pack_metadata(mixed_atlas()))
    change(fields)
    with pytest.raises(AtlasFileError, match=r"x\.gii: its atlasinit header is damaged"):
        unpack_metadata(json.dumps(fields), "x.gii")


def test_a_compartment_of_another_name_is_as_the_file_has_it(tmp_path):
    path = gifti.write(cortex_atlas(), tmp_path / "x.label.gii")[0]
    part = read(path, compartment="mine")["mine"]
    assert [row.key for row in part.rows or ()] == [0, 1, 2, 300]
    assert part.background is None
