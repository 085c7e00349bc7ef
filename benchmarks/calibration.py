"""Is the deterministic engine calibrated where it certifies? Simulation-based calibration.

Truth is drawn from the priors, a panel is simulated from it, and each mechanism is fitted by the
deterministic engine alone. Among the certified fits the rank of the truth among independent
posterior draws is uniform if the engine draws from the posterior (Talts et al. 2018, arXiv
1804.06788). The rank of each parameter is tested over replicates; the smallest of all p-values is
held to a Bonferroni bound, so that the whole table has one chance in a hundred to be wrong about a
sound engine. Each replicate is kept in out/calibration, so that a run that was stopped goes on
where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import dotwin as dw

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
#: Posterior draws that the truth is ranked among.
RANKED = 199
DRAWS = 2000
INTERVAL = 0.9
#: The whole table's chance of blaming a sound engine.
LEVEL = 0.01

COMMON = {"intercept": "normal(0, 0.5)"}
FAMILIES: dict[str, dict[str, Any]] = {
    "negative_binomial": {"family": "negative_binomial", "priors": {"intercept": "normal(1, 0.5)"}},
    "poisson": {"family": "poisson", "priors": {"intercept": "normal(0.5, 0.5)"}},
    "binomial": {"family": "binomial", "trials": "visits", "priors": COMMON},
    "bernoulli": {"family": "bernoulli", "priors": COMMON},
    "beta_binomial": {"family": "beta_binomial", "trials": "visits", "priors": COMMON},
    "normal": {"family": "normal", "plausible": [-3, 3]},
    "gamma": {"family": "gamma", "priors": COMMON},
    "beta": {
        "family": "beta",
        "priors": {**COMMON, "dispersion": "lognormal(-1, 0.4)"},
    },
}
DESIGNS: dict[str, dict[str, Any]] = {
    "nested": {"pooling": ["region", "provider"], "causes": {"staff": {}}},
    "crossed": {"pooling": ["provider", "period"], "causes": {"staff": {}}},
    "slopes": {"pooling": ["region"], "causes": {"staff": {"varying": ["region"]}}},
}
UNITS = {"region": 6, "provider": 24}
PERIODS = 6


def twin_of(family: str, design: str) -> Any:
    """Build the twin of a family and a design."""
    one = {"domain": "quality", **FAMILIES[family], **DESIGNS[design]}
    indicators: dict[str, Any] = {
        "staff": {"domain": "workforce", "simulated_as": "normal(0, 1)", "plausible": [-1.6, 1.6]}
    }
    if "trials" in one:
        indicators["visits"] = {
            "domain": "demand",
            "family": "poisson",
            "priors": {"intercept": "normal(2.5, 0.1)"},
        }
    indicators["outcome"] = one
    return dw.Twin(
        twin="calibration",
        panel={
            "unit": "provider",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators=indicators,
    )


def replicate(family: str, design: str, seed: int) -> dict[str, Any]:
    """Simulate one panel, fit its outcome, and rank the truth."""
    from dotwin.inference.components import components_of
    from dotwin.inference.deterministic import DeterministicEngine
    from dotwin.inference.engine import Declined, Settings
    from dotwin.mechanisms.parameters import parameters

    twin = twin_of(family, design)
    panel = twin.simulate_panel(units=UNITS, periods=PERIODS, seed=seed)
    component = next(c for c in components_of(twin, panel) if c.name == "outcome")
    began = time.process_time()
    try:
        drawn = DeterministicEngine().sample(
            component, Settings(DRAWS, 0, 1, seed), lambda share, words: None
        )
    except Declined as declined:
        return {"declined": declined.reason, "seconds": time.process_time() - began}
    (fitted,) = component.designs
    listed = parameters(fitted.equation, fitted.reference, fitted.group_names, fitted.period_names)
    picked = np.linspace(0, DRAWS - 1, RANKED).astype(int)
    ranks, inside = {}, {}
    for one in listed:
        stated = panel.truth[one.name]
        for dim, names in zip(one.dims, one.coords, strict=True):
            stated = stated.sel({dim: list(names)})
        truth = stated.transpose(*one.dims).values.reshape(-1)
        draws = drawn.posterior[one.name][0].reshape(DRAWS, -1)
        low, high = np.quantile(draws, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2], axis=0)
        # Of many groups the first and the last stand for the others.
        for i in sorted({0, truth.size - 1}):
            name = f"{one.name}[{i}]" if truth.size > 1 else one.name
            ranks[name] = int((draws[picked, i] < truth[i]).sum())
            inside[name] = bool(low[i] <= truth[i] <= high[i])
    assert drawn.certificate is not None
    return {
        "ranks": ranks,
        "inside": inside,
        "seconds": time.process_time() - began,
        "k_hat": drawn.certificate.k_hat,
        "efficiency": drawn.certificate.efficiency,
        "quadrature_error": drawn.certificate.quadrature_error,
    }


def kept(job: tuple[str, str, int, Path]) -> dict[str, Any]:
    """Return a replicate's result, computed unless it is on disk."""
    family, design, seed, folder = job
    path = folder / f"{family}-{design}-{seed}.json"
    if not path.exists():
        found = {"family": family, "design": design, **replicate(family, design, seed)}
        part = path.with_suffix(f".{os.getpid()}.part")
        part.write_text(json.dumps(found), encoding="utf-8")
        part.rename(path)
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return result


