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
_HALF_LOG_2 = 0.5 * math.log(2.0)
_SQRT_HALF = math.sqrt(0.5)
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
