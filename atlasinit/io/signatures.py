"""What a file is by its first bytes, where it is none of those that are read."""

import dataclasses
import re
from collections.abc import Callable

from atlasinit.errors import AtlasFileError

# A block of tar: of all marks below, tar's lies furthest in, at byte 257.
LENGTH = 512
"""Bytes of the beginning of a file that tell what it is."""


@dataclasses.dataclass(frozen=True)
class Signature:
    """How a kind of file begins.

    Parameters
    ----------
    title
        What a file is, as ``"a PDF"``.
    matches
        Whether the first bytes are those of one.
    remedy
        What to do instead.
    endings
        Names that promise such a file: whoever reads these knows what comes.
    """

    title: str
    matches: Callable[[bytes], object]
    remedy: str = ""
    endings: tuple[str, ...] = ()


def _begins(*beginnings: bytes) -> Callable[[bytes], bool]:
    return lambda head: head.startswith(beginnings)


_PAGE = re.compile(
    rb"(\xef\xbb\xbf)?\s*(<\?xml[^>]*>\s*)?(<!--.*?-->\s*)?<(!doctype\s+)?html\b", re.I
)
GET_ANNEXED = "get it by `git annex get {0}` or `datalad get {0}`"
_UNPACK = "unpack it first"

# Git LFS and git-annex put small text files in the place of large ones:
# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md and
# https://git-annex.branchable.com/internals/pointer_file/
SIGNATURES = (
    Signature(
        "a pointer of Git LFS, not the file itself",
        _begins(b"version https://git-lfs.github.com/spec/"),
        "get it by `git lfs pull` in its repository",
    ),
    Signature(
        "a pointer of git-annex, not the file itself",
        re.compile(rb"(/|\.\./)*(\.git/)?/?annex/objects/").match,
        GET_ANNEXED.format("FILE"),
    ),
    Signature(
        "a page of the web, not the file itself",
        _PAGE.match,
        "its address may lead to a page about the file, or to a login: download it anew",
    ),
    Signature("a PDF", _begins(b"%PDF-"), "a file of numbers is needed"),
    Signature("a zip archive", _begins(b"PK\x03\x04", b"PK\x05\x06"), _UNPACK, (".npz", ".xlsx")),
    Signature("compressed by bzip2", _begins(b"BZh"), "unpack it by bunzip2", (".bz2",)),
    Signature("compressed by xz", _begins(b"\xfd7zXZ\0"), "unpack it by unxz", (".xz",)),
    Signature("compressed by zstd", _begins(b"\x28\xb5\x2f\xfd"), "unpack it by unzstd", (".zst",)),
    Signature("a 7-Zip archive", _begins(b"7z\xbc\xaf\x27\x1c"), _UNPACK),
    Signature("a tar archive", lambda head: head[257:262] == b"ustar", _UNPACK, (".tar",)),
    Signature(
        "a DICOM file", lambda head: head[128:132] == b"DICM", "convert its series by dcm2niix"
    ),
    Signature(
        "a MATLAB file",
        # The second is HDF5 after 512 bytes of its own, so that it does not begin as other HDF5
        # does.
        _begins(b"MATLAB 5.0 MAT-file", b"MATLAB 7.3 MAT-file"),
        "pass the array that `scipy.io.loadmat` or `h5py` reads of it",
    ),
    Signature(
        "an HDF5 file",
        _begins(b"\x89HDF\r\n\x1a\n"),
        "pass the array that `h5py` reads of it",
        (".mnc", ".h5", ".hdf5", ".x5"),
    ),
    Signature(
        "a picture",
        _begins(b"\x89PNG\r\n", b"\xff\xd8\xff\xe0", b"GIF8"),
        "images of the brain keep their numbers in NIfTI and the like",
    ),
)


def find_signature(head: bytes, name: str) -> Signature | None:
    """Return what a file is by its first bytes, None where that may be what its name says."""
    for known in SIGNATURES:
        # No name ends in a null byte: a kind without endings is refused whatever the name.
        if known.matches(head) and not name.lower().endswith(known.endings or ("\0",)):
            return known
    return None


def check_signature(head: bytes, source: object) -> None:
    """Refuse a file that is another than its name says, by its first bytes.

    Raises
    ------
    AtlasFileError
        An empty file, a pointer to a file that is elsewhere, a page of the web, an archive, or a
        file of another kind. The error says what it is and what to do.
    """
    if not head:
        raise AtlasFileError(source, "is empty", "Fetch it again, or write it anew")
    if found := find_signature(head, str(source)):
        raise AtlasFileError(source, f"is {found.title}", found.remedy)
