"""Smoothing of atlases and of data, within a compartment and by its own topology."""

from atlasinit.smoothing.atlases import smooth as smooth
from atlasinit.smoothing.build import smoothing_operator as smoothing_operator
from atlasinit.smoothing.operator import SmoothingOperator as SmoothingOperator
