"""Working memory that is used again.

A simulation fills arrays of the same few sizes over and over. Given back to the system and asked
for anew, each costs a page fault per 4 KiB, which takes about as long as a quarter of all the
computing. So what an array leaves behind is kept, up to a bound, for the next one of its size.
"""

from __future__ import annotations

from collections import defaultdict, deque
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["common_shape", "room"]

#: Arrays of fewer bytes stay where NumPy puts them.
_LEAST = 2**16
#: How many bytes are kept at most.
_MOST = 2**27

_kept: defaultdict[int, deque[NDArray[np.uint8]]] = defaultdict(deque)


class _Lease:
    """Memory that is given back when the last array that looks at it is gone (PEP 688)."""

    __slots__ = ("memory",)

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self.memory = memory

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self.memory)

    def __del__(self) -> None:
        size = self.memory.size
        # Threads may pass the bound by an array each; nothing depends on it.
        if size + sum(each * len(several) for each, several in list(_kept.items())) > _MOST:
            _kept.clear()  # sizes that nobody asks for any more go with the rest
        _kept[size].append(self.memory)


#: `numpy.broadcast_shapes`, which takes as long as a pass over thousands of values, remembered.
common_shape = lru_cache(maxsize=4096)(np.broadcast_shapes)


def room(shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Return an array of doubles to be filled, as `numpy.empty` does.

    Parameters
    ----------
    shape : tuple of int
    """
    size = 8
    for length in shape:
        size *= length
    if size < _LEAST:
        return np.empty(shape)
    try:
        memory = _kept[size].pop()
    except IndexError:
        memory = np.empty(size, dtype=np.uint8)
    return np.frombuffer(_Lease(memory)).reshape(shape)
