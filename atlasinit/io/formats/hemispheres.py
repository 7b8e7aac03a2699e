"""What the formats of one hemisphere share: sides, shapes, which map, and file names."""

import dataclasses
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int32, Shaped

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh
from atlasinit.core.labels import hemisphere_of
from atlasinit.core.maps import HardMaps
from atlasinit.errors import (
    Argument,
    ArgumentError,
    AtlasFileError,
    AtlasFileWarning,
    Call,
    Passing,
    Value,
    format_list,
    warn,
)
from atlasinit.io.bids.names import side_of
from atlasinit.io.contents import (
    COMPARTMENTS,
    LabelRow,
    Part,
    Stated,
)
from atlasinit.io.files import extension
from atlasinit.io.formats.choosing import suggest
from atlasinit.io.input import SEEDS, Input
from atlasinit.io.keys import Keys, are_moved_labels, read_keys, say_renumbering
from atlasinit.io.meshes import halves_of
from atlasinit.io.numbers import Numbers, are_levels, describe_numbers, say_levels
from atlasinit.io.options import ReadOptions
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike

_NOTHING = Stated()

_MEMBERS = 10
"""Locations of each distinct number, on average, from which numbers may be those of networks."""


def compartment_of(source: Input, compartment: str | None, *, stated: str = "") -> str:
    """Return the compartment of a one-hemisphere file.

    That is `compartment` if given, else the one that the file states in itself
    (`stated`, ``""`` where it does not), else the cortex of the side that its name
    states (``hemi-L``, ``lh.``, ``.L.``, ``_left``).
    """
    if compartment is not None:
        side, own = hemisphere_of("", compartment), hemisphere_of("", stated)
        if own and side and side != own:
            raise AtlasFileError(
                source,
                f"states that it is of the {_SIDE_WORDS[own]} hemisphere, but it was given for "
                + Argument("compartment")
                + f" {compartment!r}",
            )
        return compartment
    side = side_of(source.name)
    if stated:
        check_name(source, hemisphere_of("", stated), side)
        return stated
    if not side:
        remedy = "give it as " + Value({"cortex_L": Path}) + " or " + Value({"cortex_R": Path})
        # (n, 3) may be three maps of vertices, or coordinates.
        triples = isinstance(source.content, np.ndarray) and source.content.shape[1:] == (3,)
        raise AtlasFileError(
            source,
            "neither the file nor its name states a hemisphere",
            remedy + "; " + SEEDS if triples else remedy,
        )
    return COMPARTMENTS[side]


def check_name(source: Input, stated: str, named: str) -> None:
    """Warn of a file that states another side in itself than its name does.

    Warns
    -----
    AtlasFileWarning
        It is taken for what it states in itself.
    """
    if stated and named and stated != named:
        warn(
            AtlasFileWarning(
                source,
                f"states that it is of the {_SIDE_WORDS[stated]} hemisphere, while its name says "
                f"{_SIDE_WORDS[named]}; it is taken for {_SIDE_WORDS[stated]}",
                "Where the name is right, correct the file by `wb_command -set-structure`, else "
                "the name",
            )
        )


_FREESURFER = (".annot", ".mgh", ".mgz")
"""Endings of files that have nothing but their names to state a side."""
_SIDE_WORDS = {"L": "left", "R": "right"}
_PAIRS = (("L", "R"), ("l", "r"), ("lh", "rh"), ("LH", "RH"), ("left", "right"), ("Left", "Right"))
_SAME = {word: dict(zip("LR", pair, strict=True)) for pair in _PAIRS for word in pair}
"""A word for a side to that of each side in the same manner."""
# A word for a side stands alone: between underscores, other punctuation, or the ends.
_STATED = re.compile(rf"(?<![^\W_])({'|'.join(_SAME)})(?![^\W_])")


def choose_maps(
    values: Shaped[np.ndarray, "maps locations"],
    names: Sequence[str],
    path: object,
    *,
    options: ReadOptions,
    labelled: bool | None,
) -> tuple[bool, list[int]]:
    """Return whether to take labels, and which maps of a file.

    Parameters
    ----------
    values, names
        The maps of the file `path`.
    options
        Of which `kind` and `map` count.
    labelled
        Whether the file says that it holds labels, None where it leaves that to its content
        (see `atlasinit.io.numbers`). One map of whole numbers is refused then if some are
        negative, as they may mean no parcel, or be weights, and so is one of few values of
        which some are fractions, as they may be numbers of networks.
    """
    kind, map = options.kind, options.map
    if kind == "maps" and labelled:
        raise AtlasFileError(
            path, "holds labels, not weights", "read it with " + Passing(kind="hard")
        )
    index = list(range(len(names))) if map is None else [_number(map, names, path)]
    hard = kind == "hard" or bool(labelled)
    if kind == "auto" and labelled is None:
        if len(index) == 1:
            hard = _is_labels(np.asarray(values[index[0]]), path)
        # A file may have networks at several levels, as Yeo's 7 and 17, which are no weights.
        elif (seen := _whole_maps(values[i] for i in index)) and are_levels(seen):
            raise AtlasFileError(
                path,
                f"holds {len(names)} maps of whole numbers, {say_levels(seen)}",
                "If they are, choose one with "
                + Argument("map")
                + f": {_numbered(names)}; if they are weights, pass "
                + Passing(kind="maps"),
            )
    if hard and len(index) != 1:
        raise AtlasFileError(
            path,
            f"holds {len(names)} maps",
            "choose one with " + Argument("map") + f": {_numbered(names)}",
        )
    return hard, index


