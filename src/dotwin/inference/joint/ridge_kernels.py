"""Moves of a hidden cause along which no linear predictor or no residual changes, compiled.

What a hidden cause L adds to an indicator, and what the indicator has of its own in the same place,
are seen only as their sum r = c L + s e, with loading c and spread s. Along the ridge on which all
sums stay the same a sampler that moves everything together is slow. Here the sums are held, and

1. loadings and spreads are drawn from their density given the sums, L integrated out: the sums of
   one place are normal with covariance c c' + diag(s^2);
2. L is drawn from its normal given sums, loadings and spreads.

Both leave the joint posterior as it is: a collapsed Gibbs step (Liu 1994, doi
10.1080/01621459.1994.10476829) in coordinates of sums, as in the interweaving of Yu and Meng (2011,
doi 10.1198/jcgs.2011.203main).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts.parts import FreeParts
from dotwin.inference.nuts.prior_kernels import fill_elements

__all__ = ["build_ridge_move"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Widths by which a slice may grow on either side, and how often it may shrink.
_GROWTH, _SHRINKS = 10, 100
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
