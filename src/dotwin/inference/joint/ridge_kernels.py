"""Moves of a hidden cause along which no linear predictor or no residual changes, compiled.

What a hidden cause L adds to an indicator, and what the indicator has of its own in the same place,
are seen only as their sum r = c L + s e, with loading c and spread s. Along the ridge on which all
sums stay the same a sampler that moves everything together is slow. Here the sums are held, and

1. loadings and spreads are drawn from their density given the sums, L integrated out: the sums of
   one place are normal with covariance c c' + diag(s^2);
2. L is drawn from its normal given sums, loadings and spreads.

Two indicators determine the product of their loadings only. Of them the loadings are moved together
too, one up and the other down, at the same covariance of the sums.

All this leaves the joint posterior as it is: a collapsed Gibbs step (Liu 1994, doi
10.1080/01621459.1994.10476829) in coordinates of sums, as in the interweaving of Yu and Meng (2011,
doi 10.1198/jcgs.2011.203main).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts.parts import FreeParts, PriorCode
from dotwin.inference.nuts.prior_kernels import fill_elements

__all__ = ["build_ridge_move"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Widths by which a slice may grow on either side, and how often it may shrink.
_GROWTH, _SHRINKS = 10, 100
#: Codes of priors on the whole line come first, then those of positive numbers.
_ON_THE_LINE, _POSITIVE = int(PriorCode.STUDENT_T), int(PriorCode.LOGNORMAL)
#: First width of a slice on the unconstrained scale.
_WIDTH = 0.5


@njit(error_model="numpy")
def _density(
    sums: Floats,
    hidden: Floats,
    place: Floats,
    free: FreeParts,
    multiplier: Floats,
    collapsed: bool,
    values: Floats,
) -> float:
    """Log density of loadings and spreads (k of each, unconstrained) given the sums."""
    count = multiplier.size
    # Their slopes are not needed.
    unused = np.empty((2, 2 * count))
    result = fill_elements(place, free, values, unused[0], unused[1])
    for g in range(sums.shape[0]):
        weight, pulled = 1.0, 0.0
        for k in range(count):
            r = sums[g, k]
            if r != r:
                continue
            c, s = multiplier[k] * values[k], values[count + k]
            if collapsed:
                weight += c * c / (s * s)
                pulled += c * r / (s * s)
                result -= math.log(s) + 0.5 * r * r / (s * s)
            else:
                z = (r - c * hidden[g]) / s
                result -= math.log(s) + 0.5 * z * z
        if collapsed:
            result += 0.5 * pulled * pulled / weight - 0.5 * math.log(weight)
    return result if result == result else -math.inf


@njit(error_model="numpy")
def _on_a_log_scale(free: FreeParts) -> bool:
    """Whether the first loading and both spreads are positive and drawn as logarithms."""
    for j in (0, 2, 3):
        if not _ON_THE_LINE < free.code[j] <= _POSITIVE:
            return False
    return bool(free.code[1] <= _POSITIVE)


@njit(error_model="numpy")
def _along(
    a: float,
    covariance: Floats,
    sums: Floats,
    hidden: Floats,
    place: Floats,
    free: FreeParts,
    multiplier: Floats,
    values: Floats,
) -> float:
    """Log density of the first of two loadings' logarithm at a covariance of the sums.

    ``covariance`` holds the product of the loadings and both variances. ``place`` is moved there.
    """
    loading = math.exp(a)
    signed = (loading, covariance[0] / loading)
    # The slope of the unconstrained numbers in (a, product, variances).
    result = 0.0
    for k in range(2):
        c = multiplier[k] * signed[k]
        left = covariance[1 + k] - c * c
        if not left > 0.0:
            return -math.inf
        place[2 + k] = 0.5 * math.log(left)
        result -= math.log(left)
        if free.code[k] <= _ON_THE_LINE:
            place[k] = signed[k]
            result += a if k == 0 else -a
        else:
            place[k] = math.log(signed[k])
    return result + _density(sums, hidden, place, free, multiplier, True, values)


@njit(error_model="numpy")
def _together(
    rng: np.random.Generator,
    sums: Floats,
    hidden: Floats,
    place: Floats,
    free: FreeParts,
    multiplier: Floats,
    values: Floats,
) -> None:
    """Slice along the curve on which two indicators' sums keep their covariance."""
    covariance = np.empty(3)
    covariance[0] = values[0] * values[1]
    for k in range(2):
        covariance[1 + k] = (multiplier[k] * values[k]) ** 2 + values[2 + k] ** 2
    if not values[0] > 0.0:
        return
    here = math.log(values[0])
    before = place.copy()
    height = _along(here, covariance, sums, hidden, place, free, multiplier, values)
    height += math.log1p(-rng.random())
    low = here - _WIDTH * rng.random()
    high = low + _WIDTH
    steps = int(_GROWTH * rng.random())
    for _ in range(steps):
        if _along(low, covariance, sums, hidden, place, free, multiplier, values) <= height:
            break
        low -= _WIDTH
    for _ in range(_GROWTH - 1 - steps):
        if _along(high, covariance, sums, hidden, place, free, multiplier, values) <= height:
            break
        high += _WIDTH
    for _ in range(_SHRINKS):
        there = low + (high - low) * rng.random()
        if _along(there, covariance, sums, hidden, place, free, multiplier, values) > height:
            return
        if there < here:
            low = there
        else:
            high = there
    place[:] = before


