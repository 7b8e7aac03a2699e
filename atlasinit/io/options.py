"""How the files of an atlas are to be read: one object from the caller to the last reader."""

import dataclasses
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, Literal, TypeAlias, get_args

import numpy as np

from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.io.contents import Kind

Background: TypeAlias = Iterable[int | str] | int | str
"""Keys and names that mean no parcel."""

Scale: TypeAlias = Literal["auto"] | float | int
"""Factor for numbers, or ``"auto"`` to judge by the values."""

# The other options have no default: where one is open, the files tell, or nothing is laid over
# them.
DEFAULTS: Mapping[str, Any] = {
    "kind": "auto",
    "scale": "auto",
    "unlisted": "error",
    "nan": "error",
    "unused": "keep",
    "conflicts": "error",
}
"""What an option is that neither the user nor an entry of the catalogue states."""

# The first of each is its default.
_CHOICES = {
    "kind": get_args(Kind),
    "unlisted": ("error", "name"),
    "nan": ("error", "zero"),
    "unused": ("keep", "drop"),
    "conflicts": ("error", "first", "last"),
}


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class ReadOptions:
    """What a user, or an entry of the catalogue, states of files; None leaves an option open.

    The options are those of `read_atlas`, and `unused`, which entries alone state. They
    are checked here, once, so that whoever takes a `ReadOptions` need not.

    Parameters
    ----------
    labels
        Label table in place of the files' own.
    space, name
        Of the atlas.
    mask, meshes
        What is laid over the locations of the files.
    kind
        ``"hard"``, ``"maps"``, or ``"auto"`` to go by names, headers and values.
    map
        Name or 0-based number of one map of a file with several.
    unlisted
        ``"error"``, or ``"name"`` to call keys without an entry ``label-<key>``.
    background
        Keys and names that mean no parcel; kept as a tuple.
    scale
        Factor for weights, or for labels that are numbered by fractions, or ``"auto"``.
    nan
        ``"error"``, or ``"zero"`` to take NaN for no weight and no label.
    conflicts
        Of several files of labels those that have a location that two claim: ``"error"``, or
        the ``"first"`` or ``"last"`` of them.
    unused
        ``"keep"``, or ``"drop"`` to leave out entries of the table without a location in
        the files.

    Raises
    ------
    ValueError, TypeError
        An option that is none of these.
    """

    # Whatever users pass comes here, to be checked: hence Any.
    labels: object = None
    space: Any = None
    name: Any = None
    mask: object = None
    kind: Any = None
    map: Any = None
    unlisted: Any = None
    background: Any = None
    scale: Any = None
    nan: Any = None
    unused: Any = None
    conflicts: Any = None
    meshes: Any = None

    def __post_init__(self) -> None:
        """Check every option, and keep the background as a tuple."""
        for option, choices in _CHOICES.items():
            if (value := getattr(self, option)) is not None and value not in choices:
                known = ", ".join(f'"{choice}"' for choice in choices[:-1])
                raise ArgumentError(option, f'should be {known} or "{choices[-1]}", got {value!r}')
        for option in ("space", "name"):
            if not isinstance(value := getattr(self, option), str | None):
                raise ArgumentTypeError(option, f"should be a str, got {value!r}")
        _check_scale(self.scale)
        _check_map(self.map)
        _check_meshes(self.meshes)
        # The one way to set a field of a frozen data class.
        object.__setattr__(self, "background", _background(self.background))

    @property
    def stated(self) -> dict[str, Any]:
        """The options that are not left open."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {option: value for option, value in fields.items() if value is not None}

    @property
    def operations(self) -> tuple[str, ...]:
        """What of these choices changes an atlas, for its provenance."""
        told = [
            f"{option}({getattr(self, option)!r})"
            for option in ("map", "unlisted", "unused", "nan", "conflicts")
            if getattr(self, option) not in (None, DEFAULTS.get(option))
        ]
        if self.background is not None:
            told.append(f"background({', '.join(map(repr, self.background))})")
        if self.scale not in (None, "auto"):
            told.append(f"scale({self.scale:.6g})")
        return tuple(told)

    @property
    def keeps_background(self) -> bool:
        """Whether voxels of label 0 may belong to a parcel, since a background is stated."""
        return self.background is not None

    @property
    def takes_own_tables(self) -> bool:
        """Whether tables that lie beside the files count, as no table is given for all of them."""
        return self.labels is None or (
            isinstance(self.labels, Mapping) and all(isinstance(c, str) for c in self.labels)
        )

    def replace(self, **options: Any) -> "ReadOptions":
        """Return these options with others in their place."""
        return dataclasses.replace(self, **options)

    def over(self, other: Mapping[str, Any]) -> "ReadOptions":
        """Return these options, those that are open taken from `other`."""
        # Of two values for one key Python keeps the later, which is the one stated here.
        return self.replace(**{**other, **self.stated})

    def with_defaults(self) -> "ReadOptions":
        """Return these options, those that are open as `DEFAULTS` says."""
        return self.over(DEFAULTS)


def _check_scale(scale: object) -> None:
    if scale is None or (isinstance(scale, str) and scale == "auto"):
        return
    # True is a number to Python, and would be a factor of 1.
    if isinstance(scale, bool) or not isinstance(scale, Real) or not 0 < float(scale) < np.inf:
        raise ArgumentError("scale", f'should be "auto" or a positive number, got {scale!r}')


def _check_map(map: object) -> None:
    # True would be the map number 1.
    if isinstance(map, bool) or not isinstance(map, str | Integral | None):
        raise ArgumentTypeError(
            "map", f"should be the name or the 0-based number of one map, got {map!r}"
        )


def _check_meshes(meshes: object) -> None:
    if meshes is None:
        return
    if not isinstance(meshes, Mapping) or not all(isinstance(m, Mapping) for m in meshes.values()):
        raise ArgumentTypeError(
            "meshes",
            f'should be {{compartment: {{"sphere": ..., "anatomical": ..., ...}}}}, got {meshes!r}',
        )


def _background(background: Any) -> tuple[int | str, ...] | None:
    if background is None:
        return None
    # A str is a collection of letters to Python, but here it is one name.
    single = isinstance(background, str | Integral)
    items = (background,) if single else tuple(background)
    for item in items:
        if isinstance(item, bool) or not isinstance(item, str | Integral):
            raise ArgumentTypeError("background", f"should hold keys and names, got {item!r}")
    return tuple(item if isinstance(item, str) else int(item) for item in items)
