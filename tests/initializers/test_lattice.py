"""Lattices and templates of low rank, hypercoil's: edges, known blocks, published formulas."""

import math

import jax
import jax.random as jr
import numpy as np
import pytest

from atlasinit import initializers as init

KEY = jr.key(0)


def similarity(n, seed=0):
    x = np.random.default_rng(seed).normal(size=(n, 2 * n))
    return x @ x.T / n


@pytest.mark.parametrize(
    ("n", "n_out", "order"), [(12, 4, 1), (12, 8, 1), (12, 8, 4), (10, 5, 3), (7, 3, 1), (6, 6, 2)]
)
@pytest.mark.parametrize("temperature", [0.0, 1.0, math.inf])
def test_every_output_and_every_input_has_equally_many_edges(n, n_out, order, temperature):
    found = init.bipartite_lattice(
        similarity(n), n_out, order=order, temperature=temperature, iterations=2, key=KEY
    )
    edges = order * math.lcm(n, n_out)
    assert set(np.unique(found.assignment)) <= {0, 1}
    assert (found.assignment.sum(1) == edges // n_out).all()
    assert (found.assignment.sum(0) == edges // n).all()
    mean = found.assignment / found.assignment.sum(1, keepdims=True)
    np.testing.assert_allclose(found.potentials, mean @ similarity(n) @ mean.T, rtol=1e-6)


@pytest.mark.parametrize("random_start", [True, False])
def test_blocks_are_found(random_start):
    order = np.random.default_rng(3).permutation(12)
    blocks = np.kron(np.eye(4), np.ones((3, 3)))[np.ix_(order, order)]
    found = init.bipartite_lattice(blocks, 4, iterations=1, random_start=random_start, key=KEY)
    np.testing.assert_array_equal(found.assignment.T @ found.assignment, blocks)
    assert found.loss == pytest.approx(-1)


@pytest.mark.parametrize(
    ("attenuation", "second"),
    [(1.0, [[1, 1, 0, 0], [0, 0, 1, 1]]), (2.0, [[1, 0, 1, 0], [0, 1, 0, 1]])],
)
def test_what_is_fused_is_attenuated(attenuation, second):
    """The second round fuses the same inputs again, unless these count for less by then."""
    potentials = np.zeros((4, 4))
    for i, j, value in ((0, 1, 5), (2, 3, 4), (0, 2, 3)):
        potentials[i, j] = potentials[j, i] = value
    found = init.bipartite_lattice(
        potentials, 4, order=2, attenuation=attenuation, random_start=False, iterations=1, key=KEY
    )
    assert found.assignment.astype(int).tolist() == [[1, 1, 0, 0], [0, 0, 1, 1], *second]


def test_the_best_try_is_returned():
    objective = similarity(12)
    losses = [
        init.bipartite_lattice(objective, 4, iterations=n, temperature=1.0, key=KEY).loss
        for n in (1, 5, 25)
    ]
    assert losses == sorted(losses, reverse=True)
    best = init.bipartite_lattice(objective, 4, iterations=25, temperature=1.0, key=KEY)
    a = best.assignment / 3
    rebuilt = best.assignment.T @ (a @ objective @ a.T) @ best.assignment
    above = np.triu_indices(12, 1)
    wanted = -np.corrcoef(objective[above], rebuilt[above])[0, 1]
    assert best.loss == pytest.approx(wanted, rel=1e-6)
    most = init.bipartite_lattice(objective, 4, criterion="potential", iterations=9, key=KEY)
    fused = np.einsum("oi,ij,oj->", most.assignment, objective, most.assignment)
    assert most.loss == pytest.approx(-fused, rel=1e-6)
    own = init.bipartite_lattice(
        objective, 4, criterion=lambda orig, recon, u: len(u), iterations=2, key=KEY
    )
    assert own.loss == 4


def test_one_vertex_and_traced_potentials():
    assert init.bipartite_lattice(np.ones((1, 1)), 1, key=KEY).loss == 0
    with pytest.raises(TypeError, match="concrete, and are traced; call this outside of `jax.jit`"):
        jax.jit(lambda p: init.bipartite_lattice(p, 2, key=KEY).assignment)(np.eye(4))


def test_rows_and_columns_have_lattices_of_their_own():
    rng = np.random.default_rng(0)
    a = np.kron(rng.normal(size=(4, 3)), np.ones((3, 2)))
    found = init.bipartite_lattice((a @ a.T, a.T @ a), (4, 3), objective=a, iterations=5, key=KEY)
    assert found.assignment[0].shape == (4, 12)
    assert found.assignment[1].shape == (3, 6)
    assert found.loss == pytest.approx(-1)
    assert [p.shape for p in found.potentials] == [(4, 4), (3, 3)]


# hypercoil's gains, with the slope of the leaky one.
GAINS = {"linear": 1.0, "tanh": 5 / 3, "selu": 3 / 4, "relu": 2.0, "leaky": 2 / (1 + 0.2**2)}


@pytest.mark.parametrize("nonlinearity", GAINS)
@pytest.mark.parametrize(
    ("options", "fan", "spread"),
    [
        ({"width": 30}, 3 * 49, 5),
        ({"mode": "fan_out"}, 40 * 39, 5),
        ({"semidefinite": True}, 3 * 39, 5 + 25 / 20),
    ],
)
@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_sylo_is_hypercoils(nonlinearity, options, fan, spread, distribution):
    """Its std is gain / sqrt(sqrt(fan_crosshair * fan_expansion))."""
    gain = GAINS[nonlinearity]
    made = init.sylo(gain=gain, distribution=distribution, **options)
    drawn = np.asarray(made(KEY, (40, 3, 20, 5)), np.float64)
    wanted = gain / math.sqrt(math.sqrt(fan * spread))
    assert drawn.std() == pytest.approx(wanted, rel=5 / math.sqrt(2 * drawn.size))
    assert (np.abs(drawn).max() <= math.sqrt(3) * wanted) == (distribution == "uniform")


def test_sylo_templates_have_the_variance_stated():
    left = np.asarray(init.sylo(width=10)(jr.key(1), (60, 4, 20, 3)), np.float64)
    right = np.asarray(init.sylo(width=20)(jr.key(2), (60, 4, 10, 3)), np.float64)
    template = left @ np.swapaxes(right, -1, -2)
    assert template.var() == pytest.approx(2**4 / (4 * 29), rel=0.1)


BAD = [
    (lambda: lattice(np.ones((2, 3)), 2), "`potentials` should be square"),
    (lambda: lattice(np.full((2, 2), np.nan), 2), "`potentials` should be finite"),
    (lambda: lattice(np.eye(6), 0), "`n_out` and `order` should be positive"),
    (lambda: lattice(np.eye(6), 4, order=3), "`order` should be at most 2, the greatest common"),
    (lambda: lattice(np.eye(6), 3, iterations=0), "`iterations` should be positive"),
    (lambda: lattice(np.eye(6), 3, attenuation=0), "`attenuation` should be positive"),
    (lambda: lattice(np.eye(6), 3, temperature=-1), "`temperature` should not be negative"),
    (lambda: lattice(np.eye(6), 3, criterion="best"), "`criterion` should be"),
    (lambda: lattice(np.eye(6), 3, objective=np.eye(5)), r"should have shape \(6, 6\)"),
    (lambda: lattice((np.eye(6), np.eye(4)), (3, 2)), "`objective` should be given"),
    (lambda: lattice(np.eye(6), (3, 2)), "`n_out` should be a pair"),
    (lambda: init.sylo(mode="fan"), "`mode` should be"),
    (lambda: init.sylo(distribution="cauchy"), "`distribution` should be"),
    (lambda: init.sylo(gain=0), "`gain` should be positive"),
    (lambda: init.sylo(width=0), "`width` should be positive"),
    (lambda: init.sylo()(KEY, (3, 20, 5)), r"`shape` should be \(..., channels out"),
]


def lattice(potentials, n_out, **options):
    return init.bipartite_lattice(potentials, n_out, key=KEY, **options)


@pytest.mark.parametrize(("call", "match"), BAD)
def test_bad_lattices_and_factors(call, match):
    with pytest.raises(ValueError, match=match):
        call()
