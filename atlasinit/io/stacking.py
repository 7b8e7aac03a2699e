"""The contents of one file, or of several that together hold one compartment, or one each."""

import dataclasses
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import ArgumentError, AtlasFileError, format_list
from atlasinit.io.bids.names import kind_of, name_of_map
from atlasinit.io.contents import Contents, LabelRow, Part
from atlasinit.io.formats.registry import format_of, state_by_name
from atlasinit.io.input import Input
from atlasinit.io.merging import Labelled, are_weights, merge_labels
from atlasinit.io.mesh_identity import check_meshes, complete_mesh
from atlasinit.io.options import ReadOptions
from atlasinit.io.tables.reading import rows_from_table, rows_of_compartment


def read_sources(
    sources: Sequence[Input], compartment: str | None, options: ReadOptions, *, hashed: bool
) -> list[Contents]:
    """Return what sources hold, each compartment once.

    Parameters
    ----------
    sources
        One, or several of one compartment or of one each: files with a map each, or with
        labels.
    compartment
        Their only one; None where they tell.
    options
        How to read them, none left open; `kind` goes before the suffix of a BIDS name.
    hashed
        Keep the hash of files of other programs, while they are open.
    """
    found = []
    for source in sources:
        with source:
            form = format_of(source)
            assert form.read is not None, "a format that reads atlases was asked for"
            contents = _named(form.read(source, _by_name(options, source), compartment), source)
            # A reader may have all that it needs before the end of a file, where gzip has its
            # checksum.
            source.check_rest()
            if hashed and contents.header is None and contents.atlas is None and source.path:
                source.digest  # noqa: B018 (kept for the provenance, as the file is open)
        found.append(contents)
    return found if len(found) == 1 else _merged(found, sources, options)


def _by_name(options: ReadOptions, source: Input) -> ReadOptions:
    """Return options whose `kind` is that which the name of a file states, if it is open."""
    stated = kind_of(source.name) if options.kind == "auto" else "auto"
    return options if stated == "auto" else options.replace(kind=stated)


def _named(contents: Contents, source: Input) -> Contents:
    """Return contents that state the space that their header, or else their file's name, does."""
    stated = state_by_name(contents.stated, source)
    if contents.header:
        stated = dataclasses.replace(stated, space=contents.header.space)
    return dataclasses.replace(contents, stated=stated)


def _merged(
    contents: Sequence[Contents], sources: Sequence[Input], options: ReadOptions
) -> list[Contents]:
    """Return contents in which the parts of one compartment are one part, of the first of them."""
    held: dict[str, list[Labelled]] = {}
    for one, (name, told) in zip(contents, _tell_apart(sources), strict=True):
        for part in _with_own_rows(one.parts):
            own = Labelled(part, name, told, one.stated.labels)
            held.setdefault(part.compartment, []).append(own)
    whole = {c: stack(same, options) for c, same in held.items()}
    # A part has origins only where several files of labels make it.
    made = {c for c, part in whole.items() if part.origins}
    out = []
    for one in contents:
        own = dict.fromkeys(part.compartment for part in one.parts)
        # What is merged goes with the first file that holds some of it.
        parts = tuple(whole.pop(c) for c in own if c in whole)
        # No one of the files states what several make together.
        header = None if made.intersection(own) else one.header
        out.append(dataclasses.replace(one, parts=parts, header=header))
    return out


def _with_own_rows(parts: Sequence[Part]) -> list[Part]:
    """Return the parts of a file, which share a table, each with the entries of its own labels.

    Entries of none are the first part's.
    """
    if len(parts) == 1 or any(part.keys is None or part.rows is None for part in parts):
        return list(parts)
    # The keys at the locations of each part, and those of entries that lie in none.
    located = [set(part.counts()) for part in parts]
    nowhere = {row.key for part in parts for row in part.rows or ()}.difference(*located)
    return [
        dataclasses.replace(
            part,
            rows=tuple(
                row for row in part.rows or () if row.key in own or (not i and row.key in nowhere)
            ),
        )
        for i, (part, own) in enumerate(zip(parts, located, strict=True))
    ]


def _tell_apart(sources: Sequence[Input]) -> list[tuple[str, str]]:
    """Return the name of each source, and what messages call it.

    Images without a name are counted; of files of one name the folder is part of it.
    """
    repeated = Counter(source.name for source in sources)
    told = []
    for i, source in enumerate(sources, start=1):
        if repeated[source.name] == 1:
            told.append((source.name, str(source)))
        elif source.path is not None:
            told.append((f"{source.path.parent.name}/{source.name}", str(source)))
        else:
            told.append((f"{source.name}-{i}", f"{source}, number {i} of the list"))
    return told


def stack(files: Sequence[Labelled], options: ReadOptions) -> Part:
    """Return one part of what several files hold for one compartment.

    Files of labels are one atlas with the parcels of all (`merge_labels`). Anything else are
    maps, one a file: weights, and masks of 0 and one other value. Where neither user nor files
    state which, a file of whole numbers with several values is one of labels, unless the files
    overlap and look like weights.

    Raises
    ------
    ValueError
        Labels beside weights; other grids or meshes; several maps in a file; locations that
        two files of labels claim.
    """
    if len(files) == 1:
        return files[0].part
    files = _on_one_mesh(_on_one_geometry(files))
    labelled = [file for file in files if file.holds_labels or options.kind == "hard"]
    # Percent in whole numbers look like labels as long as each file is seen alone.
    if labelled and options.kind == "auto" and are_weights(files):
        labelled = []
    if not labelled:
        return _maps(files, options)
    weights = [file.told for file in files if file.part.keys is None]
    if weights:
        raise ArgumentError(
            "files",
            f": {format_list(file.told for file in labelled)} hold labels, "
            f"{format_list(weights)} weights",
            "load them apart, and put them together by `atlasinit.join`",
        )
    return merge_labels(files, options)


