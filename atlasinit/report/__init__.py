"""One self-contained HTML page on an atlas: what it is, how it looks, what data of it hold."""

from typing import TYPE_CHECKING

from atlasinit.support.lazy import export_lazily as _export_lazily

if TYPE_CHECKING:
    from atlasinit.report.building import generate_report as generate_report
    from atlasinit.report.page import Report as Report

_HOMES = {
    "Report": "page",
    "generate_report": "building",
}

__getattr__, __dir__, __all__ = _export_lazily(__name__, _HOMES)
