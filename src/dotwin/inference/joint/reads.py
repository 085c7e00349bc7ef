"""Which entries of which columns read which unknown values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.joint.cells import row_positions
from dotwin.inference.joint.parts import MechanismParts, ReadParts
from dotwin.inference.joint.programs import Operation, Programs
from dotwin.inference.joint.rows import Rows
from dotwin.inference.nuts.layout import Layout
from dotwin.inference.nuts.parts import PredictorParts
from dotwin.mechanisms.columns import constant_key, natural_scale
from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.equation import Term
from dotwin.mechanisms.factors import factor_terms
from dotwin.mechanisms.imputation import Imputation

__all__ = ["gather_reads", "unknown_terms", "write_programs"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: The first operation of a column and the one after its last, by predictor and term.
Spans = Mapping[tuple[str, int], tuple[int, int]]


def unknown_terms(design: Design, names: set[str]) -> dict[str, frozenset[int]]:
    """Return the terms that read unknown values, by the predictor's prefix."""
    return {
        arrays.predictor.prefix: frozenset(
            k
            for k, term in enumerate(arrays.predictor.terms)
            if term.kind == "hidden"
            or (not term.is_unit_constant and any(f.names() & names for f in term.factors))
        )
        for arrays in design.predictors
    }


def write_programs(programs: Programs, designs: Sequence[Design], names: set[str]) -> Spans:
    """Write the program of every column that reads unknown values."""
    spans = {}
    for design in designs:
        unknown = unknown_terms(design, names)
        for arrays in design.predictors:
            prefix = arrays.predictor.prefix
            for k in sorted(unknown[prefix]):
                term = arrays.predictor.terms[k]
                if term.kind == "hidden":
                    continue
                multiplier = 1.0 if term.natural else design.reference.multiplier
                spans[prefix, k] = programs.add(term, design.reference, multiplier)
    return spans


@dataclass(frozen=True, eq=False)
class _Reads:
    """Reads as arrays, dims (read,); effects have dims (level, read)."""

    cell: Integers
    row: Integers
    of_zeros: NDArray[np.bool_]
    column: Integers
    place: Integers
    first: Integers
    last: Integers
    shift: Floats
    multiplier: Floats
    mechanism: Integers
    element: Integers
    effects: Integers

    def take(self, which: NDArray[np.intp]) -> _Reads:
        return _Reads(**{name: values[..., which] for name, values in vars(self).items()})


def gather_reads(
    imputation: Imputation | None,
    designs: Sequence[Design],
    layouts: Sequence[Layout],
    rows: Sequence[Rows],
    cells: Mapping[str, slice],
    programs: Programs | None,
    spans: Spans,
) -> tuple[ReadParts, MechanismParts, Integers]:
    """Gather what reads unknown values.

    Parameters
    ----------
    imputation : Imputation or None
    designs : sequence of Design
    layouts : sequence of Layout
    rows : sequence of Rows
    cells : dict of str to slice
        The cells of each indicator, and of each hidden cause.
    programs : Programs or None
    spans : dict
        As `write_programs` returns them.

    Returns
    -------
    ReadParts
    MechanismParts
    int array, dims (cell + 1,)
        The first read of each cell.
    """
    pieces = [
        _of_factors(m, design, layouts[m], rows[m], cells) for m, design in enumerate(designs)
    ]
    if imputation is not None:
        pieces += [
            _of_predictor(m, design, arrays, layouts[m], rows[m], imputation, cells, spans)
            for m, design in enumerate(designs)
            for arrays in design.predictors
            if arrays.predictor.role in ("mean", "zeros")
        ]
    found = _joined([piece for some in pieces for piece in some])
    # An entry may read a cell in several places; it is one read of it.
    _, once = np.unique(np.stack([found.cell, found.column]), axis=1, return_index=True)
    found = found.take(once)
    found = found.take(np.lexsort((found.row, found.cell)))
    count = max(span.stop for span in cells.values())
    starts = np.searchsorted(found.cell, np.arange(count + 1)).astype(np.int64)
    return _read_parts(found, programs), _mechanism_parts(found, rows), starts


def _of_predictor(
    m: int,
    design: Design,
    arrays: PredictorDesign,
    layout: Layout,
    rows: Rows,
    imputation: Imputation,
    cells: Mapping[str, slice],
    spans: Spans,
) -> list[_Reads]:
    predictor = arrays.predictor
    main = predictor.role == "mean"
    parts = layout.parts.main if main else layout.parts.second
    order = rows.order if main else rows.zeros_order
    shape = next(iter(imputation.cells.values())).shape
    position = row_positions(design, order, shape)
    found: list[_Reads] = []
    for k, term in enumerate(predictor.terms):
        if (predictor.prefix, k) not in spans:
            continue
        element = layout.places[f"{predictor.prefix}.causes"].start + k
        j = int(np.flatnonzero(parts.row_terms == element)[0])
        shift = _shift(term, design, shape[0])
        first, last = spans[predictor.prefix, k]
        for name, lag in sorted({ref for factor in term.factors for ref in factor.refs()}):
            if name not in imputation.cells:
                continue
            unit, period = np.nonzero(imputation.cells[name])
            inside = np.flatnonzero(period + lag < shape[1])
            unit, period = unit[inside], period[inside] + lag
            at = position[unit, period]
            used = np.flatnonzero(at >= 0)
            unit, period, at = unit[used], period[used], at[used]

            def same(value: int, n: int = at.size) -> Integers:
                return np.full(n, value, dtype=np.int64)

            found.append(
                _Reads(
                    cell=cells[name].start + inside[used],
                    row=(rows.first if main else rows.first_zeros) + at,
                    of_zeros=np.full(at.size, not main and rows.inflated),
                    column=rows.places["main" if main else "second"] + j * order.size + at,
                    place=unit * shape[1] + period,
                    first=same(first),
                    last=same(last),
                    shift=shift[unit],
                    multiplier=np.zeros(at.size),
                    mechanism=same(m),
                    element=same(element),
                    effects=_slopes(parts, j, at),
                )
            )
    return found


