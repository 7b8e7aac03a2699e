"""File names of BIDS: entities, and what they say of an atlas."""

import re
from collections.abc import Mapping
from pathlib import Path

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import ArgumentError, Passing, nearest
from atlasinit.io.contents import Kind
from atlasinit.io.files import extension, extensions
from atlasinit.support.typing import PathLike

ORDER = ("tpl", "cohort", "hemi", "atlas", "seg", "scale", "res", "den", "desc")
"""Entities of an atlas's files in the order of their names."""

_GIVEN = tuple(entity for entity in ORDER if entity != "hemi")
# Entities of BIDS whose labels may be a letter, or a word, that is no hemisphere.
_OTHER = re.compile(
    "(sub|ses|sample|task|tracksys|acq|ce|trc|stain|rec|dir|run|mod|echo|flip|inv|mt|part|proc|"
    "space|split|recording|chunk|atlas|seg|scale|res|den|label|desc|tpl|cohort)-[0-9A-Za-z+]*"
)
# Suffixes of BIDS, and FreeSurfer's names, that say what the numbers are.
_KINDS: Mapping[str, Kind] = {"dseg": "hard", "mask": "hard", "probseg": "maps"}
_SEGMENTATION = re.compile(r"([\w.]+\+)?aseg|wmparc|ribbon")
_LONGEST = 255
"""Bytes of a file's name on most file systems; labels of BIDS have one byte per letter."""

_FSAVERAGE = {"3k": "fsaverage4", "10k": "fsaverage5", "41k": "fsaverage6", "164k": "fsaverage"}
_MODIFIERS = ("cohort", "den", "res")


def stem(path: PathLike) -> str:
    """Return the name of a file without its extension."""
    name = Path(path).name
    return name[: len(name) - len(extension(path))]


def entities_of(path: PathLike) -> dict[str, str]:
    """Return the entities that a name states: ``tpl-X_atlas-Y_dseg.tsv`` has tpl and atlas."""
    # At the first hyphen: a label with another is none of BIDS, but of names that are read.
    return dict(part.split("-", 1) for part in stem(path).split("_") if "-" in part)


def name_of_map(path: PathLike) -> str:
    """Return the ``label-`` entity of a file's name, else the name without its extension."""
    return entities_of(path).get("label", stem(path))


def suffix_of(path: PathLike) -> str:
    """Return the suffix of a name, as ``dseg``."""
    return stem(path).rsplit("_", 1)[-1]


def kind_of(path: PathLike) -> Kind:
    """Return what a name says of the numbers in its file: ``"auto"`` where it says nothing.

    ``dseg`` and ``mask`` of BIDS and FreeSurfer's names of segmentations are of whole numbers,
    ``probseg`` is of weights.
    """
    if _SEGMENTATION.fullmatch(stem(path)):
        return "hard"
    return _KINDS.get(suffix_of(path), "auto")


def names_labels(path: PathLike) -> bool:
    """Whether a name says that the numbers in its file are labels: those of a mask are amounts."""
    return kind_of(path) == "hard" and suffix_of(path) != "mask"


def side_of(path: PathLike) -> str:
    """Return the hemisphere that a file's name states: L, R or ``""``.

    As `hemisphere_of` does, of the name without its extension and without entities that
    state something else: ``sub-L_acq-left`` states no hemisphere.
    """
    name = Path(path).name
    ending = extension(path)
    # An ending that no format has may be a part of the name, as of sub-1.L.
    name = name[: len(name) - len(ending)] if ending in extensions() else name
    return hemisphere_of("_".join(part for part in name.split("_") if not _OTHER.fullmatch(part)))


def file_name(entities: Mapping[str, str], suffix: str, ending: str) -> str:
    """Return the name of a file.

    >>> file_name({"atlas": "X", "tpl": "MNI305"}, "dseg", ".tsv")
    'tpl-MNI305_atlas-X_dseg.tsv'
    """
    parts = [f"{entity}-{entities[entity]}" for entity in ORDER if entity in entities]
    name = "_".join([*parts, f"{suffix}{ending}"])
    if len(name) > _LONGEST:
        raise ArgumentError(
            "entities",
            f": a file's name should have at most {_LONGEST} letters, got {len(name)} in "
            f"{name[:60]!r} and on",
            "give shorter labels",
        )
    return name


