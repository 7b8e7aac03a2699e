"""The pages under docs/: their Python runs, and what they name exists."""

import inspect
import re
import types
from pathlib import Path

import jax
import pytest

import atlasinit as ai

TESTS = Path(__file__).parent
DOCS = TESTS.parent / "docs"
BLOCK = re.compile(r"^```python[ ]*(notest)?[ ]*\n(.*?)^```", re.DOTALL | re.MULTILINE)


def blocks(page):
    """Return the Python of a page that is to run, each block padded to its own line numbers."""
    text = page.read_text()
    found = [m for m in BLOCK.finditer(text) if not m[1]]
    return ["\n" * (text[: m.start(2)].count("\n")) + m[2] for m in found]


PAGES = [page for page in sorted(DOCS.glob("**/*.md")) if blocks(page)]


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(DOCS)) for page in PAGES])
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    """Blocks run in order and share their variables, in an empty folder, as a user's would."""
    monkeypatch.chdir(tmp_path)
    module = types.ModuleType("page")
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        for block in blocks(page):
            exec(compile(block, str(page), "exec"), module.__dict__)


@pytest.mark.parametrize("name", ["domains", "initializers"])
def test_a_page_names_every_public_name(name):
    text = (DOCS / f"{name}.md").read_text()
    module = getattr(ai, name)
    public = [n for n, v in vars(module).items() if n[0] != "_" and not inspect.ismodule(v)]
    assert not [n for n in public if not re.search(rf"`[^`\n]*\b{n}\b[^`\n]*`", text)]


ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in (DOCS / "ancestors.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith(("| there", "| ---"))
]


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_the_table_of_ancestors_names_what_exists(row):
    _, here, shown = row
    named = re.findall(r"`(?:ai\.)?([.\w]+)", here)
    assert named
    for name in named:
        found = ai
        for part in name.split("."):
            found = getattr(found, part)
    file = {"D": "domains", "I": "initializers", "A": "activities"}[shown[0]]
    source = (TESTS / f"test_{file}.py").read_text()
    tests = re.findall(r"`(test_\w+)", shown)
    assert tests
    assert not [test for test in tests if f"def {test}(" not in source]
    for case in re.findall(r"\[([\w-]+)\]`", shown):
        assert f'"{case}":' in source
