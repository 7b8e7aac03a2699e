"""Importing the package stays light, and every public name is found."""

import subprocess
import sys

import pytest

import atlasinit as ai

HEAVY = (
    "jax",
    "numpy",
    "nilearn",
    "templateflow",
    "matplotlib",
    "flax",
    "dask",
    "pandas",
    "sklearn",
    "optax",
    "nibabel",
)


def test_import_is_light():
    code = f"import atlasinit, sys; print([m for m in {HEAVY} if m in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "arguments", [["--version"], ["list"], ["list", "--json"], ["build", "--help"]]
)
def test_what_needs_no_numbers_does_not_wait_for_them(arguments):
    code = (
        "import sys; from atlasinit.cli import main; sys.argv = ['atlasinit', *sys.argv[1:]]\n"
        "try: main()\n"
        f"finally: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, *arguments]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    assert shown.stderr.strip() == "[]"


@pytest.mark.parametrize("name", sorted(n for n in dir(ai) if not n.startswith("_")))
def test_public_names_are_found_twice_alike(name):
    assert getattr(ai, name) is getattr(ai, name)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'atlas_linear'"):
        _ = ai.atlas_linear
