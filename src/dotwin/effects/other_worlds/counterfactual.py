"""What would have happened: another past on the noise behind the facts."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.effects.compared import (
    Worlds,
    assumptions,
    collected,
    headline,
    outcomes_of,
    what_is,
)
from dotwin.effects.other_worlds.both_worlds import both_worlds
from dotwin.errors import SpecificationError
from dotwin.worlds.abduction import look_back
from dotwin.worlds.aggregate import By, unit_of
from dotwin.worlds.facts import mechanism_reads
from dotwin.worlds.licence import MONOTONE_COUPLING, NO_HIDDEN_CAUSES, Licence, refuse
from dotwin.worlds.program import Asked, chosen_scenarios
from dotwin.worlds.simulate import counted, refuse_edges
from dotwin.worlds.tables import number, over_draws

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.spec import Scenario
    from dotwin.spec.twin import Twin
    from dotwin.worlds.facts import Facts
    from dotwin.worlds.run import Run

__all__ = ["Counterfactual", "counterfactual"]

#: The two worlds by name.
FACTUAL, OTHER = "factual", "counterfactual"
#: What one unit's answer rests on, in words.
COUPLING = (
    "What a single unit would have done rests on the form of the mechanisms and on a monotone "
    "coupling of the two worlds (who was high among its like stays as high), which no data can "
    "test."
)


@dataclass(frozen=True, eq=False, repr=False)
class Counterfactual:
    """What was, and what would have been.

    Made by `counterfactual`, or `fit.counterfactual`.

    Parameters
    ----------
    scenario : Scenario
    run : Run
        Its future is the window that is looked back on, and what follows.
    facts : Facts
    outcomes : tuple of str
        The indicators that are compared.
    values : dict of str to (array, array)
        What was and what would have been, dims (draw over all chains, unit, period).
    edge_share : dict of (scenario, indicator) to float
        The share of the changed unit-periods that are held at an edge of the support.
    assumed : frozenset of str
    notes : tuple of str
        What a reader must know, in words.
    """

    scenario: Scenario
    run: Run
    facts: Facts
    outcomes: tuple[str, ...]
    values: Mapping[str, tuple[NDArray[np.float64], NDArray[np.float64]]]
    edge_share: Mapping[tuple[str, str], float]
    assumed: frozenset[str]
    notes: tuple[str, ...]

    @property
    def twin(self) -> Twin:
        """The twin of the fit."""
        return self.run.twin

    @property
    def coupling(self) -> str:
        """How the noise of the two worlds belongs together."""
        return "monotone"

    @cached_property
    def worlds(self) -> Worlds:
        """Both worlds' values, as they are aggregated and judged."""
        return Worlds(self.run, self.values)

    @cached_property
    def licence(self) -> Licence:
        """The verdicts: those of the scenario's effect, and what single units rest on."""
        found = self.worlds.licence(self.scenario.name, self.outcomes, self.assumed)
        return self.worlds.unit_level(found, COUPLING)

    @cached_property
    def draws(self) -> xr.Dataset:
        """Both worlds' values, dims world, chain, draw, unit, period; in each indicator's unit."""
        return self._dataset(lambda was, would: np.stack([was, would]), ("world",))

    @cached_property
    def difference(self) -> xr.Dataset:
        """What would have been less what was, dims chain, draw, unit, period."""
        return self._dataset(lambda was, would: would - was, ())

    def _dataset(self, joined: Any, first: tuple[str, ...]) -> xr.Dataset:
        import xarray as xr

        run, twin = self.run, self.twin
        chains, draws, units, periods = run.shape
        dims = (*first, "chain", "draw", "unit", "period")
        found = {}
        for name, (was, would) in self.values.items():
            array = joined(was, would)
            shape = (*array.shape[:-3], chains, draws, units, periods)
            attrs = {"long_name": twin.label(name), "units": twin.indicators[name].unit}
            found[name] = (dims, array.reshape(shape), attrs)
        coords: dict[str, Any] = {
            "chain": run.chains,
            "draw": run.draws,
            "unit": list(run.start.members.units),
            "period": run.future.coordinate,
            "period_label": ("period", list(run.future.labels)),
        }
        for level, one in run.start.members.levels.items():
            if level != twin.unit:
                coords[level] = ("unit", one.labels[0].astype(str))
        if first:
            coords["world"] = [FACTUAL, OTHER]
        return xr.Dataset(found, coords=coords, attrs={"coupling": self.coupling})

    @property
    def left_out(self) -> pd.DataFrame:
        """The units that could not be looked back on: columns ``unit`` and ``reason``."""
        import pandas as pd

        rows = [(u, reason) for reason, units in self.run.start.left_out for u in units]
        return pd.DataFrame(rows, columns=["unit", "reason"])

    def summary(
        self, by: By = None, *, on: str | Sequence[str] | None = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Summarise what was, what would have been, and the difference.

        Parameters
        ----------
        by : str or sequence of str, optional
            Levels, the unit, givens, or states before the window such as ``start(acuity) > 2``;
            all units together unless given.
        on : str or sequence of str, optional
            Indicators or expressions of them; all that are compared unless given.
        interval : float
            Probability of the equal-tailed interval.

        Returns
        -------
        DataFrame
            Columns ``indicator``, those of ``by``, ``period``, ``factual`` and ``counterfactual``
            (means over draws), then the difference: ``mean``, ``median``, ``5%``, ``95%``; and
            ``unit``. Counts and money are totals, other indicators averages.
        """
        import pandas as pd

        groups = self.worlds.groups(by)
        chosen = self.outcomes if on is None else (on,) if isinstance(on, str) else tuple(on)
        tables = []
        for text in chosen:
            was, would = (self.worlds.aggregate(text, world, groups) for world in (0, 1))
            table = over_draws(
                would - was,
                [
                    (groups.names, groups.labels),
                    (("period",), [(label,) for label in self.run.future.labels]),
                ],
                interval,
                {"unit": unit_of(self.twin, self.worlds.expression(text))},
            )
            place = len(groups.names) + 1
            table.insert(place, OTHER, would.mean(axis=0).ravel())
            table.insert(place, FACTUAL, was.mean(axis=0).ravel())
            table.insert(0, "indicator", text)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def uncertainty(self, by: By = None, *, on: str | Sequence[str] | None = None) -> pd.DataFrame:
        """Say how much of the uncertainty comes from where.

        The worlds are made once more with another draw of what the facts leave open, and once
        more with other noise after the panel; what changes between them is theirs, and what is
        left is that of the parameters.

        Parameters
        ----------
        by : str or sequence of str, optional
        on : str or sequence of str, optional

        Returns
        -------
        DataFrame
            Columns ``indicator``, those of ``by``, ``period``, ``sd`` of the difference over
            draws, and the shares of its variance: ``parameters``, ``abducted noise`` (missing
            facts, and the interval in which a count's noise lies), ``future noise``.
        """
        import pandas as pd

        groups = self.worlds.groups(by)
        chosen = self.outcomes if on is None else (on,) if isinstance(on, str) else tuple(on)
        names = tuple(self.values)
        other, _ = both_worlds(self.run, self.facts, names, abduction=1)
        ahead = len(self.run.future) + self.run.start.past > self.facts.known
        # Replicates 0 and 1 mirror each other; 2 is independent of both.
        later = both_worlds(self.run, self.facts, names, replicate=2)[0] if ahead else None
        tables = []
        for text in chosen:

            def difference(values: Any, text: str = text) -> NDArray[np.float64]:
                worlds = Worlds(self.run, values)
                one, two = (worlds.aggregate(text, world, groups) for world in (1, 0))
                return one - two

            here = difference(self.values)
            total = here.var(axis=0)
            abducted = 0.5 * ((here - difference(other)) ** 2).mean(axis=0)
            future = np.zeros_like(total)
            if later is not None:
                future = 0.5 * ((here - difference(later)) ** 2).mean(axis=0)
            rest = np.maximum(total - abducted - future, 0.0)
            whole = rest + abducted + future
            table = over_draws(
                here,
                [
                    (groups.names, groups.labels),
                    (("period",), [(label,) for label in self.run.future.labels]),
                ],
                0.9,
                {},
            )[[*groups.names, "period"]]
            table.insert(0, "indicator", text)
            table["sd"] = np.sqrt(total).ravel()
            for word, part in (
                ("parameters", rest),
                ("abducted noise", abducted),
                ("future noise", future),
            ):
                with np.errstate(invalid="ignore", divide="ignore"):
                    table[word] = np.where(whole > 0, part / whole, 0.0).ravel()
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def __repr__(self) -> str:
        twin, labels = self.twin, self.run.future.labels
        outcome = headline(twin, self.outcomes, frozenset(self.run.programs[1].changes))
        trials = twin.indicators[outcome].trials
        text = f"share({outcome})" if trials in self.values else outcome
        groups = self.worlds.groups(None)
        was, would = (self.worlds.aggregate(text, world, groups) for world in (0, 1))
        difference = (would - was)[:, 0, -1]
        low, high = np.quantile(difference, [0.05, 0.95])
        mean = float(difference.mean())
        when = "" if self.run.future.frequency is None else f" in {labels[-1]}"
        what = f"share of {twin.label(outcome)}" if text != outcome else what_is(twin, outcome)
        unit = f" {twin.indicators[outcome].unit}" if text == outcome else ""
        if mean == low == high == 0:
            finding = f"Under '{self.scenario.name}', {what}{when} would have been what it was"
        else:
            finding = (
                f"Under '{self.scenario.name}', {what}{when} would have been "
                f"{number(abs(mean))}{unit.rstrip()} {'lower' if mean < 0 else 'higher'} than it "
                f"was (90 % interval {number(low)} to {number(high)})"
            )
        if self.licence.identified.status != "yes":
            finding += f": {self.licence.meaning}"
        notes = "".join(f"; {note}" for note in self.notes)
        return f"{finding}; coupling: {self.coupling}{notes}."

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.licence._repr_html_()}"

    def plot(self, indicator: str | None = None, by: By = None) -> Any:
        """Draw what was beside what would have been."""
        plots = importlib.import_module("dotwin.plots")
        return plots.plot_counterfactual(self, indicator, by)


def counterfactual(
    fit: Fit,
    scenario: Asked,
    *,
    periods: slice | str | Sequence[str] | None = None,
    on: str | Sequence[str] | None = None,
    ahead: int = 0,
    seed: int = 0,
    draws: int = 500,
    assume: str | Sequence[str] = (),
) -> Counterfactual:
    """Say what would have happened, had a scenario been so in a window of the panel.

    In every posterior draw the noise behind the facts is found, and the other world runs on it:
    parameters, unit effects and period shocks keep the values of their draw. Facts that are missing
    are drawn given all that is known, and kept in both worlds. A scenario that changes nothing
    gives the facts, exactly; only what the scenario can reach is computed.

    Parameters
    ----------
    fit : Fit
    scenario : Scenario, Intervention or str
        A name stands for a scenario of the twin, an intervention for itself. It begins with the
        window unless it says otherwise.
    periods : slice, str or sequence of str, optional
        The window, such as ``slice("2025-01", "2025-06")`` with both ends in it; all periods
        that can be looked back on unless given.
    on : str or sequence of str, optional
        The outcomes; everything that the scenario can change unless given.
    ahead : int
        Periods after the panel's last one, where both worlds share new noise; the window must end
        with the panel.
    seed : int
        Of what the facts leave open: the noise within a count's interval, missing facts, the
        future.
    draws : int
        Posterior draws, taken evenly from the chains.
    assume : str or sequence of str
        ``no hidden causes``: answer although the declared graph does not license the scenario's
        effect. ``monotone coupling``: answer where a cut arrow needs a cause in two states at once.
        ``edge``: let it hold more than 5 % of its unit-periods at an edge of the support.

    Returns
    -------
    Counterfactual

    Raises
    ------
    SpecificationError
        When the scenario cannot be what it says.
    DataError
        When a period is not in the panel, or no unit can be looked back on.
    LicenceError
        When the declared graph does not license the scenario's effect on one of the outcomes.

    References
    ----------
    .. [1] Pearl, J. (2009). Causality, 2nd ed., section 7.1: abduction, action, prediction.
       doi:10.1017/CBO9780511803161
    .. [2] Balke, A. and Pearl, J. (1994). Counterfactual probabilities: computational methods,
       bounds and applications. UAI 10, 46-54. arXiv:1302.6784

    Examples
    --------
    >>> import dotwin as dw
    >>> from dotwin.effects.examples import joe
    >>> answer = joe().counterfactual(dw.Scenario("more homework", [dw.do("homework", 2)]))
    >>> float(answer.draws["score"].sel(world="counterfactual").item())
    1.9
    """
    assumed = assumptions(assume, (NO_HIDDEN_CAUSES, MONOTONE_COUPLING, "edge"))
    scenarios = chosen_scenarios(fit.twin, [scenario])
    if not scenarios:
        raise SpecificationError(f"'{scenario}' is what happened: name what might have been.")
    (chosen,) = scenarios
    if periods is None and fit.twin.panel.period is not None:
        periods = slice(_first_position(fit.twin, chosen), None)
    run, facts = look_back(fit, [chosen], periods=periods, ahead=ahead, seed=seed, draws=draws)
    outcomes = outcomes_of(fit.twin, run.programs[1].touched, on)
    # Neither identification nor convergence looks at values, so nothing is computed in vain.
    refuse(Worlds(run, {}).licence(chosen.name, outcomes, assumed - {"edge"}), outcomes)
    wanted = dict.fromkeys([*collected(fit.twin, outcomes), *run.programs[1].changes])
    values, tally = both_worlds(run, facts, tuple(wanted))
    refuse_edges(tally, assumed)
    return Counterfactual(
        scenario=chosen,
        run=run,
        facts=facts,
        outcomes=outcomes,
        values=values,
        edge_share=tally.edge_shares(),
        assumed=assumed - {"edge"},
        notes=_notes(run, facts),
    )


def _first_position(twin: Twin, scenario: Scenario) -> int:
    """Return the first position of a panel that the reached mechanisms can look back on."""
    changed = {one.indicator for one in scenario.interventions} & set(twin.indicators)
    reads = mechanism_reads(twin)
    reached = changed.union(*(twin.graph.descendants(name) for name in changed))
    return max((lag for name in reached for _, lag in reads[name]), default=0)


def _notes(run: Run, facts: Facts) -> tuple[str, ...]:
    """Say what a reader must know."""
    twin, notes = run.twin, []
    for reason, units in run.start.left_out:
        notes.append(f"{counted(len(units), 'unit')} left out: {reason}")
    if facts.gaps is not None:
        cells: dict[str, int] = {}
        for name, position in facts.gaps.cells:
            if run.start.past <= position < facts.known:
                missing = int(np.isnan(facts.gaps.values[name][:, position].astype(float)).sum())
                cells[name] = cells.get(name, 0) + missing
        for name, count in cells.items():
            one = f"missing value of {twin.label(name)}"
            many = f"missing values of {twin.label(name)}"
            notes.append(f"{counted(count, one, many)} drawn given all that is known")
    total = run.shape[0] * run.shape[1]
    for name, times in facts.unexplained.items():
        notes.append(
            f"in {times:,} of {total:,} draws times unit-periods {twin.label(name)} is so "
            f"improbable that no noise gives it"
        )
    return tuple(notes)
