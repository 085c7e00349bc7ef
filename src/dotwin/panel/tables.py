"""Opening a table, wherever it is: the columns that a twin asks for, as they were written.

Ids must survive ('025010' keeps its zero), so text files are read as text; a column becomes numbers
only where a twin asks for numbers and every cell is one.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.errors import DataError
from dotwin.panel.layout import SHOWN, listing

if TYPE_CHECKING:
    import duckdb

__all__ = ["Table", "open_table", "to_numbers", "to_text"]

_DELIMITERS = ",;\t|"
#: Cells of a numeric column that people write for 'no value'.
_MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "nat", "<na>"})
_TRUTH = {"true": 1.0, "false": 0.0}
_NUMBER = r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"


@dataclass(frozen=True)
class Table:
    """The columns of a table that a twin asks for.

    Parameters
    ----------
    name : str
        What messages call it.
    columns : tuple of str
        All of its columns.
    frame : DataFrame
        Those of the wanted columns that it has, a row per row.
    first_row : int
        The number of its first row: 2 below the header of a text file, as a spreadsheet counts.
    labels : Index, optional
        The rows' own labels, for a DataFrame.
    """

    name: str
    columns: tuple[str, ...]
    frame: pd.DataFrame
    first_row: int = 1
    labels: pd.Index | None = None

    def row(self, position: int) -> str:
        """Name one row."""
        label = self.first_row + position if self.labels is None else self.labels[position]
        return f"row {label}"

    def rows(self, mask: NDArray[np.bool_], value: Callable[[int], str] | None = None) -> str:
        """Name the first few rows of a mask, with their values, and count the rest."""
        positions = np.flatnonzero(mask)
        first: list[int] = positions[:SHOWN].tolist()
        items = [self.row(i) + (f": {value(i)}" if value else "") for i in first]
        return listing(items, len(positions))

    def repeated(self, wanted: Iterable[str]) -> list[str]:
        """Name the wanted columns that the table has more than once."""
        return sorted({name for name in wanted if self.columns.count(name) > 1})


def open_table(source: Any, wanted: Sequence[str], numeric: Container[str] = ()) -> Table:
    """Open a table and take the wanted columns that it has.

    Parameters
    ----------
    source : str, Path, DataFrame or DuckDB relation
        Paths end in ``.csv``, ``.csv.gz`` or ``.parquet``.
    wanted : sequence of str
    numeric : container of str
        Those of them that a text file may hold as numbers. The others are text whatever they look
        like: '37E624' and '025010' are names.

    Returns
    -------
    Table

    Raises
    ------
    DataError
        When there is no such file, or it cannot be read.
    """
    if isinstance(source, pd.DataFrame):
        return _from_frame(source, wanted)
    if isinstance(source, str | Path):
        return _from_path(Path(source), wanted, numeric)
    import duckdb

    if isinstance(source, duckdb.DuckDBPyRelation):
        return _from_relation(source, wanted, "the relation")
    raise DataError(
        f"a panel cannot be read from a {type(source).__name__}. Accepted: a path (csv, csv.gz, "
        f"parquet), a pandas DataFrame, a DuckDB relation."
    )


def _from_frame(frame: pd.DataFrame, wanted: Sequence[str]) -> Table:
    names = [name for name in frame.index.names if name in wanted and name not in frame.columns]
    labels = frame.index
    if names:
        frame = frame.reset_index(level=names)
    columns = tuple(str(column) for column in frame.columns)
    positions = {name: columns.index(name) for name in wanted if name in columns}
    taken = frame.iloc[:, list(positions.values())].reset_index(drop=True)
    taken.columns = pd.Index(list(positions))
    return Table("the table", columns, taken, labels=labels)


def _from_path(path: Path, wanted: Sequence[str], numeric: Container[str]) -> Table:
    if not path.is_file():
        kind = "a folder, not a file" if path.is_dir() else "no such file"
        raise DataError(f"'{path}': there is {kind}.")
    name = path.name.lower()
    if name.endswith((".csv", ".csv.gz", ".tsv", ".tsv.gz")):
        return _from_csv(path, wanted, numeric)
    if name.endswith(".parquet"):
        import duckdb

        with _connect() as connection:
            try:
                relation = connection.read_parquet(str(path))
                return _from_relation(relation, wanted, path.name)
            except duckdb.Error as error:
                why = str(error).splitlines()[0]
                raise DataError(f"'{path.name}' cannot be read as parquet: {why}") from None
    raise DataError(
        f"'{path.name}': a panel is read from .csv, .csv.gz or .parquet. Save the table as one of "
        f"these, or pass a DataFrame."
    )


def _connect() -> duckdb.DuckDBPyConnection:
    import duckdb

    # Nothing is fetched from anywhere while a table is read.
    return duckdb.connect(
        ":memory:",
        config={"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"},
    )


def _from_relation(relation: Any, wanted: Sequence[str], name: str) -> Table:
    columns = tuple(relation.columns)
    types = dict(zip(columns, (str(kind) for kind in relation.types), strict=True))
    taken = [column for column in dict.fromkeys(wanted) if column in types]
    if not taken:
        return Table(name, columns, _bare(relation))
    # A time with a zone is the clock on the wall; a long whole number must not become a float.
    casts = {"TIMESTAMP WITH TIME ZONE": "VARCHAR", "HUGEINT": "VARCHAR", "UHUGEINT": "VARCHAR"}
    items = [
        f"CAST({_quoted(column)} AS {casts[types[column]]}) AS {_quoted(column)}"
        if types[column] in casts
        else _quoted(column)
        for column in taken
    ]
    frame = relation.project(", ".join(items)).df()
    frame.columns = pd.Index(taken)
    return Table(name, columns, frame)


def _bare(relation: Any) -> pd.DataFrame:
    """Rows without columns."""
    ((rows,),) = relation.aggregate("count(*)").fetchall()
    return pd.DataFrame(index=range(rows))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _header(path: Path) -> tuple[tuple[str, ...], str]:
    """Read the names in the first line, and what separates them."""
    opened = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            line = file.readline()
    except (UnicodeDecodeError, OSError) as error:
        raise DataError(f"'{path.name}' cannot be read as text in UTF-8: {error}.") from None
    if not line.strip():
        raise DataError(f"'{path.name}' is empty: its first line must name the columns.")
    delimiter = max(_DELIMITERS, key=line.count)
    names = next(csv.reader([line.rstrip("\r\n")], delimiter=delimiter))
    return tuple(name.strip() for name in names), delimiter


def _from_csv(path: Path, wanted: Sequence[str], numeric: Container[str]) -> Table:
    import duckdb

    names, delimiter = _header(path)
    # Positions stand for names: DuckDB does not tell 'Rate' from 'rate'.
    stand_in = {name: f"c{names.index(name)}" for name in dict.fromkeys(wanted) if name in names}
    layout = {f"c{position}": "VARCHAR" for position in range(len(names))}
    with _connect() as connection:
        try:
            relation = connection.read_csv(
                str(path),
                header=True,
                sep=delimiter,
                quotechar='"',
                escapechar='"',
                columns=layout,
                auto_detect=False,
            )
            readable = {position for name, position in stand_in.items() if name in numeric}
            frame = _numbers_where_plain(relation, list(stand_in.values()), readable)
        except duckdb.Error as error:
            raise DataError(f"'{path.name}' cannot be read: {_why(error)}") from None
    frame.columns = pd.Index(list(stand_in))
    return Table(path.name, names, frame, first_row=2)


def _why(error: Exception) -> str:
    """Say in one line what DuckDB found wrong with a text file."""
    lines = str(error).splitlines()
    line = lines[0].removeprefix("Invalid Input Error: ").removeprefix("CSV Error on ").rstrip(".")
    if "utf-8" in str(error):
        return f"{line.lower()} is not text in UTF-8; save the file in that encoding."
    found = next((one for one in lines if one.startswith("Expected Number of Columns")), "")
    if found:
        return (
            f"{line.lower()} has another number of cells than the header ({found.lower()}); put "
            f"quotes around cells that contain the separator."
        )
    return line


def _numbers_where_plain(
    relation: Any, columns: list[str], readable: Container[str]
) -> pd.DataFrame:
    """Take columns of text; those to be read as numbers as such, where every filled cell is one."""
    if not columns:
        return _bare(relation)
    cell = "coalesce(trim({0}), '') = '' OR regexp_full_match(trim({0}), '{1}')"
    tests = [
        f"bool_and({cell.format(c, _NUMBER)}) AS {c}" if c in readable else f"false AS {c}"
        for c in columns
    ]
    plain = relation.aggregate(", ".join(tests)).fetchall()[0]
    items = [
        f"TRY_CAST(trim({c}) AS DOUBLE) AS {c}" if is_plain else c
        for c, is_plain in zip(columns, plain, strict=True)
    ]
    frame: pd.DataFrame = relation.project(", ".join(items)).df()
    return frame


def to_text(column: pd.Series) -> NDArray[np.object_]:
    """Write every cell of a column as text; an empty cell is "".

    Whole numbers are written without a decimal point, dates as ISO dates; blanks around text go.

    Parameters
    ----------
    column : Series, dims (row,)

    Returns
    -------
    ndarray of str objects, dims (row,)

    Examples
    --------
    >>> to_text(pd.Series([7.0, None, 8.0])).tolist()
    ['7', '', '8']
    """
    codes, values = pd.factorize(column)
    texts = np.array([*(_text(value) for value in values), ""], dtype=object)
    result: NDArray[np.object_] = texts[codes]
    return result


def _text(value: Any) -> str:
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return f"{value:.0f}"
    if isinstance(value, pd.Timestamp) and value == value.normalize():
        return value.strftime("%Y-%m-%d")
    return str(value).strip()


def to_numbers(column: pd.Series) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Read every cell of a column as a number.

    True and false are 1 and 0. Empty cells, and text such as ``NA``, are missing.

    Parameters
    ----------
    column : Series, dims (row,)

    Returns
    -------
    numbers : ndarray of float, dims (row,)
        NaN where missing or unreadable.
    unreadable : ndarray of bool, dims (row,)

    Examples
    --------
    >>> numbers, unreadable = to_numbers(pd.Series(["1.5", "", "many"]))
    >>> numbers.tolist(), unreadable.tolist()
    ([1.5, nan, nan], [False, False, True])
    """
    if pd.api.types.is_numeric_dtype(column.dtype) and not pd.api.types.is_complex_dtype(column):
        numbers = column.to_numpy(dtype=float, na_value=np.nan)
        return numbers, np.zeros(len(column), dtype=bool)
    texts = to_text(column)
    codes, unique = pd.factorize(texts)
    lower = [str(text).lower() for text in unique]
    read = pd.to_numeric(pd.Series(unique, dtype="str"), errors="coerce").to_numpy(dtype=float)
    read = np.array([_TRUTH.get(text, number) for text, number in zip(lower, read, strict=True)])
    missing = np.array([text in _MISSING for text in lower], dtype=bool)
    unreadable = np.isnan(read) & ~missing
    return read[codes], unreadable[codes]
