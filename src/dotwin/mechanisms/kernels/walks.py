"""Counts at signed tail noise by walking up from 0: tiles of lanes that step together.

The probabilities of Poisson, binomial and negative binomial counts follow the Panjer recurrence
p_k = (a + b / k) p_{k-1} [1]_, those of a beta-binomial count a ratio of products. Each lane counts
the k whose cumulative probability lies below its own u; a lane that is done changes no more, and
when few of a tile are left they close up. Every lane takes the same operations in the same
order wherever it stands, so no result depends on its neighbours.

References
----------
.. [1] Panjer, H. H. (1981). Recursive evaluation of a family of compound distributions.
   doi:10.1017/S0515036100006796
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from dotwin.mechanisms.kernels.elementary import fma

__all__ = ["TILE", "TOO_LONG", "tile", "walk_beta_binomial", "walk_panjer"]

TILE = 256
_LONGEST_WALK = 65_536
#: Stands for the count of a lane that walks longer; it has to be searched for.
TOO_LONG = -1.0
_FEW = 6  # lanes close up when a sixth is left: moving them costs as much as several steps


@njit(error_model="numpy")
def tile(rows: int) -> Any:
    """Return working space for the lanes of a tile."""
    return np.empty((rows, TILE))


@njit(error_model="numpy")
def walk_panjer(count: int, space: Any, place: Any, found: Any) -> None:
    """Walk lanes whose probabilities follow the Panjer recurrence.

    Parameters
    ----------
    count : int
        How many lanes.
    space : array (6, TILE)
        u, p_0, a and b of each lane; then room for two more rows.
    place : int array (TILE,)
        Where each lane's result goes.
    found : array
        Takes the counts, or `TOO_LONG`.
    """
    u, p, a, b, total, tally = space[0], space[1], space[2], space[3], space[4], space[5]
    for i in range(count):
        total[i] = p[i]
        tally[i] = 1.0 if p[i] < u[i] else 0.0
    k = 0.0
    while count > 0:
        w1, w2, w3, w4 = 1.0 / (k + 1.0), 1.0 / (k + 2.0), 1.0 / (k + 3.0), 1.0 / (k + 4.0)
        w5, w6, w7, w8 = 1.0 / (k + 5.0), 1.0 / (k + 6.0), 1.0 / (k + 7.0), 1.0 / (k + 8.0)
        k += 8.0
        for i in range(count):
            q, c, t, x, y, z = p[i], total[i], tally[i], a[i], b[i], u[i]
            q *= fma(y, w1, x)
            c += q
            t += 1.0 if c < z else 0.0
            q *= fma(y, w2, x)
            c += q
            t += 1.0 if c < z else 0.0
            q *= fma(y, w3, x)
            c += q
            t += 1.0 if c < z else 0.0
            q *= fma(y, w4, x)
            c += q
            t += 1.0 if c < z else 0.0
            q *= fma(y, w5, x)
            c += q
            t += 1.0 if c < z else 0.0
            q *= fma(y, w6, x)
            c += q
            t += 1.0 if c < z else 0.0
            q *= fma(y, w7, x)
            c += q
            t += 1.0 if c < z else 0.0
            q *= fma(y, w8, x)
            c += q
            t += 1.0 if c < z else 0.0
            p[i], total[i], tally[i] = q, c, t
        count = _close_up(count, k, space, place, found)


@njit(error_model="numpy")
def _close_up(count: int, k: float, space: Any, place: Any, found: Any) -> int:
    """Write down the lanes that are done, once they are many, and move the others together."""
    u, total, tally = space[0], space[4], space[5]
    walking = 0
    for i in range(count):
        walking += 1 if total[i] < u[i] else 0
    if _FEW * walking > count and k < _LONGEST_WALK:
        return count
    kept = 0
    for i in range(count):
        if total[i] < u[i]:
            if k >= _LONGEST_WALK:
                found[place[i]] = TOO_LONG
                continue
            for row in range(space.shape[0]):
                space[row, kept] = space[row, i]
            place[kept] = place[i]
            kept += 1
        else:
            found[place[i]] = tally[i]
    return kept


@njit(error_model="numpy")
def walk_beta_binomial(count: int, space: Any, place: Any, found: Any) -> None:
    """Walk lanes of beta-binomial counts; four steps share one division.

    Parameters
    ----------
    count : int
        How many lanes.
    space : array (7, TILE)
        u, p_0, the first shape, the second shape; then room for two rows; then the trials.
    place : int array (TILE,)
    found : array
    """
    u, p, a, b, total, tally = space[0], space[1], space[2], space[3], space[4], space[5]
    n = space[6]
    for i in range(count):
        total[i] = p[i]
        tally[i] = 1.0 if p[i] < u[i] else 0.0
    k = 0.0
    while count > 0:
        for i in range(count):
            q, c, t, z = p[i], total[i], tally[i], u[i]
            left, succeed, fail = n[i] - k, a[i] + k, b[i] + n[i] - k
            # p_k / p_{k-1} = (n - k + 1) (a + k - 1) / (k (b + n - k))
            o1 = max(left, 0.0) * succeed
            o2 = max(left - 1.0, 0.0) * (succeed + 1.0)
            o3 = max(left - 2.0, 0.0) * (succeed + 2.0)
            o4 = max(left - 3.0, 0.0) * (succeed + 3.0)
            u1 = (k + 1.0) * max(fail - 1.0, b[i])
            u2 = (k + 2.0) * max(fail - 2.0, b[i])
            u3 = (k + 3.0) * max(fail - 3.0, b[i])
            u4 = (k + 4.0) * max(fail - 4.0, b[i])
            low, high = u1 * u2, u3 * u4
            over = 1.0 / (low * high)
            first, second = over * high, over * low
            q *= o1 * (first * u2)
            c += q
            t += 1.0 if c < z else 0.0
            q *= o2 * (first * u1)
            c += q
            t += 1.0 if c < z else 0.0
            q *= o3 * (second * u4)
            c += q
            t += 1.0 if c < z else 0.0
            q *= o4 * (second * u3)
            c += q
            t += 1.0 if c < z else 0.0
            p[i], total[i], tally[i] = q, c, t
        k += 4.0
        count = _close_up(count, k, space, place, found)
