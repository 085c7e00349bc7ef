"""Indicators that are exact accounting: what their parts say they are, period after period.

With a recorded column, the first recorded value starts the recursion and every later one is
compared with what the equation makes of the period before. Without one, each unit's value in its
first period is ``start``, and the equation makes the rest. An equation that does not read the
past needs neither: it holds in every period.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from dotwin.errors import DataError, Problem
from dotwin.panel.environment import ArrayEnvironment
from dotwin.panel.layout import Places, agreeing, counted, groups_of, places_of
from dotwin.spec.expressions import Expr, evaluate, parse
from dotwin.spec.twin import Twin

__all__ = ["Accounting", "account", "derive_accounting", "residual_name"]

type Floats = NDArray[np.float64]

#: Records and equation agree when they differ by less than rounding in the seventh digit.
TOLERANCE = 1e-6


def residual_name(indicator: str) -> str:
    """Name the variable that holds an indicator's additive adjustment.

    Examples
    --------
    >>> residual_name("backlog")
    'residual__backlog'
    """
    return f"residual__{indicator}"


@dataclass(frozen=True)
class Accounting:
    """What the accounting equations give.

    Parameters
    ----------
    values : dict of str to ndarray, dims (unit, period)
        Every accounting indicator whose parts are there: recorded where recorded, else computed.
    residuals : dict of str to ndarray, dims (unit, period)
        Recorded less computed. 0 where nothing is recorded or the record starts the recursion,
        NaN where a record cannot be compared because a part is missing.
    """

    values: dict[str, Floats] = field(default_factory=dict)
    residuals: dict[str, Floats] = field(default_factory=dict)


def account(
    twin: Twin,
    arrays: Mapping[str, NDArray[Any]],
    groups: Mapping[str, tuple[NDArray[np.intp], list[str]]],
    present: NDArray[np.bool_],
) -> Accounting:
    """Compute every accounting indicator whose parts are there.

    Parameters
    ----------
    twin : Twin
    arrays : mapping of str to ndarray, dims (unit, period)
        The recorded indicators.
    groups : mapping of str to (codes, names)
    present : ndarray of bool, dims (unit, period)

    Returns
    -------
    Accounting
    """
    equations = _in_order(twin, arrays)
    if not equations:
        return Accounting()
    result = Accounting(
        {name: np.full(present.shape, np.nan) for name in equations},
        {name: np.zeros(present.shape) for name in equations},
    )
    # The loop is over periods only: one period's values are the next one's past.
    everything = {**arrays, **result.values}
    started = {name: np.zeros(len(present), dtype=bool) for name in equations}
    for period in range(present.shape[1]):
        environment = ArrayEnvironment(twin, everything, groups, period)
        here = present[:, period]
        for name, equation in equations.items():
            computed = np.broadcast_to(
                np.asarray(evaluate(equation, environment), dtype=float), here.shape
            )
            computed = np.where(here & np.isfinite(computed), computed, np.nan)
            recorded = arrays[name][:, period] if name in arrays else None
            if equation.max_lag:
                first = here & ~started[name]
                if recorded is None:
                    start = twin.indicators[name].start
                    computed = np.where(first & (start is not None), start or 0.0, computed)
                else:
                    # Nothing is known before the first record, and nothing is made up.
                    first = ~np.isnan(recorded) & ~started[name]
                    computed = np.where(first, recorded, computed)
                started[name] |= first
            known = here if recorded is None else here & ~np.isnan(recorded)
            if recorded is not None:
                result.residuals[name][known, period] = (recorded - computed)[known]
                computed = np.where(known, recorded, computed)
            everything[name][:, period] = computed
    return result


def _in_order(twin: Twin, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Expr]:
    """Accounting equations whose parts are there, each after what it reads in its own period."""
    equations = {
        name: parse(one.equals) for name, one in twin.indicators.items() if one.equals is not None
    }
    levels = set(twin.panel.all_levels)
    while True:
        there = set(arrays) | set(equations) | levels
        lacking = {name for name, e in equations.items() if not e.names() <= there}
        if not lacking:
            break
        equations = {name: e for name, e in equations.items() if name not in lacking}
    same_period: nx.DiGraph[str] = nx.DiGraph()
    same_period.add_nodes_from(equations)
    same_period.add_edges_from(
        (cause, name)
        for name, equation in equations.items()
        for cause, lag in equation.refs()
        if lag == 0 and cause in equations
    )
    order = nx.lexicographical_topological_sort(same_period)
    return {name: equations[name] for name in order}


def residual_problems(twin: Twin, result: Accounting, places: Places) -> list[Problem]:
    """Name the records that contradict their equation, unless the twin keeps the difference."""
    problems = []
    for name, residual in result.residuals.items():
        one = twin.indicators[name]
        if one.residual == "keep":
            continue
        size = np.maximum(1.0, np.abs(result.values[name]))
        # NaN compares false: a record that cannot be checked is not accused.
        off = np.abs(residual) > TOLERANCE * size
        if off.any():
            values = result.values[name]
            largest = float(np.nanmax(np.abs(residual[off])))
            shown = places.list(
                off,
                lambda u, p, v=values, r=residual: f"{v[u, p]:g}, not {v[u, p] - r[u, p]:g}",  # type: ignore[misc] # the defaults bind the loop's arrays
            )
            number = int(off.sum())
            said = f"{counted(number, 'value')} {agreeing(number, 'differ from')}"
            problems.append(
                Problem(
                    places.where(name),
                    f"{said} '{one.equals}', by up to "
                    f"{largest:.4g}: {shown}. Correct them, or write residual: keep to carry the "
                    f"difference as an adjustment.",
                )
            )
    return problems


def derive_accounting(dataset: xr.Dataset, twin: Twin) -> xr.Dataset:
    """Add the accounting indicators to a panel's data.

    Parameters
    ----------
    dataset : Dataset, dims (unit, period)
        With ``present`` and every recorded indicator.
    twin : Twin

    Returns
    -------
    Dataset
        With a variable for every indicator that ``equals`` something and whose parts are there.
        With ``residual: keep`` also ``residual__<indicator>``: what was recorded less what the
        equation gives, to be added in every world alike.

    Raises
    ------
    DataError
        When a record contradicts its equation and the twin does not keep the difference.

    Examples
    --------
    >>> from dotwin.spec.twin import Twin
    >>> twin = Twin(
    ...     twin="queue",
    ...     panel={"unit": "site", "period": {"column": "year", "frequency": "year"}},
    ...     indicators={
    ...         "arrivals": {"domain": "demand"},
    ...         "queue": {"domain": "capacity", "equals": "queue[-1] + arrivals", "start": 0},
    ...     },
    ... )
    >>> dims = ("unit", "period")
    >>> data = xr.Dataset(
    ...     {"arrivals": (dims, [[3.0, 2.0, 4.0]]), "present": (dims, [[True, True, True]])},
    ...     coords={"unit": ["A"], "period": [0, 1, 2]},
    ... )
    >>> derive_accounting(data, twin)["queue"].values
    array([[0., 2., 6.]])
    """
    arrays = {name: np.asarray(dataset[name].values) for name in twin.indicators if name in dataset}
    result = account(twin, arrays, groups_of(dataset, twin), np.asarray(dataset["present"].values))
    problems = residual_problems(twin, result, places_of(dataset, twin))
    if problems:
        raise DataError(problems)
    return with_accounting(dataset, twin, result)


def with_accounting(dataset: xr.Dataset, twin: Twin, result: Accounting) -> xr.Dataset:
    """Put computed indicators and kept residuals into the data."""
    dims = ("unit", "period")
    kept: Sequence[str] = [n for n in result.values if twin.indicators[n].residual == "keep"]
    return dataset.assign(
        {name: (dims, values) for name, values in result.values.items()}
        | {residual_name(name): (dims, result.residuals[name]) for name in kept}
    )
