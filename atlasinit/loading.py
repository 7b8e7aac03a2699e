"""One call from a name, or files, to an atlas."""

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

from atlasinit.catalogue import (
    build,
    cache_folder,
    entry_of,
    is_url,
    obtain_url,
    resolve_name,
)
from atlasinit.catalogue.entries import Entry, Variant, names
from atlasinit.catalogue.sources.registry import SOURCES
from atlasinit.catalogue.transfer.cache import VARIABLE
from atlasinit.core.atlas import Atlas
from atlasinit.errors import (
    Argument,
    ArgumentError,
    AtlasFileWarning,
    AtlasUnavailableError,
    Call,
    Words,
    format_list,
    warn,
)
from atlasinit.io.files import extensions
from atlasinit.io.options import Background, ReadOptions
from atlasinit.io.reading import Files, read_files
from atlasinit.joining import join
from atlasinit.support.files import expand
from atlasinit.support.resources import normalise_name


def load_atlas(
    source: Files,
    *,
    space: str | None = None,
    labels: object = None,
    mask: object = None,
    kind: str = "auto",
    map: str | int | None = None,
    name: str | None = None,
    unlisted: str | None = None,
    background: Background | None = None,
    scale: Any = None,
    nan: str | None = None,
    conflicts: str | None = None,
    meshes: Mapping[str, Mapping[str, Any]] | None = None,
    parcels: int | str | None = None,
    networks: int | str | None = None,
    resolution: str | int | None = None,
    density: str | None = None,
    cohort: str | int | None = None,
    threshold: int | str | None = None,
    version: str | int | None = None,
    level: str | int | None = None,
    radius: float | int | None = None,
    via: str | None = None,
    download: bool = True,
) -> Atlas:
    """Load an atlas by its name in the catalogue, or from files.

    Parameters
    ----------
    source
        A name or alias of the catalogue (`list_atlases`); several names, which are joined
        (`join`, with `conflicts`), as ``["schaefer2018", "hcp-subcortex"]``; an address
        (``https://...``); files as for `atlasinit.io.read_atlas`; or, in the place of
        files, what is in memory: nibabel images, arrays of vertex values, a nilearn
        ``SurfaceImage`` with its mesh.
    space
        For names, one of the spaces that the atlas comes in, with modifiers if need
        be: ``"fsaverage5"``, ``"fsLR"``, ``"MNI152NLin6Asym:res-2"``,
        ``"UNCInfant:cohort-1"``. For files, the space that they are in.
    labels, mask, map, unlisted, background, scale, nan, conflicts, meshes
        As for `atlasinit.io.read_atlas`; for names in place of what the catalogue
        states. For an atlas of coordinates `mask` is the grid, and the voxels of it
        that spheres may hold; nilearn's 2 mm MNI152 grid by default.
    kind
        ``"hard"``, ``"maps"`` or ``"auto"``; for names also which of the two to take.
    name
        Name of the result, by default the catalogue's.
    parcels, networks, resolution, density, cohort, threshold, version, level
        Which variant of a named atlas. One left open takes the catalogue's default or
        the only value there is.
    radius
        Of the spheres of an atlas of coordinates, in mm.
    via
        Only this source, as ``"templateflow"`` (`list_atlases` tells which there are). By
        default the sources in the catalogue's order; a later one only if all before it
        are out of reach, with an `AtlasWarning`.
    download
        Whether files may be fetched that are not on this machine.

    Returns
    -------
    Atlas

    Raises
    ------
    ValueError
        A name, space or choice that there is not (with the nearest), or a choice that is
        open (with the values); an option that does not apply to the atlas; and as
        `atlasinit.io.read_atlas`.
    AtlasUnavailableError
        The atlas is not on this machine and was not fetched. The message names the
        files, the cache folder, and the command that fetches them elsewhere.
    AtlasFileError
        A file that is missing or unreadable.

    Examples
    --------
    >>> import atlasinit as ai
    >>> ai.load_atlas("desikan-killiany", space="fsaverage5").n_parcels
    68
    """
    # With a file among them it is a list of files.
    names = isinstance(source, list | tuple) and source and all(_is_name(item) for item in source)
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
        # What two atlases claim is settled as they are joined.
        conflicts=None if names else conflicts,
        meshes=meshes,
    )
    axes = {
        "parcels": parcels,
        "networks": networks,
        "resolution": resolution,
        "density": density,
        "cohort": cohort,
        "threshold": threshold,
        "version": version,
        "level": level,
    }
    # Only what was stated: of several atlases each takes the choices that it has.
    choices = {axis: value for axis, value in axes.items() if value is not None}
    further = {} if radius is None else {"radius": radius}
    if names and isinstance(source, list | tuple):
        atlases = load_each(source, options, {**choices, **further}, via=via, download=download)
        return join(atlases, name=name, conflicts="error" if conflicts is None else conflicts)
    if _is_name(source):
        return _load_named(str(source), options, {**choices, **further}, via=via, download=download)
    stated = [*choices, *further, *(["via"] if via is not None else [])]
    if stated:
        remedy: Words = "files have none"
        if stated[0] == "radius":
            remedy = "own coordinates go to " + Call(
                "ai.sphere_atlas", "coordinates", "grid", radius=...
            )
        raise ArgumentError(stated[0], "chooses among variants of a named atlas", remedy)
    if is_url(source):
        source = obtain_url(str(source), allow_download=download)
    return read_files(source, options)


