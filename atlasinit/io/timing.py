"""Seconds between the volumes of a series, as its file states them."""

import math
import os
from typing import Any

import nibabel as nb
from nibabel.cifti2 import Cifti2Image, SeriesAxis
from nibabel.gifti import GiftiImage
from nibabel.spatialimages import SpatialImage

from atlasinit.io.files import extension, reading, unlogged
from atlasinit.io.formats import gifti
from atlasinit.io.formats.grids import MGH, load_image
from atlasinit.io.input import Input
from atlasinit.support.files import expand

_IN_SECONDS = {"sec": 1.0, "msec": 1e-3, "usec": 1e-6, "unknown": 1.0}

_LONGEST = 60.0
"""Seconds between volumes that are taken without a unit: more are of some other, as ms."""


def read_repetition_time(image: Any) -> float | None:
    """Return the repetition time in s of a file, or of an image in memory.

    A NIfTI header's fourth zoom in its unit of time, of CIFTI the step of its series (in s), of
    GIFTI the ``TimeStep`` in ms that fMRIPrep writes. A number without a unit is taken for seconds
    up to a minute. None where none above 0 is stated, as of what is no image.
    """
    if isinstance(image, str | os.PathLike):
        path = expand(image)
        with reading(path, "an image"), unlogged(), Input(path) as source:
            # nibabel's own reader of GIFTI would follow paths out of the folder, and trust sizes.
            if gifti.claims(source):
                return read_repetition_time(gifti.load(source))
            # It would leave such a file open.
            if extension(path) in MGH:
                return read_repetition_time(load_image(source))
            return read_repetition_time(nb.load(path))
    if isinstance(image, Cifti2Image):
        axis = image.header.get_axis(0)
        in_seconds = isinstance(axis, SeriesAxis) and axis.unit == "SECOND"
        found = float(axis.step) if in_seconds else 0.0
    elif isinstance(image, GiftiImage):
        steps = [array.meta.get("TimeStep", "") for array in image.darrays]
        found = float(steps[0]) * 1e-3 if steps and steps[0] else 0.0
    elif isinstance(image, SpatialImage):
        zooms = image.header.get_zooms()
        units = getattr(image.header, "get_xyzt_units", lambda: ("", "msec"))()
        # MGH states ms without a word.
        found = float(zooms[3]) * _IN_SECONDS.get(units[1], 0.0) if len(zooms) > 3 else 0.0
        if units[1] == "unknown" and found > _LONGEST:
            return None
    else:
        return None
    return found if 0 < found < math.inf else None
