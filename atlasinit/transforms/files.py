"""Transforms of ITK, FSL, FreeSurfer and X5, read through nitransforms."""

import dataclasses
import importlib
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError, ArgumentTypeError, AtlasFileError, Call
from atlasinit.io.bids.names import entities_of
from atlasinit.io.files import parsing
from atlasinit.io.formats.grid_statements import grid_of
from atlasinit.io.formats.grids import load_image
from atlasinit.io.formats.nifti import claims as claims_nifti
from atlasinit.io.input import Input
from atlasinit.io.targets import is_target, read_target
from atlasinit.io.unpacking import check_holds
from atlasinit.support.numbers import check_switch
from atlasinit.support.typing import PathLike
from atlasinit.transforms import probing
from atlasinit.transforms.maps import (
    ChainedMap,
    FieldMap,
    FslMap,
    LinearMap,
    PointMap,
    find_matrix,
)

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LONGEST = 600.0
"""Seconds after which a process that only waits is given up; one that works has a limit itself."""
_SINGULAR = 1e-9
"""Share of the volume of a cube of the same edges that a matrix may leave of it at least."""

# Of NIfTI: https://nifti.nimh.nih.gov/nifti-1/documentation/nifti1fields/nifti1fields_pages/group__NIFTI1__INTENT__CODES.html
_VECTOR = 1007
# FSL's own: 2006 is a field; 2007 to 2009 and 2016 are coefficients of splines and cosines.
_COEFFICIENTS = (2007, 2008, 2009, 2016)

# FreeSurfer's transform.h.
_LTA_KINDS = {
    0: "LINEAR_VOX_TO_VOX",
    1: "LINEAR_RAS_TO_RAS",
    2: "LINEAR_PHYSVOX_TO_PHYSVOX",
    14: "REGISTER_DAT",
    21: "LINEAR_COR_TO_COR",
}
_LTA_READ = (0, 1)

_SPLIT = "Take the file of one, as that of a volume of a run"


@dataclasses.dataclass(frozen=True, eq=False)
class Transform:
    """A file of a spatial transform, with what it does not state itself.

    Where nothing has to be said, its path alone stands for it.

    Parameters
    ----------
    path
        ITK (``.h5``, ``.mat``, ``.txt``, ``.tfm``, a field in NIfTI), FSL (a matrix of ``flirt`` or
        ``epi_reg``, a field of ``fnirt`` or ``convertwarp``), FreeSurfer (``.lta``) or X5.
        Told apart by their content. It is of the direction in which *images* are moved: the
        programs' own call for an image of the atlas would take it.
    inverse
        Take the transform of the other direction, of matrices alone.
    reference, moving
        For FSL, whose numbers count voxels: the images that were registered, ``flirt -in moving
        -ref reference``; an image, its path, a `VolumeGrid` or an `Atlas`. A field is its own
        reference.
    """

    path: PathLike
    inverse: bool = False
    reference: Any = None
    moving: Any = None


@dataclasses.dataclass(frozen=True, eq=False)
class Step:
    """A transform that was read.

    Parameters
    ----------
    name, sha256
        Of the file.
    path
        As it was given, so that a message can say what to pass.
    origin, goal
        The spaces that images are moved between, as the name says; ``""`` where it does not.
    points
        From positions in `goal` to positions in `origin`.
    inverse
        Whether the file is of the other direction.
    """

    name: str
    sha256: str
    path: str
    origin: str
    goal: str
    points: PointMap
    inverse: bool


