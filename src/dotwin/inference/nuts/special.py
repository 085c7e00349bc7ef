"""Scalar functions of the compiled kernels: exponentials that vectorise, gammas with derivatives.

The kernels import numba, which is slow to import: `dotwin.inference.nuts.engine` looks them up when
a model is first sampled.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

__all__ = [
    "bits",
    "dot",
    "exp",
    "from_bits",
    "gamma_constant",
    "lgamma_digamma",
    "log1p_unit",
    "log_normal_tail",
    "log_rising",
    "log_rising_over_power",
    "log_student_tail",
    "student_constant",
    "student_series",
    "total",
    "unit_sums",
]

# Fused multiply-add is safe below; reassociation is not, it would cancel the magic-number rounding.
_FLAGS = {"contract", "nsz"}

_LOG2_E = 1.4426950408889634
# ln 2 in two parts: the first has so few digits that its product with a small integer is exact.
_LN2_HIGH = 6.93145751953125e-1
_LN2_LOW = 1.42860682030941723212e-6
_LN2 = math.log(2.0)
_ROUND = 1.5 * 2.0**52
#: Beyond these the exponential is held constant: 2**-1021 and 2**1022.
_LOWEST, _HIGHEST = -707.0, 708.0
_SQRT2_LESS_1 = math.sqrt(2.0) - 1.0
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_HALF_LOG_PI = 0.5 * math.log(math.pi)
_HALF_LOG_2 = 0.5 * math.log(2.0)
_SQRT_HALF = math.sqrt(0.5)
#: Terms of the series of Student's tail where x <= 1/2, and the log of what they may leave out.
_SERIES, _LOG_PRECISION = 56, -37.0
#: More terms than the incomplete beta function's fraction takes where it is used.
_LONGEST_FRACTION = 500
#: Stirling's series has full precision from here on.
_STIRLING_FROM = 10.0


def _as_bits(typingctx: Any, x: Any) -> Any:
    """The bits of a float64 as an int64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), codegen


