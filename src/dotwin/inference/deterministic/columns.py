"""The globals of a problem: those with priors of their own, and those scaled by a spread."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.problem import Block, Cuts
from dotwin.inference.nuts.elements import element_priors
from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.parameters import Parameter
from dotwin.spec.prior import Prior

__all__ = ["Fixed", "Scaled", "bulk_of", "fixed_globals", "inner_level", "scaled_globals"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Outer groups from which on their globals are kept apart from the border of an arrow.
MANY_GROUPS = 40
#: So few groups of so many rows each are explored as globals first.
FEW_GROUPS, MANY_ROWS = 100, 150


@dataclass(frozen=True, eq=False)
class Fixed:
    """Globals that have priors of their own.

    Parameters
    ----------
    dense : array, dims (row, column)
        Intercepts and causes.
    own : int
        How many of these columns belong to the first linear predictor.
    free : dict of str to slice
        The globals of each parameter.
    priors : tuple of Prior
        By position.
    start : array, dims (global,)
        Where the search begins.
    cuts : Cuts, optional
        Cutpoints, behind the columns.
    """

    dense: Floats
    own: int
    free: dict[str, slice]
    priors: tuple[Prior, ...]
    start: Floats
    cuts: Cuts | None


@dataclass(frozen=True, eq=False)
class Scaled:
    """Globals that are normal around 0 with a spread: effects of groups and periods, and slopes.

    Parameters
    ----------
    name, sd : str
        Of the parameter, and of that of the spread.
    element : int
        Which of the spreads.
    size : int
    index : int array, dims (row,)
        Which of them each row has.
    scale : array, dims (row,)
        Times what.
    level : str
        Of the groups; "" for periods.
    walk : bool
    """

    name: str
    sd: str
    element: int
    size: int
    index: Indices
    scale: Floats
    level: str = ""
    walk: bool = False


def inner_level(design: Design, arrays: PredictorDesign, *, rich: bool = False) -> str:
    """Return the level whose effects are integrated out, or "".

    Parameters
    ----------
    design : Design
    arrays : PredictorDesign
    rich : bool
        Whether effects are integrated out also where few groups of many rows have effects that
        are nearly normal, for which one evaluation a row does instead of one a node.
    """
    levels = arrays.predictor.levels
    if not levels:
        return ""
    groups = len(design.group_names[levels[-1]])
    if not rich and groups <= FEW_GROUPS and design.rows >= MANY_ROWS * groups:
        return ""
    return levels[-1]


def fixed_globals(
    design: Design,
    predictors: tuple[PredictorDesign, ...],
    listed: list[Parameter],
    rows: Indices,
    outcome: Floats,
) -> Fixed:
    """Gather intercepts, causes and cutpoints.

    Parameters
    ----------
    design : Design
    predictors : tuple of PredictorDesign
        That of the outcome, and perhaps that of a second source of zeros.
    listed : list of Parameter
    rows : int array
        The rows of the design that are read, in order.
    outcome : array, dims (row,)
        1 where a yes-or-no outcome is yes.

    Returns
    -------
    Fixed
    """
    by_name = {p.name: p for p in listed}
    dense: list[Floats] = []
    free: dict[str, slice] = {}
    priors: list[Prior] = []
    own = 0

    def add(name: str, columns: Floats) -> None:
        dense.append(columns)
        free[name] = slice(len(priors), len(priors) + columns.shape[1])
        priors.extend(element_priors(by_name[name]))

    for k, arrays in enumerate(predictors):
        prefix = arrays.predictor.prefix
        if f"{prefix}.intercept" in by_name:
            add(f"{prefix}.intercept", np.ones((rows.size, 1)))
        if f"{prefix}.causes" in by_name:
            add(f"{prefix}.causes", arrays.columns[rows])
        if k == 0:
            own = len(priors)
    cuts = None
    name = f"{predictors[0].predictor.prefix}.cutpoints"
    if name in by_name:
        first = len(priors)
        priors.extend(element_priors(by_name[name]))
        free[name] = slice(first, len(priors))
        count = len(priors) - first
        between = np.bincount(design.y.astype(int), minlength=count + 1)[1:count]
        cuts = Cuts(first, between.astype(float))
    start = np.array(
        [p.arguments[0 if p.distribution == "normal" else 1] for p in priors], dtype=float
    )
    for arrays in predictors:
        place = free.get(f"{arrays.predictor.prefix}.intercept")
        if place is None:
            continue
        if arrays.predictor.role == "mean":
            start[place] = design.reference.child[0]
        else:
            # Of zeros from two sources about half may be from the second.
            part = 0.5 if len(predictors) > 1 else 1.0
            share = part * (float(outcome.sum()) + 0.5) / (outcome.size + 1.0)
            start[place] = math.log(share / (1.0 - share))
    if cuts is not None:
        count = cuts.between.size + 1
        below = np.array([(design.y <= k).sum() for k in range(count)])
        share = (below + 0.5 * np.arange(1, count + 1)) / (design.rows + 0.5 * (count + 1))
        start[cuts.first : cuts.first + count] = np.log(share / (1.0 - share))
    both = np.hstack(dense) if dense else np.zeros((rows.size, 0))
    return Fixed(both, own, free, tuple(priors), start, cuts)


def scaled_globals(
    design: Design, arrays: PredictorDesign, rows: Indices, *, inner: str
) -> list[Scaled]:
    """Gather the effects of a linear predictor, but for those of the level ``inner``."""
    predictor = arrays.predictor
    prefix, columns = predictor.prefix, arrays.columns[rows]
    ones = np.ones(rows.size)
    found = [
        Scaled(
            f"{prefix}.{level}",
            f"{prefix}.sd_{level}",
            0,
            len(design.group_names[level]),
            arrays.groups[level][rows],
            ones,
            level,
        )
        for level in predictor.levels
        if level != inner
    ]
    found += [
        Scaled(
            f"{prefix}.slope_{level}",
            f"{prefix}.sd_slope_{level}",
            j,
            len(design.group_names[level]),
            arrays.groups[level][rows],
            columns[:, k],
            level,
        )
        for level in predictor.slope_levels
        for j, k in enumerate(predictor.slopes(level))
    ]
    period, periods = design.period[rows], len(design.period_names)
    if predictor.period:
        found.append(Scaled(f"{prefix}.period", f"{prefix}.sd_period", 0, periods, period, ones))
    if predictor.walk and periods > 1:
        index, scale = np.maximum(period - 1, 0), (period > 0).astype(float)
        found.append(
            Scaled(f"{prefix}.walk", f"{prefix}.sd_walk", 0, periods - 1, index, scale, walk=True)
        )
    return found


def bulk_of(scaled: list[Scaled], blocks: list[Block], group: Indices | None) -> Indices:
    """Choose the globals that are kept apart from the border, dims (region, depth).

    They are all of one level, the one of most groups: what is integrated out lies within one of
    these, so that they meet nothing of each other.

    Parameters
    ----------
    scaled : list of Scaled
    blocks : list of Block
        Where each is among the globals.
    group : int array, dims (row,), optional
        The innermost group of each row.
    """
    nothing = np.zeros((0, 0), dtype=np.intp)
    if group is None:
        return nothing
    sizes = {one.level: one.size for one in scaled if one.level}
    for level in sorted(sizes, key=lambda name: -sizes[name]):
        if sizes[level] < MANY_GROUPS:
            break
        index = next(one.index for one in scaled if one.level == level)
        groups = np.unique(group).size
        if np.unique(np.column_stack([group, index]), axis=0).shape[0] > groups:
            continue
        starts = [b.start for b, one in zip(blocks, scaled, strict=True) if one.level == level]
        return np.asarray(np.arange(sizes[level])[:, None] + np.array(starts), dtype=np.intp)
    return nothing
