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
# # A dataset of runs
#
# From a folder of fMRIPrep to series and connectomes of all runs: `ai.extract`, or
# `atlasinit extract` on the command line. The dataset here is generated, so that we know what
# should come out: four persons, one run each, as volumes and as CIFTI of 91,282 grayordinates.
# Parcels of one network share a signal, and every person's motion is in all of the brain; some
# move more than others.

# %%
import json
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import nibabel as nb
import numpy as np
import pandas as pd

import atlasinit as ai

cortex = ai.load_atlas("schaefer2018", space="fsLR", parcels=100, networks=7)
gray = ai.join([cortex, ai.load_atlas("hcp-subcortex", space="fsLR")], name="gray")
grid = ai.VolumeGrid((46, 55, 46), nb.affines.from_matvec(np.diag([-4, 4, 4]), [90, -126, -72]))
voxels = ai.resample(ai.load_atlas("talairach", space="MNI152NLin6Asym", level="gyrus"), grid)
print(gray)
print(voxels)

# %% [markdown]
# ## A dataset as fMRIPrep leaves it
#
# Of each run a `.dtseries.nii`, a `.nii.gz` with the mask of the brain, and a table of confounds.

# %%
TIME, T_R = 50, 2.0
FD = np.linspace(0.05, 0.4, 4)  # mm, the mean of each person
MOTION = [f"{kind}_{axis}" for kind in ("trans", "rot") for axis in "xyz"]

place = tempfile.TemporaryDirectory()
root = Path(place.name) / "fmriprep"
ai.save_atlas(gray, Path(place.name) / "gray.dlabel.nii")
models = nb.load(Path(place.name) / "gray.dlabel.nii").header.get_axis(1)


def write_run(person: int) -> None:
    """Write the files of one run."""
    rng = np.random.default_rng(person)
    motion = rng.normal(size=(TIME, 6)).cumsum(axis=0) * FD[person]
    artefact = motion[:, :1] + motion[:, 3:4]  # (time, 1), of all locations
    networks = rng.normal(size=(TIME, 7))
    folder = root / f"sub-{person + 1:02d}" / "func"
    folder.mkdir(parents=True)
    stem = f"sub-{person + 1:02d}_task-rest"
    table = pd.DataFrame(motion, columns=MOTION)
    table["framewise_displacement"] = np.r_[np.nan, rng.gamma(4, FD[person] / 4, TIME - 1)]
    table.to_csv(
        folder / f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False, na_rep="n/a"
    )

    # Of 91,282 grayordinates: those of the cortex have the signal of their network.
    series = rng.normal(size=(TIME, gray.n_locations)).astype(np.float32)
    names = sorted(set(cortex.labels["network"]))
    for c, part in gray.location_slices().items():
        if c in cortex.compartments:
            rows = cortex.labels["network"].map(names.index).to_numpy()
            own = np.asarray(cortex.maps[c].labels)
            first = cortex.labels["compartment"].tolist().index(c)
            series[:, part] += networks[:, rows[first + own]] * (own >= 0)
    series += 100 + artefact
    header = (nb.cifti2.SeriesAxis(0, T_R, TIME), models)
    image = nb.Cifti2Image(series, header)
    image.nifti_header.set_intent("NIFTI_INTENT_CONNECTIVITY_DENSE_SERIES")
    image.to_filename(folder / f"{stem}_space-fsLR_den-91k_bold.dtseries.nii")

    # And volumes, of 4 mm to be quick.
    data = 1000 + 10 * (artefact[:, 0] + rng.normal(size=(*grid.shape, TIME)))
    image = nb.Nifti1Image(data.round().astype(np.int16), grid.affine)
    image.header.set_zooms((4, 4, 4, T_R))
    image.header.set_xyzt_units("mm", "sec")
    space = f"{stem}_space-MNI152NLin6Asym"
    nb.save(image, folder / f"{space}_desc-preproc_bold.nii.gz")
    mask = nb.Nifti1Image(np.ones(grid.shape, np.uint8), grid.affine)
    nb.save(mask, folder / f"{space}_desc-brain_mask.nii.gz")


