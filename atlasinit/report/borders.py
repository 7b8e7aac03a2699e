"""What fits of borders to data changed: which locations moved, and whether new data agree."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from atlasinit.core.atlas import Atlas
from atlasinit.errors import format_list
from atlasinit.figures.palettes import Coloring
from atlasinit.figures.scales import ColorScale, page_colormap
from atlasinit.refinement import Agreement, Halves, measure_agreement
from atlasinit.refinement.quality import pieces_in_compartments
from atlasinit.refinement.regions import labels_in
from atlasinit.report.parcels import is_soft
from atlasinit.report.pictures import Scene, Strip, parcels_strip, strip

_SHOWN = 8


@dataclasses.dataclass(frozen=True)
class Moves:
    """The moves of one compartment.

    Parameters
    ----------
    name
        Of the compartment.
    moved, share
        Number of locations whose parcel is another than before, and per cent of those that
        belong to a parcel before or after.
    split_before, split_after
        Number of parcels in more than one piece.
    """

    name: str
    moved: int
    share: float
    split_before: int
    split_after: int


@dataclasses.dataclass(frozen=True)
class Borders:
    """What the page shows of it.

    Parameters
    ----------
    compartments
        A row each.
    agreement
        Of the atlas before and after.
    strips
        Before, and which locations moved.
    halves
        What halves of the data said of each other; None where nobody asked them.
    torn
        Names of the parcels in more pieces than before.
    """

    compartments: tuple[Moves, ...]
    agreement: Agreement
    strips: tuple[Strip, ...]
    halves: Halves | None
    torn: tuple[str, ...]


def compare_borders(
    atlas: Atlas,
    before: Atlas | None,
    halves: Halves | None,
    scenes: Sequence[Scene],
    colors: Float[np.ndarray, "parcels 3"],
) -> Borders | None:
    """Return what changed between two atlases of labels; None where they are not two of such."""
    if before is None or is_soft(before) or is_soft(atlas):
        return None
    first, second = pieces_in_compartments(before), pieces_in_compartments(atlas)
    labels = {c: (labels_in(before, c), labels_in(atlas, c)) for c in atlas.compartments}
    compartments = tuple(_moves(c, *labels[c], first[c], second[c]) for c in atlas.compartments)
    torn = atlas.header.add_rows((second[c] > first[c]) & (first[c] > 0) for c in first)
    return Borders(
        compartments,
        measure_agreement(before, atlas),
        (
            # After is what the page's first pictures show.
            parcels_strip(before, scenes, colors, title="Before"),
            _moved_strip({c: one != other for c, (one, other) in labels.items()}, scenes),
        ),
        halves,
        tuple(np.array(atlas.table["name"], dtype=object)[torn]),
    )


def border_findings(borders: Borders | None) -> Iterator[str]:
    """Yield a sentence for each thing about moved borders that is worth a look."""
    if borders is None:
        return
    if borders.torn:
        yield f"Parcels in more pieces than before: {format_list(borders.torn, _SHOWN)}."
    halves = borders.halves
    if halves is not None and halves.after <= halves.before:
        yield (
            "Borders that new data do not confirm: the parcels' means keep "
            f"{100 * halves.before:.1f} % of the variance of halves that borders were not fitted "
            f"to before, and {100 * halves.after:.1f} % after."
        )


def _moves(
    name: str,
    before: Int[np.ndarray, " locations"],
    after: Int[np.ndarray, " locations"],
    first: Int[np.ndarray, " parcels"],
    second: Int[np.ndarray, " parcels"],
) -> Moves:
    moved = int((before != after).sum())
    inside = int(((before >= 0) | (after >= 0)).sum())
    share = 100 * moved / inside if inside else float("nan")
    return Moves(name, moved, share, int((first > 1).sum()), int((second > 1).sum()))


def _moved_strip(
    moved: dict[str, Bool[np.ndarray, " locations"]], scenes: Sequence[Scene]
) -> Strip:
    scale = ColorScale(0.0, 1.0, page_colormap())
    painted = {c: Coloring.plain(scale(own.astype(float))) for c, own in moved.items()}
    text = "Light are the locations whose parcel is another than before."
    return strip(scenes, painted, title="What moved", text=text)
