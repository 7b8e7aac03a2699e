"""Borders fitted to half of a real run, judged by the other half, beside Ward, k-means and ReNA.

The run is one person's on fsaverage5, 652 volumes, which BrainSpace ships; confounds are regressed
out. Of each half-run the share of the variance is printed that the parcels' means keep of the half
that parcels were not made from, the parcels in more than one piece, and how alike parcels of the
two halves are (adjusted Rand index; Dice, of parcels without names after the best matching).

The defaults were chosen on the first half of the left hemisphere alone, by fits to some of its
volumes that its others judged. Nothing was chosen on the right hemisphere.
"""

import dataclasses
import resource
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
from harness import report, row

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.core.adjacency import find_touching
from atlasinit.core.labels import numbered_labels
from atlasinit.io import open_data
from atlasinit.refinement import kept_variance, measure_agreement, parcel_pieces

RUN = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01"
SCHAEFER = "hyve_examples/data/tpl-fsaverage_hemi-{}_desc-schaefer_res-400_atlas.gii"
SIZES = (34, 100, 200)
TRIAL = {"Desikan-Killiany": 0.369, 34: 0.391, 100: 0.493, 200: 0.586}
"""Of the left hemisphere: what Ward and 30 plain sweeps keep, the least that is asked for."""

LOCATIONS, VOLUMES, PARCELS = 91282, 1200, 400


@dataclasses.dataclass(frozen=True)
class Hemisphere:
    """One side of the run: Desikan-Killiany's atlas on it and the two halves of the series."""

    atlas: ai.Atlas
    halves: tuple[np.ndarray, np.ndarray]

    @property
    def compartment(self) -> str:
        """The only one."""
        return self.atlas.compartments[0]

    def parcels(self, labels: np.ndarray, name: str) -> ai.Atlas:
        """Return an atlas of labels, -1 for none."""
        c, n = self.compartment, int(labels.max()) + 1
        return ai.Atlas(
            name=name,
            space=self.atlas.space,
            geometry=self.atlas.geometry,
            maps={c: ai.HardMaps(labels.astype(np.int32), n)},
            labels=numbered_labels({c: n}),
        )


def read(side: str) -> Hemisphere:
    """Return one side, confounds regressed out."""
    from nilearn.signal import clean

    whole = ai.load_atlas("desikan-killiany", space="fsaverage5")
    atlas = whole.select(compartments=f"cortex_{side}")
    raw = np.asarray(open_data(package_file(f"{RUN}.fsa5.{side.lower()}h.mgz"), atlas).all())
    confounds = np.loadtxt(package_file(f"{RUN}_confounds.txt"))
    seen = raw.std(axis=1) > 0
    series = np.zeros_like(raw)
    series[seen] = clean(raw[seen].T, confounds=confounds, standardize=None).T
    middle = series.shape[1] // 2
    return Hemisphere(atlas, (series[:, :middle], series[:, middle:]))


def schaefer(hemisphere: Hemisphere) -> ai.Atlas:
    """Return Schaefer's 200 parcels of the side: of fsaverage6, whose first vertices are its."""
    path = package_file(SCHAEFER.format(hemisphere.compartment[-1]))
    labels = ai.load_atlas(path, space="fsaverage6").maps[hemisphere.compartment]
    n = hemisphere.atlas.n_locations
    found = hemisphere.parcels(np.asarray(labels.harden().labels)[:n], "schaefer2018")
    assert found.n_parcels == 200
    return found


def ward(series: np.ndarray, hemisphere: Hemisphere, n: int) -> np.ndarray:
    """Return scikit-learn's labels, as nilearn's ``Parcellations(method="ward")`` has."""
    from scipy.sparse import coo_array
    from sklearn.cluster import AgglomerativeClustering

    pairs = find_touching(hemisphere.atlas.geometry[hemisphere.compartment].restrict(_seen(series)))
    size = int(_seen(series).sum())
    graph = coo_array((np.ones(pairs.shape[1]), tuple(pairs)), shape=(size, size))
    fit = AgglomerativeClustering(n, connectivity=graph + graph.T, linkage="ward")
    return fit.fit_predict(_standardise(series))


def kmeans(series: np.ndarray, hemisphere: Hemisphere, n: int) -> np.ndarray:
    """Return scikit-learn's labels, as nilearn's ``Parcellations(method="kmeans")`` has."""
    from sklearn.cluster import MiniBatchKMeans

    del hemisphere
    fit = MiniBatchKMeans(n, n_init=3, random_state=0)
    return fit.fit_predict(_standardise(series))


