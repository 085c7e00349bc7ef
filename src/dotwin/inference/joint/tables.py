"""The unknown values of a component, what reads them, and all rows, as arrays for the kernels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.engine import Component
from dotwin.inference.joint.programs import Operation, Programs
from dotwin.inference.nuts.layout import Layout, build_layout
from dotwin.inference.nuts.parts import FamilyCode, Parts, PredictorParts, Zeros
from dotwin.inference.nuts.rows import main_rows
from dotwin.mechanisms.columns import constant_key, natural_scale
from dotwin.mechanisms.design import Design, PredictorDesign, panel_environment
from dotwin.mechanisms.imputation import Imputation

__all__ = [
    "CellKind",
    "CellParts",
    "Mechanism",
    "MechanismParts",
    "ReadParts",
    "RowParts",
    "Tables",
    "build_tables",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]

_MIDDLE_OF_COUNT = 0.5


class CellKind(IntEnum):
    """Scales on which unknown values are drawn."""

    REAL = 0
    POSITIVE = 1
    SHARE = 2
    COUNT = 3


_KINDS = {
    "normal": CellKind.REAL,
    "student_t": CellKind.REAL,
    "lognormal": CellKind.POSITIVE,
    "gamma": CellKind.POSITIVE,
    "beta": CellKind.SHARE,
}


class CellParts(NamedTuple):
    """Unknown values, each an outcome of one row and a cause of others.

    A hidden cause would be one more kind: its own density that of its prior instead of a row's.

    Parameters
    ----------
    kind : int array, dims (cell,)
        `CellKind`.
    high : array, dims (cell,)
        The largest possible count; infinity where there is none.
    scale : array, dims (cell,)
        What turns an outcome of the family into a recorded value.
    row : int array, dims (cell,)
        The row whose outcome it is.
    log_outcome : bool array, dims (cell,)
        Whether its mechanism reads the outcome's log.
    value, outcome, log_y, log_rest, distinct : int array, dims (cell,)
        Where the store holds the recorded value and what the log density reads of it, or -1.
    reads : int array, dims (cell + 1,)
        The first read of each cell.
    """

    kind: Integers
    high: Floats
    scale: Floats
    row: Integers
    log_outcome: Bools
    value: Integers
    outcome: Integers
    log_y: Integers
    log_rest: Integers
    distinct: Integers
    reads: Integers


class ReadParts(NamedTuple):
    """Columns that read unknown values, by cell and row.

    Parameters
    ----------
    row : int array, dims (read,)
    of_zeros : bool array, dims (read,)
        Whether the column belongs to the predictor of extra zeros.
    ends_row : bool array, dims (read,)
        Whether the cell's next read is of another row.
    column : int array, dims (read,)
        Where the store holds the column's entry.
    place : int array, dims (read,)
        The row's place among units and periods.
    first, last : int array, dims (read,)
        The column's operations.
    shift : array, dims (read,)
        The unit's mean, taken off.
    operation, source : int array, dims (operation,)
        `dotwin.inference.joint.programs.Operation`, and where an array begins in the store.
    argument : array, dims (operation,)
    deepest : int
        Numbers on the stack at once.
    """

    row: Integers
    of_zeros: Bools
    ends_row: Bools
    column: Integers
    place: Integers
    first: Integers
    last: Integers
    shift: Floats
    operation: Integers
    source: Integers
    argument: Floats
    deepest: int


class RowParts(NamedTuple):
    """All rows of a component.

    Parameters
    ----------
    family : int array, dims (row,)
        `dotwin.inference.nuts.parts.FamilyCode`.
    mechanism : int array, dims (row,)
    outcome : int array, dims (row,)
        Where the store holds it.
    trials, lower : array, dims (row,)
    inflated : bool array, dims (row,)
    cutpoints : int array, dims (mechanism,)
        How many each mechanism has.
    """

    family: Integers
    mechanism: Integers
    outcome: Integers
    trials: Floats
    lower: Floats
    inflated: Bools
    cutpoints: Integers


class MechanismParts(NamedTuple):
    """Where each mechanism's rows lie, and what its columns that read unknown values belong to.

    Parameters
    ----------
    row, zeros_row : int array, dims (mechanism,)
        Its first row, and the first of its second predictor.
    inflated : bool array, dims (mechanism,)
        Whether the second predictor mixes zeros into the same rows.
    starts : int array, dims (mechanism + 1,)
        Of its reads among those below.
    reads, element : int array, dims (read,)
        Reads by mechanism, and the free element of each column's coefficient.
    effects : int array, dims (level, read)
        Effects that the column's slope adds, or -1.
    """

    row: Integers
    zeros_row: Integers
    inflated: Bools
    starts: Integers
    reads: Integers
    element: Integers
    effects: Integers


@dataclass(frozen=True, eq=False)
class Mechanism:
    """One mechanism of a component.

    Parameters
    ----------
    layout : Layout
    places : dict of str to int
        Where the store holds each array that changes.
    """

    layout: Layout
    places: Mapping[str, int]

    def parts(self, store: Floats) -> Parts:
        """Return what the log density reads, the changing arrays taken from a chain's store."""
        parts = self.layout.parts

        def at(name: str, like: Floats) -> Floats:
            first = self.places[name]
            return store[first : first + like.size].reshape(like.shape)

        response = parts.response
        return parts._replace(
            main=parts.main._replace(row_columns=at("main", parts.main.row_columns)),
            second=parts.second._replace(row_columns=at("second", parts.second.row_columns)),
            response=response._replace(
                y=at("y", response.y),
                log_y=at("log_y", response.log_y),
                log_rest=at("log_rest", response.log_rest),
                distinct=at("distinct", response.distinct),
            ),
        )


