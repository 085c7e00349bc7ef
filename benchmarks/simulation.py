"""Speed of simulation: the engine against NumPy, the bare samplers and PyMC, on the same twin.

Eight indicators of eight families, which act on each other within the month or with a lag, of
providers in regions, simulated forward with a posterior that varies from draw to draw. Every
rival runs the same equations on the same parameters:

- *NumPy*: the linear predictors written out by hand and ``Generator`` samplers (SFC64), in blocks
  of draws into arrays kept from block to block, at the best of several block sizes;
- *samplers*: the eight calls of the samplers alone, at parameters of the right size;
- *PyMC*: ``pm.do`` and ``sample_posterior_predictive`` of one month, compiled beforehand, at the
  best of several batches of providers; few draws, because it is slow.

Node-samples are values of indicators with a mechanism: draws x providers x months x 8. Seconds are
CPU seconds of all threads, the best of several runs, since the machine may be shared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

import dotwin as dw
from dotwin.inference import Fit
from dotwin.mechanisms.columns import constant_key

RESULTS = Path(__file__).resolve().parent / "results"
NAMES = ("pay", "vacancy", "hours", "visits", "missed", "incidents", "inspection", "cost")
POOLING = ["region", "provider"]
SPREAD = {"region": 0.1, "provider": 0.1}


def twin() -> dw.Twin:
    """Return the twin of eight families."""

    def one(domain: str, family: str, causes: list[str], **more: Any) -> dict[str, Any]:
        return {
            "domain": domain,
            "family": family,
            "pooling": POOLING,
            "causes": {cause: {"because": "the benchmark's own equation"} for cause in causes},
            **more,
        }

    return dw.Twin(
        twin="eight families",
        panel={
            "unit": "provider",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators={
            "acuity": {
                "domain": "demand",
                "plausible": [1.2, 3.0],
                "simulated_as": "gamma(14, 7)",
            },
            "pay": one("workforce", "lognormal", ["log(pay[-1])"], plausible=[10, 30]),
            "vacancy": one(
                "workforce", "beta", ["logit(vacancy[-1])", "log(pay)"], plausible=[0.05, 0.3]
            ),
            "hours": one("capacity", "normal", ["hours[-1]", "logit(vacancy)"], plausible=[20, 60]),
            "visits": one(
                "demand", "negative_binomial", ["acuity", "hours"], plausible=[20, 120]
            ),
            "missed": one(
                "quality", "binomial", ["logit(vacancy)", "acuity"],
                trials="visits", plausible=[0.02, 0.2],
            ),
            "incidents": one(
                "safeguarding", "poisson", ["logit(share(missed))", "acuity"], plausible=[1, 8]
            ),
            "inspection": one("quality", "bernoulli", ["log1p(incidents)"]),
            "cost": one("cost", "gamma", ["log(pay)", "log1p(visits)"], plausible=[50, 200]),
        },
    )  # fmt: skip


#: Parameters of the truth; coefficients are changes per reference sd, persistences natural.
TRUTH: dict[str, Any] = {
    "pay.intercept": 2.85, "pay.causes": [0.5], "pay.residual_sd": 0.05,
    "vacancy.intercept": -2.0, "vacancy.causes": [0.3, -0.1], "vacancy.dispersion": 150.0,
    "hours.intercept": 40.0, "hours.causes": [0.5, -0.2], "hours.residual_sd": 3.0,
    "visits.intercept": 4.0, "visits.causes": [0.1, 0.1], "visits.dispersion": 8.0,
    "missed.intercept": -2.7, "missed.causes": [0.3, 0.1],
    "incidents.intercept": 1.1, "incidents.causes": [0.2, 0.1],
    "inspection.intercept": -1.2, "inspection.causes": [0.3],
    "cost.intercept": 4.6, "cost.causes": [0.2, 0.3], "cost.dispersion": 10.0,
}  # fmt: skip


def fitted(units: int, draws: int, seed: int = 1, periods: int = 9) -> Fit:
    """Return a fit whose draws scatter around the truth, without sampling."""
    one = twin()
    fixed = dict(TRUTH)
    for name in NAMES:
        # Then follow the means between providers and the first values, which change nothing here.
        given, own = fixed[f"{name}.causes"], len(one.indicators[name].causes)
        fixed[f"{name}.causes"] = [*given, *([0.0] * own)]
        assert len(given) == own
        fixed |= {f"{name}.sd_{level}": sd for level, sd in SPREAD.items()}
    panel = one.simulate_panel(
        units={"region": 20, "provider": units}, periods=periods, seed=seed, parameters=fixed
    )
    rng = np.random.default_rng(seed)
    values = {}
    for name, truth in panel.truth.items():
        array = np.repeat(truth.values[None], draws, axis=0)
        noise = rng.normal(0.0, 0.02, array.shape)
        positive = str(name).endswith(("dispersion", "residual_sd")) or ".sd_" in str(name)
        values[str(name)] = array * np.exp(noise) if positive else array + noise
    return Fit.from_parameters(one, panel, values)


def cpu(work: Callable[[], Any], times: int) -> float:
    """Return the least CPU seconds of several runs."""
    best = np.inf
    for _ in range(times):
        began = time.process_time()
        work()
        best = min(best, time.process_time() - began)
    return best


class ByHand:
    """The same equations in vectorised NumPy, with samplers."""

    def __init__(self, fit: Fit, draws: int, periods: int) -> None:
        self.fit, self.periods = fit, periods
        self.units = len(fit.panel.units)
        self.values = {n: np.ascontiguousarray(v) for n, v in fit.draws(draws).values.items()}
        self.draws = len(next(iter(self.values.values())))
        self.region, _ = fit.panel.groups("region")
        self.acuity = fit.panel.values("acuity")[:, -1]
        self.out = {n: np.empty((self.draws, periods, self.units)) for n in NAMES}
        self.terms = {n: fit.designs[n].equation.main.terms for n in NAMES}
        self.start = {n: fit.panel.values(n)[:, -1].astype(float) for n in NAMES}

    def run(self, block: int) -> None:
        rng = np.random.Generator(np.random.SFC64(1))
        for first in range(0, self.draws, block):
            self.block(slice(first, min(first + block, self.draws)), rng)

    def base(self, name: str, rows: slice) -> Any:
        """Return what no month changes."""
        values, design = self.values, self.fit.designs[name]
        eta = values[f"{name}.provider"][rows] + values[f"{name}.region"][rows][:, self.region]
        eta += values[f"{name}.intercept"][rows][:, None]
        for k, term in enumerate(self.terms[name]):
            if term.is_unit_constant or term.within:
                kind = "first" if term.kind == "initial" else "mean"
                column = design.reference.multiplier * design.constants[constant_key(kind, term)]
                # What varies within a unit is counted from the unit's own mean.
                sign = -1.0 if term.within else 1.0
                eta += values[f"{name}.causes"][rows][:, k, None] * (sign * column)
        return eta

    def eta(self, name: str, rows: slice, *columns: Any) -> Any:
        causes = self.values[f"{name}.causes"][rows]
        eta = self.bases[name] + causes[:, 0, None] * columns[0]
        for k, column in enumerate(columns[1:], 1):
            eta += causes[:, k, None] * column
        return eta

    def block(self, rows: slice, rng: np.random.Generator) -> None:
        values, designs = self.values, self.fit.designs

        def scaled(name: str, text: str, x: Any) -> Any:
            centre, sd = designs[name].reference.factors[text]
            return (x - centre) / sd * designs[name].reference.multiplier

        def centred(name: str, text: str, x: Any) -> Any:
            return x - designs[name].reference.factors[text][0]

        def own(name: str, what: str) -> Any:
            return values[f"{name}.{what}"][rows][:, None]

        self.bases = {n: self.base(n, rows) for n in NAMES}
        pay, vacancy, hours = (self.start[n][None] for n in ("pay", "vacancy", "hours"))
        for t in range(self.periods):
            at = rows, t
            log_pay = np.log(pay)
            eta = self.eta("pay", rows, centred("pay", "log(pay[-1])", log_pay))
            pay = rng.lognormal(eta, own("pay", "residual_sd"))
            log_pay = np.log(pay)
            eta = self.eta(
                "vacancy", rows,
                centred("vacancy", "logit(vacancy[-1])", special.logit(vacancy)),
                scaled("vacancy", "log(pay)", log_pay),
            )  # fmt: skip
            mean, precision = special.expit(eta), own("vacancy", "dispersion")
            vacancy = rng.beta(mean * precision, (1.0 - mean) * precision)
            logit_vacancy = special.logit(vacancy)
            eta = self.eta(
                "hours", rows,
                centred("hours", "hours[-1]", hours),
                scaled("hours", "logit(vacancy)", logit_vacancy),
            )  # fmt: skip
            hours = rng.normal(eta, own("hours", "residual_sd"))
            eta = self.eta(
                "visits", rows,
                scaled("visits", "acuity", self.acuity), scaled("visits", "hours", hours),
            )  # fmt: skip
            size = own("visits", "dispersion")
            visits = rng.negative_binomial(size, size / (size + np.exp(eta)))
            eta = self.eta(
                "missed", rows,
                scaled("missed", "logit(vacancy)", logit_vacancy),
                scaled("missed", "acuity", self.acuity),
            )  # fmt: skip
            missed = rng.binomial(visits, special.expit(eta))
            share = np.log((missed + 0.5) / (visits - missed + 0.5))
            eta = self.eta(
                "incidents", rows,
                scaled("incidents", "logit(share(missed))", share),
                scaled("incidents", "acuity", self.acuity),
            )  # fmt: skip
            incidents = rng.poisson(np.exp(eta))
            eta = self.eta(
                "inspection", rows,
                scaled("inspection", "log1p(incidents)", np.log1p(incidents)),
            )  # fmt: skip
            inspection = rng.random(eta.shape) < special.expit(eta)
            eta = self.eta(
                "cost", rows,
                scaled("cost", "log(pay)", log_pay),
                scaled("cost", "log1p(visits)", np.log1p(visits)),
            )  # fmt: skip
            shape = own("cost", "dispersion")
            cost = rng.gamma(shape, np.exp(eta) / shape)
            for name, made in zip(
                NAMES,
                (pay, vacancy, hours, visits, missed, incidents, inspection, cost),
                strict=True,
            ):
                self.out[name][at] = made


def bare_samplers(size: int, times: int) -> dict[str, float]:
    """Return nanoseconds per value of each sampler, called into the cache."""
    rng = np.random.Generator(np.random.SFC64(1))
    one = np.ones(size)
    calls: dict[str, Callable[[], Any]] = {
        "lognormal": lambda: rng.lognormal(3.0 * one, 0.05),
        "beta": lambda: rng.beta(18.0 * one, 132.0 * one),
        "normal": lambda: rng.normal(40.0 * one, 3.0),
        "negative_binomial": lambda: rng.negative_binomial(8.0, 0.125 * one),
        "binomial": lambda: rng.binomial(60, 0.07 * one),
        "poisson": lambda: rng.poisson(3.0 * one),
        "bernoulli": lambda: rng.random(size) < 0.25,
        "gamma": lambda: rng.gamma(10.0, 10.0 * one),
    }
    return {
        name: cpu(lambda call=call: [call() for _ in range(20)], times) / (20 * size) * 1e9  # type: ignore[misc]
        for name, call in calls.items()
    }


def by_pymc(fit: Fit, draws: int, batches: list[int]) -> dict[str, Any]:
    """Return node-samples per CPU second of ``pm.do`` and posterior predictive, for one month."""
    import pymc as pm
    import pytensor.tensor as pt
    import xarray as xr

    hand = ByHand(fit, draws, 1)
    designs = fit.designs
    best: dict[str, Any] = {"rate": 0.0}
    for units in batches:
        values = hand.values
        region = hand.region[:units]
        shapes = {
            f"{n}.{what}": values[f"{n}.{what}"].shape[1:]
            for n in NAMES
            for what in ("intercept", "region", "causes", "dispersion", "residual_sd")
            if f"{n}.{what}" in values
        }
        shapes |= {f"{n}.provider": (units,) for n in NAMES}
        with pm.Model() as model:
            free = {name: pm.Normal(name, shape=shape) for name, shape in shapes.items()}

            def eta(name: str, *columns: Any, free: Any = free, region: Any = region) -> Any:
                total = free[f"{name}.intercept"] + free[f"{name}.provider"]
                total = total + free[f"{name}.region"][region]
                for k, (text, x, natural) in enumerate(columns):
                    centre, sd = designs[name].reference.factors[text]
                    size = 1.0 if natural else designs[name].reference.multiplier / sd
                    total = total + free[f"{name}.causes"][k] * (x - centre) * size
                for k, term in enumerate(hand.terms[name]):
                    if term.is_unit_constant or term.within:
                        kind = "first" if term.kind == "initial" else "mean"
                        constant = designs[name].constants[constant_key(kind, term)][: len(region)]
                        column = designs[name].reference.multiplier * constant
                        column = -column if term.within else column
                        total = total + free[f"{name}.causes"][k] * column
                return total

            was = {n: hand.start[n][:units] for n in NAMES}
            acuity = hand.acuity[:units]
            pay = pm.LogNormal(
                "pay",
                eta("pay", ("log(pay[-1])", np.log(was["pay"]), True)),
                free["pay.residual_sd"],
            )
            mean = pm.math.sigmoid(
                eta(
                    "vacancy",
                    ("logit(vacancy[-1])", special.logit(was["vacancy"]), True),
                    ("log(pay)", pt.log(pay), False),
                )
            )
            precision = free["vacancy.dispersion"]
            vacancy = pm.Beta("vacancy", mean * precision, (1.0 - mean) * precision)
            logit = pt.log(vacancy / (1.0 - vacancy))
            hours = pm.Normal(
                "hours",
                eta("hours", ("hours[-1]", was["hours"], True), ("logit(vacancy)", logit, False)),
                free["hours.residual_sd"],
            )
            visits = pm.NegativeBinomial(
                "visits",
                mu=pt.exp(eta("visits", ("acuity", acuity, False), ("hours", hours, False))),
                alpha=free["visits.dispersion"],
            )
            missed = pm.Binomial(
                "missed",
                n=visits,
                logit_p=eta("missed", ("logit(vacancy)", logit, False), ("acuity", acuity, False)),
            )
            share = pt.log((missed + 0.5) / (visits - missed + 0.5))
            incidents = pm.Poisson(
                "incidents",
                pt.exp(
                    eta(
                        "incidents",
                        ("logit(share(missed))", share, False),
                        ("acuity", acuity, False),
                    )
                ),
            )
            pm.Bernoulli(
                "inspection",
                logit_p=eta("inspection", ("log1p(incidents)", pt.log1p(incidents), False)),
            )
            shape = free["cost.dispersion"]
            pm.Gamma(
                "cost",
                alpha=shape,
                beta=shape
                * pt.exp(
                    -eta(
                        "cost",
                        ("log(pay)", pt.log(pay), False),
                        ("log1p(visits)", pt.log1p(visits), False),
                    )
                ),
            )
        posterior = xr.Dataset(
            {
                name: (("chain", "draw", *(f"{name}.{i}" for i in range(len(shape)))),
                       values[name][None, :, :units] if name.endswith(".provider")
                       else values[name][None])
                for name, shape in shapes.items()
            }
        )  # fmt: skip
        changed = pm.do(model, {"pay": hand.start["pay"][:units] * 1.05})
        names = [n for n in NAMES if n != "pay"]

        def draw(changed: Any = changed, posterior: Any = posterior, names: Any = names) -> None:
            with changed:
                pm.sample_posterior_predictive(
                    posterior, var_names=names, progressbar=False, random_seed=1
                )

        began = time.process_time()
        draw()
        first = time.process_time() - began
        seconds = cpu(draw, 3)
        rate = len(names) * units * hand.draws / seconds
        if rate > best["rate"]:
            best = {"rate": rate, "batch_of_providers": units, "draws": hand.draws,
                    "cpu_seconds_of_first_call": first, "cpu_seconds": seconds}  # fmt: skip
    return best


FIRST = """
import json, sys, time
sys.path.insert(0, {folder!r})
from simulation import fitted
import dotwin as dw
fit = fitted({units}, {draws})
more = dw.Scenario("pay", [dw.scale("pay", 1.05)], source="the benchmark")
began, cpu = time.perf_counter(), time.process_time()
fit.simulate(periods={periods}, scenarios=[more], seed=2, draws={draws}, out={out!r})
first = time.perf_counter() - began, time.process_time() - cpu
began = time.perf_counter()
again = {out!r} and {out!r} + "2"
fit.simulate(periods={periods}, scenarios=[more], seed=2, draws={draws}, out=again)
print(json.dumps([*first, time.perf_counter() - began]))
"""


def first_scenario(units: int, draws: int, periods: int) -> dict[str, float]:
    """Return the seconds of the first scenario in a process that has only the fit."""
    code = FIRST.format(
        folder=str(Path(__file__).resolve().parent),
        units=units, draws=draws, periods=periods, out=None,
    )  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    wall, seconds, second = json.loads(done.stdout.splitlines()[-1])
    return {"wall": wall, "cpu": seconds, "second_wall": second}


LARGE = """
import json, sys, time
import numpy as np
import dotwin as dw
from dotwin.inference import Fit
def resident():
    # unlike getrusage's, this peak does not count what the parent process held
    text = open("/proc/self/status").read()
    return int(text.split("VmHWM:")[1].split()[0]) / 2**20
