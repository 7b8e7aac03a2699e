"""What colours stand for, named below a picture."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.patches import Patch

from atlasinit.figures.palettes import find_greys
from atlasinit.figures.texts import measure_text, shorten_text

_COLUMNS = 6
_SIZE = 8.33
"""Of the letters in points, which Matplotlib calls small."""

_MARK, _WIDEST = 0.55, 3.0
"""Room for the colour beside a name, and for a name at the most, in inches."""


def name_colors(colors: Mapping[str, Any]) -> list[Any]:
    """Return a patch for each name, hatched where parcels of this colour are."""
    return [
        Patch(
            facecolor=color,
            label=name,
            hatch="//////" if find_greys(np.atleast_2d(color))[0] else None,
            edgecolor="0.25" if find_greys(np.atleast_2d(color))[0] else color,
            linewidth=0,
        )
        for name, color in colors.items()
    ]


def count_lines(names: Iterable[str], width: float) -> int:
    """Return how many lines a legend of these names takes in a figure of a width in inches."""
    names = list(names)
    return -(-len(names) // _count_columns(names, width))


def draw_legend(part: Any, handles: Sequence[Any], *, width: float, bottom: float) -> None:
    """Name what colours stand for at the lower left, side by side, from `bottom` up."""
    if not handles:
        return
    names = [str(handle.get_label()) for handle in handles]
    room = min(_WIDEST, width - _MARK)
    legend = part.legend(
        handles=handles,
        labels=[shorten_text(name, _SIZE, room=room) for name in names],
        loc="lower left",
        bbox_to_anchor=(0, bottom),
        ncols=_count_columns(names, width),
        fontsize=_SIZE,
        frameon=False,
        borderaxespad=0,
        columnspacing=1.2,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _count_columns(names: list[str], width: float) -> int:
    """Return how many names stand side by side, all as wide as the longest."""
    longest = max((min(measure_text(name, _SIZE), _WIDEST) for name in names), default=0)
    return int(np.clip(width / (longest + _MARK), 1, _COLUMNS))
