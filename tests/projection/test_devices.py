"""Data on four devices: they stay where they are, in the compiled programs too."""

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import mixed_atlas

import atlasinit as ai

PARCEL_VALUES = 4 * 8 * 10 * 4
# Gradients of the weights of both hemispheres, in a block of 10 parcels and 384 locations. What a
# device has of the data are 5,120 values.
WEIGHTS = 10 * 384
MERGE = {"all-gather", "all-to-all", "collective-permute"}


@functools.cache
def results(*arguments):
    """Return what `devices.py` prints, which needs a process that starts with four devices."""
    here = Path(__file__).parent
    env = {
        **os.environ,
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        "PYTHONPATH": os.pathsep.join([*sys.path, str(here.parent)]),
    }
    command = [sys.executable, str(here / "devices.py"), *arguments]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def check(name, found):
    for case, one in found.items():
        assert one["error"] < 1e-5, (name, case)
        # Medians and z-scores need more than what one device has of data split over time, and
        # medians of those split along locations.
        needs = {"median": ("time", "locations"), "zscore": ("time",)}.get(name, ())
        if any(axis in case for axis in needs):
            continue
        if "locations" in case:
            # Sums of parcels, and gradients of weights, are added up over devices, and nothing of the
            # data moves. Axes that are not explicit tell XLA alone that they are split.
            if "Auto" not in case or name in ("hard", "grouped"):
                most = PARCEL_VALUES if "forward" in case else max(2 * PARCEL_VALUES, WEIGHTS)
                assert max(one["moved"].values(), default=0) <= most, (name, case, one)
            continue
        # Data are neither gathered nor exchanged; gradients of weights and flags are added up.
        assert not MERGE & set(one["moved"]), (name, case, one)
        assert "d" in one["spec"], (name, case, one)
        if "forward" in case:
            assert max(one["moved"].values(), default=0) <= 1, (name, case, one)


@pytest.mark.parametrize(
    "name", ["tiles", *(pytest.param(name, marks=pytest.mark.sweep) for name in ("hard", "dense"))]
)
def test_data_stay_on_their_devices(name):
    found = results(name)[name]
    assert {"called", "vmap", "forward shard_map", "backward Explicit subjects"} <= set(found)
    check(name, found)


@pytest.mark.sweep
def test_data_of_every_kind_stay_on_their_devices():
    names = "hard,grouped,tiles,groups,dense,median,zscore,lstsq"
    for name, found in results(names, "thorough").items():
        check(name, found)


def test_one_branch_is_taken_under_vmap():
    """A flag of each member would compute the careful product, for what is not finite, always."""
    layer = ai.AtlasLinear.from_atlas(mixed_atlas(), kernel="dense")
    data = jnp.ones((3, 29, 4))
    jaxpr = str(jax.make_jaxpr(jax.vmap(lambda x: layer(x)))(data))
    assert "cond[" in jaxpr
    out = jax.vmap(lambda x: layer(x))(data.at[1, 0, 0].set(jnp.nan))
    expected = jnp.stack([layer(x) for x in data.at[1, 0, 0].set(jnp.nan)])
    np.testing.assert_allclose(out, expected, rtol=1e-6)


@pytest.mark.parametrize("kernel", ["tiles", "groups"])
@pytest.mark.parametrize(
    "transform",
    [
        lambda f, x: jax.jvp(f, (x,), (x,)),
        lambda f, x: jax.jit(lambda x: jax.jvp(f, (x,), (x,)))(x),
        lambda f, x: jax.jacfwd(f)(x),
        lambda f, x: jax.hessian(lambda x: (f(x) ** 3).sum())(x),
    ],
    ids=["jvp", "jit", "jacfwd", "hessian"],
)
def test_forward_mode_says_what_to_do_and_it_works(kernel, transform):
    atlas = mixed_atlas().select(compartments="subcortex")
    data = jnp.linspace(-1.0, 1.0, 14).reshape(7, 2)
    with pytest.raises(TypeError, match='reverse mode alone.*`project` with kernel="dense"'):
        transform(lambda x: ai.project(atlas, x, kernel=kernel, reduction="sum"), data)
    layer = ai.AtlasLinear.from_atlas(atlas, kernel=kernel, reduction="sum")
    with pytest.raises(TypeError, match='kernel="dense".*a layer.*`AtlasLinear.from_atlas`'):
        transform(layer, data)
    told = ai.AtlasLinear.from_atlas(atlas, kernel="dense", reduction="sum")
    found = transform(told, data)
    expected = transform(lambda x: ai.project(atlas, x, kernel="dense", reduction="sum"), data)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
