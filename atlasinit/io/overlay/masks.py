"""Masks of volumes: images, arrays, grids, and conditions on several images."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Shaped
from nibabel.spatialimages import SpatialImage

from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError, ArgumentTypeError, AtlasFileError, format_list
from atlasinit.io.agreement import check_mask_space
from atlasinit.io.bids.names import kind_of
from atlasinit.io.contents import Kind, Stated
from atlasinit.io.files import parsing
from atlasinit.io.formats.grid_statements import grid_of
from atlasinit.io.formats.grids import (
    layout,
    load_image,
    volumes,
)
from atlasinit.io.formats.nifti import stated_of
from atlasinit.io.formats.registry import state_by_name
from atlasinit.io.input import IN_MEMORY, Input
from atlasinit.io.overlay.amounts import amounts_of
from atlasinit.io.overlay.conditions import evaluate


class Kept(NamedTuple):
    """The voxels of a mask.

    Parameters
    ----------
    grid
        Its kept voxels are the mask.
    note
        What tells a condition on images from others, for the provenance: the images, and
        their scales; ``""`` of any other mask.
    """

    grid: VolumeGrid
    note: str = ""


def read_mask(mask: object, *, grid: VolumeGrid | None = None) -> VolumeGrid:
    """Return the voxels where a mask is true.

    Parameters
    ----------
    mask
        One of

        - a path or a nibabel image, 0 where false and one other value where true;
        - a `VolumeGrid`, whose kept voxels are the mask;
        - a boolean array (x, y, z) on `grid`;
        - a pair ``(images, condition)``: a dict from name to path, nibabel image or
          array (on `grid`), and a condition on their values, as
          ``({"gm": "gm.nii.gz", "wm": "wm.nii.gz"}, "gm > 0.5 and wm < 0.2")``.
          Conditions are made of numbers, names, comparisons, ``and``, ``or``,
          ``not``, ``+ - * /`` and brackets, and ``dilate(gm > 0.5, 2)``, by 2 voxels in every
          direction, likewise ``erode``, ``open`` (erode, then dilate), ``close`` (dilate, then
          erode), and ``fill(gm > 0.5)`` of holes. NaN compares false. Images of weights have the
          scale of 0 to 1 that `load_atlas` gives them, whether they are stored as fractions,
          percent or parts of 255; labels are as they are.
    grid
        Grid of arrays; also the one whose voxels any other mask has to have, if given, in
        whatever direction it stores them.

    Returns
    -------
    VolumeGrid
        Its kept voxels, in C order, are the mask; it is `grid` otherwise, if given.

    Raises
    ------
    TypeError
        A mask of another kind.
    ValueError
        Images of different grids, values that are no mask, a mask without a voxel,
        or a condition that cannot be read, with the place.
    AtlasFileError
        A file that is missing or no image.
    """
    return keep_voxels(mask, grid=grid).grid


def keep_voxels(mask: object, *, grid: VolumeGrid | None = None, space: str = "") -> Kept:
    """Return what `read_mask` does of a mask for an atlas in `space`, and a note.

    Raises
    ------
    ValueError
        A mask whose image states another space, besides what `read_mask` refuses.
    """
    note = ""
    if isinstance(mask, VolumeGrid):
        found = mask
    elif isinstance(mask, tuple) and len(mask) == 2 and isinstance(mask[0], Mapping):
        found, note = _conditional(*mask, grid=grid, space=space)
    else:
        image = _image(mask, grid, space)
        found = VolumeGrid.from_mask(_binary(image.values), image.grid.affine)
    if grid is not None:
        # The same voxels may be stored in another direction.
        voxels = found.voxels_in(grid)
        if voxels is None:
            raise ArgumentError(
                "mask",
                f"should lie on the grid of the volume it is for: {_describe(grid)}, got "
                f"{_describe(found)}",
                "Resample it first",
            )
        # In C order of `grid`, in whatever order the mask's own voxels came.
        found = VolumeGrid(grid.shape, grid.affine, np.sort(voxels))
    if not found.n_locations:
        raise ArgumentError("mask", "holds no voxel")
    return Kept(found, note)


def _conditional(
    images: Mapping[str, object], condition: object, *, grid: VolumeGrid | None, space: str
) -> Kept:
    if not isinstance(condition, str):
        raise ArgumentTypeError("mask", f": its condition should be a str, got {condition!r}")
    if not images:
        raise ArgumentError("mask", ": a condition needs at least one image")
    loaded = {str(name): _image(image, grid, space) for name, image in images.items()}
    first, own = next(iter(loaded.items()))
    for name, other in loaded.items():
        if not own.grid.same_grid(other.grid):
            raise ArgumentError(
                "mask",
                ": its images should lie on one grid",
                f"{first!r} is {_describe(own.grid)}, {name!r} is {_describe(other.grid)}",
            )
    amounts = {
        name: amounts_of(image.values, kind=image.kind, path=f"`mask`, image {name!r}")
        for name, image in loaded.items()
    }
    kept = evaluate(
        condition,
        {name: one.values for name, one in amounts.items()},
        factors={name: one.factor for name, one in amounts.items()},
        unclear=[name for name, one in amounts.items() if one.is_unclear],
    )
    scales = {
        name: "" if one.factor == 1 else f" * {one.factor:.6g}" for name, one in amounts.items()
    }
    note = ", ".join(f"{name} = {image.name}{scales[name]}" for name, image in loaded.items())
    return Kept(VolumeGrid.from_mask(kept, own.grid.affine), note)


class _Image(NamedTuple):
    """The values (x, y, z) of an image, its whole grid, what it says that it holds, its name."""

    values: np.ndarray
    grid: VolumeGrid
    kind: Kind
    name: str


def _image(image: object, grid: VolumeGrid | None, space: str) -> _Image:
    """Return a mask image, for an atlas in `space`."""
    if isinstance(image, np.ndarray):
        # nibabel gives a 4-D image of one volume the shape (x, y, z, 1).
        if grid is None or image.shape not in (grid.shape, (*grid.shape, 1)):
            expected = f"of the grid's shape {grid.shape}" if grid else "given with its `grid`"
            raise ArgumentError("mask", f": an array should be {expected}, got shape {image.shape}")
        whole = VolumeGrid(grid.shape, grid.affine)
        return _Image(image.reshape(grid.shape), whole, "auto", IN_MEMORY)
    if isinstance(image, SpatialImage | str) or hasattr(image, "__fspath__"):
        with Input(image) as source, parsing(source, "a mask image"):  # pyright: ignore[reportArgumentType]
            found, stated = _values(load_image(source), source)
            source.check_rest()
        check_mask_space(stated.space, space, source)
        return found
    raise ArgumentTypeError(
        "mask",
        "should be a path, a nibabel image, a boolean array, a VolumeGrid, or a pair ({name: "
        f"image}}, condition), got {type(image).__name__}",
    )


def _values(image: Any, source: Input) -> tuple[_Image, Stated]:
    shape, count = layout(image, source)
    if count > 1:
        raise AtlasFileError(source, f"a mask should be 3-D, got {count} volumes")
    stated = stated_of(source, image)
    # What the header states goes before the name.
    kind = "hard" if stated.labels else kind_of(source.name)
    whole = grid_of(image, source, shape=shape)
    found = _Image(next(volumes(image, [0])), whole, kind, source.name)
    return found, state_by_name(stated, source)


def _binary(values: np.ndarray) -> Bool[np.ndarray, "x y z"]:
    if values.dtype == bool:
        return values
    found = np.unique(values)
    if not are_binary(found):
        raise ArgumentError(
            "mask",
            f"should hold 0 and one other value, got {format_list(found.tolist(), 3)}",
            'make it so, or state what is inside by a condition, as ({"gm": path}, "gm > 0.5")',
        )
    return values != 0


def are_binary(distinct: Shaped[np.ndarray, " distinct"]) -> bool:
    """Whether the ascending values of a mask are 0 and one other, or a single one."""
    # `np.unique` sorts NaN to the end. An image of a single value is a mask of every voxel or none.
    other = len(distinct) > 2 or (len(distinct) == 2 and distinct[0] != 0)
    return not (np.isnan(distinct[-1]) or other)


def _describe(grid: VolumeGrid) -> str:
    return f"{grid.shape} voxels with affine {np.round(grid.affine, 4).tolist()}"
