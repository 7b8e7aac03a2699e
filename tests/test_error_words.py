"""Errors carry what they are about, the problem and the remedy; their text is made of these."""

import ast
import pickle
from pathlib import Path

import pytest
import typer

import atlasinit
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
    ContentError,
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


PHRASES = [
    Passing(space="fsLR", parcels=400, nan=None),
    Passing(entities={"desc": ...}, compartments=["a", "b"], background=(0,), mask=()),
    Passing(meshes={"cortex_L": {"sphere": Path}}),
    Passing(mask=({"gm": Path}, "gm > 0.5")),
    Value({"cortex_L": Path}),
    Call("ai.resample", "atlas", "image", method="auto"),
    Call("atlas.harden"),
]


@pytest.mark.parametrize("phrase", PHRASES)
def test_phrases_in_python_are_code(phrase):
    values = {"path": Path}
    if isinstance(phrase, Passing):
        assert eval(f"dict({phrase!s})", values) == phrase.values
    elif isinstance(phrase, Value):
        assert eval(str(phrase), values) == phrase.value
    else:
        compile(str(phrase).strip("`"), "<phrase>", "eval")


def test_an_fstring_takes_no_phrase():
    with pytest.raises(TypeError, match=r"add it to text by \+"):
        f"{Call('ai.resample')}"


def _raises():
    """Return (place, class, first argument) of each exception that is made in a raise."""
    root = Path(atlasinit.__file__).parent
    for path in sorted(root.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call) and node.exc.args:
                place = f"{path.relative_to(root)}:{node.lineno}"
                yield place, ast.unparse(node.exc.func), node.exc.args[0]


def _begins_with_an_argument(text):
    if isinstance(text, ast.JoinedStr):
        text = text.values[0]
    return isinstance(text, ast.Constant) and str(text.value).startswith("`")


def test_the_error_of_a_content_takes_the_name_of_its_file_or_argument():
    error = ContentError("holds 'x'", "Pass " + Passing(nan="zero"), row=2, column="index")
    assert str(error) == "row 2 of 'index' holds 'x'. Pass nan=\"zero\""
    assert str(error.of_argument("labels")) == (
        "`labels`: row 2 of 'index' holds 'x'. Pass nan=\"zero\"."
    )
    inside = error.of_part("sheet 'a'").of_file("t.xlsx", "a label table")
    words = wording(typer.main.get_command(app), "build")
    assert words.of(inside) == (
        "t.xlsx: could not be read as a label table: sheet 'a': row 2 of 'index' holds 'x'. "
        "Pass --nan zero."
    )
    assert str(ContentError("is empty", column=3)) == "column 3 is empty"
    found = pickle.loads(pickle.dumps(error))
    assert (str(found), found.row, found.column) == (str(error), 2, "index")


def test_every_error_has_fields():
    plain = {"ValueError", "TypeError", "RuntimeError", "OSError"}
    found = {(place.partition(":")[0], kind) for place, kind, _ in _raises() if kind in plain}
    # A mistake in the package's own code, of which no user is told; and a program of its own,
    # whose reader tells what it says.
    assert found == {("errors.py", "TypeError"), ("transforms/probing.py", "ValueError")}


def test_errors_of_arguments_have_fields():
    found = list(_raises())
    assert len(found) > 300
    assert [place for place, _, first in found if _begins_with_an_argument(first)] == []
