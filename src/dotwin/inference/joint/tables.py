"""A component of mechanisms and unknown values, ready for the joint kernels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.engine import Component
from dotwin.inference.joint.cells import gather_cells
from dotwin.inference.joint.parts import CellParts, MechanismParts, ReadParts, RowParts
from dotwin.inference.joint.programs import Programs
from dotwin.inference.joint.reads import gather_reads, unknown_terms, write_programs
from dotwin.inference.joint.ridges import Ridge, ridges_of
from dotwin.inference.joint.rows import Store, gather_rows
from dotwin.inference.nuts.layout import Layout, build_layout
from dotwin.inference.nuts.parts import FamilyCode, Parts
from dotwin.inference.nuts.rows import main_rows
from dotwin.mechanisms.design import Design, panel_environment
from dotwin.mechanisms.imputation import Imputation

__all__ = ["Mechanism", "Tables", "build_tables"]

Floats = NDArray[np.float64]


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
        The cells of each indicator and hidden cause.
    ridges : list of Ridge
        Of the hidden causes.
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
    ridges: list[Ridge]


def build_tables(component: Component) -> Tables:
    """Gather a component's unknown values and all that reads them.

    Parameters
    ----------
    component : Component
        With missing values to impute, or hidden causes.

    Returns
    -------
    Tables
    """
    imputation, designs = component.imputation, component.designs
    names = list(imputation.cells) if imputation is not None else []
    programs = _programs(imputation, designs)
    layouts = [build_layout(d, unknown=unknown_terms(d, set(names))) for d in designs]
    layouts = [
        _with_own_counts(layout, design, imputation)
        for layout, design in zip(layouts, designs, strict=True)
    ]
    # Programs come first: what they fold are arrays that lie at the beginning of the store.
    spans = write_programs(programs, designs, set(names)) if programs is not None else {}
    store = Store()
    for array in programs.arrays if programs is not None else ():
        store.add(array)
    row_parts, rows = gather_rows(designs, layouts, store)
    sizes = {name: math.prod(one.shape) for name, one in component.factors.items()}
    values = {name: store.add(np.zeros(size)) for name, size in sizes.items()}
    cell_parts, spans_of, place, width = gather_cells(
        imputation, sizes, values, designs, layouts, rows
    )
    reads, of_mechanisms, starts = gather_reads(
        imputation, designs, layouts, rows, spans_of, programs, spans
    )
    return Tables(
        mechanisms=[
            Mechanism(layout, own.places) for layout, own in zip(layouts, rows, strict=True)
        ],
        of_mechanisms=of_mechanisms,
        cells=cell_parts._replace(reads=starts),
        reads=reads,
        rows=row_parts,
        store=np.concatenate(store.pieces),
        place=place,
        width=width,
        spans=spans_of,
        ridges=ridges_of(component, layouts, rows, spans_of),
    )


def _programs(imputation: Imputation | None, designs: Sequence[Design]) -> Programs | None:
    """Begin the programs of columns that read missing values, with the values as they start."""
    if imputation is None:
        return None
    panel = imputation.panel
    shape = (len(panel.units), len(panel.period_labels))
    by_name = {design.child: design for design in designs}
    filled = {name: np.array(panel.data[name].values, dtype=float) for name in imputation.cells}
    for name, cells in imputation.cells.items():
        design = by_name[name]
        full = np.full(shape, np.nan)
        full[design.unit, design.period] = design.y
        filled[name][cells] = full[cells]
    return Programs(
        panel_environment(panel, filled),
        {name: k for k, name in enumerate(filled)},
        list(filled.values()),
    )


def _with_own_counts(layout: Layout, design: Design, imputation: Imputation | None) -> Layout:
    """Give each unknown count an entry of its own among a mechanism's distinct counts."""
    cells = imputation.cells.get(design.child) if imputation is not None else None
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
