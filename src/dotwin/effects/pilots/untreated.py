"""What units that began would have done without: forecasts that no treated period has taught.

The twin is fitted once more, to the untreated unit-periods alone: those of units that never began,
and those of the others before they began. From the state in which each unit began it then unfolds
with the programme left out, on new noise, while all that the programme cannot reach is what it was.
So nothing is assumed of what the programme does, not even that it is the same anywhere twice; and
periods take their shocks from the units that had not begun.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dotwin.effects.other_worlds.both_worlds import both_worlds
from dotwin.errors import DataError
from dotwin.inference.fitting import refit
from dotwin.mechanisms.columns import constant_key
from dotwin.spec import Scenario, do
from dotwin.worlds.abduction import look_back
from dotwin.worlds.facts import mechanism_reads

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.worlds.facts import Facts
    from dotwin.worlds.run import Run

__all__ = ["NEVER", "Untreated", "first_start", "untreated", "without"]

#: The start of units that never begin: after every period.
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, eq=False)
class Untreated:
    """Unit-periods in which units had begun: what was, and forecasts of what would have been.

    Parameters
    ----------
    fit : Fit
        Of the untreated unit-periods, with the whole panel beside it.
    run : Run
        Of one cohort; all have the same draws.
    unit, period : int array (cell,)
        Positions in the panel.
    observed : dict of str to float array (cell,)
    untreated : dict of str to float array (draw over all chains, cell)
    left_out : tuple of (reason, units)
    """

    fit: Fit
    run: Run
    unit: NDArray[np.intp]
    period: NDArray[np.intp]
    observed: Mapping[str, NDArray[np.float64]]
    untreated: Mapping[str, NDArray[np.float64]]
    left_out: tuple[tuple[str, tuple[str, ...]], ...]

    def only(self, kept: NDArray[np.bool_]) -> Untreated:
        """Take some of the unit-periods.

        Parameters
        ----------
        kept : bool array (cell,)
        """
        return replace(
            self,
            unit=self.unit[kept],
            period=self.period[kept],
            observed={name: values[kept] for name, values in self.observed.items()},
            untreated={name: values[:, kept] for name, values in self.untreated.items()},
        )


def without(programme: str) -> Scenario:
    """Return the scenario in which nobody begins."""
    return Scenario(f"without {programme}", [do(programme, 0)])


def first_start(fit: Fit, programme: str) -> int:
    """Return the first period from whose state a unit can unfold without the programme.

    The mechanisms need their lags, and what a unit is like must have been seen once.
    """
    reads = mechanism_reads(fit.twin)
    reached = {programme, *fit.twin.graph.descendants(programme)}
    return max(1, *(lag for name in reached for _, lag in reads[name]))


def untreated(
    fit: Fit,
    programme: str,
    names: Sequence[str],
    starts: NDArray[np.int64],
    among: NDArray[np.bool_],
    *,
    seed: int,
    draws: int,
) -> Untreated:
    """Forecast what units would have done without a programme.

    Parameters
    ----------
    fit : Fit
    programme : str
        An indicator that is 0 where a unit has not begun.
    names : sequence of str
        The indicators to keep.
    starts : int array (unit,)
        The first period from which each unit's facts are not used; `NEVER` for those that are used
        throughout.
    among : bool array (unit,)
        Whose forecasts are asked for.
    seed, draws : int

    Raises
    ------
    DataError
        When nobody can be forecast.
    """
    panel = fit.panel
    settings = fit.settings
    taught = fit
    if "known parameters" not in {engine for engine, _ in fit.engines.values()}:
        taught = refit(
            fit,
            _before(panel, starts),
            draws=settings.draws,
            tune=settings.tune,
            chains=settings.chains,
            seed=settings.seed,
            constants=_levels(fit, programme),
        )
    kept_notes = {key: fit.notes[key] for key in ("backtest",) if key in fit.notes}
    taught = replace(taught, panel=panel, notes=kept_notes)
    parts: list[Untreated] = []
    left_out: dict[str, list[str]] = {}
    reason = ""
    for start in np.unique(starts[among]):
        try:
            found = _of_cohort(
                taught, programme, names, int(start), among & (starts == start), seed, draws
            )
        except DataError as error:
            reason = str(error)
            ids = [str(unit) for unit in panel.units[among & (starts == start)]]
            left_out.setdefault(reason.rstrip("."), []).extend(ids)
            continue
        parts.append(found)
        for why, units in found.left_out:
            left_out.setdefault(why, []).extend(units)
    if not parts:
        raise DataError(reason or "no unit ever begins.")
    return replace(
        parts[0],
        unit=np.concatenate([one.unit for one in parts]),
        period=np.concatenate([one.period for one in parts]),
        observed={n: np.concatenate([one.observed[n] for one in parts]) for n in names},
        untreated={n: np.concatenate([one.untreated[n] for one in parts], axis=1) for n in names},
        left_out=tuple((why, tuple(units)) for why, units in left_out.items()),
    )


def _levels(fit: Fit, programme: str) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Keep how long each unit was treated, where a mechanism reads units' means of the programme.

    No untreated row shows it, but units that were to begin may have differed all along. Their level
    is then learned apart (Mundlak 1978), not drawn towards that of the units that never began.
    """
    kept = {}
    for child, design in fit.designs.items():
        own = {key: np.full_like(values, np.nan) for key, values in design.constants.items()}
        for predictor in design.equation.predictors:
            for term in predictor.terms:
                names = frozenset().union(*(factor.names() for factor in term.factors))
                key = constant_key("mean", term)
                if names == {programme} and key in own:
                    own[key] = design.constants[key]
        kept[child] = own
    return kept


