"""Archives of NumPy, of which nothing is unpacked that is larger than it should be."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from atlasinit.io.input import Input
from atlasinit.io.unpacking import check_unpacked


@contextlib.contextmanager
def open_npz(source: Input) -> Iterator[Any]:
    """Yield the arrays of an ``.npz`` by name, which are read when they are asked for.

    Raises
    ------
    AtlasFileError
        Members that unpack to more than `check_unpacked` allows.
    Exception
        No such archive: whatever its reader raises.
    """
    with np.load(source.stream(), allow_pickle=False) as arrays:
        # A zip of .npy files, whose directory states how many bytes each unpacks to:
        # https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
        total = sum(member.file_size for member in arrays.zip.infolist())
        check_unpacked(source, source.size, total)
        yield arrays
