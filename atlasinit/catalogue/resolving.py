"""From a request to one variant of one entry."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from atlasinit.catalogue import spaces
from atlasinit.catalogue.entries import AXES, Entry, Variant, catalogue, names, variants
from atlasinit.core.spaces import parse_space
from atlasinit.errors import ArgumentError, Call, Passing, format_list, nearest
from atlasinit.support.resources import normalise_name

_T = TypeVar("_T")

_FIRST = ("space", "density", "cohort", "kind")
"""Settled before the source is chosen, since sources may be preferred for one of them only."""


def entry_of(name: str) -> Entry:
    """Return the entry of a name or alias.

    Raises
    ------
    ValueError
        A name of no atlas; the message has the nearest ones.
    """
    found = names().get(normalise_name(name))
    if found is None:
        _refuse_unclear(name)
        every = [n for e in catalogue().values() for n in (e.name, *e.aliases)]
        raise ArgumentError(
            "names",
            f": there is no atlas {name!r} in the catalogue",
            nearest(name, every),
            Call("ai.list_atlases") + " shows all; a file is given by its path",
        )
    return catalogue()[found]


def _look_up(by_name: Mapping[str, _T], name: str) -> _T | None:
    """Return what stands under a name, in whatever spelling."""
    return {normalise_name(key): value for key, value in by_name.items()}.get(normalise_name(name))


def _refuse_unclear(name: str) -> None:
    for entry in catalogue().values():
        why = _look_up(entry.unclear, name)
        if why is not None:
            raise ArgumentError(
                "names",
                f": {name!r} names no atlas for certain: it {why}",
                f"Load {entry.name!r} with the choices that you mean",
                entry.note,
            )


def resolve_name(
    name: str,
    *,
    space: str | None = None,
    kind: str = "auto",
    via: str | None = None,
    axes: Mapping[str, Any] | None = None,
) -> list[Variant]:
    """Return the variants that answer a request by name; an alias may name a version.

    Raises
    ------
    ValueError
        A name of no atlas, a choice other than the one that the alias names, and as `resolve`.
    """
    entry = entry_of(name)
    named = _look_up(entry.meanings, name) or {}
    wanted = {axis: value for axis, value in (axes or {}).items() if value is not None}
    for axis, value in named.items():
        if axis in wanted and not agree(wanted[axis], value):
            raise ArgumentError(
                axis,
                f": {name!r} is {entry.name!r} with {axis}={value!r}, got {wanted[axis]!r}",
                f"load {entry.name!r} for another",
            )
    return resolve(entry, space=space, kind=kind, via=via, axes={**wanted, **named})


def resolve(
    entry: Entry,
    *,
    space: str | None = None,
    kind: str = "auto",
    via: str | None = None,
    axes: Mapping[str, Any] | None = None,
) -> list[Variant]:
    """Return the variants that answer a request, one per source, the preferred first.

    An axis that the request leaves open takes the entry's default where it has one,
    or the only value that there is.

    Raises
    ------
    ValueError
        A value that no variant has (with the nearest), or an axis that is open and
        has several values (with the choices).
    """
    wanted = {axis: value for axis, value in (axes or {}).items() if value is not None}
    strange = sorted(set(wanted) - set(AXES))
    if strange:
        raise ArgumentError("axes", f"of atlases are {AXES}, got {strange}")
    # A kind is looked up like an axis: `Variant.choices` has it among them.
    if kind != "auto":
        wanted["kind"] = kind
    found = list(variants(entry))
    if via is not None:
        found = _keep_via(entry, found, via)
    if space is not None:
        template, stated = parse_space(space)
        # An axis that the request states itself goes before the same in the space's name.
        own = {axis: value for axis, value in stated.items() if axis not in wanted}
        # The mesh of another density is another space, whose lack is told as one of `space`; of
        # its resolutions a volumetric space has several, so that they are told by themselves.
        if "resolution" in own:
            wanted["resolution"] = own.pop("resolution")
        found = _keep_space(entry, found, space, {"space": template, **own})
    context = wanted if space is None else {"space": space, **wanted}
    for name, value in wanted.items():
        found = _keep_choice(entry, found, name, value, context)
    for name in _FIRST:
        found = _settle_axis(entry, found, name)
    # One group a source, in the entry's order of preference; the axes that are left are settled
    # in the first, and the others follow it if they have the very same atlas.
    groups = [own for s in entry.sources if (own := [v for v in found if v.source is s])]
    first = groups[0]
    for axis in AXES:
        first = _settle_axis(entry, first, axis)
    return [first[0], *(v for own in groups[1:] for v in _take_agreeing(entry, own, first[0]))]


def _take_agreeing(entry: Entry, found: list[Variant], first: Variant) -> list[Variant]:
    """Return the one variant, if there is, with the choices of `first` or else the defaults."""
    for axis in AXES:
        wanted = first.values.get(axis, entry.defaults.get(axis))
        if wanted is not None:
            found = [v for v in found if axis not in v.values or agree(v.values[axis], wanted)]
    return found if len(found) == 1 else []


def agree(value: object, other: object) -> bool:
    """Whether two values of an axis or space mean the same, as 2, ``"02"`` and ``"2mm"``."""
    return _plain_value(value) == _plain_value(other)


def _plain_value(value: object) -> str:
    # Resolutions are 2 in entries, "02" in TemplateFlow's names and "2mm" in nilearn's.
    text = str(value).lower().removesuffix("mm")
    return text.lstrip("0") or "0" if text.isdigit() else normalise_name(text)


def _keep_via(entry: Entry, found: list[Variant], via: str) -> list[Variant]:
    offered = list(dict.fromkeys(v.source.via for v in found))
    if via not in offered:
        raise ArgumentError(
            "via", f": {entry.name!r} comes from {format_list(offered)}, not {via!r}"
        )
    return [v for v in found if v.source.via == via]


def _keep_space(
    entry: Entry, found: list[Variant], space: str, choices: Mapping[str, Any]
) -> list[Variant]:
    """Return the variants in `space`, which means these choices."""
    kept = [v for v in found if all(agree(v.choices.get(a), c) for a, c in choices.items())]
    if not kept:
        offered = _values(found, "space")
        raise ArgumentError(
            "space",
            f": {entry.name!r} has no space {space!r}",
            nearest(space, offered),
            f"Choose one of: {format_list(offered, 30)}",
        )
    return kept


def _keep_choice(
    entry: Entry, found: list[Variant], name: str, value: object, wanted: Mapping[str, Any]
) -> list[Variant]:
    """Return the variants whose choice of `name` is `value`."""
    kept = [v for v in found if name in v.choices and agree(v.choices[name], value)]
    if kept:
        return kept
    # What else was asked for is in the message: 200 parcels may exist, but not in this space.
    stated = {n: w for n, w in wanted.items() if n != name and _values(found, n)}
    offered = [str(choice) for choice in _values(found, name)]
    if not offered:
        have = [axis for axis in AXES if _values(found, axis)]
        raise ArgumentError(
            name, f": {entry.name!r} has no choice of it", f"it has {format_list(have) or 'none'}"
        )
    with_others = " with " + Passing(**stated) if stated else ""
    raise ArgumentError(
        name,
        f": {entry.name!r} has no {name} {value!r}" + with_others,
        nearest(str(value), offered),
        f"Choose one of: {format_list(offered, 30)}",
    )


def _settle_axis(entry: Entry, found: list[Variant], name: str) -> list[Variant]:
    """Return the variants of one value of `name`: the default, or the only one."""
    values = list(dict.fromkeys(v.choices[name] for v in found if name in v.choices))
    if len(values) < 2:
        return found
    default = entry.defaults.get(name)
    chosen = [value for value in values if default is not None and agree(value, default)]
    if not chosen:
        raise ArgumentError(
            name,
            f": {entry.name!r} has several",
            f"choose one of: {format_list(_values(found, name), 30)}",
        )
    # A variant without the axis, as one resolution among atlases that come in several, fits any.
    return [v for v in found if v.choices.get(name, chosen[0]) == chosen[0]]


def _values(found: Iterable[Variant], name: str) -> list[Any]:
    """Return what may be asked for: numbers in ascending order, and others as they come."""
    values = [
        spaces.label(v) if name == "space" else v.choices[name] for v in found if name in v.choices
    ]
    # A stable sort: texts share one key, and so stay in the entry's order, behind the numbers.
    return sorted(dict.fromkeys(values), key=lambda v: v if isinstance(v, int) else float("inf"))
