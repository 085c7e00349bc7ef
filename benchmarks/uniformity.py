"""Are ranks uniform? Bands of the empirical distribution that hold at all places at once.

The truth's rank among posterior draws, spread evenly within its rank, is uniform on [0, 1] where an
engine draws from the posterior. The share of values up to each of some places is compared with the
place itself. A band at one place is a binomial's interval; that it holds at *all* places is a
question about the whole path, which is answered exactly: counts up to successive places form a
Markov chain of binomials (Säilynoja, Bürkner and Vehtari 2022, doi 10.1007/s11222-022-10090-6).
Exactly, since one table of many parameters asks for levels of 1e-5 that no simulation of bands
reaches.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Places within [0, 1] at which shares are compared: between neighbouring ones lies 1 / PLACES.
PLACES = 50


def histogram(values: Floats) -> Counts:
    """Count values in [0, 1] between the places."""
    found = np.histogram(values, np.linspace(0.0, 1.0, PLACES + 1))[0]
    return np.asarray(found, dtype=np.int64)


def _below(bins: Counts) -> Counts:
    """Count what lies up to each inner place."""
    return np.asarray(np.cumsum(bins)[:-1], dtype=np.int64)


@cache
def _tails(values: int, places: int) -> Floats:
    """Return, for every place and count, the smaller tail of its binomial twice."""
    at = np.arange(1, places)[:, None] / places
    count = np.arange(values + 1)[None, :]
    low = stats.binom.cdf(count, values, at)
    high = stats.binom.sf(count - 1, values, at)
    return np.asarray(2.0 * np.minimum(low, high))


@cache
def chance_outside(values: int, level: float, places: int) -> float:
    """Return the chance that uniform values leave the band of a pointwise level at some place.

    Parameters
    ----------
    values : int
        How many there are.
    level : float
        A count is outside where twice its smaller binomial tail is at most this.
    places : int
        The unit interval is cut into so many equal parts.
    """
    tails = _tails(values, places)
    lost, alive, chance = 0.0, np.zeros(1, dtype=np.int64), np.ones(1)
    for place in range(places - 1):
        inside = np.flatnonzero(tails[place] > level)
        # Of what is not yet counted, this share lies before the next place.
        share = 1.0 / (places - place)
        if not inside.size:
            return 1.0
        # Far from the middle no path comes from there to here: its terms are 0.
        step = stats.binom.pmf(inside[None, :] - alive[:, None], values - alive[:, None], share)
        reached = chance @ step
        # What is lost is added up by itself: 1 minus the rest would lose small chances.
        lost += float(chance.sum() - reached.sum()) if level > 1e-9 else 0.0
        alive, chance = inside, reached
    if level <= 1e-9:
        # The sum of all places' own chances bounds it where differences are rounding.
        return float(min(1.0, level * (places - 1)))
    return float(min(1.0, max(lost, 0.0)))


def p_value(bins: Counts) -> float:
    """Return the chance that uniform values stray as far somewhere as these do.

    Parameters
    ----------
    bins : int array (place,)
        As `histogram` returns them.
    """
    values, places = int(bins.sum()), bins.size
    if not values:
        return 1.0
    tails = _tails(values, places)
    furthest = float(tails[np.arange(places - 1), _below(bins)].min())
    # A hair above, so that the count itself is outside.
    return chance_outside(values, min(furthest * (1.0 + 1e-9), 1.0), places)


def band(values: int, outside: float, places: int = PLACES) -> tuple[Floats, Floats]:
    """Return the band of shares that uniform values leave with at most a given chance.

    Parameters
    ----------
    values : int
    outside : float
        The chance, over all places together.
    places : int

    Returns
    -------
    low, high : array (place,)
        Lowest and highest share inside, at each inner place.
    """
    low, high = outside / (places * 4.0), outside
    for _ in range(30):
        middle = float(np.sqrt(low * high))
        if chance_outside(values, middle, places) <= outside:
            low = middle
        else:
            high = middle
    inside = _tails(values, places) > low
    first = inside.argmax(axis=1)
    last = values - inside[:, ::-1].argmax(axis=1)
    return first / values, last / values
