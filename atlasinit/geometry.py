"""Where the locations of a compartment lie: voxels of a grid, or vertices of a mesh.

Both classes are immutable, compare by value and hash by content, so that they
can be static parts of a pytree: a jitted function is compiled once for equal
geometries.
"""

import dataclasses
import functools
import hashlib
import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal, TypeAlias

import jax
import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Int32, Shaped
from numpy.typing import ArrayLike

from atlasinit._arrays import frozen

Hemisphere: TypeAlias = Literal["L", "R", ""]


def _digest(parts: Iterable[Any]) -> str:
    hasher = hashlib.blake2b(digest_size=16)
    for part in parts:
        hasher.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
        hasher.update(b"|")
    return hasher.hexdigest()


class _ByContent:
    """Equality and hash from the bytes of the fields."""

    @functools.cached_property
    def digest(self) -> str:
        """Hexadecimal digest of the content."""
        return _digest(getattr(self, f.name) for f in dataclasses.fields(self))  # pyright: ignore

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self is other or self.digest == other.digest  # pyright: ignore

    def __hash__(self) -> int:
        return hash(self.digest)

    def __getstate__(self) -> dict[str, Any]:
        # Without what is cached, so that equal geometries have equal pickles.
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}  # pyright: ignore

    def __setstate__(self, state: dict[str, Any]) -> None:
        for value in state.values():
            if isinstance(value, np.ndarray):
                value.flags.writeable = False
        _set(self, **state)


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, eq=False, repr=False, init=False)
class VolumeGrid(_ByContent):
    """The kept voxels of a regular grid.

    Parameters
    ----------
    shape
        The three sizes of the grid.
    affine
        (4, 4) matrix from voxel indices to world millimetres (RAS+, as in nibabel).
    voxels
        (locations,) flat indices of the kept voxels, in C order of `shape`; each
        once, in the order of the data's locations. By default every voxel.
    structures
        Runs of locations that belong to one CIFTI brain structure, as
        ``(("CIFTI_STRUCTURE_THALAMUS_LEFT", 1288), ...)``; empty where unknown.

    Raises
    ------
    ValueError
        A shape that is not three positive whole sizes, an affine that is not finite,
        (4, 4) and invertible, a voxel that is outside the grid or kept twice, or
        structures that do not add up to the number of locations.
    """

    shape: tuple[int, int, int]
    affine: Float64[np.ndarray, "4 4"]
    voxels: Int32[np.ndarray, " locations"]
    structures: tuple[tuple[str, int], ...]

    def __init__(
        self,
        shape: Sequence[int],
        affine: ArrayLike,
        voxels: ArrayLike | None = None,
        structures: Sequence[tuple[str, int]] = (),
    ) -> None:
        sizes = tuple(int(size) for size in shape)
        if len(sizes) != 3 or min(sizes) < 1 or sizes != tuple(shape):
            raise ValueError(f"`shape` should be three positive whole sizes, got {shape}.")
        matrix = frozen(affine, np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise ValueError(f"`affine` should be a finite (4, 4) matrix, got {affine!r}.")
        if abs(np.linalg.det(matrix[:3, :3])) < 1e-12:
            raise ValueError(f"`affine` should be invertible, got {matrix.tolist()}.")
        kept = _kept(voxels, math.prod(sizes), "voxels", f"a grid of shape {sizes}")
        runs = tuple((str(name), int(count)) for name, count in structures)
        if runs and sum(count for _, count in runs) != kept.size:
            raise ValueError(f"`structures` should add up to {kept.size} locations, got {runs}.")
        _set(self, shape=sizes, affine=matrix, voxels=kept, structures=runs)

    @classmethod
    def from_mask(cls, mask: Bool[np.ndarray, "x y z"], affine: np.ndarray) -> "VolumeGrid":
        """Return the grid whose kept voxels are those where `mask` is true, in C order."""
        mask = np.asarray(mask, dtype=bool)
        return cls(mask.shape, affine, np.flatnonzero(mask))  # pyright: ignore[reportArgumentType]

    @property
    def n_locations(self) -> int:
        """Number of kept voxels."""
        return self.voxels.size

    @property
    def hemisphere(self) -> Hemisphere:
        """Always ``""``: a grid may hold both hemispheres."""
        return ""

    @property
    def voxel_sizes(self) -> Float[np.ndarray, "3"]:
        """Edge lengths of a voxel in mm."""
        return np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))

    @property
    def ijk(self) -> Int[np.ndarray, "locations 3"]:
        """Voxel indices of the locations."""
        return np.stack(np.unravel_index(self.voxels, self.shape), axis=-1)

    @property
    def coordinates(self) -> Float[np.ndarray, "locations 3"]:
        """World coordinates of the voxel centres in mm (float64)."""
        return self.ijk @ self.affine[:3, :3].T + self.affine[:3, 3]

    @property
    def mask(self) -> Bool[np.ndarray, "x y z"]:
        """Boolean volume of the kept voxels."""
        return self.put(np.ones(self.n_locations, dtype=bool))

    @property
    def locations(self) -> Int32[np.ndarray, "x y z"]:
        """The location of each voxel, -1 where it is not kept."""
        return self.put(np.arange(self.n_locations, dtype=np.int32), fill=-1.0)

    def take(self, volume: np.ndarray) -> np.ndarray:
        """Return the values of a whole volume ``(x, y, z, ...)`` at the locations ``(n, ...)``."""
        if volume.shape[:3] != self.shape:
            raise ValueError(
                f"`volume` should start with the grid's shape {self.shape}, got {volume.shape}."
            )
        if volume.flags.c_contiguous:
            return volume.reshape(-1, *volume.shape[3:])[self.voxels]
        # Images are read in Fortran order, where a C-ordered reshape would copy the whole.
        axes = np.unravel_index(self.voxels, self.shape)
        flat = np.ravel_multi_index(axes, self.shape, order="F")
        return np.take(volume.reshape(-1, *volume.shape[3:], order="F").T, flat, axis=-1).T

    def put(self, values: np.ndarray, *, fill: float = 0) -> np.ndarray:
        """Return a whole volume ``(x, y, z, ...)`` with `values` at the locations, else `fill`."""
        _check_locations(values, self.n_locations)
        volume = np.full((int(np.prod(self.shape)), *values.shape[1:]), fill, values.dtype)
        volume[self.voxels] = values
        return volume.reshape(*self.shape, *values.shape[1:])

    def same_grid(self, other: "VolumeGrid", *, atol: float = 1e-3) -> bool:
        """Whether shape and affine agree (to `atol` mm); the kept voxels may differ."""
        return self.shape == other.shape and np.allclose(
            self.affine, other.affine, rtol=0, atol=atol
        )

    def restrict(self, keep: Shaped[np.ndarray, " n"]) -> "VolumeGrid":
        """Return the grid with the locations chosen by a boolean mask or an index array.

        The structures are kept when `keep` leaves the locations in their order.
        """
        index = np.arange(self.n_locations)[np.asarray(keep)]
        structures: list[tuple[str, int]] = []
        if self.structures and (np.diff(index) > 0).all():
            edges = np.cumsum([0, *(count for _, count in self.structures)])
            counts = np.diff(np.searchsorted(index, edges))
            names = (name for name, _ in self.structures)
            structures = [(n, int(c)) for n, c in zip(names, counts, strict=True) if c]
        return VolumeGrid(self.shape, self.affine, self.voxels[index], tuple(structures))

    def __repr__(self) -> str:
        sizes = " x ".join(f"{size:g}" for size in np.round(self.voxel_sizes, 3))
        return f"VolumeGrid({self.n_locations} of {self.shape} voxels, {sizes} mm)"


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, eq=False, repr=False, init=False)
class SurfaceMesh(_ByContent):
    """The kept vertices of a cortical mesh.

    Parameters
    ----------
    n_vertices
        Number of vertices of the whole mesh, the medial wall included.
    vertices
        (locations,) the kept vertices in the order of the data's locations. By
        default every vertex.
    hemisphere
        ``"L"``, ``"R"`` or ``""``.
    faces
        (faces, 3) vertex numbers of the triangles of the whole mesh.
    sphere
        (vertices, 3) coordinates on the registration sphere, in mm.
    anatomical
        (vertices, 3) coordinates on an anatomical surface (best the midthickness), in mm.
    areas
        (vertices,) vertex areas in mm2. By default computed from `anatomical`, when asked for.

    Raises
    ------
    ValueError
        Arrays whose sizes do not fit `n_vertices`, vertices out of range or kept
        twice, coordinates that are not finite, areas that are negative.
    """

    n_vertices: int
    vertices: Int32[np.ndarray, " locations"]
    hemisphere: Hemisphere
    faces: Int32[np.ndarray, "faces 3"] | None
    sphere: Float32[np.ndarray, "vertices 3"] | None
    anatomical: Float32[np.ndarray, "vertices 3"] | None
    areas: Float32[np.ndarray, " vertices"] | None

    def __init__(
        self,
        n_vertices: int,
        vertices: ArrayLike | None = None,
        *,
        hemisphere: str = "",
        faces: ArrayLike | None = None,
        sphere: ArrayLike | None = None,
        anatomical: ArrayLike | None = None,
        areas: ArrayLike | None = None,
    ) -> None:
        n = int(n_vertices)
        if n < 1:
            raise ValueError(f"`n_vertices` should be positive, got {n_vertices}.")
        if hemisphere not in ("L", "R", ""):
            raise ValueError(f'`hemisphere` should be "L", "R" or "", got {hemisphere!r}.')
        triangles = None if faces is None else _whole(faces, "faces")
        if triangles is not None:
            if triangles.ndim != 2 or triangles.shape[1] != 3:
                raise ValueError(f"`faces` should be (faces, 3), got shape {triangles.shape}.")
            if triangles.size and (triangles.min() < 0 or triangles.max() >= n):
                low, high = triangles.min(), triangles.max()
                raise ValueError(f"`faces` should lie in [0, {n}), got {low} to {high}.")
            triangles = frozen(triangles, np.int32)
        weights = _per_vertex(areas, (n,), "areas")
        if weights is not None and (weights < 0).any():
            raise ValueError(f"`areas` should not be negative, got {weights.min()}.")
        _set(
            self,
            n_vertices=n,
            vertices=_kept(vertices, n, "vertices", f"a mesh of {n} vertices"),
            hemisphere=hemisphere,
            faces=triangles,
            sphere=_per_vertex(sphere, (n, 3), "sphere"),
            anatomical=_per_vertex(anatomical, (n, 3), "anatomical"),
            areas=weights,
        )

    @property
    def n_locations(self) -> int:
        """Number of kept vertices."""
        return self.vertices.size

    @property
    def mask(self) -> Bool[np.ndarray, " vertices"]:
        """Boolean array over all vertices, true where kept."""
        return self.put(np.ones(self.n_locations, dtype=bool))

    @property
    def locations(self) -> Int32[np.ndarray, " vertices"]:
        """The location of each vertex, -1 where it is not kept."""
        return self.put(np.arange(self.n_locations, dtype=np.int32), fill=-1.0)

    @property
    def radius(self) -> float:
        """Mean distance of the sphere's vertices from the origin, in mm."""
        if self.sphere is None:
            raise ValueError("`radius` needs the mesh's `sphere`; this mesh has none.")
        return float(np.linalg.norm(self.sphere.astype(np.float64), axis=1).mean())

    @property
    def vertex_areas(self) -> Float[np.ndarray, " vertices"]:
        """Vertex areas in mm2: `areas` if given, else a third of each adjoining triangle."""
        if self.areas is not None:
            return self.areas.astype(np.float64)
        if self.anatomical is None or self.faces is None:
            raise ValueError(
                "`vertex_areas` needs `areas`, or `anatomical` and `faces`; this mesh has neither."
            )
        return triangle_vertex_areas(self.anatomical, self.faces)

    def take(self, values: np.ndarray) -> np.ndarray:
        """Return the values of the whole mesh ``(vertices, ...)`` at the locations."""
        if values.shape[0] != self.n_vertices:
            raise ValueError(
                f"`values` should start with the mesh's {self.n_vertices} vertices, "
                f"got shape {values.shape}."
            )
        return values[self.vertices]

    def put(self, values: np.ndarray, *, fill: float = 0) -> np.ndarray:
        """Return values of the whole mesh with `values` at the locations, else `fill`."""
        _check_locations(values, self.n_locations)
        full = np.full((self.n_vertices, *values.shape[1:]), fill, values.dtype)
        full[self.vertices] = values
        return full

    def restrict(self, keep: Shaped[np.ndarray, " n"]) -> "SurfaceMesh":
        """Return the mesh with the locations chosen by a boolean mask or an index array."""
        return dataclasses.replace(self, vertices=self.vertices[np.asarray(keep)])

    def replace(
        self,
        *,
        faces: ArrayLike | None = None,
        sphere: ArrayLike | None = None,
        anatomical: ArrayLike | None = None,
        areas: ArrayLike | None = None,
    ) -> "SurfaceMesh":
        """Return the mesh with the given surfaces in place of its own."""
        given = {"faces": faces, "sphere": sphere, "anatomical": anatomical, "areas": areas}
        changes = {name: value for name, value in given.items() if value is not None}
        return dataclasses.replace(self, **changes)

    def __repr__(self) -> str:
        has = [n for n in ("sphere", "anatomical", "areas") if getattr(self, n) is not None]
        side = f"{self.hemisphere}, " if self.hemisphere else ""
        return (
            f"SurfaceMesh({side}{self.n_locations} of {self.n_vertices} vertices"
            f"{', ' + ' + '.join(has) if has else ''})"
        )


