"""Tables of scores for a parameter that is one number per draw.

A table is exact where it was solved for, which takes about twenty microseconds. As a function of
the logarithm of the parameter it is so smooth that between twice a number and the number itself
tables at sixteen of Chebyshev's points give all others to the last digits. These are solved for
when first needed, and serve all draws and all twins of the process.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms.kernels.compiled import kernel

__all__ = ["gamma_tables", "student_t_tables"]

type FloatArray = NDArray[np.float64]

_GAMMA_WIDTH, _STUDENT_WIDTH = 120, 60
_LEAST_SHAPE = 1.0  # smaller shapes of a gamma value are solved for one by one
_NO_TABLE = np.empty((1, 0))
_POINTS = np.cos(np.pi * (np.arange(16) + 0.5) / 16)


def gamma_tables(shape: ArrayLike) -> FloatArray:
    """Tabulate the scores of gamma values, a row per row of the shape parameter."""
    return _tables("gamma_tables", _GAMMA_WIDTH, shape, _LEAST_SHAPE)


def student_t_tables(nu: ArrayLike) -> FloatArray:
    """Tabulate the scores of Student's t, a row per row of the degrees of freedom."""
    return _tables("student_t_tables", _STUDENT_WIDTH, nu, np.finfo(float).tiny)


def _tables(name: str, width: int, parameter: ArrayLike, least: float) -> FloatArray:
    """Return a table per row; of NaN where the parameter has none; of no width where it varies."""
    rows = _by_row(parameter)
    if rows is None:
        return _NO_TABLE
    out = np.full((len(rows), width), np.nan)
    octaves = np.frexp(rows)[1] - 1
    usable = (rows >= least) & np.isfinite(rows)
    for octave in np.unique(octaves[usable]).tolist():
        here = np.flatnonzero(usable & (octaves == octave))
        # within the octave, from 1 to 2
        place = np.ldexp(rows[here], -octave)
        kernel("tables_between")(place, here, _POINTS, _solved(name, width, octave), out)
    return out


@cache
def _solved(name: str, width: int, octave: int) -> FloatArray:
    """Return the tables from which those of an octave are made."""
    out = np.empty((len(_POINTS), width))
    kernel(name)(np.ldexp(np.exp2(0.5 + 0.5 * _POINTS), octave), out)
    return out


def _by_row(parameter: ArrayLike) -> FloatArray | None:
    """Return a parameter that is one number per row as (row,), or None for one per value."""
    x = np.asarray(parameter, dtype=float)
    if x.size == 1:
        return x.reshape(1)
    return x.reshape(-1) if x.ndim == 2 and x.shape[1] == 1 else None
