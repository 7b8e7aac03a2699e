"""Images of volumes as data of surfaces."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import Geometry, SurfaceMesh, VolumeGrid
from atlasinit.core.labels import LabelTable
from atlasinit.core.maps import HardMaps
from atlasinit.core.spaces import UNKNOWN
from atlasinit.errors import ArgumentError, Call, Passing
from atlasinit.io.data import open_data
from atlasinit.io.targets import holds_surface, is_target, read_target
from atlasinit.io.values import DataSource
from atlasinit.sampling.atlases import operators_of
from atlasinit.sampling.operator import SamplingOperator


def check_sampling(atlases: Iterable[Atlas], sampling: Any) -> dict[str, SamplingOperator]:
    """Return compartment to operator, one for each surface of atlases that share images.

    Raises
    ------
    ValueError
        A surface without an operator, an operator for no surface, one for another mesh or one
        without some of an atlas's vertices.
    TypeError
        What is no operator.
    """
    found = operators_of(sampling, "sampling")
    places = [(atlas, c, g) for atlas in atlases for c, g in atlas.geometry.items()]
    surfaces = list(dict.fromkeys(c for _, c, g in places if isinstance(g, SurfaceMesh)))
    if set(found) != set(surfaces):
        raise ArgumentError(
            "sampling",
            f"should have an operator for each of the surfaces {surfaces}, got {list(found)}",
        )
    for atlas, c, wanted in places:
        if not isinstance(wanted, SurfaceMesh):
            continue
        mesh = found[c].mesh
        same = mesh.n_vertices == wanted.n_vertices
        same &= not wanted.hemisphere or mesh.hemisphere in ("", wanted.hemisphere)
        lacking = int((mesh.locations[wanted.vertices] < 0).sum()) if same else 0
        if not same or lacking:
            whole = Call("ai.SurfaceMesh", str(wanted.n_vertices), hemisphere=wanted.hemisphere)
            lacks = f", and lacks {lacking} of its vertices" if lacking else ""
            raise ArgumentError(
                "sampling",
                f"of {c!r} goes to {mesh!r}, where {atlas.name!r} has {wanted!r}{lacks}",
                "make it for a mesh that keeps the vertices of every atlas, as " + whole + " does",
            )
    return found


def open_sampled(
    image: Any,
    atlas: Atlas,
    *,
    operators: Mapping[str, SamplingOperator],
    reduction: Any = "mean",
    data_space: str | None = None,
) -> DataSource:
    """Return a volume as data of an atlas, at whose surfaces it is sampled when it is read.

    Compartments that are grids are read as they are. The space that the image states is that of
    the operators' surfaces, whose name nothing states, and is compared with that of grids alone.

    Parameters
    ----------
    image, reduction, data_space
        As for `atlasinit.io.open_data`.
    atlas, operators
        As `check_sampling` has checked them.
    """
    grids = {operator.grid: None for operator in operators.values()}
    _check_grids(image, grids)
    sources: dict[Any, DataSource] = {
        grid: open_data(image, _atlas_of(grid), reduction=reduction, data_space=None)
        for grid in grids
    }
    for c, geometry in atlas.geometry.items():
        if c not in operators:
            own = atlas.select(compartments=c)
            sources[geometry] = open_data(image, own, reduction=reduction, data_space=data_space)
    first = next(iter(sources.values()))
    if first.labelled and any(operator.method != "nearest" for operator in operators.values()):
        raise ArgumentError(
            "sampling",
            f"averages voxels, but {first.labelled} holds labels, between which there is nothing",
            "make operators by " + Passing(method="nearest"),
        )

    rows = {c: _rows_of(atlas.geometry[c], own) for c, own in operators.items()}

    def read(span: slice) -> np.ndarray:
        # Once for each grid: both hemispheres take their values of the same volume.
        data = {grid: source.read(span) for grid, source in sources.items()}
        parts = [
            np.asarray(operators[c](data[operators[c].grid]))[rows[c]]
            if c in operators
            else data[geometry]
            for c, geometry in atlas.geometry.items()
        ]
        return np.concatenate(parts)

    outside = [
        np.zeros(g.n_locations, bool) if c in operators else sources[g].is_outside
        for c, g in atlas.geometry.items()
    ]
    whole = np.concatenate(outside) if any(part.any() for part in outside) else None
    return DataSource(atlas.n_locations, first.n_time, read, whole, first.labelled)


def _rows_of(geometry: Geometry, operator: SamplingOperator) -> Any:
    """Return which of the values of an operator the kept vertices of a mesh take."""
    assert isinstance(geometry, SurfaceMesh)
    if np.array_equal(geometry.vertices, operator.mesh.vertices):
        return slice(None)  # no copy
    return operator.mesh.locations[geometry.vertices]


def _check_grids(image: Any, grids: Iterable[VolumeGrid]) -> None:
    """Refuse an image of other voxels than those that operators sample."""
    if not is_target(image) or holds_surface(image):
        return
    have = read_target(image).grid
    for wanted in grids:
        if have is not None and wanted.voxels_in(have) is None:
            raise ArgumentError(
                "data",
                f"is on another grid than `sampling`: shape {have.shape} and affine "
                f"{np.round(have.affine, 4).tolist()}, where operators have {wanted.shape} and "
                f"{np.round(wanted.affine, 4).tolist()}",
                "make operators for the grid of the image, by "
                + Call("ai.sampling_operator", "grid", "mesh")
                + ", or move data there by "
                + Call("ai.resample_data", "data", "image", "grid"),
            )


def _atlas_of(grid: VolumeGrid) -> Atlas:
    """Return an atlas that wants every location of a grid, in a space that contradicts none."""
    row = {"compartment": ["volume"], "key": [1], "name": ["all"], "color": [""]}
    return Atlas(
        name="sampling",
        space=UNKNOWN,
        maps={"volume": HardMaps(np.zeros(grid.n_locations, np.int32), 1)},
        geometry={"volume": grid},
        labels=LabelTable({**row, "hemisphere": [""]}),
    )
