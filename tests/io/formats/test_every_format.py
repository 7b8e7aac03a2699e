"""What holds of every format: it reads, refuses, comes back, and opens its files once.

A new format has its line in `FOREIGN`, or in `OWN` if it can hold a whole atlas.
"""

import contextlib
import dataclasses
import gzip
import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
import pytest
from helpers_surfaces import assert_equal, brain_atlas, contents, cortex_atlas
from nibabel.cifti2 import BrainModelAxis, Cifti2Image, LabelAxis, ScalarAxis, SeriesAxis

import atlasinit as ai
from atlasinit.io import open_data
from atlasinit.io.contents import Contents, LabelRow, Part
from atlasinit.io.formats import registry
from atlasinit.io.formats.base import Format
from atlasinit.io.input import Input, inputs_of
from atlasinit.io.options import ReadOptions
from atlasinit.io.saving import check_saving
from atlasinit.io.stacking import read_sources
from atlasinit.io.values import vertex_values

KEYS = np.arange(600, dtype=np.int32) % 4
WEIGHTS = np.random.default_rng(0).random(600, dtype=np.float32) + 0.25
SHAPE = (10, 12, 5)
AFFINE = np.diag([-2.0, 2.0, 3.0, 1.0])
BOLD = np.random.default_rng(1).normal(size=(600, 7)).astype(np.float32)


def one_hot(keys):
    return (keys == np.arange(1, 4)[:, None]).astype(np.float32)


def gifti(values, intent, *, columns=False):
    arrays = [
        nb.gifti.GiftiDataArray(v, intent=intent) for v in (values.T if columns else [values])
    ]
    return nb.gifti.GiftiImage(
        darrays=arrays, meta=nb.gifti.GiftiMetaData(AnatomicalStructurePrimary="CortexLeft")
    )


def cifti(values, axis):
    brain = BrainModelAxis.from_surface(np.arange(600), 600, "CortexLeft")
    return Cifti2Image(np.atleast_2d(values), header=(axis, brain))


def label_axis():
    names = {i: (f"p{i}", (i / 4, 0.2, 0.3, 1.0)) for i in range(1, 4)}
    return LabelAxis(["x"], [{0: ("???", (1, 1, 1, 0)), **names}])


def mgh(values):
    return nb.MGHImage(values, AFFINE.astype(np.float32))


def save_image(image):
    return lambda path: nb.save(image, path)


def save_packed(image):
    return lambda path: path.write_bytes(gzip.compress(image.to_bytes()))


def save_annotation(path):
    table = np.array([[0, 0, 0, 0], *([60 * i, 20, 30, 0] for i in range(1, 4))])
    nb.freesurfer.write_annot(path, KEYS, table, ["unknown", "p1", "p2", "p3"])


def save_text(delimiter):
    return lambda path: np.savetxt(path, KEYS, fmt="%d", delimiter=delimiter)


@dataclasses.dataclass(frozen=True)
class Foreign:
    """A file that another program wrote, and the maps that it holds."""

    name: str
    save: Callable[[Path], object]
    maps: np.ndarray

    def file(self, folder):
        path = folder / self.name
        self.save(path)
        return path


