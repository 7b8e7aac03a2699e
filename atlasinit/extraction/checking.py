"""What headers tell of runs that would fail, before any of them is read."""

import dataclasses
import time
from collections.abc import Sequence
from pathlib import Path

from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError, AtlasFileError
from atlasinit.extraction.performing import Setup, look_at
from atlasinit.extraction.planning import Job, LabelledAtlas, Plan
from atlasinit.io import read_mask

_SECONDS = 5.0
"""Looked ahead for: of thousands of runs on a slow disk, headers alone take minutes."""


def check_mask(mask: Path, atlases: Sequence[LabelledAtlas]) -> None:
    """Refuse a mask for all runs that is not on the grid of an atlas, as the runs' images are.

    Raises
    ------
    ValueError
        With the two grids.
    AtlasFileError
        What cannot be read as a mask.
    """
    geometries = [g for own in atlases for g in own.atlas.geometry.values()]
    grids = [geometry for geometry in geometries if isinstance(geometry, VolumeGrid)]
    kept = read_mask(mask) if grids else None
    for grid in grids:
        read_mask(kept, grid=grid)


def look_ahead(setup: Setup, plan: Plan, *, seconds: float = _SECONDS) -> Plan:
    """Return the plan with the runs that would fail, as far as headers and tables tell.

    Parameters
    ----------
    setup, plan
        Of the extraction.
    seconds
        After which no further run is looked at; they are taken from all over the plan.
    """
    until = time.perf_counter() + seconds
    found: list[tuple[str, str]] = []
    looked = 0
    for job in _spread(plan.jobs):
        if time.perf_counter() > until:
            break
        looked += 1
        try:
            _check(setup, job)
        except (ArgumentError, AtlasFileError) as error:
            found.append((job.run.name, " ".join(str(error).split())))
    return dataclasses.replace(plan, problems=tuple(sorted(found)), looked=looked)


def _spread(jobs: Sequence[Job]) -> list[Job]:
    """Return jobs in an order whose beginnings are spread over all of them."""
    step = 1
    while step * step < len(jobs):
        step += 1
    return [job for start in range(step) for job in jobs[start::step]]


def _check(setup: Setup, job: Job) -> None:
    for image, which in job.tasks:
        own = [setup.atlases[i] for i in which]
        look_at(setup, job.run, image, own[0].atlas)
        # One for all was looked at before.
        if setup.mask == "run" and image.mask is not None:
            check_mask(image.mask, own)
