"""Bounds, second sources of zeros and ordered categories have the mechanism's own density."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import special, stats

from benchmarks.accuracy import simulated
from dotwin.inference.deterministic.engine import DeterministicEngine, named_draws
from dotwin.inference.deterministic.marginal import Quadrature
from dotwin.inference.deterministic.problem import Problem
from dotwin.inference.deterministic.split import problems_of, refusal
from dotwin.inference.engine import Settings
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.response import log_likelihood
from tests.inference.nuts.cases import mechanism, table

Floats = NDArray[np.float64]


def _zeros(counts: Any) -> Any:
    """Counts of which some are 0 whatever their own chance."""
    return lambda rng, eta: np.where(rng.random(eta.size) < 0.3, 0, counts(rng, eta))


INFLATED = {"as": "inflated", "causes": {"beds": {}}, "pooling": ["region"]}
PIECES: dict[str, tuple[dict[str, Any], Any]] = {
    "bounded student_t": (
        {"family": "student_t", "at_least": 0},
        lambda rng, eta: np.abs(0.4 + eta + 0.5 * rng.standard_t(4, eta.size)),
    ),
    "student_t bounded by an indicator": (
        {"family": "student_t", "at_least": "surveys"},
        lambda rng, eta: 4.0 + np.abs(eta + rng.standard_t(4, eta.size)),
    ),
    "bounded normal": (
        {"family": "normal", "at_least": 0},
        lambda rng, eta: np.abs(1.0 + eta + rng.normal(size=eta.size)),
    ),
    "bounded lognormal": (
        {"family": "lognormal", "at_least": 0.5},
        lambda rng, eta: 0.5 + np.exp(eta + rng.normal(size=eta.size)),
    ),
    "normal with a log link": (
        {"family": "normal", "link": "log"},
        lambda rng, eta: np.exp(1.0 + eta) + 0.5 * rng.normal(size=eta.size),
    ),
    "bounded normal with a log link": (
        {"family": "normal", "link": "log", "at_least": 0},
        lambda rng, eta: np.abs(np.exp(0.5 + eta) + 0.7 * rng.normal(size=eta.size)),
    ),
    "poisson with more zeros": (
        {"family": "poisson", "zeros": INFLATED},
        _zeros(lambda rng, eta: rng.poisson(np.exp(0.8 + eta))),
    ),
    "negative binomial with more zeros": (
        {"family": "negative_binomial", "zeros": INFLATED, "exposure": "days"},
        _zeros(lambda rng, eta: rng.poisson(np.exp(1 + eta) * rng.gamma(3.0, 1 / 3, eta.size))),
    ),
    "binomial with more zeros": (
        {"family": "binomial", "trials": "visits", "zeros": INFLATED},
        _zeros(lambda rng, eta: rng.binomial(5, special.expit(eta - 1.0))),
    ),
    "beta_binomial with more zeros": (
        {"family": "beta_binomial", "trials": "visits", "zeros": INFLATED},
        _zeros(
            lambda rng, eta: rng.binomial(
                5, rng.beta(6 * special.expit(eta), 6 * special.expit(-eta))
            )
        ),
    ),
    "ordinal": (
        {"family": "ordinal", "categories": ["none", "some", "harm", "jeopardy"]},
        lambda rng, eta: np.array(["none", "some", "harm", "jeopardy"])[
            np.digitize(eta + rng.logistic(size=eta.size), [-0.5, 0.7, 1.8])
        ],
    ),
}


def design_of(case: str, **changes: Any) -> Design:
    """Two regions of three providers by four quarters."""
    fields, outcome = PIECES[case]
    frame = table(11, outcome, providers=6, periods=4, regions=2)
    design = mechanism(frame, **{**fields, "causes": {"staffing": {}, "beds": {}}, **changes})
    assert refusal(design) is None
    return design


def points(problem: Problem, seed: int, count: int) -> tuple[Floats, Floats]:
    """Some hyperparameters and globals near where the search begins; cutpoints stay in order."""
    rng = np.random.default_rng(seed)
    h = rng.uniform(-1.2, 0.3, (count, len(problem.hypers)))
    if problem.inner_sd >= 0:
        # Effects that differ much from groups of few rows need more nodes than a test can wait for.
        h[:, problem.inner_sd] = rng.uniform(-1.8, -0.8, count)
    return h, problem.start + 0.2 * rng.normal(size=(count, problem.size))


def cuts_part(problem: Problem, beta: Floats) -> Floats:
    """What only the distances of cutpoints enter, which the engine keeps with the priors."""
    return np.zeros(len(beta)) if problem.cuts is None else problem.cuts.log_density(beta)


@pytest.mark.parametrize("case", PIECES)
def test_rows_have_the_mechanisms_log_density(case: str) -> None:
    design = design_of(case, pooling=[])
    (problem,) = problems_of(design)
    marginal = Quadrature(problem, 7)
    h, beta = points(problem, 3, 6)
    marginal.prepare(marginal.peak(h[0], None))
    ours = marginal.log_likelihood(h, beta) + cuts_part(problem, beta)
    exact = log_likelihood(design, named_draws(problem, h, beta, np.zeros((6, 0)))).sum(axis=1)
    # Terms that no parameter enters are left out.
    assert np.diff(ours) == pytest.approx(np.diff(exact), rel=1e-8, abs=1e-9)


@pytest.mark.parametrize("case", PIECES)
def test_the_marginal_likelihood_is_the_integral_of_the_mechanisms_density(case: str) -> None:
    design = design_of(case)
    (problem,) = problems_of(design)
    marginal = Quadrature(problem, 63)
    h, beta = points(problem, 5, 3)
    marginal.prepare(marginal.peak(h[0], None))
    ours = marginal.log_likelihood(h, beta) + cuts_part(problem, beta)
    providers = len(design.group_names["provider"])
    exact = []
    for one_h, one_beta in zip(h, beta, strict=True):
        sd = float(problem.inner_spread(one_h))
        grid = np.linspace(-9.0, 9.0, 1201)
        many = grid.size
        values = named_draws(
            problem,
            np.tile(one_h, (many, 1)),
            np.tile(one_beta, (many, 1)),
            np.tile(sd * grid[:, None], (1, providers)),
        )
        rows = log_likelihood(design, values)
        group = design.predictors[0].groups["provider"]
        joint = np.stack([rows[:, group == g].sum(axis=1) for g in range(providers)], axis=1)
        joint += stats.norm.logpdf(grid)[:, None]
        exact.append(special.logsumexp(joint + np.log(grid[1] - grid[0]), axis=0).sum())
    assert np.diff(ours) == pytest.approx(np.diff(exact), rel=1e-8, abs=2e-6)


@pytest.mark.parametrize("case", PIECES)
def test_gradient_and_information_are_the_derivatives(case: str) -> None:
    (problem,) = problems_of(design_of(case))
    marginal = Quadrature(problem, 63)
    h, beta = points(problem, 7, 1)

    def at(beta: Floats) -> tuple[float, Floats, Floats]:
        return marginal.derivatives(h[0], beta)

    _, gradient, matrix = at(beta[0])
    step = 1e-4
    for j in range(problem.size):
        e = step * np.eye(problem.size)[j]
        above, below = at(beta[0] + e), at(beta[0] - e)
        slope = (above[0] - below[0]) / (2 * step)
        assert gradient[j] == pytest.approx(slope, rel=1e-5, abs=1e-5)
        bend = -(above[1] - below[1]) / (2 * step)
        assert problem.arrow.dense(matrix)[j] == pytest.approx(bend, rel=2e-4, abs=2e-4)


def test_cutpoints_out_of_order_are_impossible() -> None:
    (problem,) = problems_of(design_of("ordinal"))
    assert problem.cuts is not None
    first = problem.cuts.first
    beta = np.tile(problem.start, (2, 1))
    beta[1, first : first + 2] = beta[1, first : first + 2][::-1]
    inside, outside = problem.cuts.log_density(beta)
    assert np.isfinite(inside)
    assert outside == -np.inf
    slope, bend = problem.other_priors(beta[0])
    matrix = problem.arrow.dense(bend)
    for j in range(first, first + 3):
        e = 1e-5 * np.eye(problem.size)[j]
        change = problem.cuts.log_density(np.stack([beta[0] + e, beta[0] - e]))
        assert slope[j] == pytest.approx((change[0] - change[1]) / 2e-5, rel=1e-6)
        turned = [problem.other_priors(b)[0] for b in (beta[0] + e, beta[0] - e)]
        assert matrix[j] == pytest.approx((turned[1] - turned[0]) / 2e-5, rel=1e-5, abs=1e-7)


def test_effects_of_groups_without_events_follow_their_own_density() -> None:
    """Zeros may come from either source, so an effect is far from normal, and not at one mode."""
    (case,) = simulated(lambda name: name == "poisson, zeros inflated, sparse")
    (design,) = case.component.designs
    settings = Settings(500, 0, 4, 1)
    drawn = DeterministicEngine().sample(case.component, settings, lambda share, words: None)
    posterior = {k: v.reshape(-1, *v.shape[2:]) for k, v in drawn.posterior.items()}
    main, zeros = design.predictors
    sd = posterior["outcome.sd_provider"][:, None]
    assert np.abs(posterior["outcome.provider"] / sd).max() < 6.0
    grid = np.linspace(-7.0, 7.0, 351)
    places = []
    for provider in range(len(design.group_names["provider"])):
        rows = np.flatnonzero(main.groups["provider"] == provider)
        if design.y[rows].any():
            continue
        eta = posterior["outcome.intercept"][:, None] + posterior["outcome.causes"] @ (
            main.columns[rows].T
        )
        eta += posterior["outcome.region"][:, main.groups["region"][rows]]
        second = posterior["outcome.zeros.intercept"][:, None]
        own = posterior["outcome.zeros.region"][:, zeros.groups["region"][rows]]
        second = special.expit(second + own)
        alone = np.exp(-np.exp(eta[:, :, None] + sd[:, :, None] * grid))
        joint = np.log(second[:, :, None] + (1.0 - second[:, :, None]) * alone).sum(axis=1)
        density = np.exp(joint - 0.5 * grid**2)
        below = np.cumsum(density, axis=1) - 0.5 * density
        below /= density.sum(axis=1, keepdims=True)
        z = (posterior["outcome.provider"][:, [provider]] / sd)[:, 0]
        # Between points of the grid the distribution is nearly a line.
        at = (z - grid[0]) / (grid[1] - grid[0])
        k, draws = at.astype(int), np.arange(z.size)
        places.append(below[draws, k] + (at - k) * (below[draws, k + 1] - below[draws, k]))
    together = np.concatenate(places)
    assert len(places) > 3
    assert stats.kstest(together, "uniform").pvalue > 1e-3
