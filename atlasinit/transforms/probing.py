"""Read all that an HDF5 file holds, in a process of its own: run as a program, with a path.

The HDF5 library trusts what it reads: of a damaged file it may loop without an end, or crash,
which no other thread could stop. This program imports nothing of the package, so that it starts
soon; it prints what is wrong with the file, or the bytes that its arrays have.
"""

import os
import sys
from collections.abc import Iterator
from typing import Any

_CHUNK = 2**20
_SECONDS = 2
_RATE = 2**25  # bytes a second, which unpacking exceeds
# As `atlasinit.io.unpacking` has it, which would take long to import.
_LARGEST_RATIO = 1032


def limit_time(path: str) -> None:
    """Have the system end this process once it has worked longer than a whole file takes."""
    try:
        import resource
    except ImportError:  # no POSIX, where who waits for this process has the only limit
        return
    used = resource.getrusage(resource.RUSAGE_SELF).ru_utime
    seconds = int(used + _SECONDS + os.path.getsize(path) / _RATE) + 1
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))


def find_arrays(group: Any, h5py: Any, seen: set[Any]) -> Iterator[Any]:
    """Yield the arrays below a group; links out of the file are errors."""
    for name in group:
        link = group.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{name!r} lies in another file, {link.filename!r}")
        found = group[name]
        # A group may hold itself.
        if found.id in seen:
            continue
        seen.add(found.id)
        dict(found.attrs)
        if isinstance(found, h5py.Group):
            yield from find_arrays(found, h5py, seen)
        elif isinstance(found, h5py.Dataset):
            if found.external or found.is_virtual:
                raise ValueError(f"the numbers of {name!r} lie in another file")
            yield found


def read_array(array: Any) -> None:
    """Read an array by pieces, of which the memory holds one at a time."""
    if not array.shape:
        array[()]
        return
    row = array.nbytes // max(len(array), 1)
    step = max(_CHUNK // max(row, 1), 1)
    for start in range(0, len(array), step):
        array[start : start + step]


def main(path: str) -> None:
    """Print ``"bytes N"``, or what is wrong."""
    import h5py  # pyright: ignore[reportMissingImports]

    limit_time(path)
    with h5py.File(path, "r") as file:
        dict(file.attrs)
        arrays = list(find_arrays(file, h5py, set()))
        total = sum(array.nbytes for array in arrays)
        # What claims more is refused by its size, and need not be read.
        for array in arrays if total <= os.path.getsize(path) * _LARGEST_RATIO else ():
            read_array(array)
    print("bytes", total)


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except Exception as error:
        print(f"{error}".replace("\n", " ") or type(error).__name__)
