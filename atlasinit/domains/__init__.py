"""Constrained parameters: a domain, a pytree node that holds free values, and one `unwrap`.

>>> import jax.numpy as jnp
>>> from atlasinit import domains
>>> weights = domains.constrained(jnp.eye(4), domains.Simplex(purity=0.97))
>>> f"{domains.unwrap(weights)[0, 0]:.4f}"
'0.9700'
"""

from atlasinit.domains.amplitude import Amplitude
from atlasinit.domains.base import Domain, EntrywiseDomain, Fixed, fixed
from atlasinit.domains.entrywise import Affine, Identity, Logistic, Positive, Tanh
from atlasinit.domains.matrices import SPD, Isochoric, Orthogonal
from atlasinit.domains.parameters import Constrained, constrained, image, preimage, unwrap
from atlasinit.domains.simplex import Simplex
from atlasinit.domains.sphere import NormSphere
from atlasinit.domains.trees import (
    Where,
    constrain,
    enforce,
    freeze,
    names,
    replace,
    saturation,
    trainable,
)

__all__ = [
    "Affine",
    "Amplitude",
    "Constrained",
    "Domain",
    "EntrywiseDomain",
    "Fixed",
    "Identity",
    "Isochoric",
    "Logistic",
    "NormSphere",
    "Orthogonal",
    "Positive",
    "SPD",
    "Simplex",
    "Tanh",
    "Where",
    "constrain",
    "constrained",
    "enforce",
    "fixed",
    "freeze",
    "image",
    "names",
    "preimage",
    "replace",
    "saturation",
    "trainable",
    "unwrap",
]


def __dir__() -> list[str]:
    return __all__
