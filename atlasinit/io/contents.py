"""What a file says, before rows and names are settled."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int, Int32

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry
from atlasinit.core.labels import REQUIRED, LabelTable
from atlasinit.core.provenance import Provenance
from atlasinit.io.overlay.losses import Masked

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Kind: TypeAlias = Literal["auto", "hard", "maps"]
"""How values are taken: labels, weights, or as the file's header and values suggest."""

# GIFTI calls these CortexLeft and CortexRight, CIFTI CIFTI_STRUCTURE_CORTEX_LEFT and _RIGHT.
COMPARTMENTS = {"L": "cortex_L", "R": "cortex_R"}
"""Side to the compartment of that cortex."""


@dataclasses.dataclass(frozen=True)
class LabelRow:
    """One entry of a label table as it stands in a file.

    Parameters
    ----------
    key
        The value that the data uses.
    name
        As in the file, whole.
    color
        ``"#rrggbb"`` or ``""``.
    hemisphere
        ``"L"``, ``"R"``, or ``""`` where the table states none.
    extra
        Any further columns.
    """

    key: int
    name: str
    color: str = ""
    hemisphere: str = ""
    extra: Mapping[str, Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Origin:
    """Where a key of a part comes from that several files of labels make.

    Parameters
    ----------
    file
        The name of the file.
    key
        The value that the file uses.
    side
        ``"L"`` or ``"R"`` where the file's name states it, else ``""``.
    """

    file: str
    key: int
    side: str


@dataclasses.dataclass(frozen=True, eq=False)
class CarriedMesh:
    """The mesh that comes with values of its vertices.

    Parameters
    ----------
    coordinates
        (vertices, 3) of some surface of it.
    faces
        (faces, 3) vertex numbers.
    shape
        What the file states that the surface is, in GIFTI's words as ``"Anatomical"`` or
        ``"Inflated"``; ``""`` where it states nothing.
    """

    coordinates: np.ndarray
    faces: np.ndarray
    shape: str = ""

    def part(self, span: slice) -> "CarriedMesh":
        """Return the mesh of some of the vertices, as of one hemisphere of two."""
        ends = span.start, span.stop
        own = ((self.faces >= ends[0]) & (self.faces < ends[1])).all(axis=1)
        return CarriedMesh(self.coordinates[span], self.faces[own] - ends[0], self.shape)


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """One compartment of one file: either `keys` or `maps`.

    Parameters
    ----------
    compartment
        Name of the compartment.
    geometry
        Its locations.
    keys
        (locations,) the file's integer labels, its background included.
    maps
        (maps, locations) weights.
    map_keys
        Key of each row of `maps`.
    rows
        The label table that the file itself holds; None where it holds none. Parts
        of one file share one tuple where they share one table.
    background
        The keys that mean no parcel where the file states them, as files of our own
        do; None where they follow from the usual rules.
    unlabelled
        The key of locations that have no label at all, as where a file holds NaN or where none
        of several files says anything; None where there are none. It is no parcel's.
    origins
        Key to where it comes from, of a part that several files make.
    whole
        Whether `geometry` are voxels of an image without a mask, of which an atlas
        keeps only those that belong to a parcel.
    operations
        What reading did to the values, for the provenance, as ``scale(0.01)``.
    masked
        What there was before masks were laid on; None where none was.
    mesh
        The mesh that comes with the values of a surface; None where none does.
    """

    compartment: str
    geometry: Geometry
    keys: Int32[np.ndarray, " locations"] | None = None
    maps: "Float[np.ndarray, 'maps locations'] | csr_array | None" = None
    map_keys: tuple[int, ...] = ()
    rows: tuple[LabelRow, ...] | None = None
    background: tuple[int, ...] | None = None
    unlabelled: int | None = None
    origins: Mapping[int, Origin] = dataclasses.field(default_factory=dict)
    whole: bool = False
    operations: tuple[str, ...] = ()
    masked: Masked | None = None
    mesh: CarriedMesh | None = None

    def counts(self) -> dict[int, int]:
        """Return each key to the number of its locations."""
        if self.keys is not None:
            keys, counts = np.unique(self.keys, return_counts=True)
            return dict(zip(keys.tolist(), counts.tolist(), strict=True))
        assert self.maps is not None
        # `nonzero` leaves out zeros that a sparse matrix stores: they are no weights.
        counts = np.bincount(self.maps.nonzero()[0], minlength=len(self.map_keys))
        return dict(zip(self.map_keys, counts.tolist(), strict=True))

    def take_locations(self, geometry: Geometry, taken: Int[np.ndarray, " new"]) -> "Part":
        """Return the part at the locations of another geometry.

        `taken` has the number of each of them in this part, or -1 where this has none;
        there is the background's key, or no weight.
        """
        new: dict[str, Any] = {"geometry": geometry, "whole": False}
        if self.keys is not None:
            none = self.unlabelled
            if none is None:
                none = self.background[0] if self.background else 0
            new["keys"] = np.append(self.keys, np.int32(none))[taken]  # the last at -1
        else:
            new["maps"] = _take_weights(self.maps, taken)
        return dataclasses.replace(self, **new)


def _take_weights(maps: Any, taken: np.ndarray) -> Any:
    """Return weights (maps, locations) at the locations `taken`, 0 at those that are -1."""
    from scipy.sparse import csr_array

    if isinstance(maps, np.ndarray):
        # At -1 NumPy reads the last column, in whose place 0 is put.
        return np.where(taken >= 0, maps[:, taken], np.float32(0))
    # Where each old location went, so that only what has weight is moved.
    target = np.full(maps.shape[1], -1, np.int64)
    target[taken[taken >= 0]] = np.flatnonzero(taken >= 0)
    matrix: Any = csr_array(maps)
    target = target[matrix.indices]
    kept = target >= 0
    # In CSR, row r has the entries from indptr[r] to indptr[r + 1]. As many kept entries as lie
    # before each of these ends give the ends of the new rows.
    ends = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    out = csr_array((matrix.data[kept], target[kept], ends), shape=(matrix.shape[0], taken.size))
    # The new order of locations may differ from the old, while columns should ascend in a row.
    out.sort_indices()
    return out


@dataclasses.dataclass(frozen=True)
class Header:
    """What a format has no field for, as JSON in one metadata entry.

    Parameters
    ----------
    name, space, provenance
        Of the atlas.
    labels
        The rows of the compartments that the file holds.
    compartments
        These compartments, in the order of the atlas.
    order
        All compartments of the atlas, of which other files may hold some.
    file_keys
        The key that the file uses for each row of `labels`; it differs from the
        row's key where one table could not hold the keys of all compartments.
    """

    name: str
    space: str
    provenance: Provenance
    labels: LabelTable
    compartments: tuple[str, ...]
    order: tuple[str, ...]
    file_keys: tuple[int, ...]

    def rows_of(self, compartment: str) -> dict[int, LabelRow]:
        """Return the file's key to the row, for the parcels of a compartment."""
        table = self.labels
        extra = [name for name in table.columns if name not in REQUIRED]
        return {
            self.file_keys[i]: LabelRow(
                key=table["key"][i],
                name=table["name"][i],
                color=table["color"][i],
                hemisphere=table["hemisphere"][i],
                extra={name: table[name][i] for name in extra},
            )
            for i in table.rows_of(compartment)
        }


@dataclasses.dataclass(frozen=True, eq=False)
class Stated:
    """What a file, its name included, states of its values besides the values.

    Whoever decides what they mean has it from here, for atlases and data alike, and
    whatever the format.

    Parameters
    ----------
    labels
        Whether its numbers are labels: by their intent, a table, or the suffix of its name.
    unit
        Of its affine, as ``"mm"``, ``"micron"`` or ``"meter"``; ``""`` where it states none.
    oriented
        Whether it says which way its axes run. Without, left and right may be swapped.
    space
        As ``"fsaverage5"``, from its header or its name; ``""`` where it states none.
    side
        ``"L"``, ``"R"`` or ``""``.
    structure
        The compartment, as ``"cortex_L"``; ``""`` where it states none, or several.
    mesh
        The mesh that comes with values of vertices, of one hemisphere or of both in a row.
    """

    labels: bool = False
    unit: str = ""
    # Only headers of NIfTI, Analyze and MGH can leave this open.
    oriented: bool = True
    space: str = ""
    side: str = ""
    structure: str = ""
    mesh: CarriedMesh | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class Contents:
    """What one file holds of an atlas.

    Parameters
    ----------
    parts
        Its compartments.
    header
        What our own files say of the atlas; None of other files.
    stated
        What it states of its values.
    atlas
        The whole atlas, of a file that holds one exactly, and no parts then.
    """

    parts: tuple[Part, ...] = ()
    header: Header | None = None
    stated: Stated = Stated()
    atlas: Atlas | None = None


def is_line(shape: Sequence[int]) -> bool:
    """Whether an image holds values of vertices: all but one of its first three sizes are 1."""
    # Of three ascending sizes the second is 1 where all but the largest are, as of (N, 1, 1, T).
    return bool(shape) and sorted((*shape, 1, 1)[:3])[1] == 1
