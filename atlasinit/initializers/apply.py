"""Initialise leaves of a model, with keys that depend on nothing but their names."""

import secrets
import zlib
from collections.abc import Iterator
from typing import Any

import jax
import paramax

from atlasinit.core.maps import DenseMaps
from atlasinit.domains import Constrained, Domain, Where, constrained, unwrap
from atlasinit.domains import replace as replace_leaves
from atlasinit.errors import ArgumentError
from atlasinit.initializers.protocol import (
    Initializer,
    adapt,
    needs_fan_in,
)


def initialize(
    model: Any,
    where: Where,
    initializer: Initializer,
    *,
    key: jax.Array,
    domain: Domain | None | str = "default",
    fan_in: int | None = None,
) -> Any:
    """Return `model` with the chosen leaves initialised, and constrained to a domain.

    Each leaf has a key of its own, folded from `key` and the leaf's dotted name. So its
    values depend neither on the order of the leaves nor on what else the model holds.

    Parameters
    ----------
    model
        Any pytree.
    where
        A function, a dotted name or a pattern, as for `atlasinit.domains.constrain`.
    initializer
        Called as ``(key, shape, dtype)`` with each leaf's shape and dtype; dense maps
        count as their values, constrained nodes as what they stand for. Frozen leaves
        stay frozen.
    key
        A key for all leaves.
    domain
        Domain to constrain the leaves to; None for none. By default the domain that the
        initialiser carries, else the one that the leaf is constrained to already, else none.
    fan_in
        Number of inputs, for initialisers that ask for it.

    Raises
    ------
    ValueError
        A `where` that finds nothing, a `fan_in` that is missing, a leaf that is no array
        of numbers; and what the initialiser and the domain raise.

    Examples
    --------
    >>> import jax
    >>> import jax.numpy as jnp
    >>> from atlasinit import domains, initializers
    >>> model = {"weight": jnp.zeros((3, 5)), "bias": jnp.zeros(3)}
    >>> model = initialize(model, "weight", initializers.Dirichlet(10.0), key=jax.random.key(0))
    >>> print(domains.unwrap(model)["weight"].sum(0).round(3))
    [1. 1. 1. 1. 1.]
    """
    if isinstance(domain, str) and domain != "default":
        raise ArgumentError("domain", f'should be a Domain, None or "default", got {domain!r}')
    if needs_fan_in(initializer):
        initializer = adapt(initializer, "jax", fan_in=fan_in)

    def renew(name: str, leaf: Any) -> Any:
        # What is frozen around a constrained node stays so around the new one.
        if isinstance(leaf, paramax.NonTrainable):
            return paramax.NonTrainable(renew(name, leaf.tree))
        plain = unwrap(leaf)
        target = plain.values if isinstance(plain, DenseMaps) else plain
        if not hasattr(target, "shape") or not hasattr(target, "dtype"):
            raise ArgumentError(
                "where",
                f": {name!r} is a {type(plain).__name__}",
                "only arrays and dense maps can be initialised",
            )
        values = initializer(named_key(key, name), target.shape, target.dtype)
        if values.shape != target.shape:
            raise ArgumentError(
                "where", f": {name!r} should have shape {target.shape}, got {values.shape}"
            )
        new = DenseMaps(values) if isinstance(plain, DenseMaps) else values
        chosen = _domain_of(leaf, initializer) if isinstance(domain, str) else domain
        return new if chosen is None else constrained(new, chosen)

    return replace_leaves(model, where, renew, wrapped=True)


def named_key(key: jax.Array, name: str) -> jax.Array:
    """Return a key that depends on `key` and `name` alone."""
    # `fold_in` takes 32 bits. `hash` would differ from one process to the next.
    return jax.random.fold_in(key, zlib.crc32(name.encode()))


class KeySequence(Iterator[jax.Array]):
    """An endless sequence of keys from one seed, where a stateful generator is wanted.

    Parameters
    ----------
    seed
        Makes the sequence reproducible. None takes renew entropy from the system.

    Examples
    --------
    >>> keys = KeySequence(0)
    >>> first, second = next(keys), next(keys)
    >>> bool((first == KeySequence(0).named("layer")).all())
    False
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = secrets.randbits(32) if seed is None else seed
        self._key = jax.random.key(self.seed)
        self._count = 0

    def __next__(self) -> jax.Array:
        self._count += 1
        return jax.random.fold_in(self._key, self._count)

    def named(self, name: str) -> jax.Array:
        """Return the key of a name, the same whenever it is asked for."""
        return named_key(self._key, name)


def _domain_of(leaf: Any, initializer: Any) -> Domain | None:
    carried = getattr(initializer, "domain", None)
    own = leaf.domain if isinstance(leaf, Constrained) else None
    return own if carried is None else carried
