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
# # From scratch: a random start on the cortex, trained, exported as an atlas
#
# No atlas to begin with: at every vertex a random distribution over 34 parcels, trained on a
# resting run until the parcels' means say as much as they can about it; then an atlas with names
# and a history, in files that other programs open. The data and the measure are those of the
# [second tutorial](b_hard_or_smoothed.ipynb).

# %%
import equinox as eqx
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import nibabel as nb
import numpy as np
import optax
import pandas as pd
from nilearn.signal import clean
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import MiniBatchKMeans

import atlasinit as ai
from atlasinit.catalogue import package_file
from atlasinit.figures import atlas_views, mixed_colors, paint, parcel_colors
from atlasinit.io import open_data

RUN = "brainspace/datasets/preprocessing/sub-010188_ses-02_task-rest_acq-AP_run-01"
N_PARCELS = 34

anatomy = ai.load_atlas("desikan-killiany", space="fsaverage5")
anatomy = anatomy.select(hemisphere="L", compartments="cortex_L")
raw = np.asarray(open_data(package_file(f"{RUN}.fsa5.lh.mgz"), anatomy).all())
confounds = np.loadtxt(package_file(f"{RUN}_confounds.txt"))
signal = raw.std(axis=1) > 0  # not the medial wall
series = clean(raw[signal].T, confounds=confounds).T


def standardized(half):
    centred = half - half.mean(axis=1, keepdims=True)
    return (centred / centred.std(axis=1, keepdims=True)).astype("float32")


train, held_out = (standardized(half) for half in np.split(series, 2, axis=1))

# %% [markdown]
# ## The start
#
# The mesh is fsaverage5's, without its medial wall. `ai.dirichlet_atlas` draws each vertex's
# memberships from a Dirichlet distribution: the larger the concentration, the more even they are.
# From an even start no parcel has an advantage.

# %%
mesh = anatomy.geometry["cortex_L"].restrict(signal)
random = ai.dirichlet_atlas(
    {"cortex_L": mesh},
    n_parcels=N_PARCELS,
    concentration=100.0,
    name="rest34",
    space="fsaverage5",
    key=jax.random.key(0),
)
print(random)
random.to_dense()["cortex_L"][:, 0].round(3)[:5]

# %% [markdown]
# ## A prior that is a layer
#
# Nothing so far says that neighbours should belong together. A smoothing operator on the mesh
# can: what the loss sees are the memberships after smoothing along the cortex. Smoothing
# conserves sums, so they stay memberships.

# %%
blur = ai.smoothing_operator(mesh, fwhm=12.0)


def memberships(layer, *, smooth):
    maps = layer.weights()["cortex_L"]
    return blur.smooth_maps(maps) if smooth else maps


def lost_variance(layer, data, *, smooth):
    maps = memberships(layer, smooth=smooth)
    mixed = ai.back_project(maps, ai.project(maps, data, empty=0.0))
    return jnp.mean((data - mixed) ** 2)


def fit(layer, *, smooth, steps=80, rate=0.1):
    optimizer = optax.adam(rate)
    free, fixed = eqx.partition(layer, ai.domains.trainable(layer))

    @eqx.filter_jit
    def step(free, state):
        def loss(free):
            return lost_variance(eqx.combine(free, fixed), train, smooth=smooth)

        updates, state = optimizer.update(eqx.filter_grad(loss)(free), state)
        return eqx.apply_updates(free, updates), state

    state = optimizer.init(free)
    for _ in range(steps):
        free, state = step(free, state)
    return eqx.combine(free, fixed)


start = ai.AtlasLinear.from_atlas(random, domain=ai.domains.Simplex())
layers = {smooth: fit(start, smooth=smooth) for smooth in (False, True)}

# %% [markdown]
# ## What came of it
#
# As labels, against the anatomical regions and against the peer for this job, k-means, with as
# many parcels each.


# %%
def kept_variance(labels, data):
    maps = ai.HardMaps(labels.astype(np.int32), N_PARCELS)
    means = ai.project(maps, data, empty=0.0)
    known = labels >= 0  # the anatomical regions leave some vertices out
    rest = (data - ai.back_project(maps, means))[known]
    return 1 - float((rest**2).sum() / (data[known] ** 2).sum())


def pieces(labels):
    whole = mesh.put(labels, fill=-1)
    edges = np.vstack([mesh.faces[:, pair] for pair in ([0, 1], [1, 2], [2, 0])])
    edges = edges[whole[edges[:, 0]] == whole[edges[:, 1]]]
    graph = coo_array((np.ones(len(edges)), tuple(edges.T)), shape=(whole.size, whole.size))
    return np.unique(connected_components(graph, directed=False)[1][whole >= 0]).size


