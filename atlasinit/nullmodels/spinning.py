"""Null atlases: the parcellation rotated on the spheres of its hemispheres."""

import dataclasses
import operator
from collections.abc import Iterator
from typing import Any, Literal, TypeAlias

import jax
import numpy as np
from jaxtyping import Float, Float64, Int32

from atlasinit.core.atlas import Atlas
from atlasinit.core.maps import HardMaps
from atlasinit.core.named_values import align_values
from atlasinit.errors import Argument, ArgumentError, Passing, format_list
from atlasinit.nullmodels.hemispheres import (
    Hemisphere,
    find_hemispheres,
    label_rows,
    shared_parcels,
)
from atlasinit.nullmodels.nearest import nearest_rotated
from atlasinit.nullmodels.rotations import check_rotations, draw_rotations
from atlasinit.support.arrays import make_read_only
from atlasinit.support.threads import run_in_threads

Assign: TypeAlias = Literal["vertex", "nearest", "hungarian"]
MedialWall: TypeAlias = Literal["none", "nearest"]

_ASSIGN = ("vertex", "nearest", "hungarian")


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Spins:
    """Rotations of an atlas, as `atlasinit.spins` makes them; immutable.

    ``len(spins)`` is their number, ``spins[i]`` the rotated `Atlas` of number ``i``, and a loop
    goes through all of them.

    Parameters
    ----------
    atlas
        That was rotated.
    indices
        (n, locations) for ``assign="vertex"``: the location whose place each location takes, over
        the locations of all compartments, -1 for one that comes from outside of these, as from
        the medial wall. ``data[spins.indices[i]]`` is data (locations, ...) rotated alike. Else
        (n, parcels): the row whose place each parcel takes, -1 for an empty parcel.
    rotations
        (n, 3, 3) of the left hemisphere.
    assign, medial_wall
        As of `atlasinit.spins`.
    """

    atlas: Atlas
    indices: Int32[np.ndarray, "n places"]
    rotations: Float64[np.ndarray, "n 3 3"]
    assign: Assign
    medial_wall: MedialWall

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, i: int) -> Atlas:
        # A slice would give labels of several: it is a TypeError here.
        i = operator.index(i)
        rows = self.labels(i)
        # Each compartment counts its own rows from 0.
        starts, places = self.atlas.parcel_slices(), self.atlas.location_slices()
        maps = {}
        for c, own in self.atlas.maps.items():
            labels = rows[places[c]]
            labels = np.where(labels < 0, np.int32(-1), labels - np.int32(starts[c].start))
            maps[c] = HardMaps(labels.astype(np.int32), own.n_parcels)
        turn = f"spins(assign={self.assign!r})[{range(len(self))[i]}]"
        return self.atlas.replace(maps=maps, operation=turn)

    def __iter__(self) -> Iterator[Atlas]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        return f"Spins({len(self)} of {self.atlas.name!r}, assign={self.assign!r})"

    @property
    def n_distinct(self) -> int:
        """How many of the assignments differ: few, where there are few parcels to assign."""
        return len(np.unique(self.indices, axis=0))

    def labels(self, i: int) -> Int32[np.ndarray, " locations"]:
        """Return the row of ``atlas.labels`` of each location in rotation ``i``, -1 for none."""
        own = label_rows(self.atlas)
        given = own if self.assign == "vertex" else self.indices[i]
        takes = self.indices[i] if self.assign == "vertex" else own
        # The index -1 takes the last entry, which is -1.
        return np.append(given, np.int32(-1))[takes]

    def apply(self, values: Any) -> Float[np.ndarray, "n parcels *columns"]:
        """Return null maps of values of the parcels: what each parcel has after each rotation.

        By centroids a parcel has the value of the parcel whose place it takes. By vertices it has
        the mean, over its locations, of the values of the parcels that these belong to after the
        rotation, as in Cornblath et al. (2020) and neuromaps' ``spin_data``: locations that come
        from the medial wall, and those of parcels with NaN, are left out, and a parcel of none
        else has NaN. So does an empty parcel.

        Parameters
        ----------
        values
            (parcels,) or (parcels, columns), by name where they carry names.
        """
        array = align_values(values, self.atlas.table).array
        array = array.astype(np.float64).reshape(len(array), *array.shape[1:])
        padded = np.append(array, np.full((1, *array.shape[1:]), np.nan), axis=0)
        if self.assign != "vertex":
            return padded[self.indices]
        out = np.empty((len(self), *array.shape))
        rows = label_rows(self.atlas)
        kept = rows >= 0
        own, takes = rows[kept], np.append(rows, np.int32(-1))

        def average(i: int) -> None:
            moved = padded[takes[self.indices[i][kept]]]
            columns = moved.reshape(len(own), -1).T
            for mean, column in zip(out[i].reshape(len(array), -1).T, columns, strict=True):
                there = ~np.isnan(column)
                sums = np.bincount(own, np.where(there, column, 0), len(array))
                counts = np.bincount(own, there, len(array))
                # 0 / 0 of a parcel without a value is NaN, which says so.
                with np.errstate(invalid="ignore"):
                    mean[:] = sums / counts

        run_in_threads(average, [(i,) for i in range(len(self))])
        return out


