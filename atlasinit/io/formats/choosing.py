"""Which formats can hold an atlas, for the advice of those that cannot."""

from atlasinit.core.atlas import Atlas
from atlasinit.core.geometry import SurfaceMesh, VolumeGrid
from atlasinit.core.maps import HardMaps
from atlasinit.errors import Call, Words
from atlasinit.io.formats.brain_models import is_structure, voxel_structures


def suggest(
    atlas: Atlas, *, values: bool = False, double: bool = False, alone: bool = True
) -> Words:
    """Return in which formats to save an atlas, or values of its parcels, all of which can.

    Parameters
    ----------
    atlas
        What is to be saved.
    values
        Whether values of its parcels are.
    double
        Whether in double precision.
    alone
        Whether the format that cannot hold it would hold one compartment.
    """
    meshes = [c for c, g in atlas.geometry.items() if isinstance(g, SurfaceMesh)]
    grids = [g for g in atlas.geometry.values() if isinstance(g, VolumeGrid)]
    hard = not values and all(isinstance(m, HardMaps) for m in atlas.maps.values())
    fit = [".nii.gz"] if len(grids) == 1 and not meshes else []
    # GIFTI holds surfaces alone, and floats in single precision.
    if not grids and not double:
        fit.append(".label.gii" if hard else ".func.gii")
    if all(map(is_structure, meshes)) and _fit_cifti(grids):
        fit.append(".dlabel.nii" if hard else ".dscalar.nii")
    # An archive holds any atlas, but no values of its parcels.
    fit += [] if values else [".npz"]
    told: Words = f"save as {' or '.join(fit)}" if fit else ""
    if alone and len(atlas.compartments) > 1:
        several = "take one compartment by " + Call("atlas.select", compartments=...)
        told = told + ", or " + several if fit else several
    return told


def _fit_cifti(grids: list[VolumeGrid]) -> bool:
    return len(grids) < 2 and all(voxel_structures(grid) == "" for grid in grids)
