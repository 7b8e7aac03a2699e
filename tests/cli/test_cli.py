"""The command line as a whole: help, mistakes, pipes, tables."""

import os
import re
import signal
import subprocess
import sys

import pytest
import shellingham
import typer

import atlasinit as ai
from atlasinit.cli import app


def test_version_and_help(run):
    assert run("--version") == (0, f"{ai.__version__}\n", "")
    commands = typer.main.get_command(app).commands
    assert {"list", "show", "fetch", "build", "project", "resample", "demo", "doctor"} <= set(
        commands
    )
    for command in commands:
        status, out, errors = run(command, "--help")
        assert (status, errors) == (0, "")
        assert f"Example: atlasinit {command}" in out
        assert "--json" in out
        assert not re.search(r"<\w+(\[|>)", out)  # types of Python
    assert run()[1] == run("--help")[1] == run("-h")[1]


def test_help_fits_a_narrow_terminal(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    for command in typer.main.get_command(app).commands:
        lines = run(command, "--help")[1].splitlines()
        assert max(map(len, lines)) <= 60


DSEG = ["{folder}/dseg.nii.gz", "--space", "unknown"]
PROJECT = ["project", *DSEG, "-d", "{folder}/bold.nii.gz", "-o"]
MISTAKES = {
    "space left open": (["show", "{folder}/dseg.nii.gz"], "space"),
    "both widths": (
        [
            "build",
            "{folder}/dseg.nii.gz",
            "--space",
            "unknown",
            "--fwhm",
            "4",
            "--sigma",
            "2",
            "-o",
            "{folder}/x.npz",
        ],
        "sigma",
    ),
    "unknown format": (
        ["build", *DSEG, "-o", "{folder}/x.jpg"],
        "x.jpg",
    ),
    "unknown reduction": (
        [*PROJECT, "{folder}/x.tsv", "--reduction", "meen"],
        "mean",
    ),
    "no such option": (["list", "--spce", "fsLR"], "See `atlasinit list --help`."),
    "no such command": (["lst"], "Did you mean 'list'? See `atlasinit --help`."),
    "no argument": (["show"], "Missing argument 'ATLAS'"),
    "no number": (["show", "aal", "--parcels", "many"], "--parcels"),
    "no such choice": (["list", "--via", "packge"], "package"),
    "no such atlas": (["show", "desikann", "--json"], "desikan"),
    "damaged": (["show", "{folder}/broken.nii.gz", "--space", "MNI152", "--json"], "broken.nii.gz"),
    "no space": (["resample", "aal", "--to", "fsaverag5", "-o", "{folder}/x.npz"], "fsaverage5"),
    "spheres of others": (
        ["resample", "desikan", "--space", "fsaverage5", "--to", "fsLR", "-o", "{folder}/x.npz"],
        "not in register",
    ),
    "grid for a mesh": (
        [
            "resample",
            "desikan",
            "--space",
            "fsaverage5",
            "--to",
            "{folder}/dseg.nii.gz",
            "-o",
            "{folder}/x.npz",
        ],
        "the atlas has SurfaceMesh",
    ),
    "no value": (["build", "aal", "-o"], "requires an argument. See `atlasinit build --help`."),
    "nothing named": (["show", ""], "empty"),
    "another table": (
        [*PROJECT, "{folder}/x.xlsx"],
        "--output should end in .tsv, .csv",
    ),
    "nothing to fetch": (["fetch"], "--all-offline"),
    "no folder": (
        ["build", *DSEG, "-o", "{folder}/none/x.npz"],
        "folder does not exist",
    ),
}


@pytest.mark.parametrize("case", list(MISTAKES))
def test_a_mistake_is_one_line_and_status_2(run, labels, case):
    folder, *_ = labels
    (folder / "broken.nii.gz").write_bytes(b"no image")
    arguments, message = MISTAKES[case]
    status, out, errors = run(*(a.format(folder=folder) for a in arguments))
    assert status == 2
    assert out == ""
    assert errors.startswith("atlasinit: ")
    assert errors.count("\n") == 1
    assert message in errors
    assert not list(folder.glob("x.*"))


def test_the_module_is_the_command_too():
    command = [sys.executable, "-m", "atlasinit", "show", "desikan"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("arguments", [["list"], ["show", "desikan", "--space", "fsaverage5"]])
def test_a_reader_that_stops_is_no_mistake(arguments):
    """`atlasinit ... | head -1`, where standard output is closed before all is written."""
    command = [sys.executable, "-m", "atlasinit", *arguments]
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert ended.stderr == ""
    assert ended.returncode == 1


@pytest.mark.skipif(os.name == "nt", reason="a POSIX shell")
@pytest.mark.parametrize(
    ("redirected", "status", "said"),
    [
        (">&-", 0, ""),
        pytest.param(
            ">/dev/full",
            2,
            "atlasinit: No space left on device.\n",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="has no full device"),
        ),
    ],
)
def test_nowhere_to_print_is_no_traceback(redirected, status, said):
    command = f"'{sys.executable}' -m atlasinit list {redirected}"
    ended = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (status, said)


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
@pytest.mark.parametrize("module", ["typer", "jaxlib"])
@pytest.mark.parametrize("arguments", ["'show', 'aal'", "'demo', '--out', 'demo'"])
def test_an_interrupt_is_quiet_while_modules_are_imported(tmp_path, arguments, module):
    script = f"""
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process ignores it
class Interrupts:
    def find_spec(self, name, path=None, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupts())
sys.argv = ["atlasinit", {arguments}]
from atlasinit.__main__ import main
main()
"""
    command = [sys.executable, "-c", script]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGINT, "", "")


