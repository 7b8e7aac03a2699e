"""Filters: responses and coefficients against SciPy's, ideal ones, clamps, banks, bad input."""

import math

import jax.numpy as jnp
import jax.random as jr
import numpy as np
import pytest
import scipy.signal
from helpers import close

from atlasinit import initializers as init

KEY = jr.key(0)
DESIGNS = {
    "butterworth": lambda w, b: scipy.signal.butter(3, w, b),
    "chebyshev1": lambda w, b: scipy.signal.cheby1(3, 0.5, w, b),
    "chebyshev2": lambda w, b: scipy.signal.cheby2(3, 30.0, w, b),
    "elliptic": lambda w, b: scipy.signal.ellip(3, 0.5, 30.0, w, b),
    "bessel": lambda w, b: scipy.signal.bessel(3, w, b),
}
BANDS = {"lowpass": 0.3, "highpass": 0.3, "bandpass": (0.2, 0.5), "bandstop": (0.2, 0.5)}


@pytest.mark.parametrize("kind", DESIGNS)
@pytest.mark.parametrize("band", BANDS)
def test_responses_equal_scipy(kind, band, key):
    cutoff = BANDS[band]
    spectral = init.FrequencyFilter(kind, cutoff, band=band, order=3, ripple=0.5, attenuation=30.0)
    design = DESIGNS[kind](cutoff, band)
    expected = scipy.signal.freqz(*design, 33, include_nyquist=True)[1]
    found = spectral(key, (2, 33))
    assert found.dtype == jnp.complex64
    np.testing.assert_allclose(found, np.broadcast_to(expected, (2, 33)), atol=2e-6)
    real = spectral(key, (33,), jnp.float32)
    np.testing.assert_allclose(real, np.abs(expected), atol=2e-6)


