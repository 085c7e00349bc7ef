"""Shapley values: what each player adds, averaged over all orders in which players may join."""

from __future__ import annotations

from math import factorial

import numpy as np
from numpy.typing import NDArray

__all__ = ["shapley"]


def shapley(worth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share out what all players together are worth beyond none of them.

    Parameters
    ----------
    worth : float array (coalition, ...)
        Of each of the 2**n coalitions; bit i of a coalition's number says whether player i is in.

    Returns
    -------
    float array (player, ...)
        Their sum is the worth of all less the worth of none.

    References
    ----------
    .. [1] Shapley, L. S. (1953). A value for n-person games. doi:10.1515/9781400881970-018

    Examples
    --------
    Two gloves make a pair, and nothing else is worth anything:

    >>> shapley(np.array([0.0, 0.0, 0.0, 1.0]))
    array([0.5, 0.5])
    """
    count = worth.shape[0].bit_length() - 1
    if worth.shape[0] != 2**count:
        raise ValueError(f"{worth.shape[0]} coalitions: 2**n of them are needed.")
    numbers = np.arange(2**count)
    size = np.array([bin(number).count("1") for number in numbers])
    weight = np.array(
        [factorial(s) * factorial(count - s - 1) / factorial(count) for s in range(count)]
    )
    found = np.zeros((count, *worth.shape[1:]))
    for player in range(count):
        without = numbers[(numbers >> player) & 1 == 0]
        gain = worth[without | (1 << player)] - worth[without]
        found[player] = np.tensordot(weight[size[without]], gain, axes=1)
    return found
