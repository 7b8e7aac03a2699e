"""The command that moves the borders of an atlas to data: refine."""

import dataclasses
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlasinit.cli.options import AsJson, Output, Overwrite, Saving, load, panel, takes
from atlasinit.cli.output import count_sweeps, print_saved, say
from atlasinit.cli.values import parse_key, parse_runs, read_numbers
from atlasinit.support.interrupts import ending_at_once

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

commands = typer.Typer()

_FITTED = functools.partial(panel, "How borders move")
_SERIES = functools.partial(panel, "Which series")


@dataclasses.dataclass(frozen=True)
class Fitting:
    """How borders are fitted, as in `refine`."""

    neighbours: Annotated[
        float | None, _FITTED("NATS", "Weight of each pair of neighbours in two parcels; 1.")
    ] = None
    tether: Annotated[
        float | None, _FITTED("NATS", "Weight of a location that left its parcel; 0.3.")
    ] = None
    halves: Annotated[
        bool,
        _FITTED("", "Halves of the data choose the weights, or keep the atlas.", "--halves"),
    ] = False
    frozen: Annotated[
        list[str] | None, _FITTED("PARCEL", "This one keeps its locations; repeatable.")
    ] = None
    max_hops: Annotated[
        int | None, _FITTED("N", "Steps between neighbours that a parcel may grow by.")
    ] = None
    max_mm: Annotated[float | None, _FITTED("MM", "Distance that a parcel may grow by, mm.")] = None
    fill: Annotated[
        bool, _FITTED("", "First give locations of no parcel to parcels they touch.", "--fill")
    ] = False
    strays: Annotated[
        float, _FITTED("SHARE", "Pieces of at most this share of a parcel join what they touch.")
    ] = 0.05
    min_size: Annotated[int, _FITTED("N", "Locations that a parcel keeps at least.")] = 1
    min_coverage: Annotated[
        float, _FITTED("SHARE", "Parcels with data at fewer of their locations keep these.")
    ] = 0.0
    sweeps: Annotated[int, _FITTED("N", "The most sweeps.")] = 200
    seed: Annotated[int, _FITTED("N", "Of the annealing; the same gives the same atlas.")] = 0
    sample_mask: Annotated[
        list[Path] | None, _SERIES("FILE", "Numbers, from 0, of the volumes to use; one a run.")
    ] = None
    raw: Annotated[
        bool, _SERIES("", "Series weigh by their variance, not all the same.", "--raw")
    ] = False
    no_denoise: Annotated[
        bool, _SERIES("", "Fit series as they are, noise and all.", "--no-denoise")
    ] = False
    min_volumes: Annotated[int, _SERIES("N", "The fewest volumes that are accepted.")] = 30
    data_space: Annotated[
        str | None, _SERIES("SPACE", "Where the data's names state no space, or a wrong one.")
    ] = None

    @property
    def arguments(self) -> dict[str, Any]:
        """What `refine` and `assess_halves` take for them."""
        # Here, since `--help` needs no JAX, whose import takes a second or more.
        import jax

        from atlasinit.support.numbers import check_whole_number

        # JAX takes larger ones, of which it forgets all but 32 bits.
        seed = check_whole_number(self.seed, "seed", least=0, most=2**32 - 1)
        masks = [read_numbers(path, "sample_mask") for path in self.sample_mask or ()]
        return {
            "key": jax.random.key(seed),
            "neighbours": self.neighbours,
            "tether": self.tether,
            "halves": self.halves,
            "frozen": [parse_key(text) for text in self.frozen] if self.frozen else None,
            "max_hops": self.max_hops,
            "max_mm": self.max_mm,
            "fill": self.fill,
            "strays": self.strays,
            "min_size": self.min_size,
            "min_coverage": self.min_coverage,
            "sweeps": self.sweeps,
            "sample_mask": masks or None,
            "standardize": not self.raw,
            "denoise": not self.no_denoise,
            "min_volumes": self.min_volumes,
            "data_space": self.data_space,
        }


@commands.command(
    epilog="Example: atlasinit refine glasser --space fsLR --data run.dtseries.nii "
    "-o mine.dlabel.nii"
)
@takes(load, Fitting, Saving)
def refine(
    atlas: "Atlas",
    fitting: Fitting,
    saving: Saving,
    *,
    data: Annotated[
        list[str],
        typer.Option(
            "--data",
            "-d",
            metavar="FILE",
            help="Cleaned series of a run, or of one of its hemispheres; repeatable.",
        ),
    ],
    output: Output,
    memberships: Annotated[
        bool, typer.Option("--memberships", help="Save the probabilities of parcels: soft maps.")
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="An HTML page too: what moved, and whether halves agree."
        ),
    ] = None,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Move the borders of an atlas to data: the same parcels and names, fitted to a person."""
    with ending_at_once():
        from atlasinit.io.saving import check_saving, save_atlas
        from atlasinit.refinement import assess_halves
        from atlasinit.refinement import refine as refine_
        from atlasinit.report import generate_report
        from atlasinit.support.pages import target_of

    # Before the fit, which may take minutes.
    check_saving(atlas, output, format=saving.format, overwrite=overwrite)
    if report is not None:
        target_of(report, overwrite=overwrite)
    runs, arguments = parse_runs(data, "data"), fitting.arguments
    with count_sweeps() as step:
        fitted = refine_(atlas, runs, memberships=memberships, progress=step, **arguments)
        # At least two fits more, to halves of the data, which only a page shows.
        judged = assess_halves(atlas, runs, progress=step, **arguments) if report else None
    files = list(save_atlas(fitted, output, overwrite=overwrite, **saving.arguments))
    if report is not None:
        # The page shows borders, which memberships have none of.
        page = generate_report(fitted.harden(), before=atlas, halves=judged)
        files.append(page.save(report, overwrite=overwrite))
    print_saved(fitted, files, as_json=as_json)
    if not as_json:
        say(fitted.provenance.operations[-1])
