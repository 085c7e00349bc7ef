"""Do systems made up from the priors look like the real one?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.worlds.engine import Engine
from dotwin.worlds.machine import Machine, align
from dotwin.worlds.program import BASELINE, Program
from dotwin.worlds.start import Start, longest_lag
from dotwin.worlds.tables import interval_ends
from dotwin.worlds.world import Grouping, Membership

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["PriorPredictive", "prior_predictive"]


@dataclass(frozen=True, eq=False, repr=False)
class PriorPredictive:
    """A panel simulated anew from the priors, many times.

    Parameters
    ----------
    panel : Panel
        The real one.
    draws : Dataset, dims (draw, unit, period)
        Every indicator with a mechanism, in its own unit; missing where the panel has no row, and
        in the first periods that lags reach back to.
    """

    panel: Panel
    draws: xr.Dataset

    @cached_property
    def _statistics(self) -> dict[str, tuple[dict[str, float], dict[str, NDArray[np.float64]]]]:
        """By indicator: each statistic of the real panel, and of every simulated one."""
        found = {}
        for name in map(str, self.draws.data_vars):
            real, made = self._comparable(name)
            found[name] = (
                {key: float(value[0]) for key, value in _describe(real[None]).items()},
                _describe(made),
            )
        return found

    def _comparable(self, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return real and simulated values where both are known; shares where there are trials."""
        real = np.asarray(self.panel.values(name), dtype=float)
        made = np.asarray(self.draws[name].values, dtype=float)
        trials = self.panel.twin.indicators[name].trials
        if trials is not None:
            own = np.asarray(self.panel.values(trials), dtype=float)
            out_of = self.draws[trials].values if trials in self.draws else own[None]
            with np.errstate(invalid="ignore", divide="ignore"):
                real, made = real / own, made / out_of
        there = np.isfinite(real) & self.panel.data["present"].values
        there &= np.isfinite(made).any(axis=0)
        return real[there], made[:, there]

    def summary(self, *, interval: float = 0.9) -> pd.DataFrame:
        """Compare what the real panel shows with what the priors expect.

        Parameters
        ----------
        interval : float

        Returns
        -------
        DataFrame
            A row per indicator and statistic: ``observed``, ``median`` and interval of the
            simulated panels, and ``inside``: whether the interval holds the observed
            value. Shares, where the indicator has trials.
        """
        import pandas as pd

        low, high = interval_ends(interval)
        rows = []
        for name, (real, made) in self._statistics.items():
            for key, observed in real.items():
                values = made[key][np.isfinite(made[key])]
                ends = np.quantile(values, [low, 0.5, high]) if values.size else [np.nan] * 3
                rows.append(
                    (name, key, observed, ends[1], ends[0], ends[2], ends[0] <= observed <= ends[2])
                )
        columns = ["indicator", "statistic", "observed", "median"]
        columns += [f"{100 * low:g}%", f"{100 * high:g}%", "inside"]
        return pd.DataFrame(rows, columns=columns)

    def __repr__(self) -> str:
        table = self.summary()
        outside = table[~table["inside"]]
        text = (
            f"Prior predictive of '{self.panel.twin.name}': {self.draws.sizes['draw']} made-up "
            f"panels; {int(table['inside'].sum())} of {len(table)} statistics of the real one lie "
            f"in their middle 90 %"
        )
        if len(outside):
            named = [f"{r.statistic} of {r.indicator}" for r in outside.head(5).itertuples()]
            text += f". Outside: {', '.join(named)}" + (" …" if len(outside) > 5 else "")
        return f"{text}."


