"""Many runs: found, planned, extracted in any number of processes, written as BIDS derivatives."""

from typing import TYPE_CHECKING

from atlasinit.support.lazy import export_lazily as _export_lazily

if TYPE_CHECKING:
    from atlasinit.extraction.extracting import extract as extract
    from atlasinit.extraction.performing import Outcome as Outcome
    from atlasinit.extraction.summary import Extraction as Extraction

_HOMES = {"Extraction": "summary", "extract": "extracting", "Outcome": "performing"}

__getattr__, __dir__, __all__ = _export_lazily(__name__, _HOMES)