def _of_factors(
    m: int, design: Design, layout: Layout, rows: Rows, cells: Mapping[str, slice]
) -> list[_Reads]:
    """Say which rows of a mechanism read which values of hidden causes: all of them do."""
    parts, n = layout.parts.main, rows.order.size
    at = np.arange(n, dtype=np.int64)
    nothing = np.zeros(n, dtype=np.int64)
    found = []
    for k, name in factor_terms(design.equation.main):
        element = layout.places[f"{design.equation.main.prefix}.causes"].start + k
        j = int(np.flatnonzero(parts.row_terms == element)[0])
        found.append(
            _Reads(
                cell=cells[name].start + design.factors[name][rows.order].astype(np.int64),
                row=rows.first + at,
                of_zeros=np.zeros(n, dtype=bool),
                column=rows.places["main"] + j * n + at,
                place=nothing,
                first=nothing,
                last=nothing,
                shift=np.zeros(n),
                multiplier=np.full(n, design.reference.multiplier),
                mechanism=nothing + m,
                element=nothing + element,
                effects=np.full((0, n), -1, dtype=np.int64),
            )
        )
    return found


def _shift(term: Term, design: Design, units: int) -> Floats:
    """Return what the unit's mean takes off a column, dims (unit,)."""
    if not term.within:
        return np.zeros(units)
    scale = design.reference.multiplier
    if term.natural:
        scale = natural_scale(term, design.reference)
    return np.asarray(design.constants[constant_key("mean", term)] * scale)


def _slopes(parts: PredictorParts, j: int, at: Integers) -> Integers:
    """Return the effects that add to a column's coefficient at some rows, dims (level, row)."""
    unit = np.searchsorted(parts.starts, at, side="right") - 1
    which = np.flatnonzero(parts.slope_rows == j)
    return parts.slope_effects[which][:, unit].reshape(which.size, at.size)


def _joined(pieces: Sequence[_Reads]) -> _Reads:
    none = np.zeros(0, dtype=np.int64)
    empty = _Reads(
        cell=none,
        row=none,
        of_zeros=none.astype(bool),
        column=none,
        place=none,
        first=none,
        last=none,
        shift=np.zeros(0),
        multiplier=np.zeros(0),
        mechanism=none,
        element=none,
        effects=none[None],
    )
    pieces = [empty, *pieces]
    levels = max(piece.effects.shape[0] for piece in pieces)

    def padded(effects: Integers) -> Integers:
        missing = levels - effects.shape[0]
        return np.pad(effects, ((0, missing), (0, 0)), constant_values=-1)

    columns = {
        name: np.concatenate([vars(piece)[name] for piece in pieces])
        for name in vars(empty)
        if name != "effects"
    }
    return _Reads(**columns, effects=np.concatenate([padded(p.effects) for p in pieces], axis=1))


def _read_parts(found: _Reads, programs: Programs | None) -> ReadParts:
    operation, source, argument, deepest = _operations(programs)
    key = np.stack([found.cell, found.row])
    ends = np.append((key[:, 1:] != key[:, :-1]).any(axis=0), True)[: found.row.size]
    return ReadParts(
        row=found.row,
        of_zeros=found.of_zeros,
        ends_row=ends,
        column=found.column,
        place=found.place,
        first=found.first,
        last=found.last,
        shift=found.shift,
        multiplier=found.multiplier,
        operation=operation,
        source=source,
        argument=argument,
        deepest=deepest,
    )


def _operations(programs: Programs | None) -> tuple[Integers, Integers, Floats, int]:
    if programs is None:
        return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0), 1
    argument = np.array(programs.arguments, dtype=float)
    operation = np.array(programs.operations, dtype=np.int64)
    array = np.where(operation == Operation.DATA, argument, 0.0).astype(np.int64)
    source = array * programs.arrays[0].size - np.array(programs.lags, dtype=np.int64)
    return operation, source, argument, programs.deepest


def _mechanism_parts(found: _Reads, rows: Sequence[Rows]) -> MechanismParts:
    order = np.argsort(found.mechanism, kind="stable")
    starts = np.searchsorted(found.mechanism[order], np.arange(len(rows) + 1))
    return MechanismParts(
        row=np.array([one.first for one in rows], dtype=np.int64),
        zeros_row=np.array([one.first_zeros for one in rows], dtype=np.int64),
        inflated=np.array([one.inflated for one in rows], dtype=bool),
        starts=starts.astype(np.int64),
        reads=order.astype(np.int64),
        element=found.element[order],
        effects=np.ascontiguousarray(found.effects[:, order]),
    )
