"""Tables of centres, whose file says neither grid nor radius: spheres on a grid."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import AtlasFileError
from atlasinit.io.contents import LabelRow, Part
from atlasinit.io.files import reading
from atlasinit.io.overlay.masks import read_mask
from atlasinit.io.spheres import spheres


def sphere_parts(
    path: Path,
    grid: Mapping[str, Any],
    *,
    mask: object,
    radius: float | int | None,
    regions: Path | None,
) -> list[Part]:
    """Return the part of the spheres around the centres of a table.

    Parameters
    ----------
    path
        Text with columns ``x``, ``y``, ``z`` in mm and perhaps a name, a network and a
        radius; row n has key n.
    grid
        ``shape``, ``size`` of the voxels and ``origin`` in mm of the grid without `mask`.
    mask
        What `read_mask` takes: the grid, and the voxels that spheres may hold.
    radius
        In mm, in place of the table's.
    regions
        A file with the coarse region of each centre, in the form of Seitzman's.
    """
    with reading(path, "a table of coordinates") as found:
        records = _records(found)
        seeds = [[float(record[axis]) for axis in "xyz"] for record in records]
        radii: Any = radius
        if radius is None:
            radii = [float(record["radius(mm)"]) for record in records]
    names = [] if regions is None else _regions(regions)
    if regions is not None and len(names) != len(records):
        raise AtlasFileError(regions, f"has {len(names)} regions for {len(records)} centres")
    rows = [_row(i, record, names) for i, record in enumerate(records, start=1)]
    return [spheres(seeds, _grid(grid, mask), radius=radii, rows=rows)]


def _grid(grid: Mapping[str, Any], mask: object) -> VolumeGrid:
    if mask is not None:
        return read_mask(mask)
    # Voxels along the axes of the world: `size` on the diagonal, the centre of voxel 0 at `origin`.
    affine = np.diag([grid["size"]] * 3 + [1.0])
    affine[:3, 3] = grid["origin"]
    return VolumeGrid(grid["shape"], affine)


def _records(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        # Power's and Dosenbach's tables have commas, Seitzman's single blanks; titles in any case:
        # `ROI,X,Y,Z`, `number,x,y,z,name,network`, `x y z radius(mm) netWorkbenchLabel netName`.
        first = stream.readline()
        stream.seek(0)
        reader = csv.DictReader(stream, delimiter="," if "," in first else " ")
        return [{title.lower(): cell for title, cell in record.items()} for record in reader]


def _row(key: int, record: Mapping[str, str], regions: Sequence[str]) -> LabelRow:
    network = record.get("network") or record.get("netname")
    extra: dict[str, Any] = {} if network is None else {"network": network}
    side = ""
    if regions:
        extra["region"] = regions[key - 1]
        side = {"cortexL": "L", "cortexR": "R"}.get(regions[key - 1], "")
    # Many centres share a name, or have none: their number makes it unique.
    name = record.get("name") or network or "region"
    return LabelRow(key, f"{name} {key}", hemisphere=side, extra=extra)


def _regions(path: Path) -> list[str]:
    """Return names from lines of numbers under a line such as ``0=cortexMid,1=cortexL``."""
    with reading(path, "a table of regions") as found:
        # Neither names nor numbers hold blanks, so that words are lines.
        first, *lines = found.read_text(encoding="utf-8").split()
        names = dict(pair.split("=") for pair in first.split(","))
        return [names[line] for line in lines]
