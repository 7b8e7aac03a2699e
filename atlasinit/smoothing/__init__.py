"""Smoothing of atlases and of data, within each compartment."""

from atlasinit.smoothing.atlases import smooth
from atlasinit.smoothing.build import smoothing_operator
from atlasinit.smoothing.operator import SmoothingOperator

__all__ = [
    "SmoothingOperator",
    "smooth",
    "smoothing_operator",
]


def __dir__() -> list[str]:
    return __all__
