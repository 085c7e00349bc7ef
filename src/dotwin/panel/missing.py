"""Which rows a mechanism can use, and the one reason why each of the others is set aside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.panel.environment import lagged
from dotwin.panel.layout import known

if TYPE_CHECKING:
    from dotwin.panel.panel import Panel

__all__ = ["account_rows", "compare_set_aside", "usable_rows"]

type Bools = NDArray[np.bool_]

#: A text indicator with more categories than this says little by the share of each.
_MOST_CATEGORIES = 12


def account_rows(present: Bools, checks: Sequence[tuple[str, Bools]]) -> tuple[Bools, pd.DataFrame]:
    """Use the rows that pass every check; count each of the others under the first it fails.

    Parameters
    ----------
    present : ndarray of bool, dims (unit, period)
        Where the table has a row. Elsewhere the unit is outside: not missing, and not counted.
    checks : sequence of (reason, ok)
        In order of priority; ``ok`` has dims (unit, period).

    Returns
    -------
    used : ndarray of bool, dims (unit, period)
    accounting : DataFrame
        Columns ``reason`` and ``rows``, a row per reason that set any row aside, in the order of
        the checks. ``rows`` and the used rows add up to the present ones.

    Examples
    --------
    >>> present = np.array([[True, True, False]])
    >>> used, table = account_rows(present, [("y missing", np.array([[True, False, True]]))])
    >>> used.tolist(), table.to_dict("records")
    ([[True, False, False]], [{'reason': 'y missing', 'rows': 1}])
    """
    used = np.array(present, dtype=bool)
    counts: dict[str, int] = {}
    for reason, ok in checks:
        failed = used & ~np.asarray(ok, dtype=bool)
        number = int(failed.sum())
        if number:
            counts[reason] = counts.get(reason, 0) + number
        used &= ~failed
    table = pd.DataFrame({"reason": list(counts), "rows": list(counts.values())})
    return used, table.astype({"reason": "str", "rows": "int64"})


def usable_rows(
    panel: Panel,
    outcome: str,
    needed: Sequence[tuple[str, int]],
    *,
    holds: tuple[str, NDArray[Any]] | None = None,
) -> tuple[Bools, pd.DataFrame]:
    """Say which rows have everything that a mechanism reads.

    A row that lacks several things is counted once, under the first of: the mechanism does not
    hold there; the outcome is missing; a lag lies before the window; a lag falls on a period in
    which the unit is absent; a cause is missing. Causes are taken in the order given.

    Parameters
    ----------
    panel : Panel
    outcome : str
        The mechanism's indicator.
    needed : sequence of (indicator, lag)
        What its equation reads.
    holds : (condition, ndarray of float), optional
        Where the mechanism holds, dims (unit, period): 1, 0, or NaN where that is unknown.

    Returns
    -------
    used : ndarray of bool, dims (unit, period)
    accounting : DataFrame
        As from `account_rows`.

    Examples
    --------
    >>> from dotwin.panel.panel import example_panel
    >>> used, table = usable_rows(example_panel(), "visits", [("staff", 1)])
    >>> table.to_dict("records")
    [{'reason': 'lag of staff before the window', 'rows': 2}]
    """
    present = np.asarray(panel.data["present"].values)
    checks: list[tuple[str, Bools]] = []
    if holds is not None:
        condition, where = holds
        checks.append((f"whether it holds (when {condition}) is unknown", ~np.isnan(where)))
        checks.append((f"does not hold (when {condition})", where != 0))
    checks.append((f"outcome {outcome} missing", known(panel.values(outcome))))
    lags = [(name, lag) for name, lag in needed if lag]
    positions = np.arange(present.shape[1])
    for name, lag in lags:
        inside = np.broadcast_to(positions >= lag, present.shape)
        checks.append((f"lag of {name} before the window", inside))
    # A known input may be known where the unit has no row, so absence alone does not set aside.
    for name, lag in lags:
        there = lagged(present.astype(float), lag) == 1
        recorded = known(lagged(panel.values(name), lag))
        checks.append((f"lag of {name}: unit absent in that period", there | recorded))
    for name, lag in needed:
        if (name, lag) == (outcome, 0):
            continue
        what = f"lag of {name} missing" if lag else f"cause {name} missing"
        checks.append((what, known(lagged(panel.values(name), lag))))
    return account_rows(present, checks)


def compare_set_aside(panel: Panel, used: Bools) -> pd.DataFrame:
    """Show how the rows that are set aside differ from those that are used.

    Setting rows aside is valid if missingness does not depend on the outcome given the causes.
    The data cannot prove that; large differences are a reason to doubt it.

    Parameters
    ----------
    panel : Panel
    used : ndarray of bool, dims (unit, period)

    Returns
    -------
    DataFrame
        A row per indicator (per category, for text): mean among used rows and among rows set
        aside, how many values stand behind each, and their difference in pooled sds.

    Examples
    --------
    >>> from dotwin.panel.panel import example_panel
    >>> panel = example_panel()
    >>> used = panel.data["present"].values & (panel.values("staff") > 1)
    >>> list(compare_set_aside(panel, used).columns)
    ['mean used', 'mean set aside', 'values used', 'values set aside', 'difference in sds']
    """
    present = np.asarray(panel.data["present"].values)
    aside = present & ~used
    rows: dict[str, tuple[float, float, int, int, float]] = {}
    for name, values in _numeric(panel):
        inside, outside = (
            part[~np.isnan(part)] for part in (values[present & used], values[aside])
        )
        means = [float(part.mean()) if part.size else np.nan for part in (inside, outside)]
        spreads = [float(part.var()) if part.size else np.nan for part in (inside, outside)]
        sd = float(np.sqrt(sum(spreads) / 2))
        gap = means[1] - means[0]
        difference = gap / sd if sd > 0 else (0.0 if gap == 0 else np.nan)
        rows[name] = (means[0], means[1], inside.size, outside.size, difference)
    columns = [
        "mean used",
        "mean set aside",
        "values used",
        "values set aside",
        "difference in sds",
    ]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("indicator")


def _numeric(panel: Panel) -> list[tuple[str, NDArray[np.float64]]]:
    """Every indicator as numbers; text as the share of each category."""
    result = []
    for name in panel.indicators:
        values = panel.values(name)
        if values.dtype.kind == "f":
            result.append((name, values))
            continue
        categories = [text for text in np.unique(values).tolist() if text]
        if len(categories) <= _MOST_CATEGORIES:
            for category in categories:
                share = np.where(values == "", np.nan, (values == category).astype(float))
                result.append((f"{name} = {category}", share))
    return result
