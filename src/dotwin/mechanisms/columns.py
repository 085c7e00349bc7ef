"""The columns of a linear predictor, read from any arrays: a panel's, or a simulated world's.

This is the one place that knows how a term becomes numbers. Inference calls it with arrays of
(unit, period), simulation with arrays of (draw, unit).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms import elementwise
from dotwin.mechanisms.equation import Predictor, Term
from dotwin.mechanisms.kernels.compiled import kernel, plain
from dotwin.mechanisms.memory import common_shape, room
from dotwin.spec.expressions import Environment, evaluate

__all__ = [
    "Line",
    "Reference",
    "UnitConstants",
    "column",
    "column_or_line",
    "constant_key",
    "fixed_part",
    "is_fixed",
    "linear_predictor",
    "natural_scale",
    "product",
]

Floats = NDArray[np.float64]
_NOBODY = np.empty(0, dtype=np.intp)
_NONE = np.empty(0)
_NOTHING = np.empty((0, 0))


@dataclass(frozen=True)
class Reference:
    """Centres and scales that make priors mean the same everywhere; kept with the fit.

    Parameters
    ----------
    factors : dict of str to (float, float)
        Centre and sd of each expression.
    child : (float, float)
        Centre and sd of the indicator on its link scale.
    trend : (float, float)
        Centre and sd of the period's ordinal number.
    multiplier : float
        The child's sd for identity links, else 1: what a coefficient of 1 adds.
    """

    factors: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    child: tuple[float, float] = (0.0, 1.0)
    trend: tuple[float, float] = (0.0, 1.0)
    multiplier: float = 1.0

    def as_dict(self) -> dict[str, Any]:
        """Return plain data for a file."""
        return {
            "factors": {key: list(pair) for key, pair in self.factors.items()},
            "child": list(self.child),
            "trend": list(self.trend),
            "multiplier": self.multiplier,
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Reference:
        """Read what `as_dict` wrote."""
        return cls(
            {key: (float(a), float(b)) for key, (a, b) in data["factors"].items()},
            (float(data["child"][0]), float(data["child"][1])),
            (float(data["trend"][0]), float(data["trend"][1])),
            float(data["multiplier"]),
        )


#: The unit's mean or first value of a product of factors: text of the product -> (unit,) array.
UnitConstants = Mapping[str, Floats]


def constant_key(kind: str, term: Term) -> str:
    """Name a unit constant: ``mean`` or ``first`` of a term's product."""
    return f"{kind} of {' * '.join(map(str, term.factors))}"


def product(
    term: Term, reference: Reference, environment: Environment, *, natural: bool, ops: Any = np
) -> Any:
    """Return the product of a term's centred and scaled factors.

    Parameters
    ----------
    term : Term
    reference : Reference
    environment : Environment
        Gives the arrays.
    natural : bool
        Centred only, in raw units.
    ops : module
        NumPy, or a module with its elementwise names.
    """
    result: Any = None
    for factor in term.factors:
        value = evaluate(factor, environment, ops)
        if not term.category:
            centre, sd = reference.factors[str(factor)]
            value = value - centre if natural else (value - centre) / sd
        result = value if result is None else result * value
    return result


def column(
    term: Term,
    reference: Reference,
    environment: Environment,
    constants: UnitConstants,
    ordinals: Any,
    cycle: int = 1,
    ops: Any = np,
) -> Any:
    """Return a term's column, ready to be multiplied by its coefficient.

    Parameters
    ----------
    term : Term
    reference : Reference
    environment : Environment
    constants : UnitConstants
        Already shaped to broadcast with the environment's arrays.
    ordinals : array or int
        The calendar's number of each period, broadcastable.
    cycle : int
        Of the season.
    """
    if term.kind == "hidden":
        return 0.0  # Whoever knows the hidden cause's values adds them: `factor_part`.
    if term.kind == "season":
        angle = 2.0 * np.pi * abs(term.harmonic) * (np.asarray(ordinals) % cycle) / cycle
        return reference.multiplier * (np.sin(angle) if term.harmonic > 0 else np.cos(angle))
    if term.kind == "trend":
        centre, sd = reference.trend
        return reference.multiplier * (np.asarray(ordinals, dtype=float) - centre) / sd
    if term.is_unit_constant:
        kind = "mean" if term.kind == "between" else "first"
        return reference.multiplier * constants[constant_key(kind, term)]
    value = product(term, reference, environment, natural=term.natural, ops=ops)
    if term.within:
        mean = constants[constant_key("mean", term)]
        value = value - (mean * natural_scale(term, reference) if term.natural else mean)
    return value if term.natural else reference.multiplier * value


@dataclass(frozen=True, eq=False)
class Line:
    """A column that is a line in its one factor: ``factor * ((value - centre) / sd - mean)``."""

    value: Any
    centre: float = 0.0
    sd: float = 1.0
    factor: float = 1.0
    mean: Floats = field(default_factory=lambda: _NONE)


def column_or_line(
    term: Term,
    reference: Reference,
    environment: Environment,
    constants: UnitConstants,
    ordinals: Any,
    cycle: int = 1,
) -> Any:
    """Return a term's column as `column` does, or as a line that is drawn when it is added up."""
    if len(term.factors) != 1 or term.category or term.is_unit_constant:
        return column(term, reference, environment, constants, ordinals, cycle, elementwise)
    (factor,) = term.factors
    centre, sd = reference.factors[str(factor)]
    value = evaluate(factor, environment, elementwise)
    mean = constants[constant_key("mean", term)] if term.within else _NONE
    if term.natural:
        return Line(value, centre, 1.0, 1.0, mean * natural_scale(term, reference))
    return Line(value, centre, sd, reference.multiplier, mean)


