"""`dotwin run` and `dotwin demo`: fit, diagnose, forecast, scenarios, report."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console

import dotwin as dw
from dotwin.errors import DataError, DotwinWarning, LicenceError
from dotwin.inference.diagnosis import TRUSTED

if TYPE_CHECKING:
    from dotwin.inference.fit import Fit
    from dotwin.panel import Panel
    from dotwin.worlds import Futures

__all__ = ["Plan", "analyse", "demonstrate"]

#: The embedded example: small enough for two cores and a cup of coffee.
_DEMO_UNITS = {"region": 6, "provider": 60}
_DEMO_PERIODS = 24
_DEMO_SEED = 2026
#: A page and its tables show no more than these resolve.
_FUTURE_DRAWS = 200


@dataclass(frozen=True)
class Plan:
    """What an analysis is to do.

    Parameters
    ----------
    out : Path
    draws, chains, seed, periods : int
    engine : str
    backtest : bool
    tune : int
    future_draws : int
        Posterior draws that are simulated forward.
    """

    out: Path
    draws: int
    chains: int
    seed: int
    periods: int
    engine: str
    backtest: bool
    tune: int = 1000
    future_draws: int = _FUTURE_DRAWS


def analyse(spec: str, data: Path, plan: Plan) -> Path:
    """Fit a twin to a table and write everything.

    Parameters
    ----------
    spec : str
    data : Path
    plan : Plan

    Returns
    -------
    Path
        Of the report.
    """
    twin = dw.read_twin(spec)
    panel = dw.read_panel(data, twin)
    typer.echo(panel.quality.text)
    return _carry_out(panel, plan)


def demonstrate(out: Path) -> Path:
    """Simulate the embedded example, analyse it and write everything.

    Parameters
    ----------
    out : Path

    Returns
    -------
    Path
        Of the report.
    """
    twin = dw.read_twin("workforce_pressure")
    panel = twin.simulate_panel(units=_DEMO_UNITS, periods=_DEMO_PERIODS, seed=_DEMO_SEED)
    typer.echo(f"Simulated from the twin '{twin.name}', with known truth: {panel.quality.headline}")
    plan = Plan(out, 1000, 4, _DEMO_SEED, 6, "auto", False)
    return _carry_out(panel, plan)


def _carry_out(panel: Panel, plan: Plan) -> Path:
    console = Console(stderr=True)
    plan.out.mkdir(parents=True, exist_ok=True)
    notes: list[str] = []
    with _Noted(notes):
        fit = dw.fit(
            panel.twin,
            panel,
            draws=plan.draws,
            tune=plan.tune,
            chains=plan.chains,
            seed=plan.seed,
            engine=plan.engine,
            cache=plan.out / "cache",
            progress=console.is_terminal,
        )
        _convergence(fit)
        if plan.backtest:
            _backtest(fit)
        with console.status("Simulating the futures"):
            futures = _simulate(fit, plan)
        with console.status("Writing the report"):
            path = dw.report(fit, futures, path=plan.out / "report.html")
            _tables(fit, futures, plan.out / "tables")
            fit.save(plan.out / "fit")
    for note in dict.fromkeys(notes):
        if note != fit.diagnose().sentence:
            typer.echo(f"Note: {note}", err=True)
    _findings(plan.out / "summary.json")
    typer.echo(f"The report is in {path}")
    return path


class _Noted:
    """Collect the warnings of dotwin as notes, each said once."""

    def __init__(self, notes: list[str]) -> None:
        self._notes = notes
        self._catch: Any = warnings.catch_warnings(record=True)

    def __enter__(self) -> None:
        self._caught = self._catch.__enter__()
        warnings.simplefilter("always", DotwinWarning)

    def __exit__(self, *error: Any) -> None:
        self._catch.__exit__(*error)
        for one in self._caught:
            if issubclass(one.category, DotwinWarning):
                self._notes.append(str(one.message))


def _convergence(fit: Fit) -> None:
    """Say whether the posterior can be trusted, a line per mechanism that cannot."""
    diagnosis = fit.diagnose()
    if diagnosis.converged:
        typer.echo(diagnosis.sentence)
        return
    bad = diagnosis.table[~diagnosis.table["verdict"].isin(TRUSTED)]
    typer.echo(f"{len(bad)} of {len(diagnosis.table)} mechanisms did not converge:", err=True)
    for row in bad.itertuples():
        typer.echo(f"  {row.component}: {row.advice}", err=True)


def _backtest(fit: Fit) -> None:
    if fit.twin.panel.period is None:
        raise DataError("a cross-section has no periods to backtest; leave --backtest out.")
    fit.backtest(progress=False)


def _simulate(fit: Fit, plan: Plan) -> Futures:
    """Simulate the twin's scenarios; one that cannot do what it says is left out by name."""
    names = list(fit.twin.scenarios)
    try:
        return _simulated(fit, plan, names)
    except LicenceError:
        kept = []
        for name in names:
            try:
                _simulated(fit, plan, [name])
            except LicenceError as error:
                typer.echo(f"Left out: {error}", err=True)
            else:
                kept.append(name)
        return _simulated(fit, plan, kept)


def _simulated(fit: Fit, plan: Plan, scenarios: list[str]) -> Futures:
    cross_section = fit.twin.panel.period is None
    futures: Futures = fit.simulate(
        periods=None if cross_section else plan.periods,
        scenarios=scenarios,
        seed=plan.seed,
        draws=min(plan.future_draws, fit.n_draws),
    )
    return futures


def _tables(fit: Fit, futures: Futures, folder: Path) -> None:
    """Write the tables that people open in a spreadsheet."""
    folder.mkdir(parents=True, exist_ok=True)
    fit.summary().to_csv(folder / "parameters.csv")
    fit.diagnose().table.to_csv(folder / "diagnosis.csv", index=False)
    fit.panel.quality.table.to_csv(folder / "quality.csv")
    futures.summary().to_csv(folder / "forecasts.csv", index=False)
    for level in fit.twin.panel.levels:
        futures.summary(by=level).to_csv(folder / f"forecasts_by_{level}.csv", index=False)
    futures.realised.to_csv(folder / "realised.csv", index=False)


def _findings(summary: Path) -> None:
    """Print each scenario's finding in a sentence, with its licence."""
    content = json.loads(summary.read_text(encoding="utf-8"))
    for one in content["answers"]:
        typer.echo(f"\n{one['scenario']}: {one['question']}")
        for compared in one["compared"]:
            typer.echo(f"  {compared['sentence']}")
        licence = one["compared"][0]["licence"]
        words = ", ".join(f"{name}: {verdict['status']}" for name, verdict in licence.items())
        typer.echo(f"  Licence: {words}.")
    if content["answers"]:
        typer.echo("")
