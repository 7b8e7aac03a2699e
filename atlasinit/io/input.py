"""What a format reads: a file, which is opened once, or an image or array in memory."""

import functools
import hashlib
import io
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from nibabel.filebasedimages import FileBasedImage

from atlasinit.errors import ArgumentError, ArgumentTypeError, AtlasFileError, Call
from atlasinit.io.contents import CarriedMesh, Stated
from atlasinit.io.files import existing, parsing
from atlasinit.io.signatures import LENGTH, check_signature
from atlasinit.io.unpacking import Unpacked, check_holds
from atlasinit.support.typing import PathLike

InMemory: TypeAlias = FileBasedImage | np.ndarray
"""An image of nibabel, or values of vertices (vertices,) or (vertices, maps)."""

IN_MEMORY = "in memory"
"""What provenance and messages call what comes from no file."""

SEEDS = "coordinates in mm are no files: " + Call("ai.sphere_atlas", "coordinates", "grid")
"""Where a user's own coordinates belong."""

_HEAD = 8192  # bytes; holds the header of any image, and the beginning of CIFTI's XML
# The bytes ID1 and ID2 of every gzip file: https://www.rfc-editor.org/rfc/rfc1952
_GZIP = b"\x1f\x8b"


# Whatever has these two attributes counts as one, so that nilearn need not be imported.
@runtime_checkable
class SurfaceImage(Protocol):
    """What is used of a nilearn ``SurfaceImage``."""

    mesh: Any
    data: Any


class _Bytes(io.FileIO):
    """A file that closes itself once nothing reads it any more, as nibabel's own do."""

    def __del__(self) -> None:
        self.close()


class _File(io.BufferedReader):
    """Such a file, read through a buffer; in a circle of objects either may go first."""

    def __init__(self, path: Path) -> None:
        super().__init__(_Bytes(path))

    def __del__(self) -> None:
        self.close()


