"""Memory that is used again: of a block's arrays, and of results that nobody holds any more.

A simulation fills arrays of the same few sizes over and over. Given back to the system and asked
for anew, each costs a page fault per 4 KiB, which takes about as long as a quarter of all the
computing. So what an array leaves behind is kept, up to a bound, for the next one of its size.
"""

from __future__ import annotations

import mmap
from collections import defaultdict, deque
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["common_shape", "room"]

#: Arrays of fewer bytes stay where NumPy puts them.
_LEAST = 2**16
#: From here arrays are results rather than parts of a block.
_LARGE = 2**22
#: How many bytes are kept at most, of parts of blocks and of results.
_MOST = 2**27
_MOST_LARGE = 2**28

type _Kept = defaultdict[int, deque[NDArray[np.uint8]]]

_kept: _Kept = defaultdict(deque)
_kept_large: _Kept = defaultdict(deque)


class _Lease:
    """Memory that is given back when the last array that looks at it is gone (PEP 688)."""

    __slots__ = ("memory",)

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self.memory = memory

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self.memory)

    def __del__(self) -> None:
        size = self.memory.size
        kept, most = (_kept, _MOST) if size < _LARGE else (_kept_large, _MOST_LARGE)
        if size > most:
            return
        # Threads may pass the bound by an array each; nothing depends on it.
        if size + sum(each * len(several) for each, several in list(kept.items())) > most:
            kept.clear()  # sizes that nobody asks for any more go with the rest
        kept[size].append(self.memory)


#: `numpy.broadcast_shapes`, which takes as long as a pass over thousands of values, remembered.
common_shape = lru_cache(maxsize=4096)(np.broadcast_shapes)


def _fresh(size: int) -> NDArray[np.uint8]:
    """Return new memory, that of a result asked for at once where the system offers it.

    Asked for page by page as it is first written, it can take longer than the simulation; so can
    the large pages that NumPy asks for, where a virtual machine has not used them before.
    """
    populate = getattr(mmap, "MAP_POPULATE", None)
    if populate is None or size < _LARGE:
        return np.empty(size, dtype=np.uint8)
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | populate
    return np.frombuffer(mmap.mmap(-1, size, flags=flags), dtype=np.uint8)


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
        memory = (_kept if size < _LARGE else _kept_large)[size].pop()
    except IndexError:
        memory = _fresh(size)
    return np.frombuffer(_Lease(memory)).reshape(shape)
