"""The commands that measure parcels, and two atlases by each other: measure and compare."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from atlasinit.cli.options import AsJson, EveryParcel, Overwrite, load, takes
from atlasinit.cli.output import print_json, print_table, print_written, say
from atlasinit.cli.several import load_several
from atlasinit.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

    from atlasinit.core.atlas import Atlas

commands = typer.Typer()

_FORMS = {
    "area": ".1f",
    "volume": ".1f",
    **dict.fromkeys(("x", "y", "z"), ".1f"),
    "boundary_length": ".1f",
    "surface_area": ".1f",
    "compactness": ".3f",
}
"""Columns of fractions that are shown, and how."""

_COLUMNS = ("name", "n_locations", *_FORMS, "pieces", "n_neighbours", "homologue")
_COMPARED = ("parcel", "locations", "largest", "share", "match", "dice", "hausdorff", "boundary")
_FIRST = 20

TableFile = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Save the table: .tsv or .csv."),
]


def _check_output(output: Path | None, *, overwrite: bool) -> None:
    """Refuse a table that could not be saved, before the work."""
    from atlasinit.io.tables.parcel_values import separator_of
    from atlasinit.support.writing import check_target

    if output is not None:
        separator_of(output)
        check_target(output, overwrite=overwrite)


def _save(table: "pd.DataFrame", output: Path | None, *, overwrite: bool) -> tuple[list[Path], Any]:
    """Return the file of a table, if it is saved, and its rows as JSON has them."""
    from atlasinit.io import write_table

    files = [] if output is None else [write_table(table, output, overwrite=overwrite)]
    # Through pandas' JSON, which has null for missing values and plain numbers.
    return files, json.loads(table.to_json(orient="records") or "[]")


@commands.command(epilog="Example: atlasinit measure aal -o aal_parcels.tsv")
@takes(load)
def measure(
    atlas: "Atlas",
    *,
    output: TableFile = None,
    overwrite: Overwrite = False,
    all_parcels: EveryParcel = False,
    as_json: AsJson = False,
) -> None:
    """Measure parcels: sizes, centres, boxes, pieces, boundaries, neighbours, counterparts."""
    from atlasinit.measures import measure_parcels

    _check_output(output, overwrite=overwrite)
    files, rows = _save(measure_parcels(atlas), output, overwrite=overwrite)
    if as_json:
        print_json({"files": [str(path) for path in files], "parcels": rows})
    elif output is not None:
        print_written(files, as_json=False)
    else:
        forms = [
            {c: "" if row[c] is None else f"{row[c]:{form}}" for c, form in _FORMS.items()}
            for row in rows
        ]
        shown = [row | own for row, own in zip(rows, forms, strict=True)]
        print_table(shown, _COLUMNS, most=None if all_parcels else _FIRST)


@commands.command(
    epilog="Example: atlasinit compare desikan-killiany yeo2011 --space fsLR --networks 7"
)
@takes(load_several)
def compare(
    atlases: "list[Atlas]",
    *,
    output: TableFile = None,
    overwrite: Overwrite = False,
    all_parcels: EveryParcel = False,
    as_json: AsJson = False,
) -> None:
    """Compare two atlases of one space: what overlaps, and what matches what."""
    from atlasinit.comparison import compare as compare_

    if len(atlases) != 2:
        raise ArgumentError("names", f"should be two atlases to compare, got {len(atlases)}")
    _check_output(output, overwrite=overwrite)
    found = compare_(*atlases)
    files, rows = _save(found.table, output, overwrite=overwrite)
    if as_json:
        summary = {
            "one": found.one,
            "other": found.other,
            "compartments": list(found.compartments),
            "left_out": list(found.left_out),
            "rand": found.rand,
            "nmi": found.nmi,
            "vi": found.vi,
            "mean_dice": found.mean_dice,
        }
        # JSON has no NaN.
        plain = {k: None if v != v else v for k, v in summary.items()}
        print_json({**plain, "parcels": rows, "files": [str(path) for path in files]})
        return
    if output is not None:
        print_written(files, as_json=False)
        for line in repr(found).splitlines():
            say(line)
        return
    print(found)
    print()
    shown = [
        {
            "parcel": row["parcel"],
            # Sums of memberships are none; whole numbers stand under each other.
            "locations": int(n) if (n := row["locations"]) == int(n) else f"{n:.6g}",
            "largest": row["largest"],
            "match": row["match"],
            **{
                title: "" if (value := row[column]) is None else f"{value:{form}}"
                for title, column, form in (
                    ("share", "share", ".3f"),
                    ("dice", "dice", ".3f"),
                    ("hausdorff", "hausdorff", ".1f"),
                    ("boundary", "boundary_distance", ".2f"),
                )
            },
        }
        for row in rows
    ]
    print_table(shown, _COMPARED, most=None if all_parcels else _FIRST)
