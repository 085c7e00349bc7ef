"""Forecasts of real nursing homes, against their own history and that of their state.

The last quarter and a tenth of the homes are held back. The twin of nursing-home quarters is
fitted to the rest and forecasts the last quarter twice: for the homes that it has seen, from their
last state; and for the homes that it has never seen, from their last state too, with effects drawn
from the spread of the others. Both are given the inputs of the last quarter (beds, ownership).

Rivals have the indicator's own kind: a negative binomial for counts, a gamma with zeros apart for
hours, around each home's own mean, or around its state's, with one dispersion learnt from the same
quarters.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dotwin as dw
from dotwin.errors import ConvergenceWarning
from dotwin.worlds.baselines import Baseline, History, baseline, history_of
from dotwin.worlds.forecasts import forecasts, planned
from dotwin.worlds.scores import clustered_mean, crps, pit, uniform_distance

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MODEL = "nursing_home_quarters"
HELD_BACK = 0.1
WELL_COVERED = (0.75, 0.85)


def read(folder: Path, states: list[str]) -> pd.DataFrame:
    """Read the table of homes and quarters, of some states or all."""
    table = pd.read_csv(folder / "home_quarters.csv.gz", dtype={"ccn": str})
    return table[table["state"].isin(states)] if states else table


def rivals(name: str, panel: Any, cut: int) -> dict[str, Baseline]:
    """Make the rival forecasts of the last quarter for every home of the panel."""
    one = panel.twin.indicators[name]
    values = panel.values(name)[:, :cut].astype(float)
    # Rivals of counts out of recorded trials or days would need these ahead; here none has them.
    history: History = history_of(one, values, None, None)
    if name == "rn_hprd":
        history = replace(history, kind="gamma")
    codes, _ = panel.groups("state")
    return {
        "own mean": baseline(history, "own history", 1),
        "state mean": baseline(replace(history, groups=codes.astype(np.intp)), "own history", 1),
    }


def scored(what: str, run: Any, panel: Any, cut: int, seed: int) -> Iterator[pd.DataFrame]:
    """Score the twin and its rivals on the same homes."""
    values, density = forecasts(run, panel, cut, 1)
    ids = [str(unit) for unit in panel.units]
    place = {unit: i for i, unit in enumerate(ids)}
    rows = np.array([place[unit] for unit in run.start.members.units])
    rng = np.random.default_rng(seed)
    for name, draws in values.items():
        observed = panel.values(name)[:, cut].astype(float)
        cases = np.isfinite(observed[rows]) & panel.data["present"].values[rows, cut]
        at = rows[cases]
        own, y = draws[:, cases, 0].astype(float), observed[at]
        exact = y.astype(np.float32).astype(float)
        about = {"forecast": what, "indicator": name, "home": np.array(ids, dtype=object)[at]}
        yield pd.DataFrame(
            {
                **about,
                "method": "twin",
                "log_score": density[name][cases, 0],
                "crps": crps(own, exact),
                "pit": pit(own, exact, rng.random(y.size)),
            }
        )
        for method, other in rivals(name, panel, cut).items():
            with np.errstate(all="ignore"):
                logs = other.log_density(np.where(np.isfinite(observed), observed, 1.0))[at]
            drawn = other.sample(rng, own.shape[0])[:, at]
            yield pd.DataFrame(
                {
                    **about,
                    "method": method,
                    "log_score": logs,
                    "crps": crps(drawn, y),
                    "pit": pit(drawn, y, rng.random(y.size)),
                }
            )


def summarise(scores: pd.DataFrame) -> pd.DataFrame:
    """Mean scores with errors clustered by home, and what the twin gains on the same homes."""
    keys = ["forecast", "indicator"]
    own = scores[scores["method"] == "twin"].set_index([*keys, "home"])["log_score"]
    result = []
    for (what, name, method), part in scores.groupby([*keys, "method"], sort=False):
        homes = pd.factorize(part["home"])[0]
        logs, logs_error = clustered_mean(part["log_score"].to_numpy(), homes)
        held = (np.abs(part["pit"] - 0.5) <= 0.4).to_numpy(dtype=float)
        coverage, coverage_error = clustered_mean(held, homes)
        twin = own.reindex(pd.MultiIndex.from_frame(part[[*keys, "home"]])).to_numpy()
        with np.errstate(invalid="ignore"):
            gain, gain_error = clustered_mean(twin - part["log_score"].to_numpy(), homes)
        result.append(
            {
                "forecast": what,
                "indicator": name,
                "method": method,
                "homes": len(part),
                "log_score": logs,
                "log_score_se": logs_error,
                "crps": float(part["crps"].mean()),
                "coverage_80": coverage,
                "coverage_80_se": coverage_error,
                "pit_distance": uniform_distance(part["pit"].to_numpy()),
                "calibrated": bool(WELL_COVERED[0] <= coverage <= WELL_COVERED[1]),
                "gain_of_twin": gain,
                "gain_se": gain_error,
            }
        )
    return pd.DataFrame(result)


def as_markdown(table: pd.DataFrame, about: dict[str, Any]) -> str:
    """Write the summary as a table with what it rests on."""
    lines = [
        "# Forecasts of real nursing homes",
        "",
        f"Quarter {about['quarter']}, held back, of {about['seen']:,} homes that the twin has seen "
        f"and {about['unseen']:,} that it has not (seed {about['seed']}), in "
        f"{about['states'] or 'all states'}; {about['chains']} chains of {about['draws']} draws. "
        f"Log score: larger is better; the gain is the twin's over the method, ± one standard "
        f"error. Central 80 % intervals should hold 75 to 85 %.",
        "",
        "| forecast | indicator | method | homes | log score | gain of twin | CRPS | 80 % hold |",
        "|---|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in table.itertuples():
        gain = "" if row.method == "twin" else f"{row.gain_of_twin:+.3f} ± {row.gain_se:.3f}"
        lines.append(
            f"| {row.forecast} | {row.indicator} | {row.method} | {row.homes:,} | "
            f"{row.log_score:.3f} | {gain} | {row.crps:.4g} | {row.coverage_80:.1%} |"
        )
    lines += ["", about["verdict"], ""]
    lines += [", ".join(f"{name} {number}" for name, number in about["versions"].items()), ""]
    return "\n".join(lines)


def main() -> None:
    """Fit, forecast, score, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=None, help="folder of home_quarters.csv.gz")
    parser.add_argument("--states", default="", help="such as ME,NH,VT; all unless given")
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--tune", type=int, default=1000)
    parser.add_argument("--chains", type=int, default=4)
    parser.add_argument("--simulated", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    beside = Path(os.environ.get("DOTWIN_DATA", ROOT.parent / "shared" / "data"))
    folder = chosen.data or beside / "cms_nursing_homes"
    states = [state for state in chosen.states.split(",") if state]
    twin = dw.read_twin(MODEL)
    panel = dw.read_panel(read(folder, states), twin)
    cut = len(panel.period_labels) - 1
    # A home is held back by its own id, so that a sample of states holds back the same homes.
    share = [
        int(hashlib.blake2s(f"{chosen.seed}/{unit}".encode(), digest_size=4).hexdigest(), 16)
        / 2**32
        for unit in panel.units
    ]
    unseen = np.array(share) < HELD_BACK
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = dw.fit(
            twin,
            panel.select(units=~unseen, periods=slice(0, cut)),
            draws=chosen.draws,
            tune=chosen.tune,
            chains=chosen.chains,
            seed=chosen.seed,
            engine="nuts",
            cache=ROOT / "out" / "real_forecasts",
        )
    seconds = time.perf_counter() - began
    print(fit.diagnose().sentence, flush=True)
    parts = []
    for what, mask in (("one quarter ahead", ~unseen), ("new homes", unseen)):
        start = panel.select(units=mask, periods=slice(0, cut))
        # `forecasts` looks up what came later by the rows of the panel that it starts from.
        later = panel.select(units=mask)
        run = planned(fit, later, cut, 1, chosen.simulated, chosen.seed, start)
        parts += list(scored(what, run, later, cut, chosen.seed))
    table = summarise(pd.concat(parts, ignore_index=True))
    own = table[table["method"] == "twin"]
    rival = table[table["method"] != "twin"]
    better = int((rival["gain_of_twin"] > 0).sum())
    verdict = (
        f"The twin is calibrated in {int(own['calibrated'].sum())} of {len(own)} forecasts and has "
        f"the larger log score in {better} of {len(rival)} comparisons."
    )
    about = {
        "quarter": panel.period_labels[cut],
        "states": ", ".join(states),
        "seen": int((~unseen).sum()),
        "unseen": int(unseen.sum()),
        "seed": chosen.seed,
        "draws": chosen.draws,
        "chains": chosen.chains,
        "seconds_fitting": round(seconds, 1),
        "diagnosis": fit.diagnose().sentence,
        "verdict": verdict,
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("dotwin", "numpy", "numba", "nutpie", "pymc")},
        },
    }
    chosen.results.mkdir(parents=True, exist_ok=True)
    content = {**about, "scores": table.to_dict("records")}
    path = chosen.results / "real_forecasts.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    text = as_markdown(table, about)
    (chosen.results / "real_forecasts.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
