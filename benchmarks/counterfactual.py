"""Are counterfactuals calibrated? Worlds with known noise, whose noise is then hidden.

For each family a world is x -> m -> y and x -> y: m is normal, y is of the family. Both worlds of
each unit, at its own x and at another, come from the same noise, by NumPy and SciPy alone. The
model is shown x and y, and m of every second unit; it is asked for m where it is hidden and for
what y would have been at the other x. If noise and missing facts are abducted rightly, the
randomised PIT of the hidden values is uniform: its ECDF lies inside the simultaneous 99 % band.

The same is asked where the truth is *not* monotone: units that sit high in one world sit low in the
other. There the answers of single units are wrong, although averages are right; no data can tell
the two apart. And with less evidence: where the fact itself is hidden, the answer is the
interventional distribution.

    python benchmarks/counterfactual.py
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from scipy import special, stats

from dotwin.inference import Fit
from dotwin.mechanisms import build_design
from dotwin.panel import Panel
from dotwin.spec import Scenario, Twin, do

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
#: What x is in the other world.
OTHER = 1.0
M_SD, A, B = 0.8, 0.7, 0.5
Quantile = Callable[[Any, Any], Any]


@dataclass(frozen=True)
class Case:
    """A family: how it is declared, its parameters, and its quantile function at a predictor."""

    declared: Mapping[str, Any]
    parameters: Mapping[str, Any]
    quantile: Quantile
    intercept: float = 0.0
    givens: Mapping[str, float] = field(default_factory=dict)


def _discrete(distribution: Any) -> Quantile:
    """The smallest count whose distribution function reaches u."""
    return lambda u, eta: np.asarray(distribution(eta).ppf(u), dtype=float)


def _hurdle_gamma(u: Any, eta: Any) -> Any:
    none = special.expit(-0.5)
    inner = np.clip((u - none) / (1 - none), 1e-15, 1 - 1e-15)
    return np.where(u <= none, 0.0, stats.gamma(2.0, scale=np.exp(eta) / 2.0).ppf(inner))


def _inflated(u: Any, eta: Any) -> Any:
    none = special.expit(-1.0)
    inner = np.clip((u - none) / (1 - none), 0.0, 1.0)
    return np.where(u <= none, 0.0, stats.poisson(np.exp(eta)).ppf(inner))


def _ordinal(u: Any, eta: Any) -> Any:
    latent = eta + special.logit(u)
    return (latent[..., None] > np.array([-1.0, 0.0, 1.5])).sum(axis=-1).astype(float)


CASES: dict[str, Case] = {
    "normal": Case(
        {"family": "normal"}, {"residual_sd": 0.6}, lambda u, eta: eta + 0.6 * special.ndtri(u)
    ),
    "student_t": Case(
        {"family": "student_t"},
        {"residual_sd": 0.5, "nu": 4.0},
        lambda u, eta: eta + 0.5 * stats.t(4.0).ppf(u),
    ),
    "lognormal": Case(
        {"family": "lognormal"},
        {"residual_sd": 0.5},
        lambda u, eta: np.exp(eta + 0.5 * special.ndtri(u)),
    ),
    "gamma": Case(
        {"family": "gamma"},
        {"dispersion": 3.0},
        lambda u, eta: stats.gamma(3.0, scale=np.exp(eta) / 3.0).ppf(u),
    ),
    "beta": Case(
        {"family": "beta"},
        {"dispersion": 8.0},
        lambda u, eta: stats.beta(8 * special.expit(eta), 8 * special.expit(-eta)).ppf(u),
    ),
    "bernoulli": Case(
        {"family": "bernoulli"}, {}, lambda u, eta: (u > special.expit(-eta)).astype(float)
    ),
    "binomial": Case(
        {"family": "binomial", "trials": "n"},
        {},
        _discrete(lambda eta: stats.binom(12, special.expit(eta))),
        givens={"n": 12.0},
    ),
    "beta_binomial": Case(
        {"family": "beta_binomial", "trials": "n"},
        {"dispersion": 6.0},
        _discrete(lambda eta: stats.betabinom(12, 6 * special.expit(eta), 6 * special.expit(-eta))),
        givens={"n": 12.0},
    ),
    "poisson": Case(
        {"family": "poisson"}, {}, _discrete(lambda eta: stats.poisson(np.exp(eta))), 1.0
    ),
    "negative_binomial": Case(
        {"family": "negative_binomial"},
        {"dispersion": 3.0},
        _discrete(lambda eta: stats.nbinom(3.0, 3.0 / (3.0 + np.exp(eta)))),
        1.0,
    ),
    "ordinal": Case(
        {"family": "ordinal", "categories": ["none", "some", "much", "all"]},
        {"cutpoints": [-1.0, 0.0, 1.5]},
        _ordinal,
    ),
    "zero-inflated poisson": Case(
        {"family": "poisson", "zeros": "inflated"}, {"zeros.intercept": -1.0}, _inflated, 1.0
    ),
    "hurdle gamma": Case(
        {"family": "gamma", "zeros": "hurdle"},
        {"dispersion": 2.0, "zeros.intercept": -0.5},
        _hurdle_gamma,
    ),
}


def twin_of(case: Case) -> Twin:
    """Declare x -> m -> y and x -> y, y of the family."""
    natural = {"scale": "natural"}
    given = {name: {"domain": "demand", "plausible": [1, 20]} for name in case.givens}
    return Twin(
        twin="calibration",
        panel={"unit": "unit"},
        indicators={
            **given,
            "x": {
                "domain": "context",
                "plausible": [-1, 1],
                "unconfounded": "drawn by the simulation",
            },
            "m": {
                "domain": "quality",
                "family": "normal",
                "plausible": [-1, 1],
                "causes": {"x": natural},
            },
            "y": {"domain": "outcome", "causes": {"x": natural, "m": natural}, **case.declared},
        },
    )


def fit_of(case: Case, x: Any, m: Any, y: Any, draws: int) -> Fit:
    """Fit nothing: a fit whose draws all have the true parameters."""
    twin = twin_of(case)
    count = len(x)
    arrays = {"x": x, "m": m, "y": y} | {
        name: np.full(count, value) for name, value in case.givens.items()
    }
    data = xr.Dataset(
        {
            name: (("unit", "period"), np.asarray(values)[:, None])
            for name, values in arrays.items()
        },
        coords={"unit": [f"u{i:05d}" for i in range(count)], "period": [0]},
    )
    panel = Panel.from_dataset(data, twin)
    design = build_design(twin, "y", panel)
    centres = np.array([design.reference.factors[name][0] for name in ("x", "m")])
    slopes = np.array([A, B])
    values = {
        "m.intercept": [0.0], "m.causes": [[1.0]], "m.residual_sd": [M_SD],
        "y.causes": [slopes],
        **{f"y.{name}": [value] for name, value in case.parameters.items()},
    }  # fmt: skip
    if case.declared["family"] != "ordinal":
        values["y.intercept"] = [case.intercept + slopes @ centres]
    else:
        values["y.cutpoints"] = [np.asarray(case.parameters["cutpoints"]) - slopes @ centres]
    repeated = {k: np.repeat(np.asarray(v, dtype=float), draws, axis=0) for k, v in values.items()}
    return Fit.from_parameters(twin, panel, repeated)


def worlds_of(
    case: Case, worlds: int, seed: int, coupling: str = "monotone"
) -> dict[str, np.ndarray]:
    """Make both worlds of each unit from one noise, by NumPy and SciPy alone."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.7, worlds)
    own = rng.normal(0, 1, worlds)
    u = rng.uniform(size=worlds)
    m = x + M_SD * own
    m_other = OTHER + M_SD * own
    y = case.quantile(u, case.intercept + A * x + B * m)
    at_other = u if coupling == "monotone" else 1.0 - u
    y_other = case.quantile(at_other, case.intercept + A * OTHER + B * m_other)
    return {"x": x, "m": m, "y": y, "m_other": m_other, "y_other": y_other}


