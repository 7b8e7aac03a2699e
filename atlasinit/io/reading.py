"""Files of any known format to an atlas."""

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from atlasinit.core.atlas import Atlas
from atlasinit.core.labels import is_home
from atlasinit.core.provenance import Provenance
from atlasinit.errors import ArgumentError, Passing, format_list
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.bids import reading as bids
from atlasinit.io.bids.folders import atlas_files
from atlasinit.io.bids.names import entities_of, stem
from atlasinit.io.contents import Contents, Header
from atlasinit.io.files import existing
from atlasinit.io.input import IN_MEMORY, InMemory, Input, SurfaceImage, inputs_of
from atlasinit.io.options import DEFAULTS, Background, ReadOptions
from atlasinit.io.overlay.parts import lay_over_atlas
from atlasinit.io.overlay.surfaces import check_hemispheres
from atlasinit.io.stacking import read_sources
from atlasinit.io.weights import scale_parts
from atlasinit.support.files import expand, sha256
from atlasinit.support.typing import PathLike

_One: TypeAlias = PathLike | InMemory
Files: TypeAlias = _One | SurfaceImage | Sequence[_One] | Mapping[str, _One | Sequence[_One]]
"""A file or an image in memory, several of them, or compartment to either."""


def read_atlas(
    files: object,
    *,
    labels: object = None,
    space: str | None = None,
    name: str | None = None,
    mask: object = None,
    kind: str | None = None,
    map: str | int | None = None,
    unlisted: str | None = None,
    background: Background | None = None,
    scale: float | int | str | None = None,
    nan: str | None = None,
    conflicts: str | None = None,
    meshes: Mapping[str, Mapping[str, Any]] | None = None,
    provenance: Provenance | None = None,
) -> Atlas:
    """Read an atlas from files.

    Parameters
    ----------
    files
        A path; compartment to path, as ``{"cortex_L": "lh.annot", ...}``; a BIDS dataset,
        or a folder in the manner of TemplateFlow, of one atlas; or several paths: images
        with a map each, images of labels, whose parcels together are the atlas, or files of
        one hemisphere each. Formats: NIfTI and MGH volumes,
        GIFTI, CIFTI-2, FreeSurfer annotations and overlays, vertex values in text or npz,
        and the archives of this package. In the place of each path may be what is in
        memory: a nibabel image, or values (vertices,) or (vertices, maps) of a hemisphere;
        of both hemispheres a nilearn ``SurfaceImage``.
    labels
        Label table in place of the files' own: a path, DataFrame, ``{key: name}``, or
        compartment to one of these. See `read_table`.
    space
        Space of the coordinates, ``"unknown"`` being allowed; by default what the
        files (our own formats) or their names (``tpl-``, ``space-``) state.
    name
        By default what the files state, else the name of the first.
    mask
        Locations to keep; parcels outside stay as empty rows. Voxels in place of those that
        belong to a parcel: an image, an array, a grid or a condition on images
        (`read_mask`). Vertices: numbers (vertices,) that are not 0 there, in a file, image
        or array. Or compartment to either; a CIFTI file or image (of data over time, the
        locations that they have); a nilearn ``SurfaceImage``.
    kind
        ``"hard"`` for labels, ``"maps"`` for weights; ``"auto"``, the default, goes by the
        suffix of BIDS names (``dseg``, ``probseg``), the header and the values.
    map
        Name or 0-based number of one map of a file with several.
    unlisted
        What to do with keys without an entry in the table: ``"error"``, the default, or
        ``"name"`` to call them ``label-<key>``.
    background
        Keys and names that mean no parcel. By default key 0 of labels and entries named
        like the background or the medial wall; ``()`` for none.
    nan
        What to do with NaN: ``"error"``, the default, or ``"zero"`` to take it for no weight,
        and among labels for the background.
    scale
        Factor for weights. ``"auto"``, the default, recognises percent, 0 to 255 and masks by
        the values, of whatever type, and refuses larger whole numbers (`scale_of`). For
        labels that are numbered by fractions, as 1, 1.5, 2, a factor that makes them whole.
    conflicts
        What to do with locations that two files of labels in a list claim: ``"error"``, the
        default, or to give them to the ``"first"`` or the ``"last"`` of these.
    meshes
        Compartment to ``{"sphere", "anatomical", "areas", "mask"}``, files or arrays of
        the mesh that the labels lie on, each optional. A mesh that comes with the labels, in
        a GIFTI or a ``SurfaceImage``, has to be the same, and stands in for what is left open:
        its triangles, and its coordinates if they are a sphere or an anatomical surface.
    provenance
        By default the files with their hashes, what our own files state, or that the
        values were in memory.

    Returns
    -------
    Atlas

    Raises
    ------
    ValueError
        No space, or several; keys and table that disagree; a mask, mesh or
        hemisphere that does not fit.
    AtlasFileError
        A file that is missing, truncated or of no known format.
    """
    options = ReadOptions(
        labels=labels,
        space=space,
        name=name,
        mask=mask,
        kind=kind,
        map=map,
        unlisted=unlisted,
        background=background,
        scale=scale,
        nan=nan,
        conflicts=conflicts,
        meshes=meshes,
    )
    return read_files(files, options, provenance=provenance)