def _of_bits(typingctx: Any, x: Any) -> Any:
    """The float64 with the bits of an int64."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), codegen


# Numba fills in the first argument, which its types do not say.
bits: Any = intrinsic(_as_bits)
from_bits: Any = intrinsic(_of_bits)


@njit(fastmath=_FLAGS, error_model="numpy")
def exp(x: float) -> float:
    """Return the exponential within 2 units in the last place, without branches.

    Held constant below -707 and above 708, where a double would lose digits or overflow.
    """
    x = min(max(x, _LOWEST), _HIGHEST)
    shifted = x * _LOG2_E + _ROUND
    k = shifted - _ROUND
    r = x - k * _LN2_HIGH
    r = r - k * _LN2_LOW
    # Taylor's polynomial: |r| <= ln(2) / 2, where the term after the last is below 5e-18.
    p = 1.0 / 6227020800.0
    p = p * r + 1.0 / 479001600.0
    p = p * r + 1.0 / 39916800.0
    p = p * r + 1.0 / 3628800.0
    p = p * r + 1.0 / 362880.0
    p = p * r + 1.0 / 40320.0
    p = p * r + 1.0 / 5040.0
    p = p * r + 1.0 / 720.0
    p = p * r + 1.0 / 120.0
    p = p * r + 1.0 / 24.0
    p = p * r + 1.0 / 6.0
    p = p * r + 0.5
    p = p * r + 1.0
    p = p * r + 1.0
    return float(from_bits(bits(p) + (bits(shifted) << 52)))


@njit(fastmath=_FLAGS, error_model="numpy")
def log1p_unit(e: float) -> float:
    """Return log(1 + e) for e in [0, 1] with full relative precision, without branches."""
    above = e > _SQRT2_LESS_1
    top = e - 1.0 if above else e
    bottom = e + 3.0 if above else e + 2.0
    s = top / bottom
    q = s * s
    # 2 atanh(s): |s| <= 0.1716, where the term after the last is below 1e-17.
    p = 1.0 / 21.0
    p = p * q + 1.0 / 19.0
    p = p * q + 1.0 / 17.0
    p = p * q + 1.0 / 15.0
    p = p * q + 1.0 / 13.0
    p = p * q + 1.0 / 11.0
    p = p * q + 1.0 / 9.0
    p = p * q + 1.0 / 7.0
    p = p * q + 1.0 / 5.0
    p = p * q + 1.0 / 3.0
    p = p * q + 1.0
    return 2.0 * s * p + (_LN2 if above else 0.0)


# Here reassociation is what lets a sum run in several lanes; no bit tricks are inside.
@njit(fastmath={"contract", "nsz", "reassoc"})
def total(x: NDArray[np.float64]) -> float:
    """Return the sum of an array."""
    result = 0.0
    for i in range(x.size):
        result += x[i]
    return result


@njit(fastmath={"contract", "nsz", "reassoc"})
def dot(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    """Return the sum of products of two arrays."""
    result = 0.0
    for i in range(x.size):
        result += x[i] * y[i]
    return result


@njit(fastmath={"contract", "nsz", "reassoc"})
def unit_sums(x: NDArray[np.float64], starts: NDArray[np.int64], sums: NDArray[np.float64]) -> None:
    """Fill in the sum of each stretch of an array."""
    for u in range(sums.size):
        result = 0.0
        for i in range(starts[u], starts[u + 1]):
            result += x[i]
        sums[u] = result


@njit(error_model="numpy")
def _stirling(x: float) -> tuple[float, float]:
    """What Stirling's series adds to lgamma and digamma; x >= 10."""
    v = 1.0 / x
    q = v * v
    p = 1.0 / 156.0
    p = p * q - 691.0 / 360360.0
    p = p * q + 1.0 / 1188.0
    p = p * q - 1.0 / 1680.0
    p = p * q + 1.0 / 1260.0
    p = p * q - 1.0 / 360.0
    p = p * q + 1.0 / 12.0
    d = 1.0 / 12.0
    d = d * q - 691.0 / 32760.0
    d = d * q + 1.0 / 132.0
    d = d * q - 1.0 / 240.0
    d = d * q + 1.0 / 252.0
    d = d * q - 1.0 / 120.0
    d = d * q + 1.0 / 12.0
    return p * v, -d * q - 0.5 * v


@njit(error_model="numpy")
def lgamma_digamma(x: float) -> tuple[float, float]:
    """Return log Gamma(x) and its derivative, for x > 0."""
    product, slope = 1.0, 0.0  # of (x)(x+1)..., and its derivative in x
    while x < _STIRLING_FROM:
        slope = slope * x + product
        product *= x
        x += 1.0
    value, derivative = _stirling(x)
    log_x = math.log(x)
    value += (x - 0.5) * log_x - x + _HALF_LOG_TWO_PI
    return value - math.log(product), derivative + log_x - slope / product


@njit(error_model="numpy")
def gamma_constant(shape: float) -> tuple[float, float]:
    """Return k log k - k - lgamma(k) and its derivative, precise also for a huge shape k."""
    if shape >= _STIRLING_FROM:
        value, derivative = _stirling(shape)
        return 0.5 * math.log(shape) - _HALF_LOG_TWO_PI - value, -derivative
    value, derivative = lgamma_digamma(shape)
    return shape * (math.log(shape) - 1.0) - value, math.log(shape) - derivative


@njit(error_model="numpy")
def log_rising(a: float, n: float) -> tuple[float, float]:
    """Return log(Gamma(a + n) / Gamma(a)) and its derivative in a, for a > 0 and whole n >= 0."""
    product, slope = 1.0, 0.0
    steps = 0
    while n > 0.0 and (a < _STIRLING_FROM or n <= 4.0) and steps < 12:
        slope = slope * a + product
        product *= a
        a += 1.0
        n -= 1.0
        steps += 1
    value, derivative = math.log(product), slope / product
    if n > 0.0:
        high, high_slope = _stirling(a + n)
        low, low_slope = _stirling(a)
        more = math.log1p(n / a)
        value += (a + n - 0.5) * more + n * (math.log(a) - 1.0) + high - low
        derivative += more + high_slope - low_slope
    return value, derivative


