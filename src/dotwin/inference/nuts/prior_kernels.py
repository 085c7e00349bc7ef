"""Single elements: their values, priors and gradients, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts.parts import FreeParts, PriorCode

__all__ = ["fill_cutpoints", "fill_elements", "return_cutpoints"]

Floats = NDArray[np.float64]

_NORMAL, _STUDENT_T = int(PriorCode.NORMAL), int(PriorCode.STUDENT_T)
_HALF_NORMAL, _HALF_STUDENT_T = int(PriorCode.HALF_NORMAL), int(PriorCode.HALF_STUDENT_T)
_EXPONENTIAL, _GAMMA = int(PriorCode.EXPONENTIAL), int(PriorCode.GAMMA)
_LOGNORMAL, _BETA, _UNIFORM = int(PriorCode.LOGNORMAL), int(PriorCode.BETA), int(PriorCode.UNIFORM)


@njit(error_model="numpy")
def fill_elements(
    point: Floats, free: FreeParts, values: Floats, jacobian: Floats, gradient: Floats
) -> float:
    """Fill in the elements' values, their slopes, and the gradient of their priors."""
    result = 0.0
    for j in range(values.size):
        x, code = point[j], free.code[j]
        a, b, c = free.arguments[0, j], free.arguments[1, j], free.arguments[2, j]
        if code == _NORMAL:
            z = (x - a) / b
            values[j], jacobian[j] = x, 1.0
            result -= 0.5 * z * z
            gradient[j] = -z / b
        elif code == _STUDENT_T:
            z = (x - b) / c
            values[j], jacobian[j] = x, 1.0
            result -= 0.5 * (a + 1.0) * math.log1p(z * z / a)
            gradient[j] = -(a + 1.0) * z / ((a + z * z) * c)
        elif code in (_BETA, _UNIFORM):
            up, down = 1.0 / (1.0 + math.exp(-x)), 1.0 / (1.0 + math.exp(x))
            log_up = -max(-x, 0.0) - math.log1p(math.exp(-abs(x)))
            log_down = -max(x, 0.0) - math.log1p(math.exp(-abs(x)))
            if code == _BETA:
                values[j], jacobian[j] = up, up * down
                result += a * log_up + b * log_down
                gradient[j] = a * down - b * up
            else:
                values[j], jacobian[j] = a + (b - a) * up, (b - a) * up * down
                result += log_up + log_down
                gradient[j] = down - up
        elif code <= _LOGNORMAL:
            v = math.exp(x)
            values[j], jacobian[j] = v, v
            if code == _HALF_NORMAL:
                z = v / a
                result += x - 0.5 * z * z
                gradient[j] = 1.0 - z * z
            elif code == _HALF_STUDENT_T:
                z = v / b
                result += x - 0.5 * (a + 1.0) * math.log1p(z * z / a)
                gradient[j] = 1.0 - (a + 1.0) * z * z / (a + z * z)
            elif code == _EXPONENTIAL:
                result += x - a * v
                gradient[j] = 1.0 - a * v
            elif code == _GAMMA:
                result += a * x - b * v
                gradient[j] = a - b * v
            else:
                z = (x - a) / b
                result -= 0.5 * z * z
                gradient[j] = -z / b
    return result


@njit(error_model="numpy")
def fill_cutpoints(point: Floats, free: FreeParts, values: Floats, by_value: Floats) -> float:
    """Fill in ordered cutpoints with their normal prior; its slope goes to ``by_value``."""
    result = 0.0
    first = free.first_cutpoint
    for j in range(first, first + free.cutpoints):
        if j == first:
            values[j] = point[j]
        else:
            values[j] = values[j - 1] + math.exp(point[j])
            result += point[j]
        z = (values[j] - free.arguments[0, j]) / free.arguments[1, j]
        result -= 0.5 * z * z
        by_value[j] -= z / free.arguments[1, j]
    return result


@njit(error_model="numpy")
def return_cutpoints(point: Floats, free: FreeParts, by_value: Floats, gradient: Floats) -> None:
    """Carry the cutpoints' slopes back to the first of them and the logs of their distances."""
    above = 0.0
    first = free.first_cutpoint
    for j in range(first + free.cutpoints - 1, first - 1, -1):
        above += by_value[j]
        gradient[j] = above if j == first else 1.0 + above * math.exp(point[j])
