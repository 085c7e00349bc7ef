"""After a decision: what was realised against what was forecast, under what was actually done."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.effects.compared import assumptions, collected, headline, outcomes_of, what_is
from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.graph import licence as identification_licence
from dotwin.spec.expressions import parse
from dotwin.worlds.aggregate import By, Groups, aggregate, group_units, unit_of
from dotwin.worlds.calibration import COVERAGES, Backtest, Calibration
from dotwin.worlds.forecasts import MODEL
from dotwin.worlds.imposed import imposing
from dotwin.worlds.licence import (
    NO_HIDDEN_CAUSES,
    Licence,
    Verdict,
    backtested_verdict,
    converged_verdict,
    refuse,
)
from dotwin.worlds.program import BASELINE
from dotwin.worlds.scores import pit
from dotwin.worlds.simulate import counted
from dotwin.worlds.tables import interval_ends, number

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin
    from dotwin.worlds.engine import Engine
    from dotwin.worlds.futures import Futures
    from dotwin.worlds.run import Run
    from dotwin.worlds.world import World

__all__ = ["FollowUp", "follow_up"]

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
        parts = [f"{said[1]} because {_listed(twin, self.done)} was not as planned"]
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


def _listed(twin: Twin, names: Sequence[str]) -> str:
    return " or ".join(twin.label(name) for name in names)


def follow_up(
    futures: Futures,
    panel: Panel,
    scenario: str,
    *,
    on: str | Sequence[str] | None = None,
    done: str | Sequence[str] | None = None,
    assume: str | Sequence[str] = (),
) -> FollowUp:
    """Set what was realised against a forecast, under what was actually done.

    The forecast is made again twice, with the same parameters and the same noise: once with the
    inputs that came, and once with what was actually done in the place of the plan, unit by unit
    and period by period. So the gap between what was realised and what was planned falls into what
    inputs, what those who acted, and what the twin got wrong; and the twin is judged by the
    forecast that it would have made, had it known what would be done.

    Parameters
    ----------
    futures : Futures
        The forecast. Its posterior has seen nothing of what came later.
    panel : Panel
        With what came later, read with the same twin.
    scenario : str
        What was planned; ``baseline`` where it was to go on as usual.
    on : str or sequence of str, optional
        The outcomes; all that what was done can change unless given.
    done : str or sequence of str, optional
        The indicators of which it is looked up what was done; those that the scenario changes
        unless given.
    assume : str or sequence of str
        ``no hidden causes``: split the gap although the declared graph does not license the effect
        of what was done.

    Returns
    -------
    FollowUp

    Raises
    ------
    SpecificationError
        When nothing that was done is named, or it is not recorded.
    DataError
        When none of the forecast's periods has come.
    LicenceError
        When the declared graph does not license the effect of what was done.

    Examples
    --------
    >>> import dotwin as dw
    >>> from dotwin.effects.examples import small_pilot
    >>> fit = small_pilot()
    >>> early = fit.panel.select(periods=slice(0, 3))
    >>> futures = fit.simulate(periods=2, scenarios=dw.do("coaching", 1), panel=early, seed=1)
    >>> found = futures.follow_up(fit.panel, "do(coaching, 1)")
    >>> round(float(found.parts().query("part == 'what was done'")["mean"].iloc[-1]), 2)
    0.33
    """
    run, twin = futures.run, futures.twin
    assumed = assumptions(assume, (NO_HIDDEN_CAUSES,))
    program = futures.program(scenario)
    named = tuple(program.changes) if done is None else (done,) if isinstance(done, str) else done
    names = tuple(dict.fromkeys(named))
    if not names:
        raise SpecificationError(
            f"done: '{scenario}' changes no indicator; name those of which it is to be looked up "
            f"what was done."
        )
    for name in names:
        if name not in twin.indicators or name not in panel.indicators:
            raise SpecificationError(
                f"done: the panel has no '{name}'. {nearest(name, panel.indicators)}"
            )
        if twin.indicators[name].equals is not None:
            raise SpecificationError(f"done: {name} equals others; name its parts.")
    # Cuts of arrows and the like change what nobody records.
    reached = frozenset(names).union(*(twin.graph.descendants(name) for name in names))
    outcomes = tuple(n for n in outcomes_of(twin, reached - set(names), on) if n not in names)
    if not outcomes:
        raise SpecificationError(
            f"on: nothing is reached by {_listed(twin, names)}; name outcomes with on=."
        )
    licence = _licence(futures, names, outcomes, assumed)
    refuse(licence, outcomes)
    places = _places(run, panel)
    wanted = tuple(dict.fromkeys([*collected(twin, outcomes), *names]))
    later = _then(run, panel, places)
    found = {name: later(name) for name in wanted if name in panel.indicators}
    recorded = {n: v.astype(float) for n, v in found.items() if v.dtype.kind not in "OUT"}
    wanted = tuple(recorded)
    if missing := [name for name in outcomes if name not in recorded]:
        raise SpecificationError(f"on: the panel has no numbers of {missing[0]}.")
    other = _with_givens(
        run, later, frozenset(twin.given) - {*program.changes, *names}, places.size
    )
    known = _with_givens(run, later, frozenset(twin.given), places.size)
    programs = (run.programs[0],) if scenario == BASELINE else (run.programs[0], program)
    # What is given is already what it was.
    modelled = [name for name in names if not twin.indicators[name].is_given]
    imposed = {name: _padded(recorded[name], len(run.future)) for name in modelled}
    out_of = {
        name: _padded(later(str(twin.indicators[name].trials)), len(run.future))
        for name in modelled
        if twin.indicators[name].trials is not None
    }
    three = [
        _values(engine, wanted, places.size)
        for engine in (
            run.engine(programs),
            other.engine(programs),
            imposing(known, imposed, out_of),
        )
    ]
    notes = []
    lacking = sum(int((found[name] == "").sum()) for name in names if name not in recorded)
    lacking += sum(int((~np.isfinite(recorded[name])).sum()) for name in names if name in recorded)
    if lacking:
        noun = f"{twin.unit}-period"
        notes.append(f"{counted(lacking, noun)} without a record of what was done, so as forecast")
    if any(twin.graph.reaches(y, name) for y in outcomes for name in names):
        notes.append(
            f"{_listed(twin, names)} may have answered to what had happened, so the forecast under "
            f"what was done knows something of what came"
        )
    return FollowUp(
        run=run,
        panel=panel,
        scenario=scenario,
        done=names,
        outcomes=outcomes,
        forecasts={n: (three[0][n], three[1][n], three[2][n]) for n in wanted},
        realised=recorded,
        periods=run.future.labels[: places.size],
        licence=licence,
        notes=tuple(notes),
    )


def _places(run: Run, panel: Panel) -> NDArray[np.intp]:
    """Return the positions in a panel of the forecast's periods that have come."""
    twin = run.twin
    if panel.twin.panel != twin.panel:
        raise SpecificationError(
            "panel: its units, levels or periods are not those of the fitted twin; read it with "
            "read_panel(source, fit.twin)."
        )
    if run.future.frequency is None:
        raise SpecificationError("follow_up: a cross-section has no periods that come later.")
    place = {int(number): i for i, number in enumerate(panel.period_ordinals)}
    found = [place.get(int(number), -1) for number in run.future.ordinals]
    came = found.index(-1) if -1 in found else len(found)
    if came == 0:
        raise DataError(
            f"panel: it ends with {panel.period_labels[-1]}, and the forecast begins with "
            f"{run.future.labels[0]}."
        )
    return np.asarray(found[:came], dtype=np.intp)