@njit(error_model="numpy")
def log_rising_over_power(a: float, n: float) -> tuple[float, float]:
    """Return log(Gamma(a + n) / Gamma(a) / a**n) and its derivative in a.

    Both go to 0 as a grows; they are precise there, where the gammas themselves are huge.
    """
    if n <= 8.0:
        product, slope, j = 1.0, 0.0, 1.0
        while j < n:
            product *= 1.0 + j / a
            slope -= j / (a * (a + j))
            j += 1.0
        return math.log(product), slope
    if a < _STIRLING_FROM:
        value, derivative = log_rising(a, n)
        return value - n * math.log(a), derivative - n / a
    high, high_slope = _stirling(a + n)
    low, low_slope = _stirling(a)
    more = math.log1p(n / a)
    value = (a + n - 0.5) * more - n + high - low
    return value, more - n / a + high_slope - low_slope


@njit(error_model="numpy")
def log_normal_tail(z: float) -> tuple[float, float]:
    """Return log P(Z > z) of a standard normal and its derivative in z."""
    if z < -1.0:
        value = math.log1p(-0.5 * math.erfc(-z * _SQRT_HALF))
    elif z < 30.0:
        value = math.log(0.5 * math.erfc(z * _SQRT_HALF))
    else:
        # Mills' ratio as a continued fraction: five terms are exact to double precision here.
        ratio = z
        for k in range(5, 0, -1):
            ratio = z + k / ratio
        return -0.5 * z * z - _HALF_LOG_TWO_PI - math.log(ratio), -ratio
    return value, -math.exp(-0.5 * z * z - _HALF_LOG_TWO_PI - value)


@njit(error_model="numpy")
def student_constant(nu: float) -> tuple[float, float]:
    """Return log B(nu/2, 1/2) and its derivative in nu."""
    high, high_slope = lgamma_digamma(0.5 * (nu + 1.0))
    low, low_slope = lgamma_digamma(0.5 * nu)
    return low + _HALF_LOG_PI - high, 0.5 * (low_slope - high_slope)


@njit(error_model="numpy")
def _log_beta_fraction(
    a: float, by_a: float, b: float, by_b: float, x: float, by_x: float
) -> tuple[float, float]:
    """Log of the continued fraction of the incomplete beta function, and its derivative.

    Arguments come with their own derivatives. Lentz's algorithm (Lentz 1976, doi
    10.1364/AO.15.000668) on the fraction of DLMF 8.17.22; each convergent's ratio is carried with
    its derivative. It converges fast for x < (a + 1) / (a + b + 2).
    """
    value, slope = 0.0, 0.0
    c, c_slope, d, d_slope = 1.0, 0.0, 0.0, 0.0
    for j in range(1, _LONGEST_FRACTION):
        m = j // 2
        if j % 2:
            top = -(a + m) * (a + b + m)
            top_slope = -by_a * (a + b + m) - (a + m) * (by_a + by_b)
            bottom = (a + 2.0 * m) * (a + 2.0 * m + 1.0)
            bottom_slope = by_a * (2.0 * a + 4.0 * m + 1.0)
        else:
            top, top_slope = m * (b - m), m * by_b
            bottom = (a + 2.0 * m - 1.0) * (a + 2.0 * m)
            bottom_slope = by_a * (2.0 * a + 4.0 * m - 1.0)
        term = top * x / bottom
        term_slope = (top_slope * x + top * by_x - term * bottom_slope) / bottom
        d_slope = -(term_slope * d + term * d_slope)
        d = 1.0 / (1.0 + term * d)
        d_slope *= d * d
        c_slope = (term_slope - term * c_slope / c) / c
        c = 1.0 + term / c
        step, step_slope = c * d, c_slope * d + c * d_slope
        value += math.log(step)
        slope += step_slope / step
        if abs(step - 1.0) < 1e-16 and abs(step_slope) < 1e-16 * (1.0 + abs(slope)):
            break
    return -value, -slope


