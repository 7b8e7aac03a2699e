"""Tiny synthetic atlases: volume, surface, mixed, soft, signed, with an empty parcel."""

import inspect
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import atlasinit as ai

WAIT = 140
"""The seconds that a thread or a process is waited for; a test has 600, and says less."""


def table(compartments, keys=None, names=None, **extra):
    keys = list(range(1, len(compartments) + 1)) if keys is None else keys
    names = (
        [f"parcel {c} {k}" for c, k in zip(compartments, keys, strict=True)]
        if names is None
        else names
    )
    sides = [c[-1] if c.endswith(("_L", "_R")) else "" for c in compartments]
    n = len(compartments)
    colors = [f"#{(37 * i) % 256:02x}{(91 * i) % 256:02x}40" for i in range(n)]
    return ai.LabelTable(
        {
            "compartment": compartments,
            "key": keys,
            "name": names,
            "color": colors,
            "hemisphere": sides,
            **extra,
        }
    )


def mixed_atlas():
    """Two hard hemispheres that share keys (one parcel empty) and a soft, signed subcortex."""
    rng = np.random.default_rng(7)
    left = ai.SurfaceMesh(12, vertices=np.arange(1, 11), hemisphere="L")
    right = ai.SurfaceMesh(12, hemisphere="R")
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    grid = ai.VolumeGrid((3, 4, 5), affine, np.array([5, 3, 40, 41, 59, 0, 7]))
    weights = rng.normal(size=(2, 7)).astype(np.float32)
    weights[np.abs(weights) < 0.5] = 0
    from scipy.sparse import csr_array

    return ai.Atlas(
        name="mixed",
        space="test",
        maps={
            "cortex_L": ai.HardMaps(np.array([0, 0, 2, 2, 2, -1, 0, 2, 0, -1], np.int32), 3),
            "cortex_R": ai.HardMaps(np.array([1, 0] * 6, np.int32), 2),
            "subcortex": ai.SparseMaps.from_scipy(csr_array(weights)),
        },
        geometry={"cortex_L": left, "cortex_R": right, "subcortex": grid},
        labels=table(
            ["cortex_L"] * 3 + ["cortex_R"] * 2 + ["subcortex"] * 2,
            [1, 2, 300, 1, 2, 10, 49],
            ["L_a", "L_b", "L_c", "R_a", "R_b", "Left-Thalamus", "Right-Thalamus"],
            network=["Vis", None, "Default", "Vis", "Default", None, None],
        ),
        provenance=ai.Provenance(source="files", licence="CC0"),
    )


def unchecked(function):
    """Return a function as users have it; the tests check types before it is called."""
    return inspect.unwrap(function)


def run_program(name, *arguments):
    """Return what one of the programs beside this file prints."""
    command = [sys.executable, Path(__file__).with_name(name), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=2 * WAIT)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run_processes(context, target, arguments, number):
    """Return how so many processes end that do the same; those that do not end are killed."""
    # Those that are left end with this process, which would wait for them.
    workers = [context.Process(target=target, args=arguments, daemon=True) for _ in range(number)]
    for worker in workers:
        worker.start()
    end = time.monotonic() + WAIT
    for worker in workers:
        worker.join(max(end - time.monotonic(), 0))
    ended = [worker.exitcode for worker in workers]
    for worker in workers:
        worker.kill()
    return ended


def close(found, expected, standard_error):
    """Within five standard errors: a fixed seed fails by chance less than once in a million."""
    assert np.all(np.abs(np.asarray(found) - expected) < 5 * standard_error)
