"""What widths do to a real atlas: its purity, the width of its boundaries and its non-zeros."""

import matplotlib.pyplot as plt
import numpy as np

import atlasinit as ai
from atlasinit import measures

atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
widths = np.array([2.0, 4.0, 6.0, 8.0, 12.0, 16.0, 20.0])
own, boundary, stored = [], [], []
for fwhm in widths:
    soft = ai.smooth(atlas, fwhm=fwhm)
    name = "cortex_L"
    weights, labels = soft.maps[name].to_dense(), np.asarray(atlas.maps[name].labels)
    inside = labels >= 0
    own.append(weights[labels[inside], np.flatnonzero(inside)].mean())
    boundary.append(np.nanmedian(measures.boundary_width(soft.maps[name], soft.geometry[name])))
    stored.append((weights > 0).mean())

figure, axes = plt.subplots(1, 3, figsize=(9, 2.8), layout="constrained")
for axis, values, title in (
    (axes[0], own, "mean weight of a vertex's own parcel"),
    (axes[1], boundary, "median width of boundaries, mm"),
    (axes[2], 100 * np.array(stored), "non-zero weights, %"),
):
    axis.plot(widths, values, "o-", color="#0072b2", markersize=4)
    axis.set_title(title, fontsize=9, loc="left")
    axis.set(xlabel="FWHM, mm", ylim=(0, None))
    axis.grid(alpha=0.3)
    axis.spines[["top", "right"]].set_visible(False)
axes[1].plot(widths, 1.09 * widths, "--", color="#555555", lw=1, label="straight boundary")
axes[1].legend(frameon=False, fontsize=8)
