"""Tails and quantiles of every family against arbitrary-precision arithmetic."""

from __future__ import annotations

from collections.abc import Callable

import mpmath as mp
import numpy as np
import pytest

from dotwin.mechanisms.families import build_family, get_family

TAILS = (1e-12, 1e-9, 2e-5, 0.003, 0.1, 0.37, 0.4999)

type Pmf = Callable[[int], mp.mpf]


@pytest.fixture(autouse=True)
def fifty_digits():
    with mp.workdps(50):
        yield


def expit(x: float) -> mp.mpf:
    return 1 / (1 + mp.exp(-mp.mpf(x)))


def poisson_terms(eta: float, last: int) -> list[mp.mpf]:
    mu = mp.exp(mp.mpf(eta))
    terms = [mp.exp(-mu)]
    for k in range(1, last + 1):
        terms.append(terms[-1] * mu / k)
    return terms


def negative_binomial_terms(eta: float, alpha: float, last: int) -> list[mp.mpf]:
    mu, size = mp.exp(mp.mpf(eta)), mp.mpf(alpha)
    share = mu / (mu + size)
    terms = [(1 - share) ** size]
    for k in range(1, last + 1):
        terms.append(terms[-1] * share * (size + k - 1) / k)
    return terms


def binomial_terms(eta: float, n: int) -> list[mp.mpf]:
    odds = mp.exp(mp.mpf(eta))
    terms = [(1 - expit(eta)) ** n]
    for k in range(1, n + 1):
        terms.append(terms[-1] * odds * (n - k + 1) / k)
    return terms


def beta_binomial_terms(eta: float, kappa: float, n: int) -> list[mp.mpf]:
    # the shapes as doubles, as the family forms them
    family_a = kappa * float(expit(eta))
    family_b = kappa * float(expit(-eta))
    a, b = mp.mpf(family_a), mp.mpf(family_b)
    terms = [mp.rf(b, n) / mp.rf(a + b, n)]
    for k in range(1, n + 1):
        terms.append(terms[-1] * (n - k + 1) * (a + k - 1) / (k * (b + n - k)))
    return terms


COUNTS = [
    *(("poisson", eta, {}, None) for eta in (-30.0, -3.0, 0.0, 2.0, 4.9, 5.5, 7.0)),
    *(
        ("negative_binomial", eta, {"dispersion": alpha}, None)
        for eta in (-20.0, -2.0, 1.0, 3.0, 5.5)
        for alpha in (0.05, 0.7, 5.0, 80.0, 1e7)
    ),
    *(
        ("binomial", eta, {}, n)
        for eta in (-25.0, -3.0, 0.3, 2.0, 12.0)
        for n in (0, 1, 7, 55, 1100)
    ),
    *(
        ("beta_binomial", eta, {"dispersion": kappa}, n)
        for eta in (-6.0, -1.0, 0.2, 3.0)
        for kappa in (0.05, 2.0, 30.0, 3000.0)
        for n in (1, 20, 1100)
    ),
]


def exact_terms(name: str, eta: float, extra: dict[str, float], n: int | None) -> list[mp.mpf]:
    if name == "poisson":
        return poisson_terms(eta, int(np.exp(eta) + 12 * np.exp(eta / 2) + 60))
    if name == "negative_binomial":
        mu, alpha = np.exp(eta), extra["dispersion"]
        reach = int(mu + 12 * np.sqrt(mu) + 60 + 33 * mu / alpha)
        return negative_binomial_terms(eta, alpha, min(reach, 40_000))
    if name == "binomial":
        return binomial_terms(eta, int(n or 0))
    return beta_binomial_terms(eta, extra["dispersion"], int(n or 0))


