"""The noise behind facts lies where SciPy says, and gives the facts back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

from dotwin.mechanisms.behind import noise_behind
from dotwin.mechanisms.families import get_family
from dotwin.mechanisms.tails import tail_probabilities

COUNT = 400


def cases():
    rng = np.random.default_rng(0)
    eta = rng.normal(0.5, 1.5, COUNT)
    for size in (0.3, 6.0, 80.0):
        for shift in (0.0, 4.0):
            mean = np.exp(eta + shift)
            law = stats.nbinom(size, size / (size + mean))
            yield "negative_binomial", eta + shift, {"dispersion": size}, None, law
    for shift in (0.0, 5.0):
        yield "poisson", eta + shift, {}, None, stats.poisson(np.exp(eta + shift))
    for n in (1.0, 12.0, 700.0):
        trials = np.full(COUNT, n)
        yield "binomial", eta, {}, trials, stats.binom(n, expit(eta))
        for size in (0.8, 6.0, 200.0):
            law = stats.betabinom(n, size * expit(eta), size * expit(-eta))
            yield "beta_binomial", eta, {"dispersion": size}, trials, law
    yield "bernoulli", eta, {}, None, stats.bernoulli(expit(eta))


@pytest.mark.parametrize("case", list(cases()), ids=lambda case: case[0])
def test_counts_lie_in_their_interval_and_come_back(case) -> None:
    name, eta, extra, trials, law = case
    family = get_family(name)
    rng = np.random.default_rng(1)
    y = law.rvs(random_state=rng).astype(float)
    within = rng.uniform(0.02, 0.98, COUNT)
    v = noise_behind(family, y, eta, extra, trials, within)
    lower, upper = tail_probabilities(v)
    # Both tails are asked for, since only the smaller one is precise.
    below, above = law.cdf(y - 1), law.sf(y)
    np.testing.assert_allclose(lower, below + within * law.pmf(y), rtol=1e-7, atol=1e-13)
    np.testing.assert_allclose(upper, above + (1 - within) * law.pmf(y), rtol=1e-7, atol=1e-13)
    np.testing.assert_array_equal(family.quantile(v, eta, extra, trials), y)


@pytest.mark.parametrize(
    ("name", "extra", "law"),
    [
        ("beta", {"dispersion": 9.0}, lambda e: stats.beta(9 * expit(e), 9 * expit(-e))),
        ("beta", {"dispersion": 0.7}, lambda e: stats.beta(0.7 * expit(e), 0.7 * expit(-e))),
        ("gamma", {"dispersion": 3.0}, lambda e: stats.gamma(3.0, scale=np.exp(e) / 3)),
        ("gamma", {"dispersion": 0.4}, lambda e: stats.gamma(0.4, scale=np.exp(e) / 0.4)),
    ],
)
def test_numbers_lie_at_their_tails_and_come_back(name, extra, law) -> None:
    family = get_family(name)
    eta = np.random.default_rng(2).normal(0, 1, COUNT)
    distribution = law(eta)
    y = distribution.ppf(np.random.default_rng(3).uniform(0.001, 0.999, COUNT))
    y = np.where(y == 1.0, 0.5, y)  # a share so near to 1 that SciPy rounds it
    v = noise_behind(family, y, eta, extra, None, None)
    lower, upper = tail_probabilities(v)
    np.testing.assert_allclose(np.minimum(lower, upper), np.minimum(
        distribution.cdf(y), distribution.sf(y)), rtol=1e-8)  # fmt: skip
    np.testing.assert_allclose(family.quantile(v, eta, extra), y, rtol=1e-8)


def test_what_is_not_recorded_has_no_noise() -> None:
    for name, extra in (("poisson", {}), ("negative_binomial", {"dispersion": 2.0}),
                        ("beta", {"dispersion": 2.0}), ("bernoulli", {})):  # fmt: skip
        v = noise_behind(get_family(name), [np.nan, 0.5 if name == "beta" else 1.0], 0.1, extra,
                         None, 0.3)  # fmt: skip
        assert np.isnan(v).tolist() == [True, False]
