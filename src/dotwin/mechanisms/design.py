"""A mechanism meets a panel: the rows it can use, the arrays of its equation, its reference scales.

`build_design` is the only road from data to inference. It accounts for every row of the panel: a
row is used, or it is set aside for one stated reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.errors import DataError, ExpressionError, Problem
from dotwin.mechanisms.columns import (
    Reference,
    UnitConstants,
    column,
)
from dotwin.mechanisms.equation import (
    Equation,
    Factor,
    Predictor,
    Structure,
    equation,
    structure_of,
)
from dotwin.mechanisms.factors import factor_cells
from dotwin.mechanisms.references import reference_of, unit_constants
from dotwin.panel.environment import ArrayEnvironment
from dotwin.panel.missing import account_rows
from dotwin.spec.expressions import Across, Call, Expr, Ref, evaluate, parse
from dotwin.spec.twin import Twin

if TYPE_CHECKING:
    from dotwin.panel import Panel

__all__ = [
    "COUNTS",
    "Design",
    "PredictorDesign",
    "build_design",
    "panel_environment",
    "plausible_values",
]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: Families of whole numbers.
COUNTS = ("bernoulli", "binomial", "beta_binomial", "poisson", "negative_binomial")


def panel_environment(
    panel: Panel, filled: Mapping[str, NDArray[Any]] | None = None
) -> ArrayEnvironment:
    """Read expressions against a panel; every array has dims (unit, period).

    Parameters
    ----------
    panel : Panel
    filled : dict of str to array, dims (unit, period)
        Values that stand in for the panel's, such as imputed ones.
    """
    arrays = {
        str(name): panel.data[name].values for name in panel.twin.indicators if name in panel.data
    }
    groups = {level: panel.groups(level) for level in panel.twin.panel.all_levels}
    return ArrayEnvironment(panel.twin, {**arrays, **(filled or {})}, groups)


@dataclass(frozen=True)
class PredictorDesign:
    """The arrays of one linear predictor, a row per used unit and period.

    Parameters
    ----------
    predictor : Predictor
    columns : array, dims (row, term)
    offset : array, dims (row,)
    groups : dict of str to int array, dims (row,)
        Position in the groups of each level that pools or lets a slope vary.
    """

    predictor: Predictor
    columns: Floats
    offset: Floats
    groups: Mapping[str, NDArray[np.intp]]


@dataclass(frozen=True, eq=False)
class Design:
    """Everything that inference needs of one mechanism, and what simulation reuses.

    Parameters
    ----------
    equation : Equation
    structure : Structure
    reference : Reference
    constants : dict of str to array, dims (unit,)
        Unit means and first values, in reference sds.
    unit, period : int array, dims (row,)
        Positions of each used row in the panel.
    y : array, dims (row,)
    trials, lower : array or None, dims (row,)
    predictors : tuple of PredictorDesign
        The main one first.
    group_names : dict of str to list of str
        Names of the groups of each level.
    period_names : list of str
    accounting : DataFrame
        Rows by reason: used, or why set aside.
    used : bool array, dims (unit, period)
    factors : dict of str to int array, dims (row,)
        By hidden cause that is fitted: which of its values, in one line, acts on each row.
    """

    equation: Equation
    structure: Structure
    reference: Reference
    constants: UnitConstants
    unit: NDArray[np.intp]
    period: NDArray[np.intp]
    y: Floats
    trials: Floats | None
    lower: Floats | None
    predictors: tuple[PredictorDesign, ...]
    group_names: Mapping[str, list[str]]
    period_names: list[str]
    accounting: pd.DataFrame
    used: Bools
    factors: Mapping[str, NDArray[np.intp]] = field(default_factory=dict)

    @property
    def child(self) -> str:
        """The indicator whose mechanism this is."""
        return self.equation.child

    @property
    def rows(self) -> int:
        """How many rows the mechanism uses."""
        return int(self.y.size)

    @cached_property
    def main(self) -> PredictorDesign:
        """The arrays of the family's mean."""
        return self.predictors[0]


