"""What does an update save, and is it the refit? One more month for some providers, both ways.

The workforce-pressure twin is fitted to 23 months, updated with the 24th, and refitted to all 24 at
the same reference scales and unit means. CPU seconds are those of the process, over all its
threads, once everything that is imported or compiled once has been. Both are all that a caller
waits for: the new panel's arrays, the draws, the fit that holds them, and its diagnosis. Agreement
is that of the mean rank of each parameter's draws among both fits', in Monte Carlo errors: ranks
have a spread where a posterior has none.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from arviz_stats.base.array import array_stats

import dotwin as dw
from dotwin.errors import ConvergenceWarning
from dotwin.inference.changes import kept_constants
from dotwin.inference.components import components_of
from dotwin.inference.engine import Settings
from dotwin.inference.fit import Fit, assemble
from dotwin.inference.fitting import engines_named
from dotwin.inference.schedule import run
from dotwin.panel import Panel

RESULTS = Path(__file__).resolve().parent / "results"
MODEL = "workforce_pressure"
PERIODS = 24
#: The sd of a uniform number.
UNIFORM_SD = 12.0**-0.5


def effective(values: Any) -> Any:
    return np.atleast_1d(array_stats.ess(values, chain_axis=0, draw_axis=1, method="bulk"))


def agreement(updated: Fit, name: str, posterior: Any) -> dict[str, Any]:
    """Compare a mechanism's parameters in both fits; differences in Monte Carlo errors."""
    verdict = updated.notes["updates"][name]
    if verdict.way != "re-weighted":
        return {"verdict": str(verdict)}
    share = verdict.ess / verdict.draws
    found: list[Any] = []
    for one in updated.parameters(name):
        ours, full = (
            np.asarray(v).reshape(*np.shape(v)[:2], -1)
            for v in (updated.tree["posterior"][one.name].values, posterior[one.name])
        )
        moving = full.std(axis=(0, 1)) > 0
        ours, full = ours[..., moving], full[..., moving]
        both = np.concatenate([v.reshape(-1, v.shape[2]) for v in (ours, full)])
        rank = both.argsort(axis=0).argsort(axis=0) / len(both)
        half = len(both) // 2
        apart = (rank[:half].mean(axis=0) - rank[half:].mean(axis=0)) / UNIFORM_SD
        size = np.minimum(verdict.ess, share * effective(ours)), effective(full)
        found += (apart / np.sqrt(1.0 / size[0] + 1.0 / size[1])).tolist()
    return {
        "verdict": str(verdict),
        "parameters": len(found),
        "root mean square": round(float(np.sqrt(np.mean(np.square(found)))), 2),
        "largest": round(float(np.abs(found).max()), 2),
    }


def measured(providers: int, draws: int, engine: str) -> dict[str, Any]:
    """Update and refit a panel of so many providers."""
    twin = dw.read_twin(MODEL)
    whole: Panel = twin.simulate_panel(
        units={"region": 6, "provider": providers}, periods=PERIODS, seed=1
    )
    before = whole.select(periods=slice(0, PERIODS - 1))
    earlier = dw.fit(twin, before, draws=draws, seed=1, engine=engine, progress=False)
    earlier.update(whole, seed=2, progress=False)  # whatever is compiled once is compiled here
    began = time.process_time()
    updated = earlier.update(whole, seed=2, progress=False)
    update_seconds = time.process_time() - began
    settings = Settings(draws, 1000, 4, 9)
    began = time.process_time()
    constants = {n: kept_constants(d, before, whole) for n, d in earlier.designs.items()}
    components = components_of(twin, whole, earlier.designs, constants)
    drawing = time.process_time()
    drawn = run(components, engines_named(engine), settings, cache=None, progress=False)
    draws_seconds = time.process_time() - drawing
    assemble(twin, whole, components, drawn, settings, engine).diagnose()
    refit_seconds = time.process_time() - began
    return {
        "units": providers,
        "draws": 4 * draws,
        "engines": sorted({draws.engine for draws in drawn}),
        "cpu seconds, update": round(update_seconds, 2),
        "cpu seconds, refit": round(refit_seconds, 2),
        "cpu seconds, draws of the refit alone": round(draws_seconds, 2),
        "ratio": round(update_seconds / refit_seconds, 4),
        "mechanisms": {
            c.name: agreement(updated, c.name, d.posterior)
            for c, d in zip(components, drawn, strict=True)
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--engine", default="auto")
    parser.add_argument("--providers", type=int, nargs="+", default=[60, 500])
    parser.add_argument("--draws", type=int, default=1000)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    result = {
        "model": MODEL,
        "periods": PERIODS,
        "python": platform.python_version(),
        "dotwin": version("dotwin"),
        "sizes": [measured(n, options.draws, options.engine) for n in options.providers],
    }
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(result, indent=1)
    (RESULTS / "update.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
