"""How much the data say about each group's effect: what decides its parametrisation.

A group whose data outweigh its prior is sampled well on its own scale (centred), one whose prior
outweighs its data on the prior's scale (non-centred); Papaspiliopoulos, Roberts and Skold (2007),
doi 10.1214/088342307000000014. Between the two, each group gets its own share of both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.design import Design, PredictorDesign

__all__ = ["centring_weights", "moment_variance", "row_information"]

Floats = NDArray[np.float64]

#: What a group sd is taken to be when the data hardly speak of it, on the link scale (in reference
#: sds of the indicator where the link is the identity).
SMALL_SD = 0.03
#: Below this ratio of a group's information to its prior's, a share of centring only lengthens the
#: funnel at a spread near 0.
SMALL_RATIO = 0.5
#: Residuals beyond this many robust sds are drawn in, so that heavy tails are not taken for groups.
WINSOR = 3.0


def centring_weights(design: Design, arrays: PredictorDesign) -> dict[str, Floats]:
    """Choose for every group effect how centred its parametrisation is.

    Parameters
    ----------
    design : Design
    arrays : PredictorDesign
        One of the design's linear predictors.

    Returns
    -------
    dict of str to array
        By level (and 'period'): a weight per group, 1 for centred and 0 for non-centred. With
        information I of a group and group variance s2, the weight is I s2 / (1 + I s2), and 0
        where I s2 is small.
    """
    information, residual = row_information(design, arrays)
    groups: dict[str, tuple[NDArray[np.intp], int]] = {}
    if arrays.predictor.period:
        groups["period"] = (design.period, len(design.period_names))
    for level in arrays.predictor.levels:
        groups[level] = (arrays.groups[level], len(design.group_names[level]))
    small = SMALL_SD * design.reference.multiplier
    held, variance = {}, {}
    for name, (index, size) in groups.items():
        held[name] = np.bincount(index, information, size)
        mean = np.bincount(index, information * residual, size) / np.maximum(held[name], 1e-12)
        seen = held[name] > 0
        variance[name] = max(small**2, moment_variance(mean[seen], held[name][seen]))
        # What the outer groups explain is not the inner ones' spread.
        residual = residual - mean[index]
    inner = ""
    for name in reversed(arrays.predictor.levels):
        index, size = groups[name]
        if inner:
            # An outer group is known only as well as the inner groups' spread lets it be.
            below, members = groups[inner]
            seen = held[inner] > 0
            known = 1.0 / (1.0 / np.maximum(held[inner], 1e-12) + variance[inner])
            holder = np.zeros(members, dtype=np.intp)
            holder[below] = index
            held[name] = np.bincount(holder[seen], known[seen], size)
        inner = name
    weights = {}
    for name in groups:
        ratio = held[name] * variance[name]
        weights[name] = np.where(ratio < SMALL_RATIO, 0.0, ratio / (1.0 + ratio))
    return weights


def moment_variance(means: Floats, held: Floats) -> float:
    """Between-group variance by moments (DerSimonian and Laird 1986)."""
    if means.size < 3:
        return 0.0
    total = held.sum()
    centre = (held * means).sum() / total
    excess = (held * (means - centre) ** 2).sum() - (means.size - 1)
    return float(excess / (total - (held**2).sum() / total))


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
