"""The marginal likelihood of globals, its information, and effects given globals, compiled.

The effect v of each group is integrated out by adaptive Gauss-Hermite quadrature: nodes are placed
by the mode and curvature of the group's integrand (Liu and Pierce 1994,
doi 10.1093/biomet/81.3.624). Many draws of the globals are evaluated side by side, one per lane.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.deterministic.lanes import FLAGS, exp, inlined, log
from dotwin.inference.deterministic.rows import Centre, Rows
from dotwin.inference.deterministic.terms import base_of, curved, move_of, value

__all__ = ["LANES", "NODE_LANES", "Lanes", "build_effects", "build_information", "build_marginal"]

Floats = NDArray[np.float64]

#: Draws that are evaluated side by side.
LANES = 16
#: Nodes that are evaluated side by side where there is one draw.
NODE_LANES = 8
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
#: Steps of Newton's method towards a group's mode, and how far each may go.
_STEPS, _LONGEST = 50, 2.0
_CLOSE = 1e-9


class Lanes(NamedTuple):
    """Draws of the globals in lanes.

    Parameters
    ----------
    beta : array, dims (block, global, lane)
    sd, d, c : array, dims (block, lane)
        Of the effects; the family's parameter; its logarithm or second parameter.
    """

    beta: Floats
    sd: Floats
    d: Floats
    c: Floats


@inlined
def _add(into: Floats, x: float, lanes: Floats) -> None:
    for lane in range(LANES):
        into[lane] += x * lanes[lane]


@inlined
def _predict(
    family: int,
    rows: Rows,
    centre: Centre,
    group: int,
    beta: Floats,
    d: Floats,
    c: Floats,
    eta: Floats,
    base: Floats,
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
        for j in range(rows.dense.shape[1]):
            _add(e, rows.dense[i, j], beta[j])
        for j in range(rows.which.shape[1]):
            _add(e, rows.scale[i, j], beta[rows.which[i, j]])
        for lane in range(LANES):
            shift[lane] -= pull * e[lane]
            b[lane] = base_of(family, e[lane], y, d[lane], c[lane])


@inlined
def _at(
    family: int,
    kind: int,
    rows: Rows,
    group: int,
    eta: Floats,
    base: Floats,
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
            )


@inlined
def _integrand(
    family: int,
    kind: int,
    rows: Rows,
    centre: Centre,
    group: int,
    beta: Floats,
    sd: Floats,
    d: Floats,
    c: Floats,
    nodes: Floats,
    eta: Floats,
    base: Floats,
    work: Floats,
    middle: Floats,
    spread: Floats,
    at_nodes: Floats,
) -> None:
    """Place nodes by a parabola through three points, and fill in the integrand at each."""
    v, move, shift = work[0], work[1], work[2]
    below, here, above = work[3], work[4], work[5]
    _predict(family, rows, centre, group, beta, d, c, eta, base, shift)
    known = max(centre.information[group], 0.0)
    mode = centre.mode[group]
    for lane in range(LANES):
        precision = known + 1.0 / (sd[lane] * sd[lane])
        middle[lane] = (mode + shift[lane]) * (known + centre.precision) / precision
        spread[lane] = 1.0 / math.sqrt(precision)
        v[lane] = middle[lane]
    _at(family, kind, rows, group, eta, base, v, sd, d, c, move, here)
    for lane in range(LANES):
        v[lane] = middle[lane] - spread[lane]
    _at(family, kind, rows, group, eta, base, v, sd, d, c, move, below)
    for lane in range(LANES):
        v[lane] = middle[lane] + spread[lane]
    _at(family, kind, rows, group, eta, base, v, sd, d, c, move, above)
    for lane in range(LANES):
        # The curvature would be 1 were the guess exact; what is far from that is held back.
        bend = min(max(2.0 * here[lane] - below[lane] - above[lane], 0.1), 10.0)
        step = 0.5 * (above[lane] - below[lane]) / bend
        middle[lane] += spread[lane] * min(max(step, -_LONGEST), _LONGEST)
        spread[lane] /= math.sqrt(bend)
    for k in range(nodes.size):
        for lane in range(LANES):
            v[lane] = middle[lane] + spread[lane] * nodes[k]
        _at(family, kind, rows, group, eta, base, v, sd, d, c, move, at_nodes[k])


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
        work = np.zeros((6, LANES))
        middle, spread = np.empty(LANES), np.empty(LANES)
        at_nodes = np.empty((nodes.size, LANES))
        for block in range(lanes.sd.shape[0]):
            beta, sd = lanes.beta[block], lanes.sd[block]
            d, c, total = lanes.d[block], lanes.c[block], out[block]
            for lane in range(LANES):
                total[lane] = 0.0 * version
            for group in range(rows.starts.size - 1):
                if nodes.size == 0:
                    v, move, here = work[0], work[1], work[2]
                    _predict(family, rows, centre, group, beta, d, c, eta, base, here)
                    _at(family, kind, rows, group, eta, base, v, sd, d, c, move, here)
                    for lane in range(LANES):
                        total[lane] += here[lane]
                    continue
                _integrand(
                    family,
                    kind,
                    rows,
                    centre,
                    group,
                    beta,
                    sd,
                    d,
                    c,
                    nodes,
                    eta,
                    base,
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


def build_information(family: int, kind: int, version: int) -> Any:
    """Compile the marginal likelihood at one point, with its gradient and information.

    The score is the posterior mean of the complete data's (Fisher's identity); the information is
    the mean of the complete data's less the variance of its score (Louis 1982,
    doi 10.1111/j.2517-6161.1982.tb01203.x).
    """

    @njit(cache=True, nogil=True, fastmath=FLAGS, error_model="numpy")
    def information(
        rows: Rows,
        beta: Floats,
        sd: float,
        d: float,
        c: float,
        nodes: Floats,
        log_weights: Floats,
        most: int,
        modes: Floats,
        known: Floats,
        row_bend: Floats,
        gradient: Floats,
        matrix: Floats,
    ) -> float:
        """Return the log marginal likelihood; fill in the gradient and information matrix.

        ``modes`` holds where to start looking for each group's mode and takes where it is,
        ``known`` the information of its rows there, ``row_bend`` that of each row. Nodes are
        padded to whole lanes with weights of 0; without an effect there is a lane of one node
        at 0.
        """
        dense = rows.dense.shape[1]
        width = dense + rows.which.shape[1]
        grouped = nodes.size > 0
        size = nodes.size if grouped else NODE_LANES
        largest = 0
        for group in range(rows.starts.size - 1):
            largest = max(largest, rows.of_group[group + 1] - rows.of_group[group])
        eta, base = np.empty(most), np.empty(most)
        slopes, bends = np.zeros((most, size)), np.zeros((most, size))
        at_nodes, weight, v, move = (
            np.zeros(size),
            np.zeros(size),
            np.zeros(size),
            np.zeros(size),
        )
        x, place = np.empty(width), np.empty(width, np.int64)
        score = np.zeros((largest, size))
        block = np.zeros((largest, largest))
        gradient[:] = 0.0
        matrix[:] = 0.0
        for j in range(dense):
            place[j] = j
        total = 0.0 * version
        precision = 1.0 / (sd * sd)
        for group in range(rows.starts.size - 1):
            first, last = rows.starts[group], rows.starts[group + 1]
            members = rows.members[rows.of_group[group] : rows.of_group[group + 1]]
            for r in range(last - first):
                i = first + r
                e = rows.offset[i]
                for j in range(dense):
                    e += rows.dense[i, j] * beta[j]
                for j in range(rows.which.shape[1]):
                    e += rows.scale[i, j] * beta[rows.which[i, j]]
                eta[r] = e
                base[r] = base_of(family, e, rows.y[i], d, c)
            mode, held = 0.0, 0.0
            if grouped:
                mode = modes[group]
                for _ in range(_STEPS):
                    pull, held = -mode * precision, 0.0
                    moved = move_of(family, mode)
                    for r in range(last - first):
                        i = first + r
                        slope, bend = curved(
                            family,
                            kind,
                            eta[r],
                            base[r],
                            mode,
                            moved,
                            rows.y[i],
                            rows.extra[i],
                            rows.lower[i],
                            d,
                            c,
                        )
                        pull += slope
                        held += bend
                        row_bend[i] = bend
                    # Where the integrand bends the wrong way its prior's curvature leads on.
                    whole = held + precision
                    step = pull / (whole if whole > 0.1 * precision else precision)
                    step = min(max(step, -_LONGEST), _LONGEST)
                    mode += step
                    if abs(step) * math.sqrt(precision) < _CLOSE:
                        break
                modes[group] = mode
                known[group] = held
                spread = 1.0 / math.sqrt(max(held + precision, 0.1 * precision))
                for k in range(size):
                    v[k] = mode + spread * nodes[k]
                    z = v[k] / sd
                    at_nodes[k] = log_weights[k] - 0.5 * z * z
            else:
                for k in range(size):
                    at_nodes[k] = 0.0 if k == 0 else -math.inf
            for k in range(size):
                move[k] = move_of(family, v[k])
            for r in range(last - first):
                i = first + r
                s, b = slopes[r], bends[r]
                e, held_base = eta[r], base[r]
                y, extra, lower = rows.y[i], rows.extra[i], rows.lower[i]
                for k in range(size):
                    at_nodes[k] += value(
                        family, kind, e, held_base, v[k], move[k], y, extra, lower, d, c
                    )
                    s[k], b[k] = curved(
                        family, kind, e, held_base, v[k], move[k], y, extra, lower, d, c
                    )
            highest = at_nodes[0]
            for k in range(1, size):
                highest = max(highest, at_nodes[k])
            summed = 0.0
            for k in range(size):
                weight[k] = math.exp(at_nodes[k] - highest)
                summed += weight[k]
            for k in range(size):
                weight[k] /= summed
            total += highest + math.log(summed)
            if grouped:
                total += math.log(spread / sd) - _HALF_LOG_TWO_PI
            score[:] = 0.0
            block[:] = 0.0
            for r in range(last - first):
                i = first + r
                for j in range(dense):
                    x[j] = rows.dense[i, j]
                for j in range(rows.which.shape[1]):
                    x[dense + j] = rows.scale[i, j]
                    place[dense + j] = rows.local[i, j]
                s, b = slopes[r], bends[r]
                slope, bend = 0.0, 0.0
                for k in range(size):
                    slope += weight[k] * s[k]
                    bend += weight[k] * b[k]
                if not grouped:
                    row_bend[i] = bend
                for a in range(width):
                    gradient[members[place[a]]] += slope * x[a]
                    held_bend = bend * x[a]
                    for other in range(a + 1):
                        high, low = place[a], place[other]
                        if high < low:
                            high, low = low, high
                        block[high, low] += held_bend * x[other]
                    if grouped:
                        column = score[place[a]]
                        for k in range(size):
                            column[k] += x[a] * (s[k] - slope)
            for a in range(members.size):
                for other in range(a + 1):
                    found = block[a, other]
                    if grouped:
                        left, right = score[a], score[other]
                        for k in range(size):
                            found -= weight[k] * left[k] * right[k]
                    matrix[members[a], members[other]] += found
                    if other < a:
                        matrix[members[other], members[a]] += found
        return total

    return information


def build_effects(family: int, kind: int, version: int) -> Any:
    """Compile draws of the effects given the globals."""

    @njit(cache=True, nogil=True, fastmath=FLAGS, error_model="numpy")
    def effects(
        rows: Rows,
        centre: Centre,
        lanes: Lanes,
        nodes: Floats,
        curve: Floats,
        grid: Floats,
        uniform: Floats,
        most: int,
        out: Floats,
    ) -> None:
        """Fill in an effect per draw and group, dims (block, lane, group).

        A group's integrand relative to the normal that places its nodes is a polynomial through
        the nodes; ``curve``, dims (point, node), evaluates it on a grid, on which the distribution
        is inverted at ``uniform``, dims (block, group, lane).
        """
        eta, base = np.empty((most, LANES)), np.empty((most, LANES))
        work = np.zeros((6, LANES))
        middle, spread = np.empty(LANES), np.empty(LANES)
        at_nodes = np.empty((nodes.size, LANES))
        points = grid.size
        density = np.empty((points, LANES))
        step = grid[1] - grid[0] + 0.0 * version
        for block in range(lanes.sd.shape[0]):
            beta, sd = lanes.beta[block], lanes.sd[block]
            d, c = lanes.d[block], lanes.c[block]
            for group in range(rows.starts.size - 1):
                _integrand(
                    family,
                    kind,
                    rows,
                    centre,
                    group,
                    beta,
                    sd,
                    d,
                    c,
                    nodes,
                    eta,
                    base,
                    work,
                    middle,
                    spread,
                    at_nodes,
                )
                highest = work[3]
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
                    for k in range(nodes.size):
                        _add(here, curve[m, k], at_nodes[k])
                    for lane in range(LANES):
                        highest[lane] = max(highest[lane], here[lane])
                for m in range(points):
                    here = density[m]
                    for lane in range(LANES):
                        here[lane] = exp(here[lane] - highest[lane])
                for lane in range(LANES):
                    total = 0.0
                    for m in range(1, points):
                        total += 0.5 * (density[m - 1, lane] + density[m, lane])
                    wanted = uniform[block, group, lane] * total
                    below, m = 0.0, 1
                    part = 0.5 * (density[0, lane] + density[1, lane])
                    while m < points - 1 and below + part < wanted:
                        below += part
                        m += 1
                        part = 0.5 * (density[m - 1, lane] + density[m, lane])
                    # Within a step the density is a line: solve its quadratic for the share.
                    low, high = density[m - 1, lane], density[m, lane]
                    need = max(wanted - below, 0.0)
                    root = math.sqrt(max(low * low + 2.0 * (high - low) * need, 0.0))
                    share = 2.0 * need / max(low + root, 1e-300)
                    z = grid[m - 1] + step * min(share, 1.0)
                    out[block, lane, group] = middle[lane] + spread[lane] * z

    return effects
