"""Parcellation layers from brain atlases.

Every name is imported when it is first used, so that ``import atlasinit`` costs nothing
and ``atlasinit list`` does not wait for JAX.
"""

from typing import TYPE_CHECKING

from atlasinit.support.lazy import export_lazily as _export_lazily
from atlasinit.support.version import __version__ as __version__

if TYPE_CHECKING:
    from atlasinit import activities as activities
    from atlasinit import domains as domains
    from atlasinit import extraction as extraction
    from atlasinit import figures as figures
    from atlasinit import initializers as initializers
    from atlasinit import inspection as inspection
    from atlasinit import io as io
    from atlasinit import measures as measures
    from atlasinit import nullmodels as nullmodels
    from atlasinit import penalties as penalties
    from atlasinit import refinement as refinement
    from atlasinit import sampling as sampling
    from atlasinit import smoothing as smoothing
    from atlasinit.catalogue import add_surfaces as add_surfaces
    from atlasinit.catalogue import fetch_atlases as fetch_atlases
    from atlasinit.catalogue import list_atlases as list_atlases
    from atlasinit.comparison import Comparison as Comparison
    from atlasinit.comparison import compare as compare
    from atlasinit.connectomes import connectome as connectome
    from atlasinit.core.atlas import Atlas as Atlas
    from atlasinit.core.geometry import SurfaceMesh as SurfaceMesh
    from atlasinit.core.geometry import VolumeGrid as VolumeGrid
    from atlasinit.core.labels import LabelTable as LabelTable
    from atlasinit.core.maps import DenseMaps as DenseMaps
    from atlasinit.core.maps import HardMaps as HardMaps
    from atlasinit.core.maps import SparseMaps as SparseMaps
    from atlasinit.core.provenance import Provenance as Provenance
    from atlasinit.editing import drop_small_parcels as drop_small_parcels
    from atlasinit.editing import merge_parcels as merge_parcels
    from atlasinit.editing import rename_parcels as rename_parcels
    from atlasinit.editing import renumber_parcels as renumber_parcels
    from atlasinit.editing import reorder_parcels as reorder_parcels
    from atlasinit.errors import ArgumentError as ArgumentError
    from atlasinit.errors import ArgumentTypeError as ArgumentTypeError
    from atlasinit.errors import AtlasFileError as AtlasFileError
    from atlasinit.errors import AtlasUnavailableError as AtlasUnavailableError
    from atlasinit.errors import AtlasWarning as AtlasWarning
    from atlasinit.extraction import extract as extract
    from atlasinit.figures import plot_atlas as plot_atlas
    from atlasinit.figures import plot_connectome as plot_connectome
    from atlasinit.figures import plot_matrix as plot_matrix
    from atlasinit.figures import plot_series as plot_series
    from atlasinit.initializers import dirichlet_atlas as dirichlet_atlas
    from atlasinit.inspection import FileReport as FileReport
    from atlasinit.inspection import FilesReport as FilesReport
    from atlasinit.inspection import check_file as check_file
    from atlasinit.inspection import check_files as check_files
    from atlasinit.io import save_atlas as save_atlas
    from atlasinit.io import save_labels as save_labels
    from atlasinit.io import save_masks as save_masks
    from atlasinit.io import save_matrix as save_matrix
    from atlasinit.io import save_values as save_values
    from atlasinit.joining import join as join
    from atlasinit.loading import load_atlas as load_atlas
    from atlasinit.masker import AtlasMasker as AtlasMasker
    from atlasinit.nn import AtlasLinear as AtlasLinear
    from atlasinit.nullmodels import nulls as nulls
    from atlasinit.nullmodels import spin_test as spin_test
    from atlasinit.nullmodels import spins as spins
    from atlasinit.projection import back_project as back_project
    from atlasinit.projection import coverage as coverage
    from atlasinit.projection import project as project
    from atlasinit.refinement import cluster_atlas as cluster_atlas
    from atlasinit.refinement import refine as refine
    from atlasinit.report import Report as Report
    from atlasinit.report import generate_report as generate_report
    from atlasinit.resampling import resample as resample
    from atlasinit.resampling import resample_data as resample_data
    from atlasinit.resampling import resampling_operator as resampling_operator
    from atlasinit.resampling import to_grayordinates as to_grayordinates
    from atlasinit.reshaping import dilate_parcels as dilate_parcels
    from atlasinit.reshaping import erode_parcels as erode_parcels
    from atlasinit.sampling import sampling_operator as sampling_operator
    from atlasinit.sampling import to_surface as to_surface
    from atlasinit.sampling import to_volume as to_volume
    from atlasinit.seeding import sphere_atlas as sphere_atlas
    from atlasinit.smoothing import smooth as smooth
    from atlasinit.smoothing import smoothing_operator as smoothing_operator
    from atlasinit.splitting import split_parcels as split_parcels
    from atlasinit.tessellation import equal_area_atlas as equal_area_atlas
    from atlasinit.tessellation import icosahedral_atlas as icosahedral_atlas
    from atlasinit.tessellation import voronoi_atlas as voronoi_atlas
    from atlasinit.transforms import Transform as Transform
    from atlasinit.viewer import AtlasView as AtlasView
    from atlasinit.viewer import view_atlas as view_atlas

