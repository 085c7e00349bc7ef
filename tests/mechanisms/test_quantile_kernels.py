"""Compiled quantiles against SciPy and, where it counts, against mpmath in fifty digits."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from mpmath import mp, mpf
from scipy import special, stats

from dotwin.mechanisms import quantiles
from dotwin.mechanisms.kernels import elementary
from dotwin.mechanisms.tails import draw_tail_noise
from tests.mechanisms import exact_quantiles as exact

EPS = np.finfo(float).eps
TINY = np.finfo(float).tiny


def digits(v: float) -> object:
    """Work in fifty digits of the smaller tail: one minus the other must not lose them."""
    return mp.workdps(50 - int(np.log10(abs(v))))


def both_tails(seed: int, size: int, deepest: float = 1e-300) -> np.ndarray:
    """Noise in both tails: most of it ordinary, the rest as deep as a double goes."""
    rng = np.random.default_rng(seed)
    usual = draw_tail_noise(rng, size)
    deep = 10 ** rng.uniform(np.log10(deepest), np.log10(0.5), size)
    deep = np.where(rng.random(size) < 0.5, deep, -deep)
    return np.where(rng.random(size) < 0.5, usual, deep)


# ── elementary functions ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("function", "judge", "low", "high", "ulps"),
    [
        (elementary.exp, mp.exp, -700.0, 700.0, 1.0),
        (elementary.log, mp.log, 1e-300, 5.0, 1.0),
        (elementary.log1p, mp.log1p, -0.99, 5.0, 1.5),
        (elementary.log1p_less, lambda x: mp.log1p(x) - x, -0.99, 5.0, 3.0),
    ],
)
def test_elementary_functions_are_right_to_the_last_places(function, judge, low, high, ulps):
    rng = np.random.default_rng(1)
    # both over the range, and near 0 or 1, where the value itself is small
    points = np.concatenate([rng.uniform(low, high, 300), 10 ** rng.uniform(-12, -1, 100)])
    with mp.workdps(50):
        for x in points:
            true = judge(mpf(float(x)))
            assert abs(mpf(function(float(x))) - true) <= ulps * EPS * abs(true), x


def test_normal_scores_are_right_in_both_tails():
    for v in both_tails(2, 400):
        with digits(v):
            z = mpf(float(quantiles.normal(v, 0.0, 1.0, logarithmic=False)))
            m = mp.erfc(abs(z) / mp.sqrt(2)) / 2
            # the error of the score, by way of that of its tail
            density = mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)
            error = abs(m - abs(mpf(float(v)))) / density
            assert error <= 8 * EPS * max(abs(z), mpf(1)), v


def test_missing_noise_and_parameters_give_missing_values():
    assert np.isnan(elementary.exp(np.nan))
    assert np.isnan(elementary.log(-1.0))
    for value in (
        quantiles.normal(np.nan, 0.0, 1.0, logarithmic=False),
        quantiles.lognormal(0.1, np.nan, 1.0),
        quantiles.gamma(0.1, np.nan, 2.0, quantiles.gamma_tables(2.0)),
        quantiles.gamma(0.1, 0.0, np.nan, quantiles.gamma_tables(np.nan)),
        quantiles.student_t(np.nan, 0.0, 1.0, 5.0, quantiles.student_t_tables(5.0)),
        quantiles.beta(0.1, np.nan, 3.0),
        quantiles.beta(0.1, 0.0, np.nan),
        quantiles.bernoulli(0.1, np.nan),
        quantiles.ordinal(0.1, np.nan, np.array([0.0, 1.0])),
        quantiles.beta_binomial(0.1, 10.0, 0.0, np.nan),
        quantiles.binomial(0.1, np.nan, 0.0),
    ):
        assert np.isnan(value)


# ── counts ─────────────────────────────────────────────────────────────────────────────────────


def poisson_tails(k: float, eta: float) -> tuple[mpf, mpf]:
    mean = mp.exp(mpf(eta))
    return (
        mp.gammainc(k + 1, mean, mp.inf, regularized=True),
        mp.gammainc(k + 1, 0, mean, regularized=True),
    )


def by_beta(a: mpf, b: mpf, odds: mpf) -> tuple[mpf, mpf]:
    """I_x(a, b) and its complement for x = odds / (1 + odds), each precise."""
    x, y = odds / (1 + odds), 1 / (1 + odds)
    if x < y:
        lower = mp.betainc(a, b, 0, x, regularized=True)
        return lower, 1 - lower
    upper = mp.betainc(b, a, 0, y, regularized=True)
    return 1 - upper, upper


def binomial_tails(k: float, trials: float, eta: float) -> tuple[mpf, mpf]:
    if k >= trials:
        return mpf(1), mpf(0)
    upper, lower = by_beta(mpf(k + 1), mpf(trials - k), mp.exp(mpf(eta)))
    return lower, upper


def negative_binomial_tails(k: float, eta: float, dispersion: float) -> tuple[mpf, mpf]:
    return by_beta(mpf(dispersion), mpf(k + 1), mpf(dispersion) / mp.exp(mpf(eta)))


def beta_binomial_tails(k: float, trials: float, eta: float, precision: float) -> tuple[mpf, mpf]:
    n, kappa, odds = mpf(trials), mpf(precision), mp.exp(mpf(eta))
    a, b = kappa * odds / (1 + odds), kappa / (1 + odds)
    p, terms = mp.rf(b, int(n)) / mp.rf(a + b, int(n)), []
    for j in range(int(trials) + 1):
        terms.append(p)
        p *= (n - j) * (a + j) / ((j + 1) * (b + n - j - 1)) if j < n else 1
    cut = int(k) + 1
    return mp.fsum(terms[:cut]), mp.fsum(terms[cut:])


type Counts = dict[str, tuple[Callable, Callable, Callable]]


def ordinary(rng: np.random.Generator, name: str, size: int) -> tuple[np.ndarray, ...]:
    """Random parameters over the sizes that panels have."""
    eta = rng.uniform(-6.0, 9.0, size)
    logit = rng.normal(0.0, 2.5, size)
    trials = np.floor(np.exp(rng.uniform(0.0, 8.0, size)))
    dispersion = np.exp(rng.uniform(-2.0, 8.0, size))
    few = np.floor(np.exp(rng.uniform(0.0, 5.0, size)))
    return {
        "poisson": (eta,),
        "binomial": (trials, logit),
        "negative_binomial": (eta, dispersion),
        "beta_binomial": (few, logit, dispersion),
    }[name]


def by_scipy(name: str, v: np.ndarray, parameters: tuple[np.ndarray, ...]) -> np.ndarray:
    if name == "poisson":
        return exact.poisson_quantile(v, np.exp(parameters[0]))
    if name == "binomial":
        return exact.binomial_quantile(v, *parameters)
    if name == "negative_binomial":
        return exact.negative_binomial_quantile(v, np.exp(parameters[0]), parameters[1])
    n, eta, kappa = parameters
    return exact.beta_binomial_quantile(
        v, n, kappa * special.expit(eta), kappa * special.expit(-eta)
    )


TAILS = {
    "poisson": poisson_tails,
    "binomial": binomial_tails,
    "negative_binomial": negative_binomial_tails,
    "beta_binomial": beta_binomial_tails,
}


def is_quantile(name: str, y: float, v: float, parameters: tuple[float, ...]) -> bool:
    """Whether mpmath finds noise v between the tails of y - 1 and y.

    The bounds are rounded doubles' own: a noise within 1e-12 of a bound may fall on either side.
    """
    with digits(v):
        lower, upper = TAILS[name](y, *parameters)
        before = TAILS[name](y - 1, *parameters) if y > 0 else (mpf(0), mpf(1))
        m = abs(mpf(v))
        near = mpf("1e-12")
        if v > 0:
            return bool(lower >= m * (1 - near) and before[0] < m * (1 + near))
        return bool(upper <= m * (1 + near) and before[1] > m * (1 - near))


@pytest.mark.parametrize("name", list(TAILS))
def test_counts_are_scipys_or_mpmath_decides_for_them(name):
    size = 20_000 if name != "beta_binomial" else 6_000
    rng = np.random.default_rng(3)
    v, parameters = both_tails(4, size, 1e-12), ordinary(rng, name, size)
    found = getattr(quantiles, name)(v, *parameters)
    differ = np.flatnonzero(found != by_scipy(name, v, parameters))
    assert differ.size < size / 1000
    for i in differ:
        assert is_quantile(name, found[i], v[i], tuple(float(p[i]) for p in parameters))


@pytest.mark.parametrize("name", list(TAILS))
def test_counts_are_mpmaths_far_into_both_tails(name):
    size = 150
    rng = np.random.default_rng(5)
    v, parameters = both_tails(6, size), ordinary(rng, name, size)
    found = getattr(quantiles, name)(v, *parameters)
    for i in range(size):
        assert is_quantile(name, found[i], v[i], tuple(float(p[i]) for p in parameters)), i


@pytest.mark.parametrize("mean", [99.0, 101.0, 1e3, 1e5, 1e8])
def test_the_lattice_names_only_counts_that_are_sure(mean):
    # a fine sweep of noise around every boundary that lies near the median
    eta = np.log(mean)
    k = np.floor(mean) + np.arange(-3.0, 4.0)
    lower = special.gammaincc(k + 1.0, mean)
    edges = np.concatenate([lower * (1.0 + s) for s in (-1e-4, -1e-7, -1e-9, 1e-9, 1e-7, 1e-4)])
    v = np.where(edges <= 0.5, edges, edges - 1.0)
    expected = exact.poisson_quantile(v, mean)
    np.testing.assert_array_equal(quantiles.poisson(v, eta), expected)


# ── continuous families ────────────────────────────────────────────────────────────────────────


def test_gamma_values_are_mpmaths_to_thirteen_digits():
    rng = np.random.default_rng(7)
    for v in both_tails(8, 150):
        shape = float(np.exp(rng.uniform(-2.0, 7.0)))
        for tables in (quantiles.gamma_tables(shape), np.empty((1, 0))):
            value = float(quantiles.gamma(v, 0.0, shape, tables))
            if value > 10 * TINY:
                with digits(v):
                    assert gamma_error(value, float(v), shape) < 1e-13, (v, shape)


def gamma_error(value: float, v: float, shape: float) -> mpf:
    """Relative error of a gamma value with mean one, by way of that of its tail."""
    a = mpf(shape)
    y = mpf(value) * a
    ends = (0, y) if v > 0 else (y, mp.inf)
    tail = mp.gammainc(a, *ends, regularized=True)
    return abs(tail - abs(mpf(v))) / mp.exp(a * mp.log(y) - y - mp.loggamma(a))


def test_student_values_are_mpmaths_to_thirteen_digits():
    rng = np.random.default_rng(9)
    for v in both_tails(10, 150):
        nu = float(2.0 + np.exp(rng.uniform(-5.0, 7.0)))
        for tables in (quantiles.student_t_tables(nu), np.empty((1, 0))):
            value = float(quantiles.student_t(v, 0.0, 1.0, nu, tables))
            with digits(v):
                assert student_error(value, float(v), nu) < 1e-13, (v, nu)


def student_error(value: float, v: float, nu: float) -> mpf:
    t, half = abs(mpf(value)), mpf(nu) / 2
    tail = by_beta(half, mpf("0.5"), mpf(nu) / (t * t))[0] / 2
    log_constant = mp.loggamma(half + 0.5) - mp.loggamma(half) - mp.log(nu * mp.pi) / 2
    density = mp.exp(log_constant - (half + 0.5) * mp.log1p(t * t / nu))
    return abs(tail - abs(mpf(v))) / (density * t)


def test_beta_values_are_mpmaths_to_twelve_digits_and_a_half():
    rng = np.random.default_rng(11)
    for v in both_tails(12, 300):
        eta, kappa = float(rng.normal(0.0, 1.5)), float(np.exp(rng.uniform(0.0, 7.0)))
        y = float(quantiles.beta(v, eta, kappa))
        if 10 * TINY < y < 1 - 4 * EPS:
            with digits(v):
                # a value next to 1 is as precise as a double is there, and so is its logit
                bound = 3e-13 + EPS / (1 - y)
                assert beta_error(y, float(v), eta, kappa) < bound, (v, eta, kappa)


def beta_error(value: float, v: float, eta: float, kappa: float) -> mpf:
    """Error of the logit, by way of that of the tail."""
    y = mpf(value)
    a = mpf(kappa) / (1 + mp.exp(-mpf(eta)))
    b = mpf(kappa) / (1 + mp.exp(mpf(eta)))
    tail = by_beta(a, b, y / (1 - y))[0 if v > 0 else 1]
    density = mp.exp(a * mp.log(y) + b * mp.log1p(-y) - mp.log(mp.beta(a, b)))
    return abs(tail - abs(mpf(v))) / density


# ── lanes ──────────────────────────────────────────────────────────────────────────────────────

DRAWS, UNITS = 7, 611
CALLS: dict[str, Callable[[dict], np.ndarray]] = {
    "normal": lambda p: quantiles.normal(p["v"], p["eta"], p["size"], logarithmic=False),
    "lognormal": lambda p: quantiles.lognormal(p["v"], p["eta"], p["size"]),
    "student_t": lambda p: quantiles.student_t(
        p["v"], p["eta"], 1.0, 2.0 + p["size"], quantiles.student_t_tables(2.0 + p["size"])
    ),
    "gamma": lambda p: quantiles.gamma(
        p["v"], p["eta"], p["size"], quantiles.gamma_tables(p["size"])
    ),
    "beta": lambda p: quantiles.beta(p["v"], p["eta"], p["size"]),
    "bernoulli": lambda p: quantiles.bernoulli(p["v"], p["eta"]),
    "binomial": lambda p: quantiles.binomial(p["v"], p["trials"], p["eta"]),
    "beta_binomial": lambda p: quantiles.beta_binomial(p["v"], p["trials"], p["eta"], p["size"]),
    "poisson": lambda p: quantiles.poisson(p["v"], 2.0 * p["eta"] + 2.0),
    "negative_binomial": lambda p: quantiles.negative_binomial(
        p["v"], 2.0 * p["eta"] + 2.0, p["size"]
    ),
    "ordinal": lambda p: quantiles.ordinal(p["v"], p["eta"], p["cuts"]),
}


@pytest.mark.parametrize("name", list(CALLS))
def test_no_bit_of_a_value_depends_on_company_order_or_block(name):
    rng = np.random.default_rng(13)
    whole = {
        "v": draw_tail_noise(rng, (DRAWS, UNITS)),
        "eta": rng.normal(0.0, 2.0, (DRAWS, UNITS)),
        "size": np.exp(rng.normal(1.5, 1.5, (DRAWS, 1))),
        "trials": np.floor(np.exp(rng.uniform(0.0, 7.0, (1, UNITS)))),
        "cuts": np.sort(rng.normal(size=(DRAWS, 1, 4)), axis=-1),
    }
    together = CALLS[name](whole)
    for rows, units in (
        (slice(None), slice(0, 1)),
        (slice(0, 1), slice(None)),
        (slice(2, 5), slice(63, 64)),
        (rng.permutation(DRAWS), slice(100, 229)),
        (slice(None), rng.permutation(UNITS)),
    ):
        part = {
            key: x[rows if len(x) > 1 else slice(None)][:, units if x.shape[1] > 1 else slice(None)]
            for key, x in whole.items()
        }
        np.testing.assert_array_equal(CALLS[name](part), together[rows][:, units])


@pytest.mark.parametrize("name", list(CALLS))
def test_missing_neighbours_change_nothing(name):
    rng = np.random.default_rng(14)
    whole = {
        "v": draw_tail_noise(rng, (2, 300)),
        "eta": rng.normal(0.0, 2.0, (2, 300)),
        "size": np.exp(rng.normal(1.5, 1.0, (2, 1))),
        "trials": np.full((1, 300), 40.0),
        "cuts": np.sort(rng.normal(size=(2, 1, 4)), axis=-1),
    }
    together = CALLS[name](whole)
    gone = rng.random((2, 300)) < 0.5
    part = CALLS[name]({**whole, "eta": np.where(gone, np.nan, whole["eta"])})
    np.testing.assert_array_equal(part, np.where(gone, np.nan, together))


def test_the_version_of_the_kernels_follows_every_source(tmp_path, monkeypatch):
    from dotwin.mechanisms.kernels import compiled

    for name in ("a.py", "b.py"):
        (tmp_path / name).write_text("x = 1\n")
    monkeypatch.setattr(compiled, "__file__", str(tmp_path / "compiled.py"))
    before = compiled._version.__wrapped__()
    assert before == compiled._version.__wrapped__()
    (tmp_path / "b.py").write_text("x = 2\n")
    assert before != compiled._version.__wrapped__()


def test_a_walk_that_is_too_long_ends_in_a_search():
    mean = 1400.0
    for size in (0.001, 0.01, 0.1, 1.0):
        for v in (-2e-4, -1e-3, -0.01):
            found = quantiles.negative_binomial(v, np.log(mean), size)
            assert found == stats.nbinom.isf(-v, size, size / (size + mean))
    share = 1.0 / (1.0 + np.exp(2.0))
    for n in (100_000, 300_000):
        for v in (0.3, -0.3, 0.01, -0.01):
            judge = stats.betabinom(n, 5.0 * share, 5.0 * (1.0 - share))
            expected = judge.ppf(v) if v > 0 else judge.isf(-v)
            assert quantiles.beta_binomial(v, float(n), -2.0, 5.0) == expected


def test_counts_of_exploded_draws_take_no_time_and_lie_where_they_should():
    v = np.random.default_rng(0).uniform(-0.5, 0.5, 2000)
    found = quantiles.poisson(v, np.full(v.size, np.log(1e15)))
    score = np.where(v > 0, stats.norm.ppf(np.abs(v)), stats.norm.isf(np.abs(v)))
    np.testing.assert_allclose((found - 1e15) / np.sqrt(1e15), score, atol=1e-6)
    many = quantiles.beta_binomial(v, np.full(v.size, 1e12), -2.0, 5.0)
    np.testing.assert_allclose(many / 1e12, quantiles.beta(v, -2.0, 5.0), rtol=1e-6, atol=1e-12)
