"""Weights at distances: the profiles of the kernels between scattered locations."""

import math
from typing import Any

import equinox as eqx
import numpy as np
from jaxtyping import Float32, Int32

from atlasinit.smoothing.types import Width
from atlasinit.support.typing import AnyArray


class Sphere(eqx.Module):
    r"""Coordinates from which great-circle distances are computed.

    Parameters
    ----------
    points
        Coordinates of the locations on a sphere of `radius`, and one row of zeros for
        the padding.
    radius
        Radius in mm.
    series
        Coefficients of :math:`(\arcsin z)^2 / z^2` in powers of :math:`z^2`, enough for
        the reach: a small part of the cost of an arcsine.
    profile
        ``"gaussian"`` of the great-circle distance, or ``"heat"``.
    """

    points: Float32[AnyArray, "padded 3"]
    radius: float = eqx.field(static=True)
    series: tuple[float, ...] = eqx.field(static=True)
    profile: str = eqx.field(static=True)


def sphere_weights(
    rows: Int32[AnyArray, "tiles size"],
    columns: Int32[AnyArray, "tiles width"],
    *,
    sigma: float,
    sphere: Sphere,
    reach: float,
) -> Float32[np.ndarray, "tiles size width"]:
    """Return the weights between the locations of tiles on the host, in few steps per entry."""
    points, radius = np.asarray(sphere.points).T, sphere.radius
    own, near = (points[:, places].astype(np.float64) for places in (rows, columns))
    # |x - y|^2 = |x|^2 + |y|^2 - 2 x y, as one product; doubles lose nothing by the difference.
    left = np.stack([*(-2 * own), (own**2).sum(axis=0), np.ones_like(own[0])], axis=-1)
    right = np.stack([*near, np.ones_like(near[0]), (near**2).sum(axis=0)], axis=1)
    chord = np.matmul(left, right).astype(np.float32)
    outside = chord > chord_of(reach, radius) ** 2
    if sphere.profile == "gaussian":
        # The polynomial of `arc_squared` in place, its coefficients multiplied beforehand.
        unit = 1 / (2 * radius) ** 2
        series = [-c * unit**i / (2 * sigma**2) for i, c in enumerate(sphere.series)]
        out = chord * series[-1]
        for coefficient in series[-2::-1]:
            out += coefficient
            out *= chord
        np.exp(out, out=out)
    else:
        out = profile_of(arc_squared(chord, sphere), sigma, sphere, np)
    np.copyto(out, 0, where=outside)
    return out


def chord_of(arc: float, radius: float) -> float:
    """Return the straight distance of two points on a sphere."""
    # Half an arc of angle a subtends half the chord: c / 2 = R sin(a / 2), a = arc / R.
    return 2 * radius * math.sin(arc / (2 * radius))


def arc_squared(chord: Any, sphere: Sphere) -> Any:
    """Return the squared great-circle distances in mm2 of squared chords."""
    # arc^2 = (2 R)^2 asin(z)^2 = c^2 (asin(z) / z)^2 of z = c / 2R, as a polynomial in z^2 by
    # Horner's rule; it has no root of 0, whose derivative is infinite.
    ratio = chord * (1 / (2 * sphere.radius) ** 2)
    arc = sphere.series[-1]
    for coefficient in sphere.series[-2::-1]:
        arc = arc * ratio + coefficient
    return chord * arc


def profile_of(squared: Any, sigma: Width, sphere: Sphere | None, xp: Any) -> Any:
    """Return the weights at squared distances in mm2; `xp` is NumPy or JAX's like of it."""
    exponent = squared * (-0.5 / sigma**2)
    if sphere is not None and sphere.profile == "heat":
        exponent = exponent + _heat_correction(squared, sphere.radius, sigma)
    return xp.exp(exponent)


def _heat_correction(squared: Any, radius: float, sigma: Width) -> Any:
    r"""Return the exponent by which the heat kernel differs from a Gaussian.

    For :math:`t = \sigma^2 / 2R^2`, up to a factor that does not depend on the angle
    (S. Minakshisundaram and A. Pleijel, Canad. J. Math. 1, 242, 1949),

    .. math:: e^{-\theta^2 / 4t} \sqrt{\theta / \sin\theta}\,(1 + t\,a_1(\theta) + ...).
    """
    # log sqrt(x / sin x) = x^2 / 12 + x^4 / 360 + x^6 / 5670 + ..., and a_1 = 1/3 + x^2 / 180 + ...
    # of the angle x, whose square is `angle`; 1/3 depends on no angle.
    angle = squared * (1 / radius**2)
    time = sigma**2 * (1 / (2 * radius**2))
    return angle * (1 / 12 + time / 180 + angle * (1 / 360 + angle * (1 / 5670)))
