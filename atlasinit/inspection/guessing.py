"""Whether a file of values is an atlas or data of one, which no header states."""

from typing import Literal, TypeAlias

import numpy as np

from atlasinit.errors import AtlasFileError
from atlasinit.inspection.data import count_maps
from atlasinit.io.bids.names import kind_of, suffix_of
from atlasinit.io.facts import Facts
from atlasinit.io.formats.base import Format
from atlasinit.io.input import Input
from atlasinit.io.numbers import are_levels, describe_numbers
from atlasinit.io.values import Values
from atlasinit.io.weights import scale_of

Use: TypeAlias = Literal["atlas", "data"]

_DATA = ("bold", "timeseries", "cbv", "asl", "dwi", "T1w", "T2w", "thickness", "curv", "sulc")
"""Suffixes of BIDS and words of FreeSurfer for amounts."""


def guess_use(
    form: Format, values: Values | None, source: Input, facts: Facts | None
) -> tuple[Use, bool]:
    """Return what a file is for, and whether the numbers of its first map had to tell.

    Its format, its name and what it states are asked first. The map is that of data where no atlas
    has such numbers: negative ones, fractions beyond 1 that are no percent, or whole numbers that
    are neither labels nor weights.

    Parameters
    ----------
    form
        Its format.
    values
        What it holds as data; None where it holds none.
    source
        The file.
    facts
        What its header says, where it has one.
    """
    if values is None or form.read is None or kind_of(source.name) != "auto":
        return "atlas", False
    if suffix_of(source.name) in _DATA or (facts is not None and facts.is_series):
        return "data", False
    if values.stated.labels:
        return "atlas", False
    return _guess_by_numbers(values, source), True


def _guess_by_numbers(values: Values, source: Input) -> Use:
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
    if numbers.whole and (count_maps(values) == 1 or are_levels([numbers])):
        return "atlas"
    try:
        factor = scale_of([finite], source)
    except AtlasFileError:
        return "data"
    return "data" if factor == 1 and numbers.high > 1 + 1e-3 else "atlas"
