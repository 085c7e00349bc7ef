"""From values in place to a panel: check them, derive what follows from them, take stock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from dotwin.errors import DataError, Problem
from dotwin.panel.accounting import account, residual_problems, with_accounting
from dotwin.panel.checks import check_values
from dotwin.panel.layout import Places, groups_of, known, listing, places_of
from dotwin.panel.quality import Quality, assess
from dotwin.spec.twin import Twin

__all__ = ["complete"]

_DIMS = ("unit", "period")


def complete(
    twin: Twin,
    data: xr.Dataset,
    *,
    on_invalid: Literal["error", "missing"] = "error",
    places: Places | None = None,
    problems: Sequence[Problem] = (),
    impossible: Sequence[pd.DataFrame] = (),
    ignored: Sequence[str] = (),
    source: str = "",
    broken: bool = False,
) -> tuple[xr.Dataset, Quality]:
    """Check the values of a table that is in place, derive what follows from them, take stock.

    Parameters
    ----------
    twin : Twin
    data : Dataset, dims (unit, period)
        Coordinates and ``present`` in place; indicators as they were read.
    on_invalid : {'error', 'missing'}
    places : Places, optional
        Names the table's rows in messages.
    problems : sequence of Problem
        Those found so far, to be reported with the rest.
    impossible : sequence of DataFrame
        Cells that were made missing so far.
    ignored : sequence of str
        Columns that were not read.
    source : str
        What messages call the table.
    broken : bool
        Whether rows are out of place, so that only single values can be judged.

    Returns
    -------
    data : Dataset, dims (unit, period)
        As a panel holds it.
    quality : Quality

    Raises
    ------
    DataError
        With every problem.
    """
    found = list(problems)
    logged = list(impossible)
    places = places or places_of(data, twin)
    groups = groups_of(data, twin)
    present = np.asarray(data["present"].values)
    arrays = {name: np.asarray(data[name].values) for name in twin.indicators if name in data}
    for name, one in twin.indicators.items():
        if name in arrays and one.level is not None and one.level != twin.unit:
            arrays[name], conflict = _shared(name, one.level, arrays[name], groups, places)
            found += conflict
    checked = check_values(twin, arrays, groups)
    if on_invalid == "missing":
        logged += [one.rows(places) for one in checked.found]
    else:
        found += [one.problem(places) for one in checked.found]
    arrays = checked.arrays
    for name in twin.given:
        if name in arrays:
            arrays[name] = _carried(arrays[name], present)
    data = data.assign({name: (_DIMS, values) for name, values in arrays.items()})
    if not broken:
        result = account(twin, arrays, groups, present)
        found += residual_problems(twin, result, places)
        data = with_accounting(data, twin, result)
    if found:
        raise DataError(found, source=source)
    log = pd.concat(logged, ignore_index=True) if logged else None
    for name, one in twin.indicators.items():
        if name in data:
            data[name].attrs.update(long_name=twin.label(name), units=one.unit)
    ordered = [name for name in twin.indicators if name in data]
    rest = [str(name) for name in data.data_vars if name not in ordered]
    data = data[[*ordered, *rest]]
    return data, assess(data, twin, impossible=log, ignored=ignored)


def _shared(
    name: str,
    level: str,
    values: NDArray[Any],
    groups: Mapping[str, tuple[NDArray[np.intp], list[str]]],
    places: Places,
) -> tuple[NDArray[Any], list[Problem]]:
    """Give every unit its group's value; complain where a group has several in one period."""
    codes, names = groups[level]
    if values.dtype.kind == "U":
        texts, coded = np.unique(values, return_inverse=True)
        numbers = np.where(values == "", np.nan, coded.reshape(values.shape).astype(float))
    else:
        texts, numbers = None, values
    low = np.full((len(names), values.shape[1]), np.inf)
    high = np.full_like(low, -np.inf)
    np.fmin.at(low, codes, numbers)
    np.fmax.at(high, codes, numbers)
    problems = []
    several = low < high
    if several.any():
        items = []
        first: list[list[int]] = np.argwhere(several)[:5].tolist()
        for group, period in first:
            shown = [
                str(v) for v in np.unique(values[codes == group, period]) if v not in ("nan", "")
            ]
            where = f"{level} {names[group]}"
            if len(places.labels) > 1:
                where += f", {places.labels[period]}"
            items.append(f"{where}: {', '.join(shown[:4])}")
        problems.append(
            Problem(
                places.where(name),
                f"is recorded by {level}, but {int(several.sum()):,} of them differ between their "
                f"units — {listing(items, int(several.sum()))}. Give all units of a {level} the "
                f"same value, or leave level: out.",
            )
        )
    group_value = np.where(np.isfinite(high), high, np.nan)[codes]
    if texts is None:
        # Infinite values are left for the check of values to name.
        return np.where(np.isinf(numbers), numbers, group_value), problems
    missing = np.isnan(group_value)
    return np.where(missing, "", texts[np.where(missing, 0, group_value).astype(int)]), problems


def _carried(values: NDArray[Any], present: NDArray[np.bool_]) -> NDArray[Any]:
    """Let a given that never varies within a unit hold in the unit's absent periods too."""
    there = known(values) & present
    if values.dtype.kind == "U":
        texts, coded = np.unique(values, return_inverse=True)
        numbers = coded.reshape(values.shape).astype(float)
    else:
        texts, numbers = None, values
    low = np.where(there, numbers, np.inf).min(axis=1)
    high = np.where(there, numbers, -np.inf).max(axis=1)
    if (low < high).any():
        return values
    fill = ~present & np.isfinite(high)[:, None] & ~known(values)
    constant = np.where(np.isfinite(high), high, 0.0)
    if texts is None:
        return np.where(fill, constant[:, None], values)
    return np.where(fill, texts[constant.astype(int)][:, None], values)
