"""Options that several commands share, each stated once.

A group is a dataclass whose fields are options, or a function that has them as
parameters; `takes` gives a command the options of a group and, in their place, what
the group makes of them.
"""

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from atlasinit.atlas import Atlas

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Space = Annotated[str | None, typer.Option(help="As fsaverage5, fsLR or MNI152NLin6Asym.")]
Via = Annotated[str | None, typer.Option(help="Source: package, templateflow, nilearn or url.")]


def takes(*groups: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Give a function the options of `groups`; it receives what they return first."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        taken = [inspect.signature(group).parameters for group in groups]
        own = list(inspect.signature(function).parameters.values())[len(groups) :]

        @functools.wraps(function)
        def run(**options: Any) -> Any:
            made = [
                group(**{name: options.pop(name) for name in names})
                for group, names in zip(groups, taken, strict=True)
            ]
            return function(*made, **options)

        parameters = [
            parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
            for parameter in [*own, *(p for names in taken for p in names.values())]
        ]
        signature = inspect.Signature(parameters)
        setattr(run, "__signature__", signature)  # noqa: B010 (functions declare no such attribute)
        run.__annotations__ = {p.name: p.annotation for p in parameters}
        return run

    return decorate


def _panel(title: str, help: str, *names: str) -> Any:  # noqa: A002
    return typer.Option(*names, help=help, rich_help_panel=title)


_VARIANT = functools.partial(_panel, "Which variant")
_FILES = functools.partial(_panel, "How files are read")
_KEPT = functools.partial(_panel, "Which parcels to keep")


@dataclasses.dataclass(frozen=True)
class Variant:
    """Which of an atlas's variants, named as in `load_atlas`."""

    space: Annotated[str | None, _VARIANT("As fsaverage5, fsLR or MNI152NLin6Asym.")] = None
    via: Annotated[str | None, _VARIANT("Source: package, templateflow, nilearn or url.")] = None
    parcels: Annotated[int | None, _VARIANT("Number of parcels.")] = None
    networks: Annotated[int | None, _VARIANT("Number of networks.")] = None
    resolution: Annotated[str | None, _VARIANT("Resolution, as 02.")] = None
    density: Annotated[str | None, _VARIANT("Mesh density, as 32k.")] = None
    threshold: Annotated[int | None, _VARIANT("Threshold in percent.")] = None
    level: Annotated[int | None, _VARIANT("Level or scale of a hierarchy.")] = None
    cohort: Annotated[str | None, _VARIANT("Cohort of the template.")] = None
    version: Annotated[str | None, _VARIANT("Version of the atlas.")] = None

    @property
    def axes(self) -> dict[str, Any]:
        """The choices other than the space and the source."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k not in ("space", "via")}


@dataclasses.dataclass(frozen=True)
class Reading:
    """How files are read, and whether they may be fetched."""

    labels: Annotated[Path | None, _FILES("A label table of your own.")] = None
    mask: Annotated[Path | None, _FILES("Keep the voxels of this mask.")] = None
    sphere: Annotated[
        list[Path] | None, _FILES("Sphere of the labels' mesh; twice for two sides.")
    ] = None
    anatomical: Annotated[
        list[Path] | None, _FILES("Anatomical surface of the mesh; twice for two.")
    ] = None
    kind: Annotated[str, _FILES("auto, hard (labels) or maps (weights).")] = "auto"
    map: Annotated[str | None, _FILES("Name or number (from 0) of one of several maps.")] = None
    background: Annotated[
        list[str] | None, _FILES("A key or name that means no parcel; may be repeated.")
    ] = None
    unlisted: Annotated[
        str | None, _FILES("Keys that no label has: error, or name (label-KEY).")
    ] = None
    nan: Annotated[str | None, _FILES("NaN among weights: error or zero.")] = None
    offline: Annotated[bool, _FILES("Download nothing.", "--offline")] = False

    @property
    def arguments(self) -> dict[str, Any]:
        """What `load_atlas` takes for them."""
        return {
            "labels": self.labels,
            "mask": self.mask,
            "meshes": _meshes({"sphere": self.sphere or [], "anatomical": self.anatomical or []}),
            "kind": self.kind,
            "map": None if self.map is None else _key(self.map),
            "background": [_key(text) for text in self.background] if self.background else None,
            "unlisted": self.unlisted,
            "nan": self.nan,
            "download": not self.offline,
        }


@dataclasses.dataclass(frozen=True)
class Selection:
    """Which parcels to keep."""

    select: Annotated[list[str] | None, _KEPT("The parcel of this name or key; repeatable.")] = None
    hemisphere: Annotated[str | None, _KEPT("Those of a hemisphere: L or R.")] = None
    network: Annotated[list[str] | None, _KEPT("Those of this network; repeatable.")] = None

    def of(self, atlas: "Atlas") -> "Atlas":
        """Return `atlas` with the parcels that are kept."""
        if not (self.select or self.hemisphere is not None or self.network):
            return atlas
        wanted = [_key(text) for text in self.select] if self.select else None
        return atlas.select(wanted, hemisphere=self.hemisphere, network=self.network or None)


@takes(Variant, Reading, Selection)
def load(
    variant: Variant,
    reading: Reading,
    selection: Selection,
    names: Annotated[
        list[str],
        typer.Argument(
            help="Catalogue names, or files; cortex_L=FILE where a file names no side.",
            metavar="ATLAS...",
        ),
    ],
) -> "Atlas":
    """Return the atlas that the options name."""
    from atlasinit.loading import load_atlas

    atlas = load_atlas(_source(names), **dataclasses.asdict(variant), **reading.arguments)
    return selection.of(atlas)


def _source(names: Sequence[str]) -> Any:
    """Return what `load_atlas` takes: one name, several, or compartment to file."""
    pairs = [re.fullmatch(r"(\w+)=(.+)", name) for name in names]
    if all(pairs):
        return {pair[1]: pair[2] for pair in pairs if pair}
    return names[0] if len(names) == 1 else list(names)


def _key(text: str) -> str | int:
    return int(text) if re.fullmatch(r"-?\d+", text) else text


def _meshes(files: Mapping[str, Sequence[Path]]) -> dict[str, dict[str, Any]] | None:
    """Return compartment to surfaces; each file tells its side by itself or by its name."""
    from atlasinit.io.meshes import read_surface
    from atlasinit.io.parts import COMPARTMENTS
    from atlasinit.io.surfaces import compartment_of

    meshes: dict[str, dict[str, Any]] = {}
    for role, paths in files.items():
        for path in paths:
            surface = read_surface(path)
            side = compartment_of(path, None, stated=COMPARTMENTS.get(surface.hemisphere, ""))
            meshes.setdefault(side, {})[role] = surface
    return meshes or None
