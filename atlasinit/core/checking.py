"""What is no atlas and no maps, told with what to pass instead."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import DenseMaps, HardMaps, SparseMaps
from atlasinit.errors import ArgumentTypeError


def check_atlas(given: Any, name: str = "atlas") -> Atlas:
    """Return `given`, checked to be an Atlas.

    Raises
    ------
    TypeError
        Anything else: a layer, a path, maps.
    """
    if isinstance(given, Atlas):
        return given
    kind = type(given).__name__
    if hasattr(given, "to_atlas"):
        remedy = "pass the atlas that its method `to_atlas()` returns"
    elif isinstance(given, str | os.PathLike | Mapping):
        remedy = f"pass `atlasinit.load_atlas({given!r})`, which loads one of a name or files"
    else:
        remedy = "load one of a name or files by `atlasinit.load_atlas`"
    raise ArgumentTypeError(name, f"should be an Atlas, got {kind}", remedy)


def check_maps(given: Any, name: str = "maps") -> None:
    """Check that `given` are maps of one compartment.

    Raises
    ------
    TypeError
        Anything else: an atlas, the maps of all its compartments, a layer, an array.
    """
    if isinstance(given, HardMaps | SparseMaps | DenseMaps):
        return
    if isinstance(given, Atlas):
        remedy = f"pass `atlas.maps[{given.compartments[0]!r}]`"
    elif hasattr(given, "to_atlas"):
        remedy = f"pass `layer.to_atlas().maps[{given.compartments[0]!r}]`"
    elif isinstance(given, Mapping) and given:
        remedy = f"pass one of them, `maps[{next(iter(given))!r}]`"
    elif isinstance(given, np.ndarray):
        remedy = "pass `atlasinit.DenseMaps(array)` of weights (parcels, locations)"
    else:
        remedy = "pass one of `atlas.maps`"
    kind = type(given).__name__
    raise ArgumentTypeError(name, f"should be the maps of one compartment, got {kind}", remedy)
