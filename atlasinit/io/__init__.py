"""Reading and writing atlases, tables and data."""

from atlasinit.io.contents import LabelRow
from atlasinit.io.data import open_data
from atlasinit.io.graphs import to_graph
from atlasinit.io.mask_files import save_masks
from atlasinit.io.overlay.masks import read_mask
from atlasinit.io.parcel_matrices import read_matrix, save_matrix
from atlasinit.io.reading import read_atlas
from atlasinit.io.saving import save_atlas, save_values, write_parcellated
from atlasinit.io.tables.exporting import save_labels
from atlasinit.io.tables.parcel_values import read_values, write_table
from atlasinit.io.tables.reading import read_table
from atlasinit.io.values import DataSource

__all__ = [
    "DataSource",
    "LabelRow",
    "open_data",
    "read_atlas",
    "read_mask",
    "read_matrix",
    "read_table",
    "read_values",
    "save_atlas",
    "save_labels",
    "save_masks",
    "save_matrix",
    "save_values",
    "to_graph",
    "write_parcellated",
    "write_table",
]


def __dir__() -> list[str]:
    return __all__