@njit(error_model="numpy")
def student_series(nu: float) -> NDArray[np.float64]:
    """Return the coefficients of the series of Student's tail, and their derivatives in nu.

    P(|T| > z) is x**(nu/2) / (nu/2 B(nu/2, 1/2)) times a power series in x = nu / (nu + z**2)
    (DLMF 8.17.7); dims (2, term).
    """
    series = np.empty((2, _SERIES))
    binomial, half = 1.0, 0.5 * nu
    for k in range(_SERIES):
        series[0, k] = binomial * half / (half + k)
        series[1, k] = 0.5 * binomial * k / ((half + k) * (half + k))
        binomial *= (k + 0.5) / (k + 1.0)
    return series


@njit(error_model="numpy")
def log_student_tail(
    z: float, nu: float, log_beta: float, log_beta_slope: float, series: NDArray[np.float64]
) -> tuple[float, float, float]:
    """Return log P(T > z) of Student's t and its derivatives in z and in nu.

    ``log_beta`` and ``log_beta_slope`` are `student_constant` of nu, ``series`` is
    `student_series` of it: they are the same for all rows of a mechanism.
    """
    square, half = z * z, 0.5 * nu
    x, w = nu / (nu + square), square / (nu + square)
    log_x = -math.log1p(square / nu)
    log_density = 0.5 * (nu + 1.0) * log_x - 0.5 * math.log(nu) - log_beta
    if x <= 0.5:
        # Terms shrink at least as fast as powers of x.
        last = min(int(_LOG_PRECISION / log_x) + 1, _SERIES - 1)
        total, by_nu = series[0, last], series[1, last]
        for k in range(last - 1, -1, -1):
            total = total * x + series[0, k]
            by_nu = by_nu * x + series[1, k]
        log_tail = half * log_x - math.log(nu) - log_beta + math.log(total)
        by_nu = by_nu / total + 0.5 * log_x - 1.0 / nu - log_beta_slope
        # What moves x when nu moves; the tail's slope in z is the density.
        by_nu += math.exp(log_density - log_tail) * abs(z) / (2.0 * nu)
    else:
        # Within a few sds of the centre the complement, the incomplete beta function at w, is
        # not small; its continued fraction converges where the series' terms would cancel.
        x_slope = w / (nu + square)
        log_w = math.log(w) if w > 0.0 else -math.inf
        if x < (half + 1.0) / (half + 2.5):
            fraction, fraction_slope = _log_beta_fraction(half, 0.5, 0.5, 0.0, x, x_slope)
            log_tail = half * log_x + 0.5 * log_w - math.log(nu) - log_beta + fraction
            by_nu = 0.5 * log_x + half * x_slope / x - 0.5 * x_slope / w - 1.0 / nu
            by_nu += fraction_slope - log_beta_slope
        else:
            fraction, fraction_slope = _log_beta_fraction(0.5, 0.0, half, 0.5, w, -x_slope)
            inside = 2.0 * math.exp(half * log_x + 0.5 * log_w - log_beta + fraction)
            slope = 0.5 * log_x + half * x_slope / x - log_beta_slope + fraction_slope
            slope -= 0.5 * x_slope / w if w > 0.0 else 0.0
            log_tail = math.log1p(-inside) - _LN2
            by_nu = -inside * slope / (1.0 - inside)
    if z >= 0.0:
        return log_tail, -math.exp(log_density - log_tail), by_nu
    tail = math.exp(log_tail)
    above = 1.0 - tail
    return math.log1p(-tail), -math.exp(log_density) / above, -by_nu * tail / above
