"""What the compiled kernels read: plain arrays, grouped by the part of the model they serve."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "EffectParts",
    "FamilyCode",
    "FreeParts",
    "Natural",
    "Parts",
    "PredictorParts",
    "PriorCode",
    "ResponseParts",
    "Zeros",
]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class PriorCode(IntEnum):
    """Priors of single elements, each with the transform that makes it unconstrained."""

    NORMAL = 0
    STUDENT_T = 1
    HALF_NORMAL = 2
    HALF_STUDENT_T = 3
    EXPONENTIAL = 4
    GAMMA = 5
    LOGNORMAL = 6
    BETA = 7
    UNIFORM = 8
    ORDERED = 9


class FamilyCode(IntEnum):
    """Families that the kernels know."""

    NORMAL = 0
    NORMAL_LOG_LINK = 1
    STUDENT_T = 2
    GAMMA = 3
    BETA = 4
    BINOMIAL = 5
    BETA_BINOMIAL = 6
    POISSON = 7
    NEGATIVE_BINOMIAL = 8
    ORDINAL = 9


class Natural(IntEnum):
    """How a family's parameter follows from the quantity that has the prior."""

    SAME = 0
    INVERSE_SQUARE = 1
    TWO_MORE = 2


class Zeros(IntEnum):
    """What the second linear predictor says."""

    NONE = 0
    HURDLE = 1
    INFLATED = 2


class FreeParts(NamedTuple):
    """Single elements with priors: intercepts, coefficients, sds, dispersions, cutpoints.

    Parameters
    ----------
    code : int array, dims (element,)
        `PriorCode`.
    arguments : array, dims (3, element)
    first_cutpoint, cutpoints : int
        Where the ordered elements are, and how many.
    """

    code: Integers
    arguments: Floats
    first_cutpoint: int
    cutpoints: int


class EffectParts(NamedTuple):
    """Effects of groups and periods, and random walks.

    Parameters
    ----------
    sd, start, size : int array, dims (segment,)
        Each run of effects with one sd: the free element that is the sd, and its place.
    weight, pull, centre : array, dims (effect,)
        How each effect is parametrised; see `dotwin.inference.nuts.centring`.
    intercept : int array, dims (segment,)
        The free element of the intercept that the groups of a segment share, or -1.
    first_term, terms : int array, dims (segment,)
        The free elements of the coefficients that they share.
    means : array, dims (term, effect)
        By how much each of these adds to a group's average linear predictor.
    parents : int array, dims (level, effect)
        The effects of the groups that hold a group, or -1.
    walk_sd, walk_size : int array, dims (walk,)
        Steps lie behind all effects in the unconstrained vector, one walk after the other; a path
        has one value more.
    """

    sd: Integers
    start: Integers
    size: Integers
    weight: Floats
    pull: Floats
    centre: Floats
    intercept: Integers
    first_term: Integers
    terms: Integers
    means: Floats
    parents: Integers
    walk_sd: Integers
    walk_size: Integers


class PredictorParts(NamedTuple):
    """One linear predictor; rows are sorted by unit.

    Parameters
    ----------
    intercept : int
        Its free element, or -1.
    offset : array, dims (row,) or empty
    row_terms, row_columns : int array (term,), array (term, row)
        Free elements of the coefficients, and the columns that change within a unit.
    unit_terms, unit_columns : int array (term,), array (term, unit)
        The same for columns that are constant within each unit.
    starts : int array, dims (unit + 1,)
        The first row of each unit.
    effects : int array, dims (level, unit)
        Which effect each level adds to a unit.
    slope_rows, slope_effects : int array (slope,), (slope, unit)
        Which row column is multiplied by which effect.
    period : int array, dims (row,) or empty
    shock, walk : int
        The first period's effect, or -1.
    """

    intercept: int
    offset: Floats
    row_terms: Integers
    row_columns: Floats
    unit_terms: Integers
    unit_columns: Floats
    starts: Integers
    effects: Integers
    slope_rows: Integers
    slope_effects: Integers
    period: Integers
    shock: int
    walk: int


class ResponseParts(NamedTuple):
    """The outcome and what its family needs.

    Parameters
    ----------
    family : int
        `FamilyCode`.
    y : array, dims (row,)
        Ready for the family: logs for a lognormal, shares for a beta.
    log_y, log_rest : array, dims (row,) or empty
        Logs of the outcome and, for shares, of one minus it.
    trials, lower : array, dims (row,) or empty
    distinct, times : array
        Distinct counts (trials for a beta-binomial), and how often each occurs.
    dispersion, natural : int array, dims (2,)
        The free elements behind the family's parameters, or -1, and `Natural`.
    zeros : int
        `Zeros`.
    at_zero : array, dims (row of the second predictor,)
        1 where the outcome is zero.
    ends : int array, dims (2,)
        The free elements of the ends at 0 and 1, or -1.
    end_counts : array, dims (3,)
        How many outcomes are 0, 1 and inside.
    """

    family: int
    y: Floats
    log_y: Floats
    log_rest: Floats
    trials: Floats
    lower: Floats
    distinct: Floats
    times: Floats
    dispersion: Integers
    natural: Integers
    zeros: int
    at_zero: Floats
    ends: Integers
    end_counts: Floats


class Parts(NamedTuple):
    """All that a log density needs besides the point.

    Parameters
    ----------
    constant : float
        The terms that no parameter enters.
    free : FreeParts
    effects : EffectParts
    main, second : PredictorParts
        The second has no rows where there is none.
    response : ResponseParts
    """

    constant: float
    free: FreeParts
    effects: EffectParts
    main: PredictorParts
    second: PredictorParts
    response: ResponseParts
