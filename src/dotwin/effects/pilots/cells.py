"""Treated unit-periods as they are averaged: by cohort, by time since the start, by group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np

from dotwin.errors import SpecificationError
from dotwin.worlds.aggregate import By, Groups, UnitStates, group_units

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.effects.outcome import Outcome
    from dotwin.effects.pilots.untreated import Untreated
    from dotwin.panel import Panel

__all__ = ["Cells", "Weights"]

#: What counts alike: unit-periods, units or cohorts; or a weight for each cohort.
Weights = Literal["unit-periods", "units", "cohorts"] | Mapping[str, float]

#: What unit-periods can be grouped by beside what units can.
_TIMES = ("cohort", "since", "period")


@dataclass(frozen=True, eq=False)
class Cells:
    """Unit-periods with what was and what would have been.

    Parameters
    ----------
    outcome : Outcome
    forecast : Untreated
    starts : int array (unit of the panel,)
    panel : Panel
    anticipation : int
        How many periods before the start may have changed already.
    """

    outcome: Outcome
    forecast: Untreated
    starts: NDArray[np.int64]
    panel: Panel
    anticipation: int = 0

    @cached_property
    def start(self) -> NDArray[np.int64]:
        """The start of each cell's unit, dims (cell,)."""
        return self.starts[self.forecast.unit]

    @cached_property
    def since(self) -> NDArray[np.int64]:
        """Periods since the start, dims (cell,)."""
        return self.forecast.period - self.start

    def groups(self, by: By) -> Groups:
        """Return how the cells fall into groups.

        Parameters
        ----------
        by : str or sequence of str, optional
            ``cohort``, ``since``, ``period``, and what units can be grouped by.
        """
        names = () if by is None else (by,) if isinstance(by, str) else tuple(by)
        if not names:
            return Groups((), ((),), np.zeros(self.start.size, dtype=np.intp))
        labels = self.panel.period_labels
        times = {"cohort": self.start, "since": self.since, "period": self.forecast.period}
        keys: list[NDArray[np.int64]] = []
        words: list[dict[int, str]] = []
        for name in names:
            if name in _TIMES:
                key = times[name]
                keys.append(key)
                words.append(
                    {int(k): str(k) if name == "since" else labels[k] for k in np.unique(key)}
                )
                continue
            units = group_units(self.panel.twin, self._states, name)
            keys.append(units.codes[self.forecast.unit])
            words.append({i: label[0] for i, label in enumerate(units.labels)})
        # Before the start, periods since it are below 0; a unit's unknown group is too.
        known = np.all(
            [key >= 0 for name, key in zip(names, keys, strict=True) if name != "since"], axis=0
        ) & np.ones(self.start.size, dtype=bool)
        stacked = np.stack(keys, axis=1)
        used, packed = np.unique(stacked[known], axis=0, return_inverse=True)
        codes = np.full(self.start.size, -1, dtype=np.intp)
        codes[known] = packed.ravel()
        named = tuple(
            tuple(word[int(k)] for word, k in zip(words, row, strict=True)) for row in used
        )
        return Groups(names, named, codes)

    @property
    def _states(self) -> UnitStates:
        """What was known of each unit before it can have changed."""
        panel, twin = self.panel, self.panel.twin
        before = np.clip(self.starts - self.anticipation - 1, 0, len(panel.period_labels) - 1)
        rows = np.arange(len(panel.units))
        levels = {}
        for level in twin.panel.all_levels:
            codes, names = panel.groups(level)
            levels[level] = np.asarray(names, dtype=object)[codes].astype(str)
        levels[twin.unit] = np.asarray([str(unit) for unit in panel.units])
        facts = {name: panel.values(name)[rows, before] for name in panel.indicators}
        return UnitStates(levels, facts)

    def counts(self, groups: Groups) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the numbers of units and of unit-periods in each group."""
        kept = groups.codes >= 0
        size = len(groups.labels)
        pairs = np.unique(np.stack([groups.codes[kept], self.forecast.unit[kept]], 1), axis=0)
        return np.bincount(pairs[:, 0], minlength=size), np.bincount(
            groups.codes[kept], minlength=size
        )

    def both(
        self, groups: Groups, weights: Weights = "unit-periods"
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return what was (group,) and what would have been (draw, group).

        Parameters
        ----------
        groups : Groups
        weights : {'unit-periods', 'units', 'cohorts'} or dict of str to float
        """
        if isinstance(weights, str) and weights == "unit-periods":
            return self._pooled(groups)
        fine, place = self._strata(groups)
        share = self._shares_of(fine, place, weights)
        was, would = self._pooled(fine)
        total = np.zeros((fine.codes.max() + 1, len(groups.labels)))
        total[np.arange(len(place)), place] = share
        return was @ total, would @ total

    def difference(self, groups: Groups, weights: Weights) -> NDArray[np.float64]:
        """Return draws of what was less what would have been, dims (draw, group)."""
        was, would = self.both(groups, weights)
        return was - would

    def shares(self, groups: Groups, weights: Weights) -> NDArray[np.float64]:
        """Return what groups of cohort and time since the start count for, dims (group,)."""
        if isinstance(weights, str) and weights == "unit-periods":
            cells = self.counts(groups)[1]
            return np.asarray(cells / cells.sum())
        return self._shares_of(groups, np.zeros(len(groups.labels), dtype=np.intp), weights)

    def _pooled(self, groups: Groups) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        observed, would = self.forecast.observed, self.forecast.untreated
        above, below = self.outcome.sums(lambda name, _: observed[name][None, :, None], groups)
        above_0, below_0 = self.outcome.sums(lambda name, _: would[name][:, :, None], groups)
        with np.errstate(invalid="ignore", divide="ignore"):
            return (above / below)[0, :, 0], (above_0 / below_0)[:, :, 0]

    def _strata(self, groups: Groups) -> tuple[Groups, NDArray[np.intp]]:
        """Split groups by cohort and time since the start; say of which group each part is."""
        kept = groups.codes >= 0
        key = np.stack([groups.codes, self.start, self.since], axis=1)
        used, packed = np.unique(key[kept], axis=0, return_inverse=True)
        codes = np.full(groups.codes.shape, -1, dtype=np.intp)
        codes[kept] = packed.ravel()
        labels = self.panel.period_labels
        named = tuple((labels[start], str(since)) for _, start, since in used)
        return Groups(("cohort", "since"), named, codes), used[:, 0].astype(np.intp)

    def _shares_of(
        self, strata: Groups, place: NDArray[np.intp], weights: Weights
    ) -> NDArray[np.float64]:
        """Return the share of each stratum in its group's average."""
        cohorts = np.array([label[0] for label in strata.labels], dtype=object)
        units = np.zeros(len(cohorts))
        periods = np.zeros(len(cohorts))
        unit_of, group_of = self.forecast.unit, strata.codes
        for g in np.unique(place):
            for cohort in np.unique(cohorts[place == g]):
                here = np.flatnonzero((place == g) & (cohorts == cohort))
                cells = np.isin(group_of, here)
                units[here], periods[here] = len(np.unique(unit_of[cells])), len(here)
        if isinstance(weights, Mapping):
            size = np.array([_weight_of(weights, cohort) for cohort in cohorts])
        elif weights == "units":
            size = units
        elif weights == "cohorts":
            size = np.ones(len(cohorts))
        else:
            raise SpecificationError(
                f"weights='{weights}': 'unit-periods', 'units', 'cohorts', or a weight for each "
                f"cohort."
            )
        raw = size / periods
        total = np.bincount(place, raw)
        if not (total > 0).all():
            raise SpecificationError("weights: every average needs a cohort with a weight above 0.")
        return np.asarray(raw / total[place])


def _weight_of(weights: Mapping[str, float], cohort: str) -> float:
    if cohort not in weights:
        raise SpecificationError(f"weights: the cohort {cohort} has none; say 0 to leave it out.")
    value = float(weights[cohort])
    if not value >= 0:
        raise SpecificationError(f"weights: {cohort} has {value:g}; a weight is 0 or more.")
    return value
