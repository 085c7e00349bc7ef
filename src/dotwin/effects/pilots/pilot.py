"""Did a pilot work, where, when and for whom: what was, less what its units would have done."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.effects.compared import Worlds, assumptions
from dotwin.effects.outcome import Outcome, read_outcome
from dotwin.effects.pilots.cells import Cells, Weights
from dotwin.effects.pilots.pilot_licence import licence_of_pilot, refuse_interference
from dotwin.effects.pilots.untreated import NEVER, Untreated, first_start, untreated
from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.worlds.licence import NO_HIDDEN_CAUSES, Licence, refuse
from dotwin.worlds.simulate import counted
from dotwin.worlds.tables import interval_ends, number

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.effects.pilots.pre_period import PrePeriod
    from dotwin.effects.pilots.stand_ins import StandIns
    from dotwin.inference import Fit
    from dotwin.worlds.aggregate import By

__all__ = ["Pilot", "pilot"]


@dataclass(frozen=True, eq=False, repr=False)
class Pilot:
    """What a pilot did to the units that began it.

    Made by `pilot`, or `fit.pilot`.

    Parameters
    ----------
    fit : Fit
        Of the whole panel.
    programme : str
        The indicator that is 1 where the pilot runs.
    outcome : Outcome
    starts : int array (unit,)
        The period in which each unit began; `NEVER` for those that did not.
    anticipation : int
        How many periods before it began a unit may have changed already.
    forecast : Untreated
        What was and what would have been, by unit-period.
    assumed : frozenset of str
    seed, draw_count : int
    notes : tuple of str
        What a reader must know, in words.
    """

    fit: Fit
    programme: str
    outcome: Outcome
    starts: NDArray[np.int64]
    anticipation: int
    forecast: Untreated
    assumed: frozenset[str]
    seed: int
    draw_count: int
    notes: tuple[str, ...]

    # ── what it is about ───────────────────────────────────────────────────────────────────────

    @cached_property
    def cells(self) -> Cells:
        """The unit-periods since the start, as they are averaged."""
        return Cells(self.outcome, self.forecast, self.starts, self.fit.panel, self.anticipation)

    @property
    def cohorts(self) -> pd.DataFrame:
        """The units that began together: columns ``cohort``, ``units``, ``periods`` since then.

        The last row is of those that never began.
        """
        import pandas as pd

        labels, cells = self.fit.panel.period_labels, self.cells
        rows: list[tuple[str, int, int]] = []
        for start in np.unique(cells.start):
            here = cells.start == start
            units = len(np.unique(self.forecast.unit[here]))
            rows.append((labels[start], units, int(cells.since[here].max()) + 1))
        never = self.starts == NEVER
        rows.append(("never", int(never.sum()), 0))
        return pd.DataFrame(rows, columns=["cohort", "units", "periods"])

    @property
    def left_out(self) -> pd.DataFrame:
        """The units that began and are not in the answer: columns ``unit`` and ``reason``."""
        import pandas as pd

        rows = [(u, reason) for reason, units in self.forecast.left_out for u in units]
        return pd.DataFrame(rows, columns=["unit", "reason"])

    @property
    def reached(self) -> tuple[str, ...]:
        """What the outcome is made of and the programme can change."""
        graph, parts = self.fit.twin.graph, self.outcome.indicators
        below = {self.programme, *graph.descendants(self.programme)}
        return tuple(name for name in parts if name in below)

    @property
    def estimand(self) -> str:
        """What is estimated, in words and symbols."""
        twin = self.fit.twin
        return (
            f"The average over treated {twin.unit}-periods of {self.outcome.words} as it was, less "
            f"what it would have been had the same {twin.unit}s not begun: "
            f"mean over (i, t ≥ gᵢ) of Yᵢₜ − Yᵢₜ(never), where gᵢ is when {twin.unit} i began."
        )

    @cached_property
    def licence(self) -> Licence:
        """The verdicts that the answer rests on."""
        return licence_of_pilot(
            Worlds(self.forecast.run, {}),
            self.fit,
            self.programme,
            self.reached,
            self.starts,
            self.anticipation,
            self.assumed,
        )

    # ── the answer ─────────────────────────────────────────────────────────────────────────────

    @cached_property
    def draws(self) -> xr.Dataset:
        """Effects by cohort and periods since the start, dims chain, draw, cohort, since.

        ``difference`` is what was less what would have been, ``untreated`` what would have been;
        ``observed`` has no draws. In the outcome's own unit; missing where a cohort was not
        followed so long.
        """
        import xarray as xr

        run = self.forecast.run
        groups = self.cells.groups(("cohort", "since"))
        was, would = self.cells.both(groups)
        names = [tuple(dict.fromkeys(column)) for column in zip(*groups.labels, strict=True)]
        cohorts, since = names[0], sorted(map(int, names[1]))
        chains, draws = run.shape[:2]
        full = np.full((chains * draws, len(cohorts), len(since)), np.nan)
        seen = np.full(full.shape[1:], np.nan)
        for g, (cohort, periods) in enumerate(groups.labels):
            place = cohorts.index(cohort), since.index(int(periods))
            full[:, *place], seen[place] = would[:, g], was[g]
        shaped = full.reshape((chains, draws, *seen.shape))
        dims = ("chain", "draw", "cohort", "since")
        return xr.Dataset(
            {
                "difference": (dims, seen - shaped, {"units": self.outcome.unit}),
                "untreated": (dims, shaped, {"units": self.outcome.unit}),
                "observed": (dims[2:], seen, {"units": self.outcome.unit}),
            },
            coords={
                "chain": run.chains,
                "draw": run.draws,
                "cohort": list(cohorts),
                "since": since,
            },
        )

    def average(self, weights: Weights = "unit-periods") -> NDArray[np.float64]:
        """Return draws of the effect over all cohorts and periods since the start, dims (draw,).

        Parameters
        ----------
        weights : {'unit-periods', 'units', 'cohorts'} or dict of str to float
            See `summary`.
        """
        return self.cells.difference(self.cells.groups(None), weights)[:, 0]

    def summary(
        self, by: By = None, *, weights: Weights = "unit-periods", interval: float = 0.9
    ) -> pd.DataFrame:
        """Summarise the effect.

        Parameters
        ----------
        by : str or sequence of str, optional
            ``cohort`` (the period of the start), ``since`` (periods since the start, 0 the first),
            ``period``; levels, the unit, givens, or states before the start such as
            ``start(acuity) > 2``. All together unless given.
        weights : {'unit-periods', 'units', 'cohorts'} or dict of str to float
            What counts alike where cohorts and periods are averaged: each treated unit-period, each
            unit that began, or each cohort; or a weight of 0 or more for each cohort, by its label.
            Within a cohort all periods since the start count alike. No weight is negative.
        interval : float
            Probability of the equal-tailed interval.

        Returns
        -------
        DataFrame
            Columns of ``by``, ``units``, ``unit_periods``, ``observed`` and ``untreated`` (mean
            over draws; for weights other than unit-periods their averages), then of the effect
            ``mean``, ``median``, ``5%``, ``95%``, the probability that it is below 0 ``below_0``,
            and ``unit``.
        """
        import pandas as pd

        groups = self.cells.groups(by)
        was, would = self.cells.both(groups, weights)
        difference = was - would
        low, high = interval_ends(interval)
        quantiles = np.quantile(difference, [0.5, low, high], axis=0)
        table = pd.DataFrame(list(groups.labels), columns=list(groups.names))
        table["units"], table["unit_periods"] = self.cells.counts(groups)
        table["observed"], table["untreated"] = was, would.mean(axis=0)
        table["mean"], table["median"] = difference.mean(axis=0), quantiles[0]
        table[f"{100 * low:g}%"], table[f"{100 * high:g}%"] = quantiles[1:]
        table["below_0"] = (difference < 0).mean(axis=0)
        table["unit"] = self.outcome.unit
        return table

    def weights(self, weights: Weights = "unit-periods") -> pd.DataFrame:
        """Return what each cohort and period since the start counts for in the average.

        Parameters
        ----------
        weights : {'unit-periods', 'units', 'cohorts'} or dict of str to float

        Returns
        -------
        DataFrame
            Columns ``cohort``, ``since``, ``units`` and ``weight``; weights sum to 1. Of a rate,
            'unit-periods' adds up numerators and denominators instead.
        """
        import pandas as pd

        groups = self.cells.groups(("cohort", "since"))
        table = pd.DataFrame(list(groups.labels), columns=["cohort", "since"])
        table["units"] = self.cells.counts(groups)[0]
        table["weight"] = self.cells.shares(groups, weights)
        return table

    # ── what it rests on ───────────────────────────────────────────────────────────────────────

    def pre_period(self, periods: int = 3) -> PrePeriod:
        """Check the periods before the start: would the forecasts have held there?

        See `dotwin.effects.pre_period.pre_period`.
        """
        module = importlib.import_module("dotwin.effects.pilots.pre_period")
        result: PrePeriod = module.pre_period(self, periods)
        return result

    def stand_ins(self) -> StandIns:
        """Let units that never began stand in for those that did: do their forecasts hold?

        See `dotwin.effects.stand_ins.stand_ins`.
        """
        module = importlib.import_module("dotwin.effects.pilots.stand_ins")
        result: StandIns = module.stand_ins(self)
        return result

    # ── for people ─────────────────────────────────────────────────────────────────────────────

    def __repr__(self) -> str:
        twin, row = self.fit.twin, self.summary().iloc[0]
        units = int(row["units"])
        mean = float(row["mean"])
        unit = self.outcome.unit
        unit = "" if not unit or self.outcome.kind in ("rate", "condition") else f" {unit}"
        finding = (
            f"In {units:,} {twin.unit}{'s' if units != 1 else ''} that began "
            f"{twin.label(self.programme)}, {self.outcome.words} was "
            f"{number(abs(mean))}{unit} {'lower' if mean < 0 else 'higher'} than it would have "
            f"been without (90 % interval {number(row['5%'])} to {number(row['95%'])})"
        )
        if self.licence.identified.status != "yes":
            finding += f": {self.licence.meaning}"
        return f"{finding}{''.join(f'; {note}' for note in self.notes)}."

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.licence._repr_html_()}"

    def plot(self, by: Literal["since", "cohort"] = "since") -> Any:
        """Draw the effect over the periods since the start, all cohorts together or each alone."""
        return importlib.import_module("dotwin.plots").plot_pilot(self, by)

    def again(self, anticipation: int) -> Pilot:
        """Ask the same of units that may have changed other periods before they began.

        Parameters
        ----------
        anticipation : int
        """
        return _answer(replace(self, anticipation=anticipation))


def pilot(
    fit: Fit,
    programme: str,
    *,
    on: str,
    weight: str | None = None,
    anticipation: int = 0,
    seed: int = 0,
    draws: int = 1000,
    assume: str | Sequence[str] = (),
) -> Pilot:
    r"""Say what a pilot did to the units that began it, in each cohort and period since the start.

    Units may begin together or in phases; those that begin in one period are a *cohort*. What a
    unit would have done without the pilot is forecast by the twin from the unit's own last state
    before it began, with parameters that only untreated unit-periods have taught: of units that
    never began, and of the others before they did. Period shocks are those of units that had not
    begun. The effect is what was, less that forecast,

    .. math:: \theta_{gs} = \frac{1}{n_g} \sum_{i: g_i = g} Y_{i,g+s} - Y_{i,g+s}(\text{never}),

    draw by draw, so it may differ between cohorts, periods and units in any way. It is averaged
    with declared weights that are never negative. A regression on fixed effects of units and
    periods and one coefficient of the pilot is not: it compares some treated units with others
    treated before, so that effects enter with negative weights and may come out with the wrong
    sign [1]_. Effects per cohort and period, aggregated afterwards, are the remedy [2]_ [3]_;
    imputing what would have been from untreated observations is the efficient form of it [4]_.

    Once begun, a unit counts as treated: what is estimated is the effect of beginning, whether or
    not it kept to the pilot.

    Parameters
    ----------
    fit : Fit
    programme : str
        The indicator that is 1 where the pilot runs and 0 elsewhere. How it was assigned decides
        the verdict: ``assigned: {how: randomised, …}`` and ``phased`` cut what would cause it;
        without them its declared causes must close every back door.
    on : str
        The outcome: an indicator, a condition, a ratio, or a threshold's name.
    weight : str, optional
        The indicator by which unit-periods are weighted.
    anticipation : int
        How many periods before the start a unit may have changed already. They are not used as
        untreated, and are shown as periods since the start below 0.
    seed : int
    draws : int
        Posterior draws, taken evenly from the chains.
    assume : str or sequence of str
        ``no hidden causes``: answer although the declared graph does not license the effect.

    Returns
    -------
    Pilot

    Raises
    ------
    SpecificationError
        When the programme is not 0 or 1, or units act on each other.
    DataError
        When no unit began, or none can be forecast.
    LicenceError
        When the declared graph does not license the effect.

    References
    ----------
    .. [1] Goodman-Bacon, A. (2021). Difference-in-differences with variation in treatment timing.
       doi:10.1016/j.jeconom.2021.03.014
    .. [2] Callaway, B. and Sant'Anna, P. (2021). Difference-in-differences with multiple time
       periods. doi:10.1016/j.jeconom.2020.12.001
    .. [3] Sun, L. and Abraham, S. (2021). Estimating dynamic treatment effects in event studies
       with heterogeneous treatment effects. doi:10.1016/j.jeconom.2020.09.006
    .. [4] Borusyak, K., Jaravel, X. and Spiess, J. (2024). Revisiting event-study designs: robust
       and efficient estimation. doi:10.1093/restud/rdae007

    Examples
    --------
    >>> from dotwin.effects.examples import small_pilot
    >>> answer = small_pilot().pilot("coaching", on="falls")
    >>> answer.cohorts["cohort"].tolist()
    ['2024-03', '2024-04', 'never']
    """
    assumed = assumptions(assume, (NO_HIDDEN_CAUSES,))
    starts = _starts(fit, programme)
    outcome = read_outcome(fit.twin, on, weight)
    if anticipation < 0:
        raise SpecificationError(f"anticipation={anticipation}: a count of periods, 0 or more.")
    reached = {programme, *fit.twin.graph.descendants(programme)}
    if not reached & set(outcome.indicators) - {programme}:
        raise SpecificationError(
            f"on='{on}': no chain of causes leads there from {fit.twin.label(programme)}. Declare "
            f"{programme} as a cause of what it is to change."
        )
    refuse_interference(fit.twin, programme)
    empty = Untreated(fit, None, np.zeros(0, int), np.zeros(0, int), {}, {}, ())  # type: ignore[arg-type]
    return _answer(
        Pilot(
            fit=fit,
            programme=programme,
            outcome=outcome,
            starts=starts,
            anticipation=anticipation,
            forecast=empty,
            assumed=assumed,
            seed=seed,
            draw_count=draws,
            notes=(),
        )
    )


def _answer(asked: Pilot) -> Pilot:
    """Forecast, and see whether the answer may be given."""
    fit, panel, unit = asked.fit, asked.fit.panel, asked.fit.twin.unit
    treated = asked.starts != NEVER
    used = np.where(treated, asked.starts - asked.anticipation, NEVER)
    early = treated & (used < first_start(fit, asked.programme))
    if early.all() or not (treated & ~early).any():
        need = first_start(fit, asked.programme)
        raise DataError(
            f"no {unit} begins late enough to be forecast: the mechanisms need {need} untreated "
            f"periods of it, and the panel begins with {panel.period_labels[0]}."
        )
    forecast = untreated(
        fit,
        asked.programme,
        tuple(sorted(asked.outcome.needed)),
        np.maximum(used, 0),
        treated & ~early,
        seed=asked.seed,
        draws=asked.draw_count,
    )
    if early.any():
        ids = tuple(str(one) for one in panel.units[early])
        why = "began before the panel shows enough of it untreated"
        forecast = replace(forecast, left_out=(*forecast.left_out, (why, ids)))
    known = np.ones(forecast.unit.size, dtype=bool)
    for values in forecast.observed.values():
        known &= np.isfinite(values)
    lost = int((~known).sum())
    if not known.any():
        raise DataError("the outcome was not recorded in any period since a start.")
    answer = replace(asked, forecast=forecast.only(known))
    refuse(answer.licence, answer.reached)
    notes = [f"{counted(len(u), unit)} left out: {why}" for why, u in forecast.left_out]
    if lost:
        notes.append(f"{counted(lost, f'{unit}-period')} left out: the outcome is missing")
    stopped = _stopped(fit, asked.programme, asked.starts)
    if stopped:
        notes.append(f"{counted(stopped, unit)} counted as begun although it later stopped")
    return replace(answer, notes=tuple(notes))


def _starts(fit: Fit, programme: str) -> NDArray[np.int64]:
    """Return the period in which each unit began."""
    twin, panel = fit.twin, fit.panel
    if programme not in twin.indicators:
        raise SpecificationError(
            f"there is no indicator '{programme}'. {nearest(programme, twin.indicators)}"
        )
    if twin.panel.period is None:
        raise SpecificationError(
            f"pilot: '{twin.name}' is a cross-section, which shows no unit before it began; use "
            f"fit.effect('{programme}', on=…)."
        )
    values = panel.values(programme)
    if values.dtype.kind in "OUT" or not np.isin(values[np.isfinite(values)], (0.0, 1.0)).all():
        raise SpecificationError(
            f"pilot: {programme} must be 1 where the pilot runs and 0 where it does not."
        )
    running = values == 1.0
    if not running.any():
        raise DataError(f"pilot: {programme} is 1 nowhere in the panel, so nobody began.")
    return np.where(running.any(axis=1), running.argmax(axis=1), NEVER).astype(np.int64)


def _stopped(fit: Fit, programme: str, starts: NDArray[np.int64]) -> int:
    """Count the units that were without the programme after they began."""
    values = fit.panel.values(programme)
    after = np.arange(values.shape[1])[None, :] >= starts[:, None]
    return int((after & (values == 0.0)).any(axis=1).sum())
