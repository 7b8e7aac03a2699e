"""Options that change the parcels of an atlas."""

import dataclasses
import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from atlasinit.cli.options import panel
from atlasinit.cli.values import parse_key, parse_pairs
from atlasinit.errors import ArgumentError, ArgumentTypeError

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas

_EDITED = functools.partial(panel, "What becomes of the parcels")


_MARK = "\0"
"""Between a name and a new one, of which both may hold a =."""


@dataclasses.dataclass(frozen=True)
class Editing:
    """What becomes of the parcels of an atlas, in this order."""

    split: Annotated[
        Literal["midline", "pieces"] | None,
        _EDITED("HOW", "Those of both sides (midline), or of several pieces, are several."),
    ] = None
    erode: Annotated[
        float | None, _EDITED("MM", "Labels this near to the border of their parcel are lost.")
    ] = None
    dilate: Annotated[
        float | None, _EDITED("MM", "What is of no parcel goes to the nearest within this; inf.")
    ] = None
    within: Annotated[
        Path | None, _EDITED("IMAGE", "The mask that --dilate stays in; else all of the grid.")
    ] = None
    merge: Annotated[
        str | None, _EDITED("COLUMN", "Those of one value are one: network, or of --labels.")
    ] = None
    merge_level: Annotated[
        int | None,
        _EDITED(
            "N", "Those of one structure, N steps below the root of the hierarchy of --labels."
        ),
    ] = None
    rename: Annotated[
        list[str] | None, _EDITED("OLD=NEW", "A name or key to its new name; repeatable.")
    ] = None
    min_locations: Annotated[
        int | None, _EDITED("N", "Leave out parcels of fewer voxels or vertices.")
    ] = None
    order: Annotated[
        str | None, _EDITED("COLUMN", "Sort the rows by it: name, key, network, ...")
    ] = None
    renumber: Annotated[
        bool, _EDITED("", "New keys 1, 2, ... through all compartments.", "--renumber")
    ] = False
    drop_empty: Annotated[
        bool, _EDITED("", "Leave out those without a location, at last.", "--drop-empty")
    ] = False

    def of(self, atlas: "Atlas") -> "Atlas":
        """Return `atlas` with what is asked for done, in the order of the options."""
        from atlasinit import editing, reshaping, splitting

        if self.within is not None and self.dilate is None:
            raise ArgumentError("within", "is for --dilate", "pass both, or neither")
        if self.split is not None:
            atlas = splitting.split_parcels(atlas, self.split)
        if self.erode is not None:
            atlas = _tell("erode", reshaping.erode_parcels, atlas, self.erode)
        if self.dilate is not None:
            atlas = _tell(
                "dilate", reshaping.dilate_parcels, atlas, self.dilate, within=self.within
            )
        if self.merge is not None:
            atlas = editing.merge_parcels(atlas, self.merge)
        if self.merge_level is not None:
            atlas = _tell("merge_level", editing.merge_parcels, atlas, level=self.merge_level)
        if self.rename:
            texts = [_mark_name(text, atlas.table["name"]) for text in self.rename]
            pairs = parse_pairs(texts, "rename", mark=_MARK)
            try:
                atlas = editing.rename_parcels(
                    atlas, {parse_key(old): new for old, new in pairs.items()}
                )
            except (ArgumentError, ArgumentTypeError) as error:
                # `names` are those of atlases here.
                raise error.of("rename") from error
        if self.min_locations is not None:
            least = self.min_locations
            atlas = _tell("min_locations", editing.drop_small_parcels, atlas, locations=least)
        if self.order is not None:
            atlas = _tell("order", editing.reorder_parcels, atlas, self.order)
        return editing.renumber_parcels(atlas) if self.renumber else atlas


_OWN = ("distance", "locations", "by", "level")
"""Arguments that are called otherwise here."""


def _tell(option: str, edit: Callable[..., "Atlas"], *arguments: Any, **further: Any) -> "Atlas":
    """Return what `edit` returns; what it says of its own argument is of the option."""
    try:
        return edit(*arguments, **further)
    except (ArgumentError, ArgumentTypeError) as error:
        raise (error.of(option) if error.argument in _OWN else error) from error


def _mark_name(text: str, names: Sequence[str]) -> str:
    """Return OLD=NEW with a mark for the = behind a name that there is, the longest of several."""
    ends = [match.start() for match in re.finditer("=", text) if text[: match.start()] in names]
    at = max(ends, default=text.find("="))
    return text if at < 0 else f"{text[:at]}{_MARK}{text[at + 1 :]}"
