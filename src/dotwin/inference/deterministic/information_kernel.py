"""The marginal likelihood at one point with its gradient and information, compiled."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.deterministic.addresses import call
from dotwin.inference.deterministic.lanes import FLAGS
from dotwin.inference.deterministic.rows import Rows

__all__ = ["NODE_LANES", "NodeWork", "add_pair", "build_information", "node_workspace"]

Floats = NDArray[np.float64]

#: Nodes that are evaluated side by side where there is one draw.
NODE_LANES = 8
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class NodeWork(NamedTuple):
    """Where the kernel works on one group.

    Parameters
    ----------
    predictors : array, dims (what, row)
        Each row's eta and its base and, where there is one, the predictor of a second source of
        zeros.
    by_node : array, dims (which, row, node)
        Derivatives by row.
    at_nodes, weight, v, move : array, dims (node,)
    x, place : array, dims (column,)
        A row's columns, and which of its group's globals they belong to.
    score, block : array, dims (global, node) and (global, global)
        Of the globals that a group meets.
    """

    predictors: Floats
    by_node: Floats
    at_nodes: Floats
    weight: Floats
    v: Floats
    move: Floats
    x: Floats
    place: NDArray[np.int64]
    score: Floats
    block: Floats


def node_workspace(rows: Rows, most: int, nodes: int) -> NodeWork:
    """Make room for groups of up to ``most`` rows and for some nodes; one without an effect."""
    size, width = max(nodes, 1), rows.dense.shape[1] + rows.which.shape[1]
    predictors, derivatives = (3, 5) if rows.second_offset.size else (2, 2)
    largest = int(np.diff(rows.of_group).max(initial=0))
    return NodeWork(
        predictors=np.zeros((predictors, most)),
        by_node=np.zeros((derivatives, most, size)),
        at_nodes=np.zeros(size),
        weight=np.zeros(size),
        v=np.zeros(size),
        move=np.zeros(size),
        x=np.zeros(width),
        place=np.zeros(width, dtype=np.int64),
        score=np.zeros((largest, size)),
        block=np.zeros((largest, largest)),
    )


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


def build_information(inflated: bool, version: int) -> Any:
    """Compile the marginal likelihood at one point, with its gradient and information.

    Parameters
    ----------
    inflated : bool
        Whether zeros may come from a second source, with a predictor of its own.
    version : int
        A number that changes whenever any module of the kernels does.

    Notes
    -----
    The score is the posterior mean of the complete data's (Fisher's identity); the information is
    the mean of the complete data's less the variance of its score (Louis 1982,
    doi 10.1111/j.2517-6161.1982.tb01203.x).
    """

    @njit(cache=True, nogil=True, fastmath=FLAGS, error_model="numpy")
    def information(
        mode_search: int,
        slopes: int,
        rows: Rows,
        beta: Floats,
        shape: Floats,
        table: Floats,
        nodes: Floats,
        log_weights: Floats,
        work: NodeWork,
        modes: Floats,
        known: Floats,
        row_bend: Floats,
        gradient: Floats,
        packed: Floats,
    ) -> float:
        """Return the log marginal likelihood; fill in the gradient and information matrix.

        ``mode_search`` and ``slopes`` are of `dotwin.inference.deterministic.row_kernels`,
        ``shape``, dims (what,), and ``table``, dims (1, number), what they read. ``modes`` holds
        where to start looking for each group's mode and takes where it is, ``known`` the
        information of its rows there, ``row_bend`` that of each row. Nodes are padded to whole
        lanes with weights of 0; without an effect there is none. ``packed`` takes the information
        as `dotwin.inference.deterministic.arrow` stores it.
        """
        dense = rows.dense.shape[1]
        width = dense + rows.which.shape[1]
        grouped = nodes.size > 0
        own_width = dense + rows.own_which
        eta = work.predictors[0]
        at_nodes, weight, v, move = work.at_nodes, work.weight, work.v, work.move
        size = v.size
        by_node = work.by_node
        x, place, score, block = work.x, work.place, work.score, work.block
        gradient[:] = 0.0
        packed[:] = 0.0
        for j in range(dense):
            place[j] = j
        total = 0.0 * version
        sd = shape[0]
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
                if inflated:
                    e = rows.second_offset[i]
                    for j in range(rows.own_dense, dense):
                        e += rows.dense[i, j] * beta[j]
                    for j in range(rows.own_which, rows.which.shape[1]):
                        e += rows.scale[i, j] * beta[rows.which[i, j]]
                    work.predictors[2, r] = e
            spread = 1.0
            if grouped:
                call(
                    mode_search, group, first, last, rows.y, rows.extra, rows.lower,
                    work.predictors, shape, table, modes, known, row_bend,
                )  # fmt: skip
                mode, held = modes[group], known[group]
                spread = 1.0 / math.sqrt(max(held + precision, 0.1 * precision))
                for k in range(size):
                    v[k] = mode + spread * nodes[k]
                    z = v[k] / sd
                    at_nodes[k] = log_weights[k] - 0.5 * z * z
            else:
                at_nodes[0] = 0.0
            call(
                slopes, first, last, rows.y, rows.extra, rows.lower, work.predictors, shape, table,
                v, move, at_nodes, by_node,
            )  # fmt: skip
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
                s, b = by_node[0, r], by_node[1, r]
                slope, bend = 0.0, 0.0
                for k in range(size):
                    slope += weight[k] * s[k]
                    bend += weight[k] * b[k]
                if not grouped:
                    row_bend[i] = bend
                second_slope, second_bend, both_bend = 0.0, 0.0, 0.0
                if inflated:
                    for k in range(size):
                        second_slope += weight[k] * by_node[2, r, k]
                        second_bend += weight[k] * by_node[3, r, k]
                        both_bend += weight[k] * by_node[4, r, k]
                for a in range(width):
                    is_own = not inflated or a < rows.own_dense or dense <= a < own_width
                    its_slope = slope if is_own else second_slope
                    gradient[members[place[a]]] += its_slope * x[a]
                    for other in range(a + 1):
                        held_bend = bend
                        if inflated:
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
                        column, its = score[place[a]], s
                        if inflated and not is_own:
                            its = by_node[2, r]
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