LABEL, NONE = "NIFTI_INTENT_LABEL", "NIFTI_INTENT_NONE"
VOLUME = nb.Nifti1Image(KEYS.reshape(SHAPE).astype(np.int16), AFFINE)
PAIR = nb.Nifti1Pair(VOLUME.dataobj, AFFINE)
HARD, SOFT = one_hot(KEYS), WEIGHTS[None]
FOREIGN = (
    Foreign("x.nii", save_image(VOLUME), HARD),
    Foreign("x.nii.gz", save_image(VOLUME), HARD),
    Foreign("x.img", save_image(PAIR), HARD),
    Foreign("x.hdr", save_image(PAIR), HARD),
    Foreign("x.img.gz", save_image(PAIR), HARD),
    Foreign("x.hdr.gz", save_image(PAIR), HARD),
    Foreign("x.mgh", save_image(mgh(KEYS.reshape(SHAPE))), HARD),
    Foreign("x.mgz", save_image(mgh(KEYS.reshape(SHAPE))), HARD),
    Foreign("lh.line.mgz", save_image(mgh(KEYS.reshape(600, 1, 1))), HARD),
    Foreign("lh.line.nii.gz", save_image(nb.Nifti1Image(WEIGHTS[:, None, None], AFFINE)), SOFT),
    Foreign("lh.thickness", lambda p: nb.freesurfer.write_morph_data(p, WEIGHTS), SOFT),
    Foreign("x.label.gii", save_image(gifti(KEYS, LABEL)), HARD),
    Foreign("x.label.gii.gz", save_packed(gifti(KEYS, LABEL)), HARD),
    Foreign("x.func.gii", save_image(gifti(WEIGHTS, NONE)), SOFT),
    Foreign("x.func.gii.gz", save_packed(gifti(WEIGHTS, NONE)), SOFT),
    Foreign("x.shape.gii", save_image(gifti(WEIGHTS, NONE)), SOFT),
    Foreign("x.shape.gii.gz", save_packed(gifti(WEIGHTS, NONE)), SOFT),
    Foreign("x.gii", save_image(gifti(WEIGHTS, NONE)), SOFT),
    Foreign("x.gii.gz", save_packed(gifti(WEIGHTS, NONE)), SOFT),
    Foreign("x.dlabel.nii", save_image(cifti(KEYS, label_axis())), HARD),
    Foreign("x.dscalar.nii", save_image(cifti(WEIGHTS, ScalarAxis(["x"]))), SOFT),
    Foreign("x.dtseries.nii", save_image(cifti(WEIGHTS, SeriesAxis(0, 1, 1))), SOFT),
    Foreign("lh.x.annot", save_annotation, HARD),
    Foreign("lh.x.csv", save_text(","), HARD),
    Foreign("lh.x.tsv", save_text("\t"), HARD),
    Foreign("lh.x.txt", save_text(" "), HARD),
    Foreign("lh.x.npy", lambda p: np.save(p, KEYS), HARD),
    Foreign("lh.x.npz", lambda p: np.savez(p, x=KEYS), HARD),
)
TEXT = (".csv", ".tsv", ".txt")
# Read as something else: surfaces are laid under labels, and parcels have no locations.
NOT_ATLASES = {".surf.gii", ".surf.gii.gz", ".pscalar.nii", ".ptseries.nii"}

foreign = pytest.mark.parametrize("case", FOREIGN, ids=lambda case: case.name)


def test_every_ending_is_in_the_tables():
    written = {ending for form in registry.FORMATS for ending in form.writes}
    assert set(OWN) == written
    tried = {
        ending for case in FOREIGN for ending in registry.endings() if case.name.endswith(ending)
    }
    assert tried | written | NOT_ATLASES == set(registry.endings())
    assert not tried & NOT_ATLASES


@foreign
def test_reads(tmp_path, case):
    atlas = ai.load_atlas(case.file(tmp_path), space="stated")
    (compartment,) = atlas.compartments
    whole = np.zeros_like(case.maps)
    geometry = atlas.geometry[compartment]
    at = geometry.voxels if isinstance(geometry, ai.VolumeGrid) else geometry.vertices
    whole[:, at] = atlas.to_dense()[compartment]
    np.testing.assert_array_equal(whole, case.maps)
    assert compartment == ("volume" if isinstance(geometry, ai.VolumeGrid) else "cortex_L")


@foreign
def test_the_provenance_has_the_hash_of_the_file(tmp_path, case):
    path = case.file(tmp_path)
    provenance = ai.load_atlas(path, space="stated").provenance
    assert provenance.source == "files"
    assert provenance.files[0][0] == path.name
    # Of a pair both files are in the folder.
    assert dict(provenance.files) == {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in tmp_path.iterdir()
    }


# Text that ends early is shorter text.
CUT = [(c, k) for c in FOREIGN for k in (0.0, 0.02, 0.5, 0.9) if not (k and c.name.endswith(TEXT))]


@pytest.mark.parametrize(("case", "keep"), CUT, ids=lambda value: getattr(value, "name", value))
def test_refuses_truncation(tmp_path, case, keep):
    path = case.file(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ai.AtlasFileError) as told:
        ai.load_atlas(path, space="stated")
    assert str(told.value).startswith(f"{path}: ")