def _then(run: Run, panel: Panel, places: NDArray[np.intp]) -> Any:
    """Return what looks an indicator up for the units of the forecast, dims (unit, period)."""
    rows = {str(unit): i for i, unit in enumerate(panel.units)}
    at = np.array([rows.get(unit, -1) for unit in run.start.members.units], dtype=np.intp)
    there = (at[:, None] >= 0) & np.asarray(panel.data["present"].values, dtype=bool)[
        at[:, None], places
    ]

    def later(name: str) -> NDArray[Any]:
        values = panel.values(name)
        empty: Any = "" if values.dtype.kind in "OUT" else np.nan
        return np.where(there, values[at[:, None], places], empty)

    return later


def _with_givens(run: Run, later: Any, names: frozenset[str], came: int) -> Run:
    """Let givens take the values that they had, where these are known."""
    givens = dict(run.start.givens)
    for name in names & set(givens):
        held = np.array(givens[name])
        then = later(name)
        known = then != "" if then.dtype.kind in "OUT" else np.isfinite(then.astype(float))
        held[:, :came] = np.where(known, then, held[:, :came])
        givens[name] = held
    return replace(run, start=replace(run.start, givens=givens))


def _padded(values: Floats, periods: int) -> Floats:
    """Leave what has not come yet open."""
    open_ended = np.full((values.shape[0], periods), np.nan)
    open_ended[:, : values.shape[1]] = values
    return open_ended


def _values(engine: Engine, names: Sequence[str], came: int) -> dict[str, Floats]:
    """Simulate, and keep the last program's values, dims (draw, unit, period)."""
    count, units = len(engine.machine.draws), len(engine.start.members.units)
    last, past = len(engine.programs) - 1, engine.start.past
    found = {name: np.empty((count, units, came)) for name in names}

    def keep(rows: slice, number: int, world: World) -> None:
        if number == last:
            for name, values in found.items():
                for t in range(came):
                    values[rows, :, t] = world.seen[name][past + t]

    engine.collect(keep)
    return found


def _licence(
    futures: Futures, names: tuple[str, ...], outcomes: tuple[str, ...], assumed: frozenset[str]
) -> Licence:
    """Judge whether what was done has an identified effect on each outcome."""
    twin, fit = futures.twin, futures.fit
    verdicts = {y: identification_licence(twin.graph, set(names), y) for y in outcomes}
    failed = {y: one for y, one in verdicts.items() if not one.licensed}
    if not failed:
        reasons = dict.fromkeys(one.reason.rstrip(".") for one in verdicts.values())
        said = "; ".join(reasons)
        identified = Verdict("yes", f"{said[:1].upper()}{said[1:]}.")
    else:
        reasons = dict.fromkeys(one.reason.rstrip(".") for one in failed.values())
        said = "; ".join(reasons)
        said = f"{said[:1].upper()}{said[1:]}."
        if NO_HIDDEN_CAUSES in assumed:
            association = "Association under the declared graph, not an effect."
            identified = Verdict("assumed", f"{association} {said}", NO_HIDDEN_CAUSES)
        else:
            identified = Verdict("no", said, NO_HIDDEN_CAUSES)
    return Licence(
        identified=identified,
        supported=Verdict("yes", "What was done was done: nothing is supposed."),
        converged=converged_verdict(fit),
        backtested=backtested_verdict(fit, outcomes),
    )
