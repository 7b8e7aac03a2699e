"""Great-circle kernels on the registration sphere."""

import itertools
import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float

from atlasinit.core.geometry import SurfaceMesh, triangle_vertex_areas
from atlasinit.errors import ArgumentError
from atlasinit.smoothing.blocks import TILE, BlockKernel, block_kernel
from atlasinit.smoothing.checks import (
    check_sphere,
    check_triangles,
    warn_if_alone,
)
from atlasinit.smoothing.profile import Sphere, arc_squared, chord_of, profile_of
from atlasinit.smoothing.sparse import csr_of
from atlasinit.support.threads import run_in_threads
from atlasinit.support.tiling import spheres, tiles

if TYPE_CHECKING:
    from scipy.sparse import csr_array
    from scipy.spatial import KDTree


class SphereOfLocations(NamedTuple):
    """The kept vertices on a sphere, checked, and what distances between them need."""

    points: np.ndarray
    """(locations, 3) coordinates in float64, all at the radius."""
    tree: "KDTree"
    sphere: Sphere
    reach: float
    """Great-circle distance in mm beyond which a kernel is zero."""

    @property
    def chord(self) -> float:
        """The straight distance of two points whose arc is the reach."""
        return chord_of(self.reach, self.sphere.radius)

    @property
    def n_pairs(self) -> float:
        """About how many ordered pairs are in reach of each other, were the sphere whole."""
        # A cap of angle a holds the share sin(a / 2)^2 of a sphere's area.
        return len(self.points) ** 2 * math.sin(self.reach / (2 * self.sphere.radius)) ** 2


def sphere_of(mesh: SurfaceMesh, *, reach: float, profile: str, scale: float) -> SphereOfLocations:
    """Return the kept vertices on the mesh's sphere, enlarged by `scale`."""
    from scipy.spatial import KDTree

    radius = check_sphere(mesh) * scale
    if reach > math.pi / 2 * radius:
        raise ArgumentError(
            "truncate",
            f"cuts the kernel at {reach:g} mm, more than a quarter of the great circle of a "
            f"sphere of radius {radius:g} mm",
            "give a smaller width or `truncate`",
        )
    assert mesh.sphere is not None
    points = mesh.sphere.astype(np.float64)[mesh.vertices]
    # All at one radius, as the distances assume.
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    tree = KDTree(points)
    warn_if_alone(tree, reach)
    # The row of zeros is what padding, the number of locations, points to.
    padded = np.concatenate([points, np.zeros((1, 3))]).astype(np.float32)
    sphere = Sphere(padded, radius, _arc_series(reach / radius), profile)
    return SphereOfLocations(points, tree, sphere, reach)


def sphere_kernel(place: SphereOfLocations) -> BlockKernel:
    """Return the kernel of great-circle distances, for any width."""
    groups = [(rows, columns, None) for rows, columns in _find_near(place)]
    return block_kernel(
        groups, n_locations=len(place.points), reach=place.reach, sphere=place.sphere
    )


def sphere_matrix(place: SphereOfLocations, sigma: float) -> "csr_array":
    """Return the kernel at one width as a sparse matrix."""
    n = len(place.points)
    pairs = place.tree.query_pairs(place.chord, output_type="ndarray")
    first, second = pairs.T.astype(np.int32, order="C")
    # |x - y|^2, an axis at a time, so that no array has three numbers per pair.
    chord = 0
    for axis in np.ascontiguousarray(place.sphere.points.T):
        chord = chord + (axis[first] - axis[second]) ** 2
    squared = arc_squared(chord, place.sphere)
    weights = profile_of(squared, sigma, place.sphere, np)
    # `query_pairs` finds i < j alone: both orders, and the diagonal, whose weight is 1.
    own = np.arange(n, dtype=np.int32)
    rows = np.concatenate([first, second, own])
    columns = np.concatenate([second, first, own])
    return csr_of(np.concatenate([weights, weights, np.ones(n, np.float32)]), (rows, columns), n)


def sphere_areas(mesh: SurfaceMesh) -> Float[np.ndarray, " locations"]:
    """Return the vertex areas of the kept vertices on the sphere, in mm2."""
    assert mesh.sphere is not None
    faces = check_triangles(mesh, mesh.sphere, "spherical")
    return triangle_vertex_areas(mesh.sphere, faces)[mesh.vertices]


def _find_near(place: SphereOfLocations) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return tiles of locations, each with all that may be in reach of one of its own."""
    from scipy.spatial import KDTree

    groups = tiles(place.points, size=TILE)
    centres, radii = spheres(place.points, groups)
    reach = radii + place.chord
    # First tiles near a tile, then their locations: far fewer than the pairs of locations.
    found = KDTree(centres).query_ball_point(centres, reach + radii.max(initial=0), workers=-1)
    points = np.asarray(place.sphere.points).T
    slack = reach + 1e-5 * place.sphere.radius  # for single precision

    def columns(start: int, stop: int) -> list[np.ndarray]:
        # All locations of all tiles near each tile, then those within its reach; -1 is padding.
        near = np.concatenate([groups[found[i]] for i in range(start, stop)])
        owner = np.repeat(np.arange(start, stop), [len(found[i]) for i in range(start, stop)])
        distance = np.zeros(near.shape, np.float32)
        for axis, centre in zip(points, centres.T.astype(np.float32), strict=True):
            distance += (axis[near] - centre[owner, None]) ** 2
        inside = (distance <= slack[owner, None] ** 2) & (near >= 0)
        counts = np.bincount(owner - start, inside.sum(axis=1), stop - start).astype(np.intp)
        return np.split(near[inside], np.cumsum(counts)[:-1])

    ends = [*range(0, len(groups), 64), len(groups)]
    near = itertools.chain.from_iterable(run_in_threads(columns, itertools.pairwise(ends)))
    return [(rows[rows >= 0], own) for rows, own in zip(groups, near, strict=True)]


def _arc_series(angle: float) -> tuple[float, ...]:
    r"""Return coefficients of :math:`(\arcsin z)^2 / z^2` that suffice for arcs up to `angle`."""
    # asin(z)^2 = sum_n (2 z)^2n / (2 n^2 binomial(2 n, n)), n from 1, here divided by z^2, where
    # z = sin(angle / 2) is half the chord. Terms below the rounding of float32 are left out.
    ratio = math.sin(min(angle, math.pi) / 2) ** 2
    n, series = 1, [1.0]
    while series[-1] * ratio ** (n - 1) > 1e-8:
        n += 1
        series.append(4**n / (2 * n**2 * math.comb(2 * n, n)))
    return tuple(series)
