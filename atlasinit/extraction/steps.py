"""What follows once the runs are done: all that is made of many of them."""

from collections.abc import Sequence

from atlasinit.extraction.groups import do_step, find_record, read_groups
from atlasinit.extraction.performing import Outcome, Setup
from atlasinit.extraction.qcfc import QCFC
from atlasinit.extraction.tangents import TANGENTS


def do_steps(
    setup: Setup, outcomes: Sequence[Outcome], *, tangents: bool, whole: bool
) -> tuple[list[Outcome], list[str]]:
    """Return what became of tangents and QC-FC, and what is to be told of them.

    Parameters
    ----------
    setup, outcomes
        Of the runs of this call.
    tangents
        Whether they are asked for; those that there are are kept in step with the runs.
    whole
        Whether the call is for all runs, and not for a share of them.
    """
    if not whole or any(one.status == "elsewhere" for one in outcomes):
        # Else each process would make them of what the others have done until then.
        waits = "tangents are made by a call without `shard` once all runs are done"
        return [], [waits] if tangents else []
    found, notes = [], []
    for group in read_groups(setup):
        for step in (TANGENTS, QCFC):
            if step is TANGENTS and not tangents and find_record(setup, group, step) is None:
                continue
            outcome = do_step(setup, group, step)
            if outcome is None:
                continue
            found.append(outcome)
            record = find_record(setup, group, step)
            if outcome.status != "failed" and record is not None and record.quality.get("note"):
                notes.append(record.quality["note"])
    return found, notes
