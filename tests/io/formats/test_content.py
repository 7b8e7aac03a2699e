"""Files that are something else than their names say, and images of several files."""

import bz2
import gzip
import io
import lzma
import os
import warnings
import zipfile

import nibabel as nb
import numpy as np
import pytest
from helpers_surfaces import contents
from nibabel.gifti import GiftiDataArray, GiftiImage

import atlasinit as ai
from atlasinit.io import open_data
from atlasinit.io.unpacking import LIMIT, check_holds, check_unpacked
from atlasinit.loading import load_atlas

SHAPE = (6, 5, 4)
KEYS = (np.arange(120, dtype=np.int16) % 4).reshape(SHAPE)
AFFINE = np.diag([2.0, 2, 3, 1])
BOLD = np.random.default_rng(0).normal(size=(*SHAPE, 5)).astype(np.float32)
MEANS = np.array([BOLD[KEYS == k].mean(axis=0, dtype=np.float64) for k in (1, 2, 3)])


@pytest.fixture(scope="module")
def atlas():
    return load_atlas(nb.Nifti1Image(KEYS, AFFINE), space="stated")


def nifti_bytes(values=KEYS):
    return nb.Nifti1Image(values, AFFINE).to_bytes()


def mgh_bytes(values=KEYS):
    return nb.MGHImage(values.astype(np.float32), AFFINE.astype(np.float32)).to_bytes()


def gifti_bytes():
    image = GiftiImage(darrays=[GiftiDataArray(KEYS.ravel().astype(np.int32), datatype="int32")])
    return image.to_bytes()


# Compression that the name does not say, or says in vain


@pytest.mark.parametrize(
    ("plain", "packed", "content"),
    [
        ("x.nii", "x.nii.gz", nifti_bytes),
        ("x.mgh", "x.mgz", mgh_bytes),
        ("lh.x.label.gii", "lh.x.label.gii.gz", gifti_bytes),
    ],
)
def test_compression_goes_by_content(tmp_path, plain, packed, content):
    (tmp_path / plain).write_bytes(content())
    right = load_atlas(tmp_path / plain, space="stated", name="x")
    for name, stored in ((plain, gzip.compress(content())), (packed, content())):
        (tmp_path / name).write_bytes(stored)
        again = load_atlas(tmp_path / name, space="stated", name="x")
        assert again.table == right.table
        assert again.geometry == right.geometry
        for c, maps in right.to_dense().items():
            np.testing.assert_array_equal(again.to_dense()[c], maps)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.mgh", "x.mgz"])
def test_data_by_content(tmp_path, atlas, name):
    content = (mgh_bytes if "mg" in name else nifti_bytes)(BOLD)
    wrong = content if name.endswith(("gz", "mgz")) else gzip.compress(content)
    (tmp_path / name).write_bytes(wrong)
    np.testing.assert_allclose(
        ai.project(atlas, open_data(tmp_path / name, atlas).all()), MEANS, rtol=1e-5
    )


def test_a_compressed_cifti_is_refused_as_atlas_and_as_data(tmp_path, atlas):
    brain = nb.cifti2.BrainModelAxis.from_surface(range(4), 4, "CIFTI_STRUCTURE_CORTEX_LEFT")
    axes = (nb.cifti2.ScalarAxis(["a"]), brain)
    stored = nb.Cifti2Image(np.ones((1, 4), np.float32), header=axes).to_bytes()
    for name in ("x.dscalar.nii.gz", "x.dscalar.nii"):
        (tmp_path / name).write_bytes(gzip.compress(stored))
        for read in (lambda path: load_atlas(path, space="x"), lambda path: open_data(path, atlas)):
            with pytest.raises(ai.AtlasFileError, match="CIFTI-2 is never compressed; .*gunzip -c"):
                read(tmp_path / name)


@pytest.mark.parametrize("kind", ["intent", "extension"])
def test_a_cifti_without_its_intent_is_one(tmp_path, kind):
    brain = nb.cifti2.BrainModelAxis.from_surface(range(4), 4, "CIFTI_STRUCTURE_CORTEX_LEFT")
    axes = (nb.cifti2.ScalarAxis(["a", "b"]), brain)
    stored = nb.Cifti2Image(np.arange(8).reshape(2, 4) / 8.0, header=axes).to_bytes()
    if kind == "extension":
        stored = stored[:504] + bytes(4) + stored[508:]
    path = tmp_path / "x.dscalar.nii"
    path.write_bytes(stored)
    found = load_atlas(path, space="x")
    assert found.compartments == ("cortex_L",)
    values = open_data(path, found).all()
    np.testing.assert_array_equal(values, np.arange(8, dtype=np.float32).reshape(2, 4).T / 8)


