"""Atlases on a page of their own, turned, sliced and picked with the mouse, by NiiVue."""

from atlasinit.viewer.page import AtlasView
from atlasinit.viewer.viewing import view_atlas

__all__ = ["AtlasView", "view_atlas"]


def __dir__() -> list[str]:
    return __all__
