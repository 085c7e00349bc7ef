"""Draws of unknown counts, one after the other, each given all else; compiled.

Given the parameters and the other unknown values, the density of one is that of its own mechanism
times those of the rows that read it. Counts with few possible values are drawn from the list of
them; all others by a slice (Neal 2003, doi 10.1214/aos/1056562461), which leaves the density as it
is whatever its shape. A count x is sliced as a number of [x, x + 1), where its density is level.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.joint.column_kernels import column
from dotwin.inference.joint.parts import CellKind, CellParts, ReadParts, RowParts
from dotwin.inference.joint.row_kernels import count_density, row_density
from dotwin.inference.joint.state import ChainState

__all__ = ["build_count_sweep", "cell_density", "own_terms", "put", "value_at"]

Floats = NDArray[np.float64]

_REAL, _POSITIVE = int(CellKind.REAL), int(CellKind.POSITIVE)
_SHARE, _COUNT = int(CellKind.SHARE), int(CellKind.COUNT)
_FACTOR = int(CellKind.FACTOR)

#: Up to this count every possible value is weighed; a slice is as good where there are more.
_LISTED = 32
#: Widths by which a slice may grow, and how often it may shrink.
_GROWTH, _SHRINKS = 64, 200
#: A slice of this many mean moves takes few steps out and few back.
_WIDTH_IN_MOVES = 2.5


@njit(error_model="numpy")
def value_at(kind: int, s: float) -> float:
    """Return the outcome at a place of the sliced scale."""
    if kind == _POSITIVE:
        return math.exp(s)
    if kind == _SHARE:
        return 1.0 / (1.0 + math.exp(-s))
    if kind == _COUNT:
        return math.floor(s)
    return s


@njit(error_model="numpy")
def cell_density(
    c: int,
    s: float,
    cells: CellParts,
    reads: ReadParts,
    rows: RowParts,
    state: ChainState,
    stack: Floats,
) -> float:
    """Log density of one unknown count at a place, given all else."""
    if not 0.0 <= s < cells.high[c] + 1.0:
        return -math.inf
    x = math.floor(s)
    state.store[cells.value[c]] = x
    own = cells.row[c]
    mechanism = rows.mechanism[own]
    result = count_density(
        rows.family[own],
        x,
        state.eta[own],
        rows.trials[own],
        state.dispersion[mechanism, 0],
        state.dispersion[mechanism, 1],
        state.cutpoints[mechanism],
    )
    away, zeros_away = 0.0, 0.0
    for r in range(cells.reads[c], cells.reads[c + 1]):
        entry, _ = column(
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
            return -math.inf
        change = state.coefficient[r] * (entry - state.store[reads.column[r]])
        if reads.of_zeros[r]:
            zeros_away += change
        else:
            away += change
        if reads.ends_row[r]:
            row = reads.row[r]
            mechanism = rows.mechanism[row]
            result += row_density(
                rows.family[row],
                state.store[rows.outcome[row]],
                state.eta[row] + away,
                rows.trials[row],
                rows.lower[row],
                rows.inflated[row],
                state.zeros_eta[row] + zeros_away,
                state.dispersion[mechanism, 0],
                state.dispersion[mechanism, 1],
                state.cutpoints[mechanism, : rows.cutpoints[mechanism]],
            )
            away, zeros_away = 0.0, 0.0
    return result if result == result else -math.inf


@njit(error_model="numpy")
def put(c: int, s: float, cells: CellParts, state: ChainState) -> None:
    """Put an unknown value in its place, among the values and the outcomes."""
    x = value_at(cells.kind[c], s)
    store = state.store
    state.place[c] = s
    store[cells.value[c]] = x * cells.scale[c]
    if cells.kind[c] == _FACTOR:
        return
    store[cells.outcome[c]] = s if cells.log_outcome[c] else x
    if cells.log_y[c] >= 0:
        store[cells.log_y[c]] = math.log(x)
    if cells.log_rest[c] >= 0:
        store[cells.log_rest[c]] = math.log1p(-x)
    if cells.distinct[c] >= 0:
        store[cells.distinct[c]] = x


@njit(error_model="numpy")
def _move(
    c: int, s: float, cells: CellParts, reads: ReadParts, state: ChainState, stack: Floats
) -> None:
    """Put an unknown value in its place, in the columns and linear predictors too."""
    put(c, s, cells, state)
    store = state.store
    for r in range(cells.reads[c], cells.reads[c + 1]):
        entry, _ = column(
            store,
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
        change = state.coefficient[r] * (entry - store[reads.column[r]])
        if reads.of_zeros[r]:
            state.zeros_eta[reads.row[r]] += change
        else:
            state.eta[reads.row[r]] += change
        store[reads.column[r]] = entry


@njit(error_model="numpy")
def _listed(
    rng: np.random.Generator,
    c: int,
    cells: CellParts,
    reads: ReadParts,
    rows: RowParts,
    state: ChainState,
    stack: Floats,
) -> float:
    """Draw a count from the list of its possible values."""
    size = int(cells.high[c]) + 1
    weights = np.empty(size)
    for x in range(size):
        weights[x] = cell_density(c, float(x), cells, reads, rows, state, stack)
    weights = np.exp(weights - weights.max())
    left = rng.random() * weights.sum()
    x = 0
    while x < size - 1 and left >= weights[x]:
        left -= weights[x]
        x += 1
    return float(x)


@njit(error_model="numpy")
def _sliced(
    rng: np.random.Generator,
    c: int,
    cells: CellParts,
    reads: ReadParts,
    rows: RowParts,
    state: ChainState,
    stack: Floats,
) -> float:
    """Draw a value from the slice of its density under a random height."""
    here: float = math.floor(state.place[c]) + rng.random()
    now = cell_density(c, here, cells, reads, rows, state, stack)
    height = now + math.log1p(-rng.random())
    width = state.width[c]
    low = here - width * rng.random()
    high = low + width
    steps = int(_GROWTH * rng.random())
    for _ in range(steps):
        if not cell_density(c, low, cells, reads, rows, state, stack) > height:
            break
        low -= width
    for _ in range(_GROWTH - 1 - steps):
        if not cell_density(c, high, cells, reads, rows, state, stack) > height:
            break
        high += width
    for _ in range(_SHRINKS):
        there: float = low + (high - low) * rng.random()
        if cell_density(c, there, cells, reads, rows, state, stack) > height:
            return there
        if there < here:
            low = there
        else:
            high = there
    return here


@njit(error_model="numpy")
def own_terms(c: int, cells: CellParts, s: float) -> float:
    """Return what the mechanism's log density leaves out of an unknown outcome's."""
    x = value_at(cells.kind[c], s)
    if cells.kind[c] == _SHARE:
        return math.log(x) + math.log1p(-x)
    if cells.kind[c] == _COUNT:
        left = cells.high[c] - x
        return -math.lgamma(x + 1.0) - (math.lgamma(left + 1.0) if math.isfinite(left) else 0.0)
    return 0.0


def build_count_sweep(version: int) -> Any:
    """Compile the draw of all unknown counts.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def sweep(
        rng: np.random.Generator,
        cells: CellParts,
        reads: ReadParts,
        rows: RowParts,
        state: ChainState,
        tuned: int,
    ) -> float:
        """Draw every unknown count once.

        ``tuned`` counts the sweeps that may still change the slices' widths, -1 for none. The
        result is what the mechanisms' log densities leave out of the counts' own.
        """
        result = 0.0
        stack = np.empty((2, reads.deepest + 0 * version))
        for c in range(cells.kind.size):
            if cells.kind[c] != _COUNT:
                continue
            before = state.place[c]
            if cells.high[c] <= _LISTED:
                there = _listed(rng, c, cells, reads, rows, state, stack)
            else:
                there = _sliced(rng, c, cells, reads, rows, state, stack)
            if tuned >= 0:
                rate = 1.0 / (1.0 + min(tuned, 50))
                state.move[c] += rate * (abs(there - before) - state.move[c])
                if tuned >= 10 and state.move[c] > 0.0:
                    state.width[c] = max(1.0, _WIDTH_IN_MOVES * state.move[c])
            _move(c, there, cells, reads, state, stack)
            result += own_terms(c, cells, there)
        return result

    return sweep
