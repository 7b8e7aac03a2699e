"""Options that several commands share, each stated once.

A group is a dataclass whose fields are options, or a function that has them as
parameters; `takes` gives a command the options of a group and, in their place, what
the group makes of them. Groups may have an option in common.
"""

import dataclasses
import functools
import inspect
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from typer.models import ArgumentInfo

from atlasinit.cli import completion
from atlasinit.cli.values import (
    parse_key,
    parse_names,
    parse_one_each,
    parse_pairs,
    parse_value,
    read_meshes,
)
from atlasinit.errors import ArgumentError, Passing
from atlasinit.support.files import expand
from atlasinit.support.interrupts import ending_at_once

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

_SPACE_HELP = "As fsaverage5, fsLR or MNI152NLin6Asym."
_VIA_HELP = "Only from this source, as templateflow; `atlasinit list` shows them."
DataSpace = Annotated[
    str | None,
    typer.Option(
        metavar="SPACE", help="The data's space, where their names state none or a wrong one."
    ),
]
DATA_HELP = "An image; twice for two hemispheres, as cortex_L=FILE where a file names no side."


def _parse_reduction(text: str) -> str:
    from atlasinit.projection import REDUCTIONS

    if text not in REDUCTIONS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(map(repr, REDUCTIONS))}.")
    return text


