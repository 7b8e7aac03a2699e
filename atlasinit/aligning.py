"""The locations of several geometries of one grid or mesh, brought together."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.errors import ArgumentError, Call
from atlasinit.io.mesh_identity import find_difference


def unite_geometries(
    geometries: Sequence[Geometry], names: Sequence[str], *, compartment: str, argument: str
) -> tuple[Geometry, list[np.ndarray]]:
    """Return the geometry of all locations that any of several has, and where each has its own.

    Voxels stored in another direction are the same voxels. Locations keep the order of a geometry
    that has all of them, the first such; else they ascend, within each CIFTI structure where all
    state theirs. A mesh takes each surface from the first that has it.

    Parameters
    ----------
    geometries
        One at least.
    names
        What messages call the atlas of each.
    compartment, argument
        Whose locations they are, and what the error is about.

    Raises
    ------
    ValueError
        Other voxels, another mesh, or another hemisphere.
    """
    first = geometries[0]
    found = []
    for geometry, name in zip(geometries, names, strict=True):
        problem, numbers = _number_in(first, geometry)
        if problem:
            raise ArgumentError(
                argument,
                f": {compartment!r} of {names[0]!r} and of {name!r} {problem}",
                "move one to the locations of the other by "
                + Call("ai.resample", "atlas", "other"),
            )
        found.append(numbers)
    # Each location once, and where it comes first among those of all, one after the other.
    union, order = np.unique(np.concatenate(found), return_index=True)
    whole = next((i for i, own in enumerate(found) if own.size == union.size), None)
    if isinstance(first, VolumeGrid):
        grids = [g for g in geometries if isinstance(g, VolumeGrid)]
        structures: Sequence[tuple[str, int]] = ()
        if whole is not None:
            union, structures = found[whole], grids[whole].structures
        elif all(grid.structures for grid in grids):
            union, structures = _order_structures(grids, found, union, order)
        united: Geometry = VolumeGrid(first.shape, first.affine, union, structures)
    else:
        meshes = [g for g in geometries if isinstance(g, SurfaceMesh)]
        united = _complete(meshes, union if whole is None else found[whole])
    locations = united.locations.reshape(-1)
    return united, [locations[numbers] for numbers in found]


def _number_in(first: Geometry, other: Geometry) -> tuple[str, Int[np.ndarray, " locations"]]:
    """Return the voxels or vertices of `first` that locations of another geometry are.

    Before them how the two differ, ``""`` where they do not.
    """
    none = np.empty(0, np.int32)
    if isinstance(first, VolumeGrid) and isinstance(other, VolumeGrid):
        numbers = other.voxels_in(first)
        if numbers is None:
            return f"lie on different grids, {first!r} and {other!r}", none
        return "", numbers
    if not (isinstance(first, SurfaceMesh) and isinstance(other, SurfaceMesh)):
        return f"are {type(first).__name__} and {type(other).__name__}", none
    sides = {first.hemisphere, other.hemisphere} - {""}
    if first.n_vertices != other.n_vertices or len(sides) > 1:
        return f"lie on different meshes, {first!r} and {other!r}", none
    problem = find_difference(other.sphere, other.faces, first)
    return f"lie on different meshes: {problem}" if problem else "", other.vertices


def _order_structures(
    grids: Sequence[VolumeGrid],
    found: Sequence[np.ndarray],
    union: Int[np.ndarray, " union"],
    order: Int[np.ndarray, " union"],
) -> tuple[Int[np.ndarray, " union"], tuple[tuple[str, int], ...]]:
    """Return voxels by structure, and the runs of these; no runs where two claim one voxel."""
    runs = [run for grid in grids for run in grid.structures]
    names = list(dict.fromkeys(name for name, _ in runs))
    numbers = np.repeat([names.index(name) for name, _ in runs], [count for _, count in runs])
    # The structure of each voxel by the grid that has it first, and by all that have it.
    own = numbers[order]
    if (own[np.searchsorted(union, np.concatenate(found))] != numbers).any():
        return union, ()
    counts = np.bincount(own, minlength=len(names)).tolist()
    return union[np.argsort(own, kind="stable")], tuple(zip(names, counts, strict=True))


def _complete(meshes: Sequence[SurfaceMesh], vertices: np.ndarray) -> SurfaceMesh:
    """Return the mesh that keeps `vertices`, with all surfaces that any of several has."""

    def take(role: str) -> np.ndarray | None:
        return next((s for mesh in meshes if (s := getattr(mesh, role)) is not None), None)

    return SurfaceMesh(
        meshes[0].n_vertices,
        vertices,
        hemisphere=next((mesh.hemisphere for mesh in meshes if mesh.hemisphere), ""),
        faces=take("faces"),
        sphere=take("sphere"),
        anatomical=take("anatomical"),
        areas=take("areas"),
    )
