"""Functions without branches agree with mpmath over all that doubles can say."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
from numba import njit

from dotwin.inference.deterministic import lanes

POSITIVE = np.exp(np.linspace(-46.0, 46.0, 93))


def run(function: Any, *arguments: Any) -> Any:
    """Call a function that is compiled into its callers."""

    @njit
    def caller(*values: Any) -> Any:
        return function(*values)

    return np.array([caller(*values) for values in zip(*arguments, strict=True)])


@pytest.mark.parametrize(
    ("function", "x", "exact"),
    [
        (lanes.log, POSITIVE, mpmath.log),
        (lanes.log1p, POSITIVE, mpmath.log1p),
        (lanes.one_less_exp, POSITIVE, lambda x: -mpmath.expm1(-x)),
        (lanes.log1m_exp, POSITIVE[POSITIVE < 600], lambda x: mpmath.log(-mpmath.expm1(-x))),
        (lanes.lgamma, POSITIVE, mpmath.loggamma),
    ],
    ids=["log", "log1p", "one_less_exp", "log1m_exp", "lgamma"],
)
def test_values_agree_with_mpmath(
    function: Any, x: np.ndarray, exact: Callable[[float], Any]
) -> None:
    with mpmath.workdps(60):
        wanted = np.array([float(exact(mpmath.mpf(float(v)))) for v in x])
    # log1m_exp goes to 0, and lgamma has zeros at 1 and 2: there it is absolute digits that count.
    assert run(function, x) == pytest.approx(wanted, rel=5e-13, abs=5e-13)


@pytest.mark.parametrize("a", [1e-8, 0.3, 7.0, 1e3, 1e8, 1e14, 1e25])
@pytest.mark.parametrize("n", [0.0, 1.0, 3.0, 250.0])
def test_rising_factorials_keep_their_digits_for_a_huge_argument(a: float, n: float) -> None:
    with mpmath.workdps(60):
        wanted = float(mpmath.loggamma(mpmath.mpf(a) + n) - mpmath.loggamma(mpmath.mpf(a)))
    assert run(lanes.log_rising, [a], [n])[0] == pytest.approx(wanted, rel=1e-12, abs=1e-12)


def test_derivatives_of_the_gamma_function_agree_with_mpmath() -> None:
    x = np.exp(np.linspace(-12.0, 20.0, 65))
    with mpmath.workdps(40):
        first = np.array([float(mpmath.digamma(mpmath.mpf(float(v)))) for v in x])
        second = np.array([float(mpmath.polygamma(1, mpmath.mpf(float(v)))) for v in x])
    ours = run(lanes.digamma_trigamma, x)
    assert ours[:, 0] == pytest.approx(first, rel=1e-12, abs=1e-12)
    assert ours[:, 1] == pytest.approx(second, rel=1e-11)
