"""Importing the package stays light, and every public name is found."""

import importlib
import inspect
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


NAMESPACES = (
    "atlasinit",
    "atlasinit.activities",
    "atlasinit.catalogue",
    "atlasinit.domains",
    "atlasinit.figures",
    "atlasinit.flax",
    "atlasinit.initializers",
    "atlasinit.io",
    "atlasinit.measures",
    "atlasinit.projection",
    "atlasinit.report",
    "atlasinit.resampling",
    "atlasinit.sampling",
    "atlasinit.smoothing",
)


@pytest.mark.parametrize("place", NAMESPACES)
def test_a_public_namespace_lists_its_public_names_alone(place):
    module = importlib.import_module(place)
    starred = {}
    exec(f"from {place} import *", starred)
    del starred["__builtins__"]
    assert dir(module) == sorted(starred) == sorted(module.__all__)
    for name, value in starred.items():
        assert not name.startswith("_")
        assert value is getattr(module, name)
        home = value.__name__ if inspect.ismodule(value) else getattr(value, "__module__", place)
        # Aliases of types; and JAX's initialisers, which are offered beside ours on purpose.
        elsewhere = ("collections.abc", "typing", "types", "jax.nn.initializers")
        assert home in elsewhere or home.split(".")[0] == "atlasinit", name


@pytest.mark.parametrize("place", NAMESPACES)
def test_a_public_namespace_misses_no_function_or_class(place):
    module = importlib.import_module(place)
    for name, value in vars(module).items():
        own = place if not hasattr(module, "__path__") else "atlasinit"
        if name[0] != "_" and callable(value) and getattr(value, "__module__", "").startswith(own):
            assert name in dir(module)


def test_unknown_names_are_attribute_errors():
    with pytest.raises(AttributeError, match="no attribute 'atlas_linear'"):
        _ = ai.atlas_linear