Reduction = Annotated[
    str,
    typer.Option(
        metavar="HOW",
        parser=_parse_reduction,
        help="As ai.project's reduction: mean, lstsq, median, ...; a wrong one lists all.",
        autocompletion=completion.reductions,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Output = Annotated[
    Path,
    typer.Option("--output", "-o", metavar="FILE", help="The file; its extension is the format."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")]
EveryParcel = Annotated[
    bool, typer.Option("--all", help="Every parcel; a terminal else shows some.")
]
Space = Annotated[
    str | None,
    typer.Option(metavar="SPACE", help=_SPACE_HELP, autocompletion=completion.spaces),
]
Via = Annotated[
    str | None,
    typer.Option(metavar="SOURCE", help=_VIA_HELP, autocompletion=completion.sources),
]


def takes(*groups: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function the options of `groups`; it receives what they return first."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        # The first parameters of the function receive what the groups make, one each; the names
        # that a user sees instead are the parameters of these groups.
        taken = [inspect.signature(group).parameters for group in groups]
        own = list(inspect.signature(function).parameters.values())[len(groups) :]

        @functools.wraps(function)
        def run(**options: Any) -> Any:
            made = [
                group(**{name: options[name] for name in names})
                for group, names in zip(groups, taken, strict=True)
            ]
            return function(*made, **{p.name: options[p.name] for p in own})

        # A group may be a function that `takes` made itself: its signature is of options alone.
        # An option that groups have in common, as --offline, is stated once.
        theirs = [p for names in taken for p in names.values()]
        # What is typed without an option comes in the order of the parameters: the atlas first.
        ordered = [*filter(_is_argument, theirs), *own, *theirs]
        distinct = {p.name: p for p in ordered}
        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in distinct.values()
        ]
        # Typer reads both; and functools.wraps has set the attributes of the function itself.
        signature = inspect.Signature(parameters)
        setattr(run, "__signature__", signature)  # noqa: B010 (functions declare no such attribute)
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _is_argument(parameter: inspect.Parameter) -> bool:
    told = getattr(parameter.annotation, "__metadata__", ())
    return any(isinstance(one, ArgumentInfo) for one in told)


def panel(
    title: str,
    metavar: str,
    help: str,  # noqa: A002
    *names: str,
    complete: Any = None,
) -> Any:
    """Return an option that is listed under a title."""
    return typer.Option(
        *names, metavar=metavar, help=help, rich_help_panel=title, autocompletion=complete
    )


def _axis(axis: str, metavar: str, help: str) -> Any:  # noqa: A002
    return _VARIANT(metavar, help, complete=completion.values_of(axis))


_VARIANT = functools.partial(panel, "Which variant")
_FILES = functools.partial(panel, "How files are read")
_KEPT = functools.partial(panel, "Which parcels to keep")
_SAVED = functools.partial(panel, "How the atlas is saved")

Offline = Annotated[bool, _FILES("", "Download nothing.", "--offline")]


@dataclasses.dataclass(frozen=True)
class Choices:
    """Which of an atlas's variants, named as in `load_atlas`."""

    space: Annotated[str | None, _VARIANT("SPACE", _SPACE_HELP, complete=completion.spaces)] = None
    via: Annotated[str | None, _VARIANT("SOURCE", _VIA_HELP, complete=completion.sources)] = None
    parcels: Annotated[str | None, _axis("parcels", "N", "Number of parcels.")] = None
    networks: Annotated[str | None, _axis("networks", "N", "Number of networks.")] = None
    resolution: Annotated[str | None, _axis("resolution", "RES", "Resolution, as 02.")] = None
    density: Annotated[str | None, _axis("density", "DEN", "Mesh density, as 32k.")] = None
    threshold: Annotated[str | None, _axis("threshold", "N", "Threshold in per cent.")] = None
    level: Annotated[str | None, _axis("level", "LEVEL", "Level or scale of a hierarchy.")] = None
    cohort: Annotated[str | None, _axis("cohort", "COHORT", "Cohort of the template.")] = None
    version: Annotated[str | None, _axis("version", "VERSION", "Version of the atlas.")] = None

    @property
    def axes(self) -> dict[str, Any]:
        """The choices other than the space and the source."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in ("space", "via")}


@dataclasses.dataclass(frozen=True)
class Reading:
    """How files are read, and whether they may be fetched."""

    labels: Annotated[Path | None, _FILES("FILE", "Label table, in place of the files' own.")] = (
        None
    )
    mask: Annotated[
        list[str] | None, _FILES("FILE", "Keep what is in this mask; cortex_L=FILE for several.")
    ] = None
    sphere: Annotated[
        list[Path] | None, _FILES("FILE", "Sphere of the labels' mesh; twice for two sides.")
    ] = None
    anatomical: Annotated[
        list[Path] | None, _FILES("FILE", "Anatomical surface of the mesh; twice for two.")
    ] = None
    kind: Annotated[
        Literal["auto", "hard", "maps"], _FILES("KIND", "hard (labels), maps (weights) or auto.")
    ] = "auto"
    map: Annotated[str | None, _FILES("MAP", "Name or number (from 0) of one of several maps.")] = (
        None
    )
    background: Annotated[
        list[str] | None,
        _FILES("LABEL", "A key or name that means no parcel, in place of key 0; repeatable."),
    ] = None
    unlisted: Annotated[
        Literal["error", "name"] | None,
        _FILES("HOW", "Keys without a label: error, or name (label-KEY)."),
    ] = None
    nan: Annotated[
        Literal["error", "zero"] | None, _FILES("HOW", "NaN: error, or zero for none.")
    ] = None
    conflicts: Annotated[
        Literal["error", "first", "last", "larger"] | None,
        _FILES("HOW", "What two files or names claim: error, first, last; of names also larger."),
    ] = None
    scale: Annotated[
        float | None,
        _FILES("FACTOR", "Multiply weights, as 0.01 for percent; else told from the data."),
    ] = None
    radius: Annotated[
        float | None, _FILES("MM", "Of the spheres of an atlas of coordinates, mm.")
    ] = None
    offline: Offline = False

    @property
    def arguments(self) -> dict[str, Any]:
        """What `load_atlas` takes for them."""
        return {
            "labels": self.labels,
            "mask": parse_one_each(self.mask, "mask", sided=False),
            "meshes": read_meshes(
                {"sphere": self.sphere or [], "anatomical": self.anatomical or []}
            ),
            "kind": self.kind,
            "map": None if self.map is None else parse_key(self.map),
            "background": [parse_key(text) for text in self.background or ()] or None,
            "unlisted": self.unlisted,
            "nan": self.nan,
            "conflicts": self.conflicts,
            "scale": self.scale,
            "radius": self.radius,
            "download": not self.offline,
        }


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which parcels to keep, and which of them are one."""

    select: Annotated[
        list[str] | None, _KEPT("PARCEL", "The one of this name or key; repeatable.")
    ] = None
    hemisphere: Annotated[str | None, _KEPT("SIDE", "Those of L, of R, or of neither: ''.")] = None
    network: Annotated[list[str] | None, _KEPT("NETWORK", "Those of this network; repeatable.")] = (
        None
    )
    compartment: Annotated[
        list[str] | None,
        _KEPT("NAME", "Only this one, as cortex_L, with its locations; repeatable."),
    ] = None
    unite: Annotated[
        Literal["key", "name"] | None,
        _KEPT("BY", "One row for parcels of one key, or one name, in several compartments."),
    ] = None

    def of(self, atlas: "Atlas") -> "Atlas":
        """Return `atlas` with the parcels that are kept, by the names of those that are united."""
        atlas = _keep(atlas, compartments=self.compartment or None)
        if self.unite is not None:
            atlas = _unite(atlas, self.unite)
        try:
            return _keep(
                atlas,
                parcels=[parse_key(text) for text in self.select or ()] or None,
                hemisphere=self.hemisphere,
                network=self.network or None,
            )
        except ArgumentError as error:
            # Its argument has the name of an option that tells variants apart.
            raise error.of("select") if error.argument == "parcels" else error from error


def _keep(atlas: "Atlas", **conditions: Any) -> "Atlas":
    # Without a condition `select` would keep all, but note in the provenance that it ran.
    if all(condition is None for condition in conditions.values()):
        return atlas
    return atlas.select(**conditions)


def _unite(atlas: "Atlas", by: str) -> "Atlas":
    try:
        return atlas.unite(by=by)
    except ArgumentError as error:
        # `by` is what parcels are merged by here.
        by_name = "compare names by " + Passing(unite="name")
        remedy = by_name if error.argument == "by" else error.remedy
        raise ArgumentError("unite", error.problem, remedy) from error


@dataclasses.dataclass(frozen=True)
class Saving:
    """How an atlas is saved, as in `save_atlas`."""

    format: Annotated[
        Literal["bids"] | None, _SAVED("FORMAT", "bids: a dataset, in the folder --output.")
    ] = None
    entity: Annotated[
        list[str] | None, _SAVED("KEY=VALUE", "Label of BIDS, as scale=400; repeatable.")
    ] = None
    metadata: Annotated[
        list[str] | None, _SAVED("KEY=VALUE", "Field of BIDS, as License=CC0; repeatable.")
    ] = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What `save_atlas` takes for them."""
        fields = parse_pairs(self.metadata, "metadata")
        return {
            "format": self.format,
            "entities": parse_pairs(self.entity, "entity"),
            "metadata": {name: parse_value(value) for name, value in fields.items()},
        }


@takes(Choices, Reading, Selection)
def load(
    choices: Choices,
    reading: Reading,
    selection: Selection,
    names: Annotated[
        list[str],
        typer.Argument(
            help="Catalogue names, or files; cortex_L=FILE where a file names no side.",
            metavar="ATLAS",
            autocompletion=completion.atlases,
        ),
    ],
) -> "Atlas":
    """Return the atlas that the options name."""
    source = parse_names(names, "names")
    _check_name(source, choices, reading)
    with ending_at_once():
        from atlasinit.loading import load_atlas

    atlas = load_atlas(source, **dataclasses.asdict(choices), **reading.arguments)
    return selection.of(atlas)


def _check_name(source: Any, choices: Choices, reading: Reading) -> None:
    """Refuse a name or a choice that there is not, before JAX is imported to load an atlas."""
    from atlasinit.catalogue.entries import names
    from atlasinit.catalogue.resolving import resolve_name
    from atlasinit.support.resources import normalise_name

    # A path has a slash or a dot; `load_atlas` looks at the endings of those that have neither.
    if not isinstance(source, str) or os.path.exists(expand(source)):
        return
    if normalise_name(source) in names() or re.fullmatch(r"[\w -]+", source):
        chosen = {"space": choices.space, "via": choices.via, "axes": choices.axes}
        resolve_name(source, kind=reading.kind, **chosen)


def may_download(*, offline: Offline = False) -> bool:
    """Return whether a command may fetch files."""
    return not offline
