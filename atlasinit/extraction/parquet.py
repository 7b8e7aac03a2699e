"""Tables of runs as Parquet: datasets for those who load thousands at once."""

import importlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from atlasinit.core.atlas import Atlas
from atlasinit.errors import ArgumentError, AtlasFileError, format_list
from atlasinit.extraction.naming import read_sidecar
from atlasinit.extraction.runs import OF_IMAGE, ORDER, Run, name_of
from atlasinit.io.bids.names import entities_of, suffix_of
from atlasinit.io.files import reading
from atlasinit.support.writing import atomic_write

FOLDER = "parquet"
"""Of an output, a folder for each dataset in it."""

ENTITIES = tuple(key for key in ORDER if key not in (*OF_IMAGE, "atlas", "stat"))
"""Columns of every table, null where a run has none, so that all runs have one schema."""

_ENDS = ("parcel_1", "parcel_2")
_UNITY = ("pearsoncorrelation", "partialcorrelation")
"""Connectomes whose diagonal is 1 and is left out."""

RESERVED = ("name", "participant_id", *ENTITIES, "atlas", "volume", "repetition_time")
"""What no parcel may be called, in any case of letters, as DuckDB reads columns."""


def import_pyarrow() -> Any:
    """Return pyarrow.

    Raises
    ------
    ValueError
        Where it is not installed.
    """
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise ArgumentError(
            "parquet", "needs pyarrow", 'install it: pip install "atlasinit[scale]"'
        ) from error


def check_names(atlases: Iterable[Atlas]) -> None:
    """Refuse parcels that are called as columns of the tables are, or alike but for capitals."""
    for atlas in atlases:
        names = list(atlas.table["name"])
        taken = [name for name in names if name.lower() in RESERVED]
        if taken:
            raise ArgumentError(
                "parquet",
                f": parcels of {atlas.name} are called as columns of its tables: "
                f"{format_list(map(repr, taken), 5)}",
                "rename them by `ai.rename_parcels`",
            )


def find_place(run: Run, table: str) -> str | None:
    """Return where a table of a run lies as Parquet, None of a file that is no such table.

    Parameters
    ----------
    run
        Whose it is.
    table
        Its path below the output.
    """
    path = Path(table)
    if path.suffix != ".tsv":
        return None
    # What names the run is in the table; what is left is one dataset.
    own = {k: v for k, v in entities_of(path).items() if k not in run.entities}
    dataset = f"{name_of(own)}_{suffix_of(path)}"
    # As participants.tsv writes it: readers would take a bare 01 for the number 1.
    return f"{FOLDER}/{dataset}/participant_id=sub-{run.entities['sub']}/{run.name}.parquet"


def write_parquet(table: Path, run: Run, target: Path) -> None:
    """Write a table of a run, of series, coverage or a connectome, as Parquet.

    Parameters
    ----------
    table
        The TSV file, with its sidecar beside it.
    run
        Whose it is.
    target
        The file, whose folder is made.

    Raises
    ------
    AtlasFileError
        A table that cannot be read; a file that cannot be written.
    """
    arrow = import_pyarrow()
    suffix, stated = suffix_of(table), entities_of(table)
    with reading(table, "a table of parcels") as found:
        names, values = _read(found, labelled=suffix != "timeseries")
    if suffix == "timeseries":
        body = _describe_volumes(arrow, table, len(values))
        body |= dict(zip(names, np.ascontiguousarray(values.T), strict=True))
    elif suffix == "relmat":
        body = _list_pairs(arrow, names, values, diagonal=stated["stat"] not in _UNITY)
    else:
        body = dict(zip(names, values[:, :1], strict=True))
    own = {"name": run.name, **run.entities, "atlas": stated["atlas"]}
    size = len(next(iter(body.values())))
    texts = {key: _repeat(arrow, own.get(key), size) for key in ("name", *ENTITIES, "atlas")}
    target.parent.mkdir(parents=True, exist_ok=True)
    listed = [*texts, *(title for title in _ENDS if suffix == "relmat")]
    with atomic_write(target) as temporary:
        importlib.import_module("pyarrow.parquet").write_table(
            arrow.table({**texts, **body}),
            temporary,
            compression="zstd",
            # Of noise neither dictionaries nor bounds are of use, and each column pays for them.
            use_dictionary=listed,
            write_statistics=listed,
        )


def _read(path: Path, *, labelled: bool) -> tuple[list[str], Float[np.ndarray, "rows columns"]]:
    """Return the names of parcels and the numbers: of the first row, or of the first column."""
    csv = importlib.import_module("pyarrow.csv")
    frame = csv.read_csv(
        path,
        parse_options=csv.ParseOptions(delimiter="\t"),
        convert_options=csv.ConvertOptions(
            null_values=["n/a"],
            # Names may look like numbers.
            column_types={"name": import_pyarrow().string()} if labelled else {},
        ),
    )
    names, columns = list(frame.column_names), list(frame.columns)
    if labelled:
        names, columns = columns[0].to_pylist(), columns[1:]
    numbers = [column.cast("float64").to_numpy() for column in columns]
    return names, np.stack(numbers, axis=1).astype(np.float32)


def list_kept(table: Path, about: Mapping[str, Any], count: int) -> Int[np.ndarray, " kept"]:
    """Return the numbers in the run, from 0, of the volumes that the rows of a table are.

    Parameters
    ----------
    table, about
        The table, and what its sidecar says.
    count
        Of its rows.

    Raises
    ------
    AtlasFileError
        Another number of rows than the sidecar tells of.
    """
    kept = np.setdiff1d(np.arange(about.get("Volumes", 0)), about.get("VolumesDropped", []))
    if len(kept) != count:
        raise AtlasFileError(
            table, f"has {count} rows, where its sidecar tells of {len(kept)} volumes"
        )
    return kept


def _describe_volumes(arrow: Any, table: Path, count: int) -> dict[str, Any]:
    """Return the number of each row's volume in the run, and the seconds between volumes."""
    about = read_sidecar(table)
    step = [about.get("RepetitionTime")] * count
    return {
        "volume": arrow.array(list_kept(table, about, count), arrow.int32()),
        "repetition_time": arrow.array(step, arrow.float64()),
    }


def _list_pairs(
    arrow: Any,
    names: list[str],
    values: Float[np.ndarray, "parcels parcels"],
    *,
    diagonal: bool,
) -> dict[str, Any]:
    """Return a row for each pair of parcels, in the order of the rows of the upper triangle."""
    ends = np.triu_indices(len(names), k=0 if diagonal else 1)
    named = {
        title: arrow.DictionaryArray.from_arrays(arrow.array(end, arrow.int32()), names)
        for title, end in zip(_ENDS, ends, strict=True)
    }
    return {**named, "value": values[ends]}


def _repeat(arrow: Any, text: str | None, count: int) -> Any:
    """Return a column of one text, or of none."""
    if text is None:
        return arrow.nulls(count, arrow.dictionary(arrow.int32(), arrow.string()))
    numbers = arrow.array(np.zeros(count, np.int32))
    return arrow.DictionaryArray.from_arrays(numbers, [text])
