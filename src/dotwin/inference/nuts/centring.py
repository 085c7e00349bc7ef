"""How each group effect is parametrised, so that a sampler meets nearly independent directions.

An effect v of a group whose other contributions to the linear predictor average m is sampled as

    t = (v + pull (m - m0)) / sd**(1 - weight).

A group that the data know well fixes m + v, so v moves against m: with ``pull`` near 1 that
movement is taken out. A group that they hardly know follows its prior: with ``weight`` and ``pull``
near 0 its effect is t sd, whatever the rest does. The shift by m is a shear, which leaves volumes
as they are. Papaspiliopoulos, Roberts and Skold (2007), doi 10.1214/088342307000000014.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.design import Design, PredictorDesign
from dotwin.mechanisms.pooling import centring_weights, moment_variance, row_information

__all__ = ["Centring", "centring"]

Floats = NDArray[np.float64]

#: The smallest sd of slopes that is reckoned with, on the link scale.
_SMALL_SLOPE_SD = 0.05


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
    parents: dict[str, NDArray[np.intp]]


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
    weights = centring_weights(design, arrays)
    found: dict[str, list[Centring]] = {}
    outer: list[str] = []
    for level in (*predictor.levels, *(("period",) if predictor.period else ())):
        index = design.period if level == "period" else arrays.groups[level]
        names = design.period_names if level == "period" else design.group_names[level]
        means = _means(index, len(names), information, arrays.columns)
        parents = {} if level == "period" else {o: _parent(arrays, level, o, len(names)) for o in outer}
        terms = tuple(range(len(predictor.terms)))
        found[level] = [Centring(weights[level], weights[level], True, terms, means, parents)]
        outer.append(level)
    for level in predictor.slope_levels:
        index, size = arrays.groups[level], len(design.group_names[level])
        found[f"slope_{level}"] = [
            _slope(index, size, information, residual, arrays.columns[:, k], k)
            for k in predictor.slopes(level)
        ]
    return found


def _means(index: NDArray[np.intp], size: int, information: Floats, columns: Floats) -> Floats:
    """Average each column over a group's rows, dims (term, group)."""
    held = np.maximum(np.bincount(index, information, size), 1e-12)
    sums = [np.bincount(index, information * column, size) for column in columns.T]
    return np.array(sums).reshape(len(sums), size) / held


def _parent(arrays: PredictorDesign, level: str, outer: str, size: int) -> NDArray[np.intp]:
    parent = np.zeros(size, dtype=np.intp)
    parent[arrays.groups[level]] = arrays.groups[outer]
    return parent


def _slope(
    index: NDArray[np.intp],
    size: int,
    information: Floats,
    residual: Floats,
    column: Floats,
    term: int,
) -> Centring:
    held = np.maximum(np.bincount(index, information, size), 1e-12)
    away = column - (np.bincount(index, information * column, size) / held)[index]
    known = np.bincount(index, information * away**2, size)
    slopes = np.bincount(index, information * away * residual, size) / np.maximum(known, 1e-12)
    seen = known > 1e-9
    variance = max(_SMALL_SLOPE_SD**2, moment_variance(slopes[seen], known[seen]))
    weight = known * variance / (1.0 + known * variance)
    return Centring(weight, weight, False, (term,), np.ones((1, size)), {})
