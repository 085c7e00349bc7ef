"""What data and experiment together say of one unit's two worlds, whatever the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Bounds", "tian_pearl"]


@dataclass(frozen=True, eq=False)
class Bounds:
    """Bounds of the three probabilities, each (lower, upper).

    Parameters
    ----------
    necessity, sufficiency, both : tuple of float array
    """

    necessity: tuple[NDArray[np.float64], NDArray[np.float64]]
    sufficiency: tuple[NDArray[np.float64], NDArray[np.float64]]
    both: tuple[NDArray[np.float64], NDArray[np.float64]]


def tian_pearl(event_with: Any, event_without: Any, joint: Mapping[tuple[int, int], Any]) -> Bounds:
    r"""Bound the probabilities of causation by experiment and observation together.

    .. math::
        \max\left(0, \frac{P(y) - P(y_{x'})}{P(x, y)}\right) \le PN \le
        \min\left(1, \frac{P(y'_{x'}) - P(x', y')}{P(x, y)}\right)

    and likewise for sufficiency, and for both together.

    Parameters
    ----------
    event_with, event_without : float or array
        P(event) under do(cause) and under do(no cause).
    joint : dict of (cause, event) to float or array
        P(cause, event) as observed; the four sum to 1.

    Returns
    -------
    Bounds
        NaN where nobody is asked.

    References
    ----------
    .. [1] Tian, J. and Pearl, J. (2000). Probabilities of causation: bounds and identification.
       Annals of Mathematics and Artificial Intelligence 28, 287-313. doi:10.1023/A:1018912507879

    Examples
    --------
    A drug in an experiment (16 deaths of 1,000 with it, 14 without) and among those who chose (2 of
    1,000 with it, 28 without) was certainly the cause where both occur:

    >>> joint = {(1, 1): 0.001, (1, 0): 0.499, (0, 1): 0.014, (0, 0): 0.486}
    >>> low, high = tian_pearl(0.016, 0.014, joint).necessity
    >>> round(float(low), 3), round(float(high), 3)
    (1.0, 1.0)
    """
    one, none = np.asarray(event_with, dtype=float), np.asarray(event_without, dtype=float)
    p = {key: np.asarray(value, dtype=float) for key, value in joint.items()}
    event = p[1, 1] + p[0, 1]

    def between(low: Any, high: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)

    with np.errstate(invalid="ignore", divide="ignore"):
        necessity = between((event - none) / p[1, 1], ((1.0 - none) - p[0, 0]) / p[1, 1])
        sufficiency = between((one - event) / p[0, 0], (one - p[1, 1]) / p[0, 0])
    low = np.maximum.reduce([np.zeros_like(event), one - none, event - none, one - event])
    high = np.minimum.reduce([one, 1.0 - none, p[1, 1] + p[0, 0], one - none + p[1, 0] + p[0, 1]])
    return Bounds(necessity, sufficiency, between(low, high))
