"""One self-contained HTML page on an atlas: what it is, how it looks, what data of it hold."""

from atlasinit.report.building import generate_report as generate_report
from atlasinit.report.page import Report as Report
