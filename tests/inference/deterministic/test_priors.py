"""Priors of hyperparameters and globals are SciPy's, with the volume that their scale adds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from dotwin.inference.deterministic.priors import hyper_log_prior, hyper_value, student_t_terms
from dotwin.spec.prior import Prior
from tests.inference.deterministic.small import main_problem, small_design

H = np.array([-6.0, -1.3, 0.0, 0.7, 2.0])


@pytest.mark.parametrize(
    ("text", "law"),
    [
        ("half_normal(0.5)", stats.halfnorm(scale=0.5)),
        ("exponential(3)", stats.expon(scale=1 / 3)),
        ("gamma(2, 0.5)", stats.gamma(2, scale=2)),
        ("lognormal(-1, 0.4)", stats.lognorm(0.4, scale=np.exp(-1))),
        ("beta(2, 3)", stats.beta(2, 3)),
        ("uniform(0.2, 4)", stats.uniform(0.2, 3.8)),
    ],
)
def test_a_spread_has_the_density_of_its_prior(text: str, law: Any) -> None:
    prior = Prior.parse(text)
    value = hyper_value(prior, H)
    step = 1e-6
    slope = (hyper_value(prior, H + step) - hyper_value(prior, H - step)) / (2 * step)
    assert hyper_log_prior(prior, H) == pytest.approx(
        law.logpdf(value) + np.log(slope), rel=1e-7, abs=1e-7
    )


def test_a_half_student_t_is_twice_the_upper_half() -> None:
    prior = Prior.parse("half_student_t(3, 0.4)")
    exact = np.log(2) + stats.t.logpdf(np.exp(H), 3, 0, 0.4) + H
    assert hyper_log_prior(prior, H) == pytest.approx(exact, rel=1e-12)


def test_students_t_and_its_derivatives() -> None:
    nu, mean, scale = np.array([1.0, 4.0]), np.array([0.0, 0.5]), np.array([2.5, 0.3])
    beta = np.array([1.7, -0.4])
    value, slope, bend = student_t_terms(beta, nu, mean, scale)
    assert value == pytest.approx(stats.t.logpdf(beta, nu, mean, scale), rel=1e-12)
    step = 1e-5

    def at(b: np.ndarray) -> Any:
        return stats.t.logpdf(b, nu, mean, scale)

    assert slope == pytest.approx((at(beta + step) - at(beta - step)) / (2 * step), rel=1e-6)
    second = (at(beta + step) - 2 * at(beta) + at(beta - step)) / step**2
    assert bend == pytest.approx(-second, rel=1e-3)


def test_the_joint_prior_is_the_product_of_its_parts() -> None:
    design = small_design(
        "poisson", causes={"staffing": {"prior": "student_t(4, 0, 0.5)"}, "beds": {}}, trend="walk"
    )
    problem = main_problem(design)
    rng = np.random.default_rng(1)
    h = rng.normal(-1, 0.3, (1, len(problem.hypers)))
    beta = 0.5 * rng.normal(size=(1, problem.size))
    values = dict(zip([one.name for one in problem.hypers], problem.values(h)[0], strict=True))
    intercept = problem.listed[0].priors[0].arguments
    exact = stats.norm.logpdf(beta[0, 0], *intercept)
    # The cause, the other cause, and the cause between providers.
    exact += stats.t.logpdf(beta[0, 1], 4, 0, 0.5)
    exact += stats.norm.logpdf(beta[0, 2:4], 0, 0.5).sum()
    for block in problem.blocks:
        part = beta[0, block.start : block.start + block.size]
        steps = np.diff(part, prepend=0.0) if block.walk else part
        exact += stats.norm.logpdf(steps, 0, values[problem.hypers[block.hyper].name]).sum()
    for one, value in zip(problem.hypers, problem.values(h)[0], strict=True):
        sd = one.prior.arguments[0]
        exact += stats.halfnorm.logpdf(value, scale=sd) + np.log(value)
    assert problem.log_prior(h, beta)[0] == pytest.approx(exact, rel=1e-12)
    matrix, linear = problem.precision(h)
    step = 1e-4
    for j in (0, 2, problem.size - 1):
        e = step * np.eye(problem.size)[j]
        slope = (problem.log_prior(h, beta + e) - problem.log_prior(h, beta - e))[0] / (2 * step)
        pull = linear - problem.arrow.times(matrix[0], beta[0])
        assert pull[j] == pytest.approx(slope, rel=1e-6, abs=1e-6)
