"""The linear predictor of every row, and its gradient on the way back, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts.parts import PredictorParts
from dotwin.inference.nuts.special import dot, total, unit_sums

__all__ = ["predict", "return_predictor"]

Floats = NDArray[np.float64]


@njit(fastmath={"contract", "nsz"}, error_model="numpy")
def predict(part: PredictorParts, values: Floats, effects: Floats, eta: Floats) -> None:
    """Fill in the linear predictor of every row."""
    units = part.starts.size - 1
    base = np.zeros(units)
    if part.intercept >= 0:
        base[:] = values[part.intercept]
    for k in range(part.unit_terms.size):
        coefficient = values[part.unit_terms[k]]
        column = part.unit_columns[k]
        for u in range(units):
            base[u] += coefficient * column[u]
    for level in range(part.effects.shape[0]):
        index = part.effects[level]
        for u in range(units):
            base[u] += effects[index[u]]
    for u in range(units):
        for i in range(part.starts[u], part.starts[u + 1]):
            eta[i] = base[u]
    if part.offset.size:
        for i in range(eta.size):
            eta[i] += part.offset[i]
    for k in range(part.row_terms.size):
        coefficient = values[part.row_terms[k]]
        column = part.row_columns[k]
        for i in range(eta.size):
            eta[i] += coefficient * column[i]
    for s in range(part.slope_rows.size):
        column = part.row_columns[part.slope_rows[s]]
        index = part.slope_effects[s]
        for u in range(units):
            coefficient = effects[index[u]]
            for i in range(part.starts[u], part.starts[u + 1]):
                eta[i] += coefficient * column[i]
    if part.shock >= 0:
        for i in range(eta.size):
            eta[i] += effects[part.shock + part.period[i]]
    if part.walk >= 0:
        for i in range(eta.size):
            eta[i] += effects[part.walk + part.period[i]]


@njit(fastmath={"contract", "nsz"}, error_model="numpy")
def return_predictor(
    part: PredictorParts, slope: Floats, by_value: Floats, by_effect: Floats
) -> None:
    """Carry the rows' slopes back to coefficients and effects."""
    units = part.starts.size - 1
    by_unit = np.empty(units)
    unit_sums(slope, part.starts, by_unit)
    if part.intercept >= 0:
        by_value[part.intercept] += total(by_unit)
    for k in range(part.unit_terms.size):
        by_value[part.unit_terms[k]] += dot(by_unit, part.unit_columns[k])
    for level in range(part.effects.shape[0]):
        index = part.effects[level]
        for u in range(units):
            by_effect[index[u]] += by_unit[u]
    for k in range(part.row_terms.size):
        by_value[part.row_terms[k]] += dot(slope, part.row_columns[k])
    for s in range(part.slope_rows.size):
        column = part.row_columns[part.slope_rows[s]]
        index = part.slope_effects[s]
        for u in range(units):
            first, last = part.starts[u], part.starts[u + 1]
            by_effect[index[u]] += dot(slope[first:last], column[first:last])
    if part.shock >= 0:
        for i in range(slope.size):
            by_effect[part.shock + part.period[i]] += slope[i]
    if part.walk >= 0:
        for i in range(slope.size):
            by_effect[part.walk + part.period[i]] += slope[i]
