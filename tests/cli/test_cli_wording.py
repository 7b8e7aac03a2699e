"""Messages of the package on the command line: arguments are named as options there."""

from pathlib import Path

import pytest
import typer

from atlasinit.cli import app
from atlasinit.cli.wording import wording
from atlasinit.errors import (
    Argument,
    ArgumentError,
    AtlasFileError,
    AtlasWarning,
    Call,
    Passing,
    Phrase,
    Value,
)

SAID = [
    (ArgumentError("fwhm", "should be positive, got 0.0"), "--fwhm should be positive, got 0.0."),
    (
        AtlasFileError("x.npz", "exists already", "pass " + Passing(overwrite=True) + " for it"),
        "x.npz: exists already; pass --overwrite for it.",
    ),
    ("Pass " + Passing(nan="zero") + " to take NaN for 0.", "Pass --nan zero to take NaN for 0."),
    (Passing(space="fsLR", parcels=400), "--space fsLR, --parcels 400"),
    (Passing(sigma=3.0) + " and " + Passing(fwhm=4.0), "--sigma 3.0 and --fwhm 4.0"),
    ("state it (" + Passing(space=...) + ")", "state it (--space)"),
    (ArgumentError("path", "should end in .npz"), "--output should end in .npz."),
    (ArgumentError("atlas", ": BIDS needs"), "ATLAS: BIDS needs."),
    (Passing(metadata={"License": ...}), "--metadata License=VALUE"),
    (Passing(entities={"desc": ...}), "--entity desc=VALUE"),
    ("give it as " + Value({"cortex_L": Path}) + " or", "give it as cortex_L=FILE or"),
    (Passing(meshes={"cortex_L": {"sphere": Path}}), "--sphere FILE"),
    (Call("atlas.harden"), "--harden"),
    (Call("atlas.select", compartments=...), "--compartment"),
    (
        Call("atlas.select", compartments=["cortex_L", "cortex_R"]),
        "--compartment cortex_L --compartment cortex_R",
    ),
    (Call("mesh.replace", anatomical=..., faces=...), "--anatomical"),
    (Call("ai.list_atlases") + " shows all", "`atlasinit list` shows all"),
    (Call("ai.resample", "atlas", "image"), "`atlasinit resample`"),
    (Call("ai.sphere_atlas", "coordinates", "grid"), "`atlasinit spheres`"),
    (Call("ai.save_labels", "atlas", "path"), "`atlasinit labels`"),
    (Call("ai.renumber_parcels", "atlas"), "--renumber"),
    (Call("ai.rename_parcels", "atlas", "names"), "--rename"),
    # What has no option is said as in Python, and what is text stays as it is.
    (Argument("truncate"), "`truncate`"),
    (Passing(truncate=3.0), "truncate=3.0"),
    (Call("nilearn.image.resample_img", "image"), "`nilearn.image.resample_img(image)`"),
    (AtlasFileError("/space=x/`fwhm`.nii", "no such file"), "/space=x/`fwhm`.nii: no such file."),
    (
        AtlasWarning("half of " + Argument("data") + " is lost"),
        "half of `atlasinit report --data` is lost",
    ),
]


@pytest.mark.parametrize(("message", "said"), SAID)
def test_arguments_are_named_as_options(message, said):
    words = wording(typer.main.get_command(app), "build")
    assert (message.said(words) if isinstance(message, Phrase) else words.of(message)) == said


def test_an_option_of_another_command_is_named_with_it():
    words = wording(typer.main.get_command(app), "project")
    assert Call("atlas.harden").said(words) == "`atlasinit build --harden`"
    assert Argument("data").said(words) == "--data"


def test_errors_of_the_system_are_sentences(tmp_path, run):
    (tmp_path / "file").touch()
    status, out, errors = run("demo", "--out", tmp_path / "file")
    assert (status, out) == (2, "")
    assert errors == f"atlasinit: {tmp_path / 'file'}: File exists.\n"
