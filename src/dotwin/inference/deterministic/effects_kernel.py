"""Draws of the innermost groups' effects given the globals, compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.deterministic.integrand import LANES, Lanes, Work, add_scaled, integrand
from dotwin.inference.deterministic.lanes import FLAGS, exp
from dotwin.inference.deterministic.rows import Centre, Rows

__all__ = ["build_effects"]

Floats = NDArray[np.float64]


def build_effects(version: int) -> Any:
    """Compile draws of the effects given the globals.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does.
    """

    @njit(cache=True, nogil=True, fastmath=FLAGS, error_model="numpy")
    def effects(
        bases: int,
        values: int,
        rows: Rows,
        centre: Centre,
        lanes: Lanes,
        curve: Floats,
        grid: Floats,
        uniform: Floats,
        work: Work,
        out: Floats,
    ) -> None:
        """Fill in an effect per draw and group, dims (block, lane, group).

        A group's integrand relative to the normal that places its nodes is a polynomial through
        the nodes, odd in number; ``curve``, dims (point, node), evaluates it on a grid, on which
        the distribution is inverted at ``uniform``, dims (block, group, lane).
        """
        nodes, at_nodes, highest = work.nodes, work.at_nodes, work.spare[0]
        middle, spread = work.place[0], work.place[1]
        points = grid.size
        density, below = np.empty((points, LANES)), np.zeros((points, LANES))
        step = grid[1] - grid[0] + 0.0 * version
        for block in range(lanes.shape.shape[0]):
            beta, shape, table = lanes.beta[block], lanes.shape[block], lanes.table[block]
            for group in range(rows.starts.size - 1):
                integrand(bases, values, rows, centre, group, beta, shape, table, work)
                for k in range(nodes.size):
                    here = at_nodes[k]
                    more = 0.5 * nodes[k] * nodes[k]
                    for lane in range(LANES):
                        here[lane] += more
                for lane in range(LANES):
                    highest[lane] = -math.inf
                for m in range(points):
                    here = density[m]
                    fall = -0.5 * grid[m] * grid[m]
                    for lane in range(LANES):
                        here[lane] = fall
                    # Two nodes at once halve how often a sum waits for itself.
                    add_scaled(here, curve[m, 0], at_nodes[0])
                    for k in range(1, nodes.size, 2):
                        one, other = curve[m, k], curve[m, k + 1]
                        for lane in range(LANES):
                            here[lane] += one * at_nodes[k, lane] + other * at_nodes[k + 1, lane]
                    for lane in range(LANES):
                        highest[lane] = max(highest[lane], here[lane])
                for m in range(points):
                    here = density[m]
                    for lane in range(LANES):
                        here[lane] = exp(here[lane] - highest[lane])
                for m in range(1, points):
                    for lane in range(LANES):
                        part = 0.5 * (density[m - 1, lane] + density[m, lane])
                        below[m, lane] = below[m - 1, lane] + part
                for lane in range(LANES):
                    wanted = uniform[block, group, lane] * below[points - 1, lane]
                    m, most = 1, points - 1
                    while m < most:
                        half = (m + most) // 2
                        if below[half, lane] < wanted:
                            m = half + 1
                        else:
                            most = half
                    # Within a step the density is a line: solve its quadratic for the share.
                    low, high = density[m - 1, lane], density[m, lane]
                    need = max(wanted - below[m - 1, lane], 0.0)
                    root = math.sqrt(max(low * low + 2.0 * (high - low) * need, 0.0))
                    share = 2.0 * need / max(low + root, 1e-300)
                    z = grid[m - 1] + step * min(share, 1.0)
                    out[block, lane, group] = middle[lane] + spread[lane] * z

    return effects
