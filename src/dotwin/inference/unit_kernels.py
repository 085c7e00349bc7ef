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

#: Units whose effects are drawn side by side.
BESIDE = 64
#: Of fused multiply-adds; nothing is reordered.
FLAGS = {"contract", "nsz"}

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
        """Fill in log densities by unit, dims (node, draw, unit), at effects of these dims."""
        units = starts.size - 1
        widest = 0
        for u in range(units):
            widest = max(widest, starts[u + 1] - starts[u])
        shifted, slope = np.empty(widest), np.empty(widest)
        cut_slope = np.zeros(cutpoints.shape[1] + 0 * version)
        for s in range(eta.shape[0]):
            for u in range(units):
                a, b = starts[u], starts[u + 1]
                for k in range(effects.shape[0]):
                    for i in range(b - a):
                        shifted[i] = eta[s, a + i] + effects[k, s, u]
                    result[k, s, u] = _density(
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

    @njit(cache=True, nogil=True, fastmath=FLAGS, error_model="numpy")
    def draw(ratio: Floats, through: Floats, points: Floats, noise: Floats, result: Floats) -> None:
        """Fill in draws in sds from the centre, dims (copy, draw, unit).

        ``ratio`` is the log density over a standard normal's, dims (node, draw, unit); its
        polynomial is ``through @ ratio`` at ``points``, between which the density is a line.
        """
        count, nodes = through.shape
        step = points[1] - points[0]
        density, upto = np.empty((count, BESIDE)), np.zeros((count, BESIDE))
        top, wanted, steps = np.empty(BESIDE + 0 * version), np.empty(BESIDE), np.empty(BESIDE)
        units = ratio.shape[2]
        for s in range(ratio.shape[1]):
            for first in range(0, units, BESIDE):
                width = min(BESIDE, units - first)
                top[:] = -math.inf
                for j in range(count):
                    here, normal = density[j], -0.5 * points[j] * points[j]
                    for u in range(width):
                        here[u] = normal
                    for k in range(nodes):
                        weight, at = through[j, k], ratio[k, s, first : first + width]
                        for u in range(width):
                            here[u] += weight * at[u]
                    for u in range(width):
                        top[u] = max(top[u], here[u])
                for j in range(count):
                    here = density[j]
                    for u in range(width):
                        here[u] = exp(here[u] - top[u])
                    if j:
                        before, total, sofar = density[j - 1], upto[j], upto[j - 1]
                        for u in range(width):
                            total[u] = sofar[u] + 0.5 * (before[u] + here[u])
                for c in range(noise.shape[0]):
                    for u in range(width):
                        wanted[u] = noise[c, s, first + u] * upto[count - 1, u]
                        steps[u] = 0.0
                    # Counting has no branches to guess wrong, as a search would have.
                    for j in range(1, count - 1):
                        total = upto[j]
                        for u in range(width):
                            steps[u] += 1.0 if total[u] < wanted[u] else 0.0
                    for u in range(width):
                        below = int(steps[u])
                        # Within a step the density is a line: solve its quadratic for the share.
                        low, high = density[below, u], density[below + 1, u]
                        need = max(wanted[u] - upto[below, u], 0.0)
                        root = math.sqrt(max(low * low + 2.0 * (high - low) * need, 0.0))
                        share = 2.0 * need / max(low + root, 1e-300)
                        result[c, s, first + u] = points[below] + step * min(share, 1.0)

    return draw
