"""What has to agree between the files of the project."""

import re
import tomllib
from pathlib import Path

import atlasinit as ai

ROOT = Path(__file__).parents[2]


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def test_the_citation_is_of_this_version():
    assert re.findall(r"^version: (\S+)$", read("CITATION.cff"), re.MULTILINE) == [ai.__version__]


def test_the_workflows_test_the_pythons_that_are_promised():
    project = tomllib.loads(read("pyproject.toml"))["project"]
    promised = re.findall(r"Python :: (3\.\d+)", "\n".join(project["classifiers"]))
    tested = re.search(r"matrix: \{ python: \[(.*)\] \}", read(".github/workflows/tests.yml"))[1]
    assert re.findall(r"[\d.]+", tested) == promised
    assert project["requires-python"] == f">={promised[0]}"
    assert f"python{promised[0]}" in read(".ci/lowest")


def test_hooks_are_tools_of_the_dev_extra():
    extras = tomllib.loads(read("pyproject.toml"))["project"]["optional-dependencies"]
    dev = {re.match(r"[\w-]+", stated)[0] for stated in extras["dev"]}
    called = set(re.findall(r"entry: ([\w-]+)", read(".pre-commit-config.yaml")))
    assert called <= dev | {"lint-imports"}
