"""The formats, of which everything about extensions, reading and writing derives."""

import dataclasses
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path

from atlasinit.core.atlas import Atlas
from atlasinit.errors import ArgumentError, ArgumentTypeError, AtlasFileError, Passing, Words
from atlasinit.io.bids.names import entities_of, names_labels, space_of
from atlasinit.io.contents import Stated
from atlasinit.io.files import extension
from atlasinit.io.formats import annotations, archive, cifti, freesurfer, gifti, nifti, vectors
from atlasinit.io.formats.base import Format, Paint
from atlasinit.io.input import Input
from atlasinit.io.values import Values, VertexMaps
from atlasinit.support.typing import PathLike

FORMATS: tuple[Format, ...] = (
    # Before `vectors`, which takes any .npz; an archive is known by its content.
    archive.FORMAT,
    # Before the images of grids, which take any .nii.
    cifti.FORMAT,
    gifti.FORMAT,
    # Before `nifti` as well, as an overlay is an image whose shape is that of vertices.
    freesurfer.OVERLAY,
    nifti.FORMAT,
    vectors.FORMAT,
    annotations.FORMAT,
    # Last, as it takes any name that begins with lh. or rh.
    freesurfer.MORPHOMETRY,
)
"""Every format, in the order in which they are asked whether a source is theirs."""


def endings() -> tuple[str, ...]:
    """Return the endings of all formats."""
    return tuple(dict.fromkeys(ending for form in FORMATS for ending in form.endings))


def bids_endings() -> tuple[str, ...]:
    """Return the endings that the images of a BIDS dataset may have."""
    return tuple(ending for form in FORMATS for ending in form.in_bids)


def format_of(source: Input) -> Format:
    """Return the format that reads a source as an atlas.

    Raises
    ------
    AtlasFileError
        A file of no known format.
    TypeError
        An image in memory of none.
    """
    found = find_format(source)
    if found is not None and found.read is not None:
        return found
    if source.path is None:
        raise ArgumentTypeError(
            "files",
            f": what is in memory should be {_in_memory()} images, got "
            f"{type(source.content).__name__}",
        )
    named = next((form for form in FORMATS if extension(source.name) in form.endings), None)
    if named is not None and named.read is not None:
        raise AtlasFileError(
            source, f"is named {extension(source.name)}, but is not {named.title} file"
        )
    raise AtlasFileError(
        source,
        "its format is not known",
        "Atlases are read from "
        f"{_listing(form.endings for form in FORMATS if form.read is not None)}",
    )


def read_values(source: Input) -> Values:
    """Return the values of a data file or image, of which few are read yet.

    Raises
    ------
    AtlasFileError
        A file that holds no data.
    """
    # Whatever else nibabel reads are images of grids.
    found = find_format(source) or nifti.FORMAT
    if found.values is not None:
        values = found.values(source)
        return dataclasses.replace(values, stated=state_by_name(values.stated, source))
    raise AtlasFileError(
        source,
        f"is {found.title}",
        "pass an image "
        f"({_listing(form.endings for form in FORMATS if form.values is not None)}) or an "
        "array (locations, time)",
    )


def state_by_name(stated: Stated, source: Input) -> Stated:
    """Return what a file states, with what its name does of space and labels."""
    return dataclasses.replace(
        stated,
        space=space_of(entities_of(source.name)) or stated.space,
        labels=stated.labels or names_labels(source.name),
    )


def read_vertices(source: Input) -> VertexMaps:
    """Return the maps of a file of values of vertices, as stored, with what its name states too.

    Raises
    ------
    AtlasFileError
        A file that holds no such values.
    """
    found = find_format(source)
    if found is None or found.vertices is None:
        raise AtlasFileError(
            source,
            "its format is not known" if found is None else f"is {found.title}",
            "values of vertices are read from "
            f"{_listing(form.endings for form in FORMATS if form.vertices is not None)}, and "
            "from FreeSurfer's files such as lh.area",
        )
    read = found.vertices(source)
    return read._replace(stated=state_by_name(read.stated, source))


def writer_of(path: PathLike) -> Format:
    """Return the format that an atlas has in the file `path`.

    Raises
    ------
    ValueError
        An extension of none.
    """
    return _by_ending(path, lambda form: form.writes, "a folder takes " + Passing(format="bids"))


def write_atlas(atlas: Atlas, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write an atlas in the format that the extension of `path` names; return the files."""
    write = writer_of(path).write
    assert write is not None, "what has endings to write is written"
    return write(atlas, path, overwrite=overwrite)


def painter_of(path: PathLike) -> Paint:
    """Return what writes values of parcels in the format that the extension of `path` names.

    Raises
    ------
    ValueError
        An extension of none.
    """
    instead = "values without a place are a table, for `atlasinit.io.write_table`"
    paint = _by_ending(path, lambda form: form.paints, instead).paint
    assert paint is not None, "what has endings to paint is painted"
    return paint


def _by_ending(
    path: PathLike, endings_of: Callable[[Format], tuple[str, ...]], instead: Words
) -> Format:
    """Return the format with an ending for `path`; the error says what to do `instead`."""
    ending = extension(path)
    found = next((form for form in FORMATS if ending in endings_of(form)), None)
    if found is None:
        raise ArgumentError(
            "path",
            f"should end in {_listing(map(endings_of, FORMATS))}, got {Path(path).name!r}",
            instead,
        )
    return found


def find_format(source: Input) -> Format | None:
    """Return the format that claims a source, None where none does."""
    return next((form for form in FORMATS if form.claims(source)), None)


def _in_memory() -> str:
    kinds = [kind for form in FORMATS for kind in form.in_memory]
    return f"{', '.join(kinds[:-1])} or {kinds[-1]}"


def _listing(endings: Iterable[tuple[str, ...]]) -> str:
    """Return endings as text, those that are compressed as ``.nii[.gz]``."""
    found = dict.fromkeys(itertools.chain.from_iterable(endings))
    plain = [
        ending
        for ending in found
        if ending.removesuffix(".gz") not in found or ending[-3:] != ".gz"
    ]
    return ", ".join(f"{e}[.gz]" if f"{e}.gz" in found else e for e in plain)