@foreign
def test_in_memory_is_as_on_disk(tmp_path, case):
    path = case.file(tmp_path)
    if case.name.endswith((".annot", ".thickness", *TEXT)):
        given = {"cortex_L": KEYS if case.maps is HARD else WEIGHTS}
    elif case.name.endswith((".npy", ".npz")):
        given = {"cortex_L": KEYS}
    else:
        # nibabel leaves files of this format open that it opens itself.
        in_bytes = case.name.endswith(".mgh")
        given = nb.MGHImage.from_bytes(path.read_bytes()) if in_bytes else nb.load(path)
    on_disk = ai.load_atlas(path, space="stated", name="x")
    atlas = ai.load_atlas(given, space="stated", name="x")
    assert (atlas.provenance.source, atlas.provenance.files) == ("in memory", ())
    assert atlas.geometry == on_disk.geometry
    assert list(atlas.table["key"]) == list(on_disk.table["key"])
    for c, maps in atlas.to_dense().items():
        np.testing.assert_array_equal(maps, on_disk.to_dense()[c])
    if not isinstance(given, dict):
        assert atlas.table == on_disk.table


@foreign
def test_an_atlas_is_read_in_one_opening(tmp_path, case):
    path = case.file(tmp_path)
    with openings() as count:
        ai.load_atlas(path, space="stated")
    assert count[str(path)] == 1


@foreign
def test_contents_state_what_the_file_does(tmp_path, case):
    stated = contents(case.file(tmp_path)).stated
    by_content = (".annot", ".label.gii", ".label.gii.gz", ".dlabel.nii")
    assert stated.labels == case.name.endswith(by_content)
    assert stated.structure == ("cortex_L" if ".gii" in case.name else "")
    assert stated.side == ("L" if ".gii" in case.name else "")


def test_an_image_states_its_unit_and_whether_its_axes_have_a_direction(tmp_path):
    image = nb.Nifti1Image(KEYS.reshape(SHAPE).astype(np.int16), AFFINE)
    image.header.set_xyzt_units("micron")
    image.set_sform(AFFINE, code=0)
    image.set_qform(None, code=0)
    nb.save(image, tmp_path / "tpl-MNI152Lin_dseg.nii.gz")
    for given in (image, tmp_path / "tpl-MNI152Lin_dseg.nii.gz"):
        with pytest.warns(ai.AtlasWarning, match="states no orientation"):
            stated = contents(given).stated
        assert (stated.labels, stated.unit, stated.oriented) == (True, "micron", False)
    source = Input(tmp_path / "tpl-MNI152Lin_dseg.nii.gz")
    with pytest.warns(ai.AtlasWarning, match="states no orientation"):
        found = registry.read_values(source).stated
    assert (found.labels, found.unit, found.space) == (True, "micron", "MNI152Lin")
    image.header.set_xyzt_units(0)
    image.set_qform(AFFINE, code=1)
    assert (contents(image).stated.unit, contents(image).stated.oriented) == ("", True)


def test_a_surface_image_states_its_mesh():
    from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage

    points, faces = np.random.default_rng(0).normal(size=(600, 3)), np.array([[0, 1, 2]])
    mesh = InMemoryMesh(points, faces)
    image = SurfaceImage(PolyMesh(left=mesh, right=mesh), {"left": KEYS, "right": KEYS})
    for compartment, (source,) in inputs_of(image):
        (found,) = read_sources([source], None, ReadOptions().with_defaults(), hashed=False)
        stated = found.stated
        assert (stated.structure, stated.side) == (compartment, compartment[-1])
        np.testing.assert_array_equal(stated.mesh.coordinates, points)
        np.testing.assert_array_equal(stated.mesh.faces, faces)


# Data

DATA = {
    "x.nii": save_image(nb.Nifti1Image(BOLD.reshape(*SHAPE, 7), AFFINE)),
    "x.nii.gz": save_image(nb.Nifti1Image(BOLD.reshape(*SHAPE, 7), AFFINE)),
    "x.mgz": save_image(mgh(BOLD.reshape(*SHAPE, 7))),
    "lh.line.mgz": save_image(mgh(BOLD.reshape(600, 1, 1, 7))),
    "lh.thickness": lambda path: nb.freesurfer.write_morph_data(path, BOLD[:, 0]),
    "x.func.gii": save_image(gifti(BOLD, NONE, columns=True)),
    "x.func.gii.gz": save_packed(gifti(BOLD, NONE, columns=True)),
    "x.dtseries.nii": save_image(cifti(BOLD.T.copy(), SeriesAxis(0, 1, 7))),
    "x.dscalar.nii": save_image(cifti(BOLD.T.copy(), ScalarAxis([str(i) for i in range(7)]))),
}


def atlas_for(name):
    if name in ("x.nii", "x.nii.gz", "x.mgz"):
        return ai.load_atlas(VOLUME, space="stated")
    return ai.load_atlas({"cortex_L": KEYS}, space="stated")


