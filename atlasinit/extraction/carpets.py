"""Pictures of the series of runs, as carpets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from atlasinit.errors import AtlasFileError
from atlasinit.extraction.naming import read_sidecar
from atlasinit.extraction.outputs import read_series
from atlasinit.extraction.parquet import list_kept
from atlasinit.extraction.planning import LabelledAtlas
from atlasinit.extraction.runs import Run
from atlasinit.io.bids.names import entities_of, suffix_of
from atlasinit.support.writing import atomic_write

ENDING = "_carpet.png"


def find_place(run: Run, table: str) -> str | None:
    """Return where the carpet of a table of series lies, None of other files."""
    path = Path(table)
    if path.suffix != ".tsv" or suffix_of(path) != "timeseries":
        return None
    name = path.name.removesuffix("_timeseries.tsv") + ENDING
    return (run.folder.parent / "figures" / name).as_posix()


def write_carpet(table: Path, target: Path, atlases: Sequence[LabelledAtlas]) -> None:
    """Write the carpet of a table of series, standardised, with volumes that were dropped in grey.

    Parameters
    ----------
    table
        The TSV file, with its sidecar beside it.
    target
        The file, whose folder is made.
    atlases
        Of which the one with the label and the parcels of the table is taken.
    """
    from atlasinit.figures.carpets import plot_series

    frame = read_series(table)
    label, names = entities_of(table)["atlas"], list(frame.columns)
    own = [a.atlas for a in atlases if a.label == label and list(a.atlas.table["name"]) == names]
    if not own:
        raise AtlasFileError(table, f"has other parcels than the atlas {label!r}")
    about = read_sidecar(table)
    series = np.full((about["Volumes"], len(names)), np.nan)
    series[list_kept(table, about, len(frame))] = frame.to_numpy(np.float64)
    figure = plot_series(
        series,
        own[0],
        t_r=about.get("RepetitionTime"),
        title=table.name.removesuffix("_timeseries.tsv"),
    )
    target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(target) as temporary:
        figure.savefig(temporary, dpi=100, format="png")
