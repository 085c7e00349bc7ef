"""Polynomials of the effects of units, many draws of many units side by side, compiled.

Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["build_curves"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def build_curves(version: int) -> Any:
    """Compile the values of curves at effects.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does; part of the key of the cache
        on disk, which by itself watches this file only.
    """

    @njit(cache=True, nogil=True, fastmath={"contract", "nsz"}, error_model="numpy")
    def curves(
        coefficients: Floats,
        place: Floats,
        half: Floats,
        unit: Indices,
        effects: Floats,
        result: Floats,
    ) -> None:
        """Add curves to ``result``, dims (node, draw, unit), at effects of these dims.

        A curve is a polynomial, ``coefficients`` of dims (power, draw, curve), in the distance of
        ``effect + place``, dims (draw, curve), from 0 in units of ``half``, dims (curve,). It ends
        at a distance of 1, from where its tangent goes on. ``unit`` is whose effect each curve
        reads.
        """
        powers, draws, count = coefficients.shape
        away, inside = np.empty(count), np.empty(count)
        value, slope = np.empty(count), np.empty(count + 0 * version)
        for k in range(effects.shape[0]):
            for s in range(draws):
                for c in range(count):
                    away[c] = (effects[k, s, unit[c]] + place[s, c]) / half[c]
                for c in range(count):
                    inside[c] = min(max(away[c], -1.0), 1.0)
                    value[c] = coefficients[powers - 1, s, c]
                    slope[c] = 0.0
                for power in range(powers - 2, -1, -1):
                    for c in range(count):
                        slope[c] = slope[c] * inside[c] + value[c]
                        value[c] = value[c] * inside[c] + coefficients[power, s, c]
                for c in range(count):
                    value[c] += slope[c] * (away[c] - inside[c])
                for c in range(count):
                    result[k, s, unit[c]] += value[c]

    return curves
