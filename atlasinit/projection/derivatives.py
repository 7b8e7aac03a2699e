"""Products with sparse weights that are each other's derivatives."""

from typing import Any


def link(product: Any, transposed: Any, outer: Any) -> None:
    """Give the three products of a plan, each of `jax.custom_vjp`, their derivatives.

    They are ``product(plan, weights, x)``, W x, ``transposed(plan, weights, y)``, W' y, and
    ``outer(plan, y, x)``, y x' at the weights. Reverse mode has any order by that, without
    storing the data once a weight or a tile, as the derivatives that JAX finds do.
    """
    product.defvjp(
        lambda p, w, x: (product(p, w, x), (p, w, x)),
        lambda r, g: (None, outer(r[0], g, r[2]), transposed(r[0], r[1], g)),
    )
    transposed.defvjp(
        lambda p, w, y: (transposed(p, w, y), (p, w, y)),
        lambda r, g: (None, outer(r[0], r[2], g), product(r[0], r[1], g)),
    )
    outer.defvjp(
        lambda p, y, x: (outer(p, y, x), (p, y, x)),
        lambda r, g: (None, product(r[0], g, r[2]), transposed(r[0], g, r[1])),
    )
