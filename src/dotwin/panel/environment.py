"""What an expression is read against in a panel: arrays by unit and period."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import ExpressionError
from dotwin.panel.exposure import exposed
from dotwin.spec.expressions import Expr
from dotwin.spec.twin import Twin

__all__ = ["ArrayEnvironment", "across_units", "lagged"]


def lagged(values: NDArray[Any], lag: int) -> NDArray[Any]:
    """Shift values ``lag`` periods back; missing before the window.

    Parameters
    ----------
    values : ndarray, dims (unit, period)
        Float, or text with "" for missing.
    lag : int

    Returns
    -------
    ndarray, dims (unit, period)

    Examples
    --------
    >>> lagged(np.array([[1.0, 2.0, 3.0]]), 1)
    array([[nan,  1.,  2.]])
    """
    if lag == 0:
        return values
    result = np.full(values.shape, "" if values.dtype.kind in "OU" else np.nan, values.dtype)
    result[:, lag:] = values[:, :-lag]
    return result


def across_units(
    function: str, values: NDArray[Any], codes: NDArray[np.intp], others: bool
) -> NDArray[np.float64]:
    """Take the mean or sum over the units of each unit's group.

    Units that are absent or whose value is missing do not count; a group of none is missing.

    Parameters
    ----------
    function : {'mean', 'sum'}
    values : ndarray, dims (unit, ...)
    codes : ndarray of int, dims (unit,)
        Each unit's group.
    others : bool
        Whether to leave the unit itself out.

    Returns
    -------
    ndarray of float, dims of ``values``

    Examples
    --------
    >>> across_units("sum", np.array([1.0, 2.0, 5.0]), np.array([0, 0, 1]), False)
    array([3., 3., 5.])
    """
    known = ~np.isnan(values)
    filled = np.where(known, values, 0.0)
    groups = (int(codes.max()) + 1 if codes.size else 0, *values.shape[1:])
    total, count = np.zeros(groups), np.zeros(groups)
    np.add.at(total, codes, filled)
    np.add.at(count, codes, known)
    total, count = total[codes], count[codes]
    if others:
        total, count = total - filled, count - known
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = total / count
    return mean if function == "mean" else np.where(count > 0, total, np.nan)


@dataclass(frozen=True)
class ArrayEnvironment:
    """Reads expressions from plain arrays, for all periods or for one.

    Parameters
    ----------
    twin : Twin
    arrays : mapping of str to ndarray, dims (unit, period)
        Values by indicator; text has "" for missing, numbers NaN.
    groups : mapping of str to (codes, names)
        Of each level and of the unit: each unit's position among the group names.
    period : int, optional
        Read this period only; arrays then have dims (unit,). All of them unless given.
    """

    twin: Twin
    arrays: Mapping[str, NDArray[Any]]
    groups: Mapping[str, tuple[NDArray[np.intp], list[str]]]
    period: int | None = None

    def value(self, name: str, lag: int) -> NDArray[Any]:
        """Return an indicator's values ``lag`` periods back, or the names of a level's groups."""
        if name not in self.arrays and name in self.groups:
            codes, names = self.groups[name]
            members = np.asarray(names, dtype=str)[codes]
            return members[:, None] if self.period is None else members
        values = self.arrays[name]
        if self.period is None:
            return lagged(values, lag)
        if self.period >= lag:
            one: NDArray[Any] = values[:, self.period - lag]
            return one
        return np.full(len(values), "" if values.dtype.kind in "OU" else np.nan, values.dtype)

    def trials(self, name: str, lag: int) -> NDArray[Any]:
        """Return the trials of an indicator that has them."""
        trials = self.twin.indicators[name].trials
        if trials is None:
            raise ExpressionError(f"share({name}): '{name}' has no trials, so it has no share.")
        return self.value(trials, lag)

    def start(self, expression: Expr) -> NDArray[Any]:
        """Refuse: a panel knows no intervention."""
        raise ExpressionError(f"start({expression}) has a meaning only inside an intervention.")

    def across(self, function: str, values: Any, over: str, others: bool) -> NDArray[np.float64]:
        """Return the mean or sum over each unit's group, or over those that it is exposed to."""
        if over in self.twin.exposures:
            codes, names = self.groups[self.twin.unit]
            units = tuple(names[code] for code in codes)
            matrix = np.asarray(values, dtype=float)
            return exposed(function, matrix.T, self.twin.exposures[over], units, others).T
        codes, _ = self.groups[over]
        array = np.asarray(values, dtype=float)
        if array.shape[:1] != codes.shape:
            array = np.broadcast_to(array, codes.shape)
        return across_units(function, array, codes, others)
