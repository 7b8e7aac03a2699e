"""What is given in place of an atlas, of maps or of a domain: the error says what to pass."""

import inspect
from html.parser import HTMLParser

import jax.random as jr
import numpy as np
import pytest
from helpers import mixed_atlas, run_program
from helpers_report import hostile_atlas

import atlasinit as ai
from atlasinit import measures

LAYER = ai.AtlasLinear.from_atlas(mixed_atlas().select(compartments="cortex_R"))
ATLAS = LAYER.to_atlas()


def call(function, *arguments, **options):
    """Call without the run-time checks of annotations, as users do."""
    return inspect.unwrap(function)(*arguments, **options)


TAKES_ATLAS = {
    "save_atlas": lambda given, path: call(ai.save_atlas, given, path),
    "save_values": lambda given, path: call(ai.save_values, np.ones(2), given, path),
    "generate_report": lambda given, path: call(ai.generate_report, given),
    "plot_atlas": lambda given, path: call(ai.plot_atlas, given),
    "smooth": lambda given, path: call(ai.smooth, given, fwhm=6.0),
    "from_atlas": lambda given, path: call(
        ai.AtlasLinear.from_atlas.__func__, ai.AtlasLinear, given
    ),
    "spins": lambda given, path: call(ai.spins, given, n=2, key=jr.key(0)),
    "merge_parcels": lambda given, path: call(ai.merge_parcels, given, "network"),
    "rename_parcels": lambda given, path: call(ai.rename_parcels, given, str.lower),
    "renumber_parcels": lambda given, path: call(ai.renumber_parcels, given),
    "reorder_parcels": lambda given, path: call(ai.reorder_parcels, given, "name"),
    "drop_small_parcels": lambda given, path: call(ai.drop_small_parcels, given, locations=2),
    "split_parcels": lambda given, path: call(ai.split_parcels, given, "pieces"),
    "save_labels": lambda given, path: call(ai.save_labels, given, path.with_suffix(".lut")),
    "save_masks": lambda given, path: call(ai.save_masks, given, path.parent / "masks"),
    "save_matrix": lambda given, path: call(
        ai.save_matrix, np.eye(2), given, path.with_suffix(".tsv")
    ),
    "measure_parcels": lambda given, path: call(measures.measure_parcels, given),
    "adjacency": lambda given, path: call(measures.adjacency, given),
    "add_surfaces": lambda given, path: call(ai.add_surfaces, given),
    "atlas_views": lambda given, path: call(ai.figures.atlas_views, given),
    "find_unseen": lambda given, path: call(ai.figures.find_unseen, given, {}),
    "parcel_colors": lambda given, path: call(ai.figures.parcel_colors, given),
    "open_data": lambda given, path: call(ai.io.open_data, np.ones((12, 2)), given),
    "to_graph": lambda given, path: call(ai.io.to_graph, np.eye(2), given),
    "parcel_pieces": lambda given, path: call(ai.refinement.parcel_pieces, given),
}


@pytest.mark.parametrize("name", list(TAKES_ATLAS))
@pytest.mark.parametrize(
    ("given", "message"),
    [
        (LAYER, r"got AtlasLinear; pass the atlas that its method `to_atlas\(\)` returns"),
        ("aal", r"got str; pass `atlasinit\.load_atlas\('aal'\)`"),
        (ATLAS.maps["cortex_R"], r"got HardMaps; load one of a name or files by `atlasinit"),
    ],
    ids=["layer", "name", "maps"],
)
def test_what_is_no_atlas_is_told_with_what_to_pass(name, given, message, tmp_path):
    with pytest.raises(TypeError, match=rf"^`atlas` should be an Atlas, {message}"):
        TAKES_ATLAS[name](given, tmp_path / "x.npz")


TAKES_MORE = {
    "project": (lambda given: call(ai.project, given, np.ones((2, 1))), "an Atlas or maps"),
    "coverage": (lambda given: call(ai.coverage, given, np.ones(2)), "an Atlas or maps"),
    "masker": (lambda given: ai.AtlasMasker(given).fit(), "an Atlas, or several"),
    "connectome": (
        lambda given: call(ai.connectome, np.ones((5, 2)), given),
        "an atlas or a list of names",
    ),
    "join": (lambda given: call(ai.join, [ATLAS, given]), r"a list of atlases"),
}


@pytest.mark.parametrize("name", list(TAKES_MORE))
def test_what_is_neither_an_atlas_nor_else_is_told_with_what_to_pass(name):
    function, wanted = TAKES_MORE[name]
    with pytest.raises(TypeError, match=rf"should be {wanted}, got .*its method `to_atlas\(\)`"):
        function(LAYER)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (ATLAS, r"got Atlas; pass `atlas\.geometry\['cortex_R'\]`"),
        (ATLAS.geometry, "pass one of them, as that of 'cortex_R'"),
        (ai.VolumeGrid, "got the class VolumeGrid"),
        (ai.AtlasLinear, "got the class AtlasLinear; pass one of `atlas"),
    ],
    ids=["atlas", "mapping", "class", "layer class"],
)
def test_what_is_no_geometry_is_told_with_what_to_pass(given, message):
    with pytest.raises(TypeError, match=rf"^`place` should be a VolumeGrid .*{message}"):
        call(ai.smoothing_operator, given, fwhm=6.0)


def test_the_advice_on_a_geometry_can_be_followed():
    grids = mixed_atlas().select(compartments="subcortex")
    with pytest.raises(TypeError, match=r"pass `atlas\.geometry\['subcortex'\]`"):
        call(ai.smoothing_operator, grids, fwhm=6.0)
    assert ai.smoothing_operator(grids.geometry["subcortex"], fwhm=6.0)


