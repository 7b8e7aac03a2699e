"""How much of each voxel counts for one vertex, by three methods, in a slice of a real cortex."""

import matplotlib.pyplot as plt
import numpy as np
from nilearn.datasets import load_fsaverage

import atlasinit as ai

found = load_fsaverage("fsaverage5")
white, pial = (found[name].parts["left"] for name in ("white_matter", "pial"))
faces, middle = white.faces, (white.coordinates + pial.coordinates) / 2
mesh = ai.SurfaceMesh(len(middle), hemisphere="L", faces=faces, anatomical=middle)
# A vertex where the cortex is thick, and lies in the slice from one surface to the other.
steps = pial.coordinates - white.coordinates
vertex = (np.hypot(steps[:, 0], steps[:, 2]) - 2 * np.abs(steps[:, 1])).argmax()
centre = middle[vertex]
affine = np.diag([2.0, 2.0, 2.0, 1.0])
affine[:3, 3] = centre - [12.4, 12, 11.7]
grid = ai.VolumeGrid((13, 13, 13), affine)
one = mesh.restrict(np.array([vertex]))
options = {
    "ribbon": {"method": "ribbon"},
    "line": {"method": "line"},
    "trilinear": {"method": "trilinear"},
}

figure, axes = plt.subplots(1, 3, figsize=(9, 3.3), layout="constrained")
level = 6
for axis, (title, chosen) in zip(axes, options.items(), strict=True):
    operator = ai.sampling_operator(
        grid, one, white=white.coordinates, pial=pial.coordinates, **chosen
    )
    weights = operator.to_scipy().toarray().reshape(grid.shape)[:, level]
    ends = [affine[0, 3] - 1, affine[0, 3] + 25, affine[2, 3] - 1, affine[2, 3] + 25]
    shown = np.where(weights > 0, weights / weights.max(), np.nan).T
    axis.imshow(shown, origin="lower", extent=ends, cmap="YlOrRd", vmin=0, vmax=1)
    y = affine[1, 3] + 2 * level
    for surface, color in ((white.coordinates, "#0072b2"), (pial.coordinates, "#009e73")):
        # Where the slice cuts an edge of the surface, edges of a triangle joined.
        for triangle in surface[faces][np.ptp(np.sign(surface[faces][..., 1] - y), axis=1) > 0]:
            a, b = triangle, np.roll(triangle, -1, axis=0)
            cut = (a[:, 1] > y) != (b[:, 1] > y)
            share = (y - a[cut, 1]) / (b[cut, 1] - a[cut, 1])
            points = a[cut] + share[:, None] * (b[cut] - a[cut])
            axis.plot(points[:, 0], points[:, 2], color=color, linewidth=1)
    axis.plot(centre[0], centre[2], "k.", markersize=5)
    axis.set(title=f'method="{title}"', xlim=ends[:2], ylim=ends[2:], xticks=[], yticks=[])
