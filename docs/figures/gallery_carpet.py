"""Series of parcels as a carpet."""

import matplotlib.pyplot as plt
import numpy as np

import atlasinit as ai

atlas = ai.load_atlas("seitzman2018")
rng = np.random.default_rng(0)
series = rng.normal(size=(150, atlas.n_parcels)).cumsum(axis=0)  # yours, (time, parcels)

figure = ai.plot_series(series, atlas, t_r=2)
plt.figure(figure)
