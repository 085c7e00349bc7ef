"""The rows of a design as the kernels read them: by unit, split by what changes within one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.nuts.parts import FamilyCode, Natural, PredictorParts, ResponseParts, Zeros
from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.equation import Equation

__all__ = [
    "PredictorPlaces",
    "family_code",
    "predictor_parts",
    "response_parts",
    "rows_constant",
    "without_rows",
]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_EMPTY = np.zeros(0)
_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
_CODES = {
    "normal": FamilyCode.NORMAL,
    "lognormal": FamilyCode.NORMAL,
    "student_t": FamilyCode.STUDENT_T,
    "gamma": FamilyCode.GAMMA,
    "beta": FamilyCode.BETA,
    "bernoulli": FamilyCode.BINOMIAL,
    "binomial": FamilyCode.BINOMIAL,
    "beta_binomial": FamilyCode.BETA_BINOMIAL,
    "poisson": FamilyCode.POISSON,
    "negative_binomial": FamilyCode.NEGATIVE_BINOMIAL,
    "ordinal": FamilyCode.ORDINAL,
}
_COUNTS = (
    FamilyCode.BINOMIAL,
    FamilyCode.BETA_BINOMIAL,
    FamilyCode.POISSON,
    FamilyCode.NEGATIVE_BINOMIAL,
)


def family_code(eq: Equation) -> FamilyCode:
    """Return the kernels' code of an equation's family."""
    name = eq.indicator.family
    assert name is not None
    if name == "normal" and eq.family.link == "log":
        return FamilyCode.NORMAL_LOG_LINK
    return _CODES[name]


@dataclass(frozen=True)
class PredictorPlaces:
    """Where the parameters lie.

    Parameters
    ----------
    elements : dict of str to slice
        In the unconstrained vector.
    effects : dict of str to int
        The first effect of each parameter that is made of effects.
    """

    elements: Mapping[str, slice]
    effects: Mapping[str, int]


def main_rows(design: Design) -> Indices:
    """Return the rows that say something about the mean, sorted by unit.

    Those at a point mass do not: a hurdle's zeros and the ends of a beta have equations of their
    own. Zeros that may have come from the counts themselves do.
    """
    one = design.equation.indicator
    says = np.ones(design.rows, dtype=bool)
    if one.zeros is not None and one.zeros.kind == "hurdle":
        says &= design.y != 0
    for end in one.ends:
        says &= design.y != (0.0 if end == 0 else (one.out_of or 1.0))
    return _by_unit(design, says)


def _by_unit(design: Design, which: NDArray[np.bool_]) -> Indices:
    kept = np.flatnonzero(which)
    return kept[np.argsort(design.unit[kept], kind="stable")]


def predictor_parts(
    design: Design,
    arrays: PredictorDesign,
    places: PredictorPlaces,
    unknown: frozenset[int] = frozenset(),
) -> PredictorParts:
    """Gather one linear predictor.

    Parameters
    ----------
    design : Design
    arrays : PredictorDesign
    places : PredictorPlaces
    unknown : frozenset of int
        Terms that read unknown values: their columns may change within a unit.

    Returns
    -------
    PredictorParts
    """
    predictor = arrays.predictor
    prefix = predictor.prefix
    everything = np.ones(design.rows, dtype=bool)
    rows = main_rows(design) if predictor.role == "mean" else _by_unit(design, everything)
    unit = design.unit[rows]
    first = np.flatnonzero(np.r_[True, unit[1:] != unit[:-1]]) if rows.size else rows
    starts = np.r_[first, rows.size].astype(np.int64)
    columns = arrays.columns[rows].T
    terms = np.arange(columns.shape[0], dtype=np.int64)
    if f"{prefix}.causes" in places.elements:
        terms = terms + places.elements[f"{prefix}.causes"].start
    sloped = {k for level in predictor.slope_levels for k in predictor.slopes(level)}
    position = np.repeat(np.arange(first.size), np.diff(starts))
    changes = np.array(
        [
            k in sloped | unknown or bool((c != c[first][position]).any())
            for k, c in enumerate(columns)
        ],
        dtype=bool,
    )
    effects = [
        places.effects[f"{prefix}.{level}"] + arrays.groups[level][rows[first]]
        for level in predictor.levels
    ]
    row_of = np.cumsum(changes) - 1
    slope_rows: list[int] = []
    slope_effects: list[Indices] = []
    for level in predictor.slope_levels:
        start, groups = places.effects[f"{prefix}.slope_{level}"], len(design.group_names[level])
        for j, k in enumerate(predictor.slopes(level)):
            slope_rows.append(int(row_of[k]))
            slope_effects.append(start + j * groups + arrays.groups[level][rows[first]])
    shock = places.effects[f"{prefix}.period"] if predictor.period else -1
    walk = places.effects[f"{prefix}.walk"] if predictor.walk else -1
    intercept = places.elements.get(f"{prefix}.intercept")
    offset = arrays.offset[rows]
    return PredictorParts(
        intercept=intercept.start if intercept is not None else -1,
        offset=np.ascontiguousarray(offset) if offset.any() else _EMPTY,
        row_terms=terms[changes],
        row_columns=np.ascontiguousarray(columns[changes]),
        unit_terms=terms[~changes],
        unit_columns=np.ascontiguousarray(columns[~changes][:, first]),
        starts=starts,
        effects=_stacked(effects, first.size),
        slope_rows=np.array(slope_rows, dtype=np.int64),
        slope_effects=_stacked(slope_effects, first.size),
        period=design.period[rows].astype(np.int64),
        shock=shock,
        walk=walk,
    )


def _stacked(rows: Sequence[Indices], size: int) -> NDArray[np.int64]:
    result = np.zeros((len(rows), size), dtype=np.int64)
    for k, row in enumerate(rows):
        result[k] = row
    return result


def without_rows() -> PredictorParts:
    """Return a linear predictor of no rows, for mechanisms that have one predictor only."""
    nothing = np.zeros(0, dtype=np.int64)
    return PredictorParts(
        intercept=-1,
        offset=_EMPTY,
        row_terms=nothing,
        row_columns=np.zeros((0, 0)),
        unit_terms=nothing,
        unit_columns=np.zeros((0, 0)),
        starts=np.zeros(1, dtype=np.int64),
        effects=np.zeros((0, 0), dtype=np.int64),
        slope_rows=nothing,
        slope_effects=np.zeros((0, 0), dtype=np.int64),
        period=nothing,
        shock=-1,
        walk=-1,
    )


def response_parts(
    design: Design, places: Mapping[str, slice], natural: Sequence[tuple[str, Natural]]
) -> tuple[ResponseParts, float]:
    """Gather the outcome, and the part of its log density that no parameter enters.

    Parameters
    ----------
    design : Design
    places : dict of str to slice
        Of the parameters in the unconstrained vector.
    natural : list of (str, Natural)
        The family's own parameters, and how each follows from what has the prior.

    Returns
    -------
    ResponseParts
    float
    """
    eq = design.equation
    one = eq.indicator
    code = family_code(eq)
    rows = main_rows(design)
    y = design.y[rows] / (one.out_of or 1.0)
    trials = design.trials[rows] if design.trials is not None else _EMPTY
    log_y = np.log(y) if one.family in ("lognormal", "gamma", "beta") else _EMPTY
    table = y if code == FamilyCode.NEGATIVE_BINOMIAL else _EMPTY
    if code == FamilyCode.BETA_BINOMIAL:
        table = trials
    distinct, times = np.unique(table, return_counts=True)
    dispersion, how = np.full(2, -1, dtype=np.int64), np.zeros(2, dtype=np.int64)
    for k, (name, kind) in enumerate(natural):
        dispersion[k], how[k] = places[name].start, kind
    zeros = Zeros.NONE
    if one.zeros is not None:
        zeros = Zeros.HURDLE if one.zeros.kind == "hurdle" else Zeros.INFLATED
    at_zero = _EMPTY
    if zeros != Zeros.NONE:
        at_zero = (design.y[_by_unit(design, np.ones(design.rows, dtype=bool))] == 0).astype(float)
    ends, end_counts = np.full(2, -1, dtype=np.int64), np.zeros(3)
    for end in (0, 1):
        place = places.get(f"{eq.child}.end{end}.intercept")
        if place is not None:
            ends[end] = place.start
            end_counts[end] = (design.y == end * (one.out_of or 1.0)).sum()
    end_counts[2] = rows.size
    parts = ResponseParts(
        family=int(code),
        y=log_y if one.family == "lognormal" else y,
        log_y=log_y if one.family != "lognormal" else _EMPTY,
        log_rest=np.log1p(-y) if one.family == "beta" else _EMPTY,
        trials=trials,
        lower=_lower(design, rows, code),
        distinct=distinct,
        times=times.astype(float),
        dispersion=dispersion,
        natural=how,
        zeros=int(zeros),
        at_zero=at_zero,
        ends=ends,
        end_counts=end_counts,
    )
    return parts, rows_constant(design)


def rows_constant(design: Design) -> float:
    """Return the part of the rows' log density that no parameter enters."""
    one = design.equation.indicator
    rows = main_rows(design)
    trials = design.trials[rows] if design.trials is not None else _EMPTY
    constant = _constant(one.family or "", design.y[rows] / (one.out_of or 1.0), trials)
    return constant if one.out_of is None else constant - rows.size * math.log(one.out_of)


