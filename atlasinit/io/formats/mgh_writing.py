"""Values of parcels as MGH: overlays of FreeSurfer's surfaces, and volumes."""

from pathlib import Path
from typing import Any

from nibabel.freesurfer import MGHImage

from atlasinit.core.geometry import VolumeGrid
from atlasinit.errors import ArgumentError, AtlasFileWarning, format_list, warn
from atlasinit.io.formats.choosing import suggest
from atlasinit.io.formats.hemispheres import targets
from atlasinit.io.painted import Painted
from atlasinit.support.files import expand
from atlasinit.support.typing import PathLike
from atlasinit.support.writing import atomic_writes


def paint(painted: Painted, path: PathLike, *, overwrite: bool = False) -> list[Path]:
    """Write values of parcels as MGH: an overlay a hemisphere, or one volume.

    In single precision, which is all that MGH holds. An overlay has a value for each vertex of
    the whole mesh and a frame for each map, whose names MGH has no place for.

    Raises
    ------
    ValueError
        Volumes beside surfaces, names of maps, a time step, numbers beyond single precision.
    """
    painted.check_maps(path)
    if painted.names is not None:
        raise ArgumentError(
            "names",
            f": {Path(path).name} has no place for names of maps",
            suggest(painted.atlas, values=True, alone=False),
        )
    if painted.columns is not None and len(painted.columns) > 1:
        kept = f"maps have no names here, only their order: {format_list(painted.columns)}"
        warn(AtlasFileWarning(path, kept))
    painted = painted.single(path)
    grid, *others = painted.atlas.geometry.values()
    if isinstance(grid, VolumeGrid) and not others:
        files = {next(iter(painted.atlas.compartments)): expand(path)}
    else:
        files = targets(painted.atlas, path, values=True)
    with atomic_writes(files, overwrite=overwrite) as temporary:
        for c, values in painted.locations.items():
            geometry = painted.atlas.geometry[c]
            frames: Any = geometry.put(values, fill=painted.fill)
            affine = geometry.affine if isinstance(geometry, VolumeGrid) else None
            if affine is None:
                # FreeSurfer stores values of vertices as a volume (vertices, 1, 1, frames):
                # https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat
                frames = frames[:, None, None]
            frames = frames[..., 0] if frames.shape[-1] == 1 else frames
            MGHImage(frames, affine).to_filename(temporary[c])
    return list(files.values())
