"""What was realised beside its forecasts, and the parts of the gap between them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.effects.compared import collected, headline, what_is
from dotwin.spec.expressions import parse
from dotwin.worlds.aggregate import By, Groups, aggregate, group_units, unit_of
from dotwin.worlds.calibration import COVERAGES, Backtest, Calibration
from dotwin.worlds.forecasts import MODEL
from dotwin.worlds.licence import (
    Licence,
)
from dotwin.worlds.scores import pit
from dotwin.worlds.tables import interval_ends, number

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin
    from dotwin.worlds.run import Run

__all__ = ["FORECASTS", "PARTS", "FollowUp", "either"]

Floats = NDArray[np.float64]

#: The three forecasts: as it was made, with the inputs that came, and with what was done.
FORECASTS = ("as planned", "with the inputs that came", "with what was done")
#: What the gap between realised and planned is made of, and the gap.
PARTS = ("other inputs", "what was done", "the twin", "gap")


@dataclass(frozen=True, eq=False, repr=False)
class FollowUp:
    """What was realised against a forecast that was made before.

    Made by `follow_up`, or `futures.follow_up`.

    Parameters
    ----------
    run : Run
        Of the forecast.
    panel : Panel
        With what came later.
    scenario : str
        What was planned.
    done : tuple of str
        The indicators of which it is looked up what was actually done.
    outcomes : tuple of str
    forecasts : dict of str to tuple of three arrays (draw over all chains, unit, period)
        By indicator, in the order of ``FORECASTS``; they share their noise.
    realised : dict of str to float array (unit, period)
    periods : tuple of str
        The forecast's periods that have come.
    licence : Licence
        Whether the part of what was done is an effect.
    notes : tuple of str
    """

    run: Run
    panel: Panel
    scenario: str
    done: tuple[str, ...]
    outcomes: tuple[str, ...]
    forecasts: Mapping[str, tuple[Floats, Floats, Floats]]
    realised: Mapping[str, Floats]
    periods: tuple[str, ...]
    licence: Licence
    notes: tuple[str, ...]

    @property
    def twin(self) -> Twin:
        """The twin of the forecast."""
        return self.run.twin

    @cached_property
    def draws(self) -> xr.Dataset:
        """The three forecasts, dims forecast, chain, draw, unit, period; in each one's own unit.

        With the coordinate ``period_label``; what was realised is in `realised`.
        """
        import xarray as xr

        run = self.run
        chains, draws, units = run.shape[:3]
        shape = (len(FORECASTS), chains, draws, units, len(self.periods))
        dims = ("forecast", "chain", "draw", "unit", "period")
        return xr.Dataset(
            {
                name: (dims, np.stack(several).reshape(shape), {"units": self._unit(name)})
                for name, several in self.forecasts.items()
            },
            coords={
                "forecast": list(FORECASTS),
                "chain": run.chains,
                "draw": run.draws,
                "unit": list(run.start.members.units),
                "period": run.future.coordinate[: len(self.periods)],
                "period_label": ("period", list(self.periods)),
            },
        )

    def _unit(self, name: str) -> str:
        return self.twin.indicators[name].unit

    # ── aggregates ─────────────────────────────────────────────────────────────────────────────

    def _read(self, text: str, groups: Groups) -> tuple[Floats, list[Floats]]:
        """Return what was realised (group, period), and each forecast (draw, group, period).

        Only unit-periods of which everything that is read was recorded count, in all of them.
        """
        expression = parse(text)
        names = [n for n in collected(self.twin, sorted(expression.names())) if n in self.realised]
        known = np.all([np.isfinite(self.realised[name]) for name in names], axis=0)

        def only(values: Floats) -> Floats:
            return np.where(known, values, np.nan)

        was = aggregate(self.twin, expression, lambda n: only(self.realised[n]), groups)

        def forecast(k: int) -> Floats:
            read = self.forecasts
            return aggregate(self.twin, expression, lambda name: only(read[name][k]), groups)

        several = [forecast(k) for k in range(len(FORECASTS))]
        return was, several

    def _groups(self, by: By) -> Groups:
        return group_units(self.twin, self.run.states, by)

    def _chosen(self, on: str | Sequence[str] | None) -> tuple[str, ...]:
        return self.outcomes if on is None else (on,) if isinstance(on, str) else tuple(on)

    def summary(
        self, by: By = None, *, on: str | Sequence[str] | None = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Set what was realised beside its forecasts.

        Parameters
        ----------
        by : str or sequence of str, optional
            Levels, the unit, givens, or states when the forecast began.
        on : str or sequence of str, optional
            Indicators or expressions of them.
        interval : float
            Probability of the equal-tailed intervals.

        Returns
        -------
        DataFrame
            Columns ``indicator``, those of ``by``, ``period``, ``realised``; of each forecast its
            ``mean``, ``5%``, ``95%`` in rows of ``forecast``; ``place``, the share of its draws
            below what was realised, and ``unit``.
        """
        import pandas as pd

        low, high = interval_ends(interval)
        groups, rows = self._groups(by), []
        for text in self._chosen(on):
            was, several = self._read(text, groups)
            for k, name in enumerate(FORECASTS):
                ends = np.quantile(several[k], [low, high], axis=0)
                for g, label in enumerate(groups.labels):
                    for t, period in enumerate(self.periods):
                        draws = several[k][:, g, t]
                        rows.append(
                            {
                                "indicator": text,
                                **dict(zip(groups.names, label, strict=True)),
                                "period": period,
                                "realised": was[g, t],
                                "forecast": name,
                                "mean": draws.mean(),
                                f"{100 * low:g}%": ends[0, g, t],
                                f"{100 * high:g}%": ends[1, g, t],
                                "place": _place(draws, was[g, t]),
                                "unit": unit_of(self.twin, parse(text)),
                            }
                        )
        return pd.DataFrame(rows)

    def parts(
        self, by: By = None, *, on: str | Sequence[str] | None = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Split the gap between what was realised and what was planned.

        In each draw the parts sum exactly to the gap. ``other inputs``: givens that the plan did
        not touch came out differently from how they were held. ``what was done``: it differed from
        the plan. ``the twin``: what was realised, less the forecast under what was done; chance
        and errors of the twin, which the interval and `calibration` set apart.

        Parameters
        ----------
        by : str or sequence of str, optional
        on : str or sequence of str, optional
        interval : float

        Returns
        -------
        DataFrame
            Columns ``indicator``, those of ``by``, ``period``, ``part``, ``mean``, ``5%``, ``95%``
            and ``unit``.
        """
        import pandas as pd

        low, high = interval_ends(interval)
        groups, rows = self._groups(by), []
        for text in self._chosen(on):
            was, (plan, inputs, done) = self._read(text, groups)
            values = (inputs - plan, done - inputs, was - done, was - plan)
            ends = [np.quantile(one, [low, high], axis=0) for one in values]
            for g, label in enumerate(groups.labels):
                for t, period in enumerate(self.periods):
                    for k, part in enumerate(PARTS):
                        rows.append(
                            {
                                "indicator": text,
                                **dict(zip(groups.names, label, strict=True)),
                                "period": period,
                                "part": part,
                                "mean": values[k][:, g, t].mean(),
                                f"{100 * low:g}%": ends[k][0, g, t],
                                f"{100 * high:g}%": ends[k][1, g, t],
                                "unit": unit_of(self.twin, parse(text)),
                            }
                        )
        return pd.DataFrame(rows)

    # ── calibration ────────────────────────────────────────────────────────────────────────────

    @cached_property
    def cases(self) -> pd.DataFrame:
        """Where each unit's realised value fell among its forecasts.

        Columns ``indicator``, ``forecast`` (as planned, or with what was done), ``unit``,
        ``period``, ``horizon``, ``observed`` and ``pit``, which is uniform where forecasts are
        right.
        """
        import pandas as pd

        rng = np.random.default_rng(self.run.seed)
        units = np.asarray(self.run.start.members.units, dtype=object)
        tables = []
        for name in self.outcomes:
            observed = self.realised[name]
            unit, period = np.nonzero(np.isfinite(observed))
            y = observed[unit, period]
            jitter = rng.random(y.size)
            for k in (0, 2):
                draws = self.forecasts[name][k][:, unit, period]
                tables.append(
                    pd.DataFrame(
                        {
                            "indicator": name,
                            "forecast": FORECASTS[k],
                            "unit": units[unit],
                            "period": np.asarray(self.periods, dtype=object)[period],
                            "horizon": period + 1,
                            "observed": y,
                            "pit": pit(draws, y, jitter),
                        }
                    )
                )
        return pd.concat(tables, ignore_index=True)

    def coverage(self) -> pd.DataFrame:
        """Return the share of unit-periods that central intervals held.

        Columns ``indicator``, ``forecast``, ``cases``, ``50%``, ``80%``, ``90%``.
        """
        import pandas as pd

        rows = []
        for (name, forecast), part in self.cases.groupby(["indicator", "forecast"], sort=False):
            off = np.abs(part["pit"].to_numpy() - 0.5)
            held = {f"{share:.0%}": float((off <= share / 2).mean()) for share in COVERAGES}
            rows.append({"indicator": name, "forecast": forecast, "cases": len(part)} | held)
        return pd.DataFrame(rows)

    def calibration(self, indicator: str) -> Calibration:
        """Judge whether forecasts under what was done mean what they say.

        Parameters
        ----------
        indicator : str
        """
        own = self.cases[self.cases["forecast"] == FORECASTS[2]]
        scored = Backtest(
            scores=own.assign(origin="", method=MODEL),
            labels={name: self.twin.label(name) for name in self.outcomes},
            frequency="",
            origins=(),
            horizon=len(self.periods),
        )
        return scored.verdict(indicator)

    # ── for people ─────────────────────────────────────────────────────────────────────────────

    def __repr__(self) -> str:
        twin = self.twin
        outcome = headline(twin, self.outcomes, frozenset(self.done))
        trials = twin.indicators[outcome].trials
        text = f"share({outcome})" if trials in self.realised else outcome
        was, (plan, inputs, done) = self._read(text, self._groups(None))
        values = [one[:, 0, -1] for one in (inputs - plan, done - inputs, was - done, was - plan)]
        said = [
            f"{number(one.mean())} ({number(np.quantile(one, 0.05))} to "
            f"{number(np.quantile(one, 0.95))})"
            for one in values
        ]
        what = f"share of {twin.label(outcome)}" if text != outcome else what_is(twin, outcome)
        realised = float(was[0, -1])
        parts = [f"{said[1]} because {either(twin, self.done)} was not as planned"]
        if not np.all(values[0] == 0):
            parts.insert(0, f"{said[0]} because other inputs came differently")
        parts.append(f"{said[2]} that the twin did not foresee")
        inside = np.quantile(done[:, 0, -1], 0.05) <= realised <= np.quantile(done[:, 0, -1], 0.95)
        gap = float(values[3].mean())
        finding = (
            f"Under '{self.scenario}', {what} in {self.periods[-1]} was {number(realised)}, "
            f"{number(abs(gap))} {'below' if gap < 0 else 'above'} its forecast: "
            f"{', '.join(parts)} (90 % intervals); it "
            f"lies {'inside' if inside else 'outside'} the forecast under what was done"
        )
        if self.licence.identified.status != "yes":
            finding += f". The part of what was done: {self.licence.meaning}"
        return f"{finding}{''.join(f'; {note}' for note in self.notes)}."

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.parts().to_html(index=False)}{self.licence._repr_html_()}"

    def plot(self, on: str | None = None, by: By = None) -> Any:
        """Draw what was realised over its forecasts, as planned and with what was done."""
        return importlib.import_module("dotwin.plots").plot_follow_up(self, on, by)


def _place(draws: Floats, value: float) -> float:
    if not np.isfinite(value):
        return float("nan")
    return float((draws < value).mean() + 0.5 * (draws == value).mean())


def either(twin: Twin, names: Sequence[str]) -> str:
    """Name indicators, one or the other."""
    return " or ".join(twin.label(name) for name in names)
