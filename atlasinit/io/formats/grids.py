"""Grid images read volume by volume."""

import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel as nb
import numpy as np
from jaxtyping import Float, Shaped
from nibabel.arrayproxy import ArrayProxy
from nibabel.fileholders import FileHolder
from nibabel.freesurfer.mghformat import MGHHeader
from nibabel.spatialimages import SpatialImage

from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import Argument, AtlasFileError, format_list
from atlasinit.io.contents import Part
from atlasinit.io.files import extension, parsing, unlogged
from atlasinit.io.input import Input
from atlasinit.io.keys import read_keys
from atlasinit.io.options import ReadOptions
from atlasinit.io.tables import embedded
from atlasinit.io.unpacking import check_holds
from atlasinit.support.arrays import to_single

MGH = (".mgh", ".mgz")
NIFTI = (".nii", ".nii.gz")
PAIRS = (".img", ".hdr", ".img.gz", ".hdr.gz")
"""Of images whose header is a file of its own, NIfTI or ANALYZE; either names both."""


def load_image(source: Input) -> Any:
    """Return the nibabel image of a grid, of which nothing but the header is read.

    Raises
    ------
    AtlasFileError
        An image of no grid, or of negative sizes; one that holds colours or complex numbers.
    """
    image = _opened(source) if source.content is None else source.content
    kind = type(image).__name__
    if isinstance(image, nb.Cifti2Image) or not isinstance(image, SpatialImage):
        raise AtlasFileError(source, f"is a {kind}, not an image of a grid")
    sizes = [int(size) for size in image.shape]
    _check_sizes(sizes, source)
    if not all(sizes[:3]):
        raise AtlasFileError(source, f"holds no voxel: its sizes are {tuple(sizes)}")
    # What is in memory may be stored in another type than its header says.
    stored = image.dataobj
    dtype = stored.dtype if isinstance(stored, np.ndarray) else image.get_data_dtype()
    if dtype.kind not in "biuf":
        kind = "colours" if dtype.names else f"values of type {dtype}"
        raise AtlasFileError(source, f"should hold real numbers, got {kind}")
    return image


@unlogged()
def _opened(source: Input) -> Any:
    ending = extension(source.name)
    image: Any
    if ending in MGH:
        # All of it is big-endian: a version, four sizes, the type, the degrees of freedom, the
        # directions, and from byte 284 on the numbers.
        # https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat
        # Before nibabel looks for what follows the numbers, as many bytes behind the header.
        sizes = np.frombuffer(source.head[4:20].ljust(16, b"\0"), ">i4")
        _check_sizes(sizes.tolist(), source)
        header = MGHHeader.from_fileobj(source.stream())
        data = ArrayProxy(source.stream(), header)
        image = nb.MGHImage(data, header.get_affine(), header)
    elif ending in PAIRS:
        return _pair(source)
    elif ending in NIFTI and not is_cifti(source.head):
        kind: Any = nb.Nifti2Image if _first_number(source.head) == _NIFTI2 else nb.Nifti1Image
        image = kind.from_file_map({"image": FileHolder(fileobj=source.stream())})
        _check_start(image, source)
    else:
        return _loaded(source)
    source.check_holds(end_of(image.dataobj))
    return image


def _loaded(source: Input) -> Any:
    """Return an image of what other formats nibabel reads."""
    image: Any = nb.load(source.path)  # pyright: ignore[reportArgumentType]
    numbers = image.file_map.get("image")
    # A surface is an image too, of no grid, which is told by who asked for one.
    if (
        isinstance(getattr(image, "dataobj", None), ArrayProxy)
        and numbers is not None
        and numbers.filename
    ):
        if isinstance(image, nb.Nifti1Image):
            _check_start(image, source)
        _check_sizes(image.shape, source)
        # The numbers may lie in a file beside, compressed or not.
        path = Path(numbers.filename)
        packed = path.suffix.lower() == ".gz"
        # How much others may unpack to is not known.
        if packed or path.suffix.lower() not in (".bz2", ".zst"):
            check_holds(path, path.stat().st_size, end_of(image.dataobj), packed=packed)
    return image


def _check_start(image: Any, source: Input) -> None:
    # vox_offset should be at least 352, or 544 in NIfTI-2: after the header and the 4 bytes
    # that say whether extensions follow.
    if image.dataobj.offset < _first_number(source.head):
        raise AtlasFileError(
            source,
            f"its header states that its numbers begin at byte {image.dataobj.offset}, which "
            "lies in the header itself",
            "It is damaged, or written by a faulty program: make it anew",
        )


def _check_sizes(shape: Sequence[int], source: Input) -> None:
    if any(size < 0 for size in shape):
        raise AtlasFileError(source, f"its header is damaged: it states the sizes {tuple(shape)}")