@pytest.mark.parametrize(("name", "eta", "extra", "n"), COUNTS)
def test_count_tails_and_quantiles_are_those_of_exact_summation(name, eta, extra, n):
    family = get_family(name)
    terms = exact_terms(name, eta, extra, n)
    lower = list(np.cumsum(np.array(terms, dtype=object)))
    upper = [1 - x for x in lower]

    ks = np.unique(np.linspace(0, len(terms) - 1, 40).astype(int))
    ks = ks[[float(terms[k]) > 1e-250 for k in ks]]
    cdf = family.cdf(ks, eta, extra, n)
    sf = family.sf(ks, eta, extra, n)
    logsf = family.logsf(ks, eta, extra, n)
    logp = family.logp(ks, eta, extra, n)
    for i, k in enumerate(ks):
        assert abs(cdf[i] / lower[k] - 1) < 2e-11, ("cdf", k)
        assert abs(logp[i] - mp.log(terms[k])) < 1e-10 * max(1, abs(logp[i])), ("logp", k)
        if upper[k] > 1e-35:  # below, one minus the sum of fifty digits is not exact
            assert abs(sf[i] / upper[k] - 1) < 2e-11, ("sf", k)
            assert abs(logsf[i] - mp.log(upper[k])) < 1e-10 * max(1, abs(logsf[i])), ("logsf", k)

    # the shortest list of exact sums that covers a quantile, or the case is out of reach
    for m in TAILS:
        low = int(family.quantile(m, eta, extra, n))
        high = int(family.quantile(-m, eta, extra, n))
        assert lower[low] >= m
        assert low == 0 or lower[low - 1] < m
        if high < len(terms):
            assert upper[high] <= m
            assert high == 0 or upper[high - 1] > m
        else:
            assert upper[-1] > m


@pytest.mark.parametrize("eta", [9.0, 11.5])
@pytest.mark.parametrize("m", TAILS)
def test_large_poisson_quantile_brackets_the_incomplete_gamma(eta, m):
    family, mu = get_family("poisson"), mp.exp(mp.mpf(eta))

    def upper(k: int) -> mp.mpf:
        return mp.gammainc(k + 1, 0, mu, regularized=True)

    low, high = int(family.quantile(m, eta, {})), int(family.quantile(-m, eta, {}))
    with mp.workdps(30):
        assert 1 - upper(low) >= m > 1 - upper(low - 1)
        assert upper(high) <= m < upper(high - 1)


def gamma_tail(x: float, shape: float, above: bool) -> mp.mpf:
    ends = (mp.mpf(x), mp.inf) if above else (0, mp.mpf(x))
    return mp.gammainc(mp.mpf(shape), *ends, regularized=True)


def beta_tail(x: float, a: float, b: float, above: bool) -> mp.mpf:
    x, a, b = mp.mpf(x), mp.mpf(a), mp.mpf(b)
    return (
        mp.betainc(b, a, 0, 1 - x, regularized=True)
        if above
        else mp.betainc(a, b, 0, x, regularized=True)
    )


def student_tail(t: float, nu: float, above: bool) -> mp.mpf:
    t, nu = mp.mpf(t), mp.mpf(nu)
    tail = mp.betainc(nu / 2, mp.mpf(1) / 2, 0, nu / (nu + t * t), regularized=True) / 2
    return tail if (t > 0) == above else 1 - tail


def relative_step(tail: Callable[[float, bool], mp.mpf], y: float, m: float, above: bool) -> float:
    """How far y is from the exact quantile, relative to y: one secant step."""
    width = mp.mpf(y) * mp.mpf("1e-12")
    slope = (tail(mp.mpf(y) + width, above) - tail(mp.mpf(y) - width, above)) / (2 * width)
    return float(abs((tail(mp.mpf(y), above) - m) / slope / mp.mpf(y)))


@pytest.mark.parametrize("m", TAILS)
@pytest.mark.parametrize("shape", [0.2, 1.0, 6.0, 250.0])
def test_gamma_quantile_solves_the_incomplete_gamma(shape, m):
    family = get_family("gamma")
    for sign in (1, -1):
        y = float(family.quantile(sign * m, 0.7, {"dispersion": shape}))
        x = y * shape * mp.exp(-mp.mpf(0.7))
        error = relative_step(lambda z, up: gamma_tail(z, shape, up), x, m, sign < 0)
        assert error < 1e-11


@pytest.mark.parametrize("m", TAILS)
@pytest.mark.parametrize("kappa", [0.4, 3.0, 40.0, 1000.0])
@pytest.mark.parametrize("eta", [-2.0, 0.3, 1.0])
def test_beta_quantile_solves_the_incomplete_beta(eta, kappa, m):
    family = get_family("beta")
    a, b = kappa * float(expit(eta)), kappa * float(expit(-eta))
    for sign in (1, -1):
        y = float(family.quantile(sign * m, eta, {"dispersion": kappa}))
        if y > 1 - 1e-9:  # a double cannot say how near to 1
            continue
        assert relative_step(lambda z, up: beta_tail(z, a, b, up), y, m, sign < 0) < 1e-10


