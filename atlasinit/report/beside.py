"""Another atlas beside one: what each parcel matches, and how well."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from atlasinit.comparison import Comparison, compare
from atlasinit.core.atlas import Atlas
from atlasinit.figures.palettes import color_values
from atlasinit.figures.scales import ColorScale, page_colormap
from atlasinit.report.pictures import Scene, Strip, color_locations, show_scale, strip


@dataclasses.dataclass(frozen=True)
class Match:
    """A row of the table: a parcel, what has most of it, and what it is matched with."""

    parcel: str
    largest: str
    share: float
    match: str
    dice: float
    distance: float


@dataclasses.dataclass(frozen=True, eq=False)
class Beside:
    """What the page shows of two atlases.

    Parameters
    ----------
    comparison
        The numbers of both.
    rows
        One per parcel, in the order of the table.
    picture
        Each parcel in the colour of its Dice with its match.
    """

    comparison: Comparison
    rows: tuple[Match, ...]
    picture: Strip


def put_beside(atlas: Atlas, other: Atlas, scenes: Sequence[Scene]) -> Beside:
    """Return how alike two atlases are, by `compare`."""
    found = compare(atlas, other)
    table = found.table
    columns = ("parcel", "largest", "share", "match", "dice", "boundary_distance")
    rows = tuple(Match(*row) for row in zip(*(table[c].tolist() for c in columns), strict=True))
    scale = ColorScale(0.0, 1.0, page_colormap())
    colors = scale(np.asarray(table["dice"], dtype=np.float64))
    everywhere = color_locations(atlas, color_values(colors))
    painted = {c: everywhere[c] for c in found.compartments}
    text = "Hatched in grey are parcels without a match."
    picture = strip(scenes, painted, title="Dice", text=text, scale=show_scale(scale, unit="Dice"))
    return Beside(found, rows, picture)
