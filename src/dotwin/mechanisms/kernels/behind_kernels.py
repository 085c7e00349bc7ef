"""Compiled noise behind facts: where in its distribution a recorded value lies.

A count's probability and the tail below it come from the Panjer recurrence, walked from the end
that is nearer, where that is short; else from the exact tails. The tail on the far side of a value
is one minus the near one, unless it would lose digits: then it is summed up as well.

Each ``build_...`` compiles one kernel, cached on disk under the version of all kernel sources.

References
----------
.. [1] Panjer, H. H. (1981). Recursive evaluation of a family of compound distributions.
   doi:10.1017/S0515036100006796
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from dotwin.mechanisms.kernels.elementary import SMALLEST, exp, log1p
from dotwin.mechanisms.kernels.gammas import (
    beta_density,
    beta_tails,
    gamma_density,
    gamma_tails,
    stirling_rest,
)
from dotwin.mechanisms.kernels.lattice import BETA_BINOMIAL, count_tails

__all__ = [
    "build_behind_beta",
    "build_behind_beta_binomial",
    "build_behind_binomial",
    "build_behind_gamma",
    "build_behind_negative_binomial",
    "build_behind_poisson",
]

_LONGEST_WALK = 250.0
_LOG_SMALLEST_START = -690.0  # exp of this is still a normal double
_MOST = 0.9  # one minus a tail up to this keeps all but one digit
_NEGLIGIBLE = 1e-18


@njit(error_model="numpy", forceinline=True)
def _at(source: Any, row: int, column: int) -> float:
    """Read an array that broadcasts along axes of length one."""
    d = row if source.shape[0] > 1 else 0
    c = column if source.shape[1] > 1 else 0
    return float(source[d, c])


@njit(error_model="numpy", forceinline=True)
def _signed(lower: float, upper: float) -> float:
    """Join both tails of a point into signed tail noise."""
    if lower <= upper:
        return min(max(lower, SMALLEST), 0.5)
    return -min(max(upper, SMALLEST), 0.5)


@njit(error_model="numpy", forceinline=True)
def _between(lower: float, here: float, upper: float, within: float) -> float:
    """Return the noise a fraction of the way through a value's interval."""
    return _signed(lower + within * here, upper + (1.0 - within) * here)


@njit(error_model="numpy", forceinline=True)
def _walk(start: float, a: float, b: float, y: float, most: float) -> tuple[float, float, float]:
    """Return P(Y < y), P(Y = y) and P(Y > y) by p_k = (a + b / k) p_(k - 1) from p_0."""
    below, here = 0.0, start
    k = 0.0
    while k < y:
        below += here
        k += 1.0
        here *= a + b / k
    above = 1.0 - below - here
    if below + here > _MOST:
        above, term, k = 0.0, here, y
        while k < most:
            k += 1.0
            term *= a + b / k
            above += term
            if not term > _NEGLIGIBLE * above:
                break
    return below, here, above


@njit(error_model="numpy")
def _far_poisson(y: float, mean: float) -> tuple[float, float, float]:
    """Return P(Y < y), P(Y = y) and P(Y > y): the tail's own density gives the probability."""
    density = gamma_density(y + 1.0, mean, stirling_rest(y + 1.0))
    above, upto = gamma_tails(y + 1.0, mean, density)
    here = density / mean
    return max(upto - here, 0.0), here, above


@njit(error_model="numpy")
def _far_negative_binomial(y: float, mean: float, size: float) -> tuple[float, float, float]:
    """Return P(Y < y), P(Y = y) and P(Y > y)."""
    total = mean + size
    rest = stirling_rest(size + y + 1.0) - stirling_rest(size) - stirling_rest(y + 1.0)
    density = beta_density(size, y + 1.0, size / total, mean / total, rest)
    upto, above = beta_tails(size, y + 1.0, size / total, mean / total, density)
    here = density * total / (mean * (size + y))
    return max(upto - here, 0.0), here, above


