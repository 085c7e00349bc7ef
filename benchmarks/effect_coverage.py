"""Do intervals of effects hold the truth where treatment acts on what confounds it later?

Homes give hours by the need of their residents, need answers to last month's hours, and both act on
falls: need is a reason for hours and a result of them. Each made-up panel has parameters of its
own, drawn from the priors, and is written by NumPy alone; the truth of each effect is the average
of many futures of that panel's homes, simulated by NumPy with its true parameters and home effects.
Exact posteriors of exact effects hold the truth in 90 % of panels.

For comparison the same posterior without the feedback: the effect in the first month, which is what
adjusting for need as it is leaves, taken for that in the last one.

    python benchmarks/effect_coverage.py --seed 1 --panels 160   # and 11 and 12, of 150 each
    python benchmarks/effect_coverage.py --panels 0              # the results of all that were run
"""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import dotwin as dw
from dotwin.errors import ConvergenceWarning

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
#: Where panels are kept until all are there, a file per seed.
KEPT = ROOT / "out" / "effect_coverage"
HOMES, MONTHS, HORIZON = 40, 12, 6
#: Futures per home that the truth is averaged over, the same noise in both worlds.
FUTURES = 4000
CONTRAST = (0.0, 1.0)
#: Of intervals.
LEVEL = 0.9
#: Centre 0 and sd 1, so that coefficients are in the table's own units.
STANDARD = [-1.645, 1.645]
#: By what draws from them are made: mean and sd, or for spreads the sd of a half-normal.
PRIORS = {
    "need": {"intercept": (0.0, 0.2), "need[-1]": (0.5, 0.1), "hours[-1]": (-0.4, 0.1)},
    "hours": {"intercept": (0.0, 0.2), "hours[-1]": (0.4, 0.1), "need": (0.4, 0.1)},
    "falls": {"intercept": (1.0, 0.3), "hours": (-0.2, 0.1), "need": (0.4, 0.1)},
}
HOME_SD, RESIDUAL_SD, CLUMPING = 0.4, 0.8, 0.5


def twin() -> dw.Twin:
    """Declare the mechanisms with the priors that panels are drawn from."""

    def causes(child: str, **more: Any) -> dict[str, Any]:
        own = {name: at for name, at in PRIORS[child].items() if name != "intercept"}
        return {
            name: {"prior": f"normal({at[0]}, {at[1]})", "scale": "natural", **more}
            for name, at in own.items()
        }

    def priors(child: str, **more: float) -> dict[str, str]:
        mean, sd = PRIORS[child]["intercept"]
        spreads = {name: f"half_normal({at})" for name, at in more.items()}
        return {"intercept": f"normal({mean}, {sd})", **spreads}

    normal = {"family": "normal", "plausible": STANDARD}
    return dw.Twin(
        twin="homes",
        panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "need": {
                "domain": "demand",
                **normal,
                "causes": causes("need"),
                "priors": priors("need", residual_sd=RESIDUAL_SD),
            },
            "hours": {
                "domain": "workforce",
                **normal,
                "causes": causes("hours"),
                "priors": priors("hours", residual_sd=RESIDUAL_SD),
            },
            "falls": {
                "domain": "safeguarding",
                "family": "negative_binomial",
                "plausible": [0, 12],
                "pooling": ["home"],
                "causes": causes("falls", between="same"),
                "priors": priors("falls", home=HOME_SD, dispersion=CLUMPING),
            },
        },
    )