def space_of(entities: Mapping[str, str]) -> str:
    """Return the space that entities state, as ``"fsaverage5"`` or ``"UNCInfant:cohort-1"``."""
    space = entities.get("space", entities.get("tpl", ""))
    if space == "fsaverage":
        space = _FSAVERAGE.get(entities.get("den", ""), space)
    return f"{space}:cohort-{entities['cohort']}" if "cohort" in entities else space


def entities_for(atlas: Atlas, given: Mapping[str, str]) -> dict[str, str]:
    """Return the entities of an atlas's files: those `given`, else what the atlas says.

    That is the template, density or resolution of its space and geometry, and its name.

    Raises
    ------
    ValueError
        An unknown entity, a label of other characters than letters, digits and ``+``,
        or an atlas whose name or space yield none.
    """
    for entity, value in given.items():
        if entity not in _GIVEN:
            hint = nearest(entity, _GIVEN)
            raise ArgumentError("entities", f"may be {', '.join(_GIVEN)}, got {entity!r}", hint)
        if not re.fullmatch(r"[0-9A-Za-z+]+", value):
            raise ArgumentError(
                "entities", f": labels of BIDS are letters, digits and +, got {entity}={value!r}"
            )
    # A density or a resolution: the other of the two does not apply.
    own = _of_geometry(list(atlas.geometry.values()))
    misplaced = {"res": "den", "den": "res"}[next(iter(own))]
    if misplaced in given:
        raise ArgumentError(
            "entities",
            f": {misplaced!r} does not apply to {atlas.name!r}",
            "images of grids have a `res`, files with surfaces a `den`",
        )
    found = {**_of_space(atlas.space), **own}
    found.pop(misplaced, None)
    found |= {"atlas": re.sub("[^0-9A-Za-z+]", "", atlas.name), **given}
    if not found["atlas"]:
        raise ArgumentError(
            "atlas",
            f": BIDS needs a name of letters and digits, got {atlas.name!r}",
            "pass " + Passing(entities={"atlas": ...}),
        )
    if found.get("tpl", "unknown") == "unknown":
        raise ArgumentError(
            "atlas",
            f": BIDS needs the template that it lies in, but its space is {atlas.space!r}",
            "state it when loading ("
            + Passing(space=...)
            + "), or pass "
            + Passing(entities={"tpl": ...}),
        )
    for entity, value in found.items():
        if not re.fullmatch(r"[0-9A-Za-z+]+", value):
            raise ArgumentError(
                "atlas",
                f": labels of BIDS are letters, digits and +, got {entity}-{value} of its space",
                "pass " + Passing(entities={entity: ...}),
            )
    return found


def _of_space(space: str) -> dict[str, str]:
    head, *modifiers = space.split(":")
    # "fsaverage5" is the template fsaverage with den-10k, "UNCInfant:cohort-1" has it as an entity.
    densities = {name: density for density, name in _FSAVERAGE.items()}
    found = {"tpl": re.sub("[^0-9A-Za-z+]", "", "fsaverage" if head in densities else head)}
    for modifier in modifiers:
        entity, _, value = modifier.partition("-")
        if entity in _MODIFIERS and value:
            found[entity] = value
    return {entity: value for entity, value in found.items() if value}


def _of_geometry(geometry: list[Geometry]) -> dict[str, str]:
    """Return the density of meshes, or else the resolution of grids."""
    meshes = [part for part in geometry if isinstance(part, SurfaceMesh)]
    if meshes:
        # As TemplateFlow counts: 32,492 vertices are 32k, 10,242 are 10k.
        n = meshes[0].n_vertices
        return {"den": f"{round(n / 1000)}k" if n >= 1000 else str(n)}
    # A label has no dot: 0.7 mm is res-0p7mm, 1 x 1 x 2 mm res-1x1x2mm.
    sizes = [f"{size:.3g}".replace(".", "p") for size in geometry[0].voxel_sizes]  # pyright: ignore[reportAttributeAccessIssue]
    return {"res": "x".join(sizes if len(set(sizes)) > 1 else sizes[:1]) + "mm"}


def is_same_atlas(left: Mapping[str, str], right: Mapping[str, str]) -> bool:
    """Whether two files are of one atlas: all their entities but the hemisphere agree."""
    return _identity(left) == _identity(right)


def _identity(entities: Mapping[str, str]) -> dict[str, str]:
    return {entity: value for entity, value in sorted(entities.items()) if entity != "hemi"}
