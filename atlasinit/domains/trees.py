"""Choose leaves of a model by function, name or pattern; constrain, freeze or project them."""

import fnmatch
from collections.abc import Callable
from typing import Any, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import paramax

from atlasinit.core.maps import (
    DenseMaps,
    HardMaps,
    SparseMaps,
)
from atlasinit.domains.base import Domain
from atlasinit.domains.parameters import (
    Constrained,
    constrained,
)
from atlasinit.errors import ArgumentError, ArgumentTypeError, format_list, nearest
from atlasinit.support.typing import AnyArray

Where: TypeAlias = str | Callable[[Any], Any]
"""A function from the model to the parts meant, a dotted name, or a pattern of names."""

_NODES = (DenseMaps, HardMaps, SparseMaps, paramax.AbstractUnwrappable)


def constrain(model: Any, where: Where, domain: Domain) -> Any:
    """Return `model` with the chosen leaves replaced by nodes constrained to a domain.

    Parameters
    ----------
    model
        Any pytree.
    where
        A function such as ``lambda m: m.layers[0].weight`` that returns a leaf, a
        subtree or several; or a dotted name, ``"layers.0.weight"``; or a pattern over
        names as for a shell, ``"layers.*.weight"``. Names are those that `names` lists.
    domain
        The domain.

    Raises
    ------
    ValueError
        A `where` that finds nothing (the nearest names are listed), or a leaf that is
        constrained or frozen already.

    Examples
    --------
    >>> import jax.numpy as jnp
    >>> from atlasinit import domains
    >>> model = constrain({"w": jnp.full((3, 2), 0.5), "b": jnp.zeros(3)}, "w", domains.Positive())
    >>> domains.unwrap(model)["w"].round(3).tolist()[0]
    [0.5, 0.5]
    """
    return replace(model, where, lambda _, leaf: constrained(leaf, domain))


def freeze(model: Any, where: Where) -> Any:
    """Return `model` with the chosen leaves wrapped so that no gradient reaches them.

    `unwrap` resolves them (`paramax.NonTrainable`); `trainable` leaves them out. See
    `constrain` for `where` and what is raised.
    """
    return replace(model, where, lambda _, leaf: paramax.NonTrainable(leaf), wrapped=True)


def trainable(model: Any, where: Where = "*") -> Any:
    """Return a pytree of booleans: true at the chosen floating-point leaves that are not frozen.

    For ``equinox.partition(model, trainable(model, "layers.*"))``.
    """
    chosen = _choose(model, where)

    def flag(path: tuple[Any, ...], node: Any) -> Any:
        wanted = _name(path) in chosen and not isinstance(node, paramax.NonTrainable)
        return jax.tree.map(lambda leaf: wanted and eqx.is_inexact_array(leaf), node)

    return jax.tree_util.tree_map_with_path(flag, model, is_leaf=_is_node)


def enforce(
    model: Any, where: Where, projection: Callable[[Any], Any], *, axis: int | None = None
) -> Any:
    """Return `model` with the chosen arrays projected, for use after an optimiser's step.

    The other way to keep a constraint: the array itself is trained, and moved back
    onto the set after each step. Unlike a domain it can give exact zeros.

    Parameters
    ----------
    model, where
        As for `constrain`.
    projection
        A function of an array, such as ``optax.projections.projection_simplex``.
    axis
        Apply `projection` to each one-dimensional slice along this axis, rather than to
        the whole array. For maps (parcels, locations) and a simplex: -2.

    Raises
    ------
    ValueError
        As `constrain`, and a projection that changes the shape.
    """

    def project(_: str, leaf: Any) -> Any:
        if isinstance(leaf, DenseMaps):
            return DenseMaps(_project(leaf.values, projection, axis))
        if isinstance(leaf, SparseMaps | HardMaps):
            raise ArgumentTypeError(
                "enforce", f"needs arrays or dense maps, got {type(leaf).__name__}"
            )
        return _project(leaf, projection, axis)

    return replace(model, where, project)


