"""Incomplete gamma and beta functions with both tails precise, and their inverses.

Densities are written around their mean (saddle point), so that nothing large cancels; the inverses
take steps of order six, since all derivatives of a density follow from its logarithm.

References
----------
.. [1] Loader, C. (2000). Fast and accurate computation of binomial probabilities.
   https://www.r-project.org/doc/reports/CLoader-dbinom-2002.pdf
.. [2] NIST Digital Library of Mathematical Functions, 8.9.2, 8.11.4 and 8.17.22.
   https://dlmf.nist.gov/8
.. [3] Abramowitz, M., & Stegun, I. A. (1964). Handbook of Mathematical Functions, 3.6.25.
"""

from __future__ import annotations

import math

from numba import njit

from dotwin.mechanisms.kernels.elementary import SMALLEST, atanh_rest, exp, fma, log, log1p_less

__all__ = [
    "SHIFT",
    "beta_density",
    "beta_density_near_mean",
    "beta_logit",
    "beta_tails",
    "far_stirling_rest",
    "gamma_density",
    "gamma_log",
    "gamma_tails",
    "is_near_mean",
    "order_six",
    "stirling_rest",
]

_TWO_PI = 2.0 * math.pi
SHIFT = 10.0  # from here eight terms of Stirling's series reach double precision
_EPS = 2.0**-53
_MOST_TERMS = 10_000_000
_TINY = 1e-300
_MOST = 0.99  # one minus a tail up to this keeps all but two digits
_MOST_OF_GAMMA = 0.9
_MOST_STEPS = 200
_CLOSE = 5e-3  # a step so short, in units of the density's width, errs by its seventh power
_LARGEST_LOG = 708.0
_POWER_LAW = -40.0  # where x is so small, the first term of a tail's series is all of it


@njit(error_model="numpy", forceinline=True)
def far_stirling_rest(x: float) -> float:
    """Return `stirling_rest` for x >= `SHIFT`."""
    v = 1.0 / x
    q = v * v
    p = -3617.0 / 122400.0
    p = fma(p, q, 1.0 / 156.0)
    p = fma(p, q, -691.0 / 360360.0)
    p = fma(p, q, 1.0 / 1188.0)
    p = fma(p, q, -1.0 / 1680.0)
    p = fma(p, q, 1.0 / 1260.0)
    p = fma(p, q, -1.0 / 360.0)
    p = fma(p, q, 1.0 / 12.0)
    return float(p * v)


@njit(error_model="numpy", forceinline=True)
def stirling_rest(x: float) -> float:
    """Return log Gamma(x) - ((x - 1/2) log x - x + log(2 pi) / 2), for x > 0."""
    small = x < SHIFT
    above = x + SHIFT if small else x
    rest = far_stirling_rest(above)
    product = x * (x + 1.0) * (x + 2.0) * (x + 3.0) * (x + 4.0)
    product = product * (x + 5.0) * (x + 6.0) * (x + 7.0) * (x + 8.0) * (x + 9.0)
    product = product if small else 1.0
    climb = (x + (SHIFT - 0.5)) * log(above) - SHIFT - log(product) - (x - 0.5) * log(x)
    shifted = rest + climb
    return shifted if small else rest


@njit(error_model="numpy", forceinline=True)
def _log_ratio_less(x: float, middle: float, away: float) -> float:
    """Return log(x / middle) - d for d = away / middle and x = middle + away."""
    d = away / middle
    near = math.fabs(d) < 0.5
    close = log1p_less(d if near else 0.0)
    far = log(x / middle) - d
    return close if near else far


@njit(error_model="numpy", forceinline=True)
def gamma_density(a: float, x: float, rest: float) -> float:
    """Return the density of log X at x, for X gamma with shape a; ``rest`` is Stirling's of a."""
    return math.sqrt(a / _TWO_PI) * exp(a * _log_ratio_less(x, a, x - a) - rest)


@njit(error_model="numpy", forceinline=True)
def beta_density(a: float, b: float, x: float, y: float, rest: float) -> float:
    """Return the density of logit X at x = 1 - y, for X beta.

    ``rest`` is Stirling's of a + b less those of a and b.
    """
    n = a + b
    p, q = a / n, b / n
    away = x - p if p < q else q - y
    inside = a * _log_ratio_less(x, p, away) + b * _log_ratio_less(y, q, -away)
    return math.sqrt(a * q / _TWO_PI) * exp(inside + rest)


@njit(error_model="numpy", forceinline=True)
def is_near_mean(a: float, b: float, x: float, y: float) -> bool:
    """Whether `beta_density_near_mean` holds: neither x nor y is half or twice its mean."""
    n = a + b
    right, left = n * x, n * y
    return right > 0.5 * a and right < 2.0 * a and left > 0.5 * b and left < 2.0 * b


