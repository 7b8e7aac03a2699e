"""Where the values of a file or an image lie: the locations that an atlas is moved to."""

import dataclasses
from typing import Any

from nibabel.cifti2 import Cifti2Image
from nibabel.filebasedimages import FileBasedImage
from nibabel.spatialimages import SpatialImage

from atlasinit.core.geometry import Geometry, VolumeGrid
from atlasinit.errors import ArgumentTypeError
from atlasinit.io.formats import cifti, freesurfer, gifti, nifti
from atlasinit.io.formats.registry import state_by_name
from atlasinit.io.input import Input
from atlasinit.support.typing import PathLike


@dataclasses.dataclass(frozen=True, eq=False)
class Target:
    """The locations of a file or an image.

    Parameters
    ----------
    geometry
        Compartment to locations; of an image of a grid its whole grid, as ``volume``.
    space
        That its name or header states; ``""`` where they state none.
    name
        What messages call it.
    """

    geometry: dict[str, Geometry]
    space: str
    name: str

    @property
    def grid(self) -> VolumeGrid | None:
        """Its only grid, None where it has none or is of surfaces too."""
        # A CIFTI file of voxels alone has one grid, too.
        only = next(iter(self.geometry.values())) if len(self.geometry) == 1 else None
        return only if isinstance(only, VolumeGrid) else None


def read_target(given: PathLike | FileBasedImage) -> Target:
    """Return the locations of an image of a grid or of a CIFTI-2 file, in memory or on the disk.

    Raises
    ------
    TypeError
        An image of another kind.
    AtlasFileError
        A file that is missing or of another kind.
    """
    if isinstance(given, FileBasedImage) and not isinstance(given, SpatialImage | Cifti2Image):
        raise ArgumentTypeError(
            "target", f"should be an image of a grid, or CIFTI-2, got {type(given).__name__}"
        )
    source = Input(given)
    geometry: dict[str, Geometry]
    # A file of CIFTI-2 ends in .nii as well, so that CIFTI has to be asked for first.
    if cifti.claims(source):
        values = cifti.values(source)
        geometry = {block.compartment: block.geometry for block in values.blocks}
        stated = values.stated
    else:
        grid, stated = nifti.read_grid(source)
        geometry = {nifti.VOLUME: grid}
    return Target(geometry, state_by_name(stated, source).space, str(source))


def holds_locations(path: PathLike) -> bool:
    """Whether a file is one that `read_target` reads, by its name and first bytes."""
    with Input(path) as source:
        return cifti.claims(source) or nifti.claims(source)


def holds_surface(given: PathLike | FileBasedImage) -> bool:
    """Whether something is GIFTI, by its name, or a surface of FreeSurfer, by its first bytes."""
    with Input(given) as source:
        return gifti.claims(source) or freesurfer.is_surface(source)


def is_target(given: Any) -> bool:
    """Whether `read_target` may read something: a path, or an image of nibabel."""
    return isinstance(given, str | FileBasedImage) or hasattr(given, "__fspath__")
