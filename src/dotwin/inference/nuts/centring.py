"""How each group effect is parametrised, so that a sampler meets nearly independent directions.

An effect v of a group whose other contributions to the linear predictor average m is sampled as

    t = (v + pull (m - m0)) / sd**(1 - weight).

A group that the data know well fixes m + v, so v moves against m: with ``pull`` near 1 that
movement is taken out. A group that they hardly know follows its prior: with ``weight`` and ``pull``
near 0 its effect is t sd, whatever the rest does. Both are I s2 / (1 + I s2) with the information I
of the group and the smallest variance s2 that the groups' scatter leaves plausible: where that is
0, a sampler that held effects to the data would be caught in the funnel of a vanishing sd. The
shift by m is a shear, which leaves volumes as they are. Papaspiliopoulos, Roberts and Skold
(2007), doi 10.1214/088342307000000014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.pooling import (
    average,
    group_weights,
    parent_of,
    pooled_levels,
    row_information,
)

__all__ = ["Centring", "centring"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Centring:
    """How the effects of one set of groups are parametrised.

    Parameters
    ----------
    weight, pull : array, dims (group,)
    intercept : bool
        Whether the intercept is among what the groups share.
    terms : tuple of int
        Which coefficients are.
    means : array, dims (term, group)
        By how much each adds to a group's average linear predictor.
    parents : dict of str to int array, dims (group,)
        The outer group of each group, by level.
    """

    weight: Floats
    pull: Floats
    intercept: bool
    terms: tuple[int, ...]
    means: Floats
    parents: dict[str, Indices]


def centring(design: Design, arrays: PredictorDesign) -> dict[str, list[Centring]]:
    """Choose the parametrisation of every group effect of a linear predictor.

    Parameters
    ----------
    design : Design
    arrays : PredictorDesign

    Returns
    -------
    dict of str to list of Centring
        By the last part of the parameter's name; slopes have one entry per term.
    """
    predictor = arrays.predictor
    information, residual = row_information(design, arrays)
    pooled = pooled_levels(design, arrays)
    found: dict[str, list[Centring]] = {}
    terms = tuple(range(len(predictor.terms)))
    # Of effects that cross each other only one kind can take in the intercept: the one whose
    # average is the freer to stand in for it.
    outermost = pooled[predictor.levels[0]].drift if predictor.levels else -1.0
    by_period = predictor.period and pooled["period"].drift > outermost
    for level, (weight, _) in pooled.items():
        index, parents = design.period, {}
        if level != "period":
            index = arrays.groups[level]
            outer = predictor.levels[: predictor.levels.index(level)]
            parents = {o: parent_of(arrays, level, o, weight.size) for o in outer}
        means = [average(index, weight.size, information, c) for c in arrays.columns.T]
        shared = np.array(means).reshape(len(means), weight.size)
        intercept = (level == "period") == by_period
        found[level] = [Centring(weight, weight, intercept, terms, shared, parents)]
    for level in predictor.slope_levels:
        index, size = arrays.groups[level], len(design.group_names[level])
        found[f"slope_{level}"] = [
            _slope(index, size, information, residual, arrays.columns[:, k], k)
            for k in predictor.slopes(level)
        ]
    return found


def _slope(
    index: Indices, size: int, information: Floats, residual: Floats, column: Floats, term: int
) -> Centring:
    held = np.maximum(np.bincount(index, information, size), 1e-12)
    away = column - (np.bincount(index, information * column, size) / held)[index]
    known = np.bincount(index, information * away**2, size)
    slopes = np.bincount(index, information * away * residual, size) / np.maximum(known, 1e-12)
    weight = group_weights(slopes, np.where(known > 1e-9, known, 0.0))
    return Centring(weight, weight, False, (term,), np.ones((1, size)), {})
