"""The integrand of a group's effect for many draws side by side, and where its nodes lie, compiled.

The effect v of each group is integrated out by adaptive Gauss-Hermite quadrature: nodes are placed
by the mode and curvature of the group's integrand (Liu and Pierce 1994,
doi 10.1093/biomet/81.3.624). Many draws of the globals are evaluated side by side, one per lane.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.addresses import call
from dotwin.inference.deterministic.lanes import inlined
from dotwin.inference.deterministic.row_kernels import LANES
from dotwin.inference.deterministic.rows import Centre, Rows

__all__ = ["LANES", "Lanes", "Work", "add_scaled", "integrand", "predict", "workspace"]

Floats = NDArray[np.float64]

#: How far the step towards a group's mode may go, in its sds.
_LONGEST = 2.0


class Lanes(NamedTuple):
    """Draws of the globals in lanes.

    Parameters
    ----------
    beta : array, dims (block, global, lane)
    shape : array, dims (block, what, lane)
        The sd of the effects; the family's parameter; its logarithm or second parameter.
    table : array, dims (block, lane, number)
        Of the tail that a bound keeps; see `dotwin.inference.deterministic.tails`.
    """

    beta: Floats
    shape: Floats
    table: Floats


class Work(NamedTuple):
    """Where a kernel works on one group.

    Parameters
    ----------
    predictors : array, dims (what, row, lane)
        Each row's eta and its base and, where there is one, the predictor of a second source of
        zeros.
    place : array, dims (what, lane)
        Where a node at 0 lies, how far one at 1 is from it, and room for a node's effect and move.
    spare : array, dims (what, lane)
        Room for two rows of numbers.
    three, around : array, dims (node,) and (node, lane)
        Nodes that find a group's mode, and the integrand there.
    nodes, at_nodes : array, dims (node,) and (node, lane)
        Those of the quadrature; one at 0 where there is no effect.
    """

    predictors: Floats
    place: Floats
    spare: Floats
    three: Floats
    around: Floats
    nodes: Floats
    at_nodes: Floats


def workspace(rows: Rows, most: int, nodes: Floats) -> Work:
    """Make room for groups of up to ``most`` rows."""
    placed = nodes if nodes.size else np.zeros(1)
    return Work(
        predictors=np.zeros((3 if rows.second_offset.size else 2, most, LANES)),
        place=np.zeros((4, LANES)),
        spare=np.zeros((2, LANES)),
        three=np.array([0.0, -1.0, 1.0]),
        around=np.zeros((3, LANES)),
        nodes=placed,
        at_nodes=np.zeros((placed.size, LANES)),
    )


@inlined
def add_scaled(into: Floats, x: float, lanes: Floats) -> None:
    """Add a number times lanes to lanes."""
    for lane in range(LANES):
        into[lane] += x * lanes[lane]


@inlined
def predict(
    bases: int, rows: Rows, centre: Centre, group: int, beta: Floats, shape: Floats, work: Work
) -> None:
    """Fill in a group's predictors, and how far its mode moves from where they are at the centre.

    That is left in the work's first spare row.
    """
    first, last = rows.starts[group], rows.starts[group + 1]
    eta, shift = work.predictors[0], work.spare[0]
    for lane in range(LANES):
        shift[lane] = centre.pulled[group]
    for r in range(last - first):
        i = first + r
        e = eta[r]
        offset, pull = rows.offset[i], centre.pull[i]
        for lane in range(LANES):
            e[lane] = offset
        for j in range(rows.own_dense):
            add_scaled(e, rows.dense[i, j], beta[j])
        for j in range(rows.own_which):
            add_scaled(e, rows.scale[i, j], beta[rows.which[i, j]])
        for lane in range(LANES):
            shift[lane] -= pull * e[lane]
        if rows.second_offset.size:
            zero = work.predictors[2, r]
            for lane in range(LANES):
                zero[lane] = rows.second_offset[i]
            for j in range(rows.own_dense, rows.dense.shape[1]):
                add_scaled(zero, rows.dense[i, j], beta[j])
            for j in range(rows.own_which, rows.which.shape[1]):
                add_scaled(zero, rows.scale[i, j], beta[rows.which[i, j]])
    call(bases, last - first, work.predictors, shape)


@inlined
def integrand(
    bases: int,
    values: int,
    rows: Rows,
    centre: Centre,
    group: int,
    beta: Floats,
    shape: Floats,
    table: Floats,
    work: Work,
) -> None:
    """Place nodes by a parabola through three points, and fill in the integrand at each."""
    first, last = rows.starts[group], rows.starts[group + 1]
    predict(bases, rows, centre, group, beta, shape, work)
    sd, shift, middle, spread = shape[0], work.spare[0], work.place[0], work.place[1]
    known = max(centre.information[group], 0.0)
    mode = centre.mode[group]
    for lane in range(LANES):
        precision = known + 1.0 / (sd[lane] * sd[lane])
        middle[lane] = (mode + shift[lane]) * (known + centre.precision) / precision
        spread[lane] = 1.0 / math.sqrt(precision)
    call(
        values, first, last, rows.y, rows.extra, rows.lower, work.predictors, shape,
        table, work.place, work.three, work.around,
    )  # fmt: skip
    here, below, above = work.around[0], work.around[1], work.around[2]
    for lane in range(LANES):
        # The curvature would be 1 were the guess exact; what is far from that is held back.
        bend = min(max(2.0 * here[lane] - below[lane] - above[lane], 0.1), 10.0)
        step = 0.5 * (above[lane] - below[lane]) / bend
        middle[lane] += spread[lane] * min(max(step, -_LONGEST), _LONGEST)
        spread[lane] /= math.sqrt(bend)
    call(
        values, first, last, rows.y, rows.extra, rows.lower, work.predictors, shape,
        table, work.place, work.nodes, work.at_nodes,
    )  # fmt: skip
