"""Small atlases on spheres, and the same as files for packages that read no other."""

import functools

import nibabel as nib
import numpy as np
from helpers_smoothing import icosphere

import atlasinit as ai
from atlasinit.core.labels import numbered_labels


@functools.cache
def bent_sphere(level=3, seed=0, radius=100.0):
    """Return an icosphere whose vertices were moved along it, so that no symmetry is left."""
    points, faces = icosphere(level, radius)
    points = points + np.random.default_rng(seed).normal(size=points.shape) * radius / 2**level / 20
    points *= radius / np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), faces


@functools.cache
def two_hemispheres(n=8, *, level=3, wall=True, seed=0):
    """Return an atlas of `n` compact parcels a side, with a medial wall without locations."""
    maps, meshes = {}, {}
    for side, sign in (("L", 1), ("R", -1)):
        points, faces = bent_sphere(level, seed + (sign < 0))
        # As many on both sides, so that one program serves both.
        kept = np.sort(np.argsort(points[:, 0] * sign)[:-60]) if wall else None
        mesh = ai.SurfaceMesh(
            len(points), kept, hemisphere=side, faces=faces, sphere=points, anatomical=points * 0.7
        )
        own = points[mesh.vertices]
        seeds = own[np.random.default_rng(seed).choice(len(own), n, replace=False)]
        maps[f"cortex_{side}"] = ai.HardMaps((own @ seeds.T).argmax(axis=1).astype(np.int32), n)
        meshes[f"cortex_{side}"] = mesh
    return ai.Atlas(
        name="two",
        space="test",
        maps=maps,
        geometry=meshes,
        labels=numbered_labels(dict.fromkeys(maps, n)),
    )


def as_giftis(atlas, folder):
    """Return the spheres and the labels (from 1, over both sides) of an atlas as GIFTI files."""
    from nibabel.gifti import GiftiDataArray, GiftiImage, GiftiLabel

    spheres, labels = [], []
    for c, mesh in atlas.geometry.items():
        rows = atlas.parcel_slices()[c]
        keys = mesh.put(np.asarray(atlas.maps[c].labels) + rows.start + 1)
        surface = [
            GiftiDataArray(mesh.sphere, "NIFTI_INTENT_POINTSET"),
            GiftiDataArray(mesh.faces.astype(np.int32), "NIFTI_INTENT_TRIANGLE"),
        ]
        image = GiftiImage(darrays=[GiftiDataArray(keys.astype(np.int32), "NIFTI_INTENT_LABEL")])
        for key in np.unique(keys):
            label = GiftiLabel(int(key))
            label.label = f"parcel {key}" if key else "unknown"
            image.labeltable.labels.append(label)
        spheres.append(folder / f"{c}.surf.gii")
        labels.append(folder / f"{c}.label.gii")
        nib.save(GiftiImage(darrays=surface), spheres[-1])
        nib.save(image, labels[-1])
    return spheres, labels
