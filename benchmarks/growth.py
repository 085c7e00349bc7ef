"""How cost grows: from 100 to 50,000 providers, and from 4 to 64 mechanisms.

Each size is fitted in a process of its own on kernels that are compiled already. Counted are CPU
seconds of all threads from a table in memory to a posterior with its diagnosis, and the process's
largest memory. `speed_page.py` makes the table, and the slope of the logarithms: 1 is linear.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from measure import kept, run

ROOT = Path(__file__).resolve().parents[1]
OUT = ROOT / "out" / "peers"
PROVIDERS = (100, 300, 1_000, 3_000, 10_000, 30_000, 50_000)
MECHANISMS = (4, 8, 16, 32, 64)
#: Providers where mechanisms grow, regions, months, and draws kept.
FEW, REGIONS, PERIODS, DRAWS = 60, 20, 24, 1000
#: CPU seconds that one size may take.
LIMIT = 600


def table_of(providers: int, mechanisms: int, seed: int = 1) -> pd.DataFrame:
    """Simulate a table of normal, binomial, negative-binomial and gamma outcomes in turn."""
    rng = np.random.default_rng(seed)
    rows = providers * PERIODS
    provider = np.repeat(np.arange(providers), PERIODS)
    region = provider % REGIONS
    x = rng.normal(2.0, 1.0, rows)
    frame: dict[str, Any] = {
        "provider": np.char.add("p", provider.astype(str)),
        "region": np.char.add("r", region.astype(str)),
        "month": np.tile(pd.date_range("2020-01-01", periods=PERIODS, freq="MS"), providers),
        "x": x,
        "trials": rng.poisson(40.0, rows) + 1,
    }
    for k in range(mechanisms):
        eta = 0.2 * (x - 2.0) + 0.2 * rng.standard_normal(REGIONS)[region]
        eta += 0.3 * rng.standard_normal(providers)[provider]
        match k % 4:
            case 0:
                y = 10.0 + 4.0 * eta + 2.0 * rng.standard_normal(rows)
            case 1:
                y = rng.binomial(frame["trials"], 1.0 / (1.0 + np.exp(2.0 - eta)))
            case 2:
                y = rng.negative_binomial(4.0, 4.0 / (4.0 + np.exp(1.8 + eta)))
            case _:
                y = rng.gamma(8.0, np.exp(4.0 + eta) / 8.0)
        frame[f"y{k}"] = y
    return pd.DataFrame(frame)


def twin_of(mechanisms: int) -> Any:
    import dotwin as dw

    families = ("normal", "binomial", "negative_binomial", "gamma")
    ranges = ([2, 18], [0.02, 0.4], [2, 20], [20, 120])
    outcomes: dict[str, Any] = {}
    for k in range(mechanisms):
        outcomes[f"y{k}"] = {
            "domain": "outcome",
            "family": families[k % 4],
            "plausible": ranges[k % 4],
            "pooling": ["region", "provider"],
            "causes": {"x": {"because": "the benchmark's own equation"}},
        }
        if k % 4 == 1:
            outcomes[f"y{k}"]["trials"] = "trials"
    return dw.Twin(
        twin="growing",
        panel={
            "unit": "provider",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators={
            "x": {"domain": "context", "plausible": [0, 4]},
            "trials": {"domain": "demand", "plausible": [30, 50]},
            **outcomes,
        },
    )


def child(providers: int, mechanisms: int) -> None:
    """Fit one size and print what each step took."""
    warnings.simplefilter("ignore")
    frame = table_of(providers, mechanisms)
    import dotwin as dw

    steps: dict[str, Any] = {}

    def lap(name: str, began: tuple[float, float]) -> tuple[float, float]:
        now = time.process_time(), time.perf_counter()
        steps[f"cpu seconds, {name}"] = round(now[0] - began[0], 3)
        steps[f"wall seconds, {name}"] = round(now[1] - began[1], 3)
        return now

    began = start = time.process_time(), time.perf_counter()
    twin = twin_of(mechanisms)
    panel = dw.read_panel(frame, twin)
    began = lap("reading", began)
    fit = dw.fit(twin, panel, draws=DRAWS // 2, chains=2, seed=1, progress=False)
    lap("fitting", began)
    lap("all", start)
    table = fit.diagnose().table
    steps["engines"] = sorted({engine for engine, _ in fit.engines.values()})
    steps["ess"] = float(table["ess_bulk"].min())
    print(json.dumps(steps))


def measured(providers: int, mechanisms: int) -> dict[str, Any]:
    sizes = {"providers": providers, "mechanisms": mechanisms, "rows": providers * PERIODS}

    def make() -> dict[str, Any]:
        command = [sys.executable, "growth.py", "--child", str(providers), str(mechanisms)]
        found, said = run(command, OUT / "caches" / "growth", LIMIT)
        steps = json.loads(said.splitlines()[-1]) if "not finished" not in found else {}
        return {**sizes, **found, **steps}

    return kept(f"growth-{providers}-{mechanisms}", OUT / "measured", make)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, type=int, metavar=("PROVIDERS", "MECHANISMS"))
    parser.add_argument("--providers", nargs="*", type=int, default=PROVIDERS)
    parser.add_argument("--mechanisms", nargs="*", type=int, default=MECHANISMS)
    chosen = parser.parse_args()
    if chosen.child:
        child(*chosen.child)
        return
    measured(FEW, 4)  # whatever is compiled once is compiled here
    for n in chosen.providers:
        measured(n, 4)
    for n in chosen.mechanisms:
        measured(FEW, n)


if __name__ == "__main__":
    main()
