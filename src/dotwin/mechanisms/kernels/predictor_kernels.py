"""Compiled sums of a linear predictor: the effects of groups, and causes times coefficients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

__all__ = ["build_add_column", "build_add_effects", "build_hold", "build_within"]


def build_add_effects(version: int) -> Any:
    """Compile the sum of a predictor (draw, unit) and the effects of the units' groups."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def add_effects(effects: Any, codes: Any, out: Any) -> None:
        assert version >= 0
        for d in range(out.shape[0]):
            for u in range(out.shape[1]):
                out[d, u] += effects[d, codes[u]]

    return add_effects


def build_add_column(version: int) -> Any:
    """Compile the sum of a predictor (draw, unit) and a column times its coefficient.

    The predictor is what is in ``out``; or, where ``start`` is not empty, ``start`` plus the
    draw's shift, and is left as it is. The column is a line in x, less the unit's mean where there
    is one. The coefficient of a unit is that of all plus that of its group. An axis of x that has
    length one repeats.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def add_column(
        start: Any,
        shift: Any,
        coefficient: Any,
        by_group: Any,
        codes: Any,
        x: Any,
        centre: float,
        sd: float,
        factor: float,
        mean: Any,
        out: Any,
    ) -> None:
        assert version >= 0
        varying, single, within = by_group.shape[1] > 0, x.shape[1] == 1, mean.size > 0
        begins = start.size > 0
        before = np.empty(out.shape[1])
        for d in range(out.shape[0]):
            slope = coefficient[d]
            row = d if x.shape[0] > 1 else 0
            if begins:
                more = shift[d]
                for u in range(out.shape[1]):
                    before[u] = start[d, u] + more
            else:
                for u in range(out.shape[1]):
                    before[u] = out[d, u]
            if varying:
                for u in range(out.shape[1]):
                    column = (x[row, 0 if single else u] - centre) / sd
                    column -= mean[u] if within else 0.0
                    out[d, u] = before[u] + (slope + by_group[d, codes[u]]) * (factor * column)
            elif single:
                column = (x[row, 0] - centre) / sd
                for u in range(out.shape[1]):
                    less = mean[u] if within else 0.0
                    out[d, u] = before[u] + slope * (factor * (column - less))
            elif within:
                for u in range(out.shape[1]):
                    column = (x[row, u] - centre) / sd - mean[u]
                    out[d, u] = before[u] + slope * (factor * column)
            else:
                for u in range(out.shape[1]):
                    out[d, u] = before[u] + slope * (factor * ((x[row, u] - centre) / sd))

    return add_column


def build_hold(version: int) -> Any:
    """Compile the bounds of a predictor: above the upper one it is held there, or is missing."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def hold(eta: Any, low: float, high: float, held: bool, out: Any) -> None:
        assert version >= 0
        above = high if held else math.nan
        for d in range(out.shape[0]):
            for u in range(out.shape[1]):
                x = eta[d, u]
                x = low if x < low else x
                out[d, u] = above if x > high else x

    return hold


def build_within(version: int) -> Any:
    """Compile the count of values that are not between two bounds; NaN is not."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def within(eta: Any, low: float, high: float, outside: Any) -> None:
        assert version >= 0
        count = 0
        for d in range(eta.shape[0]):
            for u in range(eta.shape[1]):
                count += 0 if eta[d, u] >= low and eta[d, u] <= high else 1
        outside[0] = count

    return within
