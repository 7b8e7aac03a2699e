"""What a file says of one compartment, before rows and names are settled."""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from jaxtyping import Float, Int32

from atlasinit.core.geometry import Geometry

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