@pytest.mark.parametrize("name", DATA)
def test_data_are_read_by_chunks_in_one_opening(tmp_path, name):
    DATA[name](tmp_path / name)
    atlas = atlas_for(name)
    with openings() as count:
        source = open_data(tmp_path / name, atlas)
        chunks = [source.read(slice(i, i + 3)) for i in range(0, source.n_time, 3)]
    assert count[str(tmp_path / name)] == 1
    (geometry,) = atlas.geometry.values()
    at = geometry.voxels if isinstance(geometry, ai.VolumeGrid) else geometry.vertices
    np.testing.assert_array_equal(np.concatenate(chunks, axis=1), BOLD[at, : source.n_time])


@pytest.mark.parametrize("name", [name for name in DATA if name != "lh.thickness"])
def test_data_in_memory_are_as_on_disk(tmp_path, name):
    DATA[name](tmp_path / name)
    atlas = atlas_for(name)
    on_disk = open_data(tmp_path / name, atlas).all()
    np.testing.assert_array_equal(open_data(nb.load(tmp_path / name), atlas).all(), on_disk)


@pytest.mark.parametrize("name", DATA)
@pytest.mark.parametrize("keep", [0.0, 0.5, 0.9])
def test_data_that_are_truncated_are_refused(tmp_path, name, keep):
    path = tmp_path / name
    DATA[name](path)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ai.AtlasFileError) as told:
        open_data(path, atlas_for(name)).all()
    assert str(told.value).startswith(f"{path}: ")


@pytest.mark.parametrize("case", FOREIGN[-5:], ids=lambda case: case.name)
def test_a_file_that_holds_no_data_says_what_does(tmp_path, case):
    with pytest.raises(ai.AtlasFileError, match=r"pass an image \(.*\.dtseries\.nii.*array"):
        open_data(case.file(tmp_path), atlas_for(case.name))


# Our own files

OWN = {
    **dict.fromkeys([".npz", ".safetensors", ".scipy.npz", ".weight.safetensors"], "whole"),
    ".dscalar.nii": "whole",
    ".dlabel.nii": "whole, hard",
    **dict.fromkeys([".nii", ".nii.gz"], "volume"),
    **{f".{kind}.gii{packed}": "cortex" for kind in ("func", "shape") for packed in ("", ".gz")},
    **dict.fromkeys([".label.gii", ".label.gii.gz", ".annot"], "cortex, hard"),
}


def own(ending):
    atlas = brain_atlas(key=[1, 2, 300, 4, 5, 10, 49])
    if ending == ".annot":
        atlas = brain_atlas(key=[1, 2, 3, 1, 2, 10, 49])
    kind, _, hard = OWN[ending].partition(", ")
    chosen = {"volume": "subcortex", "cortex": list(cortex_atlas().compartments)}
    atlas = atlas.select(compartments=chosen[kind]) if kind in chosen else atlas
    return atlas.harden() if hard else atlas


def save_own(atlas, path):
    return [file for file in ai.save_atlas(atlas, path) if not file.name.endswith(".tsv")]


@pytest.mark.parametrize("ending", OWN)
def test_round_trip(tmp_path, ending):
    atlas = own(ending)
    files = save_own(atlas, tmp_path / f"x{ending}")
    if ending != ".annot":
        assert_equal(ai.load_atlas(files), atlas)
        return
    # An annotation has no place for the kept vertices, the space, or further columns.
    again = ai.load_atlas(files, space=atlas.space)
    assert again.table["name"] == atlas.table["name"]
    for c, maps in atlas.maps.items():
        np.testing.assert_array_equal(
            again.to_dense()[c], atlas.geometry[c].put(maps.to_dense().T).T
        )


@pytest.mark.parametrize("ending", OWN)
@pytest.mark.parametrize("keep", [0.0, 0.3, 0.9])
def test_our_own_files_refuse_truncation(tmp_path, ending, keep):
    files = save_own(own(ending), tmp_path / f"x{ending}")
    content = files[-1].read_bytes()
    files[-1].write_bytes(content[: int(keep * len(content))])
    with pytest.raises(ai.AtlasFileError) as told:
        ai.load_atlas(files if len(files) > 1 else files[0], space="fsLR")
    assert str(told.value).startswith(f"{files[-1]}: ")


@pytest.mark.parametrize("ending", OWN)
def test_our_own_files_are_opened_once(tmp_path, ending):
    files = save_own(own(ending), tmp_path / f"x{ending}")
    with openings() as count:
        ai.load_atlas(files if len(files) > 1 else files[0], space="fsLR")
    assert {count[str(file)] for file in files} == {1}


