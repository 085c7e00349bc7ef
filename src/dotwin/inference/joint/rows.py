"""The rows of all mechanisms of a component, one after the other, and the store of what changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.joint.parts import RowParts
from dotwin.inference.nuts.layout import Layout
from dotwin.inference.nuts.parts import FamilyCode, Zeros
from dotwin.inference.nuts.rows import main_rows
from dotwin.mechanisms.design import Design

__all__ = ["Rows", "Store", "gather_rows"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass
class Store:
    """One flat array, filled piece by piece."""

    pieces: list[Floats] = field(default_factory=list)
    size: int = 0

    def add(self, piece: Floats) -> int:
        """Add a piece; return where it begins."""
        first = self.size
        self.pieces.append(np.asarray(piece, dtype=float).ravel())
        self.size += piece.size
        return first


@dataclass(frozen=True, eq=False)
class Rows:
    """Where a mechanism's rows lie among all rows, and what the store holds of it.

    Parameters
    ----------
    first, first_zeros : int
        Its first row, and the first of its second predictor.
    inflated : bool
        Whether the second predictor mixes zeros into the same rows.
    order, zeros_order : int array, dims (row,)
        Which row of its design each is.
    places : dict of str to int
        Where the store holds each array that changes.
    """

    first: int
    first_zeros: int
    inflated: bool
    order: NDArray[np.intp]
    zeros_order: NDArray[np.intp]
    places: dict[str, int]


def gather_rows(
    designs: Sequence[Design], layouts: Sequence[Layout], store: Store
) -> tuple[RowParts, list[Rows]]:
    """Gather the rows of all mechanisms.

    Parameters
    ----------
    designs : sequence of Design
    layouts : sequence of Layout
    store : Store
        Takes the arrays that change.

    Returns
    -------
    RowParts
    list of Rows
        By mechanism.
    """
    pieces: list[RowParts] = []
    found: list[Rows] = []
    at = 0
    for m, (design, layout) in enumerate(zip(designs, layouts, strict=True)):
        response = layout.parts.response
        places = {
            "main": store.add(layout.parts.main.row_columns),
            "second": store.add(layout.parts.second.row_columns),
            "y": store.add(response.y),
            "log_y": store.add(response.log_y),
            "log_rest": store.add(response.log_rest),
            "distinct": store.add(response.distinct),
            "at_zero": store.add(response.at_zero),
        }
        order, everything = main_rows(design), np.argsort(design.unit, kind="stable")
        n = order.size
        inflated, hurdle = response.zeros == Zeros.INFLATED, response.zeros == Zeros.HURDLE
        # Behind a hurdle, whether there is anything at all is a row of its own.
        more = everything.size if hurdle else 0
        found.append(
            Rows(
                first=at,
                first_zeros=at + n if hurdle else at,
                inflated=inflated,
                order=order,
                zeros_order=everything if hurdle or inflated else order[:0],
                places=places,
            )
        )
        families = [np.full(n, response.family), np.full(more, int(FamilyCode.BINOMIAL))]
        outcomes = [places["y"] + np.arange(n), places["at_zero"] + np.arange(more)]
        trials = response.trials if response.trials.size else np.ones(n)
        lower = _lower(response.lower, response.family, n)
        pieces.append(
            RowParts(
                family=np.concatenate(families).astype(np.int64),
                mechanism=np.full(n + more, m, dtype=np.int64),
                outcome=np.concatenate(outcomes).astype(np.int64),
                trials=np.concatenate([trials, np.ones(more)]),
                lower=np.concatenate([lower, np.full(more, -np.inf)]),
                inflated=np.arange(n + more) < (n if inflated else 0),
                cutpoints=np.array([layout.parts.free.cutpoints], dtype=np.int64),
            )
        )
        at += n + more
    joined = RowParts(*(np.concatenate(columns) for columns in zip(*pieces, strict=True)))
    return joined, found


def _lower(lower: Floats, family: int, rows: int) -> Floats:
    if not lower.size:
        return np.full(rows, -np.inf)
    continuous = family in (FamilyCode.NORMAL, FamilyCode.NORMAL_LOG_LINK, FamilyCode.STUDENT_T)
    # Every count is at least 0, which truncates nothing.
    return lower if continuous else np.where(lower > 0, lower, -np.inf)
