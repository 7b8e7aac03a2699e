"""A connectome in blocks of networks."""

import matplotlib.pyplot as plt
import numpy as np

import atlasinit as ai

atlas = ai.load_atlas("seitzman2018")
rng = np.random.default_rng(0)
networks = np.unique(atlas.labels["network"], return_inverse=True)[1]
shared = rng.normal(size=(150, networks.max() + 1))
noise = rng.normal(size=(150, atlas.n_parcels))
series = shared[:, networks] + 1.5 * noise  # yours, (time, parcels)

figure = ai.plot_matrix(ai.connectome(series, atlas), atlas, units="Pearson's r")
plt.figure(figure)