def _is_labels(row: np.ndarray, path: object) -> bool:
    found = describe_numbers(row)
    if found.whole and found.low < 0:
        raise AtlasFileError(
            path,
            f"holds whole numbers, of which some are negative (down to {found.low:.0f})",
            "If they are labels, pass "
            + Passing(kind="hard")
            + ", and "
            + Argument("background")
            + " where the negative ones mean no parcel; if they are weights, "
            + Passing(kind="maps"),
        )
    if found.whole or found.is_zero:
        return True
    # Negative fractions are of statistics or curvature, fractions up to 1 are weights.
    if found.low < 0 or found.high <= 1 or found.is_mask:
        return False
    finite = row[np.isfinite(row)]
    # Labels that are stored in steps of s are up to s / 2 off, as 0.988 for 1.
    if are_moved_labels(finite):
        return True
    distinct = np.unique(finite[finite != 0])
    # Weights differ from place to place, whereas networks may be numbered 1, 1.5, 2.
    if _MEMBERS * distinct.size <= finite.size:
        odd = distinct[distinct != np.rint(distinct)]
        raise AtlasFileError(
            path,
            f"holds {distinct.size} distinct numbers, of which some are not whole "
            f"({format_list(odd.tolist(), 3)})",
            "If they are weights, pass " + Passing(kind="maps"),
            say_renumbering(distinct),
        )
    return False


def _whole_maps(rows: Iterable[np.ndarray]) -> list[Numbers]:
    """Return what the numbers of maps are like, nothing unless all are whole."""
    seen = []
    for row in rows:
        seen.append(describe_numbers(np.asarray(row)))
        if not (seen[-1].whole or seen[-1].is_zero):
            return []
    return seen


def is_named_label(source: Input) -> bool:
    """Whether the ending of a file's name says that it holds labels."""
    return extension(source.name).startswith(".label.")


def _number(map: str | int, names: Sequence[str], path: object) -> int:
    found = [i for i, name in enumerate(names) if map in (i, name)]
    if len(found) != 1:
        problem = "no map" if not found else f"{len(found)} maps"
        raise AtlasFileError(
            path,
            f"has {problem} {map!r}",
            Argument("map") + f" should be one of {_numbered(names)}",
        )
    return found[0]


def _numbered(names: Sequence[str]) -> str:
    return format_list(f"{i} {name!r}" for i, name in enumerate(names))


def mesh_parts(
    values: Shaped[np.ndarray, "maps vertices"],
    names: Sequence[str],
    source: Input,
    *,
    compartment: str | None,
    options: ReadOptions,
    stated: Stated = _NOTHING,
    rows: tuple[LabelRow, ...] | None = None,
    vertices: Int32[np.ndarray, " locations"] | None = None,
    is_ours: bool = False,
) -> tuple[Part, ...]:
    """Return the parts that the values of a whole mesh, or of both hemispheres, make.

    Parameters
    ----------
    values, names
        The maps of the file.
    compartment
        The one that the file is given for, or the one to take of both; None where the file
        tells.
    stated
        What the file states: its structure, its mesh, and that it holds labels.
    rows
        Its label table.
    vertices
        The kept ones, all by default.
    is_ours
        Whether we wrote the file, which then states labels where it holds them.

    Raises
    ------
    AtlasFileError
        An unknown hemisphere; several maps of labels and no choice.
    """
    n = values.shape[1]
    # Of both hemispheres the left one comes first: (maps, 2 vertices).
    halves = halves_of(n, stated.structure)
    if not halves:
        own = compartment_of(source, compartment, stated=stated.structure)
        wanted = {own: slice(0, n)}
    elif compartment in (None, *halves):
        wanted = {c: half for c, half in halves.items() if compartment in (None, c)}
    else:
        raise AtlasFileError(source, f"holds {list(halves)}, not {compartment!r}")
    # False means weights, and None that the numbers tell.
    labelled = stated.labels or (False if is_ours else None)
    hard, index = choose_maps(values, names, source, options=options, labelled=labelled)
    numbers, maps_rows = map_rows(names, index)
    parts = []
    for c, span in wanted.items():
        mesh = SurfaceMesh(span.stop - span.start, vertices, hemisphere=hemisphere_of("", c))
        taken = values[index, span]
        taken = taken if vertices is None else taken[:, mesh.vertices]
        if hard:
            found = read_keys(taken[0], source, nan=options.nan, scale=options.scale)
            part = label_part(c, mesh, found, rows)
        else:
            maps = weights(taken)
            part = Part(c, mesh, maps=maps, map_keys=numbers, rows=maps_rows)
        carried = None if stated.mesh is None else stated.mesh.part(span)
        parts.append(dataclasses.replace(part, mesh=carried))
    return tuple(parts)