@dataclass(frozen=True, eq=False)
class Tables:
    """A component, ready for the kernels.

    Parameters
    ----------
    mechanisms : list of Mechanism
    of_mechanisms : MechanismParts
    cells : CellParts
    reads : ReadParts
    rows : RowParts
    store : array
        As it is before the first draw.
    place, width : array, dims (cell,)
        Where the cells start, and the first widths of their slices.
    spans : dict of str to slice
        The cells of each indicator.
    """

    mechanisms: list[Mechanism]
    of_mechanisms: MechanismParts
    cells: CellParts
    reads: ReadParts
    rows: RowParts
    store: Floats
    place: Floats
    width: Floats
    spans: Mapping[str, slice]


@dataclass
class _Store:
    """One flat array, filled piece by piece."""

    pieces: list[Floats] = field(default_factory=list)
    size: int = 0

    def add(self, piece: Floats) -> int:
        first = self.size
        self.pieces.append(np.asarray(piece, dtype=float).ravel())
        self.size += piece.size
        return first


@dataclass
class _Read:
    """A column's entry that reads a cell."""

    cell: int
    row: int
    of_zeros: bool
    column: int
    place: int
    span: tuple[int, int]
    shift: float
    mechanism: int
    element: int
    effects: list[int]


def unknown_terms(design: Design, names: set[str]) -> dict[str, frozenset[int]]:
    """Return the terms that read unknown values, by the predictor's prefix."""
    return {
        arrays.predictor.prefix: frozenset(
            k
            for k, term in enumerate(arrays.predictor.terms)
            if not term.is_unit_constant and any(f.names() & names for f in term.factors)
        )
        for arrays in design.predictors
    }


def build_tables(component: Component) -> Tables:
    """Gather a component's unknown values and all that reads them.

    Parameters
    ----------
    component : Component
        With missing values to impute.

    Returns
    -------
    Tables
    """
    imputation = component.imputation
    assert imputation is not None
    designs = component.designs
    by_name = {design.child: design for design in designs}
    names = list(imputation.cells)
    panel = imputation.panel
    shape = (len(panel.units), len(panel.period_labels))
    filled = {name: np.array(panel.data[name].values, dtype=float) for name in names}
    for name in names:
        design, cells = by_name[name], imputation.cells[name]
        full = np.full(shape, np.nan)
        full[design.unit, design.period] = design.y
        filled[name][cells] = full[cells]
    programs = Programs(
        panel_environment(panel, filled),
        {name: k for k, name in enumerate(names)},
        [filled[name] for name in names],
    )
    layouts = [build_layout(d, unknown=unknown_terms(d, set(names))) for d in designs]
    layouts = [
        _with_own_counts(layout, design, imputation)
        for layout, design in zip(layouts, designs, strict=True)
    ]
    # Programs come first: what they fold are arrays that lie at the beginning of the store.
    spans = _programs(programs, designs, set(names))
    store = _Store()
    for array in programs.arrays:
        store.add(array)
    places = [_place(layout.parts, store) for layout in layouts]
    rows, blocks = _rows(designs, layouts, places, store)
    cells, spans_of, place, width = _cells(imputation, by_name, designs, layouts, places, blocks)
    found: list[_Read] = []
    for m, design in enumerate(designs):
        for arrays in design.predictors:
            found += _reads(
                m, design, arrays, layouts[m], places[m], blocks[m], imputation, spans_of, spans
            )
    found.sort(key=lambda r: (r.cell, r.row))
    reads, starts = _read_parts(found, programs, cells.kind.size, shape)
    return Tables(
        mechanisms=[Mechanism(*pair) for pair in zip(layouts, places, strict=True)],
        of_mechanisms=_mechanism_parts(blocks, found),
        cells=cells._replace(reads=starts),
        reads=reads,
        rows=rows,
        store=np.concatenate(store.pieces),
        place=place,
        width=width,
        spans=spans_of,
    )