@njit(error_model="numpy", forceinline=True)
def beta_density_near_mean(a: float, b: float, x: float, y: float, rest: float) -> float:
    """Return `beta_density` where `is_near_mean`, with fewer divisions and no logarithm.

    The logarithms of x / p and y / q, for p + q = 1, are twice area tangents of s and r; what is
    linear in x - p cancels in their weighted sum.
    """
    n = a + b
    share = 1.0 / n
    p, q = a * share, b * share
    away = x - p if p < q else q - y
    right, left = x + p, y + q
    over = 1.0 / (right * left)
    s, r = away * left * over, -away * right * over
    curved = a * s * atanh_rest(s * s) + b * r * atanh_rest(r * r)
    inside = 2.0 * fma(-n * away * away, over, curved)
    return math.sqrt(a * q / _TWO_PI) * exp(inside + rest)


@njit(error_model="numpy")
def gamma_tails(a: float, x: float, density: float) -> tuple[float, float]:
    """Return P(X <= x) and P(X > x), for X gamma with shape a and the density of log X there."""
    if x <= 0.0:
        return 0.0, 1.0
    if x < a + 1.0:
        term, total, n = 1.0, 1.0, a
        for _ in range(_MOST_TERMS):
            n += 1.0
            term *= x / n
            total += term
            if not term >= _EPS * total:
                break
        lower = density / a * total
        if lower < _MOST_OF_GAMMA or x < 0.3:
            return lower, 1.0 - lower
        return lower, density * _legendre(a, x)
    upper = density * _legendre(a, x)
    return 1.0 - upper, upper


@njit(error_model="numpy")
def _legendre(a: float, x: float) -> float:
    """Gamma(a, x) / (x**a exp(-x)) for x > a, by Legendre's continued fraction."""
    b = x + 1.0 - a
    c, d = 1.0 / _TINY, 1.0 / b
    h = d
    for i in range(1, _MOST_TERMS):
        an = i * (a - i)
        b += 2.0
        d = an * d + b
        if math.fabs(d) < _TINY:
            d = _TINY
        c = b + an / c
        if math.fabs(c) < _TINY:
            c = _TINY
        d = 1.0 / d
        step = d * c
        h *= step
        if not math.fabs(step - 1.0) >= 2.0 * _EPS:
            break
    return h


@njit(error_model="numpy")
def _beta_fraction(a: float, b: float, x: float, y: float) -> float:
    """B_x(a, b) / (x**a y**b) for y = 1 - x, by a continued fraction of positive terms."""
    away = a * y - b * x
    f = a * (away + 1.0) / (a + 1.0)
    if math.fabs(f) < _TINY:
        f = _TINY
    c, d = f, 0.0
    for i in range(1, _MOST_TERMS):
        m = float(i)
        below = a + 2.0 * m - 1.0
        part = (b - m) * x * m / below
        over = (a + m - 1.0) * (a + b + m - 1.0) / below * part * x
        under = m + part + (a + m) * (away + 1.0 + m * (1.0 + y)) / (below + 2.0)
        d = fma(over, d, under)
        if math.fabs(d) < _TINY:
            d = _TINY
        c = under + over / c
        if math.fabs(c) < _TINY:
            c = _TINY
        d = 1.0 / d
        step = c * d
        f *= step
        if not math.fabs(step - 1.0) >= 2.0 * _EPS:
            break
    return 1.0 / f


@njit(error_model="numpy")
def beta_tails(a: float, b: float, x: float, y: float, density: float) -> tuple[float, float]:
    """Return P(X <= x) and P(X > x) for X beta, y = 1 - x, and the density of logit X there."""
    if x <= 0.0:
        return 0.0, 1.0
    if y <= 0.0:
        return 1.0, 0.0
    if x * (a + b + 2.0) < a + 1.0:
        lower = density * _beta_fraction(a, b, x, y)
        if lower < _MOST:
            return lower, 1.0 - lower
        return lower, density * _beta_fraction(b, a, y, x)
    upper = density * _beta_fraction(b, a, y, x)
    if upper < _MOST:
        return 1.0 - upper, upper
    return density * _beta_fraction(a, b, x, y), upper