_HOMES = {
    "add_surfaces": "catalogue",
    "Atlas": "core.atlas",
    "ArgumentError": "errors",
    "ArgumentTypeError": "errors",
    "AtlasFileError": "errors",
    "AtlasLinear": "nn",
    "AtlasMasker": "masker",
    "AtlasUnavailableError": "errors",
    "AtlasView": "viewer",
    "AtlasWarning": "errors",
    "back_project": "projection",
    "check_file": "inspection",
    "check_files": "inspection",
    "cluster_atlas": "refinement",
    "compare": "comparison",
    "Comparison": "comparison",
    "connectome": "connectomes",
    "coverage": "projection",
    "DenseMaps": "core.maps",
    "dilate_parcels": "reshaping",
    "dirichlet_atlas": "initializers",
    "drop_small_parcels": "editing",
    "erode_parcels": "reshaping",
    "equal_area_atlas": "tessellation",
    "extract": "extraction",
    "FileReport": "inspection",
    "FilesReport": "inspection",
    "fetch_atlases": "catalogue",
    "generate_report": "report",
    "HardMaps": "core.maps",
    "icosahedral_atlas": "tessellation",
    "join": "joining",
    "LabelTable": "core.labels",
    "list_atlases": "catalogue",
    "load_atlas": "loading",
    "merge_parcels": "editing",
    "nulls": "nullmodels",
    "plot_atlas": "figures",
    "plot_connectome": "figures",
    "plot_matrix": "figures",
    "plot_series": "figures",
    "project": "projection",
    "Provenance": "core.provenance",
    "refine": "refinement",
    "rename_parcels": "editing",
    "renumber_parcels": "editing",
    "reorder_parcels": "editing",
    "Report": "report",
    "resample": "resampling",
    "resample_data": "resampling",
    "resampling_operator": "resampling",
    "sampling_operator": "sampling",
    "save_atlas": "io",
    "save_labels": "io",
    "save_masks": "io",
    "save_matrix": "io",
    "save_values": "io",
    "smooth": "smoothing",
    "smoothing_operator": "smoothing",
    "SparseMaps": "core.maps",
    "spin_test": "nullmodels",
    "spins": "nullmodels",
    "sphere_atlas": "seeding",
    "split_parcels": "splitting",
    "SurfaceMesh": "core.mesh",
    "to_grayordinates": "resampling",
    "to_surface": "sampling",
    "to_volume": "sampling",
    "Transform": "transforms",
    "VolumeGrid": "core.grid",
    "view_atlas": "viewer",
    "voronoi_atlas": "tessellation",
}
_MODULES = (
    "activities",
    "domains",
    "extraction",
    "figures",
    "initializers",
    "inspection",
    "io",
    "measures",
    "nullmodels",
    "penalties",
    "refinement",
    "sampling",
    "smoothing",
)

__getattr__, __dir__, __all__ = _export_lazily(__name__, _HOMES, _MODULES)
