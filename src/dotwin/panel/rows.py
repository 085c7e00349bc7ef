"""Where each row of a table belongs: its unit, its groups and its period."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.errors import Problem
from dotwin.panel.layout import SHOWN, counted, listing
from dotwin.panel.periods import accepted_forms, parse_periods, period_labels
from dotwin.panel.tables import Table, to_text
from dotwin.spec.twin import PeriodLayout, Twin

__all__ = ["Rows", "place_rows"]

type Codes = NDArray[np.intp]

#: A grid of units by periods with more cells than this, of which less than the share below is
#: filled, is taken for a mistyped period.
_LARGE_GRID = 5_000_000
_LEAST_FILLED = 0.02
#: A message shows this many of the rows that share one place.
_ROWS_OF_A_PLACE = 4


@dataclass
class Rows:
    """The places of a table's rows.

    Parameters
    ----------
    twin : Twin
    unit, period : ndarray of int, dims (row,)
        Positions in ``units`` and ``labels``; -1 where a row has no place.
    units : list of str
        Sorted.
    ordinals : ndarray of int64, dims (period,)
        The periods, without gaps; 0 for a cross-section.
    names : dict of str to list of str
        Each level's groups, sorted.
    group : dict of str to ndarray of int, dims (unit,)
        Each unit's position among the names of a level; -1 where it has none.
    problems : list of Problem
    moved : list of str
        Units recorded in several groups of a level and placed in the last, a sentence each.
    """

    twin: Twin
    unit: Codes = field(default_factory=lambda: np.empty(0, np.intp))
    period: Codes = field(default_factory=lambda: np.empty(0, np.intp))
    units: list[str] = field(default_factory=list)
    ordinals: NDArray[np.int64] = field(default_factory=lambda: np.zeros(1, np.int64))
    names: dict[str, list[str]] = field(default_factory=dict)
    group: dict[str, Codes] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    moved: list[str] = field(default_factory=list)

    @property
    def placed(self) -> NDArray[np.bool_]:
        """Which rows have a place, dims (row,)."""
        return (self.unit >= 0) & (self.period >= 0)

    @property
    def labels(self) -> list[str]:
        """The periods' names."""
        layout = self.twin.panel.period
        return ["0"] if layout is None else period_labels(self.ordinals, layout.frequency)

    def place(self, row: int) -> str:
        """Name a row's unit and period."""
        unit = f"{self.twin.unit} {self.units[self.unit[row]]}"
        layout = self.twin.panel.period
        if layout is None:
            return unit
        (label,) = period_labels(self.ordinals[[self.period[row]]], layout.frequency)
        return f"{unit}, {label}"


def place_rows(table: Table, twin: Twin) -> Rows:
    """Find each row's unit, groups and period.

    Parameters
    ----------
    table : Table
    twin : Twin

    Returns
    -------
    Rows
        With no row placed where the unit's or period's column is of no use.
    """
    rows = Rows(twin)
    nowhere = np.full(len(table.frame), -1, dtype=np.intp)
    rows.unit = rows.period = nowhere
    codes = {}
    for level in twin.panel.all_levels:
        column = twin.panel.columns.get(level, level)
        if column not in table.frame.columns:
            continue
        codes[level], rows.names[level] = _coded(to_text(table.frame[column]))
        empty = codes[level] < 0
        if empty.any():
            what = counted(int(empty.sum()), "row")
            rows.problems.append(
                Problem(
                    f"column '{column}'",
                    f"{what} without {level} — {table.rows(empty)}. Every row names its {level}.",
                )
            )
    layout = twin.panel.period
    if twin.unit in codes:
        rows.units = rows.names[twin.unit]
        rows.unit = codes[twin.unit]
    if layout is None:
        rows.period = np.zeros(len(table.frame), dtype=np.intp)
    elif layout.column in table.frame.columns:
        _place_in_time(rows, table, layout)
    if rows.placed.any():
        _refuse_repeats(rows, table)
        _nest(rows, codes)
    return rows


def _coded(texts: NDArray[np.object_]) -> tuple[Codes, list[str]]:
    """Code text by its position among the sorted distinct ones; -1 where empty."""
    codes, unique = pd.factorize(texts)
    names = sorted(str(text) for text in unique if text)
    position = {name: i for i, name in enumerate(names)}
    places = np.array([position.get(str(text), -1) for text in unique], dtype=np.intp)
    return places[codes], names


