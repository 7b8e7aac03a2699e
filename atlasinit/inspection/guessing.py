"""Whether a file of values is an atlas or data of one, which no header states."""

from typing import Literal, TypeAlias

import numpy as np

from atlasinit.errors import AtlasFileError
from atlasinit.io.bids.names import kind_of, suffix_of
from atlasinit.io.formats.base import Format
from atlasinit.io.input import Input
from atlasinit.io.numbers import are_levels, describe_numbers
from atlasinit.io.values import Values
from atlasinit.io.weights import scale_of

Use: TypeAlias = Literal["atlas", "data"]

_DATA = ("bold", "timeseries", "cbv", "asl", "dwi", "T1w", "T2w", "thickness", "curv", "sulc")
"""Suffixes of BIDS and words of FreeSurfer for amounts."""


def guess_use(form: Format, values: Values | None, source: Input) -> Use:
    """Return what a file is for, by its format, its name, what it states and its first map.

    The first map is that of data where no atlas has such numbers: negative ones, fractions
    beyond 1 that are no percent, or whole numbers that are neither labels nor weights.

    Parameters
    ----------
    form
        Its format.
    values
        What it holds as data; None where it holds none.
    source
        The file.
    """
    known = guess_by_name(form, values, source)
    if known is not None or values is None:
        return known or "atlas"
    columns = [
        b.select(np.arange(b.geometry.n_locations)).read(slice(0, 1))[:, 0] for b in values.blocks
    ]
    first = np.concatenate(columns)
    finite = first[np.isfinite(first) & (first != 0)]
    if not finite.size:
        return "data"
    numbers = describe_numbers(first)
    if numbers.low < 0:
        return "data"
    # One map of whole numbers holds labels, as does each of several at levels of a hierarchy.
    if numbers.whole and (_count(values) == 1 or are_levels([numbers])):
        return "atlas"
    try:
        factor = scale_of([finite], source)
    except AtlasFileError:
        return "data"
    return "data" if factor == 1 and numbers.high > 1 + 1e-3 else "atlas"


def guess_by_name(form: Format, values: Values | None, source: Input) -> Use | None:
    """Return what a file is for by all but its numbers, None where these have to tell."""
    if values is None or form.read is None or kind_of(source.name) != "auto":
        return "atlas"
    if suffix_of(source.name) in _DATA:
        return "data"
    return "atlas" if values.stated.labels else None


def _count(values: Values) -> int:
    return values.blocks[0].select(np.arange(0)).n_time