def _pair(source: Input) -> Any:
    """Return the image of a header and of numbers that are files of their own."""
    assert source.path is not None
    ending = extension(source.name)
    other = ending.replace("hdr", "img") if "hdr" in ending else ending.replace("img", "hdr")
    stem = source.name[: -len(ending)]
    # One of the two may be compressed or in capitals, and the other not.
    names = (stem + other, stem + other.upper(), f"{stem}{other}.gz", stem + other[:4])
    beside = next(filter(Path.is_file, map(source.path.with_name, names)), None)
    if beside is None:
        raise AtlasFileError(
            source, f"is one of two files, of which the other, {names[0]}, is not beside it"
        )
    source.companions.append(beside)
    pair = {other[1:4]: Input(beside), ending[1:4]: source}
    first = _first_number(pair["hdr"].head)
    # A pair of NIfTI-1 has this magic where ANALYZE 7.5 has another field.
    if pair["hdr"].head[344:347] == b"ni1" or first == _NIFTI2:
        kind: Any = nb.Nifti2Pair if first == _NIFTI2 else nb.Nifti1Pair
        files = {"header": pair["hdr"], "image": pair["img"]}
        image = kind.from_file_map({k: FileHolder(fileobj=f.stream()) for k, f in files.items()})
        pair["img"].check_holds(end_of(image.dataobj))
        return image
    # ANALYZE, whose directions SPM keeps in a third file.
    return _loaded(source)


def end_of(data: Any) -> int:
    """Return the byte of the unpacked file after the last of an image's numbers."""
    return int(data.offset) + math.prod(map(int, data.shape)) * data.dtype.itemsize


_NIFTI2 = 540  # the length of its header, with which a file begins
_CIFTI = 32  # the code of the extension with its XML


def is_cifti(head: bytes) -> bool:
    """Whether a file that begins so is CIFTI of any version.

    By the NIfTI-2 intent code, or where a program left that out by the extension with the axes.
    """
    if _first_number(head) != _NIFTI2:
        return False
    # Byte 540 says whether extensions follow. The first begins at 544 with its size and its code.
    # The intent lies at 504, and CIFTI's begin at 3000:
    # https://nifti.nimh.nih.gov/pub/dist/doc/nifti2.h
    extended = len(head) >= 552 and head[540] == 1 and number_at(head, 548, "i4") == _CIFTI
    return extended or 3000 <= number_at(head, 504, "i4") < 3100


def number_at(head: bytes, at: int, kind: str) -> int:
    """Return a number of a NIfTI-2 header, in the order of bytes of its first number, 540."""
    order = "<" if head[:4] == _NIFTI2.to_bytes(4, "little") else ">"
    return int(np.frombuffer(head, order + kind, 1, at)[0])


def _first_number(head: bytes) -> int:
    """Return the length that a NIfTI header states of itself, 0 of what is shorter."""
    if len(head) < 348:
        return 0
    # 348 (NIfTI-1 and ANALYZE) or 540 (NIfTI-2) in one order of bytes, which is that of the file.
    orders = (int.from_bytes(head[:4], order) for order in ("little", "big"))
    return next((n for n in orders if n == 348 or (n == _NIFTI2 and len(head) >= n)), 0)


def shape_of(source: Input) -> tuple[int, ...]:
    """Return the shape that the first bytes of an image state, () where they state none."""
    if source.content is not None:
        return tuple(int(size) for size in getattr(source.content, "shape", ()))
    if extension(source.name) in PAIRS:
        with parsing(source, "an image"):
            return tuple(int(size) for size in load_image(source).shape)
    if extension(source.name) in MGH:
        return tuple(np.frombuffer(source.head, ">i4", 4, 4).tolist()) if source.head[20:] else ()
    length = _first_number(source.head)
    if not length:
        return ()
    kind = nb.Nifti2Header if length == _NIFTI2 else nb.Nifti1Header
    with parsing(source, "an image"), unlogged():
        return tuple(map(int, kind(source.head[:length], check=False).get_data_shape()))


def layout(image: Any, path: object) -> tuple[tuple[int, int, int], int]:
    """Return the shape of the grid and the number of volumes, singleton axes not counted."""
    shape = tuple(int(size) for size in image.shape)
    x, y, z = (*shape, 1, 1, 1)[:3]
    # NIfTI keeps vectors in the fifth axis, so that maps may be (x, y, z, 1, maps).
    further = [size for size in shape[3:] if size > 1]
    if len(further) > 1 or not all(shape):
        raise AtlasFileError(path, f"should be 3-D or 4-D, got an image of shape {shape}")
    return (x, y, z), further[0] if further else 1


