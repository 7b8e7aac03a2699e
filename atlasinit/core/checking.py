"""What is no atlas, no labels or no maps, told with what to pass; and parcels that are lost."""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.maps import DenseMaps, HardMaps, SparseMaps
from atlasinit.errors import ArgumentError, ArgumentTypeError, Call, format_list, warn


def check_atlas(given: Any, name: str = "atlas") -> Atlas:
    """Return `given`, checked to be an Atlas.

    Raises
    ------
    TypeError
        Anything else: a layer, a path, maps.
    """
    if isinstance(given, Atlas):
        return given
    raise tell_no_atlas(given, name)


def tell_no_atlas(given: Any, name: str, wanted: str = "an Atlas") -> ArgumentTypeError:
    """Return the error of what should be an atlas (or `wanted`, which says more) and is none."""
    if isinstance(given, type):
        remedy = "load one by `atlasinit.load_atlas`"
    elif hasattr(given, "to_atlas"):
        remedy = "pass the atlas that its method `to_atlas()` returns"
    elif isinstance(given, str | os.PathLike | Mapping):
        remedy = f"pass `atlasinit.load_atlas({given!r})`, which loads one of a name or files"
    else:
        remedy = "load one of a name or files by `atlasinit.load_atlas`"
    return ArgumentTypeError(name, f"should be {wanted}, got {_name_kind(given)}", remedy)


def check_geometry(given: Any, name: str = "geometry") -> Geometry:
    """Return `given`, checked to be the locations of one compartment.

    Raises
    ------
    TypeError
        Anything else: an atlas, the geometries of all its compartments, a class.
    """
    if isinstance(given, VolumeGrid | SurfaceMesh):
        return given
    remedy = "pass one of `atlas.geometry`"
    if isinstance(given, Atlas):
        remedy = f"pass `atlas.geometry[{given.compartments[0]!r}]`"
    elif hasattr(given, "to_atlas") and not isinstance(given, type):
        remedy = f"pass `layer.to_atlas().geometry[{given.compartments[0]!r}]`"
    elif isinstance(given, Mapping) and given:
        remedy = f"pass one of them, as that of {next(iter(given))!r}"
    got = _name_kind(given)
    raise ArgumentTypeError(name, f"should be a VolumeGrid or a SurfaceMesh, got {got}", remedy)


def _name_kind(given: Any) -> str:
    return f"the class {given.__name__}" if isinstance(given, type) else type(given).__name__


def check_labels(given: Any) -> Atlas:
    """Return `given`, checked to be an Atlas of labels.

    Raises
    ------
    ValueError
        An atlas with weights.
    TypeError
        What is no atlas.
    """
    atlas = check_atlas(given)
    soft = [c for c, m in atlas.maps.items() if not isinstance(m, HardMaps)]
    if soft:
        raise ArgumentError(
            "atlas",
            f"should be of labels, but {', '.join(soft)} holds weights",
            "pass " + Call("atlas.harden"),
        )
    return atlas


def warn_of_lost(before: Atlas, after: Atlas, lack: str) -> None:
    """Warn of parcels that had locations and have none now; `lack` says what they are without."""
    has = zip(after.table["name"], after.labels["n_locations"], strict=True)
    none = [name for name, count in has if not count]
    if not none:
        # The locations of large maps take a while to count.
        return
    # Those that were empty before are not lost by this.
    had = dict(zip(before.table["name"], before.labels["n_locations"], strict=True))
    lost = [name for name in none if had[name]]
    if lost:
        warn(
            f"{len(lost)} of {before.n_parcels} parcels of {before.name!r} have {lack}: "
            f"{format_list(lost)}."
        )


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


def check_space_name(space: Any) -> None:
    """Refuse what is no name of a space, nor None."""
    if space is not None and not isinstance(space, str):
        raise ArgumentTypeError("space", f"should name a space, or be None, got {space!r}")