def pit_of(
    name: str,
    worlds: int,
    seed: int,
    draws: int = 199,
    coupling: str = "monotone",
    hide: str = "half of m",
) -> dict[str, np.ndarray]:
    """Return the randomised PIT of what was hidden: m, and y in the other world."""
    case = CASES[name]
    truth = worlds_of(case, worlds, seed, coupling)
    hidden = np.arange(worlds) % 2 == 0
    m, y = truth["m"].copy(), truth["y"].copy()
    m[hidden] = np.nan
    if hide == "y too":
        y[np.arange(worlds) % 4 == 0] = np.nan
    fit = fit_of(case, truth["x"], m, y, draws)
    other = Scenario("other", [do("x", OTHER)])
    answer = fit.counterfactual(other, seed=seed, draws=draws, on=["m", "y"])
    rng = np.random.default_rng([seed, 1])
    return {
        "y would have been": _pit(answer.values["y"][1][:, :, 0], truth["y_other"], rng),
        "m was": _pit(answer.values["m"][0][:, hidden, 0], truth["m"][hidden], rng),
    }


def _pit(draws: np.ndarray, truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Rank each truth among its draws, ties (and rounding) broken at random."""
    near = np.isclose(draws, truth, rtol=1e-9, atol=1e-12)
    below = ((draws < truth) & ~near).sum(axis=0)
    return (below + rng.uniform(size=truth.size) * (near.sum(axis=0) + 1)) / (len(draws) + 1)


def band(count: int, level: float = 0.99) -> float:
    """Half-width of the simultaneous band of an ECDF (Massart 1990, doi 10.1214/aop/1176990746)."""
    return float(np.sqrt(np.log(2.0 / (1.0 - level)) / (2.0 * count)))


def distance(pit: np.ndarray) -> float:
    """Largest distance of the ECDF of PIT values from the diagonal."""
    return float(stats.kstest(pit, "uniform").statistic)


def measured(worlds: int, draws: int) -> list[dict[str, Any]]:
    """Calibrate every family, then two cases that must fail or differ."""
    rows = []
    plans = [(name, "monotone", "half of m") for name in CASES]
    plans += [(name, "monotone", "y too") for name in ("normal", "poisson", "beta")]
    plans += [(name, "reversed", "half of m") for name in ("normal", "poisson", "bernoulli")]
    for seed, (name, coupling, hide) in enumerate(plans, start=2000):
        begun = time.process_time()
        found = pit_of(name, worlds, seed, draws, coupling, hide)
        for what, pit in found.items():
            rows.append(
                {
                    "family": name,
                    "truth": coupling,
                    "hidden": "half of m" if hide == "half of m" else "half of m, a quarter of y",
                    "asked": what,
                    "worlds": int(pit.size),
                    "distance": round(distance(pit), 4),
                    "cpu_seconds": round(time.process_time() - begun, 1),
                }
            )
        print(rows[-2], rows[-1], sep="\n", flush=True)
    return rows


def judged(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Add the 99 % band of each row alone, and the one that holds for all rows together."""
    for row in rows:
        row["band"] = round(band(row["worlds"]), 4)
        row["band_of_all"] = round(band(row["worlds"], 1.0 - 0.01 / len(rows)), 4)
        row["inside"] = bool(row["distance"] <= row["band_of_all"])
    return rows


def table_of(rows: list[dict[str, Any]]) -> str:
    """Write the results as Markdown."""
    asked = [row for row in rows if row["truth"] == "monotone"]
    alone = sum(row["distance"] > row["band"] for row in asked)
    lines = [
        "# Counterfactual calibration",
        "",
        "Written by `benchmarks/counterfactual.py`. Largest distance from the diagonal of the ECDF",
        "of the randomised PIT of what was hidden, and simultaneous 99 % bands: of the row alone,",
        "and of all rows together, by which it is judged. Where the truth is `reversed`, a unit",
        "that is high in one world is low in the other: the monotone coupling is wrong there,",
        "which no data show, and the answers for single units are wrong.",
        "",
        f"Of {len(asked)} rows with a monotone truth, {alone} lie outside the band of the row",
        f"alone; {0.01 * len(asked):.1f} would by chance.",
        "",
        "| family | truth | hidden | asked | worlds | distance | band | of all rows | inside |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        inside = "yes" if row["inside"] else "**no**"
        cells = [row[k] for k in ("family", "truth", "hidden", "asked", "worlds")]
        cells += [f"{row[k]:.3f}" for k in ("distance", "band", "band_of_all")]
        lines.append(f"| {' | '.join(map(str, [*cells, inside]))} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Calibrate, and write the results beside the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=4000)
    parser.add_argument("--draws", type=int, default=99)
    asked = parser.parse_args()
    rows = judged(measured(asked.worlds, asked.draws))
    RESULTS.mkdir(parents=True, exist_ok=True)
    written = json.dumps({"rows": rows}, indent=1) + "\n"
    (RESULTS / "counterfactual.json").write_text(written, encoding="utf-8")
    (RESULTS / "counterfactual.md").write_text(table_of(rows), encoding="utf-8")


if __name__ == "__main__":
    main()
