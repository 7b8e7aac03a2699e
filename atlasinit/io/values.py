"""Values of a data file, read by chunks of time."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Bool, Shaped

from atlasinit.core.geometry import Geometry, SurfaceMesh
from atlasinit.core.labels import hemisphere_of
from atlasinit.errors import ArgumentError
from atlasinit.io.contents import Stated
from atlasinit.io.meshes import halves_of

if TYPE_CHECKING:
    from scipy.sparse import csr_array


@dataclasses.dataclass(frozen=True)
class Sums:
    """Weighted sums of data, straight from how a file stores them.

    Parameters
    ----------
    of
        Takes weights (parcels, locations) in double precision, returns their sums (parcels,
        time) in it, of one chunk of time after another: all of the data once.
    dtype
        The type that rows of the data would have.
    """

    of: Callable[["csr_array"], Iterator[np.ndarray]]
    dtype: np.dtype


@dataclasses.dataclass(frozen=True)
class DataSource:
    """Data of all locations of an atlas that is read by chunks of time.

    Parameters
    ----------
    n_locations, n_time
        Its shape; `n_time` is 1 for a single map.
    read
        Takes a slice of time, returns a floating array (locations, time).
    outside
        (locations,) where the data have no value and no parcel has weight, so that none is
        missed: 0 is read there, which no average may take for a value. None for nowhere.
    labelled
        The file or image that states that its numbers are labels, ``""`` where none does.
    sums
        Sums of volumes, of which the rows of locations need not be made for that. None of other
        data.
    """

    n_locations: int
    n_time: int
    read: Callable[[slice], np.ndarray]
    outside: Bool[np.ndarray, " locations"] | None = None
    labelled: str = ""
    sums: "Sums | None" = None

    @property
    def is_outside(self) -> Bool[np.ndarray, " locations"]:
        """`outside`, of any source."""
        return np.zeros(self.n_locations, bool) if self.outside is None else self.outside

    def all(self) -> np.ndarray:
        """Return everything (locations, time)."""
        return self.read(slice(0, self.n_time))

    def read_by(self, read: Callable[[slice], np.ndarray]) -> "DataSource":
        """Return the data as another function reads them, which sums would pass by."""
        return dataclasses.replace(self, read=read, sums=None)


Select: TypeAlias = Callable[[np.ndarray], DataSource]
"""Takes numbers of locations of a block, returns the data of these in their order."""


@dataclasses.dataclass(frozen=True, eq=False)
class Block:
    """The data of one geometry of a file.

    Parameters
    ----------
    geometry
        The locations that it has values for.
    select
        Takes numbers of these locations, returns their data.
    compartment
        Where the file says to which one its values belong, as CIFTI does; else ``""``.
    """

    geometry: Geometry
    select: Select
    compartment: str = ""


class VertexMaps(NamedTuple):
    """The maps of a file of values of vertices, as stored: areas and masks of meshes.

    Parameters
    ----------
    maps
        (maps, vertices)
    stated
        What the file states of them.
    """

    maps: Shaped[np.ndarray, "maps vertices"]
    stated: Stated = Stated()


@dataclasses.dataclass(frozen=True, eq=False)
class Values:
    """What a data file holds.

    Parameters
    ----------
    blocks
        One, or one for each compartment that the file names.
    stated
        What it states of its values.
    """

    blocks: tuple[Block, ...]
    stated: Stated = Stated()


def vertex_values(values: Shaped[np.ndarray, "maps vertices"], stated: Stated) -> Values:
    """Return values of the vertices of a mesh, or of both hemispheres; maps are time points."""
    n = values.shape[1]
    # Files have (maps, vertices), sources (locations, time).
    return mesh_values(n, lambda locations: rows_source(values.T[locations]), stated)


def mesh_values(n_vertices: int, select: Select, stated: Stated) -> Values:
    """Return the values that `select` reads, of a mesh or of both hemispheres."""
    # Compartment to its part of the values; empty unless they are of both hemispheres.
    halves = halves_of(n_vertices, stated.structure)
    blocks = [
        Block(
            SurfaceMesh(half.stop - half.start, hemisphere=hemisphere_of("", c)),
            # As a default, `start` has the value of this half; otherwise both would take the last
            # one's.
            lambda at, start=half.start: select(at + start),
            c,
        )
        for c, half in halves.items()
    ]
    whole = Block(SurfaceMesh(n_vertices, hemisphere=stated.side), select)
    return Values(tuple(blocks) or (whole,), stated)


def rows_source(rows: Shaped[np.ndarray, "locations ..."]) -> DataSource:
    """Return an array of data, whose further axes are time, as a source."""
    # Not -1, which NumPy cannot work out for an array of no values.
    flat = rows.reshape(rows.shape[0], int(np.prod(rows.shape[1:])))
    return DataSource(flat.shape[0], flat.shape[1], lambda span: floating(flat[:, span]))


def floating(values: np.ndarray) -> np.ndarray:
    """Return native floating values; whole numbers become float32."""
    return np.ascontiguousarray(values, dtype=floating_type(values.dtype))


def floating_type(dtype: np.dtype) -> np.dtype:
    """Return the type in which values of a type are computed with: native, and floating.

    Raises
    ------
    ValueError
        A type of no real numbers.
    """
    if dtype.kind not in "fiub":
        raise ArgumentError("data", f"should be real numbers, got dtype {dtype}")
    # JAX takes numbers of the machine's own order of bytes alone; MGH files, for one, have the
    # other. Whole numbers beyond 16,777,216 are rounded in float32.
    return dtype.newbyteorder("=") if dtype.kind == "f" else np.dtype(np.float32)
