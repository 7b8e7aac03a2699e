"""Parcellation layers from brain atlases.

What reads files, smooths or draws is imported when it is first used, so that
``import atlasinit`` costs little more than ``import jax``.
"""

import importlib
from typing import TYPE_CHECKING

from atlasinit.atlas import Atlas as Atlas
from atlasinit.errors import AtlasFileError as AtlasFileError
from atlasinit.errors import AtlasUnavailableError as AtlasUnavailableError
from atlasinit.errors import AtlasWarning as AtlasWarning
from atlasinit.geometry import SurfaceMesh as SurfaceMesh
from atlasinit.geometry import VolumeGrid as VolumeGrid
from atlasinit.labels import LabelTable as LabelTable
from atlasinit.maps import DenseMaps as DenseMaps
from atlasinit.maps import HardMaps as HardMaps
from atlasinit.maps import SparseMaps as SparseMaps
from atlasinit.provenance import Provenance as Provenance

if TYPE_CHECKING:
    from atlasinit import activities as activities
    from atlasinit import domains as domains
    from atlasinit import initializers as initializers
    from atlasinit import smoothing as smoothing
    from atlasinit.catalogue import fetch_atlases as fetch_atlases
    from atlasinit.catalogue import list_atlases as list_atlases
    from atlasinit.initializers import dirichlet_atlas as dirichlet_atlas
    from atlasinit.io import save_atlas as save_atlas
    from atlasinit.loading import join as join
    from atlasinit.loading import load_atlas as load_atlas
    from atlasinit.masker import AtlasMasker as AtlasMasker
    from atlasinit.nn import AtlasLinear as AtlasLinear
    from atlasinit.projection import back_project as back_project
    from atlasinit.projection import coverage as coverage
    from atlasinit.projection import project as project
    from atlasinit.resampling import resample as resample
    from atlasinit.smoothing import smooth as smooth
    from atlasinit.smoothing import smoothing_operator as smoothing_operator

__version__ = "0.1.0"

_HOMES = {
    "AtlasLinear": "nn",
    "AtlasMasker": "masker",
    "back_project": "projection",
    "coverage": "projection",
    "dirichlet_atlas": "initializers",
    "fetch_atlases": "catalogue",
    "list_atlases": "catalogue",
    "join": "loading",
    "load_atlas": "loading",
    "project": "projection",
    "resample": "resampling",
    "save_atlas": "io",
    "smooth": "smoothing",
    "smoothing_operator": "smoothing",
}
_MODULES = ("activities", "domains", "initializers", "smoothing")


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return importlib.import_module(f"atlasinit.{name}")
    if name in _HOMES:
        return getattr(importlib.import_module(f"atlasinit.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'atlasinit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES, *_MODULES})
