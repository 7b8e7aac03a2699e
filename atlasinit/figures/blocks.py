"""Parcels in blocks beside a matrix: their order, and what each block is called."""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Int

from atlasinit.core.atlas import Atlas
from atlasinit.errors import ArgumentError
from atlasinit.figures.palettes import network_colors, parcel_colors
from atlasinit.figures.texts import measure_text, shorten_text

ORDERS = ("network", "table")

_NONE = "no network"
_BAR = 0.14
"""Width of the colours beside a picture, in inches."""

_ROOM = 7.0
"""Points of height that a parcel's name takes."""

_BETWEEN = 9.0
"""Points from the name of a block to the next."""

_PARCEL, _BLOCK = 6.0, 8.0
"""Of the letters of both, in points."""

_WIDEST = 2.4
"""Of a name in inches, of which the middle is left out where it is longer."""


@dataclasses.dataclass(frozen=True, eq=False)
class Blocks:
    """The order in which parcels are drawn, and the blocks that they form.

    Parameters
    ----------
    rows
        (parcels,) rows of the table in the order of the picture.
    names
        Of the blocks, in this order.
    sizes
        Number of parcels of each.
    colors
        Of each, RGB.
    """

    rows: Int[np.ndarray, " parcels"]
    names: tuple[str, ...]
    sizes: tuple[int, ...]
    colors: tuple[Any, ...]

    @property
    def edges(self) -> Int[np.ndarray, " edges"]:
        """Where blocks begin and end, in parcels."""
        return np.cumsum([0, *self.sizes])


def order_parcels(atlas: Atlas, *, order: str) -> Blocks:
    """Return the blocks of an atlas's parcels.

    Parameters
    ----------
    order
        ``"network"``: the networks in the order in which the table first names them, within
        each the parcels in the order of the table, those without a network last; without
        networks as ``"table"``. ``"table"``: the order of the table, in blocks of
        compartments.

    Raises
    ------
    ValueError
        Another `order`.
    """
    if order not in ORDERS:
        raise ArgumentError("order", f'should be "network" or "table", got {order!r}')
    networks = network_colors(atlas, parcel_colors(atlas, palette="network"))
    if order == "network" and networks:
        of = [n or _NONE for n in atlas.table["network"]]
        # The order of the table within each, as sorting is stable.
        names = sorted(dict.fromkeys(of), key=lambda name: name == _NONE)
        rows = np.argsort([names.index(n) for n in of], kind="stable")
        sizes = tuple(of.count(name) for name in names)
        return Blocks(rows, tuple(names), sizes, tuple(networks.get(n, "0.6") for n in names))
    homes = atlas.header.home_slices()
    sizes = tuple(s.stop - s.start for s in homes.values())
    # Two greys in turn: compartments have no colours.
    greys = tuple(("0.45", "0.7")[i % 2] for i in range(len(homes)))
    return Blocks(np.arange(atlas.n_parcels), tuple(map(str, homes)), sizes, greys)


def measure_names(atlas: Atlas, blocks: Blocks, side: float) -> float:
    """Return how many inches bars and names take beside a picture with a side of `side` inches."""
    size, names = _PARCEL, [str(name) for name in atlas.table["name"]]
    if not _fits(atlas.n_parcels, side):
        size, names = _BLOCK, list(blocks.names)
    longest = max((measure_text(name, size) for name in names), default=0)
    return _BAR + 0.15 + min(longest, _WIDEST)


def _fits(n_parcels: int, side: float) -> bool:
    return side * 72 / max(n_parcels, 1) >= _ROOM


def draw_blocks(axes: Any, atlas: Atlas, blocks: Blocks, *, sides: str) -> None:
    """Draw bars of the blocks beside the picture in `axes`, their names, and lines between them.

    Where there is room, the parcels are named; else the blocks are.

    Parameters
    ----------
    sides
        ``"y"`` for the left side, or ``"xy"`` for the lower one, too.
    """
    size = axes.get_position().size * axes.figure.bbox.size / axes.figure.dpi
    width, height = size.tolist()
    for side in sides:
        across = side == "x"
        fits = _fits(atlas.n_parcels, width if across else height)
        size = _PARCEL if fits else _BLOCK
        place = axes.inset_axes(
            (0, -_BAR / height, 1, 0.7 * _BAR / height)
            if across
            else (-_BAR / width, 0, 0.7 * _BAR / width, 1)
        )
        _draw_bar(place, blocks, across=across)
        if fits:
            at, texts = np.arange(atlas.n_parcels), [atlas.table["name"][r] for r in blocks.rows]
        else:
            at, texts = _place_names(blocks, (width if across else height) * 72)
        ticks = place.set_xticks if across else place.set_yticks
        texts = [shorten_text(str(text), size, room=_WIDEST) for text in texts]
        ticks(at, texts, fontsize=size, rotation=90 if across else 0, parse_math=False)
    for edge in blocks.edges[1:-1] - 0.5:
        axes.axhline(edge, color="black", linewidth=0.5)
        if "x" in sides:
            axes.axvline(edge, color="black", linewidth=0.5)


def _draw_bar(place: Any, blocks: Blocks, *, across: bool) -> None:
    for start, size, color in zip(blocks.edges, blocks.sizes, blocks.colors, strict=False):
        bar = place.barh if not across else place.bar
        bar(start + size / 2 - 0.5, 1, size, color=color)
    ends = (-0.5, blocks.edges[-1] - 0.5)
    (place.set_xlim if across else place.set_ylim)(ends if across else ends[::-1])
    (place.set_ylim if across else place.set_xlim)((0, 1))
    (place.set_yticks if across else place.set_xticks)([])
    place.tick_params(length=0)
    for spine in place.spines.values():
        spine.set_visible(False)


def _place_names(blocks: Blocks, points: float) -> tuple[list[float], list[str]]:
    """Return where names of blocks stand, at their middles or moved apart to be read, and names.

    Of more blocks than there is room for, the largest are named.
    """
    n = max(int(blocks.edges[-1]), 1)
    most = max(int(points // _BETWEEN), 1)
    sizes = np.array(blocks.sizes)
    named = np.sort(np.argsort(-sizes, kind="stable")[:most])
    at = (blocks.edges[:-1] + sizes / 2)[named] * points / n
    # From the start on no name lies on the one before, and then from the end on.
    for i in range(len(at)):
        at[i] = max(at[i], at[i - 1] + _BETWEEN if i else _BETWEEN / 2)
    for i in reversed(range(len(at))):
        last = i == len(at) - 1
        at[i] = min(at[i], points - _BETWEEN / 2 if last else at[i + 1] - _BETWEEN)
    return (at * n / points - 0.5).tolist(), [blocks.names[i] for i in named]
