"""Images that lie in grey behind the parcels of a grid."""

import dataclasses
import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from jaxtyping import Bool, Float, Float32, Float64, Int, Real

from atlasinit.catalogue.sources.registry import source_of
from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.spaces import UNKNOWN, may_be_one, parse_space, space_data
from atlasinit.errors import ArgumentError
from atlasinit.io.files import parsing
from atlasinit.io.formats.grids import load_image
from atlasinit.io.input import Input
from atlasinit.support.resources import normalise_name

Background: TypeAlias = Any
"""An array on the atlas's grid; a path or an image of nibabel on any grid; False for none."""

_BRIGHT = 99.5
"""Percentile of an image's positive values that is shown brightest: few voxels outshine it."""

_SEEN = 0.02
"""Brightness above which a voxel counts as part of what is shown."""

_NONE = 1e-6
"""Of a voxel, by which rounding may miss its edge."""


@dataclasses.dataclass(frozen=True, eq=False)
class Backdrop:
    """An image to show in grey.

    Parameters
    ----------
    values
        (x, y, z) brightness in [0, 1].
    affine
        (4, 4) matrix from its voxel indices to world millimetres.
    """

    values: Float32[np.ndarray, "x y z"]
    affine: Float64[np.ndarray, "4 4"]

    def plane(
        self, affine: Float[np.ndarray, "4 4"], at: Sequence[np.ndarray]
    ) -> Float32[np.ndarray, "rows columns"]:
        """Return the brightness on a plane, between voxels linearly; 0 outside.

        Parameters
        ----------
        affine
            From indices of the volume that the plane cuts to world millimetres.
        at
            Positions along the three axes of that volume, one of them a single one.
        """
        from scipy.ndimage import map_coordinates

        matrix = (np.linalg.inv(self.affine) @ affine)[:3]
        i, j, k = np.ix_(*at)
        # Along each axis of the own voxels; squeezing leaves the two axes of the plane.
        axis = next(a for a in range(3) if len(at[a]) == 1)
        ijk = [np.squeeze(m[0] * i + m[1] * j + m[2] * k + m[3], axis) for m in matrix]
        found = map_coordinates(self.values, ijk, order=1, mode="nearest", prefilter=False)
        for index, size in zip(ijk, self.values.shape, strict=True):
            found[(index < -0.5) | (index > size - 0.5)] = 0
        return found

    @functools.cached_property
    def corners(self) -> Float64[np.ndarray, "8 3"]:
        """Corners in mm of the voxels that are bright enough to be seen."""
        # The centre of the first voxel has the index 0.
        ends = np.stack(find_ends(self.values > _SEEN)) - 0.5
        corners = np.array([[ends[c[a], a] for a in range(3)] for c in np.ndindex(2, 2, 2)])
        return corners @ self.affine[:3, :3].T + self.affine[:3, 3]

    def widen(
        self, affine: Float[np.ndarray, "4 4"], low: np.ndarray, high: np.ndarray
    ) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
        """Return the ends of a box of voxels that holds all that is seen, too.

        Parameters
        ----------
        affine
            From indices of the voxels to world millimetres.
        low, high
            The first voxel of the box along each axis, and the one after the last.
        """
        inverse = np.linalg.inv(affine)
        # The first voxel reaches from 0 to 1 here, while its centre has the index 0.
        corners = self.corners @ inverse[:3, :3].T + inverse[:3, 3] + 0.5
        return (
            np.minimum(low, np.floor(corners.min(axis=0) + _NONE)),
            np.maximum(high, np.ceil(corners.max(axis=0) - _NONE)),
        )


def find_ends(
    inside: Bool[np.ndarray, "x y z"],
) -> tuple[Int[np.ndarray, "3"], Int[np.ndarray, "3"]]:
    """Return the first voxel inside along each axis, and the one after the last; of none, all."""
    ends = []
    for axis, size in enumerate(inside.shape):
        filled = np.flatnonzero(inside.any(axis=tuple(a for a in range(3) if a != axis)))
        ends.append((filled[0], filled[-1] + 1) if filled.size else (0, size))
    low, high = np.array(ends).T
    return low, high


def find_backdrop(atlas: Atlas, background: Background, grid: VolumeGrid) -> Backdrop | None:
    """Return what lies behind the slices of a grid; None for nothing.

    Parameters
    ----------
    background
        An array on the grid; a path or an image of nibabel, on any grid in the atlas's
        space; False for nothing. None stands for the brain of the atlas's space: a T1w
        image of TemplateFlow's where it is on this machine, else, for any of the MNI152
        spaces, nilearn's packaged one.

    Raises
    ------
    ValueError
        An array of another shape than the grid's, an image of several volumes.
    """
    if background is None:
        return _template(atlas.space)
    if background is False:
        return None
    if isinstance(background, np.ndarray):
        if background.shape != grid.shape:
            raise ArgumentError(
                "background",
                f"should have the grid's shape {grid.shape}, got {background.shape}",
                "pass an image with an affine for another grid",
            )
        return Backdrop(_brightness(background), np.asarray(grid.affine))
    return _read(background)


@functools.lru_cache(maxsize=2)
def _template(space: str) -> Backdrop | None:
    path = next(_find_templates(space), None)
    return None if path is None else _read(path)


def _find_templates(space: str) -> Iterator[Path]:
    """Yield the images of a space's brain that are on this machine, the best first."""
    if normalise_name(space) in ("", UNKNOWN):
        return
    try:
        template, _ = parse_space(space)
    except ArgumentError:  # a name of the user's own
        return
    brain = space_data()["brain"]
    template = space_data()["volume"].get(template, template)
    references = [reference.format(space=template) for reference in brain["any"]]
    # What is called MNI152 has many versions, which differ by a few mm at the most.
    references += [r for name, r in brain["of"].items() if may_be_one(template, name)]
    for reference in references:
        find = source_of(reference).find
        path = None if find is None else find(reference.partition(":")[2])
        if path is not None:
            yield path


def _read(image: Any) -> Backdrop:
    with Input(image) as source, parsing(source, "an image"):
        found = load_image(source)
        values = np.asanyarray(found.dataobj)
        source.check_rest()
        affine = np.asarray(found.affine, dtype=np.float64)
    # Some programs write a last axis of one volume.
    values = values[..., 0] if values.ndim == 4 and values.shape[3] == 1 else values
    if values.ndim != 3:
        raise ArgumentError(
            "background",
            f"should be one volume, got shape {values.shape}",
            "pass one of them, or their mean",
        )
    return Backdrop(_brightness(values), affine)


def _brightness(image: Real[np.ndarray, "x y z"]) -> Float32[np.ndarray, "x y z"]:
    values = np.asarray(image, dtype=np.float32)
    values = np.where(np.isfinite(values) & (values > 0), values, np.float32(0))
    positive = values[values > 0]
    brightest = np.percentile(positive, _BRIGHT) if positive.size else 1
    return np.minimum(values / np.float32(brightest), 1)
