"""Files that no command can read: one line with the path, status 2, and nothing left behind."""

import os
import subprocess
import sys

import nibabel as nb
import numpy as np
import pytest
from helpers_cli import run_cli, write_labels

import atlasinit as ai

ATLAS, DATA, BAD, OUT = "{atlas}", "{data}", "{bad}", "{out}"
IMAGE = ["-o", f"{OUT}/x.nii.gz"]
SPACE = ["--space", "MNI152NLin6Asym"]
MESH = ["{annot}", "--space", "fsaverage"]
FIELD = ["--transform", "{itk}"]
# Where each command takes a file, and which kind of file belongs there.
PLACES = {
    "show": (["show", BAD, *SPACE], ATLAS),
    "build": (["build", BAD, *SPACE, *IMAGE], ATLAS),
    "build --labels": (["build", ATLAS, *SPACE, "--labels", BAD, *IMAGE], "{table}"),
    "build --mask": (["build", ATLAS, *SPACE, "--mask", BAD, *IMAGE], ATLAS),
    "build --within": (["build", ATLAS, *SPACE, "--dilate", "2", "--within", BAD, *IMAGE], ATLAS),
    "build --sphere": (["build", *MESH, "--sphere", BAD, "-o", f"{OUT}/x.npz"], "{surface}"),
    "build --anatomical": (
        ["build", *MESH, "--anatomical", BAD, "-o", f"{OUT}/x.npz"],
        "{surface}",
    ),
    "check": (["check", BAD], ATLAS),
    "check --labels": (["check", ATLAS, "--labels", BAD], "{table}"),
    "compare": (["compare", BAD, ATLAS, *SPACE], ATLAS),
    "compare second": (["compare", ATLAS, BAD, *SPACE], ATLAS),
    "extract": (["extract", BAD, "--atlas", "{own}", "-o", f"{OUT}/x"], "{list}"),
    "extract --atlas": (["extract", DATA, "--atlas", BAD, "-o", f"{OUT}/x"], "{own}"),
    "extract --mask": (
        ["extract", DATA, "--atlas", "{own}", "--mask", BAD, "-o", f"{OUT}/x"],
        ATLAS,
    ),
    "join": (["join", ATLAS, BAD, *SPACE, *IMAGE], ATLAS),
    "labels": (["labels", BAD, *SPACE, "-o", f"{OUT}/x.ctab"], ATLAS),
    "masks": (["masks", BAD, *SPACE, "-o", f"{OUT}/x"], ATLAS),
    "measure": (["measure", BAD, *SPACE, "-o", f"{OUT}/x.tsv"], ATLAS),
    "paint": (["paint", BAD, "{values}", *SPACE, *IMAGE], ATLAS),
    "paint values": (["paint", ATLAS, BAD, *SPACE, *IMAGE], "{values}"),
    "project": (["project", BAD, *SPACE, "--data", DATA, "-o", f"{OUT}/x.tsv"], ATLAS),
    "project --data": (["project", ATLAS, *SPACE, "--data", BAD, "-o", f"{OUT}/x.tsv"], DATA),
    "project --confounds-table": (
        [
            *("project", ATLAS, *SPACE, "--data", DATA, "--confounds-table", BAD),
            *("--confounds", "x", "-o", f"{OUT}/x.tsv"),
        ],
        "{values}",
    ),
    "refine": (["refine", BAD, *SPACE, "--data", DATA, *IMAGE], ATLAS),
    "refine --data": (["refine", ATLAS, *SPACE, "--data", BAD, *IMAGE], DATA),
    "refine --sample-mask": (
        ["refine", ATLAS, *SPACE, "--data", DATA, "--sample-mask", BAD, *IMAGE],
        "{values}",
    ),
    "report": (["report", BAD, *SPACE, "-o", f"{OUT}/x.html"], ATLAS),
    "report --data": (["report", ATLAS, *SPACE, "--data", BAD, "-o", f"{OUT}/x.html"], DATA),
    "resample": (["resample", BAD, *SPACE, "--to", DATA, *IMAGE], ATLAS),
    "resample --to": (["resample", ATLAS, *SPACE, "--to", BAD, *IMAGE], DATA),
    "resample --transform": (
        ["resample", ATLAS, *SPACE, "--to", DATA, "--transform", BAD, *IMAGE],
        "{itk}",
    ),
    "resample --reference": (
        [
            *("resample", ATLAS, *SPACE, "--to", DATA, "--transform", "{fsl}"),
            *("--moving", DATA, "--reference", BAD, *IMAGE),
        ],
        DATA,
    ),
    "spheres": (["spheres", BAD, "--grid", DATA, "--radius", "3", *IMAGE], "{seeds}"),
    "spheres --grid": (["spheres", "{seeds}", "--grid", BAD, "--radius", "3", *IMAGE], DATA),
    "spheres --mask": (
        ["spheres", "{seeds}", "--grid", DATA, "--mask", BAD, "--radius", "3", *IMAGE],
        ATLAS,
    ),
    "view": (["view", BAD, *SPACE, "-o", f"{OUT}/x.html"], ATLAS),
    "view --values": (
        ["view", ATLAS, *SPACE, "--values", BAD, "-o", f"{OUT}/x.html"],
        "{values}",
    ),
    "view --behind": (["view", ATLAS, *SPACE, "--behind", BAD, "-o", f"{OUT}/x.html"], DATA),
}


