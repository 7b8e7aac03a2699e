"""GIFTI's XML, each claim of which is checked before memory is taken for it."""

import base64
import math
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from nibabel.gifti import GiftiImage
from nibabel.gifti.parse_gifti_fast import GiftiImageParser
from nibabel.gifti.util import (
    array_index_order_codes,
    gifti_encoding_codes,
    gifti_endian_codes,
)
from nibabel.nifti1 import data_type_codes

from atlasinit.errors import AtlasFileError, ContentError
from atlasinit.io.input import Input
from atlasinit.io.unpacking import check_unpacked

_MOST_DIMENSIONS = 6  # of the format


def parse(source: Input) -> GiftiImage:
    """Return the image of a file.

    Raises
    ------
    AtlasFileError
        Arrays that are not as large as they are said to be, hold no numbers, no real ones,
        or lie in a file outside of the folder.
    Exception
        XML that is damaged: whatever its reader raises.
    """
    parser = _Parser(source)
    parser.parse(fptr=source.stream())
    image = parser.img
    if image is None:
        raise ContentError("it holds no GIFTI element")
    if any(array.data is None for array in image.darrays):
        raise AtlasFileError(source, "an array of it has no data")
    return image


class _Parser(GiftiImageParser):
    """nibabel's, which takes what is said of an array for true, and reads any file it names."""

    def __init__(self, source: Input) -> None:
        super().__init__(mmap=False)
        self.source = source
        self.text: list[str] = []

    def StartElementHandler(self, name: str, attrs: dict[str, str]) -> None:  # noqa: N802
        if self.write_to == "Data":
            raise ContentError(f"an element {name} lies between its numbers")
        if name == "DataArray":
            # nibabel counts up to what is said.
            count = int(attrs.get("Dimensionality", 0))
            if not 1 <= count <= _MOST_DIMENSIONS:
                raise ContentError(f"an array of it should have 1 to 6 axes, got {count}")
        super().StartElementHandler(name, attrs)

    def CharacterDataHandler(self, data: str) -> None:  # noqa: N802
        if self.write_to == "Data":
            # Expat hands a long text over in pieces.
            self.text.append(data)
        else:
            super().CharacterDataHandler(data)

    def EndElementHandler(self, name: str) -> None:  # noqa: N802
        if name == "Data":
            array: Any = self.da
            array.data = _numbers(array, "".join(self.text), self.source)
            self.text, self.write_to = [], None
        if name == "GIFTI":
            arrays: Any = self.img
            stated, found = getattr(self, "expected_numDA", 0), len(arrays.darrays)
            if found < stated:
                raise ContentError(f"it should hold {stated} arrays, but has {found}")
            self.expected_numDA = found
        super().EndElementHandler(name)


def _numbers(array: Any, text: str, source: Input) -> np.ndarray:
    """Return the numbers of one array, of the shape that is said of it."""
    dtype = _named(data_type_codes.dtype, array.datatype)
    if dtype.kind not in "biuf":
        what = "colours" if dtype.names or dtype.kind == "V" else "complex numbers"
        raise AtlasFileError(source, f"should hold real numbers, got {what}")
    shape = tuple(array.dims)
    count = math.prod(shape)
    if min(shape) < 1:
        raise ContentError(f"an array of it is of shape {shape}")
    # An array states its own order of bytes, LittleEndian or BigEndian.
    dtype = dtype.newbyteorder(_named(gifti_endian_codes.byteorder, array.endian))
    # Numbers are words (ASCII), bytes in base64, packed bytes in base64, or lie in another file.
    # https://www.nitrc.org/projects/gifti/
    encoding = gifti_encoding_codes.label[array.encoding]
    if encoding == "ASCII":
        words = text.split()
        if len(words) != count:
            raise ContentError(f"an array of shape {shape} has {len(words)} numbers")
        values = np.array(words, dtype)
    else:
        expected = count * dtype.itemsize
        if encoding == "External":
            stored = _external(array, expected, source)
        else:
            stored = base64.b64decode("".join(text.split()), validate=True)
            if encoding == "B64GZ":
                stored = _unpack(stored, expected, source)
        if len(stored) != expected:
            raise ContentError(
                f"an array of shape {shape} should have {expected} bytes, got {len(stored)}"
            )
        values = np.frombuffer(stored, dtype)
    # RowMajorOrder is C's, the last axis the fastest, and ColumnMajorOrder Fortran's.
    return values.reshape(shape, order=_named(array_index_order_codes.npcode, array.ind_ord))


def _named(codes: Any, code: object) -> Any:
    """Return what nibabel's table has for a code; it does not say of which type."""
    return codes[code]


def _unpack(stored: bytes, expected: int, source: Input) -> bytes:
    """Return unpacked bytes, whose checksum is checked, and one more than expected at most."""
    check_unpacked(source, len(stored), expected)
    # The format says GZipBase64Binary, but means zlib's header, not that of gzip.
    unpacker = zlib.decompressobj()
    found = unpacker.decompress(stored, expected + 1)
    if len(found) == expected and not unpacker.eof:
        raise EOFError("its compressed numbers end early")
    return found


def _external(array: Any, expected: int, source: Input) -> bytes:
    """Return the bytes of a further file, which has to lie in the folder of the first."""
    named = array.ext_fname
    if source.path is None:
        raise ContentError("its numbers lie in another file")
    folder = source.path.parent.resolve()
    file = (folder / named).resolve()
    if not named or Path(named).name != named or file.parent != folder:
        raise AtlasFileError(
            source,
            f"its numbers lie in {named!r}, a file outside of its folder",
            "Only files beside it are read: put them there, under the name that it states, or "
            "rewrite it by `wb_command -gifti-convert GZIP_BASE64_BINARY IN OUT`",
        )
    if not file.is_file():
        raise AtlasFileError(
            source, f"its numbers lie in {named!r}, which is not beside it", "put it there"
        )
    source.companions.append(file)
    with file.open("rb") as stream:
        stream.seek(array.ext_offset)
        return stream.read(expected)