@njit(error_model="numpy")
def _far_binomial(y: float, n: float, odds: float) -> tuple[float, float, float]:
    """Return P(Y < y), P(Y = y) and P(Y > y), for y below n."""
    yes, no = odds / (1.0 + odds), 1.0 / (1.0 + odds)
    rest = stirling_rest(n + 1.0) - stirling_rest(n - y) - stirling_rest(y + 1.0)
    density = beta_density(n - y, y + 1.0, no, yes, rest)
    upto, above = beta_tails(n - y, y + 1.0, no, yes, density)
    here = density / (yes * (n - y))
    return max(upto - here, 0.0), here, above


@njit(error_model="numpy")
def _far_beta_binomial(y: float, n: float, a: float, b: float) -> tuple[float, float, float]:
    """Return P(Y < y), P(Y = y) and P(Y > y) from the exact tails."""
    below, above_less = count_tails(BETA_BINOMIAL, y - 1.0, n, a, b)
    upto, above = count_tails(BETA_BINOMIAL, y, n, a, b)
    # of the two differences the one between small numbers keeps its digits
    here = upto - below if upto < 0.5 else above_less - above
    return below, max(here, 0.0), above


def build_behind_poisson(version: int) -> Any:
    """Compile the noise behind Poisson counts with mean exp(eta)."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill(y: Any, eta: Any, within: Any, out: Any) -> None:
        assert version >= 0
        for row in range(out.shape[0]):
            for i in range(out.shape[1]):
                count, mean = _at(y, row, i), exp(_at(eta, row, i))
                if count != count or mean != mean or not mean < math.inf:
                    out[row, i] = math.nan
                    continue
                if count <= _LONGEST_WALK and mean < -_LOG_SMALLEST_START:
                    below, here, above = _walk(exp(-mean), 0.0, mean, count, math.inf)
                else:
                    below, here, above = _far_poisson(count, mean)
                out[row, i] = _between(below, here, above, _at(within, row, i))

    return fill


def build_behind_negative_binomial(version: int) -> Any:
    """Compile the noise behind negative binomial counts with mean exp(eta)."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill(y: Any, eta: Any, dispersion: Any, within: Any, out: Any) -> None:
        assert version >= 0
        for row in range(out.shape[0]):
            for i in range(out.shape[1]):
                count, mean = _at(y, row, i), exp(_at(eta, row, i))
                size = _at(dispersion, row, i)
                if count != count or mean != mean or size != size or not mean < math.inf:
                    out[row, i] = math.nan
                    continue
                start = -size * log1p(mean / size)
                if count <= _LONGEST_WALK and start > _LOG_SMALLEST_START:
                    share = mean / (mean + size)
                    below, here, above = _walk(
                        exp(start), share, (size - 1.0) * share, count, math.inf
                    )
                else:
                    below, here, above = _far_negative_binomial(count, mean, size)
                out[row, i] = _between(below, here, above, _at(within, row, i))

    return fill


