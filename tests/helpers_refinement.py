"""Small grids and meshes with parcels whose series are known."""

import numpy as np

import atlasinit as ai
from atlasinit.core.labels import numbered_labels


def atlas_of(geometry, labels, n_parcels=None, name="cells"):
    """Return an atlas of labels on the geometries of some compartments."""
    counts = {c: int(found.max()) + 1 for c, found in labels.items()}
    counts |= n_parcels or {}
    return ai.Atlas(
        name=name,
        space="test",
        maps={c: ai.HardMaps(found.astype(np.int32), counts[c]) for c, found in labels.items()},
        geometry=geometry,
        labels=numbered_labels(counts),
        provenance=ai.Provenance(source="files"),
    )


def grid(shape=(10, 9, 3)):
    return ai.VolumeGrid(shape, np.diag([2.0, 2.0, 2.0, 1.0]))


def sheet(rows=12, columns=14):
    """Return a flat triangulated mesh, of which one vertex is not kept."""
    number = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = number[:-1, :-1], number[:-1, 1:], number[1:, :-1], number[1:, 1:]
    faces = np.concatenate([np.stack(t, -1).reshape(-1, 3) for t in ((a, b, c), (b, d, c))])
    points = np.stack([*np.divmod(np.arange(number.size), columns), np.zeros(number.size)], 1)
    kept = np.delete(np.arange(number.size), 40)
    return ai.SurfaceMesh(
        number.size, kept, hemisphere="L", faces=faces, anatomical=points.astype(np.float32)
    )


def points_of(geometry):
    if isinstance(geometry, ai.VolumeGrid):
        return geometry.ijk.astype(float)
    return geometry.anatomical[geometry.vertices].astype(float)


def blocks(geometry, shift=0.0, wide=5):
    """Return labels of blocks along the two first axes, whose borders are shifted."""
    points = points_of(geometry) + shift
    cell = (points[:, :2] // wide).clip(0, 1).astype(int)
    return cell[:, 0] * 2 + cell[:, 1]


def series(labels, n_time=80, noise=1.0, seed=0):
    """Return the mean of each label and noise; of no parcel noise alone."""
    rng = np.random.default_rng(seed)
    means = np.concatenate([rng.normal(size=(labels.max() + 1, n_time)), np.zeros((1, n_time))])
    return (means[labels] + noise * rng.normal(size=(labels.size, n_time))).astype(np.float32)


GEOMETRIES = {"volume": grid(), "cortex_L": sheet()}
