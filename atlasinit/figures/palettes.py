"""Colours of parcels and of values, as RGBA arrays."""

import dataclasses

import matplotlib
import matplotlib.colors
import numpy as np
from jaxtyping import Bool, Float

from atlasinit.core.adjacency import count_borders, find_touching
from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas, check_maps
from atlasinit.core.labels import is_home
from atlasinit.core.maps import Maps
from atlasinit.errors import ArgumentError

SAFE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
"""Okabe and Ito's colours (2008) without black, told apart by any common colour vision."""

PALETTES = ("own", "network", "safe")

_NO_NETWORK = "#9a9a9a"
_NO_NAMES = ("unassigned", "unknown", "none", "n/a", "uncertain")
"""What tables call the network of parcels that are in none."""

GREY = 0.66
"""Brightness of what has no value or no parcel: seen on a light and on a dark page."""

_COLORLESS = 0.1
"""Difference of red, green and blue up to which a colour is taken for a grey."""

_GREYS = (0.2, 0.88)
"""Brightness between which images lie behind parcels."""

_NETWORKS = 24
"""Networks up to which each has a colour of its own and a name beside the picture."""


@dataclasses.dataclass(frozen=True, eq=False)
class Coloring:
    """What parcels, or locations, are painted with.

    Parameters
    ----------
    colors
        RGBA of each; transparent where there is none.
    hatched
        Which have stripes: greys, that would be lost in what lies in grey behind them.
    """

    colors: Float[np.ndarray, "n 4"]
    hatched: Bool[np.ndarray, " n"]

    @classmethod
    def plain(cls, colors: Float[np.ndarray, "n 4"]) -> "Coloring":
        """Return colours without stripes."""
        return cls(colors, np.zeros(len(colors), bool))

    def of(self, rows: slice) -> "Coloring":
        """Return the colours of some of the parcels."""
        return Coloring(self.colors[rows], self.hatched[rows])

    def at(self, labels: np.ndarray) -> "Coloring":
        """Return the colour of each location's parcel, none for the label -1."""
        # The label -1 takes the last row.
        return Coloring(label_colors(labels, self.colors), np.append(self.hatched, False)[labels])


def color_parcels(colors: Float[np.ndarray, "parcels 3"]) -> Coloring:
    """Return parcels in their own colours, greys of which are hatched."""
    return Coloring(np.column_stack([colors, np.ones(len(colors))]), find_greys(colors))


def color_values(colors: Float[np.ndarray, "parcels 4"]) -> Coloring:
    """Return parcels in the colours of a `ColorScale`; without a value they are hatched in grey."""
    missing = colors[:, 3] == 0
    return Coloring(np.where(missing[:, None], (GREY, GREY, GREY, 1), colors), missing)


def find_greys(colors: Float[np.ndarray, "n channels"]) -> Bool[np.ndarray, " n"]:
    """Return which colours are greys as of images that lie behind parcels."""
    rgb = colors[:, :3]
    bright = rgb.mean(axis=1)
    colorless = np.ptp(rgb, axis=1) <= _COLORLESS if len(rgb) else np.zeros(0, bool)
    return colorless & (bright > _GREYS[0]) & (bright < _GREYS[1])


def parcel_colors(atlas: Atlas, *, palette: str = "own") -> Float[np.ndarray, "parcels 3"]:
    """Return an RGB colour in [0, 1] for each parcel.

    Parameters
    ----------
    palette
        ``"own"``: the label table's colours; where it states none, as ``"network"``.
        ``"network"``: a colour for each network of the table, grey without one; without a
        column ``network``, or with more than 24, as ``"safe"``. ``"safe"``: `SAFE`, given out
        so that parcels that touch differ. On a surface seven colours always suffice for
        parcels in one piece; where they do not, the parcels with the shortest common border
        share one.

    Raises
    ------
    ValueError
        Another `palette`.
    """
    check_atlas(atlas)
    if palette not in PALETTES:
        raise ArgumentError("palette", f'should be "own", "network" or "safe", got {palette!r}')
    stated = atlas.table["color"] if palette == "own" else [""] * atlas.n_parcels
    networks = _networks(atlas)
    if palette != "safe" and networks and not any(stated):
        given = _give_out(networks)
        return _rgb([given.get(n, _NO_NETWORK) for n in atlas.table["network"]])
    if all(stated):
        return _rgb(stated)
    safe = [SAFE[i] for home in atlas.header.home_slices() for i in _color_apart(atlas, home)]
    return _rgb([own or other for own, other in zip(stated, safe, strict=True)])


