"""What a smoothing asks of its widths and of a mesh."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from jax.core import Tracer
from jaxtyping import Float, Float64, Int

from atlasinit.core.geometry import SurfaceMesh, triangle_normals
from atlasinit.core.mesh import advise_surface
from atlasinit.errors import Argument, ArgumentError, ArgumentTypeError, Call, Passing, warn

if TYPE_CHECKING:
    from scipy.spatial import KDTree

FWHM = math.sqrt(8 * math.log(2))
"""Full width at half maximum of a Gaussian of sigma 1."""

_ROUND = 1e-3
"""Share of the radius by which vertices' distances from the origin may differ: those of FreeSurfer
differ by 1.5e-4, of Workbench by 3e-7, and a sphere 0.5 mm off its centre by 1e-2."""

_LARGEST = 1e30
"""Widths are squared, which goes beyond the largest number otherwise."""


def check_one(sigma: object, fwhm: object) -> None:
    """Check that exactly one of `sigma` and `fwhm` is given."""
    if (sigma is None) == (fwhm is None):
        raise ArgumentError(
            "sigma",
            "or "
            + Argument("fwhm")
            + " should be given, in mm, and not both; got "
            + Passing(sigma=sigma)
            + " and "
            + Passing(fwhm=fwhm),
        )


def check_positive(value: Any, name: str) -> float:
    """Return `value` as a float, checked to be one positive, finite number."""
    if isinstance(value, Tracer):
        raise ArgumentTypeError(
            name,
            "is traced here",
            "build the operator at a concrete width and pass the traced one when it is applied: "
            "`operator(data, sigma=...)`",
        )
    if isinstance(value, str | bool) or np.shape(value) != ():
        raise ArgumentTypeError(name, f"should be one number, got {value!r}")
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ArgumentError(name, f"should be positive and finite, got {number}")
    if not 1 / _LARGEST <= number <= _LARGEST:
        raise ArgumentError(name, f"should be from {1 / _LARGEST:g} to {_LARGEST:g}, got {number}")
    return number


def check_threshold(threshold: float | int) -> None:
    """Check that a size of weights to leave out is one."""
    if not threshold >= 0:
        raise ArgumentError("threshold", f"should be 0 or more, got {threshold}")


def warn_if_alone(tree: "KDTree", reach: float) -> None:
    """Warn where most points of a tree have no other within `reach`."""
    if tree.n > 1:
        # About a thousand points, evenly taken; the first found is the point itself.
        distances, _ = tree.query(tree.data[:: max(1, tree.n // 1000)], k=2)
        if np.median(distances[:, 1]) > reach:
            warn_alone(reach)


def warn_alone(reach: float) -> None:
    """Warn that the kernel holds little but the locations themselves."""
    warn(
        f"The kernel is cut at {reach:g} mm, where most locations have no neighbour: nothing is "
        "smoothed. Give a larger width or `truncate`."
    )


def check_triangles(mesh: SurfaceMesh, coordinates: np.ndarray, name: str) -> np.ndarray:
    """Return the faces of a mesh, checked to be a surface on which areas and paths exist.

    Raises
    ------
    ValueError
        No faces, a kept vertex that no face uses, or a degenerate triangle.
    """
    faces = mesh.faces
    if faces is None:
        raise ArgumentError(
            "geometry",
            f": smoothing on the {name} surface needs the mesh's `faces`",
            "give them by "
            + Call("mesh.replace", faces=...)
            + ", or pass "
            + Passing(weights="equal")
            + " on the sphere",
        )
    used = np.zeros(mesh.n_vertices, bool)
    used[faces] = True
    unused = mesh.vertices[~used[mesh.vertices]]
    if unused.size:
        raise ArgumentError(
            "geometry",
            f": {unused.size} kept vertices belong to no face (the first is {unused[0]})",
            "drop them by `mesh.restrict(...)`",
        )
    doubled = np.linalg.norm(triangle_normals(coordinates, faces), axis=0)
    # Beside the largest, whatever the unit; the second limit is for a mesh of flat ones alone.
    flat = np.flatnonzero(doubled <= 1e-12 * max(doubled.max(initial=0), 1e-300))
    if flat.size:
        raise ArgumentError(
            "geometry",
            f": {flat.size} triangles of the {name} surface are degenerate (no area), the first is "
            f"face {flat[0]}, vertices {faces[flat[0]].tolist()}",
            "Repair the mesh",
        )
    return faces


def check_radii(
    sphere: Float[np.ndarray, "vertices 3"], argument: str = "sphere"
) -> Float64[np.ndarray, " vertices"]:
    """Return the radii of a sphere's vertices about the origin, checked to vary by at most 0.1%."""
    radii = np.linalg.norm(sphere.astype(np.float64), axis=1)
    low, high = radii.min(initial=np.inf), radii.max(initial=0)
    if radii.size and not (high > 0 and high - low <= _ROUND * high):
        raise ArgumentError(
            argument,
            f"should have one radius around the origin, got {low:.6g} to {high:.6g} mm",
            "is it an inflated or anatomical surface? One whose centre lies elsewhere, as some of "
            "FreeSurfer do, has to be moved there",
        )
    return radii


def check_sphere(mesh: SurfaceMesh) -> float:
    """Return the radius of a mesh's sphere, checked to be round and to cover itself once.

    Raises
    ------
    ValueError
        No sphere, radii that vary by more than 0.1%, or several components that would
        lie on top of each other.

    Warns
    -----
    AtlasWarning
        Triangles that point the other way than the rest: the sphere is folded.
    """
    if mesh.sphere is None:
        raise ArgumentError(
            "geometry",
            ": smoothing on the sphere needs the mesh's `sphere`, and this mesh has none",
            advise_surface("sphere"),
        )
    radii = check_radii(mesh.sphere[mesh.vertices])
    if mesh.faces is not None:
        n = count_components(mesh.faces, mesh.n_vertices, mesh.vertices)
        if n > 1:
            raise ArgumentError(
                "geometry",
                f": the mesh has {n} components that share one sphere",
                "smooth each hemisphere as a compartment of its own",
            )
        # A normal of a triangle points away from the origin, or, all of them, towards it; those of
        # the rarer direction are flipped.
        first = mesh.sphere.take(mesh.faces[:, 0], axis=0)
        outward = np.einsum("if,fi->f", triangle_normals(mesh.sphere, mesh.faces), first)
        flipped = min((outward > 0).sum(), (outward < 0).sum())
        if flipped:
            warn(
                f"{flipped} triangles of the sphere are flipped: it is folded there, and areas "
                "and distances near them are doubtful."
            )
    return float(radii.mean()) if radii.size else mesh.radius


def count_components(faces: Int[np.ndarray, "faces 3"], n_vertices: int, kept: np.ndarray) -> int:
    """Return in how many pieces of the whole mesh the kept vertices lie, unused ones aside."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    # Two edges join the three corners of a face: the third adds nothing to its component.
    ends = (faces[:, [0, 1]].reshape(-1), faces[:, [1, 2]].reshape(-1))
    graph = coo_array((np.ones(ends[0].size, np.int8), ends), shape=(n_vertices, n_vertices))
    _, piece = connected_components(graph, directed=False)
    used = np.zeros(n_vertices, bool)
    used[faces] = True
    return np.unique(piece[kept[used[kept]]]).size
