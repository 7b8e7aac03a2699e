"""Atlases of surfaces in the voxels between the white and the pial surface."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool, Float, Int32

from atlasinit.core.atlas import Atlas
from atlasinit.core.checking import check_atlas, warn_of_lost
from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.labels import LabelTable
from atlasinit.core.maps import HardMaps, SparseMaps
from atlasinit.errors import Argument, ArgumentError, ArgumentTypeError, Call
from atlasinit.io.targets import is_target, read_target
from atlasinit.sampling.build import surfaces_of
from atlasinit.sampling.ribbon import ribbon_volumes
from atlasinit.support.numbers import check_number, check_whole_number

if TYPE_CHECKING:
    from scipy.sparse import csr_array


def to_volume(
    atlas: Atlas,
    grid: Any,
    *,
    white: Any = None,
    pial: Any = None,
    space: str,
    min_share: float | int = 0.5,
    subdivisions: int = 3,
) -> Atlas:
    r"""Return an atlas of surfaces, of voxels, or of both, on one grid.

    The ribbon of a vertex is what lies between the two surfaces in the third of each of its
    triangles that is next to it. With the share :math:`w_{iv}` of voxel i that lies in the ribbon
    of vertex v, a voxel has the label with the largest sum of shares, none being one as the others
    (ties go to the first parcel), or of maps :math:`\sum_v w_{iv} m_v / \sum_v w_{iv}`. Voxels of
    which less than `min_share` lies in the ribbon have none, but for those that a grid of the atlas
    (a subcortex) has itself. Corresponds to ``wb_command -label-to-volume-mapping
    -ribbon-constrained``, and with ``min_share=0`` to ``-greedy``, also of
    ``-metric-to-volume-mapping``; for the voxels of CIFTI to ``-cifti-separate -volume-all``.

    Parameters
    ----------
    atlas
        With surfaces or grids. A grid of it has the voxels of `grid`, though perhaps some of
        them, or in another direction; where it has a parcel that goes before the ribbon.
    grid
        A `VolumeGrid`, or an image or its path, for its whole grid. Only kept voxels are filled.
    white, pial
        Compartment to surface, as ``{"cortex_L": "lh.white.surf.gii", ...}``, or the surface of
        the only one: as for `atlasinit.sampling_operator`, in the same mm as the grid. For
        surfaces alone.
    space
        Name of the space of the surfaces and the grid, as ``"T1w"``.
    min_share
        From 0 to 1.
    subdivisions
        Of a voxel's edge.

    Returns
    -------
    Atlas
        With the compartment ``"volume"``. Parcels keep their order, and their keys unless two have
        one key, as both hemispheres often do: then they are numbered from 1.

    Raises
    ------
    ValueError
        A surface without white and pial surface, or what is wrong with these (see
        `atlasinit.sampling_operator`); a grid of the atlas with other voxels; surfaces that hold no
        voxel.
    TypeError
        What is no atlas, grid or surface.

    Warns
    -----
    AtlasWarning
        Parcels that no voxel is left for; they stay as empty rows.
    """
    check_atlas(atlas)
    if not isinstance(space, str) or not space:
        raise ArgumentTypeError("space", f"should name the space of the grid, got {space!r}")
    min_share = check_number(min_share, "min_share", least=0, most=1)
    subdivisions = check_whole_number(subdivisions, "subdivisions", least=1)
    target = _grid_of(grid)
    meshes = {c: g for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)}
    for name, given in (("white", white), ("pial", pial)):
        if given is not None and not meshes:
            raise ArgumentError(
                name,
                f"is of surfaces, but {atlas.name!r} has {list(atlas.geometry.values())}",
                "leave it out",
            )
    slices, n = atlas.header.parcel_slices(), target.n_locations
    within, sums, own = np.zeros(n), _zeros(n, atlas.n_parcels), _zeros(n, atlas.n_parcels)
    for c, geometry in atlas.geometry.items():
        weights = atlas.maps[c].to_scipy().astype(np.float64).T
        if isinstance(geometry, SurfaceMesh):
            inner, outer = _own(white, c, meshes, "white"), _own(pial, c, meshes, "pial")
            shares = _shares(target, geometry, inner, outer, subdivisions)
            within += np.asarray(shares.sum(axis=1)).reshape(-1)
            # Vertices that are not kept belong to no parcel.
            sums += _at_rows(shares[:, geometry.vertices] @ weights, slices[c], atlas.n_parcels)
        else:
            placed = _pick(geometry, target, c) @ weights
            own += _at_rows(placed, slices[c], atlas.n_parcels)
    if meshes and not within.any():
        raise ArgumentError(
            "white",
            "and " + Argument("pial") + " hold no kept voxel of the grid",
            "are they in the same space, and in its mm?",
        )
    kept = (within > 0) & (within >= min_share)
    hard = all(isinstance(maps, HardMaps) for maps in atlas.maps.values())
    maps = (
        HardMaps(_elect(sums, own, within, kept), atlas.n_parcels)
        if hard
        else _average(sums, own, within, kept)
    )
    out = Atlas(
        name=atlas.name,
        space=space,
        maps={"volume": maps},
        geometry={"volume": target},
        labels=_one_home(atlas.table),
        provenance=atlas.provenance.then(
            f"to_volume({target!r}, space={space!r}, min_share={min_share:g})"
        ),
    )
    warn_of_lost(atlas, out, "no voxel")
    return out


def _grid_of(given: Any) -> VolumeGrid:
    if is_target(given):
        target = read_target(given)
        found, told = target.grid, f"{target.name} of {list(target.geometry)}"
    else:
        found, told = given, type(given).__name__
    if not isinstance(found, VolumeGrid):
        raise ArgumentTypeError(
            "grid", f"should be a VolumeGrid or an image of a volume alone, got {told}"
        )
    return found


def _own(given: Any, compartment: str, meshes: Mapping[str, SurfaceMesh], name: str) -> Any:
    """Return the surface of a compartment, of a mapping or of the only one."""
    if not isinstance(given, Mapping):
        if len(meshes) > 1 and given is not None:
            raise ArgumentError(
                name, f"should be a mapping from each of {list(meshes)} to a surface, got one"
            )
        return given
    unknown = [c for c in given if c not in meshes]
    if unknown or compartment not in given:
        raise ArgumentError(
            name, f"should have a surface for each of {list(meshes)}, got {list(given)}"
        )
    return given[compartment]


def _shares(
    grid: VolumeGrid, mesh: SurfaceMesh, white: Any, pial: Any, subdivisions: int
) -> "csr_array":
    """Return the share of each kept voxel in the ribbon of each vertex, (voxels, vertices)."""
    from scipy.sparse import csr_array

    pair = surfaces_of(mesh, white, pial)
    if pair is None or pair.faces is None:
        raise ArgumentError(
            "white",
            "and "
            + Argument("pial")
            + " are needed, with triangles in one of them or in the atlas's mesh",
        )
    options = {"subdivisions": subdivisions, "thin": True}
    volumes = ribbon_volumes(grid, pair.faces, pair.white, pair.pial, **options)
    return csr_array(volumes[:, grid.voxels].T / subdivisions**3)


def _pick(source: VolumeGrid, target: VolumeGrid, compartment: str) -> "csr_array":
    """Return the matrix (voxels, locations) of the voxels of one grid that another has as well."""
    from scipy.sparse import csr_array

    voxels = target.voxels_in(source)
    if voxels is None:
        raise ArgumentError(
            "grid",
            f"has other voxels than {compartment!r} of the atlas: {target!r} and {source!r}",
            "Take a grid of its voxels, or move the atlas without it: "
            + Call("atlas.select", compartments=...),
        )
    places = source.locations.reshape(-1)[voxels]
    there = np.flatnonzero(places >= 0)
    entries = (np.ones(there.size), (there, places[there]))
    return csr_array(entries, shape=(places.size, source.n_locations))


def _at_rows(weights: Any, rows: slice, n_parcels: int) -> "csr_array":
    """Return weights (voxels, own parcels) as columns among those of all parcels."""
    from scipy.sparse import csr_array

    found = csr_array(weights)
    parts = (found.data, found.indices + rows.start, found.indptr)
    return csr_array(parts, shape=(len(found.indptr) - 1, n_parcels))


def _zeros(n: int, k: int) -> "csr_array":
    from scipy.sparse import csr_array

    return csr_array((n, k))


def _elect(
    sums: "csr_array",
    own: "csr_array",
    within: Float[np.ndarray, " voxels"],
    kept: Bool[np.ndarray, " voxels"],
) -> Int32[np.ndarray, " voxels"]:
    """Return the label of each voxel: its own, or the one with the largest sum of shares."""
    labels, won = _largest(sums)
    none = within - np.asarray(sums.sum(axis=1)).reshape(-1)
    # Shares are multiples of a voxel's parts, that add up with rounding.
    labels = np.where(kept & (won >= none - 1e-9), labels, -1)
    first, _ = _largest(own)
    return np.where(first >= 0, first, labels).astype(np.int32)


def _largest(
    weights: "csr_array",
) -> tuple[Int32[np.ndarray, " voxels"], Float[np.ndarray, " voxels"]]:
    """Return the parcel of the largest weight of each voxel, -1 for none, and that weight."""
    labels = np.asarray(SparseMaps.from_scipy(weights.T.tocsr()).harden().labels)
    return labels, np.asarray(weights.max(axis=1).todense(), np.float64).reshape(-1)


def _average(
    sums: "csr_array",
    own: "csr_array",
    within: Float[np.ndarray, " voxels"],
    kept: Bool[np.ndarray, " voxels"],
) -> SparseMaps:
    """Return the weights of each voxel: of its own grid, or the mean over its ribbon."""
    from scipy.sparse import csr_array, diags_array

    held = np.diff(own.indptr) > 0
    factors = np.where(kept & ~held, 1 / np.where(within > 0, within, 1), 0)
    weights: Any = csr_array(diags_array(factors) @ sums) + own
    weights.eliminate_zeros()
    return SparseMaps.from_scipy(weights.T.tocsr().astype(np.float32))


def _one_home(table: LabelTable) -> LabelTable:
    """Return a table whose parcels are all of one volume, with numbers of their own."""
    n = len(table)
    keys = list(table["key"])
    distinct = len(set(keys)) == n
    return table.replace(
        compartment=["volume"] * n, key=keys if distinct else list(range(1, n + 1))
    )
