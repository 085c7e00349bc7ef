"""Forecasts from a shortened panel, and their scores against what then happened."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.spec.expressions import parse
from dotwin.worlds.baselines import METHODS, History, baseline, history_of
from dotwin.worlds.scores import crps, pit

if TYPE_CHECKING:
    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.worlds.run import Run

__all__ = ["MODEL", "forecasts", "planned", "scored_from"]

Floats = NDArray[np.float64]

#: The method of the twin itself, beside the baselines.
MODEL = "model"


def scored_from(
    earlier: Fit, panel: Panel, cut: int, ahead: int, draws: int, seeds: tuple[int, int]
) -> Iterator[pd.DataFrame]:
    """Forecast from one origin, and score.

    Parameters
    ----------
    earlier : Fit
        Of the panel up to the origin.
    panel : Panel
        With what came later.
    cut : int
        Position of the first period that is forecast.
    ahead, draws : int
    seeds : tuple of int
        Of the simulation, and of what breaks ties in PIT values.
    """
    run = planned(earlier, panel, cut, ahead, draws, seeds[0])
    rng = np.random.default_rng(seeds[1])
    values, density = forecasts(run, panel, cut, ahead)
    for name in values:
        for t in range(ahead):
            yield from _scored(run, panel, cut, t, name, values[name], density[name], rng)


def planned(
    fit: Fit,
    panel: Panel,
    cut: int,
    ahead: int,
    draws: int,
    seed: int,
    start: Panel | None = None,
) -> Run:
    """Plan forecasts in which given inputs take the values that they then had.

    Parameters
    ----------
    fit : Fit
        Of a panel that ends where the forecasts start.
    panel : Panel
        With what came later.
    cut : int
        Position of the first period that is forecast.
    ahead : int
    draws, seed : int
    start : Panel, optional
        Other units to forecast, up to the same period; the fit's own unless given.
    """
    from dataclasses import replace

    from dotwin.worlds.run import plan

    run = plan(
        fit,
        periods=ahead,
        scenarios=(),
        seed=seed,
        draws=draws,
        panel=start,
        inputs=None,
        new_groups="population",
        carry_forward=0,
    )
    givens = {}
    for name, held in run.start.givens.items():
        then = panel.values(name)[run.start.rows, cut : cut + ahead]
        known = then != "" if then.dtype.kind in "OUT" else np.isfinite(then.astype(float))
        givens[name] = np.where(known, then, held)
    return replace(run, start=replace(run.start, givens=givens))


def forecasts(
    run: Run, panel: Panel, cut: int, ahead: int
) -> tuple[dict[str, NDArray[np.float32]], dict[str, Floats]]:
    """Simulate, and weigh what happened.

    Returns
    -------
    values : dict of str to array, dims (draw, unit, period)
        Of every indicator with a mechanism.
    density : dict of str to array, dims (unit, period)
        Log of the mean density of what happened over draws, each given the causes that the draw
        simulates; missing where nothing was recorded.
    """
    engine = run.engine()
    chains, each, units, _ = run.shape
    names = run.twin.stochastic
    values = {n: np.empty((chains * each, units, ahead), dtype=np.float32) for n in names}
    density = {name: np.full((units, ahead), -np.inf) for name in names}
    then = {n: panel.values(n)[run.start.rows, cut : cut + ahead].astype(float) for n in names}
    for block in engine.blocks():
        (world,) = block.worlds
        for name in names:
            for t in range(ahead):
                seen = np.asarray(world.seen[name][run.start.past + t], dtype=float)
                values[name][block.rows, :, t] = seen
                response = engine.response(block, name, t)
                with np.errstate(all="ignore"):
                    each_draw = response.log_density(then[name][:, t])
                    log_sum = np.logaddexp.reduce(each_draw, axis=0)
                    density[name][:, t] = np.logaddexp(density[name][:, t], log_sum)
    return values, {name: d - np.log(chains * each) for name, d in density.items()}


def _scored(
    run: Run,
    panel: Panel,
    cut: int,
    t: int,
    name: str,
    values: NDArray[np.float32],
    density: Floats,
    rng: np.random.Generator,
) -> Iterator[pd.DataFrame]:
    """Score the forecasts of one indicator and period by all methods, on the same cases."""
    rows = run.start.rows
    observed = panel.values(name)[rows, cut + t].astype(float)
    cases = _cases(run, panel, name, rows, cut + t, observed)
    if not cases.any():
        return
    own = values[:, cases, t].astype(float)
    y = observed[cases]
    if run.fit.designs[name].equation.family.discrete is False:
        # Draws were kept in single precision; an exact tie needs the same.
        y = y.astype(np.float32).astype(float)
    units = np.asarray(run.start.members.units, dtype=object)[cases]
    labels = panel.period_labels
    about = {
        "indicator": name,
        "unit": units,
        "origin": labels[cut - 1],
        "period": labels[cut + t],
        "horizon": t + 1,
        "observed": observed[cases],
    }
    yield pd.DataFrame(
        {
            **about,
            "method": MODEL,
            "log_score": density[cases, t],
            "crps": crps(own, y),
            "pit": pit(own, y, rng.random(y.size)),
        }
    )
    history = _history(run, panel, name, rows, cut, t)
    for method in METHODS:
        other = baseline(history, method, t + 1)
        with np.errstate(all="ignore"):
            logs = other.log_density(np.where(cases, observed, np.nanmedian(y)))[cases]
            drawn = other.sample(rng, own.shape[0])[:, cases]
        yield pd.DataFrame(
            {
                **about,
                "method": method,
                "log_score": logs,
                "crps": crps(drawn, observed[cases]),
                "pit": pit(drawn, observed[cases], rng.random(y.size)),
            }
        )


def _cases(
    run: Run, panel: Panel, name: str, rows: NDArray[np.intp], at: int, observed: Floats
) -> NDArray[np.bool_]:
    """Say which forecasts met a recorded value that nobody set."""
    cases = np.isfinite(observed) & panel.data["present"].values[rows, at]
    one = run.twin.indicators[name]
    if one.assigned is not None and one.assigned.column in panel.data:
        cases &= panel.data[one.assigned.column].values[rows, at] != 1
    if one.level is not None and one.level != run.twin.unit:
        # One value of a group is one case.
        first = np.zeros(cases.size, dtype=bool)
        first[run.start.members.levels[one.level].representative] = True
        cases &= first
    return np.asarray(cases, dtype=bool)


def _history(
    run: Run, panel: Panel, name: str, rows: NDArray[np.intp], cut: int, t: int
) -> History:
    """Gather what the baselines may know: the past, and sizes that are given ahead."""
    from dotwin.mechanisms.design import panel_environment
    from dotwin.spec.expressions import evaluate

    one, twin = run.twin.indicators[name], run.twin
    text = one.trials or one.exposure
    size = ahead = None
    if text is not None and parse(text).names() <= set(twin.given):
        shape = (len(panel.units), len(panel.period_labels))
        whole = np.broadcast_to(
            np.asarray(evaluate(parse(text), panel_environment(panel)), dtype=float), shape
        )[rows]
        size, ahead = np.nan_to_num(whole[:, :cut]), np.nan_to_num(whole[:, cut + t])
    return history_of(one, panel.values(name)[rows, :cut].astype(float), size, ahead)
