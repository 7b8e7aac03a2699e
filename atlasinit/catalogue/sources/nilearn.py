"""nilearn's ``fetch_atlas_*`` behind one kind of answer."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.transfer.downloading import reason
from atlasinit.errors import AtlasUnavailableError

_VARIABLES = ("NILEARN_SHARED_DATA", "NILEARN_DATA")


@dataclasses.dataclass(frozen=True, eq=False)
class Fetched:
    """What a fetcher answered, as the readers take it.

    Parameters
    ----------
    maps
        A path, or compartment to path.
    labels
        A table (``pandas.DataFrame``), key to name, or None.
    """

    maps: Path | dict[str, Path]
    labels: Any = None


def data_folders() -> list[Path]:
    """Return the folders that nilearn looks for its data in."""
    stated = [p for v in _VARIABLES for p in os.environ.get(v, "").split(os.pathsep) if p]
    return [Path(p).expanduser() for p in [*stated, "~/nilearn_data"]]


def is_offline(variant: Variant) -> bool:
    """Whether the files of a variant are in one of nilearn's folders."""
    marker = variant.fill(variant.source.folder)
    return any(
        found.is_dir() or found.stat().st_size > 0
        for folder in data_folders()
        for found in folder.glob(marker)
    )


def fetch(variant: Variant, scratch: Path, *, allow_download: bool = True) -> Fetched:
    """Call the fetcher of a variant; images that it makes in memory are written to `scratch`.

    Raises
    ------
    AtlasUnavailableError
        The files are not on this machine and could not be fetched.
    """
    name = variant.source.fetcher
    if not allow_download and not is_offline(variant):
        marker = data_folders()[-1] / variant.fill(variant.source.folder)
        raise AtlasUnavailableError(f"{marker}: not on this machine (nilearn's {name}).")
    arguments = {key: _argument(variant, value) for key, value in variant.source.arguments.items()}
    return _fetched(variant, _call(name, arguments), scratch)


def _call(name: str, arguments: Mapping[str, Any]) -> Any:
    from nilearn import datasets

    try:
        return getattr(datasets, name)(**arguments, verbose=0)
    except (OSError, RuntimeError) as error:
        raise AtlasUnavailableError(f"nilearn.datasets.{name}: {reason(error)}.") from error


def _argument(variant: Variant, value: Any) -> Any:
    filled = variant.fill(value) if isinstance(value, str) else value
    return int(filled) if isinstance(filled, str) and filled.isdigit() else filled


def _fetched(variant: Variant, answer: Any, scratch: Path) -> Fetched:
    if "map_left" in answer:
        maps = {
            "cortex_L": _written(answer["map_left"], scratch / "left"),
            "cortex_R": _written(answer["map_right"], scratch / "right"),
        }
        return Fetched(maps, dict(enumerate(_names(answer["labels"]))))
    field = answer[variant.source.field]
    return Fetched(_written(field, scratch / "maps"), _labels(answer, variant.source.kind))


def _written(maps: Any, stem: Path) -> Path:
    """Return the file of a path, an image or an array."""
    import numpy as np

    if isinstance(maps, str | os.PathLike):
        return Path(maps)
    if isinstance(maps, np.ndarray):
        np.save(stem.with_suffix(".npy"), maps)
        return stem.with_suffix(".npy")
    maps.to_filename(stem.with_suffix(".nii"))
    return stem.with_suffix(".nii")


def _labels(answer: Mapping[str, Any], kind: str) -> Any:
    """Return the table of an answer: labels as they are keyed, maps by position from 1."""
    labels, table = answer.get("labels"), answer.get("lut")
    if kind == "hard":
        if table is not None:
            return table
        return None if labels is None or not len(labels) else dict(enumerate(_names(labels)))
    if labels is None or not len(labels):
        return None
    names = _names(labels)
    names = names[1:] if names[0].lower() == "background" else names
    networks = answer.get("networks")
    if networks is None or len(networks) != len(names):
        return dict(enumerate(names, start=1))
    import pandas as pd

    keys = range(1, len(names) + 1)
    return pd.DataFrame({"index": keys, "name": names, "network": [str(n) for n in networks]})


def _names(labels: Any) -> list[str]:
    """Return the names of a list, or of the column of a table that holds them."""
    if hasattr(labels, "columns"):
        column = next(c for c in labels.columns if str(c).lower().endswith(("name", "names")))
        labels = labels[column]
    named: Sequence[Any] = list(labels)
    return [n.decode() if isinstance(n, bytes) else str(n) for n in named]
