"""What a file format is: adding one is a module with a `Format`, and its line in `FORMATS`."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from atlasinit.io.contents import Contents
from atlasinit.io.facts import Facts
from atlasinit.io.input import Input
from atlasinit.io.options import ReadOptions
from atlasinit.io.values import Values, VertexMaps

Write: TypeAlias = Callable[..., list[Path]]
"""Takes an atlas, a path and `overwrite`, returns the files; raises what the format cannot hold."""

Paint: TypeAlias = Callable[..., list[Path]]
"""Takes a `Painted`, a path and `overwrite`, returns the files; raises as `Write` does."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Format:
    """A file format: how its files are recognised, read and written.

    Parameters
    ----------
    title
        What a file of it is, in messages, as ``"a GIFTI"``.
    endings
        Of the names of its files, as ``".label.gii"``.
    claims
        Whether a source, by its name, its first bytes or its content in memory, is of this
        format. The first format of `FORMATS` that claims a source reads it.
    read
        Returns what a source holds of an atlas: takes the source, the options, and the
        compartment that it is given for, None where it tells itself. None for a format
        of data alone.
    values
        Returns the values of a source as data. None for a format that holds none.
    vertices
        Returns the maps of a source as stored, as areas and masks of meshes have them. None
        for a format that holds none of vertices.
    describe
        Returns what the header of a source says of how its numbers are stored; None for a format
        without a header.
    write
        Writes an atlas, None for a format that is only read.
    writes
        The endings that `write` takes.
    paint
        Writes values of parcels, None for a format that holds none.
    paints
        The endings that `paint` takes.
    in_bids
        The endings that an atlas in a BIDS dataset may have.
    one_each
        Whether each hemisphere of an atlas is written to a file of its own.
    in_memory
        The kinds of images that it takes in memory, in messages.
    """

    title: str
    endings: tuple[str, ...]
    claims: Callable[[Input], bool]
    read: Callable[[Input, ReadOptions, str | None], Contents] | None = None
    values: Callable[[Input], Values] | None = None
    vertices: Callable[[Input], VertexMaps] | None = None
    describe: Callable[[Input], Facts] | None = None
    write: Write | None = None
    writes: tuple[str, ...] = ()
    paint: Paint | None = None
    paints: tuple[str, ...] = ()
    in_bids: tuple[str, ...] = ()
    one_each: bool = False
    in_memory: tuple[str, ...] = ()
