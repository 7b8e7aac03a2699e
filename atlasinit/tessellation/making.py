"""What atlases of a geometry alone share: their geometries, places and labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float64, Int32

from atlasinit.core.atlas import Atlas
from atlasinit.core.counts import check_geometries
from atlasinit.core.geometry import Geometry, SurfaceMesh
from atlasinit.core.labels import numbered_labels
from atlasinit.core.maps import HardMaps
from atlasinit.core.mesh import advise_surface
from atlasinit.core.provenance import Provenance
from atlasinit.errors import ArgumentError
from atlasinit.smoothing.checks import check_radii

_AT_ONCE = 2**22
"""Distances that are compared at once where several points are equally near."""


def take_geometries(
    geometry: Mapping[str, Geometry] | Atlas, space: str
) -> tuple[dict[str, Geometry], str]:
    """Return compartment to geometry, and the space: of an atlas its own, unless one is given."""
    if isinstance(geometry, Atlas):
        return check_geometries(geometry.geometry), space or geometry.space
    return check_geometries(geometry), space


def make_atlas(
    labels: Mapping[str, Int32[np.ndarray, " locations"]],
    counts: Mapping[str, int],
    geometry: Mapping[str, Geometry],
    *,
    name: str,
    space: str,
    operation: str,
    names: Sequence[Any] | None = None,
) -> Atlas:
    """Return the atlas of labels that were made of the geometry alone."""
    table = numbered_labels(counts)
    if names is not None:
        if isinstance(names, str) or len(names) != len(table):
            got = repr(names) if isinstance(names, str) else f"{len(names)} names"
            raise ArgumentError(
                "names", f"should be one for each of {len(table)} points, got {got}"
            )
        table = table.replace(name=[str(one) for one in names])
    return Atlas(
        name=name,
        space=space,
        maps={c: HardMaps(found, counts[c]) for c, found in labels.items()},
        geometry=geometry,
        labels=table,
        provenance=Provenance(source="geometry", operations=(operation,)),
    )


def directions(mesh: SurfaceMesh, compartment: str) -> Float64[np.ndarray, "locations 3"]:
    """Return the kept vertices on the mesh's sphere, at the radius 1.

    Raises
    ------
    ValueError
        No sphere, or one that is none.
    """
    if mesh.sphere is None:
        raise ArgumentError(
            "geometry",
            f": the mesh of {compartment!r} has no sphere, on which parcels are laid out",
            advise_surface("sphere"),
        )
    points = mesh.sphere[mesh.vertices].astype(np.float64)
    check_radii(mesh.sphere[mesh.vertices], f"geometry[{compartment!r}].sphere")
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def nearest_points(
    places: Float64[np.ndarray, "places 3"], seeds: Float64[np.ndarray, "parcels 3"]
) -> tuple[Int32[np.ndarray, " places"], Float64[np.ndarray, " places"]]:
    """Return the nearest seed of each place, of equal ones the first, and how far it lies away."""
    from scipy.spatial import KDTree
    from scipy.spatial.distance import cdist

    near = [1, 2] if len(seeds) > 1 else [1]
    away, found = map(np.asarray, KDTree(seeds).query(places, near, workers=-1))  # pyright: ignore[reportArgumentType]
    nearest = found[:, 0].astype(np.int32)
    # A tree says any of equal distances: there all are compared, of which `argmin` takes the first.
    if len(near) > 1:
        tied = np.flatnonzero(away[:, 1] <= away[:, 0] * (1 + 1e-12))
        for some in np.array_split(tied, max(1, tied.size * len(seeds) // _AT_ONCE)):
            squares = cdist(places[some], seeds, "sqeuclidean")
            nearest[some] = squares.argmin(axis=1)
    return nearest, away[:, 0]
