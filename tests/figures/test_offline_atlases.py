"""Every atlas of the catalogue that packages hold: its parcels are drawn, or are said not to be."""

import functools

import numpy as np
import pytest

import atlasinit as ai
from atlasinit.catalogue.entries import catalogue, variants
from atlasinit.catalogue.sources.references import has_variant
from atlasinit.core.geometry import SurfaceMesh
from atlasinit.figures import atlas_views

pytestmark = pytest.mark.filterwarnings(
    "ignore:.*lie on the medial wall:atlasinit.errors.AtlasWarning"
)

PACKAGED = [
    pytest.param(entry.name, variant, marks=pytest.mark.sweep)
    for entry in catalogue().values()
    for variant in variants(entry)
    if variant.source.via == "package" and has_variant(variant)
]


def test_enough_atlases_are_drawn():
    assert len(PACKAGED) >= 14


@pytest.mark.parametrize(
    ("name", "variant"),
    PACKAGED,
    ids=lambda v: v if isinstance(v, str) else "-".join(map(str, v.values.values())),
)
def test_every_parcel_is_drawn_or_told(name, variant, monkeypatch):
    choices = dict(variant.choices)
    space, kind = choices.pop("space"), choices.pop("kind")
    kind = "auto" if kind == "spheres" else kind
    atlas = ai.load_atlas(name, space=space, kind=kind, via="package", download=False, **choices)
    made = {}
    small = functools.partial(atlas_views, width=400, size=200)
    monkeypatch.setattr(
        "atlasinit.figures.plots.atlas_views",
        lambda *args, **options: made.setdefault("views", small(*args, **options)),
    )
    [part] = ai.plot_atlas(atlas).subfigs
    drawn = np.zeros(atlas.n_parcels, bool)
    for compartment, views in made["views"].items():
        assert views
        labels = np.asarray(atlas.maps[compartment].harden().labels)
        rows = np.arange(atlas.n_parcels)[atlas.parcel_slices()[compartment]]
        for view in views:
            seen = labels[np.unique(view.locations[view.locations >= 0])]
            drawn[rows[np.unique(seen[seen >= 0])]] = True
    missing = int((~drawn).sum())
    said = [t.get_text() for t in part.texts if "in none of these" in t.get_text()]
    verb = "is" if missing == 1 else "are"
    told = f"{missing} of {atlas.n_parcels} parcels {verb} in none of these pictures."
    assert said == ([told] if missing else [])
    # With as many slices as the page takes, only what has no location is left out of volumes.
    if not any(isinstance(place, SurfaceMesh) for place in atlas.geometry.values()):
        views = small(atlas, most=60)
        shown = sum(
            view.shown(np.asarray(atlas.maps[c].harden().labels), atlas.maps[c].n_parcels) > 0
            for c, found in views.items()
            for view in found
        )
        [maps] = atlas.maps.values()
        exists = np.asarray(maps.harden().labels)
        assert set(np.flatnonzero(shown)) == set(np.unique(exists[exists >= 0]))
