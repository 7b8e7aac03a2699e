"""What belongs to the output as a whole: its description, and the atlases once."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from atlasinit.errors import ArgumentError
from atlasinit.extraction.outputs import NAMELESS
from atlasinit.extraction.planning import LabelledAtlas
from atlasinit.extraction.state import Ledger
from atlasinit.io import save_atlas
from atlasinit.io.bids.sidecars import BIDS_VERSION, GENERATOR
from atlasinit.support.version import __version__
from atlasinit.support.writing import atomic_write

DESCRIPTION = "dataset_description.json"


def write_frame(ledger: Ledger, source: Path | None, atlases: Sequence[LabelledAtlas]) -> None:
    """Write the description of the dataset, and the atlases that it does not have yet."""
    with ledger.hold("frame"):
        for own in atlases:
            _write_atlas(ledger.root / "atlases", own)
        links: dict[str, Any] = {}
        if source is not None:
            links = {
                "DatasetLinks": {"source": source.resolve().as_uri()},
                "SourceDatasets": [{"URL": source.resolve().as_uri()}],
            }
        description = {
            "Name": "Parcel series and connectomes",
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": GENERATOR, "Version": __version__}],
            **links,
        }
        _write(ledger.root / DESCRIPTION, json.dumps(description, indent=2) + "\n")
        _write(ledger.root / ".bidsignore", "".join(f"{line}\n" for line in NAMELESS))
        _write(ledger.root / "README.md", _README)


def _write_atlas(folder: Path, own: LabelledAtlas) -> None:
    # By its content, so that the same atlas is written once, whichever process comes first.
    mark = folder / f".{own.label}-{own.digest[:16]}"
    if mark.is_file():
        return
    folder.mkdir(exist_ok=True)
    if not _write_bids(folder, own):
        save_atlas(own.atlas, folder / f"{own.label}-{own.digest[:8]}.npz", overwrite=True)
    mark.touch()


def _write_bids(folder: Path, own: LabelledAtlas) -> bool:
    """Write an atlas as BIDS, unless its space is not known or has no name there."""
    # One such atlas is one file, beside which there is no dataset of BIDS.
    if any(folder.glob("*.npz")):
        return False
    # BIDS wants a licence; an atlas of one's own states none.
    terms = {} if own.atlas.provenance.licence else {"License": "not stated"}
    try:
        save_atlas(
            own.atlas,
            folder,
            format="bids",
            entities={"atlas": own.label},
            metadata=terms,
            overwrite=True,
        )
    except ArgumentError:
        return False
    return True


def _write(path: Path, text: str) -> None:
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with atomic_write(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


_README = """# Parcel series and connectomes

A BIDS derivative dataset that `atlasinit extract` wrote. Of each run and atlas it has

- `..._stat-mean_timeseries.tsv`: a row for each volume that was kept, a column for each parcel
  (and `.ptseries.nii` of CIFTI data);
- `..._stat-coverage_bold.tsv`: the share of each parcel that has data;
- `..._stat-pearsoncorrelation_relmat.tsv` and others: connectomes (and `.pconn.nii`);

each with a sidecar that says how it was made. `atlases/` has the atlases, `quality.tsv` a row for
each run, `parquet/`, where it was asked for, the tables of all runs together, `logs/` what was said
of each, and `.bidsignore` what BIDS has no name for.
"""
