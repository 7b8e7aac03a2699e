"""The array vocabulary of the project.

Axes have one name everywhere: ``parcels`` (rows of a map), ``locations`` (kept
voxels or vertices of a compartment, columns of a map), ``vertices`` (all
vertices of a mesh), ``faces``, ``time`` (or any other repeated measure), and
``nonzeros`` (stored entries of a sparse map).
"""

import os
from typing import TypeAlias

import jax
import numpy as np

AnyArray: TypeAlias = jax.Array | np.ndarray
"""A JAX array (possibly traced) or a NumPy array."""

PathLike: TypeAlias = str | os.PathLike[str]