def build_design(
    twin: Twin,
    child: str,
    panel: Panel,
    *,
    structure: Structure | None = None,
    reference: Reference | None = None,
    constants: UnitConstants | None = None,
    imputed: Mapping[str, Bools] | None = None,
) -> Design:
    """Turn a panel into the arrays of one mechanism.

    Parameters
    ----------
    twin : Twin
    child : str
        An indicator with a family.
    panel : Panel
    structure, reference : optional
        Those of an earlier fit, so that parameters keep their meaning.
    constants : dict of str to array, dims (unit,), optional
        Unit means and first values of an earlier fit; missing for units that it did not know.
    imputed : dict of str to bool array, dims (unit, period)
        Missing cells that are parameters of the fit: they do not set a row aside.

    Returns
    -------
    Design

    Raises
    ------
    DataError
        When no row can be used.
    ExpressionError
        When a cause is undefined at an observed value, such as the log of 0.
    """
    structure = structure or structure_of(twin, panel)
    eq = equation(twin, child, structure)
    filled = {
        name: np.where(cells, plausible_values(panel, name), panel.data[name].values)
        for name, cells in (imputed or {}).items()
    }
    environment = panel_environment(panel, filled)
    values = {text: _shaped(evaluate(e, environment), panel) for text, e in eq.expressions.items()}
    recorded = panel_environment(panel)
    one = eq.indicator
    for text in (one.trials, one.exposure, one.at_least, one.when):
        if text is not None:
            # Only causes are imputed: a made-up exposure or bound would pass for a fact.
            values[str(parse(text))] = _shaped(evaluate(parse(text), recorded), panel)
    _refuse_undefined(eq, values, recorded, panel)
    used, accounting = _usable(eq, twin, panel, values, filled)
    if not used.any():
        counted = zip(accounting["reason"], accounting["rows"], strict=True)
        reasons = "; ".join(f"{reason!s}: {rows}" for reason, rows in counted)
        raise DataError(
            Problem(child, f"no row of the panel can be used by its mechanism ({reasons}).")
        )
    reference = reference or reference_of(eq, twin, panel, values, used)
    # A unit's mean and first value are those of what is recorded of it.
    own = unit_constants(eq, reference, recorded, used)
    constants = {k: _kept((constants or {}).get(k), fresh) for k, fresh in own.items()}
    unit, period = (index.astype(np.intp) for index in np.nonzero(used))
    ordinals = panel.period_ordinals
    predictors = tuple(
        _predictor_design(p, eq, reference, environment, constants, ordinals, used, panel, values)
        for p in eq.predictors
    )
    levels = {level for p in eq.predictors for level in (*p.levels, *p.slope_levels)}
    levels |= {factor.level for factor in eq.factors} - {"period"}
    return Design(
        equation=eq,
        structure=structure,
        reference=reference,
        constants=constants,
        unit=unit,
        period=period,
        y=np.asarray(environment.value(child, 0)[used], dtype=float),
        trials=values[str(parse(one.trials))][used] if one.trials else None,
        lower=values[str(parse(one.at_least))][used] if one.at_least else None,
        predictors=predictors,
        group_names={level: list(panel.groups(level)[1]) for level in sorted(levels)},
        period_names=list(panel.period_labels),
        accounting=accounting,
        used=used,
        factors={factor.name: _cells(factor, panel, unit, period) for factor in eq.factors},
    )


def _cells(
    factor: Factor, panel: Panel, unit: NDArray[np.intp], period: NDArray[np.intp]
) -> NDArray[np.intp]:
    group = None if factor.level == "period" else panel.groups(factor.level)[0][unit]
    return factor_cells(factor, group, period, len(panel.period_labels)).astype(np.intp)


def _shaped(values: Any, panel: Panel) -> Floats:
    shape = (len(panel.units), len(panel.period_labels))
    return np.broadcast_to(np.asarray(values, dtype=float), shape)


def plausible_values(panel: Panel, name: str) -> Floats:
    """Return a value that each cell of an indicator might have: the middle of what is plausible.

    Parameters
    ----------
    panel : Panel
    name : str

    Returns
    -------
    array, dims (unit, period)
        In the support of the indicator's family; NaN where its trials or exposure are missing.
    """
    one = panel.twin.indicators[name]
    recorded = np.asarray(panel.data[name].values, dtype=float)
    size: Any = 1.0
    for text in (one.trials, one.exposure):
        if text is not None:
            size = _shaped(evaluate(parse(text), panel_environment(panel)), panel)
    if one.plausible is not None:
        middle = 0.5 * (one.plausible[0] + one.plausible[1])
    elif one.trials is not None or one.exposure is not None:
        middle = float(np.nansum(recorded) / np.sum(np.where(np.isnan(recorded), 0.0, size)))
    else:
        middle = float(np.nanmedian(recorded))
    values = np.broadcast_to(middle * size, recorded.shape)
    return np.rint(values) if one.family in COUNTS else values


def _usable(
    eq: Equation, twin: Twin, panel: Panel, values: Mapping[str, Floats], filled: Mapping[str, Any]
) -> tuple[Bools, pd.DataFrame]:
    """Say which rows the mechanism can use, and count the others by reason."""
    one = eq.indicator
    outcome = filled.get(eq.child, panel.data[eq.child].values)
    checks: list[tuple[str, Bools]] = []
    positions = np.arange(outcome.shape[1])
    if eq.max_lag:
        inside = np.broadcast_to(positions >= eq.max_lag, outcome.shape)
        checks.append(("lags reach before the window", inside))
    if one.when is not None:
        when = values[str(parse(one.when))]
        checks.append((f"'{one.when}' unknown", np.isfinite(when)))
        checks.append((f"'{one.when}' does not hold", ~(when == 0)))
    checks.append((f"{eq.child} missing", np.isfinite(outcome)))
    if one.assigned is not None and one.assigned.column in panel.data:
        assigned = panel.data[one.assigned.column].values
        checks.append((f"{eq.child} was assigned", ~(assigned == 1)))
    for text in eq.expressions:
        if one.when is not None and text == str(parse(one.when)):
            continue
        checks.append((f"{text} missing", np.isfinite(values[text])))
    if one.exposure is not None:
        exposure = values[str(parse(one.exposure))]
        checks.append((f"exposure {one.exposure} is 0", ~(exposure <= 0)))
    if one.trials is not None:
        checks.append((f"trials {one.trials} are 0", ~(values[str(parse(one.trials))] <= 0)))
    if one.level is not None and one.level != twin.unit:
        checks.append((f"counted once per {one.level}", _first_of_group(panel, one.level)))
    return account_rows(panel.data["present"].values, checks)


