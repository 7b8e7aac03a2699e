"""Between volumes and surfaces on the command line, beside Workbench."""

import shutil
import subprocess

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers import table
from helpers_smoothing import _gifti, icosphere

import atlasinit as ai
from atlasinit.catalogue import package_file

SHAPE = (32, 33, 31)
AFFINE = np.array([[-2.0, 0, 0, 31], [0, 2, 0, -33], [0, 0, 2, -30.5], [0, 0, 0, 1]])
POINTS, FACES = icosphere(2, 1.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A wavy cortex of 162 vertices, labels and a run in its volume, and labels on its mesh."""
    folder = tmp_path_factory.mktemp("cortex")
    wave = 1 + 0.1 * np.sin(7 * POINTS @ [1, 2, 0.5])
    white = 20 * wave[:, None] * POINTS
    surfaces = {"sphere": 100 * POINTS, "white": white, "pial": white + 4 * POINTS}
    surfaces["middle"] = white + 2 * POINTS
    for name, points in surfaces.items():
        image = _gifti([points, FACES], ["POINTSET", "TRIANGLE"])
        nb.save(image, folder / f"lh.{name}.surf.gii")
    shutil.copy(folder / "lh.white.surf.gii", folder / "rh.white.surf.gii")
    labels = np.indices(SHAPE).sum(0) // 12 % 4
    nb.save(nb.Nifti1Image(labels.astype(np.int32), AFFINE), folder / "dseg.nii")
    (folder / "dseg.tsv").write_text("index\tname\n1\ta\n2\tb\n3\tc\n")
    values = np.random.default_rng(0).normal(size=(*SHAPE, 6)).astype(np.float32)
    nb.save(nb.Nifti1Image(values, AFFINE), folder / "bold.nii")
    ai.save_atlas(vertices_atlas(), folder / "left.npz")
    return folder


def vertices_atlas(first=0, end=162, name="left"):
    kept = np.arange(first, end)
    labels = (POINTS[kept] > 0) @ [1, 2, 4]
    return ai.Atlas(
        name=name,
        space="T1w",
        maps={"cortex_L": ai.HardMaps(labels.astype(np.int32), 8)},
        geometry={"cortex_L": ai.SurfaceMesh(162, kept, hemisphere="L", faces=FACES)},
        labels=table(["cortex_L"] * 8),
    )


def cortex(folder):
    pair = ((f"--{name}", folder / f"lh.{name}.surf.gii") for name in ("white", "pial"))
    return [word for option in pair for word in option]


def map_by_workbench(folder, command, image, out):
    if shutil.which("wb_command") is None:
        pytest.skip("wb_command is not installed")
    surfaces = ["lh.white.surf.gii", "lh.pial.surf.gii"]
    words = [command, image, "lh.middle.surf.gii", out, "-ribbon-constrained", *surfaces]
    subprocess.run(["wb_command", *words], cwd=folder, check=True, capture_output=True, timeout=60)
    return np.stack([array.data for array in nb.load(folder / out).darrays], axis=1)


@pytest.mark.sweep
def test_labels_of_a_volume_on_a_mesh(run, folder):
    """As Workbench, but where two labels have as many points each."""
    command = ["resample", folder / "dseg.nii", "--space", "T1w", *cortex(folder)]
    command += ["--to", folder / "lh.sphere.surf.gii", "-o", folder / "out.label.gii"]
    status, _, errors = run(*command)
    assert status == 2
    assert "--to-space should name the space of the result; pass --to-space T1w" in errors
    status, out, errors = run(*command, "--to-space", "T1w")
    assert status == 0
    assert str(folder / "out.label.gii") in out
    ours = nb.load(folder / "out.label.gii").agg_data()
    (folder / "names.txt").write_text("a\n1 1 0 0 255\nb\n2 2 0 0 255\nc\n3 3 0 0 255\n")
    words = ["-volume-label-import", "dseg.nii", "names.txt", "named.nii"]
    if shutil.which("wb_command") is not None:
        subprocess.run(["wb_command", *words], cwd=folder, check=True, timeout=60)
    theirs = map_by_workbench(
        folder, "-volume-label-to-surface-mapping", "named.nii", "theirs.label.gii"
    )
    assert set(np.unique(ours)) == {0, 1, 2, 3}
    assert (ours != theirs[:, 0]).mean() < 0.01


def test_a_run_of_a_volume_for_parcels_of_a_mesh(run, folder):
    """As the means of what Workbench maps."""
    output = folder / "series.tsv"
    command = ["project", folder / "left.npz", "-d", folder / "bold.nii", *cortex(folder)]
    assert run(*command, "-o", output)[0] == 0
    found = pd.read_csv(output, sep="\t").to_numpy()
    values = map_by_workbench(folder, "-volume-to-surface-mapping", "bold.nii", "bold.func.gii")
    labels = np.asarray(vertices_atlas().maps["cortex_L"].labels)
    means = np.stack([values[labels == k].mean(axis=0) for k in range(8)], axis=1)
    np.testing.assert_allclose(found, means, atol=2e-3)
    status, _, errors = run(*command, "-o", output, "--overwrite", "--sampling", "nearest")
    assert (status, errors[:8]) == (0, "atlasini")
    assert np.abs(pd.read_csv(output, sep="\t").to_numpy() - means).max() > 0.02


def test_atlases_of_different_vertices_share_a_run(run, folder):
    ai.save_atlas(vertices_atlas(30, 160, "few"), folder / "few.npz")
    ai.save_atlas(vertices_atlas(0, 100, "first"), folder / "first.npz")
    command = ["project", folder / "few.npz", "-d", folder / "bold.nii", *cortex(folder)]
    assert run(*command, "-a", folder / "first.npz", "-o", folder / "s.tsv")[0] == 0
    assert run("project", folder / "first.npz", *command[2:], "-o", folder / "alone.tsv")[0] == 0
    shared = pd.read_csv(folder / "s_atlas-first.tsv", sep="\t")
    np.testing.assert_allclose(shared, pd.read_csv(folder / "alone.tsv", sep="\t"), rtol=1e-5)


def test_labels_of_a_mesh_in_a_volume(run, folder):
    command = ["resample", folder / "left.npz", "--to", folder / "bold.nii", *cortex(folder)]
    assert run(*command, "-o", folder / "back.nii", "--to-space", "T1w")[0] == 0
    surfaces = {name: folder / f"lh.{name}.surf.gii" for name in ("white", "pial")}
    grid = ai.VolumeGrid(SHAPE, AFFINE)
    expected = ai.to_volume(vertices_atlas(), grid, **surfaces, space="T1w")
    found = np.asarray(nb.load(folder / "back.nii").dataobj)
    keys = np.append(expected.labels["key"], 0)
    np.testing.assert_array_equal(found.reshape(-1), keys[expected.maps["volume"].labels])
    assert len(np.unique(found)) == 9


def test_both_sides_of_a_named_space(run, tmp_path):
    surfaces = {
        (name, side): package_file(f"nilearn/datasets/data/fsaverage5/{name}_{side}.gii.gz")
        for name in ("white", "pial")
        for side in ("left", "right")
    }
    command = ["resample", "aal", "--to", "fsaverage5", "--sampling", "nearest"]
    command += [word for (name, _), path in surfaces.items() for word in (f"--{name}", path)]
    assert run(*command, "-o", tmp_path / "a.npz")[0] == 0
    found, aal = ai.load_atlas(tmp_path / "a.npz"), ai.load_atlas("aal")
    grid = aal.geometry["volume"]
    whole = ai.VolumeGrid(grid.shape, grid.affine)
    meshes = ai.load_atlas("desikan-killiany", space="fsaverage5").geometry
    operators = {
        c: ai.sampling_operator(
            whole, meshes[c], white=surfaces["white", s], pial=surfaces["pial", s], method="nearest"
        )
        for c, s in (("cortex_L", "left"), ("cortex_R", "right"))
    }
    with pytest.warns(ai.AtlasWarning, match="have no vertex"):
        expected = ai.to_surface(aal, operators, space="fsaverage5")
    assert found.maps == expected.maps
    assert found.space == "fsaverage5"


VOLUME = ["resample", "{folder}/dseg.nii", "--space", "T1w", "-o", "{folder}/x.npz"]
MESH = ["resample", "{folder}/left.npz", "-o", "{folder}/x.nii", "--to-space", "T1w"]
RUN = ["project", "{folder}/left.npz", "-o", "{folder}/x.tsv"]
WHITE, PIAL = (["--" + name, f"{{folder}}/lh.{name}.surf.gii"] for name in ("white", "pial"))
SPHERE = ["--to", "{folder}/lh.sphere.surf.gii", "--to-space", "T1w"]
IMAGE, DATA = ["--to", "{folder}/bold.nii"], ["-d", "{folder}/bold.nii"]
MISTAKES = {
    "one surface": (
        [*VOLUME, *SPHERE, *WHITE],
        "--white needs the white and the pial surface; pass --white FILE, --pial FILE",
    ),
    "no surface": ([*RUN, *DATA, "--sampling", "line"], "--sampling needs the white and the"),
    "without any": ([*VOLUME, *SPHERE], "between white and pial surfaces it is moved by --white"),
    "without any, back": ([*MESH, *IMAGE], "an atlas is moved by --white"),
    "a run without any": ([*RUN, *DATA], "between white and pial surfaces by --white"),
    "a space without any": (
        [*VOLUME, "--to", "fsaverage5"],
        "--to is of surfaces, and 'dseg' is a volume; it is moved between its white and pial "
        "surfaces: pass --white FILE, --pial FILE",
    ),
    "another side": (
        [*VOLUME, *SPHERE, "--white", "{folder}/rh.white.surf.gii", *PIAL],
        "--white should be one of each of ['cortex_L'], got those of ['cortex_R']",
    ),
    "the grid of an image for a volume": (
        [*VOLUME, *IMAGE, *WHITE, *PIAL, "--to-space", "T1w"],
        "--to should be spheres, or a space, whose meshes",
    ),
    "a sphere for surfaces": (
        ["resample", "{folder}/left.npz", "-o", "{folder}/x.nii", *SPHERE, *WHITE, *PIAL],
        "--to should be one image, whose grid 'left' is moved to",
    ),
    "no file for surfaces": (
        [*MESH, "--to", "nothing.nii", *WHITE, *PIAL],
        "is moved to, got 'nothing.nii', which is no file",
    ),
    "exchanged": (
        [*RUN, *DATA, "--white", PIAL[1], "--pial", WHITE[1]],
        "--pial is smaller than --white: ",
    ),
    "samples for voxels": (
        [*MESH, *IMAGE, *WHITE, *PIAL, "--sampling", "line"],
        "--sampling is of voxels at vertices",
    ),
    "a method besides": (
        [*VOLUME, *SPHERE, *WHITE, *PIAL, "--method", "linear"],
        "--method is not for moves between volumes and surfaces",
    ),
    "a space twice": (
        [*VOLUME, "--to", "fsaverage5", "--to-space", "x", *WHITE, *PIAL],
        "'fsaverage5' is a space itself",
    ),
    "data of a surface": (
        [*RUN, "-d", "{folder}/lh.white.surf.gii", *WHITE, *PIAL],
        "--data should be one image of a volume where surfaces are given, got",
    ),
    "an atlas of a volume": (
        ["project", *VOLUME[1:4], "-o", "{folder}/x.tsv", *DATA, *WHITE, *PIAL],
        "--white and --pial are for atlases of surfaces; leave them out",
    ),
    "labels": (
        [*RUN, "-d", "{folder}/dseg.nii", *WHITE, *PIAL, "--reduction", "mode"],
        "between which there is nothing; pass --sampling nearest",
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes(run, folder, case):
    arguments, message = MISTAKES[case]
    status, out, errors = run(*(word.format(folder=folder) for word in arguments))
    assert (status, out) == (2, "")
    assert message in errors
