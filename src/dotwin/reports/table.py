"""A table of a report: the same cells in the page and in the JSON beside it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dotwin.worlds.tables import number

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Table", "cell", "declared", "from_frame"]


@dataclass(frozen=True)
class Table:
    """A table with what its numbers are.

    Parameters
    ----------
    caption : str
        What it shows, and in which unit.
    columns : tuple of str
    rows : tuple of tuples
        Text, whole numbers, floats, or None for what does not apply.
    interval : str
        Which interval its columns hold; empty for a table without one.
    """

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...] = field(default=())
    interval: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Return plain data; numbers have the digits that the page shows, or more."""
        return {
            "caption": self.caption,
            "interval": self.interval,
            "columns": list(self.columns),
            "rows": [[_plain(value) for value in row] for row in self.rows],
        }

    def __len__(self) -> int:
        return len(self.rows)


def _plain(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    if hasattr(value, "item"):
        return _plain(value.item())
    return value


def cell(value: Any) -> str:
    """Write a cell for people: three significant digits, a true minus sign.

    Examples
    --------
    >>> cell(-0.01234), cell(1234), cell(None)
    ('−0.0123', '1,234', '–')
    """
    plain = _plain(value)
    if plain is None:
        return "–"
    if isinstance(plain, bool):
        return "yes" if plain else "no"
    if isinstance(plain, int):
        return f"{plain:,}".replace("-", "−")
    if isinstance(plain, float):
        return number(plain).replace("-", "−")
    return str(plain)


def declared(value: float) -> str:
    """Write a number that somebody declared, with the digits that it was given.

    Examples
    --------
    >>> declared(5.0), declared(-0.8)
    ('5', '−0.8')
    """
    return f"{round(value, 10):,.10g}".replace("-", "−")


def from_frame(
    frame: pd.DataFrame, caption: str, columns: Sequence[tuple[str, str]], interval: str = ""
) -> Table:
    """Take some columns of a frame under names for people.

    Parameters
    ----------
    frame : DataFrame
    caption : str
    columns : sequence of (column, heading)
    interval : str
    """
    kept = [frame[column].tolist() for column, _ in columns]
    return Table(
        caption, tuple(heading for _, heading in columns), tuple(zip(*kept, strict=True)), interval
    )