@pytest.mark.parametrize(
    ("band", "cutoff", "passed"),
    [
        ("lowpass", 0.3, [1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]),
        ("highpass", 0.3, [0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1]),
        ("bandpass", (0.2, 0.5), [0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 0]),
        ("bandstop", (0.2, 0.5), [1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_ideal_filter_passes_its_cutoffs(band, cutoff, passed, key):
    ideal = init.FrequencyFilter("ideal", cutoff, band=band)
    np.testing.assert_array_equal(ideal(key, (11,), jnp.float32), passed)
    hertz = tuple(np.atleast_1d(cutoff) * 5)
    ideal = init.FrequencyFilter("ideal", hertz, band=band, sampling_rate=10.0)
    np.testing.assert_array_equal(ideal(key, (11,), jnp.float32), passed)


def test_clamped_bins_and_random_responses(key):
    made = init.FrequencyFilter("random", clamps={0.0: 0.0, 0.52: 1.0})
    out = made(key, (3000, 11))
    assert (out[:, 0] == 0).all()
    assert (out[:, 5] == 1).all()
    mask, values = made.clamped(11)
    assert mask.nonzero()[0].tolist() == [0, 5]
    assert values[5] == 1
    signed = init.FrequencyFilter("ideal", 0.3, clamps={1.0: -2.0})
    np.testing.assert_array_equal(signed(key, (5,), jnp.float32), [1, 1, 0, 0, -2])
    free = np.asarray(out)[:, ~mask]
    close(np.abs(free).mean(), 0.5, 0.1 / math.sqrt(free.size))
    close(np.angle(free).std(), 0.02, 0.02 / math.sqrt(2 * free.size) + 1e-4)


@pytest.mark.parametrize("kind", DESIGNS)
@pytest.mark.parametrize("band", BANDS)
def test_coefficients_equal_scipy(kind, band):
    """Those of hypercoil's `IIRFilterSpec` are SciPy's b and a."""
    made = init.RecursiveFilter(kind, BANDS[band], band=band, order=3, ripple=0.5, attenuation=30.0)
    for found, wanted in zip(made.coefficients(), DESIGNS[kind](BANDS[band], band), strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-9)
    sections = made(KEY, (2, *made.sections().shape))
    x = np.random.default_rng(0).normal(size=50)
    wanted = scipy.signal.sosfilt(made.sections(), x)
    found = scipy.signal.sosfilt(np.asarray(sections[1], np.float64), x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_cutoffs_of_recursive_filters_are_in_the_unit_of_the_sampling_rate():
    hertz = init.RecursiveFilter("butterworth", (0.01, 0.1), band="bandpass", sampling_rate=0.5)
    share = init.RecursiveFilter("butterworth", (0.04, 0.4), band="bandpass")
    np.testing.assert_array_equal(hertz.sections(), share.sections())
    wanted = scipy.signal.butter(1, (0.01, 0.1), "bandpass", fs=0.5, output="sos")
    np.testing.assert_allclose(hertz.sections(), wanted)


def test_a_bank_is_its_filters(key):
    filters = [
        init.FrequencyFilter("ideal", 0.3, clamps={0.0: 0.0, 1.0: -2.0}),
        init.FrequencyFilter("butterworth", 0.3, band="highpass"),
        init.FrequencyFilter("random", clamps={0.5: 1.0}),
        init.FrequencyFilter("random", clamps={0.5: 1.0}),
    ]
    bank = init.FilterBank(filters)
    out = bank(key, (3, 4, 5))
    assert out.shape == (3, 4, 5)
    for row in (0, 1):
        np.testing.assert_array_equal(out[:, row], filters[row](key, (3, 5)))
    assert not np.allclose(out[0, 2], out[0, 3])
    mask, values = bank.clamped(5)
    # What hypercoil's `clamp_init` returns: points and values, one row a filter.
    assert mask.astype(int).tolist() == [[1, 0, 0, 0, 1], [0] * 5, [0, 0, 1, 0, 0], [0, 0, 1, 0, 0]]
    assert values[0, 4] == -2
    np.testing.assert_array_equal(np.asarray(out)[:, mask], np.tile(values[mask], (3, 1)))
    np.testing.assert_array_equal(
        init.FilterBank(filters[:2]).response(5)[1], filters[1].response(5)
    )


BAD = [
    (lambda: init.FrequencyFilter("fir", 0.1), "`kind` should be one of"),
    (lambda: init.FrequencyFilter("ideal"), "`cutoff` should be given"),
    (lambda: init.FrequencyFilter("ideal", (0.5, 0.2), band="bandpass"), "2 rising frequencies"),
    (lambda: init.FrequencyFilter("ideal", 6.0, sampling_rate=10.0), "between 0 and 5"),
    (lambda: init.FrequencyFilter("butterworth", 0.1, order=0), "`order` should be positive"),
    (lambda: init.FrequencyFilter("ideal", 0.1, clamps={2.0: 1.0}), "`clamps` should lie in"),
    (lambda: init.FrequencyFilter("ideal", 0.1)(KEY, (1,)), "two or more bins"),
    (
        lambda: init.FrequencyFilter("ideal", 0.1, clamps={0: 0, 0.1: 1})(KEY, (5,)),
        "`clamps` should lie in different bins",
    ),
    (
        lambda: init.FrequencyFilter("ideal", 0.1, clamps={0: 1j})(KEY, (5,), "float32"),
        "`clamps` of float32 weights should be real",
    ),
    (lambda: init.RecursiveFilter("ideal", 0.1), "`kind` should be one of"),
    (lambda: init.RecursiveFilter("bessel", None), "`cutoff` should be given"),
    (
        lambda: init.RecursiveFilter("bessel", 0.1)(KEY, (2, 6)),
        r"should end with the sections' \(1",
    ),
    (lambda: init.FilterBank([]), "`filters` should be at least one"),
    (lambda: init.FilterBank([LOW])(KEY, (2, 5)), r"should be \(..., 1, bins\)"),
    (lambda: init.FilterBank([LOW])(KEY, (5,)), r"should be \(..., 1, bins\)"),
]
LOW = init.FrequencyFilter("ideal", 0.1)


@pytest.mark.parametrize(("call", "match"), BAD)
def test_bad_filters(call, match):
    with pytest.raises(ValueError, match=match):
        call()
