"""Backtests: refit on shortened panels, forecast, and score against what then happened."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pandas as pd

from dotwin.errors import DataError, SpecificationError
from dotwin.worlds.calibration import Backtest
from dotwin.worlds.forecasts import scored_from

if TYPE_CHECKING:
    from distributed import Client

    from dotwin.inference import Fit
    from dotwin.panel import Panel

__all__ = ["FEWEST_PERIODS", "backtest", "progress_of", "refits"]

#: Refits are checks, not answers: so many draws of so many chains will do.
REFIT_DRAWS, REFIT_TUNE, REFIT_CHAINS = 500, 500, 2
#: Fewer fitted periods than this teach nothing.
FEWEST_PERIODS = 2


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
    with progress_of(progress, len(cuts)) as advance:
        for cut, earlier in refits(fit, panel, cuts, client):
            ahead = min(horizon, total - cut)
            seeds = _seed(fit, cut, "simulate"), _seed(fit, cut, "jitter")
            parts += scored_from(earlier, panel, cut, ahead, draws, seeds)
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


def refits(
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


class progress_of:
    """A rich progress bar of origins, or nothing; gives what moves it on."""

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
