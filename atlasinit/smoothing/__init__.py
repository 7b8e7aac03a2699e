"""Smoothing of atlases and of data, within a compartment and by its own topology."""

from atlasinit.smoothing.atlases import smooth as smooth
from atlasinit.smoothing.operator import SmoothingOperator as SmoothingOperator
from atlasinit.smoothing.operator import smoothing_operator as smoothing_operator
