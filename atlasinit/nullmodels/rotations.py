"""Uniform random rotations of spheres, and their mirror images for the other hemisphere."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float64

from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.support.keys import check_key
from atlasinit.support.numbers import check_whole_number

MIRROR = np.diag([-1.0, 1.0, 1.0])
"""The reflection x -> -x, which takes one hemisphere to the other."""


def draw_rotations(n: int, *, key: Any) -> Float64[np.ndarray, "n 3 3"]:
    r"""Return rotation matrices that are drawn uniformly from all rotations of a sphere.

    Four independent normal numbers, divided by their norm, are uniform on the sphere of unit
    quaternions, and so are the rotations :math:`x \mapsto R x` that these stand for (Shoemake,
    1992, Uniform random rotations). It is the distribution of the QR decomposition with a sign
    fix that neuromaps and brainspace draw.

    Parameters
    ----------
    n
        How many.
    key
        Of JAX.

    Raises
    ------
    ValueError, TypeError
        What is no whole number from 1, or no key.

    Examples
    --------
    >>> import jax
    >>> rotations = draw_rotations(5, key=jax.random.key(0))
    >>> rotations.shape, bool(np.allclose(np.linalg.det(rotations), 1))
    ((5, 3, 3), True)
    """
    from scipy.spatial.transform import Rotation

    count = check_whole_number(n, "n", least=1)
    quaternions = jax.random.normal(check_key(key), (count, 4), jnp.float32)
    # In double precision before they are normalised, so that matrices are orthogonal to 1e-16.
    return Rotation.from_quat(np.asarray(quaternions, np.float64)).as_matrix()


def check_rotations(rotations: Any) -> Float64[np.ndarray, "n 3 3"]:
    """Return rotations of a user as matrices, checked to be rotations."""
    given = rotations.as_matrix() if hasattr(rotations, "as_matrix") else rotations
    try:
        matrices = np.array(given, np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentTypeError("rotations", f"should be numbers: {error}") from error
    if matrices.ndim == 2:
        matrices = matrices[None]
    if matrices.ndim != 3 or matrices.shape[1:] != (3, 3) or not len(matrices):
        raise ArgumentError(
            "rotations",
            f"should be matrices (n, 3, 3) or a Rotation of SciPy, got shape {matrices.shape}",
        )
    # R R^T = 1. NaN compares as false and is refused, too.
    off = np.abs(matrices @ matrices.transpose(0, 2, 1) - np.eye(3)).max(axis=(1, 2))
    bad = np.flatnonzero(~(off <= 1e-6))
    if bad.size:
        raise ArgumentError(
            "rotations",
            f"should be orthogonal, but {bad.size} of {len(matrices)} are not, the first is "
            f"number {bad[0]}",
        )
    flipped = np.flatnonzero(np.linalg.det(matrices) < 0)
    if flipped.size:
        raise ArgumentError(
            "rotations",
            f"should have the determinant 1, but {flipped.size} of {len(matrices)} are "
            f"reflections, the first is number {flipped[0]}",
            "The right hemisphere is mirrored here: give the rotations of the left one",
        )
    return matrices


def mirror(rotations: Float64[np.ndarray, "n 3 3"]) -> Float64[np.ndarray, "n 3 3"]:
    """Return the rotations that do to a mirrored sphere what `rotations` do to the sphere."""
    return MIRROR @ rotations @ MIRROR
