"""Where the locations of a compartment lie: voxels of a grid, or vertices of a mesh.

Both classes are immutable, compare by value and hash by content, so that they
can be static parts of a pytree: a jitted function is compiled once for equal
geometries.
"""

from typing import TypeAlias

from atlasinit.core.grid import VolumeGrid as VolumeGrid
from atlasinit.core.locations import Hemisphere as Hemisphere
from atlasinit.core.mesh import SurfaceMesh as SurfaceMesh
from atlasinit.core.mesh import triangle_normals as triangle_normals
from atlasinit.core.mesh import triangle_vertex_areas as triangle_vertex_areas

Geometry: TypeAlias = VolumeGrid | SurfaceMesh