def _with_own_counts(layout: Layout, design: Design, imputation: Imputation) -> Layout:
    """Give each unknown count an entry of its own among a mechanism's distinct counts."""
    from dataclasses import replace

    cells = imputation.cells.get(design.child)
    response = layout.parts.response
    if cells is None or response.family != FamilyCode.NEGATIVE_BINOMIAL:
        return layout
    order = main_rows(design)
    unknown = cells[design.unit[order], design.period[order]]
    known, times = np.unique(response.y[~unknown], return_counts=True)
    response = response._replace(
        distinct=np.concatenate([known, response.y[unknown]]),
        times=np.concatenate([times.astype(float), np.ones(int(unknown.sum()))]),
    )
    return replace(layout, parts=layout.parts._replace(response=response))


def _programs(
    programs: Programs, designs: tuple[Design, ...], names: set[str]
) -> dict[tuple[str, int], tuple[int, int]]:
    """Write the program of every column that reads unknown values."""
    spans = {}
    for design in designs:
        unknown = unknown_terms(design, names)
        for arrays in design.predictors:
            prefix = arrays.predictor.prefix
            for k in sorted(unknown[prefix]):
                term = arrays.predictor.terms[k]
                multiplier = 1.0 if term.natural else design.reference.multiplier
                spans[prefix, k] = programs.add(term, design.reference, multiplier)
    return spans


def _place(parts: Parts, store: _Store) -> dict[str, int]:
    return {
        "main": store.add(parts.main.row_columns),
        "second": store.add(parts.second.row_columns),
        "y": store.add(parts.response.y),
        "log_y": store.add(parts.response.log_y),
        "log_rest": store.add(parts.response.log_rest),
        "distinct": store.add(parts.response.distinct),
        "at_zero": store.add(parts.response.at_zero),
    }


@dataclass(frozen=True)
class _Block:
    """Where a mechanism's rows lie among all rows, and which of its design each is."""

    rows: slice
    zeros_rows: slice
    inflated: bool
    order: NDArray[np.intp]
    zeros_order: NDArray[np.intp]


def _rows(
    designs: tuple[Design, ...],
    layouts: list[Layout],
    places: list[dict[str, int]],
    store: _Store,
) -> tuple[RowParts, list[_Block]]:
    pieces: list[RowParts] = []
    blocks: list[_Block] = []
    at = 0
    for m, (design, layout, place) in enumerate(zip(designs, layouts, places, strict=True)):
        response = layout.parts.response
        order = main_rows(design)
        everything = np.argsort(design.unit, kind="stable")
        n = order.size
        inflated = response.zeros == Zeros.INFLATED
        hurdle = response.zeros == Zeros.HURDLE
        more = everything.size if hurdle else 0
        own = slice(at, at + n)
        zeros = slice(at + n, at + n + more) if hurdle else own
        blocks.append(
            _Block(own, zeros, inflated, order, everything if hurdle or inflated else order[:0])
        )
        pieces.append(
            RowParts(
                family=np.r_[
                    np.full(n, response.family), np.full(more, int(FamilyCode.BINOMIAL))
                ].astype(np.int64),
                mechanism=np.full(n + more, m, dtype=np.int64),
                outcome=np.r_[place["y"] + np.arange(n), place["at_zero"] + np.arange(more)].astype(
                    np.int64
                ),
                trials=np.r_[
                    response.trials if response.trials.size else np.ones(n), np.ones(more)
                ],
                lower=np.r_[_lower(response.lower, response.family, n), np.full(more, -np.inf)],
                inflated=np.r_[np.full(n, inflated), np.zeros(more, dtype=bool)],
                cutpoints=np.array([layout.parts.free.cutpoints], dtype=np.int64),
            )
        )
        at += n + more
    joined = RowParts(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))
    return joined, blocks


