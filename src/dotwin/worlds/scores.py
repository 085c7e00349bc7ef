"""Scores of probability forecasts: log score, CRPS, PIT and coverage. Plain arrays, no dims."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["clustered_mean", "crps", "pit", "uniform_distance"]

Floats = NDArray[np.float64]


def crps(draws: Floats, observed: Floats) -> Floats:
    """Return the continuous ranked probability score of an ensemble; smaller is better.

    E|X - y| - E|X - X'| / 2 of the draws' own distribution, exactly, from their order.

    Parameters
    ----------
    draws : array, dims (draw, case)
    observed : array, dims (case,)

    Returns
    -------
    array, dims (case,)
        In the unit of the observations.

    References
    ----------
    Gneiting and Raftery (2007), doi 10.1198/016214506000001437, equation 21.

    Examples
    --------
    >>> crps(np.array([[0.0], [1.0]]), np.array([0.0]))
    array([0.25])
    """
    ordered = np.sort(np.asarray(draws, dtype=float), axis=0)
    n = ordered.shape[0]
    weights = (2.0 * np.arange(1, n + 1) - n - 1.0) / n**2
    return np.asarray(np.abs(ordered - observed).mean(axis=0) - weights @ ordered)


def pit(draws: Floats, observed: Floats, jitter: Floats) -> Floats:
    """Return where observations fall among draws, as a share; uniform if the draws are right.

    Parameters
    ----------
    draws : array, dims (draw, case)
    observed : array, dims (case,)
    jitter : array, dims (case,)
        Uniform numbers that break ties, as counts need.

    Returns
    -------
    array, dims (case,)

    References
    ----------
    Czado, Gneiting and Held (2009), doi 10.1111/j.1541-0420.2009.01191.x.

    Examples
    --------
    >>> pit(np.array([[1.0], [2.0], [4.0]]), np.array([3.0]), np.array([0.5]))
    array([0.625])
    """
    below = (draws < observed).sum(axis=0)
    same = (draws == observed).sum(axis=0)
    return np.asarray((below + jitter * (same + 1.0)) / (draws.shape[0] + 1.0))


def uniform_distance(values: Floats) -> float:
    """Return the largest distance between the values' distribution function and the uniform one.

    Examples
    --------
    >>> uniform_distance(np.array([0.5, 0.5]))
    0.5
    """
    ordered = np.sort(values)
    steps = np.arange(ordered.size + 1) / ordered.size
    return float(max(np.max(steps[1:] - ordered), np.max(ordered - steps[:-1])))


def clustered_mean(values: Floats, clusters: NDArray[np.intp]) -> tuple[float, float]:
    """Return a mean and its standard error when values of one cluster go together.

    Parameters
    ----------
    values : array, dims (case,)
    clusters : int array, dims (case,)

    Returns
    -------
    mean, error : float
        The error is missing with fewer than two clusters.

    Examples
    --------
    >>> mean, error = clustered_mean(np.array([1.0, 1.0, 3.0, 3.0]), np.array([0, 0, 1, 1]))
    >>> mean, round(error, 6)
    (2.0, 1.0)
    """
    mean = float(values.mean())
    with np.errstate(invalid="ignore"):
        sums = np.bincount(clusters, values - mean)[np.bincount(clusters) > 0]
    groups = sums.size
    if groups < 2:
        return mean, float("nan")
    variance = (sums**2).sum() * groups / (groups - 1)
    return mean, float(np.sqrt(variance) / values.size)