units, draws, periods, out = {units}, {draws}, {periods}, {out!r}
twin = dw.Twin(
    twin="homes",
    panel={{"unit": "home", "levels": ["region"], "period": {{"column": "month",
            "frequency": "month"}}}},
    indicators={{"falls": {{"domain": "quality", "family": "poisson", "pooling": ["region", "home"],
        "causes": {{"log1p(falls[-1])": {{"because": "the benchmark's own equation"}}}},
        "plausible": [1, 8]}}}},
)
fixed = {{"falls.intercept": 1.0, "falls.causes": [0.2, 0.0],
          "falls.sd_region": 0.1, "falls.sd_home": 0.2}}
panel = twin.simulate_panel(units={{"region": 50, "home": units}}, periods=4, seed=1,
                            parameters=fixed)
values = {{str(n): np.repeat(t.values[None], draws, axis=0) for n, t in panel.truth.items()}}
fit = Fit.from_parameters(twin, panel, values)
del values
before = resident()
began, cpu = time.perf_counter(), time.process_time()
scenarios = [dw.Scenario(f"s{{k}}", [dw.scale("falls", 1.0 + 0.1 * k, periods=1)])
             for k in range({scenarios})]
futures = fit.simulate(periods=periods, scenarios=scenarios, seed=2, draws=draws, out=out)
peak = resident()
print(json.dumps({{
    "wall_seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - cpu,
    "gib_before": before, "gib_peak": peak,
    "gib_after_reading_a_draw": resident(),
    "mean": float(futures.draws["falls"].isel(draw=0).mean())}}))
