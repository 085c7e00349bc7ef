"""Backtests: refit on shortened panels, forecast, and score against what then happened."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.spec.expressions import parse
from dotwin.worlds.baselines import METHODS, History, baseline, history_of
from dotwin.worlds.scores import clustered_mean, crps, pit, uniform_distance

if TYPE_CHECKING:
    from distributed import Client

    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.worlds.run import Run

__all__ = ["Backtest", "Calibration", "backtest", "forecasts", "planned"]

Floats = NDArray[np.float64]

#: Refits are checks, not answers: so many draws of so many chains will do.
REFIT_DRAWS, REFIT_TUNE, REFIT_CHAINS = 500, 500, 2
#: Fewer fitted periods than this teach nothing.
FEWEST_PERIODS = 2
COVERAGES = (0.5, 0.8, 0.9)
#: An 80 % interval should hold between these shares.
WELL_COVERED = (0.75, 0.85)
#: How far PIT values may lie from uniform, beyond what chance does at the 1 % level.
FAR = 0.05
#: A coverage known less well than this proves nothing.
NEAR = 0.05
KOLMOGOROV = 1.63
MODEL = "model"

Status = Literal["calibrated", "not calibrated", "too few cases to tell"]


@dataclass(frozen=True)
class Calibration:
    """Whether an indicator's forecasts mean what they say.

    Parameters
    ----------
    indicator : str
    status : {'calibrated', 'not calibrated', 'too few cases to tell'}
    coverage, error : float
        Share of cases that central 80 % intervals held, and its standard error by unit.
    distance : float
        Largest distance of the PIT values' distribution from uniform.
    cases : int
    sentence : str
    """

    indicator: str
    status: Status
    coverage: float
    error: float
    distance: float
    cases: int
    sentence: str

    @property
    def calibrated(self) -> bool:
        """Whether the forecasts are shown to be calibrated."""
        return self.status == "calibrated"

    def __str__(self) -> str:
        return self.sentence


@dataclass(frozen=True, eq=False, repr=False)
class Backtest:
    """Scores of forecasts made from shortened panels.

    Parameters
    ----------
    scores : DataFrame
        A row per indicator, unit, origin, horizon and method: the period, what was observed, the
        log score (log density of what was observed; larger is better), CRPS (in the indicator's
        unit; smaller is better) and PIT.
    labels : dict of str to str
        What people read for each indicator.
    frequency : str
    origins : tuple of str
        The last period of each shortened panel.
    horizon : int
    notes : tuple of str
    """

    scores: pd.DataFrame
    labels: dict[str, str]
    frequency: str
    origins: tuple[str, ...]
    horizon: int
    notes: tuple[str, ...] = ()

    @cached_property
    def table(self) -> pd.DataFrame:
        """Mean scores by indicator, horizon and method, with errors clustered by unit.

        Columns n, log_score and crps with their standard errors, the share that central 50, 80
        and 90 % intervals held, and how much the model gains in log score over the method in this
        row, from the same cases. An outcome that a forecast held impossible has a log score of
        minus infinity, and so has its mean.
        """
        rows: list[dict[str, Any]] = []
        keys = ["indicator", "unit", "origin", "horizon"]
        model = self.scores[self.scores["method"] == MODEL].set_index(keys)["log_score"]
        for (name, step, method), part in self.scores.groupby(
            ["indicator", "horizon", "method"], sort=False
        ):
            clusters = part["unit"].astype("category").cat.codes.to_numpy().astype(np.intp)
            row: dict[str, Any] = {
                "indicator": name,
                "horizon": step,
                "method": method,
                "n": len(part),
            }
            for score in ("log_score", "crps"):
                mean, error = clustered_mean(part[score].to_numpy(), clusters)
                row |= {score: mean, f"{score}_se": error}
            distance = np.abs(part["pit"].to_numpy() - 0.5)
            for share in COVERAGES:
                held = (distance <= share / 2.0).astype(float)
                mean, error = clustered_mean(held, clusters)
                row |= {f"{share:.0%}": mean, f"{share:.0%}_se": error}
            own = model.reindex(pd.MultiIndex.from_frame(part[keys])).to_numpy()
            with np.errstate(invalid="ignore"):
                gain = own - part["log_score"].to_numpy()
            mean, error = clustered_mean(gain, clusters) if method != MODEL else (0.0, 0.0)
            rows.append({**row, "gain_of_model": mean, "gain_se": error})
        return pd.DataFrame(rows)

    @property
    def pit(self) -> pd.DataFrame:
        """PIT values of the model: columns indicator, unit, origin, period, horizon, pit."""
        own = self.scores[self.scores["method"] == MODEL]
        kept = ["indicator", "unit", "origin", "period", "horizon", "pit"]
        return own[kept].reset_index(drop=True)

    @property
    def indicators(self) -> tuple[str, ...]:
        """The indicators with scores."""
        return tuple(dict.fromkeys(self.scores["indicator"]))

    def verdict(self, indicator: str) -> Calibration:
        """Judge whether an indicator's forecasts mean what they say, over all horizons.

        Calibrated: central 80 % intervals hold between 75 and 85 % of cases, known to within 5
        points (one standard error), and the PIT values lie no further from uniform than 0.05
        beyond chance (at the 1 % level, units counted once). Not calibrated: the share lies two
        standard errors outside, or the PIT values too far from uniform.

        Parameters
        ----------
        indicator : str

        Returns
        -------
        Calibration
        """
        if indicator not in self.indicators:
            raise SpecificationError(
                f"the backtest has no '{indicator}'. {nearest(indicator, self.indicators)}"
            )
        own = self.pit[self.pit["indicator"] == indicator]
        values = own["pit"].to_numpy()
        units = pd.factorize(own["unit"])[0].astype(np.intp)
        held = (np.abs(values - 0.5) <= 0.4).astype(float)
        coverage, error = clustered_mean(held, units)
        distance = uniform_distance(values)
        allowed = FAR + KOLMOGOROV / np.sqrt(own["unit"].nunique())
        low, high = WELL_COVERED
        outside = max(low - coverage, coverage - high, 0.0)
        status: Status = "too few cases to tell"
        if distance > allowed or outside > 2.0 * error:
            status = "not calibrated"
        elif outside == 0.0 and error <= NEAR:
            status = "calibrated"
        sentence = (
            f"{self.labels[indicator]}: {status}; 80 % intervals held {coverage:.0%} (± "
            f"{error:.0%}) of {len(own):,} cases, PIT within {distance:.2f} of uniform (up to "
            f"{allowed:.2f} passes)."
        )
        return Calibration(indicator, status, coverage, error, distance, len(own), sentence)

    def gain(self, indicator: str, method: str) -> tuple[float, float]:
        """Return the model's mean gain in log score over a method, and its standard error."""
        keys = ["unit", "origin", "horizon"]
        own = self.scores[self.scores["indicator"] == indicator]
        wide = own.pivot(index=keys, columns="method", values="log_score")
        with np.errstate(invalid="ignore"):
            gain = (wide[MODEL] - wide[method]).to_numpy()
        units = pd.factorize(wide.index.get_level_values("unit"))[0]
        return clustered_mean(gain, units.astype(np.intp))

    @cached_property
    def sentence(self) -> str:
        """The finding in a sentence or two."""
        verdicts = [self.verdict(name) for name in self.indicators]
        good = sum(one.calibrated for one in verdicts)
        unclear = sum(one.status == "too few cases to tell" for one in verdicts)
        ahead = "1" if self.horizon == 1 else f"1 to {self.horizon}"
        text = (
            f"Backtested from {len(self.origins)} origins, {ahead} {self.frequency}s ahead, given "
            f"the inputs that came: {good} of {len(verdicts)} indicators are calibrated"
        )
        if unclear:
            text += f", {unclear} have too few cases to tell"
        for method in METHODS:
            better = sum(self.gain(name, method)[0] > 0 for name in self.indicators)
            text += f", {better} are forecast better than by {method}"
        bad = [one for one in verdicts if one.status == "not calibrated"]
        named = " ".join(one.sentence for one in bad)
        return f"{text}. {named}".strip()

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        html: str = self.table.to_html(index=False, float_format=lambda v: f"{v:.3g}")
        return f"<p>{self.sentence}</p>{html}"

    def plot(self) -> Any:
        """Draw the PIT values and the scores beside those of the other methods."""
        return importlib.import_module("dotwin.plots").plot_backtest(self)


