"""What is made of all runs of an output that have an atlas, once they are done."""

import dataclasses
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from atlasinit.extraction.naming import label_of
from atlasinit.extraction.performing import Outcome, Setup, describe_error
from atlasinit.extraction.planning import LabelledAtlas
from atlasinit.extraction.runs import Run, name_of
from atlasinit.extraction.state import GROUPS, Ledger, Record, fingerprint, seal_files
from atlasinit.io.bids.names import entities_of


@dataclasses.dataclass(frozen=True, eq=False)
class Group:
    """The runs of an output that have an atlas.

    Parameters
    ----------
    atlas
        With its label.
    records
        Of the runs, by their names.
    """

    atlas: LabelledAtlas
    records: Mapping[str, Record]

    def stem_of(self, run: str) -> str:
        """Return how the names of a run's tables of the atlas begin, below the output."""
        return self.records[run].stems[self.atlas.key]

    @property
    def stem(self) -> str:
        """How the names begin of what is of all runs: as of one, without what names that."""
        run = next(iter(self.records))
        named = entities_of(Path(self.stem_of(run)))
        return name_of({k: v for k, v in named.items() if k not in entities_of(Path(run))})

    def list_hashes(self, ending: str) -> dict[str, str]:
        """Return the hash of each run's table, without runs that do not have it."""
        files = {run: f"{self.stem_of(run)}_{ending}" for run in self.records}
        return {
            run: self.records[run].files[file][2]
            for run, file in files.items()
            if file in self.records[run].files
        }


Make: TypeAlias = Callable[[Setup, Group, Path], Mapping[str, Any]]
"""Writes files of a group below a folder, and returns what its record keeps."""


@dataclasses.dataclass(frozen=True)
class Step:
    """Something that is made of a group.

    Parameters
    ----------
    name
        What it is, for people and for its record.
    list_content
        Returns all that it depends on, as plain data; None where there is nothing to make.
    make
        Makes it.
    """

    name: str
    list_content: Callable[[Setup, Group], Any]
    make: Make


def read_groups(setup: Setup) -> Iterator[Group]:
    """Yield the atlases of an extraction, each with the runs of the output that have it."""
    records = Ledger(setup.root).records()
    for own in setup.atlases:
        found = {
            name: record
            for name, record in records.items()
            if record.status == "done" and own.key in record.stems
        }
        if found:
            yield Group(own, found)


def do_step(setup: Setup, group: Group, step: Step) -> Outcome | None:
    """Make something of a group unless it is there, made of the same; an error is its outcome."""
    ledger, begun = Ledger(setup.root), time.perf_counter()
    title, name = f"{step.name} of {group.atlas.key}", _name(step, group)
    content = step.list_content(setup, group)
    if content is None:
        return None
    with ledger.claim(name) as mine:
        if not mine:
            return Outcome(title, "elsewhere")
        try:
            task = {step.name: fingerprint([content, group.atlas.digest])}
            before = ledger.read(name, GROUPS)
            if before is not None and before.tasks == task and ledger.is_whole(before):
                return Outcome(title, "skipped")
            with ledger.staged(name) as staging:
                kept = step.make(setup, group, staging)
                files = seal_files(staging)
            if before is not None:
                # Of runs that are no longer part of it.
                stale = {k: v for k, v in before.files.items() if k not in files}
                ledger.remove(dataclasses.replace(before, files=stale))
            ledger.write(name, Record("done", task, files, quality=kept), GROUPS)
        except Exception as error:
            return Outcome(title, "failed", describe_error(error), time.perf_counter() - begun)
    return Outcome(title, "done", seconds=time.perf_counter() - begun)


def find_record(setup: Setup, group: Group, step: Step) -> Record | None:
    """Return what is kept of a step, None where it was not done."""
    return Ledger(setup.root).read(_name(step, group), GROUPS)


def _name(step: Step, group: Group) -> str:
    return f"{step.name}-{label_of(group.atlas.key)}"


def run_of(name: str) -> Run:
    """Return the run of a record, without its images."""
    return Run(entities_of(Path(name)), ())
