"""Atlases on grids and random spheres, and what Workbench makes of values on them."""

import shutil
import subprocess
import time

import nibabel as nb
import numpy as np
import pytest
from helpers import table
from scipy.spatial import ConvexHull

import atlasinit as ai

_INTENT = {"label": "NIFTI_INTENT_LABEL", "func": "NIFTI_INTENT_NONE"}


def volume_atlas(values, affine, soft):
    grid = ai.VolumeGrid(values.shape[:3], affine)
    if soft:
        maps = ai.DenseMaps(values.reshape(-1, values.shape[3]).T.astype(np.float32))
        n = values.shape[3]
    else:
        n = int(values.max())
        maps = ai.HardMaps(values.reshape(-1).astype(np.int32) - 1, n)
    return ai.Atlas(
        name="v",
        space="MNI",
        maps={"volume": maps},
        geometry={"volume": grid},
        labels=table(["volume"] * n),
    )


def sphere(n, seed, radius):
    points = np.random.default_rng(seed).normal(size=(n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    faces = ConvexHull(points).simplices
    corners = points[faces]
    inward = np.linalg.det(corners) < 0
    faces[inward] = faces[inward][:, ::-1]
    return ai.SurfaceMesh(n, faces=faces, sphere=radius * points, hemisphere="L")


def surface_atlas(mesh, maps, space="fsaverage"):
    return ai.Atlas(
        name="s",
        space=space,
        maps={"cortex_L": maps},
        geometry={"cortex_L": mesh},
        labels=table(["cortex_L"] * maps.n_parcels),
    )


def save_sphere(path, mesh):
    """Write the sphere of a left mesh."""
    coordinates = nb.gifti.GiftiDataArray(mesh.sphere, "NIFTI_INTENT_POINTSET")
    coordinates.meta["GeometricType"] = "Spherical"
    coordinates.meta["AnatomicalStructurePrimary"] = "CortexLeft"
    faces = nb.gifti.GiftiDataArray(mesh.faces, "NIFTI_INTENT_TRIANGLE")
    nb.save(nb.GiftiImage(darrays=[coordinates, faces]), path)


def resample_by_workbench(folder, source, target, values, *, method, areas, seconds=None):
    """Return ``wb_command -label-resample`` of whole numbers, ``-metric-resample`` of others.

    The wall time of the command is appended to `seconds`.
    """
    if shutil.which("wb_command") is None:
        pytest.skip("wb_command is not installed")
    for name, mesh, area in zip("st", (source, target), areas, strict=True):
        save_sphere(folder / f"{name}.surf.gii", mesh)
        _save(folder / f"{name}.func.gii", [area.astype("f4")], "func")
    kind = "label" if values.dtype.kind == "i" else "func"
    _save(folder / f"in.{kind}.gii", np.atleast_2d(values), kind)
    verb = {"label": "-label-resample", "func": "-metric-resample"}[kind]
    files = (f"in.{kind}.gii", "s.surf.gii", "t.surf.gii", method, f"out.{kind}.gii")
    command = ["wb_command", verb, *files]
    if method == "ADAP_BARY_AREA":
        command += ["-area-metrics", "s.func.gii", "t.func.gii"]
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    if seconds is not None:
        seconds.append(time.perf_counter() - start)
    found = nb.load(folder / f"out.{kind}.gii").darrays
    return found[0].data if kind == "label" else np.stack([one.data for one in found])


def _save(path, rows, kind):
    labels = nb.gifti.GiftiLabelTable()
    for key in np.unique([0, *np.ravel(rows)]) if kind == "label" else ():
        label = nb.gifti.GiftiLabel(int(key), 1, 0, 0, 1)
        label.label = f"label {key}" if key else "???"
        labels.labels.append(label)
    meta = nb.gifti.GiftiMetaData({"AnatomicalStructurePrimary": "CortexLeft"})
    dtype = "i4" if kind == "label" else "f4"
    arrays = [nb.gifti.GiftiDataArray(row.astype(dtype), _INTENT[kind]) for row in rows]
    nb.save(nb.GiftiImage(darrays=arrays, labeltable=labels, meta=meta), path)
