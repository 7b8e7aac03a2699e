"""What headers say of how a file stores its numbers, before any of these is read."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from nibabel.affines import obliquity
from nibabel.cifti2 import Cifti2Image
from nibabel.gifti import GiftiDataArray
from nibabel.nifti1 import Nifti1Header, intent_codes
from nibabel.orientations import aff2axcodes, axcodes2ornt

from atlasinit.io.contents import is_line


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """How a file stores its numbers; what a format has no word for is left at its default.

    Parameters
    ----------
    shape
        Of the numbers as they are stored.
    dtype
        Of the numbers as they are stored, as ``"int16"``.
    is_grid
        Whether they are of voxels.
    unit
        Of lengths in the file.
    axes
        Where the three axes of voxels point to, as ``"RAS"``.
    oblique
        Degrees by which the axes of voxels are turned against those of the space, at most.
    apart
        Voxels between the places that sform and qform give to a corner, at most.
    slope, intercept
        By which stored numbers are multiplied, and what is added then.
    intent
        What the header calls the numbers.
    maps
        Names of maps, where there are some.
    labels
        Entries of the label table in the file; None where there is none.
    structures
        Compartment to the number of its locations.
    space
        That the header states, whatever the file's name says.
    """

    shape: tuple[int, ...]
    dtype: str = ""
    is_grid: bool = False
    unit: str = ""
    axes: str = ""
    oblique: float = 0.0
    apart: float = 0.0
    slope: float = 1.0
    intercept: float = 0.0
    intent: str = ""
    maps: tuple[str, ...] = ()
    labels: int | None = None
    structures: Mapping[str, int] = dataclasses.field(default_factory=dict)
    space: str = ""

    @property
    def is_left_handed(self) -> bool:
        """Whether the axes of voxels are a mirror image of those of RAS."""
        if not self.axes:
            return False
        axes, signs = axcodes2ornt(tuple(self.axes)).T
        # A swap of two axes mirrors, and so does a turn of one.
        return bool(np.linalg.det(np.eye(3)[axes.astype(int)] * signs) < 0)

    @property
    def is_series(self) -> bool:
        """Whether the header calls the numbers a series, as ``series x brain_models``."""
        return "series" in self.intent.lower()


def describe_grid(image: Any) -> Facts:
    """Return what the header of an image of voxels, or of vertices in such a format, says."""
    header, shape = image.header, tuple(int(size) for size in image.shape)
    stored = image.dataobj
    facts = Facts(
        shape=shape,
        dtype=str(stored.dtype if isinstance(stored, np.ndarray) else image.get_data_dtype()),
        is_grid=not is_line(shape),
        # nibabel gives 1 and 0 where nothing is scaled.
        slope=float(getattr(stored, "slope", 1.0)),
        intercept=float(getattr(stored, "inter", 0.0)),
    )
    if isinstance(header, Nifti1Header):
        facts = dataclasses.replace(
            facts, intent=str(header.get_intent()[0]).replace("none", ""), apart=_apart(header)
        )
    if image.affine is None or not facts.is_grid or not np.isfinite(image.affine).all():
        return facts
    turned = np.degrees(obliquity(image.affine))
    codes = aff2axcodes(image.affine)
    return dataclasses.replace(
        facts,
        axes="" if None in codes else "".join(map(str, codes)),
        oblique=float(turned.max()),
    )


def describe_axes(image: Cifti2Image, kinds: Sequence[str]) -> Facts:
    """Return what the axes of a CIFTI image say, which are of `kinds`."""
    axes: list[Any] = [image.header.get_axis(d) for d in range(image.ndim)]
    structures, maps, labels = {}, (), None
    for kind, axis in zip(kinds, axes, strict=True):
        if kind == "brain_models":
            structures |= {
                str(name).removeprefix("CIFTI_STRUCTURE_"): len(own)
                for name, _, own in axis.iter_structures()
            }
        if kind in ("labels", "scalars"):
            maps = tuple(map(str, axis.name))
        if kind == "labels":
            labels = len({key for own in axis.label for key in own})
    return Facts(
        shape=tuple(map(int, image.shape)),
        dtype=str(image.get_data_dtype()),
        unit="mm",
        slope=float(getattr(image.dataobj, "slope", 1.0)),
        intercept=float(getattr(image.dataobj, "inter", 0.0)),
        intent=" x ".join(kinds),
        maps=maps,
        labels=labels,
        structures=structures,
    )


def describe_arrays(arrays: Sequence[GiftiDataArray]) -> Facts:
    """Return what the arrays of a GIFTI file say: of the values, or of the surface alone."""
    intents = dict.fromkeys(intent_codes.niistring[array.intent] for array in arrays)
    first: Any = arrays[0].data if arrays else np.zeros(0)
    return Facts(
        shape=(len(arrays), *map(int, first.shape)),
        dtype=str(first.dtype),
        intent=", ".join(str(intent).removeprefix("NIFTI_INTENT_") for intent in intents),
        maps=tuple(filter(None, (array.meta.get("Name", "") for array in arrays))),
    )


def _apart(header: Nifti1Header) -> float:
    """Return how far apart sform and qform place a corner, in voxels; 0 unless both are stated."""
    if not (header["sform_code"] and header["qform_code"]):
        return 0.0
    one: Any = header.get_sform()
    try:
        other: Any = header.get_qform()
    except ValueError:  # no unit quaternion, of which nibabel takes the sform
        return float("inf")
    shape = (*header.get_data_shape(), 1, 1, 1)[:3]
    corners = np.array(
        [[i, j, k, 1] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])]
    )
    between = np.linalg.norm(((one - other) @ corners.T)[:3], axis=0).max()
    return float(between / np.linalg.norm(one[:3, :3], axis=0).min())
