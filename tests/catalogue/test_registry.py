"""A source of one's own: registered in one line, then listed, fetched and loaded from."""

import dataclasses
import shutil

import nibabel as nb
import numpy as np
import pytest

import atlasinit as ai
from atlasinit.catalogue import entries, fetch_atlases
from atlasinit.catalogue.entries import Entry, EntrySource
from atlasinit.catalogue.sources.base import Obtained, Source
from atlasinit.catalogue.sources.registry import SOURCES, source_of

LABELS = np.array([0, 1, 1, 2], np.int16).reshape(2, 2, 1)


@pytest.fixture
def shelf(tmp_path):
    """A far folder that holds the files of an atlas."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    nb.save(nb.Nifti1Image(LABELS, np.eye(4)), folder / "toy-2.nii.gz")
    (folder / "toy.tsv").write_text("index\tname\n1\tA\n2\tB\n")
    return folder


def files_of(shelf, near):
    """Return a source whose files are copied from a shelf."""

    def find(place):
        return near / place if (near / place).is_file() else None

    def obtain(place, *, allow_download=True):
        if find(place) is None:
            if not allow_download:
                raise ai.AtlasUnavailableError(place, "stays on the shelf")
            near.mkdir(exist_ok=True)
            shutil.copy(shelf / place, near / place)
        return near / place

    return Source(
        via="shelf",
        schemes=("shelf",),
        find=find,
        obtain=obtain,
        refer=lambda variant, pattern: f"shelf:{pattern}",
        origin=lambda variant, place: f"shelf:{place}",
        variable="SHELF",
    )


def whole_of(shelf, near):
    """Return a source that is asked for whole atlases."""

    def obtain(variant, scratch, *, allow_download=True):
        if not allow_download and not near.is_dir():
            raise ai.AtlasUnavailableError("toy", "stays on the shelf")
        near.mkdir(exist_ok=True)
        path = near / "toy-2.nii.gz"
        shutil.copy(shelf / path.name, path)
        return Obtained(path, {f"shelf:{path}": path}, {1: "A", 2: "B"}, (path,))

    return Source(
        via="shelf",
        schemes=("shelf",),
        has_atlas=lambda variant: near.is_dir(),
        obtain_atlas=obtain,
        origin=lambda variant, place: "shelf:toy-2.nii.gz",
        variable="SHELF",
    )


@pytest.fixture(params=[files_of, whole_of])
def registered(request, shelf, tmp_path, monkeypatch):
    """The source, and an entry of the catalogue that comes from it."""
    source = request.param(shelf, tmp_path / "near")
    monkeypatch.setitem(SOURCES, "shelf", source)
    offered = EntrySource(
        via="shelf",
        kind="hard",
        spaces=("MNI152",),
        axes={"parcels": (2,)},
        files="toy-{parcels}.nii.gz",
        labels="toy.tsv",
    )
    if source.obtain is None:
        offered = dataclasses.replace(offered, files="", labels="")
    entry = Entry("toy", "A toy", (offered,), licence="CC0", citation="Us")
    known = {**entries.catalogue(), "toy": entry}
    monkeypatch.setattr(entries, "catalogue", lambda: known)
    monkeypatch.setattr(entries, "names", lambda: {"toy": "toy"})
    for module in ("listing", "resolving"):
        monkeypatch.setattr(f"atlasinit.catalogue.{module}.catalogue", lambda: known)
    monkeypatch.setattr("atlasinit.catalogue.resolving.names", lambda: {"toy": "toy"})
    monkeypatch.setattr("atlasinit.loading.names", lambda: {"toy": "toy"})
    return source


def test_a_registered_source_is_listed_fetched_and_loaded(registered):
    row = ai.list_atlases("toy", source="shelf").iloc[0]
    assert (row["name"], row["source"], row["offline"]) == ("toy", "shelf", False)
    with pytest.raises(ai.AtlasUnavailableError, match="stays on the shelf.*NILEARN_DATA or SHELF"):
        ai.load_atlas("toy", download=False)
    found = fetch_atlases(["toy"])
    assert found[0].name == "toy-2.nii.gz"
    assert ai.list_atlases("toy", source="shelf").iloc[0]["offline"]
    atlas = ai.load_atlas("toy", via="shelf", download=False)
    assert atlas.table["name"] == ("A", "B")
    assert atlas.labels["n_locations"].tolist() == [2, 1]
    assert atlas.provenance.source == "shelf:toy-2.nii.gz"
    assert [name for name, _ in atlas.provenance.files][0] == "toy-2.nii.gz"


def test_a_damaged_file_of_a_registered_source_is_fetched_again(registered):
    (path, *_) = fetch_atlases(["toy"])
    path.write_bytes(path.read_bytes()[:-9])
    assert ai.load_atlas("toy").n_parcels == 2


def test_every_scheme_has_one_source():
    schemes = [scheme for source in SOURCES.values() for scheme in source.schemes]
    assert len(set(schemes)) == len(schemes)
    assert source_of("https://example.org/x.nii").via == "url"
    with pytest.raises(
        ValueError, match="'ftp://x' is a reference of no source; there are package"
    ):
        source_of("ftp://x")


def test_entries_name_a_source_of_the_registry(tmp_path):
    path = tmp_path / "x.toml"
    path.write_text(
        '[[atlas]]\nname = "x"\ntitle = "x"\n[[atlas.source]]\nvia = "shelv"\nspace = "s"\n'
    )
    with pytest.raises(ai.AtlasFileError, match=r"x\.toml: .*'via' should be one of .*'package'"):
        entries.read_entries(path)
