"""The compiled kernel of addressed noise; read `dotwin.worlds.noise` first.

It stands alone because numba is slow to import: `noise` looks this module up when it first needs
noise. Everything the kernel uses is in this file, so that numba's disk cache, which watches only
the file of the function itself, cannot go stale.
"""

from __future__ import annotations

import numpy as np
from numba import njit, uint64

__all__ = ["fill_tail_noise"]

_MASK = uint64(0xFFFFFFFF)
_M0, _M1 = uint64(0xD2511F53), uint64(0xCD9E8D57)
_W0, _W1 = uint64(0x9E3779B9), uint64(0xBB67AE85)
_32, _20, _12, _1 = uint64(32), uint64(20), uint64(12), uint64(1)
_SMALLEST_STEP = 2.0**-53


@njit(cache=True, nogil=True)
def fill_tail_noise(
    key0: np.uint64,
    key1: np.uint64,
    draws: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    period: np.uint64,
    out: np.ndarray,
) -> None:
    """Fill ``out[draw, unit]`` with signed tail noise, one Philox4x32-10 call each.

    Parameters
    ----------
    key0, key1 : uint64
        The halves of the key, each below 2**32.
    draws, low, high : uint64 array
        Numbers of the draws, and the halves of the numbers of the units, each below 2**32.
    period : uint64
        The number of the period modulo 2**32.
    out : float64 array (draw, unit)
    """
    for i in range(draws.size):
        for j in range(low.size):
            c0, c1, c2, c3 = draws[i], low[j], high[j], period
            k0, k1 = key0, key1
            for _ in range(10):
                p0 = _M0 * c0
                p1 = _M1 * c2
                c0 = (p1 >> _32) ^ c1 ^ k0
                c1 = p1 & _MASK
                c2 = (p0 >> _32) ^ c3 ^ k1
                c3 = p0 & _MASK
                k0 = (k0 + _W0) & _MASK
                k1 = (k1 + _W1) & _MASK
            bits = (c0 << _20) | (c1 >> _12)
            tail = (np.float64(bits) + 0.5) * _SMALLEST_STEP
            out[i, j] = tail if c1 & _1 else -tail
