"""Log-densities: equal to PyMC's, proper, and precise at extreme parameters."""

from __future__ import annotations

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats

from dotwin.mechanisms.families import build_family, get_family
from tests.mechanisms.family_cases import (
    ALL,
    PLAIN,
    Case,
    draw_parameters,
    draw_values,
    has_pymc_reference,
    logp_of,
)

seeds = st.integers(0, 2**32 - 1)


def relative_error(actual: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Relative, with log-densities near 0 measured as relative errors of the density."""
    return np.abs(actual - expected) / np.maximum(np.abs(expected), 1.0)


def well_conditioned(case: Case, y: np.ndarray, p) -> np.ndarray:
    """Rows where PyMC's own arithmetic holds nine digits."""
    family = case.family
    ok = np.ones(y.shape, dtype=bool)
    if case.name == "beta":
        top = family.support.high
        # 1 - y / 100 loses what y near 100 rounds away
        ok &= (np.isin(y, family.atoms)) | (np.minimum(y, top - y) > 1e-6 * top)
    if "at_least" in case.options and "zeros" not in case.options:
        # PyMC truncates by log(1 - exp(logcdf)), which needs mass left and mass removed
        edge = p.extra["lower"] - 1 if family.discrete else p.extra["lower"]
        ok &= family.base.sf(edge, p.eta, p.extra, p.trials) > 1e-3
    return ok


@pytest.mark.parametrize("case", [c for c in ALL if has_pymc_reference(c)], ids=str)
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_log_density_equals_that_of_pymc(case, seed):
    p = draw_parameters(case, seed)
    y = draw_values(case, p, seed)
    ok = well_conditioned(case, y, p)
    mine = case.family.logp(y, p.eta, p.extra, p.trials)
    assert ok.sum() > 50
    assert np.all(relative_error(mine[ok], logp_of(case, "pymc", y, p)[ok]) < 1e-8)


@pytest.mark.parametrize("name", ["normal", "lognormal"])
def test_truncated_normal_density_equals_that_of_scipy(name):
    case = Case(name, {"at_least": True})
    p = draw_parameters(case, 7)
    y = draw_values(case, p, 7)
    sd, lower = p.extra["residual_sd"], p.extra["lower"]
    ok = (lower > 0) & (lower < 40 * sd)
    log_y, edge = (np.log(y), np.log(np.maximum(lower, 0.1))) if name == "lognormal" else (y, lower)
    expected = stats.truncnorm.logpdf(log_y, (edge - p.eta) / sd, np.inf, p.eta, sd)
    if name == "lognormal":
        expected = expected - np.log(y)
    mine = case.family.logp(y, p.eta, p.extra)
    assert np.all(relative_error(mine[ok], expected[ok]) < 1e-10)


@pytest.mark.parametrize("case", ALL, ids=str)
@settings(max_examples=4, deadline=None)
@given(seed=seeds, wide=st.sampled_from([1.0, 2.5]))
def test_both_interpreters_of_a_density_agree_also_at_extreme_parameters(case, seed, wide):
    p = draw_parameters(case, seed, wide=wide)
    y = draw_values(case, p, seed)
    ok = well_conditioned(case, y, p) if case.name == "beta" else np.ones(y.shape, dtype=bool)
    mine = case.family.logp(y, p.eta, p.extra, p.trials)
    if case.name == "beta_binomial":
        # A graph of log-gammas has few digits left of 1 - P(0) where P(0) is nearly 1.
        ok &= p.eta > -9.0
    ok &= np.isfinite(mine)
    assert ok.mean() > 0.5
    assert np.all(relative_error(logp_of(case, "own", y, p)[ok], mine[ok]) < 1e-8)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_values_outside_the_support_have_no_density(case):
    p = draw_parameters(case, 3, 1)
    family = case.family
    outside = [-1.0, -0.5]
    if family.discrete:
        outside.append(0.5)
    if np.isfinite(family.support.high):
        outside.append(family.support.high + 1)
    if family.needs_trials:
        outside.append(float(p.trials[0]) + 1)
    for y in outside:
        if not family.support.contains(y, p.trials).any():
            assert np.all(family.logp(y, p.eta, p.extra, p.trials) == -np.inf)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_probabilities_add_up_to_one_and_give_the_distribution_function(case):
    family = case.family
    p = draw_parameters(case, 11, 6)
    if "lower" in p.extra:
        p.extra["lower"] = np.minimum(p.extra["lower"], 3.0)
    for i in range(6):
        eta = p.eta[i]
        extra = {key: value[i] for key, value in p.extra.items()}
        trials = None if p.trials is None else p.trials[i]
        if family.discrete:
            last = {"ordinal": 4, "bernoulli": 1}.get(case.name, trials)
            if last is None:
                last = family.quantile(-1e-14, eta, extra, trials)
            k = np.arange(last + 1)
            sums = np.cumsum(np.exp(family.logp(k, eta, extra, trials)))
            assert sums[-1] == pytest.approx(1.0, abs=1e-11)
            np.testing.assert_allclose(family.cdf(k, eta, extra, trials), sums, atol=1e-11)
            np.testing.assert_allclose(family.sf(k, eta, extra, trials), 1 - sums, atol=1e-11)
            continue
        inner = [0.1, 0.35, -0.4, -0.05]
        a, *_, b = np.sort(family.quantile(inner, eta, extra, trials))
        if b <= a or np.isin([a, b], family.atoms).any():
            continue
        area, _ = integrate.quad(
            lambda y, e=eta, x=extra: float(np.exp(family.logp(y, e, x))), a, b, limit=200
        )
        gained = family.cdf(b, eta, extra) - family.cdf(a, eta, extra)
        assert area == pytest.approx(float(gained), rel=1e-6)


def test_negative_binomial_density_keeps_its_digits_as_it_becomes_poisson():
    family = get_family("negative_binomial")
    with mp.workdps(60):
        for alpha in (1e3, 1e6, 1e9, 1e12):
            for eta, y in ((0.5, 3), (6.0, 420), (11.0, 60000)):
                mu, size = mp.exp(mp.mpf(eta)), mp.mpf(alpha)
                exact = (
                    mp.loggamma(size + y)
                    - mp.loggamma(size)
                    - mp.loggamma(y + 1)
                    + size * mp.log(size / (size + mu))
                    + y * mp.log(mu / (size + mu))
                )
                mine = float(family.logp(y, eta, {"dispersion": alpha}))
                assert abs(mine - exact) < 1e-8 * abs(exact)


def test_log_probabilities_survive_predictors_where_the_probability_rounds_to_one():
    bernoulli, ordinal = get_family("bernoulli"), get_family("ordinal")
    assert float(bernoulli.logp(0, 50.0, {})) == pytest.approx(-50.0, rel=1e-14)
    assert float(bernoulli.logp(1, -800.0, {})) == pytest.approx(-800.0, rel=1e-14)
    cuts = {"cutpoints": np.array([0.0, 1e-9])}
    with mp.workdps(40):
        exact = mp.log(1 / (1 + mp.exp(30 - mp.mpf(1e-9))) - 1 / (1 + mp.exp(mp.mpf(30))))
    assert float(ordinal.logp(1, 30.0, cuts)) == pytest.approx(float(exact), rel=1e-12)


def test_a_percentage_has_the_density_of_its_share_per_point():
    share, percentage = get_family("beta"), build_family("beta", out_of=100)
    extra = {"dispersion": 8.0}
    np.testing.assert_allclose(
        percentage.logp([12.0, 80.0], 0.4, extra),
        share.logp([0.12, 0.8], 0.4, extra) - np.log(100),
        rtol=1e-14,
    )


@pytest.mark.parametrize("case", [c for c in PLAIN if c.name != "ordinal"], ids=str)
def test_density_broadcasts_draws_against_rows(case):
    p = draw_parameters(case, 5, 6)
    y = draw_values(case, p, 5)
    extra = {key: value[:, None] for key, value in p.extra.items()}
    table = case.family.logp(y, p.eta[:, None], extra, p.trials)
    alone = case.family.logp(y, p.eta, p.extra, p.trials)
    assert table.shape == (6, 6)
    np.testing.assert_array_equal(np.diag(table), alone)
