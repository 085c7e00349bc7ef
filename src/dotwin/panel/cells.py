"""What each cell of a table says: a number, a category, a mark, nothing, or what it cannot say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.errors import Problem, nearest
from dotwin.panel.layout import agreeing, counted
from dotwin.panel.quality import IMPOSSIBLE_COLUMNS
from dotwin.panel.rows import Rows
from dotwin.panel.tables import Table, to_numbers, to_text
from dotwin.spec.twin import Indicator, Twin

__all__ = ["Cells", "read_cells"]

type Bools = NDArray[np.bool_]
type Texts = NDArray[np.object_]


@dataclass
class Cells:
    """The columns of a table, read.

    Parameters
    ----------
    columns : dict of str to ndarray, dims (row,)
        By indicator: float with NaN for missing, or text with "" for missing.
    marks : dict of str to ndarray of bool, dims (row,)
        By column: where an indicator was assigned.
    problems : list of Problem
    impossible : list of DataFrame
        Cells that were made missing.
    """

    columns: dict[str, NDArray[Any]] = field(default_factory=dict)
    marks: dict[str, Bools] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    impossible: list[pd.DataFrame] = field(default_factory=list)


def read_cells(
    table: Table, twin: Twin, rows: Rows, on_invalid: Literal["error", "missing"]
) -> Cells:
    """Read the columns of a twin's indicators.

    Parameters
    ----------
    table : Table
    twin : Twin
    rows : Rows
        Names the place of a cell in messages.
    on_invalid : {'error', 'missing'}
        What becomes of a cell that cannot be read.

    Returns
    -------
    Cells
    """
    reader = _Reader(table, rows, on_invalid, Cells())
    for name, one in twin.indicators.items():
        if (one.column or name) in table.frame.columns:
            reader.read(name, one)
        if one.assigned is not None and one.assigned.column in table.frame.columns:
            reader.read_marks(name, one.assigned.column)
    return reader.cells


@dataclass
class _Reader:
    table: Table
    rows: Rows
    on_invalid: str
    cells: Cells

    def read(self, name: str, one: Indicator) -> None:
        """Read one indicator's column."""
        column = self.table.frame[one.column or name]
        if one.categories:
            values = self._categories(name, one, to_text(column))
        else:
            values = self._numbers(name, one, column)
        self.cells.columns[name] = values

    def _numbers(self, name: str, one: Indicator, column: pd.Series) -> NDArray[Any]:
        numbers, unreadable = to_numbers(column)
        if not unreadable.any():
            return numbers
        texts = to_text(column)
        says_number = one.plausible or one.simulated_as or one.out_of
        if one.is_given and not says_number and np.isnan(numbers).all():
            return texts.astype(str)
        remedy = "Write numbers, and leave missing cells empty."
        if all("," in text for text in pd.unique(texts[unreadable]).tolist()):
            remedy = "Write decimals with a point, and thousands without a comma."
        elif one.is_given:
            remedy += " If the column holds categories, declare them: categories: [...]."
        self._refuse(name, one, unreadable, "are not numbers", remedy, texts)
        return numbers

    def _categories(self, name: str, one: Indicator, texts: Texts) -> NDArray[Any]:
        """Match text with the declared categories; an ordinal becomes their positions."""
        codes, unique = pd.factorize(texts)
        exact = {text: i for i, text in enumerate(one.categories)}
        by_value: dict[float, int] = {}
        for text, i in exact.items():
            number = _number(text)
            if number is not None:
                by_value[number] = i
        if one.is_stochastic and not by_value:
            # Positions themselves are accepted where no category could be mistaken for one.
            by_value = {float(i): i for i in range(len(one.categories))}
        found = [_position(str(text), exact, by_value) for text in unique]
        matched = np.array([*found, -1], dtype=np.intp)[codes]
        strangers = (matched < 0) & (texts != "")
        if strangers.any():
            # The most frequent stranger is the likeliest misspelling.
            most = str(pd.Series(texts[strangers]).value_counts().index[0])
            remedy = f"{nearest(most, one.categories)} Correct them, or add them to categories."
            what = "are not among the declared categories"
            self._refuse(name, one, strangers, what, remedy, texts)
        if one.is_stochastic:
            return np.where(matched >= 0, matched.astype(float), np.nan)
        return np.array([*one.categories, ""], dtype=str)[matched]

    def read_marks(self, name: str, column: str) -> None:
        """Read the column that marks where an indicator was assigned."""
        numbers, _ = to_numbers(self.table.frame[column])
        wrong = ~np.isin(numbers, (0.0, 1.0))
        if wrong.any():
            texts = to_text(self.table.frame[column])
            shown = self.table.rows(wrong, lambda row: repr(str(texts[row])))
            number = int(wrong.sum())
            count = f"{counted(number, 'value')} {agreeing(number, 'do not say')}"
            what = (
                f"{count} whether {name} was assigned — {shown}. Write 1 where it was "
                f"and 0 where it was not."
            )
            self.cells.problems.append(Problem(f"column '{column}'", what))
        self.cells.marks[column] = numbers == 1

    def _refuse(
        self, name: str, one: Indicator, mask: Bools, what: str, remedy: str, texts: Texts
    ) -> None:
        """Report cells that cannot be read, or list them as made missing."""
        rows = self.rows
        placed = rows.placed
        if self.on_invalid == "missing":
            at = np.flatnonzero(mask & placed)
            units = [rows.units[u] for u in rows.unit[at].tolist()]
            periods = np.asarray(rows.labels)[rows.period[at]].tolist()
            listed = (
                name,
                units,
                periods,
                [repr(str(text)) for text in texts[at]],
                agreeing(1, what),
            )
            columns: Any = dict(zip(IMPOSSIBLE_COLUMNS, listed, strict=True))
            self.cells.impossible.append(pd.DataFrame(columns, index=range(len(at))))
            return

        def value(row: int) -> str:
            place = f"({rows.place(row)}) " if placed[row] else ""
            return f"{place}{str(texts[row])!r}"

        where = f"{name} (column '{one.column}')" if one.column else name
        number = int(mask.sum())
        count = f"{counted(number, 'value')} {agreeing(number, what)}"
        shown = self.table.rows(mask, value)
        self.cells.problems.append(Problem(where, f"{count} — {shown}. {remedy}"))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _position(text: str, exact: Mapping[str, int], by_value: Mapping[float, int]) -> int:
    if text in exact:
        return exact[text]
    number = _number(text)
    return -1 if number is None else by_value.get(number, -1)