for person in range(len(FD)):
    write_run(person)

# %% [markdown]
# ## What would be done
#
# Each atlas takes the image in its space and on its grid. A dry run reads nothing but the first
# image, to tell how long all would take.

# %%
atlases = {"gray": gray, "gyri": voxels}
plan = ai.extract(root, atlases, Path(place.name) / "raw", dry_run=True)
print("\n".join(plan.describe()))

# %% [markdown]
# ## Twice: as it is, and cleaned
#
# Each image is read once for all its atlases. What is done is known by content: called again,
# `extract` has nothing to do.

# %%
raw = ai.extract(root, gray, Path(place.name) / "raw", jobs=1)
cleaned = ai.extract(root, atlases, Path(place.name) / "cleaned", confounds=MOTION, jobs=1)
again = ai.extract(root, atlases, Path(place.name) / "cleaned", confounds=MOTION, jobs=1)
print(raw, cleaned, again, sep="\n")
assert (cleaned.count("done"), again.count("skipped")) == (4, 4)

# %% [markdown]
# One run has these files, by the names that XCP-D gives, and each a sidecar that says how it was
# made.

# %%
folder = Path(place.name) / "cleaned" / "sub-01" / "func"
print("\n".join(sorted(path.name for path in folder.iterdir())))
sidecar = json.loads(next(folder.glob("*gray*timeseries.json")).read_text())
{key: sidecar[key] for key in ("Sources", "Confounds", "MinimumCoverage", "VolumesDropped")}

# %% [markdown]
# And all runs a row each in one table; `quality.html` beside it shows the same as pictures.

# %%
cleaned.table.filter(["run", "status", "volumes", "mean_fd", "coverage_gray", "tsnr_gyri"])

# %% [markdown]
# ## What motion does to connectomes
#
# Persons who move more have higher correlations everywhere, unless their motion is regressed
# out. Within networks a correlation stays: the signal that we put there.


# %%
def read_connectomes(folder: str) -> np.ndarray:
    """Return the connectomes of the cortex, (persons, parcels, parcels)."""
    files = sorted(Path(place.name, folder).glob("sub-*/func/*gray*relmat.tsv"))
    every = [pd.read_csv(file, sep="\t", index_col="name") for file in files]
    return np.stack([one.to_numpy()[:100, :100] for one in every])


connectomes = {name: read_connectomes(name) for name in ("raw", "cleaned")}
names = cortex.labels["network"].to_numpy()
within = (names[:, None] == names) & ~np.eye(100, dtype=bool)
between = names[:, None] != names
table = pd.DataFrame(
    {
        name: {
            "within networks": own[:, within].mean(),
            "between networks": own[:, between].mean(),
            "between, with displacement": np.corrcoef(own[:, between].mean(1), FD)[0, 1],
        }
        for name, own in connectomes.items()
    }
).T
table.round(2)

# %%
assert table.loc["raw", "between networks"] > 0.2 > abs(table.loc["cleaned", "between networks"])
assert table.loc["raw", "between, with displacement"] > 0.5
assert table.loc["cleaned", "within networks"] > 0.8

# %% [markdown]
# The mean connectome of all persons, and how it goes with motion: correlations between networks,
# a point for each person.

# %%
fig, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
order = np.argsort(names, kind="stable")
for ax, (name, own) in zip(axes, connectomes.items(), strict=False):
    shown = ax.imshow(own.mean(0)[np.ix_(order, order)], vmin=-1, vmax=1, cmap="RdBu_r")
    ax.set(title=f"{name}, mean of 4 persons", xticks=[], yticks=[])
    axes[2].plot(FD, own[:, between].mean(1), "o", label=name)
fig.colorbar(shown, ax=axes[1], label="correlation")
axes[2].axhline(0, color="0.8", zorder=0)
axes[2].set(xlabel="mean framewise displacement (mm)", ylabel="correlation between networks")
axes[2].legend()
plt.show()
