"""Surfaces and lists of vertices."""

from pathlib import Path
from typing import Any

import numpy as np

from atlasinit.core.geometry import triangle_normals
from atlasinit.inspection.findings import Notes
from atlasinit.io.bids.names import side_of
from atlasinit.io.meshes import STANDARD
from atlasinit.io.overlay.surfaces import Surface, read_surface

_ROUND = 1e-3
"""Share of the radius by which vertices of a sphere differ in their distance from the centre."""


def check_surface(path: Path, notes: Notes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a surface states and what is read of it, after noting what is odd."""
    surface = read_surface(path)
    points, faces = surface.coordinates.astype(np.float64), surface.faces
    named = side_of(path.name)
    if surface.hemisphere and named and surface.hemisphere != named:
        told = f"the file states hemisphere {surface.hemisphere}, its name {named}"
        notes.add("warning", "sides", told)
    if not surface.hemisphere and not named:
        notes.add("warning", "sides", "neither the file nor its name states a hemisphere")
    finite = np.isfinite(points).all(axis=1)
    if not finite.all():
        count = int((~finite).sum())
        notes.add("warning", "values", f"{count} vertices have coordinates that are not finite")
    inside = _note_triangles(surface, notes)
    usual = STANDARD.get(len(points))
    stated = {
        "hemisphere": surface.hemisphere or (f"{named} (by its name)" if named else "not stated"),
        "mesh": f"of {usual}, by the number of vertices" if usual else "none of the standard ones",
    }
    radii = np.linalg.norm(points[finite], axis=1)
    mean = float(radii.mean()) if radii.size else 0.0
    is_sphere = radii.size > 0 and mean > 0 and float(np.ptp(radii)) <= _ROUND * mean
    read = {
        "as": "surface",
        "vertices": len(points),
        "triangles": len(faces),
        "shape": f"a sphere of radius {mean:.4g} mm" if is_sphere else "no sphere",
    }
    if inside and finite.all() and not is_sphere:
        doubled = np.linalg.norm(triangle_normals(points, faces), axis=0)
        read["area"] = f"{doubled.sum() / 2:.6g} mm2"
        # A brain in metres or microns; a hemisphere has some 1e5 mm2.
        extent = float(np.ptp(points, axis=0).max())
        if not 10 < extent < 1000:
            notes.add("warning", "units", f"it is {extent:.4g} mm long; is it in another unit?")
    return stated, read


def _note_triangles(surface: Surface, notes: Notes) -> bool:
    """Note what is odd about triangles; return whether all are of vertices that there are."""
    n, faces = len(surface.coordinates), surface.faces
    if not faces.size:
        notes.add("warning", "values", "it has no triangle")
        return False
    if not 0 <= faces.min() <= faces.max() < n:
        told = f"triangles name vertices {faces.min()} to {faces.max()}, where there are {n}"
        notes.add("warning", "values", told)
        return False
    free = n - np.unique(faces).size
    if free:
        notes.add("warning", "values", f"{free} vertices are in no triangle")
    ordered = np.sort(faces, axis=1)
    flat = int((ordered[:, :-1] == ordered[:, 1:]).any(axis=1).sum())
    if flat:
        notes.add("warning", "values", f"{flat} triangles have one vertex twice")
    low, high = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1).T.astype(np.int64)
    # As one number an edge is found without sorting pairs.
    counts = np.unique(low * n + high, return_counts=True)[1]
    if (counts != 2).any():
        told = f"{int((counts != 2).sum())} edges are not of two triangles: the mesh is open"
        notes.add("note", "values", told)
    elif (euler := n - free - counts.size + len(faces)) != 2:
        told = f"the mesh is no sphere by its triangles (Euler characteristic {euler}, not 2)"
        notes.add("warning", "values", told)
    return True
