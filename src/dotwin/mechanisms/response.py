"""The NumPy interpreter of a mechanism: from parameters and a world's state to a distribution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms import elementwise
from dotwin.mechanisms.columns import (
    UnitConstants,
    column_or_line,
    fixed_part,
    is_fixed,
    linear_predictor,
)
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.equation import Predictor
from dotwin.mechanisms.factors import factor_part
from dotwin.mechanisms.family import Family
from dotwin.spec.expressions import Environment, evaluate, parse

__all__ = ["Response", "log_likelihood", "respond"]

Floats = NDArray[np.float64]
_EXTRA = {"zeros": "zeros_eta", "end0": "end0_eta", "end1": "end1_eta"}


@dataclass(frozen=True)
class Response:
    """The distribution of one indicator in one period, for every draw and unit.

    Parameters
    ----------
    family : Family
    eta : array, dims (draw, unit)
        The linear predictor.
    extra : dict of str to array
        The family's other parameters.
    trials : array or None
    holds : array or None
        Where the mechanism holds; elsewhere the value is ``otherwise``.
    otherwise : float
    """

    family: Family
    eta: Any
    extra: Mapping[str, Any]
    trials: Any
    holds: Any
    otherwise: float

    def quantile(self, noise: Any) -> Floats:
        """Return the value at signed tail noise, dims (draw, unit)."""
        absent = [] if self.holds is None else [np.asarray(self.holds) == 0]
        idle = [] if self.trials is None else [np.asarray(self.trials) == 0]
        masks = [mask for mask in (*absent, *idle) if mask.any()]
        if not masks:
            return self.family.quantile(noise, self.eta, self.extra, self.trials)
        # A value that nobody asks for is not computed: its predictor is none. All others stand
        # where they stood, so that who else is idle changes no digit of theirs.
        resting = masks[0] if len(masks) == 1 else masks[0] | masks[1]
        eta = np.where(resting, np.nan, self.eta)
        values = self.family.quantile(noise, eta, self.extra, self.trials)
        for mask in idle:
            values = np.where(mask, 0.0, values)
        for mask in absent:
            values = np.where(mask, self.otherwise, values)
        return values

    def mean(self) -> Floats:
        """Return the expectation, dims (draw, unit)."""
        values = np.asarray(self.family.mean(self.eta, self.extra, self.trials), dtype=float)
        if self.holds is None:
            return values
        return np.where(np.asarray(self.holds) == 0, self.otherwise, values)

    def log_density(self, values: Any) -> Floats:
        """Return the log density (or log probability) of values, dims (draw, unit)."""
        inside = np.asarray(self.family.logp(values, self.eta, self.extra, self.trials))
        if self.holds is None:
            return inside
        elsewhere = np.where(np.asarray(values) == self.otherwise, 0.0, -np.inf)
        return np.where(np.asarray(self.holds) == 0, elsewhere, inside)


def respond(
    design: Design,
    parameters: Mapping[str, Floats],
    environment: Environment,
    constants: UnitConstants,
    codes: Mapping[str, NDArray[np.intp]],
    ordinal: int,
    shocks: Mapping[str, Any],
    fixed: dict[str, Any],
) -> Response:
    """Read a mechanism against a world's state.

    Parameters
    ----------
    design : Design
        For its equation and reference scales.
    parameters : dict of str to array
        By posterior name, the draw first.
    environment : Environment
        Arrays that broadcast to (draw, unit).
    constants : dict of str to array, dims (unit,)
    codes : dict of str to int array, dims (unit,)
        Each unit's position in the groups of each level.
    ordinal : int
        The calendar's number of the period.
    shocks : dict of str to array
        By predictor prefix: period shock, walk and hidden causes, broadcastable to (draw, unit).
    fixed : dict of str to array
        By predictor prefix: what no period changes, see `fixed_part`; added when it is missing.

    Returns
    -------
    Response
    """
    eq = design.equation
    one = eq.indicator
    cycle = one.season.cycle if one.season else 1
    eta: Any = 0.0
    extra: dict[str, Any] = {}
    for predictor in eq.predictors:
        steady = [is_fixed(predictor, k) for k in range(len(predictor.terms))]

        def columns(wanted: bool, predictor: Any = predictor, steady: Any = steady) -> Any:
            return {
                k: column_or_line(term, design.reference, environment, constants, ordinal, cycle)
                for k, term in enumerate(predictor.terms)
                if steady[k] is wanted and term.kind != "hidden"
            }

        prefix = predictor.prefix
        if prefix not in fixed:
            fixed[prefix] = fixed_part(predictor, parameters, columns(True), codes)
        value = linear_predictor(
            predictor,
            parameters,
            fixed[prefix],
            columns(False),
            codes,
            shocks.get(prefix, 0.0),
        )
        if predictor.role == "mean":
            eta = value
        else:
            extra[_EXTRA[predictor.role]] = value
    if one.exposure is not None:
        with np.errstate(divide="ignore", invalid="ignore"):
            eta = eta + elementwise.log(evaluate(parse(one.exposure), environment))
    for parameter in eq.family.dispersion:
        extra[parameter.name] = parameters[f"{eq.child}.{parameter.name}"][:, None]
    if one.family == "ordinal":
        extra["cutpoints"] = parameters[f"{eq.child}.cutpoints"][:, None, :]
    if one.at_least is not None:
        extra["lower"] = evaluate(parse(one.at_least), environment)
    return Response(
        family=eq.family,
        eta=eta,
        extra=extra,
        trials=evaluate(parse(one.trials), environment) if one.trials else None,
        holds=evaluate(parse(one.when), environment) if one.when else None,
        otherwise=one.otherwise if one.otherwise is not None else np.nan,
    )


def row_predictor(
    predictor: Predictor, design: Design, parameters: Mapping[str, Floats], which: Any = None
) -> Floats:
    """Return a linear predictor for the design's rows, dims (draw, row).

    Parameters
    ----------
    predictor : Predictor
    design : Design
    parameters : dict of str to array
        By posterior name, the draw first.
    which : index, optional
        Rows to keep.
    """
    arrays = next(p for p in design.predictors if p.predictor is predictor)
    rows = slice(None) if which is None else which
    shock: Any = arrays.offset[rows]
    for kind, present in (("period", predictor.period), ("walk", predictor.walk)):
        if present:
            shock = shock + parameters[f"{predictor.prefix}.{kind}"][:, design.period[rows]]
    shock = shock + factor_part(predictor, design, parameters, rows)
    columns = {
        k: column
        for k, column in enumerate(arrays.columns[rows].T)
        if predictor.terms[k].kind != "hidden"
    }
    codes = {level: index[rows] for level, index in arrays.groups.items()}
    fixed = fixed_part(predictor, parameters, {}, codes)
    eta = linear_predictor(predictor, parameters, fixed, columns, codes, shock)
    return np.asarray(eta, dtype=float)


def log_likelihood(design: Design, parameters: Mapping[str, Floats], which: Any = None) -> Floats:
    """Return the log density of the design's rows given all parameters, dims (draw, row).

    Parameters
    ----------
    design : Design
    parameters : dict of str to array
        By posterior name, the draw first.
    which : index, optional
        Rows to keep.
    """
    eq = design.equation
    rows = slice(None) if which is None else which
    eta = row_predictor(eq.main, design, parameters, which)
    extra = row_extra(design, parameters, which)
    trials = None if design.trials is None else design.trials[rows]
    return eq.family.logp(design.y[rows], eta, extra, trials)


def row_extra(
    design: Design, parameters: Mapping[str, Floats], which: Any = None
) -> dict[str, Any]:
    """Return the family's other parameters for the design's rows, broadcastable to (draw, row)."""
    eq = design.equation
    rows = slice(None) if which is None else which
    extra: dict[str, Any] = {
        _EXTRA[p.role]: row_predictor(p, design, parameters, which) for p in eq.predictors[1:]
    }
    for parameter in eq.family.dispersion:
        extra[parameter.name] = parameters[f"{eq.child}.{parameter.name}"][:, None]
    if eq.indicator.family == "ordinal":
        extra["cutpoints"] = parameters[f"{eq.child}.cutpoints"][:, None, :]
    if design.lower is not None:
        extra["lower"] = design.lower[rows]
    return extra
