r"""Two partitions of the same things, by how many of these each pair of groups shares.

All are of a contingency table :math:`n_{kl}`, which may hold fractions: expected numbers, where
things belong to groups by probabilities.
"""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

_Values = Float[np.ndarray, " n"]


def adjusted_rand(table: Any) -> float:
    r"""Return the adjusted Rand index (Hubert and Arabie 1985) of a sparse contingency table.

    With :math:`\binom{x}{2} = x (x - 1) / 2`, the sums :math:`a_k, b_l` of rows and columns, and
    :math:`E = \sum_k \binom{a_k}{2} \sum_l \binom{b_l}{2} / \binom{n}{2}`,

    .. math:: \frac{\sum_{kl} \binom{n_{kl}}{2} - E}
              {\frac12 [\sum_k \binom{a_k}{2} + \sum_l \binom{b_l}{2}] - E}

    1 of equal partitions, also of two with one group or with nothing but groups of one, where
    chance allows nothing else; NaN of fewer than two things.
    """
    cells, rows, columns = _margins(table)
    n = float(cells.sum())
    if n < 2:
        return math.nan
    one, other = _pairs(rows), _pairs(columns)
    expected = one * other / _pairs(np.array([n]))
    most = (one + other) / 2
    # Sums of numbers up to 1e12 are exact to 1e-4.
    if math.isclose(most, expected, rel_tol=1e-12, abs_tol=1e-9):
        return 1.0
    return float((_pairs(cells) - expected) / (most - expected))


def mutual_information(table: Any) -> float:
    r"""Return the mutual information in bits, :math:`\sum p_{kl} \log_2 [p_{kl} / (p_k q_l)]`.

    NaN of no things.
    """
    cells, rows, columns = _margins(table)
    n = float(cells.sum())
    if n <= 0:
        return math.nan
    # Of rounded terms the sum may fall a little below 0.
    return max(_entropy(rows, n) + _entropy(columns, n) - _entropy(cells, n), 0.0)


def normalized_mutual_information(table: Any) -> float:
    """Return the mutual information over the mean of the two entropies.

    1 of equal partitions, also where both have one group and nothing is to be told; NaN of no
    things.
    """
    _, rows, columns = _margins(table)
    n = float(rows.sum())
    if n <= 0:
        return math.nan
    mean = (_entropy(rows, n) + _entropy(columns, n)) / 2
    return 1.0 if mean == 0 else mutual_information(table) / mean


def variation_of_information(table: Any) -> float:
    """Return H(a) + H(b) - 2 I(a, b) in bits (Meila 2007): 0 of equal partitions."""
    cells, rows, columns = _margins(table)
    n = float(cells.sum())
    if n <= 0:
        return math.nan
    return max(2 * _entropy(cells, n) - _entropy(rows, n) - _entropy(columns, n), 0.0)


def _margins(table: Any) -> tuple[_Values, Float[np.ndarray, " k"], Float[np.ndarray, " l"]]:
    """Return the entries of a table, and its sums of rows and columns, those above 0."""
    entries = np.asarray(table.data, np.float64)
    rows, columns = (np.asarray(table.sum(axis=axis), np.float64) for axis in (1, 0))
    return entries[entries > 0], rows[rows > 0], columns[columns > 0]


def _pairs(counts: np.ndarray) -> float:
    return float((counts * (counts - 1)).sum() / 2)


def _entropy(counts: np.ndarray, n: float) -> float:
    shares = counts / n
    return float(-(shares * np.log2(shares)).sum())
