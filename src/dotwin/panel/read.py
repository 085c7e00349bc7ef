"""Reading a table into a panel: every row is placed or named in an error, none disappears."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import xarray as xr

from dotwin.errors import DataError, Problem, nearest
from dotwin.panel.cells import Cells, read_cells
from dotwin.panel.complete import complete
from dotwin.panel.layout import Places, refuse_own_names
from dotwin.panel.panel import Panel
from dotwin.panel.periods import period_starts
from dotwin.panel.rows import Rows, place_rows
from dotwin.panel.tables import Table, open_table
from dotwin.spec.twin import Twin

if TYPE_CHECKING:
    import duckdb

__all__ = ["read_panel"]


def read_panel(
    source: str | Path | pd.DataFrame | duckdb.DuckDBPyRelation,
    twin: Twin,
    *,
    on_invalid: Literal["error", "missing"] = "error",
) -> Panel:
    """Read a table into the panel that a twin describes.

    Ids and levels are read as text. Every problem of the table is reported at once. Rows of a text
    file are numbered as a spreadsheet does, the header being row 1; those of a DataFrame by their
    index.

    Parameters
    ----------
    source : str, Path, DataFrame or DuckDB relation
        A row per unit and period. Paths end in ``.csv``, ``.csv.gz`` or ``.parquet``. Columns that
        the twin does not name are ignored.
    twin : Twin
    on_invalid : {'error', 'missing'}
        What becomes of impossible values, such as counts below 0: an error that names them, or
        missing and counted in ``panel.quality``. Problems of the table's structure, such as one
        unit and period twice, are always errors.

    Returns
    -------
    Panel

    Raises
    ------
    DataError
        With every problem found: the indicator, the column, the rows and what is accepted.
    SpecificationError
        When an indicator or level has a name that panels keep for themselves.

    Examples
    --------
    >>> from dotwin.spec.twin import Twin
    >>> twin = Twin(
    ...     twin="visits",
    ...     panel={"unit": "home", "period": {"column": "quarter", "frequency": "quarter"}},
    ...     indicators={"visits": {"domain": "quality", "family": "poisson"}},
    ... )
    >>> table = pd.DataFrame(
    ...     {"home": ["007"] * 2, "quarter": ["2024Q2", "2024Q3"], "visits": [3, 5]}
    ... )
    >>> read_panel(table, twin)
    Panel of 1 home over 2 quarters, 2024Q2 to 2024Q3: 2 rows, 1 indicator.
    """
    if on_invalid not in ("error", "missing"):
        raise ValueError(f"on_invalid is 'error' or 'missing', not {on_invalid!r}.")
    refuse_own_names(twin)
    asked = _asked(twin)
    table = open_table(source, [column for column, _ in asked], _numeric(twin))
    if not len(table.frame):
        raise DataError("the table has no rows.", source=table.name)
    problems = _missing_columns(table, twin, asked)
    rows = place_rows(table, twin)
    cells = read_cells(table, twin, rows, on_invalid)
    problems += rows.problems
    broken = bool(problems)
    problems += cells.problems
    if not rows.placed.any():
        raise DataError(problems, source=table.name)
    data, places = _on_grid(table, twin, rows, cells)
    wanted = {column for column, _ in asked}
    completed, quality = complete(
        twin,
        data,
        on_invalid=on_invalid,
        places=places,
        problems=problems,
        impossible=cells.impossible,
        ignored=[name for name in table.columns if name not in wanted],
        source=table.name,
        broken=broken,
    )
    return Panel(twin, completed, quality)


def _asked(twin: Twin) -> list[tuple[str, str]]:
    """Columns that the twin asks for, each with what it is for in words."""
    panel = twin.panel
    asked = [(panel.columns.get(level, level), f"the {level}") for level in panel.all_levels]
    if panel.period is not None:
        asked.append((panel.period.column, "the period"))
    asked.extend((one.column or name, name) for name, one in twin.indicators.items())
    asked.extend(
        (one.assigned.column, f"where {name} was assigned")
        for name, one in twin.indicators.items()
        if one.assigned is not None
    )
    return list(dict.fromkeys(asked))


def _numeric(twin: Twin) -> set[str]:
    """Columns that hold numbers and nothing else."""
    panel = twin.panel
    texts = {panel.columns.get(level, level) for level in panel.all_levels}
    if panel.period is not None:
        texts.add(panel.period.column)
    texts |= {one.column or name for name, one in twin.indicators.items() if one.categories}
    return {one.column or name for name, one in twin.indicators.items()} - texts


def _missing_columns(table: Table, twin: Twin, asked: list[tuple[str, str]]) -> list[Problem]:
    """Columns that are not there, or there twice."""
    problems = [
        Problem(f"column '{column}'", "the table has it more than once; keep one of them.")
        for column in table.repeated(column for column, _ in asked)
    ]
    for column, purpose in asked:
        one = twin.indicators.get(purpose)
        derived = one is not None and one.equals is not None and one.column is None
        if column not in table.frame.columns and not derived:
            hint = nearest(column, table.columns)
            what = f"is not in the table, and it is to hold {purpose}. {hint}"
            problems.append(Problem(f"column '{column}'", what))
    return problems


def _on_grid(table: Table, twin: Twin, rows: Rows, cells: Cells) -> tuple[xr.Dataset, Places]:
    """Put every cell at its unit and period."""
    placed = np.flatnonzero(rows.placed)
    row_at = np.full((len(rows.units), len(rows.ordinals)), -1, dtype=np.int64)
    # Backwards, so that of several rows at one place, which are complained about, the first stays.
    row_at[rows.unit[placed][::-1], rows.period[placed][::-1]] = placed[::-1]
    present = row_at >= 0
    dims = ("unit", "period")
    variables: dict[str, Any] = {}
    for name, values in cells.columns.items():
        empty: Any = "" if values.dtype.kind == "U" else np.nan
        variables[name] = (dims, np.where(present, values[row_at], empty))
    for name, marked in cells.marks.items():
        variables.setdefault(name, (dims, present & marked[row_at]))
    variables["present"] = (dims, present)
    layout = twin.panel.period
    coordinates: dict[str, Any] = {
        "unit": np.array(rows.units, dtype=str),
        "period": rows.ordinals
        if layout is None
        else period_starts(rows.ordinals, layout.frequency),
    }
    for level in twin.panel.levels:
        nowhere = np.full(len(rows.units), -1)
        names = np.array([*rows.names.get(level, []), ""], dtype=str)
        coordinates[level] = ("unit", names[rows.group.get(level, nowhere)])

    def row(unit: int, period: int) -> str:
        return table.row(int(row_at[unit, period])) if present[unit, period] else "no row"

    places = Places(twin, rows.units, rows.labels, row)
    data = xr.Dataset(variables, coords=coordinates, attrs={"moved": rows.moved})
    return data, places