def read_files(
    files: object, options: ReadOptions, *, provenance: Provenance | None = None
) -> Atlas:
    """Return the atlas of files; `read_atlas` with its options in one object."""
    held = read_contents(files, options, hashed=provenance is None)
    return make_atlas(held, options, provenance=provenance)


@dataclasses.dataclass(frozen=True, eq=False)
class Held:
    """What files hold, before it is one atlas.

    Parameters
    ----------
    sources
        The files, or images in memory.
    contents
        What each holds; what several make together is with the first of them.
    from_folder
        Whether they were found in a folder.
    """

    sources: tuple[Input, ...]
    contents: tuple[Contents, ...]
    from_folder: bool = False


def read_contents(files: object, options: ReadOptions, *, hashed: bool = True) -> Held:
    """Return what files hold, as they state it.

    Parameters
    ----------
    files, options
        As of `read_atlas`.
    hashed
        Keep the hash of each file, as `read_sources`.
    """
    options = options.with_defaults()
    folder = _folder(files)
    if folder is not None:
        files = atlas_files(folder, space=options.space, kind=options.kind)
    listed = inputs_of(files)
    # In the order of the files; several files of one compartment are merged.
    contents = [
        one
        for compartment, group in listed
        for one in read_sources(group, compartment, options, hashed=hashed)
    ]
    sources = tuple(source for _, group in listed for source in group)
    return Held(sources, tuple(contents), folder is not None)


def make_atlas(held: Held, options: ReadOptions, *, provenance: Provenance | None = None) -> Atlas:
    """Return the atlas that the contents of files make, which were read with the same options."""
    options = options.with_defaults()
    sources, contents = held.sources, held.contents
    whole = [one.atlas for one in contents if one.atlas is not None]
    if whole:
        return _archived(whole[0], sources, options, provenance)
    # What we wrote has the scale that it should have.
    foreign = [part for one in contents if one.header is None for part in one.parts]
    # Files of other programs get one scale together, so that their weights stay comparable.
    # `scaled` has their parts alone, in the same order.
    scaled = iter(scale_parts(foreign, options.scale, format_list(sources)))
    parts = [part if one.header else next(scaled) for one in contents for part in one.parts]
    check_hemispheres({part.compartment: part.geometry for part in parts})
    headers = [one.header for one in contents if one.header is not None]
    if held.from_folder and headers:
        # Names sort the files; the atlas may have had another order.
        parts = sorted(parts, key=lambda part: _place(part.compartment, headers[0].order))
    # The provenance lists a table that is one file; of others it says nothing.
    tables = [options.labels] if isinstance(options.labels, str | Path) else []
    atlas = assemble(
        parts,
        options,
        # What the user says goes first, then what our own headers state, then what other files and
        # names do.
        name=options.name or _first([h.name for h in headers]) or _name(sources[0].name),
        space=options.space or _space(contents, sources[0]),
        provenance=provenance
        # A header's provenance tells of all files only where all have a header.
        or (headers[0].provenance if len(headers) == len(contents) else None)
        or _provenance(sources, tables),
    )
    _check_located(atlas, options, is_ours=bool(headers))
    return _united(atlas, headers)


def _check_located(atlas: Atlas, options: ReadOptions, *, is_ours: bool) -> None:
    """Refuse an atlas of which no parcel lies anywhere; we may have written such a one."""
    if any(maps.counts().any() for maps in atlas.maps.values()):
        return
    laid = [options.mask, *(mesh.get("mask") for mesh in (options.meshes or {}).values())]
    if any(mask is not None for mask in laid):
        raise ArgumentError(
            "mask",
            f"leaves no parcel of {atlas.name!r} a location",
            "is it of another space, or are true and false swapped?",
        )
    if not is_ours:
        raise ArgumentError(
            "files",
            f": no parcel of {atlas.name!r} has a location, as every number is 0 or means no "
            "parcel",
            "check the file, and the keys of its table",
        )


