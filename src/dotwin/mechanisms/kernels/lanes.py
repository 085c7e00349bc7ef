"""How kernels read arrays that broadcast: a row of draws and a tile of units at a time."""

from __future__ import annotations

from typing import Any

from numba import njit

__all__ = ["load"]


@njit(error_model="numpy", forceinline=True)
def load(source: Any, row: int, first: int, count: int, into: Any) -> None:
    """Copy a stretch of a row, repeating an axis of length one."""
    d = row if source.shape[0] > 1 else 0
    if source.shape[1] > 1:
        for i in range(count):
            into[i] = source[d, first + i]
    else:
        one = source[d, 0]
        for i in range(count):
            into[i] = one
