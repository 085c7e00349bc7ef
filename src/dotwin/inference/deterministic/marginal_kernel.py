"""The marginal likelihood of many draws of the globals, compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.deterministic.integrand import (
    LANES,
    Lanes,
    evaluate,
    integrand,
    predict,
)
from dotwin.inference.deterministic.lanes import FLAGS, exp, log
from dotwin.inference.deterministic.rows import Centre, Rows
from dotwin.inference.deterministic.terms import INFLATED

__all__ = ["build_marginal"]

Floats = NDArray[np.float64]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


def build_marginal(family: int, kind: int, version: int) -> Any:
    """Compile the marginal likelihood of a family.

    Parameters
    ----------
    family, kind : int
        `FamilyCode`, and the kind of truncation.
    version : int
        A number that changes whenever any module of the kernels does; part of the key under which
        the compiled code is kept on disk.
    """

    @njit(cache=True, nogil=True, fastmath=FLAGS, error_model="numpy")
    def marginal(
        rows: Rows,
        centre: Centre,
        lanes: Lanes,
        nodes: Floats,
        log_weights: Floats,
        most: int,
        out: Floats,
    ) -> None:
        """Fill in the log marginal likelihood of each draw, dims (block, lane).

        Without nodes there is no effect to integrate out. ``most`` is the largest group's rows.
        """
        eta, base = np.empty((most, LANES)), np.empty((most, LANES))
        second = np.empty((most if kind == INFLATED else 1, LANES))
        work = np.zeros((6, LANES))
        middle, spread = np.empty(LANES), np.empty(LANES)
        at_nodes = np.empty((nodes.size, LANES))
        for block in range(lanes.sd.shape[0]):
            beta, sd = lanes.beta[block], lanes.sd[block]
            d, c, total = lanes.d[block], lanes.c[block], out[block]
            table = lanes.table[block]
            for lane in range(LANES):
                total[lane] = 0.0 * version
            for group in range(rows.starts.size - 1):
                if nodes.size == 0:
                    v, move, here = work[0], work[1], work[2]
                    predict(family, kind, rows, centre, group, beta, d, c, eta, base, second, here)
                    evaluate(
                        family, kind, rows, group, eta, base, second, table, v, sd, d, c, move, here
                    )
                    for lane in range(LANES):
                        total[lane] += here[lane]
                    continue
                integrand(
                    family,
                    kind,
                    rows,
                    centre,
                    group,
                    beta,
                    sd,
                    d,
                    c,
                    table,
                    nodes,
                    eta,
                    base,
                    second,
                    work,
                    middle,
                    spread,
                    at_nodes,
                )
                highest, summed = work[3], work[4]
                for lane in range(LANES):
                    highest[lane] = at_nodes[0, lane] + log_weights[0]
                    summed[lane] = 0.0
                for k in range(1, nodes.size):
                    here, weight = at_nodes[k], log_weights[k]
                    for lane in range(LANES):
                        highest[lane] = max(highest[lane], here[lane] + weight)
                for k in range(nodes.size):
                    here, weight = at_nodes[k], log_weights[k]
                    for lane in range(LANES):
                        summed[lane] += exp(here[lane] + weight - highest[lane])
                for lane in range(LANES):
                    total[lane] += highest[lane] + log(summed[lane] * spread[lane] / sd[lane])
            if nodes.size:
                for lane in range(LANES):
                    total[lane] -= (rows.starts.size - 1) * _HALF_LOG_TWO_PI

    return marginal
