"""Membership across the boundary of two parcels, for three widths, and its closed form."""

import matplotlib.pyplot as plt
import numpy as np
from scipy.stats import norm

import atlasinit as ai

affine = np.diag([0.5, 1.0, 1.0, 1.0])
affine[0, 3] = -29.75
grid = ai.VolumeGrid.from_mask(np.ones((120, 3, 3), bool), affine)
distance = grid.coordinates[:, 0]
halves = ai.HardMaps((distance > 0).astype(np.int32), 2)
middle = np.all(grid.coordinates[:, 1:] == grid.coordinates[:, 1:].mean(axis=0), axis=1)

figure, axis = plt.subplots(figsize=(6, 3.2), layout="constrained")
for fwhm, color in ((4.0, "#0072b2"), (8.0, "#d55e00"), (16.0, "#009e73")):
    operator = ai.smoothing_operator(grid, fwhm=fwhm)
    member = operator.smooth_maps(halves).to_dense()[1, middle]
    axis.plot(distance[middle], member, ".", color=color, markersize=4, label=f"{fwhm:g} mm FWHM")
    axis.plot(distance[middle], norm.cdf(distance[middle], scale=fwhm / 2.3548), color=color, lw=1)
axis.set(xlabel="distance to the boundary, mm", ylabel="weight", xlim=(-20, 20))
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
axis.legend(frameon=False, fontsize=9)
