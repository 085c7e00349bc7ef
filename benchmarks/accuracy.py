"""Does the deterministic engine agree with long chains? Every parameter of many mechanisms.

Each mechanism is drawn by the deterministic engine and by four long chains of No-U-turn sampling.
Means, logs of standard deviations and 5 and 95 % quantiles are compared in units of their Monte
Carlo error (parameters that are positive on their logarithms); a mechanism passes when the largest
of all these differences is below the bound that a sound engine exceeds once in a hundred runs of
the whole table. Where the engine declines, the table says so. Three further panels show that the
certificate says no where an importance sample would have been wrong. Chains are kept in
out/accuracy, so that a run that was stopped goes on where it was.

    python -m benchmarks.accuracy
"""

from __future__ import annotations

import argparse
import hashlib
import json
import platform
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

import dotwin as dw

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
CHAINS = 4
#: Independent draws of the deterministic engine.
DRAWS = 8000
#: The whole table's chance of blaming a sound engine.
LEVEL = 0.01
STATISTICS = ("mean", "log sd", "5 %", "95 %")

Floats = NDArray[np.float64]

UNITS = {"region": 8, "provider": 80}
PERIODS = {"dense": 16, "sparse": 3, "rare": 6}
NESTED: dict[str, Any] = {"pooling": ["region", "provider"], "causes": {"staff": {}}}
INFLATED = {"as": "inflated", "pooling": ["region"], "priors": {"intercept": "normal(-1, 0.3)"}}
#: Family, what goes with it, and what the intercept is like in each kind of panel.
SIMULATED: dict[str, tuple[dict[str, Any], dict[str, float]]] = {
    "negative binomial": (
        {"family": "negative_binomial", **NESTED},
        {"dense": 1.5, "sparse": 1.0, "rare": -2.0},
    ),
    "binomial, period shocks": (
        {
            "family": "binomial",
            "trials": "visits",
            "pooling": ["provider", "period"],
            "causes": {"staff": {}},
        },
        {"dense": -1.0, "rare": -4.5},
    ),
    "bernoulli": ({"family": "bernoulli", **NESTED}, {"sparse": 0.0, "rare": -3.5}),
    "beta-binomial, slopes": (
        {
            "family": "beta_binomial",
            "trials": "visits",
            "pooling": ["region"],
            "causes": {"staff": {"varying": ["region"]}},
        },
        {"dense": -1.0, "sparse": -1.0},
    ),
    "normal, slopes": (
        {
            "family": "normal",
            "plausible": [-3, 3],
            "pooling": ["provider"],
            "causes": {"staff": {"varying": ["region"]}},
        },
        {"sparse": 0.0},
    ),
    "student t of at least 0": (
        {"family": "student_t", "plausible": [0.1, 3], "at_least": 0, **NESTED},
        {"dense": 1.0, "sparse": 1.0},
    ),
    "normal of at least 0": (
        {"family": "normal", "plausible": [0.1, 3], "at_least": 0, **NESTED},
        {"dense": 1.0, "sparse": 1.0},
    ),
    "ordinal": (
        {"family": "ordinal", "categories": ["none", "some", "harm"], **NESTED},
        {"dense": 0.0, "sparse": 0.0},
    ),
    "poisson, zeros inflated": (
        {"family": "poisson", "zeros": INFLATED, **NESTED},
        {"dense": 1.0, "sparse": 1.0, "rare": -1.0},
    ),
    "negative binomial, zeros inflated": (
        {"family": "negative_binomial", "zeros": INFLATED, **NESTED},
        {"dense": 1.5},
    ),
    "gamma, hurdle": (
        {"family": "gamma", "zeros": {"as": "hurdle", "pooling": ["region"]}, **NESTED},
        {"dense": 0.0},
    ),
}
REAL = {"nursing_home_quarters": "home_quarters.csv.gz", "nursing_home_outcomes": "homes.csv.gz"}
#: Kept and discarded draws of each chain of simulated and of real panels.
LENGTHS = {"real": (1000, 400)}
LENGTH, WARMUP = 2000, 500
#: Chains with more divergent draws than this are no reference.
DIVERGING = 8
#: A truncated Student's t costs much per evaluation.
SHORTER = {"nursing_home_quarters: rn_hprd": (500, 300)}


@dataclass(frozen=True)
class Case:
    """One mechanism on one panel."""

    name: str
    kind: str
    component: Any