def backtest(
    fit: Fit,
    *,
    origins: int = 4,
    horizon: int = 3,
    draws: int = 500,
    client: Client | None = None,
    progress: bool = True,
) -> Backtest:
    """Refit on shortened panels and score forecasts against what then happened.

    For each of the last ``origins`` periods the twin is fitted to the panel up to there, at the
    reference scales of the fit, and simulated ahead from the state in which it was. Inputs without
    a mechanism take the values that they then had: the forecasts are given these inputs. The log
    score of a forecast is the log of the mean density over its draws, each given the causes that
    the draw simulates.

    Parameters
    ----------
    fit : Fit
    origins : int
    horizon : int
        Periods ahead, at most.
    draws : int
        Simulated draws per forecast.
    client : dask.distributed.Client, optional
        Whose workers fit all shortened panels side by side.
    progress : bool

    Returns
    -------
    Backtest

    Raises
    ------
    DataError
        When the panel is too short, or the fit was saved without it.
    """
    panel, twin = fit.panel, fit.twin
    if twin.panel.period is None:
        raise DataError("a cross-section has no periods to forecast, so it cannot be backtested.")
    if min(origins, horizon, draws) < 1:
        raise SpecificationError("origins, horizon and draws are counts of 1 or more.")
    if any(design.rows == 0 for design in fit.designs.values()):
        raise DataError("this fit was saved without its panel, so it cannot be backtested.")
    total = len(panel.period_labels)
    first = max(d.equation.max_lag for d in fit.designs.values()) + FEWEST_PERIODS
    cuts = [cut for cut in range(total - origins, total) if cut >= first]
    if not cuts:
        raise DataError(
            f"the panel has {total} periods; a backtest needs {first + 1} or more, to fit on "
            f"{first} and forecast the next."
        )
    notes = []
    if len(cuts) < origins:
        notes.append(f"{len(cuts)} of {origins} origins leave enough periods to fit on")
    parts: list[pd.DataFrame] = []
    with _display(progress, len(cuts)) as advance:
        for cut, earlier in _refits(fit, panel, cuts, client):
            ahead = min(horizon, total - cut)
            parts += _scored_from(earlier, fit, panel, cut, ahead, draws)
            advance()
    if not parts:
        raise DataError("no value was recorded in the periods that were forecast.")
    scores = pd.concat(parts, ignore_index=True)
    unknown = scores["crps"].isna() | scores["log_score"].isna()
    if unknown.any():
        notes.append(f"{int(unknown.sum())} forecasts could not be computed and are left out")
        scores = scores[~unknown].reset_index(drop=True)
    names = dict.fromkeys(scores["indicator"])
    return Backtest(
        scores=scores,
        labels={name: twin.label(name) for name in names},
        frequency=twin.panel.period.frequency,
        origins=tuple(panel.period_labels[cut - 1] for cut in cuts),
        horizon=horizon,
        notes=tuple(notes),
    )