def hardened(layer, *, smooth):
    maps = jax.device_get(memberships(layer, smooth=smooth))
    return np.asarray(maps.harden().labels)


labels = {
    "anatomical": np.asarray(anatomy.maps["cortex_L"].labels)[signal],
    "k-means": MiniBatchKMeans(N_PARCELS, n_init=3, random_state=0).fit_predict(train),
    "trained": hardened(layers[False], smooth=False),
    "trained, smooth": hardened(layers[True], smooth=True),
}
results = pd.DataFrame(
    {
        name: {
            "first half (trained)": kept_variance(found, train),
            "second half": kept_variance(found, held_out),
            "pieces": pieces(found),
        }
        for name, found in labels.items()
    }
).T.round(3)
results

# %% tags=["remove-cell"]
# What the text says of the numbers.
first, second, count = (results[column] for column in results)
assert (second.drop("anatomical") > second["anatomical"] + 0.03).all()
assert abs(second["trained, smooth"] - second["k-means"]) < 0.01
assert (
    results["first half (trained)"]["trained, smooth"] < results["first half (trained)"]["trained"]
)
assert second["trained, smooth"] > second["trained"]
assert count["trained, smooth"] < count["k-means"] / 2 < count["trained"] / 2

# %%
views = atlas_views(random)["cortex_L"]
fig, panels = plt.subplots(2, 4, figsize=(12, 5), layout="constrained")
for column, (name, found) in zip(panels.T, labels.items(), strict=True):
    shown = random.replace(maps={"cortex_L": ai.HardMaps(found.astype(np.int32), N_PARCELS)})
    painted = mixed_colors(shown.maps["cortex_L"], parcel_colors(shown, palette="safe"))
    for axes, view in zip(column, views, strict=True):
        axes.imshow(paint(view, painted, labels=found))
        axes.axis("off")
    column[0].set_title(f"{name}\n{results['pieces'][name]:.0f} pieces")
plt.show()

# %% [markdown]
# From nothing, every method keeps more of the second half than the anatomical regions do.
# Training by gradients is not better than k-means at this, and slower: for this loss alone, use
# k-means. What it has over k-means is that the loss is yours. The smooth prior costs variance in
# the half that was trained, gains some in the half that was not, and makes parcels of fewer than
# a third as many pieces; any other term that can be differentiated, a decoder behind the layer
# for instance, can be added in the same way.
#
# ## An atlas
#
# The memberships, smoothed as the loss saw them, replace the layer's; then labels, without
# parcels that won no vertex. Each gets the name of the anatomical region that it overlaps most.

# %%
learned = layers[True].to_atlas()
learned = learned.replace(
    maps={"cortex_L": jax.device_get(memberships(layers[True], smooth=True))},
    operation="smooth(fwhm=12.0)",
)
final = learned.harden().drop_empty()

region = labels["anatomical"]
overlap = pd.crosstab(np.asarray(final.maps["cortex_L"].labels), region).drop(columns=-1)
nearest = anatomy.labels["name"].to_numpy()[overlap.idxmax(axis=1)]
columns = {title: final.table[title] for title in final.table.columns}
columns["name"] = [f"{name}-{key}" for name, key in zip(nearest, columns["key"], strict=True)]
final = ai.Atlas(
    name="rest34",
    space=final.space,
    maps=final.maps,
    geometry=final.geometry,
    labels=ai.LabelTable(columns),
    provenance=final.provenance,
)
final.labels[["key", "name", "n_locations"]].head()

# %% [markdown]
# Files: GIFTI labels for viewers, with names and colours; everything, the soft maps included, in
# one `.npz`.

# %%
(gifti,) = ai.save_atlas(final, "rest34.label.gii")
ai.save_atlas(learned, "rest34_memberships.npz")
again = ai.load_atlas("rest34_memberships.npz")
print(gifti.name, "holds", len(nb.load(gifti).labeltable.labels), "labels for nibabel")
print("memberships read back equal:", again == learned)
print("\n".join(again.provenance.operations))

# %% tags=["remove-cell"]
assert again == learned
assert ai.load_atlas(gifti).table["name"] == final.table["name"]

# %% [markdown]
# How well each parcel holds together in the half that it has not seen, in the atlas's own colours
# and in numbers:

# %%
means = ai.project(final, held_out)
kept = 1 - np.mean((held_out - ai.back_project(final, means)) ** 2, axis=1)  # of each vertex
ai.plot_atlas(
    final,
    {"variance kept in the second half": ai.project(final, np.asarray(kept))},
    palette="safe",
)
