"""Colours of labels: their text, and new ones that differ from each other."""

import colorsys
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

from atlasinit.core.labels import LabelTable


def to_hex(rgb: Iterable[float | None], *, highest: float = 1.0) -> str:
    """Return the first three of colour components from 0 to `highest` as ``"#rrggbb"``.

    ``""`` where a component is unknown or not finite.
    """
    parts = [part for part in itertools.islice(rgb, 3) if part is not None and math.isfinite(part)]
    scaled = (round(255 * min(max(float(part) / highest, 0.0), 1.0)) for part in parts)
    return "#" + "".join(f"{part:02x}" for part in scaled) if len(parts) == 3 else ""


def table_to_hex(rgba: Sequence[Sequence[float | None]]) -> list[str]:
    """Return the colours of a table, whose components are from 0 to 1, or all from 0 to 255.

    Formats that state 0 to 1 hold 0 to 255 where scripts wrote bytes into them. The table
    as a whole tells: some component of it is above 1, or no colour is a fraction and some
    opacity is above 1.
    """
    known = [[p for p in color if p is not None and math.isfinite(p)] for color in rgba]
    parts = [part for color in known for part in color[:3]]
    opacities = [color[3] for color in known if len(color) > 3]
    above = max(parts, default=0) > _ABOVE_1
    # Bytes of 0 and 1 look like fractions, unless an opacity of 255 beside them shows the range.
    opaque = max(opacities, default=0) > _ABOVE_1 and all(part in (0, 1) for part in parts)
    return [to_hex(color, highest=255.0 if above or opaque else 1.0) for color in rgba]


# A 1 that a script computed may be a little more; the next larger byte is 2.
_ABOVE_1 = 1.001


def from_hex(color: str) -> tuple[float, float, float]:
    """Return ``"#rrggbb"`` as components from 0 to 1."""
    red, green, blue = (part / 255 for part in to_bytes(color))
    return red, green, blue


def to_bytes(color: str) -> tuple[int, int, int]:
    """Return ``"#rrggbb"`` as components from 0 to 255."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return red, green, blue


def colors_of(labels: LabelTable) -> list[str]:
    """Return the table's colours, with a new one for each parcel that has none.

    New colours differ from each other and from the table's, and are never black.
    """
    used = {color.lower() for color in labels["color"]}
    fresh = (color for color in _palette() if color not in used)
    return [color.lower() or next(fresh) for color in labels["color"]]


def _palette() -> Iterator[str]:
    """Yield distinct colours: hues a golden ratio apart, three brightnesses in turn."""
    seen: set[str] = set()
    for i in itertools.count():
        # 0.618034 is the golden ratio less 1: its multiples spread evenly round the circle of hues,
        # however many there are. No brightness is below 0.6, so none is black.
        hue, value, saturation = (0.618034 * i) % 1, (0.95, 0.75, 0.6)[i % 3], (0.6, 0.85)[i % 2]
        color = to_hex(colorsys.hsv_to_rgb(hue, saturation, value))
        if color not in seen:
            seen.add(color)
            yield color
