"""Calibrate pilots: do intervals of effects hold the truth, and do checks see what they say?

    python -m benchmarks.pilots [--full]

Roll-outs are simulated with effects that differ between cohorts and grow with time. A normal
outcome, with homes that were to begin like the rest or always different from it; counts per
exposure that depend on last month's. Written to `results/pilots.json` and `results/pilots.md`.
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

import dotwin as dw
from dotwin.errors import ConvergenceWarning

RESULTS = Path(__file__).parent / "results"
NEVER = 10_000
#: The two cohorts begin in these months, of so many.
COHORTS, MONTHS, HOMES = (6, 9), 12, 60
#: In each cohort the effect grows by as much a month.
SLOPES = (-0.25, -0.05)
LEADS = 3

Made = tuple[dw.Panel, np.ndarray, np.ndarray]


def _starts() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    starts = np.repeat([*COHORTS, NEVER], HOMES // 3)
    since = np.arange(MONTHS)[None, :] - starts[:, None]
    slope = np.repeat([*SLOPES, 0.0], HOMES // 3)[:, None]
    return starts, since, np.where(since >= 0, slope * (since + 1), 0.0)


def _panel(twin: dw.Twin, starts: np.ndarray, **more: np.ndarray) -> dw.Panel:
    coaching = (np.arange(MONTHS)[None, :] >= starts[:, None]).astype(float)
    arrays = {"coaching": coaching, **more}
    data = xr.Dataset(
        {name: (("unit", "period"), values) for name, values in arrays.items()},
        coords={
            "unit": [f"h{i:03d}" for i in range(HOMES)],
            "period": pd.date_range("2020-01", periods=MONTHS, freq="MS").to_numpy(),
        },
    )
    return dw.Panel.from_dataset(data, twin)


def _twin(falls: dict[str, Any]) -> dw.Twin:
    return dw.Twin(
        twin="rollout",
        panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "coaching": {
                "domain": "quality",
                "assigned": {"how": "phased", "column": "coaching"},
            },
            "days": {"domain": "context"},
            "falls": {"domain": "outcome", "pooling": ["home", "period"], **falls},
        },
    )


def normal(rng: np.random.Generator, apart: float = 0.0, drift: float = 0.0) -> Made:
    """Normal falls; homes that begin are ``apart`` from the rest, and drift by so much a month."""
    twin = _twin({"family": "normal", "plausible": [-3.3, 3.3], "causes": {"coaching": {}}})
    starts, _, effect = _starts()
    begins = (starts < NEVER)[:, None]
    falls = (
        rng.normal(0, 1, (HOMES, 1))
        + rng.normal(0, 0.3, (1, MONTHS))
        + rng.normal(0, 1, (HOMES, MONTHS))
        + (apart + drift * np.arange(MONTHS)) * begins
        + effect
    )
    return _panel(twin, starts, falls=falls, days=np.ones_like(falls)), starts, effect


def counts(rng: np.random.Generator) -> Made:
    """Falls per exposure that answer to last month's; the effect is what coaching did to them.

    The same homes are run with and without coaching, on the same uniform numbers.
    """
    from scipy import stats

    twin = _twin(
        {
            "family": "poisson",
            "exposure": "days",
            "plausible": [1.0, 8.0],
            "causes": {"log1p(falls[-1])": {}, "coaching": {}},
        }
    )
    starts, _, effect = _starts()
    days = np.round(rng.uniform(1, 3, (HOMES, 1)) * np.ones((1, MONTHS)), 1)
    level = np.log(2.5) + rng.normal(0, 0.3, (HOMES, 1)) + rng.normal(0, 0.1, (1, MONTHS + 20))
    uniform = rng.random((HOMES, MONTHS + 20))
    both = []
    for moved in (effect, np.zeros_like(effect)):
        last, made = np.full(HOMES, 5.0), []
        for t in range(MONTHS + 20):
            log = level[:, t] + 0.2 * np.log1p(last)
            log = log + (moved[:, t - 20] if t >= 20 else 0.0)
            last = stats.poisson.ppf(uniform[:, t], days[:, 0] * np.exp(log))
            made.append(last)
        both.append(np.stack(made[20:], axis=1))
    return _panel(twin, starts, falls=both[0], days=days), starts, both[0] - both[1]


def _true(panel: dw.Panel, gap: np.ndarray, mask: np.ndarray, rate: bool) -> float:
    days = panel.values("days")
    return float(gap[mask].sum() / days[mask].sum()) if rate else float(gap[mask].mean())


def replicate(make: Callable[[np.random.Generator], Made], seed: int, rate: bool) -> dict[str, Any]:
    """Ask one roll-out, and compare with the truth.

    Of counts, what would have been is known on one coupling only; the effect on these homes is
    then one draw of what the interval is about, as it should be.
    """
    panel, starts, gap = make(np.random.default_rng(seed))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = dw.fit(panel.twin, panel, draws=400, chains=2, seed=seed, progress=False)
        pilot = fit.pilot("coaching", on="falls", seed=seed)
        check = pilot.pre_period(LEADS)
    begun = np.arange(MONTHS)[None, :] >= starts[:, None]
    row = pilot.summary().iloc[0]
    true = _true(panel, gap, begun, rate)
    table = pilot.summary(["cohort", "since"])
    labels, cells = panel.period_labels, []
    for one in table.to_dict("records"):
        start = labels.index(one["cohort"])
        mask = np.zeros_like(begun)
        mask[starts == start, start + int(one["since"])] = True
        cells.append(one["5%"] < _true(panel, gap, mask, rate) < one["95%"])
    x = begun.astype(float)
    y = panel.values("falls") / (panel.values("days") if rate else 1.0)
    within = x - x.mean(1, keepdims=True) - x.mean(0) + x.mean()
    return {
        "held": bool(row["5%"] < true < row["95%"]),
        "cells": float(np.mean(cells)),
        "error": float(row["mean"] - true),
        "width": float(row["95%"] - row["5%"]),
        "fixed_effects": float((within * y).sum() / (within**2).sum() - true),
        "contradicted": check.contradicted(),
        "power": check.power(DRIFT, "drift"),
    }


#: A drift that the check before the start is to see.
DRIFT = 0.12
CASES: dict[str, tuple[Callable[[np.random.Generator], Made], bool]] = {
    "normal": (normal, False),
    "normal, homes that begin 1.5 apart": (lambda rng: normal(rng, apart=1.5), False),
    "counts per exposure with a lag": (counts, True),
    f"normal, homes that begin drift by {DRIFT}": (lambda rng: normal(rng, drift=DRIFT), False),
}


def main() -> None:
    """Run all cases and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="100 replicates a case instead of 20")
    count = 100 if parser.parse_args().full else 20
    found: dict[str, Any] = {"replicates": count, "cases": {}}
    lines = [
        "# Pilots against known truths",
        "",
        f"{count} roll-outs a case; 90 % intervals; standard errors in brackets. Made by "
        "`python -m benchmarks.pilots --full`.",
        "",
        "| case | interval of the whole held | of cohort and month held | mean error | "
        "mean width | error of fixed effects | contradicted before the start | power said |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, (make, rate) in CASES.items():
        rows = pd.DataFrame([replicate(make, 1000 + seed, rate) for seed in range(count)])
        means, errors = rows.astype(float).mean(), rows.astype(float).std() / np.sqrt(count)
        found["cases"][name] = {k: [float(means[k]), float(errors[k])] for k in rows}
        cells = [f"{means[k]:.3f} ({errors[k]:.3f})" for k in rows]
        lines.append("| " + " | ".join([name, *cells]) + " |")
        print(lines[-1], flush=True)
    (RESULTS / "pilots.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    (RESULTS / "pilots.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
