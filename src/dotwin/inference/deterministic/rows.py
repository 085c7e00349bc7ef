"""What the compiled kernels read of one linear predictor and its outcome."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Centre", "Rows"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


class Rows(NamedTuple):
    """Rows sorted by the group whose effect is integrated out.

    Parameters
    ----------
    starts : int array, dims (group + 1,)
        The first row of each group that has any; one group of all rows where nothing is
        integrated out.
    dense : array, dims (row, column)
        The columns that every row has: the intercept and the causes.
    which, scale : int array and array, dims (row, effect)
        Which further global each row has, such as the effect of an outer group, and times what.
    local : int array, dims (row, effect)
        The position of that global among those that its group meets.
    members, of_group : int arrays, dims (member,) and (group + 1,)
        The globals that each group meets, the dense columns first.
    offset, y, extra, lower : array, dims (row,)
    own_dense, own_which : int
        How many columns and effects belong to the outcome's linear predictor; those behind them
        are of a second source of zeros.
    second_offset : array, dims (row,)
        Of that one's linear predictor; empty where there is none.
    region, place : int array, dims (global,)
    border, regions, depth : int
        How the information is stored; see `dotwin.inference.deterministic.arrow`.
    """

    starts: Integers
    dense: Floats
    which: Integers
    scale: Floats
    local: Integers
    members: Integers
    of_group: Integers
    offset: Floats
    y: Floats
    extra: Floats
    lower: Floats
    own_dense: int
    own_which: int
    second_offset: Floats
    region: Integers
    place: Integers
    border: int
    regions: int
    depth: int


class Centre(NamedTuple):
    """Where each group's effect is looked for when the globals move away from their mode.

    Parameters
    ----------
    mode : array, dims (group,)
        Of the effect at the mode of the globals.
    information : array, dims (group,)
        Of the rows about the effect there.
    precision : float
        Of the effect's prior there.
    pull : array, dims (row,)
        By how much the mode falls when a row's linear predictor rises.
    pulled : array, dims (group,)
        The sum of pull times linear predictor over the group's rows there.
    """

    mode: Floats
    information: Floats
    precision: float
    pull: Floats
    pulled: Floats
