"""Reading and writing atlases, tables and data."""

from atlasinit.io.contents import LabelRow as LabelRow
from atlasinit.io.data import DataSource as DataSource
from atlasinit.io.data import open_data as open_data
from atlasinit.io.formats.parcellated import write_parcellated as write_parcellated
from atlasinit.io.overlay.masks import read_mask as read_mask
from atlasinit.io.reading import read_atlas as read_atlas
from atlasinit.io.saving import save_atlas as save_atlas
from atlasinit.io.tables.reading import read_table as read_table
from atlasinit.io.tables.reading import write_table as write_table