def natural_scale(term: Term, reference: Reference) -> float:
    """Turn a constant, kept in reference sds, into raw units."""
    scale = 1.0
    if not term.category:
        for factor in term.factors:
            scale *= reference.factors[str(factor)][1]
    return scale


def is_fixed(predictor: Predictor, k: int) -> bool:
    """Whether a term adds the same to a draw's unit in all periods and worlds."""
    slopes = {k for level in predictor.slope_levels for k in predictor.slopes(level)}
    return predictor.terms[k].is_unit_constant and k not in slopes


def fixed_part(
    predictor: Predictor,
    parameters: Mapping[str, Floats],
    columns: Mapping[int, Any],
    codes: Mapping[str, NDArray[np.intp]],
) -> Any:
    """Add up what no period changes: intercept, effects of groups, constants of units.

    Parameters
    ----------
    predictor : Predictor
    parameters : dict of str to array
        By posterior name, the draw first.
    columns : dict of int to array
        Of the terms for which `is_fixed` holds, from `column`.
    codes : dict of str to int array, shape (unit,)
        Each unit's position in the groups of a level.

    Returns
    -------
    array broadcastable to (draw, unit), or 0
    """
    prefix = predictor.prefix
    intercept = parameters.get(f"{prefix}.intercept")
    start: Any = 0.0 if intercept is None else intercept[:, None]
    if not columns and not predictor.levels:
        return start
    eta = room(_shape(predictor, parameters, columns, codes, start))
    eta[...] = start
    for level in predictor.levels:
        kernel("add_effects")(plain(parameters[f"{prefix}.{level}"]), plain(codes[level]), eta)
    for k, value in columns.items():
        _add(eta, parameters[f"{prefix}.causes"][:, k], value)
    return eta


def linear_predictor(
    predictor: Predictor,
    parameters: Mapping[str, Floats],
    fixed: Any,
    columns: Mapping[int, Any],
    codes: Mapping[str, NDArray[np.intp]],
    shock: Any = 0.0,
) -> Any:
    """Add up a linear predictor for many draws and units.

    Parameters
    ----------
    predictor : Predictor
    parameters : dict of str to array
        By posterior name, the draw first.
    fixed : array
        From `fixed_part`.
    columns : dict of int to array or Line
        Of all other terms, from `column_or_line`, broadcastable to (draw, unit).
    codes : dict of str to int array, shape (unit,)
        Each unit's position in the groups of a level.
    shock : array, broadcastable to (draw, unit)
        Period shock and random walk.

    Returns
    -------
    array, dims (draw, unit)
    """
    prefix = predictor.prefix
    if not columns:
        return fixed + shock
    eta = room(_shape(predictor, parameters, columns, codes, fixed, shock))
    # what does not have its final shape yet is spread before anything is added to it
    spread = np.shape(fixed) != eta.shape or np.shape(shock) not in ((), (len(eta), 1))
    if spread:
        np.add(fixed, shock, out=eta)
    start = None if spread else (fixed, np.broadcast_to(np.ravel(shock), len(eta)))
    slopes: dict[int, list[tuple[str, int]]] = {}
    for level in predictor.slope_levels:
        for position, k in enumerate(predictor.slopes(level)):
            slopes.setdefault(k, []).append((level, position))
    for k, value in columns.items():
        varying = [
            (plain(parameters[f"{prefix}.slope_{level}"][:, position, :]), plain(codes[level]))
            for level, position in slopes.get(k, [])
        ]
        _add(eta, parameters[f"{prefix}.causes"][:, k], value, varying, start)
        start = None
    return eta


def _shape(
    predictor: Predictor,
    parameters: Mapping[str, Floats],
    columns: Mapping[int, Any],
    codes: Mapping[str, NDArray[np.intp]],
    *parts: Any,
) -> tuple[int, ...]:
    """Return the shape of the sum of the parts, the columns and the effects of groups."""
    prefix = predictor.prefix
    names = [f"{prefix}.causes"] if columns else []
    names += [f"{prefix}.{level}" for level in predictor.levels]
    shapes = [(len(parameters[name]), 1) for name in names]
    values = [c.value if isinstance(c, Line) else c for c in columns.values()]
    shapes += [np.shape(part) for part in (*parts, *values)]
    levels = (*predictor.levels, *predictor.slope_levels)
    shapes += [codes[level].shape for level in levels]
    return common_shape(*shapes)


def _add(
    eta: Floats,
    coefficient: Floats,
    value: Any,
    varying: Sequence[tuple[Floats, NDArray[np.intp]]] = (),
    start: tuple[Floats, Floats] | None = None,
) -> None:
    """Add a column times its coefficients to what is there, or to a start and a draw's shift."""
    by_group, groups = varying[0] if varying else (np.empty((len(eta), 0)), _NOBODY)
    if len(varying) > 1:
        by_group = np.sum([effects[:, index] for effects, index in varying], axis=0)
        groups = np.arange(by_group.shape[1])
    line = value if isinstance(value, Line) else Line(value)
    x = np.asarray(line.value, dtype=float)
    x = plain(x.reshape((1,) * (2 - x.ndim) + x.shape))
    begin, shift = (_NOTHING, _NONE) if start is None else start
    kernel("add_column")(
        plain(begin),
        plain(shift),
        plain(coefficient),
        by_group,
        groups,
        x,
        line.centre,
        line.sd,
        line.factor,
        plain(line.mean),
        eta,
    )
