"""Images of CIFTI-2 as they are written, whatever their axes."""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from nibabel.cifti2 import Cifti2Image
from nibabel.cifti2.cifti2 import Cifti2MetaData

from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_write


def write_image(
    rows: Shaped[np.ndarray, "rows columns"],
    axes: tuple[Any, Any],
    intent: str,
    path: PathLike,
    *,
    metadata: dict[str, str] | None = None,
    overwrite: bool,
) -> list[Path]:
    """Write a matrix with what its rows and its columns are, and return the file.

    Parameters
    ----------
    rows
        The matrix.
    axes
        nibabel's axis of the rows, and that of the columns.
    intent
        NIfTI's name of the kind of file.
    path
        The file.
    metadata
        Of the matrix; None for none.
    overwrite
        Whether an existing file is replaced.
    """
    image = Cifti2Image(rows, header=axes)
    nifti: Any = image.nifti_header
    nifti.set_intent(intent)
    if metadata is not None:
        image.header.matrix.metadata = Cifti2MetaData(metadata)
    with atomic_write(path, overwrite=overwrite) as temporary:
        image.to_filename(temporary)
    return [expand(path)]
