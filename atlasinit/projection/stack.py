"""The kernels of all compartments of an atlas: a block-diagonal matrix."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atlasinit.projection.kernels.grouped import GroupedKernel, WeightedGroupedKernel
from atlasinit.projection.kernels.products import (
    DenseKernel,
    ScatterKernel,
    TiledKernel,
)

Kernel: TypeAlias = (
    ScatterKernel | GroupedKernel | WeightedGroupedKernel | TiledKernel | DenseKernel
)
# These number the locations of the whole data: cutting out theirs would copy them.
_WHOLE = (GroupedKernel, WeightedGroupedKernel, TiledKernel)


class Stack(eqx.Module):
    """Kernels of consecutive parts of an atlas.

    Parameters
    ----------
    kernels
        One a part.
    shapes
        Number of (parcels, locations) of each part.
    """

    kernels: tuple[Kernel, ...]
    shapes: tuple[tuple[int, int], ...] = eqx.field(static=True)

    @property
    def hard(self) -> bool:
        """Whether all weights are known to be 1: sums of them are exact."""
        return all(isinstance(k, ScatterKernel | GroupedKernel) for k in self.kernels)

    def product(
        self, data: Float[Array, "batch locations time"]
    ) -> Float[Array, "batch parcels time"]:
        """Return W x."""
        parts = zip(self.kernels, _cut(data, [n for _, n in self.shapes]), strict=True)
        return _joined([k.product(data if isinstance(k, _WHOLE) else x) for k, x in parts])

    def transposed(
        self, values: Float[Array, "batch parcels time"]
    ) -> Float[Array, "batch locations time"]:
        """Return W' y."""
        parts = zip(self.kernels, _cut(values, [n for n, _ in self.shapes]), strict=True)
        ends = np.cumsum([n for _, n in self.shapes]).tolist()
        columns = [slice(end - n, end) for end, (_, n) in zip(ends, self.shapes, strict=True)]
        painted = [kernel.transposed(part) for kernel, part in parts]
        return _joined(
            [
                y[:, c] if isinstance(k, _WHOLE) else y
                for k, y, c in zip(self.kernels, painted, columns, strict=True)
            ]
        )

    def absolute(self) -> "Stack":
        """Return the kernels of |W|."""
        return Stack(tuple(kernel.absolute() for kernel in self.kernels), self.shapes)

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        return jnp.concatenate([kernel.totals(dtype) for kernel in self.kernels])


def _cut(array: Array, sizes: list[int]) -> Iterator[Array]:
    ends = np.cumsum([0, *sizes]).tolist()
    return (
        array if len(sizes) == 1 else array[:, a:b]
        for a, b in zip(ends[:-1], ends[1:], strict=True)
    )


def _joined(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)
