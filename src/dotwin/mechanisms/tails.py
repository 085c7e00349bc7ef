"""Signed tail noise: a uniform number that is equally precise near 0 and near 1.

A noise value ``v`` in (0, 0.5] says "the lower-tail probability is v"; a value in
[-0.5, 0) says "the upper-tail probability is -v". A plain uniform number cannot say
1 - 1e-30; this one can, so that a rare fact in either tail has noise that gives it back.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

type FloatArray = NDArray[np.float64]

SMALLEST_TAIL = float(np.finfo(float).tiny)
"""The smallest tail probability: below it a double loses precision."""

_TAIL_BITS = 52


def draw_tail_noise(rng: np.random.Generator, size: int | tuple[int, ...]) -> FloatArray:
    """Draw signed tail noise from a generator.

    Parameters
    ----------
    rng : numpy.random.Generator
        Source of randomness.
    size : int or tuple of int
        Shape of the result.

    Returns
    -------
    ndarray
        Values (k + 0.5) * 2**-53 with a random sign, k uniform on 0 .. 2**52 - 1.

    Examples
    --------
    >>> bool(np.all(np.abs(draw_tail_noise(np.random.default_rng(1), 10)) <= 0.5))
    True
    """
    bits = rng.integers(0, 2 ** (_TAIL_BITS + 1), size=size, dtype=np.int64)
    magnitude = ((bits >> 1) + 0.5) * 2.0 ** -(_TAIL_BITS + 1)
    return np.asarray(np.where(bits & 1, -magnitude, magnitude))


def signed_tail(lower: ArrayLike, upper: ArrayLike) -> FloatArray:
    """Join a lower-tail and an upper-tail probability into signed tail noise.

    Parameters
    ----------
    lower, upper : array_like
        The two tail probabilities of one point; they sum to 1, each computed precisely.

    Returns
    -------
    ndarray
        ``lower`` where it is the smaller, otherwise ``-upper``; never 0.

    Examples
    --------
    >>> float(signed_tail(0.9, 0.1))
    -0.1
    """
    lower, upper = np.asarray(lower, dtype=float), np.asarray(upper, dtype=float)
    below, above = (np.clip(tail, SMALLEST_TAIL, 0.5) for tail in (lower, upper))
    return np.asarray(np.where(lower <= upper, below, -above))


def tail_probabilities(v: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Split signed tail noise into lower- and upper-tail probabilities.

    Parameters
    ----------
    v : array_like
        Signed tail noise.

    Returns
    -------
    lower, upper : ndarray
        The tail that ``v`` names is exact; the other is one minus it.

    Examples
    --------
    >>> [float(p) for p in tail_probabilities(-0.25)]
    [0.75, 0.25]
    """
    v = np.asarray(v, dtype=float)
    near = np.maximum(np.abs(v), SMALLEST_TAIL)
    far = 1.0 - near
    return np.where(v > 0, near, far), np.where(v > 0, far, near)
