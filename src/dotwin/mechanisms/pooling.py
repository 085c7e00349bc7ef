"""How much the data say about each group's effect: what decides its parametrisation.

A group whose data outweigh its prior is sampled well on its own scale (centred), one whose prior
outweighs its data on the prior's scale (non-centred); Papaspiliopoulos, Roberts and Skold (2007),
doi 10.1214/088342307000000014. Between the two, each group gets its own share of both.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.design import Design, PredictorDesign

__all__ = [
    "Pooled",
    "average",
    "group_weights",
    "parent_of",
    "pooled_levels",
    "row_information",
]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: A group sd below its bound at this level would be surprising.
LEVEL = 0.005
#: Residuals beyond this many robust sds are drawn in, so that heavy tails are not taken for groups.
WINSOR = 3.0


class Pooled(NamedTuple):
    """What the data say about the groups of a level.

    Parameters
    ----------
    weight : array, dims (group,)
        1 for a group whose effect is best centred, 0 for one that is not.
    drift : float
        Variance of the groups' average effect: how far it can stand in for the intercept.
    """

    weight: Floats
    drift: float


def pooled_levels(design: Design, arrays: PredictorDesign) -> dict[str, Pooled]:
    """Judge for every level how centred its groups' parametrisation should be.

    Parameters
    ----------
    design : Design
    arrays : PredictorDesign
        One of the design's linear predictors.

    Returns
    -------
    dict of str to Pooled
        By level, and 'period'.
    """
    predictor = arrays.predictor
    information, residual = row_information(design, arrays)
    found: dict[str, Pooled] = {}
    if predictor.period:
        size = len(design.period_names)
        held = np.bincount(design.period, information, size)
        shocks = average(design.period, size, information, residual)
        spread = _moment_variance(shocks[held > 0], held[held > 0], 1)
        found["period"] = Pooled(group_weights(shocks, held), spread / size)
        # What moves all units of a period together is no unit's own.
        residual = residual - shocks[design.period]
    known, away, inside = information, residual, np.arange(design.rows)
    # Inner groups first: their spread limits what is known of the groups that hold them.
    for depth in range(len(predictor.levels) - 1, -1, -1):
        level = predictor.levels[depth]
        index, size = arrays.groups[level], len(design.group_names[level])
        of_inner = np.zeros(known.size, dtype=np.intp)
        of_inner[inside] = index
        held = np.bincount(of_inner, known, size)
        mean = average(of_inner, size, known, away)
        own, holders = mean, 1
        if depth:
            # Nor is what the groups share that lie within one outer group.
            parent = parent_of(arrays, level, predictor.levels[depth - 1], size)
            holders = int(np.unique(parent).size)
            own = mean - average(parent, int(parent.max()) + 1, held, mean)[parent]
        spread = _moment_variance(own[held > 0], held[held > 0], holders)
        found[level] = Pooled(group_weights(own, held, holders), spread / size)
        known, away, inside = held / (1.0 + held * spread), mean, index
    if predictor.role == "mean":
        # What a hidden cause of the same groups explains may be all of their scatter, so nothing
        # keeps the spread of what it leaves away from 0.
        for factor in design.equation.factors:
            if factor.dims == (factor.level,) and factor.level in found:
                weight, drift = found[factor.level]
                found[factor.level] = Pooled(np.zeros_like(weight), drift)
    return found


def average(index: Indices, size: int, weights: Floats, values: Floats) -> Floats:
    """Average values over groups, dims (group,); 0 where a group has none."""
    held = np.maximum(np.bincount(index, weights, size), 1e-12)
    return np.asarray(np.bincount(index, weights * values, size) / held)


def parent_of(arrays: PredictorDesign, level: str, outer: str, size: int) -> Indices:
    """Return the outer group of each group of a level."""
    parent = np.zeros(size, dtype=np.intp)
    parent[arrays.groups[level]] = arrays.groups[outer]
    return parent


def group_weights(means: Floats, held: Floats, holders: int = 1) -> Floats:
    """Return I s2 / (1 + I s2) of each group, from estimates with information ``held``.

    s2 is the smallest variance between groups that their scatter leaves plausible: where that is 0,
    a sampler that held effects to the data would be caught in the funnel of a vanishing sd.
    ``holders`` is the number of outer groups whose averages have been taken off the estimates.
    """
    variance = _least_variance(means[held > 0], held[held > 0], holders)
    return np.asarray(held * variance / (1.0 + held * variance))


def _scatter(means: Floats, held: Floats, freedom: int) -> tuple[float, float]:
    """Return the weighted scatter of groups and their average information."""
    total = float(held.sum())
    centre = float((held * means).sum()) / total
    scatter = float((held * (means - centre) ** 2).sum())
    return scatter, max((total - float((held**2).sum()) / total) / freedom, 1e-12)


def _least_variance(means: Floats, held: Floats, holders: int) -> float:
    """Return a lower bound of the variance between groups.

    Their weighted scatter is 1 + I s2 times a chi-squared number, with an average information I.
    """
    from scipy.special import chdtri

    freedom = means.size - holders
    if freedom < 1:
        return 0.0
    scatter, information = _scatter(means, held, freedom)
    return max(scatter / float(chdtri(freedom, LEVEL)) - 1.0, 0.0) / information


def _moment_variance(means: Floats, held: Floats, holders: int) -> float:
    """Estimate the variance between groups by moments (DerSimonian and Laird 1986), at least 0."""
    freedom = means.size - holders
    if freedom < 2:
        return 0.0
    scatter, information = _scatter(means, held, freedom)
    return max(scatter / freedom - 1.0, 0.0) / information


def row_information(design: Design, arrays: PredictorDesign) -> tuple[Floats, Floats]:
    """Return each row's information about the linear predictor and its working residual.

    One step of iteratively reweighted least squares from a constant predictor takes the causes
    out; what scatter is left sets the information (quasi-likelihood; McCullagh and Nelder 1989).
    """
    information, response = _constant_step(design, arrays)
    rows, terms = arrays.columns.shape
    regressors = np.column_stack([np.ones(rows), arrays.columns])
    weighted = regressors * information[:, None]
    # A small ridge keeps collinear columns from mattering.
    gram = regressors.T @ weighted + 1e-6 * information.sum() * np.eye(terms + 1)
    residual = response - regressors @ np.linalg.solve(gram, weighted.T @ response)
    if design.equation.indicator.family == "student_t":
        # 1.4826 times the median absolute deviation is the sd of a normal.
        limit = WINSOR * 1.4826 * float(np.median(np.abs(residual - np.median(residual))))
        residual = np.clip(residual, -limit, limit)
    scatter = float((information * residual**2).sum()) / max(rows - terms - 1, 1)
    return information / max(scatter, 1e-12), residual


def _constant_step(design: Design, arrays: PredictorDesign) -> tuple[Floats, Floats]:
    """Return information and working response where the linear predictor is a constant."""
    eq = design.equation
    y = design.y / (eq.indicator.out_of or 1.0)
    ones = np.ones(y.size)
    if arrays.predictor.role != "mean":
        at_point = y == (1.0 if arrays.predictor.role == "end1" else 0.0)
        p = float(np.clip(at_point.mean(), 0.5 / y.size, 1 - 0.5 / y.size))
        return ones * p * (1 - p), (at_point - p) / (p * (1 - p))
    if eq.family.link == "identity":
        return ones, y
    if eq.family.link == "log":
        scale = np.exp(arrays.offset)
        positive = y[y > 0]
        if not eq.family.support.integer:
            # Zeros, where a hurdle lets them in, say nothing of the size of the rest.
            floor = float(positive.min()) if positive.size else 1.0
            return (y > 0).astype(float) + 1e-9, np.log(np.maximum(y, floor))
        rate = max(float(y.sum() / scale.sum()), 1e-6)
        return rate * scale, y / (rate * scale)
    if eq.indicator.family == "ordinal":
        return ones, (y - y.mean()) / (float(y.std()) or 1.0)
    trials = ones if design.trials is None else design.trials
    p = float(np.clip(y.sum() / trials.sum(), 1e-4, 1 - 1e-4))
    return trials * p * (1 - p), (y / trials - p) / (p * (1 - p))
