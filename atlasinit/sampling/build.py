"""Construction of sampling operators."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.mesh import advise_surface
from atlasinit.errors import ArgumentError, ArgumentTypeError, Call, Passing
from atlasinit.sampling.operator import SamplingOperator
from atlasinit.sampling.points import points_along_normals, points_between, sample_points
from atlasinit.sampling.ribbon import ribbon_volumes
from atlasinit.sampling.surfaces import check_nested, surface_of
from atlasinit.support.numbers import check_whole_number, take_number

_METHODS = ("ribbon", "line", "trilinear", "nearest")
_INTERPOLATIONS = ("linear", "nearest")


def sampling_operator(
    grid: VolumeGrid,
    mesh: SurfaceMesh,
    *,
    white: Any = None,
    pial: Any = None,
    method: str = "ribbon",
    subdivisions: int = 3,
    interpolation: str = "linear",
    n_points: int = 10,
    radius: float = 3.0,
) -> SamplingOperator:
    r"""Return the operator that takes values of voxels to the vertices of a mesh.

    A vertex's value is a weighted mean of kept voxels, :math:`y_v = \sum_i w_{vi} x_i /
    \sum_i w_{vi}`, where :math:`w_{vi}` is, by `method`,

    ``"ribbon"``
        how much of voxel i lies between the white and the pial surface, in the triangles that v
        is a corner of. Each voxel counts by the centres of its `subdivisions` ** 3 parts; where
        a side of a triangle's prism is no plane, both of its diagonals count half. A prism that
        holds no such centre is given to the voxel halfway between the surfaces. Corresponds to
        ``wb_command -volume-to-surface-mapping ... -ribbon-constrained`` (with
        ``-volume-roi`` for the kept voxels), which gives 0 for the latter.
    ``"line"``
        the mean of `n_points` samples at equal steps from the white to the pial surface, ends
        included, or, without these, on the vertex's normal from `radius` mm within the mesh's
        anatomical surface to as far without it. Corresponds to ``nilearn.surface.vol_to_surf``
        (``inner_mesh=`` the white surface, or ``kind="line"``).
    ``"trilinear"``, ``"nearest"``
        of one sample: the vertex of the mesh's anatomical surface, or halfway between the white
        and the pial surface where both are given. Correspond to Workbench's ``-trilinear`` and
        ``-enclosing``.

    A sample counts where the voxel that holds it is kept. With linear interpolation, the voxels
    around it that are not kept have no weight and the others are scaled up: nothing of what
    lies outside of a mask enters. (With nilearn, values outside of ``mask_img`` do. In the outer
    half of the grid's outer voxels Workbench gives 0, and nilearn extrapolates.) A vertex without
    any kept voxel has no value: NaN in data, no label and no weight in atlases.

    Parameters
    ----------
    grid
        Where data come from; only its kept voxels are read.
    mesh
        Where they go to: its kept vertices. Its `anatomical` surface, and those below, are in
        the same world mm as the grid. FreeSurfer's own files (``lh.white``) are not: their
        origin is the centre of the volume (``mris_convert --to-scanner`` moves them).
    white, pial
        Surfaces of the mesh: files (GIFTI, FreeSurfer), coordinates (vertices, 3) in mm, or a
        `SurfaceMesh` with an anatomical surface.
    method
        As above.
    subdivisions
        Of a voxel's edge, for the ribbon; more where voxels are large.
    interpolation
        Of the samples of a line: ``"linear"`` or ``"nearest"``.
    n_points, radius
        Samples of a line, and its half length in mm where it is a normal.

    Returns
    -------
    SamplingOperator
        Called with data (..., voxels, k), it returns (..., vertices, k).

    Raises
    ------
    ValueError
        A method without its surfaces, a surface of another mesh, surfaces that are exchanged or
        cross at more than a tenth of the vertices, a surface that meets no kept voxel, an option
        out of range.
    TypeError
        A `grid` or `mesh` of another type, or what is no surface.
    AtlasFileError
        A surface file that cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> import atlasinit as ai
    >>> grid = ai.VolumeGrid((3, 1, 1), np.eye(4))
    >>> mesh = ai.SurfaceMesh(2, anatomical=[[0.25, 0, 0], [2, 0, 0]])
    >>> sample = ai.sampling_operator(grid, mesh, method="trilinear")
    >>> sample(np.array([[0.0], [8.0], [1.0]], np.float32)).ravel().tolist()
    [2.0, 1.0]
    """
    if not isinstance(grid, VolumeGrid) or not isinstance(mesh, SurfaceMesh):
        raise ArgumentTypeError(
            "grid",
            "and `mesh` should be a VolumeGrid and a SurfaceMesh, got "
            f"{type(grid).__name__} and {type(mesh).__name__}",
        )
    if not grid.n_locations:
        raise ArgumentError("grid", "keeps no voxel", "pass one that does")
    _check_choice("method", method, _METHODS)
    _check_choice("interpolation", interpolation, _INTERPOLATIONS)
    subdivisions = check_whole_number(subdivisions, "subdivisions", least=1)
    n_points = check_whole_number(n_points, "n_points", least=1)
    if not 0 < take_number(radius, "radius", "positive and finite, in mm") < np.inf:
        raise ArgumentError("radius", f"should be positive and finite, in mm, got {radius!r}")
    around = surfaces_of(mesh, white, pial)
    if method == "ribbon":
        matrix, coverage = _ribbon(grid, mesh, around, subdivisions)
    else:
        if method != "line":
            points = _one_point(mesh, around)
            interpolation = "linear" if method == "trilinear" else "nearest"
        else:
            points = _line(mesh, around, n_points, float(radius))
        points = points[mesh.vertices]
        matrix, coverage = sample_points(grid, points, interpolation=interpolation)
    if mesh.n_locations and not matrix.nnz:
        shown = mesh.anatomical if around is None else around.pial
        raise ArgumentError(
            "mesh",
            f": its surface, from {_span(shown)} mm, meets no kept voxel of the grid, from "
            f"{_span(grid.coordinates)} mm",
            "Both should be in one space. FreeSurfer's own surfaces have their origin in the "
            "middle of the volume: move them by `mris_convert --to-scanner`",
        )
    return SamplingOperator.from_scipy(matrix, coverage, grid, mesh, method=method)


class Pair(NamedTuple):
    """The white and the pial surface of a mesh, and its triangles where any are given."""

    white: Float[np.ndarray, "vertices 3"]
    pial: Float[np.ndarray, "vertices 3"]
    faces: Int[np.ndarray, "faces 3"] | None


def surfaces_of(mesh: SurfaceMesh, white: Any, pial: Any) -> Pair | None:
    """Return both surfaces, checked to lie in each other, or None where none is given."""
    if white is None and pial is None:
        return None
    if white is None or pial is None:
        lacking = "white" if white is None else "pial"
        raise ArgumentError(lacking, "is needed beside the other surface", "pass both or none")
    inner, own = surface_of(white, mesh, "white")
    outer, other = surface_of(pial, mesh, "pial")
    faces = next((f for f in (mesh.faces, own, other) if f is not None), None)
    if faces is not None:
        check_nested(inner, outer, faces)
    return Pair(inner, outer, faces)


def _ribbon(
    grid: VolumeGrid, mesh: SurfaceMesh, around: Pair | None, subdivisions: int
) -> "tuple[csr_array, np.ndarray]":
    """Return weights (vertices, voxels) of kept ones, and the share of the ribbon in them."""
    if around is None or around.faces is None:
        raise ArgumentError(
            "method",
            '"ribbon" needs the surfaces `white` and `pial`, with triangles in one of them or in '
            "`mesh`",
            "pass them, or " + Passing(method="trilinear") + " for the mesh's own surface",
        )
    volumes = ribbon_volumes(
        grid, around.faces, around.white, around.pial, subdivisions=subdivisions
    )[mesh.vertices]
    totals = volumes.sum(axis=1)
    inside = volumes[:, grid.voxels]
    small = np.flatnonzero(totals == 0)
    # What is too thin for the points of voxels lies in one voxel, or nearly so.
    middle = _one_point(mesh, around)[mesh.vertices[small]]
    held, counted = sample_points(grid, middle, interpolation="nearest")
    placed = csr_array(
        (held.data, (small[held.tocoo().row], held.indices)), shape=(len(totals), grid.n_locations)
    )
    coverage = inside.sum(axis=1) / np.where(totals == 0, 1, totals)
    coverage[small] = counted
    return csr_array(inside + placed), coverage


def _line(
    mesh: SurfaceMesh, around: Pair | None, n_points: int, radius: float
) -> Float[np.ndarray, "vertices samples 3"]:
    if around is not None:
        return points_between(around.white, around.pial, n_points)
    points = _anatomical(mesh)
    if mesh.faces is None:
        raise ArgumentError(
            "mesh",
            f": a line along the normal needs its `faces`, which {mesh!r} lacks",
            "add them by " + Call("mesh.replace", faces=...) + ", or pass `white` and `pial`",
        )
    return points_along_normals(points, mesh.faces, radius=radius, n_points=n_points)


def _one_point(mesh: SurfaceMesh, around: Pair | None) -> Float[np.ndarray, "vertices 1 3"]:
    """Return where each vertex lies: on the mesh's own surface, or between the two given."""
    if around is None:
        return _anatomical(mesh)[:, None]
    return ((around.white.astype(np.float64) + around.pial) / 2)[:, None]


def _anatomical(mesh: SurfaceMesh) -> Float[np.ndarray, "vertices 3"]:
    if mesh.anatomical is None:
        raise ArgumentError(
            "mesh",
            f": sampling needs its `anatomical` surface, which {mesh!r} lacks",
            advise_surface("anatomical") + ", or pass `white` and `pial`",
        )
    return mesh.anatomical


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ArgumentError(name, f"should be one of {list(choices)}, got {value!r}")


def _span(points: Any) -> str:
    low, high = (np.round(ends(points, axis=0)).astype(int).tolist() for ends in (np.min, np.max))
    return f"{low} to {high}"
