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
# # A named atlas in five lines
#
# Desikan-Killiany on fsaverage5, the cortical thickness that nilearn packages, and a value a
# region.

# %%
import atlasinit as ai
from atlasinit.catalogue import package_file

FOLDER = "nilearn/datasets/data/fsaverage5"
thickness = {
    "cortex_L": package_file(f"{FOLDER}/thick_left.gii.gz"),
    "cortex_R": package_file(f"{FOLDER}/thick_right.gii.gz"),
}

# %%
atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
values = ai.AtlasMasker(atlas).fit_transform(thickness)  # (1, 68)
table = atlas.labels.assign(thickness_mm=values[0])
table.nlargest(5, "thickness_mm")[["name", "n_locations", "thickness_mm"]]

# %% [markdown]
# The atlas says what it is and where it comes from. Its labels stay labels: 80 KiB for both
# hemispheres.

# %%
print(atlas)
print(atlas.provenance.citation)

# %% [markdown]
# Parcels are chosen by name, key, hemisphere or pattern; the order of the table is the order of
# the output.

# %%
left = atlas.select(hemisphere="L", compartments="cortex_L")
print(left.labels["name"].tolist()[:3])

# %% [markdown]
# Smoothed along the cortex, each parcel reaches over its border, and its weights can be trained.
# A location's weights still sum to 1: smoothing with `conserve="constant"`, the default, keeps a
# partition of unity.

# %%
soft = ai.smooth(atlas, fwhm=6.0)
print(soft.maps["cortex_L"].to_scipy().sum(axis=0).max().round(6))

# %% [markdown]
# Saved, and read back equal:

# %%
ai.save_atlas(soft, "desikan-killiany_fwhm6.npz")
print(ai.load_atlas("desikan-killiany_fwhm6.npz") == soft)

# %% tags=["remove-cell"]
assert values.shape == (1, 68)
assert ai.load_atlas("desikan-killiany_fwhm6.npz") == soft

# %% [markdown]
# And seen: the atlas in its own colours, and a value a region.

# %%
ai.plot_atlas(atlas, {"cortical thickness (mm)": values[0]})
