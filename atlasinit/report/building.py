"""The report of an atlas, put together from its parts."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Real
from numpy.typing import ArrayLike

import atlasinit
from atlasinit.atlas import Atlas
from atlasinit.figures import mixed_colors, parcel_colors
from atlasinit.figures.palettes import label_colors
from atlasinit.figures.surfaces import Surface
from atlasinit.maps import HardMaps
from atlasinit.measures import location_entropy
from atlasinit.report import charts
from atlasinit.report.extraction import (
    ParcelData,
    connectivity,
    extract,
    finite_or_nan,
    standardised,
)
from atlasinit.report.findings import atlas_findings, data_findings
from atlasinit.report.overlaps import overlap_matrix, pairs_of
from atlasinit.report.page import Report, render
from atlasinit.report.parcels import Measures, is_soft, measure, parcel_columns, swatches
from atlasinit.report.pictures import Scene, Strip, matrix, scenes, strip, value_scale

_PAIRS = 10
_LEAST = 3
"""Time points of which a correlation says something."""


def generate_report(
    atlas: Atlas,
    *,
    data: Any = None,
    series: ArrayLike | None = None,
    values: Mapping[str, ArrayLike] | None = None,
    before: Atlas | None = None,
    title: str | None = None,
    t_r: float | None = None,
    reduction: str = "mean",
    palette: str = "safe",
    surfaces: Mapping[str, Surface] | None = None,
    background: Real[np.ndarray, "x y z"] | None = None,
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
    series
        (time, parcels), in place of `data`, where they are extracted already.
    values
        Title to (parcels,) values, each drawn and a column of the table; NaN is grey.
    before
        The atlas before it was smoothed, to compare with.
    title
        By default the atlas's name.
    t_r
        Time between two time points in s.
    reduction
        As for `atlasinit.project`.
    palette, surfaces, background
        As for `Atlas.plot`; here the safe colours are the default.

    Returns
    -------
    Report
        With an image of about 40 KiB a view and measure: 1 to 3 MiB for most atlases.

    Raises
    ------
    ValueError
        Both `data` and `series`, or either of another shape; `values` of another length;
        a `before` of other parcels or locations; a `t_r` that is not positive; and as
        `atlasinit.io.open_data`, `project` and `Atlas.plot`.
    """
    if data is not None and series is not None:
        raise ValueError("`data` and `series` are both given; pass one of them.")
    if t_r is not None and not (np.isfinite(t_r) and t_r > 0):
        raise ValueError(f"`t_r` should be a positive number of seconds, got {t_r}.")
    if before is not None:
        _check_same(atlas, before)
    held = _series(atlas, series) if data is None else extract(atlas, data, reduction=reduction)
    columns = {t: _values(atlas, t, column) for t, column in (values or {}).items()}
    if held is not None and len(held.series) == 1:
        columns.setdefault("data", np.asarray(held.series[0], dtype=np.float64))
    measures = measure(atlas)
    cosines = overlap_matrix(atlas) if is_soft(atlas) else None
    pairs = [] if cosines is None else pairs_of(atlas, cosines)
    findings = [*atlas_findings(atlas, measures, pairs)]
    findings += [] if held is None else data_findings(atlas, held)
    colors = parcel_colors(atlas, palette=palette)
    found = scenes(atlas, surfaces=surfaces, background=background)
    heading = title or atlas.name
    html = render(
        version=atlasinit.__version__,
        title=heading,
        atlas=atlas,
        findings=findings,
        compartments=_compartments(atlas),
        scenes=found,
        parcels=_parcels_strip(atlas, found, colors),
        values=[_value_strip(atlas, found, t, column) for t, column in columns.items()],
        sizes=_histograms(measures),
        softness=_softness(atlas, before, measures, found, colors),
        overlap=None if cosines is None else _overlap(atlas, cosines, pairs),
        series=None if held is None else _shown_series(atlas, held, t_r),
        colors=swatches(colors),
        columns=parcel_columns(atlas, measures, data=held, values=columns),
    )
    return Report(heading, html, tuple(findings))


def _check_same(atlas: Atlas, before: Atlas) -> None:
    same = before.geometry == atlas.geometry and before.table["name"] == atlas.table["name"]
    if not same:
        raise ValueError(
            "`before` should have the parcels and locations of `atlas`, as the atlas that "
            f"`smooth` was given; got {before.n_parcels} parcels on {before.n_locations} locations "
            f"and {atlas.n_parcels} on {atlas.n_locations}."
        )


def _series(atlas: Atlas, series: ArrayLike | None) -> ParcelData | None:
    if series is None:
        return None
    found = np.asarray(series, dtype=np.float64)
    if found.ndim != 2 or found.shape[1] != atlas.n_parcels or not len(found):
        raise ValueError(
            f"`series` should be (time, {atlas.n_parcels} parcels), got shape {found.shape}."
        )
    return ParcelData(finite_or_nan(found))


def _values(atlas: Atlas, title: str, column: ArrayLike) -> Float[np.ndarray, " parcels"]:
    found = np.asarray(column, dtype=np.float64)
    if found.shape != (atlas.n_parcels,):
        raise ValueError(
            f"`values` of {title!r} should be ({atlas.n_parcels} parcels,), got {found.shape}."
        )
    return finite_or_nan(found)


def _compartments(atlas: Atlas) -> list[dict[str, Any]]:
    out = []
    for c, maps in atlas.maps.items():
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


def _parcels_strip(
    atlas: Atlas, found: Sequence[Scene], colors: Float[np.ndarray, "parcels 3"]
) -> Strip:
    soft = is_soft(atlas)
    text = "Colours are mixed by weight." if soft else ""
    return strip(found, _painted(atlas, colors), title="Parcels", text=text, lines=not soft)


