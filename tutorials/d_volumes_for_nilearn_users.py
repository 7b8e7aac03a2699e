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
# # Volumes, for users of nilearn
#
# You know `NiftiLabelsMasker` and `NiftiMapsMasker`. `ai.AtlasMasker` does the work of both; this
# tutorial runs the three on the same images, shows that they agree, and where they differ on
# purpose.

# %%
import matplotlib.pyplot as plt
import nibabel as nb
import numpy as np
import pandas as pd
from nilearn.connectome import ConnectivityMeasure
from nilearn.datasets import load_mni152_gm_template
from nilearn.maskers import NiftiLabelsMasker, NiftiMapsMasker

import atlasinit as ai

# %% [markdown]
# ## An atlas on the grid of the data
#
# Harvard-Oxford is probabilistic: 113 maps that overlap, at 1 mm. The data will be at 3 mm.
# `NiftiLabelsMasker` would resample the one to the other as it goes; here that is a step of its
# own, which says what becomes of the parcels.

# %%
fine = ai.load_atlas("harvard-oxford", space="MNI152NLin6Asym")
fine

# %%
grey = load_mni152_gm_template(resolution=3)
brain = ai.VolumeGrid.from_mask(grey.get_fdata() > 0.1, grey.affine)
maps = ai.resample(fine, brain)
maps

# %% [markdown]
# Labels, one parcel a voxel, are the same atlas hardened. Every parcel still has voxels; had one
# lost its last, it would have stayed as a row, with a warning.

# %%
labels = maps.harden()
labels.labels[["name", "hemisphere", "n_locations"]].sort_values("n_locations").head(3)

# %% [markdown]
# ## Data whose truth is known
#
# No functional image comes with a package, so we make one on this grid: a series for each region,
# from six networks and a part of its own; each voxel the mixture that its probabilities state;
# noise, and a drift to be removed.

# %%
rng = np.random.default_rng(0)
time, n_networks = 200, 6
networks = rng.standard_normal((n_networks, time)).astype("float32")
members = rng.integers(n_networks, size=maps.n_parcels)
truth = networks[members] + 0.7 * rng.standard_normal((maps.n_parcels, time)).astype("float32")
drift = np.linspace(-1, 1, time)[:, None]

noise = rng.standard_normal((maps.n_locations, time))
voxels = (ai.back_project(maps, truth) + 5 * drift.T + 2 * noise).astype("float32")
bold = nb.Nifti1Image(brain.put(np.asarray(voxels)), brain.affine)
bold.to_filename("bold.nii.gz")
bold.shape

# %% [markdown]
# ## Labels: the same numbers
#
# Give nilearn the labels as a file, and both the same confounds. atlasinit hands the series to
# `nilearn.signal.clean`, so that this part is nilearn's own.

# %%
ai.save_atlas(labels, "ho.nii.gz")
theirs = NiftiLabelsMasker("ho.nii.gz", standardize="zscore_sample", resampling_target=None)
ours = ai.AtlasMasker(labels, standardize="zscore_sample")
a = theirs.fit_transform("bold.nii.gz", confounds=drift)
b = ours.fit_transform("bold.nii.gz", confounds=drift)
print(a.shape, b.shape, f"largest difference {np.abs(a - b).max():.1e}")

# %% tags=["remove-cell"]
assert np.abs(a - b).max() < 1e-3

# %% [markdown]
# The columns have names without a list to be kept in step with them.

# %%
ours.set_output(transform="pandas").fit_transform("bold.nii.gz").iloc[:3, :2]

# %% [markdown]
# ## Maps: least squares or means
#
# `NiftiMapsMasker` solves a least-squares problem: which series of the maps explain the voxels
# best? That is `reduction="lstsq"`. `reduction="mean"` is the mean weighted by probability, for
# which nilearn has no masker. The table shows the correlation of each with the true series.

# %%
ai.save_atlas(maps, "ho_maps.nii.gz")
theirs = NiftiMapsMasker("ho_maps.nii.gz", standardize="zscore_sample", resampling_target=None)
a = theirs.fit_transform("bold.nii.gz", confounds=drift)
found = {}
for reduction in ("lstsq", "mean"):
    masker = ai.AtlasMasker(maps, reduction=reduction, standardize="zscore_sample")
    found[reduction] = masker.fit_transform("bold.nii.gz", confounds=drift)
print(f"lstsq against NiftiMapsMasker: largest difference {np.abs(a - found['lstsq']).max():.1e}")

# %%
found["mean of labels"] = b
rows = {}
for name, series in found.items():
    right = [np.corrcoef(x, y)[0, 1] for x, y in zip(series.T, truth, strict=True)]
    rows[name] = {"median": np.median(right), "worst": min(right)}
recovered = pd.DataFrame(rows).T.round(3)
recovered

# %% tags=["remove-cell"]
assert np.abs(a - found["lstsq"]).max() < 1e-3
assert recovered["median"]["lstsq"] > recovered["median"]["mean of labels"]
assert recovered["median"]["mean of labels"] > recovered["median"]["mean"]

# %% [markdown]
# Least squares tells overlapping maps apart, and here that pays, because the data were made as
# such a mixture; the weighted mean of overlapping maps does worse than the plain mean of labels.
# On real data the mixture is only a model: where maps overlap much, least squares subtracts
# neighbours from each other and amplifies noise, which `ridge=` of `ai.project` damps.
#
# ## What differs on purpose
#
# Data on another grid is refused; nilearn's default resamples the labels without a word.

# %%
coarse = nb.Nifti1Image(np.zeros((50, 60, 50, 2), np.float32), np.diag([4.0, 4, 4, 1]))
try:
    ai.AtlasMasker(labels).fit_transform(coarse)
except ValueError as error:
    print(error)

# %% [markdown]
# A missing value is not taken for zero. By default it makes its parcel NaN, so that you see it;
# `missing="omit"` takes the mean of the rest.

# %%
holed = np.array(voxels)
holed[np.flatnonzero(np.asarray(labels.maps["volume"].labels) == 0)[:10]] = np.nan
for missing in ("propagate", "omit"):
    print(missing, np.asarray(ai.project(labels, holed, missing=missing))[0, :3])

# %% [markdown]
# ## From series to connectivity
#
# From here on everything is nilearn's. The six networks are seen in each. The means also show
# correlation between regions of different networks, which is nothing but their overlap, and noise
# shared across a border.

# %%
order = np.argsort(members, kind="stable")
measure = ConnectivityMeasure(kind="correlation", standardize="zscore_sample")
matrices = {"truth": np.corrcoef(truth)}
matrices |= {name: measure.fit_transform([series])[0] for name, series in found.items()}
fig, panels = plt.subplots(1, 4, figsize=(13, 3.6), layout="constrained")
for axes, (name, matrix) in zip(panels, matrices.items(), strict=True):
    image = axes.imshow(matrix[np.ix_(order, order)], vmin=-1, vmax=1, cmap="RdBu_r")
    off = np.abs(matrix - matrices["truth"])[~np.eye(len(matrix), dtype=bool)].mean()
    axes.set_title(name if name == "truth" else f"{name}\nmean error {off:.3f}")
    axes.set_xticks([])
    axes.set_yticks([])
fig.colorbar(image, ax=panels, shrink=0.8, label="correlation")
plt.show()
