"""Label tables for other programs, each in its own grammar."""

import dataclasses
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, indent, tostring

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import (
    ArgumentError,
    AtlasFileWarning,
    Call,
    ContentError,
    Passing,
    format_list,
    warn,
)
from atlasinit.io.centres import parcel_centres
from atlasinit.io.colors import colors_of, to_bytes
from atlasinit.io.files import extension
from atlasinit.io.own_header import check_names, file_keys
from atlasinit.io.tables.reading import rows_of_bytes, write_labels
from atlasinit.io.tables.workbench import NONE
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write


@dataclasses.dataclass(frozen=True)
class Entry:
    """A parcel as other programs know it: the value in the image, its name, and 0-255 colours."""

    key: int
    name: str
    rgb: tuple[int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LabelFormat:
    """A grammar of label tables.

    Parameters
    ----------
    text
        Returns the whole file of the atlas and its entries; the path is where it will lie.
    endings
        Of file names that mean it; none where several programs have one.
    blank
        What stands for a blank in names, where the grammar has none.
    background
        The name that means no parcel, if the program has one.
    quotes
        Marks that no name may hold, as the grammar quotes by them.
    ascii
        Whether the program drops other letters.
    keyed
        Whether it tells parcels by the values in an image.
    """

    text: Callable[[Atlas, Sequence[Entry], Path], str]
    endings: tuple[str, ...] = ()
    blank: str = " "
    background: str | None = None
    quotes: str = '"'
    ascii: bool = False
    keyed: bool = True


def _lines(
    begin: str, line: Callable[[Entry], str]
) -> Callable[[Atlas, Sequence[Entry], Path], str]:
    return lambda _, entries, path: begin + "".join(f"{line(entry)}\n" for entry in entries)


def _rgb(entry: Entry) -> str:
    return " ".join(map(str, entry.rgb))


def _fsl(atlas: Atlas, entries: Sequence[Entry], path: Path) -> str:
    root = Element("atlas", version="1.0")
    header = SubElement(root, "header")
    for tag, text in (("name", atlas.name), ("shortname", atlas.name), ("type", "Label")):
        SubElement(header, tag).text = text
    # FSL opens the image with the table: that of the same name beside it, without its extension.
    images = SubElement(header, "images")
    for tag in ("imagefile", "summaryimagefile"):
        SubElement(images, tag).text = f"/{path.name.removesuffix(path.suffix)}"
    data = SubElement(root, "data")
    for entry, xyz in zip(entries, _centres(atlas), strict=True):
        at = {"index": str(entry.key), **dict(zip("xyz", map(str, xyz), strict=True))}
        SubElement(data, "label", at).text = entry.name
    indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{tostring(root, "unicode")}\n'


def _brainnet(atlas: Atlas, entries: Sequence[Entry], path: Path) -> str:
    """Return a line ``x y z colour size label`` for each parcel, between tabs."""
    del path
    places = parcel_centres(atlas)
    lost = [
        n for n, at in zip(atlas.table["name"], places, strict=True) if not np.isfinite(at).all()
    ]
    if lost:
        raise ArgumentError(
            "path",
            ": BrainNet Viewer needs the centre of each parcel in mm, which "
            f"{format_list(map(repr, lost), 5)} lack",
            "leave out parcels without a location by " + Call("atlas.drop_empty"),
            "Meshes need an anatomical surface: "
            + Passing(meshes={"cortex_L": {"anatomical": Path}}),
        )
    networks = atlas.table["network"] if "network" in atlas.table else [""] * len(entries)
    # The number of a network, by which the viewer colours; 1 where there is none.
    numbers = {name: i for i, name in enumerate(filter(None, dict.fromkeys(networks)), start=1)}
    rows = zip(places, networks, atlas.labels["n_locations"], entries, strict=True)
    return "".join(
        "\t".join([*(f"{x:.3f}" for x in at), str(numbers.get(own, 1)), str(size), entry.name])
        + "\n"
        for at, own, size, entry in rows
    )


def _centres(atlas: Atlas) -> list[tuple[int, int, int]]:
    """Return the voxel nearest to each parcel's centre, where FSL shows it; 0 on surfaces."""
    found = []
    for c, maps in atlas.maps.items():
        grid: Any = atlas.geometry[c]
        matrix: Any = maps.to_scipy()
        for row in range(matrix.shape[0]):
            at = matrix.indices[matrix.indptr[row] : matrix.indptr[row + 1]]
            if not isinstance(grid, VolumeGrid) or not at.size:
                found.append((0, 0, 0))
                continue
            own = grid.ijk[at]
            best = ((own - own.mean(axis=0)) ** 2).sum(axis=1).argmin()
            found.append(tuple(own[best].tolist()))
    return found


FORMATS = {
    "freesurfer": LabelFormat(
        text=_lines(
            "#No. Label Name: R G B A\n0 Unknown 0 0 0 0\n",
            lambda e: f"{e.key} {e.name} {_rgb(e)} 0",
        ),
        endings=(".ctab",),
        blank="-",
    ),
    "itksnap": LabelFormat(
        text=_lines(
            '# ITK-SnAP Label Description File\n0 0 0 0 0 0 0 "Clear Label"\n',
            lambda e: f'{e.key} {_rgb(e)} 1 1 1 "{e.name}"',
        ),
    ),
    "slicer": LabelFormat(
        text=_lines(
            "# Color table file\n0 Background 0 0 0 0\n",
            lambda e: f"{e.key} {e.name} {_rgb(e)} 255",
        ),
        endings=(".ctbl",),
        blank="_",
    ),
    "fsleyes": LabelFormat(
        text=_lines(
            "", lambda e: f"{e.key} {' '.join(f'{part / 255:.5f}' for part in e.rgb)} {e.name}"
        ),
        endings=(".lut",),
    ),
    "fsl": LabelFormat(text=_fsl, endings=(".xml",)),
    "mrtrix": LabelFormat(
        text=_lines(
            # MRtrix tells the two names apart by their length, the first of which is the shorter.
            "# MRtrix lookup table\n0 ??? Unknown 0 0 0 0\n",
            lambda e: f"{e.key} {e.name} {e.name} {_rgb(e)} 255",
        ),
        blank="-",
        quotes="\"'",
    ),
    "workbench": LabelFormat(
        text=_lines("", lambda e: f"{e.name}\n{e.key} {_rgb(e)} 255"),
        background=NONE,
        ascii=True,
    ),
    "brainnet": LabelFormat(text=_brainnet, endings=(".node",), blank="_", keyed=False),
}
"""Name of a program to its grammar."""


def save_labels(
    atlas: Atlas, path: PathLike, *, format: str | None = None, overwrite: bool = False
) -> Path:
    """Write the label table of an atlas for other programs, and return the file.

    ==============  =====================  =====================================================
    ``format``      by extension           read by
    ==============  =====================  =====================================================
    ``freesurfer``  ``.ctab``              FreeSurfer (``FreeSurferColorLUT.txt``), MRtrix
    ``itksnap``                            ITK-SNAP's label descriptions
    ``slicer``      ``.ctbl``              3D Slicer
    ``fsleyes``     ``.lut``               FSLeyes
    ``fsl``         ``.xml``               FSL, whose atlas is of type ``Label``, with the image of
                                           the same name that `save_atlas` writes beside it
    ``mrtrix``                             MRtrix' ``labelconvert``
    ``workbench``                          ``wb_command -volume-label-import`` and its like
    ``bids``        ``.tsv``               BIDS ``dseg.tsv``, nilearn
    ``brainnet``    ``.node``              BrainNet Viewer: centres in mm, a colour for each
                                           network (or 1), the number of locations as size
    ==============  =====================  =====================================================

    Parameters
    ----------
    atlas
        The atlas; its keys are the values in the images that `save_atlas` writes (where several
        compartments share some, those of ``.dlabel.nii``). Parcels without
        a colour get new ones, which differ; in ``bids`` they have none.
    path
        The file.
    format
        The program, where the extension does not tell it, as of ``.txt``.
    overwrite
        Whether an existing file is replaced.

    Raises
    ------
    ValueError
        An unknown format, an extension of none, names that the grammar cannot hold; for
        ``brainnet`` parcels without a centre in mm.
    AtlasFileError
        An existing file without `overwrite`; a folder that does not exist.

    Warns
    -----
    AtlasFileWarning
        Blanks in names, for which a grammar without them has ``-`` or ``_``; letters beyond ASCII
        for Workbench, which drops them; keys that several compartments share.
    """
    check_atlas(atlas)
    chosen = _format_of(path, format)
    grammar = FORMATS.get(chosen)
    check_names(atlas, path, background=grammar and grammar.background, instead="")
    keys = file_keys(atlas.table)
    if keys != list(atlas.table["key"]) and (grammar is None or grammar.keyed):
        told = (
            "compartments share keys, or a parcel has key 0, so that its parcels are numbered 1 to "
            f"{len(keys)}: as in a .dlabel.nii, and not as in the .label.gii or .annot of each side"
        )
        remedy = "for one numbering of all files save " + Call("ai.renumber_parcels", "atlas")
        warn(AtlasFileWarning(path, told, remedy + " and its table"))
    with atomic_write(path, overwrite=overwrite) as temporary:
        if grammar is None:
            write_labels(atlas.table, temporary, index=keys)
        else:
            names = _names(atlas.table["name"], path, grammar)
            colors = map(to_bytes, colors_of(atlas.table))
            entries = [Entry(*own) for own in zip(keys, names, colors, strict=True)]
            text = grammar.text(atlas, entries, expand(path)).encode()
            if grammar.keyed:
                _check_read_back(text, entries, path)
            temporary.write_bytes(text)
    return expand(path)


def _format_of(path: PathLike, format: str | None) -> str:  # noqa: A002
    known = [*FORMATS, "bids"]
    if format is not None:
        if format not in known:
            raise ArgumentError("format", f"should be one of {format_list(known)}, got {format!r}")
        return format
    endings = {ending: name for name, one in FORMATS.items() for ending in one.endings}
    endings[".tsv"] = "bids"
    found = endings.get(extension(path))
    if found is None:
        raise ArgumentError(
            "path",
            f"should end in {format_list(endings)}, got {Path(path).name!r}",
            "or say for which program by " + Passing(format=...) + f": {format_list(known)}",
        )
    return found


def _names(names: Sequence[str], path: PathLike, grammar: LabelFormat) -> list[str]:
    """Return names as a grammar has them, still different from each other."""
    blank = grammar.blank
    quoted = [name for name in names if any(mark in name for mark in grammar.quotes)]
    if quoted:
        raise _misread(quoted, path)
    foreign = [name for name in names if grammar.ascii and not name.isascii()]
    if foreign:
        told = "has letters that the program drops, as it takes ASCII alone: "
        warn(AtlasFileWarning(path, told + format_list(foreign, 3)))
    # Also blanks that are no space, as U+00A0.
    written = [re.sub(r"\s", blank, name) if blank != " " else name for name in names]
    if len(set(written)) < len(written):
        raise ArgumentError(
            "path",
            f": names would be the same with {blank!r} for blanks in {Path(path).name}",
            "rename them",
        )
    changed = [name for name, own in zip(names, written, strict=True) if name != own]
    if changed:
        told = f"has {blank!r} for blanks in names, which its grammar lacks: "
        warn(AtlasFileWarning(path, told + format_list(changed, 3)))
    return written


def _check_read_back(text: bytes, entries: Sequence[Entry], path: PathLike) -> None:
    """Refuse names that a grammar takes for something else, as a comment: read back they differ."""
    try:
        found = {row.key: row.name for row in rows_of_bytes(text, {})}
    except (ContentError, ValueError):
        found = {}
    lost = [entry.name for entry in entries if found.get(entry.key) != entry.name]
    # Where one name changes how all are read, the others are not to blame.
    odd = [name for name in lost if not name[:1].isalnum()] or lost
    if lost:
        raise _misread(odd, path)


def _misread(names: Sequence[str], path: PathLike) -> ArgumentError:
    return ArgumentError(
        "path",
        f": {Path(path).name} cannot hold names that would be read as comments or quotes, "
        f"got {format_list(map(repr, names), 5)}",
        "rename them by " + Call("ai.rename_parcels", "atlas", "names"),
    )
