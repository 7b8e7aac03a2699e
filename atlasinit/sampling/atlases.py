"""Atlases of voxels on the vertices of meshes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas, warn_of_lost
from atlasinit.core.geometry import VolumeGrid
from atlasinit.core.labels import TOGETHER, LabelTable
from atlasinit.core.maps import HardMaps, Maps, SparseMaps
from atlasinit.errors import ArgumentError, ArgumentTypeError, Call
from atlasinit.io.contents import COMPARTMENTS
from atlasinit.sampling.operator import SamplingOperator


def to_surface(
    atlas: Atlas,
    operators: SamplingOperator | Mapping[str, SamplingOperator],
    *,
    space: str,
) -> Atlas:
    """Return an atlas of a volume on the vertices of meshes.

    Of labels a vertex has the one with the largest summed weight among the voxels that it
    samples, those without a label taken together as one more; ties go to the first parcel. Of
    maps it has the weighted mean. Corresponds to ``wb_command
    -volume-label-to-surface-mapping`` and ``-volume-to-surface-mapping``. Voxels that an
    operator does not keep have no part in it: one on the labelled voxels alone gives each vertex
    that meets any its label. A vertex without a kept voxel has no label and no weight.

    Parameters
    ----------
    atlas
        With one grid and no other compartment.
    operators
        Compartment to operator, as ``{"cortex_L": left, "cortex_R": right}``, or one for a mesh
        that states its hemisphere. Their grids have the voxels of the atlas's, though perhaps
        more or fewer of them, or in another direction.
    space
        Name of the space of the meshes, as ``"fsaverage5"``.

    Returns
    -------
    Atlas
        With several meshes: if every parcel states its hemisphere, and each mesh another one,
        parcels are rows of the mesh of their side, and have no vertex of another. Otherwise the
        meshes share all parcels, a row each (see `Atlas.unite`).

    Raises
    ------
    ValueError
        An atlas with other compartments than one grid, an operator on other voxels, a mesh whose
        hemisphere is not stated where a name of its compartment is needed, no operator.
    TypeError
        What is no atlas or operator.

    Warns
    -----
    AtlasWarning
        Parcels that have no vertex; they stay as empty rows.
    """
    check_atlas(atlas)
    if not isinstance(space, str) or not space:
        raise ArgumentTypeError("space", f"should name the meshes' space, got {space!r}")
    wanted = operators_of(operators, "operators")
    grid, *others = atlas.geometry.values()
    if others or not isinstance(grid, VolumeGrid):
        raise ArgumentError(
            "atlas",
            f"should have one grid and nothing else, but {atlas.name!r} has {atlas.geometry}",
            "take the compartment of its grid by " + Call("atlas.select", compartments=...),
        )
    (maps,) = atlas.maps.values()
    rows = _rows_of(atlas.table, wanted)
    homes = {c: c for c in wanted} if len(rows) > 1 else {c: TOGETHER.join(wanted) for c in wanted}
    sampled = {}
    for c, operator in wanted.items():
        own = rows[homes[c]]
        here = maps if own.size == maps.n_parcels else maps.take_parcels(own)
        sampled[c] = _sample(here, operator, _places(grid, operator, c))
    table = atlas.table.take(np.concatenate(list(rows.values())).tolist())
    names = [home for home, own in rows.items() for _ in own]
    out = Atlas(
        name=atlas.name,
        space=space,
        maps=sampled,
        geometry={c: operator.mesh for c, operator in wanted.items()},
        labels=table.replace(compartment=names),
        provenance=atlas.provenance.then(
            f"to_surface({', '.join(map(repr, wanted.values()))}, space={space!r})"
        ),
    )
    warn_of_lost(atlas, out, "no vertex")
    return out


def operators_of(given: Any, argument: str) -> dict[str, SamplingOperator]:
    """Return compartment to operator, of one or a mapping that errors call `argument`."""
    if isinstance(given, SamplingOperator):
        side = given.mesh.hemisphere
        if not side:
            raise ArgumentError(
                argument,
                f": the mesh {given.mesh!r} does not state its hemisphere",
                'name the compartment, as {"cortex_L": operator}',
            )
        return {COMPARTMENTS[side]: given}
    if not isinstance(given, Mapping) or not all(
        isinstance(one, SamplingOperator) for one in given.values()
    ):
        raise ArgumentTypeError(
            argument,
            "should be a SamplingOperator or a mapping from compartments to these",
            "make them by " + Call("ai.sampling_operator", "grid", "mesh"),
        )
    if not given:
        raise ArgumentError(argument, "is empty", "pass one operator at least")
    return dict(given)


def _rows_of(
    table: LabelTable, operators: Mapping[str, SamplingOperator]
) -> dict[str, Int[np.ndarray, " rows"]]:
    """Return which rows of a table are of each compartment, or of all of them together."""
    of = {c: operator.mesh.hemisphere for c, operator in operators.items()}
    stated = np.array(list(table["hemisphere"]), str)
    sides = set(of.values())
    if len(of) > 1 and len(sides) == len(of) and "" not in sides and set(stated) <= sides:
        return {c: np.flatnonzero(stated == side) for c, side in of.items()}
    return {TOGETHER.join(of): np.arange(len(table))}


def _places(
    grid: VolumeGrid, operator: SamplingOperator, compartment: str
) -> Int[np.ndarray, " voxels"]:
    """Return the atlas's location of each voxel of an operator, -1 where it has none."""
    found = operator.grid.voxels_in(grid)
    if found is None:
        raise ArgumentError(
            "operators",
            f": that of {compartment!r} is on {operator.grid!r} with other voxels than the "
            f"atlas's {grid!r}",
            "make one for `atlas.geometry`, or move the atlas first by "
            + Call("ai.resample", "atlas", "operator.grid"),
        )
    return grid.locations.reshape(-1)[found]


def _sample(maps: Maps, operator: SamplingOperator, places: Int[np.ndarray, " voxels"]) -> Maps:
    """Return maps of voxels, of which each of the operator's has a place, at its vertices."""
    if isinstance(maps, HardMaps):
        # One parcel more is that of no label, which the extra entry, of place -1, has too.
        n = maps.n_parcels
        labels = np.append(np.asarray(maps.labels), np.int32(-1))[places]
        shares = operator.sample_maps(HardMaps(np.where(labels < 0, n, labels), n + 1))
        won = np.asarray(shares.harden().labels)
        return HardMaps(np.where(won == n, np.int32(-1), won), n)
    from scipy.sparse import csr_array

    there = np.flatnonzero(places >= 0)
    move = csr_array(
        (np.ones(there.size, np.float32), (places[there], there)),
        shape=(maps.n_locations, places.size),
    )
    return operator.sample_maps(SparseMaps.from_scipy(csr_array(maps.to_scipy() @ move)))
