"""A parcellation moved to a coarser mesh and a coarser grid, by each method."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import ListedColormap
from matplotlib.patches import Rectangle

import atlasinit as ai

rng = np.random.default_rng(3)
fine = ai.VolumeGrid((24, 24, 1), np.diag([1.0, 1, 1, 1]))
affine = np.diag([4.0, 4, 1, 1])
affine[:2, 3] = 1.5
coarse = ai.VolumeGrid((6, 6, 1), affine)
# Parcels of the nearest of eight seeds, with borders that bend within a few voxels.
at = fine.coordinates[:, :2] + 1.5 * np.sin(fine.coordinates[:, [1, 0]] / 1.3)
seeds = rng.uniform(0, 24, (8, 2))
labels = ((at[:, None] - seeds) ** 2).sum(axis=2).argmin(axis=1).astype(np.int32)
labels[((fine.coordinates[:, :2] - 11.5) ** 2).sum(axis=1) > 11**2] = -1
atlas = ai.Atlas(
    name="parcels",
    space="a plane",
    maps={"volume": ai.HardMaps(labels, 8)},
    geometry={"volume": fine},
    labels=ai.LabelTable(
        {
            "compartment": ["volume"] * 8,
            "key": list(range(1, 9)),
            "name": [f"parcel {i}" for i in range(1, 9)],
            "color": ["#000000"] * 8,
            "hemisphere": [""] * 8,
        }
    ),
)
colors = ListedColormap(["white", *plt.get_cmap("tab10").colors[:8]])
figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
titles = ("1 mm", '4 mm, method="nearest"', '4 mm, method="area"')
nearest = ai.resample(atlas, coarse, method="nearest")
for axis, title, one in zip(
    axes, titles, (atlas, nearest, ai.resample(atlas, coarse)), strict=True
):
    own = np.asarray(one.maps["volume"].labels).reshape(one.geometry["volume"].shape[:2])
    axis.imshow(own.T, cmap=colors, vmin=-1, vmax=7, origin="lower", extent=[-0.5, 23.5] * 2)
    axis.set(title=title, xticks=[], yticks=[])
# Where the two differ, the voxel's centre does not speak for most of the voxel.
differ = nearest.maps["volume"].labels != ai.resample(atlas, coarse).maps["volume"].labels
for x, y in coarse.coordinates[differ, :2]:
    for axis in axes:
        axis.add_patch(
            Rectangle((x - 2, y - 2), 4, 4, fill=False, edgecolor="black", linewidth=1.5)
        )
