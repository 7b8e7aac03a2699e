"""Spatial transforms of files: where a position of one space lies in another one."""

from atlasinit.transforms.chains import Chain, read_chain
from atlasinit.transforms.files import Transform

__all__ = ["Chain", "Transform", "read_chain"]


def __dir__() -> list[str]:
    return __all__
