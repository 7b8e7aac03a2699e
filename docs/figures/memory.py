"""Memory of two processes over a thousand runs, as `benchmarks/simulate_dataset.py` prints it."""

import matplotlib.pyplot as plt
import numpy as np

done = np.arange(50, 1001, 50)
# MiB of both, every 50 runs.
held = np.repeat([822, 823, 824, 831], [1, 14, 2, 3])

figure, axis = plt.subplots(figsize=(6, 2.6), layout="constrained")
axis.plot(done, held, "o-", color="#0072b2", markersize=4)
axis.set(xlabel="runs done", ylim=(0, 1000))
axis.set_title("memory of two processes, MiB", fontsize=9, loc="left")
axis.grid(alpha=0.3)
axis.spines[["top", "right"]].set_visible(False)
