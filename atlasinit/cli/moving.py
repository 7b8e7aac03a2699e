"""The command that moves an atlas to another grid or mesh, or between the two: resample."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from atlasinit.cli import completion
from atlasinit.cli.options import AsJson, Output, Overwrite, Saving, load, may_download, takes
from atlasinit.cli.output import print_saved
from atlasinit.cli.surfaces import Cortex
from atlasinit.cli.values import read_meshes
from atlasinit.errors import ArgumentError, Passing
from atlasinit.support.files import expand
from atlasinit.support.waiting import show_waiting

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas
    from atlasinit.core.geometry import Geometry, SurfaceMesh

commands = typer.Typer()


@commands.command(epilog="Example: atlasinit resample aal --to bold.nii.gz -o aal_bold.nii.gz")
@takes(load, may_download, Saving, Cortex)
def resample(
    atlas: "Atlas",
    download: bool,  # noqa: FBT001 (given by `may_download`)
    saving: Saving,
    cortex: Cortex,
    *,
    to: Annotated[
        list[str],
        typer.Option(
            metavar="TARGET",
            help="An image, whose grid is taken; CIFTI, for its locations (with the spheres of its "
            "meshes where they are others than the atlas's); a sphere, twice for two sides; or a "
            "space of the catalogue, as fsaverage6.",
            autocompletion=completion.meshes,
        ),
    ],
    method: Annotated[
        Literal["auto", "nearest", "linear", "area"],
        typer.Option(
            help="Auto is linear, but for labels on grids: area, the majority, where voxels get "
            "larger, and else nearest. Area is the overlap of voxels, or counts vertex areas."
        ),
    ] = "auto",
    areas: Annotated[
        Literal["auto", "anatomical", "sphere"],
        typer.Option(help="Vertex areas of --method area; auto is anatomical where there are."),
    ] = "auto",
    to_space: Annotated[
        str | None,
        typer.Option(metavar="SPACE", help="The space of the result, where it is another."),
    ] = None,
    transform: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE",
            help="A spatial transform from the atlas's space to that of the target (ITK, FSL, "
            "FreeSurfer .lta, X5); several in the order in which the atlas goes through them.",
        ),
    ] = None,
    inverse: Annotated[
        bool, typer.Option("--inverse", help="The matrix is of the other direction.")
    ] = False,
    reference: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="What `flirt -ref` was given.")
    ] = None,
    moving: Annotated[
        str | None, typer.Option(metavar="IMAGE", help="What `flirt -in` was given.")
    ] = None,
    output: Output,
    overwrite: Overwrite = False,
    as_json: AsJson = False,
) -> None:
    """Move an atlas to the grid of an image, or to another mesh, perhaps in another space.

    Between a volume and surfaces it goes through the cortex: give its white and pial surfaces.
    """
    from atlasinit.io.agreement import check_target_space
    from atlasinit.io.saving import check_saving, save_atlas
    from atlasinit.io.targets import holds_locations, read_target
    from atlasinit.resampling import resample as resample_
    from atlasinit.transforms import Transform

    if cortex.is_given:
        others = {"transform": transform, "method": method != "auto", "areas": areas != "auto"}
        for name, given in others.items():
            if given:
                raise ArgumentError(name, "is not for moves between volumes and surfaces")
        with show_waiting(f"moving {atlas.name} through the cortex"):
            moved = _move_through(cortex, atlas, to, to_space, download=download)
        saved = save_atlas(moved, output, overwrite=overwrite, **saving.arguments)
        print_saved(moved, saved, as_json=as_json)
        return
    check_saving(atlas, output, format=saving.format, overwrite=overwrite)
    if transform:
        if len(to) > 1 or not expand(to[0]).exists():
            raise ArgumentError("to", f"should be one image with a transform, got {to}")
        if inverse and len(transform) > 1:
            raise ArgumentError("inverse", "is for one transform, got several")
        files = [
            Transform(name, inverse=inverse, reference=reference, moving=moving)
            for name in transform
        ]
        options = {"method": method, "areas": areas, "transform": files, "space": to_space}
        try:
            with show_waiting(f"moving {atlas.name} through {len(transform)} transforms"):
                moved = resample_(atlas, to[0], **options)
        except ArgumentError as error:
            if error.argument != "space":
                raise
            # What is the space of the result there is that of the atlas here.
            remedy = "pass " + Passing(to_space="T1w") + " for one person's, or a template's name"
            raise ArgumentError("to_space", error.problem, remedy) from error
        saved = save_atlas(moved, output, overwrite=overwrite, **saving.arguments)
        print_saved(moved, saved, as_json=as_json)
        return
    for name, given in (("inverse", inverse), ("reference", reference), ("moving", moving)):
        if given:
            raise ArgumentError(name, "is of a transform", "give it by " + Passing(transform=...))
    # A file goes before a space of its name; two targets are files in any case, one per side.
    if len(to) == 1 and not expand(to[0]).exists():
        if to_space is not None:
            raise ArgumentError("to_space", f"is for files; {to[0]!r} is a space itself")
        geometry, to_space = _meshes_of(to[0], atlas, download=download), to[0]
    elif len(to) == 1 and holds_locations(to[0]):
        found = read_target(to[0])
        grid = found.grid
        # An image has one grid, which all parts of the atlas are moved to.
        geometry = to[0] if grid is None else dict.fromkeys(atlas.compartments, grid)
        if to_space is None:
            check_target_space(
                found.space, (atlas.space, repr(atlas.name)), found.name, override="to_space"
            )
    else:
        geometry = _spheres([Path(name) for name in to], atlas, to_space)
    with show_waiting(f"resampling {atlas.name}"):
        moved = resample_(atlas, geometry, method=method, areas=areas, space=to_space)
    files = save_atlas(moved, output, overwrite=overwrite, **saving.arguments)
    print_saved(moved, files, as_json=as_json)


def _move_through(
    cortex: Cortex, atlas: "Atlas", to: list[str], to_space: str | None, *, download: bool
) -> "Atlas":
    """Return an atlas of surfaces in a volume, or one of a volume on surfaces."""
    from atlasinit.catalogue import spaces
    from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
    from atlasinit.io.targets import holds_locations, read_target
    from atlasinit.sampling import to_surface, to_volume

    named = len(to) == 1 and not expand(to[0]).exists()
    sided = [c for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)]
    if sided:
        found = (
            read_target(to[0]) if len(to) == 1 and not named and holds_locations(to[0]) else None
        )
        if found is None or found.grid is None:
            wanted = f"should be one image, whose grid {atlas.name!r} is moved to, got "
            raise ArgumentError(
                "to", wanted + (f"{to[0]!r}, which is no file" if named else f"{to}")
            )
        if cortex.sampling not in (None, "ribbon"):
            problem = "is of voxels at vertices; voxels take those of the ribbon"
            raise ArgumentError("sampling", problem, "leave it out")
        space = _check_named(to_space or found.space)
        own = cortex.read(sided)
        return to_volume(atlas, found.grid, white=own["white"], pial=own["pial"], space=space)
    if named:
        if to_space is not None:
            raise ArgumentError("to_space", f"is for files; {to[0]!r} is a space itself")
        geometry, to_space = _obtain_meshes(spaces.spheres(to[0]), download=download), to[0]
    else:
        to_space = _check_named(to_space)
        geometry = _spheres([Path(name) for name in to], atlas, to_space)
    meshes = {c: mesh for c, mesh in geometry.items() if isinstance(mesh, SurfaceMesh)}
    if len(meshes) < len(geometry) or not meshes:
        raise ArgumentError(
            "to",
            f"should be spheres, or a space, whose meshes {atlas.name!r} is moved to, got {to}",
        )
    grid = next(g for g in atlas.geometry.values() if isinstance(g, VolumeGrid))
    # Voxels that the atlas does not keep have no label, which counts as one more.
    whole = VolumeGrid(grid.shape, grid.affine)
    return to_surface(atlas, cortex.make_operators(whole, meshes), space=to_space)


def _check_named(space: str | None) -> str:
    """Return the space of a volume and of the surfaces in it, which has to be stated."""
    if not space:
        remedy = "pass " + Passing(to_space="T1w") + " for one person's, or a template's name"
        raise ArgumentError("to_space", "should name the space of the result", remedy)
    return space


def _meshes_of(space: str, atlas: "Atlas", *, download: bool) -> dict[str, "SurfaceMesh"]:
    """Return the meshes of a named space, whose spheres are in register with the atlas's."""
    from atlasinit.catalogue import spaces
    from atlasinit.core.geometry import SurfaceMesh
    from atlasinit.core.spaces import parse_space

    spheres = spaces.spheres(space)
    if not any(isinstance(g, SurfaceMesh) for g in atlas.geometry.values()):
        raise ArgumentError(
            "target",
            f"is of surfaces, and {atlas.name!r} is a volume",
            "it is moved between its white and pial surfaces: pass "
            + Passing(white=Path, pial=Path),
        )
    (own, _), (target, _) = parse_space(atlas.space), parse_space(space)
    if own != target:
        raise ArgumentError(
            "target",
            f": {atlas.name!r} is in {atlas.space}, whose spheres are not in register with those "
            f"of {space}",
            f"pass spheres that are, as --to SPHERE --to SPHERE --to-space {space}",
        )
    return _obtain_meshes(spheres, download=download)


