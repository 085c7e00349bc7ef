"""The unknown values of a component: where each is an outcome, and where it starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.joint.parts import CellKind, CellParts
from dotwin.inference.joint.rows import Rows
from dotwin.inference.nuts.layout import Layout
from dotwin.inference.nuts.parts import FamilyCode
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.imputation import Imputation

__all__ = ["gather_cells", "row_positions"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_KINDS = {
    "normal": CellKind.REAL,
    "student_t": CellKind.REAL,
    "lognormal": CellKind.POSITIVE,
    "gamma": CellKind.POSITIVE,
    "beta": CellKind.SHARE,
}


def gather_cells(
    imputation: Imputation | None,
    factors: Mapping[str, int],
    values: Mapping[str, int],
    designs: Sequence[Design],
    layouts: Sequence[Layout],
    rows: Sequence[Rows],
) -> tuple[CellParts, Mapping[str, slice], Floats, Floats]:
    """Gather the unknown values of all indicators and hidden causes.

    Parameters
    ----------
    imputation : Imputation or None
    factors : dict of str to int
        How many values each hidden cause has.
    values : dict of str to int
        Where the store holds them.
    designs : sequence of Design
    layouts : sequence of Layout
    rows : sequence of Rows

    Returns
    -------
    CellParts
        Without their reads.
    dict of str to slice
        The cells of each indicator and hidden cause.
    array, dims (cell,)
        Where they start on the scale on which they are drawn.
    array, dims (cell,)
        How far they may spread there.
    """
    pieces: list[CellParts] = []
    spans: dict[str, slice] = {}
    places: list[Floats] = []
    widths: list[Floats] = []
    at = 0
    numbers = {design.child: m for m, design in enumerate(designs)}
    for k, (name, cells) in enumerate(imputation.cells.items() if imputation else ()):
        m = numbers[name]
        one = designs[m].equation.indicator
        unit, period = np.nonzero(cells)
        own = row_positions(designs[m], rows[m].order, cells.shape)[unit, period]
        kind = _KINDS.get(one.family or "", CellKind.COUNT)
        logged = one.family == "lognormal"
        value = (k * cells.size + unit * cells.shape[1] + period).astype(np.int64)
        pieces.append(_parts(layouts[m], rows[m], own, value, kind, one.out_of or 1.0, logged))
        spans[name] = slice(at, at + own.size)
        at += own.size
        response = layouts[m].parts.response
        places.append(_start(kind, response.y[own], logged))
        widths.append(np.full(own.size, _width(kind, response.y)))
    for name, size in factors.items():
        pieces.append(_hidden(values[name], size))
        spans[name] = slice(at, at + size)
        at += size
        # Standard normal they are before anything is known; that is as far as they may spread.
        places.append(np.zeros(size))
        widths.append(np.ones(size))
    joined = CellParts(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))
    return joined, spans, np.concatenate(places), np.concatenate(widths)


def _hidden(first: int, size: int) -> CellParts:
    """Return the values of a hidden cause, which are no row's outcome."""
    nowhere = np.full(size, -1, dtype=np.int64)
    return CellParts(
        kind=np.full(size, int(CellKind.FACTOR), dtype=np.int64),
        high=np.full(size, np.inf),
        scale=np.ones(size),
        row=nowhere,
        log_outcome=np.zeros(size, dtype=bool),
        value=first + np.arange(size, dtype=np.int64),
        outcome=nowhere,
        log_y=nowhere,
        log_rest=nowhere,
        distinct=nowhere,
        reads=np.zeros(0, dtype=np.int64),
    )


def row_positions(
    design: Design, order: NDArray[np.intp], shape: tuple[int, ...]
) -> NDArray[np.int64]:
    """Say which row stands for each unit and period, -1 where none does."""
    position = np.full(shape, -1, dtype=np.int64)
    position[design.unit[order], design.period[order]] = np.arange(order.size)
    return position


def _parts(
    layout: Layout,
    rows: Rows,
    own: Integers,
    value: Integers,
    kind: CellKind,
    scale: float,
    logged: bool,
) -> CellParts:
    response, places, n = layout.parts.response, rows.places, own.size
    nowhere = np.full(n, -1, dtype=np.int64)
    high = np.full(n, np.inf)
    if kind == CellKind.COUNT and response.family in (
        FamilyCode.BINOMIAL,
        FamilyCode.BETA_BINOMIAL,
    ):
        high = response.trials[own] if response.trials.size else np.ones(n)
    distinct = nowhere
    if response.family == FamilyCode.NEGATIVE_BINOMIAL:
        # Unknown counts follow the known ones, in the order of the rows.
        among = np.argsort(np.argsort(own))
        distinct = places["distinct"] + response.distinct.size - n + among
    return CellParts(
        kind=np.full(n, int(kind), dtype=np.int64),
        high=high,
        scale=np.full(n, scale),
        row=rows.first + own,
        log_outcome=np.full(n, logged),
        value=value,
        outcome=places["y"] + own,
        log_y=places["log_y"] + own if response.log_y.size else nowhere,
        log_rest=places["log_rest"] + own if response.log_rest.size else nowhere,
        distinct=distinct,
        reads=np.zeros(0, dtype=np.int64),
    )


def _start(kind: CellKind, y: Floats, logged: bool) -> Floats:
    if kind == CellKind.POSITIVE:
        return y if logged else np.log(y)
    if kind == CellKind.SHARE:
        return np.asarray(np.log(y) - np.log1p(-y))
    # A count x is drawn as a number of [x, x + 1).
    return y + 0.5 if kind == CellKind.COUNT else y


def _width(kind: CellKind, y: Floats) -> float:
    if kind == CellKind.REAL:
        return float(y.std()) or 1.0
    return max(1.0, float(np.sqrt(y.mean()))) if kind == CellKind.COUNT else 1.0
