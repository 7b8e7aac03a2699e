"""What the page of a view holds, and what is refused."""

import base64
import gzip
import importlib.util
import json
import re

import nibabel as nb
import numpy as np
import pandas as pd
import pytest
from helpers import table
from helpers_report import HOSTILE, blocks_atlas, cortex_atlas, hostile_atlas

import atlasinit as ai
from atlasinit.viewer import niivue
from atlasinit.viewer.volumes import view_volumes


def contents(view):
    """Return what the page's script reads, its arrays decoded."""
    text = re.search(r'<script type="application/json" id="data">(.*?)</script>', view.html)[1]
    found = json.loads(text)

    def decode(text, dtype):
        return np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype)

    for volume in found["volumes"]:
        for name, dtype in (("rows", "<u2"), ("grey", "u1")):
            volume[name] = decode(volume[name], dtype).reshape(volume["shape"], order="F")
        volume["affine"] = np.array(volume["affine"])
    for mesh in found["meshes"]:
        mesh["rows"] = decode(mesh["rows"], "<u2")
        mesh["faces"] = decode(mesh["faces"], "<i4").reshape(-1, 3)
        for name, text in mesh["shapes"].items():
            mesh["shapes"][name] = decode(text, "<f4").reshape(-1, 3)
    for painting in found["paintings"]:
        painting["colors"] = decode(painting["colors"], "u1").reshape(-1, 4)
    return found


def test_voxels_stay_where_they_are():
    atlas = blocks_atlas()
    (volume,) = contents(ai.view_atlas(atlas))["volumes"]
    # Each voxel of the picture, looked up in the atlas by its place in mm.
    indices = np.stack(np.indices(volume["shape"]).reshape(3, -1))
    mm = volume["affine"][:3, :3] @ indices + volume["affine"][:3, 3:]
    voxels = np.rint(mm / 2).astype(int)
    inside = ((voxels >= 0) & (voxels < 8)).all(axis=0)
    own = np.asarray(atlas.maps["volume"].labels).reshape(8, 8, 8) + 1
    expected = np.where(inside, own[tuple(voxels.clip(0, 7))], 0)
    np.testing.assert_array_equal(volume["rows"].reshape(-1), expected)
    assert inside.sum() == 512
    assert not volume["grey"].any()


def test_an_image_of_another_grid_lies_behind_the_parcels():
    # Brightness rises along x by mm, on voxels of half the size and another origin.
    affine = np.diag([1.0, 1, 1, 1])
    affine[:3, 3] = -4
    ramp = np.broadcast_to(np.arange(1.0, 31)[:, None, None], (30, 24, 24)).astype(np.float32)
    (volume,) = contents(ai.view_atlas(blocks_atlas(), background=nb.Nifti1Image(ramp, affine)))[
        "volumes"
    ]
    x = volume["affine"][0, 0] * np.arange(volume["shape"][0]) + volume["affine"][0, 3]
    along = volume["grey"][:, 8, 8]
    inside = (x >= -4) & (x <= 25)
    # Brightest at the 99.5th percentile, which is the last of 30 steps.
    np.testing.assert_allclose(along[inside], 255 * (x[inside] + 5) / 30, atol=1)
    # The box holds the image whole: from half a voxel below its first to above its last.
    assert x[0] <= -4
    assert x[-1] >= 25


def test_the_mask_is_seen_where_no_image_is():
    atlas = blocks_atlas()
    kept = np.arange(512) % 8 < 4
    part = atlas.replace(
        maps={"volume": ai.HardMaps(np.asarray(atlas.maps["volume"].labels)[kept], 8)},
        geometry={"volume": atlas.geometry["volume"].restrict(kept)},
    )
    (volume,) = view_volumes(part, background=None)
    assert volume.grey is not None
    assert np.count_nonzero(volume.grey) == 256
    np.testing.assert_array_equal(volume.grey > 0, volume.rows > 0)
    hidden = view_volumes(part, background=False)[0].grey
    assert hidden is not None
    assert not hidden.any()


def test_vertices_have_the_rows_of_their_parcels():
    atlas = cortex_atlas()
    found = contents(ai.view_atlas(atlas))
    for mesh, side in zip(found["meshes"], "LR", strict=True):
        labels = np.asarray(atlas.maps[f"cortex_{side}"].labels)
        rows = np.where(labels < 0, 0, labels + 1 + 4 * (side == "R"))
        np.testing.assert_array_equal(mesh["rows"], rows)
        np.testing.assert_array_equal(mesh["faces"], atlas.geometry[f"cortex_{side}"].faces)
        assert list(mesh["shapes"]) == ["sulci opened", "as it lies"]
        own = atlas.geometry[f"cortex_{side}"].anatomical
        np.testing.assert_array_equal(mesh["shapes"]["as it lies"], own)
    for row, parcel in enumerate(found["parcels"], 1):
        kind, number, vertex = parcel["place"]
        assert kind == "mesh"
        assert found["meshes"][number]["rows"][vertex] == row


