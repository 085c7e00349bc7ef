"""Where the effect of each unit lies, guessed from draws as if its old rows were normal."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.unit_integrals import UnitRows

__all__ = ["Guess", "guess_of"]

Floats = NDArray[np.float64]

#: Rounds in which the information of a unit's rows and their place are found.
ROUNDS = 4
#: Halvings of the range of a logarithm: to a ten-thousandth of the information.
BISECTIONS = 20


@dataclass(frozen=True, eq=False)
class Guess:
    """The modes of units with old rows, as if these rows were normal.

    Parameters
    ----------
    units : UnitRows
    place, shared, information : array, dims (unit,)
        Where a unit's old rows alone put its effect when what they share besides is at its mean;
        that mean; and their information.
    """

    units: UnitRows
    place: Floats
    shared: Floats
    information: Floats

    def of(self, average: Floats, sd: Floats) -> tuple[Floats, Floats]:
        """Guess modes and spreads, dims (draw, unit), at averages of old rows of these dims."""
        prior = 1.0 / sd[:, None] ** 2
        information = np.where(self.units.known, self.information, 0.0)
        total = information + prior
        start = (self.place - (average - self.shared)) * (information / total)
        return start, 1.0 / np.sqrt(total)


def guess_of(units: UnitRows, effect: Floats, average: Floats, sd: Floats) -> Guess:
    """Learn the guess from draws: an effect is normal around the shrunken place of its rows.

    Parameters
    ----------
    units : UnitRows
    effect, average : array, dims (draw, unit)
        Draws of the effects, and the average linear predictors of the old rows without them.
    sd : array, dims (draw,)
        Of the effects.
    """
    prior = 1.0 / sd[:, None] ** 2
    shared = average.mean(axis=0)
    away = average - shared
    information = 1.0 / np.maximum(effect.var(axis=0), 1e-12)
    place = np.zeros(shared.size)
    for _ in range(ROUNDS):
        shrunk = information / (information + prior)
        place = (shrunk * (effect + shrunk * away)).sum(axis=0) / (shrunk**2).sum(axis=0)
        scatter = (effect - shrunk * (place - away)).var(axis=0)
        information = _information(scatter, prior)
    return Guess(units, place, shared, information)


def _information(variance: Floats, prior: Floats) -> Floats:
    """Find the information with which precisions of prior and rows give an average variance."""
    low, high = np.full(variance.size, -30.0), np.full(variance.size, 60.0)
    for _ in range(BISECTIONS):
        middle = 0.5 * (low + high)
        is_low = (1.0 / (np.exp(middle) + prior)).mean(axis=0) > variance
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return np.asarray(np.exp(middle))
