"""What is made of the tables of a run where it is asked for."""

import dataclasses
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeAlias

from atlasinit.extraction import carpets, parquet
from atlasinit.extraction.planning import LabelledAtlas
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
    carpets
        Runs whose series are drawn, or whether all are.
    atlases
        Which these are of.
    """

    parquet: bool = False
    carpets: bool | frozenset[str] = False
    atlases: tuple[LabelledAtlas, ...] = ()

    def are_made(self, run: Run, files: Collection[str]) -> bool:
        """Whether all that is wanted of the tables of a run is among its files."""
        places = (place for table in files for place, _ in self._list_places(run, table, files))
        return all(place in files for place in places)

    def _list_places(
        self, run: Run, table: str, files: Collection[str]
    ) -> Iterator[tuple[str, Write]]:
        if self.parquet and (place := parquet.find_place(run, table)) is not None:
            yield place, parquet.write_parquet
        wanted = self.carpets if isinstance(self.carpets, bool) else run.name in self.carpets
        place = carpets.find_place(run, table)
        # One that was drawn of series that are made anew is drawn anew, too.
        if place is not None and (wanted or place in files):
            yield place, self._draw

    def _draw(self, table: Path, run: Run, target: Path) -> None:
        carpets.write_carpet(table, target, self.atlases)

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
        every = {*files, *new}
        for table in every:
            for place, write in self._list_places(run, table, files):
                if table in new or place not in every:
                    write((staging if table in new else root) / table, run, staging / place)
