"""Whether a file is whole, by reading it to its end."""

import gzip
import io
import itertools
import struct
import zipfile
from pathlib import Path
from xml.parsers import expat

_CHUNK = 1 << 20


def find_damage(path: Path, *, name: str = "") -> str:
    """Return what is wrong with a file, ``""`` if nothing is.

    The ending of `name`, by default of the path, tells what the file should be.

    Every file must not be empty. A gzip file must end with the checksum of its
    content, a NIfTI file must be as long as its header says, a GIFTI or other XML
    file must be one whole document, and the members of a zip archive (npz, wheel)
    must agree with their checksums. Others must not be a page of the web, an archive or the
    like, unless their name says so.
    """
    name = (name or path.name).lower()
    if not path.stat().st_size:
        return "it is empty"
    try:
        if name.endswith(".gz"):
            with gzip.open(path) as stream:
                return _content(stream, name[:-3])
        if name.endswith((".npz", ".zip", ".whl")):
            with zipfile.ZipFile(path) as archive:
                bad = archive.testzip()
            return f"its member {bad} is damaged" if bad else ""
        with path.open("rb") as stream:
            return _content(stream, name)
    # Whatever a damaged byte leads its reader to: an encoding that there is not, a size of NaN.
    except Exception as error:
        return str(error) or type(error).__name__


def _content(stream: io.BufferedIOBase, name: str) -> str:
    # Here, as what lists atlases alone needs none of the numbers that this imports.
    from atlasinit.io.signatures import LENGTH, find_signature

    pieces = iter(lambda: stream.read(_CHUNK), b"")
    head = next(pieces, b"")
    if name.endswith(".nii"):
        # A longer file has something behind its data, which no reader takes for data.
        size = len(head) + sum(map(len, pieces))
        expected = _nifti_size(head)
        if expected is None:
            return "it is no NIfTI file"
        return f"it holds {size} of {expected} bytes" if size < expected else ""
    # Of text nothing else tells that it is not what was asked for, as a page to log in at; pages
    # may be whole XML, too.
    if found := find_signature(head[:LENGTH], name):
        return f"it is {found.title}"
    parser = expat.ParserCreate() if name.endswith((".gii", ".xml")) else None
    for piece in itertools.chain([head], pieces):
        if parser is not None:
            parser.Parse(piece)
    if parser is not None:
        parser.Parse(b"", True)  # noqa: FBT003 (has no name)
    return ""


def _nifti_size(head: bytes) -> int | None:
    """Return the bytes that a single-file NIfTI-1 or -2 should have, by its header."""
    # Both begin with their header's own size, which tells the version and the byte order.
    # https://nifti.nimh.nih.gov/pub/dist/src/niftilib/nifti1.h
    # https://nifti.nimh.nih.gov/pub/dist/doc/nifti2.h
    if len(head) < 348:
        return None
    for order in "<>":
        version = struct.unpack_from(f"{order}i", head)[0]
        if version == 348:
            # dim[8] int16, bitpix int16, vox_offset float32.
            dim = struct.unpack_from(f"{order}8h", head, 40)
            bits = struct.unpack_from(f"{order}h", head, 72)[0]
            offset = struct.unpack_from(f"{order}f", head, 108)[0]
        elif version == 540 and len(head) >= 540:
            # bitpix int16, dim[8] int64, vox_offset int64.
            bits = struct.unpack_from(f"{order}h", head, 14)[0]
            dim = struct.unpack_from(f"{order}8q", head, 16)
            offset = struct.unpack_from(f"{order}q", head, 168)[0]
        else:
            continue
        # dim[0] is the number of dimensions; in bits, of which a voxel of DT_BINARY is one.
        count = 1
        for size in dim[1 : 1 + dim[0]]:
            count *= size
        return int(offset) + (count * bits + 7) // 8
    return None
