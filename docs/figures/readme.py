"""The picture of the README: Schaefer 2018, whose licence is MIT, on the HCP's group surfaces.

``python docs/figures/readme.py`` writes it anew.
"""

import io
from pathlib import Path

from PIL import Image

import atlasinit as ai

TARGET = Path(__file__).parents[1] / "_static" / "schaefer2018.png"

atlas = ai.load_atlas("schaefer2018", space="fsLR", parcels=200, networks=7)
figure = ai.plot_atlas(
    atlas, palette="network", title="Schaefer 2018: 200 parcels in 7 networks, fsLR"
)
if __name__ == "__main__":
    stored = io.BytesIO()
    figure.savefig(stored, dpi=90, bbox_inches="tight", format="png")
    # In 128 colours it takes a quarter of the space.
    Image.open(stored).convert("RGB").quantize(128).save(TARGET, optimize=True)
