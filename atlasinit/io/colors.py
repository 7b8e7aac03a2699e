"""Colours of labels: their text, and new ones that differ from each other."""

import colorsys
import itertools
from collections.abc import Iterable, Iterator

from atlasinit.core.labels import LabelTable


def to_hex(rgb: Iterable[float | None]) -> str:
    """Return the first three of 0-1 colour components as ``"#rrggbb"``.

    ``""`` where a component is unknown or no number.
    """
    parts = [part for part in itertools.islice(rgb, 3) if part is not None and part == part]
    scaled = (round(255 * min(max(float(part), 0.0), 1.0)) for part in parts)
    return "#" + "".join(f"{part:02x}" for part in scaled) if len(parts) == 3 else ""


def from_hex(color: str) -> tuple[float, float, float]:
    """Return ``"#rrggbb"`` as components from 0 to 1."""
    red, green, blue = (int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))
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
        hue, value, saturation = (0.618034 * i) % 1, (0.95, 0.75, 0.6)[i % 3], (0.6, 0.85)[i % 2]
        color = to_hex(colorsys.hsv_to_rgb(hue, saturation, value))
        if color not in seen:
            seen.add(color)
            yield color
