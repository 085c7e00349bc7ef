"""Hidden causes that are fitted: latent factors, and what they add to the mechanisms they act on.

A factor has one standard normal value for each group of its level, or for each group and period.
To a mechanism it is a term like any other, whose column nobody recorded: its loading is a
coefficient of the mechanism, its values are unknowns that several mechanisms share.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.parameters import Parameter

if TYPE_CHECKING:
    from dotwin.mechanisms.design import Design
    from dotwin.mechanisms.equation import Factor, Predictor

__all__ = ["factor_cells", "factor_parameter", "factor_part", "factor_terms", "factors_of"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


def factors_of(designs: Iterable[Design]) -> dict[str, Parameter]:
    """List the factors that act on some mechanisms, each once.

    Parameters
    ----------
    designs : iterable of Design

    Returns
    -------
    dict of str to Parameter
        By the hidden cause's name: the dims and coords of its values.
    """
    found: dict[str, Parameter] = {}
    for design in designs:
        for one in design.equation.factors:
            if one.name not in found:
                found[one.name] = factor_parameter(one, design.group_names, design.period_names)
    return found


def factor_parameter(
    factor: Factor, group_names: Mapping[str, Sequence[str]], period_names: Sequence[str]
) -> Parameter:
    """Return a factor's values as a parameter.

    Parameters
    ----------
    factor : Factor
    group_names : dict of str to list of str
    period_names : list of str
    """
    coords = tuple(
        tuple(period_names) if dim == "period" else tuple(group_names[dim]) for dim in factor.dims
    )
    return Parameter(
        factor.name,
        "factor",
        factor.dims,
        coords,
        meaning="the hidden cause itself, in sds of what it is among groups and periods",
    )


def factor_cells(factor: Factor, group: Indices | None, period: Indices, periods: int) -> Indices:
    """Say which value of a factor acts on each row, its values in one line.

    Parameters
    ----------
    factor : Factor
    group : int array, dims (row,), or None
        The row's group at the factor's level; None where all units share the factor.
    period : int array, dims (row,)
    periods : int
        How many periods there are.
    """
    if group is None:
        return period
    return group * periods + period if factor.over == "period" else group


def factor_terms(predictor: Predictor) -> list[tuple[int, str]]:
    """Return the positions of the terms that are factors, with the factors' names."""
    return [(k, term.name) for k, term in enumerate(predictor.terms) if term.kind == "hidden"]


def factor_part(
    predictor: Predictor, design: Design, parameters: Mapping[str, Floats], rows: Any
) -> Any:
    """Return what factors add to the linear predictor of rows, dims (draw, row), or 0.

    Parameters
    ----------
    predictor : Predictor
    design : Design
    parameters : dict of str to array
        By posterior name, the draw first.
    rows : index
    """
    total: Any = 0.0
    for k, name in factor_terms(predictor):
        loading = design.reference.multiplier * parameters[f"{predictor.prefix}.causes"][:, k, None]
        values = parameters[name]
        total = total + loading * values.reshape(len(values), -1)[:, design.factors[name][rows]]
    return total
