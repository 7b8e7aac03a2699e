"""The README's Python runs as it stands."""

import re
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_table_is_that_of_the_features():
    features = (README.parent / "docs" / "features.md").read_text().splitlines()
    rows = [
        line for line in README.read_text().splitlines() if line.startswith("|") and "●" in line
    ]
    assert len(rows) >= 5
    assert set(rows) <= set(features)


def test_the_picture_is_there_and_small():
    (name,) = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README.read_text())
    assert 10_000 < (README.parent / name).stat().st_size < 100_000
    assert (README.parent / "docs" / "figures" / "readme.py").is_file()


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    assert len(blocks) >= 4
    scope: dict = {}
    for block in blocks:
        exec(compile(block, str(README), "exec"), scope)
    assert scope["series"].shape == (68, 200)
    assert scope["table"].shape == (200, 68)
