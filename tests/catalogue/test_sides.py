"""The sides that the catalogue's own names state, against where their parcels lie."""

import numpy as np
import pytest

import atlasinit as ai
from atlasinit.core.labels import hemisphere_of
from atlasinit.measures import centres

# Lateral parcels whose names state no side: seeds named by number or network, and the one
# entry of FreeSurfer's segmentations that both sides share.
UNSTATED = {"dosenbach2010", "power2011", "seitzman2018"}
SHARED = {"non-WM-hypointensities"}
PAIRED = {"aal", "aicha", "glasser", "harvard-oxford", "juelich", "marsatlas", "schaefer2018"}


@pytest.mark.sweep
def test_names_of_offline_atlases_agree_with_their_centroids():
    listed = ai.list_atlases()
    listed = listed[listed["offline"]]
    assert len(listed) >= 24
    for name, space in zip(listed["name"], listed["space"], strict=True):
        atlas = ai.load_atlas(name, space=space, download=False)
        names, sides = atlas.table["name"], np.array(atlas.table["hemisphere"])
        x = np.concatenate([centres(m, atlas.geometry[c])[:, 0] for c, m in atlas.maps.items()])
        for stated in (sides, np.array([hemisphere_of(n) for n in names])):
            # Parcels of the midline may lie a little across.
            across = ((stated == "L") & (x > 2)) | ((stated == "R") & (x < -2))
            assert not across.any(), (name, space, np.array(names)[across])
        lateral = (sides == "") & (np.abs(x) > 8) & ~np.isin(names, list(SHARED))
        assert not lateral.any() or name in UNSTATED, (name, space, np.array(names)[lateral])
        if name in PAIRED:
            assert np.count_nonzero(sides == "L") == np.count_nonzero(sides == "R") > 40, name