def rena(series: np.ndarray, hemisphere: Hemisphere, n: int) -> np.ndarray:
    """Return nilearn's labels."""
    from nilearn.regions import ReNA
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    mesh = hemisphere.atlas.geometry[hemisphere.compartment]
    assert isinstance(mesh, ai.SurfaceMesh)
    part = "left" if hemisphere.compartment.endswith("L") else "right"
    surface = PolyMesh(**{part: InMemoryMesh(mesh.anatomical, mesh.faces)})
    mask = SurfaceImage(surface, {part: _seen(series)})
    return ReNA(mask, n_clusters=n).fit(_standardise(series).T).labels_


def _seen(series: np.ndarray) -> np.ndarray:
    return series.std(axis=1) > 0


def _standardise(series: np.ndarray) -> np.ndarray:
    x = series[_seen(series)]
    x = x - x.mean(axis=1, keepdims=True)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def _from(method: Callable, hemisphere: Hemisphere, n: int) -> Callable[[np.ndarray], ai.Atlas]:
    def make(series: np.ndarray) -> ai.Atlas:
        labels = np.full(len(series), -1)
        labels[_seen(series)] = method(series, hemisphere, n)
        return hemisphere.parcels(labels, method.__name__)

    return make


def judge(
    name: str, hemisphere: Hemisphere, make: Callable[[np.ndarray], ai.Atlas]
) -> tuple[float, float]:
    """Print a line on the parcels made from each half; return what is kept, and the seconds.

    Seconds of the processor, of all threads, beside those of the clock: other work on the machine
    counts for the clock alone.
    """
    first, second = hemisphere.halves
    begin = time.perf_counter(), time.process_time()
    made = make(first)
    seconds, busy = time.perf_counter() - begin[0], time.process_time() - begin[1]
    other = make(second)
    kept = kept_variance(made, second)
    dice, rand = _agreement(made, other)
    split = int((parcel_pieces(made) > 1).sum())
    print(
        f"{hemisphere.compartment:9} {name:36} {kept:8.4f} {kept_variance(other, first):8.4f} "
        f"{split:6d} {seconds:8.1f} {busy:8.1f} {dice:6.3f} {rand:6.3f}",
        flush=True,
    )
    return kept, busy


def _agreement(one: ai.Atlas, other: ai.Atlas) -> tuple[float, float]:
    if one.provenance.source != "data" and one.name not in ("ward", "kmeans", "rena"):
        found = measure_agreement(one, other)
        return found.mean_dice, found.rand
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics import adjusted_rand_score

    a, b = (np.asarray(next(iter(atlas.maps.values())).harden().labels) for atlas in (one, other))
    both = (a >= 0) & (b >= 0)
    shared = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(shared, (a[both], b[both]), 1)
    sizes = np.bincount(a[a >= 0])[:, None] + np.bincount(b[b >= 0])
    dice = 2 * shared / sizes
    return float(dice[linear_sum_assignment(-dice)].mean()), adjusted_rand_score(a[both], b[both])


def compare(side: str) -> dict[tuple[str, object], tuple[float, float]]:
    """Print the table of one side; return the share kept and seconds of a method and a start."""
    hemisphere = read(side)
    starts = {"Desikan-Killiany": hemisphere.atlas, "Schaefer 200": schaefer(hemisphere)}
    found = {}
    for name, start in starts.items():
        found["start", name] = judge(name, hemisphere, lambda _, start=start: start)
        found["refine", name] = judge(
            f"{name}, refine", hemisphere, lambda x, start=start: ai.refine(start, x)
        )
    mesh = {hemisphere.compartment: hemisphere.atlas.geometry[hemisphere.compartment]}
    for n in SIZES:
        for method in (ward, kmeans, rena):
            make = _from(method, hemisphere, n)
            found[method.__name__, n] = judge(f"{method.__name__}, {n}", hemisphere, make)
        make = _from(ward, hemisphere, n)
        found["ward refined", n] = judge(
            f"ward, {n}, refine", hemisphere, lambda x, make=make: _refined_ward(make, x)
        )
        found["cluster_atlas", n] = judge(
            f"cluster_atlas, {n}", hemisphere, lambda x, n=n: ai.cluster_atlas(mesh, x, n)
        )
    return found


def _refined_ward(make: Callable[[np.ndarray], ai.Atlas], series: np.ndarray) -> ai.Atlas:
    return ai.refine(make(series), series)


