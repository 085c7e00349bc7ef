"""An arrow is the matrix that it stores, and many groups give what a dense matrix gives."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dotwin.inference.deterministic import columns
from dotwin.inference.deterministic.arrow import Arrow
from dotwin.inference.deterministic.problem import Problem
from dotwin.inference.deterministic.solve import marginal_of
from dotwin.inference.deterministic.split import problems_of, refusal
from dotwin.mechanisms.design import Design
from tests.inference.nuts.cases import mechanism, table

Floats = NDArray[np.float64]

ARROWS = {
    "border alone": Arrow(5, np.zeros((0, 0), dtype=np.intp)),
    "one effect a group": Arrow(8, np.arange(3, 8)[:, None]),
    "an effect and a slope a group": Arrow(
        11, np.stack([np.arange(2, 6), np.arange(7, 11)], axis=1)
    ),
}


def stored(arrow: Arrow, count: int) -> Floats:
    """Some positive definite matrices as an arrow stores them."""
    rng = np.random.default_rng(1)
    b, r, m = arrow.shape
    result = []
    for _ in range(count):
        factor = rng.normal(size=(b, b))
        half = rng.normal(size=(r, m, m))
        ties = 0.3 * rng.normal(size=(r, m, b))
        border = factor @ factor.T + (1.0 + r) * np.eye(b)
        blocks = half @ half.swapaxes(-1, -2) + np.eye(m)
        result.append(np.concatenate([border.ravel(), ties.ravel(), blocks.ravel()]))
    return np.array(result)


@pytest.mark.parametrize("case", ARROWS)
def test_it_computes_what_the_dense_matrix_computes(case: str) -> None:
    arrow = ARROWS[case]
    packed = stored(arrow, 3)
    dense = np.array([arrow.dense(one) for one in packed])
    rng = np.random.default_rng(2)
    vector, noise = rng.normal(size=(2, 3, arrow.size))
    factor = arrow.factor(packed)
    assert factor.log_det == pytest.approx(0.5 * np.linalg.slogdet(dense)[1], rel=1e-12)
    inverse = np.linalg.inv(dense)
    exact = (inverse @ vector[..., None])[..., 0]
    assert factor.solve(vector) == pytest.approx(exact, rel=1e-10, abs=1e-12)
    assert arrow.times(packed[0], vector[0]) == pytest.approx(dense[0] @ vector[0], rel=1e-12)
    squares = np.einsum("si,sij,sj->s", vector, dense, vector)
    assert arrow.square(packed, vector) == pytest.approx(squares, rel=1e-12)
    np.testing.assert_array_equal(packed[0][arrow.diagonal], np.diag(dense[0]))
    # Noise e is turned into x with x'Mx = e'e, so x has the covariance of the inverse.
    moved = factor.solve(np.zeros((3, arrow.size)), noise)
    assert arrow.square(packed, moved) == pytest.approx((noise**2).sum(axis=1), rel=1e-10)


def test_what_is_not_definite_is_mended_and_what_is_stays() -> None:
    arrow = ARROWS["an effect and a slope a group"]
    packed = stored(arrow, 2)
    packed[1, arrow.diagonal[0]] = -3.0
    with pytest.raises(np.linalg.LinAlgError):
        arrow.factor(packed)
    near = arrow.mended(packed)
    arrow.factor(near)
    assert near[0] == pytest.approx(packed[0], rel=1e-9, abs=1e-12)


def _design(family: str) -> Design:
    def outcome(rng: np.random.Generator, eta: Floats) -> Floats:
        return eta + rng.normal(size=eta.size) if family == "normal" else rng.poisson(np.exp(eta))

    frame = table(3, outcome, providers=20, periods=4, regions=5)
    return mechanism(frame, family=family, pooling=["region", "provider", "period"])


def _points(problem: Problem) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(5)
    h = rng.uniform(-1.0, 0.0, (4, len(problem.hypers)))
    return h, problem.start + 0.3 * rng.normal(size=(4, problem.size))


@pytest.mark.parametrize("family", ["poisson", "normal"])
def test_groups_apart_from_the_border_change_nothing(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = _design(family)
    (plain,) = problems_of(design)
    monkeypatch.setattr(columns, "MANY_GROUPS", 2)
    (apart,) = problems_of(design)
    assert plain.arrow.shape == (plain.size, 0, 0)
    # The border is the intercept, two causes, one of them also between, and four periods; apart
    # are intercept and slope of five regions.
    assert apart.arrow.shape == (8, 5, 2)
    one, two = marginal_of(plain), marginal_of(apart)
    h, beta = _points(plain)
    first, second = one.peak(h[0], None), two.peak(h[0], None)
    assert second.beta == pytest.approx(first.beta, rel=1e-7, abs=1e-9)
    assert second.log_density == pytest.approx(first.log_density, rel=1e-11)
    assert apart.arrow.dense(second.matrix) == pytest.approx(
        plain.arrow.dense(first.matrix), rel=1e-7, abs=1e-9
    )
    one.prepare(first)
    two.prepare(second)
    assert two.log_likelihood(h, beta) == pytest.approx(one.log_likelihood(h, beta), rel=1e-9)


def test_a_thousand_outer_groups_are_not_refused() -> None:
    frame = table(
        3, lambda rng, eta: rng.poisson(np.exp(eta)), providers=1200, periods=1, regions=600
    )
    design = mechanism(frame, family="poisson", causes={"staffing": {}})
    assert refusal(design) is None
    (problem,) = problems_of(design)
    assert problem.arrow.shape == (2, 600, 1)
    # What is stored grows with the groups, not with their square.
    assert problem.arrow.stored == 4 + 600 * 2 + 600
