"""The table with a row per parcel: what its columns are, and how their cells read."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import matplotlib.colors
import numpy as np
from jaxtyping import Float

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.core.labels import REQUIRED
from atlasinit.core.maps import HardMaps
from atlasinit.figures.palettes import find_greys, network_colors
from atlasinit.measures import boundary_width, centres, parcel_entropy
from atlasinit.measures.parcels import average, count_locations, measure_sizes, per_compartment
from atlasinit.report.extraction import ParcelData
from atlasinit.report.matrices import overlaps
from atlasinit.support.formatting import format_number

_STRIPES = "repeating-linear-gradient(135deg, {0} 0 3px, #555 3px 4.5px)"
_POINT, _DIGIT = "\N{PUNCTUATION SPACE}", "\N{FIGURE SPACE}"


@dataclasses.dataclass(frozen=True)
class Cell:
    """What a cell shows, and by what it is sorted: a number, or its text where that is ``""``."""

    text: str
    number: str = ""


@dataclasses.dataclass(frozen=True)
class Column:
    """A column of the table.

    Parameters
    ----------
    title, unit, note
        Its heading, and what it means where that needs words.
    cells
        One per parcel.
    is_number
        Whether its cells are numbers.
    is_label
        Whether it is of the label table, where the filter looks, and not measured.
    """

    title: str
    unit: str
    note: str
    cells: tuple[Cell, ...]
    is_number: bool
    is_label: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class Measures:
    """What is measured of each parcel; NaN where it cannot be.

    Parameters
    ----------
    locations
        (parcels,) number of locations with a weight.
    sizes
        (parcels,) area in mm2 on meshes, volume in mm3 on grids.
    is_surface
        (parcels,) which of the two.
    centres
        (parcels, 3) in mm.
    entropy, width
        (parcels,) in bits, and of the boundary in mm; None for labels.
    cosines
        (parcels, parcels) overlap of each pair of maps; None for labels.
    """

    locations: np.ndarray
    sizes: Float[np.ndarray, " parcels"]
    is_surface: np.ndarray
    centres: Float[np.ndarray, "parcels 3"]
    entropy: Float[np.ndarray, " parcels"] | None
    width: Float[np.ndarray, " parcels"] | None
    cosines: Float[np.ndarray, "parcels parcels"] | None


def measure(atlas: Atlas) -> Measures:
    """Return what is measured of each parcel of an atlas."""
    soft = is_soft(atlas)
    return Measures(
        locations=count_locations(atlas),
        sizes=atlas.header.add_rows(measure_sizes(atlas).values()),
        is_surface=atlas.header.add_rows(
            per_compartment(atlas, lambda m, g: np.full(m.n_parcels, isinstance(g, SurfaceMesh)))
        ),
        centres=average(atlas, per_compartment(atlas, centres)),
        entropy=average(atlas, per_compartment(atlas, lambda m, _: parcel_entropy(m)))
        if soft
        else None,
        width=average(atlas, per_compartment(atlas, boundary_width)) if soft else None,
        cosines=overlaps(atlas) if soft else None,
    )


def is_soft(atlas: Atlas) -> bool:
    """Whether any compartment has weights."""
    return not all(isinstance(m, HardMaps) for m in atlas.maps.values())


def parcel_columns(
    atlas: Atlas,
    measures: Measures,
    *,
    data: ParcelData | None,
    values: Mapping[str, Float[np.ndarray, " parcels"]],
    dice: Float[np.ndarray, " parcels"] | None = None,
) -> list[Column]:
    """Return the columns that follow the name; those without any content are left out."""
    table = atlas.table
    columns = [_of_texts(title, table[title]) for title in ("key", "compartment", "hemisphere")]
    # Then what the label table has besides, as networks.
    columns += [_of_texts(title, table[title]) for title in table.columns if title not in REQUIRED]
    columns.append(
        _of_numbers("locations", measures.locations, note="with a weight that is not 0", form="d")
    )
    # In separate columns, as mm² and mm³ do not sort together.
    for title, unit, which in (
        ("area", "mm²", measures.is_surface),
        ("volume", "mm³", ~measures.is_surface),
    ):
        columns.append(_of_numbers(title, np.where(which, measures.sizes, np.nan), unit=unit))
    for axis, column in zip("xyz", measures.centres.T, strict=True):
        columns.append(_of_numbers(axis, column, unit="mm", note="centre of mass", form=".1f"))
    if measures.entropy is not None and measures.width is not None:
        columns += [
            _of_numbers("entropy", measures.entropy, unit="bits", form=".3f"),
            _of_numbers("boundary", measures.width, unit="mm", note="10 to 90 % of the peak"),
        ]
    if dice is not None:
        note = "twice what it shares with itself before, over both sizes"
        columns.append(_of_numbers("Dice with before", dice, note=note, form=".3f"))
    columns += [_of_numbers(title, column) for title, column in values.items()]
    if data is not None:
        columns += _data_columns(data)
    return [column for column in columns if any(cell.text for cell in column.cells)]


def swatches(colors: Float[np.ndarray, "parcels 3"]) -> list[str]:
    """Return colours as CSS backgrounds, with stripes where parcels have some."""
    texts = [matplotlib.colors.to_hex(color) for color in colors]
    return [
        _STRIPES.format(text) if grey else text
        for text, grey in zip(texts, find_greys(colors), strict=True)
    ]


def network_swatches(atlas: Atlas, colors: Float[np.ndarray, "parcels 3"]) -> dict[str, str]:
    """Return network to its colour as CSS, where every network has one; else nothing."""
    found = network_colors(atlas, colors)
    return dict(zip(found, swatches(np.array([*found.values()])), strict=True)) if found else {}


def _data_columns(data: ParcelData) -> list[Column]:
    out = []
    if data.observed is not None:
        out.append(_of_numbers("observed", 100 * data.observed, unit="%", note="weight with data"))
    if len(data.series) > 1:
        out.append(_of_numbers("mean", data.series.mean(axis=0), note="over time"))
        out.append(_of_numbers("sd", data.series.std(axis=0, ddof=1), note="over time"))
    return out


def _of_texts(title: str, values: tuple[Any, ...]) -> Column:
    # Keys and further columns of numbers sort by value, not by text: 9 before 10. A truth is no
    # number, though Python counts it as one.
    number = all(isinstance(v, int | float) and not isinstance(v, bool) for v in values if v != "")
    cells = tuple(
        Cell("" if v is None else str(v), str(v) if number and v is not None else "")
        for v in values
    )
    return Column(title, "", "", cells, is_number=number, is_label=True)


def _of_numbers(
    title: str, values: np.ndarray, *, unit: str = "", note: str = "", form: str = ".3g"
) -> Column:
    # Shown rounded, but sorted by the full value.
    texts = _align([format_number(v, form) if np.isfinite(v) else "" for v in values.tolist()])
    cells = tuple(
        Cell(text, repr(v)) if text else Cell("")
        for text, v in zip(texts, values.tolist(), strict=True)
    )
    return Column(title, unit, note, cells, is_number=True)


def _align(texts: list[str]) -> list[str]:
    """Return numbers with spaces behind them, so that their decimal points lie below each other.

    A figure space is as wide as a digit, a punctuation space as a point.
    """
    decimals = [len(text.partition(".")[2]) for text in texts]
    most = max(decimals, default=0)
    # Of an exponent, what stands behind the point are not decimals alone.
    if any("e" in text for text in texts):
        return texts
    return [
        text and text + _POINT * (most > 0 and not own) + _DIGIT * (most - own)
        for text, own in zip(texts, decimals, strict=True)
    ]