def seconds_from_cold(method: str) -> float:
    """Return the seconds that 200 parcels of a hemisphere take, with what JAX compiles.

    The time of the processor, of all threads: at most so long by the clock where it is free.
    """
    import jax

    hemisphere = read("L")
    start = schaefer(hemisphere)
    series = np.concatenate(hemisphere.halves, axis=1)
    jax.block_until_ready(jax.numpy.zeros(1))
    begin = time.perf_counter(), time.process_time()
    if method == "refine":
        ai.refine(start, series)
    else:
        ai.cluster_atlas(start, series, 200)
    print(f"{method}, 200 parcels, from cold: {time.perf_counter() - begin[0]:.1f} s by the clock")
    return time.process_time() - begin[1]


def peak_memory() -> float:
    """Return the GiB that this process takes at most to fit grayordinates, data included."""
    import atlases

    surface = atlases.surface(PARCELS - 38)
    rest = LOCATIONS - surface.n_locations
    grid = ai.VolumeGrid.from_mask(_ball(rest), np.eye(4) * [2, 2, 2, 1])
    labels = (np.arange(rest) * 38 // rest).astype(np.int32)
    volume = ai.Atlas(
        name="volume",
        space=surface.space,
        geometry={"subcortex": grid},
        maps={"subcortex": ai.HardMaps(labels, 38)},
        labels=numbered_labels({"subcortex": 38}),
    )
    atlas = ai.join([surface, volume])
    assert (atlas.n_locations, atlas.n_parcels) == (LOCATIONS, PARCELS)
    rng = np.random.default_rng(0)
    means = rng.normal(size=(PARCELS, VOLUMES)).astype(np.float32)
    data = rng.standard_normal((LOCATIONS, VOLUMES), np.float32)
    rows = atlas.parcel_slices()
    for c, part in atlas.location_slices().items():
        data[part] += means[rows[c]][np.asarray(atlas.maps[c].harden().labels)]
    ai.refine(atlas, data)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def _ball(n: int) -> np.ndarray:
    """Return a mask of the `n` voxels that are nearest to the middle of a cube."""
    side = int(np.ceil(2 * (n * 0.24) ** (1 / 3))) + 3
    axes = np.indices((side,) * 3).reshape(3, -1) - side // 2
    out = np.zeros(side**3, bool)
    out[np.argsort((axes**2).sum(0), kind="stable")[:n]] = True
    return out.reshape((side,) * 3)


def _elsewhere(*what: str) -> float:
    """Return what a function of this module returns in a process of its own."""
    shown = subprocess.run(
        [sys.executable, __file__, *what], capture_output=True, text=True, check=True
    )
    *told, last = shown.stdout.splitlines()
    print("\n".join(told), flush=True)
    return float(last)


def main() -> list[dict]:
    """Print what is kept, and return the rows of the table."""
    print(
        f"{'':9} {'parcels':36} {'kept of':>8} {'kept of':>8} {'in':>6}\n"
        f"{'side':9} {'':36} {'second':>8} {'first':>8} {'pieces':>6} {'seconds':>8} {'CPU':>8} "
        f"{'Dice':>6} {'ARI':>6}"
    )
    left = compare("L")
    compare("R")
    rows = []
    for start, least in TRIAL.items():
        method = "refine" if isinstance(start, str) else "cluster_atlas"
        rows.append(_share(f"kept variance, {start}, {method}; trial", left[method, start], least))
    for n in SIZES:
        for peer in ("ward", "kmeans", "rena"):
            name = f"kept variance, cluster_atlas, {n}; {peer}"
            rows.append(_share(name, left["cluster_atlas", n], left[peer, n][0]))
    for method in ("refine", "cluster_atlas"):
        cold = _elsewhere("seconds_from_cold", method)
        name = f"{method}, 200 parcels of a hemisphere, with compilation, CPU; 5 s"
        rows.append(row(name, cold, 5, most=1))
    peak = _elsewhere("peak_memory")
    name = f"refine, {LOCATIONS} x {VOLUMES}, {PARCELS} parcels, peak GiB; 4 GiB"
    return [*rows, row(name, peak, 4, most=1)]


def _share(name: str, ours: tuple[float, float], least: float) -> dict:
    met = ours[0] > least
    found = {"name": name, "ours": ours[0], "peer": least, "ratio": ours[0] / least}
    return {**found, "target": "more", "met": met}


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(globals()[sys.argv[1]](*sys.argv[2:]))
    else:
        report(main())
