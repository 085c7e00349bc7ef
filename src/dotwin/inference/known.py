"""A fit of known parameters: for simulation from a stated truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import SpecificationError, nearest
from dotwin.inference.engine import Component, Draws, Settings
from dotwin.inference.fit import Fit, assemble
from dotwin.mechanisms.design import build_design
from dotwin.mechanisms.equation import structure_of
from dotwin.mechanisms.factors import factors_of
from dotwin.mechanisms.parameters import Parameter, parameters

if TYPE_CHECKING:
    import xarray as xr

    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["known_fit"]

Floats = NDArray[np.float64]


def known_fit(twin: Twin, panel: Panel, values: Mapping[str, Any] | xr.Dataset) -> Fit:
    """Make a fit of known parameters; see `Fit.from_parameters`.

    Parameters
    ----------
    twin : Twin
    panel : Panel
    values : dict or Dataset

    Returns
    -------
    Fit
    """
    structure = structure_of(twin, panel)
    designs = {
        name: build_design(twin, name, panel, structure=structure) for name in twin.stochastic
    }
    listed = [
        one
        for d in designs.values()
        for one in parameters(d.equation, d.reference, d.group_names, d.period_names)
    ]
    listed += factors_of(designs.values()).values()
    known = {one.name: one for one in listed}
    unknown = [str(name) for name in values if name not in known]
    if unknown:
        raise SpecificationError(
            f"no mechanism has a parameter '{unknown[0]}'. {nearest(unknown[0], known)}"
        )
    given = {str(name): _stated(known[str(name)], value) for name, value in values.items()}
    missing = [
        n
        for n, o in known.items()
        if n not in given and o.kind not in ("effects", "walk", "factor")
    ]
    if missing:
        raise SpecificationError(f"parameters without a value: {', '.join(missing)}.")
    count = max([v.shape[0] for n, v in given.items() if v.ndim > len(known[n].shape)], default=1)
    arrays = {
        name: np.broadcast_to(given.get(name, np.zeros(one.shape)), (count, *one.shape))[None]
        for name, one in known.items()
    }
    settings = Settings(count, 0, 1, 0)
    draws = Draws(arrays, {}, "known parameters")
    component = Component(tuple(designs.values()))
    return assemble(twin, panel, [component], [draws], settings, "auto")


def _stated(one: Parameter, value: Any) -> Floats:
    """Bring a stated parameter into the parameter's own order of dims and names."""
    import xarray as xr

    if isinstance(value, xr.DataArray):
        missing = [dim for dim in one.dims if dim not in value.dims]
        if missing:
            raise SpecificationError(f"{one.name} has no dim '{missing[0]}'; it has {value.dims}.")
        for dim, names in zip(one.dims, one.coords, strict=True):
            if dim in value.coords:
                absent = sorted(set(names) - set(value[dim].values.astype(str).tolist()))
                if absent:
                    raise SpecificationError(f"{one.name} has no value for {dim} '{absent[0]}'.")
                value = value.assign_coords({dim: value[dim].astype(str)}).sel({dim: list(names)})
        value = value.transpose(..., *one.dims).values
    array = np.asarray(value, dtype=float)
    if array.shape not in ((), one.shape) and array.shape[1:] != one.shape:
        raise SpecificationError(
            f"{one.name} has shape {array.shape}; it takes one value"
            + (f", an array of shape {one.shape}" if one.shape else "")
            + ", or draws of it along a first dim."
        )
    return array
