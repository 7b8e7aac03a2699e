"""Initialisers, called ``(key, shape, dtype=None, out_sharding=None)`` as those of JAX.

They can be given to Flax (linen and nnx) as they are, and to any model of leaves through
`initialize`, which also constrains the leaves to the domain that an initialiser carries.
"""

from jax.nn.initializers import constant as constant
from jax.nn.initializers import ones as ones
from jax.nn.initializers import zeros as zeros

from atlasinit.initializers.apply import KeySequence as KeySequence
from atlasinit.initializers.apply import initialize as initialize
from atlasinit.initializers.atlas import Atlas as Atlas
from atlasinit.initializers.dirichlet import Dirichlet as Dirichlet
from atlasinit.initializers.dirichlet import dirichlet_atlas as dirichlet_atlas
from atlasinit.initializers.filters import FrequencyFilter as FrequencyFilter
from atlasinit.initializers.general import broadcast as broadcast
from atlasinit.initializers.general import delta_plus as delta_plus
from atlasinit.initializers.general import from_distribution as from_distribution
from atlasinit.initializers.general import identity as identity
from atlasinit.initializers.general import laplace as laplace
from atlasinit.initializers.general import toeplitz as toeplitz
from atlasinit.initializers.positive import hoedt_bias as hoedt_bias
from atlasinit.initializers.positive import hoedt_normal as hoedt_normal
from atlasinit.initializers.protocol import FanInInitializer as FanInInitializer
from atlasinit.initializers.protocol import Initializer as Initializer
from atlasinit.initializers.protocol import Paired as Paired
from atlasinit.initializers.protocol import adapt as adapt
from atlasinit.initializers.tangency import mean_spd as mean_spd
from atlasinit.initializers.tangency import tangency as tangency
from atlasinit.initializers.variance import glorot_normal as glorot_normal
from atlasinit.initializers.variance import glorot_uniform as glorot_uniform
from atlasinit.initializers.variance import he_normal as he_normal
from atlasinit.initializers.variance import normal as normal
from atlasinit.initializers.variance import uniform as uniform
from atlasinit.initializers.variance import variance_scaling as variance_scaling
from atlasinit.initializers.variance import xavier_normal as xavier_normal
from atlasinit.initializers.variance import xavier_uniform as xavier_uniform
