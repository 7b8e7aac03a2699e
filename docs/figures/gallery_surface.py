"""Values of parcels on the cortex."""

import matplotlib.pyplot as plt
import numpy as np

import atlasinit as ai

atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
t = np.random.default_rng(0).standard_t(3, atlas.n_parcels)  # yours, one per parcel

figure = ai.plot_atlas(atlas, {"group difference": t}, units="t")
plt.figure(figure)
