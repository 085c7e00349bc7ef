"""Scores of gamma and Student t by piecewise polynomials in the normal score.

For one value of the parameter, that of a posterior draw, a score is a smooth function of the normal
score z. On each of some short stretches of |z| <= 5 it is interpolated at Chebyshev's points, where
it was solved for exactly. Beyond, and for values that vary from lane to lane, it is solved for.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from dotwin.mechanisms.kernels.elementary import (
    SMALLEST,
    exp,
    far_normal_score,
    fma,
    normal_score,
)
from dotwin.mechanisms.kernels.gammas import beta_logit, gamma_log

__all__ = [
    "EDGE",
    "GAMMA_WIDTH",
    "SMALLEST_SHAPE",
    "STUDENT_WIDTH",
    "barycentric",
    "fill_gamma_table",
    "fill_student_table",
    "gamma_score_log",
    "interpolated",
    "student_score",
]

EDGE = 5.0
#: A table of a smaller shape would lose digits: X is nearly a power of a uniform number there.
SMALLEST_SHAPE = 1.0
_TERMS = 12
_PER_UNIT = 1  # stretches per unit of the normal score
#: The normal score of a smaller tail has its own formula.
_FAR = 1.4e-11
_ROOT_HALF = math.sqrt(0.5)
_ANGLES = np.pi * (np.arange(_TERMS) + 0.5) / _TERMS
_POINTS = np.cos(_ANGLES)
#: From values at Chebyshev's points to coefficients of his polynomials, and from these to powers:
#: in one step rounding would cost three digits.
_TO_CHEBYSHEV = np.cos(np.outer(np.arange(_TERMS), _ANGLES)) * (2.0 / _TERMS)
_TO_CHEBYSHEV[0] *= 0.5
_TO_POWERS = np.zeros((_TERMS, _TERMS))
for _k in range(_TERMS):
    _TO_POWERS[: _k + 1, _k] = np.polynomial.chebyshev.cheb2poly(np.eye(_TERMS)[_k, : _k + 1])
_LOOK_BACK = 5
#: Both tails at the points of a gamma table.
_Z = (np.arange(int(2 * EDGE) * _PER_UNIT)[:, None] + 0.5 + 0.5 * _POINTS) / _PER_UNIT - EDGE
_TAILS = np.array(
    [
        [[0.5 * math.erfc(-z * _ROOT_HALF), 0.5 * math.erfc(z * _ROOT_HALF)] for z in row]
        for row in _Z.tolist()
    ]
)
GAMMA_WIDTH = int(2 * EDGE) * _PER_UNIT * _TERMS
STUDENT_WIDTH = int(EDGE) * _PER_UNIT * _TERMS


@njit(error_model="numpy", forceinline=True)
def interpolated(table: Any, place: float) -> float:
    """Return a table's polynomial at a place counted from its beginning."""
    x = place * _PER_UNIT
    stretch = int(x)
    last = table.size // _TERMS - 1
    stretch = 0 if stretch < 0 else stretch
    stretch = last if stretch > last else stretch
    s = 2.0 * (x - float(stretch)) - 1.0
    first = stretch * _TERMS
    y = table[first + 11]
    y = fma(y, s, table[first + 10])
    y = fma(y, s, table[first + 9])
    y = fma(y, s, table[first + 8])
    y = fma(y, s, table[first + 7])
    y = fma(y, s, table[first + 6])
    y = fma(y, s, table[first + 5])
    y = fma(y, s, table[first + 4])
    y = fma(y, s, table[first + 3])
    y = fma(y, s, table[first + 2])
    y = fma(y, s, table[first + 1])
    return float(fma(y, s, table[first]))


