"""The marginal likelihood of many draws of the globals, compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.deterministic.addresses import call
from dotwin.inference.deterministic.integrand import LANES, Lanes, Work, integrand, predict
from dotwin.inference.deterministic.lanes import FLAGS, exp, log
from dotwin.inference.deterministic.rows import Centre, Rows

__all__ = ["build_marginal"]

Floats = NDArray[np.float64]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def build_marginal(version: int) -> Any:
    """Compile the marginal likelihood.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does; part of the key under which
        the compiled code is kept on disk.
    """

    @njit(cache=True, nogil=True, fastmath=FLAGS, error_model="numpy")
    def marginal(
        bases: int,
        values: int,
        rows: Rows,
        centre: Centre,
        lanes: Lanes,
        log_weights: Floats,
        work: Work,
        out: Floats,
    ) -> None:
        """Fill in the log marginal likelihood of each draw, dims (block, lane).

        ``bases`` and ``values`` are those of `dotwin.inference.deterministic.row_kernels`. Without
        weights there is no effect to integrate out.
        """
        grouped = log_weights.size > 0
        at_nodes, highest, summed = work.at_nodes, work.spare[0], work.spare[1]
        spread = work.place[1]
        for block in range(lanes.shape.shape[0]):
            beta, shape, table = lanes.beta[block], lanes.shape[block], lanes.table[block]
            sd, total = shape[0], out[block]
            for lane in range(LANES):
                total[lane] = 0.0 * version
            for group in range(rows.starts.size - 1):
                if not grouped:
                    first, last = rows.starts[group], rows.starts[group + 1]
                    predict(bases, rows, centre, group, beta, shape, work)
                    call(
                        values, first, last, rows.y, rows.extra, rows.lower, work.predictors, shape,
                        table, work.place, work.nodes, at_nodes,
                    )  # fmt: skip
                    for lane in range(LANES):
                        total[lane] += at_nodes[0, lane]
                    continue
                integrand(bases, values, rows, centre, group, beta, shape, table, work)
                for lane in range(LANES):
                    highest[lane] = at_nodes[0, lane] + log_weights[0]
                    summed[lane] = 0.0
                for k in range(1, log_weights.size):
                    here, weight = at_nodes[k], log_weights[k]
                    for lane in range(LANES):
                        highest[lane] = max(highest[lane], here[lane] + weight)
                for k in range(log_weights.size):
                    here, weight = at_nodes[k], log_weights[k]
                    for lane in range(LANES):
                        summed[lane] += exp(here[lane] + weight - highest[lane])
                for lane in range(LANES):
                    total[lane] += highest[lane] + log(summed[lane] * spread[lane] / sd[lane])
            if grouped:
                for lane in range(LANES):
                    total[lane] -= (rows.starts.size - 1) * _HALF_LOG_TWO_PI

    return marginal
