"""Titles of columns: which mean keys, names, colours, sides and networks."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence

KEYS = (
    *("key_value", "label_value", "label_key"),
    *("index", "key", "id", "value", "component", "roi", "number", "no", "intensity", "label"),
)
"""Plain titles of key columns, the likeliest first: `id` before `label`, which may name."""

NAMES = (
    *("name", "label", "full_name", "difumo_names", "label_name", "structure"),
    *("region", "region_name", "roi_name", "names", "abbreviation", "abbr"),
)
"""Plain titles of columns of names, the likeliest first."""

SIDES = ("hemisphere", "hemi", "side", "laterality", "lr")
COLORS = ("color", "colour", "rgb", "rgba", "hex", "color_hex_triplet", "rgb_triplet")
CHANNELS = (("red", "green", "blue"), ("r", "g", "b"), ("color_r", "color_g", "color_b"))
NETWORKS = ("network", "network_label", "network_name", "yeo_networks7")

# What a table may be of. Written together, titles are taken apart by these: ROIid, labelno.
_THINGS = (
    "(atlas|anatomical|anat|brain|label|labels|region|roi|parcel|parcellation|area|structure|node|"
    "component|cluster|segment|seg|volume|vol|tissue|map|nucleus|gyrus|lut|cortical)"
)
_NUMBERS = (
    "(index|idx|key|id|value|val|number|num|no|nr|intensity|code|keyvalue|grayvalue|greyvalue)"
)
_WORDS = "(full|long|complete)?(names?|title|description)"
_SHORT = "(short|abbreviated|abbr|abbrev|abrev)(names?)?|abbreviations?|acronyms?|abbr|abbrev"
# What may hold keys without a word that says so; a volume or an area is a size.
_ALONE = "(atlas|region|parcel|structure|node|cluster|segment|nucleus)"
_LEFT, _RIGHT = ("left", "lh", "l"), ("right", "rh", "r")
# The rank of titles that only end in a word for a number: site_id, age_value.
_ANY = 200


def normalise_title(title: object) -> str:
    """Return a title casefolded, ``_`` for all but letters and digits, and where a word begins.

    >>> normalise_title("Left Label.Value"), normalise_title("regionName"), normalise_title("RGB")
    ('left_label_value', 'region_name', 'rgb')
    """
    # Where a capital follows a small letter: regionName is two words, RGB is one.
    parted = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", str(title))
    return re.sub(r"[^0-9a-z]+", "_", parted.casefold()).strip("_")


def key_rank(plain: str) -> int | None:
    """Return how likely a column of whole numbers of this title holds the keys, 0 the likeliest."""
    joined = plain.replace("_", "")
    if joined in _JOINED_KEYS:
        return _JOINED_KEYS[joined]
    # As roi_index, AtlasRegionNo, label_id; then whatever ends in such a word, as yeo_code.
    if re.fullmatch(f"{_THINGS}*{_NUMBERS}", joined):
        return 100
    if "_" in plain and re.fullmatch(_NUMBERS, plain.rsplit("_", 1)[-1]):
        return _ANY
    return 300 if re.fullmatch(_ALONE, joined) else None


def name_rank(plain: str) -> int | None:
    """Return how likely a column of this title holds the names, 0 the likeliest."""
    joined = plain.replace("_", "")
    if joined in _JOINED_NAMES:
        return _JOINED_NAMES[joined]
    # The ranks leave room for those of `_JOINED_NAMES`: region_full_name (4) goes before structure
    # (7), and that before gyrus (8), x_name (9), name_of_x (10) and short forms (20).
    if re.fullmatch(f"{_THINGS}*{_WORDS}", joined):
        return 4
    if re.fullmatch(f"{_THINGS}+", joined):
        return 8
    if "_" in plain and re.fullmatch(_WORDS, plain.rsplit("_", 1)[-1]):
        return 9
    if re.match(f"{_WORDS}_", plain):
        return 10
    return 20 if re.fullmatch(f"{_THINGS}*({_SHORT})", joined) else None


def is_vague(rank: int) -> bool:
    """Whether a key column's title says no more than that it numbers something."""
    return rank == _ANY


def names_columns(cells: Iterable[object]) -> bool:
    """Whether some cells are the titles of columns: one of keys and another of names."""
    plain = list(dict.fromkeys(normalise_title(cell) for cell in cells))
    pairs = {title for pair in find_sided_pairs(plain).values() for title in pair}
    # "label" may be either, so that two titles are needed: a lone "label" says nothing.
    keys = {t for t in plain if key_rank(t) is not None or t in pairs}
    names = {t for t in plain if name_rank(t) is not None}
    return bool(keys and names and len(keys | names) > 1)


def find_sided_pairs(plain: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Return the titles that come once for the left and once for the right.

    >>> find_sided_pairs(["structure", "left_label", "right_label"])
    {'label': ('left_label', 'right_label')}
    """
    found: dict[str, dict[str, str]] = {}
    for title in plain:
        words = title.split("_")
        # left_label, label_lh or l_id, but not left_right_ratio.
        sides = [word for word in words if word in (*_LEFT, *_RIGHT)]
        if len(sides) == 1:
            rest = "_".join(word for word in words if word != sides[0])
            found.setdefault(rest, {})["L" if sides[0] in _LEFT else "R"] = title
    return {rest: (pair["L"], pair["R"]) for rest, pair in found.items() if len(pair) == 2}


def make_distinct(titles: Sequence[str]) -> list[str]:
    """Return titles of which each that came before has its number behind, as pandas' do."""
    before: Counter[str] = Counter()
    out = []
    for title in titles:
        out.append(f"{title}.{before[title]}" if before[title] else title)
        before[title] += 1
    return out


_JOINED_KEYS = {title.replace("_", ""): rank for rank, title in enumerate(KEYS)}
_JOINED_NAMES = {
    "name": 0,
    "label": 1,
    **dict.fromkeys(("fullname", "longname", "difumonames"), 2),
    "labelname": 3,
    **dict.fromkeys(("structure", "region", "names"), 7),
    **dict.fromkeys(("abbreviation", "abbr"), 20),
}
