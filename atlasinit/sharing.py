"""Data that several atlases share, read once for all of them."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from atlasinit.aligning import unite_geometries
from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.core.labels import numbered_labels
from atlasinit.core.maps import HardMaps, Maps, has_weight
from atlasinit.errors import ArgumentError, format_list
from atlasinit.io import DataSource, open_data


@dataclasses.dataclass(frozen=True)
class View:
    """An atlas and where its locations are among those that are read.

    Parameters
    ----------
    atlas
        The atlas.
    rows
        (locations,) the rows of its data; None where they are all rows in their order.
    """

    atlas: Atlas
    rows: Int[np.ndarray, " locations"] | None = None

    def take(self, data: np.ndarray) -> np.ndarray:
        """Return what is its own of data (rows, time)."""
        return data if self.rows is None else data[self.rows]


def open_shared(
    data: Any,
    atlases: Sequence[Atlas],
    *,
    reduction: Any = "mean",
    data_space: Any = None,
    opener: Callable[..., DataSource] = open_data,
) -> tuple[DataSource, list[View]]:
    """Return data at all locations of several atlases, and which of them each atlas has.

    Parameters
    ----------
    data, reduction, data_space
        As for `atlasinit.io.open_data`.
    opener
        What opens the data of one atlas, called as `atlasinit.io.open_data`.
    atlases
        One at least, of one space. What they have of a compartment is of one grid or mesh. Where
        each has one grid at most, it is the same compartment whatever it is called.

    Raises
    ------
    ValueError
        Atlases of several spaces, grids or meshes, and what `atlasinit.io.open_data` raises.
    """
    if len(atlases) == 1:
        source = opener(data, atlases[0], reduction=reduction, data_space=data_space)
        return source, [View(atlases[0])]
    spaces = dict.fromkeys(atlas.space for atlas in atlases)
    if len(spaces) > 1:
        raise ArgumentError(
            "atlas",
            f": atlases that share an image should be of one space, got {format_list(spaces)}",
            "extract each by itself",
        )
    homes = _find_homes(atlases)
    maps: dict[str, Maps] = {}
    geometry: dict[str, Geometry] = {}
    places: list[dict[str, np.ndarray]] = [{} for _ in atlases]
    for home in dict.fromkeys(h for own in homes for h in own.values()):
        # Which atlas has it, and as which of its compartments.
        owners = [(i, c) for i, own in enumerate(homes) for c, h in own.items() if h == home]
        geometry[home], found = unite_geometries(
            [atlases[i].geometry[c] for i, c in owners],
            [atlases[i].name for i, _ in owners],
            compartment=home,
            argument="atlas",
        )
        # Data has to be there where any parcel has a weight.
        used = np.full(geometry[home].n_locations, -1, np.int32)
        for (i, c), at in zip(owners, found, strict=True):
            places[i][c] = at
            used[at[has_weight(atlases[i].maps[c])]] = 0
        maps[home] = HardMaps(used, 1)
    whole = Atlas(
        name="+".join(atlas.name for atlas in atlases),
        space=atlases[0].space,
        maps=maps,
        geometry=geometry,
        labels=numbered_labels(dict.fromkeys(maps, 1)),
    )
    source = opener(data, whole, reduction=reduction, data_space=data_space)
    starts = {c: part.start for c, part in whole.location_slices().items()}
    views = []
    for atlas, own, at in zip(atlases, homes, places, strict=True):
        rows = np.concatenate([starts[own[c]] + at[c] for c in atlas.compartments])
        same = np.array_equal(rows, np.arange(whole.n_locations))
        views.append(View(atlas, None if same else rows))
    return source, views


def _find_homes(atlases: Sequence[Atlas]) -> list[dict[str, str]]:
    """Return for each atlas what its compartments are called among all of them."""
    grids = [
        [c for c, g in atlas.geometry.items() if isinstance(g, VolumeGrid)] for atlas in atlases
    ]
    # An image has one grid, which one atlas calls "volume" and another "subcortex".
    name = next((own[0] for own in grids if own), "") if max(map(len, grids)) == 1 else ""
    return [
        {c: name if name and c in own else c for c in atlas.compartments}
        for atlas, own in zip(atlases, grids, strict=True)
    ]