def simulated(wanted: Callable[[str], bool]) -> Iterator[Case]:
    """Build the simulated panels, their truth from the priors."""
    from dotwin.inference.components import components_of

    for name, (fields, kinds) in SIMULATED.items():
        for kind, middle in kinds.items():
            if not wanted(f"{name}, {kind}"):
                continue
            one = {"domain": "quality", **fields}
            if one["family"] != "ordinal":
                one["priors"] = {"intercept": f"normal({middle}, 0.3)"}
            staff = {"simulated_as": "normal(0, 1)", "plausible": [-1.6, 1.6]}
            indicators: dict[str, Any] = {"staff": {"domain": "workforce", **staff}}
            if "trials" in one:
                expected = {"priors": {"intercept": "normal(2.5, 0.1)"}}
                indicators["visits"] = {"domain": "demand", "family": "poisson", **expected}
            twin = dw.Twin(
                twin="accuracy",
                panel={
                    "unit": "provider",
                    "levels": ["region"],
                    "period": {"column": "month", "frequency": "month"},
                },
                indicators={**indicators, "outcome": one},
            )
            panel = twin.simulate_panel(units=UNITS, periods=PERIODS[kind], seed=1)
            found = next(c for c in components_of(twin, panel) if c.name == "outcome")
            yield Case(f"{name}, {kind}", kind, found)


def real(folder: Path, wanted: Callable[[str], bool]) -> Iterator[Case]:
    """Read the nursing-home twins' mechanisms, all rows."""
    from dotwin.inference.components import components_of

    for model, table in REAL.items():
        twin = dw.read_twin(model)
        panel = dw.read_panel(pd.read_csv(folder / table, dtype={"ccn": str}), twin)
        for component in components_of(twin, panel):
            if wanted(f"{model}: {component.name}"):
                yield Case(f"{model}: {component.name}", "real", component)


def silent(share: float, words: str) -> None:
    """Show no progress."""


def flat(posterior: dict[str, Floats]) -> tuple[list[str], Floats]:
    """Lay all elements side by side, dims (chain, draw, element), positive ones as logarithms."""
    names, columns = [], []
    for name, values in posterior.items():
        wide = values.reshape(*values.shape[:2], -1)
        last = name.rpartition(".")[2]
        if last.startswith("sd_") or last in ("dispersion", "residual_sd", "nu"):
            wide = np.log(wide)
        names += [name if wide.shape[2] == 1 else f"{name}[{i}]" for i in range(wide.shape[2])]
        columns.append(wide)
    return names, np.concatenate(columns, axis=2)


def statistics(draws: Floats) -> tuple[Floats, Floats]:
    """Return the statistics of each element and their errors, dims (statistic, element)."""
    from arviz_stats.base.array import array_stats

    def error(**how: Any) -> Floats:
        return np.asarray(array_stats.mcse(draws, chain_axis=0, draw_axis=1, **how))

    sd = draws.std(axis=(0, 1))
    low, high = np.quantile(draws, [0.05, 0.95], axis=(0, 1))
    with np.errstate(divide="ignore", invalid="ignore"):
        values = np.array([draws.mean(axis=(0, 1)), np.log(sd), low, high])
        errors = np.array(
            [
                error(method="mean"),
                error(method="sd") / sd,
                error(method="quantile", prob=0.05),
                error(method="quantile", prob=0.95),
            ]
        )
    return values, errors


def reference(case: Case, folder: Path) -> dict[str, Any]:
    """Return the statistics of long chains, computed unless they are on disk."""
    from arviz_stats.base.array import array_stats

    from dotwin.inference.engine import Settings
    from dotwin.inference.nuts import NutsEngine
    from dotwin.inference.schedule import content_hash

    length = LENGTHS.get(case.kind, (LENGTH, WARMUP))
    draws, tune = SHORTER.get(case.name, length)
    settings = Settings(draws, tune, CHAINS, 1)
    digest = hashlib.sha256(content_hash(case.component, settings, "nuts").encode()).hexdigest()
    path = folder / f"{digest[:16]}.npz"
    if not path.exists():
        began = time.process_time()
        drawn = NutsEngine(cores=1).sample(case.component, settings, silent)
        seconds = time.process_time() - began
        names, whole = flat(dict(drawn.posterior))
        values, errors = statistics(whole)
        rhat = np.asarray(array_stats.rhat(whole, chain_axis=0, draw_axis=1))
        part = path.with_suffix(".part.npz")
        np.savez(
            part,
            names=names,
            values=values,
            errors=errors,
            sd=whole.std(axis=(0, 1)),
            rhat=rhat,
            seconds=seconds,
            diverging=drawn.statistics["diverging"].sum(),
        )
        part.rename(path)
    with np.load(path) as stored:
        return {name: stored[name] for name in stored.files}


