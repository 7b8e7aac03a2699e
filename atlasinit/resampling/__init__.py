"""Atlases moved to other grids and meshes of their space."""

from atlasinit.resampling.api import resample

__all__ = ["resample"]


def __dir__() -> list[str]:
    return __all__
