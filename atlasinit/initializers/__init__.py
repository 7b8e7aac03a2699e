"""Initialisers, called ``(key, shape, dtype=None, out_sharding=None)`` as those of JAX.

They can be given to Flax (linen and nnx) as they are, and to any model of leaves through
`initialize`, which also constrains the leaves to the domain that an initialiser carries.
"""

from jax.nn.initializers import constant as constant
from jax.nn.initializers import ones as ones
from jax.nn.initializers import zeros as zeros

from atlasinit.initializers._apply import KeySequence as KeySequence
from atlasinit.initializers._apply import initialize as initialize
from atlasinit.initializers._atlas import Atlas as Atlas
from atlasinit.initializers._dirichlet import Dirichlet as Dirichlet
from atlasinit.initializers._dirichlet import dirichlet_atlas as dirichlet_atlas
from atlasinit.initializers._filters import FrequencyFilter as FrequencyFilter
from atlasinit.initializers._general import broadcast as broadcast
from atlasinit.initializers._general import delta_plus as delta_plus
from atlasinit.initializers._general import from_distribution as from_distribution
from atlasinit.initializers._general import identity as identity
from atlasinit.initializers._general import laplace as laplace
from atlasinit.initializers._general import toeplitz as toeplitz
from atlasinit.initializers._positive import hoedt_bias as hoedt_bias
from atlasinit.initializers._positive import hoedt_normal as hoedt_normal
from atlasinit.initializers._protocol import FanInInitializer as FanInInitializer
from atlasinit.initializers._protocol import Initializer as Initializer
from atlasinit.initializers._protocol import Paired as Paired
from atlasinit.initializers._protocol import adapt as adapt
from atlasinit.initializers._tangency import mean_spd as mean_spd
from atlasinit.initializers._tangency import tangency as tangency
from atlasinit.initializers._variance import glorot_normal as glorot_normal
from atlasinit.initializers._variance import glorot_uniform as glorot_uniform
from atlasinit.initializers._variance import he_normal as he_normal
from atlasinit.initializers._variance import normal as normal
from atlasinit.initializers._variance import uniform as uniform
from atlasinit.initializers._variance import variance_scaling as variance_scaling
from atlasinit.initializers._variance import xavier_normal as xavier_normal
from atlasinit.initializers._variance import xavier_uniform as xavier_uniform
