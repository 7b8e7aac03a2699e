"""Subcortical parcels that grow, in one slice, and what networks share with regions."""

import matplotlib.pyplot as plt
import numpy as np

import atlasinit as ai

labels = ai.load_atlas("hcp-subcortex", space="fsLR")
shown = {
    "labels": labels,
    "dilated by 6 mm": ai.dilate_parcels(labels, 6),
}
figure, axes = plt.subplots(1, 3, figsize=(9, 3.6), layout="constrained", width_ratios=[1, 1, 1.3])
for axis, (title, atlas) in zip(axes, shown.items(), strict=False):
    grid = atlas.geometry["subcortex"]
    slab = grid.put(np.asarray(atlas.maps["subcortex"].labels), fill=-1.0)[:, :, 33]
    picture = np.where(slab < 0, np.nan, slab)[20:71, 25:85].T
    axis.imshow(picture, origin="lower", cmap="tab20", vmin=0, vmax=19, interpolation="nearest")
    axis.set_title(title, fontsize=10, loc="left")
    axis.set_axis_off()

regions, networks = (
    ai.load_atlas(name, space="fsLR", networks=n).select(hemisphere="L")
    for name, n in (("desikan-killiany", None), ("yeo2011", 7))
)
found = ai.compare(regions, networks)
share = found.overlap.toarray() / found.sizes[:, None]
order = np.lexsort((-share.max(axis=1), share.argmax(axis=1)))
image = axes[2].imshow(share[order], aspect="auto", cmap="magma_r", vmin=0, vmax=1)
names = [name.removeprefix("L_") for name in found.others]
axes[2].set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
axes[2].set_yticks([])
axes[2].set_ylabel("regions")
axes[2].set_title("share of a region", fontsize=10, loc="left")
figure.colorbar(image, ax=axes[2])