def _place_in_time(rows: Rows, table: Table, layout: PeriodLayout) -> None:
    column = table.frame[layout.column]
    parsed = parse_periods(column, layout.frequency)
    where = f"column '{layout.column}'"
    accepted = f"A {layout.frequency} is written as {accepted_forms(layout.frequency)}."

    def written(row: int) -> str:
        return repr(str(column.iloc[row]))

    if parsed.missing.any():
        count = counted(int(parsed.missing.sum()), "row")
        what = f"{count} without a period — {table.rows(parsed.missing)}. {accepted}"
        rows.problems.append(Problem(where, what))
    unreadable = ~parsed.readable & ~parsed.missing
    if unreadable.any():
        count = counted(int(unreadable.sum()), "value")
        shown = table.rows(unreadable, written)
        what = f"{count} cannot be read as a period — {shown}. {accepted}"
        rows.problems.append(Problem(where, what))
    if parsed.minority.any():
        kinds = ", ".join(f"{counted(n, 'row')} as a {kind}" for kind, n in parsed.kinds.items())
        shown = table.rows(parsed.minority, written)
        what = f"periods are written in several ways ({kinds}) — {shown}. Choose one way."
        rows.problems.append(Problem(where, what))
    elif parsed.too_coarse:
        (kind,) = parsed.kinds
        what = (
            f"names {kind}s, but the twin's frequency is {layout.frequency}, and a {kind} does not "
            f"say which {layout.frequency}. {accepted}"
        )
        rows.problems.append(Problem(where, what))
        return
    sound = parsed.readable & ~parsed.minority
    if parsed.too_coarse or not sound.any():
        return
    first, last = int(parsed.ordinals[sound].min()), int(parsed.ordinals[sound].max())
    cells = max(1, len(rows.units)) * (last - first + 1)
    if cells > _LARGE_GRID and len(table.frame) < _LEAST_FILLED * cells:
        ends = period_labels([first, last], layout.frequency)
        what = (
            f"periods reach from {ends[0]} to {ends[1]}, {last - first + 1:,} {layout.frequency}s, "
            f"but rows fill less than {_LEAST_FILLED:.0%} of them; look for a mistyped period at "
            f"either end."
        )
        rows.problems.append(Problem(where, what))
        return
    rows.ordinals = np.arange(first, last + 1)
    rows.period = np.where(sound, parsed.ordinals - first, -1).astype(np.intp)


def _refuse_repeats(rows: Rows, table: Table) -> None:
    cell = rows.unit.astype(np.int64) * len(rows.ordinals) + rows.period
    cell[~rows.placed] = -1
    order = np.argsort(cell, kind="stable")
    _, starts, sizes = np.unique(cell[order], return_index=True, return_counts=True)
    several = (sizes > 1) & (cell[order][starts] >= 0)
    number = int(several.sum())
    if not number:
        return
    items = []
    pairs = zip(starts[several][:SHOWN].tolist(), sizes[several][:SHOWN].tolist(), strict=True)
    for start, size in pairs:
        first = order[start : start + min(size, _ROWS_OF_A_PLACE)].tolist()
        more = f" and {size - len(first)} more" if size > len(first) else ""
        named = ", ".join(table.row(i) for i in first)
        items.append(f"{rows.place(first[0])}: {named}{more}")
    unit, layout = rows.twin.unit, rows.twin.panel.period
    if layout is None:
        what = f"{counted(number, unit)} with several rows"
        todo = (
            f"A cross-section has one row per {unit}; keep one of them, or declare panel: period: "
            f"when the rows are periods."
        )
    else:
        what = f"{counted(number, f'{unit}-{layout.frequency}')} with several rows"
        todo = f"Keep one row per {unit} and {layout.frequency}, or add them up first."
    rows.problems.append(Problem("rows", f"{what} — {listing(items, number)}. {todo}"))


def _nest(rows: Rows, codes: dict[str, Codes]) -> None:
    """Find each unit's groups, and check that each inner group lies within one outer group."""
    unit = rows.twin.unit
    levels = [level for level in rows.twin.panel.levels if level in codes]
    for level in levels:
        known = np.flatnonzero((codes[level] >= 0) & (rows.unit >= 0))
        # In the order of time, so that of several groups of a unit the last one is known.
        known = known[np.argsort(rows.period[known], kind="stable")]
        rows.group[level] = _holders(rows, unit, level, rows.unit[known], codes[level][known])
    for outer, inner in itertools.pairwise(levels):
        both = (rows.group[inner] >= 0) & (rows.group[outer] >= 0)
        _holders(rows, inner, outer, rows.group[inner][both], rows.group[outer][both])


def _holders(rows: Rows, inner: str, outer: str, member: Codes, group: Codes) -> Codes:
    """Give each member's group; complain about members of several."""
    names, members = rows.names[outer], rows.names[inner]
    low = np.full(len(members), len(names), dtype=np.intp)
    high = np.full(len(members), -1, dtype=np.intp)
    np.minimum.at(low, member, group)
    np.maximum.at(high, member, group)
    torn = np.flatnonzero(low < high)
    if torn.size:
        items = [
            f"{inner} {members[m]} in "
            + ", ".join(names[g] for g in np.unique(group[member == m]).tolist())
            for m in torn[:SHOWN].tolist()
        ]
        if inner == rows.twin.unit and rows.twin.panel.moves == "last":
            last = np.full(len(members), -1, dtype=np.intp)
            last[member] = group
            shown = listing(items, int(torn.size))
            rows.moved.append(
                f"{counted(int(torn.size), inner)} recorded in more than one {outer} and placed in "
                f"the last — {shown}."
            )
            return last
        if inner == rows.twin.unit:
            todo = (
                f"A {inner} stays in one {outer}: correct the rows, or declare panel: moves: last "
                f"to place it where it was last."
            )
        else:
            todo = (
                f"If these are different groups of one name, write the {outer} into it, as in "
                f"'{names[0]}/{members[torn[0]]}'."
            )
        what = counted(int(torn.size), inner)
        shown = listing(items, int(torn.size))
        rows.problems.append(
            Problem(f"level {outer}", f"{what} in more than one {outer} — {shown}. {todo}")
        )
    return high
