"""What a file says of one compartment, before rows and names are settled."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int, Int32

from atlasinit.core.geometry import Geometry
from atlasinit.io.overlay.losses import Masked

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Kind: TypeAlias = Literal["auto", "hard", "maps"]
"""How values are taken: labels, weights, or as the file's header and values suggest."""

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
    whole
        Whether `geometry` are voxels of an image without a mask, of which an atlas
        keeps only those that belong to a parcel.
    operations
        What reading did to the values, for the provenance, as ``scale(0.01)``.
    masked
        What there was before masks were laid on; None where none was.
    """

    compartment: str
    geometry: Geometry
    keys: Int32[np.ndarray, " locations"] | None = None
    maps: "Float[np.ndarray, 'maps locations'] | csr_array | None" = None
    map_keys: tuple[int, ...] = ()
    rows: tuple[LabelRow, ...] | None = None
    background: tuple[int, ...] | None = None
    whole: bool = False
    operations: tuple[str, ...] = ()
    masked: Masked | None = None

    def counts(self) -> dict[int, int]:
        """Return each key to the number of its locations."""
        if self.keys is not None:
            keys, counts = np.unique(self.keys, return_counts=True)
            return dict(zip(keys.tolist(), counts.tolist(), strict=True))
        assert self.maps is not None
        counts = np.bincount(self.maps.nonzero()[0], minlength=len(self.map_keys))
        return dict(zip(self.map_keys, counts.tolist(), strict=True))

    def take_locations(self, geometry: Geometry, taken: Int[np.ndarray, " new"]) -> "Part":
        """Return the part at the locations of another geometry.

        `taken` has the number of each of them in this part, or -1 where this has none;
        there is the background's key, or no weight.
        """
        new: dict[str, Any] = {"geometry": geometry, "whole": False}
        if self.keys is not None:
            none = np.int32(self.background[0] if self.background else 0)
            new["keys"] = np.append(self.keys, none)[taken]  # the last at -1
        else:
            new["maps"] = _take_weights(self.maps, taken)
        return dataclasses.replace(self, **new)


def _take_weights(maps: Any, taken: np.ndarray) -> Any:
    """Return weights (maps, locations) at the locations `taken`, 0 at those that are -1."""
    from scipy.sparse import csr_array

    if isinstance(maps, np.ndarray):
        return np.where(taken >= 0, maps[:, taken], np.float32(0))
    # Where each old location went, so that only what has weight is moved.
    target = np.full(maps.shape[1], -1, np.int64)
    target[taken[taken >= 0]] = np.flatnonzero(taken >= 0)
    matrix: Any = csr_array(maps)
    target = target[matrix.indices]
    kept = target >= 0
    ends = np.concatenate([[0], np.cumsum(kept)])[matrix.indptr]
    out = csr_array((matrix.data[kept], target[kept], ends), shape=(matrix.shape[0], taken.size))
    out.sort_indices()
    return out
