"""What of an atlas is no array: a static part of whatever is made from it."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool

from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.labels import LabelTable
from atlasinit.core.provenance import Provenance
from atlasinit.errors import ArgumentError, ArgumentTypeError


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
        found, start = {}, 0
        for compartment, geometry in zip(self.compartments, self.geometries, strict=True):
            found[compartment] = slice(start, start + geometry.n_locations)
            start += geometry.n_locations
        return found

    def parcel_slices(self) -> dict[str, slice]:
        """Return where each compartment's parcels lie on the output's axis of parcels.

        Compartments that share parcels have the same slice.
        """
        # Rows of a compartment follow each other, so that a slice says all, and is a view into
        # arrays.
        rows = {c: self.table.rows_of(c) for c in self.compartments}
        return {c: slice(own.start, own.stop) for c, own in rows.items()}

    def home_slices(self) -> dict[str, slice]:
        """Return where the parcels of each value of the table's column ``compartment`` lie."""
        homes = self.table["compartment"]
        # First row and number tell all of a run of rows.
        starts = {home: homes.index(home) for home in dict.fromkeys(homes)}
        return {h: slice(start, start + homes.count(h)) for h, start in starts.items()}

    def split_mask(
        self, mask: Mapping[str, np.ndarray] | np.ndarray, *, argument: str = "mask"
    ) -> dict[str, Bool[np.ndarray, " locations"]]:
        """Return compartment to mask, of one over all locations or of one per compartment.

        Errors call it `argument`.

        Raises
        ------
        ValueError
            A mask of another length, or not boolean; a compartment without one.
        """
        if not isinstance(mask, Mapping):
            whole = np.asarray(mask)
            if whole.shape != (self.n_locations,):
                raise ArgumentError(
                    argument,
                    f"should be true or false at {self.n_locations} locations, those of all "
                    f"compartments in the shape {(self.n_locations,)}, got {whole.shape}",
                )
            mask = {c: whole[s] for c, s in self.location_slices().items()}
        missing = [c for c in self.compartments if c not in mask]
        if missing:
            problem = f"lacks the compartments {missing}"
            raise ArgumentError(argument, problem, f"it has {list(mask)}")
        parts = {c: np.asarray(mask[c]) for c in self.compartments}
        for c, geometry in self.geometry.items():
            if parts[c].dtype != bool or parts[c].shape != (geometry.n_locations,):
                raise ArgumentError(
                    argument,
                    f"of {c!r} should be boolean, true or false at {geometry.n_locations} "
                    f"locations, got {parts[c].dtype} of shape {parts[c].shape}",
                )
        return parts

    def add_rows(self, parts: Iterable[np.ndarray]) -> np.ndarray:
        """Return values (parcels, ...) of those of each compartment's rows, added where shared."""
        own = list(parts)
        out = np.zeros((self.n_parcels, *own[0].shape[1:]), np.result_type(*own))
        for rows, part in zip(self.parcel_slices().values(), own, strict=True):
            out[rows] += part
        return out

    def average_rows(
        self, parts: Iterable[np.ndarray], weights: Iterable[np.ndarray]
    ) -> np.ndarray:
        """Return values (parcels, ...) as `add_rows`, but their means by weight where shared.

        A parcel without weight has NaN there.
        """
        own = list(parts)
        if sum(map(len, own)) == self.n_parcels:
            return np.concatenate(own)
        shares = [w.reshape(-1, *[1] * (p.ndim - 1)) for w, p in zip(weights, own, strict=True)]
        # A side in which a parcel has no weight says nothing of its mean.
        sums = self.add_rows(np.where(w > 0, w * p, 0) for w, p in zip(shares, own, strict=True))
        # 0 / 0 of a parcel without weight is NaN, which means that there is no such value.
        with np.errstate(invalid="ignore"):
            return sums / self.add_rows(shares)


def check_kinds(name: Any, space: Any, geometry: Any, labels: Any, provenance: Any) -> None:
    """Check what an atlas is made of, but for its maps.

    Raises
    ------
    TypeError
        A value of another kind; nothing is turned into text, as a number for a space.
    """

    def refuse(argument: str, wanted: str, given: Any, remedy: str = "") -> ArgumentTypeError:
        return ArgumentTypeError(argument, f"should be {wanted}, got {given!r}", remedy)

    for argument, text in (("name", name), ("space", space)):
        if not isinstance(text, str):
            raise refuse(argument, "text", text, 'pass `""` where there is none')
    if not isinstance(geometry, Mapping):
        wanted = "a mapping from compartments to VolumeGrid or SurfaceMesh"
        raise refuse("geometry", wanted, geometry)
    for compartment, own in geometry.items():
        if not isinstance(compartment, str):
            raise refuse("geometry", "a mapping from names of compartments", compartment)
        if not isinstance(own, VolumeGrid | SurfaceMesh):
            raise refuse(f"geometry[{compartment!r}]", "a VolumeGrid or a SurfaceMesh", own)
    if not isinstance(labels, LabelTable):
        problem = f"should be a LabelTable, got {type(labels).__name__}"
        raise ArgumentTypeError("labels", problem, "make one of it")
    if not isinstance(provenance, Provenance):
        raise refuse("provenance", "a Provenance", provenance)
