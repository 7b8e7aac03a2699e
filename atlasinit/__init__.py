"""Parcellation layers from brain atlases."""

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

__version__ = "0.1.0"
