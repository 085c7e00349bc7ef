"""The outcome of a problem as the kernels read it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.terms import BOUNDED, INFLATED, POSITIVE, WHOLE
from dotwin.inference.nuts.parts import FamilyCode
from dotwin.inference.nuts.rows import family_code, main_rows
from dotwin.mechanisms.design import Design, PredictorDesign

__all__ = ["Outcome", "outcome_of"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Stands for no bound, where a continuous outcome of another row has one.
_FAR_BELOW = -1e100


@dataclass(frozen=True, eq=False)
class Outcome:
    """The outcome of a problem.

    Parameters
    ----------
    rows : int array, dims (row,)
        The rows of the design; an ordered category is read twice, see `_ordered`.
    family : FamilyCode
    kind : int
        What is changed of the family.
    y, extra, lower : array, dims (row,)
        As `dotwin.inference.deterministic.terms` reads them.
    table : array
        Counts whose gammas are taken once each.
    cut : int array, dims (row,), optional
        Which cutpoint is taken off each row's linear predictor.
    """

    rows: Indices
    family: FamilyCode
    kind: int
    y: Floats
    extra: Floats
    lower: Floats
    table: Floats
    cut: Indices | None = None


def outcome_of(design: Design, predictors: tuple[PredictorDesign, ...]) -> Outcome:
    """Read the outcome of one linear predictor, or of counts and a second source of zeros.

    Parameters
    ----------
    design : Design
    predictors : tuple of PredictorDesign

    Returns
    -------
    Outcome
    """
    one = design.equation.indicator
    role = predictors[0].predictor.role
    whole = design.y / (one.out_of or 1.0)
    if role != "mean":
        rows = np.arange(design.rows)
        at = (whole == (1.0 if role == "end1" else 0.0)).astype(float)
        return _plain(rows, FamilyCode.BINOMIAL, at, np.ones(rows.size))
    rows = main_rows(design)
    family = family_code(design.equation)
    y = whole[rows]
    if family == FamilyCode.ORDINAL:
        return _ordered(rows, y, len(one.categories) - 1)
    if family == FamilyCode.GAMMA:
        return _plain(rows, family, y, np.log(y))
    if family == FamilyCode.BETA:
        return _plain(rows, family, np.log(y), np.log1p(-y))
    if family in (FamilyCode.NORMAL, FamilyCode.NORMAL_LOG_LINK, FamilyCode.STUDENT_T):
        return _continuous(design, rows, family, y)
    return _counts(design, rows, family, y, second=len(predictors) > 1)


def _plain(rows: Indices, family: FamilyCode, y: Floats, extra: Floats) -> Outcome:
    return Outcome(rows, family, WHOLE, y, extra, np.zeros(rows.size), np.zeros(0))


def _ordered(rows: Indices, y: Floats, top: int) -> Outcome:
    """Read each category as a no at the cutpoint above it and a yes at the one below.

    With eta the linear predictor, P(Y = k) = expit(c_k - eta) expit(eta - c_(k-1)) times what only
    the cutpoints' distance enters.
    """
    category = y.astype(np.intp)
    no, yes = np.flatnonzero(category < top), np.flatnonzero(category > 0)
    taken = np.concatenate([no, yes])
    answer = np.concatenate([np.zeros(no.size), np.ones(yes.size)])
    cut = np.concatenate([category[no], category[yes] - 1])
    plain = _plain(rows[taken], FamilyCode.BINOMIAL, answer, np.ones(taken.size))
    return Outcome(
        plain.rows, plain.family, WHOLE, answer, plain.extra, plain.lower, plain.table, cut
    )


def _continuous(design: Design, rows: Indices, family: FamilyCode, y: Floats) -> Outcome:
    logs = design.equation.indicator.family == "lognormal"
    plain = _plain(rows, family, np.log(y) if logs else y, np.zeros(rows.size))
    if design.lower is None:
        return plain
    lower = design.lower[rows]
    if logs:
        lower = np.log(np.maximum(lower, 0.0), where=lower > 0, out=np.full(rows.size, -np.inf))
    if not np.isfinite(lower).any():
        return plain
    lower = np.maximum(lower, _FAR_BELOW)
    return Outcome(rows, family, BOUNDED, plain.y, plain.extra, lower, plain.table)


def _counts(
    design: Design, rows: Indices, family: FamilyCode, y: Floats, *, second: bool
) -> Outcome:
    one = design.equation.indicator
    trials = np.ones(rows.size) if design.trials is None else design.trials[rows]
    hurdle = one.zeros is not None and one.zeros.kind == "hurdle"
    lower = np.full(rows.size, 1.0 if hurdle else 0.0)
    if design.lower is not None:
        lower = np.maximum(lower, np.ceil(design.lower[rows]))
    kind = WHOLE
    if second:
        kind = INFLATED
    elif (lower > 0).any():
        plain = (lower == 1.0).all() and family != FamilyCode.BETA_BINOMIAL
        kind = POSITIVE if plain else BOUNDED
    table = y if family == FamilyCode.NEGATIVE_BINOMIAL else np.zeros(0)
    if family == FamilyCode.BETA_BINOMIAL:
        # A zero that may come from a second source has its own constant within the mixture.
        table = trials[y > 0] if second else trials
    return Outcome(rows, family, kind, y, trials, lower, table)
