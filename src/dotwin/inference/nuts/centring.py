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
from dotwin.mechanisms.pooling import moment_variance, row_information

__all__ = ["Centring", "centring"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: A group sd below its bound at this level would be surprising.
_LEVEL = 0.05


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
    found: dict[str, list[Centring]] = {}
    terms = tuple(range(len(predictor.terms)))
    known, away, inside = information, residual, np.arange(design.rows)
    # Inner groups first: their spread limits what is known of the groups that hold them.
    for depth in range(len(predictor.levels) - 1, -1, -1):
        level = predictor.levels[depth]
        index, size = arrays.groups[level], len(design.group_names[level])
        of_inner = np.zeros(known.size, dtype=np.intp)
        of_inner[inside] = index
        held = np.bincount(of_inner, known, size)
        mean = np.bincount(of_inner, known * away, size) / np.maximum(held, 1e-12)
        weight = _weight(mean, held)
        parents = {outer: _parent(arrays, level, outer, size) for outer in predictor.levels[:depth]}
        means = _means(index, size, information, arrays.columns)
        found[level] = [Centring(weight, weight, True, terms, means, parents)]
        spread = max(moment_variance(mean[held > 0], held[held > 0]), 0.0)
        known, away, inside = held / (1.0 + held * spread), mean, index
    if predictor.period:
        size = len(design.period_names)
        held = np.bincount(design.period, information, size)
        mean = np.bincount(design.period, information * residual, size) / np.maximum(held, 1e-12)
        weight = _weight(mean, held)
        means = _means(design.period, size, information, arrays.columns)
        found["period"] = [Centring(weight, weight, True, terms, means, {})]
    for level in predictor.slope_levels:
        index, size = arrays.groups[level], len(design.group_names[level])
        found[f"slope_{level}"] = [
            _slope(index, size, information, residual, arrays.columns[:, k], k)
            for k in predictor.slopes(level)
        ]
    return found


def _weight(means: Floats, held: Floats) -> Floats:
    """Return I s2 / (1 + I s2) of each group, from estimates with information ``held``."""
    variance = _least_variance(means[held > 0], held[held > 0])
    return np.asarray(held * variance / (1.0 + held * variance))


def _least_variance(means: Floats, held: Floats) -> float:
    """Return a lower bound of the variance between groups.

    Their weighted scatter is 1 + I s2 times a chi-squared number, with an average information I.
    """
    from scipy.special import chdtri

    if means.size < 2:
        return 0.0
    total = held.sum()
    centre = (held * means).sum() / total
    scatter = float((held * (means - centre) ** 2).sum())
    average = float(total - (held**2).sum() / total) / (means.size - 1)
    return max(scatter / float(chdtri(means.size - 1, _LEVEL)) - 1.0, 0.0) / max(average, 1e-12)


def _means(index: Indices, size: int, information: Floats, columns: Floats) -> Floats:
    """Average each column over a group's rows, dims (term, group)."""
    held = np.maximum(np.bincount(index, information, size), 1e-12)
    sums = [np.bincount(index, information * column, size) for column in columns.T]
    return np.array(sums).reshape(len(sums), size) / held


def _parent(arrays: PredictorDesign, level: str, outer: str, size: int) -> Indices:
    parent = np.zeros(size, dtype=np.intp)
    parent[arrays.groups[level]] = arrays.groups[outer]
    return parent


def _slope(
    index: Indices, size: int, information: Floats, residual: Floats, column: Floats, term: int
) -> Centring:
    held = np.maximum(np.bincount(index, information, size), 1e-12)
    away = column - (np.bincount(index, information * column, size) / held)[index]
    known = np.bincount(index, information * away**2, size)
    slopes = np.bincount(index, information * away * residual, size) / np.maximum(known, 1e-12)
    weight = _weight(slopes, np.where(known > 1e-9, known, 0.0))
    return Centring(weight, weight, False, (term,), np.ones((1, size)), {})
