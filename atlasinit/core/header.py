"""What of an atlas is no array: a static part of whatever is made from it."""

import dataclasses
from collections.abc import Iterable

from atlasinit.core.geometry import Geometry
from atlasinit.core.labels import LabelTable
from atlasinit.core.provenance import Provenance


@dataclasses.dataclass(frozen=True)
class AtlasHeader:
    """Name, space, compartments, geometries, labels and provenance of an atlas.

    Hashable and equal by value, so that it can be a static part of a pytree: functions are
    compiled once for equal headers.

    Parameters
    ----------
    name, space
        As of `atlasinit.Atlas`.
    compartments
        In the order of the output rows.
    geometries
        Of each compartment.
    table
        One row per parcel, grouped by compartment in their order.
    provenance
        Source and history.
    """

    name: str
    space: str
    compartments: tuple[str, ...]
    geometries: tuple[Geometry, ...]
    table: LabelTable
    provenance: Provenance

    @property
    def geometry(self) -> dict[str, Geometry]:
        """Compartment to geometry."""
        return dict(zip(self.compartments, self.geometries, strict=True))

    @property
    def n_parcels(self) -> int:
        """Number of parcels of all compartments, empty ones included."""
        return len(self.table)

    @property
    def n_locations(self) -> int:
        """Number of locations of all compartments."""
        return sum(g.n_locations for g in self.geometries)

    def location_slices(self) -> dict[str, slice]:
        """Return where each compartment's locations lie on the data's axis of locations."""
        return _slices(self.compartments, (g.n_locations for g in self.geometries))

    def parcel_slices(self) -> dict[str, slice]:
        """Return where each compartment's parcels lie on the output's axis of parcels."""
        return _slices(self.compartments, (len(self.table.rows_of(c)) for c in self.compartments))


def _slices(names: Iterable[str], sizes: Iterable[int]) -> dict[str, slice]:
    found, start = {}, 0
    for name, size in zip(names, sizes, strict=True):
        found[name] = slice(start, start + size)
        start += size
    return found
