"""What is made of the tables of a run where it is asked for."""

import dataclasses
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from atlasinit.extraction import parquet
from atlasinit.extraction.runs import Run

Write: TypeAlias = Callable[[Path, Run, Path], None]
"""Writes what is made of a table, of a run, to a file."""


@dataclasses.dataclass(frozen=True)
class Products:
    """What is wanted beside the tables; it changes none of them, and may be asked for later.

    Parameters
    ----------
    parquet
        The same tables as Parquet.
    """

    parquet: bool = False

    def list_missing(self, run: Run, files: Collection[str]) -> Mapping[str, tuple[str, Write]]:
        """Return what is not among the files of a run: its place, its table, and how it is made."""
        return {
            place: (table, write)
            for table in files
            for place, write in self._list_places(run, table)
            if place not in files
        }

    def _list_places(self, run: Run, table: str) -> Iterator[tuple[str, Write]]:
        if self.parquet and (place := parquet.find_place(run, table)) is not None:
            yield place, parquet.write_parquet

    def make(
        self, run: Run, root: Path, staging: Path, *, new: Collection[str], files: Collection[str]
    ) -> None:
        """Make what is missing, in the folder `staging`.

        Parameters
        ----------
        run, root
            Whose, and its output.
        staging
            Where its `new` files lie; what is made of those is made anew.
        files
            That it has in `root`.
        """
        old = [place for table in new for place, _ in self._list_places(run, table)]
        kept = {*files, *new} - {*old}
        for place, (table, write) in self.list_missing(run, kept).items():
            write((staging if table in new else root) / table, run, staging / place)
