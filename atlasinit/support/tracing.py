"""What is of a function that JAX is tracing."""

from typing import Any

import jax
from jax.core import Tracer


def is_traced(arrays: Any) -> bool:
    """Return whether any array, as of an atlas or maps, is of a function that is being traced."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(arrays))
