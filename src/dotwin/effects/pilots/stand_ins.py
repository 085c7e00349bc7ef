"""Units that never began, as if they had: do forecasts without a programme hold for them?"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.effects.pilots.cells import Cells
from dotwin.effects.pilots.untreated import NEVER, untreated
from dotwin.errors import DataError
from dotwin.worlds.aggregate import Groups
from dotwin.worlds.calibration import Backtest, Calibration
from dotwin.worlds.forecasts import MODEL
from dotwin.worlds.scores import pit
from dotwin.worlds.tables import number

if TYPE_CHECKING:
    import pandas as pd

    from dotwin.effects.pilots.pilot import Pilot
    from dotwin.worlds.licence import Licence

__all__ = ["StandIns", "stand_ins"]

#: Units that never began are left out in so many turns.
_TURNS = 2
#: Fewer of them teach nothing when half are left out.
_FEWEST = 4


@dataclass(frozen=True, eq=False, repr=False)
class StandIns:
    """Forecasts of units that never began, from starts like those of the units that did.

    Made by `Pilot.stand_ins`.

    Parameters
    ----------
    pilot : Pilot
    cases : DataFrame
        A row per unit and period: ``turn``, ``unit``, ``origin`` (the last period before the
        pretended start), ``period``, ``horizon``, ``observed``, ``forecast`` (mean) and ``pit``.
    effects : DataFrame
        By turn, the effect that was found where there was none: ``units``, ``mean``, ``5%``,
        ``95%``.
    averages : DataFrame
        A row per unit, averaged over its periods: ``turn``, ``unit``, ``horizon`` (how many),
        ``observed``, ``forecast`` and ``pit``. Errors that last show here alone.
    """

    pilot: Pilot
    cases: pd.DataFrame
    effects: pd.DataFrame
    averages: pd.DataFrame

    @property
    def calibration(self) -> Calibration:
        """Whether forecasts of unit-periods mean what they say."""
        words = self.pilot.outcome.words
        return _judged(f"{words[:1].upper()}{words[1:]}", self.cases)

    @property
    def calibration_of_averages(self) -> Calibration:
        """Whether forecasts of a unit's average over its periods mean what they say."""
        return _judged(
            f"Averages over a {self.pilot.fit.twin.unit}'s periods",
            self.averages.assign(origin="", period=""),
        )

    @property
    def licence(self) -> Licence:
        """The verdicts of the pilot's effect."""
        return self.pilot.licence

    @property
    def draws(self) -> Any:
        """The cases as a Dataset, dims case: forecasts of each turn come of a fit of its own."""
        return self.cases.rename_axis("case").to_xarray()

    def summary(self) -> pd.DataFrame:
        """Return the share of cases that central intervals held, by turn and together.

        Columns ``turn`` (``all``, and ``averages`` of each unit over its periods), ``units``,
        ``cases``, ``50%``, ``80%``, ``90%``.
        """
        import pandas as pd

        rows = []
        parts = [(str(turn), part) for turn, part in self.cases.groupby("turn")]
        for name, part in [*parts, ("all", self.cases), ("averages", self.averages)]:
            off = np.abs(part["pit"].to_numpy() - 0.5)
            held = {f"{share:.0%}": float((off <= share / 2).mean()) for share in (0.5, 0.8, 0.9)}
            rows.append({"turn": name, "units": part["unit"].nunique(), "cases": len(part)} | held)
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        twin = self.pilot.fit.twin
        found = "; ".join(
            f"{number(row['mean'])} ({number(row['5%'])} to {number(row['95%'])})"
            for row in self.effects.to_dict("records")
        )
        units = self.cases["unit"].nunique()
        return (
            f"{units:,} {twin.unit}s that never began stood in for those that did. "
            f"{self.calibration.sentence} {self.calibration_of_averages.sentence} Where there was "
            f"no effect, this was found (90 % intervals): {found}."
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.summary().to_html(index=False)}"

    def plot(self) -> Any:
        """Draw where what happened fell among the forecasts."""
        return importlib.import_module("dotwin.plots").plot_stand_ins(self)


