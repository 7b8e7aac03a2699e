"""Products with sparse weights that are each other's derivatives, in reverse mode."""

from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

import jax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from atlasinit.errors import ArgumentTypeError, Passing
from atlasinit.support.sharding import vary_alike

Product: TypeAlias = Callable[[Any, jax.Array, jax.Array], jax.Array]
"""Of a plan and two factors."""
Linear: TypeAlias = Callable[[Any, Any], jax.Array]
"""Of a plan and an array."""


def link(product: Product, transposed: Product, outer: Product) -> tuple[Product, ...]:
    """Return the three products of a plan, with derivatives.

    They are ``product(plan, weights, x)``, W x, ``transposed(plan, weights, y)``, W' y, and
    ``outer(plan, y, x)``, y x' at the weights. Reverse mode has any order by that, without
    storing the data once a weight or a tile, as the derivatives that JAX finds do. In forward
    mode they raise.
    """
    product, transposed, outer = rules = tuple(map(jax.custom_vjp, (product, transposed, outer)))
    of, back, at = linked = tuple(map(_prepare, rules))
    # `r` is the plan and the two factors. Of the sum of all g * (W x), the derivative by W is g x'
    # and by x is W' g; those of W' y and of y x' follow in the same way. A plan, of whole numbers,
    # has none.
    product.defvjp(_kept(of), lambda r, g: (None, at(r[0], g, r[2]), back(r[0], r[1], g)))
    transposed.defvjp(_kept(back), lambda r, g: (None, at(r[0], r[2], g), of(r[0], r[1], g)))
    outer.defvjp(_kept(at), lambda r, g: (None, of(r[0], g, r[2]), back(r[0], g, r[1])))
    return linked


def link_pair(function: Linear, transposed: Linear) -> tuple[Linear, Linear]:
    """Return two functions of a plan and an array, each the transpose of the other."""
    one, other = jax.custom_vjp(function), jax.custom_vjp(transposed)
    forth, back = _prepare(one), _prepare(other)
    one.defvjp(lambda plan, x: (forth(plan, x), plan), lambda plan, g: (None, back(plan, g)))
    other.defvjp(lambda plan, x: (back(plan, x), plan), lambda plan, g: (None, forth(plan, g)))
    return forth, back


def _prepare(product: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """Return a product of factors of any types, which refuses forward mode."""

    def prepared(plan: Any, *factors: jax.Array) -> jax.Array:
        return product(plan, *map(_reverse.bind, vary_alike(*factors)))

    return prepared


def _kept(product: Product) -> Any:
    """Return a function that returns a product and what it is of.

    It is jitted, as JAX otherwise mixes up what it keeps where a `scan` around it is
    differentiated twice (jax 0.10.2: constants of the product move out of the loop).
    """
    return jax.jit(lambda plan, a, b: (product(plan, a, b), (plan, a, b)))


def _refuse_forward(*_: Any, **__: Any) -> NoReturn:
    raise ArgumentTypeError(
        "kernel",
        "of sparse maps has derivatives in reverse mode alone (`jax.grad`, `jax.jacrev`), "
        "got forward mode (`jax.jvp`, `jax.jacfwd`, `jax.hessian`)",
        "for both, call `project` with "
        + Passing(kernel="dense")
        + ", or make a layer with it by `AtlasLinear.from_atlas`",
    )


def _differentiate(primals: Any, tangents: Any) -> tuple[Any, Any]:
    (x,), (change,) = primals, tangents
    return _reverse.bind(x), change if isinstance(change, ad.Zero) else _tangent.bind(change)


# JAX's own error, of `jax.custom_vjp` in forward mode, names no way out. This identity has a
# tangent that is transposed in reverse mode, and neither computed nor mapped.
_reverse, _tangent = Primitive("reverse_mode"), Primitive("reverse_mode_tangent")
for _primitive in (_reverse, _tangent):
    _primitive.def_abstract_eval(lambda aval: aval)
_reverse.def_impl(lambda x: x)
ad.primitive_jvps[_reverse] = _differentiate
batching.defvectorized(_reverse)
mlir.register_lowering(_reverse, lambda _, x: [x])
_tangent.def_impl(_refuse_forward)
ad.deflinear2(_tangent, lambda cotangent, _: [cotangent])
batching.primitive_batchers[_tangent] = _refuse_forward
mlir.register_lowering(_tangent, _refuse_forward)
