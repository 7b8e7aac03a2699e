"""Options of what is done to series: confounds, volumes that moved, filters, standardising."""

import dataclasses
import functools
from typing import TYPE_CHECKING, Annotated, Literal

from atlasinit.cli.options import panel

if TYPE_CHECKING:
    from atlasinit.extraction.cleaning import Cleaning

OF_SERIES = functools.partial(panel, "What is done to series")


@dataclasses.dataclass(frozen=True)
class Cleaned:
    """How series are cleaned, by nilearn."""

    confounds: Annotated[
        list[str] | None,
        OF_SERIES(
            "NAME",
            "A strategy of nilearn (simple, scrubbing, compcor, ica_aroma), its components "
            "(motion, wm_csf, ...), or columns; repeatable.",
        ),
    ] = None
    fd_threshold: Annotated[
        float | None, OF_SERIES("MM", "Leave out volumes of a larger displacement.")
    ] = None
    detrend: Annotated[bool, OF_SERIES("", "Take out a linear trend.", "--detrend")] = False
    standardize: Annotated[
        Literal["zscore_sample", "psc"] | None, OF_SERIES("HOW", "zscore_sample or psc.")
    ] = None
    low_pass: Annotated[float | None, OF_SERIES("HZ", "Keep what is below.")] = None
    high_pass: Annotated[float | None, OF_SERIES("HZ", "Keep what is above.")] = None
    t_r: Annotated[
        float | None, OF_SERIES("SECONDS", "Between volumes, where files state none.", "--t-r")
    ] = None

    @property
    def cleaning(self) -> "Cleaning":
        """The same, checked."""
        # Here, since `--help` needs no NumPy.
        from atlasinit.extraction.cleaning import Cleaning

        made = Cleaning(
            tuple(self.confounds or ()),
            self.fd_threshold,
            self.detrend,
            self.standardize,
            self.low_pass,
            self.high_pass,
            self.t_r,
        )
        made.check()
        return made
