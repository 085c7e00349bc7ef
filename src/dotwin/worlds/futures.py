"""Futures: simulated trajectories under scenarios, and what may be read off them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.errors import SpecificationError, nearest
from dotwin.spec.expressions import Expr, Ref, parse
from dotwin.worlds.aggregate import By, Groups, aggregate, group_units, unit_of
from dotwin.worlds.program import BASELINE, Program
from dotwin.worlds.tables import number, over_draws

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.effects import FollowUp
    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.spec.scenario import Scenario
    from dotwin.spec.twin import Twin
    from dotwin.worlds.contrast import Contrast
    from dotwin.worlds.licence import Licence
    from dotwin.worlds.run import Run
    from dotwin.worlds.support import Support

__all__ = ["Futures"]


@dataclass(frozen=True, eq=False, repr=False)
class Futures:
    """Simulated trajectories under the baseline and scenarios.

    Made by `simulate`.

    Parameters
    ----------
    draws : Dataset, dims (scenario, chain, draw, unit, period)
        Every numeric indicator, in its own unit; counts are counts. Levels are coordinates along
        unit. All scenarios share their noise: draw by draw and unit by unit they differ by what
        the interventions do and nothing else.
    run : Run
        What the futures were made from.
    edge_share : dict of (scenario, indicator) to float
        The share of the changed unit-periods that are held at an edge of the support.
    notes : tuple of str
        What a reader must know, in words.
    received : dict of (scenario, indicator) to float array (unit, period)
        What redeployments bring to each unit, on average over draws, in units of what stays the
        same; less than 0 where a unit gives.
    """

    draws: xr.Dataset
    run: Run
    edge_share: Mapping[tuple[str, str], float]
    notes: tuple[str, ...]
    received: Mapping[tuple[str, str], NDArray[np.float64]] = field(default_factory=dict)

    # ── what they are ──────────────────────────────────────────────────────────────────────────

    @property
    def fit(self) -> Fit:
        """The fit that was simulated."""
        return self.run.fit

    @property
    def twin(self) -> Twin:
        """The twin of the fit."""
        return self.run.twin

    @property
    def scenarios(self) -> dict[str, Scenario | None]:
        """The scenarios by name; the baseline, which has no interventions, first."""
        return {program.name: program.scenario for program in self.run.programs}

    @property
    def left_out(self) -> pd.DataFrame:
        """The units that were not simulated: columns ``unit`` and ``reason``."""
        import pandas as pd

        rows = [(u, reason) for reason, units in self.run.start.left_out for u in units]
        return pd.DataFrame(rows, columns=["unit", "reason"])

    def __repr__(self) -> str:
        chains, draws, units, periods = self.run.shape
        labels, twin = self.run.future.labels, self.twin
        if self.run.future.frequency is None:
            when = "one period, replayed"
        else:
            when = f"{periods} {self.run.future.frequency}s, {labels[0]} to {labels[-1]}"
        others = [name for name in self.scenarios if name != BASELINE]
        what = f"baseline and {', '.join(others)}" if others else "baseline"
        text = (
            f"Futures of '{twin.name}': {what}; {units:,} units, {when}, {chains * draws:,} draws"
        )
        return f"{text}; {'; '.join(self.notes)}." if self.notes else f"{text}."

    # ── reading them ───────────────────────────────────────────────────────────────────────────

    def read(self, name: str) -> NDArray[Any]:
        """Return an indicator's draws, dims (scenario, draw over all chains, unit, period)."""
        if name not in self.draws:
            raise SpecificationError(
                f"the futures have no '{name}'. {nearest(name, map(str, self.draws.data_vars))}"
            )
        values: NDArray[Any] = self.draws[name].values
        return values.reshape((values.shape[0], -1, *values.shape[3:]))

    def groups(self, by: By) -> Groups:
        """Return how the units fall into groups."""
        return group_units(self.twin, self.run.states, by)

    def expression(self, text: str) -> Expr:
        """Read a quantity: an indicator, an expression, or the name of a threshold's quantity."""
        if text in self.twin.thresholds:
            return parse(self.twin.thresholds[text].of)
        return parse(text)

    def _shown(self) -> list[str]:
        """The indicators that a summary shows unless told: those with a mechanism, or changed."""
        touched = frozenset().union(*(program.touched for program in self.run.programs))
        return [
            str(name)
            for name in self.draws.data_vars
            if not self.twin.indicators[str(name)].is_given or name in touched
        ]

    def program(self, name: str) -> Program:
        """Return a scenario's program.

        Raises
        ------
        SpecificationError
            When there is no such scenario.
        """
        for program in self.run.programs:
            if program.name == name:
                return program
        raise SpecificationError(
            f"the futures have no scenario '{name}'. {nearest(name, self.scenarios)}"
        )

    def summary(
        self, by: By = None, *, of: str | Sequence[str] | None = None, interval: float = 0.9
    ) -> pd.DataFrame:
        """Summarise what the futures bring.

        Parameters
        ----------
        by : str or sequence of str, optional
            Levels, the unit, givens, or states at the start such as ``start(acuity) > 2``; all
            units together unless given.
        of : str or sequence of str, optional
            Indicators or expressions such as ``missed / scheduled``; every indicator with a
            mechanism unless given.
        interval : float
            Probability of the equal-tailed interval.

        Returns
        -------
        DataFrame
            Columns ``scenario``, ``indicator``, those of ``by``, ``period``, ``mean``, ``median``,
            ``5%``, ``95%`` and ``unit``. Counts and money are totals, other indicators averages.
        """
        import pandas as pd

        groups = self.groups(by)
        chosen = self._shown() if of is None else [of] if isinstance(of, str) else list(of)
        tables = []
        for text in chosen:
            expression = self.expression(text)
            values = aggregate(self.twin, expression, self.read, groups)
            table = over_draws(
                np.moveaxis(values, 1, 0),
                [
                    (("scenario",), [(name,) for name in self.scenarios]),
                    (groups.names, groups.labels),
                    (("period",), [(label,) for label in self.run.future.labels]),
                ],
                interval,
                {"unit": unit_of(self.twin, expression)},
            )
            table.insert(1, "indicator", text)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _condition(self, text: str) -> Expr:
        """Read a condition: a threshold's name stands for its crossing."""
        if text in self.twin.thresholds:
            return parse(self.twin.thresholds[text].condition)
        return parse(text)

    def probability(self, expr: str, by: By = None, *, ever: bool = False) -> pd.DataFrame:
        """Say how probable a condition is.

        Parameters
        ----------
        expr : str
            A condition such as ``missed / scheduled > 0.05``, or a threshold's name. It is read on
            groups: with ``by="region"`` the region's missed visits over its scheduled ones.
        by : str or sequence of str, optional
            As in `summary`; by the unit's name for each unit.
        ever : bool
            One probability that it holds in any period, instead of one per period.

        Returns
        -------
        DataFrame
            Columns ``scenario``, those of ``by``, ``period`` (unless ``ever``), ``probability``,
            and ``mc_error``, the Monte Carlo standard error from the number of draws.
        """
        groups = self.groups(by)
        holds = aggregate(self.twin, self._condition(expr), self.read, groups)
        if not np.isin(holds[np.isfinite(holds)], (0.0, 1.0)).all():
            raise SpecificationError(
                f"'{expr}' is a quantity, not a condition; compare it, as in '{expr} > 0.05'."
            )
        axes: list[tuple[Sequence[str], Sequence[Sequence[Any]]]] = [
            (("scenario",), [(name,) for name in self.scenarios]),
            (groups.names, groups.labels),
        ]
        if ever:
            holds = np.nanmax(holds, axis=-1)
        else:
            axes.append((("period",), [(label,) for label in self.run.future.labels]))
        table = over_draws(np.moveaxis(holds, 1, 0), axes, 0.9, {})
        table = table[[name for names, _ in axes for name in names] + ["mean"]]
        table = table.rename(columns={"mean": "probability"})
        p = table["probability"]
        table["mc_error"] = np.sqrt(p * (1 - p) / holds.shape[1])
        return table

    def time_to(self, threshold: str, by: By = None, *, interval: float = 0.9) -> pd.DataFrame:
        """Say when units cross a line, and how many never do.

        Parameters
        ----------
        threshold : str
            A threshold's name or a condition; read unit by unit.
        by : str or sequence of str, optional
            Pools the units of each group; all units together unless given.
        interval : float
            Of the share that never crosses.

        Returns
        -------
        DataFrame
            Columns ``scenario``, those of ``by``, ``never`` (share of units that do not cross
            within the horizon) with its interval over draws, and ``by 10%`` … ``by 90%``: the
            period by which that part of the units has crossed, ``not within 8`` where it has not.
            Units that never cross count as later than the horizon; a mean over those that cross
            would leave them out, so there is none.
        """
        if self.run.future.frequency is None:
            raise SpecificationError("time_to needs time, and the twin is a cross-section.")
        groups = self.groups(by)
        each = self.groups(self.twin.unit)
        holds = aggregate(self.twin, self._condition(threshold), self.read, each)
        crossed = np.nan_to_num(holds) > 0
        horizon = crossed.shape[-1]
        first = np.where(crossed.any(axis=-1), crossed.argmax(axis=-1), horizon)
        # Groups code the units in their own order, `each` by name.
        place = {label[0]: i for i, label in enumerate(each.labels)}
        order = np.array([place[unit] for unit in self.run.start.members.units])
        never = (first[..., order] == horizon).astype(float)[..., None]
        size = groups.total(np.ones_like(never))
        table = over_draws(
            np.moveaxis((groups.total(never) / size)[..., 0], 1, 0),
            [
                (("scenario",), [(name,) for name in self.scenarios]),
                (groups.names, groups.labels),
            ],
            interval,
            {},
        ).rename(columns={"mean": "never"})
        table = table.drop(columns="median")
        labels = [*self.run.future.labels, f"not within {horizon}"]
        pooled = [
            np.sort(first[s][:, order][:, groups.codes == g], axis=None)
            for s in range(len(self.scenarios))
            for g in range(len(groups.labels))
        ]
        for share in (0.1, 0.25, 0.5, 0.75, 0.9):
            # The period by which at least this share has crossed.
            at = [times[max(0, int(np.ceil(share * times.size)) - 1)] for times in pooled]
            table[f"by {share:.0%}"] = [labels[position] for position in at]
        return table

    # ── comparing them ─────────────────────────────────────────────────────────────────────────

    @cached_property
    def realised(self) -> pd.DataFrame:
        """What each scenario really changed: its indicators against the baseline, by period.

        Columns ``scenario``, ``indicator``, ``period``, ``mean``, ``median``, ``5%``, ``95%``,
        ``relative`` (mean change over the baseline's mean) and ``at_edge`` (share of the changed
        unit-periods held at an edge). Shares, where the indicator has trials.
        """
        import pandas as pd

        everyone = self.groups(None)
        tables = []
        for s, program in enumerate(self.run.programs):
            for name in program.changes:
                trials = self.twin.indicators[name].trials
                expression = parse(f"share({name})") if trials else Ref(name)
                if name not in self.draws:
                    continue
                values = aggregate(self.twin, expression, self.read, everyone)[:, :, 0]
                table = over_draws(
                    values[s] - values[0],
                    [(("period",), [(label,) for label in self.run.future.labels])],
                    0.9,
                    {},
                )
                base = values[0].mean(axis=0)
                with np.errstate(divide="ignore", invalid="ignore"):
                    table["relative"] = table["mean"] / base
                table["at_edge"] = self.edge_share.get((program.name, name), 0.0)
                table.insert(0, "indicator", str(expression))
                table.insert(0, "scenario", program.name)
                tables.append(table)
        if not tables:
            return pd.DataFrame(columns=["scenario", "indicator", "period", "mean"])
        return pd.concat(tables, ignore_index=True)

    def contrast(
        self,
        name: str,
        against: str = BASELINE,
        *,
        of: Literal["expected", "realised"] = "expected",
        on: str | Sequence[str] | None = None,
        assume: str | Sequence[str] = (),
        replicates: int = 4,
    ) -> Contrast:
        """Compare two scenarios; see `dotwin.worlds.contrast.contrast`."""
        from dotwin.worlds.contrast import contrast

        return contrast(self, name, against, of=of, on=on, assume=assume, replicates=replicates)

    def follow_up(
        self,
        panel: Panel,
        scenario: str,
        *,
        on: str | Sequence[str] | None = None,
        done: str | Sequence[str] | None = None,
        assume: str | Sequence[str] = (),
    ) -> FollowUp:
        """Set what was realised against this forecast; see `dotwin.effects.follow_up`."""
        module = importlib.import_module("dotwin.effects.pilots.follow_up")
        result: FollowUp = module.follow_up(self, panel, scenario, on=on, done=done, assume=assume)
        return result

    def support(self, scenario: str) -> Support:
        """Judge a scenario's interventions against what the panel shows."""
        from dotwin.worlds.support import judge_support

        return judge_support(self, self.program(scenario))

    def licence(self, scenario: str, outcome: str, against: str = BASELINE) -> Licence:
        """Return the verdicts on a scenario's effect on an outcome."""
        from dotwin.worlds.licence import licence_of

        return licence_of(self, scenario, against, (outcome,))

    def plot(self, indicator: str) -> Any:
        """Draw an indicator's trajectories under each scenario."""
        return importlib.import_module("dotwin.plots").plot_futures(self, indicator)

    def _repr_html_(self) -> str:
        table = self.summary().groupby(["scenario", "indicator"], sort=False).tail(1)
        shown = table.copy()
        for column in shown.select_dtypes("number").columns:
            shown[column] = [number(value) for value in shown[column]]
        return f"<p>{self!r}</p>{shown.to_html(index=False)}"
