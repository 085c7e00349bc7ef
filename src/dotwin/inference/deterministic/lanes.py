"""Logarithms and gammas without branches, compiled so that loops over lanes become vectors.

Bit tricks rely on operations in the order written: fused multiply-add is allowed, reassociation is
not.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, cast

from numba import njit

from dotwin.inference.nuts.special import bits, exp, from_bits

__all__ = [
    "digamma_trigamma",
    "exp",
    "lgamma",
    "log",
    "log1m_exp",
    "log1p",
    "log_rising",
    "one_less_exp",
]

FLAGS = {"contract", "nsz"}

_LN2_HIGH = 6.93145751953125e-1
_LN2_LOW = 1.42860682030941723212e-6
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
#: The bits of sqrt(1/2), at which a mantissa's range begins.
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_MANTISSA = 0x000FFFFFFFFFFFFF
#: 2**52 + 2**51 and its bits: a whole number added to these bits is that number added to the value.
_MAGIC = 6755399441055744.0
_MAGIC_BITS = 0x4338000000000000
#: The eighth power of a larger number might overflow.
_HUGE = 1e30
_TINY = 2.2250738585072014e-308


def inlined[F: Callable[..., Any]](function: F) -> F:
    """Compile a function into its callers, whose constants then decide its branches."""
    compiled: Any = njit(fastmath=FLAGS, error_model="numpy", forceinline=True)(function)
    return cast(F, compiled)


@inlined
def _log_of_parts(top: float, bottom: float, k: float) -> float:
    """Return log((bottom + top) / (bottom - top)) + k log 2, for |top / bottom| <= 0.1716."""
    s = top / bottom
    q = s * s
    # 2 atanh(s): the term after the last is below 4e-14 of the first.
    p = 2.0 / 15.0
    p = p * q + 2.0 / 13.0
    p = p * q + 2.0 / 11.0
    p = p * q + 2.0 / 9.0
    p = p * q + 2.0 / 7.0
    p = p * q + 2.0 / 5.0
    p = p * q + 2.0 / 3.0
    p = p * q + 2.0
    return float(k * _LN2_HIGH + (s * p + k * _LN2_LOW))


@inlined
def _split(x: float) -> tuple[float, float]:
    """Return the power of 2 and the mantissa around 1 of a positive normal number."""
    shifted = bits(x) - _SQRT_HALF_BITS
    k = from_bits((shifted >> 52) + _MAGIC_BITS) - _MAGIC
    return k, from_bits((shifted & _MANTISSA) + _SQRT_HALF_BITS)


@inlined
def log(x: float) -> float:
    """Return the logarithm of a positive normal number, to 13 digits."""
    k, m = _split(max(x, _TINY))
    return float(_log_of_parts(m - 1.0, m + 1.0, k))


@inlined
def log1p(x: float) -> float:
    """Return log(1 + x) for x >= 0 to 13 digits, also where x is small."""
    k, m = _split(1.0 + x)
    # Where no power of 2 is taken off, x itself has the digits that 1 + x lost.
    small = k == 0.0
    top = x if small else m - 1.0
    bottom = 2.0 + x if small else m + 1.0
    return float(_log_of_parts(top, bottom, k))


@inlined
def log1m_exp(a: float) -> float:
    """Return log(1 - exp(-a)) for a > 0."""
    return log(one_less_exp(a))


@inlined
def one_less_exp(a: float) -> float:
    """Return 1 - exp(-a) for a > 0 with full relative precision."""
    # The series of (1 - exp(-a)) / a; its next term at 0.35 is below 1e-16.
    p = 1.0 / 39916800.0
    p = 1.0 / 3628800.0 - a * p
    p = 1.0 / 362880.0 - a * p
    p = 1.0 / 40320.0 - a * p
    p = 1.0 / 5040.0 - a * p
    p = 1.0 / 720.0 - a * p
    p = 1.0 / 120.0 - a * p
    p = 1.0 / 24.0 - a * p
    p = 1.0 / 6.0 - a * p
    p = 0.5 - a * p
    p = 1.0 - a * p
    return float(a * p if a < 0.35 else 1.0 - exp(-a))


@inlined
def _stirling(v: float) -> float:
    """What Stirling's series adds to log Gamma(1 / v), for v <= 1/8."""
    q = v * v
    p = -3617.0 / 122400.0
    p = p * q + 1.0 / 156.0
    p = p * q - 691.0 / 360360.0
    p = p * q + 1.0 / 1188.0
    p = p * q - 1.0 / 1680.0
    p = p * q + 1.0 / 1260.0
    p = p * q - 1.0 / 360.0
    p = p * q + 1.0 / 12.0
    return float(p * v)


@inlined
def _eight(x: float) -> float:
    """Return Gamma(x + 8) / Gamma(x)."""
    product = x
    for i in range(1, 8):
        product *= x + i
    return product


@inlined
def lgamma(x: float) -> float:
    """Return log Gamma(x) for x > 0."""
    x = min(x, _HUGE)
    z = x + 8.0
    return float((z - 0.5) * log(z) - z + _HALF_LOG_TWO_PI + _stirling(1.0 / z) - log(_eight(x)))


@inlined
def log_rising(a: float, n: float) -> float:
    """Return log(Gamma(a + n) / Gamma(a)) for a > 0 and n >= 0, also for a huge a."""
    a = max(min(a, _HUGE), _TINY)
    z = a + 8.0
    v = 1.0 / z
    shifted = (z + n - 0.5) * log1p(n * v) + n * (log(z) - 1.0)
    shifted += _stirling(1.0 / (z + n)) - _stirling(v)
    return float(shifted - log(_eight(a + n) / _eight(a)))


@inlined
def digamma_trigamma(x: float) -> tuple[float, float]:
    """Return the first two derivatives of log Gamma(x), for x > 0."""
    x = min(x, _HUGE)
    first, second = 0.0, 0.0
    for i in range(8):
        v = 1.0 / (x + i)
        first += v
        second += v * v
    z = x + 8.0
    v = 1.0 / z
    q = v * v
    d = 3617.0 / 8160.0
    d = d * q - 1.0 / 12.0
    d = d * q + 691.0 / 32760.0
    d = d * q - 1.0 / 132.0
    d = d * q + 1.0 / 240.0
    d = d * q - 1.0 / 252.0
    d = d * q + 1.0 / 120.0
    d = d * q - 1.0 / 12.0
    t = -3617.0 / 510.0
    t = t * q + 7.0 / 6.0
    t = t * q - 691.0 / 2730.0
    t = t * q + 5.0 / 66.0
    t = t * q - 1.0 / 30.0
    t = t * q + 1.0 / 42.0
    t = t * q - 1.0 / 30.0
    t = t * q + 1.0 / 6.0
    return log(z) - 0.5 * v + d * q - first, v + 0.5 * q + t * q * v + second
