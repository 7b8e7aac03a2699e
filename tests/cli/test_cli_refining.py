"""The command refine, on volumes, hemispheres and CIFTI."""

import json

import nibabel as nb
import numpy as np
import pytest
from helpers_refinement import GEOMETRIES, atlas_of, blocks, series

import atlasinit as ai
from atlasinit.cli.values import parse_runs, read_numbers

GRID, SHEET = GEOMETRIES["volume"], GEOMETRIES["cortex_L"]


@pytest.fixture
def volume(tmp_path):
    """An image of labels and a run, on one grid; and the arrays in them."""
    atlas = atlas_of({"volume": GRID}, {"volume": blocks(GRID, shift=1.4)})
    ai.save_atlas(atlas, tmp_path / "start_dseg.nii.gz")
    data = series(blocks(GRID))
    nb.save(nb.Nifti1Image(GRID.put(data), GRID.affine), tmp_path / "run.nii.gz")
    return atlas, data, ("refine", tmp_path / "start_dseg.nii.gz", "--space", "test")


def labels_of(atlas, compartment="volume"):
    return np.asarray(atlas.maps[compartment].labels)


def test_a_volume_is_refined_and_named_as_before(run, volume, tmp_path):
    atlas, data, command = volume
    out_file, page = tmp_path / "mine.nii.gz", tmp_path / "mine.html"
    status, out, errors = run(
        *command, "-d", tmp_path / "run.nii.gz", "-o", out_file, "--report", page
    )
    assert status == 0, errors
    assert out.split() == [str(out_file), str(tmp_path / "mine.tsv"), str(page)]
    told = errors.splitlines()
    assert told[-1].startswith("atlasinit: refine(1 run of 80 volumes, neighbours=1, tether=0.3, ")
    found = ai.load_atlas(out_file, space="test")
    assert found.labels["name"].tolist() == atlas.labels["name"].tolist()
    kept = labels_of(found) >= 0
    assert (labels_of(found)[kept] == blocks(GRID)[kept]).all()
    assert "Before and after: borders" in page.read_text()
    status, out, errors = run(*command, "-d", tmp_path / "run.nii.gz", "-o", out_file)
    assert (status, out) == (2, "")
    assert "exists already" in errors


WEIGHTS = {"max_hops": 1, "tether": 5.0, "neighbours": 0.5}


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (("--max-hops", 1, "--tether", 5, "--neighbours", 0.5), WEIGHTS),
        (("--frozen", "volume_2", "--frozen", 3), {"frozen": ["volume_2", 3]}),
        *(
            pytest.param(*case, marks=pytest.mark.sweep)
            for case in [
                (("--max-mm", 2.5), {"max_mm": 2.5}),
                (("--raw", "--no-denoise"), {"standardize": False, "denoise": False}),
                (("--halves",), {"halves": True}),
                (("--min-size", 60, "--strays", 0), {"min_size": 60, "strays": 0.0}),
                (("--fill", "--seed", 3), {"fill": True}),
                (("--min-coverage", 0.5), {"min_coverage": 0.5}),
            ]
        ),
    ],
)
def test_options_are_those_of_python(run, volume, tmp_path, options, arguments):
    atlas, data, command = volume
    status, out, errors = run(
        *command, "-d", tmp_path / "run.nii.gz", "-o", tmp_path / "a.npz", *options, "--json"
    )
    assert status == 0, errors
    assert json.loads(out)["files"] == [str(tmp_path / "a.npz")]
    found = ai.load_atlas(tmp_path / "a.npz")
    assert (labels_of(found) == labels_of(ai.refine(atlas, data, **arguments))).all()


def test_data_named_of_another_space(run, volume, tmp_path):
    _, _, command = volume
    named = (tmp_path / "run.nii.gz").rename(tmp_path / "sub-01_space-T1w_bold.nii.gz")
    command = (*command, "-d", named, "-o", tmp_path / "a.npz")
    status, _, errors = run(*command)
    assert status == 2
    assert "states the space 'T1w'" in errors
    # As the message advises, for the fits to halves too.
    assert "--data-space test" in errors
    status, _, errors = run(*command, "--data-space", "test", "--report", tmp_path / "a.html")
    assert status == 0, errors
    assert (tmp_path / "a.html").exists()


def test_runs_masks_and_memberships(run, volume, tmp_path):
    atlas, data, command = volume
    (tmp_path / "kept.txt").write_text("\n".join(map(str, range(5, 80))))
    runs = ("-d", tmp_path / "run.nii.gz") * 2
    masks = ("--sample-mask", tmp_path / "kept.txt") * 2
    soft = tmp_path / "soft.npz"
    status, _, errors = run(*command, *runs, *masks, "--memberships", "-o", soft)
    assert status == 0, errors
    found = ai.load_atlas(soft)
    assert isinstance(found.maps["volume"], ai.SparseMaps)
    assert "refine(2 runs of 150 volumes" in found.provenance.operations[-1]


