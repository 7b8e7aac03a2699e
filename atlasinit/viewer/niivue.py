"""NiiVue, out of the installed package ipyniivue."""

import dataclasses
import functools
import importlib.metadata
import importlib.util
import re
from pathlib import Path

from atlasinit.errors import ArgumentError
from atlasinit.support.pages import encode_gzip

# The package's module exports a widget of notebooks alone. The one place where it makes a NiiVue
# says how its class is called in this version.
_MADE = re.compile(r'"Creating new Niivue instance"\);.{0,300}?=new ([\w$]+)\(', re.DOTALL)
_EXPORTS = re.compile(r"export\s*\{[^{}]*\};?\s*$")


@dataclasses.dataclass(frozen=True)
class NiiVue:
    """The script of a page that shows volumes and meshes.

    Parameters
    ----------
    packed
        A module of JavaScript that exports the class ``Niivue``, as gzip in base64.
    version
        Of ipyniivue.
    licence
        The whole text, which has to travel with the script.
    """

    packed: str = dataclasses.field(repr=False)
    version: str
    licence: str = dataclasses.field(repr=False)


def find_niivue() -> NiiVue:
    """Return NiiVue; the package is not imported, which would take anywidget and IPython.

    Raises
    ------
    ValueError
        No ipyniivue, or one whose script is laid out otherwise.
    """
    spec = importlib.util.find_spec("ipyniivue")
    if spec is None or spec.origin is None:
        raise ArgumentError(
            "atlas",
            ": views need the package ipyniivue",
            'install it by `pip install "atlasinit[view]"`',
        )
    return _read(Path(spec.origin).parent / "static" / "widget.js")


@functools.lru_cache(maxsize=1)
def _read(path: Path) -> NiiVue:
    stated = importlib.metadata.distribution("ipyniivue")
    text = path.read_text(encoding="utf-8")
    made, exports = _MADE.search(text), _EXPORTS.search(text)
    if made is None or exports is None:
        raise ArgumentError(
            "atlas",
            f": NiiVue was not found in ipyniivue {stated.version}",
            'install another version: pip install "ipyniivue==2.4.4"',
        )
    script = f"{text[: exports.start()]}export{{{made[1]} as Niivue}};"
    licence = stated.read_text("licenses/LICENSE") or stated.read_text("LICENSE") or "BSD-2-Clause"
    return NiiVue(encode_gzip(script.encode()), stated.version, licence)
