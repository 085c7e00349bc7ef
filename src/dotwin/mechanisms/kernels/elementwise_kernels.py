"""Compiled exponential and logarithms of whole arrays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from dotwin.mechanisms.kernels.elementary import SMALLEST, exp, log, log1p

__all__ = [
    "build_broken",
    "build_exp",
    "build_keep_period",
    "build_log",
    "build_log1p",
    "build_logit",
    "build_logit_share",
]


def build_broken(version: int) -> Any:
    """Compile the count of numbers that are not whole; NaN and infinities are."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def broken(x: Any, found: Any) -> None:
        assert version >= 0
        count = 0
        for i in range(x.size):
            whole = np.floor(x[i])
            count += 1 if x[i] < whole or x[i] > whole else 0
        found[0] = count

    return broken


def build_exp(version: int) -> Any:
    """Compile the exponential."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_exp(x: Any, out: Any) -> None:
        assert version >= 0
        beyond = 0
        for i in range(x.size):
            out[i] = exp(x[i])
            beyond += 1 if math.fabs(x[i]) > 700.0 else 0
        if beyond > 0:
            for i in range(x.size):
                if math.fabs(x[i]) > 700.0:
                    out[i] = math.exp(x[i])

    return fill_exp


def build_log(version: int) -> Any:
    """Compile the logarithm."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_log(x: Any, out: Any) -> None:
        assert version >= 0
        beyond = 0
        for i in range(x.size):
            out[i] = log(x[i])
            beyond += 0 if x[i] >= SMALLEST and x[i] < math.inf else 1
        if beyond > 0:
            for i in range(x.size):
                if not (x[i] >= SMALLEST and x[i] < math.inf):
                    out[i] = math.log(x[i])

    return fill_log


def build_log1p(version: int) -> Any:
    """Compile the logarithm of one and a number."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_log1p(x: Any, out: Any) -> None:
        assert version >= 0
        beyond = 0
        for i in range(x.size):
            out[i] = log1p(x[i])
            beyond += 0 if x[i] > -1.0 and x[i] < 1e300 else 1
        if beyond > 0:
            for i in range(x.size):
                if not (x[i] > -1.0 and x[i] < 1e300):
                    out[i] = math.log1p(x[i])

    return fill_log1p


def build_logit(version: int) -> Any:
    """Compile log(x / (1 - x)), precise at both ends."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_logit(x: Any, out: Any) -> None:
        assert version >= 0
        beyond = 0
        for i in range(x.size):
            out[i] = log(x[i]) - log1p(-x[i])
            beyond += 0 if x[i] >= SMALLEST and x[i] < 1.0 else 1
        if beyond > 0:
            for i in range(x.size):
                if not (x[i] >= SMALLEST and x[i] < 1.0):
                    out[i] = math.log(x[i]) - math.log1p(-x[i])

    return fill_logit


def build_logit_share(version: int) -> Any:
    """Compile the logit of a share of trials, half an event away from both ends."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_logit_share(count: Any, trials: Any, out: Any) -> None:
        assert version >= 0
        for i in range(count.size):
            y = log((count[i] + 0.5) / (trials[i] - count[i] + 0.5))
            out[i] = y if trials[i] != 0.0 else math.nan

    return fill_logit_share


def build_keep_period(version: int) -> Any:
    """Compile the copy of a period's values to where all periods stand, counting the missing.

    An axis of the values that has length one repeats.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def keep_period(x: Any, period: int, out: Any, missing: Any) -> None:
        assert version >= 0
        count = 0
        for d in range(out.shape[0]):
            row, target = x[d if x.shape[0] > 1 else 0], out[d, period]
            if x.shape[1] > 1:
                for u in range(target.size):
                    target[u] = row[u]
                    count += 0 if row[u] == row[u] else 1
            else:
                for u in range(target.size):
                    target[u] = row[0]
                    count += 0 if row[0] == row[0] else 1
        missing[0] += count

    return keep_period
