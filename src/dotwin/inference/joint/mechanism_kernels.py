"""What draws of unknown values need of a mechanism at its current parameters, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.joint.cell_kernels import ChainState
from dotwin.inference.nuts.effect_kernels import fill_effects
from dotwin.inference.nuts.parts import Natural, Parts, ResponseParts
from dotwin.inference.nuts.predictor_kernels import predict
from dotwin.inference.nuts.prior_kernels import fill_cutpoints, fill_elements

__all__ = ["build_refresh"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_INVERSE_SQUARE, _TWO_MORE = int(Natural.INVERSE_SQUARE), int(Natural.TWO_MORE)


@njit(error_model="numpy")
def _family_parameter(part: ResponseParts, which: int, values: Floats) -> float:
    if part.dispersion[which] < 0:
        return 1.0
    v: float = values[part.dispersion[which]]
    if part.natural[which] == _INVERSE_SQUARE:
        return 1.0 / (v * v)
    return 2.0 + v if part.natural[which] == _TWO_MORE else v


def build_refresh(version: int) -> Any:
    """Compile the step from a mechanism's parameters to the state that unknown values are drawn in.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def refresh(
        point: Floats,
        parts: Parts,
        mechanism: int,
        row: int,
        zeros_row: int,
        inflated: bool,
        reads: Integers,
        element: Integers,
        slope_effects: Integers,
        state: ChainState,
    ) -> float:
        """Fill in linear predictors, coefficients and family parameters of a mechanism."""
        free = parts.free
        elements = free.code.size
        values, unused = np.empty(elements), np.zeros(elements)
        fill_elements(point, free, values, np.ones(elements), np.empty(elements))
        if free.cutpoints:
            fill_cutpoints(point, free, values, unused)
        raw = point[elements:]
        effects = np.empty(raw.size + parts.effects.walk_size.size)
        fill_effects(raw, parts.effects, values, effects, np.empty(parts.effects.weight.size))
        rows = parts.main.starts[-1]
        predict(parts.main, values, effects, state.eta[row : row + rows])
        zeros_rows = parts.second.starts[-1]
        if zeros_rows:
            # Zeros mixed into counts belong to the same rows; those behind a hurdle have their own.
            into = state.zeros_eta if inflated else state.eta
            predict(parts.second, values, effects, into[zeros_row : zeros_row + zeros_rows])
        for k in range(reads.size):
            coefficient = values[element[k]]
            for level in range(slope_effects.shape[0]):
                if slope_effects[level, k] >= 0:
                    coefficient += effects[slope_effects[level, k]]
            state.coefficient[reads[k]] = coefficient
        for which in range(2):
            state.dispersion[mechanism, which] = _family_parameter(parts.response, which, values)
        for j in range(free.cutpoints):
            state.cutpoints[mechanism, j] = values[free.first_cutpoint + j]
        return 0.0 * version

    return refresh