def read_transform(given: Any) -> Step:
    """Return a transform.

    Raises
    ------
    ValueError
        A matrix of FSL without its images, an inverse that is none of a matrix, a matrix that is
        singular, a name that states a direction for points.
    TypeError
        What is no path or `Transform`, an inverse that is neither True nor False.
    AtlasFileError
        A file that is missing, or of another kind.
    """
    if not isinstance(given, Transform | str) and not hasattr(given, "__fspath__"):
        raise ArgumentTypeError(
            "transform",
            f"should be a path, a Transform or a list of these, got {type(given).__name__}",
        )
    wanted = given if isinstance(given, Transform) else Transform(given)
    if not isinstance(wanted.path, str) and not hasattr(wanted.path, "__fspath__"):
        raise ArgumentTypeError(
            "transform", f"should be of a path, got {type(wanted.path).__name__}"
        )
    inverse = check_switch(wanted.inverse, "inverse")
    given_path = str(wanted.path)
    with Input(wanted.path) as source:
        with parsing(source, "a spatial transform"):
            reader = _reader_of(source)
        # Before anything is read: what is missing here is nothing that is wrong with the file.
        if reader.by_nitransforms:
            _nitransforms("io")
        grids = {
            name: _grid(getattr(wanted, name), name, source, given_path) for name in reader.needs
        }
        with parsing(source, "a spatial transform"), warnings.catch_warnings():
            # Of nitransforms and NumPy, on what is checked here.
            warnings.simplefilter("ignore")
            points = reader.read(source, **grids)
        name, sha256 = source.name, source.digest
    entities = entities_of(name)
    if entities.get("mode", "image") != "image":
        raise ArgumentError(
            "transform",
            f": {name} is of the mode {entities['mode']!r}, which moves points",
            "pass the one of mode-image",
        )
    # TemplateFlow's names have the space that images are moved to as their template. A cohort
    # stands behind a plus.
    goal = entities.get("to") or (entities.get("tpl", "") if "from" in entities else "")
    origin, goal = (s.replace("+", ":cohort-") for s in (entities.get("from", ""), goal))
    if not inverse:
        return Step(name, sha256, given_path, origin, goal, points, inverse=False)
    if not isinstance(points, LinearMap):
        raise ArgumentError(
            "transform",
            f": {name} is no matrix, of which alone an inverse is taken here",
            "pass the file of the other direction, which the registration wrote too",
        )
    back = LinearMap(np.linalg.inv(points.matrix))
    return Step(name, sha256, given_path, goal, origin, back, inverse=True)


class _Reader(NamedTuple):
    """What reads a kind of file: a source, and the grids of the images that it needs besides."""

    read: Callable[..., PointMap]
    needs: tuple[str, ...] = ()
    by_nitransforms: bool = True


def _reader_of(source: Input) -> _Reader:
    """Return what reads a file, by its first bytes."""
    head = source.head
    if head.startswith(_HDF5):
        return _Reader(_read_hdf5)
    if claims_nifti(source):
        return _reader_of_field(source)
    if re.search(rb"Transform\w*_", head[:200]) and b"\0" in head:
        return _Reader(_read_matlab)
    text = head.decode("latin-1")
    if text.startswith("#Insight Transform File"):
        return _Reader(_read_itk_text)
    if re.search(r"^type\s*=", text, re.MULTILINE):
        return _Reader(_read_lta)
    rows = [line.split() for line in text.splitlines() if line.strip()]
    if len(rows) == 4 and all(len(row) == 4 and all(map(_is_number, row)) for row in rows):
        return _Reader(_read_fsl_matrix, ("reference", "moving"))
    raise AtlasFileError(
        source,
        "is no transform of ITK, FSL, FreeSurfer (.lta) or X5",
        "Of others, convert it, as by `lta_convert` or `c3d_affine_tool`",
    )