def _half(content, path):
    path.write_bytes(content[: len(content) // 2])


def _noise(content, path):
    path.write_bytes(np.random.default_rng(0).bytes(3000))


def _page(content, path):
    path.write_text("<!doctype html><html><body>404</body></html>")


def _folder(content, path):
    path.mkdir()


def _denied(content, path):
    path.write_bytes(content)
    path.chmod(0)


def _broken(content, path):
    # Linux lets no one read the memory at 0: an input error of a file that is there.
    path.symlink_to("/proc/self/mem")


DAMAGES = {
    "half": _half,
    "empty": lambda content, path: path.write_bytes(b""),
    "noise": _noise,
    "another kind": _page,
    "a folder": _folder,
    "absent": lambda content, path: None,
    "a dangling link": lambda content, path: path.symlink_to("nowhere"),
    "denied": _denied,
    "a failing disk": _broken,
}
NAMES = {"a newline": "a\nb", "half of a surrogate pair": "a\udcffb", "a blank": " "}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return small files of all kinds that commands take."""
    folder = tmp_path_factory.mktemp("files")
    write_labels(folder)
    atlas = ai.load_atlas(folder / "dseg.nii.gz", space="MNI152NLin6Asym")
    (own, *_) = ai.save_atlas(atlas, folder / "own.npz")
    points = np.float32([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]])
    faces = np.array([[*map(int, c)] for c in "024 214 134 304 205 125 315 035".split()])
    nb.freesurfer.write_geometry(str(folder / "lh.sphere"), points * 100, faces)
    table = np.array([[25, 5, 25, 0, 0], [1, 2, 3, 0, 0]])
    nb.freesurfer.write_annot(
        folder / "lh.x.annot", np.array([0, 0, 1, 1, 1, 0]), table, ["a", "b"]
    )
    (folder / "values.tsv").write_text("name\tx\nbox\t1.5\ncorner\t2\n")
    (folder / "seeds.tsv").write_text("name\tx\ty\tz\nA\t-2\t4\t4\nB\t-4\t6\t6\n")
    (folder / "itk.txt").write_text(
        "#Insight Transform File V1.0\n#Transform 0\nTransform: AffineTransform_double_3_3\n"
        "Parameters: 1 0 0 0 1 0 0 0 1 0 0 0\nFixedParameters: 0 0 0\n"
    )
    (folder / "fsl.mat").write_text("1 0 0 0\n0 1 0 0\n0 0 1 0\n0 0 0 1\n")
    data = folder / "sub-1_task-rest_space-MNI152NLin6Asym_bold.nii.gz"
    data.write_bytes((folder / "bold.nii.gz").read_bytes())
    (folder / "list.tsv").write_text(f"path\tsub\n{data}\t1\n")
    return {
        "atlas": folder / "dseg.nii.gz",
        "data": data,
        "table": folder / "dseg.tsv",
        "surface": folder / "lh.sphere",
        "annot": folder / "lh.x.annot",
        "values": folder / "values.tsv",
        "seeds": folder / "seeds.tsv",
        "itk": folder / "itk.txt",
        "fsl": folder / "fsl.mat",
        "list": folder / "list.tsv",
        "own": own,
    }


def run(capsys, place, files, bad, folder):
    """Run the command of a place; return status, output and errors, and what was left behind."""
    out = folder / "out"
    out.mkdir()
    arguments = [str(a).format(**files, bad=bad, out=out) for a in PLACES[place][0]]
    found = run_cli(capsys, *arguments)
    return *found, sorted(str(path.relative_to(out)) for path in out.rglob("*"))


def kind_of(place, files):
    return files[PLACES[place][1].strip("{}")]


@pytest.mark.sweep
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("place", PLACES)
def test_what_cannot_be_read(tmp_path, capsys, files, place, damage):
    if damage == "denied" and os.geteuid() == 0:
        pytest.skip("root reads all")
    if damage == "a failing disk" and sys.platform != "linux":
        pytest.skip("needs Linux")
    good = kind_of(place, files)
    if damage == "half" and good.suffix == ".tsv":
        pytest.skip("half of a table is a table")
    bad = tmp_path / f"bad{''.join(good.suffixes[-2:])}"
    DAMAGES[damage](good.read_bytes(), bad)
    status, output, errors, left = run(capsys, place, files, bad, tmp_path)
    told = output if place.startswith("check") and not errors else errors
    assert status == 2, (output, errors)
    assert bad.name in told or bad.name in output
    assert "Traceback" not in told
    assert "bug of atlasinit" not in told
    assert told is output or len(errors.splitlines()) == 1, errors
    assert not left


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.sweep) for name in NAMES])
@pytest.mark.parametrize("place", PLACES)
def test_names_that_are_hard_to_print(tmp_path, capsys, files, place, name):
    good = kind_of(place, files)
    bad = tmp_path / f"{NAMES[name]}{''.join(good.suffixes[-2:])}"
    bad.write_bytes(good.read_bytes())
    if good == files["atlas"]:
        (tmp_path / f"{NAMES[name]}.tsv").write_bytes(files["table"].read_bytes())
    # As Python's own are and `python -m atlasinit` makes them, but not those of a test.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # pyright: ignore[reportAttributeAccessIssue]
    status, output, errors, left = run(capsys, place, files, bad, tmp_path)
    assert status in (0, 1, 2), errors
    assert "Traceback" not in errors
    assert "bug of atlasinit" not in errors
    assert all(line.startswith("atlasinit: ") for line in errors.splitlines()), errors
    assert not (status == 2 and left), output


def test_every_command_with_a_file_has_a_place():
    import typer

    from atlasinit.cli import app

    group = typer.main.get_command(app)
    without = {"demo", "doctor", "fetch", "list"}  # of names of atlases alone
    commands = {words[0] for words, _ in PLACES.values()}
    assert commands == {*group.commands} - without  # pyright: ignore


@pytest.mark.sweep
def test_names_of_files_are_printed_as_they_are(tmp_path, files):
    bad = tmp_path / "a\udcffb.nii.gz"
    bad.write_bytes(files["atlas"].read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "atlasinit", "check", bad],
        capture_output=True,
        timeout=200,
        # As of a locale that is not C.
        env={**os.environ, "PYTHONIOENCODING": "utf-8:strict"},
    )
    assert done.returncode == 1, done.stderr
    assert os.fsencode(bad) in done.stdout
