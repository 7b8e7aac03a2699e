"""The tutorials' notebooks are their scripts, without outputs; the documentation's build runs them."""

from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext", reason="reads notebooks: pip install '.[docs]'")

FOLDER = Path(__file__).parents[2] / "tutorials"
SCRIPTS = sorted(FOLDER.glob("*.py"))


def cells(path):
    """Return kind, text and tags of the cells of a script or a notebook."""
    found = jupytext.read(path).cells
    return [(cell.cell_type, cell.source, cell.metadata.get("tags", [])) for cell in found]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_notebook_is_its_script(script):
    notebook = script.with_suffix(".ipynb")
    assert cells(notebook) == cells(script), f"run `jupytext --sync {script.name}`"
    code = [cell for cell in jupytext.read(notebook).cells if cell.cell_type == "code"]
    assert not [cell.source for cell in code if cell.outputs or cell.execution_count]


def test_every_tutorial_is_a_page_and_shows_a_figure_last():
    listed = (FOLDER.parent / "docs" / "tutorials.md").read_text()
    assert len(SCRIPTS) >= 5
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {path.stem for path in SCRIPTS}
    for script in SCRIPTS:
        assert f"tutorials/{script.stem}\n" in listed
        kind, last, _ = cells(script)[-1]
        assert kind == "code"
        assert "plot_atlas(" in last or "plt.show()" in last
