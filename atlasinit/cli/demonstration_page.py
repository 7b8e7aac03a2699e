"""The page of the demonstration, which leads to everything that it wrote."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from atlasinit.report.page import Report, render
from atlasinit.report.pictures import embed_image
from atlasinit.support.version import __version__

_WIDTH = 900
"""Pixels of a picture on the page."""

_TEXTS = {
    "_values.tsv": "Values of the parcels, a row each, with names: any program reads it.",
    ".npz": "The whole atlas with weights, geometry, names and provenance: load_atlas reads it.",
    ".label.gii": "Labels of a hemisphere with names and colours, for Workbench and FreeSurfer.",
    ".func.gii": "Weights of a hemisphere, a map per parcel, smoothed.",
    ".png": "The picture above, in full.",
    ".html": "The report: source and licence, pictures, sizes, smoothing, a table of parcels.",
}
"""What a file is, by the end of its name."""

_ORDER = {".html": 0, ".png": 1}
"""Suffixes of the files that come first on the page."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One atlas of the demonstration.

    Parameters
    ----------
    name
        With which its files begin.
    title, text
        What it is, and what was done with it.
    """

    name: str
    title: str
    text: str


def build_index(folder: Path, parts: Sequence[Part], paths: Sequence[Path]) -> Report:
    """Return the page on files that were written to a folder, those of each part together."""
    groups = [_describe(part, [p for p in paths if p.name.startswith(part.name)]) for part in parts]
    lead = (
        f"Made by atlasinit {__version__}, without a network, of atlases and data that come with "
        f"packages: {len(paths)} files in {folder.resolve().name}/."
    )
    title = "What the demonstration made"
    page = render("files.html", version=__version__, title=title, lead=lead, groups=groups)
    return Report(title, page)


def _describe(part: Part, paths: Sequence[Path]) -> dict[str, Any]:
    named = {path.suffix: path for path in paths}
    return {
        "title": part.title,
        "text": part.text,
        "report": named[".html"].name,
        "picture": _embed(named[".png"]),
        "files": [
            {
                "name": path.name,
                "text": next(t for end, t in _TEXTS.items() if path.name.endswith(end)),
                "size": f"{path.stat().st_size / 1024:,.0f}",
            }
            # Those to look at come first.
            for path in sorted(paths, key=lambda p: _ORDER.get(p.suffix, 2))
        ],
    }


def _embed(path: Path) -> str:
    """Return a picture, made smaller, as an address that a page can hold."""
    with Image.open(path) as picture:
        picture.thumbnail((_WIDTH, _WIDTH))
        # No palette: of few colours, those of small areas and the ends of scales become others.
        return embed_image(picture.convert("RGB"), quality=90)
