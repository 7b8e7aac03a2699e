"""How long the boundaries of parcels are, and how compact parcels are."""

from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64

from atlasinit.core.adjacency import find_touching
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def measure_boundaries(memberships: "csr_array", geometry: Geometry) -> Float64[np.ndarray, " p"]:
    r"""Return the length of each parcel's boundary in mm on a mesh, its surface in mm2 on a grid.

    Against everything else: other parcels, none, what is not kept, and beyond the grid. On a mesh

    .. math:: \int |\nabla m_k|\,dA

    with the linear interpolation of :math:`m` in each triangle of the anatomical surface: of
    labels the line that cuts the edges between two parcels in the middle. On a grid

    .. math:: \sum_{i \sim j} |m_{ki} - m_{kj}| A_{ij}

    over the faces between voxels, of area A: of labels the area of the faces around a parcel. NaN
    on a mesh without triangles or an anatomical surface.
    """
    if isinstance(geometry, VolumeGrid):
        return _measure_faces(memberships, geometry)
    if geometry.anatomical is None or geometry.faces is None:
        return np.full(len(memberships.indptr) - 1, np.nan)
    return _measure_lines(memberships, geometry)


def _measure_faces(memberships: Any, grid: VolumeGrid) -> Float64[np.ndarray, " p"]:
    from scipy.sparse import csr_array

    steps = grid.affine[:3, :3]
    # Of the face across each axis: the other two steps span it.
    areas = np.array([np.linalg.norm(np.cross(steps[:, i - 2], steps[:, i - 1])) for i in range(3)])
    one, other = find_touching(grid).astype(np.int64)
    # Which axis two voxels that touch lie along, by the difference of their flat indices: one step
    # along z is 1, along y the size of z. Axes of one voxel have no steps.
    strides = np.array([grid.shape[1] * grid.shape[2], grid.shape[2], 1])
    strides[np.array(grid.shape) == 1] = 0
    apart = np.abs(grid.voxels[one].astype(np.int64) - grid.voxels[other])
    axis = (apart[:, None] == strides).argmax(axis=1)
    n = grid.n_locations
    count = one.size
    values = np.concatenate([areas[axis], -areas[axis]])
    at = (np.concatenate([one, other]), np.tile(np.arange(count), 2))
    difference = csr_array((values, at), shape=(n, count))
    inner = abs(memberships @ difference) @ np.ones(count)
    # What is left of a voxel's surface has no kept voxel beyond.
    around = np.bincount(one, areas[axis], n) + np.bincount(other, areas[axis], n)
    return np.asarray(inner + memberships @ (2 * areas.sum() - around))


def _measure_lines(memberships: Any, mesh: SurfaceMesh) -> Float64[np.ndarray, " p"]:
    from scipy.sparse import csr_array

    assert mesh.anatomical is not None
    assert mesh.faces is not None
    corners = mesh.anatomical.astype(np.float64)[mesh.faces]
    # The gradient in a triangle, times its area and turned by a right angle, is half the sum of
    # each corner's membership times the edge opposite to it.
    edges = (corners[:, [2, 0, 1]] - corners[:, [1, 2, 0]]) / 2
    where = mesh.locations[mesh.faces].reshape(-1)
    kept = where >= 0
    columns = np.repeat(np.arange(len(mesh.faces)), 3)[kept]
    shape = (mesh.n_locations, len(mesh.faces))
    squares: Any = csr_array((len(memberships.indptr) - 1, len(mesh.faces)))
    for axis in range(3):
        values = edges[..., axis].reshape(-1)[kept]
        part = memberships @ csr_array((values, (where[kept], columns)), shape=shape)
        squares = squares + part.power(2)
    return np.asarray(squares.sqrt() @ np.ones(len(mesh.faces)))


def measure_compactness(
    memberships: "csr_array", geometry: Geometry, boundaries: Float64[np.ndarray, " p"]
) -> Float64[np.ndarray, " p"]:
    r"""Return how compact each parcel is: 1 of a disc in a plane, and of a ball.

    On a mesh the isoperimetric quotient :math:`4 \pi A / L^2` of area and boundary (Polsby and
    Popper 1991), which curved discs may exceed. On a grid, where the surface of voxels is no
    measure of a smooth one, the mean square distance from the centre of a ball of the same volume
    over that of the parcel,

    .. math:: \frac{3}{5} \left( \frac{3 V}{4 \pi} \right)^{2/3} \Big/
              \Big( \frac{\sum_j m_j |x_j - \bar{x}|^2}{\sum_j m_j}
              + \frac{1}{12} \sum_a h_a^2 \Big)

    with the second term for the extent of the voxels of steps h: a cube has 0.924. NaN of empty
    parcels, of parcels without a boundary, and where the mesh has no areas or no surface.
    """
    if isinstance(geometry, SurfaceMesh):
        if not geometry.has_vertex_areas:
            return np.full(len(boundaries), np.nan)
        areas = memberships @ geometry.vertex_areas[geometry.vertices]
        none = ~(boundaries > 0)
        return np.where(none, np.nan, 4 * np.pi * areas / np.where(none, 1, boundaries) ** 2)
    totals = np.asarray(memberships.sum(axis=1), np.float64)
    weight = np.where(totals > 0, totals, np.nan)
    points = geometry.coordinates
    # Around the middle of all, so that squares of large coordinates do not cancel.
    points = points - points.mean(axis=0) if len(points) else points
    means = (memberships @ points) / weight[:, None]
    spread = (memberships @ (points**2).sum(axis=1)) / weight - (means**2).sum(axis=1)
    steps = geometry.affine[:3, :3]
    volumes = totals * geometry.voxel_volume
    ball = 0.6 * (3 * volumes / (4 * np.pi)) ** (2 / 3)
    return ball / (np.maximum(spread, 0) + (steps**2).sum() / 12)
