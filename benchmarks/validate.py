"""Are intervals honest? Panels with known truth from the priors, fitted, and their truth looked up.

The truth of each panel is drawn from the priors of the workforce-pressure twin, the panel is
simulated from it, and the twin is fitted to the panel. If simulation and inference mean the same
model, 90 % intervals hold the truth in 90 % of cases, and the rank of the truth among posterior
draws is uniform (Cook, Gelman and Rubin 2006, doi 10.1198/106186006X136976; Talts et al. 2018,
arXiv 1804.06788). Each panel's result is kept in out/recovery, so that a run that was stopped goes
on where it was.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dotwin as dw
from dotwin.errors import ConvergenceWarning

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MODEL = "workforce_pressure"
UNITS = {"region": 6, "provider": 60}
PERIODS = 24
#: Posterior draws that the truth is ranked among: few enough to be nearly independent.
RANKED = 19
#: Bins of the rank histogram.
BINS = 10
INTERVAL = 0.9
#: Panels of the committed run.
FULL = 50


def kind_of(name: str, term: str) -> str:
    """Say what kind of parameter it is, in the words of the documentation."""
    last = name.rpartition(".")[2]
    if last == "causes":
        head = term.partition(":")[0] if ":" in term else ""
        if head in ("between", "initial"):
            return head
        if term.startswith("season"):
            return "season"
        own = name.partition(".")[0]
        return "persistence" if f"{own}[-1]" in term else "cause"
    if last.startswith("sd_"):
        return {"sd_period": "period sd"}.get(last, "slope sd" if "slope" in last else "group sd")
    if last.startswith("slope_"):
        return "slopes of groups"
    if last in ("region", "provider", "period"):
        return f"effects of {last}s"
    return last


def ranks_of(fit: Any, truth: Any) -> pd.DataFrame:
    """Look every parameter's truth up in its posterior.

    Parameters
    ----------
    fit : Fit
    truth : Dataset

    Returns
    -------
    DataFrame
        A row per element of a parameter: kind, parameter, truth, whether the interval holds it,
        its rank among thinned draws, how many sds it lies from the posterior mean.
    """
    values = fit.draws().values
    picked = np.linspace(0, fit.n_draws - 1, RANKED).astype(int)
    tail = (1.0 - INTERVAL) / 2.0
    rows: list[dict[str, Any]] = []
    for child in fit.designs:
        for one in fit.parameters(child):
            stated = truth[one.name]
            for dim, names in zip(one.dims, one.coords, strict=True):
                stated = stated.sel({dim: list(names)})
            flat = stated.transpose(*one.dims).values.reshape(-1)
            draws = values[one.name].reshape(fit.n_draws, -1)
            low, high = np.quantile(draws, [tail, 1.0 - tail], axis=0)
            terms = one.coords[0] if one.name.endswith(".causes") else [""] * flat.size
            for i in range(flat.size):
                if draws[:, i].std() == 0.0:
                    continue
                rows.append(
                    {
                        "kind": kind_of(one.name, str(terms[i])),
                        "parameter": f"{one.name}[{terms[i]}]" if terms[i] else one.name,
                        "truth": float(flat[i]),
                        "inside": bool(low[i] <= flat[i] <= high[i]),
                        "rank": int((draws[picked, i] < flat[i]).sum()),
                        "z": float((flat[i] - draws[:, i].mean()) / draws[:, i].std()),
                    }
                )
    return pd.DataFrame(rows)


def recover(
    twin: Any,
    seed: int,
    *,
    draws: int,
    tune: int,
    chains: int,
    units: dict[str, int] | None = None,
    periods: int = PERIODS,
) -> dict[str, Any]:
    """Simulate one panel, fit it, and look its truth up."""
    began = time.perf_counter()
    panel = twin.simulate_panel(units=units or UNITS, periods=periods, seed=seed)
    simulated = time.perf_counter() - began
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fit = dw.fit(
            twin,
            panel,
            draws=draws,
            tune=tune,
            chains=chains,
            seed=seed,
            progress=False,
        )
    table = fit.diagnose().table
    found = ranks_of(fit, panel.truth)
    return {
        "seed": seed,
        "seconds": round(time.perf_counter() - began, 1),
        "seconds_simulating": round(simulated, 1),
        "mechanisms": len(table),
        "certified": int((table["verdict"] == "certified").sum()),
        "ess_bulk": float(table["ess_bulk"].min()),
        "divergent": int(table["divergent"].sum()),
        "rows": found.to_dict("list"),
    }


def summarise(panels: list[dict[str, Any]]) -> pd.DataFrame:
    """Pool coverage and ranks per kind of parameter, with errors clustered by panel."""
    from scipy import stats

    parts = [pd.DataFrame(one["rows"]).assign(panel=one["seed"]) for one in panels]
    rows = pd.concat(parts, ignore_index=True)
    count = len(panels)
    result = []
    for kind, group in [("all but effects", rows), *rows.groupby("kind", sort=True)]:
        if kind == "all but effects":
            group = rows[~rows["kind"].str.contains("effects|slopes")]
        coverage = float(group["inside"].mean())
        by_panel = group.groupby("panel")["inside"].agg(["sum", "size"])
        excess = by_panel["sum"] - coverage * by_panel["size"]
        clustered = np.sqrt((excess**2).sum() * count / max(count - 1, 1)) / len(group)
        independent = np.sqrt(INTERVAL * (1.0 - INTERVAL) / len(group))
        # Panels share no randomness; parameters of one panel may.
        error = max(float(clustered), float(independent))
        reach = float(stats.t.ppf(0.995, max(count - 1, 1))) * error
        edges = np.linspace(-0.5, RANKED + 0.5, BINS + 1)
        counts, _ = np.histogram(group["rank"], edges)
        expected = len(group) / BINS
        chi2 = float(((counts - expected) ** 2 / expected).sum())
        result.append(
            {
                "kind": str(kind),
                "parameters": len(group),
                "coverage": coverage,
                "band_low": INTERVAL - reach,
                "band_high": INTERVAL + reach,
                "within_band": bool(abs(coverage - INTERVAL) <= reach),
                "rank_chi2": chi2,
                "rank_p": float(stats.chi2.sf(chi2, BINS - 1)),
                "mean_z": float(group["z"].mean()),
                "sd_z": float(group["z"].std()),
            }
        )
    return pd.DataFrame(result)


def as_markdown(table: pd.DataFrame, about: dict[str, Any]) -> str:
    """Write the summary as a table with what it rests on."""
    lines = [
        "# Parameter recovery",
        "",
        f"{about['panels']} panels of `{MODEL}` with {UNITS['provider']} providers in "
        f"{UNITS['region']} regions over {PERIODS} months, truth drawn from the priors; seeds "
        f"{about['seeds'][0]} to {about['seeds'][-1]}; {about['chains']} chains of "
        f"{about['draws']} draws by the default engine: {about['certified']:,} of "
        f"{about['mechanisms']:,} mechanisms are certified without chains, the others are drawn "
        f"by chains after {about['tune']} more. Smallest effective number of draws: median "
        f"{about['ess_median']:.0f} over panels.",
        "",
        "| kind | parameters | 90 % intervals hold | 99 % band around 90 % | within | rank p |",
        "|---|--:|--:|--:|---|--:|",
    ]
    for row in table.itertuples():
        lines.append(
            f"| {row.kind} | {row.parameters:,} | {row.coverage:.1%} | {row.band_low:.1%} to "
            f"{row.band_high:.1%} | {'yes' if row.within_band else '**no**'} | {row.rank_p:.3f} |"
        )
    lines += ["", ", ".join(f"{name} {number}" for name, number in about["versions"].items()), ""]
    return "\n".join(lines)


def main() -> None:
    """Run what is not there yet, and write the summary of what is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the committed run, into the results")
    parser.add_argument("--panels", type=int, default=20, help="unless the run is the full one")
    parser.add_argument("--first-seed", type=int, default=1)
    parser.add_argument("--draws", type=int, default=500)
    parser.add_argument("--tune", type=int, default=500)
    parser.add_argument("--chains", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "recovery")
    chosen = parser.parse_args()
    panels_wanted = FULL if chosen.full else chosen.panels
    results = RESULTS if chosen.full else chosen.out
    twin = dw.read_twin(MODEL)
    settings = [twin.to_yaml(), UNITS, PERIODS, chosen.draws, chosen.tune, chosen.chains]
    digest = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:12]
    folder = chosen.out / digest
    folder.mkdir(parents=True, exist_ok=True)
    panels = []
    for seed in range(chosen.first_seed, chosen.first_seed + panels_wanted):
        path = folder / f"{seed}.json"
        if not path.exists():
            found = recover(twin, seed, draws=chosen.draws, tune=chosen.tune, chains=chosen.chains)
            part = path.with_suffix(".part")
            part.write_text(json.dumps(found), encoding="utf-8")
            part.rename(path)
            print(
                f"panel {seed}: {found['seconds']:.0f} s, {found['certified']} of "
                f"{found['mechanisms']} certified, "
                f"{np.mean(found['rows']['inside']):.1%} inside",
                flush=True,
            )
        panels.append(json.loads(path.read_text(encoding="utf-8")))
    table = summarise(panels)
    about = {
        "panels": len(panels),
        "seeds": [one["seed"] for one in panels],
        "draws": chosen.draws,
        "tune": chosen.tune,
        "chains": chosen.chains,
        "mechanisms": sum(one["mechanisms"] for one in panels),
        "certified": sum(one["certified"] for one in panels),
        "ess_median": float(np.median([one["ess_bulk"] for one in panels])),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("dotwin", "numpy", "numba", "nutpie", "pymc")},
        },
    }
    results.mkdir(parents=True, exist_ok=True)
    content = {**about, "kinds": table.to_dict("records")}
    (results / "recovery.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    text = as_markdown(table, about)
    (results / "recovery.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
