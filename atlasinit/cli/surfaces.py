"""Options of the surfaces of the cortex, between which volumes and meshes meet."""

import dataclasses
import functools
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from atlasinit.cli.options import panel
from atlasinit.cli.values import read_meshes
from atlasinit.errors import Argument, ArgumentError, Passing

if TYPE_CHECKING:
    from atlasinit.core.atlas import Atlas
    from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
    from atlasinit.sampling.operator import SamplingOperator

_CORTEX = functools.partial(panel, "Between volumes and surfaces")


@dataclasses.dataclass(frozen=True)
class Cortex:
    """Where the cortex lies in a volume, and how its vertices take the values of voxels."""

    white: Annotated[
        list[Path] | None,
        _CORTEX("FILE", "White surface, in the mm of the volume; twice for two sides."),
    ] = None
    pial: Annotated[
        list[Path] | None, _CORTEX("FILE", "Pial surface of the same mesh; twice for two sides.")
    ] = None
    sampling: Annotated[
        Literal["ribbon", "line", "trilinear", "nearest"] | None,
        _CORTEX("HOW", "Of voxels: ribbon (by default), line, trilinear or nearest."),
    ] = None

    @property
    def is_given(self) -> bool:
        """Whether there are surfaces.

        Raises
        ------
        ValueError
            Surfaces of one kind alone, or a way of sampling without any.
        """
        for name, own, other in (
            ("white", self.white, self.pial),
            ("pial", self.pial, self.white),
            ("sampling", self.sampling, self.white),
        ):
            if own and not other:
                problem = "needs the white and the pial surface"
                raise ArgumentError(name, problem, "pass " + Passing(white=Path, pial=Path))
        return bool(self.white)

    def read(self, compartments: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Return the surfaces of compartments, as ``{"white": {"cortex_L": ...}, "pial": ...}``.

        Raises
        ------
        ValueError
            Surfaces of other compartments.
        """
        wanted = list(compartments)
        found = read_meshes({"white": self.white or [], "pial": self.pial or []}) or {}
        out = {
            role: {c: own[role] for c, own in found.items() if role in own}
            for role in ("white", "pial")
        }
        for role, own in out.items():
            if set(own) != set(wanted):
                raise ArgumentError(
                    role, f"should be one of each of {wanted}, got those of {list(own)}"
                )
        return out

    def make_operators(
        self, grid: "VolumeGrid", meshes: "Mapping[str, SurfaceMesh]"
    ) -> "dict[str, SamplingOperator]":
        """Return what takes the voxels of a grid to the vertices of each mesh."""
        from atlasinit.sampling import sampling_operator

        surfaces = self.read(meshes)
        return {
            c: sampling_operator(
                grid,
                mesh,
                white=surfaces["white"][c],
                pial=surfaces["pial"][c],
                method=self.sampling or "ribbon",
            )
            for c, mesh in meshes.items()
        }


def unite_meshes(atlases: "Iterable[Atlas]") -> "dict[str, SurfaceMesh]":
    """Return compartment to the mesh with all vertices that any of several atlases keeps.

    Raises
    ------
    ValueError
        Atlases without a surface, or on different meshes.
    """
    from atlasinit.aligning import unite_geometries
    from atlasinit.core.geometry import SurfaceMesh

    found: dict[str, dict[str, SurfaceMesh]] = {}
    for number, atlas in enumerate(atlases):
        for c, geometry in atlas.geometry.items():
            if isinstance(geometry, SurfaceMesh):
                found.setdefault(c, {})[f"{atlas.name} ({number + 1})"] = geometry
    if not found:
        problem = "and " + Argument("pial") + " are for atlases of surfaces"
        raise ArgumentError("white", problem, "leave them out")
    out = {}
    for c, own in found.items():
        mesh, _ = unite_geometries(list(own.values()), list(own), compartment=c, argument="atlas")
        assert isinstance(mesh, SurfaceMesh)
        out[c] = mesh
    return out
