"""What is fitted as one: a compartment, or those that share parcels."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Int32

from atlasinit.core.adjacency import find_touching
from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry
from atlasinit.core.labels import TOGETHER
from atlasinit.core.maps import HardMaps, Maps


@dataclasses.dataclass(frozen=True)
class Region:
    """The compartments that share parcels (`Atlas.unite`), one after the other; mostly one alone.

    Parameters
    ----------
    geometry
        Compartment to geometry.
    data
        Where the locations of each lie on the data's axis of locations.
    rows
        Which rows of the table its parcels are.
    names
        Of its parcels.
    """

    geometry: Mapping[str, Geometry]
    data: tuple[slice, ...]
    rows: slice
    names: tuple[str, ...]

    @property
    def name(self) -> str:
        """Its compartments, as the label table writes them."""
        return TOGETHER.join(self.geometry)

    def parts(self) -> dict[str, slice]:
        """Return where the locations of each compartment lie within the region."""
        ends = np.cumsum([0, *(g.n_locations for g in self.geometry.values())]).tolist()
        spans = map(slice, ends[:-1], ends[1:])
        return dict(zip(self.geometry, spans, strict=True))

    def number_parts(self) -> Int32[np.ndarray, " locations"]:
        """Return the number of the compartment that each location lies in."""
        sizes = [g.n_locations for g in self.geometry.values()]
        return np.repeat(np.arange(len(sizes), dtype=np.int32), sizes)

    def find_pairs(self) -> Int32[np.ndarray, "2 pairs"]:
        """Return each pair of locations that touch, once; none in two compartments."""
        parts = self.parts()
        found = [find_touching(g) + np.int32(parts[c].start) for c, g in self.geometry.items()]
        return np.concatenate(found, axis=1)

    def join_labels(self, atlas: Atlas) -> HardMaps:
        """Return the labels of its compartments, one after the other."""
        found = [labels_in(atlas, c) for c in self.geometry]
        return HardMaps(np.concatenate(found), self.rows.stop - self.rows.start)

    def split_maps(self, maps: Maps) -> dict[str, Maps]:
        """Return the maps of each compartment."""
        parts = {c: np.arange(part.start, part.stop) for c, part in self.parts().items()}
        return {c: maps.take_locations(columns) for c, columns in parts.items()}

    def take_data(self, values: np.ndarray) -> np.ndarray:
        """Return the locations of the region out of all of the data's, as a view where it can."""
        one = slice(self.data[0].start, self.data[-1].stop)
        if one.stop - one.start == sum(part.stop - part.start for part in self.data):
            return values[one]
        return np.concatenate([values[part] for part in self.data])


def find_regions(atlas: Atlas) -> list[Region]:
    """Return the regions of an atlas, in the order of their first compartments."""
    rows, data = atlas.parcel_slices(), atlas.location_slices()
    groups: dict[tuple[int, str], list[str]] = {}
    for c, own in rows.items():
        # Compartments without a parcel share none.
        shared = "" if own.stop > own.start else c
        groups.setdefault((own.start, shared), []).append(c)
    return [
        Region(
            {c: atlas.geometry[c] for c in own},
            tuple(data[c] for c in own),
            rows[own[0]],
            atlas.table["name"][rows[own[0]]],
        )
        for own in groups.values()
    ]


def labels_in(atlas: Atlas, compartment: str) -> Int32[np.ndarray, " locations"]:
    """Return the labels of a compartment of an atlas of labels: rows of its parcels, or -1."""
    maps = atlas.maps[compartment]
    assert isinstance(maps, HardMaps)
    return np.asarray(maps.labels)
