"""Are the engines calibrated? Simulation-based calibration, and engines broken on purpose.

Truth is drawn from the priors, a panel is simulated from it, and its outcome is fitted. The rank of
each truth among posterior draws is uniform if the engine draws from the posterior (Cook, Gelman and
Rubin 2006, doi 10.1198/106186006X136976; Talts et al. 2018, arXiv 1804.06788), and so is that of
the log likelihood of the panel, which sees errors that no parameter shows (Modrák et al. 2023, doi
10.1214/23-BA1404). Chains are thinned to their effective number of draws.

Whether a fit is certified, whether a chain converges, and whether a panel can be used depend on the
panel and the seed, not on the truth given the panel. So uniform ranks among the fits that are kept
are what a right engine gives, however many are left out.

Replicates run in processes, each from a seed of its own name, so their results do not depend on how
many there are. They are kept in out/calibration: a run that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import hashlib
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np

import dotwin as dw
from benchmarks.calibration_designs import BROKEN, CASES, Case
from benchmarks.calibration_summary import write

ROOT = Path(__file__).resolve().parents[1]
#: Posterior draws of an engine whose draws are independent.
INDEPENDENT = 999
#: Kept and discarded draws of a chain, how often it may be doubled, and what it must reach: the
#: truth is ranked among at most as many draws as are nearly independent.
CHAIN, TUNE, DOUBLINGS, LEAST, RHAT = 300, 300, 3, 50, 1.1
#: One cell in so many of an imputed cause is missing.
GAP = 5
#: Replicates that are handed to a process at a time.
BATCH = 10
#: Replicates of a short run and of the committed one.
SHORT = {"deterministic": 100, "nuts": 20, "joint": 20}
FULL = {"deterministic": 500, "nuts": 100, "joint": 100}
#: And of what is broken on purpose at least, so that it can be seen.
BROKEN_LEAST = 100


def twin_of(indicators: Any) -> Any:
    """Build a case's twin."""
    return dw.Twin(
        twin="calibration",
        panel={
            "unit": "provider",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators=indicators,
    )


def halved(indicators: Any) -> Any:
    """Halve the sds of the priors of the outcome's causes."""
    changed = copy.deepcopy(dict(indicators))
    for cause in changed["outcome"]["causes"].values():
        if "prior" not in cause:
            cause["prior"] = "normal(0, 0.25)"
    return changed


@contextlib.contextmanager
def _constant_dropped() -> Iterator[None]:
    """Leave out what only the dispersion enters of the deterministic engine's likelihood."""
    from dotwin.inference.deterministic.problem import Problem

    with patch.object(Problem, "constant", lambda self, d, c: np.zeros(d.shape)):
        yield


@contextlib.contextmanager
def _dispersion_too_large() -> Iterator[None]:
    """Hand the deterministic engine's kernels a dispersion that is not the parameter's."""
    from dotwin.inference.deterministic.problem import Problem

    right = Problem.family_values

    def wrong(self: Any, h: Any) -> Any:
        value, _ = right(self, h)
        return 1.2 * value, np.log(1.2 * value)

    with patch.object(Problem, "family_values", wrong):
        yield


@contextlib.contextmanager
def _jacobian_twice() -> Iterator[None]:
    """Count the change of variables of the first spread twice in the sampler's density."""
    from dotwin.inference.nuts import engine

    right = engine._model

    def wrong(layout: Any, start: Any, scales: Any) -> Any:
        at = next(layout.places[p.sd].start for p in layout.listed if p.kind == "effects")
        density = engine.compiled_log_density()

        def broken(point: Any, parts: Any, gradient: Any) -> float:
            value = density(point, parts, gradient)
            gradient[at] += 1.0
            return float(value + point[at])

        with patch.object(engine, "compiled_log_density", lambda: broken):
            return right(layout, start, scales)

    with patch.object(engine, "_model", wrong):
        yield


#: What is done to the engine, under the name of what is wrong with it.
BREAKS: dict[str, Callable[[], contextlib.AbstractContextManager[None]]] = {
    "": contextlib.nullcontext,
    "a prior's sd halved": contextlib.nullcontext,
    "first values from the truth": contextlib.nullcontext,
    "a constant dropped": _constant_dropped,
    "dispersion 20 % too large": _dispersion_too_large,
    "a Jacobian counted twice": _jacobian_twice,
}


@cache
def _twins(case_name: str) -> tuple[Any, Any]:
    """Return the twin that panels come from and the one that is fitted."""
    case = next(one for one in (*CASES, *BROKEN) if one.name == case_name)
    wrong = halved(case.indicators) if case.broken == "a prior's sd halved" else case.indicators
    return twin_of(case.indicators), twin_of(wrong)


def seed_of(case: Case, number: int) -> int:
    """Derive a replicate's seed: the same for all engines on a design, other for other designs."""
    text = f"{case.design}/{number}".encode()
    return int.from_bytes(hashlib.blake2s(text, digest_size=4).digest(), "little")


def simulate(case: Case, seed: int) -> tuple[Any, Any]:
    """Simulate a panel; return it with its gaps, and every parameter and value behind it."""
    from dotwin.panel import Panel

    twin, _ = _twins(case.name)
    past = "truth" if case.broken == "first values from the truth" else "prior"
    panel = twin.simulate_panel(units=case.units, periods=case.periods, seed=seed, past=past)
    if not case.missing:
        return panel, panel
    rng = np.random.default_rng([seed, 1])
    values = panel.data[case.missing]
    gone = rng.permutation(values.size).reshape(values.shape) < values.size // GAP
    # Gaps fall as they fall, whatever the values.
    data = panel.data.assign({case.missing: values.where(~gone)})
    return Panel.from_dataset(data, twin, panel.truth), panel


def component_of(case: Case, panel: Any) -> Any:
    """Return the component that the outcome belongs to, as it is fitted."""
    from dotwin.inference.components import components_of

    _, fitted = _twins(case.name)
    return next(
        c for c in components_of(fitted, panel) if any(d.child == "outcome" for d in c.designs)
    )


def quantities(case: Case, component: Any, draws: Any, truth: Any) -> dict[str, tuple[Any, Any]]:
    """Return each ranked quantity's draws, dims (draw,), beside its truth.

    Of many groups, periods and missing values the first and the last stand for the others.

    Parameters
    ----------
    case : Case
    component : Component
    draws : dict of str to array, the draw first
    truth : dict of str to array
    """
    from dotwin.mechanisms.parameters import parameters
    from dotwin.mechanisms.response import log_likelihood

    found = {}
    names = [
        (one.name, one.kind)
        for d in component.designs
        for one in parameters(d.equation, d.reference, d.group_names, d.period_names)
    ]
    names += [(name, "effects") for name in draws if name.endswith(".missing")]
    for name, kind in names:
        flat, stated = draws[name].reshape(len(draws[name]), -1), truth[name].reshape(-1)
        every = kind not in ("effects", "walk") or stated.size <= 2
        for i in range(stated.size) if every else (0, stated.size - 1):
            label = f"{name}[{i}]" if stated.size > 1 else name
            found[label] = (flat[:, i], float(stated[i]))
    # The density of an outcome whose causes are in part unknown is no function of parameters.
    child = case.missing or "outcome"
    design = next(d for d in component.designs if d.child == child)
    known = np.flatnonzero(np.isfinite(design.y))
    if component.imputation is not None:
        cells = component.imputation.cells[child]
        known = np.flatnonzero(~cells[design.used])
    at = {name: np.asarray(value)[None] for name, value in truth.items()}
    found["log likelihood"] = (
        log_likelihood(design, draws, known).sum(axis=1),
        float(log_likelihood(design, at, known).sum()),
    )
    return found


def truth_of(component: Any, whole: Any) -> dict[str, Any]:
    """Return the truth in the parameters' own order of groups, and of missing values."""
    from dotwin.mechanisms.parameters import parameters

    found = {}
    for design in component.designs:
        for one in parameters(
            design.equation, design.reference, design.group_names, design.period_names
        ):
            stated = whole.truth[one.name]
            for dim, names in zip(one.dims, one.coords, strict=True):
                stated = stated.sel({dim: list(names)})
            found[one.name] = stated.transpose(*one.dims).values
    if component.imputation is not None:
        for name, cells in component.imputation.cells.items():
            found[f"{name}.missing"] = np.asarray(whole.data[name].values, float)[cells]
    return found


def replicate(case: Case, number: int) -> dict[str, Any]:
    """Simulate one panel, fit its outcome, and look every truth up."""
    from dotwin.errors import DotwinError
    from dotwin.inference.engine import Declined

    began, seed = time.process_time(), seed_of(case, number)
    try:
        panel, whole = simulate(case, seed)
        component = component_of(case, panel)
    except DotwinError as error:
        return {"replicate": number, "unusable": str(error)[:200]}
    truth = truth_of(component, whole)
    try:
        with BREAKS[case.broken](), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = _ranked(case, case.engine, component, truth, seed)
    except Declined as declined:
        found = {"declined": declined.reason}
        if case.engine == "deterministic" and not case.broken:
            found |= _instead(case, component, truth, seed)
    return {"replicate": number, **found, "seconds": round(time.process_time() - began, 3)}


def _instead(case: Case, component: Any, truth: Any, seed: int) -> dict[str, Any]:
    """Do what `engine="auto"` does where a certificate does not hold."""
    from dotwin.inference.engine import Declined

    try:
        return {**_ranked(case, "nuts", component, truth, seed), "instead": "nuts"}
    except Declined as declined:
        return {"unsampled": declined.reason}


def _ranked(case: Case, engine_name: str, component: Any, truth: Any, seed: int) -> dict[str, Any]:
    from arviz_stats.base.array import array_stats

    from dotwin.inference.deterministic import DeterministicEngine
    from dotwin.inference.engine import Declined, Settings
    from dotwin.inference.joint import JointEngine
    from dotwin.inference.nuts import NutsEngine

    def untold(share: float, words: str) -> None:
        return None

    more: dict[str, Any] = {}
    ess: dict[str, float] = {}
    if engine_name == "deterministic":
        engine: Any = DeterministicEngine()
        settings = Settings(INDEPENDENT, 0, 1, seed)
        drawn = engine.sample(component, settings, untold)
        certificate = drawn.certificate
        more["certificate"] = [certificate.k_hat, certificate.efficiency]
        found = quantities(case, component, {k: v[0] for k, v in drawn.posterior.items()}, truth)
    else:
        engine = NutsEngine(cores=1) if engine_name == "nuts" else JointEngine()
        for doubling in range(DOUBLINGS + 1):
            kept, tune = CHAIN * 2**doubling, TUNE * 2**doubling
            drawn = engine.sample(component, Settings(kept, tune, 1, seed), untold)
            own = {k: v[0] for k, v in drawn.posterior.items()}
            found = quantities(case, component, own, truth)
            stack = np.stack([values for values, _ in found.values()], axis=1)
            sizes = array_stats.ess(stack[None], chain_axis=0, draw_axis=1, method="bulk")
            halves = stack.reshape(2, kept // 2, -1)
            rhat = array_stats.rhat(halves, chain_axis=0, draw_axis=1)
            if sizes.min() >= LEAST and rhat.max() <= RHAT:
                break
        else:
            raise Declined("the chain did not converge")
        ess = dict(zip(found, np.asarray(sizes, float).tolist(), strict=True))
        more["doublings"] = doubling
    rng = np.random.default_rng([seed, 2])
    values, middle = {}, {}
    for name, (draws, stated) in found.items():
        size = draws.size
        among = min(size, int(ess.get(name, size)))
        picked = draws[((np.arange(among) + 0.5) * size / among).astype(int)]
        rank = (picked < stated).sum() + rng.random() * (1 + (picked == stated).sum())
        values[name] = round(float(rank / (among + 1)), 6)
        middle[name] = [float(f"{v:.6g}") for v in (draws.mean(), draws.std(), ess.get(name, size))]
    return {"ranks": values, "posterior": middle, **more}


def batch(case: Case, numbers: list[int]) -> tuple[Case, list[dict[str, Any]]]:
    """Make some replicates of a case."""
    return case, [replicate(case, number) for number in numbers]


def _kept(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    # Runs that go on side by side may have made the same replicate: it is the same.
    found = {one["replicate"]: one for one in map(json.loads, lines)}
    return [found[number] for number in sorted(found)]


def place(case: Case, folder: Path) -> Path:
    """Return where a case's replicates are kept: under a hash of all that decides them."""
    settings = [asdict(case), INDEPENDENT, CHAIN, TUNE, DOUBLINGS, LEAST, RHAT, GAP]
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return folder / f"{case.name}-{digest}.jsonl".replace(" ", "_")


def main() -> None:
    """Run what is not there yet, and write the summary of what is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--full", action="store_true", help="the committed run, into the results")
    parser.add_argument("--only", nargs="+", default=[], help="parts of cases' names")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--minutes", type=float, default=1e9, help="stop and keep what is there")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "calibration")
    chosen = parser.parse_args()
    began, counts = time.monotonic(), FULL if chosen.full else SHORT
    chosen.out.mkdir(parents=True, exist_ok=True)
    every = (*CASES, *BROKEN)
    cases = [c for c in every if not chosen.only or any(o in c.name for o in chosen.only)]
    jobs = []
    for case in cases:
        wanted = max(counts[case.engine], BROKEN_LEAST if case.broken else 0)
        there = {one["replicate"] for one in _kept(place(case, chosen.out))}
        todo = [number for number in range(1, wanted + 1) if number not in there]
        jobs += [(case, todo[i : i + BATCH]) for i in range(0, len(todo), BATCH)]
    jobs.sort(key=lambda job: job[1][0])
    print(f"{sum(len(todo) for _, todo in jobs):,} replicates to make", flush=True)
    with ProcessPoolExecutor(chosen.processes) as pool:
        waiting = [pool.submit(batch, *job) for job in jobs]
        try:
            for done in waiting:
                if time.monotonic() - began > 60.0 * chosen.minutes:
                    break
                case, found = done.result()
                with place(case, chosen.out).open("a", encoding="utf-8") as file:
                    file.writelines(json.dumps(one) + "\n" for one in found)
        finally:
            # A fault is told at once, not when all that was asked for is done.
            pool.shutdown(wait=True, cancel_futures=True)
    results = {}
    for case in every:
        wanted = max(counts[case.engine], BROKEN_LEAST if case.broken else 0)
        kept = _kept(place(case, chosen.out))
        results[case.name] = (case, [one for one in kept if one["replicate"] <= wanted])
    write(results, ROOT / "benchmarks" / "results" if chosen.full else chosen.out)


if __name__ == "__main__":
    main()
