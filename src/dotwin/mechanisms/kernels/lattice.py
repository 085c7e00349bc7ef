"""Counts at signed tail noise where a walk from 0 would be long or would lose digits.

A Cornish-Fisher expansion on the lattice names the count unless a boundary between two counts is
nearer than the expansion's own error; what is left is found by bisection on the exact tails.

References
----------
.. [1] Fisher, R. A., & Cornish, E. A. (1960). The percentile points of distributions having known
   cumulants. Technometrics 2(2), 209-225. doi:10.1080/00401706.1960.10489895
.. [2] Abramowitz, M., & Stegun, I. A. (1964). Handbook of Mathematical Functions, 26.2.49-51.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from dotwin.mechanisms.kernels.elementary import SMALLEST, exp, log
from dotwin.mechanisms.kernels.gammas import (
    beta_density,
    beta_tails,
    gamma_density,
    gamma_tails,
    stirling_rest,
)

__all__ = [
    "BETA_BINOMIAL",
    "BINOMIAL",
    "NEGATIVE_BINOMIAL",
    "POISSON",
    "beta_binomial_log_rising",
    "cornish_fisher",
    "count_tails",
    "search",
]

POISSON, BINOMIAL, NEGATIVE_BINOMIAL, BETA_BINOMIAL = 0, 1, 2, 3
_EPS = 2.0**-53
_LARGEST_COUNT = 2.0**53
#: From here exact tails take millions of terms and tell neighbours apart by rounding alone.
_TOLD_APART = 1e12


@njit(error_model="numpy", forceinline=True)
def cornish_fisher(
    z: float, mean: float, variance: float, k3: float, k4: float, k5: float, k6: float
) -> tuple[float, float]:
    """Return the count at a normal score, and how much farther a boundary is than the error.

    Parameters
    ----------
    z : float
    mean, variance, k3, k4, k5, k6 : float
        The cumulants of the count.

    Returns
    -------
    count : float
    margin : float
        Above 0 where the count is sure.
    """
    # Sheppard's corrections: cumulants of the count plus uniform noise on (-1/2, 1/2)
    square = variance - 1.0 / 12.0
    k4 = k4 + 1.0 / 120.0
    k6 = k6 - 1.0 / 252.0
    sd = math.sqrt(square)
    scale = 1.0 / square
    g1 = k3 * scale / sd
    g2 = k4 * scale * scale
    g3 = k5 * scale * scale / sd
    g4 = k6 * scale * scale * scale
    z2 = z * z
    h2 = z2 - 1.0
    h3 = z * (z2 - 3.0)
    h4 = z2 * (z2 - 6.0) + 3.0
    h5 = z * (z2 * (z2 - 10.0) + 15.0)
    first = g1 * h2 * (1.0 / 6.0)
    second = g2 * h3 * (1.0 / 24.0) - g1 * g1 * (2.0 * h3 + z) * (1.0 / 36.0)
    third = (
        g3 * h4 * (1.0 / 120.0)
        - g1 * g2 * (h4 + h2) * (1.0 / 24.0)
        + g1 * g1 * g1 * (12.0 * h4 + 19.0 * h2) * (1.0 / 324.0)
    )
    fourth = (
        g4 * h5 * (1.0 / 720.0)
        - g2 * g2 * (3.0 * h5 + 6.0 * h3 + 2.0 * z) * (1.0 / 384.0)
        - g1 * g3 * (2.0 * h5 + 3.0 * h3) * (1.0 / 180.0)
        + g1 * g1 * g2 * (14.0 * h5 + 37.0 * h3 + 8.0 * z) * (1.0 / 288.0)
        - g1 * g1 * g1 * g1 * (252.0 * h5 + 832.0 * h3 + 227.0 * z) * (1.0 / 7776.0)
    )
    x = mean + sd * (z + first + second + third + fourth)
    edge = x - 0.5
    nearest = math.floor(edge + 0.5)
    skewed = math.fabs(g1)
    skewed = skewed * skewed * skewed * skewed * skewed
    error = sd * (4.0 * math.fabs(fourth) + 0.02 * skewed * (1.0 + z2 * z2 * z2))
    if mean >= _TOLD_APART:
        return math.ceil(edge), 0.25 - error
    error += 8.0 * _EPS * mean
    return math.ceil(edge), math.fabs(edge - nearest) - error


@njit(error_model="numpy")
def count_tails(kind: int, k: float, first: float, second: float, third: float) -> Any:
    """Return P(Y <= k) and P(Y > k) of a count, for a whole k.

    Parameters
    ----------
    kind : int
        POISSON (mean), BINOMIAL (trials, probability, its complement), NEGATIVE_BINOMIAL (mean,
        dispersion) or BETA_BINOMIAL (trials, both shapes).
    k : float
    first, second, third : float
        Parameters.
    """
    if k < 0.0:
        return 0.0, 1.0
    if kind == POISSON:
        a = k + 1.0
        lower, upper = gamma_tails(a, first, gamma_density(a, first, stirling_rest(a)))
        return upper, lower
    if kind == BINOMIAL:
        if k >= first:
            return 1.0, 0.0
        return _beta(first - k, k + 1.0, third, second)
    if kind == NEGATIVE_BINOMIAL:
        total = first + second
        return _beta(second, k + 1.0, second / total, first / total)
    if k >= first:
        return 1.0, 0.0
    return _beta_binomial(k, first, second, third)


@njit(error_model="numpy")
def _beta(a: float, b: float, x: float, y: float) -> Any:
    rest = stirling_rest(a + b) - stirling_rest(a) - stirling_rest(b)
    return beta_tails(a, b, x, y, beta_density(a, b, x, y, rest))


@njit(error_model="numpy", forceinline=True)
def beta_binomial_log_rising(x: float, k: float) -> float:
    """Return log Gamma(x + k) - log Gamma(x) without the large parts that cancel."""
    main = (x + k - 0.5) * math.log1p(k / x) + k * (math.log(x) - 1.0)
    return main + (stirling_rest(x + k) - stirling_rest(x))


@njit(error_model="numpy")
def _beta_binomial_log(k: float, n: float, a: float, b: float) -> float:
    choose = math.lgamma(n + 1.0) - math.lgamma(k + 1.0) - math.lgamma(n - k + 1.0)
    if n > 1000.0 and 0.0 < k < n:
        choose = beta_binomial_log_rising(n - k + 1.0, k) - math.lgamma(k + 1.0)
        if k > n - k:
            choose = beta_binomial_log_rising(k + 1.0, n - k) - math.lgamma(n - k + 1.0)
    up = beta_binomial_log_rising(a, k) + beta_binomial_log_rising(b, n - k)
    return choose + up - beta_binomial_log_rising(a + b, n)


@njit(error_model="numpy")
def _beta_binomial(k: float, n: float, a: float, b: float) -> Any:
    lower = _beta_binomial_lower(k, n, a, b)
    if lower < 0.5:
        return lower, 1.0 - lower
    upper = _beta_binomial_lower(n - k - 1.0, n, b, a)
    if upper < 0.5:
        return 1.0 - upper, upper
    return lower, upper


@njit(error_model="numpy")
def _beta_binomial_lower(k: float, n: float, a: float, b: float) -> float:
    """P(Y <= k): its terms from k down, as far as they count."""
    term, total, log_scale = 1.0, 1.0, 0.0
    at = k
    while at > 0.0:
        term *= at * (b + n - at) / ((n - at + 1.0) * (a + at - 1.0))
        total += term
        at -= 1.0
        if total > 1e200:
            log_scale += math.log(total)
            term /= total
            total = 1.0
        # past the mode the terms fall ever faster, unless they rise again at 0
        if term < 1e-3 * _EPS * total and (a >= 1.0 or at < 1.0):
            break
    return min(exp(_beta_binomial_log(k, n, a, b) + log_scale + log(total)), 1.0)


@njit(error_model="numpy")
def search(
    v: float, guess: float, high: float, kind: int, first: float, second: float, third: float
) -> float:
    """Find the count at signed tail noise from a guess, by bisection on the exact tails.

    The smallest k with P(Y <= k) >= v where v > 0, with P(Y > k) <= -v elsewhere; NaN where that is
    beyond 2**53.
    """
    m = max(math.fabs(v), SMALLEST)
    k = float(math.floor(min(max(guess, 0.0), min(high, _LARGEST_COUNT))))
    if k != k:
        k = 0.0
    width = 1.0
    if _reached(v, m, k, high, kind, first, second, third):
        above, below = k, -1.0
        while above > 0.0:
            trial = max(above - width, -1.0)
            if trial < 0.0 or not _reached(v, m, trial, high, kind, first, second, third):
                below = trial
                break
            above = trial
            width *= 2.0
    else:
        below, above = k, math.inf
        while below < _LARGEST_COUNT:
            trial = below + width
            if _reached(v, m, trial, high, kind, first, second, third):
                above = trial
                break
            below = trial
            width *= 2.0
    while above - below > 1.0 and above < 4.0 * _LARGEST_COUNT:
        middle = float(math.floor(0.5 * (below + above)))
        if _reached(v, m, middle, high, kind, first, second, third):
            above = middle
        else:
            below = middle
    return above if above < math.inf else math.nan


@njit(error_model="numpy")
def _reached(
    v: float,
    m: float,
    k: float,
    high: float,
    kind: int,
    first: float,
    second: float,
    third: float,
) -> bool:
    if k >= high:
        return True
    lower, upper = count_tails(kind, k, first, second, third)
    return bool(lower >= m) if v > 0.0 else bool(upper <= m)