def test_values_have_the_colours_of_their_scale():
    atlas = cortex_atlas()
    values = pd.Series([1, np.nan, -2, 0.5, 0, 0, 0, 1.0], index=atlas.labels["name"], name="t")
    parcels, found = contents(ai.view_atlas(atlas, values[::-1], units="z"))["paintings"]
    assert (parcels["title"], parcels["texts"], parcels["scale"]) == ("parcels", [], {})
    assert found["texts"] == ["1 z", "no value", "\N{MINUS SIGN}2 z", "0.5 z", *["0 z"] * 3, "1 z"]
    assert (found["scale"]["low"], found["scale"]["high"]) == ("\N{MINUS SIGN}2", "2")
    nothing, one, nan, low, *_ = found["colors"].astype(int)
    assert nothing.tolist() == [0] * 4
    assert one[0] > one[2]  # red above 0
    assert low[2] > low[0]  # blue below
    assert len({*nan[:3].tolist()}) == 1
    clipped = contents(ai.view_atlas(atlas, values, vmax=0.75, vmin=-1))["paintings"][1]["scale"]
    assert clipped["low"].startswith("\N{LESS-THAN OR EQUAL TO}")
    assert clipped["beyond"].startswith("3 values beyond")


def test_soft_maps_show_the_largest_weight():
    weights = np.zeros((2, 216), np.float32)
    weights[0, :100], weights[1, 50:150] = 0.3, 0.6
    grid = ai.VolumeGrid((6, 6, 6), np.eye(4))
    atlas = ai.Atlas(
        name="soft",
        space="test",
        maps={"volume": ai.DenseMaps(weights)},
        geometry={"volume": grid},
        labels=table(["volume"] * 2),
    )
    view = ai.view_atlas(atlas)
    (volume,) = contents(view)["volumes"]
    assert np.bincount(volume["rows"].reshape(-1))[1:].tolist() == [50, 100]
    assert "largest weight" in view.html


def test_hostile_names_stay_text(tmp_path):
    view = ai.view_atlas(hostile_atlas(), {HOSTILE: np.arange(8.0)}, units=HOSTILE)
    assert "<script>alert" not in view.html
    assert view.html.count("</script>") == 3
    found = contents(view)
    assert found["parcels"][3]["name"] == f"{HOSTILE} 3"
    assert found["paintings"][1]["title"] == HOSTILE


def test_licence_travels_with_the_page():
    page = ai.view_atlas(blocks_atlas()).html
    assert "BSD 2-Clause License" in page
    assert "THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS" in page


def test_view_is_saved_and_shown(tmp_path, monkeypatch):
    view = ai.view_atlas(blocks_atlas(), title="mine")
    path = view.save_as_html(tmp_path / "page.html")
    assert path.read_text(encoding="utf-8") == view.html
    with pytest.raises(ai.AtlasFileError, match="exists already"):
        view.save_as_html(path)
    with pytest.raises(ValueError, match=r"`path` should end in .html, got 'page.txt'"):
        view.save_as_html(tmp_path / "page.txt")
    assert view._repr_html_().startswith('<iframe title="mine" srcdoc="')
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    assert view.open_in_browser().as_uri() == opened[0]
    assert ai.view_atlas(blocks_atlas(), title="mine") == view


@pytest.mark.parametrize(
    ("atlas", "options", "message"),
    [
        (blocks_atlas, {"values": {"parcel volume 9": 1.0}}, "parcel volume 9"),
        (blocks_atlas, {"background": np.zeros((2, 2, 2))}, r"`background` should have the grid's shape \(8, 8, 8\)"),
        (blocks_atlas, {"palette": "grey"}, "`palette` should be"),
        (blocks_atlas, {"values": np.arange(8.0), "units": {"x": "mm"}}, "`units`: there are no values 'x'"),
        (blocks_atlas, {"surfaces": {"volume": (np.zeros((3, 3)), np.zeros((1, 3)))}}, "`surfaces`: 'volume' is no mesh"),
        (cortex_atlas, {"surfaces": {"cortex_L": (np.zeros((3, 3)), np.zeros((1, 3), int))}}, r"should be \(642, 3\) coordinates"),
    ],
)  # fmt: skip
def test_what_cannot_be_viewed(atlas, options, message):
    with pytest.raises(ValueError, match=message):
        ai.view_atlas(atlas(), **options)


