"""Where a value stands: units, their groups and periods, and how a message names a place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from dotwin.errors import Problem, SpecificationError
from dotwin.panel.periods import period_labels, period_ordinals
from dotwin.spec.twin import Twin

__all__ = [
    "Places",
    "agreeing",
    "counted",
    "groups_of",
    "known",
    "labels_of",
    "listing",
    "places_of",
]

#: A message names this many places and counts the rest.
SHOWN = 5


def listing(items: Sequence[str], total: int | None = None) -> str:
    """Join the first few items and say how many more there are.

    Parameters
    ----------
    items : sequence of str
    total : int, optional
        How many there are, when ``items`` is only the beginning.

    Examples
    --------
    >>> listing(["a", "b"], total=9)
    'a; b; and 7 more'
    """
    total = len(items) if total is None else total
    shown = list(items[:SHOWN])
    if total > len(shown):
        shown.append(f"and {total - len(shown):,} more")
    return "; ".join(shown)


def counted(number: int, noun: str) -> str:
    """Write a number with its noun.

    Examples
    --------
    >>> counted(1, "row"), counted(2300, "row"), counted(2, "facility")
    ('1 row', '2,300 rows', '2 facilities')
    """
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y") and noun[-2:-1] not in set("aeiou"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'x', 'ch', 'sh')) else 's'}"


#: What a message says of several values, and of one.
_SINGULAR = {"are": "is", "have": "has", "do": "does"}


def agreeing(number: int, what: str) -> str:
    """Let a phrase about several things agree with their number.

    Examples
    --------
    >>> agreeing(1, "lie below 0"), agreeing(2, "are infinite")
    ('lies below 0', 'are infinite')
    """
    if number != 1:
        return what
    verb, _, rest = what.partition(" ")
    return f"{_SINGULAR.get(verb, f'{verb}s')} {rest}"


def known(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Say where a value is recorded: not NaN, and not empty text.

    Examples
    --------
    >>> known(np.array(["profit", ""])).tolist()
    [True, False]
    """
    recorded = values != "" if values.dtype.kind in "OU" else ~np.isnan(values)
    return np.asarray(recorded, dtype=bool)


#: What a panel calls its own dimensions and variables.
_OWN_NAMES = ("unit", "period", "present")


def refuse_own_names(twin: Twin) -> None:
    """Refuse indicators, levels and marks that a panel could not tell from its own variables.

    Parameters
    ----------
    twin : Twin

    Raises
    ------
    SpecificationError
        With every such name.
    """
    named = [(f"indicators > {name}", name) for name in twin.indicators]
    named += [("panel > levels", level) for level in twin.panel.levels]
    named += [
        (f"indicators > {name} > assigned > column", one.assigned.column)
        for name, one in twin.indicators.items()
        if one.assigned is not None
    ]
    problems = [
        Problem(where, f"'{name}' is a name of the panel's own; choose another.")
        for where, name in named
        if name in _OWN_NAMES or name.startswith("residual__")
    ]
    if problems:
        raise SpecificationError(problems)


def groups_of(dataset: xr.Dataset, twin: Twin) -> dict[str, tuple[NDArray[np.intp], list[str]]]:
    """Code each unit by its group, for every level and for the unit itself.

    Returns
    -------
    dict of str to (codes, names)
        ``names`` sorted; ``codes`` has dims (unit,).
    """
    result = {}
    for level in twin.panel.all_levels:
        coordinate = "unit" if level == twin.unit else level
        names, codes = np.unique(np.asarray(dataset[coordinate].values, str), return_inverse=True)
        result[level] = (codes.astype(np.intp), [str(name) for name in names])
    return result


def labels_of(dataset: xr.Dataset, twin: Twin) -> list[str]:
    """Name the periods of a panel; a cross-section's only period is '0'."""
    periods = np.asarray(dataset["period"].values)
    if twin.panel.period is None or periods.dtype.kind != "M":
        return [str(period) for period in periods.tolist()]
    frequency = twin.panel.period.frequency
    return period_labels(period_ordinals(periods, frequency), frequency)


@dataclass(frozen=True)
class Places:
    """Names the places of a panel in messages.

    Parameters
    ----------
    twin : Twin
    units : sequence of str
    labels : sequence of str
        The periods.
    row : callable (unit position, period position) -> str, optional
        The name of the table's row that holds the place.
    """

    twin: Twin
    units: Sequence[str]
    labels: Sequence[str]
    row: Callable[[int, int], str] | None = None

    def where(self, indicator: str) -> str:
        """Name an indicator and its column."""
        column = self.twin.indicators[indicator].column
        return f"{indicator} (column '{column}')" if column else indicator

    def name(self, unit: int, period: int) -> str:
        """Name one unit and period."""
        place = f"{self.twin.unit} {self.units[unit]}"
        if self.twin.panel.period is not None:
            place += f", {self.labels[period]}"
        return place if self.row is None else f"{self.row(unit, period)} ({place})"

    def list(self, mask: ArrayLike, value: Callable[[int, int], str] | None = None) -> str:
        """Name the first few places of a mask, with their values, and count the rest.

        Parameters
        ----------
        mask : array_like of bool, dims (unit, period)
        value : callable (unit position, period position) -> str, optional
        """
        places = np.argwhere(np.asarray(mask))
        first: Any = places[:SHOWN].tolist()
        items = [self.name(u, p) + (f": {value(u, p)}" if value else "") for u, p in first]
        return listing(items, len(places))


def places_of(dataset: xr.Dataset, twin: Twin) -> Places:
    """Name the places of a dataset that came from no table."""
    return Places(twin, dataset["unit"].values.tolist(), labels_of(dataset, twin))