def stand_ins(pilot: Pilot) -> StandIns:
    """Let units that never began stand in for those that did: do their forecasts hold?

    Half of them are left out of the fit from a pretended start on, at the starts that there were
    and in their shares, and forecast as treated units are; then the other half. What happened is
    known, so the forecasts can be judged, and the effect that would have been found is known to be
    none.

    Parameters
    ----------
    pilot : Pilot

    Returns
    -------
    StandIns

    Raises
    ------
    DataError
        When fewer than 4 units never began.

    Examples
    --------
    >>> import dotwin as dw
    >>> from dotwin.effects.examples import small_pilot
    >>> small_pilot().pilot("coaching", on="falls").stand_ins()
    Traceback (most recent call last):
        ...
    dotwin.errors.DataError: 2 homes never began; 4 or more can stand in for those that did.
    """
    import pandas as pd

    fit, panel, outcome = pilot.fit, pilot.fit.panel, pilot.outcome
    never = np.flatnonzero(pilot.starts == NEVER)
    if never.size < _FEWEST:
        raise DataError(
            f"{never.size} {fit.twin.unit}s never began; {_FEWEST} or more can stand in for those "
            f"that did."
        )
    rng = np.random.default_rng(pilot.seed)
    begun = np.unique(pilot.forecast.unit)
    real = np.where(pilot.starts == NEVER, NEVER, pilot.starts - pilot.anticipation)
    # Both halves begin when the treated did, in the same shares.
    began = np.sort(real[begun])
    order = rng.permutation(never)
    tables, averages, effects = [], [], []
    for turn in range(_TURNS):
        half = order[turn::_TURNS]
        starts = np.maximum(real, 0)
        places = ((np.arange(half.size) + 0.5) * began.size / half.size).astype(np.intp)
        starts[half] = rng.permutation(began[places])
        among = np.zeros(starts.size, dtype=bool)
        among[half] = True
        found = untreated(
            fit,
            pilot.programme,
            tuple(sorted(outcome.needed)),
            starts,
            among,
            seed=pilot.seed + 1 + turn,
            draws=pilot.draw_count,
        )
        known = np.all([np.isfinite(v) for v in found.observed.values()], axis=0)
        cells = Cells(outcome, found.only(known), starts, panel)
        each = Groups((), ((),) * int(known.sum()), np.arange(int(known.sum())))
        was, would = cells.both(each)
        labels = np.asarray(panel.period_labels, dtype=object)
        tables.append(
            pd.DataFrame(
                {
                    "turn": turn + 1,
                    "unit": np.asarray(panel.units, dtype=object)[cells.forecast.unit],
                    "origin": labels[cells.start - 1],
                    "period": labels[cells.forecast.period],
                    "horizon": cells.since + 1,
                    "observed": was,
                    "forecast": would.mean(axis=0),
                    "pit": pit(would, was, rng.random(was.size)),
                }
            )
        )
        averages.append(_averages(cells, turn + 1, rng))
        difference = cells.difference(cells.groups(None), "unit-periods")[:, 0]
        low, high = np.quantile(difference, [0.05, 0.95])
        row = {"turn": turn + 1, "units": int(np.unique(cells.forecast.unit).size)}
        effects.append(row | {"mean": float(difference.mean()), "5%": low, "95%": high})
    return StandIns(
        pilot,
        pd.concat(tables, ignore_index=True),
        pd.DataFrame(effects),
        pd.concat(averages, ignore_index=True),
    )


def _averages(cells: Cells, turn: int, rng: np.random.Generator) -> pd.DataFrame:
    """Set each unit's average over its periods beside its forecast."""
    import pandas as pd

    groups = cells.groups(cells.panel.twin.unit)
    was, would = cells.both(groups)
    return pd.DataFrame(
        {
            "turn": turn,
            "unit": [label[0] for label in groups.labels],
            "horizon": cells.counts(groups)[1],
            "observed": was,
            "forecast": would.mean(axis=0),
            "pit": pit(would, was, rng.random(was.size)),
        }
    )


def _judged(name: str, cases: pd.DataFrame) -> Calibration:
    """Judge the forecasts as those of a backtest are judged."""
    scored = Backtest(
        scores=cases.assign(indicator=name, method=MODEL),
        labels={name: name},
        frequency="",
        origins=(),
        horizon=int(cases["horizon"].max()),
    )
    return scored.verdict(name)
