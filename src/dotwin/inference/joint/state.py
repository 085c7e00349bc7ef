"""What one chain holds besides its point."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.joint.tables import Tables

__all__ = ["ChainState", "new_state"]

Floats = NDArray[np.float64]


class ChainState(NamedTuple):
    """What one chain holds besides its point.

    Parameters
    ----------
    store : array
        All that changes with unknown values, the arrays that programs read, and what the
        mechanisms' log densities read of them.
    eta, zeros_eta : array, dims (row,)
        Linear predictors of all rows of the component.
    slope, zeros_slope : array, dims (row,)
        Of the log density in them.
    coefficient : array, dims (read,)
        What each column that reads an unknown value is multiplied by.
    column_slope : array, dims (read,)
        Of the column in the unknown value.
    dispersion : array, dims (mechanism, 2)
    cutpoints : array, dims (mechanism, cutpoint)
    place : array, dims (cell,)
        Unknown values on the scale that they are drawn on.
    width, move : array, dims (cell,)
        Of the slices, and how far the values move on average.
    """

    store: Floats
    eta: Floats
    zeros_eta: Floats
    slope: Floats
    zeros_slope: Floats
    coefficient: Floats
    column_slope: Floats
    dispersion: Floats
    cutpoints: Floats
    place: Floats
    width: Floats
    move: Floats


def new_state(tables: Tables) -> ChainState:
    """Make the state in which a chain begins."""
    rows, reads = tables.rows.family.size, tables.reads.row.size
    count = len(tables.mechanisms)
    return ChainState(
        store=tables.store.copy(),
        eta=np.zeros(rows),
        zeros_eta=np.zeros(rows),
        slope=np.zeros(rows),
        zeros_slope=np.zeros(rows),
        coefficient=np.zeros(reads),
        column_slope=np.zeros(reads),
        dispersion=np.ones((count, 2)),
        cutpoints=np.zeros((count, int(tables.rows.cutpoints.max()))),
        place=tables.place.copy(),
        width=tables.width.copy(),
        move=np.zeros(tables.place.size),
    )