def _before(panel: Panel, starts: NDArray[np.int64]) -> Panel:
    """Let each unit leave the panel when it begins."""
    gone = np.arange(len(panel.period_labels))[None, :] >= starts[:, None]
    data = panel.data.copy()
    for name in (*panel.indicators, "present"):
        values = np.array(data[name].values)
        empty = {"U": "", "O": "", "b": False}.get(values.dtype.kind, np.nan)
        values[gone] = empty
        data[name] = (data[name].dims, values)
    return replace(panel, data=data)


def _of_cohort(
    fit: Fit,
    programme: str,
    names: Sequence[str],
    start: int,
    among: NDArray[np.bool_],
    seed: int,
    draws: int,
) -> Untreated:
    """Forecast the units that begin in one period."""
    asked, window = [without(programme)], slice(start, None)
    run, facts = look_back(fit, asked, periods=window, seed=seed, draws=draws, among=among)
    left_out = list(run.start.left_out)
    fresh = run.programs[1].touched - {programme}
    if (unclear := _unclear(run, facts, fresh)).any():
        ids = np.asarray(run.start.members.units, dtype=object)[unclear]
        left_out.append(("what their forecasts start from or read is missing", tuple(ids.tolist())))
        among = among.copy()
        among[run.start.rows[unclear]] = False
        if not among.any():
            raise DataError("what the forecasts start from or read is missing for every unit.")
        run, facts = look_back(fit, asked, periods=window, seed=seed, draws=draws, among=among)
    facts = replace(facts, gaps=None)
    worlds, _ = both_worlds(run, facts, tuple(names), fresh=fresh)
    count = run.shape[0] * run.shape[1]
    units, periods = run.shape[2:]
    return Untreated(
        fit=fit,
        run=run,
        unit=np.repeat(run.start.rows, periods),
        period=np.tile(np.arange(start, start + periods), units),
        observed={n: np.asarray(worlds[n][0][0], dtype=float).ravel() for n in names},
        untreated={n: np.asarray(worlds[n][1]).reshape(count, units * periods) for n in names},
        left_out=tuple(left_out),
    )


def _unclear(run: Run, facts: Facts, fresh: frozenset[str]) -> NDArray[np.bool_]:
    """Find the units of which a forecast would need a fact that is missing.

    A result of the programme after the start is forecast, so it may be missing.
    """
    found = np.zeros(run.shape[2], dtype=bool)
    if facts.gaps is None:
        return found
    for name, position in (*facts.gaps.cells, *facts.gaps.computed):
        if name in fresh and position >= run.start.past:
            continue
        missing = np.isnan(facts.gaps.values[name][:, position].astype(float))
        found[facts.gaps.rows[missing]] = True
    return found
