"""The data that come with the package, as TOML."""

import re
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

from atlasinit.errors import AtlasFileError


def data_folder() -> Path:
    """Return the folder of the package's data, of the installed package or of the checkout."""
    # A wheel has the folder inside of the package; a checkout, installed to be edited, beside it.
    packaged = Path(str(resources.files("atlasinit"))) / "data"
    return packaged if packaged.is_dir() else packaged.parent.parent / "data"


def load_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file.

    Raises
    ------
    AtlasFileError
        A file that is missing or no TOML.
    """
    # Not by `atlasinit.io.files`, whose imports would take most of the time of `atlasinit list`.
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise AtlasFileError(path, f"could not be read as TOML: {error}") from error


def normalise_name(name: str) -> str:
    """Return a name without case and punctuation."""
    return re.sub(r"[^a-z0-9]", "", name.lower())
