"""Thickness of parcels, the same rotated twice, and what chance makes of a correlation."""

import jax
import matplotlib.pyplot as plt
import numpy as np
from nilearn.datasets import load_fsaverage_data

import atlasinit as ai

atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")


def parcels_of(kind):
    parts = load_fsaverage_data(mesh="fsaverage5", data_type=kind).data.parts
    data = np.concatenate([parts["left"], parts["right"]]).astype(np.float32)
    return ai.project(atlas, data[:, None])[:, 0]


thickness, depth = parcels_of("thickness"), parcels_of("sulcal")
key = jax.random.key(0)
spins = ai.spins(atlas, n=2, key=key)
found = ai.nulls(thickness, atlas, key=key).test(depth)

figure = plt.figure(figsize=(8, 3), layout="constrained")
grid = figure.add_gridspec(2, 4, width_ratios=[1, 1, 1, 1.7])
padded = np.append(thickness, np.nan)
slices = atlas.location_slices()
columns = (("as it is", atlas), ("rotation 0", spins[0]), ("rotation 1", spins[1]))
for column, (title, one) in enumerate(columns):
    for row, (c, side) in enumerate((("cortex_L", -1), ("cortex_R", 1))):
        axis = figure.add_subplot(grid[row, column])
        points = atlas.geometry[c].sphere
        labels = np.asarray(one.maps[c].labels)
        rows = np.where(labels < 0, -1, labels + atlas.parcel_slices()[c].start)
        # From outside: the lateral half of the sphere.
        seen = points[:, 0] * side > 0
        axis.scatter(
            side * points[seen, 1],
            points[seen, 2],
            c=padded[rows[seen]],
            s=5,
            cmap="viridis",
            vmin=1.8,
            vmax=3.4,
            plotnonfinite=True,
            linewidths=0,
        )
        axis.set(aspect="equal", xticks=[], yticks=[])
        axis.set_frame_on(False)
        if row == 0:
            axis.set_title(title, fontsize=9)
        if column == 0:
            axis.set_ylabel("left" if c.endswith("L") else "right", fontsize=9)

axis = figure.add_subplot(grid[:, 3])
axis.hist(found.null, bins=40, color="#999999")
axis.axvline(found.statistic, color="#d55e00", lw=2)
axis.axvline(-found.statistic, color="#d55e00", lw=1, ls=":")
axis.set(xlabel="correlation with sulcal depth", ylabel="null maps")
axis.set_title(f"r = {found.statistic:.2f}, p = {found.p_value:.3f}", fontsize=9)
axis.spines[["top", "right"]].set_visible(False)
