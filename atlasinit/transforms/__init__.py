"""Spatial transforms of files: where a position of one space lies in another one.

Files of every program become maps of positions in mm (RAS+), from the space that images are moved
to, to the one that they come from; their names say which spaces these are.
"""

from atlasinit.transforms.chains import Chain, read_chain
from atlasinit.transforms.files import Transform

__all__ = ["Chain", "Transform", "read_chain"]


def __dir__() -> list[str]:
    return __all__