def _lower(lower: Floats, family: int, rows: int) -> Floats:
    if not lower.size:
        return np.full(rows, -np.inf)
    continuous = family in (FamilyCode.NORMAL, FamilyCode.NORMAL_LOG_LINK, FamilyCode.STUDENT_T)
    # Every count is at least 0, which truncates nothing.
    return lower if continuous else np.where(lower > 0, lower, -np.inf)


def _cells(
    imputation: Imputation,
    by_name: Mapping[str, Design],
    designs: tuple[Design, ...],
    layouts: list[Layout],
    places: list[dict[str, int]],
    blocks: list[_Block],
) -> tuple[CellParts, dict[str, slice], Floats, Floats]:
    pieces: list[tuple[NDArray[np.generic], ...]] = []
    spans: dict[str, slice] = {}
    starts, widths = [np.zeros(0)], [np.zeros(0)]
    at = 0
    for k, (name, cells) in enumerate(imputation.cells.items()):
        design = by_name[name]
        m = designs.index(design)
        one, response, place = design.equation.indicator, layouts[m].parts.response, places[m]
        unit, period = np.nonzero(cells)
        position = np.full(cells.shape, -1, dtype=np.int64)
        order = blocks[m].order
        position[design.unit[order], design.period[order]] = np.arange(order.size)
        own = position[unit, period]
        n = own.size
        kind = _KINDS.get(one.family or "", CellKind.COUNT)
        high = np.full(n, np.inf)
        if one.family == "bernoulli":
            high = np.ones(n)
        elif response.trials.size:
            high = response.trials[own]
        spans[name] = slice(at, at + n)
        at += n

        def stored(
            key: str, there: Floats, place: dict[str, int] = place, own: Integers = own
        ) -> Integers:
            return place[key] + own if there.size else np.full(own.size, -1, dtype=np.int64)

        distinct = np.full(n, -1, dtype=np.int64)
        if response.family == FamilyCode.NEGATIVE_BINOMIAL:
            # Unknown counts follow the known ones, in the order of the rows.
            among = np.argsort(np.argsort(own))
            distinct = place["distinct"] + response.distinct.size - n + among
        pieces.append(
            (
                np.full(n, int(kind), dtype=np.int64),
                high,
                np.full(n, one.out_of or 1.0),
                blocks[m].rows.start + own,
                np.full(n, one.family == "lognormal"),
                k * cells.size + unit * cells.shape[1] + period,
                place["y"] + own,
                stored("log_y", response.log_y),
                stored("log_rest", response.log_rest),
                distinct,
            )
        )
        y = response.y[own]
        starts.append(_start(kind, y, logged=one.family == "lognormal"))
        width = design.reference.child[1] if kind == CellKind.REAL else 1.0
        if kind == CellKind.COUNT:
            width = max(1.0, float(np.sqrt(np.mean(y))))
        widths.append(np.full(n, width))
    columns = [np.concatenate(column) for column in zip(*pieces, strict=True)]
    cells_parts = CellParts(*columns, np.zeros(at + 1, dtype=np.int64))  # type: ignore[arg-type]
    return cells_parts, spans, np.concatenate(starts), np.concatenate(widths)


def _start(kind: CellKind, y: Floats, *, logged: bool) -> Floats:
    if kind == CellKind.POSITIVE:
        return y if logged else np.log(y)
    if kind == CellKind.SHARE:
        return np.asarray(np.log(y) - np.log1p(-y))
    return y + _MIDDLE_OF_COUNT if kind == CellKind.COUNT else y


