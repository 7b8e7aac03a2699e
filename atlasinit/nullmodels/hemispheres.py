"""The hemispheres of an atlas, checked to have spheres on which labels can be rotated."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int32

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import TOGETHER, hemisphere_of
from atlasinit.core.maps import HardMaps
from atlasinit.core.mesh import advise_surface
from atlasinit.errors import Argument, ArgumentError, ArgumentTypeError, format_list
from atlasinit.nullmodels.rotations import mirror
from atlasinit.smoothing.checks import check_radii
from atlasinit.support.tracing import is_traced


@dataclasses.dataclass(frozen=True, eq=False)
class Hemisphere:
    """A compartment on a sphere.

    Parameters
    ----------
    compartment
        Its name.
    mesh
        With a sphere.
    mirrored
        Whether it is turned by the mirrored rotation, as a right hemisphere is.
    start
        The number of its first location among those of all compartments.
    labels
        The row of ``atlas.labels`` of each location, -1 for none.
    """

    compartment: str
    mesh: SurfaceMesh
    mirrored: bool
    start: int
    labels: Int32[np.ndarray, " locations"]

    @property
    def sphere(self) -> Float64[np.ndarray, "vertices 3"]:
        """Coordinates of all vertices on the sphere, in mm."""
        assert self.mesh.sphere is not None
        return self.mesh.sphere.astype(np.float64)

    @property
    def labelled(self) -> Bool[np.ndarray, " vertices"]:
        """Whether each vertex is kept and belongs to a parcel."""
        return self.mesh.put(self.labels >= 0)

    def rotations(self, left: Float64[np.ndarray, "n 3 3"]) -> Float64[np.ndarray, "n 3 3"]:
        """Return its own rotations, of those of a left hemisphere."""
        return mirror(left) if self.mirrored else left


def find_hemispheres(atlas: Any) -> list[Hemisphere]:
    """Return the hemispheres of an atlas of labels, in the order of its compartments.

    Raises
    ------
    ValueError
        Volumes, soft maps, meshes without a sphere or with one that is none, and compartments
        of the same side or of none.
    TypeError
        A traced atlas.
    """
    check_atlas(atlas)
    if is_traced(atlas):
        raise ArgumentTypeError(
            "atlas",
            "is traced here",
            "rotate it outside of `jax.jit`: assignments have no gradient",
        )
    cortical = [c for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)]
    volumes = [c for c in atlas.compartments if c not in cortical]
    if volumes:
        raise ArgumentError(
            "atlas",
            f": {format_list(map(repr, volumes), 3)} has voxels, which no rotation takes to voxels",
            f"take its hemispheres, `atlas.select(compartments={cortical})`"
            if cortical
            else 'Values of its parcels have null maps by method="moran" or "variogram"',
        )
    slices = atlas.location_slices()
    found = []
    for c, maps in atlas.maps.items():
        mesh = atlas.geometry[c]
        assert isinstance(mesh, SurfaceMesh)
        if not isinstance(maps, HardMaps):
            raise ArgumentError(
                "atlas",
                f": the maps of {c!r} are weights, while rotations move labels",
                "pass `atlas.harden()`",
            )
        if mesh.sphere is None:
            raise ArgumentError(
                "atlas",
                f": the mesh of {c!r} has no sphere to be rotated on",
                advise_surface("sphere"),
            )
        check_radii(mesh.sphere, f"atlas.geometry[{c!r}].sphere")
        side = mesh.hemisphere or hemisphere_of("", c)
        found.append(Hemisphere(c, mesh, side == "R", slices[c].start, _row_labels(atlas, c)))
    _check_sides(found)
    return found


def label_rows(atlas: Atlas) -> Int32[np.ndarray, " locations"]:
    """Return the row of the table of each location of all compartments, -1 for none."""
    return np.concatenate([_row_labels(atlas, c) for c in atlas.compartments])


def shared_parcels(atlas: Atlas) -> list[str]:
    """Return the names of parcels that lie in several compartments."""
    homes = atlas.table["compartment"]
    return [n for n, home in zip(atlas.table["name"], homes, strict=True) if TOGETHER in home]


def _row_labels(atlas: Atlas, compartment: str) -> Int32[np.ndarray, " locations"]:
    maps, start = atlas.maps[compartment], atlas.parcel_slices()[compartment].start
    assert isinstance(maps, HardMaps)
    labels = np.asarray(maps.labels)
    return np.where(labels < 0, np.int32(-1), labels + np.int32(start))


def _check_sides(hemispheres: list[Hemisphere]) -> None:
    sides = {
        h.compartment: h.mesh.hemisphere or hemisphere_of("", h.compartment) for h in hemispheres
    }
    if len(sides) > 1 and sorted(sides.values()) != ["L", "R"]:
        raise ArgumentError(
            "atlas",
            f"should have one hemisphere, or a left and a right one, got the sides {sides}",
            "state sides by the names of compartments or by "
            + Argument("hemisphere")
            + " of meshes, or rotate compartments one by one",
        )