@pytest.mark.parametrize("ending", OWN)
def test_the_place_is_checked_before_the_work(tmp_path, ending):
    atlas = own(ending)
    check_saving(atlas, tmp_path / f"x{ending}")
    save_own(atlas, tmp_path / f"x{ending}")
    with pytest.raises(ai.AtlasFileError, match="exists already"):
        check_saving(atlas, tmp_path / f"x{ending}")


# A format of a user

TOY = ".toy"


def write_toy(atlas, path, *, overwrite=False):
    del overwrite
    keys = atlas.geometry["cortex_L"].put(np.asarray(atlas.maps["cortex_L"].labels) + 1)
    names = dict(zip(atlas.table["key"], atlas.table["name"], strict=True))
    Path(path).write_text(json.dumps({"keys": keys.tolist(), "names": names}))
    return [Path(path)]


def read_toy(source, options, compartment):
    del options
    found = json.loads(source.stream().read())
    rows = tuple(LabelRow(int(key), name) for key, name in found["names"].items())
    mesh = ai.SurfaceMesh(len(found["keys"]), hemisphere="L")
    keys = np.array(found["keys"], np.int32)
    return Contents((Part(compartment or "cortex_L", mesh, keys=keys, rows=rows),))


def toy_values(source):
    series = np.array(json.loads(source.stream().read())["series"], np.float32)
    return vertex_values(series, source.stated)


def test_a_format_is_one_module_and_one_line(tmp_path, monkeypatch):
    toy = Format(
        title="a toy",
        endings=(TOY,),
        claims=lambda source: source.name.endswith(TOY),
        read=read_toy,
        values=toy_values,
        write=write_toy,
        writes=(TOY,),
        in_bids=(TOY,),
    )
    monkeypatch.setattr(registry, "FORMATS", (*registry.FORMATS, toy))
    atlas = ai.load_atlas({"cortex_L": KEYS}, space="stated", labels={1: "a", 2: "b", 3: "c"})
    (path,) = ai.save_atlas(atlas, tmp_path / "tpl-x_atlas-y_dseg.toy")
    for given in (path, tmp_path):  # the file, and its folder as BIDS has it
        again = ai.load_atlas(given)
        assert (again.table["name"], again.space, again.name) == (("a", "b", "c"), "x", "y")
        np.testing.assert_array_equal(again.to_dense()["cortex_L"], atlas.to_dense()["cortex_L"])
        assert again.provenance.files == (
            (path.name, hashlib.sha256(path.read_bytes()).hexdigest()),
        )
    (tmp_path / "bold.toy").write_text(json.dumps({"series": BOLD.T.tolist()}))
    found = ai.project(atlas, open_data(tmp_path / "bold.toy", atlas).all())
    expected = [BOLD[key == KEYS].mean(axis=0) for key in (1, 2, 3)]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(ValueError, match=r"`path` should end in .*\.toy, got 'x\.abc'"):
        ai.save_atlas(atlas, tmp_path / "x.abc")
    (tmp_path / "x.abc").write_text("abc")
    with pytest.raises(ai.AtlasFileError, match=r"Atlases are read from .*\.toy"):
        ai.load_atlas(tmp_path / "x.abc", space="stated")
    with pytest.raises(ai.AtlasFileError, match=r"none\.toy: no such file"):
        ai.load_atlas("none.toy")


# What is opened

_counting: list[Counter[str]] = []


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "open" and _counting and isinstance(arguments[0], str | os.PathLike):
        _counting[-1][os.fspath(arguments[0])] += 1


_listening: list[bool] = []


@contextlib.contextmanager
def openings():
    """Yield the number of times that each file is opened by Python, as the context ends."""
    if not _listening:
        # There is no way to take such a hook away.
        sys.addaudithook(_hear)
        _listening.append(True)
    _counting.append(Counter())
    try:
        yield _counting[-1]
    finally:
        _counting.pop()


def test_save_atlas_lists_what_is_written():
    """The table of its docstring has the endings of `FORMATS`, each once."""
    table = (ai.save_atlas.__doc__ or "").split("=\n")[1]
    rows = re.findall(r"^ +((?:``\.[\w.]+``(?:, )?)+)", table, re.MULTILINE)
    listed = [ending for row in rows for ending in re.findall(r"``([^`]+)``", row)]
    written = {ending for form in registry.FORMATS for ending in form.writes}
    assert sorted(listed) == sorted(written)
