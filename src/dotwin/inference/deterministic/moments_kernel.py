"""Sums of squares and products of a normal mechanism's columns and outcome, compiled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.deterministic.information_kernel import add_pair
from dotwin.inference.deterministic.rows import Rows

__all__ = ["build_moments"]

Floats = NDArray[np.float64]


def build_moments(version: int) -> Any:
    """Compile the sums.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def moments(
        rows: Rows,
        grouped: bool,
        sizes: NDArray[np.int64],
        within: Floats,
        within_linear: Floats,
        between: Floats,
        between_linear: Floats,
        squares: Floats,
    ) -> None:
        """Add up what lies within groups, and the squares of groups' sums by the groups' size.

        ``sizes`` is each group's position among the distinct sizes; ``within``, dims (number,),
        and ``between``, dims (size, number), are stored as an arrow; the linear ones are products
        with the outcome, dims (global,) and (size, global); ``squares``, dims (size + 1,), are the
        outcome's own, those within groups last. Without groups all lies within one.
        """
        dense = rows.dense.shape[1]
        width = dense + rows.which.shape[1]
        largest, most = 0, 0
        for group in range(rows.starts.size - 1):
            largest = max(largest, rows.of_group[group + 1] - rows.of_group[group])
            most = max(most, rows.starts[group + 1] - rows.starts[group])
        x, y = np.zeros((most, largest)), np.zeros(most)
        total = np.zeros(largest)
        for group in range(rows.starts.size - 1):
            first, last = rows.starts[group], rows.starts[group + 1]
            members = rows.members[rows.of_group[group] : rows.of_group[group + 1]]
            size = members.size
            x[:] = 0.0
            total[:] = 0.0
            summed = 0.0
            for r in range(last - first):
                i = first + r
                for j in range(dense):
                    x[r, j] = rows.dense[i, j]
                for j in range(width - dense):
                    x[r, rows.local[i, j]] += rows.scale[i, j]
                y[r] = rows.y[i] - rows.offset[i]
                summed += y[r]
                for a in range(size):
                    total[a] += x[r, a]
            mean_y = 0.0
            if grouped:
                # Centred first, nothing cancels.
                mean_y = summed / (last - first)
                which = sizes[group]
                for a in range(size):
                    between_linear[which, members[a]] += total[a] * summed
                    for b in range(a + 1):
                        add_pair(rows, members[a], members[b], total[a] * total[b], between[which])
                squares[which] += summed * summed
            for r in range(last - first):
                y[r] -= mean_y
                squares[-1] += y[r] * y[r]
                for a in range(size):
                    if grouped:
                        x[r, a] -= total[a] / (last - first)
                    within_linear[members[a]] += x[r, a] * y[r]
            for a in range(size):
                for b in range(a + 1):
                    product = 0.0
                    for r in range(last - first):
                        product += x[r, a] * x[r, b]
                    if product != 0.0:
                        add_pair(rows, members[a], members[b], product, within)
        squares[-1] += 0.0 * version

    return moments