"""


def large(units: int, draws: int, periods: int, scenarios: int) -> dict[str, float]:
    """Return time and peak memory of a simulation that is written to a folder."""
    with tempfile.TemporaryDirectory() as folder:
        code = LARGE.format(
            units=units, draws=draws, periods=periods, scenarios=scenarios,
            out=str(Path(folder) / "draws"),
        )  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    sizes = {"units": units, "draws": draws, "periods": periods, "scenarios": scenarios}
    return {**sizes, **found}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--units", type=int, default=500)
    options.add_argument("--draws", type=int, default=1000)
    options.add_argument("--periods", type=int, default=8)
    options.add_argument("--times", type=int, default=3)
    options.add_argument("--without-pymc", action="store_true")
    options.add_argument(
        "--large", nargs=4, type=int, action="append", default=[],
        metavar=("UNITS", "DRAWS", "PERIODS", "SCENARIOS"),
        help="also write so much to a folder, and measure time and memory",
    )  # fmt: skip
    options.add_argument("--results", type=Path, default=RESULTS)
    chosen = options.parse_args()
    size = chosen.draws * chosen.units * chosen.periods
    nodes = len(NAMES)
    fit = fitted(chosen.units, chosen.draws)
    run = dw.worlds.run.plan(
        fit, periods=chosen.periods, scenarios=[], seed=1, draws=chosen.draws, panel=None,
        inputs=None, new_groups=None, carry_forward=0,
    )  # fmt: skip
    means: dict[str, list[float]] = {}

    def ours() -> None:
        found = fit.simulate(periods=chosen.periods, scenarios=[], seed=1, draws=chosen.draws)
        means.update({n: [float(found.draws[n].values.mean())] for n in NAMES if not means.get(n)})

    ours()

    def engine_only() -> None:
        run.engine().collect(lambda rows, number, world: None)

    table: list[dict[str, Any]] = []

    def row(what: str, seconds: float, samples: float, **more: Any) -> None:
        table.append({"what": what, "million_per_cpu_second": samples / seconds / 1e6, **more})
        print(f"{what}: {samples / seconds / 1e6:.2f} M node-samples per CPU second", flush=True)

    row("dotwin, simulate() with its dataset", cpu(ours, chosen.times), nodes * size)
    row("dotwin, the engine alone", cpu(engine_only, chosen.times), nodes * size)
    hand = ByHand(fit, chosen.draws, chosen.periods)
    seconds, block = min(
        (cpu(lambda b=b: hand.run(b), chosen.times), b)
        for b in (8, 16, 32, 64, 128)  # type: ignore[misc]
    )
    for name in NAMES:
        means[name].append(float(hand.out[name].mean()))
    row("NumPy in blocks", seconds, nodes * size, block_of_draws=block)
    samplers = bare_samplers(8192, chosen.times)
    row("the samplers alone", sum(samplers.values()) / 1e9, nodes, ns_per_value=samplers)
    if not chosen.without_pymc:
        found = by_pymc(fit, min(200, chosen.draws), [60, 250, chosen.units])
        row("pm.do + sample_posterior_predictive, warm", 1.0, found.pop("rate"), **found)
    first = first_scenario(chosen.units, chosen.draws, chosen.periods)
    print(f"first scenario after a fit: {first}")
    folders = [large(*sizes) for sizes in chosen.large]
    for name, (engine, by_hand) in means.items():
        if not np.isclose(engine, by_hand, rtol=0.02):
            raise SystemExit(f"{name}: {engine} simulated and {by_hand} by hand do not agree")
    content = {
        "about": {
            "units": chosen.units, "draws": chosen.draws, "periods": chosen.periods,
            "nodes": nodes, "cores": os.cpu_count(),
            "versions": {"python": platform.python_version(),
                         **{n: version(n) for n in ("dotwin", "numpy", "numba", "pymc")}},
        },
        "table": table,
        "first_scenario_seconds": first,
        "written_to_a_folder": folders,
        "means": means,
    }  # fmt: skip
    chosen.results.mkdir(parents=True, exist_ok=True)
    path = chosen.results / "simulation.json"
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    (chosen.results / "simulation.md").write_text(as_markdown(content), encoding="utf-8")


def as_markdown(content: dict[str, Any]) -> str:
    about, table = content["about"], content["table"]
    ours = table[0]["million_per_cpu_second"]
    lines = [
        "# Speed of simulation",
        "",
        f"Eight indicators of eight families, {about['units']:,} providers, {about['periods']} "
        f"months, {about['draws']:,} draws; one run of `benchmarks/simulation.py` on "
        f"{about['cores']} shared cores. PyMC ran fewer draws, as its row says.",
        "",
        "| | million node-samples per CPU second | dotwin is faster by |",
        "|---|---|---|",
    ]
    for row in table:
        rate = row["million_per_cpu_second"]
        more = ", ".join(
            f"{key.replace('_', ' ')} {value:,.3g}"
            for key, value in row.items()
            if isinstance(value, int | float) and key != "million_per_cpu_second"
        )
        what = f"{row['what']} ({more})" if more else row["what"]
        lines.append(f"| {what} | {rate:.2f} | {ours / rate:.1f} × |")
    first = content["first_scenario_seconds"]
    lines += [
        "",
        f"The first scenario after a fit, {about['draws']:,} draws × {about['units']} × "
        f"{about['nodes']} × {about['periods']} months, baseline included: {first['wall']:.2f} s "
        f"of wall time in a new process ({first['cpu']:.2f} CPU seconds, loading the kernels "
        f"included, none compiled); the next one {first['second_wall']:.2f} s.",
        "",
    ]
    if content["written_to_a_folder"]:
        lines += [
            "Written to a folder, one indicator:",
            "",
            "| draws | providers | months | scenarios beside the baseline | seconds | "
            "GiB of the process before | GiB at its peak |",
            "|---|---|---|---|---|---|---|",
        ]
    for one in content["written_to_a_folder"]:
        lines.append(
            f"| {one['draws']:,} | {one['units']:,} | {one['periods']} | {one['scenarios']} | "
            f"{one['wall_seconds']:.0f} | {one['gib_before']:.2f} | {one['gib_peak']:.2f} |"
        )
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
