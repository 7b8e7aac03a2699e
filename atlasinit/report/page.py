"""The page as it is written, shown in notebooks and opened in a browser."""

import base64
import dataclasses
import functools
import hashlib
import html as markup
import tempfile
import webbrowser
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from atlasinit.errors import ArgumentError
from atlasinit.support.files import expand
from atlasinit.support.formatting import format_number
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write, check_target

if TYPE_CHECKING:
    from jinja2 import Environment


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
        target = target_of(path, overwrite=overwrite)
        with atomic_write(target, overwrite=overwrite) as temporary:
            temporary.write_text(self.html, encoding="utf-8")
        return target

    def open_in_browser(self) -> Path:
        """Write the page to a temporary file, open it in the browser, and return its path."""
        folder = Path(tempfile.mkdtemp(prefix="atlasinit-"))
        path = self.save(folder / "report.html")
        webbrowser.open(path.as_uri())
        return path

    def _repr_html_(self) -> str:
        # A frame of its own keeps the page's style from the notebook's, and both scripts apart.
        return (
            f'<iframe title="{markup.escape(self.title)}" srcdoc="{markup.escape(self.html)}" '
            'sandbox="allow-scripts" style="width: 100%; height: 80vh; border: 0"></iframe>'
        )


def target_of(path: PathLike, *, overwrite: bool) -> Path:
    """Return the path of a page that is to be written, or raise as `Report.save`."""
    target = expand(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError("path", f"should end in .html, got {target.name!r}")
    check_target(target, overwrite=overwrite)
    return target


def render(template: str, **content: Any) -> str:
    """Return the page of a template, with every text of `content` escaped."""
    script, style = _part("page.js"), _part("page.css")
    # The page forbids every script but the one of this hash (its Content-Security-Policy), so that
    # names out of files that look like one would not run even if they were not escaped.
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _environment().get_template(template)
    return page.render(script=script, script_digest=digest, style=style, **content)


@functools.cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("atlasinit.report"),
        autoescape=True,
        # A name that the template misspells is an error, not an empty text.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["format_number"] = format_number
    return environment


@functools.cache
def _part(name: str) -> str:
    return (resources.files("atlasinit.report") / "templates" / name).read_text(encoding="utf-8")