class System:
    """One system: parameters from the priors, and homes."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.of = {
            child: {name: rng.normal(*at) for name, at in own.items()}
            for child, own in PRIORS.items()
        }
        self.noise = {name: abs(rng.normal(0.0, RESIDUAL_SD)) for name in ("need", "hours")}
        self.size = 1.0 / rng.normal(0.0, CLUMPING) ** 2
        self.home = abs(rng.normal(0.0, HOME_SD)) * rng.standard_normal(HOMES)

    def need(self, need: Any, hours: Any, noise: Any) -> Any:
        of = self.of["need"]
        mean = of["intercept"] + of["need[-1]"] * need + of["hours[-1]"] * hours
        return mean + self.noise["need"] * noise

    def hours(self, hours: Any, need: Any, noise: Any) -> Any:
        of = self.of["hours"]
        mean = of["intercept"] + of["hours[-1]"] * hours + of["need"] * need
        return mean + self.noise["hours"] * noise

    def falls(self, hours: Any, need: Any) -> Any:
        """Return the expected falls."""
        of = self.of["falls"]
        return np.exp(of["intercept"] + of["hours"] * hours + of["need"] * need + self.home)

    def panel(self) -> pd.DataFrame:
        """Write a panel, after months that nobody sees; keep where it ends."""
        need, hours, rows = np.zeros(HOMES), np.zeros(HOMES), []
        months = pd.period_range("2024-01", periods=MONTHS, freq="M").astype(str)
        for t in range(-20, MONTHS):
            need = self.need(need, hours, self.rng.standard_normal(HOMES))
            hours = self.hours(hours, need, self.rng.standard_normal(HOMES))
            if t < 0:
                continue
            mean = self.falls(hours, need)
            falls = self.rng.poisson(mean * self.rng.gamma(self.size, 1.0 / self.size, HOMES))
            columns = {"need": need, "hours": hours, "falls": falls}
            homes = [f"h{i:02d}" for i in range(HOMES)]
            rows.append(pd.DataFrame({"home": homes, "month": months[t], **columns}))
        self.last = need, hours
        return pd.concat(rows, ignore_index=True)

    def truth(self, once: bool) -> Any:
        """Return the effect by month: the average over homes and futures of expected falls."""
        z = self.rng.standard_normal((2, HORIZON, FUTURES, HOMES))
        worlds = []
        for value in CONTRAST:
            need, hours = self.last
            found = []
            for t in range(HORIZON):
                need = self.need(need, hours, z[0, t])
                is_set = t == 0 or not once
                hours = np.full(need.shape, value) if is_set else self.hours(hours, need, z[1, t])
                found.append(self.falls(hours, need).mean())
            worlds.append(np.array(found))
        return worlds[1] - worlds[0]


def asked(fit: Any, system: System) -> dict[str, tuple[Any, float]]:
    """Return draws and truth of each quantity."""
    found: dict[str, tuple[Any, float]] = {}
    for hold in ("throughout", "once"):
        effect = fit.effect(
            "hours", on="falls", contrast=CONTRAST, horizon=HORIZON, hold=hold, replicates=20
        )
        truth = system.truth(once=hold == "once")
        draws = effect.draws["difference"].stack(sample=("chain", "draw")).values
        together = effect.cumulative().draws["difference"].isel(period=-1).values.ravel()
        found[f"{hold}, in month 1"] = draws[0], truth[0]
        found[f"{hold}, in month {HORIZON}"] = draws[-1], truth[-1]
        found[f"{hold}, over {HORIZON} months"] = together, truth.sum()
        if hold == "throughout":
            found[f"need held as it is, in month {HORIZON}"] = draws[0], truth[-1]
    return found


def studied(panels: int, seed: int) -> Iterator[dict[str, tuple[float, ...]]]:
    """Fit so many panels; yield of each quantity the error, the truth's rank, the sd, the truth."""
    model = twin()
    for number in range(panels):
        system = System(np.random.default_rng([seed, number]))
        panel = dw.read_panel(system.panel(), model)
        fit = dw.fit(model, panel, draws=250, seed=number + 1, progress=False)
        if not fit.diagnose().converged:
            raise RuntimeError(f"panel {number} of seed {seed}: {fit.diagnose().sentence}")
        yield {
            name: tuple(
                map(
                    float,
                    (
                        (draws.mean() - truth) / draws.std(),
                        (draws < truth).mean(),
                        draws.std(),
                        truth,
                    ),
                )
            )
            for name, (draws, truth) in asked(fit, system).items()
        }


def pooled(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Summarise panels."""
    effects = {}
    for name in rows[0]:
        apart, rank, sd, truth = np.array([row[name] for row in rows]).T
        inside = np.abs(rank - 0.5) <= 0.5 * LEVEL
        effects[name] = {
            "coverage": round(float(inside.mean()), 3),
            "mean error in posterior sds": round(float(apart.mean()), 2),
            "rms error in posterior sds": round(float(np.sqrt((apart**2).mean())), 2),
            "mean rank of the truth": round(float(rank.mean()), 3),
            "mean posterior sd": round(float(sd.mean()), 3),
            "mean truth": round(float(truth.mean()), 3),
        }
    return {
        "panels": len(rows),
        "homes": HOMES,
        "months": MONTHS,
        "level": LEVEL,
        "standard error": round(float(np.sqrt(LEVEL * (1 - LEVEL) / len(rows))), 3),
        "effects": effects,
    }


def written(found: dict[str, Any]) -> str:
    """Return the page of results."""
    head = "| effect of an hour more | coverage | mean error, sds | rms error, sds | mean truth |"
    lines = [
        f"| {name} | {one['coverage']:.1%} | {one['mean error in posterior sds']:.2f} | "
        f"{one['rms error in posterior sds']:.2f} | {one['mean truth']:.2f} |"
        for name, one in found["effects"].items()
    ]
    return (
        f"# Coverage of effects\n\nWritten by `benchmarks/effect_coverage.py`: {found['panels']} "
        f"panels of {found['homes']} homes over {found['months']} months, in which hours act on "
        f"later need and need acts on hours. Share of 90 % intervals that hold the truth, by brute "
        f"force, with a standard error of {found['standard error']:.1%}; errors of posterior means "
        f"in posterior sds, whose root mean square is 1 where spreads are right. The row in which "
        f"need is held as it is takes the effect in month 1 for that in month {HORIZON}: what "
        f"adjusting for need would leave.\n\n"
        + "\n".join([head, "|---|--:|--:|--:|--:|", *lines])
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--panels", type=int, default=160)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    KEPT.mkdir(parents=True, exist_ok=True)
    if options.panels:
        with (KEPT / f"{options.seed}.jsonl").open("w", encoding="utf-8") as file:
            for row in studied(options.panels, options.seed):
                file.write(json.dumps(row) + "\n")
    rows = [
        json.loads(line)
        for path in sorted(KEPT.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]
    found = pooled(rows)
    text = json.dumps(found, indent=1)
    (RESULTS / "effect_coverage.json").write_text(text + "\n", encoding="utf-8")
    (RESULTS / "effect_coverage.md").write_text(written(found), encoding="utf-8")


if __name__ == "__main__":
    main()