# What is no such file at all


def zipped():
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("x.nii", nifti_bytes())
    return stream.getvalue()


OTHERS = {
    "Git LFS.*git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n",
    "git-annex.*datalad get": b"/annex/objects/MD5E-s12--0123.nii.gz\n",
    "page of the web.*download it anew": b"\n<!DOCTYPE html>\n<html><body>Not Found</body></html>",
    "a page of the web": b"<HTML><title>Sign in</title></HTML>",
    "a zip archive; unpack": zipped(),
    "by bzip2; unpack": bz2.compress(nifti_bytes()),
    "by xz; unpack": lzma.compress(nifti_bytes()),
    "a PDF": b"%PDF-1.4\n%",
    "DICOM file; convert": b"\0" * 128 + b"DICM" + b"\0" * 400,
    "MATLAB file; pass": b"MATLAB 5.0 MAT-file, Platform: GLNXA64" + b" " * 200,
    "HDF5 file; pass": b"\x89HDF\r\n\x1a\n" + b"\0" * 600,
    "a tar archive": b"x.nii".ljust(257, b"\0") + b"ustar  \0" + b"\0" * 300,
    "empty. Fetch it again": b"",
    "empty. Fetch it again, or": gzip.compress(b""),
    "compressed twice; unpack it once": gzip.compress(gzip.compress(nifti_bytes())),
}
NAMES = ["x.nii", "x.nii.gz", "x.mgz", "lh.x.label.gii", "x.dlabel.nii", "lh.x.annot", "lh.x.csv"]


@pytest.mark.parametrize("told", OTHERS)
@pytest.mark.parametrize("name", NAMES)
def test_what_a_file_is_instead(tmp_path, told, name):
    (tmp_path / name).write_bytes(OTHERS[told])
    with pytest.raises(ai.AtlasFileError, match=told) as error:
        load_atlas(tmp_path / name, space="stated")
    assert str(error.value).startswith(f"{tmp_path / name}: is ")


@pytest.mark.parametrize("told", list(OTHERS)[:4])
def test_what_other_inputs_are_instead(tmp_path, atlas, told):
    image = nb.Nifti1Image(KEYS, AFFINE)
    for name in ("x.nii.gz", "x.tsv", "lh.label", "lh.sphere.gii", "lh.func.gii"):
        (tmp_path / name).write_bytes(OTHERS[told])
    mesh = {"cortex_L": KEYS.ravel().astype(np.int32)}
    for call in (
        lambda: open_data(tmp_path / "x.nii.gz", atlas),
        lambda: open_data(tmp_path / "lh.func.gii", atlas),
        lambda: load_atlas(image, space="x", labels=tmp_path / "x.tsv"),
        lambda: load_atlas(image, space="x", mask=tmp_path / "x.nii.gz"),
        lambda: load_atlas(mesh, space="x", mask={"cortex_L": tmp_path / "lh.label"}),
        lambda: load_atlas(
            mesh, space="x", meshes={"cortex_L": {"sphere": tmp_path / "lh.sphere.gii"}}
        ),
    ):
        with pytest.raises(ai.AtlasFileError, match=told):
            call()


def test_a_link_whose_file_is_elsewhere(tmp_path):
    annexed, dangling = tmp_path / "x.nii.gz", tmp_path / "y.nii.gz"
    annexed.symlink_to("../.git/annex/objects/00/MD5E-s9--0.nii.gz/MD5E-s9--0.nii.gz")
    dangling.symlink_to("nowhere.nii.gz")
    with pytest.raises(ai.AtlasFileError, match=r"link of git-annex.*`git annex get x\.nii\.gz`"):
        load_atlas(annexed, space="stated")
    with pytest.raises(ai.AtlasFileError, match=r"is a link to nowhere\.nii\.gz, which is no file"):
        load_atlas(dangling, space="stated")


# Pairs


