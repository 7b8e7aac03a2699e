"""A connectome of cortex and subcortex in a glass brain."""

import matplotlib.pyplot as plt
import numpy as np

import atlasinit as ai

atlas = ai.load_atlas(["desikan-killiany", "hcp-subcortex"], space="fsLR")
rng = np.random.default_rng(0)
series = rng.normal(size=(60, atlas.n_parcels))  # yours, (time, parcels)

matrix = ai.connectome(series, atlas)
figure = ai.plot_connectome(matrix, atlas, edge_threshold="98%", units="Pearson's r")
plt.figure(figure)
