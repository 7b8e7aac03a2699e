"""Exports: every format opened by another program, what survives, and what is refused."""

import numpy as np
import pytest
from helpers_cli import run_cli
from helpers_surfaces import brain_atlas, cortex_atlas

import atlasinit as ai

# Existing files and folders that cannot be written

KEYS = {".dlabel.nii": [1, 2, 3, 4, 5, 6, 7], ".annot": [1, 2, 3, 1, 2, 10, 49]}
SURFACE = (".npz", ".safetensors", ".label.gii", ".func.gii", ".dscalar.nii", *KEYS)


@pytest.mark.parametrize("ending", SURFACE)
def test_an_existing_file_is_replaced_only_when_asked(tmp_path, ending):
    atlas = cortex_atlas(**({"key": KEYS[ending]} if ending in KEYS else {}))
    written = ai.save_atlas(atlas, tmp_path / f"x{ending}")
    (tmp_path / written[0].name).write_text("old")
    others = {path: path.read_bytes() for path in written[1:]}
    with pytest.raises(ai.AtlasFileError, match=r"exists already; pass overwrite=True"):
        ai.save_atlas(atlas, tmp_path / f"x{ending}")
    assert written[0].read_text() == "old"
    assert {path: path.read_bytes() for path in others} == others
    assert sorted(tmp_path.iterdir()) == sorted(written)
    assert ai.save_atlas(atlas, tmp_path / f"x{ending}", overwrite=True) == written
    assert written[0].read_bytes() != b"old"


def test_a_table_beside_an_image_is_not_replaced_either(tmp_path):
    atlas = brain_atlas().select(compartments="subcortex")
    (tmp_path / "x.tsv").write_text("mine")
    with pytest.raises(ai.AtlasFileError, match=r"x\.tsv: exists already"):
        ai.save_atlas(atlas, tmp_path / "x.nii.gz")
    assert [path.name for path in tmp_path.iterdir()] == ["x.tsv"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("none/x.npz", r"x\.npz: its folder does not exist; make it first"),
        ("/proc/x.npz", r"x\.npz: its folder cannot be written \(.+\); choose another"),
        ("taken.npz", r"taken\.npz: is a folder, not a file"),
        ("old.npz", r"old\.npz: exists already; pass overwrite=True \(--overwrite\)"),
    ],
)
def test_where_nothing_can_be_written(tmp_path, capsys, name, message):
    (tmp_path / "taken.npz").mkdir()
    (tmp_path / "old.npz").write_text("old")
    with pytest.raises(ai.AtlasFileError, match=message):
        ai.save_atlas(cortex_atlas(), tmp_path / name)
    before = sorted(tmp_path.rglob("*"))
    arguments = ("build", "desikan-killiany", "--space", "fsaverage5", "-o", tmp_path / name)
    status, out, errors = run_cli(capsys, *arguments)
    assert (status, out, errors.count("\n")) == (2, "", 1)
    with pytest.raises(ValueError, match=message):
        raise ValueError(errors)
    assert sorted(tmp_path.rglob("*")) == before
    assert (tmp_path / "old.npz").read_text() == "old"


def test_the_command_line_replaces_what_it_is_told_to(tmp_path, capsys):
    (tmp_path / "old.npz").write_text("old")
    arguments = ("build", "desikan-killiany", "--space", "fsaverage5", "-o", tmp_path / "old.npz")
    status, _, _ = run_cli(capsys, *arguments, "--overwrite")
    assert status == 0
    assert ai.load_atlas(tmp_path / "old.npz").n_parcels == 68


@pytest.mark.parametrize("ending", [".pscalar.nii", ".ptseries.nii"])
def test_values_of_parcels_are_replaced_only_when_asked(tmp_path, ending):
    from atlasinit.io import write_parcellated

    atlas = cortex_atlas().drop_empty()
    values = np.arange(atlas.n_parcels, dtype=np.float32)
    path = write_parcellated(values, atlas, tmp_path / f"x{ending}")
    with pytest.raises(ai.AtlasFileError, match="exists already"):
        write_parcellated(values, atlas, path)
    assert write_parcellated(values, atlas, path, overwrite=True) == path
