"""Noise: inversion, abduction, moments of draws, monotony, independence of neighbours."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.mechanisms.families import build_family, get_family
from dotwin.mechanisms.kernels.elementary import logit_of_tail
from dotwin.mechanisms.tails import (
    draw_tail_noise,
    signed_tail,
    tail_probabilities,
)
from tests.mechanisms.family_cases import ALL, PLAIN_MODE, Case, draw_parameters, draw_values

seeds = st.integers(0, 2**32 - 1)


def in_order(v: np.ndarray) -> np.ndarray:
    """Signed tail noise sorted by the probability it stands for."""
    return v[np.lexsort((np.where(v > 0, v, -1 / v), v < 0))]


@pytest.mark.parametrize("case", ALL, ids=str)
@settings(max_examples=4, deadline=None)
@given(seed=seeds)
def test_abducted_noise_gives_the_value_back(case, seed):
    family = case.family
    p = draw_parameters(case, seed, 400)
    y = draw_values(case, p, seed)
    jitter = np.random.default_rng(seed).uniform(1e-9, 1, 400)
    v = family.abduct(y, p.eta, p.extra, p.trials, jitter)
    assert np.all((np.abs(v) > 0) & (np.abs(v) <= 0.5))
    back = family.quantile(v, p.eta, p.extra, p.trials)
    if family.discrete:
        np.testing.assert_array_equal(back, y)
    else:
        # a value next to 0 on the real line is as precise as its spread
        spread = np.sqrt(family.variance(p.eta, p.extra, p.trials))
        size = np.maximum(np.abs(y), 1e-3 * spread) if family.support.low < 0 else np.abs(y)
        assert np.all(np.abs(back - y) <= 1e-10 * size)


@pytest.mark.parametrize(
    "case", [c for c in ALL if c.family.discrete and "lower" not in c.family.extra_names], ids=str
)
def test_abduction_reaches_facts_deep_in_both_tails(case):
    family = case.family
    p = draw_parameters(case, 2, 60)
    for v in (1e-12, 1e-6, -1e-6, -1e-12):
        y = family.quantile(v, p.eta, p.extra, p.trials)
        for jitter in (None, 1e-6, 1 - 1e-6):
            noise = family.abduct(y, p.eta, p.extra, p.trials, jitter)
            np.testing.assert_array_equal(family.quantile(noise, p.eta, p.extra, p.trials), y)


@pytest.mark.parametrize("case", ALL, ids=str)
def test_draws_have_the_mean_and_variance_that_the_family_states(case):
    size = 200_000
    family = case.family
    p = draw_parameters(case, 21, 3)
    slow = case.name in ("beta", "student_t")
    for i in range(1 if slow else 3):
        extra = {key: value[i] for key, value in p.extra.items()}
        if case.name in ("lognormal", "student_t"):  # sample variances need a fourth moment
            extra["residual_sd"] = min(extra["residual_sd"], 0.6)
            extra["nu"] = 9.0
        trials = None if p.trials is None else p.trials[i]
        y = family.quantile(
            draw_tail_noise(np.random.default_rng(i), size), np.full(size, p.eta[i]), extra, trials
        )
        mean = float(family.mean(p.eta[i], extra, trials))
        variance = float(family.variance(p.eta[i], extra, trials))
        away = (y - y.mean()) ** 2
        assert abs(y.mean() - mean) < 5 * y.std() / np.sqrt(size) + 1e-9 * abs(mean)
        error = away.std() / np.sqrt(size)
        assert abs(away.mean() - variance) < 5 * error + 1e-9 * variance + 30 / size * error


@pytest.mark.parametrize("case", ALL, ids=str)
def test_value_rises_with_noise(case):
    family = case.family
    p = draw_parameters(case, 31, 25)
    tails = np.concatenate([-(10.0 ** -np.arange(1, 13)), 10.0 ** -np.arange(1, 13)])
    v = in_order(np.concatenate([draw_tail_noise(np.random.default_rng(0), 300), tails]))[:, None]
    extra = dict(p.extra)
    if "cutpoints" in extra:
        extra["cutpoints"] = extra["cutpoints"][None]
    y = family.quantile(v, p.eta, extra, p.trials)
    assert y.shape == (v.size, 25)
    assert np.all(np.diff(y, axis=0) >= 0)


# what is left of a Student t above a bound moves *down* as the centre nears the bound: its
# hazard falls in the tail
MONOTONE = [c for c in ALL if not (c.name == "student_t" and "at_least" in c.options)]


@pytest.mark.parametrize("case", MONOTONE, ids=str)
@settings(max_examples=3, deadline=None)
@given(seed=seeds)
def test_value_rises_with_the_linear_predictor(case, seed):
    family = case.family
    p = draw_parameters(case, seed, 40)
    v = draw_tail_noise(np.random.default_rng(seed), 40)
    steps = np.array([0.0, 1e-6, 0.1, 0.5, 2.0])[:, None]
    y = family.quantile(v, p.eta + steps, p.extra, p.trials)
    assert np.all(np.diff(y, axis=0) >= -1e-12 * np.abs(y[1:]))


@pytest.mark.parametrize("case", ALL, ids=str)
def test_a_value_does_not_depend_on_its_neighbours(case):
    family = case.family
    p = draw_parameters(case, 41, 500)
    v = draw_tail_noise(np.random.default_rng(41), 500)
    together = family.quantile(v, p.eta, p.extra, p.trials)
    some = np.array([0, 3, 57, 499])
    extra = {key: value[some] for key, value in p.extra.items()}
    trials = None if p.trials is None else p.trials[some]
    np.testing.assert_array_equal(
        family.quantile(v[some], p.eta[some], extra, trials), together[some]
    )


@pytest.mark.parametrize("case", ALL, ids=str)
def test_values_lie_in_the_support(case):
    p = draw_parameters(case, 51, 2000, wide=2.0)
    y = draw_values(case, p, 51)
    assert np.all(case.family.support.contains(y, p.trials))
    if "lower" in p.extra:
        assert np.all((y >= p.extra["lower"]) | (y == 0) * (case.options.get("zeros") is not None))


@pytest.mark.parametrize("name", ["poisson", "negative_binomial", "binomial", "beta_binomial"])
def test_unusable_parameters_give_nan_and_nothing_else_changes(name):
    family, extra = get_family(name), {"dispersion": 4.0}
    eta = np.array([0.3, np.nan, 0.3])
    y = family.quantile(0.3, eta, extra, 20)
    assert np.isnan(y[1])
    assert y[0] == y[2] == family.quantile(0.3, 0.3, extra, 20)


@pytest.mark.parametrize("mu", [3.0, 40.0, 149.0, 151.0, 3000.0, 1e6])
def test_walk_and_search_meet_without_a_seam(mu):
    family = get_family("poisson")
    v = in_order(np.concatenate([-(2.0**-13) * np.array([0.999, 1.0, 1.001]), [-0.01, -0.5, 0.3]]))
    y = family.quantile(v, np.log(mu), {})
    assert np.all(np.diff(y) >= 0)
    np.testing.assert_array_equal(
        family.quantile(family.abduct(y, np.log(mu), {}), np.log(mu), {}), y
    )


def test_hurdle_keeps_zero_and_the_positive_part_apart():
    family = build_family("gamma", zeros="hurdle")
    extra = {"dispersion": 2.0, "zeros_eta": 0.0}
    y = family.quantile([0.2, 0.4999, -0.4999, -1e-12], 0.0, extra)
    assert y[0] == y[1] == 0.0
    assert 0 < y[2] < 0.02
    assert family.atoms == (0.0,)
    assert float(family.cdf(0.0, 0.0, extra)) == 0.5


def test_ends_come_first_and_last():
    family = build_family("beta", ends=(0, 100), out_of=100)
    extra = {"dispersion": 5.0, "end0_eta": 0.0, "end1_eta": 0.0}
    assert family.atoms == (0.0, 100.0)
    y = family.quantile([0.3, 0.34, -0.34, -0.3], 0.0, extra)
    assert y[0] == 0.0
    assert 0.0 < y[1] < y[2] < 100.0
    assert y[3] == 100.0
    assert float(family.mean(0.0, extra)) == pytest.approx(50.0)


@settings(deadline=None)
@given(u=st.floats(1e-300, 0.5))
def test_signed_tails_split_and_join(u):
    for v in (u, -u):
        lower, upper = tail_probabilities(v)
        assert signed_tail(lower, upper) == v or u == 0.5
        assert np.sign(logit_of_tail(v)) in (0.0, -np.sign(v))


def test_drawn_noise_is_uniform_on_both_tails():
    v = draw_tail_noise(np.random.default_rng(0), 200_000)
    u, _ = tail_probabilities(v)
    counts, _ = np.histogram(u, 50, (0, 1))
    expected = u.size / 50
    assert np.sum((counts - expected) ** 2 / expected) < 49 + 5 * np.sqrt(2 * 49)


def test_pymc_distributions_of_modified_families_draw_and_score_alike():
    import pymc as pm

    case = Case("negative_binomial", {"zeros": "hurdle"})
    family = case.family
    extra = {"dispersion": np.array(3.0), "zeros_eta": np.array(-1.0)}
    variable = family.pymc_dist(np.full(20_000, 1.0), extra)
    y = pm.draw(variable, random_seed=1, mode=PLAIN_MODE)
    assert y.shape == (20_000,)
    error = y.std() / np.sqrt(y.size)
    assert abs(y.mean() - float(family.mean(1.0, extra))) < 5 * error
    some = np.array([0.0, 1.0, 7.0])
    scored = pm.logp(family.pymc_dist(np.full(3, 1.0), extra), some).eval()
    np.testing.assert_allclose(scored, family.logp(some, 1.0, extra), rtol=1e-10)