def _painted(atlas: Atlas, colors: Float[np.ndarray, "parcels 3"]) -> dict[str, np.ndarray]:
    painted = {}
    for c, rows in atlas.parcel_slices().items():
        maps = atlas.maps[c]
        hard = isinstance(maps, HardMaps)
        own = colors[rows]
        painted[c] = label_colors(np.asarray(maps.labels), own) if hard else mixed_colors(maps, own)
    return painted


def _value_strip(atlas: Atlas, found: Sequence[Scene], title: str, column: np.ndarray) -> Strip:
    known = column[np.isfinite(column)]
    low, high = np.percentile(known, [2, 98]).tolist() if known.size else (0.0, 1.0)
    scale, colors = value_scale(low, high)
    rows = atlas.parcel_slices()
    painted = {
        c: label_colors(np.asarray(m.harden().labels), colors(column[rows[c]]))
        for c, m in atlas.maps.items()
    }
    return strip(found, painted, title=title, scale=scale)


def _histograms(measures: Measures) -> list[charts.Bars]:
    found = []
    for title, unit, which in (
        ("Area in mm²", "mm²", measures.is_surface),
        ("Volume in mm³", "mm³", ~measures.is_surface),
        ("Number of locations", "locations", np.ones(len(measures.sizes), bool)),
    ):
        sizes = measures.locations.astype(float) if unit == "locations" else measures.sizes
        found.append(charts.histogram(sizes[which], title=title, unit=unit))
    return [bars for bars in found if bars is not None]


def _softness(
    atlas: Atlas,
    before: Atlas | None,
    measures: Measures,
    found: Sequence[Scene],
    colors: np.ndarray,
) -> dict[str, Any] | None:
    """Return what smoothing changed, or what soft maps are like; None for labels alone."""
    if before is None and not is_soft(atlas):
        return None
    entropies = {c: location_entropy(m) for c, m in atlas.maps.items()}
    known = np.concatenate(list(entropies.values()))
    high = float(max(np.nanmax(known, initial=0), 1.0))
    scale, painter = value_scale(0.0, high, unit="bits")
    pictures = [
        strip(
            found,
            {c: painter(h) for c, h in entropies.items()},
            title="Entropy at each location",
            scale=scale,
            lines=False,
        )
    ]
    stages = [("now", atlas, measures)]
    if before is not None:
        earlier = strip(found, _painted(before, colors), title="Before", lines=not is_soft(before))
        later = strip(found, _painted(atlas, colors), title="After", lines=False)
        pictures = [earlier, later, *pictures]
        stages = [("before", before, measure(before)), ("after", atlas, measures)]
    return {
        "compared": before is not None,
        "pictures": pictures,
        "stages": [_stage(name, one, own) for name, one, own in stages],
    }


def _stage(name: str, atlas: Atlas, measures: Measures) -> dict[str, Any]:
    entropy = np.concatenate([location_entropy(m) for m in atlas.maps.values()])
    width = np.zeros(atlas.n_parcels) if measures.width is None else measures.width
    cosines = overlap_matrix(atlas) if is_soft(atlas) else np.zeros((0, 0))
    return {
        "name": name,
        "entropy": _mean(entropy),
        "width": _median(width),
        "overlaps": len(pairs_of(atlas, cosines)) if cosines.size else 0,
        "weights": int(measures.locations.sum()),
        "mib": sum(m.nbytes for m in atlas.maps.values()) / 2**20,
    }


def _mean(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _median(values: np.ndarray) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if known.size else float("nan")


def _overlap(atlas: Atlas, cosines: np.ndarray, pairs: list[Any]) -> dict[str, Any]:
    # Each parcel's cosine with itself is 1, and most pairs share nothing: both are left blank.
    shared = np.where((cosines > 0) & ~np.eye(len(cosines), dtype=bool), cosines, np.nan)
    picture, scale = matrix(
        shared,
        low=0.0,
        high=pairs[0].cosine if pairs else 1.0,
        colormap="viridis",
        alt=f"Matrix of the overlap of {atlas.n_parcels} parcels, in the order of the table.",
        unit="cosine",
    )
    return {
        "picture": picture,
        "scale": scale,
        "count": len(pairs),
        "pairs": pairs[:_PAIRS],
        "axis": _axis(atlas),
    }


def _axis(atlas: Atlas) -> list[tuple[str, int]]:
    return [(c, m.n_parcels) for c, m in atlas.maps.items() if m.n_parcels]


def _shown_series(atlas: Atlas, held: ParcelData, t_r: float | None) -> dict[str, Any] | None:
    n_time = len(held.series)
    if n_time < 2:
        return None
    unit, step = ("", 1.0) if t_r is None else ("s", t_r)
    carpet, carpet_scale = matrix(
        standardised(held.series).T,
        low=-2.5,
        high=2.5,
        colormap="RdBu_r",
        alt=f"Carpet plot of {atlas.n_parcels} parcels and {n_time} time points.",
        unit="standard deviations",
        largest=600,
    )
    shown: dict[str, Any] = {
        "n_time": n_time,
        "t_r": t_r,
        "carpet": carpet,
        "carpet_scale": carpet_scale,
        "band": charts.band(held.series, np.arange(n_time) * step, unit=unit),
        "axis": _axis(atlas),
        "connectivity": None,
        "least": _LEAST,
    }
    if n_time >= _LEAST:
        picture, scale = matrix(
            connectivity(held.series),
            low=-1.0,
            high=1.0,
            colormap="RdBu_r",
            alt=f"Correlation matrix of {atlas.n_parcels} parcels, in the order of the table.",
            unit="Pearson's r",
        )
        shown |= {"connectivity": picture, "connectivity_scale": scale}
    return shown
