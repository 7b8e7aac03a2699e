"""What became of an extraction, and the table of all runs of an output."""

import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlasinit.errors import format_count
from atlasinit.extraction.performing import Outcome
from atlasinit.extraction.planning import LabelledAtlas, Plan, describe_plan
from atlasinit.extraction.state import GROUPS, Ledger, Record

if TYPE_CHECKING:
    import pandas as pd

STATUSES = ("done", "skipped", "elsewhere", "failed")
TABLE = "quality.tsv"
PAGE = "quality.html"
RELATIONS = "qcfc.tsv"


@dataclasses.dataclass(frozen=True)
class Extraction:
    """What became of the runs of an `extract`.

    Parameters
    ----------
    output
        The folder of the dataset.
    plan
        What was to be done.
    atlases
        With their labels.
    jobs
        Processes that were asked for.
    outcomes
        One a run, as they came; None of a plan alone.
    groups
        What became of that which is made of many runs: tangents, and QC-FC.
    notes
        What is to be told of these.
    """

    output: Path
    plan: Plan
    atlases: tuple[LabelledAtlas, ...]
    jobs: int
    outcomes: tuple[Outcome, ...] | None = None
    groups: tuple[Outcome, ...] = ()
    notes: tuple[str, ...] = ()

    def count(self, status: str) -> int:
        """Return how many runs are ``"done"``, ``"skipped"``, ``"elsewhere"`` or ``"failed"``."""
        return sum(one.status == status for one in self.outcomes or ())

    @property
    def failures(self) -> dict[str, str]:
        """Runs that failed, and what of many of them did, with the reasons."""
        every = (*(self.outcomes or ()), *self.groups)
        return {one.run: one.reason for one in every if one.status == "failed"}

    @property
    def table(self) -> "pd.DataFrame":
        """A row for each run of the output, whoever did it, with the numbers of its quality."""
        return tabulate(Ledger(self.output).records())

    def __str__(self) -> str:
        counts = Counter(one.status for one in self.outcomes or ())
        words = {
            "done": "done",
            "skipped": "done before",
            "elsewhere": "in other processes",
            "failed": "failed",
        }
        told = [f"{counts[status]} {words[status]}" for status in STATUSES if counts[status]]
        lost = len(self.plan.unmatched)
        text = f"{format_count(len(self.plan.jobs), 'run')}: {', '.join(told) or 'none begun'}"
        return text + (f"; {lost} without an image for an atlas" if lost else "")

    def describe(self) -> list[str]:
        """Return the lines of a plan that was not carried out; else the files of the whole."""
        if self.outcomes is None:
            return describe_plan(self.plan, self.atlases, self.jobs)
        files = (self.output / name for name in (TABLE, PAGE, RELATIONS))
        return [str(file) for file in files if file.is_file()]

    def to_dict(self) -> dict[str, Any]:
        """Return the counts, the failures and what was not matched, for JSON."""
        return {
            "output": str(self.output),
            "atlases": {own.key: own.atlas.n_parcels for own in self.atlases},
            "runs": len(self.plan.jobs),
            "bytes": self.plan.size,
            "seconds_of_reading": self.plan.seconds,
            **{status: self.count(status) for status in STATUSES},
            "failures": self.failures,
            "notes": list(self.notes),
            "unmatched": [list(one) for one in self.plan.unmatched],
            "problems": [list(one) for one in self.plan.problems],
        }


def tabulate(records: Mapping[str, Record]) -> "pd.DataFrame":
    """Return the records of an output, by run, as a table."""
    import pandas as pd

    rows = [
        {
            "run": name,
            "status": record.status,
            # Names of parcels that are lost are for the page.
            **{k: v for k, v in record.quality.items() if not isinstance(v, list)},
            "reason": record.reason,
        }
        for name, record in records.items()
    ]
    columns = list(dict.fromkeys(title for row in rows for title in row if title != "reason"))
    return pd.DataFrame(rows, columns=[*(columns or ["run", "status"]), "reason"])


def tabulate_relations(ledger: Ledger) -> "pd.DataFrame":
    """Return how motion goes with the connectomes of each atlas (`extraction.qcfc`)."""
    import pandas as pd

    columns = ["atlas", "participants", "median_absolute_qcfc", "share_significant"]
    columns += ["distance_dependence"]
    rows = [r.quality for r in ledger.records(GROUPS).values() if columns[1] in r.quality]
    return pd.DataFrame([{title: row[title] for title in columns} for row in rows], columns=columns)


def write_tables(ledger: Ledger) -> None:
    """Write the table of all runs, and that of what motion has to do with them."""
    from atlasinit.io.tables.parcel_values import write_table as write

    with ledger.hold("quality"):
        write(tabulate(ledger.records()), ledger.root / TABLE, overwrite=True)
        relations = tabulate_relations(ledger)
        if len(relations):
            write(relations, ledger.root / RELATIONS, overwrite=True)
        else:
            (ledger.root / RELATIONS).unlink(missing_ok=True)
