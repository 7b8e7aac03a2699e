"""HTML pages that need nothing beside themselves: filled, written, shown in notebooks."""

import base64
import functools
import gzip
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


def fill_template(package: str, template: str, *, script: str, **content: Any) -> str:
    """Return the page of a template of a package, with every text of `content` escaped.

    The template finds its script as ``script``, and as ``script_digest`` what lets this script
    alone run by a Content-Security-Policy: names out of files that look like one would not, even
    if they were not escaped.
    """
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = _environment(package).get_template(template)
    return page.render(script=script, script_digest=digest, **content)


@functools.cache
def read_part(package: str, name: str) -> str:
    """Return the text of a file among the templates of a package."""
    return (resources.files(package) / "templates" / name).read_text(encoding="utf-8")


def encode_gzip(data: bytes) -> str:
    """Return bytes as gzip in base64, which a page can hold; the same for the same bytes."""
    # No time in the header.
    return base64.b64encode(gzip.compress(data, 6, mtime=0)).decode()


def target_of(path: PathLike, *, overwrite: bool) -> Path:
    """Return the path of a page that is to be written.

    Raises
    ------
    ValueError
        Another extension than ``.html`` or ``.htm``.
    AtlasFileError
        A file that exists, unless `overwrite`, or a folder that does not.
    """
    target = expand(path)
    if target.suffix.lower() not in (".html", ".htm"):
        raise ArgumentError("path", f"should end in .html, got {target.name!r}")
    check_target(target, overwrite=overwrite)
    return target


def write_page(html: str, path: PathLike, *, overwrite: bool) -> Path:
    """Write a page, which appears under its name once it is whole; raise as `target_of`."""
    target = target_of(path, overwrite=overwrite)
    with atomic_write(target, overwrite=overwrite) as temporary:
        # A file may be called by bytes that are no text, which no page can hold.
        temporary.write_bytes(html.encode("utf-8", "backslashreplace"))
    return target


def open_page(html: str, name: str) -> Path:
    """Write a page to a temporary folder, open it in the browser, and return its path."""
    path = write_page(html, Path(tempfile.mkdtemp(prefix="atlasinit-")) / name, overwrite=False)
    webbrowser.open(path.as_uri())
    return path


def frame_page(html: str, title: str) -> str:
    """Return a page as a frame for notebooks.

    A frame keeps the page's style from the notebook's, and both scripts apart.
    """
    return (
        f'<iframe title="{markup.escape(title)}" srcdoc="{markup.escape(html)}" '
        'sandbox="allow-scripts" style="width: 100%; height: 80vh; border: 0"></iframe>'
    )


@functools.cache
def _environment(package: str) -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(package),
        autoescape=True,
        # A name that the template misspells is an error, not an empty text.
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["format_number"] = format_number
    return environment
