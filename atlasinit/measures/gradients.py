"""The gradient of maps along a mesh or a grid, as matrices."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64

from atlasinit.core.geometry import (
    Geometry,
    SurfaceMesh,
    VolumeGrid,
    triangle_normals,
    triangle_vertex_areas,
)
from atlasinit.core.mesh import advise_surface
from atlasinit.errors import ArgumentError

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def gradient_of(
    geometry: Geometry,
) -> "tuple[list[csr_array], np.ndarray, np.ndarray] | None":
    """Return the gradient along x, y and z, the sizes of its elements and of the locations.

    Each is (locations, elements): faces of a mesh, voxels of a grid. None of a mesh without
    faces or coordinates.
    """
    if isinstance(geometry, SurfaceMesh):
        return _mesh_gradient(geometry)
    return _grid_gradient(geometry)


def stiffness(
    geometry: Geometry,
) -> tuple[
    Int64[np.ndarray, " edges"], Int64[np.ndarray, " edges"], Float64[np.ndarray, " edges"], float
]:
    """Return pairs of neighbours (i, j), -K_ij of the stiffness matrix K, and the total size.

    The integral of the squared gradient of m is m' K m, and K 1 = 0: it is the sum over pairs of
    -K_ij (m_i - m_j)^2.
    """
    from scipy.sparse import diags_array, triu

    parts = gradient_of(geometry)
    if parts is None:
        raise ArgumentError(
            "geometry",
            "needs faces, and a sphere or an anatomical surface, for what changes along a mesh",
            advise_surface("anatomical"),
        )
    gradient, elements, sizes = parts
    terms: list[Any] = [part @ diags_array(elements) @ part.T for part in gradient]
    upper: Any = triu(sum(terms[1:], terms[0]), k=1).tocoo()
    # A right angle has cotangent 0 but for rounding.
    return upper.row.astype(np.int64), upper.col.astype(np.int64), -upper.data, float(sizes.sum())


def _mesh_gradient(
    mesh: SurfaceMesh,
) -> "tuple[list[csr_array], np.ndarray, np.ndarray] | None":
    """Return the gradient (locations, faces) along x, y, z, the faces' and locations' areas."""
    from scipy.sparse import csr_array

    coordinates = mesh.anatomical if mesh.anatomical is not None else mesh.sphere
    if coordinates is None or mesh.faces is None:
        return None
    corners = mesh.locations[mesh.faces]
    kept = (corners >= 0).all(axis=1)
    faces, corners = mesh.faces[kept], corners[kept]
    points = coordinates.astype(np.float64)[faces]
    normals = triangle_normals(coordinates, faces).T
    doubled = np.linalg.norm(normals, axis=1)
    units = normals / np.where(doubled == 0, 1, doubled)[:, None]
    # A corner's hat function rises at a right angle to the edge opposite, to 1 over the height.
    opposite = points[:, [2, 0, 1]] - points[:, [1, 2, 0]]
    slopes = np.cross(units[:, None], opposite) / np.where(doubled == 0, 1, doubled)[:, None, None]
    shape = (mesh.n_locations, len(faces))
    columns = np.repeat(np.arange(len(faces)), 3)
    # grad m = sum over the three corners of m at the corner times its slope, in each face.
    gradient = [
        csr_array((slopes[..., axis].reshape(-1), (corners.reshape(-1), columns)), shape=shape)
        for axis in range(3)
    ]
    return gradient, doubled / 2, triangle_vertex_areas(coordinates, faces)[mesh.vertices]


def _grid_gradient(grid: VolumeGrid) -> "tuple[list[csr_array], np.ndarray, np.ndarray]":
    """Return the gradient (locations, voxels) along x, y, z, and the voxels' volumes twice."""
    from scipy.sparse import csr_array

    n = grid.n_locations
    index = grid.locations
    steps = []
    for axis in range(3):
        after = np.full(grid.shape, -1)
        inner = tuple(slice(None, -1) if a == axis else slice(None) for a in range(3))
        outer = tuple(slice(1, None) if a == axis else slice(None) for a in range(3))
        after[inner] = index[outer]
        following = grid.take(after)
        # m at the next voxel less m here, where both are kept; -1 marks those that are not.
        here = np.flatnonzero(following >= 0)
        values = np.repeat([1.0, -1.0], here.size)
        ends = (np.concatenate([following[here], here]), np.concatenate([here, here]))
        steps.append(csr_array((values, ends), shape=(n, n)))
    # Differences along the grid's axes become a gradient in mm through the inverse affine.
    inverse = np.linalg.inv(grid.affine[:3, :3])
    gradient = []
    for axis in range(3):
        factors = inverse[:, axis]
        component: Any = sum(step * f for step, f in zip(steps, factors, strict=True))
        component.eliminate_zeros()
        gradient.append(component)
    volumes = np.full(n, grid.voxel_volume)
    return gradient, volumes, volumes
