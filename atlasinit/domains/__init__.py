"""Constrained parameters: a domain, a pytree node that holds free values, and one `unwrap`.

>>> import jax.numpy as jnp
>>> from atlasinit import domains
>>> weights = domains.constrained(jnp.eye(4), domains.Simplex(purity=0.97))
>>> f"{domains.unwrap(weights)[0, 0]:.4f}"
'0.9700'
"""

from atlasinit.domains.amplitude import Amplitude as Amplitude
from atlasinit.domains.base import Domain as Domain
from atlasinit.domains.base import EntrywiseDomain as EntrywiseDomain
from atlasinit.domains.base import Fixed as Fixed
from atlasinit.domains.base import fixed as fixed
from atlasinit.domains.entrywise import Affine as Affine
from atlasinit.domains.entrywise import Identity as Identity
from atlasinit.domains.entrywise import Logistic as Logistic
from atlasinit.domains.entrywise import Positive as Positive
from atlasinit.domains.entrywise import Tanh as Tanh
from atlasinit.domains.matrices import SPD as SPD
from atlasinit.domains.matrices import Isochoric as Isochoric
from atlasinit.domains.matrices import Orthogonal as Orthogonal
from atlasinit.domains.parameters import Constrained as Constrained
from atlasinit.domains.parameters import constrained as constrained
from atlasinit.domains.parameters import image as image
from atlasinit.domains.parameters import preimage as preimage
from atlasinit.domains.parameters import unwrap as unwrap
from atlasinit.domains.simplex import Simplex as Simplex
from atlasinit.domains.sphere import NormSphere as NormSphere
from atlasinit.domains.trees import Where as Where
from atlasinit.domains.trees import constrain as constrain
from atlasinit.domains.trees import enforce as enforce
from atlasinit.domains.trees import freeze as freeze
from atlasinit.domains.trees import names as names
from atlasinit.domains.trees import replace as replace
from atlasinit.domains.trees import saturation as saturation
from atlasinit.domains.trees import trainable as trainable
