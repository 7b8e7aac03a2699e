"""Types that the kernels share.

A kernel is a symmetric matrix :math:`K_{ij} = k(d_{ij}; sigma)` between the locations of
a geometry. Which entries are there is fixed when it is built; their values depend on
sigma, which may be traced. `GridKernel` and `BlockKernel` answer to the same methods:
``store(sigma)``, ``apply(data, sigma, stored)`` for ``K @ data`` in JAX, and
``spread(matrix, sigma, stored)`` for ``matrix @ K`` of a sparse matrix on the host.
"""

from typing import TypeAlias

import jax
import numpy as np

Width: TypeAlias = float | np.ndarray | jax.Array
"""A kernel's sigma in mm; a JAX array where it may be traced."""

Stored: TypeAlias = tuple[np.ndarray | jax.Array, ...]
"""What a kernel has evaluated once, at one width."""
