"""Rows of a linear predictor sorted by the groups whose effects are integrated out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.deterministic.arrow import Arrow
from dotwin.inference.deterministic.rows import Rows

__all__ = ["Gathered", "Sparse", "gather"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Rows that are evaluated together where there are no groups.
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Sparse:
    """Globals of which each row has one, such as the effects of an outer level.

    Parameters
    ----------
    index : int array, dims (row,)
        Among all globals.
    scale : array, dims (row,)
    """

    index: NDArray[np.int64]
    scale: Floats


@dataclass(frozen=True, eq=False)
class Gathered:
    """Rows as the kernels read them.

    Parameters
    ----------
    rows : Rows
    most : int
        Rows of the largest group.
    present : int array, dims (group,)
        Which groups have rows.
    groups : int
        How many there are.
    of_row : int array, dims (row,)
        The group of each row, among those present.
    distinct, times : array
        Distinct counts (trials for a beta-binomial), and how often each occurs.
    """

    rows: Rows
    most: int
    present: Indices
    groups: int
    of_row: Indices
    distinct: Floats
    times: Floats


def gather(
    *,
    group: Indices | None,
    groups: int,
    dense: Floats,
    sparse: list[Sparse],
    offset: Floats,
    y: Floats,
    extra: Floats,
    lower: Floats,
    table: Floats,
    arrow: Arrow,
    own: tuple[int, int] | None = None,
    second_offset: Floats | None = None,
) -> Gathered:
    """Sort rows by group and list the globals that each group meets.

    Parameters
    ----------
    group : int array, dims (row,), or None
        The group of each row; none where no effect is integrated out.
    groups : int
    dense : array, dims (row, column)
    sparse : list of Sparse
    offset, y, extra, lower : array, dims (row,)
    table : array
        Counts whose gammas are taken once each.
    arrow : Arrow
        How the information of the globals is stored.
    own : tuple of int, optional
        How many columns, and how many sparse ones, belong to the outcome's linear predictor; all
        of them unless given.
    second_offset : array, dims (row,), optional
        Of the linear predictor that the others belong to.

    Returns
    -------
    Gathered
    """
    size = y.size
    if group is None:
        order = np.arange(size)
        code = order // _CHUNK
        present = np.zeros(0, dtype=np.intp)
    else:
        order = np.argsort(group, kind="stable")
        present, code = np.unique(group[order], return_inverse=True)
    number = int(code.max()) + 1 if size else 0
    starts = np.searchsorted(code, np.arange(number + 1)).astype(np.int64)
    columns = dense.shape[1]
    index = np.array([one.index[order] for one in sparse], dtype=np.int64).reshape(-1, size).T
    scale = np.array([one.scale[order] for one in sparse]).reshape(-1, size).T
    # The distinct globals that each group meets, in order, behind its dense columns.
    pairs = np.unique(
        np.column_stack([np.repeat(code, index.shape[1]), index.ravel()]).reshape(-1, 2), axis=0
    )
    met = np.bincount(pairs[:, 0], minlength=number) if pairs.size else np.zeros(number, int)
    of_group = np.r_[0, np.cumsum(met + columns)].astype(np.int64)
    members = np.zeros(int(of_group[-1]), dtype=np.int64)
    places = of_group[:-1, None] + np.arange(columns)
    members[places] = np.arange(columns)
    rest = np.ones(members.size, dtype=bool)
    rest[places] = False
    members[rest] = pairs[:, 1]
    width = int(pairs[:, 1].max()) + 1 if pairs.size else 1
    keys = pairs[:, 0] * width + pairs[:, 1]
    found = np.searchsorted(keys, code[:, None] * width + index)
    before = np.r_[0, np.cumsum(met)][:-1]
    local = found - before[code][:, None] + columns
    distinct, times = np.unique(table, return_counts=True)
    rows = Rows(
        starts=starts,
        dense=np.ascontiguousarray(dense[order]),
        which=np.ascontiguousarray(index),
        scale=np.ascontiguousarray(scale),
        local=np.ascontiguousarray(local.astype(np.int64)),
        members=members,
        of_group=of_group,
        offset=np.ascontiguousarray(offset[order]),
        y=np.ascontiguousarray(y[order]),
        extra=np.ascontiguousarray(extra[order]),
        lower=np.ascontiguousarray(lower[order]),
        own_dense=columns if own is None else own[0],
        own_which=len(sparse) if own is None else own[1],
        second_offset=np.zeros(0) if second_offset is None else second_offset[order],
        region=arrow.region,
        place=arrow.place,
        border=arrow.shape[0],
        regions=arrow.shape[1],
        depth=arrow.shape[2],
    )
    return Gathered(
        rows=rows,
        most=int(np.diff(starts).max()) if number else 0,
        present=np.asarray(present, dtype=np.intp),
        groups=groups,
        of_row=np.asarray(code, dtype=np.intp),
        distinct=distinct,
        times=times.astype(float),
    )
