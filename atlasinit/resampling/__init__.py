"""Atlases and data moved to other grids and meshes of their space."""

from atlasinit.resampling.api import resample
from atlasinit.resampling.grayordinates import to_grayordinates
from atlasinit.resampling.operator import ResamplingOperator, resample_data, resampling_operator

__all__ = [
    "ResamplingOperator",
    "resample",
    "resample_data",
    "resampling_operator",
    "to_grayordinates",
]


def __dir__() -> list[str]:
    return __all__