def test_an_interrupt_is_quiet(run, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("atlasinit.catalogue.listing.list_rows", interrupted)
    assert run("list") == (130, "", "")


@pytest.fixture
def terminal(monkeypatch):
    """Make standard output a terminal of so many columns."""

    def make(columns):
        monkeypatch.setattr("sys.stdout.isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")

    return make


@pytest.mark.parametrize("columns", [20, 60, 80, 120, 200])
def test_a_table_fits_its_terminal(run, terminal, columns):
    terminal(columns)
    _, out, errors = run("list")
    plain = re.sub("\033\\[\\d*m", "", out).splitlines()
    assert max(map(len, plain)) <= columns
    shown = plain[0].split()
    left_out = re.findall(r"\w+", errors.partition("Not shown: ")[2].partition(";")[0])
    whole = ["name", "space", "parcels", "source", "offline", "kind", "terms", "title"]
    assert [*shown, *left_out] == whole
    assert shown == whole or columns < 150


def test_a_table_in_a_pipe_is_whole(run, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    _, out, errors = run("list")
    assert "7, 12, 20, 36, 64, 122, 197, 325, 444" in out
    assert "parcellation of the cortex, matched to the Yeo networks" in out
    assert ("…" in out, "\033" in out, errors) == (False, False, "")
    assert not [line for line in out.splitlines() if line != line.rstrip()]


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colour_gets_none(run, terminal, monkeypatch, name, value):
    terminal(80)
    assert "\033[1m" in run("list")[1]
    monkeypatch.setenv(name, value)
    assert "\033" not in run("list")[1]


def test_a_terminal_shows_some_parcels_unless_all_are_wanted(run, terminal):
    terminal(80)
    show = ("show", "desikan", "--space", "fsaverage5")
    _, out, errors = run(*show)
    assert "48 rows (see --all); a pipe" in errors
    assert "R_insula" not in out
    assert "R_insula" in run(*show, "--all")[1]


COMPLETED = {
    "desik": {"desikan", "desikan-killiany", "desikan2006"},
    "show desikan --space fsa": {"fsaverage", "fsaverage4", "fsaverage5", "fsaverage6"},
    "show schaefer2018 --space fsLR --parcels 10": {"100", "1000"},
    "build yeo2011 --networks ": {"7", "12", "17"},
    "list --via t": {"templateflow"},
    "resample desikan --to fsLR:": {"fsLR:den-59k", "fsLR:den-164k"},
    "project aal --reduction ps": {"psc"},
}


@pytest.mark.parametrize("words", list(COMPLETED))
def test_the_shell_completes(words):
    line = "atlasinit " + (words if " " in words else f"show {words}")
    variables = {
        "_ATLASINIT_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    command = [sys.executable, "-m", "atlasinit"]
    done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True)
    assert set(done.stdout.split()) == COMPLETED[words], done.stderr


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("bash", "complete -o default -F _atlasinit_completion atlasinit"),
        ("zsh", "#compdef atlasinit"),
        ("fish", "complete --command atlasinit"),
    ],
)
def test_completion_is_shown_for(shell, line):
    # Of the shell that is named, whatever shell this runs in, if any.
    command = [sys.executable, "-m", "atlasinit", "--show-completion", shell]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert line in done.stdout
    assert "_ATLASINIT_COMPLETE" in done.stdout