def label_part(
    compartment: str, geometry: Geometry, found: Keys, rows: tuple[LabelRow, ...] | None
) -> Part:
    """Return the part of labels that were read."""
    return Part(
        compartment,
        geometry,
        keys=found.keys,
        rows=rows,
        unlabelled=found.unlabelled,
        operations=found.operations,
    )


def map_rows(
    names: Sequence[str], index: Sequence[int]
) -> tuple[tuple[int, ...], tuple[LabelRow, ...]]:
    """Return keys and rows of chosen maps: numbered from 1 in the file, named as in the file."""
    rows = tuple(LabelRow(key=i + 1, name=names[i]) for i in index)
    return tuple(row.key for row in rows), rows


def weights(values: np.ndarray) -> np.ndarray:
    """Return weights as native floats; whole numbers become float32."""
    # JAX takes no other order of bytes than the machine's, and FreeSurfer's files are big-endian.
    kind = values.dtype.newbyteorder("=") if values.dtype.kind == "f" else np.float32
    return np.asarray(values, dtype=kind)


def targets(atlas: Atlas, path: PathLike, *, values: bool = False) -> dict[str, Path]:
    """Return the file of each compartment when a surface atlas is written to `path`.

    One compartment is written to `path` itself, whose name must not state the other
    side; an annotation, which has nothing but its name to state one, gets it as below.
    Of two hemispheres each has its own file, whose side replaces that of `path` where it
    names one, and is inserted before the extension
    where it does not:

    ===================================  ==========================================
    ``tpl-x_hemi-L_dseg.label.gii``      ``tpl-x_hemi-R_dseg.label.gii`` for the right
    ``lh.aparc.annot``                   ``rh.aparc.annot`` for the right
    ``out.L.annot``, ``out_left.mgh``    ``out.R.annot``, ``out_right.mgh``
    ``out.label.gii``                    ``out.L.label.gii``, ``out.R.label.gii``
    ``out.annot``                        ``lh.out.annot``, ``rh.out.annot``
    ===================================  ==========================================
    """
    path = expand(path)
    volumes = [c for c, g in atlas.geometry.items() if not isinstance(g, SurfaceMesh)]
    ending = extension(path)
    if volumes:
        raise ArgumentError(
            "path",
            f": a {ending} file holds one surface, but {volumes} of {atlas.name!r} are volumes",
            suggest(atlas, values=values, alone=len(volumes) < len(atlas.geometry)),
        )
    if len(atlas.compartments) == 1:
        (only,) = atlas.compartments
        own, stated = hemisphere_of("", only), side_of(path)
        if own and stated and own != stated:
            raise ArgumentError(
                "path",
                f": {path.name} states the {_SIDE_WORDS[stated]} hemisphere, but "
                f"{atlas.name!r} has {only} alone",
            )
        # Without a side in its name such a file could not be read back.
        unclear = ending in _FREESURFER and own and not stated
        return {only: path.with_name(_sided(path.name, only, ending)) if unclear else path}
    return {c: path.with_name(_sided(path.name, c, ending)) for c in atlas.compartments}


def words_for(compartment: str) -> tuple[str, str]:
    """Return what names of files call a surface, and what FreeSurfer's do: ``("L", "lh")``."""
    # Cortices are L and R, and other surfaces keep their names: out.cerebellum_L.label.gii.
    side = compartment[-1] if compartment in COMPARTMENTS.values() else compartment
    return side, {"L": "lh", "R": "rh"}.get(side, side)


def _sided(name: str, compartment: str, ending: str) -> str:
    side, freesurfer = words_for(compartment)
    # BIDS and FreeSurfer state the side in a place of its own. In other names it replaces the word
    # for a side if there is one alone; else the side is added and no word is replaced.
    if re.search(r"hemi-[LR](?=[_.])", name):
        return re.sub(r"hemi-[LR](?=[_.])", f"hemi-{side}", name)
    if re.match(r"[lr]h\.", name):
        return f"{freesurfer}{name[2:]}"
    stem = name[: len(name) - len(ending)]
    if side in _SIDE_WORDS and side_of(name) and len(_STATED.findall(stem)) == 1:
        return _STATED.sub(lambda found: _SAME[found[0]][side], stem) + name[len(stem) :]
    if ending in _FREESURFER:
        return f"{freesurfer}.{name}"
    return f"{stem}.{side}{name[len(stem) :]}"


def check_hard(atlas: Atlas, path: PathLike, instead: str) -> None:
    """Refuse to write soft maps as labels."""
    soft = [c for c, maps in atlas.maps.items() if not isinstance(maps, HardMaps)]
    if soft:
        raise ArgumentError(
            "path",
            f": a {extension(path)} file holds labels, but {soft} of {atlas.name!r} have soft maps",
            "harden them by " + Call("atlas.harden") + f", or save as {instead}",
        )