def test_mesh_without_a_surface_is_named():
    atlas = cortex_atlas()
    bare = {c: ai.SurfaceMesh(g.n_vertices, hemisphere=c[-1]) for c, g in atlas.geometry.items()}
    with pytest.raises(ValueError, match="`surfaces`: the mesh of 'cortex_L' has no surface"):
        ai.view_atlas(atlas.replace(geometry=bare))
    given = {c: (g.sphere, g.faces) for c, g in atlas.geometry.items()}
    left, right = contents(ai.view_atlas(atlas.replace(geometry=bare), surfaces=given))["meshes"]
    # Spheres around one point are shown side by side.
    assert left["shapes"]["given"][:, 0].max() < right["shapes"]["given"][:, 0].min()


def test_without_the_extra_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r'views need .* `pip install "atlasinit\[view\]"`'):
        ai.view_atlas(blocks_atlas())


def test_another_layout_of_the_package_is_told(tmp_path):
    (tmp_path / "widget.js").write_text("export{a as default};")
    with pytest.raises(ValueError, match=r"NiiVue was not found in ipyniivue 2\..*ipyniivue=="):
        niivue._read(tmp_path / "widget.js")


def test_too_many_voxels_are_told(monkeypatch):
    monkeypatch.setattr("atlasinit.viewer.volumes._MOST", 3000)
    # The blocks with a margin of 3 voxels on each side; the image behind reaches further.
    assert ai.view_atlas(blocks_atlas())
    image = nb.Nifti1Image(np.ones((30, 30, 30), np.float32), np.diag([2.0, 2, 2, 1]))
    message = "in a box of 35,937 voxels, of which a browser shows 3,000; pass background=False, or"
    with pytest.raises(ValueError, match=message):
        ai.view_atlas(blocks_atlas(), background=image)


def test_too_many_bytes_are_told_by_compartment(monkeypatch):
    monkeypatch.setattr("atlasinit.viewer.page._LARGEST", 100)
    with pytest.raises(ValueError, match="more MiB than .* open: cortex_L 0, cortex_R 0"):
        ai.view_atlas(cortex_atlas())


def test_command_takes_the_surface_that_it_asks_for(run, tmp_path):
    mesh = cortex_atlas().geometry["cortex_L"]
    ai.save_atlas(cortex_atlas().select(compartments="cortex_L"), tmp_path / "x.label.gii")
    arrays = [
        nb.gifti.GiftiDataArray(mesh.anatomical, "NIFTI_INTENT_POINTSET"),
        nb.gifti.GiftiDataArray(mesh.faces, "NIFTI_INTENT_TRIANGLE"),
    ]
    nb.save(nb.gifti.GiftiImage(darrays=arrays), tmp_path / "lh.surf.gii")
    given = ("view", f"cortex_L={tmp_path / 'x.label.gii'}", "--space", "test")
    status, _, errors = run(*given, "-o", tmp_path / "x.html")
    assert (status, errors.count("\n")) == (2, 1)
    assert (
        "'cortex_L' has no surface to show; pass the surface of each hemisphere by --anat" in errors
    )
    given = (*given, "--anatomical", tmp_path / "lh.surf.gii")
    assert run(*given, "-o", tmp_path / "x.html")[0] == 0


def test_command(run, labels):
    folder = labels[0]
    given = ("view", folder / "dseg.nii.gz", "--labels", folder / "dseg.tsv", "--space", "unknown")
    (folder / "t.tsv").write_text("name\tt\nbox\t1.5\ncorner\t-3\n")
    page = folder / "page.html"
    status, out, errors = run(*given, "--values", folder / "t.tsv", "--units", "mm", "-o", page)
    assert (status, out) == (0, f"{page}\n")
    assert "2 parcels" in errors
    assert "1.5 mm" in page.read_text(encoding="utf-8")
    for options, message in (
        (("-o", page), "--overwrite"),
        (("-o", folder / "page.txt"), "--output should end in .html, got 'page.txt'"),
        (("-o", folder / "x.html", "--column", "t"), "pass --values, too"),
        (("-o", folder / "x.html", "--behind", folder / "bold.nii.gz"), "--behind should be one volume"),
    ):  # fmt: skip
        status, out, errors = run(*given, *options)
        assert (status, out, errors.count("\n")) == (2, "", 1)
        assert message in errors
