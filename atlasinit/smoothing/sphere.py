"""Great-circle kernels on the registration sphere."""

import itertools
import math

import numpy as np
from jaxtyping import Float

from atlasinit.geometry import SurfaceMesh, triangle_vertex_areas
from atlasinit.smoothing._checks import check_sphere, check_triangles, warn_if_alone
from atlasinit.smoothing.tiled import TILE, Sphere, TiledKernel, tiled_kernel
from atlasinit.tiling import spheres, tiles


def sphere_kernel(mesh: SurfaceMesh, *, reach: float, profile: str, scale: float) -> TiledKernel:
    """Return the kernel of great-circle distances, `scale` times those on the mesh's sphere."""
    radius = check_sphere(mesh) * scale
    if reach > math.pi / 2 * radius:
        raise ValueError(
            f"The kernel is cut at {reach:g} mm, more than a quarter of the great circle of a "
            f"sphere of radius {radius:g} mm; give a smaller width or `truncate`."
        )
    assert mesh.sphere is not None
    points = mesh.sphere.astype(np.float64)[mesh.vertices]
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    warn_if_alone(points, reach)
    groups = [
        (rows, columns, None)
        for rows, columns in _near(points, 2 * radius * math.sin(reach / (2 * radius)))
    ]
    padded = np.concatenate([points, np.zeros((1, 3))]).astype(np.float32)
    sphere = Sphere(padded, radius, _arc_series(reach / radius), profile)
    return tiled_kernel(groups, n_locations=len(points), reach=reach, sphere=sphere)


def sphere_areas(mesh: SurfaceMesh) -> Float[np.ndarray, " locations"]:
    """Return the vertex areas of the kept vertices on the sphere, in mm2."""
    assert mesh.sphere is not None
    faces = check_triangles(mesh, mesh.sphere, "spherical")
    return triangle_vertex_areas(mesh.sphere, faces)[mesh.vertices]


def _near(points: np.ndarray, chord: float) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return tiles of locations, each with all that may lie within `chord` of one of its own."""
    from scipy.spatial import KDTree

    groups = tiles(points, size=TILE)
    centres, radii = spheres(points, groups)
    found = KDTree(points).query_ball_point(centres, radii + chord, workers=-1)
    sizes = [len(near) for near in found]
    flat = np.fromiter(itertools.chain.from_iterable(found), np.int32, sum(sizes))
    columns = np.split(flat, np.cumsum(sizes)[:-1])
    return [(rows[rows >= 0], near) for rows, near in zip(groups, columns, strict=True)]


def _arc_series(angle: float) -> tuple[float, ...]:
    r"""Return coefficients of :math:`(\arcsin z)^2 / z^2` that suffice for arcs up to `angle`."""
    ratio = math.sin(min(angle, math.pi) / 2) ** 2
    n, series = 1, [1.0]
    while series[-1] * ratio ** (n - 1) > 1e-9:
        n += 1
        series.append(4**n / (2 * n**2 * math.comb(2 * n, n)))
    return tuple(series)
