"""Atlases whose compartments share parcels: rows, names, selection, files."""

import re

import nibabel as nib
import numpy as np
import pytest

import atlasinit as ai


def atlas_of(left, right, *, names=None):
    """Return an atlas of the keys at the vertices of both hemispheres."""
    files = {"cortex_L": np.asarray(left), "cortex_R": np.asarray(right)}
    return ai.load_atlas(files, labels=names, space="mine")


def maps_of():
    """Return an atlas of three maps that both hemispheres share."""
    rng = np.random.default_rng(0)
    sizes = (("cortex_L", 6), ("cortex_R", 5))
    maps = {c: rng.random((n, 3)).astype(np.float32) for c, n in sizes}
    return ai.load_atlas(maps, space="mine", kind="maps").unite()


LEFT, RIGHT = [0, 1, 1, 2, 4, 4], [1, 2, 3, 3, 0]


def test_parcels_of_one_key_are_one_row():
    atlas = atlas_of(LEFT, RIGHT, names={1: "V1", 2: "V2", 3: "MT", 4: "MST"})
    both = atlas.unite()
    found = both.labels
    assert found["key"].tolist() == [1, 2, 3, 4]
    assert found["name"].tolist() == ["V1", "V2", "MT", "MST"]
    assert found["compartment"].unique().tolist() == ["cortex_L+cortex_R"]
    assert found["hemisphere"].tolist() == ["", "", "R", "L"]
    assert found["n_locations"].tolist() == [3, 2, 2, 2]
    assert both.provenance.operations[-1] == "unite(by='key')"
    assert both.unite() == both.replace(provenance=both.unite().provenance)
    assert (both.n_locations, both.compartments) == (atlas.n_locations, atlas.compartments)


def test_one_key_with_two_names_is_refused_and_by_name_follows_the_names():
    tables = {"cortex_L": {1: "V1", 2: "V2", 4: "MST"}, "cortex_R": {1: "V2", 2: "V1", 3: "MT"}}
    atlas = atlas_of(LEFT, RIGHT, names=tables)
    with pytest.raises(ValueError, match=r"key 1 is 'L_V1' in cortex_L, 'R_V2' in cortex_R"):
        atlas.unite()
    both = atlas.unite(by="name")
    assert both.labels["name"].tolist() == ["V1", "V2", "MST", "MT"]
    assert both.labels["key"].tolist() == [1, 2, 4, 3]
    assert both.labels["n_locations"].tolist() == [3, 2, 2, 2]
    tables["cortex_R"] = {1: "MT", 2: "V1", 3: "V2"}  # key 2 of the left is V2, 1 of the right MT
    again = atlas_of(LEFT, RIGHT, names=tables).unite(by="name")
    assert again.labels["key"].tolist() == [1, 2, 3, 4]
    assert again.labels["name"].tolist() == ["V1", "V2", "MST", "MT"]


def test_what_cannot_be_united_is_refused():
    atlas = atlas_of(LEFT, RIGHT)
    with pytest.raises(ValueError, match=re.escape('`by` should be "key" or "name"')):
        atlas.unite(by="colour")
    with pytest.raises(ValueError, match="should be two or more"):
        atlas.unite(compartments="cortex_L")
    with pytest.raises(ValueError, match="compartments are"):
        atlas.unite(compartments=["cortex_L", "cerebellum"])


def test_selecting_keeps_shared_rows_and_one_side_alone():
    both = atlas_of(LEFT, RIGHT).unite()
    two = both.select([("cortex_R", 1), 3])
    assert two.labels["name"].tolist() == ["label-1", "label-3"]
    assert two.labels["n_locations"].tolist() == [3, 2]
    left = both.select(compartments="cortex_L")
    assert left.labels["compartment"].tolist() == ["cortex_L"] * 4
    assert left.labels["n_locations"].tolist() == [2, 1, 0, 2]
    assert both.drop_empty() == both.replace(operation="drop_empty()")


def test_weights_are_normalised_over_all_compartments():
    both = maps_of().normalize()
    totals = sum(m.totals() for m in both.maps.values())
    np.testing.assert_allclose(totals, 1, rtol=1e-6)


@pytest.mark.parametrize("kind", ["hard", "maps"])
@pytest.mark.parametrize(
    "name",
    ["a.npz", "a.safetensors", "a.scipy.npz", "a.weight.safetensors", "a.gii", "a.nii", "bids"],
)
def test_files_keep_that_parcels_are_shared(tmp_path, kind, name):
    if kind == "hard":
        both = atlas_of(LEFT, RIGHT, names={4: "MST", 2: "V2", 1: "V1", 3: "MT"}).unite()
    else:
        both = maps_of()
    ending = {
        "a.gii": {"hard": "hemi-L.label.gii", "maps": "hemi-L.func.gii"},
        "a.nii": {"hard": "a.dlabel.nii", "maps": "a.dscalar.nii"},
    }.get(name, {kind: name})[kind]
    if name == "bids":
        options = dict(
            format="bids", metadata={"License": "CC0", "SpatialReference": "https://x.org"}
        )
        ai.save_atlas(both.replace(name="mine"), tmp_path / name, **options)
        again = ai.load_atlas(tmp_path / name, space="mine")
    else:
        written = ai.save_atlas(both, tmp_path / ending)
        files = written if len(written) > 1 else written[0]
        again = ai.load_atlas(files)
    assert again.table == both.table
    for c, weights in both.to_dense().items():
        np.testing.assert_allclose(again.to_dense()[c], weights, rtol=1e-6)


def test_other_programs_see_one_key_on_both_sides(tmp_path):
    both = atlas_of(LEFT, RIGHT).unite()
    ai.save_atlas(both, tmp_path / "a.dlabel.nii")
    image = nib.load(tmp_path / "a.dlabel.nii")
    np.testing.assert_array_equal(np.asarray(image.dataobj)[0], [*LEFT, *RIGHT])


@pytest.mark.parametrize("kind", ["hard", "maps"])
def test_reports_and_figures_show_shared_parcels_once(kind):
    if kind == "hard":
        both = atlas_of(LEFT, RIGHT).unite()
    else:
        both = maps_of()
    series = np.random.default_rng(1).normal(size=(12, both.n_parcels)).astype(np.float32)
    text = ai.generate_report(both, series=series).html
    assert "cortex_L+cortex_R" in text