def _reads(
    m: int,
    design: Design,
    arrays: PredictorDesign,
    layout: Layout,
    places: Mapping[str, int],
    block: _Block,
    imputation: Imputation,
    cells_of: Mapping[str, slice],
    spans: Mapping[tuple[str, int], tuple[int, int]],
) -> list[_Read]:
    """Find which entries of a predictor's columns read which cells."""
    predictor = arrays.predictor
    if predictor.role not in ("mean", "zeros"):
        return []
    main = predictor.role == "mean"
    parts = layout.parts.main if main else layout.parts.second
    order = block.order if main else block.zeros_order
    base = block.rows.start if main else block.zeros_rows.start
    shape = next(iter(imputation.cells.values())).shape
    position = np.full(shape, -1, dtype=np.int64)
    position[design.unit[order], design.period[order]] = np.arange(order.size)
    found: list[_Read] = []
    for k, term in enumerate(predictor.terms):
        if (predictor.prefix, k) not in spans:
            continue
        element = layout.places[f"{predictor.prefix}.causes"].start + k
        j = int(np.flatnonzero(parts.row_terms == element)[0])
        shift = np.zeros(shape[0])
        if term.within:
            scale = natural_scale(term, design.reference)
            scale = scale if term.natural else design.reference.multiplier
            shift = design.constants[constant_key("mean", term)] * scale
        refs = {ref for factor in term.factors for ref in factor.refs()}
        for name, lag in sorted(refs):
            if name not in imputation.cells:
                continue
            units, periods = np.nonzero(imputation.cells[name])
            later = periods + lag
            inside = later < shape[1]
            at = np.where(inside, position[units, np.minimum(later, shape[1] - 1)], -1)
            for c in np.flatnonzero(at >= 0):
                i = int(at[c])
                found.append(
                    _Read(
                        cell=cells_of[name].start + int(c),
                        row=base + i,
                        of_zeros=not main and block.inflated,
                        column=places["main" if main else "second"] + j * order.size + i,
                        place=int(units[c]) * shape[1] + int(later[c]),
                        span=spans[predictor.prefix, k],
                        shift=float(shift[units[c]]),
                        mechanism=m,
                        element=element,
                        effects=_slopes(parts, j, i),
                    )
                )
    return _distinct(found)


def _distinct(found: list[_Read]) -> list[_Read]:
    """Keep one read of a column's entry per cell, though it may read the cell twice."""
    return list({(one.cell, one.column): one for one in found}.values())


def _slopes(parts: PredictorParts, j: int, i: int) -> list[int]:
    unit = int(np.searchsorted(parts.starts, i, side="right")) - 1
    return [int(parts.slope_effects[s, unit]) for s in np.flatnonzero(parts.slope_rows == j)]


def _read_parts(
    found: list[_Read], programs: Programs, cells: int, shape: tuple[int, int]
) -> tuple[ReadParts, Integers]:
    def integers(values: list[int]) -> Integers:
        return np.array(values, dtype=np.int64)

    keys = [(one.cell, one.row) for one in found]
    ends = np.array([k + 1 == len(keys) or keys[k] != keys[k + 1] for k in range(len(keys))], bool)
    size = shape[0] * shape[1]
    argument = np.array(programs.arguments, dtype=float)
    operation, lags = integers(programs.operations), integers(programs.lags)
    array = np.where(operation == Operation.DATA, argument, 0.0).astype(np.int64)
    parts = ReadParts(
        row=integers([one.row for one in found]),
        of_zeros=np.array([one.of_zeros for one in found], dtype=bool),
        ends_row=ends,
        column=integers([one.column for one in found]),
        place=integers([one.place for one in found]),
        first=integers([one.span[0] for one in found]),
        last=integers([one.span[1] for one in found]),
        shift=np.array([one.shift for one in found], dtype=float),
        operation=operation,
        source=array * size - lags,
        argument=argument,
        deepest=programs.deepest,
    )
    starts = np.searchsorted([one.cell for one in found], np.arange(cells + 1)).astype(np.int64)
    return parts, starts


def _mechanism_parts(blocks: list[_Block], found: list[_Read]) -> MechanismParts:
    def integers(values: list[int]) -> Integers:
        return np.array(values, dtype=np.int64)

    order = sorted(range(len(found)), key=lambda k: found[k].mechanism)
    effects = np.full((max((len(r.effects) for r in found), default=0), len(found)), -1)
    for position, k in enumerate(order):
        effects[: len(found[k].effects), position] = found[k].effects
    of = [found[k].mechanism for k in order]
    return MechanismParts(
        row=integers([block.rows.start for block in blocks]),
        zeros_row=integers([block.zeros_rows.start for block in blocks]),
        inflated=np.array([block.inflated for block in blocks], dtype=bool),
        starts=np.searchsorted(of, np.arange(len(blocks) + 1)).astype(np.int64),
        reads=integers(order),
        element=integers([found[k].element for k in order]),
        effects=effects.astype(np.int64),
    )
