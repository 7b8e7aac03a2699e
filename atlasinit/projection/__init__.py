"""Projection of data on parcels and back, by one kernel a representation and backend."""

from atlasinit.projection.api import back_project as back_project
from atlasinit.projection.api import coverage as coverage
from atlasinit.projection.api import project as project
