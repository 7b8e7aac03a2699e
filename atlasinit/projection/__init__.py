"""Projection of data on parcels and back, by one kernel a representation and backend."""

from atlasinit.projection.api import Choice, back_project, chosen, coverage, project
from atlasinit.projection.reductions import REDUCTIONS, Reduction, register_reduction, zscore

__all__ = [
    "REDUCTIONS",
    "Choice",
    "Reduction",
    "back_project",
    "chosen",
    "coverage",
    "project",
    "register_reduction",
    "zscore",
]


def __dir__() -> list[str]:
    return __all__
