"""The checks and drawings that the documentation's build rests on."""

import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx", reason="builds a site: pip install '.[docs]'")

DOCS = Path(__file__).parents[2] / "docs"
EXTENSIONS = DOCS / "extensions"


@pytest.fixture
def extension(monkeypatch):
    monkeypatch.syspath_prepend(EXTENSIONS)
    return importlib.import_module


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_public_name_is_listed_once(extension):
    from sphinx.ext.autosummary.generate import find_autosummary_in_files

    pages = [str(page) for page in (DOCS / "reference").glob("*.md")]
    listed = [entry.name for entry in find_autosummary_in_files(pages)]
    assert sorted(listed) == sorted(extension("public_names").public_names())


def test_pages_differ_also_where_case_does_not_count(extension):
    module = extension("public_names")
    pages = [module.page_of(name).lower() for name in module.public_names()]
    assert len(pages) > 90
    assert len(set(pages)) == len(pages)
    assert module.page_of("atlasinit.domains.Constrained") == "atlasinit.domains.Constrained-class"
    assert module.page_of("atlasinit.domains.constrained") == "atlasinit.domains.constrained"
    assert module.page_of("atlasinit.domains.Simplex") == "atlasinit.domains.Simplex"


SHELF = '''"""A shelf."""

def kept():
    """Keep."""

def lost():
    """Lose."""
'''
CONF = """
import sys
sys.path[:0] = [{extensions!r}, "."]
import public_names
public_names.MODULES, public_names._FURTHER = ("shelf",), ()
extensions = ["sphinx.ext.autosummary", "public_names"]
"""
TABLE = (
    "Shelf\n=====\n\n.. currentmodule:: shelf\n\n.. autosummary::\n   :toctree: names\n\n   kept\n"
)
ALONE = "lost\n====\n\n.. toctree::\n\n   names/shelf.lost\n"


@pytest.mark.parametrize(
    ("pages", "fails"),
    [
        ({"index.rst": TABLE + "   lost\n"}, False),
        ({"index.rst": TABLE}, True),
        ({"index.rst": TABLE + "\n.. autofunction:: lost\n"}, True),
        ({"index.rst": TABLE + "\n.. toctree::\n\n   names/shelf.lost\n", "names/shelf.lost.rst": "lost\n====\n"}, True),
    ],
    ids=["listed", "left out", "on a page of others", "a page without an entry"],
)  # fmt: skip
def test_the_build_fails_unless_each_public_name_has_its_page(pages, fails, tmp_path):
    (tmp_path / "shelf.py").write_text(SHELF)
    (tmp_path / "conf.py").write_text(CONF.format(extensions=str(EXTENSIONS)))
    for name, text in pages.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "dummy"]
    done = subprocess.run(
        [*command, ".", "out"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    warned = re.findall(r"the public name (\S+) has no page of its own", done.stderr)
    assert warned == (["shelf.lost"] if fails else []), done.stderr
    assert (done.returncode != 0) == fails, done.stderr


def test_formulas_are_drawn_on_the_baseline(extension):
    drawn = extension("drawn_math").drawn

    def number(name, svg):
        return float(re.search(rf"{name}:([-.\d]+)em", svg)[1])

    letter, fraction = drawn("x"), drawn(r"\frac{x}{y_1}")
    assert number("vertical-align", letter) == pytest.approx(0, abs=0.02)
    assert number("vertical-align", fraction) < -0.2
    assert number("height", fraction) > 1.5 * number("height", letter)
    assert number("width", drawn("xxx")) == pytest.approx(3 * number("width", letter), rel=0.1)
    assert 'aria-label="a &lt; b"' in drawn("a < b")
    with pytest.raises(ValueError, match="Unknown symbol"):
        drawn(r"\nonsense")
