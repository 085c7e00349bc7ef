"""On which scale a mechanism's terms are: reference centres and sds, and what is a unit's own.

Coefficients and their priors are per reference sd, so that a prior means the same whatever the unit
of measure. Plausible ranges say what is usual before any row is seen; where none is declared, the
rows that fit the mechanism do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import DataError, ExpressionError, Problem
from dotwin.mechanisms.columns import Reference, constant_key, product
from dotwin.mechanisms.equation import Equation
from dotwin.mechanisms.links import get_link
from dotwin.spec.expressions import Call, Compare, Expr, Ref, evaluate, parse
from dotwin.spec.twin import Twin

if TYPE_CHECKING:
    from dotwin.panel import Panel

__all__ = ["RANGE_IN_SDS", "child_reference", "reference_of", "unit_constants"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

#: A plausible range holds 90 % of values; a normal's middle 90 % spans this many sds.
RANGE_IN_SDS = 3.29


def reference_of(
    eq: Equation, twin: Twin, panel: Panel, values: Mapping[str, Floats], used: Bools
) -> Reference:
    """Take centres and sds from plausible ranges, else from the rows that fit the mechanism."""
    factors: dict[str, tuple[float, float]] = {}
    problems = []
    for predictor in eq.predictors:
        for term in predictor.terms:
            for factor in term.factors:
                if term.category or str(factor) in factors:
                    continue
                pair = _plausible_reference(factor, twin)
                if pair is None:
                    rows = values[str(factor)][used]
                    pair = (float(rows.mean()), float(rows.std()))
                    if not pair[1] > 1e-12 * max(1.0, abs(pair[0])) and not term.natural:
                        problems.append(
                            Problem(
                                f"{eq.child}, cause {factor}",
                                f"has the same value {pair[0]:g} in all {rows.size:,} rows that "
                                f"fit the mechanism, so its effect cannot be learned; leave it "
                                f"out or give its indicator a plausible range.",
                            )
                        )
                    pair = (pair[0], pair[1] or 1.0)
                factors[str(factor)] = pair
    if problems:
        raise DataError(problems)
    y = np.asarray(panel.data[eq.child].values, dtype=float)
    known = used & np.isfinite(y)
    child = child_reference(eq, y[known], values, known)
    ordinals = np.broadcast_to(panel.period_ordinals, used.shape)[used]
    trend = (float(ordinals.mean()), float(ordinals.std()) or 1.0)
    multiplier = child[1] if eq.family.link == "identity" else 1.0
    return Reference(factors, child, trend, multiplier)


def _plausible_reference(factor: Expr, twin: Twin) -> tuple[float, float] | None:
    """Centre and sd of an expression from its only indicator's plausible range."""
    shares = {
        e.arguments[0].name
        for e in factor.walk()
        if isinstance(e, Call) and e.function == "share" and isinstance(e.arguments[0], Ref)
    }
    names = factor.names()
    if len(names) != 1 or any(isinstance(e, Compare) for e in factor.walk()):
        return None
    (name,) = names
    one = twin.indicators.get(name)
    if one is None or one.plausible is None or one.exposure or (one.trials and name not in shares):
        return None

    ends = np.array(one.plausible)

    class Plausible:
        """The plausible ends stand for the indicator; for a share, trials are 1."""

        def value(self, name: str, lag: int) -> Any:
            return ends

        def trials(self, name: str, lag: int) -> Any:
            return np.ones(2)

        def start(self, expression: Expr) -> Any:
            raise ExpressionError(f"start({expression}) has no place in a cause.")

        def across(self, function: str, values: Any, over: str, others: bool) -> Any:
            return values if function == "mean" else np.full(2, np.nan)

    inner: Expr = factor
    if shares and isinstance(factor, Call) and factor.function == "logit":
        # The half-event correction belongs to counts; a plausible share is exact.
        inner = Call("logit", (Ref(name),))
    low, high = np.sort(np.asarray(evaluate(inner, Plausible()), dtype=float))
    if not (np.isfinite(low) and np.isfinite(high) and high > low):
        return None
    return 0.5 * (low + high), (high - low) / RANGE_IN_SDS


def child_reference(
    eq: Equation, y: Floats, values: Mapping[str, Floats], used: Bools
) -> tuple[float, float]:
    """Centre and sd of the indicator on its link scale."""
    one = eq.indicator
    link = get_link(eq.family.link)
    if one.plausible is not None:
        ends = np.array(one.plausible, dtype=float) / (one.out_of or 1.0)
        low, high = (float(v) for v in link.forward(ends))
        if np.isfinite(low) and np.isfinite(high) and high > low:
            return 0.5 * (low + high), (high - low) / RANGE_IN_SDS
    y = y / (one.out_of or 1.0)
    if one.family == "ordinal":
        return 0.0, 1.0
    if one.trials is not None:
        centre = (y.sum() + 0.5) / (values[str(parse(one.trials))][used].sum() + 1.0)
        return float(link.forward(centre)), 1.0
    if one.exposure is not None:
        centre = (y.sum() + 0.5) / values[str(parse(one.exposure))][used].sum()
        return float(link.forward(centre)), 1.0
    if one.family == "bernoulli":
        return float(link.forward((y.sum() + 0.5) / (y.size + 1.0))), 1.0
    inside = y
    if eq.family.link == "log":
        inside = y[y > 0]
    elif eq.family.link == "logit":
        inside = y[(y > 0) & (y < 1)]
    if one.family in ("poisson", "negative_binomial") or inside.size < 2:
        mean = max(float(y.mean()), 0.5 / y.size)
        return float(link.forward(mean)), 1.0
    eta = link.forward(inside)
    sd = float(np.std(eta))
    return float(np.mean(eta)), sd if sd > 0 else 1.0


def unit_constants(
    eq: Equation, reference: Reference, environment: Any, used: Bools
) -> dict[str, Floats]:
    """Compute each unit's mean and first value of the terms that need them.

    Parameters
    ----------
    eq : Equation
    reference : Reference
    environment : Environment
        With arrays of dims (unit, period).
    used : bool array, dims (unit, period)
        Where a unit has no value at all it gets 0, the reference centre.

    Returns
    -------
    dict of str to array, dims (unit,)
        In reference sds.
    """
    found: dict[str, Floats] = {}
    for predictor in eq.predictors:
        for term in predictor.terms:
            if not (term.is_unit_constant or term.within):
                continue
            kind = "first" if term.kind == "initial" else "mean"
            key = constant_key(kind, term)
            if key not in found:
                z = np.broadcast_to(
                    product(term, reference, environment, natural=False), used.shape
                )
                found[key] = _first(z) if kind == "first" else _mean(z)
    return found


def _mean(z: Floats) -> Floats:
    known = np.isfinite(z)
    count = known.sum(axis=1)
    total = np.where(known, z, 0.0).sum(axis=1)
    return np.asarray(total / np.maximum(count, 1), dtype=float)


def _first(z: Floats) -> Floats:
    known = np.isfinite(z)
    first = known.argmax(axis=1)
    values = z[np.arange(z.shape[0]), first]
    return np.where(known.any(axis=1), values, 0.0)
