"""Bringing an xarray dataset into the layout of a panel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from dotwin.errors import DataError, Problem, nearest
from dotwin.panel.layout import known, listing, refuse_own_names
from dotwin.panel.periods import period_ordinals, period_starts
from dotwin.spec.twin import Twin

__all__ = ["shaped_dataset"]

_DIMS = ("unit", "period")


def shaped_dataset(data: xr.Dataset, twin: Twin) -> xr.Dataset:
    """Bring a dataset into the layout of a panel, or say what it lacks."""
    refuse_own_names(twin)
    problems = [
        Problem(f"dimension {dim}", "the dataset does not have it; a panel has unit and period.")
        for dim in _DIMS
        if dim not in data.coords
    ]
    problems += [
        Problem(f"level {level}", "is not a coordinate along unit.")
        for level in twin.panel.levels
        if level not in data.coords
    ]
    lacking = [
        name for name, one in twin.indicators.items() if name not in data and one.equals is None
    ]
    available = [str(name) for name in data.data_vars]
    problems += [
        Problem(name, f"the dataset does not have it. {nearest(name, available)}")
        for name in lacking
    ]
    if problems:
        raise DataError(problems)
    units = np.asarray(data["unit"].values).astype(str)
    order = np.argsort(units, kind="stable")
    place, periods = _calendar(data, twin)
    problems = [
        Problem(f"dimension {dim}", f"{listing(twice)} more than once.")
        for dim, twice in (("unit", _repeated(units)), ("period", _repeated(place.astype(str))))
        if twice
    ]
    if problems:
        raise DataError(problems)
    shape = (len(units), len(periods))
    arrays: dict[str, Any] = {}
    for name in _variables(data, twin):
        variable = data[name].broadcast_like(data["unit"]).broadcast_like(data["period"])
        values = _plain(np.asarray(variable.transpose(*_DIMS).values))
        empty: Any = (
            "" if values.dtype.kind == "U" else False if values.dtype.kind == "b" else np.nan
        )
        arrays[name] = np.full(shape, empty, dtype=values.dtype)
        arrays[name][:, place] = values[order]
    problems = [
        Problem(name, "holds text; an ordinal is the position among its categories, from 0.")
        for name in twin.stochastic
        if arrays[name].dtype.kind == "U"
    ]
    if problems:
        raise DataError(problems)
    if "present" not in arrays:
        there = [known(values) for values in arrays.values() if values.dtype.kind != "b"]
        arrays["present"] = np.logical_or.reduce(there)
    levels = {
        level: ("unit", np.asarray(data[level].values).astype(str)[order])
        for level in twin.panel.levels
    }
    return xr.Dataset(
        {name: (_DIMS, values) for name, values in arrays.items()},
        coords={"unit": units[order], "period": periods, **levels},
    )


def _variables(data: xr.Dataset, twin: Twin) -> list[str]:
    """What a panel keeps of a dataset: indicators, presence and marks of assignment."""
    marks = [one.assigned.column for one in twin.indicators.values() if one.assigned is not None]
    names = dict.fromkeys([*twin.indicators, "present", *marks])
    return [name for name in names if name in data]


def _calendar(data: xr.Dataset, twin: Twin) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """Place each period on a calendar without gaps."""
    times = np.asarray(data["period"].values)
    if twin.panel.period is None:
        return np.arange(len(times)), times
    if times.dtype.kind != "M":
        raise DataError(
            Problem("dimension period", "its coordinate holds dates: the first day of each period.")
        )
    frequency = twin.panel.period.frequency
    ordinals = period_ordinals(times, frequency)
    first = int(ordinals.min())
    full = np.arange(first, int(ordinals.max()) + 1)
    return ordinals - first, period_starts(full, frequency)


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as float, text as text with "" for missing, truth as it is."""
    if values.dtype.kind in "iuf":
        return values.astype(float)
    if values.dtype.kind in "bU":
        return values
    flat = pd.Series(values.ravel(), dtype=object)
    texts = flat.where(flat.notna(), "").astype(str).to_numpy(dtype=object)
    result: NDArray[Any] = texts.astype(str).reshape(values.shape)
    return result


def _repeated(names: NDArray[Any]) -> list[str]:
    unique, counts = np.unique(names, return_counts=True)
    return [str(name) for name in unique[counts > 1]]
