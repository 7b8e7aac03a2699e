"""Which parcel of the other hemisphere is called like a parcel."""

import itertools
import re
from collections.abc import Iterator

from atlasinit.core.labels import LabelTable

_OTHER = {"l": "r", "lh": "rh", "left": "right"} | {"r": "l", "rh": "lh", "right": "left"}
_OPPOSITE = {"L": "R", "R": "L"}
# As the tokens of `hemisphere_of`: letters and digits between other characters.
_TOKEN = re.compile(r"[^\W_]+")


def find_homologues(table: LabelTable) -> tuple[str, ...]:
    """Return for each row the name of its counterpart on the other side, ``""`` for none.

    Sides are words or letters of their own, as in ``L_insula``, ``Left Thalamus``, ``lh.cuneus``
    and ``7Networks_RH_Vis_1``; the table has to say that the two are of opposite hemispheres. Such
    pairs have one name: of numbered parcels, as Schaefer's, they need not be one region.
    """
    rows = {name: row for row, name in enumerate(table["name"])}
    sides = table["hemisphere"]
    found = []
    for row, name in enumerate(table["name"]):
        wanted = _OPPOSITE.get(sides[row])
        others = (rows[other] for other in _swap_sides(name) if other in rows)
        match = next((other for other in others if wanted and sides[other] == wanted), None)
        found.append(match)
    names = table["name"]
    # Of one pair both have to say so.
    return tuple(
        names[other] if other is not None and found[other] == row else ""
        for row, other in enumerate(found)
    )


def _swap_sides(name: str) -> Iterator[str]:
    """Yield a name with the other side: all its sides changed, then each one alone."""
    spans = [match for match in _TOKEN.finditer(name) if match[0].lower() in _OTHER]
    for chosen in itertools.chain([spans] if len(spans) > 1 else [], ([span] for span in spans)):
        out, end = "", 0
        for match in chosen:
            out, end = out + name[end : match.start()] + _swap(match[0]), match.end()
        yield out + name[end:]


def _swap(token: str) -> str:
    other = _OTHER[token.lower()]
    return other.upper() if token.isupper() else other.title() if token[0].isupper() else other