@pytest.mark.parametrize("m", TAILS)
@pytest.mark.parametrize("nu", [2.05, 5.0, 40.0, 1e5])
def test_student_quantile_and_tails_solve_the_incomplete_beta(nu, m):
    family, extra = get_family("student_t"), {"residual_sd": 1.0, "nu": nu}
    for sign in (1, -1):
        t = float(family.quantile(sign * m, 0.0, extra))
        error = relative_step(lambda z, up: student_tail(z, nu, up), t, m, sign < 0)
        assert error < 2e-11 + 1e-15 / abs(t)
        tail = family.cdf(t, 0.0, extra) if sign > 0 else family.sf(t, 0.0, extra)
        assert abs(float(tail) / student_tail(t, nu, sign < 0) - 1) < 1e-11


@pytest.mark.parametrize("name", ["normal", "lognormal"])
@pytest.mark.parametrize("m", [1e-300, *TAILS])
def test_normal_quantiles_solve_the_error_function(name, m):
    family, extra = get_family(name), {"residual_sd": 0.8}
    for sign in (1, -1):
        y = mp.mpf(float(family.quantile(sign * m, 0.4, extra)))
        z = ((mp.log(y) if name == "lognormal" else y) - mp.mpf(0.4)) / mp.mpf(0.8)
        tail = mp.erfc((z if sign < 0 else -z) / mp.sqrt(2)) / 2
        density = mp.exp(-z * z / 2) / mp.sqrt(2 * mp.pi)
        assert abs((tail - m) / density) < 1e-14 * (1 + abs(z))


def test_ordinal_tails_are_logistic():
    family, cuts = get_family("ordinal"), np.array([-1.0, 0.5, 30.0])
    for k, cut in enumerate(cuts):
        assert float(family.cdf(k, 0.3, {"cutpoints": cuts})) == pytest.approx(
            float(expit(cut - 0.3)), rel=1e-14
        )
        assert float(family.sf(k, 0.3, {"cutpoints": cuts})) == pytest.approx(
            float(expit(0.3 - cut)), rel=1e-14
        )
    assert family.sf(3, 0.3, {"cutpoints": cuts}) == 0.0


DEEP = [
    ("poisson", -23.0, {}, None, 40),
    ("poisson", 0.0, {}, None, 200),
    ("negative_binomial", -20.0, {"dispersion": 3.0}, None, 45),
    ("negative_binomial", 0.0, {"dispersion": 50.0}, None, 400),
    ("binomial", -20.0, {}, 60, 40),
    ("beta_binomial", -14.0, {"dispersion": 1e6}, 80, 70),
]


@pytest.mark.parametrize(("name", "eta", "extra", "n", "lower"), DEEP)
def test_truncation_that_removes_nearly_all_mass_keeps_its_digits(name, eta, extra, n, lower):
    plain, family = get_family(name), build_family(name, at_least=True)
    last = lower + 400 if n is None else n
    if name == "poisson":
        terms = poisson_terms(eta, last)
    elif name == "negative_binomial":
        terms = negative_binomial_terms(eta, extra["dispersion"], last)
    else:
        terms = exact_terms(name, eta, extra, n)
    kept = sum(terms[lower:])
    extra = {**extra, "lower": lower}
    assert float(plain.sf(lower - 1, eta, extra, n)) < 1e-190
    for k in (lower, lower + 1, lower + 3):
        exact = mp.log(terms[k] / kept)
        assert abs(float(family.logp(k, eta, extra, n)) - exact) < 1e-8 * max(1, abs(exact))
    mean = sum(k * p for k, p in enumerate(terms[lower:], lower)) / kept
    assert float(family.mean(eta, extra, n)) == pytest.approx(float(mean), rel=1e-9)
    cumulative = np.cumsum(np.array(terms[lower:], dtype=object)) / kept
    for u in (0.2, 0.5, 0.9, 1 - 1e-6):
        v = u if u <= 0.5 else -(1 - u)
        k = int(family.quantile(v, eta, extra, n)) - lower
        assert k >= 0
        assert cumulative[k] >= u * (1 - 1e-12)
        assert k == 0 or cumulative[k - 1] < u * (1 + 1e-12)