def network_colors(
    atlas: Atlas, colors: Float[np.ndarray, "parcels 3"]
) -> dict[str, Float[np.ndarray, "3"]]:
    """Return network to its colour, where every network has one; else nothing."""
    check_atlas(atlas)
    networks = _networks(atlas)
    if not networks:
        return {}
    of = np.array([networks.index(n) if n else -1 for n in atlas.table["network"]])
    found = {name: colors[of == i] for i, name in enumerate(networks)}
    if any(np.ptp(own, axis=0).max() > 1e-6 for own in found.values()):
        return {}
    return {name: own[0] for name, own in found.items()}


def value_colors(
    values: Float[np.ndarray, " n"], *, low: float, high: float, colormap: str = "viridis"
) -> Float[np.ndarray, "n 4"]:
    """Return colours of values between `low` and `high`; NaN is transparent."""
    norm = matplotlib.colors.Normalize(low, high, clip=True)
    colors = matplotlib.colormaps[colormap](norm(np.where(np.isnan(values), low, values)))
    return np.where(np.isnan(values)[:, None], 0.0, colors)


def mixed_colors(
    maps: Maps, colors: Float[np.ndarray, "parcels 3"]
) -> Float[np.ndarray, "locations 4"]:
    """Return each location's colour: the parcels' mixed by their weights, transparent if none.

    Negative weights count as 0.
    """
    check_maps(maps)
    weights = maps.to_scipy()
    weights.data = np.maximum(np.nan_to_num(weights.data), 0)
    totals = np.asarray(weights.sum(axis=0), dtype=np.float64)
    # sum_k w_kj color_k / sum_k w_kj at location j.
    mixed = weights.T @ colors / np.where(totals == 0, 1, totals)[:, None]
    return np.column_stack([mixed, totals > 0])


def label_colors(
    labels: np.ndarray, colors: Float[np.ndarray, "parcels channels"]
) -> Float[np.ndarray, "locations 4"]:
    """Return the colour of each location's parcel, transparent for none (-1)."""
    opaque = colors if colors.shape[1] == 4 else np.column_stack([colors, np.ones(len(colors))])
    # The label -1 takes the last row.
    return np.vstack([opaque, np.zeros(4)])[labels]


def _networks(atlas: Atlas) -> list[str]:
    """Return the networks in the order of the table; none where they are too many."""
    if "network" not in atlas.table:
        return []
    found = list(dict.fromkeys(n for n in atlas.table["network"] if n))
    return found if len(found) <= _NETWORKS else []


def _give_out(networks: list[str]) -> dict[object, str]:
    """Return network to colour: the safe ones, then theirs darkened and lightened."""
    rgb = np.array([matplotlib.colors.to_rgb(color) for color in SAFE])
    shades = np.concatenate([rgb, 0.55 * rgb, 0.5 * rgb + 0.5, 0.75 * rgb])
    named = [n for n in networks if n.casefold() not in _NO_NAMES]
    colors = map(matplotlib.colors.to_hex, shades.tolist())
    out: dict[object, str] = dict.fromkeys(networks, _NO_NETWORK)
    return out | dict(zip(named, colors, strict=False))


def _rgb(texts: object) -> Float[np.ndarray, "parcels 3"]:
    return np.array([matplotlib.colors.to_rgb(t) for t in texts], np.float64).reshape(-1, 3)  # pyright: ignore


def _color_apart(atlas: Atlas, home: str) -> list[int]:
    """Return a number below the number of safe colours for each parcel of a compartment.

    Or of those that share their parcels.

    Greedy, the parcel with the fewest neighbours last: the order in which six colours
    suffice for any planar map.
    """
    # Taking the parcel with the fewest neighbours left away, again and again, and colouring in
    # the reverse order: when a parcel's turn comes, few of its neighbours have a colour.
    shared = np.sum(
        [
            count_borders(maps.harden(), find_touching(atlas.geometry[c])).toarray()
            for c, maps in atlas.maps.items()
            if is_home(home, c)
        ],
        axis=0,
    )
    near = shared > 0
    degrees = near.sum(axis=1).astype(float)
    order = []
    for _ in range(len(degrees)):
        row = int(degrees.argmin())
        order.append(row)
        # Its neighbours have one neighbour fewer left; its own turn is over.
        degrees[near[row]] -= 1
        degrees[row] = np.inf
    chosen = np.full(len(degrees), -1)
    for row in reversed(order):
        # The length of border with each colour; among those without, the one used least.
        cost = [shared[row, chosen == i].sum() for i in range(len(SAFE))]
        used = [np.count_nonzero(chosen == i) for i in range(len(SAFE))]
        chosen[row] = min(range(len(SAFE)), key=lambda i: (cost[i], used[i]))
    return chosen.tolist()
