"""Null models of parcellations and of values on them: what would be found by chance."""

from typing import TYPE_CHECKING

from atlasinit.support.lazy import export_lazily as _export_lazily

if TYPE_CHECKING:
    from atlasinit.nullmodels.rotations import draw_rotations as draw_rotations
    from atlasinit.nullmodels.spinning import Spins as Spins
    from atlasinit.nullmodels.spinning import spins as spins

_HOMES = {
    "draw_rotations": "rotations",
    "spins": "spinning",
    "Spins": "spinning",
}

__getattr__, __dir__, __all__ = _export_lazily(__name__, _HOMES)
