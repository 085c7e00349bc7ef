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

from dotwin.inference.deterministic.lanes import inlined
from dotwin.inference.deterministic.rows import Centre, Rows
from dotwin.inference.deterministic.terms import INFLATED, base_of, move_of, value

__all__ = ["LANES", "Lanes", "add_scaled", "evaluate", "integrand", "predict"]

Floats = NDArray[np.float64]

#: Draws that are evaluated side by side.
LANES = 16
#: How far the step towards a group's mode may go, in its sds.
_LONGEST = 2.0


class Lanes(NamedTuple):
    """Draws of the globals in lanes.

    Parameters
    ----------
    beta : array, dims (block, global, lane)
    sd, d, c : array, dims (block, lane)
        Of the effects; the family's parameter; its logarithm or second parameter.
    table : array, dims (block, lane, number)
        Of the tail that a bound keeps; see `dotwin.inference.deterministic.tails`.
    """

    beta: Floats
    sd: Floats
    d: Floats
    c: Floats
    table: Floats


@inlined
def add_scaled(into: Floats, x: float, lanes: Floats) -> None:
    """Add a number times lanes to lanes."""
    for lane in range(LANES):
        into[lane] += x * lanes[lane]


@inlined
def predict(
    family: int,
    kind: int,
    rows: Rows,
    centre: Centre,
    group: int,
    beta: Floats,
    d: Floats,
    c: Floats,
    eta: Floats,
    base: Floats,
    second: Floats,
    shift: Floats,
) -> None:
    """Fill in a group's linear predictors, their exponentials and how far its mode moves."""
    first = rows.starts[group]
    for lane in range(LANES):
        shift[lane] = centre.pulled[group]
    for r in range(rows.starts[group + 1] - first):
        i = first + r
        e, b = eta[r], base[r]
        offset, y, pull = rows.offset[i], rows.y[i], centre.pull[i]
        for lane in range(LANES):
            e[lane] = offset
        for j in range(rows.own_dense):
            add_scaled(e, rows.dense[i, j], beta[j])
        for j in range(rows.own_which):
            add_scaled(e, rows.scale[i, j], beta[rows.which[i, j]])
        if kind == INFLATED:
            zero = second[r]
            for lane in range(LANES):
                zero[lane] = rows.second_offset[i]
            for j in range(rows.own_dense, rows.dense.shape[1]):
                add_scaled(zero, rows.dense[i, j], beta[j])
            for j in range(rows.own_which, rows.which.shape[1]):
                add_scaled(zero, rows.scale[i, j], beta[rows.which[i, j]])
        for lane in range(LANES):
            shift[lane] -= pull * e[lane]
            b[lane] = base_of(family, e[lane], y, d[lane], c[lane])


@inlined
def evaluate(
    family: int,
    kind: int,
    rows: Rows,
    group: int,
    eta: Floats,
    base: Floats,
    second: Floats,
    table: Floats,
    v: Floats,
    sd: Floats,
    d: Floats,
    c: Floats,
    move: Floats,
    into: Floats,
) -> None:
    """Fill in the log of a group's integrand at an effect v, but for constants."""
    first = rows.starts[group]
    for lane in range(LANES):
        z = v[lane] / sd[lane]
        into[lane] = -0.5 * z * z
        move[lane] = move_of(family, v[lane])
    for r in range(rows.starts[group + 1] - first):
        i = first + r
        e, b = eta[r], base[r]
        zero = second[r if kind == INFLATED else 0]
        y, extra, lower = rows.y[i], rows.extra[i], rows.lower[i]
        for lane in range(LANES):
            into[lane] += value(
                family,
                kind,
                e[lane],
                b[lane],
                v[lane],
                move[lane],
                y,
                extra,
                lower,
                d[lane],
                c[lane],
                zero[lane],
                table,
                lane,
            )


@inlined
def integrand(
    family: int,
    kind: int,
    rows: Rows,
    centre: Centre,
    group: int,
    beta: Floats,
    sd: Floats,
    d: Floats,
    c: Floats,
    table: Floats,
    nodes: Floats,
    eta: Floats,
    base: Floats,
    second: Floats,
    work: Floats,
    middle: Floats,
    spread: Floats,
    at_nodes: Floats,
) -> None:
    """Place nodes by a parabola through three points, and fill in the integrand at each."""
    v, move, shift = work[0], work[1], work[2]
    below, here, above = work[3], work[4], work[5]
    predict(family, kind, rows, centre, group, beta, d, c, eta, base, second, shift)
    known = max(centre.information[group], 0.0)
    mode = centre.mode[group]
    for lane in range(LANES):
        precision = known + 1.0 / (sd[lane] * sd[lane])
        middle[lane] = (mode + shift[lane]) * (known + centre.precision) / precision
        spread[lane] = 1.0 / math.sqrt(precision)
        v[lane] = middle[lane]
    evaluate(family, kind, rows, group, eta, base, second, table, v, sd, d, c, move, here)
    for lane in range(LANES):
        v[lane] = middle[lane] - spread[lane]
    evaluate(family, kind, rows, group, eta, base, second, table, v, sd, d, c, move, below)
    for lane in range(LANES):
        v[lane] = middle[lane] + spread[lane]
    evaluate(family, kind, rows, group, eta, base, second, table, v, sd, d, c, move, above)
    for lane in range(LANES):
        # The curvature would be 1 were the guess exact; what is far from that is held back.
        bend = min(max(2.0 * here[lane] - below[lane] - above[lane], 0.1), 10.0)
        step = 0.5 * (above[lane] - below[lane]) / bend
        middle[lane] += spread[lane] * min(max(step, -_LONGEST), _LONGEST)
        spread[lane] /= math.sqrt(bend)
    for k in range(nodes.size):
        for lane in range(LANES):
            v[lane] = middle[lane] + spread[lane] * nodes[k]
        evaluate(
            family, kind, rows, group, eta, base, second, table, v, sd, d, c, move, at_nodes[k]
        )
