"""Constrained parameters: a domain, a pytree node that holds free values, and one `unwrap`.

>>> import jax.numpy as jnp
>>> from atlasinit import domains
>>> weights = domains.constrained(jnp.eye(4), domains.Simplex(purity=0.97))
>>> f"{domains.unwrap(weights)[0, 0]:.4f}"
'0.9700'
"""

from atlasinit.domains._amplitude import Amplitude as Amplitude
from atlasinit.domains._base import Domain as Domain
from atlasinit.domains._base import Fixed as Fixed
from atlasinit.domains._base import fixed as fixed
from atlasinit.domains._constrained import Constrained as Constrained
from atlasinit.domains._constrained import constrained as constrained
from atlasinit.domains._constrained import image as image
from atlasinit.domains._constrained import preimage as preimage
from atlasinit.domains._constrained import unwrap as unwrap
from atlasinit.domains._entrywise import Affine as Affine
from atlasinit.domains._entrywise import Identity as Identity
from atlasinit.domains._entrywise import Logistic as Logistic
from atlasinit.domains._entrywise import Positive as Positive
from atlasinit.domains._entrywise import Tanh as Tanh
from atlasinit.domains._matrices import SPD as SPD
from atlasinit.domains._matrices import Isochoric as Isochoric
from atlasinit.domains._matrices import Orthogonal as Orthogonal
from atlasinit.domains._simplex import Simplex as Simplex
from atlasinit.domains._sphere import NormSphere as NormSphere
from atlasinit.domains._trees import Where as Where
from atlasinit.domains._trees import constrain as constrain
from atlasinit.domains._trees import enforce as enforce
from atlasinit.domains._trees import freeze as freeze
from atlasinit.domains._trees import names as names
from atlasinit.domains._trees import replace as replace
from atlasinit.domains._trees import saturation as saturation
from atlasinit.domains._trees import trainable as trainable