def test_a_name_of_no_atlas_is_told_without_jax():
    code = (
        "import sys; from atlasinit.cli import main; sys.argv = ['atlasinit', 'show', 'notanatlas']\n"
        "try: main()\nexcept SystemExit as end: print(end.code, 'jax' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "2 False\n"
    assert "there is no atlas 'notanatlas'" in done.stderr


def test_completion_asks_for_the_shell_where_none_is_found(run, monkeypatch):
    def fails(*_, **__):
        raise shellingham.ShellDetectionFailure

    monkeypatch.setattr(shellingham, "detect_shell", fails)
    status, out, errors = run("--show-completion")
    assert (status, out, errors.count("\n")) == (2, "", 1)
    assert "name yours, as `atlasinit --show-completion bash`" in errors


def test_a_second_file_behind_data_is_told(run, tmp_path):
    files = [tmp_path / "lh.gii", tmp_path / "rh.gii"]
    for path in files:
        path.touch()
    one, other = files
    command = ("project", "aal", "--space", "x", "--data", one, other, "-o", tmp_path / "x.tsv")
    status, out, errors = run(*command)
    assert (status, out) == (2, "")
    assert f"--data takes one value each time: write --data {one} --data {other}." in errors
    # Before the atlas was named, the second is the atlas.
    _, _, errors = run("project", "--data", one, other, "-o", tmp_path / "x.tsv")
    assert "each time" not in errors


def test_a_bug_is_one_line_and_status_1(run, monkeypatch):
    monkeypatch.setattr("atlasinit.catalogue.listing.list_rows", lambda *_, **__: [] / 2)
    status, out, errors = run("list")
    assert (status, out) == (1, "")
    assert errors.startswith("atlasinit: This is a bug of atlasinit: TypeError: unsupported")
    assert errors.endswith("See where it is by `atlasinit --debug list`.\n")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    "error", [IndexError("7"), ValueError("of NumPy"), MemoryError(), RecursionError("deep")]
)
def test_what_a_file_leads_to_is_one_line_with_its_path(labels, run, monkeypatch, error):
    folder = labels[0] if isinstance(labels, tuple) else labels
    image = folder / "dseg.nii.gz"

    def fails(*_, **__):
        raise error

    # From within a reader, past what it expects of its file.
    monkeypatch.setattr("atlasinit.io.reading.assemble", fails)
    status, out, errors = run("show", image, "--space", "x")
    assert (status, out, errors.count("\n")) == (2, "", 1)
    assert errors.startswith(f"atlasinit: {image}: could not be read ({type(error).__name__}")


def test_debug_shows_the_traceback_before_the_line(run, tmp_path):
    status, out, errors = run("--debug", "show", tmp_path / "none.nii.gz")
    assert (status, out) == (2, "")
    assert errors.startswith("Traceback (most recent call last)")
    assert errors.endswith(f"atlasinit: {tmp_path / 'none.nii.gz'}: no such file.\n")


def test_an_option_before_the_command_changes_no_words(run):
    status, _, errors = run("--debug", "show", "desikan-killiany", "--space", "fsaverag")
    assert status == 2
    assert "--space: 'desikan-killiany' has no space 'fsaverag'" in errors