def _lower(design: Design, rows: Indices, code: FamilyCode) -> Floats:
    """Return the bound that truncates each row, or nothing where none does."""
    one = design.equation.indicator
    hurdle = one.zeros is not None and one.zeros.kind == "hurdle"
    if code in _COUNTS and one.family != "bernoulli":
        lower = np.zeros(rows.size) if design.lower is None else np.ceil(design.lower[rows])
        lower = np.maximum(lower, 1.0 if hurdle else 0.0)
        return lower if (lower > 0).any() else _EMPTY
    if design.lower is None:
        return _EMPTY
    lower = design.lower[rows]
    if one.family == "lognormal":
        lower = np.log(np.maximum(lower, 0.0), where=lower > 0, out=np.full(rows.size, -np.inf))
    return lower if np.isfinite(lower).any() else _EMPTY


def _constant(family: str, y: Floats, trials: Floats) -> float:
    from scipy.special import gammaln

    if family in ("poisson", "negative_binomial"):
        return -float(gammaln(y + 1.0).sum())
    if family in ("binomial", "beta_binomial"):
        choose = gammaln(trials + 1.0) - gammaln(y + 1.0) - gammaln(trials - y + 1.0)
        return float(choose.sum())
    if family == "normal":
        return -y.size * _HALF_LOG_TWO_PI
    if family == "lognormal":
        return -y.size * _HALF_LOG_TWO_PI - float(np.log(y).sum())
    if family == "gamma":
        return -float(np.log(y).sum())
    return 0.0
