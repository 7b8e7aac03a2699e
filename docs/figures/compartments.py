"""The weights of each compartment, hard and smoothed, vertices in the order of parcels."""

import matplotlib.pyplot as plt
import numpy as np

import atlasinit as ai

hard = ai.load_atlas("desikan-killiany", space="fsaverage5")
soft = ai.smooth(hard, fwhm=12.0)

figure, axes = plt.subplots(2, 2, figsize=(9, 4.2), sharex="col", layout="constrained")
for column, name in enumerate(hard.compartments):
    labels = np.asarray(hard.maps[name].labels)
    order = np.argsort(np.where(labels < 0, hard.n_parcels, labels), kind="stable")
    for row, (title, atlas) in enumerate((("labels", hard), ("12 mm FWHM", soft))):
        weights = atlas.maps[name].to_dense()[:, order]
        axis = axes[row, column]
        shown = axis.imshow(weights, aspect="auto", cmap="magma_r", vmin=0, vmax=1)
        axis.set_title(f"{name}, {title}", fontsize=10, loc="left")
        axis.spines[:].set_visible(False)
    axes[1, column].set_xlabel("vertices")
    axes[0, column].set_ylabel("parcels")
    axes[1, column].set_ylabel("parcels")
figure.colorbar(shown, ax=axes, label="weight", shrink=0.8)
