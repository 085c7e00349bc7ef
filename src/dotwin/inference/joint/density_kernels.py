"""The log density of several mechanisms and the continuous values they do not know, compiled."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.typed import List
from numpy.typing import NDArray

from dotwin.inference.joint.cell_kernels import own_terms, put, value_at
from dotwin.inference.joint.column_kernels import column
from dotwin.inference.joint.parts import (
    CellKind,
    CellParts,
    MechanismParts,
    ReadParts,
    RowParts,
)
from dotwin.inference.joint.row_kernels import outcome_slope
from dotwin.inference.joint.state import ChainState
from dotwin.inference.nuts.kernels import log_density_by_row
from dotwin.inference.nuts.parts import Natural, ResponseParts

__all__ = ["Block", "block_density", "build_parts_list"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_INVERSE_SQUARE, _TWO_MORE = int(Natural.INVERSE_SQUARE), int(Natural.TWO_MORE)
_POSITIVE, _SHARE = int(CellKind.POSITIVE), int(CellKind.SHARE)
_FACTOR = int(CellKind.FACTOR)
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)


class Block(NamedTuple):
    """What one point is made of, and the state of the chain that it belongs to.

    Parameters
    ----------
    mechanism : int array, dims (mechanism of the block,)
    first : int array, dims (mechanism of the block + 1,)
        Where each mechanism's parameters begin in the point; the unknown values follow the last.
    cell : int array, dims (unknown value of the block,)
    cells : CellParts
    reads : ReadParts
    rows : RowParts
    mechanisms : MechanismParts
    state : ChainState
    """

    mechanism: Integers
    first: Integers
    cell: Integers
    cells: CellParts
    reads: ReadParts
    rows: RowParts
    mechanisms: MechanismParts
    state: ChainState


@njit(error_model="numpy")
def _family_parameter(part: ResponseParts, which: int, values: Floats) -> float:
    if part.dispersion[which] < 0:
        return 1.0
    v: float = values[part.dispersion[which]]
    if part.natural[which] == _INVERSE_SQUARE:
        return 1.0 / (v * v)
    return 2.0 + v if part.natural[which] == _TWO_MORE else v


@njit(error_model="numpy")
def _place_cells(point: Floats, block: Block) -> bool:
    """Put the point's unknown values in their places; say whether all readings are defined."""
    cells, reads, state = block.cells, block.reads, block.state
    stack = np.empty((2, reads.deepest))
    at = block.first[-1]
    for k in range(block.cell.size):
        c, s = block.cell[k], point[at + k]
        x = value_at(cells.kind[c], s)
        if not math.isfinite(x) or (cells.kind[c] == _POSITIVE and x <= 0.0):
            return False
        if cells.kind[c] == _SHARE and not 0.0 < x < 1.0:
            return False
        put(c, s, cells, state)
    for k in range(block.cell.size):
        c = block.cell[k]
        if cells.kind[c] == _FACTOR:
            for r in range(cells.reads[c], cells.reads[c + 1]):
                state.store[reads.column[r]] = reads.multiplier[r] * point[at + k]
            continue
        for r in range(cells.reads[c], cells.reads[c + 1]):
            entry, slope = column(
                state.store,
                reads.operation,
                reads.source,
                reads.argument,
                reads.first[r],
                reads.last[r],
                reads.place[r],
                cells.value[c],
                stack,
            )
            entry -= reads.shift[r]
            if not math.isfinite(entry):
                return False
            state.store[reads.column[r]] = entry
            state.column_slope[r] = slope
    return True


@njit(error_model="numpy")
def _cell_slopes(point: Floats, block: Block, gradient: Floats) -> float:
    """Fill in the gradient in the unknown values; return what the mechanisms leave out of them."""
    cells, reads, rows, state = block.cells, block.reads, block.rows, block.state
    at = block.first[-1]
    result = 0.0
    for k in range(block.cell.size):
        c, s = block.cell[k], point[at + k]
        kind, own = cells.kind[c], cells.row[c]
        if kind == _FACTOR:
            by_value = 0.0
            for r in range(cells.reads[c], cells.reads[c + 1]):
                by_value += state.slope[reads.row[r]] * state.coefficient[r] * reads.multiplier[r]
            gradient[at + k] = by_value - s
            result -= 0.5 * s * s + _HALF_LOG_TWO_PI
            continue
        x = value_at(kind, s)
        mechanism = rows.mechanism[own]
        slope = outcome_slope(
            rows.family[own],
            s if cells.log_outcome[c] else x,
            state.eta[own],
            state.dispersion[mechanism, 0],
            state.dispersion[mechanism, 1],
        )
        by_value = 0.0
        for r in range(cells.reads[c], cells.reads[c + 1]):
            row = reads.row[r]
            by_row = state.zeros_slope[row] if reads.of_zeros[r] else state.slope[row]
            by_value += by_row * state.coefficient[r] * state.column_slope[r]
        step = cells.scale[c]
        if kind == _POSITIVE:
            step *= x
        elif kind == _SHARE:
            step *= x * (1.0 - x)
        gradient[at + k] = slope + by_value * step
        result += own_terms(c, cells, s)
    return result


@njit(error_model="numpy")
def block_density(point: Floats, parts: Any, block: Block, gradient: Floats) -> float:
    """Return the log density of a block at a point, and fill in its gradient and the state."""
    state, of = block.state, block.mechanisms
    if block.cell.size and not _place_cells(point, block):
        gradient[:] = 0.0
        return -math.inf
    result = 0.0
    for j in range(block.mechanism.size):
        m, part = block.mechanism[j], parts[j]
        span = slice(block.first[j], block.first[j + 1])
        elements = part.free.code.size
        values = np.empty(elements)
        effects = np.empty(span.stop - span.start - elements + part.effects.walk_size.size)
        row, zeros_row = of.row[m], of.zeros_row[m]
        rows = slice(row, row + part.main.starts[-1])
        zeros_rows = slice(zeros_row, zeros_row + part.second.starts[-1])
        # Zeros mixed into counts belong to the same rows; those behind a hurdle have their own.
        zeros_eta = state.zeros_eta if of.inflated[m] else state.eta
        zeros_slope = state.zeros_slope if of.inflated[m] else state.slope
        result += log_density_by_row(
            point[span],
            part,
            gradient[span],
            values,
            effects,
            state.eta[rows],
            state.slope[rows],
            zeros_eta[zeros_rows],
            zeros_slope[zeros_rows],
        )
        for k in range(of.starts[m], of.starts[m + 1]):
            coefficient = values[of.element[k]]
            for level in range(of.effects.shape[0]):
                if of.effects[level, k] >= 0:
                    coefficient += effects[of.effects[level, k]]
            state.coefficient[of.reads[k]] = coefficient
        for which in range(2):
            state.dispersion[m, which] = _family_parameter(part.response, which, values)
        for j_cut in range(part.free.cutpoints):
            state.cutpoints[m, j_cut] = values[part.free.first_cutpoint + j_cut]
    return result + _cell_slopes(point, block, gradient)


def build_parts_list(version: int) -> Any:
    """Compile the making of a list of what the mechanisms' log densities read.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does.
    """

    @njit(cache=True)
    def begin(parts: Any) -> Any:
        made = List()
        for _ in range(1 + 0 * version):
            made.append(parts)
        return made

    @njit(cache=True)
    def extend(made: Any, parts: Any) -> None:
        for _ in range(1 + 0 * version):
            made.append(parts)

    def listed(all_parts: list[Any]) -> Any:
        made = begin(all_parts[0])
        for parts in all_parts[1:]:
            extend(made, parts)
        return made

    return listed