def _seed(fit: Fit, cut: int, purpose: str) -> int:
    text = f"{fit.settings.seed}/{cut}/{purpose}".encode()
    return int.from_bytes(hashlib.blake2s(text, digest_size=4).digest(), "little")


def _refits(
    fit: Fit, panel: Panel, cuts: Sequence[int], client: Client | None
) -> Iterator[tuple[int, Fit]]:
    """Refit up to each origin: one after the other here, all at once on a cluster."""
    from dotwin.inference.fitting import refit

    def up_to(cut: int) -> Fit:
        return refit(
            fit,
            panel.select(periods=slice(0, cut)),
            draws=min(fit.settings.draws, REFIT_DRAWS),
            tune=REFIT_TUNE,
            chains=REFIT_CHAINS,
            seed=_seed(fit, cut, "fit"),
            client=client,
        )

    if client is None:
        yield from zip(cuts, map(up_to, cuts), strict=True)
        return
    with ThreadPoolExecutor(len(cuts)) as pool:
        yield from zip(cuts, pool.map(up_to, cuts), strict=True)


def _scored_from(
    earlier: Fit, fit: Fit, panel: Panel, cut: int, ahead: int, draws: int
) -> Iterator[pd.DataFrame]:
    """Forecast from one origin, and score."""
    run = planned(earlier, panel, cut, ahead, draws, _seed(fit, cut, "simulate"))
    rng = np.random.default_rng(_seed(fit, cut, "jitter"))
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


class _display:
    """A rich progress bar of origins, or nothing."""

    def __init__(self, shown: bool, total: int) -> None:
        self.shown, self.total = shown, total

    def __enter__(self) -> Any:
        if not self.shown:
            return lambda: None
        from rich.progress import Progress

        self.bar = Progress()
        self.bar.start()
        task = self.bar.add_task("backtest", total=self.total)
        return lambda: self.bar.advance(task)

    def __exit__(self, *error: object) -> None:
        if self.shown:
            self.bar.stop()
