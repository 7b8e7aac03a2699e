"""Products with sparse weights that are each other's derivatives."""

from typing import Any

import jax


def link(product: Any, transposed: Any, outer: Any) -> None:
    """Give the three products of a plan, each of `jax.custom_vjp`, their derivatives.

    They are ``product(plan, weights, x)``, W x, ``transposed(plan, weights, y)``, W' y, and
    ``outer(plan, y, x)``, y x' at the weights. Reverse mode has any order by that, without
    storing the data once a weight or a tile, as the derivatives that JAX finds do.
    """
    # `r` is the plan and the two factors. Of the sum of all g * (W x), the derivative by W is g x'
    # and by x is W' g; those of W' y and of y x' follow in the same way. A plan, of whole numbers,
    # has none.
    product.defvjp(
        _kept(product),
        lambda r, g: (None, outer(r[0], g, r[2]), transposed(r[0], r[1], g)),
    )
    transposed.defvjp(
        _kept(transposed),
        lambda r, g: (None, outer(r[0], r[2], g), product(r[0], r[1], g)),
    )
    outer.defvjp(
        _kept(outer),
        lambda r, g: (None, product(r[0], g, r[2]), transposed(r[0], g, r[1])),
    )


def _kept(product: Any) -> Any:
    """Return a function that returns a product and what it is of.

    It is jitted, as JAX otherwise mixes up what it keeps where a `scan` around it is
    differentiated twice (jax 0.10.2: constants of the product move out of the loop).
    """
    return jax.jit(lambda plan, a, b: (product(plan, a, b), (plan, a, b)))
