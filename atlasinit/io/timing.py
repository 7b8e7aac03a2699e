"""Seconds between the volumes of a series, as its file states them."""

import math
from pathlib import Path
from typing import Any

import nibabel as nb
from nibabel.cifti2 import Cifti2Image, SeriesAxis
from nibabel.gifti import GiftiImage

from atlasinit.io.files import extension, reading, unlogged
from atlasinit.io.formats import gifti
from atlasinit.io.formats.cifti import open_series
from atlasinit.io.input import Input

_IN_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}


def read_repetition_time(path: Path) -> float | None:
    """Return the repetition time in s, None where a file states none above 0.

    A NIfTI header's fourth zoom in its unit of time, of CIFTI the step of its series (in s), of
    GIFTI the ``TimeStep`` in ms that fMRIPrep writes.
    """
    with reading(path, "an image"), unlogged(), Input(path) as source:
        image: Any
        # nibabel's own reader of GIFTI would follow paths out of the folder, and trust sizes.
        if gifti.claims(source):
            image = gifti.load(source)
        else:
            image = open_series(path) if extension(path) == ".dtseries.nii" else nb.load(path)
        if isinstance(image, Cifti2Image):
            axis = image.header.get_axis(0)
            in_seconds = isinstance(axis, SeriesAxis) and axis.unit == "SECOND"
            found = float(axis.step) if in_seconds else 0.0
        elif isinstance(image, GiftiImage):
            steps = [array.meta.get("TimeStep", "") for array in image.darrays]
            found = float(steps[0]) * 1e-3 if steps and steps[0] else 0.0
        else:
            zooms = image.header.get_zooms()
            units = getattr(image.header, "get_xyzt_units", lambda: ("", "msec"))()
            # MGH states ms without a word.
            found = float(zooms[3]) * _IN_SECONDS.get(units[1], 0.0) if len(zooms) > 3 else 0.0
    return found if 0 < found < math.inf else None
