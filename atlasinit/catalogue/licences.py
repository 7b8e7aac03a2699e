"""What the text of a licence warns of."""

import re

# \bnc\b is the NC of "CC BY-NC-SA"; "academic" alone limits the use, as "non-profit" does.
_NON_COMMERCIAL = re.compile(r"non-?commercial|\bnc\b|non-profit|academic", re.IGNORECASE)
# "See https://..." is what the catalogue says where it has only an address to read them at.
_UNKNOWN = re.compile(r"^see |not stated|\bunknown\b", re.IGNORECASE)


def terms(licence: str) -> str:
    """Return ``"non-commercial"``, ``"unknown"`` or, where neither holds, ``""``.

    Unknown are the terms of a licence that no source states, on which sources differ, or
    for which the catalogue refers to the source.

    Examples
    --------
    >>> terms("CC BY-NC-SA 3.0"), terms("Not stated by the source"), terms("CC BY 4.0")
    ('non-commercial', 'unknown', '')
    """
    # First, so that terms of which a part is unclear still warn of what is clear.
    if _NON_COMMERCIAL.search(licence):
        return "non-commercial"
    return "unknown" if not licence or _UNKNOWN.search(licence) else ""
