"""Seconds between the volumes of a run, by what states them."""

from pathlib import Path

from atlasinit.errors import ArgumentError
from atlasinit.extraction.cleaning import Cleaning
from atlasinit.extraction.naming import is_seconds, read_sidecar
from atlasinit.io.timing import read_repetition_time


def find_repetition_time(
    image: Path, cleaning: Cleaning, *, stated: float | None = None
) -> float | None:
    """Return the repetition time of an image in s, None where nothing states it.

    What the user states goes first, then what a table of runs does, the sidecar, the header.

    Raises
    ------
    ValueError
        A sidecar with what is no number of seconds; nothing that states it, for filters.
    """
    own = read_sidecar(image).get("RepetitionTime")
    if own is not None and not is_seconds(own):
        raise ArgumentError(
            "t_r", f"should be positive, but the sidecar of {image.name} has {own!r}"
        )
    found = cleaning.t_r or stated or own or read_repetition_time(image)
    if cleaning.filters and found is None:
        raise ArgumentError(
            "t_r", f"is needed for filters, and {image.name} states none in a unit", "pass it"
        )
    return found