@njit(error_model="numpy", forceinline=True)
def order_six(delta: float, h1: float, h2: float, h3: float, h4: float, h5: float) -> float:
    """Return the step s at which a distribution function has grown by delta times its density.

    ``h1`` to ``h5`` are the derivatives of the density's logarithm. The series of the inverse
    function [3]_, to the sixth order.
    """
    square = h1 * h1
    b2 = 0.5 * h1
    b3 = (h2 + square) * (1.0 / 6.0)
    b4 = (h3 + h1 * (3.0 * h2 + square)) * (1.0 / 24.0)
    b5 = h4 + 4.0 * h1 * h3 + 3.0 * h2 * h2 + square * (6.0 * h2 + square)
    b5 *= 1.0 / 120.0
    b6 = h5 + 5.0 * h1 * h4 + 10.0 * h2 * h3
    b6 += h1 * (10.0 * h1 * h3 + 15.0 * h2 * h2 + square * (10.0 * h2 + square))
    b6 *= 1.0 / 720.0
    b22 = b2 * b2
    c3 = 2.0 * b22 - b3
    c4 = b2 * (5.0 * b3 - 5.0 * b22) - b4
    c5 = b22 * (14.0 * b22 - 21.0 * b3) + 6.0 * b2 * b4 + 3.0 * b3 * b3 - b5
    c6 = 7.0 * (b2 * b5 + b3 * b4) - b6 - 28.0 * b2 * (b3 * b3 + b2 * b4)
    c6 += 42.0 * b22 * b2 * (2.0 * b3 - b22)
    series = delta * (c4 + delta * (c5 + delta * c6))
    return delta * (1.0 + delta * (-b2 + delta * (c3 + series)))


@njit(error_model="numpy")
def gamma_log(lower: float, upper: float, a: float, start: float) -> float:
    """Return log x with P(X <= x) = lower and P(X > x) = upper, for X gamma with shape a.

    Only the smaller of the two tails is used.
    """
    law = (math.log(max(lower, SMALLEST)) + math.lgamma(a + 1.0)) / a
    if law < _POWER_LAW:
        return law
    rest = stirling_rest(a)
    down = lower <= upper
    target = lower if down else upper
    t, safe = start, math.log(a)
    for _ in range(_MOST_STEPS):
        t = min(max(t, -_LARGEST_LOG), _LARGEST_LOG)
        x = exp(t)
        g = gamma_density(a, x, rest)
        below, above = gamma_tails(a, x, g)
        here = below if down else above
        if not (g > _TINY and here > _TINY):
            t = 0.5 * (t + safe)
            continue
        safe = t
        step, done = _towards(target, here, g, down, a - x, -x, -x, -x, -x)
        t += step
        if done:
            break
    return t


@njit(error_model="numpy")
def beta_logit(lower: float, upper: float, a: float, b: float, start: float) -> float:
    """Return logit x with P(X <= x) = lower and P(X > x) = upper, for X beta.

    Only the smaller of the two tails is used.
    """
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    law = (math.log(max(lower, SMALLEST)) + math.log(a) + log_beta) / a
    if law < _POWER_LAW:
        return law
    law = -(math.log(max(upper, SMALLEST)) + math.log(b) + log_beta) / b
    if law > -_POWER_LAW:
        return law
    rest = stirling_rest(a + b) - stirling_rest(a) - stirling_rest(b)
    down = lower <= upper
    target = lower if down else upper
    t, safe = start, math.log(a / b)
    for _ in range(_MOST_STEPS):
        t = min(max(t, -_LARGEST_LOG), _LARGEST_LOG)
        e = exp(-math.fabs(t))
        near, far = e / (1.0 + e), 1.0 / (1.0 + e)
        x, y = (near, far) if t < 0.0 else (far, near)
        g = beta_density(a, b, x, y, rest)
        below, above = beta_tails(a, b, x, y, g)
        here = below if down else above
        if not (g > _TINY and here > _TINY):
            t = 0.5 * (t + safe)
            continue
        safe = t
        n, s = a + b, x * y
        step, done = _towards(
            target,
            here,
            g,
            down,
            a * y - b * x,
            -n * s,
            -n * s * (y - x),
            -n * s * (1.0 - 6.0 * s),
            -n * s * (y - x) * (1.0 - 12.0 * s),
        )
        t += step
        if done:
            break
    return t


@njit(error_model="numpy")
def _towards(
    target: float,
    here: float,
    g: float,
    down: bool,
    h1: float,
    h2: float,
    h3: float,
    h4: float,
    h5: float,
) -> tuple[float, bool]:
    """Return a step towards a tail probability, and whether it arrives."""
    sign = 1.0 if down else -1.0
    ratio = target / max(here, SMALLEST)
    if not 0.9 < ratio < 1.1:
        # Newton's step on the logarithm of the tail, which is concave
        step = sign * math.log(max(ratio, SMALLEST)) * max(here, SMALLEST) / g
        return min(max(step, -100.0), 100.0), False
    delta = sign * (target - here) / g
    step = order_six(delta, h1, h2, h3, h4, h5)
    width = math.fabs(h1) + math.sqrt(math.fabs(h2))
    return step, math.fabs(delta) * width < _CLOSE
