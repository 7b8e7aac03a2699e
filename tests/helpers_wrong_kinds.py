"""Calls every public function with the wrong kind of thing; prints those that tell of it badly."""

import inspect
import os
import tempfile
import warnings
from pathlib import Path

import jax.random as jr
import numpy as np
from helpers import mixed_atlas
from scipy.sparse import csr_array

import atlasinit as ai
from atlasinit.errors import Explained

LAYER = ai.AtlasLinear.from_atlas(mixed_atlas().select(compartments="cortex_R"))
ATLAS = LAYER.to_atlas()


def list_public():
    """Yield the public functions, and methods that make something, by name."""
    for name in ai.__all__:
        home = getattr(ai, name)
        own = {f"{name}.{n}": getattr(home, n) for n in dir(home)} if inspect.ismodule(home) else {}
        for full, function in {name: home, **own}.items():
            if inspect.isroutine(function):
                yield full, inspect.unwrap(function)
            elif inspect.isclass(function):
                makers = [n for n, m in vars(function).items() if isinstance(m, classmethod)]
                for maker in makers:
                    yield f"{full}.{maker}", getattr(function, maker)


GRID = ai.VolumeGrid((2, 3, 4), np.eye(4))
OTHERS = (
    LAYER,
    ATLAS,
    "aal",
    ai.Atlas,
    ATLAS.maps["cortex_R"],
    GRID,
    None,
    3,
    {"a": 10},
    ai.domains.Simplex,
)
# What else functions need, where they are called with one thing that is wrong.
NEEDED = {
    "atlas": ATLAS,
    "maps": ATLAS.maps["cortex_R"],
    "geometry": GRID,
    "data": np.ones((12, 2), np.float32),
    "values": np.ones(2, np.float32),
    "matrix": csr_array(np.eye(2)),
    "series": np.ones((9, 2)),
    "colors": np.zeros((2, 3)),
    "target": GRID,
    "key": jr.key(0),
    "fwhm": 6.0,
    "n": 2,
    "names": ["a"],
    "domain": ai.domains.Simplex(),
    "n_parcels": 2,
    "views": {},
    "free": np.ones((2, 3)),
    "shape": (2, 3),
    "header": ATLAS.header,
    "n_locations": {"cortex_L": 12},
    "model": LAYER,
    "where": lambda model: model.weights,
    "initializer": jr.normal,
    "coverage": np.ones(12),
    "method": "nearest",
    "grid": GRID,
    "mesh": ATLAS.geometry["cortex_R"],
}
KINDS = {
    "atlas",
    "geometry",
    "maps",
    "domain",
    "grid",
    "mesh",
    "atlases",
    "query",
    "space",
    "source",
}


def find_faults(folder: Path):
    """Yield what is told by a line inside of the package."""
    for name, function in list_public():
        if name == "Atlas.from_header":  # of parts that one atlas has, for code that took it apart
            continue
        parameters = inspect.signature(function).parameters
        needed = [n for n, p in parameters.items() if p.default is p.empty and p.kind in (0, 1, 3)]
        for argument in KINDS & {*parameters}:
            rest = {n: NEEDED.get(n, folder / "x.nii.gz") for n in needed if n != argument}
            for given in OTHERS:
                try:
                    function(**rest, **{argument: given})
                except Explained:
                    pass
                except Exception as error:
                    yield f"{name}({argument}: {type(given).__name__}): {error!r}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as place:
        os.environ["ATLASINIT_CACHE"] = place
        for fault in find_faults(Path(place)):
            print(fault)
