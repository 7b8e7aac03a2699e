"""Initialisers, called ``(key, shape, dtype=None, out_sharding=None)`` as those of JAX.

They can be given to Flax (linen and nnx) as they are, and to any model of leaves through
`initialize`, which also constrains the leaves to the domain that an initialiser carries.
"""

from jax.nn.initializers import constant, ones, zeros

from atlasinit.initializers.apply import KeySequence, initialize
from atlasinit.initializers.atlas import AtlasWeights
from atlasinit.initializers.dirichlet import Dirichlet, dirichlet_atlas
from atlasinit.initializers.draws import (
    delta_orthogonal,
    normal,
    orthogonal,
    truncated_normal,
    uniform,
    uniform_between,
)
from atlasinit.initializers.filter_bank import FilterBank
from atlasinit.initializers.filters import FrequencyFilter
from atlasinit.initializers.general import (
    broadcast,
    delta_plus,
    from_distribution,
    identity,
    laplace,
    toeplitz,
)
from atlasinit.initializers.lattice import Lattice, bipartite_lattice
from atlasinit.initializers.positive import hoedt_bias, hoedt_normal
from atlasinit.initializers.protocol import FanInInitializer, Initializer, Paired, adapt
from atlasinit.initializers.recursive import RecursiveFilter
from atlasinit.initializers.sylo import sylo
from atlasinit.initializers.tangency import mean_spd, tangency
from atlasinit.initializers.variance import (
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    kaiming_normal,
    kaiming_uniform,
    lecun_normal,
    lecun_uniform,
    variance_scaling,
    xavier_normal,
    xavier_uniform,
)

__all__ = [
    "AtlasWeights",
    "Dirichlet",
    "FanInInitializer",
    "FilterBank",
    "FrequencyFilter",
    "Initializer",
    "KeySequence",
    "Lattice",
    "Paired",
    "RecursiveFilter",
    "adapt",
    "bipartite_lattice",
    "broadcast",
    "constant",
    "delta_orthogonal",
    "delta_plus",
    "dirichlet_atlas",
    "from_distribution",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "hoedt_bias",
    "hoedt_normal",
    "identity",
    "initialize",
    "kaiming_normal",
    "kaiming_uniform",
    "laplace",
    "lecun_normal",
    "lecun_uniform",
    "mean_spd",
    "normal",
    "ones",
    "orthogonal",
    "sylo",
    "tangency",
    "toeplitz",
    "truncated_normal",
    "uniform",
    "uniform_between",
    "variance_scaling",
    "xavier_normal",
    "xavier_uniform",
    "zeros",
]


def __dir__() -> list[str]:
    return __all__