def _describe(values: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return statistics over the last axis."""
    with np.errstate(all="ignore"):
        known = np.isfinite(values)
        count = np.maximum(known.sum(axis=-1), 1)
        filled = np.where(known, values, 0.0)
        mean = filled.sum(axis=-1) / count
        spread = np.where(known, (values - mean[..., None]) ** 2, 0.0).sum(axis=-1)
        ordered = np.sort(np.where(known, values, np.nan), axis=-1)
        result = {"mean": mean, "sd": np.sqrt(spread / count)}
        for share in (0.05, 0.95):
            place = np.minimum((share * (count - 1)).round().astype(int), values.shape[-1] - 1)
            result[f"{share:.0%} quantile"] = np.take_along_axis(
                ordered, place[..., None], axis=-1
            )[..., 0]
        result["share of zeros"] = (known & (values == 0)).sum(axis=-1) / count
    return result


def prior_predictive(twin: Twin, panel: Panel, *, draws: int = 100, seed: int) -> PriorPredictive:
    """Simulate a panel anew from the priors.

    The units, their givens and their first values (as many periods as the longest lag) are the
    panel's; parameters are drawn from their priors, and all else from the mechanisms. Missing
    givens and first values take the unit's nearest known value, or the median over units.

    Parameters
    ----------
    twin : Twin
    panel : Panel
    draws : int
        How many panels are made up.
    seed : int

    Returns
    -------
    PriorPredictive

    Examples
    --------
    >>> import dotwin as dw
    >>> twin = dw.Twin(
    ...     twin="visits",
    ...     panel={"unit": "home"},
    ...     indicators={
    ...         "staff": {"domain": "workforce", "simulated_as": "normal(3, 1)"},
    ...         "visits": {
    ...             "domain": "quality",
    ...             "family": "poisson",
    ...             "plausible": [2, 9],
    ...             "causes": {"staff": {}},
    ...         },
    ...     },
    ... )
    >>> panel = twin.simulate_panel(units={"home": 50}, seed=1)
    >>> twin.prior_predictive(panel, draws=20, seed=2).draws["visits"].shape
    (20, 50, 1)
    """
    from dotwin.mechanisms.design import build_design
    from dotwin.mechanisms.equation import structure_of
    from dotwin.mechanisms.factors import factors_of
    from dotwin.mechanisms.parameters import draw_prior, parameters

    structure = structure_of(twin, panel)
    designs = {n: build_design(twin, n, panel, structure=structure) for n in twin.stochastic}
    drawn: dict[str, NDArray[np.float64]] = {}
    for k, design in enumerate(designs.values()):
        listed = parameters(
            design.equation, design.reference, design.group_names, design.period_names
        )
        drawn |= draw_prior(listed, draws, seed + 7919 * k)
    factors = list(factors_of(designs.values()).values())
    drawn |= draw_prior(factors, draws, seed + 7919 * len(designs))
    start = _start(twin, panel)
    machine = Machine(
        {n: align(d, start.members, panel, panel) for n, d in designs.items()},
        drawn,
        np.arange(draws, dtype=np.int64),
    )
    engine = Engine(
        twin=twin,
        machine=machine,
        start=start,
        programs=(Program(BASELINE, None, {}, twin.graph.order(), frozenset()),),
        seed=int(seed),
        known_periods={int(t): i for i, t in enumerate(panel.period_ordinals)},
    )
    return PriorPredictive(panel, _collected(twin, panel, engine, draws))


def _start(twin: Twin, panel: Panel) -> Start:
    cross_section = twin.panel.period is None
    lag = 0 if cross_section else longest_lag(twin, ())
    past = max(1, 2 * lag)
    count = len(panel.units)
    facts: dict[str, NDArray[Any]] = {}
    givens: dict[str, NDArray[Any]] = {}
    for name in panel.indicators:
        values = _completed(panel.values(name))
        empty: Any = "" if values.dtype.kind in "OUT" else np.nan
        before = np.full((count, past - lag), empty, dtype=values.dtype)
        facts[name] = np.concatenate([before, values[:, :lag]], axis=1)
        if twin.indicators[name].is_given:
            givens[name] = values[:, lag:]
    levels = {}
    for level in twin.panel.all_levels:
        codes, names = panel.groups(level)
        levels[level] = Grouping(np.asarray(codes), tuple(names))
    units = tuple(map(str, panel.units))
    first = int(panel.period_ordinals[0]) + lag - past
    last = int(panel.period_ordinals[-1])
    ordinals = np.arange(first, last + 1, dtype=np.int64)
    return Start(Membership(units, levels), np.arange(count), past, facts, givens, ordinals)


def _completed(values: NDArray[Any]) -> NDArray[Any]:
    """Fill gaps with the unit's nearest known value, before first, then the median over units."""
    if values.dtype.kind in "OUT":
        return values
    position = np.arange(values.shape[1])
    known = np.isfinite(values)
    last = np.maximum.accumulate(np.where(known, position, -1), axis=1)
    following = np.minimum.accumulate(np.where(known, position, values.shape[1])[:, ::-1], axis=1)[
        :, ::-1
    ]
    nearest = np.where(last >= 0, last, following)
    filled = np.take_along_axis(values, np.minimum(nearest, values.shape[1] - 1), axis=1)
    middle = float(np.nanmedian(values)) if known.any() else np.nan
    return np.where(np.isfinite(filled), filled, middle)


def _collected(twin: Twin, panel: Panel, engine: Engine, draws: int) -> xr.Dataset:
    import xarray as xr

    shape = (draws, len(panel.units), len(panel.period_labels))
    modelled = [n for n, one in twin.indicators.items() if not one.is_given]
    found = {name: np.full(shape, np.nan) for name in modelled}
    skipped = shape[2] - engine.horizon
    for block in engine.blocks():
        (world,) = block.worlds
        for name in modelled:
            for t in range(engine.horizon):
                found[name][block.rows, :, skipped + t] = world.seen[name][world.past + t]
    present = panel.data["present"].values
    data = xr.Dataset(
        {
            name: (("draw", "unit", "period"), np.where(present, values, np.nan))
            for name, values in found.items()
        },
        coords={"unit": panel.data["unit"], "period": panel.data["period"]},
    )
    for name in modelled:
        data[name].attrs.update(long_name=twin.label(name), units=twin.indicators[name].unit)
    return data