def p_of(ranks: np.ndarray, rng: np.random.Generator) -> float:
    """Test ranks for uniformity; within a rank the truth lies anywhere."""
    spread = (ranks + rng.random(ranks.size)) / (RANKED + 1)
    return float(stats.kstest(spread, "uniform").pvalue)


def summarise(results: list[dict[str, Any]]) -> pd.DataFrame:
    """Test every parameter of every family and design."""
    rng = np.random.default_rng(0)
    rows = []
    frame = pd.DataFrame([(r["family"], r["design"], r) for r in results])
    for (family, design), group in frame.groupby([0, 1], sort=False):
        every = list(group[2])
        good = [r for r in every if "ranks" in r]
        names = list(good[0]["ranks"]) if good else []
        tests = {n: p_of(np.array([r["ranks"][n] for r in good]), rng) for n in names}
        inside = [v for r in good for v in r["inside"].values()]
        rows.append(
            {
                "family": family,
                "design": design,
                "replicates": len(every),
                "certified": len(good),
                "parameters": len(names),
                "coverage": float(np.mean(inside)) if inside else np.nan,
                "smallest_p": min(tests.values(), default=np.nan),
                "of": min(tests, key=lambda n: tests[n], default=""),
                "efficiency": float(np.median([r["efficiency"] for r in good] or [np.nan])),
                "seconds": float(np.median([r["seconds"] for r in every])),
                "declined": sorted(
                    {r["declined"].split(" (")[0] for r in every if "declined" in r}
                ),
            }
        )
    return pd.DataFrame(rows)


def as_markdown(table: pd.DataFrame, about: dict[str, Any]) -> str:
    """Write the summary as a table with what it rests on."""
    verdict = "is above" if about["smallest_p"] > about["bound"] else "**is below**"
    lines = [
        "# Calibration of the deterministic engine",
        "",
        f"{about['replicates']} panels of {UNITS['provider']} providers in {UNITS['region']} "
        f"regions over {PERIODS} months per family and design, truth from the priors; "
        f"{about['certified']:,} of {about['fits']:,} fits were certified. The smallest of "
        f"{about['tests']} p-values of uniform ranks is {about['smallest_p']:.2g} and {verdict} "
        f"{about['bound']:.2g}, its bound at {LEVEL:.0%}.",
        "",
        "| family | design | certified | 90 % intervals hold | smallest p | efficiency | CPU s |",
        "|---|---|--:|--:|--:|--:|--:|",
    ]
    for row in table.itertuples():
        lines.append(
            f"| {row.family} | {row.design} | {row.certified} of {row.replicates} | "
            f"{row.coverage:.1%} | {row.smallest_p:.3f} | {row.efficiency:.2f} | "
            f"{row.seconds:.2f} |"
        )
    said = [part for cell in table["declined"] for whole in cell for part in whole.split("; ")]
    found = [reason.partition(" (")[0] for reason in said]
    reasons = sorted(set(found))
    if reasons:
        lines += ["", f"Reasons for declining: {'; '.join(reasons)}."]
    lines += ["", ", ".join(f"{name} {number}" for name, number in about["versions"].items()), ""]
    return "\n".join(lines)


def main() -> None:
    """Run what is not there yet, and write the summary of what is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicates", type=int, default=500)
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "calibration")
    chosen = parser.parse_args()
    settings = [FAMILIES, DESIGNS, UNITS, PERIODS, DRAWS, RANKED]
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]
    folder = chosen.out / digest
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        (family, design, seed, folder)
        for seed in range(1, chosen.replicates + 1)
        for family in chosen.families
        for design in chosen.designs
    ]
    with ProcessPoolExecutor(chosen.processes) as pool:
        results = list(pool.map(kept, jobs, chunksize=4))
    table = summarise(results)
    tests = int(table["parameters"].sum())
    about = {
        "replicates": chosen.replicates,
        "fits": len(results),
        "certified": int(table["certified"].sum()),
        "tests": tests,
        "bound": LEVEL / max(tests, 1),
        "smallest_p": float(table["smallest_p"].min()),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("dotwin", "numpy", "numba", "scipy")},
        },
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    content = {**about, "cells": table.to_dict("records")}
    (RESULTS / "calibration.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    text = as_markdown(table, about)
    (RESULTS / "calibration.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
