"""The kernels of all compartments of an atlas: a block-diagonal matrix."""

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from atlasinit.core.maps import HardMaps, Maps
from atlasinit.projection.blocks import lay_diagonally
from atlasinit.projection.kernels.base import AbstractKernel, AbstractMatrix, Data, Values
from atlasinit.projection.kernels.scatter import ScatterKernel
from atlasinit.projection.kernels.split import split_labels, split_weights


class Plan(eqx.Module):
    """Which kernel computes the maps of neighbouring blocks, and what it worked out beforehand.

    Parameters
    ----------
    kernel
        The class of the kernel.
    arrays
        What its `AbstractKernel.plan` returned; None where the maps alone are enough.
    count
        Of how many blocks it is.
    """

    kernel: type[AbstractKernel] = eqx.field(static=True)
    arrays: Any = None
    count: int = eqx.field(static=True, default=1)


class Stack(eqx.Module):
    """Kernels of consecutive parts of an atlas.

    Parameters
    ----------
    kernels
        One a part.
    shapes
        Number of (parcels, locations) of each part.
    """

    kernels: tuple[AbstractMatrix, ...]
    shapes: tuple[tuple[int, int], ...] = eqx.field(static=True)

    @property
    def exact(self) -> bool:
        """Whether all weights are 1 by their kind: sums of them are exact."""
        return all(kernel.exact for kernel in self.kernels)

    @property
    def hard(self) -> bool:
        """Whether all are of hard labels."""
        return all(kernel.labelled() is not None for kernel in self.kernels)

    def product(self, data: Data) -> Values:
        """Return W x."""
        parts = zip(self.kernels, _cut(data, [n for _, n in self.shapes]), strict=True)
        # (batch, parcels, time) of each part, whose rows lie one below the other.
        return _join([k.product(data if k.whole else x) for k, x in parts])

    def product_in_two(self, data: Data) -> tuple[Values, Values | None]:
        """Return W x and what it lacks, None where no kernel knows it."""
        if len(self.kernels) == 1:
            return self.kernels[0].product_in_two(data)
        return self.product(data), None

    def transposed(self, values: Values) -> Data:
        """Return W' y."""
        parts = zip(self.kernels, _cut(values, [n for n, _ in self.shapes]), strict=True)
        return _join(self._cut_own([kernel.transposed(part) for kernel, part in parts]))

    def absolute(self) -> "Stack":
        """Return the kernels of |W|."""
        return Stack(tuple(kernel.absolute() for kernel in self.kernels), self.shapes)

    def totals(self, dtype: Any) -> Float[Array, " parcels"]:
        """Return W 1, added up in `dtype`."""
        return jnp.concatenate([kernel.totals(dtype) for kernel in self.kernels])

    def blocks(self) -> list[Float[Array, "parcels locations"]]:
        """Return W of each part."""
        return self._cut_own([kernel.dense() for kernel in self.kernels])

    def split_locations(self, count: int) -> "Stack":
        """Return the same of all parts at once, their locations in `count` pieces."""
        shape = (sum(n for n, _ in self.shapes), sum(n for _, n in self.shapes))
        if not self.hard:
            weights = jax.scipy.linalg.block_diag(*self.blocks())
            return Stack((split_weights(weights, count),), (shape,))
        kernels: Any = [kernel.labelled() for kernel in self.kernels]
        labels = self._cut_own([jnp.asarray(kernel.labels)[None] for kernel in kernels])
        parts = [
            HardMaps(own[0], kernel.n_parcels) for own, kernel in zip(labels, kernels, strict=True)
        ]
        whole: Any = lay_diagonally(parts)
        return Stack((split_labels(ScatterKernel.build(whole, None), count),), (shape,))

    def _cut_own(self, arrays: list[Array]) -> list[Array]:
        """Return what each kernel has of locations, their second axis, of its own part alone."""
        ends = np.cumsum([n for _, n in self.shapes]).tolist()
        # A kernel that numbers the locations of the whole data has all, 0 outside of its own.
        columns = [slice(end - n, end) for end, (_, n) in zip(ends, self.shapes, strict=True)]
        return [
            array[:, own] if kernel.whole else array
            for kernel, array, own in zip(self.kernels, arrays, columns, strict=True)
        ]


@jax.jit
def build_stack(maps: Sequence[Maps], plans: Sequence[Plan]) -> Stack:
    """Return the kernels of maps, their weights laid out as they compute."""
    rest = iter(maps)
    parts = [lay_diagonally(list(itertools.islice(rest, plan.count))) for plan in plans]
    kernels = [plan.kernel.build(m, plan.arrays) for m, plan in zip(parts, plans, strict=True)]
    return Stack(tuple(kernels), tuple((m.n_parcels, m.n_locations) for m in parts))


def _cut(array: Array, sizes: list[int]) -> Iterator[Array]:
    ends = np.cumsum([0, *sizes]).tolist()
    return (
        array if len(sizes) == 1 else array[:, a:b]
        for a, b in zip(ends[:-1], ends[1:], strict=True)
    )


def _join(parts: list[Array]) -> Array:
    return parts[0] if len(parts) == 1 else jnp.concatenate(parts, axis=1)
