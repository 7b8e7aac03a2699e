"""Images and arrays in memory, written down for the readers of files."""

import contextlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from nibabel.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2_axes import LabelAxis, ScalarAxis
from nibabel.filebasedimages import FileBasedImage
from nibabel.gifti import GiftiImage
from nibabel.nifti1 import Nifti1Image
from nibabel.nifti2 import Nifti2Image
from nibabel.spatialimages import SpatialImage

InMemory: TypeAlias = FileBasedImage | np.ndarray
"""An image of nibabel, or values of vertices."""


@runtime_checkable
class SurfaceImage(Protocol):
    """What is used of a nilearn ``SurfaceImage``."""

    mesh: Any
    data: Any


def hemispheres(image: SurfaceImage) -> dict[str, np.ndarray]:
    """Return compartment to the values of a surface image."""
    sides = {"left": "cortex_L", "right": "cortex_R"}
    return {sides[side]: np.asarray(values) for side, values in image.data.parts.items()}


@contextlib.contextmanager
def written(source: Any) -> Iterator[Any]:
    """Yield `source` with paths in place of what is in memory, which exist in the context.

    Parameters
    ----------
    source
        A path; a nibabel image (NIfTI, MGH, GIFTI, CIFTI-2); vertex values (vertices,) or
        (vertices, maps) of one hemisphere; a sequence of these, or a mapping to either. Or a
        nilearn ``SurfaceImage``, which becomes one of these for each hemisphere; its mesh
        does not say which surface it is, and is left out.

    Raises
    ------
    TypeError
        An image of another format.
    """
    with contextlib.ExitStack() as folders:
        yield _written(source, folders)


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    """Yield a temporary folder, which no message of an error speaks of."""
    with tempfile.TemporaryDirectory() as name:
        try:
            yield Path(name)
        except (OSError, ValueError, TypeError) as error:
            parts = (
                a.replace(f"{name}/", "in memory: ") if isinstance(a, str) else a
                for a in error.args
            )
            error.args = tuple(parts)
            raise


def _written(source: Any, folders: contextlib.ExitStack) -> Any:
    if isinstance(source, FileBasedImage):
        return _write(source, folders.enter_context(_folder()))
    if isinstance(source, np.ndarray):
        path = folders.enter_context(_folder()) / "array.npy"
        np.save(path, source.astype(np.uint8) if source.dtype == bool else source)
        return path
    if isinstance(source, SurfaceImage):
        source = hemispheres(source)
    if isinstance(source, Mapping):
        return {key: _written(value, folders) for key, value in source.items()}
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return [_written(value, folders) for value in source]
    return source


def _write(image: FileBasedImage, folder: Path) -> Path:
    """Write an image under the name that it was read from, if it was."""
    name, kind = Path(image.get_filename() or "image").name, ""
    if isinstance(image, Cifti2Image):
        axis = type(image.header.get_axis(0))
        kind = {LabelAxis: ".dlabel.nii", ScalarAxis: ".dscalar.nii"}.get(axis, ".dtseries.nii")
    elif isinstance(image, GiftiImage):
        kind = ".gii"
    elif isinstance(image, SpatialImage):
        image, kind = _exact(image), ".nii"
        name = name.removesuffix(".gz").removesuffix(".mgz").removesuffix(".mgh")
    else:
        raise TypeError(
            f"Atlases in memory should be NIfTI, MGH, GIFTI or CIFTI-2 images, got "
            f"{type(image).__name__}."
        )
    path = folder / (name if name.endswith(kind) else name + kind)
    image.to_filename(path)
    return path


def _exact(image: SpatialImage) -> Nifti1Image:
    """Return an image that is stored in the dtype of its values, whatever its header says."""
    values = np.asanyarray(image.dataobj)
    if values.dtype == bool or values.dtype == np.float16:
        values = values.astype(np.uint8 if values.dtype == bool else np.float32)
    large = max(values.shape, default=0) > np.iinfo(np.int16).max
    header = image.header if isinstance(image, Nifti1Image) else None
    out = (Nifti2Image if large else Nifti1Image)(values, image.affine, header, dtype=values.dtype)
    out.set_data_dtype(values.dtype)
    return out
