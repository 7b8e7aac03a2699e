"""Two atlases compared: what overlaps, what matches what, and how far borders lie apart."""

import dataclasses
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int

from atlasinit.aligning import unite_geometries
from atlasinit.comparison.distances import Places, measure_pair
from atlasinit.comparison.overlaps import count_shared, intersect
from atlasinit.comparison.partitions import (
    adjusted_rand,
    normalized_mutual_information,
    variation_of_information,
)
from atlasinit.core.adjacency import find_borders
from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas
from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.core.spaces import may_be_one
from atlasinit.core.uniting import place_locations
from atlasinit.errors import ArgumentError, Call, format_count, format_list
from atlasinit.measures.maps import find_points, location_sizes, positive_weights, scale_to_peak

if TYPE_CHECKING:
    import pandas as pd
    from scipy.sparse import csr_array


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """How alike two atlases are; what `compare` returns.

    Matrices have a row for each parcel of the first and a column for each of the second atlas, in
    the order of their labels; parcels of compartments that were not compared have zeros.

    Parameters
    ----------
    one, other
        The names of the atlases.
    parcels, others
        The names of their parcels.
    compartments
        That both have, and that were compared.
    left_out
        Compartments that one of them has alone.
    overlap
        Sparse (parcels, others): locations that two parcels share; of weights the sum of the
        smaller membership.
    overlap_size
        The same in mm2 of meshes and mm3 of grids; None where a mesh has no areas.
    dice
        Sparse (parcels, others): twice the overlap over the sum of both sizes. Pairs that share
        nothing have no entry.
    sizes, other_sizes
        (parcels,) and (others,) locations, or sums of memberships, in the compartments compared.
    rand
        Adjusted Rand index, over the locations that belong to parcels of both.
    nmi
        Mutual information over the mean of both entropies, likewise.
    vi
        Variation of information in bits, likewise.
    matches
        (parcels,) the parcel of the other that each is matched with, one to one so that the sum of
        Dice is the largest; -1 for none.
    hausdorff, boundary_distance
        (parcels,) from each parcel to its match, in mm; NaN without one.
    """

    one: str
    other: str
    parcels: tuple[str, ...]
    others: tuple[str, ...]
    compartments: tuple[str, ...]
    left_out: tuple[str, ...]
    overlap: "csr_array"
    overlap_size: "csr_array | None"
    dice: "csr_array"
    sizes: Float64[np.ndarray, " parcels"]
    other_sizes: Float64[np.ndarray, " others"]
    rand: float
    nmi: float
    vi: float
    matches: Int[np.ndarray, " parcels"]
    hausdorff: Float64[np.ndarray, " parcels"]
    boundary_distance: Float64[np.ndarray, " parcels"]

    @property
    def match_dice(self) -> Float64[np.ndarray, " parcels"]:
        """(parcels,) Dice with the match; 0 without one."""
        pairs = self.dice.tocoo()
        own = self.matches[pairs.row] == pairs.col
        found = np.zeros(len(self.parcels))
        found[pairs.row[own]] = pairs.data[own]
        return found

    @property
    def mean_dice(self) -> float:
        """Mean of `match_dice` over the parcels that have a match; NaN where none has one."""
        matched = self.matches >= 0
        return float(self.match_dice[matched].mean()) if matched.any() else float("nan")

    @property
    def table(self) -> "pd.DataFrame":
        """A new table with a row for each parcel of the first atlas.

        Columns: ``parcel``; ``locations``; ``largest``, the parcel of the other that has most of
        it, and the ``share`` of its size that this is (as the network of a region; of equal ones
        the first); ``match``, ``dice``, ``hausdorff`` and ``boundary_distance`` (mm). Names are
        empty and numbers NaN where there is none.
        """
        import pandas as pd

        largest, share = self._find_largest()
        matched = self.matches >= 0
        return pd.DataFrame(
            {
                "parcel": list(self.parcels),
                "locations": self.sizes,
                "largest": [self.others[i] if i >= 0 else "" for i in largest.tolist()],
                "share": share,
                "match": [self.others[i] if i >= 0 else "" for i in self.matches.tolist()],
                "dice": np.where(matched, self.match_dice, np.nan),
                "hausdorff": self.hausdorff,
                "boundary_distance": self.boundary_distance,
            }
        )

    def _find_largest(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the other parcel with most of each, -1 for none, and the share that it has."""
        pairs = self.overlap.tocoo()
        # By row, then by falling overlap, then by column: the first of each row has most.
        falling = np.negative(pairs.data)
        order = np.lexsort((pairs.col, falling, pairs.row))
        rows, first = np.unique(pairs.row[order], return_index=True)
        largest, most = np.full(len(self.parcels), -1), np.full(len(self.parcels), np.nan)
        largest[rows] = pairs.col[order][first]
        most[rows] = pairs.data[order][first]
        return largest, most / np.where(self.sizes > 0, self.sizes, 1)

    def __repr__(self) -> str:
        matched = int(np.count_nonzero(self.matches >= 0))
        lines = [
            f"Comparison of {self.one!r} ({format_count(len(self.parcels), 'parcel')}) with "
            f"{self.other!r} ({len(self.others)}) in {', '.join(self.compartments)}",
            f"  adjusted Rand {self.rand:.3f}, NMI {self.nmi:.3f}, VI {self.vi:.3f} bits",
            f"  {format_count(matched, 'parcel')} matched, mean Dice {self.mean_dice:.3f}",
        ]
        if self.left_out:
            lines.append(f"  not compared: {', '.join(self.left_out)}, which one has alone")
        return "\n".join(lines)


def compare(a: Atlas, b: Atlas) -> Comparison:
    r"""Return how alike two atlases are: overlaps, matches, partitions and distances.

    Both need to be of one space, and in the compartments that both have on one grid (stored in any
    direction) or mesh; which locations they keep may differ.

    Weights are compared by their memberships, :math:`m_{kj} = \max(w_{kj}, 0) / \max_j w_{kj}`,
    which of labels are 1. With the size :math:`s_k = \sum_j m_{kj}`,

    .. math::
        O_{kl} = \sum_j \min(m_{kj}, m'_{lj}) \qquad D_{kl} = \frac{2 O_{kl}}{s_k + s'_l}

    are the overlap and Dice's coefficient of fuzzy sets, 1 for equal maps. The partitions are
    compared by the table of the numbers of locations that two parcels share, of weights the
    expected ones where each location draws a parcel by its weights: then two equal soft atlases
    have a VI above 0. Distances are of hardened maps, along straight lines.

    Parameters
    ----------
    a, b
        Atlases of labels or weights.

    Returns
    -------
    Comparison

    Raises
    ------
    TypeError
        What is no atlas.
    ValueError
        Atlases of different spaces, grids or meshes, or without a common compartment.

    Notes
    -----
    Of labels `Comparison.rand` is ``sklearn.metrics.adjusted_rand_score`` and `Comparison.nmi`
    ``normalized_mutual_info_score``, over the locations that belong to parcels of both; the
    Hausdorff distance is the larger of SciPy's two ``directed_hausdorff`` of voxel centres or
    vertices. NaN weights belong to nothing here.

    Examples
    --------
    >>> import atlasinit as ai
    >>> regions = ai.load_atlas("desikan-killiany", space="fsLR")
    >>> networks = ai.load_atlas("yeo2011", space="fsLR", networks=7)
    >>> found = ai.compare(regions, networks).table.set_index("parcel")
    >>> found.loc["L_lateraloccipital", "largest"]
    'L_Visual'
    """
    from scipy.sparse import csr_array

    for name, given in (("a", a), ("b", b)):
        check_atlas(given, name)
    common = _check_places(a, b)
    aligned = {c: _align(a, b, c) for c in common}
    shape = (a.n_parcels, b.n_parcels)
    overlap, shared = csr_array(shape), csr_array(shape)
    mm: csr_array | None = csr_array(shape)
    sizes, other_sizes = np.zeros(shape[0]), np.zeros(shape[1])
    for c, (geometry, one, other) in aligned.items():
        rows, columns = a.parcel_slices()[c], b.parcel_slices()[c]
        first, second = _find_weights(one), _find_weights(other)
        shared = shared + _place(count_shared(first, second), rows, columns, shape)
        m, n = scale_to_peak(first), scale_to_peak(second)
        overlap = overlap + _place(intersect(m, n), rows, columns, shape)
        sizes[rows] += np.asarray(m.sum(axis=1))
        other_sizes[columns] += np.asarray(n.sum(axis=1))
        if mm is not None and (isinstance(geometry, VolumeGrid) or geometry.has_vertex_areas):
            own = intersect(m, n, location_sizes(geometry))
            mm = csr_array(mm + _place(own, rows, columns, shape))
        else:
            mm = None
    pairs = overlap.tocoo()
    values = 2 * pairs.data / (sizes[pairs.row] + other_sizes[pairs.col])
    dice = csr_array((values, (pairs.row, pairs.col)), shape=shape)
    matches = _match(dice)
    hausdorff, boundary = _measure_matches(a, b, aligned, matches)
    every = (*a.compartments, *b.compartments)
    return Comparison(
        one=a.name,
        other=b.name,
        parcels=a.table["name"],
        others=b.table["name"],
        compartments=common,
        left_out=tuple(c for c in dict.fromkeys(every) if c not in common),
        overlap=_freeze(overlap),
        overlap_size=None if mm is None else _freeze(mm),
        dice=_freeze(dice),
        sizes=_still(sizes),
        other_sizes=_still(other_sizes),
        rand=adjusted_rand(shared),
        nmi=normalized_mutual_information(shared),
        vi=variation_of_information(shared),
        matches=_still(matches),
        hausdorff=_still(hausdorff),
        boundary_distance=_still(boundary),
    )


def _check_places(a: Atlas, b: Atlas) -> tuple[str, ...]:
    """Return the compartments that both atlases have, in the order of the first."""
    if not may_be_one(a.space, b.space):
        raise ArgumentError(
            "b",
            f"should be in the space of {a.name!r}, {a.space}, got {b.name!r} in {b.space}",
            "if their coordinates are in register, move one to the other by "
            + Call("ai.resample", "b", "a", space=a.space),
        )
    common = tuple(c for c in a.compartments if c in b.compartments)
    if not common:
        raise ArgumentError(
            "b",
            f"should have a compartment of {a.name!r}, which has {format_list(a.compartments)}, "
            f"got {format_list(b.compartments)}",
        )
    return common


def _align(a: Atlas, b: Atlas, c: str) -> tuple[Geometry, Any, Any]:
    """Return all locations of a compartment of both atlases, and their maps at these."""
    geometry, (here, there) = unite_geometries(
        [a.geometry[c], b.geometry[c]], [a.name, b.name], compartment=c, argument="b"
    )
    n = geometry.n_locations
    return geometry, place_locations(a.maps[c], here, n), place_locations(b.maps[c], there, n)


def _find_weights(maps: Any) -> "csr_array":
    """Return the positive weights; what is NaN belongs to nothing."""
    weights = positive_weights(maps)
    weights.data[np.isnan(weights.data)] = 0
    weights.eliminate_zeros()
    return weights


def _place(part: Any, rows: slice, columns: slice, shape: tuple[int, int]) -> "csr_array":
    from scipy.sparse import csr_array

    own = part.tocoo()
    return csr_array((own.data, (own.row + rows.start, own.col + columns.start)), shape=shape)


def _match(dice: "csr_array") -> Int[np.ndarray, " parcels"]:
    """Return the match of each row, one to one with the largest sum of Dice; -1 for none."""
    from scipy.optimize import linear_sum_assignment
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    n, m = dice.shape[0], dice.shape[1]  # pyright: ignore[reportOptionalSubscript]
    matches = np.full(n, -1)
    pairs = dice.tocoo()
    # Parcels that overlap directly or through others; the rest of the matrix is 0.
    edges = (np.ones(pairs.nnz), (pairs.row, pairs.col + n))
    _, groups = connected_components(csr_array(edges, shape=(n + m, n + m)), directed=False)
    rows_of, columns_of = groups[:n], groups[n:]
    for group in np.unique(groups[pairs.row]):
        rows, columns = np.flatnonzero(rows_of == group), np.flatnonzero(columns_of == group)
        values = dice[rows][:, columns].toarray()
        best_rows, best_columns = linear_sum_assignment(values, maximize=True)
        # What shares nothing is no match.
        kept = values[best_rows, best_columns] > 0
        matches[rows[best_rows[kept]]] = columns[best_columns[kept]]
    return matches


def _measure_matches(
    a: Atlas, b: Atlas, aligned: Any, matches: Int[np.ndarray, " parcels"]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the Hausdorff and the mean boundary distance of each parcel and its match."""
    ours, theirs, points = ([], []), ([], []), []
    for c, (geometry, one, other) in aligned.items():
        for (labels, borders), atlas, maps in ((ours, a, one), (theirs, b, other)):
            hard = np.asarray(maps.harden().labels)
            borders.append(find_borders(hard, geometry))
            labels.append(np.where(hard >= 0, hard + atlas.parcel_slices()[c].start, -1))
        points.append(find_points(geometry))
    where = np.concatenate(points)
    first, second = (
        Places(np.concatenate(labels), where, np.concatenate(borders))
        for labels, borders in (ours, theirs)
    )
    hausdorff, boundary = np.full((2, a.n_parcels), np.nan)
    for row in np.flatnonzero(matches >= 0).tolist():
        pair = measure_pair(first, row, second, int(matches[row]))
        hausdorff[row], boundary[row] = pair
    return hausdorff, boundary


def _still(values: np.ndarray) -> np.ndarray:
    values.flags.writeable = False
    return values


def _freeze(matrix: Any) -> Any:
    """Return a sparse matrix in order, with arrays that nobody can write to."""
    matrix.sum_duplicates()
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.flags.writeable = False
    return matrix
