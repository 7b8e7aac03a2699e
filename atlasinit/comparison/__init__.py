"""How alike two atlases are: overlap, matches, partitions and distances."""

from atlasinit.comparison.comparing import Comparison as Comparison
from atlasinit.comparison.comparing import compare as compare

__all__ = ["Comparison", "compare"]


def __dir__() -> list[str]:
    return __all__