def _united(atlas: Atlas, headers: Sequence[Header]) -> Atlas:
    """Return an atlas whose compartments share parcels as headers say that they did."""
    homes = dict.fromkeys(home for h in headers for home in h.labels["compartment"])
    for home in homes:
        found = [c for c in atlas.compartments if is_home(home, c)]
        # Where only one is there, as of one hemisphere's file, no parcel is shared.
        if len(found) > 1:
            atlas = atlas.unite(compartments=found).replace(provenance=atlas.provenance)
    return atlas


def _folder(files: object) -> Path | None:
    """Return the folder that `files` names, None where it names files."""
    if isinstance(files, str) and not files:
        # As a path it would be the current folder.
        raise ArgumentError("files", "is an empty text", 'pass a path, as "." for this folder')
    path = expand(files) if isinstance(files, str | Path) else None
    return path if path is not None and os.path.isdir(path) else None


def _place(compartment: str, order: Sequence[str]) -> int:
    # A compartment that the header does not name comes last.
    return order.index(compartment) if compartment in order else len(order)


def _first(values: Sequence[str]) -> str:
    return values[0] if values else ""


def _name(file: str) -> str:
    """Return the ``atlas-`` entity of a BIDS name, or the name without extension and side."""
    entities = entities_of(file)
    further = [entities[e] for e in ("seg", "scale", "desc") if e in entities]
    if "atlas" in entities:
        return "-".join([entities["atlas"], *further])
    # The names of both hemispheres become one: of `lh.aparc`, `aparc.L` and `aparc_hemi-L` "aparc".
    return re.sub(r"^[lr]h\.|[._](?:[LR]|[lr]h|left|right|hemi-[LR])(?=[._]|$)", "", stem(file))


def _space(contents: Sequence[Contents], first: Input) -> str:
    """Return the one space that headers, or else names, state."""
    # What our own files state goes before what other files, or names, do.
    ours = [one for one in contents if one.header is not None]
    stated = {one.stated.space for one in ours or contents} - {""}
    if len(stated) > 1:
        raise ArgumentError("files", f": they are of several spaces: {format_list(sorted(stated))}")
    if not stated:
        raise ArgumentError(
            "space",
            f": neither {first} nor its name states the space",
            "pass "
            + Passing(space=...)
            + ', for instance "MNI152NLin6Asym", "fsaverage5", "fsLR" or "unknown"',
        )
    return stated.pop()


def _provenance(sources: Sequence[Input], tables: Sequence[PathLike]) -> Provenance:
    """Return where the parts come from: files by their hashes, others from memory."""
    files = {source.path: source.digest for source in sources if source.path is not None}
    beside = [path for source in sources for path in source.companions if path not in files]
    files |= {path: sha256(path) for path in beside}
    files |= {path: sha256(path) for path in map(existing, tables) if path not in files}
    kinds = ("files" if files else "", IN_MEMORY if None in [s.path for s in sources] else "")
    first = sources[0].path
    return Provenance(
        source="; ".join(filter(None, kinds)),
        files=tuple((path.name, digest) for path, digest in files.items()),
        **({} if first is None else bids.terms_of(first)),
    )


def _archived(
    atlas: Atlas,
    sources: Sequence[Input],
    options: ReadOptions,
    provenance: Provenance | None,
) -> Atlas:
    """Return the atlas of an archive, which states everything but what is laid over it."""
    if len(sources) > 1:
        raise ArgumentError(
            "files",
            f": {format_list(sources)} should be files of one atlas, but one of them holds a whole "
            "atlas",
            "load it alone, and put several together by `atlasinit.join`",
        )
    name = sources[0].name
    for option, value in options.stated.items():
        # By now every option with a default has one: only another value is the user's own.
        is_default = option in DEFAULTS and value == DEFAULTS[option]
        if option not in _LAID_OVER and not is_default:
            raise ArgumentError(option, f"does not apply to {name}, which holds a whole atlas")
    # A space can be confirmed here, but not changed.
    if options.space not in (None, atlas.space):
        raise ArgumentError("space", f": {name} is in {atlas.space!r}, not {options.space!r}")
    atlas = atlas.replace(name=options.name, provenance=provenance)
    laid = lay_over_atlas(atlas, mask=options.mask, meshes=options.meshes)
    _check_located(laid, options, is_ours=True)
    return laid


_LAID_OVER = ("name", "space", "mask", "meshes")
"""Options that apply to a whole atlas."""
