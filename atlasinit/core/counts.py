"""Geometries and numbers of parcels of an atlas that is made, not loaded."""

from collections.abc import Mapping
from typing import Any

from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.support.numbers import check_whole_number


def check_geometries(geometry: Any) -> dict[str, Geometry]:
    """Return compartment to geometry of what a user gave as `geometry`.

    Raises
    ------
    TypeError
        A geometry without the name of its compartment, or what is no geometry.
    ValueError
        An empty mapping.
    """
    wanted = "a compartment and its VolumeGrid or SurfaceMesh"
    if isinstance(geometry, VolumeGrid | SurfaceMesh):
        side = geometry.hemisphere
        name = f"cortex_{side or 'L'}" if isinstance(geometry, SurfaceMesh) else "volume"
        raise ArgumentTypeError(
            "geometry",
            f"should be a mapping of {wanted}, got {geometry!r} alone",
            f'name its compartment: `{{"{name}": geometry}}`',
        )
    if not isinstance(geometry, Mapping):
        raise ArgumentTypeError(
            "geometry",
            f"should be an Atlas or a mapping of {wanted}, got {type(geometry).__name__}",
            'pass `{"cortex_L": mesh}`, or the `geometry` of an atlas',
        )
    if not geometry:
        raise ArgumentError("geometry", f"should have {wanted} at least, got none")
    for c, one in geometry.items():
        if not isinstance(c, str):
            raise ArgumentTypeError("geometry", f"should have names of compartments, got {c!r}")
        if not isinstance(one, VolumeGrid | SurfaceMesh):
            number = isinstance(one, int)
            raise ArgumentTypeError(
                "geometry",
                f"of {c!r} should be a VolumeGrid or a SurfaceMesh, got {type(one).__name__}",
                f"pass numbers of parcels as `n_parcels={{{c!r}: {one}}}`" if number else "",
            )
    return dict(geometry)


def count_parcels(
    n_parcels: Any, geometry: Mapping[str, Geometry], *, least: int
) -> dict[str, int]:
    """Return the number of parcels of each compartment, of one for all or one for each.

    Raises
    ------
    TypeError, ValueError
        What is no whole number from `least`; other compartments than those of `geometry`.
    """
    given = by_compartment(n_parcels, geometry, "n_parcels")
    if not isinstance(n_parcels, Mapping):
        return dict.fromkeys(given, check_whole_number(n_parcels, "n_parcels", least=least))
    return {c: check_whole_number(n, f"n_parcels[{c!r}]", least=least) for c, n in given.items()}


def by_compartment(value: Any, geometry: Mapping[str, Geometry], name: str) -> dict[str, Any]:
    """Return a value of each compartment, of one for all or a mapping with one for each."""
    if not isinstance(value, Mapping):
        return dict.fromkeys(geometry, value)
    if set(value) != set(geometry):
        raise ArgumentError(
            name, f"should have the compartments {list(geometry)}, got {list(value)}"
        )
    return {c: value[c] for c in geometry}