Geometry: TypeAlias = VolumeGrid | SurfaceMesh


def triangle_vertex_areas(
    coordinates: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, " vertices"]:
    """Return each vertex's area: a third of the area of every triangle that it belongs to."""
    weights = np.repeat(np.linalg.norm(triangle_normals(coordinates, faces), axis=0) / 6, 3)
    return np.bincount(faces.reshape(-1), weights=weights, minlength=len(coordinates))


def triangle_normals(
    coordinates: Float[np.ndarray, "vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float64[np.ndarray, "3 faces"]:
    """Return a normal of each triangle, twice as long as its area, an axis a row."""
    points = coordinates.T.astype(np.float64, order="C")
    a, b, c = (points.take(corner, axis=1) for corner in faces.T)
    b -= a
    c -= a
    return np.stack(
        [b[1] * c[2] - b[2] * c[1], b[2] * c[0] - b[0] * c[2], b[0] * c[1] - b[1] * c[0]]
    )


def _set(instance: object, **fields: Any) -> None:
    for name, value in fields.items():
        object.__setattr__(instance, name, value)


def _kept(index: ArrayLike | None, size: int, name: str, where: str) -> np.ndarray:
    """Return the kept voxels or vertices as int32, checked to be in range and distinct."""
    if size > 2**31:
        raise ValueError(f"`{name}` cannot be numbered on {where}, of more than 2**31; crop it.")
    if index is None:
        every = np.arange(size, dtype=np.int32)
        every.flags.writeable = False
        return every
    kept = _whole(index, name).reshape(-1)
    if kept.size and (kept.min() < 0 or kept.max() >= size):
        raise ValueError(
            f"`{name}` should lie in [0, {size}) on {where}, got {kept.min()} to {kept.max()}."
        )
    kept = frozen(kept, np.int32)
    if kept.size and (kept[1:] <= kept[:-1]).any() and np.bincount(kept).max() > 1:
        raise ValueError(f"`{name}` should hold each location once; some are repeated.")
    return kept


def _whole(numbers: ArrayLike, name: str) -> np.ndarray:
    """Return an array of whole numbers as it is; none becomes int32."""
    given = np.asarray(numbers)
    if given.size and given.dtype.kind not in "iu":
        raise ValueError(f"`{name}` should be whole numbers, got {given.dtype}.")
    return given if given.size else given.astype(np.int32)


def _per_vertex(values: ArrayLike | None, shape: tuple[int, ...], name: str) -> np.ndarray | None:
    if values is None:
        return None
    array = frozen(values, np.float32)
    if array.shape != shape:
        raise ValueError(f"`{name}` should have shape {shape}, got {array.shape}.")
    if not np.isfinite(array).all():
        raise ValueError(f"`{name}` should be finite; it holds NaN or infinity.")
    return array


def _check_locations(values: np.ndarray, n_locations: int) -> None:
    if values.shape[0] != n_locations:
        raise ValueError(
            f"`values` should start with {n_locations} locations, got shape {values.shape}."
        )
