"""From voxels to vertices: one sparse operator, for data and for atlases."""

from atlasinit.sampling.atlases import to_surface
from atlasinit.sampling.build import sampling_operator
from atlasinit.sampling.operator import SamplingOperator
from atlasinit.sampling.volumes import to_volume

__all__ = ["SamplingOperator", "sampling_operator", "to_surface", "to_volume"]


def __dir__() -> list[str]:
    return __all__
