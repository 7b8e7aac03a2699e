"""The one place that chooses how a compartment is moved: its method, and the matrices of it."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.errors import ArgumentError, Call, Passing
from atlasinit.resampling.grids import find_grid_weights, is_coarser, same_voxels
from atlasinit.resampling.registered import add_sphere
from atlasinit.resampling.spheres import (
    Sphere,
    adaptive_area,
    barycentric,
    is_same_mesh,
    nearest_vertices,
    same_vertices,
)
from atlasinit.resampling.targets import Place

if TYPE_CHECKING:
    from scipy.sparse import csr_array

METHODS = ("auto", "nearest", "linear", "area")
AREAS = ("auto", "anatomical", "sphere")


@dataclasses.dataclass(frozen=True)
class Options:
    """How values are moved, as `atlasinit.resample` takes it.

    Parameters
    ----------
    method
        One of `METHODS`.
    areas
        One of `AREAS`: which vertex areas the method "area" takes.
    """

    method: str = "auto"
    areas: str = "auto"

    def __post_init__(self) -> None:
        for name, value, able in (("method", self.method, METHODS), ("areas", self.areas, AREAS)):
            if value not in able:
                choices = ", ".join(f'"{one}"' for one in able)
                raise ArgumentError(name, f"should be one of {choices}, got {value!r}")
        if self.areas != "auto" and self.method != "area":
            raise ArgumentError(
                "areas", "is for " + Passing(method="area") + ", got " + Passing(method=self.method)
            )

    def describe(self) -> list[str]:
        """Return what provenance keeps of those that are not by default."""
        return [
            f"{field.name}={value!r}"
            for field in dataclasses.fields(self)
            if (value := getattr(self, field.name)) != field.default
        ]


def choose_method(source: Geometry, place: Place, method: str, *, hard: bool) -> str:
    """Return the method that "auto" stands for, others as they are."""
    if method != "auto":
        return method
    if not hard or isinstance(source, SurfaceMesh):
        return "linear"
    return "area" if is_coarser(source, place) else "nearest"


def find_weights(
    source: Geometry,
    place: Place,
    options: Options,
    *,
    hard: bool,
    names: tuple[str, str],
    space: str = "",
) -> "Iterator[csr_array]":
    """Yield the matrices (some targets, sources) of a move, in the order of the targets.

    Rows have the sum 1, less what lies outside or is not kept of the source.

    Parameters
    ----------
    source
        Where values lie.
    place
        Where they are moved to.
    options
        How.
    hard
        Whether the values are hard labels.
    names
        What messages call the argument of the source, and the compartment.
    space
        Whose standard spheres stand in for those that meshes lack; ``""`` for none.
    """
    target = place.geometry
    argument, compartment = names
    if isinstance(source, VolumeGrid) and isinstance(target, VolumeGrid):
        same = same_voxels(source, target) if place.warp is None else None
        if same is not None:
            yield same
            return
        method = choose_method(source, place, options.method, hard=hard)
        yield from find_grid_weights(source, place, method)
    elif isinstance(source, SurfaceMesh) and isinstance(target, SurfaceMesh):
        if source.hemisphere and target.hemisphere and source.hemisphere != target.hemisphere:
            raise ArgumentError(
                "target",
                f"of {compartment!r} should be of hemisphere {source.hemisphere!r}, got {target!r}",
            )
        if place.by_number:
            yield same_vertices(source, target)
            return
        if space:
            source, target = add_sphere(source, space), add_sphere(target, space)
        pair = Sphere(source, argument), Sphere(target, "target")
        if is_same_mesh(*pair):
            yield same_vertices(source, target)
            return
        method = choose_method(source, place, options.method, hard=hard)
        yield _find_mesh_weights(*pair, method, options.areas)
    else:
        way = "to_surface" if isinstance(source, VolumeGrid) else "to_volume"
        raise ArgumentError(
            "target",
            f"of {compartment!r} is {target!r}, but the {argument} has {source!r}",
            "between white and pial surfaces an atlas is moved by " + Call(f"ai.{way}", "atlas"),
        )


def _find_mesh_weights(source: Sphere, target: Sphere, method: str, areas: str) -> "csr_array":
    if method == "nearest":
        return nearest_vertices(source, target)
    if method == "linear":
        return barycentric(source, target)
    lacking = [sphere.role for sphere in (source, target) if not sphere.mesh.has_vertex_areas]
    if areas == "anatomical" and lacking:
        raise ArgumentError(
            "areas",
            '"anatomical" needs the `areas` of both meshes, or their `anatomical` surface and '
            f"`faces`, which the {' and the '.join(lacking)} mesh lacks",
            "add them with "
            + Call("mesh.replace", areas=...)
            + ", or pass "
            + Passing(areas="sphere"),
        )
    # Areas of one kind for both: a mesh's share is what counts, not its mm2.
    anatomical = areas == "anatomical" or (areas == "auto" and not lacking)
    own, new = (sphere.find_areas(anatomical=anatomical) for sphere in (source, target))
    return adaptive_area(source, target, (own, new))
