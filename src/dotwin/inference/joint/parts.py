"""What the joint kernels read: unknown values, the columns that read them, and all rows."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["CellKind", "CellParts", "MechanismParts", "ReadParts", "RowParts"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Bools = NDArray[np.bool_]


class CellKind(IntEnum):
    """Scales on which unknown values are drawn; a hidden cause is drawn as it is."""

    REAL = 0
    POSITIVE = 1
    SHARE = 2
    COUNT = 3
    FACTOR = 4


class CellParts(NamedTuple):
    """Unknown values, each an outcome of one row and a cause of others, or of hidden causes.

    Hidden causes are no row's outcome: their own density is that of their prior.

    Parameters
    ----------
    kind : int array, dims (cell,)
        `CellKind`.
    high : array, dims (cell,)
        The largest possible count; infinity where there is none.
    scale : array, dims (cell,)
        What turns an outcome of the family into a recorded value.
    row : int array, dims (cell,)
        The row whose outcome it is, or -1.
    log_outcome : bool array, dims (cell,)
        Whether its mechanism reads the outcome's log.
    value, outcome, log_y, log_rest, distinct : int array, dims (cell,)
        Where the store holds the recorded value and what the log density reads of it, or -1.
    reads : int array, dims (cell + 1,)
        The first read of each cell.
    """

    kind: Integers
    high: Floats
    scale: Floats
    row: Integers
    log_outcome: Bools
    value: Integers
    outcome: Integers
    log_y: Integers
    log_rest: Integers
    distinct: Integers
    reads: Integers


class ReadParts(NamedTuple):
    """Columns that read unknown values, by cell and row.

    Parameters
    ----------
    row : int array, dims (read,)
    of_zeros : bool array, dims (read,)
        Whether the column belongs to the predictor of extra zeros.
    ends_row : bool array, dims (read,)
        Whether the cell's next read is of another row.
    column : int array, dims (read,)
        Where the store holds the column's entry.
    place : int array, dims (read,)
        The row's place among units and periods.
    first, last : int array, dims (read,)
        The column's operations.
    shift : array, dims (read,)
        The unit's mean, taken off.
    multiplier : array, dims (read,)
        What a hidden cause's value is multiplied by.
    operation, source : int array, dims (operation,)
        `dotwin.inference.joint.programs.Operation`, and where an array begins in the store.
    argument : array, dims (operation,)
    deepest : int
        Numbers on the stack at once.
    """

    row: Integers
    of_zeros: Bools
    ends_row: Bools
    column: Integers
    place: Integers
    first: Integers
    last: Integers
    shift: Floats
    multiplier: Floats
    operation: Integers
    source: Integers
    argument: Floats
    deepest: int


class RowParts(NamedTuple):
    """All rows of a component.

    Parameters
    ----------
    family : int array, dims (row,)
        `dotwin.inference.nuts.parts.FamilyCode`.
    mechanism : int array, dims (row,)
    outcome : int array, dims (row,)
        Where the store holds it.
    trials, lower : array, dims (row,)
    inflated : bool array, dims (row,)
    cutpoints : int array, dims (mechanism,)
        How many each mechanism has.
    """

    family: Integers
    mechanism: Integers
    outcome: Integers
    trials: Floats
    lower: Floats
    inflated: Bools
    cutpoints: Integers


class MechanismParts(NamedTuple):
    """Where each mechanism's rows lie, and what its columns that read unknown values belong to.

    Parameters
    ----------
    row, zeros_row : int array, dims (mechanism,)
        Its first row, and the first of its second predictor.
    inflated : bool array, dims (mechanism,)
        Whether the second predictor mixes zeros into the same rows.
    starts : int array, dims (mechanism + 1,)
        Of its reads among those below.
    reads, element : int array, dims (read,)
        Reads by mechanism, and the free element of each column's coefficient.
    effects : int array, dims (level, read)
        Effects that the column's slope adds, or -1.
    """

    row: Integers
    zeros_row: Integers
    inflated: Bools
    starts: Integers
    reads: Integers
    element: Integers
    effects: Integers
