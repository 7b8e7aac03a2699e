"""Messages of the package on the command line: arguments are named as options there."""

import pytest
import typer

from atlasinit.cli import app
from atlasinit.cli.wording import wording

SAID = {
    "`fwhm` should be positive and finite, got 0.0.": "--fwhm should be positive and finite, got 0.0.",
    "x.npz: exists already; pass overwrite=True to replace it.": (
        "x.npz: exists already; pass --overwrite to replace it."
    ),
    'Pass nan="zero" to take NaN for 0.': "Pass --nan zero to take NaN for 0.",
    "has no networks 8 with space='fsLR', parcels=400. Choose": (
        "has no networks 8 with --space fsLR, --parcels 400. Choose"
    ),
    "pass space=, for instance": "pass --space, for instance",
    "state it when loading (space=), or": "state it when loading (--space), or",
    "got sigma=3.0 and fwhm=4.0.": "got --sigma 3.0 and --fwhm 4.0.",
    "`path` should end in .npz": "--output should end in .npz",
    "`atlas`: BIDS needs": "ATLAS: BIDS needs",
    'pass metadata={"License": ...}.': "pass --metadata License=VALUE.",
    'by entities={"desc": ...}.': "by --entity desc=VALUE.",
    'give it as {"cortex_L": path} or': "give it as cortex_L=FILE or",
    'labels by meshes={"cortex_L": {"sphere": path}} (or': "labels by --sphere FILE (or",
    "harden them by atlas.harden(), or save": "harden them by --harden, or save",
    "take one by atlas.select(compartments=...).": "take one by --compartment.",
    "use atlas.select(compartments=['cortex_L', 'cortex_R']).": (
        "use --compartment cortex_L --compartment cortex_R."
    ),
    "by `mesh.replace(anatomical=..., faces=...)`, or": "by --anatomical, or",
    "`ai.list_atlases()` shows all": "`atlasinit list` shows all",
    "Move the atlas by `ai.resample(atlas, image)`": "Move the atlas by `atlasinit resample`",
    # What has no option is left as it is, and so are files.
    "a larger width or `truncate`": "a larger width or `truncate`",
    "by `nilearn.image.resample_img`": "by `nilearn.image.resample_img`",
    "with `wb_command -cifti-version-convert IN 2 OUT`": (
        "with `wb_command -cifti-version-convert IN 2 OUT`"
    ),
    "labels of BIDS are letters, got desc='a-b'.": "labels of BIDS are letters, got desc='a-b'.",
    "/data/space=x/parcels=3.nii: no such file": "/data/space=x/parcels=3.nii: no such file",
}


@pytest.mark.parametrize("message", list(SAID))
def test_arguments_are_named_as_options(message):
    assert wording(typer.main.get_command(app), "build").of(message) == SAID[message]


def test_an_option_of_another_command_is_named_with_it():
    words = wording(typer.main.get_command(app), "project")
    assert words.of("use atlas.harden() first") == "use `atlasinit build --harden` first"
    assert words.of("`data` holds") == "--data holds"


def test_errors_of_the_system_are_sentences(tmp_path, run):
    (tmp_path / "file").touch()
    status, out, errors = run("demo", "--out", tmp_path / "file")
    assert (status, out) == (2, "")
    assert errors == f"atlasinit: {tmp_path / 'file'}: File exists.\n"