def _obtain_meshes(spheres: Mapping[str, str], *, download: bool) -> dict[str, "SurfaceMesh"]:
    from atlasinit.catalogue.sources import references

    return _meshes([references.obtain(r, allow_download=download) for r in spheres.values()])


def _spheres(paths: Sequence[Path], atlas: "Atlas", to_space: str | None) -> dict[str, "Geometry"]:
    """Return compartment to mesh of spheres, whose names should state the atlas's space.

    A file of CIFTI among them says which vertices of these meshes, and which voxels.
    """
    from atlasinit.io.agreement import check_target_space
    from atlasinit.io.bids.names import entities_of
    from atlasinit.io.targets import holds_locations, read_target

    placed = [path for path in paths if holds_locations(path)]
    if len(placed) > 1:
        raise ArgumentError(
            "target",
            f": {placed[0]} and {placed[1]} both state locations",
            "give one image, or one file of CIFTI with the spheres of its meshes",
        )
    paths = [path for path in paths if path not in placed]
    for path in paths:
        # Of a sphere ``space-`` is the one that it is in register with, and ``tpl-`` its mesh.
        for entity, stated in entities_of(path).items():
            if entity in ("tpl", "space") and to_space is None:
                check_target_space(
                    stated, (atlas.space, repr(atlas.name)), path.name, override="to_space"
                )
    meshes = _meshes(paths)
    if not placed:
        return dict(meshes)
    found = read_target(placed[0])
    if to_space is None:
        own = (atlas.space, repr(atlas.name))
        check_target_space(found.space, own, found.name, override="to_space")
    return _lay_on(found.geometry, meshes, found.name)