def build_behind_binomial(version: int) -> Any:
    """Compile the noise behind binomial counts with success logit eta."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill(y: Any, trials: Any, eta: Any, within: Any, out: Any) -> None:
        assert version >= 0
        for row in range(out.shape[0]):
            for i in range(out.shape[1]):
                count, n, logit = _at(y, row, i), _at(trials, row, i), _at(eta, row, i)
                if count != count or n != n or logit != logit:
                    out[row, i] = math.nan
                    continue
                fraction = _at(within, row, i)
                # from the end that is nearer to the count
                flip = count > n - count
                if flip:
                    count, logit, fraction = n - count, -logit, 1.0 - fraction
                odds = exp(logit)
                start = -n * log1p(odds)
                if count <= _LONGEST_WALK and start > _LOG_SMALLEST_START:
                    below, here, above = _walk(exp(start), -odds, (n + 1.0) * odds, count, n)
                else:
                    below, here, above = _far_binomial(count, n, odds)
                v = _between(below, here, max(above, 0.0), fraction)
                out[row, i] = -v if flip else v

    return fill


@njit(error_model="numpy", forceinline=True)
def _walk_beta_binomial(
    start: float, a: float, b: float, n: float, y: float
) -> tuple[float, float, float]:
    """Return P(Y < y), P(Y = y) and P(Y > y) by the ratio of successive probabilities."""
    below, here = 0.0, start
    k = 0.0
    while k < y:
        below += here
        k += 1.0
        here *= (n - k + 1.0) * (a + k - 1.0) / (k * (b + n - k))
    above = 1.0 - below - here
    if below + here > _MOST:
        above, term, k = 0.0, here, y
        while k < n:
            k += 1.0
            term *= (n - k + 1.0) * (a + k - 1.0) / (k * (b + n - k))
            above += term
            # a small shape lets the terms rise again at the other end
            if not term > _NEGLIGIBLE * above and b >= 1.0:
                break
    return below, here, above


def build_behind_beta_binomial(version: int) -> Any:
    """Compile the noise behind beta-binomial counts whose share has mean expit(eta)."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill(y: Any, trials: Any, eta: Any, precision: Any, within: Any, out: Any) -> None:
        assert version >= 0
        for row in range(out.shape[0]):
            for i in range(out.shape[1]):
                count, n = _at(y, row, i), _at(trials, row, i)
                logit, kappa = _at(eta, row, i), _at(precision, row, i)
                if count != count or n != n or logit != logit or kappa != kappa:
                    out[row, i] = math.nan
                    continue
                fraction = _at(within, row, i)
                e = exp(-math.fabs(logit))
                large = kappa / (1.0 + e)
                little = e * large
                flip = count > n - count
                if flip:
                    count, fraction = n - count, 1.0 - fraction
                a = little if (logit > 0.0) == flip else large
                b = large if (logit > 0.0) == flip else little
                # log P(0), as a ratio of rises by a of which nothing large is left to cancel
                start = -math.inf
                if a > 0.0 and b > 1e-60 and kappa < math.inf:
                    start = (kappa - 0.5) * log1p(a / b)
                    start -= (kappa + n - 0.5) * log1p(a / (b + n))
                    start -= a * log1p(n / b)
                    start += stirling_rest(kappa) - stirling_rest(b)
                    start += stirling_rest(b + n) - stirling_rest(kappa + n)
                if count <= _LONGEST_WALK and start > _LOG_SMALLEST_START:
                    below, here, above = _walk_beta_binomial(exp(start), a, b, n, count)
                else:
                    below, here, above = _far_beta_binomial(count, n, a, b)
                v = _between(below, here, max(above, 0.0), fraction)
                out[row, i] = -v if flip else v

    return fill


def build_behind_beta(version: int) -> Any:
    """Compile the noise behind beta values with mean expit(eta) and a precision."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill(y: Any, eta: Any, precision: Any, out: Any) -> None:
        assert version >= 0
        for row in range(out.shape[0]):
            for i in range(out.shape[1]):
                x, logit, kappa = _at(y, row, i), _at(eta, row, i), _at(precision, row, i)
                if x != x or logit != logit or kappa != kappa:
                    out[row, i] = math.nan
                    continue
                e = exp(-math.fabs(logit))
                large = kappa / (1.0 + e)
                little = e * large
                a = large if logit > 0.0 else little
                b = little if logit > 0.0 else large
                rest = stirling_rest(kappa) - stirling_rest(a) - stirling_rest(b)
                density = beta_density(a, b, x, 1.0 - x, rest)
                lower, upper = beta_tails(a, b, x, 1.0 - x, density)
                out[row, i] = _signed(lower, upper)

    return fill


def build_behind_gamma(version: int) -> Any:
    """Compile the noise behind gamma values with mean exp(eta) and a shape."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill(y: Any, eta: Any, shape: Any, out: Any) -> None:
        assert version >= 0
        for row in range(out.shape[0]):
            for i in range(out.shape[1]):
                value, a = _at(y, row, i), _at(shape, row, i)
                x = value * a * exp(-_at(eta, row, i))
                if x != x:
                    out[row, i] = math.nan
                    continue
                density = gamma_density(a, x, stirling_rest(a))
                lower, upper = gamma_tails(a, x, density)
                out[row, i] = _signed(lower, upper)

    return fill
