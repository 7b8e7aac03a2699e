"""Options that change the parcels of an atlas."""

import dataclasses
import functools
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

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
    merge: Annotated[
        str | None, _EDITED("COLUMN", "Those of one value are one: network, or of --labels.")
    ] = None
    rename: Annotated[
        list[str] | None, _EDITED("OLD=NEW", "A name or key to its new name; repeatable.")
    ] = None
    renumber: Annotated[
        bool, _EDITED("", "New keys 1, 2, ... through all compartments.", "--renumber")
    ] = False
    drop_empty: Annotated[
        bool, _EDITED("", "Leave out those without a location, at last.", "--drop-empty")
    ] = False

    def of(self, atlas: "Atlas") -> "Atlas":
        """Return `atlas` with parcels split, merged, renamed and renumbered."""
        from atlasinit import editing, splitting

        if self.split is not None:
            atlas = splitting.split_parcels(atlas, self.split)
        if self.merge is not None:
            atlas = editing.merge_parcels(atlas, self.merge)
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
        return editing.renumber_parcels(atlas) if self.renumber else atlas


def _mark_name(text: str, names: Sequence[str]) -> str:
    """Return OLD=NEW with a mark for the = behind a name that there is, the longest of several."""
    ends = [match.start() for match in re.finditer("=", text) if text[: match.start()] in names]
    at = max(ends, default=text.find("="))
    return text if at < 0 else f"{text[:at]}{_MARK}{text[at + 1 :]}"
