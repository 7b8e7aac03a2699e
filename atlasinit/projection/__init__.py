"""Projection of data on parcels and back, by one kernel a representation and backend."""

from atlasinit.projection.api import back_project, coverage, project

__all__ = [
    "back_project",
    "coverage",
    "project",
]


def __dir__() -> list[str]:
    return __all__
