"""Atlases of the catalogue beside the mere reading of their files; the listing; the imports."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
import pandas as pd
from harness import median_seconds, report, row

from atlasinit.catalogue import (
    entry_of,
    list_atlases,
    resolve,
    spaces,
)
from atlasinit.catalogue.sources import references as files
from atlasinit.errors import AtlasUnavailableError
from atlasinit.loading import load_atlas

SLACK = 0.05
"""Seconds that building may take beyond its share of the reading."""

CASES: list[tuple[str, dict[str, Any]]] = [
    ("desikan-killiany", {"space": "fsaverage5"}),
    ("desikan-killiany", {"space": "MNI152"}),
    ("schaefer2018", {"parcels": 100}),
    ("schaefer2018", {"parcels": 1000}),
    ("glasser", {"parcels": 360}),
    ("glasser", {"parcels": 360, "version": "dlabel"}),
    ("cole-anticevic", {"version": "parcels"}),
    ("gordon", {}),
    ("aal", {}),
    ("destrieux", {"space": "cvs_avg35_inMNI152"}),
    ("seitzman2018", {}),
    ("harvard-oxford", {"kind": "maps"}),
    ("juelich", {"kind": "maps"}),
]


def read(path: Path) -> None:
    """Read a file to arrays, as nibabel, NumPy or pandas do."""
    if path.suffix == ".npz":
        with np.load(path) as arrays:
            for name in arrays.files:
                arrays[name]
    elif path.suffix in (".csv", ".tsv", ".txt"):
        pd.read_csv(path, sep={".csv": ",", ".tsv": "\t", ".txt": " "}[path.suffix])
    else:
        image: Any = nb.load(path)
        [a.data for a in image.darrays] if hasattr(image, "darrays") else np.asarray(image.dataobj)


def case(name: str, choices: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result for an atlas, None where its files are not on this machine."""
    axes = {a: v for a, v in choices.items() if a not in ("space", "kind")}
    variant = resolve(
        entry_of(name),
        space=choices.get("space"),
        kind=choices.get("kind", "auto"),
        via="package",
        axes=axes,
    )[0]
    references = files.list_references(variant)
    for roles in spaces.meshes(variant).values():
        references += [reference for own in roles.values() for reference in own]
    try:
        paths = [files.obtain(reference, allow_download=False) for reference in references]
    except AtlasUnavailableError:
        return None

    def reading() -> None:
        for path in paths:
            read(path)

    def building() -> object:
        return load_atlas(name, **choices, via="package", download=False).table

    repeats = 3 if name in ("harvard-oxford", "juelich") else 5
    peer = median_seconds(reading, repeats=repeats)
    ours = median_seconds(building, repeats=repeats)
    title = " ".join([f"load {name}", *(f"{k}={v}" for k, v in choices.items())])
    result = row(title, ours, peer)
    return {**result, "target": "<= 1.5x + 50 ms", "met": ours <= 1.5 * peer + SLACK}


def main() -> list[dict[str, Any]]:
    """Return a result an atlas, and one for the listing beside one second."""
    warnings.simplefilter("ignore")
    nb.imageglobals.logger.setLevel("ERROR")
    rows = [result for name, choices in CASES if (result := case(name, choices))]
    listing: Callable[[], object] = list_atlases
    rows.append(row("list_atlases() beside 1 s", median_seconds(listing), 1.0, most=1.0))
    return rows


if __name__ == "__main__":
    report(main())
