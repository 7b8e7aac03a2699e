"""Reading and writing atlases, tables and data."""

from atlasinit.io.contents import LabelRow
from atlasinit.io.data import open_data
from atlasinit.io.formats.parcellated import write_parcellated
from atlasinit.io.overlay.masks import read_mask
from atlasinit.io.reading import read_atlas
from atlasinit.io.saving import save_atlas
from atlasinit.io.tables.reading import read_table, write_table
from atlasinit.io.values import DataSource

__all__ = [
    "DataSource",
    "LabelRow",
    "open_data",
    "read_atlas",
    "read_mask",
    "read_table",
    "save_atlas",
    "write_parcellated",
    "write_table",
]


def __dir__() -> list[str]:
    return __all__