def cifti(tmp_path, atlas, data):
    """Write an atlas and a run of the two compartments, and the surface of one."""
    ai.save_atlas(atlas, tmp_path / "start.dlabel.nii")
    image = nb.load(tmp_path / "start.dlabel.nii")
    series_axis = nb.cifti2.SeriesAxis(0, 1, data.shape[1])
    models = image.header.get_axis(1)
    nb.save(nb.Cifti2Image(data.T, (series_axis, models)), tmp_path / "run.dtseries.nii")
    surface = nb.GiftiImage()
    for values, intent in ((SHEET.anatomical, "POINTSET"), (SHEET.faces, "TRIANGLE")):
        kind = "float32" if intent == "POINTSET" else "int32"
        array = nb.gifti.GiftiDataArray(np.asarray(values, kind), f"NIFTI_INTENT_{intent}", kind)
        surface.add_gifti_data_array(array)
    nb.save(surface, tmp_path / "lh.midthickness.surf.gii")


def test_cifti_in_cifti_out_and_a_surface_is_asked_for(run, tmp_path):
    geometry = {"cortex_L": SHEET}
    start = atlas_of(geometry, {"cortex_L": blocks(SHEET, shift=1.4)})
    data = series(blocks(SHEET))
    cifti(tmp_path, start, data)
    command = (
        "refine", tmp_path / "start.dlabel.nii", "--space", "test",
        "--data", tmp_path / "run.dtseries.nii", "-o", tmp_path / "mine.dlabel.nii",
    )  # fmt: skip
    status, out, errors = run(*command)
    assert (status, out) == (2, "")
    assert "which locations touch" in errors
    assert "--sphere" in errors
    status, _, errors = run(*command, "--anatomical", tmp_path / "lh.midthickness.surf.gii")
    assert status == 0, errors
    mine = nb.load(tmp_path / "mine.dlabel.nii")
    assert (mine.get_fdata()[0] - 1 == blocks(SHEET)).all()
    found = ai.load_atlas(tmp_path / "mine.dlabel.nii", space="test")
    assert found.labels["name"].tolist() == start.labels["name"].tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--halves", "--tether", 1), "--tether and --halves are both given; pass one of them."),
        (("--min-volumes", 100), "or a smaller --min-volumes."),
        (("--max-hops", -1), "--max-hops should be a whole number from 0, got -1."),
        (("--frozen", "nothing"), "--frozen: there is no parcel 'nothing'"),
        (("--seed", 2**40), "--seed should be a whole number from 0 to 4294967295"),
        (("--sample-mask", "MISSING"), "no such file"),
        (("--sample-mask", "WORDS"), "--sample-mask should be a text of whole numbers from 0"),
    ],
)
def test_mistakes_are_told_in_one_line(run, volume, tmp_path, options, message):
    (tmp_path / "words.txt").write_text("one two")
    files = {"MISSING": tmp_path / "none.txt", "WORDS": tmp_path / "words.txt"}
    options = [files.get(option, option) for option in options]
    _, _, command = volume
    status, out, errors = run(
        *command, "-d", tmp_path / "run.nii.gz", "-o", tmp_path / "a.npz", *options
    )
    assert (status, out) == (2, "")
    assert message in errors.splitlines()[-1]


@pytest.mark.parametrize(
    ("names", "runs"),
    [
        (["a.dtseries.nii"], [("a.dtseries.nii",)]),
        (["a.nii.gz", "b.nii.gz"], [("a.nii.gz",), ("b.nii.gz",)]),
        (["lh.a.mgz", "rh.a.mgz"], [("lh.a.mgz", "rh.a.mgz")]),
        (
            ["a_hemi-L.func.gii", "a_hemi-R.func.gii", "b_hemi-L.func.gii", "b_hemi-R.func.gii"],
            [
                ("a_hemi-L.func.gii", "a_hemi-R.func.gii"),
                ("b_hemi-L.func.gii", "b_hemi-R.func.gii"),
            ],
        ),
        (["lh.a.mgz", "lh.b.mgz"], [("lh.a.mgz",), ("lh.b.mgz",)]),
        (["cortex_L=a", "cortex_R=b"], [{"cortex_L": "a", "cortex_R": "b"}]),
        (
            ["cortex_L=a", "cortex_L=c", "cortex_R=b", "cortex_R=d"],
            [{"cortex_L": "a", "cortex_R": "b"}, {"cortex_L": "c", "cortex_R": "d"}],
        ),
    ],
)
def test_files_are_of_the_runs_that_they_should_be(names, runs):
    assert parse_runs(names, "data") == runs


def test_runs_that_lack_a_compartment_are_refused():
    with pytest.raises(ValueError, match="`data` should have a file of every compartment"):
        parse_runs(["cortex_L=a", "cortex_L=c", "cortex_R=b"], "data")


def test_numbers_stand_apart_by_blanks_lines_or_commas(tmp_path):
    (tmp_path / "n.txt").write_text("0, 2\n5 7\n")
    assert read_numbers(tmp_path / "n.txt", "sample_mask") == [0, 2, 5, 7]
