"""Atlases by name for the images of a dataset: in the space that these are in."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atlasinit.catalogue.entries import names
from atlasinit.core.atlas import Atlas
from atlasinit.errors import ArgumentError, format_list, nearest
from atlasinit.extraction.runs import Run
from atlasinit.loading import load_atlas
from atlasinit.support.files import expand
from atlasinit.support.resources import normalise_name

_CHOICES = (
    *("parcels", "networks", "resolution", "density", "cohort", "threshold", "version", "level"),
    *("space", "via", "labels", "kind", "map", "name"),
)
"""Arguments of `load_atlas` that may follow a name."""


def load_atlases(atlases: Any, runs: Sequence[Run], *, download: bool = True) -> Any:
    """Return the atlases of `extract` with those loaded that are texts or paths.

    Parameters
    ----------
    atlases
        One, a list, or a mapping from label; a text is a name of the catalogue or a file, behind
        which choices may follow, as ``"schaefer2018,parcels=400,space=fsLR"``.
    runs
        In whose spaces names without one are looked for.
    download
        Whether files may be fetched.
    """
    if isinstance(atlases, Mapping):
        return {label: _load(one, runs, download) for label, one in atlases.items()}
    if isinstance(atlases, Sequence) and not isinstance(atlases, str):
        return [_load(one, runs, download) for one in atlases]
    return _load(atlases, runs, download)


def _load(given: Any, runs: Sequence[Run], download: bool) -> Any:  # noqa: FBT001
    if isinstance(given, Atlas) or not isinstance(given, str | os.PathLike):
        return given
    source, choices = _split(given)
    if choices.get("space") is None and normalise_name(source) in names():
        return _load_for(source, choices, runs, download)
    return load_atlas(source, **choices, download=download)


def _split(given: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    text = os.fspath(given)
    if isinstance(given, os.PathLike) or expand(text).exists():
        return text, {}
    source, *parts = text.split(",")
    choices = {}
    for part in parts:
        title, mark, value = part.partition("=")
        if title not in _CHOICES or not mark or not value:
            raise ArgumentError(
                "atlases",
                f"should be a name or a file, and choices as parcels=400, got {part!r} in {text!r}",
                nearest(title, _CHOICES) or f"choices are {', '.join(_CHOICES)}",
            )
        choices[title] = Path(value) if title == "labels" else value
    return source, choices


def _load_for(
    name: str,
    choices: Mapping[str, Any],
    runs: Sequence[Run],
    download: bool,  # noqa: FBT001
) -> Atlas:
    """Return a named atlas in the one space of the images that it comes in."""
    wanted = {image.space: image.entities.get("res") for run in runs for image in run.images}
    wanted.pop("", None)
    if not wanted:
        # What no file states cannot be told from the catalogue's usual space; grids are compared.
        return load_atlas(name, **choices, download=download)
    found: dict[str, Atlas] = {}
    reasons: list[ArgumentError] = []
    for space, res in wanted.items():
        # Of the resolution of the images where there is one, else of the only one, or the usual.
        each = [{"resolution": res}] if res and "resolution" not in choices else []
        for own in [*each, {}]:
            try:
                found[space] = load_atlas(name, **choices, **own, space=space, download=download)
                break
            except ArgumentError as error:
                reasons.append(error)
    if len(found) > 1:
        raise ArgumentError(
            "atlases",
            f": images are in several spaces that {name!r} comes in: {format_list(found)}",
            f"state one, as {name},space={next(iter(found))}",
        )
    if found:
        return next(iter(found.values()))
    raise ArgumentError(
        "atlases",
        f": {name!r} could not be loaded in a space of the images ({format_list(wanted)}): "
        f"{reasons[-1]}",
    ) from reasons[-1]
