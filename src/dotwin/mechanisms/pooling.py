"""How much the data say about each group's effect: what decides its parametrisation.

A group whose data outweigh its prior is sampled well on its own scale (centred), one whose prior
outweighs its data on the prior's scale (non-centred); Papaspiliopoulos, Roberts and Skold (2007),
doi 10.1214/088342307000000014. Between the two, each group gets its own share of both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.design import Design, PredictorDesign

__all__ = ["centring_weights"]

Floats = NDArray[np.float64]

#: What a group sd is taken to be when the data hardly speak of it, on the link scale.
SMALL_SD = 0.1


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
        information I of a group and group variance s2, the weight is I s2 / (1 + I s2).
    """
    information, residual = _working(design, arrays)
    indices: dict[str, tuple[NDArray[np.intp], int]] = {
        level: (arrays.groups[level], len(design.group_names[level]))
        for level in arrays.predictor.levels
    }
    if arrays.predictor.period:
        indices["period"] = (design.period, len(design.period_names))
    weights: dict[str, Floats] = {}
    below: Floats | None = None
    for level, (index, size) in reversed(list(indices.items())):
        held = np.bincount(index, information, size)
        mean = np.bincount(index, information * residual, size) / np.maximum(held, 1e-12)
        seen = held > 0
        variance = max(SMALL_SD**2, _moment_variance(mean[seen], held[seen]))
        if level != "period" and below is not None:
            # An outer group is known only as well as the inner groups' spread lets it be.
            held = np.bincount(index, below, size)
        ratio = held * variance
        weights[level] = ratio / (1.0 + ratio)
        if level != "period":
            below = 1.0 / (1.0 / np.maximum(held, 1e-12) + variance)
            below = below[index] / np.maximum(np.bincount(index, minlength=size)[index], 1)
    return weights


def _moment_variance(means: Floats, held: Floats) -> float:
    """Between-group variance by moments (DerSimonian and Laird 1986)."""
    if means.size < 3:
        return 0.0
    total = held.sum()
    centre = (held * means).sum() / total
    excess = (held * (means - centre) ** 2).sum() - (means.size - 1)
    return float(excess / (total - (held**2).sum() / total))


def _working(design: Design, arrays: PredictorDesign) -> tuple[Floats, Floats]:
    """Return each row's information about the linear predictor and its working residual."""
    eq = design.equation
    y = design.y / (eq.indicator.out_of or 1.0)
    ones = np.ones(y.size)
    if arrays.predictor.role == "zeros":
        at_zero = (y == 0).astype(float)
        p = np.clip(at_zero.mean(), 0.01, 0.99)
        return ones * p * (1 - p), (at_zero - p) / (p * (1 - p))
    if eq.family.link == "identity" or eq.indicator.family == "lognormal":
        values = y if eq.family.link == "identity" else np.log(np.maximum(y, 1e-12))
        sd = float(np.std(values)) or 1.0
        return ones / (0.5 * sd**2), values - values.mean()
    if eq.family.link == "log":
        scale = np.exp(arrays.offset)
        rate = max(y.sum() / scale.sum(), 1e-6)
        mean = rate * scale
        # An sd of one half on the log scale stands for the overdispersion that is still unknown.
        information = mean / (1.0 + 0.25 * mean) if eq.family.dispersion else mean
        return information, (y - mean) / mean
    trials = ones if design.trials is None else design.trials
    p = float(np.clip(y.sum() / trials.sum(), 1e-4, 1 - 1e-4))
    if eq.indicator.family == "ordinal":
        return ones * 0.2, (y - y.mean()) / max(float(y.var()), 1e-6)
    slope = p * (1 - p)
    information = trials * slope
    if eq.indicator.family == "beta":
        spread = max(float(np.var(y)), 1e-6)
        information = ones * slope**2 / (0.5 * spread)
    elif eq.family.dispersion:
        information = information / (1.0 + 0.05 * (trials - 1))
    return information, (y / trials - p) / slope
