"""Which inputs are fused into which outputs, so that their potentials are largest."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
from jaxtyping import Bool, Float, Float64

from atlasinit.errors import ArgumentError, ArgumentTypeError
from atlasinit.support.keys import check_key
from atlasinit.support.tracing import is_traced
from atlasinit.support.typing import AnyArray

Criterion: TypeAlias = Callable[[np.ndarray, np.ndarray, np.ndarray], Any]


class Lattice(NamedTuple):
    """What `bipartite_lattice` found; pairs of arrays where it was given a pair.

    Parameters
    ----------
    assignment
        (outputs, inputs), 1 where an input is fused into an output and 0 elsewhere.
    loss
        What the criterion says of it: the smallest of all tries.
    potentials
        (outputs, outputs), the potentials averaged over what is fused, for a next lattice.
    """

    assignment: Any
    loss: float
    potentials: Any


def bipartite_lattice(
    potentials: AnyArray | tuple[AnyArray, AnyArray],
    n_out: int | tuple[int, int],
    *,
    order: int = 1,
    iterations: int = 100,
    temperature: float | int = 0.0,
    random_start: bool = True,
    attenuation: float | int = 2.0,
    objective: AnyArray | None = None,
    criterion: str | Criterion = "correlation",
    key: jax.Array,
) -> Lattice:
    r"""Return a maximum-potential bipartite lattice, by greedy tries.

    Each output fuses equally many inputs, and each input goes into equally many outputs. An output
    starts from one input and takes, one by one, the input whose potentials with those that it has
    sum to most; the potentials within it are then divided by `attenuation`, and inputs come back
    once all are used. It is the rule that hypercoil states for
    ``maximum_potential_bipartite_lattice``; its code attenuates the diagonal alone, which it sets
    to 0, and may take an input twice. On the host, in NumPy; make an initialiser of the assignment
    by `broadcast`.

    Parameters
    ----------
    potentials
        (inputs, inputs), such as how similar two of them are, or a pair of such matrices for the
        rows and the columns of an `objective` that is not symmetric.
    n_out
        Number of outputs, or a pair.
    order
        Edges as multiples of the least common multiple of inputs and outputs; at most the
        greatest common divisor.
    iterations
        Number of tries, of which the best is returned.
    temperature
        Of the softmax by which the next input is drawn: 0 takes the largest, ``math.inf`` any.
    random_start
        Whether an output starts from any input, or from one with the largest potential.
    attenuation
        Positive.
    objective
        Matrix (inputs, inputs) that is compressed and reconstructed; by default the potentials.
    criterion
        ``"correlation"`` of the objective with its reconstruction (above the diagonal if it is
        symmetric), ``"potential"`` of what is fused, or a function of the objective, its
        reconstruction and the sum of potentials of each output that is smallest for the best.
    key
        Random key.

    Raises
    ------
    TypeError
        Potentials that are traced; a `key` that is none.
    ValueError
        Potentials that are not square and finite, numbers that are not positive, an order above the
        greatest common divisor, an objective of another shape, an unknown criterion.

    Examples
    --------
    >>> import jax
    >>> import numpy as np
    >>> blocks = np.kron(np.eye(2), np.ones((3, 3)))
    >>> found = bipartite_lattice(blocks, 2, iterations=1, key=jax.random.key(0))
    >>> sorted(found.assignment.astype(int).tolist())
    [[0, 0, 0, 1, 1, 1], [1, 1, 1, 0, 0, 0]]
    """
    if is_traced((potentials, objective)):
        raise ArgumentTypeError(
            "potentials", "should be concrete, and are traced", "call this outside of `jax.jit`"
        )
    paired = isinstance(potentials, tuple)
    given = potentials if isinstance(potentials, tuple) else (potentials,)
    counts = n_out if isinstance(n_out, tuple) else (n_out,) * len(given)
    if len(counts) != len(given):
        raise ArgumentError("n_out", f"should be a pair as `potentials` are, got {n_out}")
    for name, value in (("iterations", iterations), ("attenuation", attenuation)):
        if not value > 0:
            raise ArgumentError(name, f"should be positive, got {value}")
    if not temperature >= 0:
        raise ArgumentError("temperature", f"should not be negative, got {temperature}")
    rule = _Rule(float(temperature), random_start, float(attenuation))
    sides = [_Side.make(p, count, order) for p, count in zip(given, counts, strict=True)]
    target = _check_objective(objective, sides)
    judge = _find_criterion(criterion, symmetric=not paired)
    rng = np.random.default_rng(np.asarray(jax.random.key_data(check_key(key))).tolist())
    tries = (_try_once(sides, target, judge, (rule, rng)) for _ in range(iterations))
    # The first of equals, so that more tries never change what fewer found as good.
    loss, best = min(tries, key=lambda found: found[0])
    arrays = [found.astype(np.float32) for found in best]
    after = [side.propagate(found) for side, found in zip(sides, best, strict=True)]
    if paired:
        return Lattice(tuple(arrays), loss, tuple(after))
    return Lattice(arrays[0], loss, after[0])


@dataclasses.dataclass(frozen=True)
class _Rule:
    temperature: float
    random_start: bool
    attenuation: float


@dataclasses.dataclass(frozen=True)
class _Side:
    """The rows or the columns: potentials of inputs, outputs, and edges of each of these."""

    potentials: Float64[np.ndarray, "inputs inputs"]
    n_out: int
    per_output: int
    per_input: int

    @classmethod
    def make(cls, potentials: AnyArray, n_out: int, order: int) -> "_Side":
        matrix = np.asarray(potentials, np.float64)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.size:
            raise ArgumentError("potentials", f"should be square, got shape {matrix.shape}")
        if not np.isfinite(matrix).all():
            raise ArgumentError("potentials", "should be finite", "they are not")
        if n_out < 1 or order < 1:
            raise ArgumentError("n_out", f"and `order` should be positive, got {n_out}, {order}")
        common = math.gcd(len(matrix), n_out)
        if order > common:
            raise ArgumentError(
                "order",
                f"should be at most {common}, the greatest common divisor of {len(matrix)} inputs "
                f"and {n_out} outputs, got {order}",
                "choose an `n_out` that has more factors in common with the number of inputs",
            )
        edges = order * math.lcm(len(matrix), n_out)
        return cls(matrix, n_out, edges // n_out, edges // len(matrix))

    def propagate(self, assignment: np.ndarray) -> Float[np.ndarray, "outputs outputs"]:
        """Return the potentials averaged over what each output fuses."""
        mean = assignment / self.per_output
        return mean @ self.potentials @ mean.T


def _try_once(
    sides: list[_Side],
    target: np.ndarray,
    judge: Criterion,
    drawn: tuple[_Rule, np.random.Generator],
) -> tuple[float, list[np.ndarray]]:
    """Return the loss of one try, and its assignments."""
    found = [_fuse(side, *drawn) for side in sides]
    sums = np.concatenate(
        [
            np.einsum("oi,ij,oj->o", one, side.potentials, one, optimize=True)
            for side, one in zip(sides, found, strict=True)
        ]
    )
    left, right = found[0].astype(float), found[-1].astype(float)
    first, last = sides[0], sides[-1]
    compressed = (left / first.per_output) @ target @ (right / last.per_output).T
    rebuilt = (left / first.per_input).T @ compressed @ (right / last.per_input)
    return float(judge(target, rebuilt, sums)), found


def _fuse(side: _Side, rule: _Rule, rng: np.random.Generator) -> Bool[np.ndarray, "outputs inputs"]:
    """Return which inputs one greedy try fuses."""
    inner = side.potentials.copy()
    np.fill_diagonal(inner, 0)
    assignment = np.zeros((side.n_out, len(inner)), bool)
    unused = np.ones(len(inner), bool)
    for mine in assignment:
        for _ in range(side.per_output):
            if not unused.any():
                unused[:] = True
            # None of its own twice: those wait for the next output.
            candidates = np.flatnonzero(unused & ~mine)
            chosen = candidates[_choose(inner, mine, candidates, (rule, rng))]
            mine[chosen], unused[chosen] = True, False
        inner[np.ix_(mine, mine)] /= rule.attenuation
    return assignment


def _choose(
    inner: np.ndarray,
    mine: np.ndarray,
    candidates: np.ndarray,
    drawn: tuple[_Rule, np.random.Generator],
) -> int:
    """Return which of the candidates is next."""
    rule, rng = drawn
    if mine.any():
        gain = inner[mine][:, candidates].sum(0)
        # A draw from the softmax is the largest of its logits plus Gumbel noise.
        return int(
            np.argmax(
                gain
                if not rule.temperature
                else gain / rule.temperature + rng.gumbel(size=gain.size)
            )
        )
    if rule.random_start:
        return int(rng.integers(candidates.size))
    among = inner[np.ix_(candidates, candidates)]
    np.fill_diagonal(among, -np.inf)
    return int(np.argmax(among.max(axis=1)))


def _check_objective(objective: AnyArray | None, sides: list[_Side]) -> np.ndarray:
    shape = (len(sides[0].potentials), len(sides[-1].potentials))
    if objective is None and len(sides) == 2:
        raise ArgumentError("objective", "should be given where `potentials` are a pair")
    target = sides[0].potentials if objective is None else np.asarray(objective, np.float64)
    if target.shape != shape:
        raise ArgumentError("objective", f"should have shape {shape}, got {target.shape}")
    return target


def _find_criterion(criterion: str | Criterion, *, symmetric: bool) -> Criterion:
    if callable(criterion):
        return criterion
    if criterion == "potential":
        return lambda target, rebuilt, sums: -sums.sum()
    if criterion != "correlation":
        raise ArgumentError(
            "criterion", f'should be "correlation", "potential" or a function, got {criterion!r}'
        )

    def correlate(target: np.ndarray, rebuilt: np.ndarray, sums: np.ndarray) -> float:
        del sums
        where = np.triu(np.ones(target.shape, bool), 1) if symmetric else np.s_[:]
        a, b = target[where].ravel(), rebuilt[where].ravel()
        if not a.size:
            return 0.0
        a, b = a - a.mean(), b - b.mean()
        size = np.linalg.norm(a) * np.linalg.norm(b)
        # What is constant correlates with nothing.
        return -float(a @ b / size) if size else 0.0

    return correlate