def compare(case: Case, folder: Path) -> dict[str, Any]:
    """Compare the deterministic engine with the reference."""
    from dotwin.inference.deterministic import DeterministicEngine
    from dotwin.inference.engine import Declined, Settings

    theirs = reference(case, folder)
    found: dict[str, Any] = {
        "case": case.name,
        "kind": case.kind,
        "rows": case.component.designs[0].rows,
        "parameters": len(theirs["names"]),
        "nuts_seconds": round(float(theirs["seconds"]), 1),
        "rhat": round(float(np.nanmax(theirs["rhat"])), 4),
        "diverging": int(theirs["diverging"]),
    }
    engine = DeterministicEngine()
    refused = engine.refusal(case.component)
    if refused is not None:
        return {**found, "declined": refused}
    began = time.process_time()
    try:
        drawn = engine.sample(case.component, Settings(DRAWS // CHAINS, 0, CHAINS, 1), silent)
    except Declined as declined:
        spent = round(time.process_time() - began, 1)
        return {**found, "declined": declined.reason, "seconds": spent}
    assert drawn.certificate is not None
    found["seconds"] = round(time.process_time() - began, 1)
    found["k_hat"] = round(drawn.certificate.k_hat, 2)
    found["efficiency"] = round(drawn.certificate.efficiency, 2)
    names, ours = flat({name: drawn.posterior[name] for name in drawn.posterior})
    order = {name: i for i, name in enumerate(names)}
    ours = ours[:, :, [order[name] for name in theirs["names"]]]
    values, errors = statistics(ours)
    # Draws are resampled from fewer effective ones.
    errors = errors * np.sqrt(1.0 + DRAWS / drawn.certificate.importance_ess)
    moving = theirs["sd"] > 0
    away = (values - theirs["values"])[:, moving]
    z = away / np.sqrt(errors**2 + theirs["errors"] ** 2)[:, moving]
    sd = theirs["sd"][moving]
    at = np.unravel_index(np.abs(z).argmax(), z.shape)
    found["tests"] = int(z.size)
    found["largest_z"] = round(float(np.abs(z).max()), 2)
    found["of"] = f"{STATISTICS[at[0]]} of {theirs['names'][moving][at[1]]}"
    found["rms_z"] = round(float(np.sqrt((z**2).mean())), 2)
    found["mean_shift"] = round(float(np.abs(away[0] / sd).max()), 3)
    found["sd_ratio"] = [round(float(np.exp(x)), 3) for x in (away[1].min(), away[1].max())]
    found["quantile_shift"] = round(float(np.abs(away[2:] / sd).max()), 3)
    return found


def caught() -> list[dict[str, Any]]:
    """Show what an importance sample says where the certificate does not hold."""
    from scipy.interpolate import PchipInterpolator

    from dotwin.inference.deterministic.profile import Axis, Transform
    from dotwin.inference.deterministic.proposal import build_proposal
    from dotwin.inference.deterministic.search import find_mode, starts_of
    from dotwin.inference.deterministic.solve import marginal_of, solve, weigh
    from tests.inference.deterministic import hard

    found = []
    problem = hard.problem_of(hard.far_apart())
    coarse = marginal_of(problem, 1)
    mode = find_mode(coarse)
    fine = solve(problem, 4000, np.random.default_rng(1))
    said = solve(problem, 4000, np.random.default_rng(1), nodes=1, most_nodes=1).certificate
    exact = fine.h[:, problem.inner_sd]
    right = find_mode(marginal_of(problem, 31)).peak.h[problem.inner_sd]
    shift = (mode.peak.h[problem.inner_sd] - right) / exact.std()
    found.append(
        {
            "panel": "yes or no of 100 providers that differ much, one node",
            "k_hat": round(said.k_hat, 2),
            "wrong": f"the log of the providers' spread peaks {shift:+.2f} sd off",
            "said": "; ".join(said.failures),
        }
    )
    problem = hard.problem_of(hard.two_modes())
    marginal = marginal_of(problem)
    one = find_mode(marginal, starts_of(marginal)[:1])
    marginal.prepare(one.peak)
    taus = np.array([-1.0, 0.0, 1.0])
    curve = PchipInterpolator(taus, one.peak.h[0] + taus)
    near = Transform((Axis(curve, curve.derivative(), 1.0),))
    proposal = build_proposal(marginal, one, near)
    assert proposal is not None
    sample = proposal.draw(2000, np.random.default_rng(1))
    weights, k_hat = weigh(sample.log_weight)
    grid = np.arange(-16.0, 1.5, 0.05)
    heights = np.array([marginal.peak(np.array([h]), None).log_density for h in grid])
    density = np.exp(heights - heights.max())
    between = (grid > -5.0) & (grid < -1.5)
    valley = grid[between][density[between].argmin()]
    beyond = density[grid > valley].sum() / density.sum()
    seen = weights[sample.h[:, 0] > valley].sum()
    found.append(
        {
            "panel": "48 counts under a prior with two modes, searched from one start",
            "k_hat": round(k_hat, 2),
            "wrong": f"{beyond:.0%} of the mass lies about the other mode, {seen:.0%} of the draws",
            "said": "; ".join(solve(problem, 2000, np.random.default_rng(1)).certificate.failures),
        }
    )
    said = solve(hard.problem_of(hard.separated()), 2000, np.random.default_rng(1)).certificate
    found.append(
        {
            "panel": "a cause that divides yes from no, under a prior like Cauchy's",
            "k_hat": round(said.k_hat, 2),
            "wrong": f"the proposal misses the tail (efficiency {said.efficiency:.2f})",
            "said": "; ".join(said.failures),
        }
    )
    return found


def as_markdown(content: dict[str, Any]) -> str:
    """Write the comparison as tables with what they rest on."""
    rows = content["cases"]
    drawn = [r for r in rows if "largest_z" in r]
    judged = [r for r in drawn if r["judged"]]
    passed = sum(r["passes"] for r in judged)
    lines = [
        "# Accuracy of the deterministic engine",
        "",
        f"{len(drawn)} of {len(rows)} mechanisms are certified. For {len(judged)} of them chains "
        f"are a reference (at most {DIVERGING} of their draws diverge), and {passed} agree: the "
        f"largest of all differences (means, logs of sds, 5 and 95 % quantiles of every "
        f"parameter) in units of their Monte Carlo error is "
        f"{max((r['largest_z'] for r in judged), default=float('nan')):.2f}, and a sound engine "
        f"exceeds {content['bound']:.2f} once in a hundred runs. Shifts are in posterior sds and "
        "hold the chains' own error.",
        "",
        "| mechanism | rows | parameters | largest z | rms z | largest shift of a mean | "
        "sd ratios | of a quantile | efficiency | CPU s | chains' CPU s | R-hat |",
        "|---|--:|--:|--:|--:|--:|---|--:|--:|--:|--:|--:|",
    ]
    for r in drawn:
        mark = "" if r["passes"] else " **(no)**"
        if not r["judged"]:
            mark = f" ({r['diverging']} divergent)"
        lines.append(
            f"| {r['case']} | {r['rows']:,} | {r['parameters']:,} | {r['largest_z']:.2f}{mark} | "
            f"{r['rms_z']:.2f} | {r['mean_shift']:.3f} | {r['sd_ratio'][0]:.3f} to "
            f"{r['sd_ratio'][1]:.3f} | {r['quantile_shift']:.3f} | {r['efficiency']:.2f} | "
            f"{r['seconds']:.1f} | {r['nuts_seconds']:.0f} | {r['rhat']:.3f} |"
        )
    left = [r for r in rows if "declined" in r]
    if left:
        lines += ["", "Declined, and left to chains:", ""]
        lines += [f"- {r['case']}: {r['declined']}" for r in left]
    lines += [
        "",
        "Panels where an importance sample is wrong and the certificate says so:",
        "",
        "| panel | k-hat | what is wrong | the certificate |",
        "|---|--:|---|---|",
    ]
    for r in content["caught"]:
        lines.append(f"| {r['panel']} | {r['k_hat']:.2f} | {r['wrong']} | {r['said']} |")
    lines += ["", ", ".join(f"{name} {n}" for name, n in content["versions"].items()), ""]
    return "\n".join(lines)


def main() -> None:
    """Run what is not there yet, and write the comparison of what is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, help="folder of the nursing-home tables")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "accuracy")
    parser.add_argument("--only", nargs="+", help="mechanisms whose names hold one of these")
    parser.add_argument("--references", action="store_true", help="draw the chains and stop")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)

    def wanted(name: str) -> bool:
        return chosen.only is None or any(part in name for part in chosen.only)

    cases = [*simulated(wanted), *(real(chosen.data, wanted) if chosen.data else ())]
    rows = []
    for case in cases:
        if chosen.references:
            theirs = reference(case, chosen.out)
            about = f"{theirs['seconds']:.1f} s, R-hat {np.nanmax(theirs['rhat']):.4f}"
        else:
            rows.append(compare(case, chosen.out))
            about = json.dumps(rows[-1])
        print(case.name, about, flush=True)
    if chosen.references:
        return
    tests = sum(r.get("tests", 0) for r in rows)
    bound = float(stats.norm.isf(0.5 * LEVEL / max(tests, 1)))
    for r in rows:
        if "largest_z" in r:
            r["judged"] = r["diverging"] <= DIVERGING
            r["passes"] = r["largest_z"] < bound
    content = {
        "tests": tests,
        "bound": round(bound, 2),
        "draws": DRAWS,
        "chains": [CHAINS, WARMUP, LENGTH],
        "cases": rows,
        "caught": caught(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("dotwin", "numpy", "numba", "nutpie")},
        },
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "accuracy.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    text = as_markdown(content)
    (RESULTS / "accuracy.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