class Input:
    """A file, or an image or array in memory, that some format reads.

    A file is opened when its content is first asked for. It stays open until the
    context ends, or, without a context, as long as an image that was made of `stream`
    exists: data are read from it by chunks of time.

    Parameters
    ----------
    given
        A path, an image of nibabel, or values of vertices; or an `Input`'s own kind of
        these from `inputs_of`.
    stated
        What is known of values in memory that they do not state themselves.

    Attributes
    ----------
    path
        The file; None in memory.
    content
        The image or array in memory; None of a file.
    companions
        Further files that were read with it: the other of a pair, or those that it names.
    name
        The file's name, which may state a side, a space or that its numbers are labels;
        of an image in memory the name of the file that it was read from, if it was.

    Raises
    ------
    AtlasFileError
        No such file.
    """

    path: Path | None = None
    content: Any = None

    def __init__(self, given: PathLike | InMemory, *, stated: Stated | None = None) -> None:
        self.stated = stated or Stated()
        self.companions: list[Path] = []
        self._open: _File | None = None
        self._unpacked: Unpacked | None = None
        if isinstance(given, FileBasedImage | np.ndarray):
            self.content = given
            file = given.get_filename() if isinstance(given, FileBasedImage) else None
            self.name = Path(file).name if file else _kind_of(given)
            self._told = f"{self.name} ({IN_MEMORY})" if file else IN_MEMORY
        else:
            self.path = existing(given)
            self.name = self.path.name
            self._told = str(self.path)

    def __str__(self) -> str:
        return self._told

    def __enter__(self) -> "Input":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; it is opened again if more is asked for."""
        if self._open is not None:
            self._open.close()
            self._open = self._unpacked = None

    @functools.cached_property
    def is_packed(self) -> bool:
        """Whether the file is compressed by gzip, whatever its name says."""
        if self.path is None:
            return False
        with parsing(self, "a file"):
            return self._rewound().read(len(_GZIP)) == _GZIP

    @functools.cached_property
    def size(self) -> int:
        """Bytes of the file as it lies on the disk, 0 in memory."""
        return os.fstat(self._opened().fileno()).st_size if self.path is not None else 0

    def check_holds(self, claimed: int) -> None:
        """Refuse a file that cannot have as many bytes, unpacked, as its header says.

        Raises
        ------
        AtlasFileError
            A file that is shorter, or that unpacks to more than is allowed.
        """
        if self.path is not None:
            check_holds(self, self.size, claimed, packed=self.is_packed)

    def check_rest(self) -> None:
        """Read a compressed file on from where it was read to its end, where its checksum lies.

        Raises
        ------
        AtlasFileError
            Another checksum than that of what was read.
        """
        if self._unpacked is not None and not self._unpacked.closed:
            with parsing(self, "a compressed file"):
                self._unpacked.drain()

    @functools.cached_property
    def head(self) -> bytes:
        """The first bytes of the file, unpacked if it is compressed; none in memory."""
        if self.path is None:
            return b""
        with parsing(self, "a file"):
            found = self._rewound().read(_HEAD)
        if not self.is_packed:
            return found
        try:
            # With 16 added zlib expects the header of gzip. An object for decompression takes the
            # beginning of a file, for which `gzip.decompress` would raise an error:
            # https://docs.python.org/3/library/zlib.html#zlib.decompress
            unpack = zlib.decompressobj(zlib.MAX_WBITS | 16)
            head = unpack.decompress(found, _HEAD)
        except zlib.error:
            return b""  # damaged, of which its reader tells
        if head.startswith(_GZIP):
            raise AtlasFileError(self, "is compressed twice", "unpack it once, by gunzip")
        # The file's own first bytes are checked where it is opened, here those of what is packed in
        # it. Nothing at all may also come of a file that ends too early, of which its reader tells.
        if head or unpack.eof:
            check_signature(head, self)
        return head

    @functools.cached_property
    def digest(self) -> str:
        """The sha256 of the file as it lies on the disk."""
        file = self._opened()
        at = file.tell()
        file.seek(0)
        try:
            with parsing(self, "a file"):
                return hashlib.file_digest(file, "sha256").hexdigest()
        finally:
            # What unpacks the file goes on where it was.
            file.seek(at)

    def stream(self) -> io.BufferedIOBase:
        """Return the file from its beginning, unpacked if it is compressed."""
        # Whether it is packed is read from the file itself, which is then set back.
        packed, file = self.is_packed, self._rewound()
        if not packed:
            return file
        self._unpacked = Unpacked(file, name=str(self), size=self.size)
        return self._unpacked

    def _rewound(self) -> _File:
        file = self._opened()
        file.seek(0)
        return file

    def _opened(self) -> _File:
        if self._open is None:
            assert self.path is not None, "what is in memory has no file"
            self._open = _File(self.path)
            check_signature(self._open.read(LENGTH), self)
        return self._open


def is_plain(stream: object) -> bool:
    """Whether a stream of an `Input` is the file itself, which can be mapped into memory."""
    return isinstance(stream, _File)


def is_input(given: object) -> bool:
    """Whether something is one path, image or array, and not a collection of these."""
    return isinstance(given, str | FileBasedImage | np.ndarray) or hasattr(given, "__fspath__")


def sides_of(image: SurfaceImage) -> dict[str, Input]:
    """Return compartment to the vertex values of a surface image, which state their mesh."""
    # nilearn's names of the two hemispheres in `mesh.parts` and `data.parts`.
    sides = {"left": "cortex_L", "right": "cortex_R"}
    found = {}
    for side, values in image.data.parts.items():
        c = sides[side]
        # Meshes of nilearn that lie in files are read when these attributes are asked for.
        part = image.mesh.parts[side]
        mesh = CarriedMesh(np.asarray(part.coordinates), np.asarray(part.faces))
        stated = Stated(structure=c, side=c[-1], mesh=mesh)
        found[c] = Input(np.asarray(values), stated=stated)
    return found


def inputs_of(files: object) -> list[tuple[str | None, list[Input]]]:
    """Return the sources of each compartment, None for a compartment that they tell themselves.

    Parameters
    ----------
    files
        What `is_input` takes, a sequence of these, a mapping from compartment to
        either, or a nilearn ``SurfaceImage``.

    Raises
    ------
    TypeError, ValueError
        Anything else, or nothing.
    AtlasFileError
        No such file.
    """
    if is_input(files):
        return [(None, [Input(files)])]  # pyright: ignore[reportArgumentType]
    if isinstance(files, SurfaceImage):
        return [(c, [source]) for c, source in sides_of(files).items()]
    groups: list[tuple[str | None, list[Input]]]
    if isinstance(files, Mapping):
        groups = [(c, inputs_of(group)[0][1]) for c, group in files.items()]
    # Bytes are a sequence too, of whole numbers.
    elif isinstance(files, Sequence) and not isinstance(files, bytes):
        others = [one for one in files if not is_input(one)]
        if others:
            raise _not_files(f"a list with {type(others[0]).__name__}")
        groups = [(None, [Input(one) for one in files])]
    else:
        raise _not_files(type(files).__name__)
    if not groups or not all(group for _, group in groups):
        raise ArgumentError("files", "should name at least one file for each compartment")
    return groups


def _not_files(given: str) -> ArgumentTypeError:
    return ArgumentTypeError(
        "files",
        "should be a path, an image in memory, a list of these, or a dict {compartment: path}, "
        f"got {given}",
        SEEDS,
    )


def _kind_of(content: InMemory) -> str:
    return "array" if isinstance(content, np.ndarray) else "image"
