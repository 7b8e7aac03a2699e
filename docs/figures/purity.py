"""What a hard label keeps of its weight on the simplex: a fixed floor against a purity."""

import matplotlib.pyplot as plt
import numpy as np

from atlasinit import domains

parcels = np.geomspace(2, 2000, 100)
figure, axis = plt.subplots(figsize=(6, 3), layout="constrained")
for floor, color in ((1e-2, "#d55e00"), (1e-3, "#e69f00"), (1e-4, "#009e73")):
    kept = 1 / (1 + (parcels - 1) * floor)
    axis.plot(parcels, kept, color=color, label=f"logits of max(w, {floor:g})")
domain = domains.Simplex(purity=0.99)
sizes = [2, 5, 20, 100, 500, 2000]
kept = [domain.image(domain.preimage(np.eye(n, 1, dtype=np.float32)))[0, 0] for n in sizes]
axis.plot(sizes, kept, "o-", color="#0072b2", markersize=4, label="Simplex(purity=0.99)")
axis.set(xscale="log", xlabel="parcels", ylabel="weight of the own label", ylim=(0, 1.03))
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
axis.legend(frameon=False, fontsize=9)
