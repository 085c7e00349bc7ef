"""What a made-up panel has before any mechanism has run: units, periods, givens."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.worlds.made_up import (
    first_ordinal,
    made_up_givens,
    made_up_units,
    rough_exact,
    rough_values,
)
from dotwin.worlds.start import longest_lag
from dotwin.worlds.world import Grouping, Membership

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.panel import Panel, Quality
    from dotwin.spec.twin import Twin

__all__ = ["Frame", "categories", "varying"]

#: Periods that are simulated and thrown away before the panel begins.
_BURN_IN = 40


@dataclass(frozen=True, eq=False)
class Frame:
    """What a made-up panel has before any mechanism has run.

    Parameters
    ----------
    twin : Twin
    groups : dict of str to list of str
        Each unit's group by level.
    ordinals : int64 array (period,)
        Of the run-in and the panel.
    run_in : int
        How many of these come before the panel.
    givens : dict of str to array (unit, period)
    seed : int
    """

    twin: Twin
    groups: Mapping[str, list[str]]
    ordinals: NDArray[np.int64]
    run_in: int
    givens: Mapping[str, NDArray[Any]]
    seed: int

    @classmethod
    def made_up(cls, twin: Twin, units: Mapping[str, int], periods: int, seed: int) -> Frame:
        """Make units, periods and givens up, with a run-in where anything reads a lag."""
        groups = made_up_units(twin, units)
        if twin.panel.period is None:
            ordinals, run_in = np.zeros(1, dtype=np.int64), 0
        else:
            lag = longest_lag(twin, ())
            run_in = _BURN_IN + 2 * lag if lag else 0
            first = first_ordinal(twin.panel.period.frequency)
            ordinals = first + np.arange(-run_in, periods, dtype=np.int64)
        givens = made_up_givens(twin, groups, ordinals, seed)
        return cls(twin, groups, ordinals, run_in, givens, seed)

    @cached_property
    def members(self) -> Membership:
        """The units and their groups."""
        levels = {}
        for level, ids in self.groups.items():
            names = sorted(set(ids))
            place = {name: i for i, name in enumerate(names)}
            levels[level] = Grouping(np.array([place[one] for one in ids]), tuple(names))
        return Membership(tuple(self.groups[self.twin.unit]), levels)

    def dataset(self, values: Mapping[str, NDArray[Any]]) -> xr.Dataset:
        """Put values that cover the run-in too into the layout of a panel."""
        import xarray as xr

        from dotwin.panel.periods import period_starts

        layout = self.twin.panel.period
        kept = self.ordinals[self.run_in :]
        periods: Any = period_starts(kept, layout.frequency) if layout else np.zeros(1, dtype=int)
        dims = ("unit", "period")
        data = {name: (dims, array[:, self.run_in :]) for name, array in values.items()}
        levels = {
            level: ("unit", np.asarray(ids, dtype=str))
            for level, ids in self.groups.items()
            if level != self.twin.unit
        }
        coords = {"unit": list(self.members.units), "period": periods, **levels}
        present = np.ones((len(self.members.units), len(kept)), dtype=bool)
        return xr.Dataset(data, coords=coords).assign(present=(dims, present))

    @cached_property
    def _quality(self) -> Quality:
        from dotwin.panel.quality import assess

        return assess(self.dataset(self.rough), self.twin)

    def unchecked(self, values: Mapping[str, NDArray[Any]]) -> Panel:
        """Make a panel of values on the way to the final ones, whatever they are."""
        from dotwin.panel import Panel

        return Panel(self.twin, self.dataset(values), self._quality)

    def panel(self, values: Mapping[str, NDArray[Any]], truth: xr.Dataset) -> Panel:
        """Make the final panel, with every check that data must pass."""
        from dotwin.panel import Panel

        return Panel.from_dataset(self.dataset(values), self.twin, truth)

    @cached_property
    def rough(self) -> dict[str, NDArray[Any]]:
        """Values to begin with: those of givens, and guesses for all others."""
        twin, known = self.twin, dict(self.givens)
        for name in twin.graph.order():
            one = twin.indicators[name]
            if one.is_stochastic:
                known[name] = rough_values(twin, name, known, self.groups, self.ordinals, self.seed)
            elif one.equals is not None:
                known[name] = rough_exact(twin, name, known, self.groups)
        return known


def varying(frame: Frame) -> frozenset[str]:
    """Return the indicators that vary over time within some unit."""
    if len(frame.ordinals) - frame.run_in == 1:
        return frozenset()
    steady = {
        name for name, values in frame.givens.items() if bool((values == values[:, :1]).all())
    }
    return frozenset(set(frame.twin.indicators) - steady)


def categories(twin: Twin) -> dict[str, tuple[str, ...]]:
    """List categories, the reference first."""
    found = {}
    for name, one in twin.indicators.items():
        if one.categories:
            first = one.reference or one.categories[0]
            found[name] = (first, *(c for c in one.categories if c != first))
    return found
