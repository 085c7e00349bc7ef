"""Split a mechanism into problems that share no parameter, or say why it is not known how."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.arrow import Arrow
from dotwin.inference.deterministic.columns import (
    MANY_GROUPS,
    bulk_of,
    fixed_globals,
    inner_level,
    scaled_globals,
)
from dotwin.inference.deterministic.gather import Sparse, gather
from dotwin.inference.deterministic.outcome import outcome_of
from dotwin.inference.deterministic.problem import Block, Hyper, Problem
from dotwin.inference.nuts.accepts import is_known
from dotwin.inference.nuts.constants import is_positive, prior_code
from dotwin.inference.nuts.elements import element_priors
from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.parameters import Parameter, parameters

__all__ = ["problems_of", "refusal"]

Floats = NDArray[np.float64]
Predictors = tuple[PredictorDesign, ...]

#: Globals that cross beyond which their dense information matrix is slower than sampling.
MOST_CROSSING = 300
#: Hyperparameters of one problem beyond which a design of points does not describe them.
MOST_HYPERS = 6
#: Typical spreads on the link scale, and what the families' parameters often are.
_TYPICAL = 0.5
_TYPICAL_OF = {"1/sqrt(dispersion)": 0.5, "nu - 2": 5.0}


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
    if len(one.ends) > 1:
        return "two ends share one choice"
    listed = parameters(eq, design.reference, design.group_names, design.period_names)
    sds = {p.sd for p in listed}
    for p in listed:
        if p.kind == "free" and p.name not in sds:
            other = [x for x in p.priors if x.distribution not in ("normal", "student_t")]
            if other:
                return f"the prior {other[0]} of {p.name} is neither normal nor Student's t"
    for predictors in _together(design):
        own = _own(predictors, listed)
        crossing = _crossing(design, predictors, own)
        if crossing > MOST_CROSSING:
            return f"{crossing:,} globals that cross the groups are too many"
        hypers = sum(
            int(np.prod(p.shape, dtype=int)) for p in own if p.name in sds or p.kind == "dispersion"
        )
        if hypers > MOST_HYPERS:
            return f"{hypers} spreads are too many for a design of points"
    return None


def problems_of(design: Design, *, rich: bool = False) -> list[Problem]:
    """Split a mechanism that `refusal` does not refuse.

    Parameters
    ----------
    design : Design
    rich : bool
        Whether effects of few groups of many rows are integrated out too; see `inner_level`.

    Returns
    -------
    list of Problem
    """
    listed = parameters(design.equation, design.reference, design.group_names, design.period_names)
    return [_problem(design, predictors, listed, rich) for predictors in _together(design)]


def _together(design: Design) -> list[Predictors]:
    """Return the linear predictors of each problem: zeros from two sources tie two together."""
    zeros = design.equation.indicator.zeros
    if zeros is not None and zeros.kind == "inflated":
        return [tuple(design.predictors)]
    return [(arrays,) for arrays in design.predictors]


def _own(predictors: Predictors, listed: list[Parameter]) -> list[Parameter]:
    prefixes = [arrays.predictor.prefix for arrays in predictors]
    return [p for p in listed if p.name.rpartition(".")[0] in prefixes]


def _crossing(design: Design, predictors: Predictors, own: list[Parameter]) -> int:
    """Count the globals but for those of the level with the most groups, which may be many."""
    prefix, inner = predictors[0].predictor.prefix, inner_level(design, predictors[0])
    by_level: dict[str, int] = {}
    for p in own:
        if p.kind == "dispersion" or p.name in {q.sd for q in own} or p.name == f"{prefix}.{inner}":
            continue
        level = p.dims[-1] if p.kind == "effects" and p.dims[-1] != "period" else ""
        if level and p.shape[-1] < MANY_GROUPS:
            level = ""
        by_level[level] = by_level.get(level, 0) + int(np.prod(p.shape, dtype=int))
    outer = [size for level, size in by_level.items() if level and inner]
    return sum(by_level.values()) - max(outer, default=0)


def _problem(
    design: Design, predictors: Predictors, everything: list[Parameter], rich: bool
) -> Problem:
    """Build the problem of one linear predictor, or of counts and a second source of zeros."""
    first = predictors[0]
    prefix, is_main = first.predictor.prefix, first.predictor.role == "mean"
    listed = _own(predictors, everything)
    outcome = outcome_of(design, predictors)
    rows, inner = outcome.rows, inner_level(design, first, rich=rich)
    zero = (outcome.y == 0).astype(float) if len(predictors) > 1 else outcome.y
    fixed = fixed_globals(design, predictors, listed, rows, zero)
    hypers, position = _hypers(listed, prefix, design.reference.multiplier if is_main else 1.0)
    own = scaled_globals(design, first, rows, inner=inner)
    scaled = [*own]
    for arrays in predictors[1:]:
        scaled += scaled_globals(design, arrays, rows, inner="")
    blocks: list[Block] = []
    sparse: list[Sparse] = []
    if fixed.cuts is not None and outcome.cut is not None:
        place = (fixed.cuts.first + outcome.cut).astype(np.int64)
        sparse.append(Sparse(place, -np.ones(rows.size)))
    own_sparse = len(sparse) + len(own)
    at = fixed.start.size
    for one in scaled:
        sparse.append(Sparse((at + one.index).astype(np.int64), one.scale))
        blocks.append(Block(one.name, at, one.size, position[one.sd] + one.element, walk=one.walk))
        at += one.size
    group = first.groups[inner][rows] if inner else None
    arrow = Arrow(at, bulk_of(scaled, blocks, group))
    gathered = gather(
        group=group,
        groups=len(design.group_names[inner]) if inner else 0,
        dense=fixed.dense,
        sparse=sparse,
        offset=first.offset[rows],
        y=outcome.y,
        extra=outcome.extra,
        lower=outcome.lower,
        table=outcome.table,
        arrow=arrow,
        own=(fixed.own, own_sparse),
        second_offset=predictors[1].offset[rows] if len(predictors) > 1 else None,
    )
    return Problem(
        listed=listed,
        family=int(outcome.family),
        kind=outcome.kind,
        gathered=gathered,
        inner=f"{prefix}.{inner}" if inner else "",
        hypers=hypers,
        inner_sd=position[f"{prefix}.sd_{inner}"] if inner else -1,
        dispersions=tuple(position[p.name] for p in listed if p.kind == "dispersion"),
        blocks=tuple(blocks),
        free=fixed.free,
        priors=fixed.priors,
        start=np.concatenate([fixed.start, np.zeros(at - fixed.start.size)]),
        arrow=arrow,
        cuts=fixed.cuts,
    )


def _hypers(
    listed: list[Parameter], prefix: str, scale: float
) -> tuple[tuple[Hyper, ...], dict[str, int]]:
    """Return the hyperparameters and where each parameter's begin.

    ``scale`` is that of the linear predictor with the given prefix; another one's is the logit's.
    """
    sds = {p.sd for p in listed}
    found: list[Hyper] = []
    position: dict[str, int] = {}
    for p in listed:
        if p.name in sds or p.kind == "dispersion":
            position[p.name] = len(found)
            typical = _TYPICAL * (scale if p.name.rpartition(".")[0] == prefix else 1.0)
            if p.transform is not None and not p.transform.relative_to_child_sd:
                typical = _TYPICAL_OF[p.transform.prior_on]
            found += [Hyper(p.name, j, prior, typical) for j, prior in enumerate(element_priors(p))]
    for hyper in found:
        code = prior_code(hyper.prior)
        assert is_positive(code) or hyper.prior.distribution in ("beta", "uniform")
    return tuple(found), position