def choose_volumes(map: str | int | None, names: Sequence[str], path: object) -> list[int]:
    """Return the numbers of the volumes to read: all of them, or the one chosen by `map`.

    `names` are those of the volumes, ``""`` for one without a name.
    """
    if map is None:
        return list(range(len(names)))
    found = [i for i, name in enumerate(names) if map in (i, name)]
    if len(found) != 1 or map == "":
        count = f"{len(found)} volumes" if found else "no volume"
        raise AtlasFileError(
            path, f"has {count} {map!r}", Argument("map") + " should be " + say_volumes(names)
        )
    return found


def say_volumes(names: Sequence[str]) -> str:
    """Return which numbers, and names where there are some, volumes can be chosen by."""
    told = f"a number from 0 to {len(names) - 1}"
    if any(names):
        told += ", or a name: " + format_list(f"{i} {name!r}" for i, name in enumerate(names))
    return told


def volumes(image: Any, numbers: Sequence[int]) -> Iterator[Shaped[np.ndarray, "x y z"]]:
    """Yield volumes in the type that the file stores, or as floats where it scales them."""
    grid = (*image.shape, 1, 1, 1)[:3]
    if np.prod(image.shape) == np.prod(grid):
        yield np.asanyarray(image.dataobj).reshape(grid, order="A")
        return
    axis = next(i for i, size in enumerate(image.shape) if i > 2 and size > 1)
    for number in numbers:
        index = [slice(None)] * 3 + [0] * (len(image.shape) - 3)
        index[axis] = number
        yield np.asanyarray(image.dataobj[tuple(index)])


def labels_part(
    values: Shaped[np.ndarray, "x y z"],
    affine: Float[np.ndarray, "4 4"],
    options: ReadOptions,
    *,
    path: object,
    compartment: str,
    step: float | None = None,
) -> Part:
    """Return the part of a volume of labels, at its voxels that are not 0.

    Where a background is stated, voxels of 0 may belong to a parcel, and all are kept.

    Parameters
    ----------
    values, affine
        Of the image.
    options
        How labels are read.
    path
        What the messages about values that are no labels begin with.
    compartment
        Of the part.
    step
        In which the image stores its numbers, where its header states one.
    """
    # Files hold the first axis fastest; locations are in C order.
    flat = np.ascontiguousarray(values).reshape(-1)
    voxels = None if options.keeps_background else np.flatnonzero(flat != 0)
    taken = flat if voxels is None else flat[voxels]
    found = read_keys(taken, path, nan=options.nan, scale=options.scale, step=step)
    return Part(
        compartment,
        VolumeGrid(values.shape, affine, voxels),
        keys=found.keys,
        unlabelled=found.unlabelled,
        whole=True,
        operations=found.operations,
    )


def states_labels(image: Any) -> bool:
    """Whether the header of an image says that its numbers are labels: its intent or a table."""
    intent = image.header.get_intent()[0] if isinstance(image, nb.Nifti1Pair) else ""
    return intent == "label" or embedded.label_rows(image, 0) is not None


def step_of(image: Any) -> float | None:
    """Return the step in which an image stores whole numbers, None where it scales none."""
    stored = image.dataobj
    # Where scl_slope is 0 or NaN nothing is scaled, and nibabel gives 1.
    slope = getattr(stored, "slope", 1.0)
    return abs(float(slope)) if slope != 1 and stored.dtype.kind in "iu" else None


def sparse_part(
    images: Iterable[Shaped[np.ndarray, "x y z"]], grid: VolumeGrid, *, compartment: str
) -> Part:
    """Return the part whose maps are `images`, at the voxels where any of them is not 0."""
    from scipy.sparse import csr_array

    used = np.zeros(int(np.prod(grid.shape)), dtype=bool)
    values, positions = [], []
    for volume in images:
        flat = volume.reshape(-1, order="F")
        # Of booleans, numpy finds the true ones several times faster.
        at = np.flatnonzero(flat != 0).astype(np.int32)
        used[at] = True
        positions.append(at)
        values.append(to_single(flat[at]))
    # Files hold the first axis fastest; locations are in C order.
    kept = VolumeGrid.from_mask(used.reshape(grid.shape, order="F"), grid.affine)
    column = kept.locations.reshape(-1, order="F")[np.concatenate(positions)]
    ends = np.cumsum([0, *map(len, positions)])
    # Compressed rows (maps, voxels): a volume is a row, which is complete once it is read.
    shape = (len(values), kept.n_locations)
    maps = csr_array((np.concatenate(values), column, ends), shape=shape)
    maps.sort_indices()
    return Part(compartment, kept, maps=maps, map_keys=tuple(range(1, len(values) + 1)))


def on_grid(part: Part, grid: VolumeGrid) -> Part:
    """Return the part at the kept voxels of a grid that agrees with its own."""
    own = part.geometry
    assert isinstance(own, VolumeGrid)
    return part.take_locations(grid, grid.take(own.locations))
