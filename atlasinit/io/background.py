"""Names that mean no parcel, in whatever spelling."""

import re

# Normal forms of names that mean no parcel whatever their key.
_ALWAYS = frozenset(
    {
        *("unknown", "none", "background", "clearlabel"),
        *("medialwall", "medwall", "freesurferdefinedmedialwall"),
        "backgroundfreesurferdefinedmedialwall",
    }
)
# Of names that mean none only as the name of key 0, the usual key of no parcel.
_AT_ZERO = frozenset(
    {
        *("na", "nan", "null", "nil", "nothing", "empty", "clear", "void", "zero", "bg"),
        *("roi0", "outside", "outsidebrain", "exterior", "nonbrain", "notbrain"),
        *("unclassified", "unassigned", "undefined", "unspecified", "unlabeled", "unlabelled"),
        *("notlabeled", "notlabelled", "nolabel", "noname", "noregion", "noparcel"),
    }
)
# A number is no region's name; programs without names call labels so, whatever their key.
_NUMBERED = re.compile("(label|key|value)?[0-9]+")
# On a surface only: FreeSurfer's annotations have an entry for where the callosum is cut.
_ON_SURFACES = frozenset({"corpuscallosum"})
_SIDES = frozenset({"l", "r", "lh", "rh", "left", "right"})


def means_background(name: str, *, is_surface: bool, key: int | None = None) -> bool:
    """Whether an entry is named as the background, or a surface's medial wall, usually is.

    Case, punctuation and a side at either end make no difference: ``MEDIAL.WALL``,
    ``MedialWall`` and ``medial_wall_lh`` are one name, as are ``???`` and ``L_???``.

    Parameters
    ----------
    name
        Of the entry. An entry without a name is none of the background's, except with key 0.
    is_surface
        Whether its locations are vertices.
    key
        Of the entry: some names, as ``n/a`` and ``unassigned``, mean none for key 0 alone.
    """
    if not name.strip():
        return key == 0
    plain = _normal_form(name)
    if not plain:
        # Punctuation alone, or with a side: but a parcel may well be called "L".
        return "?" in name or not re.search(r"[^\W_]", name)
    return (
        plain in _ALWAYS
        or (key == 0 and (plain in _AT_ZERO or bool(_NUMBERED.fullmatch(plain))))
        or (is_surface and plain in _ON_SURFACES)
    )


def _normal_form(name: str) -> str:
    """Return the letters and digits of a name, casefolded, without a side at either end.

    FreeSurfer's segmentations put ``ctx`` in front of the side.
    """
    tokens = re.findall(r"[^\W_]+", name.casefold())
    if len(tokens) > 1 and tokens[0] == "ctx" and tokens[1] in _SIDES:
        del tokens[0]
    if tokens and tokens[0] in _SIDES:
        del tokens[0]
    elif tokens and tokens[-1] in _SIDES:
        del tokens[-1]
    return "".join(tokens)