@njit(error_model="numpy")
def _interpolate(values: Any, table: Any, stretch: int) -> None:
    first = stretch * _TERMS
    middle = values[_TERMS // 2]
    series = np.empty(_TERMS)
    for k in range(_TERMS):
        total = 0.0
        for j in range(_TERMS):
            total += _TO_CHEBYSHEV[k, j] * (values[j] - middle)
        series[k] = total
    for i in range(_TERMS):
        total = 0.0
        for k in range(i, _TERMS):
            total += _TO_POWERS[i, k] * series[k]
        table[first + i] = total
    table[first] += middle


@njit(error_model="numpy")
def barycentric(x: float, points: Any, weights: Any) -> None:
    """Fill in the weights that the values at Chebyshev's points have in their polynomial at x."""
    total = 0.0
    for j in range(points.size):
        if x == points[j]:
            weights[:] = 0.0
            weights[j] = 1.0
            return
        sign = 1.0 if j % 2 == 0 else -1.0
        weights[j] = sign * math.sqrt(1.0 - points[j] * points[j]) / (x - points[j])
        total += weights[j]
    for j in range(points.size):
        weights[j] /= total


@njit(error_model="numpy")
def fill_gamma_table(a: float, table: Any) -> None:
    """Tabulate log(X / a) of a gamma value X with shape a, from z = -5 to 5."""
    values = np.empty(_TERMS)
    if not a >= SMALLEST_SHAPE or not a < math.inf:
        table[:] = math.nan
        return
    # solved downwards from the upper end, each from what the last solutions foretell
    at, last = np.empty(_LOOK_BACK), np.empty(_LOOK_BACK)
    solved = 0
    for stretch in range(table.size // _TERMS - 1, -1, -1):
        for j in range(_TERMS):
            z = (stretch + 0.5 + 0.5 * _POINTS[j]) / _PER_UNIT - EDGE
            lower, upper = _TAILS[stretch, j, 0], _TAILS[stretch, j, 1]
            start = _foretold(z, at, last) if solved >= _LOOK_BACK else _gamma_start(z, lower, a)
            t = gamma_log(lower, upper, a, start)
            at[solved % _LOOK_BACK], last[solved % _LOOK_BACK] = z, t
            solved += 1
            values[j] = t - math.log(a)
        _interpolate(values, table, stretch)


@njit(error_model="numpy")
def _foretold(z: float, at: Any, values: Any) -> float:
    """Return the value at z of the polynomial through some points."""
    total = 0.0
    for i in range(at.size):
        weight = values[i]
        for j in range(at.size):
            if j != i:
                weight *= (z - at[j]) / (at[i] - at[j])
        total += weight
    return total


@njit(error_model="numpy")
def fill_student_table(nu: float, table: Any) -> None:
    """Tabulate log(T / z) of Student's t with nu degrees of freedom, from z = 0 to 5."""
    values = np.empty(_TERMS)
    if not nu > 0.0 or not nu < math.inf:
        table[:] = math.nan
        return
    for stretch in range(table.size // _TERMS):
        for j in range(_TERMS):
            z = (stretch + 0.5 + 0.5 * _POINTS[j]) / _PER_UNIT
            both, inner = math.erfc(z * _ROOT_HALF), math.erf(z * _ROOT_HALF)
            values[j] = _student_log(both, inner, nu, z) - math.log(z)
        _interpolate(values, table, stretch)


@njit(error_model="numpy")
def _gamma_start(z: float, m: float, a: float) -> float:
    """A first guess at log X: Wilson and Hilferty's, or the power law of the lower tail."""
    x = 1.0 - 1.0 / (9.0 * a) + z / (3.0 * math.sqrt(a))
    if x > 0.1:
        return math.log(a) + 3.0 * math.log(x)
    if z > 0.0:
        return math.log(a + 1.0)
    return min((math.log(max(m, SMALLEST)) + math.lgamma(a + 1.0)) / a, math.log(a))


@njit(error_model="numpy")
def gamma_score_log(v: float, a: float) -> float:
    """Return log(X / a) of a gamma value X at signed tail noise, by solving for it."""
    if not a > 0.0 or not a < math.inf or v != v:
        return math.nan
    m = max(math.fabs(v), SMALLEST)
    z = normal_score(v) if m > _FAR else far_normal_score(v)
    start = _gamma_start(z, m, a)
    t = gamma_log(m, 1.0 - m, a, start) if v > 0.0 else gamma_log(1.0 - m, m, a, start)
    return t - math.log(a)


@njit(error_model="numpy")
def _student_log(both: float, inner: float, nu: float, z: float) -> float:
    """Return log |T| where P(|T| > t) = both and P(|T| <= t) = inner, from its normal score."""
    # nu / (nu + T**2) is beta(nu / 2, 1 / 2): its lower tail is `both`
    half = 0.5 * nu
    logit = beta_logit(both, inner, half, 0.5, math.log(nu / (z * z)))
    return 0.5 * (math.log(nu) - logit)


@njit(error_model="numpy")
def student_score(v: float, nu: float) -> float:
    """Return Student's t at signed tail noise, by solving for it."""
    if not nu > 0.0 or not nu < math.inf or v != v:
        return math.nan
    m = max(math.fabs(v), SMALLEST)
    inner = 2.0 * (0.5 - m)
    if inner <= 0.0:
        return 0.0
    z = normal_score(m) if m > _FAR else far_normal_score(m)
    t = exp(_student_log(2.0 * m, inner, nu, z))
    return -t if v > 0.0 else t
