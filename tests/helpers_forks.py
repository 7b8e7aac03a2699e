"""Do all kinds of things in processes that are forked after JAX has started; run as a program."""

import json
import multiprocessing
import signal
import sys
import warnings
from pathlib import Path

import jax
import nibabel as nb
import numpy as np
from helpers_extraction import volume_atlas
from helpers_surfaces import cortex_atlas

import atlasinit as ai
from atlasinit.errors import ArgumentError

_SECONDS = 60


def list_cases(folder):
    """Return what is done in forks, by what it should end with."""
    atlas, cortex = volume_atlas(), cortex_atlas()
    grid, rng, key = atlas.geometry["volume"], np.random.default_rng(0), jax.random.key(0)
    series = rng.random((grid.n_locations, 8), np.float32)
    image = nb.Nifti1Image(rng.random((*grid.shape, 8), np.float32), grid.affine)
    sides = {c: rng.random((m.n_locations, 8), np.float32) for c, m in cortex.maps.items()}
    layer, fitted = ai.AtlasLinear.from_atlas(atlas), ai.AtlasMasker(atlas).fit()
    given = jax.device_put(series)
    ai.save_atlas(atlas, folder / "a.npz")
    ai.save_atlas(atlas, folder / "a.nii.gz")
    # JAX starts, and has compiled some of what is asked for below.
    ai.project(atlas, series)
    fitted.transform(image)
    return {
        "refused": {
            "project": lambda: ai.project(atlas, series),
            "project by a kernel": lambda: ai.project(atlas, series, kernel="scatter"),
            "project arrays of JAX": lambda: ai.project(atlas, given),
            "project by least squares": lambda: ai.project(atlas, series, reduction="lstsq"),
            "project medians": lambda: ai.project(atlas, series, reduction="median"),
            "project back": lambda: ai.back_project(atlas, np.ones((3, 2), np.float32)),
            "a masker": lambda: ai.AtlasMasker(atlas).fit_transform(image),
            "a masker that is fitted": lambda: fitted.transform(image),
            "a masker of surfaces": lambda: ai.AtlasMasker(cortex).fit_transform(sides),
            "a masker that smooths": lambda: ai.AtlasMasker(atlas, smoothing_fwhm=4).fit_transform(
                image
            ),
            "a layer": lambda: layer(series),
            "start weights": lambda: ai.initializers.normal()(key, (3, 4)),
            "refine": lambda: ai.refine(atlas, series, key=key, min_volumes=5),
        },
        "works": {
            "load an archive": lambda: ai.load_atlas(folder / "a.npz"),
            "load an image": lambda: ai.load_atlas(folder / "a.nii.gz", space="x"),
            "save": lambda: ai.save_atlas(atlas, folder / "b.nii.gz"),
            "smooth an atlas": lambda: ai.smooth(atlas, fwhm=4.0),
            "resample": lambda: ai.resample(atlas, grid),
            "connectome": lambda: ai.connectome(rng.random((30, 3)), atlas),
        },
    }


def work(function, results):
    # The system ends what waits for threads that there are not.
    signal.alarm(_SECONDS)
    try:
        function()
        results.put("works")
    except ArgumentError as error:
        remedy = 'start workers by "spawn"' in str(error)
        results.put("refused" if remedy else f"another error: {error}")
    except Exception as error:
        results.put(f"{type(error).__name__}: {error}")


def main(folder):
    context, found = multiprocessing.get_context("fork"), {}
    for expected, cases in list_cases(folder).items():
        for name, function in cases.items():
            results = context.SimpleQueue()
            worker = context.Process(target=work, args=(function, results), daemon=True)
            worker.start()
            worker.join(2 * _SECONDS)
            ended = results.get() if not results.empty() else f"ended by {worker.exitcode}"
            if ended != expected:
                found[name] = ended
    print(json.dumps(found))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    main(Path(sys.argv[1]))