def _first_of_group(panel: Panel, level: str) -> Bools:
    """Mark one present unit per group and period, for indicators of an outer level."""
    codes, names = panel.groups(level)
    present = panel.data["present"].values
    order = np.where(present, np.arange(len(codes))[:, None], len(codes))
    first = np.full((len(names), present.shape[1]), len(codes))
    np.minimum.at(first, codes, order)
    result: Bools = (first[codes] == np.arange(len(codes))[:, None]) & present
    return result


def _refuse_undefined(
    eq: Equation, values: Mapping[str, Floats], environment: ArrayEnvironment, panel: Panel
) -> None:
    """Refuse an expression that has no value where all its inputs are observed."""
    problems = []
    for text, expr in eq.expressions.items():
        if isinstance(expr, Ref):
            continue
        known = panel.data["present"].values.copy()
        for name, lag in expr.refs():
            inputs = np.asarray(environment.value(name, lag))
            known &= np.isfinite(inputs) if inputs.dtype.kind == "f" else inputs != ""
            if any(
                isinstance(e, Call) and e.function == "share" and Ref(name, lag) in e.arguments
                for e in expr.walk()
            ):
                # A share of no trials is missing, not undefined.
                known &= np.nan_to_num(environment.trials(name, lag)) > 0
        known &= _across_known(expr, values[text])
        bad = known & ~np.isfinite(values[text])
        if bad.any():
            problems.append(
                Problem(
                    f"{eq.child}, cause {text}",
                    f"undefined in {int(bad.sum()):,} of {int(known.sum()):,} rows where its "
                    f"indicators are observed. {_form_that_works(expr, text)}",
                )
            )
    if problems:
        raise ExpressionError(problems)


def _across_known(expr: Expr, values: Floats) -> Bools:
    """Where a mean over other units has any; a group of one is missing, not undefined."""
    if any(isinstance(e, Across) for e in expr.walk()):
        return ~np.isnan(values)
    return np.ones(values.shape, dtype=bool)


def _form_that_works(expr: Expr, text: str) -> str:
    for e in expr.walk():
        if isinstance(e, Call) and e.function == "log":
            return f"Where 0 occurs, write log1p({e.arguments[0]}) or log({e.arguments[0]} + 0.01)."
        if isinstance(e, Call) and e.function == "logit":
            inner = e.arguments[0]
            return (
                f"Where 0 or 1 occur, write logit(min(max({inner}, 0.01), 0.99)), or "
                f"logit(share(x)) of a count with trials."
            )
        if isinstance(e, Call) and e.function == "sqrt":
            return f"Where values below 0 occur, write sqrt(max({e.arguments[0]}, 0))."
    return "Where the divisor is 0, add a small number to it or use max(divisor, 1)."


def _kept(earlier: Floats | None, fresh: Floats) -> Floats:
    return fresh if earlier is None else np.where(np.isfinite(earlier), earlier, fresh)


def _predictor_design(
    predictor: Predictor,
    eq: Equation,
    reference: Reference,
    environment: ArrayEnvironment,
    constants: UnitConstants,
    ordinals: NDArray[np.int64],
    used: Bools,
    panel: Panel,
    values: Mapping[str, Floats],
) -> PredictorDesign:
    shaped = {key: value[:, None] for key, value in constants.items()}
    cycle = eq.indicator.season.cycle if eq.indicator.season else 1
    columns = [
        np.broadcast_to(
            column(term, reference, environment, shaped, ordinals[None, :], cycle), used.shape
        )[used]
        for term in predictor.terms
    ]
    unit, _ = np.nonzero(used)
    offset = np.zeros(int(used.sum()))
    if predictor.role == "mean" and eq.indicator.exposure is not None:
        offset = np.log(values[str(parse(eq.indicator.exposure))][used])
    levels = dict.fromkeys((*predictor.levels, *predictor.slope_levels))
    return PredictorDesign(
        predictor=predictor,
        columns=np.stack(columns, axis=1) if columns else np.zeros((offset.size, 0)),
        offset=offset,
        groups={level: panel.groups(level)[0][unit].astype(np.intp) for level in levels},
    )
