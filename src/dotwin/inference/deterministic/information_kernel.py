"""The marginal likelihood at one point with its gradient and information, compiled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.deterministic.lanes import FLAGS
from dotwin.inference.deterministic.rows import Rows
from dotwin.inference.deterministic.terms import INFLATED, base_of, curved, mixed, move_of, value

__all__ = ["NODE_LANES", "build_information"]

Floats = NDArray[np.float64]

#: Nodes that are evaluated side by side where there is one draw.
NODE_LANES = 8
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
#: Steps of Newton's method towards a group's mode, and how far each may go.
_STEPS, _LONGEST = 50, 2.0
_CLOSE = 1e-9


@njit(error_model="numpy")
def add_pair(rows: Rows, one: int, other: int, number: float, packed: Floats) -> None:
    """Add what two globals have in common to where their pair is stored."""
    border, depth, regions = rows.border, rows.depth, rows.regions
    first, second = rows.region[one], rows.region[other]
    i, j = rows.place[one], rows.place[other]
    if first < 0 and second < 0:
        packed[i * border + j] += number
        if one != other:
            packed[j * border + i] += number
    elif first >= 0 and second >= 0:
        start = border * border + regions * depth * border
        packed[start + (first * depth + i) * depth + j] += number
        if one != other:
            packed[start + (second * depth + j) * depth + i] += number
    elif first >= 0:
        packed[border * border + (first * depth + i) * border + j] += number
    else:
        packed[border * border + (second * depth + j) * border + i] += number


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
        table: Floats,
        nodes: Floats,
        log_weights: Floats,
        most: int,
        modes: Floats,
        known: Floats,
        row_bend: Floats,
        gradient: Floats,
        packed: Floats,
    ) -> float:
        """Return the log marginal likelihood; fill in the gradient and information matrix.

        ``modes`` holds where to start looking for each group's mode and takes where it is,
        ``known`` the information of its rows there, ``row_bend`` that of each row. Nodes are
        padded to whole lanes with weights of 0; without an effect there is one node at 0.
        ``table``, dims (1, number), is of the tail that a bound keeps; ``packed`` takes the
        information as `dotwin.inference.deterministic.arrow` stores it.
        """
        dense = rows.dense.shape[1]
        width = dense + rows.which.shape[1]
        grouped = nodes.size > 0
        size = nodes.size if grouped else 1
        largest = 0
        for group in range(rows.starts.size - 1):
            largest = max(largest, rows.of_group[group + 1] - rows.of_group[group])
        eta, base = np.empty(most), np.empty(most)
        slopes, bends = np.zeros((most, size)), np.zeros((most, size))
        # Zeros from a second source have a linear predictor of their own.
        extended = most if kind == INFLATED else 1
        second = np.zeros(extended)
        second_slopes, second_bends = np.zeros((extended, size)), np.zeros((extended, size))
        both_bends = np.zeros((extended, size))
        own_width = dense + rows.own_which
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
        packed[:] = 0.0
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
                for j in range(rows.own_dense):
                    e += rows.dense[i, j] * beta[j]
                for j in range(rows.own_which):
                    e += rows.scale[i, j] * beta[rows.which[i, j]]
                eta[r] = e
                if kind == INFLATED:
                    e_second = rows.second_offset[i]
                    for j in range(rows.own_dense, dense):
                        e_second += rows.dense[i, j] * beta[j]
                    for j in range(rows.own_which, rows.which.shape[1]):
                        e_second += rows.scale[i, j] * beta[rows.which[i, j]]
                    second[r] = e_second
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
                            table,
                            0,
                        )
                        if kind == INFLATED:
                            slope, bend, _, _, _ = mixed(
                                family,
                                eta[r],
                                base[r],
                                mode,
                                moved,
                                rows.y[i],
                                rows.extra[i],
                                d,
                                c,
                                second[r],
                                slope,
                                bend,
                                table,
                                0,
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
                at_nodes[0] = 0.0
            for k in range(size):
                move[k] = move_of(family, v[k])
            for r in range(last - first):
                i = first + r
                s, b = slopes[r], bends[r]
                e, held_base = eta[r], base[r]
                y, extra, lower = rows.y[i], rows.extra[i], rows.lower[i]
                zero = second[r if kind == INFLATED else 0]
                for k in range(size):
                    at_nodes[k] += value(
                        family,
                        kind,
                        e,
                        held_base,
                        v[k],
                        move[k],
                        y,
                        extra,
                        lower,
                        d,
                        c,
                        zero,
                        table,
                        0,
                    )
                    s[k], b[k] = curved(
                        family, kind, e, held_base, v[k], move[k], y, extra, lower, d, c, table, 0
                    )
                    if kind == INFLATED:
                        s[k], b[k], second_slopes[r, k], second_bends[r, k], both_bends[r, k] = (
                            mixed(
                                family,
                                e,
                                held_base,
                                v[k],
                                move[k],
                                y,
                                extra,
                                d,
                                c,
                                zero,
                                s[k],
                                b[k],
                                table,
                                0,
                            )
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
                second_slope, second_bend, both_bend = 0.0, 0.0, 0.0
                if kind == INFLATED:
                    for k in range(size):
                        second_slope += weight[k] * second_slopes[r, k]
                        second_bend += weight[k] * second_bends[r, k]
                        both_bend += weight[k] * both_bends[r, k]
                for a in range(width):
                    is_own = a < rows.own_dense or dense <= a < own_width
                    its_slope = slope if kind != INFLATED or is_own else second_slope
                    gradient[members[place[a]]] += its_slope * x[a]
                    for other in range(a + 1):
                        held_bend = bend
                        if kind == INFLATED:
                            other_own = other < rows.own_dense or dense <= other < own_width
                            if is_own != other_own:
                                held_bend = both_bend
                            elif not is_own:
                                held_bend = second_bend
                        high, low = place[a], place[other]
                        if high < low:
                            high, low = low, high
                        block[high, low] += held_bend * x[a] * x[other]
                    if grouped:
                        column = score[place[a]]
                        its = s
                        if kind == INFLATED and not is_own:
                            its = second_slopes[r]
                        for k in range(size):
                            column[k] += x[a] * (its[k] - its_slope)
            for a in range(members.size):
                for other in range(a + 1):
                    found = block[a, other]
                    if grouped:
                        left, right = score[a], score[other]
                        for k in range(size):
                            found -= weight[k] * left[k] * right[k]
                    add_pair(rows, members[a], members[other], found, packed)
        return total

    return information