def build_ridge_move(version: int) -> Any:
    """Compile the move.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def move(
        rng: np.random.Generator,
        own: Floats,
        scaled: Bools,
        hidden: Floats,
        place: Floats,
        free: FreeParts,
        multiplier: Floats,
        collapsed: bool,
    ) -> None:
        """Move a hidden cause, its loadings and the spreads beside it, in place.

        ``own`` has dims (value of the hidden cause, indicator), NaN where an indicator has no row:
        its own part in units of its spread where ``scaled``, else in its own. ``place`` holds the
        loadings and then the spreads, unconstrained; ``free`` their priors.
        """
        count = multiplier.size
        values = np.empty(2 * count + 0 * version)
        _density(own, hidden, place, free, multiplier, collapsed, values)
        sums = own.copy()
        for k in range(count):
            for g in range(hidden.size):
                part = own[g, k] * values[count + k] if scaled[k] else own[g, k]
                sums[g, k] = part + multiplier[k] * values[k] * hidden[g]
        for j in range(2 * count):
            here = place[j]
            now = _density(sums, hidden, place, free, multiplier, collapsed, values)
            height = now + math.log1p(-rng.random())
            low = here - _WIDTH * rng.random()
            high = low + _WIDTH
            steps = int(_GROWTH * rng.random())
            for _ in range(steps):
                place[j] = low
                if _density(sums, hidden, place, free, multiplier, collapsed, values) <= height:
                    break
                low -= _WIDTH
            for _ in range(_GROWTH - 1 - steps):
                place[j] = high
                if _density(sums, hidden, place, free, multiplier, collapsed, values) <= height:
                    break
                high += _WIDTH
            found = False
            for _ in range(_SHRINKS):
                there = low + (high - low) * rng.random()
                place[j] = there
                if _density(sums, hidden, place, free, multiplier, collapsed, values) > height:
                    found = True
                    break
                if there < here:
                    low = there
                else:
                    high = there
            if not found:
                place[j] = here
        _density(sums, hidden, place, free, multiplier, collapsed, values)
        if collapsed and count == 2 and _on_a_log_scale(free):
            _together(rng, sums, hidden, place, free, multiplier, values)
            _density(sums, hidden, place, free, multiplier, collapsed, values)
        for g in range(hidden.size):
            weight, pulled = 1.0, 0.0
            for k in range(count):
                if sums[g, k] == sums[g, k]:
                    c, s = multiplier[k] * values[k], values[count + k]
                    weight += c * c / (s * s)
                    pulled += c * sums[g, k] / (s * s)
            if collapsed:
                hidden[g] = pulled / weight + rng.standard_normal() / math.sqrt(weight)
            for k in range(count):
                rest = sums[g, k] - multiplier[k] * values[k] * hidden[g]
                own[g, k] = rest / values[count + k] if scaled[k] else rest

    return move