def _load_named(
    name: str, options: ReadOptions, choices: Mapping[str, Any], *, via: str | None, download: bool
) -> Atlas:
    """Return the atlas of a name from the first source that has it."""
    entry = entry_of(name)
    # The radius is chosen with the axes, but variants do not differ in it.
    axes = {axis: value for axis, value in choices.items() if axis != "radius"}
    kind = options.kind or "auto"
    variants = resolve_name(name, space=options.space, kind=kind, via=via, axes=axes)
    radius = choices.get("radius")
    problems: list[Words] = []
    # One variant per source. Only a file that is not to be had leads on to the next source: any
    # other error would be hidden by an atlas from elsewhere.
    for variant in variants:
        try:
            atlas = build(variant, options, radius=radius, download=download)
        except AtlasUnavailableError as error:
            problems.append(f"Via {variant.source.via}: " + error.phrase)
            continue
        if problems:
            taken = f"taken via {variant.source.via}, since the sources before it failed"
            warn(AtlasFileWarning(entry.name, taken, *problems))
        return atlas
    variables = [VARIABLE, *(s.variable for s in SOURCES.values() if s.variable)]
    raise AtlasUnavailableError(
        entry.name,
        "not on this machine and not fetched",
        *problems,
        "On a machine with a network run "
        + Argument(_format_command(variants[0]))
        + f", then copy its cache to {cache_folder()} (or set {format_list(variables[:-1])} or "
        f"{variables[-1]} to the copy)",
    )


def _is_name(source: object) -> bool:
    """Whether `source` is meant as a name of the catalogue, and not as a file."""
    # What exists is a file, even if it is called like an alias; but a folder "schaefer2018" that
    # lies about must not hide the atlas of exactly that name.
    if not isinstance(source, str) or is_url(source) or os.path.exists(expand(source)):
        return isinstance(source, str) and source in names().values()
    if normalise_name(source) in names():
        return True
    # Unless it looks like a path it is a name that is misspelt, whose error has the nearest names.
    return not re.search(r"[/\\]", source) and not source.lower().endswith(extensions())


def _format_command(variant: Variant) -> str:
    """Return the command line that fetches a variant."""
    choices = {axis: v for axis, v in variant.values.items()}
    options = " ".join(f"--{axis} {value}" for axis, value in choices.items())
    return " ".join(
        f"atlasinit fetch {variant.entry.name} --space {variant.space} {options}".split()
    )


def load_each(
    names: Sequence[Any],
    options: ReadOptions,
    choices: Mapping[str, Any],
    *,
    via: str | None,
    download: bool,
) -> list[Atlas]:
    """Return several atlases of the catalogue, each by the choices that it has; and of files.

    A file takes of the options the space alone.
    """
    offered = [_choices(entry_of(name)) if _is_name(name) else set() for name in names]
    for option in choices:
        if not any(option in own for own in offered):
            raise ArgumentError(option, f": none of {format_list(names)} has a choice of it")
    atlases = []
    for name, own in zip(names, offered, strict=True):
        if _is_name(name):
            taken = {option: value for option, value in choices.items() if option in own}
            atlases.append(_load_named(name, options, taken, via=via, download=download))
        else:
            atlases.append(load_atlas(name, space=options.space, download=download))
    return atlases


def _choices(entry: Entry) -> set[str]:
    """Return what an entry's variants differ in, and ``radius`` where it has coordinates."""
    axes = {axis for source in entry.sources for axis in source.axes}
    return axes | {"radius" for source in entry.sources if source.layout == "spheres"}
