"""The upper tail of a residual that truncation keeps, from a table per draw, compiled.

A tail of Student's t costs a series or a continued fraction; but within a draw all rows share its
degrees of freedom. So the logarithm of the tail is tabulated once per draw as a function of
asinh(z), with two exact derivatives, and read by quintic Hermite interpolation.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.deterministic.lanes import inlined, log
from dotwin.inference.nuts.parts import FamilyCode
from dotwin.inference.nuts.special import (
    log_normal_tail,
    log_student_tail,
    student_constant,
    student_series,
)

__all__ = ["TABLE", "fill_tail", "log_tail", "log_tail_bend"]

Floats = NDArray[np.float64]

_STUDENT_T = int(FamilyCode.STUDENT_T)
#: The table runs over asinh(z) from minus this to this, in this many steps per unit: the nearest
#: complex zero of a tail is about 0.9 away, so interpolation is good to 1e-10.
_END, _PER_UNIT = 12.0, 32
_LAST = int(2 * _END * _PER_UNIT)
#: Numbers of a table: value and two derivatives at each point.
TABLE = 3 * (_LAST + 1)


@njit(error_model="numpy")
def fill_tail(family: int, nu: float, table: Floats) -> None:
    """Tabulate log P(Z > z) of a standard residual with its derivatives in asinh(z).

    Parameters
    ----------
    family : int
        Student's t, else normal.
    nu : float
        Degrees of freedom of a Student's t.
    table : array, dims (number,)
    """
    step = 1.0 / _PER_UNIT
    student = family == _STUDENT_T
    constant, constant_slope = student_constant(nu) if student else (0.0, 0.0)
    series = student_series(nu) if student else np.empty((2, 0))
    for i in range(_LAST + 1):
        x = -_END + i * step
        z, stretch = math.sinh(x), math.cosh(x)
        if student:
            value, slope, _ = log_student_tail(z, nu, constant, constant_slope, series)
            fall = -(nu + 1.0) * z / (nu + z * z)
        else:
            value, slope = log_normal_tail(z)
            fall = -z
        # The density over the tail is minus the slope, and its logarithm falls by ``fall``.
        bend = slope * (fall - slope)
        table[3 * i] = value
        table[3 * i + 1] = step * slope * stretch
        table[3 * i + 2] = step * step * (bend * stretch * stretch + slope * z)


@inlined
def _place(z: float) -> tuple[int, float, float]:
    """Return the point of the table below asinh(z), the share of a step beyond it, and the rest."""
    size = abs(z)
    x = log(size + math.sqrt(size * size + 1.0))
    at = ((x if z > 0.0 else -x) + _END) * _PER_UNIT
    inside = min(max(at, 0.0), float(_LAST))
    i = min(int(inside), _LAST - 1)
    return i, inside - i, at - inside


@inlined
def log_tail(z: float, table: Floats, lane: int) -> float:
    """Return log P(Z > z) from a lane of tables, dims (lane, number)."""
    i, t, beyond = _place(z)
    k = 3 * i
    cube = t * t * t
    h0 = cube * (10.0 + t * (-15.0 + 6.0 * t))
    h1 = cube * (-6.0 + t * (8.0 - 3.0 * t)) + t
    h2 = 0.5 * t * t * (1.0 - t) * (1.0 - t) * (1.0 - t)
    g1 = cube * (-4.0 + t * (7.0 - 3.0 * t))
    g2 = 0.5 * cube * (1.0 - t) * (1.0 - t)
    low, high = table[lane, k], table[lane, k + 3]
    result = low + h0 * (high - low)
    result += h1 * table[lane, k + 1] + h2 * table[lane, k + 2]
    result += g1 * table[lane, k + 4] + g2 * table[lane, k + 5]
    # Further down nothing is left that a bound could take; further up the tail falls in a line.
    return float(result + max(beyond, 0.0) * table[lane, k + 4])


@inlined
def log_tail_bend(
    family: int, z: float, nu: float, table: Floats, lane: int
) -> tuple[float, float]:
    """Return the first two derivatives of log P(Z > z) in z, from a lane of tables."""
    i, t, _ = _place(z)
    k = 3 * i
    square = t * t
    h0 = 30.0 * square * (1.0 - t) * (1.0 - t)
    h1 = 1.0 + square * (-18.0 + t * (32.0 - 15.0 * t))
    h2 = t * (1.0 + t * (-4.5 + t * (6.0 - 2.5 * t)))
    g1 = square * (-12.0 + t * (28.0 - 15.0 * t))
    g2 = square * (1.5 + t * (-4.0 + 2.5 * t))
    slope = h0 * (table[lane, k + 3] - table[lane, k])
    slope += h1 * table[lane, k + 1] + h2 * table[lane, k + 2]
    slope += g1 * table[lane, k + 4] + g2 * table[lane, k + 5]
    slope *= _PER_UNIT / math.sqrt(1.0 + z * z)
    fall = -(nu + 1.0) * z / (nu + z * z) if family == _STUDENT_T else -z
    return slope, slope * (fall - slope)
