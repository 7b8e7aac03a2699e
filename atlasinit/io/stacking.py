"""The contents of one file, or of several that together hold one compartment, or one each."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from atlasinit.errors import ArgumentError, format_list
from atlasinit.io.bids.names import entities_of, space_of, stem
from atlasinit.io.contents import Contents, LabelRow, Part
from atlasinit.io.formats.registry import format_of
from atlasinit.io.input import Input
from atlasinit.io.options import ReadOptions


def read_sources(
    sources: Sequence[Input], compartment: str | None, options: ReadOptions, *, hashed: bool
) -> list[Contents]:
    """Return what sources hold, each compartment once.

    Parameters
    ----------
    sources
        One, images of a volume with a map each, or files of a mesh.
    compartment
        Their only one; None where they tell.
    options
        How to read them, none left open; `kind` goes before the suffix of a BIDS name.
    hashed
        Keep the hash of files of other programs, while they are open.
    """
    formats = []
    for source in sources:
        formats.append(format_of(source))
        if len(sources) > 1:
            source.close()  # there may be more of them than files that can be open
    first = formats[0]
    if len(sources) > 1 and first.read_stack is not None and all(f is first for f in formats):
        return [_named(first.read_stack(sources, options, compartment), sources[0])]
    found = []
    for source, form in zip(sources, formats, strict=True):
        assert form.read is not None, "a format that reads atlases was asked for"
        with source:
            contents = _named(form.read(source, options, compartment), source)
            source.check_rest()
            if hashed and contents.header is None and contents.atlas is None and source.path:
                source.digest  # noqa: B018 (kept for the provenance, as the file is open)
        if options.scale != "auto" and not form.is_grid and contents.atlas is None:
            raise ArgumentError("scale", f"applies to volumes, but {source} is none")
        found.append(contents)
    return _merged(found, sources)


def _named(contents: Contents, source: Input) -> Contents:
    """Return contents that state the space that their header, or else their file's name, does."""
    header = contents.header
    space = header.space if header else space_of(entities_of(source.name))
    return dataclasses.replace(contents, stated=dataclasses.replace(contents.stated, space=space))


def _merged(contents: Sequence[Contents], sources: Sequence[Input]) -> list[Contents]:
    """Return contents in which the parts of one compartment are one part, of the first of them."""
    found: dict[str, list[Part]] = {}
    for part in (part for one in contents for part in one.parts):
        found.setdefault(part.compartment, []).append(part)
    whole = {c: stack(same, sources) for c, same in found.items()}
    out = []
    for one in contents:
        own = dict.fromkeys(part.compartment for part in one.parts)
        parts = tuple(whole.pop(c) for c in own if c in whole)
        out.append(dataclasses.replace(one, parts=parts))
    return out


def stack(parts: Sequence[Part], sources: Sequence[Input]) -> Part:
    """Return one part of the maps that several files hold for one compartment.

    Raises
    ------
    ValueError
        Other meshes, labels, or several maps in a file.
    """
    if len(parts) == 1:
        return parts[0]
    first = parts[0]
    if len(parts) != len(sources) or any(part.geometry != first.geometry for part in parts):
        raise ArgumentError(
            "files",
            f": {len(sources)} files for {first.compartment!r} should hold a map each on one "
            f"mesh, got {format_list(repr(part.geometry) for part in parts)}",
        )
    rows = [_one_map(part, source) for part, source in zip(parts, sources, strict=True)]
    return dataclasses.replace(
        first,
        keys=None,
        maps=np.stack(rows),
        map_keys=tuple(range(1, len(rows) + 1)),
        rows=tuple(LabelRow(i, stem(source.name)) for i, source in enumerate(sources, start=1)),
    )


def _one_map(part: Part, source: Input) -> np.ndarray:
    if part.keys is not None and not np.isin(part.keys, (0, 1)).all():
        raise ArgumentError(
            "files",
            f": {source} holds labels beside other files for {part.compartment!r}",
            "several files for one compartment should be maps, or 0 and 1",
        )
    row = part.keys if part.keys is not None else part.maps
    assert isinstance(row, np.ndarray)
    if row.ndim == 2 and len(row) > 1:
        raise ArgumentError("files", f": {source} should hold one map, got {len(row)}")
    return row.reshape(-1).astype(np.float32)
