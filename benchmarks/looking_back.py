"""How long do answers that look back or take apart take? The twin of eight families.

1,000 draws, 500 providers, 24 months; an intervention on vacancies reaches six of the eight.

    python benchmarks/looking_back.py
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.simulation import fitted
from dotwin.spec import Scenario, do

RESULTS = Path(__file__).resolve().parents[1] / "benchmarks" / "results"


def measured(draws: int, units: int, periods: int) -> list[dict[str, Any]]:
    """Time each answer once, after a small one that compiles and caches."""
    fit = fitted(units, draws, periods=periods + 1)
    scenario = Scenario("filled posts", [do("vacancy", 0.08)])
    window = slice(1, periods + 1)
    asked: dict[str, Callable[[int], Any]] = {
        "counterfactual": lambda n: fit.counterfactual(scenario, periods=window, draws=n),
        "mediation": lambda n: fit.mediation(
            "vacancy", on="incidents", through="missed", contrast=(0.08, 0.15), periods=periods,
            draws=n,
        ),
        "attribution": lambda n: fit.attribute(
            "incidents", before=fit.panel.period_labels[1], after=fit.panel.period_labels[-1],
            draws=n,
        ),
    }  # fmt: skip
    rows = []
    for name, ask in asked.items():
        ask(20)
        cpu, wall = time.process_time(), time.perf_counter()
        ask(draws)
        rows.append(
            {
                "answer": name,
                "draws": draws,
                "units": units,
                "periods": 2 if name == "attribution" else periods,
                "seconds": round(time.perf_counter() - wall, 2),
                "cpu_seconds": round(time.process_time() - cpu, 2),
                "load": round(os.getloadavg()[0], 1),
            }
        )
        print(rows[-1], flush=True)
    return rows


def main() -> None:
    """Measure and write the results beside the others."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--units", type=int, default=500)
    parser.add_argument("--periods", type=int, default=24)
    asked = parser.parse_args()
    rows = measured(asked.draws, asked.units, asked.periods)
    content = json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1)
    (RESULTS / "looking_back.json").write_text(content + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
