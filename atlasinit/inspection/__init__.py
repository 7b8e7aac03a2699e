"""What files are, state and hold, and what is odd about them, before they are used."""

from atlasinit.inspection.checking import check_file, check_files
from atlasinit.inspection.findings import FileReport, FilesReport, Finding

__all__ = ["FileReport", "FilesReport", "Finding", "check_file", "check_files"]


def __dir__() -> list[str]:
    return __all__
