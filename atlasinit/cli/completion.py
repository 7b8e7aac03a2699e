"""What the shell offers for the next word: names and choices of the catalogue.

``ctx`` is typer's context, of which the options read so far are used.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from atlasinit.catalogue.entries import Variant


def atlases(incomplete: str) -> list[tuple[str, str]]:
    """Return names and aliases of atlases, with their titles; files where none fits."""
    from atlasinit.catalogue.entries import catalogue

    return [
        (name, entry.title)
        for entry in catalogue().values()
        for name in (entry.name, *entry.aliases)
        if name.startswith(incomplete.lower())
    ]


def spaces(ctx: Any, incomplete: str) -> list[str]:
    """Return the spaces of the atlases named so far, or of all."""
    from atlasinit.catalogue.spaces import label

    return _keep_matching((label(variant) for variant in _variants(ctx)), incomplete)


def sources(incomplete: str) -> list[str]:
    """Return the sources of atlases."""
    from atlasinit.catalogue.sources.registry import SOURCES

    return _keep_matching(iter(SOURCES), incomplete)


def meshes(incomplete: str) -> list[str]:
    """Return the spaces of surfaces; files where none fits."""
    from atlasinit.catalogue.spaces import spheres_by_space

    return _keep_matching(iter(spheres_by_space()), incomplete)


def reductions(incomplete: str) -> list[str]:
    """Return the names of reductions."""
    from atlasinit.projection import REDUCTIONS

    return _keep_matching(iter(REDUCTIONS), incomplete)


def values_of(axis: str) -> Callable[[Any, str], list[str]]:
    """Return what completes an axis such as ``"parcels"`` for the atlases named so far."""

    def complete(ctx: Any, incomplete: str) -> list[str]:
        values = (v.values[axis] for v in _variants(ctx) if axis in v.values)
        return _keep_matching(values, incomplete)

    return complete


def _variants(ctx: Any) -> Iterator["Variant"]:
    """Yield the variants of the atlases named so far that are in the space stated so far."""
    from atlasinit.catalogue.entries import catalogue, names, variants
    from atlasinit.core.spaces import parse_space
    from atlasinit.support.resources import normalise_name

    # The line is not whole yet: names may be files, or of no atlas, and are passed over then.
    stated, space = ctx.params.get("names") or [], ctx.params.get("space")
    own = [names()[normalise_name(name)] for name in stated if normalise_name(name) in names()]
    # A density in the name is not compared, since its own option is completed from these too.
    template = parse_space(space)[0] if space else None
    for entry in own or catalogue():
        for variant in variants(catalogue()[entry]):
            if template is None or variant.space == template:
                yield variant


def _keep_matching(values: Iterator[object], incomplete: str) -> list[str]:
    # In the catalogue's order, which is one of preference.
    distinct = dict.fromkeys(str(value) for value in values)
    return [value for value in distinct if value.lower().startswith(incomplete.lower())]
