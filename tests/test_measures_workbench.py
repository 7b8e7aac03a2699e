"""Areas, lengths of boundaries and paths along the mesh beside Connectome Workbench."""

import shutil
import subprocess
from xml.etree import ElementTree

import nibabel as nb
import numpy as np
import pytest
from helpers import table
from helpers_smoothing import icosphere
from scipy.sparse.csgraph import dijkstra

import atlasinit as ai
from atlasinit.measures import measure_parcels
from atlasinit.smoothing.surface import geodesic_graph

pytestmark = pytest.mark.skipif(
    shutil.which("wb_command") is None, reason="wb_command is not installed"
)

N = 4


@pytest.fixture(scope="module")
def bent(tmp_path_factory):
    """A bent surface with parcels, some vertices of none, and its files in a folder."""
    folder = tmp_path_factory.mktemp("workbench")
    directions, faces = icosphere(3)
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    x, y, z = directions.T
    points = directions * (40 + 6 * np.sin(4 * x) + 5 * np.cos(3 * y + z))[:, None]
    seeds = np.random.default_rng(0).normal(size=(N + 1, 3))
    seeds /= np.linalg.norm(seeds, axis=1, keepdims=True)
    labels = (directions @ seeds.T).argmax(axis=1).astype(np.int32)
    labels[labels == N] = -1
    mesh = ai.SurfaceMesh(len(points), hemisphere="L", faces=faces, anatomical=points)
    atlas = ai.Atlas(
        name="bent",
        space="mine",
        maps={"cortex_L": ai.HardMaps(labels, N)},
        geometry={"cortex_L": mesh},
        labels=table(["cortex_L"] * N, names=[f"p{k}" for k in range(N)]),
    )
    coordinates = nb.gifti.GiftiDataArray(points.astype("f4"), "NIFTI_INTENT_POINTSET")
    coordinates.meta["GeometricType"] = "Anatomical"
    coordinates.meta["AnatomicalStructurePrimary"] = "CortexLeft"
    triangles = nb.gifti.GiftiDataArray(faces.astype("i4"), "NIFTI_INTENT_TRIANGLE")
    nb.save(nb.GiftiImage(darrays=[coordinates, triangles]), folder / "s.surf.gii")
    ai.save_atlas(atlas, folder / "l.label.gii")
    return atlas, folder


def run(folder, *words):
    return subprocess.run(
        ["wb_command", *words], cwd=folder, check=True, capture_output=True, text=True
    ).stdout


def test_vertex_areas(bent):
    atlas, folder = bent
    run(folder, "-surface-vertex-areas", "s.surf.gii", "a.func.gii")
    areas = nb.load(folder / "a.func.gii").darrays[0].data
    mesh = atlas.geometry["cortex_L"]
    np.testing.assert_allclose(mesh.vertex_areas, areas, rtol=1e-4)
    labels = np.asarray(atlas.maps["cortex_L"].labels)
    sums = np.bincount(labels[labels >= 0], areas[labels >= 0])
    np.testing.assert_allclose(measure_parcels(atlas)["area"], sums, rtol=1e-4)


def test_lengths_of_boundaries(bent):
    """Of the lines through Workbench's points, which lie in the middles of edges.

    ``-border-length`` goes from point to point along the mesh's edges, and is about 1.3 times that.
    """
    atlas, folder = bent
    run(folder, "-label-to-border", "s.surf.gii", "l.label.gii", "b.border", "-placement", "0.5")
    points = atlas.geometry["cortex_L"].anatomical
    found = {}
    for border in ElementTree.parse(folder / "b.border").iter("Border"):
        found[border.get("Name")] = 0.0
        for part in border.iter("BorderPart"):
            corners = np.array(part.findtext("Vertices").split(), int).reshape(-1, 3)
            weights = np.array(part.findtext("Weights").split(), float).reshape(-1, 3)
            line = (points[corners] * weights[:, :, None]).sum(axis=1)
            assert part.get("Closed") == "True"
            steps = np.linalg.norm(line - np.roll(line, 1, axis=0), axis=1)
            found[border.get("Name")] += steps.sum()
    ours = measure_parcels(atlas).set_index("name")["boundary_length"]
    for name, length in ours.items():
        np.testing.assert_allclose(length, found[name], rtol=1e-5)


def test_lengths_of_paths(bent):
    """``-naive`` goes along edges alone, and without it Workbench crosses pairs of triangles."""
    atlas, folder = bent
    mesh = atlas.geometry["cortex_L"]
    graph = geodesic_graph(mesh.anatomical.astype(float), mesh.faces)
    for words, edges in ((("-naive",), True), ((), False)):
        run(folder, "-surface-geodesic-distance", "s.surf.gii", "7", "d.func.gii", *words)
        oracle = nb.load(folder / "d.func.gii").darrays[0].data
        ours = dijkstra(_edges(mesh) if edges else graph, indices=7)
        np.testing.assert_allclose(ours, oracle, rtol=2e-4, atol=1e-3)


def _edges(mesh):
    from scipy.sparse import csr_array

    pairs = np.unique(np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    lengths = np.linalg.norm(
        np.subtract(*(mesh.anatomical[p].astype(float) for p in pairs.T)), axis=1
    )
    one, other = pairs.T
    n = mesh.n_vertices
    both = (np.r_[lengths, lengths], (np.r_[one, other], np.r_[other, one]))
    return csr_array(both, shape=(n, n))
