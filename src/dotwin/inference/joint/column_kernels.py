"""Columns that read unknown values, and their slopes in them, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.joint.programs import Operation

__all__ = ["column"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_NUMBER, _DATA = int(Operation.NUMBER), int(Operation.DATA)
_ADD, _SUBTRACT = int(Operation.ADD), int(Operation.SUBTRACT)
_MULTIPLY, _DIVIDE = int(Operation.MULTIPLY), int(Operation.DIVIDE)
_MINIMUM, _MAXIMUM = int(Operation.MINIMUM), int(Operation.MAXIMUM)
_LOG, _LOG1P, _SQRT = int(Operation.LOG), int(Operation.LOG1P), int(Operation.SQRT)
_EXP, _SQUARE, _LOGIT = int(Operation.EXP), int(Operation.SQUARE), int(Operation.LOGIT)
_LOGIT_SHARE = int(Operation.LOGIT_SHARE)


@njit(error_model="numpy")
def _of_two(operation: int, a: float, by_a: float, b: float, by_b: float) -> tuple[float, float]:
    if operation == _ADD:
        return a + b, by_a + by_b
    if operation == _SUBTRACT:
        return a - b, by_a - by_b
    if operation == _MULTIPLY:
        return a * b, by_a * b + a * by_b
    if operation == _DIVIDE:
        return a / b, (by_a - a / b * by_b) / b
    if operation == _MINIMUM:
        return (a, by_a) if a <= b else (b, by_b)
    if operation == _MAXIMUM:
        return (a, by_a) if a >= b else (b, by_b)
    # The logit of a share: a count and its trials, half an event either way.
    hits, misses = a + 0.5, b - a + 0.5
    if not b > 0.0 or hits <= 0.0 or misses <= 0.0:
        return math.nan, math.nan
    return math.log(hits / misses), by_a / hits - (by_b - by_a) / misses


@njit(error_model="numpy")
def _of_one(operation: int, a: float, by_a: float, argument: float) -> tuple[float, float]:
    if operation == _LOG:
        return (math.log(a), by_a / a) if a > 0.0 else (math.nan, math.nan)
    if operation == _LOG1P:
        return (math.log1p(a), by_a / (1.0 + a)) if a > -1.0 else (math.nan, math.nan)
    if operation == _SQRT:
        root = math.sqrt(a) if a >= 0.0 else math.nan
        return root, 0.5 * by_a / root
    if operation == _EXP:
        e = math.exp(a)
        return e, e * by_a
    if operation == _SQUARE:
        return a * a, 2.0 * a * by_a
    if operation == _LOGIT:
        if not 0.0 < a < 1.0:
            return math.nan, math.nan
        return math.log(a) - math.log1p(-a), by_a / (a * (1.0 - a))
    total = a + argument
    return a / total, argument * by_a / (total * total)


@njit(error_model="numpy")
def column(
    store: Floats,
    operation: Integers,
    source: Integers,
    argument: Floats,
    first: int,
    last: int,
    place: int,
    unknown: int,
    stack: Floats,
) -> tuple[float, float]:
    """Run the program of a column at one row.

    Parameters
    ----------
    store : array
    operation, source, argument : array, dims (operation,)
        Of `dotwin.inference.joint.tables.ReadParts`; whole structures would be copied by each call.
    first, last : int
        The column's operations.
    place : int
        The row's place among units and periods.
    unknown : int
        Where the store holds the unknown value in which the slope is taken.
    stack : array, dims (2, deepest)

    Returns
    -------
    (float, float)
        The column's entry before a unit's mean is taken off, and its slope in the unknown value.
    """
    top = 0
    for k in range(first, last):
        code = operation[k]
        if code == _NUMBER:
            stack[0, top], stack[1, top] = argument[k], 0.0
            top += 1
        elif code == _DATA:
            at = source[k] + place
            stack[0, top], stack[1, top] = store[at], 1.0 if at == unknown else 0.0
            top += 1
        elif code <= _MAXIMUM or code == _LOGIT_SHARE:
            top -= 1
            stack[0, top - 1], stack[1, top - 1] = _of_two(
                code, stack[0, top - 1], stack[1, top - 1], stack[0, top], stack[1, top]
            )
        else:
            stack[0, top - 1], stack[1, top - 1] = _of_one(
                code, stack[0, top - 1], stack[1, top - 1], argument[k]
            )
    return stack[0, 0], stack[1, 0]
