"""The page as it is written, shown in notebooks and opened in a browser."""

import dataclasses
from pathlib import Path
from typing import Any

from atlasinit.support.pages import fill_template, frame_page, open_page, read_part, write_page
from atlasinit.support.typing import PathLike


@dataclasses.dataclass(frozen=True)
class Report:
    """An HTML page that needs nothing beside itself, made by `generate_report`.

    The last line of a notebook's cell shows it. Corresponds to nilearn's ``HTMLReport``.

    Parameters
    ----------
    title
        Of the page.
    html
        The whole page.
    findings
        What the page says is worth a look, a sentence each.
    """

    title: str
    html: str = dataclasses.field(repr=False)
    findings: tuple[str, ...] = ()

    def save(self, path: PathLike, *, overwrite: bool = False) -> Path:
        """Write the page, and return its path.

        Parameters
        ----------
        path
            Ends in ``.html`` or ``.htm``. The file appears under its name once it is whole.
        overwrite
            Whether an existing file is replaced.

        Raises
        ------
        ValueError
            Another extension.
        AtlasFileError
            A file that exists, unless `overwrite`, or a folder that does not.
        """
        return write_page(self.html, path, overwrite=overwrite)

    def open_in_browser(self) -> Path:
        """Write the page to a temporary file, open it in the browser, and return its path."""
        return open_page(self.html, "report.html")

    def _repr_html_(self) -> str:
        return frame_page(self.html, self.title)


def render(template: str, **content: Any) -> str:
    """Return the page of a template, with every text of `content` escaped."""
    script, style = (read_part("atlasinit.report", name) for name in ("page.js", "page.css"))
    return fill_template("atlasinit.report", template, script=script, style=style, **content)
