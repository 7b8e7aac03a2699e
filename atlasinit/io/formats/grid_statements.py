"""What the header of an image of a grid states: its unit, directions, space and intent."""

import re
from typing import Any

import nibabel as nb
import numpy as np
from nibabel.analyze import AnalyzeHeader

from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.spaces import parse_space
from atlasinit.io.agreement import place_grid
from atlasinit.io.contents import Stated
from atlasinit.io.tables import afni

_TEMPLATE = re.compile(rb'atr_name="TEMPLATE_SPACE"[^>]*>\s*"?\s*([^"~<\s]+)')
# Of AFNI, what is in no template, or says nothing.
_NOWHERE = ("ORIG", "")


def grid_of(image: Any, source: object, *, shape: tuple[int, ...] | None = None) -> VolumeGrid:
    """Return the whole grid of an image in mm, of `shape` where some of its axes do not count.

    Warns
    -----
    AtlasFileWarning
        As `atlasinit.io.agreement.place_grid`.
    """
    sizes = tuple(int(size) for size in image.shape) if shape is None else shape
    return place_grid(sizes[:3], image.affine, states_of(image), source)


def states_of(image: Any) -> Stated:
    """Return what the header of an image states, whatever its name says."""
    header = image.header
    if not isinstance(header, nb.Nifti1Header):
        # Of the other formats, which are in mm, MGH says by a flag whether its directions count.
        return Stated(unit="mm", oriented=_is_oriented(image), space=_template(header))
    unit = header.get_xyzt_units()[0]
    return Stated(
        unit="" if unit == "unknown" else str(unit),
        oriented=bool(header["sform_code"] or header["qform_code"]),
        space=_template(header),
    )


def _is_oriented(image: Any) -> bool:
    if isinstance(image.header, AnalyzeHeader):
        # Analyze has no field for it, but a file of SPM's beside it may.
        return not np.allclose(image.affine, image.header.get_best_affine())
    return bool(image.header.get("goodRASFlag", 1)) if hasattr(image.header, "get") else True


def _template(header: Any) -> str:
    """Return the template that AFNI notes, by the name that it has here."""
    found = str(getattr(header, "info", {}).get("TEMPLATE_SPACE", ""))
    for extension in getattr(header, "extensions", ()):
        if extension.get_code() == afni.CODE:
            content = extension.get_content()
            raw = content.encode() if isinstance(content, str) else bytes(content)
            match = _TEMPLATE.search(raw)
            found = match[1].decode(errors="replace") if match else found
    return "" if found in _NOWHERE else parse_space(found.replace(":", "-"))[0]
