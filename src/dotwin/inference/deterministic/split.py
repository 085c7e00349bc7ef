"""Split a mechanism into problems that share no parameter, or say why it is not known how."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.gather import Sparse, gather
from dotwin.inference.deterministic.problem import Block, Hyper, Problem
from dotwin.inference.deterministic.terms import BOUNDED, POSITIVE, WHOLE
from dotwin.inference.nuts.accepts import is_known
from dotwin.inference.nuts.constants import is_positive, prior_code
from dotwin.inference.nuts.elements import element_priors
from dotwin.inference.nuts.parts import FamilyCode
from dotwin.inference.nuts.rows import family_code, main_rows
from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.parameters import Parameter, parameters
from dotwin.spec.prior import Prior

__all__ = ["problems_of", "refusal"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Globals beyond which their dense information matrix is slower than sampling.
MOST_GLOBALS = 300
#: Hyperparameters of one problem beyond which a design of points does not describe them.
MOST_HYPERS = 6
#: Typical spreads on the link scale, and what the families' parameters often are.
_TYPICAL = 0.5
_TYPICAL_OF = {"1/sqrt(dispersion)": 0.5, "nu - 2": 5.0}
_COUNTS = (FamilyCode.POISSON, FamilyCode.NEGATIVE_BINOMIAL, FamilyCode.BINOMIAL)


def refusal(design: Design) -> str | None:
    """Say why a mechanism cannot be fitted without sampling, or None where it can.

    Parameters
    ----------
    design : Design
    """
    eq = design.equation
    one = eq.indicator
    if not is_known(design):
        return "its family, bound or priors are unknown to the kernels"
    if one.family == "ordinal":
        return "ordered cutpoints are not covered"
    if eq.family.link == "log" and one.family == "normal":
        return "a normal with a log link is not covered"
    if one.zeros is not None and one.zeros.kind == "inflated":
        return "zeros that may come from two sources tie its equations together"
    if len(one.ends) > 1:
        return "two ends share one choice"
    if design.lower is not None and family_code(eq) not in (*_COUNTS, FamilyCode.BETA_BINOMIAL):
        return "a bound on a continuous outcome is not covered"
    listed = parameters(eq, design.reference, design.group_names, design.period_names)
    sds = {p.sd for p in listed}
    for p in listed:
        if p.kind == "free" and p.name not in sds:
            other = [x for x in p.priors if x.distribution not in ("normal", "student_t")]
            if other:
                return f"the prior {other[0]} of {p.name} is neither normal nor Student's t"
    for arrays in design.predictors:
        prefix = arrays.predictor.prefix
        own = [p for p in listed if p.name.rpartition(".")[0] == prefix]
        inner = _inner(arrays)
        globals_ = sum(
            int(np.prod(p.shape, dtype=int))
            for p in own
            if p.name not in sds and p.kind != "dispersion" and p.name != f"{prefix}.{inner}"
        )
        if globals_ > MOST_GLOBALS:
            return f"{globals_:,} globals beside the innermost groups' effects are too many"
        hypers = sum(
            int(np.prod(p.shape, dtype=int)) for p in own if p.name in sds or p.kind == "dispersion"
        )
        if hypers > MOST_HYPERS:
            return f"{hypers} spreads are too many for a design of points"
    return None


def problems_of(design: Design) -> list[Problem]:
    """Split a mechanism that `refusal` does not refuse.

    Parameters
    ----------
    design : Design

    Returns
    -------
    list of Problem
    """
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    return [_problem(design, arrays, listed) for arrays in design.predictors]


def _inner(arrays: PredictorDesign) -> str:
    """Return the level whose effects are integrated out, or ""."""
    levels = arrays.predictor.levels
    return levels[-1] if levels else ""


def _problem(design: Design, arrays: PredictorDesign, everything: list[Parameter]) -> Problem:
    predictor = arrays.predictor
    prefix = predictor.prefix
    listed = [p for p in everything if p.name.rpartition(".")[0] == prefix]
    by_name = {p.name: p for p in listed}
    is_main = predictor.role == "mean"
    rows = main_rows(design) if is_main else np.arange(design.rows)
    inner = _inner(arrays)
    scale = design.reference.multiplier if is_main else 1.0
    hypers, position = _hypers(listed, scale)

    dense: list[Floats] = []
    sparse: list[Sparse] = []
    blocks: list[Block] = []
    free: dict[str, slice] = {}
    priors: list[Prior] = []
    at = 0
    columns = arrays.columns[rows]
    if f"{prefix}.intercept" in by_name:
        dense.append(np.ones((rows.size, 1)))
        free[f"{prefix}.intercept"] = slice(at, at + 1)
        priors += element_priors(by_name[f"{prefix}.intercept"])
        at += 1
    if f"{prefix}.causes" in by_name:
        dense.append(columns)
        free[f"{prefix}.causes"] = slice(at, at + columns.shape[1])
        priors += element_priors(by_name[f"{prefix}.causes"])
        at += columns.shape[1]
    ones = np.ones(rows.size)

    def scaled(name: str, size: int, hyper: int, index: Indices, scale: Floats) -> None:
        nonlocal at
        sparse.append(Sparse((at + index).astype(np.int64), scale))
        blocks.append(Block(name, at, size, hyper))
        at += size

    for level in predictor.levels[:-1]:
        size = len(design.group_names[level])
        hyper = position[f"{prefix}.sd_{level}"]
        scaled(f"{prefix}.{level}", size, hyper, arrays.groups[level][rows], ones)
    for level in predictor.slope_levels:
        size = len(design.group_names[level])
        for j, k in enumerate(predictor.slopes(level)):
            hyper = position[f"{prefix}.sd_slope_{level}"] + j
            index = arrays.groups[level][rows]
            scaled(f"{prefix}.slope_{level}", size, hyper, index, columns[:, k])
    period = design.period[rows]
    if predictor.period:
        hyper = position[f"{prefix}.sd_period"]
        scaled(f"{prefix}.period", len(design.period_names), hyper, period, ones)
    if predictor.walk and len(design.period_names) > 1:
        size, hyper = len(design.period_names) - 1, position[f"{prefix}.sd_walk"]
        index = np.maximum(period - 1, 0)
        sparse.append(Sparse((at + index).astype(np.int64), (period > 0).astype(float)))
        blocks.append(Block(f"{prefix}.walk", at, size, hyper, walk=True))
        at += size

    family, kind, y, extra, lower, table = _outcome(design, arrays, rows)
    gathered = gather(
        group=arrays.groups[inner][rows] if inner else None,
        groups=len(design.group_names[inner]) if inner else 0,
        dense=np.hstack(dense) if dense else np.zeros((rows.size, 0)),
        sparse=sparse,
        offset=arrays.offset[rows],
        y=y,
        extra=extra,
        lower=lower,
        table=table,
    )
    start = np.zeros(at)
    for j, prior in enumerate(priors):
        start[j] = prior.arguments[0 if prior.distribution == "normal" else 1]
    if f"{prefix}.intercept" in free:
        start[0] = design.reference.child[0]
        if not is_main:
            share = (float(y.sum()) + 0.5) / (y.size + 1.0)
            start[0] = math.log(share / (1.0 - share))
    return Problem(
        listed=listed,
        family=int(family),
        kind=kind,
        gathered=gathered,
        inner=f"{prefix}.{inner}" if inner else "",
        hypers=hypers,
        inner_sd=position[f"{prefix}.sd_{inner}"] if inner else -1,
        dispersions=tuple(position[p.name] for p in listed if p.kind == "dispersion"),
        blocks=tuple(blocks),
        free=free,
        priors=tuple(priors),
        start=start,
    )


def _hypers(listed: list[Parameter], scale: float) -> tuple[tuple[Hyper, ...], dict[str, int]]:
    sds = {p.sd for p in listed}
    found: list[Hyper] = []
    position: dict[str, int] = {}
    for p in listed:
        if p.name in sds or p.kind == "dispersion":
            position[p.name] = len(found)
            typical = _TYPICAL * scale
            if p.transform is not None and not p.transform.relative_to_child_sd:
                typical = _TYPICAL_OF[p.transform.prior_on]
            found += [Hyper(p.name, j, prior, typical) for j, prior in enumerate(element_priors(p))]
    for hyper in found:
        code = prior_code(hyper.prior)
        assert is_positive(code) or hyper.prior.distribution in ("beta", "uniform")
    return tuple(found), position


def _outcome(
    design: Design, arrays: PredictorDesign, rows: Indices
) -> tuple[FamilyCode, int, Floats, Floats, Floats, Floats]:
    """Return the family, the kind of truncation, y, what goes with it, bounds and counts."""
    one = design.equation.indicator
    role = arrays.predictor.role
    nothing, zeros, ones = np.zeros(0), np.zeros(rows.size), np.ones(rows.size)
    whole = design.y / (one.out_of or 1.0)
    if role != "mean":
        at = whole[rows] == (1.0 if role == "end1" else 0.0)
        return FamilyCode.BINOMIAL, WHOLE, at.astype(float), ones, zeros, nothing
    family = family_code(design.equation)
    y = whole[rows]
    if one.family == "lognormal":
        return family, WHOLE, np.log(y), zeros, zeros, nothing
    if family == FamilyCode.GAMMA:
        return family, WHOLE, y, np.log(y), zeros, nothing
    if family == FamilyCode.BETA:
        return family, WHOLE, np.log(y), np.log1p(-y), zeros, nothing
    if family in (FamilyCode.NORMAL, FamilyCode.STUDENT_T):
        return family, WHOLE, y, zeros, zeros, nothing
    trials = ones if design.trials is None else design.trials[rows]
    hurdle = one.zeros is not None and one.zeros.kind == "hurdle"
    lower = np.full(rows.size, 1.0 if hurdle else 0.0)
    if design.lower is not None:
        lower = np.maximum(lower, np.ceil(design.lower[rows]))
    kind = WHOLE
    if (lower > 0).any():
        plain = (lower == 1.0).all() and family != FamilyCode.BETA_BINOMIAL
        kind = POSITIVE if plain else BOUNDED
    table = y if family == FamilyCode.NEGATIVE_BINOMIAL else nothing
    if family == FamilyCode.BETA_BINOMIAL:
        table = trials
    return family, kind, y, trials, lower, table