def _on_one_mesh(files: Sequence[Labelled]) -> list[Labelled]:
    """Return the files, the first with the mesh that any of them holds, which have to agree."""
    carried = [(file, file.part.mesh) for file in files if file.part.mesh is not None]
    if not carried:
        return list(files)
    first, mesh = carried[0]
    c = first.part.compartment
    own = complete_mesh(SurfaceMesh(len(mesh.coordinates), hemisphere=hemisphere_of("", c)), mesh)
    for _, other in carried[1:]:
        check_meshes({c: other}, {c: own}, argument="files", name=first.told)
    whole = dataclasses.replace(files[0].part, mesh=mesh)
    return [dataclasses.replace(files[0], part=whole), *files[1:]]


def _on_one_geometry(files: Sequence[Labelled]) -> list[Labelled]:
    """Return the files with the locations that any of them holds, in one order."""
    first = files[0]
    here = first.part.geometry
    moved: list[tuple[Labelled, Any]] = []
    for file in files:
        own = file.part.geometry
        if isinstance(here, VolumeGrid) and isinstance(own, VolumeGrid):
            # The same voxels may be stored in another direction.
            # (locations,) for each voxel of this file its flat index, in C order, in the first
            # file's grid.
            voxels = own.voxels_in(VolumeGrid(here.shape, here.affine))
            if voxels is None:
                raise AtlasFileError(
                    file.told,
                    f"its grid differs from that of {first.told}: {own.shape} and {here.shape} "
                    f"voxels, affines {own.affine.tolist()} and {here.affine.tolist()}",
                )
            own = VolumeGrid(here.shape, here.affine, voxels, own.structures)
        elif (
            not isinstance(here, SurfaceMesh)
            or not isinstance(own, SurfaceMesh)
            or own.n_vertices != here.n_vertices
        ):
            raise ArgumentError(
                "files",
                f": {len(files)} files for {file.part.compartment!r} should hold a map each on "
                f"one mesh, got {format_list(repr(one.part.geometry) for one in files)}",
            )
        moved.append((file, own))
    together = _union([own for _, own in moved])
    # For each location of all files together its number in this file, -1 where the file lacks it.
    return [
        file.at(together, together.take(own.locations))
        if own != together
        else file.at(together, np.arange(own.n_locations))
        for file, own in moved
    ]


def _union(geometries: Sequence[Any]) -> Any:
    """Return the geometry of all locations of several of one grid or mesh."""
    first = geometries[0]
    if all(own == first for own in geometries):
        return first
    if isinstance(first, SurfaceMesh):
        # Ascending, since each file may have its locations in another order.
        kept = np.unique(np.concatenate([own.vertices for own in geometries]))
        return SurfaceMesh(first.n_vertices, kept, hemisphere=first.hemisphere)
    kept = np.unique(np.concatenate([own.voxels for own in geometries]))
    # Without CIFTI's structures, which are runs of the order that a file had.
    return VolumeGrid(first.shape, first.affine, kept)


def _maps(files: Sequence[Labelled], options: ReadOptions) -> Part:
    """Return the part of files with a map each, keyed 1, 2, ... and named by their files.

    Masks whose values differ have these as keys if the user's table names them.
    """
    from scipy.sparse import csr_array, vstack

    first = files[0].part
    rows = [_one_map(file) for file in files]
    keys = _keys_of_masks(files, options) or tuple(range(1, len(files) + 1))
    # A map fills little of a volume, hence a sparse matrix. On a mesh maps stay dense if all are.
    maps: Any = np.concatenate(rows) if all(isinstance(row, np.ndarray) for row in rows) else None
    if maps is None or isinstance(first.geometry, VolumeGrid):
        maps = csr_array(vstack([csr_array(row) for row in rows], format="csr"))
    return dataclasses.replace(
        first,
        keys=None,
        unlabelled=None,
        whole=False,
        background=None,
        maps=maps,
        map_keys=keys,
        rows=tuple(
            LabelRow(k, name_of_map(file.name)) for k, file in zip(keys, files, strict=True)
        ),
        operations=tuple(dict.fromkeys(o for file in files for o in file.part.operations)),
    )


def _keys_of_masks(files: Sequence[Labelled], options: ReadOptions) -> tuple[int, ...]:
    """Return the values of masks, () unless all differ and the user's table has each."""
    given = None if options.labels is None else rows_from_table(options.labels)
    table = rows_of_compartment(given, files[0].part.compartment)
    listed = {row.key for row in table or ()}
    values = [file.labels for file in files]
    keys = tuple(own[0] for own in values if len(own) == 1)
    return keys if len(set(keys)) == len(files) and listed.issuperset(keys) else ()


def _one_map(file: Labelled) -> Any:
    """Return the map (1, locations) of a file."""
    part = file.part
    if part.keys is not None:
        # Where NaN has a key of its own, this becomes 0; keys of 0 are 0 as they are.
        none = part.keys == (0 if part.unlabelled is None else part.unlabelled)
        return np.where(none, 0, part.keys)[None].astype(np.float32)
    maps: Any = part.maps
    if maps.shape[0] != 1:
        raise AtlasFileError(file.told, f"should hold one map, got {maps.shape[0]} volumes")
    return maps
