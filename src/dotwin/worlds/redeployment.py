"""How much of a resource moves between the units of a group, so that its total stays the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["moved"]

Floats = NDArray[np.float64]


def moved(
    has: Any,
    weights: Any,
    need: Floats,
    codes: NDArray[np.intp],
    taking_part: NDArray[np.bool_],
    much: Any,
    as_share: bool,
    floor: Any,
    strength: float,
) -> Floats:
    """Return what each unit receives; less than 0 where it gives.

    Within each group, who ranks k-th highest by need receives what the k-th lowest gives. Who is
    equal in need does not exchange; ties are ranked in the order of units. What one side of a pair
    receives is the very number that the other gives.

    Parameters
    ----------
    has : array, dims (draw, unit)
        The natural values.
    weights : array, broadcastable to (draw, unit)
        A unit's part of the total is ``has * weights``.
    need : array, dims (draw, unit)
    codes : int array (unit,)
        Each unit's group.
    taking_part : bool array, broadcastable to (draw, unit)
    much : float or array, dims (draw, 1)
        What a giver gives: a share of what it has, or an amount of the total.
    as_share : bool
    floor : float or array
        Nobody is left with less.
    strength : float

    Returns
    -------
    array, dims (draw, unit)
        In units of the total.
    """
    shape = np.broadcast_shapes(np.shape(has), np.shape(weights), need.shape, np.shape(much))
    has, weights, need = (np.broadcast_to(one, shape) for one in (has, weights, need))
    with np.errstate(invalid="ignore"):
        able = np.broadcast_to(taking_part, shape) & np.isfinite(has) & (weights > 0)
        part = much * has if as_share else much / np.where(able, weights, 1.0)
        gift = strength * np.maximum(np.minimum(part, has - floor), 0.0) * weights
    # Who takes no part is a group of its own, in which nothing moves.
    nobody = int(codes.max(initial=0)) + 1
    group = np.where(able, codes, nobody)
    order = np.lexsort((need, group), axis=-1)
    place = np.broadcast_to(np.arange(shape[1]), shape)
    sorted_group = np.take_along_axis(group, order, axis=-1)
    begins = np.ones(shape, dtype=bool)
    begins[:, 1:] = sorted_group[:, 1:] != sorted_group[:, :-1]
    ends = np.ones(shape, dtype=bool)
    ends[:, :-1] = begins[:, 1:]
    first = np.maximum.accumulate(np.where(begins, place, 0), axis=-1)
    last = np.minimum.accumulate(np.where(ends, place, shape[1])[:, ::-1], axis=-1)[:, ::-1]
    partner = first + last - place
    ranked = np.take_along_axis(need, order, axis=-1)
    gifts = np.take_along_axis(np.where(able, gift, 0.0), order, axis=-1)
    with np.errstate(invalid="ignore"):
        unequal = ranked != np.take_along_axis(ranked, partner, axis=-1)
    exchanging = unequal & (sorted_group != nobody) & (place != partner)
    received = np.where(place < partner, -gifts, np.take_along_axis(gifts, partner, axis=-1))
    result = np.empty(shape)
    np.put_along_axis(result, order, np.where(exchanging, received, 0.0), axis=-1)
    return result