def _reader_of_field(source: Input) -> _Reader:
    """Return what reads an image: (x, y, z, 1, 3) of ITK, (x, y, z, 3) of FSL."""
    image = load_image(source)
    code, shape = int(image.header["intent_code"]), tuple(image.shape)
    if code in _COEFFICIENTS:
        raise AtlasFileError(
            source,
            "holds coefficients of splines, not displacements",
            "Make a field of them by `fnirtfileutils --in=... --ref=... --out=... --withaff`",
        )
    if len(shape) == 5 and shape[3:] == (1, 3) and code == _VECTOR:
        return _Reader(_read_itk_field, by_nitransforms=False)
    if len(shape) == 4 and shape[3] == 3:
        return _Reader(_read_fsl_field, ("moving",), by_nitransforms=False)
    raise AtlasFileError(
        source,
        "should be a field of displacements, (x, y, z, 1, 3) of ITK, whose intent is a vector, or "
        f"(x, y, z, 3) of FSL, got shape {shape} and intent {code}",
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    # Python takes 1_0 and digits of other scripts for numbers, as other programs do not.
    return text.isascii() and "_" not in text


def _nitransforms(module: str) -> Any:
    """Return a module of the package, which is optional."""
    try:
        return importlib.import_module(f"nitransforms.{module}")
    except ImportError as error:
        raise ArgumentError(
            "transform",
            "needs the package nitransforms",
            'install it by `pip install "atlasinit[transforms]"`',
        ) from error


def _read_hdf5(source: Input) -> PointMap:
    """Return the transforms of ITK's composite file, or of X5, one after the other."""
    itk, x5 = _nitransforms("io.itk"), _nitransforms("io.x5")
    path = str(source.path)
    _check_hdf5(source)
    with importlib.import_module("h5py").File(path, "r") as file:
        is_x5 = file.attrs.get("Format") in ("X5", b"X5")
        chains = [text[()] for text in file.get("TransformChain", {}).values()] if is_x5 else []
    if not is_x5:
        # ITK applies what was added last first.
        found = itk.ITKCompositeH5.from_filename(path)
        return _one_after_another(source, [_of_itk(source, one) for one in reversed(found)])
    nodes = [_of_x5(source, node) for node in x5.from_filename(path)]
    if len(chains) > 1 or (len(nodes) > 1 and not chains):
        raise AtlasFileError(source, f"holds {len(nodes)} transforms and {len(chains)} chains")
    if chains:
        text = chains[0].decode() if isinstance(chains[0], bytes) else str(chains[0])
        nodes = [nodes[int(number)] for number in text.split("/")]
    return _one_after_another(source, nodes)


def _check_hdf5(source: Input) -> None:
    """Refuse a file that the HDF5 library would hang or crash at, or that lies in several."""
    command = [sys.executable, "-I", probing.__file__, str(source.path)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_LONGEST, check=False
        )
        told = done.stdout.strip()
    except subprocess.TimeoutExpired:
        told = ""
    size = re.fullmatch(r"bytes (\d+)", told)
    if size is None:
        raise AtlasFileError(
            source,
            "could not be read as a transform in HDF5: "
            + (told or "its library comes to no end, or crashes"),
            "Fetch it again",
        )
    # Arrays in HDF5 may be compressed, one by one.
    check_holds(source, source.size, int(size[1]), packed=True)


def _of_itk(source: Input, found: Any) -> PointMap:
    if hasattr(found, "to_ras"):
        return _linear(source, found.to_ras())
    return _field(source, found.affine, np.asanyarray(found.dataobj))


def _of_x5(source: Input, node: Any) -> PointMap:
    if node.type == "linear" and node.array_length == 1:
        return _linear(source, node.transform)
    if node.type != "nonlinear" or node.subtype != "densefield" or node.domain is None:
        kind = node.subtype or node.type
        raise AtlasFileError(source, f"holds a transform of the kind {kind!r}, which is not read")
    affine, values = np.asarray(node.domain.mapping), np.asarray(node.transform)
    if node.representation != "displacements":
        grid = VolumeGrid(values.shape[:3], affine)
        values = values - grid.coordinates.reshape(*grid.shape, 3)
    return _field(source, affine, values)


def _one_after_another(source: Input, parts: list[PointMap]) -> PointMap:
    """Return one map of several, the first of which is applied first."""
    if not parts:
        raise AtlasFileError(source, "holds no transform")
    whole = parts[0] if len(parts) == 1 else ChainedMap(tuple(parts))
    matrix = find_matrix(whole)
    return whole if matrix is None else LinearMap(matrix)


def _read_matlab(source: Input) -> PointMap:
    with open(str(source.path), "rb") as file:
        found = _nitransforms("io.itk").ITKLinearTransform.from_binary(file)
    return _linear(source, found.to_ras())


def _read_itk_text(source: Input) -> PointMap:
    text = source.stream().read().decode("latin-1")
    kinds = re.findall(r"^Transform:\s*(\w+?)(?:_(?:double|float))", text, re.MULTILINE)
    if len(kinds) != 1:
        raise AtlasFileError(source, f"should hold one transform, got {len(kinds)}", _SPLIT)
    # Others have other parameters, as angles.
    if kinds[0] not in ("AffineTransform", "MatrixOffsetTransformBase"):
        raise AtlasFileError(
            source,
            f"holds a {kinds[0]}, where an affine is read",
            "Convert it, as by `c3d_affine_tool -itk ... -oitk ...`",
        )
    found = _nitransforms("io.itk").ITKLinearTransform.from_string(text)
    return _linear(source, found.to_ras())


def _read_lta(source: Input) -> PointMap:
    text = source.stream().read().decode("latin-1")
    kind, count = (_whole_number_of(text, field) for field in ("type", "nxforms"))
    if kind not in _LTA_READ:
        raise AtlasFileError(
            source,
            f"is an LTA of the type {_LTA_KINDS.get(kind or 0, kind)}, where "
            + " or ".join(_LTA_KINDS[one] for one in _LTA_READ)
            + " is read",
            "Convert it by `lta_convert --inlta ... --outlta ...`, which writes the latter",
        )
    if count != 1:
        raise AtlasFileError(source, f"should hold one transform, got nxforms = {count}", _SPLIT)
    found = _nitransforms("io.lta").FSLinearTransform.from_filename(str(source.path))
    if int(found["type"]) == 0 and not (found["src"]["valid"] and found["dst"]["valid"]):
        raise AtlasFileError(
            source, "is from voxels to voxels, of volumes that it does not describe", "remake it"
        )
    return _linear(source, found.to_ras())


def _whole_number_of(text: str, field: str) -> int | None:
    """Return the number that a line of an LTA states, None for none."""
    found = re.search(rf"^{field}\s*=\s*(\d+)", text, re.MULTILINE)
    return int(found[1]) if found else None


def _read_fsl_matrix(source: Input, *, reference: VolumeGrid, moving: VolumeGrid) -> PointMap:
    text = source.stream().read().decode("latin-1")
    # Checked here, as it is inverted to be read.
    _linear(source, np.array([line.split() for line in text.splitlines() if line.strip()], float))
    found = _nitransforms("io.fsl").FSLLinearTransform.from_string(text)
    return _linear(source, found.to_ras(reference=reference, moving=moving))


def _read_itk_field(source: Input) -> PointMap:
    image = load_image(source)
    values = np.asarray(image.dataobj, np.float64)[:, :, :, 0] * [-1, -1, 1]
    return _field(source, image.affine, values)


def _read_fsl_field(source: Input, *, moving: VolumeGrid) -> PointMap:
    image = load_image(source)
    values = np.asarray(image.dataobj, np.float64)
    _check_finite(source, values)
    return FslMap.build(grid_of(image, source, shape=image.shape[:3]), values, moving)


def _grid(given: Any, name: str, source: Input, path: str) -> VolumeGrid:
    """Return the grid of an image that a transform of FSL was made for."""
    if given is None:
        raise ArgumentError(
            "transform",
            f": {source.name} is of FSL, whose numbers count voxels of the images that were "
            f"registered, of which `{name}` is not given",
            "pass "
            + Call("ai.Transform", repr(path), reference=..., moving=...)
            + " with the images of `flirt -ref` and `-in`",
        )
    if isinstance(given, Atlas):
        grids = [g for g in given.geometry.values() if isinstance(g, VolumeGrid)]
        given = grids[0] if len(grids) == 1 else given
    elif not isinstance(given, VolumeGrid) and is_target(given):
        given = read_target(given).grid
    if not isinstance(given, VolumeGrid):
        raise ArgumentTypeError(name, f"should be an image of a volume, got {type(given).__name__}")
    return given


def _linear(source: Input, matrix: Any) -> LinearMap:
    found = np.asarray(matrix, np.float64)
    if found.shape != (4, 4) or not np.isfinite(found).all():
        raise AtlasFileError(source, f"should hold a finite (4, 4) matrix, got {found.shape}")
    lengths = np.linalg.norm(found[:3, :3], axis=0)
    if not abs(np.linalg.det(found[:3, :3])) > _SINGULAR * max(lengths.prod(), 1e-300):
        raise AtlasFileError(
            source,
            f"its matrix is singular, so that it maps all of a volume onto a plane: "
            f"{found[:3, :3].tolist()}",
            "Register anew",
        )
    return LinearMap(found)


def _field(source: Input, affine: Any, values: np.ndarray) -> FieldMap:
    _check_finite(source, values)
    return FieldMap(VolumeGrid(values.shape[:3], affine), values)


def _check_finite(source: Input, values: np.ndarray) -> None:
    if not np.isfinite(values).all():
        raise AtlasFileError(source, "its displacements should be finite, got NaN or infinity")
