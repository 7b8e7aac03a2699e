"""Null models of parcellations and of values on them: what would be found by chance."""

from typing import TYPE_CHECKING

from atlasinit.support.lazy import export_lazily as _export_lazily

if TYPE_CHECKING:
    from atlasinit.nullmodels.maps import NullMaps as NullMaps
    from atlasinit.nullmodels.maps import nulls as nulls
    from atlasinit.nullmodels.maps import spin_test as spin_test
    from atlasinit.nullmodels.rotations import draw_rotations as draw_rotations
    from atlasinit.nullmodels.spinning import Spins as Spins
    from atlasinit.nullmodels.spinning import spins as spins
    from atlasinit.nullmodels.testing import NullTest as NullTest

_HOMES = {
    "draw_rotations": "rotations",
    "NullMaps": "maps",
    "nulls": "maps",
    "NullTest": "testing",
    "spin_test": "maps",
    "spins": "spinning",
    "Spins": "spinning",
}

__getattr__, __dir__, __all__ = _export_lazily(__name__, _HOMES)