@pytest.mark.parametrize("kind", [nb.Nifti1Pair, nb.Nifti2Pair])
@pytest.mark.parametrize("ending", [".img", ".hdr", ".img.gz", ".hdr.gz"])
def test_pairs(tmp_path, atlas, kind, ending):
    path = tmp_path / f"x{ending}"
    nb.save(kind(BOLD, AFFINE), path)
    np.testing.assert_allclose(ai.project(atlas, open_data(path, atlas).all()), MEANS, rtol=1e-5)
    nb.save(kind(KEYS, AFFINE), path)
    found = load_atlas(path, space="stated")
    assert found.geometry == atlas.geometry
    np.testing.assert_array_equal(found.maps["volume"].labels, atlas.maps["volume"].labels)
    other = path.with_name(
        path.name.replace("hdr", "img") if "hdr" in ending else path.name.replace("img", "hdr")
    )
    other.unlink()
    for call in (lambda: load_atlas(path, space="stated"), lambda: open_data(path, atlas)):
        with pytest.raises(ai.AtlasFileError, match=f"the other, {other.name}, is not beside it"):
            call()


def test_an_analyze_image_states_its_directions_in_a_third_file_alone(tmp_path):
    nb.save(nb.Spm2AnalyzeImage(KEYS, AFFINE), tmp_path / "x.img")
    found = contents(tmp_path / "x.img")
    assert found.stated.oriented
    np.testing.assert_allclose(found.parts[0].geometry.affine, AFFINE)
    assert np.unique(found.parts[0].keys).tolist() == [1, 2, 3]
    (tmp_path / "x.mat").unlink()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ai.errors.AtlasWarning)
        assert not contents(tmp_path / "x.img").stated.oriented


# Further axes


@pytest.mark.parametrize("shape", [(*SHAPE, 1, 5), (*SHAPE, 5, 1), (*SHAPE, 1, 1, 5)])
@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_time_beyond_the_fourth_axis(tmp_path, atlas, shape, name):
    nb.save(nb.Nifti1Image(BOLD.reshape(shape), AFFINE), tmp_path / name)
    for given in (
        tmp_path / name,
        nb.load(tmp_path / name),
        nb.Nifti1Image(BOLD.reshape(shape), AFFINE),
    ):
        data = open_data(given, atlas)
        assert data.n_time == 5
        parts = np.concatenate([data.read(slice(0, 2)), data.read(slice(2, 5))], axis=1)
        np.testing.assert_allclose(ai.project(atlas, parts), MEANS, rtol=1e-5)


@pytest.mark.parametrize("shape", [(*SHAPE, 5, 2), (30, 4)])
def test_two_further_axes_are_refused(tmp_path, atlas, shape):
    nb.save(nb.Nifti1Image(np.zeros(shape, np.float32), AFFINE), tmp_path / "x.nii")
    with pytest.raises(ValueError, match=r"should be a 3-D or 4-D image, got shape"):
        open_data(tmp_path / "x.nii", atlas)


# Checksums and sizes


def stored_with_another_byte(content, at):
    """Return the content as gzip that keeps bytes as they are, one of which is changed then."""
    stored = bytearray(gzip.compress(content, 0, mtime=0))
    start = stored.index(content[:300])
    stored[start + at] ^= 3
    return bytes(stored)


@pytest.mark.parametrize(
    ("name", "content"),
    [("x.nii.gz", nifti_bytes), ("x.mgz", mgh_bytes), ("x.nii", nifti_bytes)],
)
@pytest.mark.parametrize("tail", [b"", b"more"])
def test_the_checksum_is_checked(tmp_path, atlas, name, content, tail):
    whole = content(KEYS) + tail
    start = 352 if "nii" in name else 284
    (tmp_path / name).write_bytes(stored_with_another_byte(whole, start + 40))
    with pytest.raises(ai.AtlasFileError, match="CRC check failed") as error:
        load_atlas(tmp_path / name, space="stated")
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    with pytest.raises(ai.AtlasFileError, match="CRC check failed"):
        load_atlas(nb.Nifti1Image(KEYS, AFFINE), space="x", mask=tmp_path / name)
    whole = content(BOLD) + tail
    (tmp_path / name).write_bytes(stored_with_another_byte(whole, start + 40))

    def read_in_chunks():
        data = open_data(tmp_path / name, atlas)
        return [data.read(slice(0, 2)), data.read(slice(2, 5))]

    with pytest.raises(ai.AtlasFileError, match="CRC check failed"):
        read_in_chunks()


