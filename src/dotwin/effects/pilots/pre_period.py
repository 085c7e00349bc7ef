"""Before the start: would the forecasts that a pilot rests on have held, and what would have shown?

A check that finds nothing says little where it could hardly have found anything. So the differences
before the start come with intervals that hold all at once, and with the size of a difference, and
of a drift, that they would have shown.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.errors import SpecificationError
from dotwin.worlds.tables import interval_ends, number

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.effects.pilots.pilot import Pilot
    from dotwin.worlds.licence import Licence

__all__ = ["PrePeriod", "Shape", "pre_period"]

#: The same difference in every period, or one that grows by as much in each.
Shape = Literal["constant", "drift"]

#: What a check should see is seen with this probability.
_CHANCE = 0.8
#: Halvings of the range in which such a difference is looked for.
_STEPS = 60


@dataclass(frozen=True, eq=False, repr=False)
class PrePeriod:
    """Differences between what was and what was forecast, before a pilot began.

    Made by `Pilot.pre_period`.

    Parameters
    ----------
    pilot : Pilot
    placebo : Pilot
        The same pilot, as if units might have changed some periods earlier.
    periods : int
        How many periods before the start are forecast.
    """

    pilot: Pilot
    placebo: Pilot
    periods: int

    @property
    def licence(self) -> Licence:
        """The verdicts of the pilot's effect, with the check's own support and convergence."""
        return self.placebo.licence

    @cached_property
    def since(self) -> NDArray[np.int64]:
        """Periods since the start, below 0, dims (since,)."""
        found = np.unique(self.placebo.cells.since)
        last = -self.pilot.anticipation
        return found[found < last]

    @cached_property
    def _values(self) -> NDArray[np.float64]:
        """Draws of the differences, dims (draw, since)."""
        groups = self.placebo.cells.groups("since")
        difference = self.placebo.cells.difference(groups, "unit-periods")
        return difference[:, [groups.labels.index((str(s),)) for s in self.since]]

    @property
    def draws(self) -> xr.Dataset:
        """The differences, dims chain, draw, since; in the outcome's own unit."""
        import xarray as xr

        run = self.placebo.forecast.run
        shaped = self._values.reshape((*run.shape[:2], len(self.since)))
        return xr.Dataset(
            {"difference": (("chain", "draw", "since"), shaped)},
            coords={"chain": run.chains, "draw": run.draws, "since": self.since},
        )

    def _critical(self, interval: float) -> float:
        """Return how many sds intervals reach that hold all at once with a probability."""
        interval_ends(interval)
        return float(np.quantile(np.abs(self._scaled).max(axis=1), interval))

    @cached_property
    def _sds(self) -> NDArray[np.float64]:
        return np.asarray(np.maximum(self._values.std(axis=0), np.finfo(float).tiny))

    @cached_property
    def _scaled(self) -> NDArray[np.float64]:
        return np.asarray((self._values - self._values.mean(axis=0)) / self._sds)

    def summary(self, *, interval: float = 0.9) -> pd.DataFrame:
        """Summarise the differences by period before the start.

        Parameters
        ----------
        interval : float
            Probability of the intervals.

        Returns
        -------
        DataFrame
            Columns ``since``, ``units``, ``mean``, ``sd``, the equal-tailed interval ``5%`` and
            ``95%``, and ``all at once, from`` and ``to``: intervals around the mean, as many sds
            wide that they hold all differences together with the probability.
        """
        low, high = interval_ends(interval)
        table = self.placebo.summary("since", interval=interval).set_index("since")
        table = table.loc[[str(s) for s in self.since]].reset_index()
        wide = self._critical(interval) * self._sds
        table["sd"] = self._sds
        table["all at once, from"] = table["mean"] - wide
        table["all at once, to"] = table["mean"] + wide
        table["since"] = self.since
        names = ["since", "units", "mean", "sd", f"{100 * low:g}%", f"{100 * high:g}%"]
        return table[[*names, "all at once, from", "all at once, to", "unit"]]

    def contradicted(self, *, interval: float = 0.9) -> bool:
        """Say whether a difference before the start shows: an interval all at once without 0."""
        table = self.summary(interval=interval)
        return bool(((table["all at once, from"] > 0) | (table["all at once, to"] < 0)).any())

    def power(self, size: float, shape: Shape = "constant", *, interval: float = 0.9) -> float:
        """Return the probability with which a difference of some size would have shown.

        Estimates are taken to spread around a true difference as its posterior does around the
        estimate.

        Parameters
        ----------
        size : float
            Of the difference, or of the drift per period, in the outcome's own unit.
        shape : {'constant', 'drift'}
            The same difference in all periods, or one that grows from the first of them on.
        interval : float
        """
        moved = self._scaled + size * self._steps(shape) / self._sds
        return float((np.abs(moved).max(axis=1) > self._critical(interval)).mean())

    def seen(
        self, shape: Shape = "constant", *, chance: float = _CHANCE, interval: float = 0.9
    ) -> float:
        """Return the smallest difference that would have shown with a probability.

        Parameters
        ----------
        shape : {'constant', 'drift'}
        chance : float
        interval : float
        """
        if not 1 - interval < chance < 1:
            raise SpecificationError(
                f"chance={chance}: a probability above {1 - interval:.2g}, which is that of seeing "
                f"something where nothing is, and below 1."
            )
        low, high = 0.0, float(self._sds.max())
        while self.power(high, shape, interval=interval) < chance:
            high *= 2.0
        for _ in range(_STEPS):
            middle = 0.5 * (low + high)
            if self.power(middle, shape, interval=interval) < chance:
                low = middle
            else:
                high = middle
        return high

    def _steps(self, shape: Shape) -> NDArray[np.float64]:
        if shape == "constant":
            return np.ones(len(self.since))
        if shape == "drift":
            return np.asarray(self.since - self.since.min() + 1, dtype=float)
        raise SpecificationError(f"shape='{shape}': 'constant' or 'drift'.")

    @cached_property
    def unseen(self) -> float:
        """What a drift that would just have shown adds to the pilot's effect, if it went on.

        Counted from the last period before the start, so it adds that much at least.
        """
        after = self.pilot.cells.since + self.pilot.anticipation + 1.0
        return self.seen("drift") * float(after.mean())

    def __repr__(self) -> str:
        twin, outcome = self.pilot.fit.twin, self.pilot.outcome
        frequency = twin.panel.period.frequency  # type: ignore[union-attr]
        table = self.summary()
        far = table.iloc[int(np.argmax(np.abs(table["mean"].to_numpy() / self._sds)))]
        count = len(table)
        over = f"{count} {frequency}s" if count > 1 else frequency
        where = f"{-int(far['since'])} {frequency}{'s' if far['since'] < -1 else ''}"
        found = (
            f"In the {over} before the start, {outcome.words} differed most from its forecast "
            f"{where} before it, by {number(float(far['mean']))} (90 % interval over all {over} at "
            f"once {number(float(far['all at once, from']))} to "
            f"{number(float(far['all at once, to']))})"
        )
        effect = float(np.abs(self.pilot.average().mean()))
        seen = (
            f"a constant difference of {number(self.seen())}, or a drift of "
            f"{number(self.seen('drift'))} per {frequency}, would have been seen with probability "
            f"{_CHANCE:g}"
        )
        if self.contradicted():
            return f"{found}: the forecasts are contradicted before the start; {seen}."
        enough = (
            f"such a drift, going on, would add {number(self.unseen)} to an effect of "
            f"{number(effect)}"
        )
        said = "not contradicted" if self.unseen < effect else "not contradicted, and hardly tested"
        return f"{found}: {said}; {seen}; {enough}."

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.summary().to_html(index=False)}"

    def plot(self) -> Any:
        """Draw the differences before the start beside the effect after it."""
        return importlib.import_module("dotwin.plots").plot_pre_period(self)


def pre_period(pilot: Pilot, periods: int = 3) -> PrePeriod:
    """Check the periods before a pilot began: would its forecasts have held there?

    The twin is fitted once more, to what was untreated some periods before each start, and the
    periods left out are forecast as those since the start are. Nothing had begun there, so any
    difference is the forecast's error: a trend of their own in units that were about to begin, or
    an effect before the start. Finding none is no proof [1]_; what would have been seen is said.

    Parameters
    ----------
    pilot : Pilot
    periods : int
        How many before the start (before the anticipation, where there is some).

    Returns
    -------
    PrePeriod

    Raises
    ------
    DataError
        When no unit has so many untreated periods before it began.

    References
    ----------
    .. [1] Roth, J. (2022). Pretest with caution: event-study estimates after testing for parallel
       trends. doi:10.1257/aeri.20210236

    Examples
    --------
    >>> from dotwin.effects.examples import small_pilot
    >>> check = small_pilot().pilot("coaching", on="falls").pre_period(1)
    >>> check.contradicted()
    False
    """
    if periods < 1:
        raise SpecificationError(f"periods={periods}: at least one period before the start.")
    return PrePeriod(pilot, pilot.again(pilot.anticipation + periods), periods)
