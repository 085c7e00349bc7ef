"""Exponential, logarithm and normal quantile that run in vector lanes.

Every function is free of branches and says each fused multiply-add itself, so that a value has the
same bits whether the compiler puts it in a lane of a vector or computes it alone.

References
----------
.. [1] Wichura, M. J. (1988). Algorithm AS 241: the percentage points of the normal distribution.
   Applied Statistics 37(3), 477-484. doi:10.2307/2347330
.. [2] Tang, P. T. P. (1990). Table-driven implementation of the logarithm function in IEEE
   floating-point arithmetic. ACM TOMS 16(4), 378-400. doi:10.1145/98267.98294
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

__all__ = [
    "SMALLEST",
    "atanh_rest",
    "exp",
    "far_normal_score",
    "fma",
    "log",
    "log1p",
    "log1p_less",
    "logit_of_tail",
    "normal_score",
]

#: The smallest tail probability: below it a double loses precision.
SMALLEST = float(np.finfo(float).tiny)


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


def _fused(typingctx: Any, x: Any, y: Any, z: Any) -> Any:
    """Round x * y + z once."""

    def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fma(*arguments)

    return types.float64(types.float64, types.float64, types.float64), codegen


# Numba fills in the first argument, which its types do not say.
_bits: Any = intrinsic(_as_bits)
_from_bits: Any = intrinsic(_of_bits)
fma: Any = intrinsic(_fused)

_LOG2_E = 1.4426950408889634
# ln 2 in two parts: the first has so few digits that its product with a small integer is exact.
_LN2_HIGH = 6.93147180369123816490e-01
_LN2_LOW = 1.90821492927058770002e-10
_ROUND = 1.5 * 2.0**52
_LOWEST, _HIGHEST = -708.0, 709.0
_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_MANTISSA = 0x000FFFFFFFFFFFFF


@njit(error_model="numpy", forceinline=True)
def exp(x: float) -> float:
    """Return the exponential within about 1 unit in the last place; NaN of NaN.

    Held constant below -708 and above 709, where a double would lose digits or overflow.
    """
    y = _LOWEST if x < _LOWEST else x
    y = _HIGHEST if y > _HIGHEST else y
    shifted = fma(y, _LOG2_E, _ROUND)
    k = shifted - _ROUND
    r = fma(-k, _LN2_HIGH, y)
    r = fma(-k, _LN2_LOW, r)
    # Taylor's polynomial: |r| <= ln(2) / 2, where the term after the last is below 5e-18.
    p = 1.0 / 6227020800.0
    p = fma(p, r, 1.0 / 479001600.0)
    p = fma(p, r, 1.0 / 39916800.0)
    p = fma(p, r, 1.0 / 3628800.0)
    p = fma(p, r, 1.0 / 362880.0)
    p = fma(p, r, 1.0 / 40320.0)
    p = fma(p, r, 1.0 / 5040.0)
    p = fma(p, r, 1.0 / 720.0)
    p = fma(p, r, 1.0 / 120.0)
    p = fma(p, r, 1.0 / 24.0)
    p = fma(p, r, 1.0 / 6.0)
    p = fma(p, r, 0.5)
    p = fma(p * r, r, r)
    p = 1.0 + p
    return float(_from_bits(_bits(p) + (_bits(shifted) << 52)))


@njit(error_model="numpy", forceinline=True)
def log(x: float) -> float:
    """Return the logarithm within 1 unit in the last place, for normal doubles x > 0; else NaN."""
    ix = _bits(x) - _SQRT_HALF_BITS
    k = float(ix >> 52)
    f = _from_bits((ix & _MANTISSA) + _SQRT_HALF_BITS) - 1.0
    s = f / (2.0 + f)
    z = s * s
    p = 1.479819860511658591e-01
    p = fma(p, z, 1.531383769920937332e-01)
    p = fma(p, z, 1.818357216161805012e-01)
    p = fma(p, z, 2.222219843214978396e-01)
    p = fma(p, z, 2.857142874366239149e-01)
    p = fma(p, z, 3.999999999940941908e-01)
    p = fma(p, z, 6.666666666666735130e-01)
    half = 0.5 * f * f
    rest = fma(s, fma(p, z, half), k * _LN2_LOW)
    y = fma(k, _LN2_HIGH, -((half - rest) - f))
    return y if x >= SMALLEST else math.nan


@njit(error_model="numpy", forceinline=True)
def log1p(x: float) -> float:
    """Return log(1 + x) for -1 < x < 1e300, precise also near 0."""
    u = 1.0 + x
    lost = x - (u - 1.0)
    return log(u) + lost / u


@njit(error_model="numpy", forceinline=True)
def atanh_rest(q: float) -> float:
    """Return atanh(s) / s - 1 for q = s**2 <= 1/9."""
    p = 1.0 / 37.0
    p = fma(p, q, 1.0 / 35.0)
    p = fma(p, q, 1.0 / 33.0)
    p = fma(p, q, 1.0 / 31.0)
    p = fma(p, q, 1.0 / 29.0)
    p = fma(p, q, 1.0 / 27.0)
    p = fma(p, q, 1.0 / 25.0)
    p = fma(p, q, 1.0 / 23.0)
    p = fma(p, q, 1.0 / 21.0)
    p = fma(p, q, 1.0 / 19.0)
    p = fma(p, q, 1.0 / 17.0)
    p = fma(p, q, 1.0 / 15.0)
    p = fma(p, q, 1.0 / 13.0)
    p = fma(p, q, 1.0 / 11.0)
    p = fma(p, q, 1.0 / 9.0)
    p = fma(p, q, 1.0 / 7.0)
    p = fma(p, q, 1.0 / 5.0)
    p = fma(p, q, 1.0 / 3.0)
    return float(p * q)


@njit(error_model="numpy", forceinline=True)
def log1p_less(d: float) -> float:
    """Return log(1 + d) - d for d > -1, precise also near 0."""
    s = d / (2.0 + d)
    near = math.fabs(d) < 0.5
    q = s * s
    q = q if near else 0.0
    # log(1 + d) = 2 atanh(s), and 2 s = d - d s; s**2 <= 1/9 here.
    close = fma(2.0 * s, atanh_rest(q), -(d * s))
    far = log1p(d) - d
    return close if near else far


@njit(error_model="numpy", forceinline=True)
def normal_score(v: float) -> float:
    """Return the standard normal value at signed tail noise with |v| >= exp(-25).

    Smaller tails are for `far_normal_score`.
    """
    m = math.fabs(v)
    q = 0.5 - m
    r = fma(-q, q, 0.180625)
    top = 2509.0809287301226727
    top = fma(top, r, 33430.575583588128105)
    top = fma(top, r, 67265.770927008700853)
    top = fma(top, r, 45921.953931549871457)
    top = fma(top, r, 13731.693765509461125)
    top = fma(top, r, 1971.5909503065514427)
    top = fma(top, r, 133.14166789178437745)
    top = fma(top, r, 3.387132872796366608)
    low = 5226.495278852545925
    low = fma(low, r, 28729.085735721942674)
    low = fma(low, r, 39307.89580009271061)
    low = fma(low, r, 21213.794301586595867)
    low = fma(low, r, 5394.1960214247511077)
    low = fma(low, r, 687.1870074920579083)
    low = fma(low, r, 42.313330701600911252)
    low = fma(low, r, 1.0)
    t = math.sqrt(-log(m)) - 1.6
    high = 7.7454501427834140764e-4
    high = fma(high, t, 0.0227238449892691845833)
    high = fma(high, t, 0.24178072517745061177)
    high = fma(high, t, 1.27045825245236838258)
    high = fma(high, t, 3.64784832476320460504)
    high = fma(high, t, 5.7694972214606914055)
    high = fma(high, t, 4.6303378461565452959)
    high = fma(high, t, 1.42343711074968357734)
    under = 1.05075007164441684324e-9
    under = fma(under, t, 5.475938084995344946e-4)
    under = fma(under, t, 0.0151986665636164571966)
    under = fma(under, t, 0.14810397642748007459)
    under = fma(under, t, 0.68976733498510000455)
    under = fma(under, t, 1.6763848301838038494)
    under = fma(under, t, 2.05319162663775882187)
    under = fma(under, t, 1.0)
    central = q <= 0.425
    middle = q * top
    over = middle if central else high
    below = low if central else under
    z = over / below
    return -math.copysign(z, v)


@njit(error_model="numpy", forceinline=True)
def far_normal_score(v: float) -> float:
    """Return the standard normal value at signed tail noise with |v| < exp(-25)."""
    t = math.sqrt(-math.log(max(math.fabs(v), SMALLEST))) - 5.0
    top = 2.01033439929228813265e-7
    top = fma(top, t, 2.71155556874348757815e-5)
    top = fma(top, t, 0.0012426609473880784386)
    top = fma(top, t, 0.026532189526576123093)
    top = fma(top, t, 0.29656057182850489123)
    top = fma(top, t, 1.7848265399172913358)
    top = fma(top, t, 5.4637849111641143699)
    top = fma(top, t, 6.6579046435011037772)
    low = 2.04426310338993978564e-15
    low = fma(low, t, 1.4215117583164458887e-7)
    low = fma(low, t, 1.8463183175100546818e-5)
    low = fma(low, t, 7.868691311456132591e-4)
    low = fma(low, t, 0.0148753612908506148525)
    low = fma(low, t, 0.13692988092273580531)
    low = fma(low, t, 0.59983220655588793769)
    low = fma(low, t, 1.0)
    z = top / low
    return -math.copysign(z, v)


@njit(error_model="numpy", forceinline=True)
def logit_of_tail(v: float) -> float:
    """Return log(u / (1 - u)) for signed tail noise, precise in both tails."""
    m = math.fabs(v)
    m = SMALLEST if m < SMALLEST else m
    y = log(m) - log1p(-m)
    return math.copysign(1.0, v) * y