def spins(
    atlas: Atlas,
    *,
    n: int | None = None,
    key: jax.Array | None = None,
    rotations: Any = None,
    assign: Assign = "vertex",
    medial_wall: MedialWall = "none",
) -> Spins:
    r"""Return null atlases: the parcels rotated at random on the spheres of the hemispheres.

    A rotation :math:`R`, uniform over all rotations (see
    `atlasinit.nullmodels.draw_rotations`), takes the left hemisphere's sphere to :math:`R x`, and
    the right one's to :math:`M R M x`, :math:`M` being the reflection :math:`x_1 \to -x_1`, so
    that both turn as mirror images (Alexander-Bloch et al., 2018, NeuroImage 178). Then places
    that stay take what was rotated onto them:

    - ``"vertex"``: each location takes the label of the rotated vertex nearest to it.
    - ``"nearest"``: each parcel takes the place of the parcel whose rotated centroid is nearest
      to its own; several parcels may take the same one.
    - ``"hungarian"``: parcels and rotated centroids are matched one to one such that the sum of
      their distances is least, in each hemisphere.

    Distances are straight lines. The centroid of a parcel is the vertex of the sphere nearest to
    the mean of its vertices. For equal rotations the assignments are those of neuromaps'
    ``gen_spinsamples`` with the methods ``"original"`` (of vertices, or of centroids) and
    ``"hungarian"``; where neuromaps draws again until assignments differ, draws stay independent
    here, and `Spins.n_distinct` counts.

    The medial wall is what no location or no parcel has. Rotated, it leaves locations without a
    parcel (``medial_wall="none"``, as in neuromaps), or these take the label of the nearest
    rotated vertex that has one (``"nearest"``). Centroids know no wall. Empty parcels have no
    centroid: none takes their place and they take none's.

    Parameters
    ----------
    atlas
        Labels on one hemisphere, or on a left and a right one, with spheres.
    n
        How many rotations are drawn, by default 1000. A location takes 4 bytes for each: 248 MiB
        for 1000 of 64,984.
    key
        Of the draws.
    rotations
        In place of `n` and `key`: matrices (n, 3, 3) of the left hemisphere, or of the only one
        if this is not a right one; or a ``scipy.spatial.transform.Rotation``.
    assign
        As above.
    medial_wall
        For ``assign="vertex"``.

    Raises
    ------
    ValueError
        Volumes, soft maps, meshes without spheres or compartments of one side; parcels that
        hemispheres share, for centroids; rotations that are none, or given with `n` or `key`.
    TypeError
        No key where there are no rotations.

    Examples
    --------
    >>> import jax
    >>> import atlasinit as ai
    >>> atlas = ai.load_atlas("desikan-killiany", space="fsaverage5")
    >>> found = ai.spins(atlas, n=10, key=jax.random.key(0), assign="hungarian")
    >>> found.indices.shape, found[0].n_parcels
    ((10, 68), 68)
    """
    if assign not in _ASSIGN:
        raise ArgumentError("assign", f"should be one of {_ASSIGN}, got {assign!r}")
    if medial_wall not in ("none", "nearest"):
        raise ArgumentError("medial_wall", f'should be "none" or "nearest", got {medial_wall!r}')
    if medial_wall == "nearest" and assign != "vertex":
        raise ArgumentError(
            "medial_wall",
            "is of locations, and centroids know none",
            "leave it out, or pass " + Passing(assign="vertex"),
        )
    hemispheres = find_hemispheres(atlas)
    matrices = _take_rotations(rotations, n, key)
    if assign == "vertex":
        parts = [_by_vertices(h, matrices, medial_wall=medial_wall) for h in hemispheres]
        indices = parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
    else:
        indices = np.full((len(matrices), atlas.n_parcels), -1, np.int32)
        _check_centroids(atlas)
        for h in hemispheres:
            rows, centroids = find_centroids(h)
            if rows.size:
                find = nearest_rotated if assign == "nearest" else _match
                indices[:, rows] = rows[find(centroids, centroids, h.rotations(matrices))]
    return Spins(atlas, make_read_only(indices), make_read_only(matrices), assign, medial_wall)


