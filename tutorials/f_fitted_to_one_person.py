# ---
# jupyter:
#   jupytext:
#     formats: py:percent,ipynb
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#       jupytext_version: 1.19.6
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A named atlas fitted to one person
#
# The borders of a group's atlas are not those of any of its persons. `ai.refine` moves them to
# where one person's series change, and keeps the parcels, their names and keys: a table of
# results has the same columns for everybody. We fit an atlas to half of a run, judge it by the
# other half, and then give it data in which there is nothing to find.
#
# The data are one resting run of one person, 652 volumes on fsaverage5, which come with
# BrainSpace.

# %%
import warnings

import jax
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from nilearn.signal import clean

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.figures import atlas_views, mixed_colors, paint, parcel_colors
from atlasinit.io import open_data
from atlasinit.refinement import (
    assess_halves,
    kept_variance,
    measure_agreement,
    parcel_pieces,
)

RUN = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01"

atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
atlas = atlas.select(hemisphere="L", compartments="cortex_L")
raw = open_data(package_file(f"{RUN}.fsa5.lh.mgz"), atlas).all()  # (vertices, time)
confounds = np.loadtxt(package_file(f"{RUN}_confounds.txt"))
series = clean(np.asarray(raw).T, confounds=confounds, standardize=None).T
train, held_out = np.split(series, 2, axis=1)

# %% [markdown]
# ## One call
#
# Vertices without signal, of the medial wall, keep their parcel or have none. Nothing has to be
# tuned: the weights of the priors are in nats, and the variance of the noise is estimated from
# the data.

# %%
mine = ai.refine(atlas, train)
mine

# %% [markdown]
# How much of the variance do the parcels' means keep, in the half that borders were fitted to and
# in the one that they were not?

# %%
kept = pd.DataFrame(
    {
        name: [kept_variance(one, train), kept_variance(one, held_out), parcel_pieces(one).max()]
        for name, one in {"group's borders": atlas, "fitted": mine}.items()
    },
    index=["first half, fitted to", "second half, held out", "most pieces of a parcel"],
).T
kept.round(3)

# %% [markdown]
# What is gained in the held-out half is less than in the fitted one: some of what the first half
# shows is its noise. But it is gained, and every parcel is in one piece.

# %%
gain = kept.loc["fitted"] - kept.loc["group's borders"]
assert 0.03 < gain["second half, held out"] < gain["first half, fitted to"]
assert kept.loc["fitted", "most pieces of a parcel"] == 1

# %% [markdown]
# ## How far to trust the new borders
#
# `assess_halves` does this both ways and compares the two fits. A Dice of 1 would say that both
# halves put a parcel in the same place. It is far from that: five minutes of one person say where
# parcels lie better than a group does, but not to the vertex. More data would say it better.

# %%
halves = assess_halves(atlas, series)
print(f"kept in the half not fitted to: {halves.before:.3f} before, {halves.after:.3f} after")
print(f"Dice of the two fits: {halves.agreement.mean_dice:.2f} in the mean over parcels")
assert halves.after > halves.before + 0.03
assert 0.3 < halves.agreement.mean_dice < 0.8

# %% [markdown]
# Who wants borders closer to the group's says so: parcels that grow by at most so many steps or
# mm, parcels that are frozen, or a stronger tether to the start.

# %%
bounds = {
    "as they come": {},
    "2 steps at most": {"max_hops": 2},
    "tether of 2 nats": {"tether": 2.0},
}
rows = {}
for name, options in bounds.items():
    one = ai.refine(atlas, train, **options)
    alike = measure_agreement(atlas, one)
    rows[name] = {"kept of the held-out half": kept_variance(one, held_out)}
    rows[name]["Dice with the group's"] = alike.mean_dice
table = pd.DataFrame(rows).T
table.round(3)

# %%
assert table["Dice with the group's"].idxmin() == "as they come"
assert (table["kept of the held-out half"] > kept.loc["group's borders"].iloc[1]).all()

# %% [markdown]
# ## Where it does not help
#
# In white noise there are no borders. The parcels have no more in common than noise would, which is
# said, and the atlas is returned as it is.

# %%
noise = jax.random.normal(jax.random.key(0), train.shape)
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    same = ai.refine(atlas, np.asarray(noise))
assert same.maps == atlas.maps
print(told[-1].message)

# %% [markdown]
# Noise that is smooth in space is more treacherous. Neighbours have much in common there, so
# borders move as far as in real data, and halves of the noise even seem to confirm them.

# %%
smooth = np.asarray(ai.smoothing_operator(atlas.geometry["cortex_L"], fwhm=12.0)(noise))
found = assess_halves(atlas, smooth)
print(f"kept in the half not fitted to: {found.before:.3f} before, {found.after:.3f} after")
print(f"moved: {found.moved:.0%} of the vertices, in the person's data {halves.moved:.0%}")
wandering = ai.refine(atlas, smooth)
spread = [one.labels["n_locations"].std() for one in (atlas, wandering)]
print(f"standard deviation of the parcels' sizes: {spread[0]:.0f} before, {spread[1]:.0f} after")

# %% [markdown]
# There is nothing in this noise but its smoothness. Parcels of even sizes keep more of any smooth
# data, and even they have become. What that gains is a quarter of what the person's data gained;
# the rest is not owed to smoothness. So compare what you gain with what smooth noise gains.

# %%
assert spread[1] < 0.6 * spread[0]
assert 0 < found.after - found.before < 0.5 * (halves.after - halves.before)

# %% [markdown]
# The pictures show the group's parcels, those of this person, and which vertices changed hands.

# %%
views = atlas_views(atlas)["cortex_L"]
colors = parcel_colors(atlas)
start, fitted = (np.asarray(one.maps["cortex_L"].labels) for one in (atlas, mine))
changed = np.ones((start.size, 4))
changed[:, :3] = np.where((start != fitted)[:, None], (0.84, 0.37, 0.0), 0.85)
painted = {
    "the group's borders": mixed_colors(atlas.maps["cortex_L"], colors),
    "fitted to one person": mixed_colors(mine.maps["cortex_L"], colors),
    "moved": changed,
}
fig, axes = plt.subplots(2, 3, figsize=(12, 6), layout="constrained")
for (name, own), column, labels in zip(
    painted.items(), axes.T, (start, fitted, fitted), strict=True
):
    for view, place in zip(views, column, strict=True):
        place.imshow(paint(view, own, labels=labels))
        place.axis("off")
    column[0].set_title(name)
plt.show()
