"""Files of a run, by the names of BIDS derivatives that XCP-D uses."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atlasinit.connectomes import connectome
from atlasinit.core.atlas import Atlas
from atlasinit.extraction.runs import Image, Run, name_of
from atlasinit.io import save_matrix
from atlasinit.io.files import reading
from atlasinit.io.saving import write_parcellated
from atlasinit.io.tables.numbers import write_numbers
from atlasinit.io.tables.parcel_values import write_table
from atlasinit.support.writing import atomic_write

if TYPE_CHECKING:
    import pandas as pd

KINDS = {
    "correlation": "pearsoncorrelation",
    "partial correlation": "partialcorrelation",
    "covariance": "covariance",
    "precision": "precision",
    "tangent": "tangent",
}
"""Kind of connectome to the label of ``stat-``."""

NAMELESS = (
    *("*_timeseries.*", "*_relmat.*", "*_stat-coverage_bold.*"),
    *("quality.*", "qcfc.tsv", "atlases", "atlases/**", "logs/"),
    *("parquet", "parquet/**", "figures", "figures/**"),
)
"""What BIDS 1.11 has no name for; validators are told by ``.bidsignore``."""


def write_run(
    folder: Path,
    run: Run,
    image: Image,
    label: str,
    atlas: Atlas,
    *,
    series: np.ndarray,
    coverage: np.ndarray,
    kinds: Sequence[str],
    estimator: str,
    step: float | None,
    sidecar: Mapping[str, Any],
) -> None:
    """Write series, coverage and connectomes of one atlas, with a sidecar each.

    Parameters
    ----------
    folder
        Where the folders of persons lie.
    run, image, label, atlas
        Of which they are.
    series, coverage
        (time, parcels) and (parcels,).
    kinds, estimator
        Of connectomes, as for `atlasinit.connectome`.
    step
        Seconds between two rows of the series, None where some are missing.
    sidecar
        What all sidecars say.
    """
    import pandas as pd

    names = list(atlas.table["name"])
    stem = folder / stem_of(run, image, label, atlas)
    stem.parent.mkdir(parents=True, exist_ok=True)
    reduction = sidecar["Reduction"]
    path = Path(f"{stem}_{end_of_series(reduction)}")
    # As many digits as data have; connectomes are made of all.
    kept = series.astype(np.float32)
    write_numbers(kept, names, path, overwrite=True)
    if image.is_cifti:
        write_parcellated(
            kept.T,
            atlas,
            path.with_suffix(".ptseries.nii"),
            step=step,
            overwrite=True,
        )
    further: dict[str, Any] = {} if step is None else {"SamplingFrequency": 1 / step}
    further["Statistic"] = _label_reduction(reduction)
    write_json(path.with_suffix(".json"), {**sidecar, **further})
    path = Path(f"{stem}_stat-coverage_bold.tsv")
    share = pd.DataFrame({"coverage": coverage}, index=pd.Index(names, name="name"))
    write_table(share, path, overwrite=True)
    write_json(
        path.with_suffix(".json"),
        {
            **sidecar,
            "coverage": {"Description": "Share of the parcel's weight where there are data."},
        },
    )
    for kind in kinds:
        found = connectome(series.astype(np.float64), atlas, kind=kind, estimator=estimator)
        about = {**sidecar, "Estimator": estimator}
        write_connectome(found, atlas, stem, kind=kind, cifti=image.is_cifti, sidecar=about)


def stem_of(run: Run, image: Image, label: str, atlas: Atlas) -> str:
    """Return how the names of the files of an atlas begin, below the output."""
    name = name_of({**run.entities, **_spatial(image, atlas), "atlas": label})
    return (run.folder / name).as_posix()


def write_connectome(
    matrix: Any, atlas: Atlas, stem: Path, *, kind: str, cifti: bool, sidecar: Mapping[str, Any]
) -> None:
    """Write a connectome as a table, of CIFTI data for Connectome Workbench too, with a sidecar.

    Parameters
    ----------
    matrix, atlas
        By name, and of which parcels.
    stem
        How the names of its files begin.
    kind
        Of `KINDS`.
    cifti
        Whether the data were CIFTI.
    sidecar
        What is said of it.
    """
    path = Path(f"{stem}_{end_of_connectome(kind)}")
    save_matrix(matrix, atlas, path, overwrite=True)
    if cifti:
        save_matrix(matrix, atlas, path.with_suffix(".pconn.nii"), overwrite=True)
    write_json(path.with_suffix(".json"), {**sidecar, "Measure": kind})


def _spatial(image: Image, atlas: Atlas) -> dict[str, str]:
    """Return the entities of an image's place; those of the atlas where it states none."""
    own = {k: v for k, v in image.entities.items() if k in ("space", "cohort", "res", "den")}
    if "space" not in own and not image.entities and atlas.space != "unknown":
        from atlasinit.extraction.naming import label_of

        own["space"] = label_of(atlas.space.partition(":")[0])
    return own


def end_of_series(reduction: str) -> str:
    """Return how the names of tables of series end."""
    return f"stat-{_label_reduction(reduction)}_timeseries.tsv"


def end_of_connectome(kind: str) -> str:
    """Return how the names of tables of connectomes end, of a kind of `KINDS`."""
    return f"stat-{KINDS[kind]}_relmat.tsv"


def _label_reduction(reduction: str) -> str:
    return "".join(c for c in reduction if c.isalnum())


def read_series(table: Path) -> "pd.DataFrame":
    """Return a table of series, (time, parcels).

    Raises
    ------
    AtlasFileError
        What is no such table.
    """
    import pandas as pd

    with reading(table, "a table of series") as found:
        return pd.read_csv(found, sep="\t", na_values=["n/a"], keep_default_na=False)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write plain data as JSON."""
    # Of a full disk the error has to name the file.
    with atomic_write(path) as temporary:
        text = json.dumps(content, indent=2, ensure_ascii=False)
        temporary.write_text(text + "\n", encoding="utf-8")
