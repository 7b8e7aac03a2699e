"""Labels over the grayordinates, whose file says nothing of where they lie."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from atlasinit.core.geometry import (
    Geometry,
    SurfaceMesh,
)
from atlasinit.io.contents import Part
from atlasinit.io.files import parsing
from atlasinit.io.formats.npz import open_npz
from atlasinit.io.formats.vectors import read_vectors, split
from atlasinit.io.input import Input
from atlasinit.io.overlay.surfaces import grayordinates


def cortex_vertices(
    masks: Mapping[str, tuple[str, str]], located: Mapping[str, Path]
) -> dict[str, np.ndarray]:
    """Return compartment to the numbers of the vertices that are not medial wall.

    They are arrays of npz files, named as by `spaces.masks`.
    """
    out = {}
    for c, (reference, array) in masks.items():
        with (
            Input(located[reference]) as source,
            parsing(source, "an npz archive"),
            open_npz(source) as arrays,
        ):
            out[c] = arrays[array]
    return out


def grayordinate_parts(
    path: Path,
    cortex: Mapping[str, np.ndarray],
    *,
    n_vertices: int,
    subcortex: Path | None,
    compartments: Sequence[str],
) -> list[Part]:
    """Return the parts of labels over the grayordinates.

    Parameters
    ----------
    path
        The labels of both cortices, then of the subcortex, with their table.
    cortex
        Compartment to the vertices of the whole mesh that the labels are of.
    n_vertices
        Of the whole mesh.
    subcortex
        The volume of the subcortical structures; None to leave them out.
    compartments
        Those to keep; the table keeps the entries that are not of the others alone.
    """
    with Input(path) as source:
        found = read_vectors(source)
    geometry: dict[str, Geometry] = {
        c: SurfaceMesh(n_vertices, vertices, hemisphere=c[-1]) for c, vertices in cortex.items()
    }
    if subcortex is not None:
        # Of whole meshes, as `grayordinates` takes them: True at the vertices that are kept.
        masks = [np.isin(np.arange(n_vertices), v) for v in cortex.values()]
        geometry = grayordinates(masks[0], masks[1], subcortex)
    # Columns are the left cortex, the right cortex and the subcortex, each in the order of CIFTI's
    # 91,282; without a subcortical volume those behind the cortices are left out.
    n = sum(g.n_locations for g in geometry.values())
    parts = split(found.values[:, :n], geometry, kind="hard")
    kept = [p for p in parts if not compartments or p.compartment in compartments]
    # One table serves all: it loses the entries of the parts that are left out, but keeps those
    # that lie nowhere, which are empty parcels.
    inside = {key for p in kept for key in _keys(p.keys)}
    outside = {key for key in _keys(found.values[0]) if key not in inside}
    rows = tuple(row for row in found.rows or () if row.key not in outside)
    return [dataclasses.replace(part, rows=rows) for part in kept]


def _keys(values: np.ndarray | None) -> list[int | float]:
    # Numbers as they are: those that are no keys may not fit into integers.
    return [] if values is None else np.unique(values).tolist()