def _lay_on(
    locations: "Mapping[str, Geometry]", meshes: "Mapping[str, SurfaceMesh]", name: str
) -> dict[str, "Geometry"]:
    """Return the locations of CIFTI, which states numbers of vertices alone, on meshes."""
    from atlasinit.core.geometry import SurfaceMesh

    out: dict[str, Geometry] = {}
    for c, geometry in locations.items():
        mesh = meshes.get(c)
        if isinstance(geometry, SurfaceMesh) and mesh is not None:
            if mesh.n_vertices != geometry.n_vertices:
                raise ArgumentError(
                    "target",
                    f": {name} has {geometry.n_vertices} vertices for {c!r}, its sphere "
                    f"{mesh.n_vertices}",
                    "give the spheres of its meshes",
                )
            geometry = dataclasses.replace(mesh, vertices=geometry.vertices)
        out[c] = geometry
    return out


def _meshes(paths: Sequence[Path]) -> dict[str, "SurfaceMesh"]:
    """Return compartment to mesh of spheres, which tell their sides."""
    from atlasinit.core.geometry import SurfaceMesh

    return {
        side: SurfaceMesh(
            len(roles["sphere"].coordinates),
            sphere=roles["sphere"].coordinates,
            faces=roles["sphere"].faces,
            hemisphere=side[-1],
        )
        for side, roles in (read_meshes({"sphere": paths}) or {}).items()
    }
