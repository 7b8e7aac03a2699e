"""The report of an atlas, put together from its parts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Int
from numpy.typing import ArrayLike

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.named_values import align_columns, align_values
from atlasinit.errors import ArgumentError
from atlasinit.figures import parcel_colors
from atlasinit.figures.backdrops import Background
from atlasinit.figures.palettes import color_values
from atlasinit.figures.scales import page_colormap, page_diverging_colormap, scale_values
from atlasinit.figures.surfaces import Surface
from atlasinit.projection.reductions import find_reduction
from atlasinit.refinement import Halves
from atlasinit.report.beside import put_beside
from atlasinit.report.borders import border_findings, compare_borders
from atlasinit.report.charts import Bars, histogram
from atlasinit.report.cleaning import UNSTATED, describe_data, describe_step, find_step
from atlasinit.report.extraction import ParcelData, extract, mask_infinite
from atlasinit.report.findings import atlas_findings, data_findings
from atlasinit.report.matrices import overlap_matrix
from atlasinit.report.page import Report, render
from atlasinit.report.parcels import Measures, measure, network_swatches, parcel_columns, swatches
from atlasinit.report.pictures import (
    Scene,
    Strip,
    color_locations,
    parcels_strip,
    scenes,
    show_scale,
    strip,
)
from atlasinit.report.series import LEAST, build_series
from atlasinit.report.softness import softness
from atlasinit.support.version import __version__


def generate_report(
    atlas: Atlas,
    *,
    data: Any = None,
    data_space: str | None = None,
    series: ArrayLike | None = None,
    values: Any = None,
    before: Atlas | None = None,
    compare: Atlas | None = None,
    halves: Halves | None = None,
    title: str | None = None,
    t_r: float | None = None,
    numbers: ArrayLike | None = None,
    details: Mapping[str, str] | None = None,
    reduction: Any = "mean",
    palette: str = "network",
    surfaces: Mapping[str, Surface] | None = None,
    background: Background = None,
) -> Report:
    """Return one HTML page that shows what an atlas is, and what data of it hold.

    Its source and terms, what is worth a look, pictures of every compartment, sizes and
    coverage, for soft maps their entropy, boundaries and overlap, and a table of the parcels
    that sorts and filters. With data: the parcels' series, or values at a single time, and
    their connectivity. Corresponds to ``generate_report`` of nilearn's maskers.

    Parameters
    ----------
    atlas
        Hard or soft, on any geometry.
    data
        What `atlasinit.io.open_data` takes; it is projected.
    data_space
        The space that `data` are in, where their names or headers state none or a wrong one.
    series
        (time, parcels), in place of `data`, where they are extracted already; a table by the
        names of its columns.
    values
        (parcels,) values, each drawn and a column of the table, as for `atlasinit.plot_atlas`:
        by name where they carry names. NaN and infinity are no values: hatched in grey,
        and blank in the table.
    before
        The atlas before it was smoothed, or before its borders were fitted to data, to compare
        with.
    compare
        Another atlas of the same space, grid and meshes, to put beside it, as
        `atlasinit.compare` does: what each parcel matches, and how well.
    halves
        What `atlasinit.refinement.assess_halves` returned for `before`, to show beside.
    title
        By default the atlas's name.
    t_r
        Time between two time points in s; by default what the file of `data` states.
    numbers
        (time,) ascending whole numbers, from 0, of the time points that `series` holds, where
        some of the run were left out.
    details
        What to say of how the series were made, beside what is known: a heading to a text, as
        ``{"Confounds": "6 regressed out"}``.
    reduction
        As for `atlasinit.project`.
    palette, surfaces, background
        As for `atlasinit.plot_atlas`; here the colours of networks are the default, and
        without networks the safe ones.

    Returns
    -------
    Report
        With an image of about 40 KiB a view and measure: 1 to 3 MiB for most atlases.

    Raises
    ------
    ValueError
        Both `data` and `series`, or either of another shape; `numbers` that do not ascend,
        or not one per time point; `values` of another length or other names;
        a `before` of other parcels or locations; `halves` without `before`; an atlas to compare
        with that lies elsewhere; a `t_r` that is not
        positive; and as `atlasinit.io.open_data`, `project` and `atlasinit.plot_atlas`.
    """
    check_atlas(atlas)
    if compare is not None:
        check_atlas(compare, "compare")
    if data is not None and series is not None:
        raise ArgumentError("data", "and `series` are both given", "pass one of them")
    if t_r is not None and not (np.isfinite(t_r) and t_r > 0):
        raise ArgumentError("t_r", f"should be a positive number of seconds, got {t_r}")
    if before is not None:
        _check_before(atlas, before)
    elif halves is not None:
        raise ArgumentError("halves", "says how an atlas was refined", "pass it as `before`")
    # What the data hold; None where there are none.
    held, made = _check_series(atlas, series), ({} if details else UNSTATED)
    if data is not None:
        held = extract(atlas, data, reduction=reduction, data_space=data_space)
        made = describe_data(data, find_reduction(reduction).name)
    if held is not None:
        stated = None if t_r is not None or data is None else find_step(data)
        made = {**made, **describe_step(t_r, stated), **(details or {})}
        t_r = stated if t_r is None else t_r
    counted = None if held is None else _check_numbers(numbers, len(held.series))
    given = {} if values is None else align_columns(values, atlas.table)
    columns = {t: mask_infinite(column.astype(np.float64)) for t, column in given.items()}
    if held is not None and len(held.series) == 1:
        # One time point is a value per parcel: it is drawn like the user's own, with no series.
        columns.setdefault("data", np.asarray(held.series[0], dtype=np.float64))
    measures = measure(atlas)
    findings = [*atlas_findings(atlas, measures)]
    findings += [] if held is None else data_findings(atlas, measures, held)
    colors = parcel_colors(atlas, palette=palette)
    found, unseen = scenes(atlas, surfaces=surfaces, background=background)
    beside = None if compare is None else put_beside(atlas, compare, found)
    borders = compare_borders(atlas, before, halves, found, colors)
    findings += border_findings(borders)
    heading = title or atlas.name
    html = render(
        "page.html",
        version=__version__,
        title=heading,
        atlas=atlas,
        findings=findings,
        compartments=_compartments(atlas),
        scenes=found,
        parcels=parcels_strip(atlas, found, colors, title="Parcels", text=unseen),
        has_before=before is not None,
        beside=beside,
        networks=network_swatches(atlas, colors) if palette != "safe" else {},
        values=[_value_strip(atlas, found, t, column) for t, column in columns.items()],
        sizes=_histograms(measures),
        borders=borders,
        softness=None if borders else softness(atlas, before, measures, found, colors),
        overlap=None if measures.cosines is None else overlap_matrix(atlas, measures.cosines),
        series=None if held is None else build_series(atlas, held.series, t_r=t_r, numbers=counted),
        details={} if held is None else made,
        least=LEAST,
        colors=swatches(colors),
        columns=parcel_columns(
            atlas, measures, data=held, values=columns, dice=borders and borders.agreement.dice
        ),
    )
    return Report(heading, html, tuple(findings))


def _check_before(atlas: Atlas, before: Atlas) -> None:
    same = before.geometry == atlas.geometry and before.table["name"] == atlas.table["name"]
    if not same:
        raise ArgumentError(
            "before",
            "should have the parcels and locations of `atlas`, as the atlas that `smooth` was "
            "given",
            f"got {before.n_parcels} parcels on {before.n_locations} locations and "
            f"{atlas.n_parcels} on {atlas.n_locations}",
        )


def _check_series(atlas: Atlas, series: ArrayLike | None) -> ParcelData | None:
    if series is None:
        return None
    found = align_values(series, atlas.table, argument="series", parcels_last=True).array
    if found.ndim != 2 or not found.size:
        raise ArgumentError(
            "series",
            f"should be (time, {atlas.n_parcels} parcels), got shape {np.shape(series)}",
        )
    return ParcelData(mask_infinite(found.T.astype(np.float64)))


def _check_numbers(numbers: ArrayLike | None, n_time: int) -> Int[np.ndarray, " time"]:
    """Return the number of each time point within its run."""
    if numbers is None:
        return np.arange(n_time)
    found = np.asarray(numbers)
    whole = found.shape == (n_time,) and found.dtype.kind in "iu"
    # Ascending, as times that are left out are gaps of the time axis.
    if not whole or (np.diff(found) <= 0).any():
        raise ArgumentError(
            "numbers",
            f"should be {n_time} ascending whole numbers, one per time point, got "
            f"{found.dtype} of shape {found.shape}",
        )
    return found


def _compartments(atlas: Atlas) -> list[dict[str, Any]]:
    out = []
    for c, maps in atlas.maps.items():
        # Of the matrix (parcels, locations), the columns in which any parcel has a weight.
        covered = np.diff(maps.to_scipy().tocsc().indptr) > 0
        out.append(
            {
                "name": c,
                "geometry": repr(atlas.geometry[c]),
                "parcels": maps.n_parcels,
                "locations": maps.n_locations,
                "covered": 100 * covered.mean() if covered.size else float("nan"),
                "maps": type(maps).__name__,
                "mib": maps.nbytes / 2**20,
            }
        )
    return out


def _value_strip(atlas: Atlas, found: Sequence[Scene], title: str, column: np.ndarray) -> Strip:
    scale = scale_values(column, sequential=page_colormap(), diverging=page_diverging_colormap())
    painted = color_locations(atlas, color_values(scale(column)))
    return strip(found, painted, title=title, scale=show_scale(scale))


def _histograms(measures: Measures) -> list[Bars]:
    # Areas and volumes have no scale in common, and a chart each; an empty one is left out.
    found = []
    for title, unit, which in (
        ("Area in mm², logarithmic", "mm²", measures.is_surface),
        ("Volume in mm³, logarithmic", "mm³", ~measures.is_surface),
        ("Number of locations, logarithmic", "locations", np.ones(len(measures.sizes), bool)),
    ):
        sizes = measures.locations.astype(float) if unit == "locations" else measures.sizes
        found.append(histogram(sizes[which], title=title, unit=unit))
    return [bars for bars in found if bars is not None]
