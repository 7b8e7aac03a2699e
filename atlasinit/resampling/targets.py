"""Where each compartment of an atlas is moved to: a place for what stands for a target."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from atlasinit.catalogue.spaces import find_mesh
from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.spaces import may_be_one
from atlasinit.errors import ArgumentError, ArgumentTypeError, Call, Passing, Value
from atlasinit.io.agreement import check_target_space
from atlasinit.io.bids.names import entities_of, side_of
from atlasinit.io.input import Input
from atlasinit.io.overlay.surfaces import read_surface
from atlasinit.io.targets import Target, holds_surface, is_target, read_target
from atlasinit.resampling.registered import add_sphere
from atlasinit.transforms.maps import PointMap


@dataclasses.dataclass(frozen=True, eq=False)
class Place:
    """Where a compartment is moved to.

    Parameters
    ----------
    geometry
        The locations that it gets.
    by_number
        Whether vertices of one number are one vertex.
    warp
        Where a position on a grid is looked up in the source; by default where it is.
    """

    geometry: Geometry
    by_number: bool = False
    warp: PointMap | None = None

    def find_sources(self, positions: Float[np.ndarray, "points 3"]) -> np.ndarray:
        """Return where positions in mm are looked up in the source, (points, 3) mm."""
        return positions if self.warp is None else self.warp(positions)


@dataclasses.dataclass(frozen=True, eq=False)
class Origin:
    """What is moved.

    Parameters
    ----------
    geometry
        Compartment to where its values lie.
    space
        Of them all, ``""`` where it is not stated.
    name
        What messages call it.
    argument
        The argument that it came by.
    """

    geometry: Mapping[str, Geometry]
    space: str
    name: str
    argument: str

    @classmethod
    def of_atlas(cls, atlas: Atlas, argument: str = "atlas") -> "Origin":
        """Return what moves an atlas, or data of it."""
        return cls(atlas.geometry, atlas.space, repr(atlas.name), argument)

    def standard_space(self, stated: str | None) -> str:
        """Return the space whose standard spheres stand in for those that meshes lack.

        It is ``""`` for none: where the result is said to be in another one, meshes are in register
        by spheres of their own alone.
        """
        return self.space if stated is None or may_be_one(stated, self.space) else ""

    @property
    def compartments(self) -> tuple[str, ...]:
        """Their names, in the order of the values."""
        return tuple(self.geometry)


def find_origin(source: Any, target: Any) -> Origin:
    """Return where data lie: at the locations of an atlas, of geometries, or of an image.

    Geometries without names are those of the target's only compartment, where it has one.
    """
    if isinstance(source, Atlas):
        return Origin.of_atlas(source, "source")
    if isinstance(source, Mapping):
        read = {c: _read_mesh(g) for c, g in source.items()}
        wrong = [c for c, (g, _) in read.items() if not isinstance(g, VolumeGrid | SurfaceMesh)]
        if wrong or not source:
            raise ArgumentTypeError(
                "source",
                "should be a mapping from compartments to VolumeGrid, SurfaceMesh or files of "
                f"spheres, got other values for {wrong}",
            )
        stated = {space for _, space in read.values() if space}
        geometry = {c: g for c, (g, _) in read.items()}
        return Origin(geometry, stated.pop() if len(stated) == 1 else "", "the source", "source")
    mesh, stated = _read_mesh(source)
    if isinstance(mesh, VolumeGrid | SurfaceMesh):
        named = target.geometry if isinstance(target, Atlas) else target
        only = list(named) if isinstance(named, Mapping) and len(named) == 1 else ["data"]
        return Origin({only[0]: mesh}, stated, "the source", "source")
    if not is_target(source):
        raise ArgumentTypeError(
            "source",
            "should be an Atlas, a VolumeGrid, a SurfaceMesh, an image or its path, or a mapping "
            f"from compartments to geometries, got {type(source).__name__}",
        )
    found = read_target(source)
    return Origin(found.geometry, _space_of(found), found.name, "source")


def _space_of(found: Target) -> str:
    """Return the space that a file states, or the only one with a standard mesh of CIFTI's numbers.

    It is ``""`` where there is none such.
    """
    sizes = {g.n_vertices for g in found.geometry.values() if isinstance(g, SurfaceMesh)}
    return found.space or (find_mesh(sizes.pop(), "") if len(sizes) == 1 else "")


def find_places(
    origin: Origin, target: Any, space: str | None, *, whole: bool = False
) -> dict[str, Place]:
    """Return where each compartment of an origin is moved to, in the order of the target.

    With `whole` the target may have no further ones.
    """
    if isinstance(target, Atlas):
        if origin.space and target.space not in (origin.space, space):
            raise ArgumentError(
                "target",
                f"is in {target.space}, but {origin.name} is in {origin.space}",
                "if their coordinates are in register, pass " + Passing(space=target.space),
            )
        target = target.geometry
    elif not isinstance(target, Mapping):
        target = _of_file(target, origin, space)
        if not isinstance(target, dict):
            if len(origin.compartments) > 1:
                raise ArgumentError(
                    "target",
                    f"should be a mapping from each of {list(origin.compartments)} to its "
                    "geometry, got one geometry",
                )
            target = dict.fromkeys(origin.compartments, target)
    missing = [c for c in origin.compartments if c not in target]
    if missing:
        raise ArgumentError(
            "target",
            f"lacks the compartments {missing} of {origin.name}; it has {list(target)}",
            _say_less(origin, [c for c in origin.compartments if c not in missing], target),
        )
    further = [c for c in target if c not in origin.compartments]
    if whole and further:
        raise ArgumentError(
            "target",
            f"has compartments that {origin.name} lacks, {further}",
            "leave them out, of an atlas by "
            + Call("atlas.select", compartments=list(origin.compartments))
            + ", of a file by "
            + Value(dict.fromkeys(origin.compartments, ...)),
        )
    return {c: _of_compartment(target[c], origin, c, space) for c in target if c not in further}


def _say_less(origin: Origin, kept: list[str], target: Mapping[str, Any]) -> Any:
    """Return how what a target lacks is left out of an origin."""
    kinds, others = ({type(g) for g in each.values()} for each in (origin.geometry, target))
    if origin.argument == "atlas" and kinds | others == {VolumeGrid, SurfaceMesh} > kinds:
        way = "to_surface" if VolumeGrid in kinds else "to_volume"
        return "between white and pial surfaces it is moved by " + Call(f"ai.{way}", "atlas")
    if not kept:
        return "name them as those of the source"
    if origin.argument == "atlas":
        return "move the others alone: " + Call("atlas.select", compartments=kept)
    return "pass a source of the others alone: " + Value(dict.fromkeys(kept, ...))


def _of_file(target: Any, origin: Origin, space: str | None) -> Geometry | dict[str, Place]:
    """Return a geometry as it is, and of an image its whole grid, or the locations of CIFTI."""
    if isinstance(target, VolumeGrid | SurfaceMesh):
        return target
    if not is_target(target):
        raise ArgumentTypeError(
            "target",
            "should be an Atlas, a VolumeGrid, a SurfaceMesh, an image of a volume or its path, "
            "a file of a sphere, "
            f"or a mapping from compartments to such, got {type(target).__name__}",
        )
    own = (origin.space, origin.name)
    mesh, stated = _read_mesh(target)
    if isinstance(mesh, SurfaceMesh):
        if space is None:
            check_target_space(stated, own, str(target), override="space")
        return mesh
    found = read_target(target)
    if space is None:
        check_target_space(_space_of(found), own, found.name, override="space")
    if found.grid is not None:
        return found.grid
    return {c: _on_own_mesh(g, origin, c) for c, g in _rename_grid(found.geometry, origin).items()}


def _rename_grid(found: Mapping[str, Geometry], origin: Origin) -> dict[str, Geometry]:
    """Return locations of a file, the only grid among them by the name of the origin's only grid.

    The voxels of CIFTI are named by it, not by who moves a volume there.
    """
    grids, own = (
        [c for c, g in geometry.items() if isinstance(g, VolumeGrid)]
        for geometry in (found, origin.geometry)
    )
    names = dict(zip(grids, own, strict=True)) if len(grids) == len(own) == 1 else {}
    return {names.get(c, c): g for c, g in found.items()}


def _read_mesh(given: Any) -> tuple[Any, str]:
    """Return the mesh of a file of a sphere, and what its name says that it is in register with.

    That is ``""`` where it says nothing; what is no such file is returned as it is.
    """
    if not is_target(given) or not holds_surface(given):
        return given, ""
    surface, name = read_surface(given), Input(given).name
    entities = entities_of(name)
    mesh = SurfaceMesh(
        len(surface.coordinates),
        sphere=surface.coordinates,
        faces=surface.faces,
        hemisphere=surface.hemisphere or side_of(name),
    )
    # A sphere in another space than its own template's states both.
    return mesh, entities.get("space") or entities.get("tpl", "")


def _on_own_mesh(geometry: Geometry, origin: Origin, compartment: str) -> Place:
    """Return locations of CIFTI, which states numbers of vertices alone, on the origin's mesh.

    Of another number of vertices they lie on the standard mesh of the origin's space.
    """
    own = origin.geometry.get(compartment)
    if not isinstance(own, SurfaceMesh) or not isinstance(geometry, SurfaceMesh):
        return Place(geometry)
    if own.n_vertices != geometry.n_vertices:
        standard = add_sphere(geometry, origin.space) if origin.space else geometry
        if standard.sphere is None:
            raise ArgumentError(
                "target",
                f"has {geometry.n_vertices} vertices for {compartment!r}, {origin.name} has "
                f"{own.n_vertices}, and no sphere of such a mesh is on this machine",
                "pass the spheres of its meshes, which gives all their vertices: "
                + Value({compartment: "sphere.surf.gii"}),
            )
        return Place(standard)
    return Place(dataclasses.replace(own, vertices=geometry.vertices), by_number=True)


def _of_compartment(target: Any, origin: Origin, compartment: str, space: str | None) -> Place:
    """Return the place of one compartment of a mapping, each of which a file may hold."""
    if isinstance(target, Place):
        return target
    found = _of_file(target, origin, space)
    if not isinstance(found, dict):
        return Place(found)
    if compartment not in found:
        raise ArgumentError(
            "target", f"of {compartment!r} holds nothing for it", f"it has {list(found)}"
        )
    return found[compartment]
