"""Small mechanisms of every family, as problems and as SciPy knows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dotwin.inference.deterministic.problem import Problem
from dotwin.inference.deterministic.split import problems_of
from dotwin.mechanisms.design import Design
from tests.inference.nuts.cases import mechanism, table

Floats = NDArray[np.float64]
#: Log density of outcomes given their linear predictor, trials, bounds and the family's parameters.
Density = Callable[[Floats, Floats, Floats, Floats, Floats], Floats]


def _expit(eta: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-eta))


def _negative_binomial(y: Floats, eta: Floats, n: Floats, low: Floats, d: Floats) -> Floats:
    alpha = d[0]
    return stats.nbinom.logpmf(y, alpha, alpha / (alpha + np.exp(eta)))


def _bounded(y: Floats, eta: Floats, n: Floats, low: Floats, d: Floats) -> Floats:
    alpha = d[0]
    p = alpha / (alpha + np.exp(eta))
    return stats.nbinom.logpmf(y, alpha, p) - stats.nbinom.logsf(low - 1, alpha, p)


def _positive_poisson(y: Floats, eta: Floats, n: Floats, low: Floats, d: Floats) -> Floats:
    return stats.poisson.logpmf(y, np.exp(eta)) - stats.poisson.logsf(0, np.exp(eta))


def _positive_binomial(y: Floats, eta: Floats, n: Floats, low: Floats, d: Floats) -> Floats:
    return stats.binom.logpmf(y, n, _expit(eta)) - stats.binom.logsf(0, n, _expit(eta))


CASES: dict[str, tuple[dict[str, Any], Callable[..., Any], Density]] = {
    "negative_binomial": (
        {"family": "negative_binomial", "exposure": "days"},
        lambda rng, eta: rng.poisson(np.exp(1.0 + eta) * rng.gamma(3.0, 1 / 3, eta.size)),
        _negative_binomial,
    ),
    "poisson": (
        {"family": "poisson"},
        lambda rng, eta: rng.poisson(np.exp(0.5 + eta)),
        lambda y, eta, n, low, d: stats.poisson.logpmf(y, np.exp(eta)),
    ),
    "binomial": (
        {"family": "binomial", "trials": "visits"},
        lambda rng, eta: rng.binomial(5, _expit(eta - 1.0)),
        lambda y, eta, n, low, d: stats.binom.logpmf(y, n, _expit(eta)),
    ),
    "bernoulli": (
        {"family": "bernoulli"},
        lambda rng, eta: (rng.random(eta.size) < _expit(eta)).astype(int),
        lambda y, eta, n, low, d: stats.bernoulli.logpmf(y, _expit(eta)),
    ),
    "beta_binomial": (
        {"family": "beta_binomial", "trials": "visits"},
        lambda rng, eta: rng.binomial(5, rng.beta(6 * _expit(eta), 6 * _expit(-eta))),
        lambda y, eta, n, low, d: stats.betabinom.logpmf(
            y, n, d[0] * _expit(eta), d[0] * _expit(-eta)
        ),
    ),
    "gamma": (
        {"family": "gamma"},
        lambda rng, eta: np.exp(eta) * rng.gamma(3.0, 1 / 3, eta.size),
        lambda y, eta, n, low, d: stats.gamma.logpdf(y, d[0], scale=np.exp(eta) / d[0]),
    ),
    "beta": (
        {"family": "beta"},
        lambda rng, eta: np.clip(rng.beta(9 * _expit(eta), 9 * _expit(-eta)), 1e-4, 1 - 1e-4),
        lambda y, eta, n, low, d: stats.beta.logpdf(y, d[0] * _expit(eta), d[0] * _expit(-eta)),
    ),
    "student_t": (
        {"family": "student_t"},
        lambda rng, eta: eta + rng.standard_t(5, eta.size),
        lambda y, eta, n, low, d: stats.t.logpdf(y, d[1], eta, d[0]),
    ),
    "normal": (
        {"family": "normal"},
        lambda rng, eta: 10.0 + eta + rng.normal(size=eta.size),
        lambda y, eta, n, low, d: stats.norm.logpdf(y, eta, d[0]),
    ),
    "lognormal": (
        {"family": "lognormal"},
        lambda rng, eta: np.exp(eta + rng.normal(size=eta.size)),
        lambda y, eta, n, low, d: stats.norm.logpdf(np.log(y), eta, d[0]),
    ),
    "positive poisson": (
        {"family": "poisson", "zeros": {"as": "hurdle"}},
        lambda rng, eta: rng.poisson(np.exp(0.5 + eta)),
        _positive_poisson,
    ),
    "positive binomial": (
        {"family": "binomial", "trials": "visits", "zeros": {"as": "hurdle"}},
        lambda rng, eta: rng.binomial(5, _expit(eta - 1.0)),
        _positive_binomial,
    ),
    "bounded negative binomial": (
        {"family": "negative_binomial", "at_least": "surveys"},
        lambda rng, eta: 3 + rng.poisson(np.exp(1.0 + eta)),
        _bounded,
    ),
}


def small_design(case: str, **changes: Any) -> Design:
    """Build a small mechanism of a case: two regions of three providers by four quarters."""
    fields, outcome, _ = CASES[case]
    frame = table(11, outcome, providers=6, periods=4, regions=2)
    return mechanism(frame, **{**fields, "causes": {"staffing": {}, "beds": {}}, **changes})


def main_problem(design: Design) -> Problem:
    """Return the problem of a mechanism's mean."""
    return problems_of(design)[0]


def predictors(problem: Problem, beta: Floats) -> Floats:
    """Return the linear predictor of every row without the innermost groups' effects."""
    rows = problem.gathered.rows
    eta = rows.offset + rows.dense @ beta[: rows.dense.shape[1]]
    return eta + (rows.scale * beta[rows.which]).sum(axis=1)