def test_the_checksum_of_a_packed_gifti(tmp_path):
    at = gifti_bytes().index(b"<Data>") + 9
    (tmp_path / "lh.x.label.gii.gz").write_bytes(stored_with_another_byte(gifti_bytes(), at))
    with pytest.raises(ai.AtlasFileError):
        load_atlas(tmp_path / "lh.x.label.gii.gz", space="stated")


def test_one_map_of_a_damaged_file_is_no_map(tmp_path):
    stored = stored_with_another_byte(nifti_bytes(BOLD), 352 + 4 * 120 * 4 + 8)
    (tmp_path / "x.nii.gz").write_bytes(stored)
    with pytest.raises(ai.AtlasFileError, match="CRC check failed"):
        load_atlas(tmp_path / "x.nii.gz", space="stated", map=0, kind="maps")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("name", "content", "at", "claim"),
    [
        ("x.nii", nifti_bytes, 42, np.array([1000, 1000, 1000], "<i2")),
        ("x.mgh", mgh_bytes, 4, np.array([1000, 1000, 1000], ">i4")),
        ("x.mgh", mgh_bytes, 4, np.array([2**30, 2**30, 2**30], ">i4")),
        ("x.mgh", mgh_bytes, 4, np.array([5, 4, 2**24, -(2**24)], ">i4")),
        ("x.nii", nifti_bytes, 42, np.array([5, -4, 3], "<i2")),
    ],
)
def test_a_claim_of_a_header_takes_no_memory(tmp_path, atlas, name, content, at, claim, packed):
    import tracemalloc

    stored = bytearray(content())
    stored[at : at + claim.nbytes] = claim.tobytes()
    path = tmp_path / (name.replace("mgh", "mgz") if packed and "mgh" in name else name)
    path.write_bytes(gzip.compress(stored) if packed else bytes(stored))
    for call in (lambda: load_atlas(path, space="x"), lambda: open_data(path, atlas)):
        tracemalloc.start()
        with pytest.raises(ai.AtlasFileError, match="damaged: it.* states"):
            call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 2**24


def test_numbers_that_begin_in_the_header(tmp_path, atlas):
    stored = bytearray(nifti_bytes())
    stored[108:112] = bytes(4)
    (tmp_path / "x.nii").write_bytes(stored)
    for call in (load_atlas, lambda path, **_: open_data(path, atlas)):
        with pytest.raises(ai.AtlasFileError, match="begin at byte 0, which lies in the header"):
            call(tmp_path / "x.nii", space="x")


def test_what_unpacks_to_fill_the_memory(monkeypatch, tmp_path):
    check_unpacked("x", 10, 10 * 1000)
    check_unpacked("x", 2**30, 100 * 2**30)
    with pytest.raises(ai.AtlasFileError, match=f"unpacks to 5.0 GiB.*{LIMIT} to more than 5.0"):
        check_unpacked("x", 2**20, 5 * 2**30)
    monkeypatch.setenv(LIMIT, "5.1")
    check_unpacked("x", 2**20, 5 * 2**30)
    monkeypatch.setenv(LIMIT, "much")
    with pytest.raises(ValueError, match="should be a number of GiB, got 'much'"):
        check_unpacked("x", 1, 1)
    # One that unpacks to what its header says, but is larger than is allowed.
    monkeypatch.setenv(LIMIT, "0.001")
    zeros = np.zeros((200, 200, 200), np.uint8)
    path = tmp_path / "x.nii.gz"
    path.write_bytes(gzip.compress(nifti_bytes(zeros)))
    with pytest.raises(ai.AtlasFileError, match="as files that are made to fill the memory do"):
        load_atlas(path, space="x")
    # One that goes on after it.
    path.write_bytes(gzip.compress(nifti_bytes() + bytes(10**7)))
    with pytest.raises(ai.AtlasFileError, match="as files that are made to fill the memory do"):
        load_atlas(path, space="x")
    monkeypatch.setenv(LIMIT, "1")
    assert load_atlas(path, space="x").n_parcels == 3
    assert os.environ[LIMIT] == "1"
    check_holds("x", 100, 100, packed=False)