def find_centroids(
    hemisphere: Hemisphere,
) -> tuple[Int32[np.ndarray, " parcels"], Float64[np.ndarray, "parcels 3"]]:
    """Return the rows of the parcels that have locations, and their centroids on the sphere."""
    from scipy.spatial import KDTree

    sphere, labels = hemisphere.sphere, hemisphere.labels
    rows, which = np.unique(labels[labels >= 0], return_inverse=True)
    points = sphere[hemisphere.mesh.vertices[labels >= 0]]
    means = np.stack([np.bincount(which, axis, len(rows)) for axis in points.T], axis=1)
    # Of no parcels the sums are whole numbers, which cannot be divided in place.
    means = means / np.bincount(which, minlength=len(rows))[:, None]
    return rows.astype(np.int32), sphere[KDTree(sphere).query(means)[1]]


def _take_rotations(rotations: Any, n: Any, key: Any) -> Float64[np.ndarray, "n 3 3"]:
    if rotations is None:
        return draw_rotations(1000 if n is None else n, key=key)
    if n is not None or key is not None:
        raise ArgumentError(
            "rotations",
            "are given, so that none is drawn",
            "leave out " + Argument("n") + " and " + Argument("key") + ", or the rotations",
        )
    return check_rotations(rotations)


def _by_vertices(
    hemisphere: Hemisphere, left: Float64[np.ndarray, "n 3 3"], *, medial_wall: MedialWall
) -> Int32[np.ndarray, "n locations"]:
    mesh, sphere = hemisphere.mesh, hemisphere.sphere
    # All vertices are rotated, so that the wall is rotated too; or those alone that have labels.
    every = np.arange(mesh.n_vertices)
    moved = every if medial_wall == "none" else np.flatnonzero(hemisphere.labelled)
    if not moved.size:
        return np.full((len(left), mesh.n_locations), -1, np.int32)
    found = nearest_rotated(sphere[moved], sphere[mesh.vertices], hemisphere.rotations(left))
    location = np.where(mesh.locations < 0, -1, mesh.locations + hemisphere.start)[moved]
    for one in found:
        # In place, a rotation at a time, as all of them are large.
        one[:] = location[one]
    return found


def _match(
    points: Float64[np.ndarray, "points 3"],
    places: Float64[np.ndarray, "points 3"],
    rotations: Float64[np.ndarray, "n 3 3"],
) -> Int32[np.ndarray, "n points"]:
    """Return which rotated point each place is matched with, the sum of distances being least."""
    from scipy.optimize import linear_sum_assignment
    from scipy.spatial.distance import cdist

    out = np.empty((len(rotations), len(places)), np.int32)

    def match(i: int) -> None:
        out[i] = linear_sum_assignment(cdist(places, points @ rotations[i].T))[1]

    run_in_threads(match, [(i,) for i in range(len(rotations))])
    return out


def _check_centroids(atlas: Atlas) -> None:
    shared = shared_parcels(atlas)
    if shared:
        raise ArgumentError(
            "atlas",
            f": {len(shared)} parcels lie in several hemispheres, as "
            f"{format_list(map(repr, shared), 3)}, and have no centroid on one sphere",
            "pass " + Passing(assign="vertex") + ", or the atlas before `unite`",
        )
