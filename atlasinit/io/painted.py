"""Values of parcels on their way to a file."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.errors import ArgumentError, format_list
from atlasinit.io.formats.choosing import suggest
from atlasinit.projection.painting import paint_locations
from atlasinit.support.arrays import narrow
from atlasinit.support.typing import PathLike


@dataclasses.dataclass(frozen=True, eq=False)
class Painted:
    """Values of parcels, and how they are laid out.

    Parameters
    ----------
    atlas
        Where the parcels lie.
    values
        (parcels,) or (parcels, n) in the order of the rows.
    names
        Of the n maps, where the user gives them.
    columns
        What the values call them, where they came in a table.
    fill
        Value of what belongs to no parcel.
    step
        Seconds between the n time points, None where they are maps.
    """

    atlas: Atlas
    values: Float[np.ndarray, "parcels *n"]
    names: tuple[str, ...] | None = None
    columns: tuple[str, ...] | None = None
    # NaN, as 0 would be a value like others.
    fill: float = float("nan")
    step: float | None = None

    @property
    def maps(self) -> Float[np.ndarray, "parcels n"]:
        """The values (parcels, n), where n is 1 of a single map."""
        return self.values.reshape(len(self.values), -1)

    @property
    def titles(self) -> tuple[str, ...]:
        """The names of the maps, or the atlas's and numbers."""
        count = self.maps.shape[1]
        numbered = (self.atlas.name,) if count == 1 else tuple(f"map-{i}" for i in range(count))
        # The user's names go before those that came with the values.
        return self.names or self.columns or numbered

    @property
    def dtype(self) -> np.dtype:
        """That of the values, float32 at least, which is the narrowest that programs read."""
        return np.result_type(self.values.dtype, np.float32)

    @functools.cached_property
    def locations(self) -> dict[str, Float[np.ndarray, "locations n"]]:
        """Compartment to the values at its locations.

        Raises
        ------
        ValueError
            A `fill` that would become 0 or infinite in the precision of the values.
        """
        _, lost = narrow(np.array([self.fill]), self.dtype)
        if lost.any():
            raise ArgumentError("fill", f"should be a number of {self.dtype}, got {self.fill}")
        return paint_locations(self.atlas, self.maps, fill=self.fill)

    def single(self, path: PathLike) -> "Painted":
        """Return the same in single precision, in which a file holds its numbers.

        Raises
        ------
        ValueError
            Numbers that would become 0 or infinite.
        """
        values, lost = narrow(self.values, np.dtype(np.float32))
        if lost.any():
            raise ArgumentError(
                "values",
                f": {Path(path).name} holds single precision, in which "
                f"{format_list(dict.fromkeys(self.values[lost].tolist()), 3)} would become 0 or "
                "infinite",
                suggest(self.atlas, values=True, double=True, alone=False),
                "Or save their logarithms",
            )
        return dataclasses.replace(self, values=values)

    def check_maps(self, path: PathLike) -> None:
        """Refuse a time step where a file holds maps."""
        if self.step is not None:
            raise ArgumentError(
                "step", f"is for series, but {Path(path).name} holds maps", "leave it out"
            )

    def check_series(self, path: PathLike) -> None:
        """Refuse names of maps where a file holds time points."""
        if self.names is not None:
            raise ArgumentError(
                "names",
                f"is for maps, but {Path(path).name} holds time points",
                "leave it out",
            )
