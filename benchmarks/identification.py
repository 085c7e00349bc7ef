"""Is identification right? Every verdict and formula against enumeration, and how long it takes.

Systems are random tables on a graph, in which every hidden pair has a binary common cause. Of each,
the recorded joint distribution and the true effect are enumerated; a formula is evaluated on the
joint and compared with the truth, for every value of what it keeps free. Where an effect is said
not to be identified, two systems are looked for that agree on the joint and differ in the effect.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from dotwin.graph import CausalGraph  # noqa: E402
from dotwin.graph.estimand import Estimand  # noqa: E402
from dotwin.graph.general import Hedge, joint_effect  # noqa: E402
from dotwin.graph.mixed_graph import MixedGraph  # noqa: E402
from dotwin.graph.separation import Node  # noqa: E402
from tests.graph.discrete import gap, random_chain, random_graph, random_system  # noqa: E402
from tests.graph.rivals import AGREE, DIFFER, rival_systems  # noqa: E402
from tests.graph.test_natural_values import random_panel, truth_of  # noqa: E402
from tests.graph.test_through_time import large_twin  # noqa: E402

Draw = Callable[[np.random.Generator], tuple[CausalGraph, Node, Node]]

RESULTS = ROOT / "benchmarks" / "results"
EXACT = 1e-12


def published() -> dict[str, Any]:
    """Compare with published verdicts, on twenty random systems each."""
    folder = Path(os.environ.get("DOTWIN_ORACLES", ROOT.parent / "shared" / "oracles"))
    file = folder / "identification.json"
    if not file.is_file():
        return {"skipped": "the published answers are not here; DOTWIN_ORACLES names their folder"}
    graphs = json.loads(file.read_text(encoding="utf-8"))["graphs"]
    agree, worst, systems, shown = 0, 0.0, 0, 0
    for one in graphs.values():
        graph = CausalGraph(map(tuple, one["edges"]), map(tuple, one["hidden"]))
        found = graph.identify("X", "Y")
        agree += found.identified == one["identified"]
        if not found.identified:
            shown += rival_systems(graph, ["X"], ["Y"], np.random.default_rng(0)) is not None
            continue
        for seed in range(20):
            system = random_system(graph, np.random.default_rng(seed))
            value = found.estimand.evaluate(system.observed())
            worst = max(worst, gap(value, system.under(["X"], ["Y"])))
            systems += 1
    return {
        "graphs": len(graphs),
        "verdicts that agree": agree,
        "systems evaluated": systems,
        "largest error": worst,
        "refusals shown by two systems": shown,
    }


def random_effects(draw: Draw, count: int, rivals: int, largest: int = 7) -> dict[str, Any]:
    """Check single effects on random graphs with hidden pairs, four to seven variables.

    Two systems are looked for in the first ``rivals`` refusals on at most ``largest`` variables.
    """
    strategies: Counter[str] = Counter()
    worst, worst_general, wrong, tried, shown, seconds = 0.0, 0.0, 0, 0, 0, 0.0
    for seed in range(count):
        rng = np.random.default_rng([1, seed])
        graph, cause, outcome = draw(rng)
        before = time.perf_counter()
        found = graph.identify(cause, outcome)
        seconds += time.perf_counter() - before
        strategies[found.strategy or "not identified"] += 1
        if found.identified:
            system = random_system(graph, rng)
            table, truth = system.observed(), system.under([cause], [outcome])
            error = gap(found.estimand.evaluate(table), truth)
            mixed = MixedGraph.of(graph.project())
            general = joint_effect(mixed, mixed.bits([cause]), mixed.bits([outcome]))
            assert not isinstance(general, Hedge)
            other = gap(Estimand("", general, (outcome, cause)).evaluate(table), truth)
            worst, worst_general = max(worst, error), max(worst_general, other)
            wrong += max(error, other) > EXACT
        elif tried < rivals and len(graph.nodes) <= largest:
            tried += 1
            pair = rival_systems(graph, [cause], [outcome], rng)
            if pair is not None:
                one, two = pair
                same = np.abs(one.observed().values - two.observed().values).max() <= AGREE
                effects = [system.under([cause], [outcome]).values for system in pair]
                shown += bool(same and np.abs(effects[0] - effects[1]).max() > DIFFER)
    return {
        "graphs": count,
        "by strategy": dict(sorted(strategies.items())),
        "identified and wrong": wrong,
        "largest error": worst,
        "largest error of the general algorithm": worst_general,
        "refusals tried": tried,
        "refusals shown by two systems": shown,
        "milliseconds a verdict": 1000 * seconds / count,
    }


def random_joint_effects(count: int, rivals: int) -> dict[str, Any]:
    """Check effects of one or two causes on one or two outcomes, conditional ones too."""
    kinds: Counter[str] = Counter()
    worst, wrong, tried, shown = 0.0, 0, 0, 0
    for seed in range(count):
        rng = np.random.default_rng([2, seed])
        graph, _, _ = random_graph(rng)
        names = [str(n) for n in rng.permutation(graph.nodes)]
        parts = np.split(names, np.cumsum(rng.integers([1, 1, 0], [3, 3, 2])))[:3]
        causes, outcomes, given = (list(part) for part in parts)
        if not outcomes:
            continue
        found = graph.identify(causes, outcomes, given)
        kind = "conditional" if given else "joint"
        kinds[f"{kind}, {'identified' if found.identified else 'not identified'}"] += 1
        if found.identified:
            system = random_system(graph, rng)
            truth = system.under(causes, outcomes, given)
            error = gap(found.estimand.evaluate(system.observed()), truth)
            worst, wrong = max(worst, error), wrong + (error > EXACT)
        elif tried < rivals and len(graph.nodes) <= 5:
            tried += 1

            def answer(
                system: Any, asked: tuple[list[str], ...] = (causes, outcomes, given)
            ) -> Any:
                return system.under(*asked).values

            pair = rival_systems(
                graph, causes, [*outcomes, *given], rng, answer=answer, hidden_levels=3
            )
            shown += pair is not None
    return {
        "by kind": dict(sorted(kinds.items())),
        "identified and wrong": wrong,
        "largest error": worst,
        "refusals tried": tried,
        "refusals shown by two systems": shown,
    }


def random_changes(count: int) -> dict[str, Any]:
    """Check changes of natural values in small panels, own lags and rules included."""
    verdicts: Counter[str] = Counter()
    worst, wrong = 0.0, 0
    for seed in range(count):
        rng = np.random.default_rng([3, seed])
        graph, nodes, outcome = random_panel(rng)
        causes = [node for node in nodes if node[0] == "a"][: rng.integers(1, 4)]
        kinds = {node: str(rng.choice(["shift", "do", "rule"])) for node in causes}
        if set(kinds.values()) == {"do"}:
            continue
        affected = graph.descendants(causes) | {outcome, *causes}
        earlier = [node for node in nodes if node not in affected]
        reads = earlier[:1] if "rule" in kinds.values() else []
        found = graph.identify_change(causes, [outcome], kind=kinds, reads=reads)
        verdicts["identified" if found.identified else "not identified"] += 1
        if found.identified:
            system = random_system(graph, rng)
            value = found.estimand.evaluate(system.observed())
            error = gap(value, truth_of(system, found, kinds))
            worst, wrong = max(worst, error), wrong + (error > EXACT)
    return {"verdicts": dict(sorted(verdicts.items())), "identified and wrong": wrong} | {
        "largest error": worst
    }


def refused_shifts(count: int) -> dict[str, Any]:
    """Look for two systems behind refused shifts: of random graphs, and of the napkin."""
    tried = shown = exceptions = 0
    for seed in range(100 * count):
        rng = np.random.default_rng([4, seed])
        graph, cause, outcome = (random_graph if seed % 2 else random_chain)(rng)
        if tried == count:
            break
        if len(graph.nodes) > 5 or graph.identify_change(cause, outcome, kind="shift").identified:
            continue
        if graph.identify(cause, outcome).identified:
            exceptions += 1  # with two values, the set values tell
            continue
        tried += 1

        def flipped(system: Any, names: tuple[Any, Any] = (outcome, cause)) -> np.ndarray:
            y, x = names
            law = system.law([y, x, f"{x}°"], own={x: f"{x}°"}).values
            return law[:, 1, 0] + law[:, 0, 1]

        shown += rival_systems(graph, [cause], [outcome], rng, answer=flipped) is not None

    def shifted(system: Any) -> np.ndarray:
        law = system.law(["Y", "X", "X°"], own={"X": "X°"}).values
        return law[:, 1, 0] + law[:, 2, 1] + law[:, 2, 2]

    napkin = CausalGraph([("W", "Z"), ("Z", "X"), ("X", "Y")], hidden=[("W", "X"), ("W", "Y")])
    pair = rival_systems(
        napkin, "X", "Y", np.random.default_rng(1), answer=shifted, levels=3, hidden_levels=6
    )
    return {
        "tried": tried,
        "shown by two systems": shown,
        "set aside: of two values and identified when set": exceptions,
        "the napkin with three values shown by two systems": pair is not None,
    }


def speed() -> dict[str, Any]:
    """Time verdicts on twins of 40 indicators over 3 periods with groups, shocks, hidden causes."""
    times: dict[str, list[float]] = {"do": [], "shift": []}
    found = Counter[str]()
    for seed in range(1, 4):
        graph = large_twin(seed).graph
        for cause, outcome in [("v0", "v39"), ("v5", "v30"), ("v20", "v39"), ("v38", "v39")]:
            for kind, several in times.items():
                before = time.perf_counter()
                verdict = graph.identify(cause, outcome, kind=kind, periods=3)
                several.append(time.perf_counter() - before)
                found["identified" if verdict.identified else "not identified"] += 1
    return {"verdicts": dict(found)} | {
        f"{kind}, seconds": {
            "median": float(np.median(several)),
            "longest": float(np.max(several)),
        }
        for kind, several in times.items()
    }


def lines_of(name: str, value: Any, depth: int = 0) -> list[str]:
    """Write a result as nested lists."""
    indent = "  " * depth
    if isinstance(value, dict):
        lines = [f"{indent}- {name}:"]
        for key, one in value.items():
            lines += lines_of(key, one, depth + 1)
        return lines
    shown = f"{value:.3g}" if isinstance(value, float) else str(value)
    return [f"{indent}- {name}: {shown}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--graphs", type=int, default=1000)
    parser.add_argument("--rivals", type=int, default=60)
    chosen = parser.parse_args()
    before = time.perf_counter()
    results = {
        "published graphs": published(),
        "single effects on random graphs": random_effects(
            random_graph, chosen.graphs, chosen.rivals
        ),
        "single effects on chains with many hidden pairs": random_effects(
            random_chain, chosen.graphs, chosen.rivals // 3, largest=5
        ),
        "joint and conditional effects on random graphs": random_joint_effects(
            chosen.graphs, chosen.rivals // 2
        ),
        "changes of natural values in random panels": random_changes(chosen.graphs),
        "refused shifts": refused_shifts(chosen.rivals // 2),
        "40 indicators over 3 periods": speed(),
    }
    about = {
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "machine": platform.machine(),
        "seconds": time.perf_counter() - before,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"about": about, "results": results}, indent=1, ensure_ascii=False)
    (RESULTS / "identification.json").write_text(text + "\n", encoding="utf-8")
    page = ["# Identification against enumeration", "", *(__doc__ or "").splitlines()[2:], ""]
    for name, one in results.items():
        page += [f"## {name[0].upper()}{name[1:]}", ""]
        for key, value in one.items():
            page += lines_of(key, value)
        page.append("")
    page.append(
        f"Python {about['python']}, NumPy {about['numpy']}, {about['machine']}; "
        f"{about['seconds']:.0f} seconds. Remake with `python benchmarks/identification.py`."
    )
    (RESULTS / "identification.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    print("\n".join(page))


if __name__ == "__main__":
    main()
