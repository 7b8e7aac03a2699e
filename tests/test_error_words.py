"""Errors carry what they are about, the problem and the remedy; their text is made of these."""

import pickle
from pathlib import Path

import pytest
import typer

from atlasinit.cli import app
from atlasinit.cli.wording import wording
from atlasinit.errors import (
    Argument,
    ArgumentError,
    ArgumentTypeError,
    AtlasFileError,
    AtlasFileWarning,
    AtlasUnavailableError,
    Call,
    Passing,
    Value,
    nearest,
)

REMEDY = "Pass " + Passing(nan="zero") + ", or " + Call("atlas.harden")
# (error, its text in Python, its text for `atlasinit build`)
TOLD = [
    (
        ArgumentError("fwhm", "should be positive, got 0"),
        "`fwhm` should be positive, got 0.",
        "--fwhm should be positive, got 0.",
    ),
    (
        ArgumentError("space", ": 'x' has no space 'y'", nearest("fslr", ["fsLR"]), "Choose"),
        "`space`: 'x' has no space 'y'. Did you mean 'fsLR'? Choose.",
        "--space: 'x' has no space 'y'. Did you mean 'fsLR'? Choose.",
    ),
    (
        ArgumentTypeError("labels['volume']", "should be real", "convert it"),
        "`labels['volume']` should be real; convert it.",
        "--labels should be real; convert it.",
    ),
    (
        ArgumentError("maps", "need " + Argument("labels"), "", REMEDY),
        '`maps` need `labels`. Pass nan="zero", or `atlas.harden()`.',
        "`maps` need --labels. Pass --nan zero, or --harden.",
    ),
    (
        AtlasFileError("/space=x/a.nii", "exists", "pass " + Passing(overwrite=True)),
        "/space=x/a.nii: exists; pass overwrite=True.",
        "/space=x/a.nii: exists; pass --overwrite.",
    ),
    (
        AtlasUnavailableError("https://x.org", "is it on?"),
        "https://x.org: is it on?",
        "https://x.org: is it on?",
    ),
    (
        AtlasFileWarning(
            "a.gii", "is a surface", Passing(meshes={"cortex_L": {"sphere": Path}}) + " takes it"
        ),
        'a.gii: is a surface; meshes={"cortex_L": {"sphere": path}} takes it.',
        "a.gii: is a surface; --sphere FILE takes it.",
    ),
]


@pytest.mark.parametrize(("error", "python", "line"), TOLD)
def test_the_text_is_made_of_the_fields(error, python, line):
    assert str(error) == python
    assert wording(typer.main.get_command(app), "build").of(error) == line


@pytest.mark.parametrize("error", [told[0] for told in TOLD])
def test_errors_travel_between_processes(error):
    error.add_note("a note")
    found = pickle.loads(pickle.dumps(error))
    words = wording(typer.main.get_command(app), "build")
    assert type(found) is type(error)
    assert (found.subject, str(found), words.of(found)) == (
        error.subject,
        str(error),
        words.of(error),
    )
    assert found.of("other").subject == "other"
    assert str(found.of("other").problem) == str(error.problem)


@pytest.mark.parametrize(
    ("error", "caught"),
    [(ArgumentError, ValueError), (ArgumentTypeError, TypeError), (AtlasFileError, OSError)],
)
def test_errors_are_of_pythons_kinds(error, caught):
    with pytest.raises(caught, match="a.*is wrong"):
        raise error("a", "is wrong")
    assert issubclass(ArgumentTypeError, ValueError) is False


# phrase -> what the command line says
PHRASES = [
    (Passing(space="fsLR", parcels=400), "--space fsLR, --parcels 400"),
    (Passing(space=...), "--space"),
    (Passing(metadata={"License": ...}), "--metadata License=VALUE"),
    (Passing(entities={"desc": ...}), "--entity desc=VALUE"),
    (Value({"cortex_L": Path}), "cortex_L=FILE"),
    (Call("atlas.select", compartments=...), "--compartment"),
    (
        Call("atlas.select", compartments=["cortex_L", "cortex_R"]),
        "--compartment cortex_L --compartment cortex_R",
    ),
    (Call("mesh.replace", anatomical=..., faces=...), "--anatomical"),
    (Call("ai.list_atlases"), "`atlasinit list`"),
    (Call("ai.resample", "atlas", "image"), "`atlasinit resample`"),
    (Argument("truncate"), "`truncate`"),
    (Passing(truncate=3.0), "truncate=3.0"),
    (Call("nilearn.image.resample_img", "image"), "`nilearn.image.resample_img(image)`"),
]


@pytest.mark.parametrize(("phrase", "line"), PHRASES)
def test_phrases_on_the_command_line(phrase, line):
    assert phrase.said(wording(typer.main.get_command(app), "build")) == line


def test_phrases_in_python_are_code():
    for phrase, _ in PHRASES:
        text = str(phrase).strip("`")
        values = {"path": Path, "atlas": None, "image": None}
        if isinstance(phrase, Passing):
            assert eval(f"dict({text})", values) == phrase.values
        elif isinstance(phrase, Value):
            assert eval(text, values) == phrase.value
        else:
            compile(text, "<phrase>", "eval")


def test_an_fstring_takes_no_phrase():
    with pytest.raises(TypeError, match=r"add it to text by \+"):
        f"{Call('ai.resample')}"