@pytest.mark.sweep
def test_no_public_function_tells_of_the_wrong_kind_by_a_line_inside():
    # In a process of its own, as the checks of annotations here would find it first.
    assert run_program("helpers_wrong_kinds.py") == ""


def test_the_atlas_of_a_layer_is_saved(tmp_path):
    assert ai.save_atlas(LAYER.to_atlas(), tmp_path / "x.npz") == [tmp_path / "x.npz"]


@pytest.mark.parametrize("name", ["parcel_sizes", "centres", "boundary_width"])
def test_measures_of_other_locations(name):
    grid = ai.VolumeGrid((2, 3, 4), np.eye(4))
    message = r"^`geometry` should have the 12 locations of the maps, got 24; pass that of the same"
    with pytest.raises(ai.ArgumentError, match=message):
        getattr(measures, name)(ATLAS.maps["cortex_R"], grid)


@pytest.mark.parametrize("given", [None, "x", 3, np.ones(2)])
def test_sparse_maps_are_made_of_a_matrix(given):
    with pytest.raises(TypeError, match="`matrix` should be a matrix"):
        call(ai.SparseMaps.from_scipy.__func__, ai.SparseMaps, given)


MEASURES = {
    "overlap": (),
    "location_entropy": (),
    "parcel_entropy": (),
    "parcel_sizes": (ATLAS.geometry["cortex_R"],),
    "centres": (ATLAS.geometry["cortex_R"],),
    "boundary_width": (ATLAS.geometry["cortex_R"],),
}


@pytest.mark.parametrize("name", list(MEASURES))
def test_measures_ask_for_the_maps_of_a_compartment(name):
    measure = getattr(measures, name)
    for given, message in (
        (ATLAS, r"got Atlas; pass `atlas\.maps\['cortex_R'\]`"),
        (LAYER, r"got AtlasLinear; pass `layer\.to_atlas\(\)\.maps\['cortex_R'\]`"),
        (ATLAS.maps, r"got dict; pass one of them, `maps\['cortex_R'\]`"),
        (np.ones((2, 12)), r"got ndarray; pass `atlasinit\.DenseMaps\(array\)`"),
        (3, r"got int; pass one of `atlas\.maps`"),
    ):
        with pytest.raises(TypeError, match=rf"^`maps` should be the maps .*, {message}"):
            call(measure, given, *MEASURES[name])
    assert measures.overlap(ATLAS.maps["cortex_R"]).shape == (2, 2)


def test_numbers_of_parcels_are_not_geometries():
    said = r"`geometry` of 'a' .*got int; pass .*n_parcels={'a': 10}"
    with pytest.raises(TypeError, match=said):
        call(ai.dirichlet_atlas, {"a": 10}, key=jr.key(0))


def test_the_class_of_a_domain_is_told_from_one():
    said = r"`domain` should be a domain, got the class Simplex; make one .*domains\.Simplex\(\)`"
    with pytest.raises(TypeError, match=said):
        call(ai.AtlasLinear.from_atlas.__func__, ai.AtlasLinear, ATLAS, domain=ai.domains.Simplex)
    with pytest.raises(TypeError, match=said):
        call(ai.domains.constrained, np.ones((2, 3)), ai.domains.Simplex)
    with pytest.raises(TypeError, match=r"got 'simplex'; pass one such as"):
        call(ai.domains.constrained, np.ones((2, 3)), "simplex")


def texts_of(html):
    found, tags = [], []
    parser = HTMLParser()
    parser.handle_data = found.append
    parser.handle_starttag = lambda tag, attrs: tags.append(tag)
    parser.feed(html)
    parser.close()
    return found, tags


def test_notebooks_show_a_table_and_the_terms():
    atlas = mixed_atlas()
    found, tags = texts_of(atlas._repr_html_())
    assert tags.count("tr") == 4
    assert "".join(found).startswith("mixed in test: 7 parcels")
    assert [text for text in found if text in atlas.compartments] == list(atlas.compartments)
    assert repr(atlas.geometry["subcortex"]) in found
    assert found[-1] == "source: files; licence: CC0; citation: not stated"
    # Nothing of a name is markup.
    hostile, tags = texts_of(hostile_atlas()._repr_html_())
    assert set(tags) <= {"div", "strong", "table", "thead", "tbody", "tr", "th", "td", "small"}
    assert "<script>" in "".join(hostile)


SPACES = {
    "resample": lambda: call(ai.resample, GRID_ATLAS, GRID_ATLAS, space=3),
    "resampling_operator": lambda: call(ai.resampling_operator, GRID_ATLAS, GRID_ATLAS, space=3),
    "to_grayordinates": lambda: call(ai.to_grayordinates, GRID_ATLAS, space=3),
    "sphere_atlas": lambda: call(ai.sphere_atlas, [[0, 0, 0]], ai.VolumeGrid((1, 1, 1), np.eye(4)),
                                 space=3),
}  # fmt: skip
GRID_ATLAS = mixed_atlas().select(compartments="subcortex")


@pytest.mark.parametrize("name", SPACES)
def test_a_number_names_no_space(name):
    with pytest.raises(TypeError, match="`space` should name a space, or be None, got 3"):
        SPACES[name]()


def test_text_is_no_concentration():
    with pytest.raises(ValueError, match="`concentration` should be positive and finite.* got '1'"):
        call(ai.dirichlet_atlas, ATLAS, concentration="1", key=jr.key(0))
