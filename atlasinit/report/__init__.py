"""One self-contained HTML page on an atlas: what it is, how it looks, what data of it hold."""

from atlasinit.report.building import generate_report
from atlasinit.report.page import Report

__all__ = [
    "Report",
    "generate_report",
]


def __dir__() -> list[str]:
    return __all__
