"""A volume in slices."""

import matplotlib.pyplot as plt

import atlasinit as ai

atlas = ai.load_atlas("seitzman2018")

figure = ai.plot_atlas(atlas, slices=3)
plt.figure(figure)
