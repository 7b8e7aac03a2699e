"""The tutorials run as they stand, and show what they say."""

import runpy
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).parent.parent / "tutorials").glob("*.py"))


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda p: p.stem)
def test_tutorial(path, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    scope = runpy.run_path(str(path))
    shown = capsys.readouterr().out
    if path.stem == "a_named_atlas":
        assert scope["values"].shape == (1, 68)
        assert shown.splitlines()[-1] == "True"
