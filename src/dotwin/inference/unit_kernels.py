"""Compiled sums over the rows of each unit at many values of its effect, and draws of the effect.

The densities are those of `dotwin.inference.nuts.likelihood`, without the terms that no effect
enters: these cancel between the integrals whose ratio is wanted. Importing this module imports
numba.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts import likelihood as rows
from dotwin.inference.nuts.parts import FamilyCode
from dotwin.inference.nuts.special import exp

__all__ = ["build_draw", "build_sums"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_NORMAL, _NORMAL_LOG = int(FamilyCode.NORMAL), int(FamilyCode.NORMAL_LOG_LINK)
_STUDENT_T, _GAMMA, _BETA = (
    int(FamilyCode.STUDENT_T),
    int(FamilyCode.GAMMA),
    int(FamilyCode.BETA),
)
_BINOMIAL, _BETA_BINOMIAL = int(FamilyCode.BINOMIAL), int(FamilyCode.BETA_BINOMIAL)
_POISSON, _NEGATIVE_BINOMIAL = int(FamilyCode.POISSON), int(FamilyCode.NEGATIVE_BINOMIAL)


@njit(error_model="numpy")
def _density(
    family: int,
    eta: Floats,
    y: Floats,
    log_y: Floats,
    log_rest: Floats,
    trials: Floats,
    dispersion: Floats,
    cutpoints: Floats,
    slope: Floats,
    cut_slope: Floats,
) -> float:
    """Return the log density of some rows."""
    nothing = np.empty(0)
    if family == _NEGATIVE_BINOMIAL:
        return rows.negative_binomial_rows(eta, y, nothing, nothing, dispersion[0], slope)[0]
    if family == _POISSON:
        return rows.poisson_rows(eta, y, slope)
    if family == _BINOMIAL:
        return rows.binomial_rows(eta, y, trials, slope)
    if family == _BETA_BINOMIAL:
        return rows.beta_binomial_rows(eta, y, trials, nothing, nothing, dispersion[0], slope)[0]
    if family in (_NORMAL, _NORMAL_LOG):
        return rows.normal_rows(eta, y, dispersion[0], family == _NORMAL_LOG, slope)[0]
    if family == _STUDENT_T:
        return rows.student_t_rows(eta, y, dispersion[0], dispersion[1], slope)[0]
    if family == _GAMMA:
        return rows.gamma_rows(eta, y, log_y, dispersion[0], slope)[0]
    if family == _BETA:
        return rows.beta_rows(eta, log_y, log_rest, dispersion[0], slope)[0]
    return rows.ordinal_rows(eta, y, cutpoints, slope, cut_slope)


def build_sums(version: int) -> Any:
    """Compile the sums of log densities over each unit's rows.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does; part of the key of the cache
        on disk, which by itself watches this file only.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def sums(
        family: int,
        eta: Floats,
        starts: Indices,
        y: Floats,
        log_y: Floats,
        log_rest: Floats,
        trials: Floats,
        dispersion: Floats,
        cutpoints: Floats,
        effects: Floats,
        result: Floats,
    ) -> None:
        """Fill in log densities by unit, dims (draw, unit, node), at effects of these dims."""
        units = starts.size - 1
        widest = 0
        for u in range(units):
            widest = max(widest, starts[u + 1] - starts[u])
        shifted, slope = np.empty(widest), np.empty(widest)
        cut_slope = np.zeros(cutpoints.shape[1] + 0 * version)
        for s in range(eta.shape[0]):
            for u in range(units):
                a, b = starts[u], starts[u + 1]
                for k in range(effects.shape[2]):
                    for i in range(b - a):
                        shifted[i] = eta[s, a + i] + effects[s, u, k]
                    result[s, u, k] = _density(
                        family,
                        shifted[: b - a],
                        y[a:b],
                        log_y[a:b],
                        log_rest[a:b],
                        trials[a:b],
                        dispersion[s],
                        cutpoints[s],
                        slope,
                        cut_slope,
                    )

    return sums


def build_draw(version: int) -> Any:
    """Compile draws from densities that are known at a few nodes.

    Parameters
    ----------
    version : int
        As for `build_sums`.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def draw(ratio: Floats, through: Floats, points: Floats, noise: Floats, result: Floats) -> None:
        """Fill in draws in sds from the centre, dims (draw, unit, copy).

        ``ratio`` is the log density over a standard normal's, dims (draw, unit, node); its
        polynomial is ``through @ ratio`` at ``points``.
        """
        count = points.size
        logs, total = np.empty(count), np.zeros(count + 0 * version)
        for s in range(ratio.shape[0]):
            for u in range(ratio.shape[1]):
                top = -math.inf
                for j in range(count):
                    value = -0.5 * points[j] * points[j]
                    for k in range(through.shape[1]):
                        value += through[j, k] * ratio[s, u, k]
                    logs[j] = value
                    top = max(top, value)
                before = exp(logs[0] - top)
                for j in range(1, count):
                    here = exp(logs[j] - top)
                    total[j] = total[j - 1] + 0.5 * (before + here)
                    before = here
                for c in range(noise.shape[2]):
                    wanted = noise[s, u, c] * total[count - 1]
                    low, high = 0, count - 1
                    while high - low > 1:
                        middle = (low + high) // 2
                        if total[middle] < wanted:
                            low = middle
                        else:
                            high = middle
                    mass = total[high] - total[low]
                    share = (wanted - total[low]) / mass if mass > 0.0 else 0.5
                    result[s, u, c] = points[low] + share * (points[high] - points[low])

    return draw
