"""Means and sums over the units that an exposure matrix says a unit sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.spec.exposure import Exposure

__all__ = ["exposed"]


@dataclass(frozen=True, eq=False)
class _Pairs:
    """The pairs among some units, sorted by unit and then by other: sums have a fixed order."""

    others: NDArray[np.intp]
    weights: NDArray[np.float64]
    begins: NDArray[np.intp]
    who: NDArray[np.intp]


@lru_cache(maxsize=16)
def _pairs(exposure: Exposure, units: tuple[str, ...], others: bool) -> _Pairs:
    place = {unit: i for i, unit in enumerate(units)}
    rows = sorted(
        (place[unit], place[other], weight)
        for unit, other, weight in exposure.weights
        if unit in place and other in place and weight > 0 and not (others and unit == other)
    )
    who = np.array([row[0] for row in rows], dtype=np.intp)
    present, begins = np.unique(who, return_index=True)
    return _Pairs(
        np.array([row[1] for row in rows], dtype=np.intp),
        np.array([row[2] for row in rows]),
        begins.astype(np.intp),
        present,
    )


def exposed(
    function: str, values: Any, exposure: Exposure, units: tuple[str, ...], others: bool
) -> NDArray[np.float64]:
    """Take the weighted mean or sum over the units that each unit sees.

    Units that are absent or whose value is missing do not count. A mean over nobody is missing; a
    sum over nobody is 0 where the matrix shows nobody, and missing where all who are shown are.

    Parameters
    ----------
    function : {'mean', 'sum'}
    values : array, dims (..., unit)
    exposure : Exposure
    units : tuple of str
        The ids, in the order of the last axis.
    others : bool
        Whether to leave a unit's weight on itself out.

    Returns
    -------
    array, dims (..., unit)

    Examples
    --------
    >>> flow = Exposure(weights=[["a", "b", 3.0], ["a", "c", 1.0], ["b", "a", 2.0]])
    >>> exposed("mean", np.array([1.0, 2.0, 6.0]), flow, ("a", "b", "c"), False)
    array([ 3.,  1., nan])
    """
    array = np.asarray(values, dtype=float)
    if array.shape[-1:] != (len(units),):
        array = np.broadcast_to(array, (*array.shape[:-1], len(units)))
    pairs = _pairs(exposure, units, others)
    total = np.zeros(array.shape)
    seen, count = np.zeros(array.shape), np.zeros(array.shape)
    if pairs.who.size:
        shown = array[..., pairs.others]
        known = ~np.isnan(shown)
        parts = np.where(known, shown, 0.0) * pairs.weights
        total[..., pairs.who] = np.add.reduceat(parts, pairs.begins, axis=-1)
        weights = np.where(known, pairs.weights, 0.0)
        seen[..., pairs.who] = np.add.reduceat(weights, pairs.begins, axis=-1)
        count[..., pairs.who] = 1.0
    if function == "sum":
        return np.where((count > 0) & (seen == 0), np.nan, total)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / seen
