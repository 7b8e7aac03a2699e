"""The kept voxels of a grid."""

import dataclasses
import math
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Bool, Float, Float64, Int, Int32, Shaped
from numpy.typing import ArrayLike

from atlasinit.core.locations import (
    ByContent,
    Hemisphere,
    check_kept,
    check_locations,
    set_fields,
)
from atlasinit.errors import ArgumentError
from atlasinit.support.arrays import as_read_only

SHARE = 0.01
"""Of a voxel, by which grids may differ and be one: affines rounded to float32, or to the third
decimal of a header in text, differ by less; nothing that is interpolated would show more."""

_FLAT = 1e-6
"""Volume of a voxel as a share of a cube's of the same edges, below which axes are parallel."""


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True, eq=False, repr=False, init=False)
class VolumeGrid(ByContent):
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
        # `int` cuts 2.5 to 2, which would pass unnoticed but for the comparison with `shape`.
        sizes = tuple(int(size) for size in shape)
        if len(sizes) != 3 or min(sizes) < 1 or sizes != tuple(shape):
            raise ArgumentError("shape", f"should be three positive whole sizes, got {shape}")
        matrix = as_read_only(affine, np.float64)
        if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
            raise ArgumentError("affine", f"should be a finite (4, 4) matrix, got {affine!r}")
        if not _is_invertible(matrix[:3, :3]):
            raise ArgumentError("affine", f"should be invertible, got {matrix.tolist()}")
        kept = check_kept(voxels, math.prod(sizes), "voxels", f"a grid of shape {sizes}")
        runs = tuple((str(name), int(count)) for name, count in structures)
        if runs and sum(count for _, count in runs) != kept.size:
            raise ArgumentError("structures", f"should add up to {kept.size} locations, got {runs}")
        set_fields(self, shape=sizes, affine=matrix, voxels=kept, structures=runs)

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
        # Column a of the affine is the step from one voxel to the next along axis a.
        return np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))

    @property
    def voxel_volume(self) -> float:
        """Volume of a voxel in mm3."""
        a, b, c = self.affine[:3, :3].T
        # The triple product: whole numbers stay whole, which `det` computes through logarithms.
        return abs(float(a @ np.cross(b, c)))

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
        # `fill` is cast to the dtype of the values.
        return self.put(np.arange(self.n_locations, dtype=np.int32), fill=-1.0)

    def take(self, volume: np.ndarray) -> np.ndarray:
        """Return the values of a whole volume ``(x, y, z, ...)`` at the locations ``(n, ...)``."""
        if volume.shape[:3] != self.shape:
            raise ArgumentError(
                "volume", f"should start with the grid's shape {self.shape}, got {volume.shape}"
            )
        if volume.flags.c_contiguous:
            return volume.reshape(-1, *volume.shape[3:])[self.voxels]
        # Images are read in Fortran order, where a C-ordered reshape would copy the whole; of an
        # array's time points, of which some are asked for, either would.
        axes = np.unravel_index(self.voxels, self.shape)
        if not volume.flags.f_contiguous:
            return volume[axes]
        flat = np.ravel_multi_index(axes, self.shape, order="F")
        return np.take(volume.reshape(-1, *volume.shape[3:], order="F").T, flat, axis=-1).T

    def put(self, values: np.ndarray, *, fill: float = 0) -> np.ndarray:
        """Return a whole volume ``(x, y, z, ...)`` with `values` at the locations, else `fill`."""
        check_locations(values, self.n_locations)
        volume = np.full((int(np.prod(self.shape)), *values.shape[1:]), fill, values.dtype)
        volume[self.voxels] = values
        return volume.reshape(*self.shape, *values.shape[1:])

    def same_grid(self, other: "VolumeGrid") -> bool:
        """Whether both store the same voxels in the same order; which are kept may differ.

        The voxels are the same where no corner of the one grid lies farther than a hundredth
        of a voxel from the same corner of the other, whatever a voxel's size.
        """
        return self.shape == other.shape and self._lies_on(other, np.eye(4))

    def voxels_in(self, other: "VolumeGrid") -> Int32[np.ndarray, " locations"] | None:
        """Return where `other` stores the locations of this grid; None for other voxels.

        The same voxels may be stored in another direction (right to left for left to right)
        or with axes exchanged: then values move without interpolation. Which voxels `other`
        keeps does not matter.

        Parameters
        ----------
        other
            The grid of an array whose values are wanted here, such as an image's.

        Returns
        -------
        (locations,) int32 flat indices, in C order of ``other.shape``, of the voxels of `other`
        that hold this grid's locations; None unless both are grids of the same voxels, to a
        hundredth of a voxel at every corner.

        Examples
        --------
        >>> import numpy as np
        >>> here = VolumeGrid((3, 1, 1), np.diag([2.0, 2, 2, 1]), [0, 2])
        >>> there = np.diag([-2.0, 2, 2, 1])
        >>> there[0, 3] = 4
        >>> here.voxels_in(VolumeGrid((3, 1, 1), there))
        array([2, 0], dtype=int32)
        """
        # Both affines A lead to the same mm: A_other x_other = A x, so x_other = A_other^-1 A x.
        moved = np.linalg.inv(other.affine) @ self.affine
        turn = np.rint(moved[:3, :3])
        # A signed permutation: each axis of the one is one axis of the other, perhaps reversed.
        if not (np.abs(turn).sum(axis=0) == 1).all() or not (np.abs(turn).sum(axis=1) == 1).all():
            return None
        # Row a of the permutation picks the own axis that runs along axis a of the other.
        source = np.abs(turn).argmax(axis=1)
        if tuple(self.shape[axis] for axis in source) != other.shape:
            return None
        # Along a reversed axis of n voxels, index i is index n - 1 - i of the other.
        reversed_ = turn.sum(axis=1) < 0
        whole = np.eye(4)
        whole[:3, :3] = turn
        whole[:3, 3] = np.where(reversed_, np.array(other.shape) - 1, 0)
        if not self._lies_on(other, whole):
            return None
        if np.array_equal(whole, np.eye(4)):
            return self.voxels
        ijk = self.ijk[:, source]
        ijk = np.where(reversed_, np.array(other.shape) - 1 - ijk, ijk)
        return np.asarray(np.ravel_multi_index(tuple(ijk.T), other.shape), np.int32)

    def _lies_on(self, other: "VolumeGrid", expected: Float64[np.ndarray, "4 4"]) -> bool:
        """Whether the map of voxel indices to those of `other` is `expected`, at each corner."""
        off = np.linalg.inv(other.affine) @ self.affine - expected
        # Outer corners of the outer voxels, in voxel indices; a linear map is farthest off there.
        ends = np.stack([np.full(3, -0.5), np.array(self.shape) - 0.5])
        corners = np.array([ends[c, range(3)] for c in np.ndindex(2, 2, 2)])
        return bool((np.abs(corners @ off[:3, :3].T + off[:3, 3]) <= SHARE).all())

    def restrict(self, keep: Shaped[np.ndarray, " n"]) -> "VolumeGrid":
        """Return the grid with the locations chosen by a boolean mask or an index array.

        The structures are kept when `keep` leaves the locations in their order.
        """
        # Makes ascending indices of a mask, and of negative ones those that they stand for.
        index = np.arange(self.n_locations)[np.asarray(keep)]
        # Ascending indices stay within their runs: count how many fall between a run's ends.
        structures: list[tuple[str, int]] = []
        if self.structures and (np.diff(index) > 0).all():
            edges = np.cumsum([0, *(count for _, count in self.structures)])
            counts = np.diff(np.searchsorted(index, edges))
            names = (name for name, _ in self.structures)
            structures = [(n, int(c)) for n, c in zip(names, counts, strict=True) if c]
        return VolumeGrid(self.shape, self.affine, self.voxels[index], tuple(structures))

    def __repr__(self) -> str:
        sizes = " x ".join(f"{size:.4g}" for size in self.voxel_sizes)
        return f"VolumeGrid({self.n_locations} of {self.shape} voxels, {sizes} mm)"


def _is_invertible(axes: Float64[np.ndarray, "3 3"]) -> bool:
    """Whether three axes span a volume, whatever the unit of their lengths."""
    # The determinant of unit axes is 1 where they are perpendicular and 0 where they lie in a
    # plane; that of the axes themselves shrinks with the cube of the unit.
    with np.errstate(over="ignore", invalid="ignore"):
        lengths = np.linalg.norm(axes, axis=0)
    return bool(
        np.isfinite(lengths).all()
        and (lengths > 0).all()
        and abs(np.linalg.det(axes / lengths)) > _FLAT
    )