def saturation(model: Any, *, tolerance: float | int = 1e-6) -> dict[str, float]:
    """Return, per constrained node, the share of its free values that can hardly learn.

    A free value is saturated if the derivative of its own entry of the image is
    below `tolerance` in size. Nodes whose domains act on whole vectors or matrices
    other than distributions do not saturate and are left out.
    """
    found = {}
    for path, node in jax.tree_util.tree_leaves_with_path(model, is_leaf=_is_node):
        if isinstance(node, Constrained) and (rate := node.slope()) is not None:
            found[_name(path)] = float(jnp.mean(jnp.abs(rate) < tolerance)) if rate.size else 0.0
    return found


def names(model: Any) -> list[str]:
    """Return the dotted names of the leaves of a model; maps and constrained nodes are leaves."""
    leaves = jax.tree_util.tree_leaves_with_path(model, is_leaf=_is_node)
    return [_name(path) for path, leaf in leaves if _is_node(leaf) or eqx.is_array(leaf)]


def replace(
    model: Any, where: Where, new: Callable[[str, Any], Any], *, wrapped: bool = False
) -> Any:
    """Return `model` with ``new(name, leaf)`` in the place of each chosen leaf.

    Unless `wrapped`, a chosen leaf that is constrained or frozen already is an error.
    """
    chosen = _choose(model, where)

    def visit(path: tuple[Any, ...], leaf: Any) -> Any:
        name = _name(path)
        if name not in chosen:
            return leaf
        if isinstance(leaf, paramax.AbstractUnwrappable) and not wrapped:
            raise ArgumentError(
                "where", f": {name!r} is a {type(leaf).__name__} already", "`unwrap` it first"
            )
        return new(name, leaf)

    return jax.tree_util.tree_map_with_path(visit, model, is_leaf=_is_node)


def _choose(model: Any, where: Where) -> set[str]:
    every = names(model)
    if isinstance(where, str):
        # A name may hold signs that a pattern gives a meaning, such as brackets.
        chosen = {n for n in every if n == where or fnmatch.fnmatchcase(n, where)}
        hint = nearest(where, every)
    else:
        # The function gets the model with names for leaves, which tell equal leaves apart.
        marked = jax.tree_util.tree_map_with_path(lambda path, _: _Mark(_name(path)), model)
        try:
            reached = where(marked)
        except (AttributeError, LookupError) as error:
            raise ArgumentError(
                "where", f"raises {error!r}", f"Names: {format_list(every)}"
            ) from error
        marks = jax.tree.leaves(reached, is_leaf=lambda x: isinstance(x, _Mark))
        found = {mark.name for mark in marks if isinstance(mark, _Mark)}
        # A function may reach inside maps, which are chosen as a whole.
        chosen = {n for n in every if any(f == n or f.startswith(f"{n}.") for f in found)}
        hint = ""
    if not chosen:
        raise ArgumentError(
            "where", f"{where!r} finds no array", hint, f"Names: {format_list(every)}"
        )
    return chosen


class _Mark:
    """Stands for a leaf while a user's function chooses."""

    def __init__(self, name: str) -> None:
        self.name = name


def _project(values: AnyArray, projection: Callable[[Any], Any], axis: int | None) -> jax.Array:
    if not values.size:
        return jnp.asarray(values)  # of a compartment without parcels
    if axis is None:
        out = projection(values)
    else:
        # Slices are made the rows of one matrix, and put back.
        columns = jnp.moveaxis(values, axis, -1)
        flat = jax.vmap(projection)(columns.reshape(-1, columns.shape[-1]))
        out = jnp.moveaxis(flat.reshape(columns.shape), -1, axis)
    if out.shape != values.shape:
        raise ArgumentError("projection", f"should keep the shape {values.shape}, got {out.shape}")
    return out


def _is_node(x: Any) -> bool:
    return isinstance(x, _NODES)


def _name(path: tuple[Any, ...]) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
