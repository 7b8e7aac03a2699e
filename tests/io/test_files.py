"""Opening images: closed again, whatever the format, and without a word from nibabel."""

import gc
import gzip
import threading
import warnings

import nibabel as nb
import numpy as np
import pytest
from helpers import WAIT
from helpers_surfaces import brain_atlas, cortex_atlas
from nibabel.imageglobals import logger

from atlasinit.core.labels import LabelTable
from atlasinit.errors import ArgumentError, AtlasFileError
from atlasinit.io.files import unlogged
from atlasinit.io.formats.grids import load_image
from atlasinit.io.input import Input
from atlasinit.io.overlay.masks import read_mask
from atlasinit.io.saving import save_atlas
from atlasinit.loading import load_atlas

VALUES = np.arange(60, dtype=np.float32).reshape(5, 4, 3)


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "x.mgh", "x.mgz"])
@pytest.mark.parametrize("in_context", [False, True])
def test_images_equal_those_of_nibabel_and_are_closed(tmp_path, name, in_context):
    kind = nb.MGHImage if "mg" in name else nb.Nifti1Image
    path = tmp_path / name
    nb.save(kind(VALUES, np.diag([2.0, 3, 4, 1])), path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        source = Input(path)
        image = load_image(source)
        values = np.asarray(image.dataobj)
        affine, shape = image.affine, image.shape
        if in_context:
            source.close()
        del source, image
        gc.collect()
    np.testing.assert_array_equal(values, VALUES)
    np.testing.assert_allclose(affine, np.diag([2.0, 3, 4, 1]))
    assert shape == VALUES.shape


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz"])
def test_what_nibabel_mends_in_a_header_is_not_logged(tmp_path, caplog, name):
    image = nb.Nifti1Image(VALUES, np.diag([2.0, 3, 4, 1]))
    content = bytearray(image.to_bytes())
    content[254:256] = (130).to_bytes(2, "little")  # sform_code
    (tmp_path / name).write_bytes(gzip.compress(content) if ".gz" in name else content)
    with Input(tmp_path / name) as source:
        np.testing.assert_array_equal(load_image(source).dataobj, VALUES)
    assert caplog.messages == []


def test_a_truncated_mgz(tmp_path):
    path = tmp_path / "x.mgz"
    nb.save(nb.MGHImage(np.random.default_rng(0).random((9, 9, 9), np.float32), np.eye(4)), path)
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(AtlasFileError, match=r"x\.mgz: truncated or damaged"):
        read_mask(path)


def test_a_surface_is_no_grid(tmp_path):
    path = tmp_path / "x.gii"
    nb.save(nb.GiftiImage(darrays=[nb.gifti.GiftiDataArray(VALUES[0])]), path)
    with pytest.raises(AtlasFileError, match="is a GiftiImage, not an image of a grid"):
        read_mask(path)


def test_each_thread_keeps_nibabel_quiet_for_itself(caplog):
    inside, done = threading.Event(), threading.Event()

    def work():
        with unlogged():
            inside.set()
            done.wait(WAIT)

    thread = threading.Thread(target=work, daemon=True)
    with unlogged():
        thread.start()
        assert inside.wait(WAIT)
        logger.warning("unheard")
    logger.warning("while the other thread is quiet")
    done.set()
    thread.join(WAIT)
    logger.warning("after it")
    assert caplog.messages == ["while the other thread is quiet", "after it"]


@pytest.mark.parametrize("ending", [".npz", ".nii.gz", ".label.gii", ".annot"])
def test_a_name_that_is_too_long(tmp_path, ending):
    atlas = brain_atlas().select(compartments="subcortex")
    if ending in (".label.gii", ".annot"):
        atlas = cortex_atlas(key=[1, 2, 3, 1, 2, 10, 49])
    with pytest.raises(AtlasFileError, match=r"nnn.*: cannot be written .*choose another name"):
        save_atlas(atlas, tmp_path / f"{'n' * 300}{ending}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("ending", [".npz", ".nii.gz", ".label.gii", ".annot"])
def test_a_link_to_nothing_counts_as_a_file(tmp_path, ending):
    atlas = brain_atlas().select(compartments="subcortex").harden()
    if ending in (".label.gii", ".annot"):
        atlas = cortex_atlas(key=[1, 2, 3, 1, 2, 10, 49]).select(compartments="cortex_L").harden()
    link = tmp_path / f"lh.x{ending}"
    link.symlink_to(tmp_path / "away")
    with pytest.raises(AtlasFileError, match="exists already; pass overwrite=True"):
        save_atlas(atlas, link)
    assert list(tmp_path.iterdir()) == [link]
    save_atlas(atlas, link, overwrite=True)
    assert link.is_file()
    assert not link.is_symlink()


def test_the_home_of_nobody(tmp_path):
    atlas = brain_atlas()
    for call in (load_atlas, lambda path: save_atlas(atlas, path)):
        with pytest.raises(
            AtlasFileError, match=r"^~nouser/x\.npz: begins with the home of a user"
        ):
            call("~nouser/x.npz")


@pytest.mark.parametrize("ending", [".nii.gz", ".label.gii", ".dlabel.nii", ".npz"])
@pytest.mark.parametrize("name", ["a\uffffb", "\ufffe", "a\U0001ffff", "é ü", "名"])
def test_names_are_read_back_or_refused(tmp_path, ending, name):
    atlas = brain_atlas().select(compartments="subcortex").harden()
    if ending == ".label.gii":
        atlas = cortex_atlas(key=[1, 2, 3, 1, 2, 10, 49]).select(compartments="cortex_L").harden()
    columns = {column: list(atlas.table[column]) for column in atlas.table.columns}
    columns["name"][0] = name
    atlas = atlas.replace(labels=LabelTable(columns))
    path = tmp_path / f"lh.x{ending}"
    if ending != ".npz" and ("\uffff" in name or "\ufffe" in name):
        with pytest.raises(
            ArgumentError, match="cannot hold names .* rename them, or save as .npz"
        ):
            save_atlas(atlas, path)
        assert not list(tmp_path.iterdir())
    else:
        save_atlas(atlas, path)
        assert load_atlas(path).table["name"][0] == name


def test_half_of_a_surrogate_pair_is_no_name():
    table = cortex_atlas().table
    columns = {column: list(table[column]) for column in table.columns}
    columns["name"][0] = "a\ud800"
    with pytest.raises(ArgumentError, match=r"half of a surrogate pair in \['a\\ud800'\]"):
        LabelTable(columns)
