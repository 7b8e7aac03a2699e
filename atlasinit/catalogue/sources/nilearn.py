"""nilearn's ``fetch_atlas_*`` behind one kind of answer."""

import contextlib
import importlib.metadata
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atlasinit.catalogue.entries import Variant
from atlasinit.catalogue.sources.base import Obtained, Source
from atlasinit.catalogue.transfer.downloading import find_reason, is_present, without_network
from atlasinit.errors import AtlasUnavailableError
from atlasinit.support.files import expand

# In the order of `nilearn.datasets.get_data_dirs`.
_VARIABLES = ("NILEARN_SHARED_DATA", "NILEARN_DATA")


def data_folders() -> list[Path]:
    """Return the folders that nilearn looks for its data in."""
    stated = [p for v in _VARIABLES for p in os.environ.get(v, "").split(os.pathsep) if p]
    return [expand(p) for p in [*stated, "~/nilearn_data"]]


def has_variant(variant: Variant) -> bool:
    """Whether the files of a variant are in one of nilearn's folders.

    Files alone count: nilearn leaves empty folders behind when a download fails.
    """
    pattern = variant.fill(variant.source.folder)
    return any(is_present(path) for folder in data_folders() for path in folder.glob(pattern))


def obtain_variant(variant: Variant, scratch: Path, *, allow_download: bool = True) -> Obtained:
    """Call the fetcher of a variant; images that it makes in memory are written to `scratch`.

    Raises
    ------
    AtlasUnavailableError
        The files are not on this machine and could not be fetched.
    """
    name = variant.source.fetcher
    if not allow_download and not has_variant(variant):
        # Named is the last, in the home folder, as nilearn would put the files there by default.
        marker = data_folders()[-1] / variant.fill(variant.source.folder)
        raise AtlasUnavailableError(marker, f"not on this machine (nilearn's {name})")
    arguments = {key: _argument(variant, value) for key, value in variant.source.arguments.items()}
    # The fetcher is what knows how to read the files that are here; it may ask for one more.
    with contextlib.nullcontext() if allow_download else without_network():
        answer = _call(name, arguments)
    return _collect_files(variant, answer, scratch)


def _call(name: str, arguments: Mapping[str, Any]) -> Any:
    from nilearn import datasets

    try:
        return getattr(datasets, name)(**arguments, verbose=0)
    except (OSError, RuntimeError) as error:
        raise AtlasUnavailableError(f"nilearn.datasets.{name}", find_reason(error)) from error


def _argument(variant: Variant, value: Any) -> Any:
    # Text of an entry that is a number once filled, as "{parcels}", was meant as one.
    filled = variant.fill(value) if isinstance(value, str) else value
    return int(filled) if isinstance(filled, str) and filled.isdigit() else filled


def _collect_files(variant: Variant, answer: Any, scratch: Path) -> Obtained:
    # Atlases of surfaces come as two maps, whose values are positions in one list of labels.
    if "map_left" in answer:
        files: Any = {
            "cortex_L": _write_maps(answer["map_left"], scratch / "left"),
            "cortex_R": _write_maps(answer["map_right"], scratch / "right"),
        }
        labels: Any = dict(enumerate(_names(answer["labels"])))
        used = tuple(files.values())
    else:
        files = _write_maps(answer[variant.source.field], scratch / "maps")
        labels = _labels(answer, variant.source.kind)
        used = (files,)
    return Obtained(files, {f"nilearn:{path}": path for path in used}, labels, used)


def _write_maps(maps: Any, stem: Path) -> Path:
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
    # `lut` is a DataFrame with index and name, which older versions of nilearn lack; `labels` a
    # list, of which a label's key is its position. Maps have none for the background.
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
        # "name", or "difumo_names" and the like; other columns are numbers, networks, tissues.
        column = next(c for c in labels.columns if str(c).lower().endswith(("name", "names")))
        labels = labels[column]
    named: Sequence[Any] = list(labels)
    return [n.decode() if isinstance(n, bytes) else str(n) for n in named]


def _origin(variant: Variant, place: str) -> str:
    del place
    return f"nilearn:{variant.source.fetcher}=={importlib.metadata.version('nilearn')}"


SOURCE = Source(
    via="nilearn",
    schemes=("nilearn",),
    has_atlas=has_variant,
    obtain_atlas=obtain_variant,
    origin=_origin,
    folders=data_folders,
    variable="NILEARN_DATA",
)
