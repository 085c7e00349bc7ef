"""Speed of an effect: 1,000 draws, 500 units, 8 indicators of 8 families, 24 periods.

The twin is that of `simulation.py`. Each row is one call of `fit.effect`, its licence, support and
summary included, after a small call that loads the kernels. Seconds are CPU seconds of all threads;
on two free cores the wall time is about half of them.
"""

from __future__ import annotations

import json
import platform
import time
from importlib.metadata import version
from typing import Any

from simulation import RESULTS, fitted

DRAWS, UNITS, PERIODS = 1000, 500, 24
ASKED = (("hours", "cost"), ("vacancy", "inspection"), ("pay", "inspection"))


def main() -> None:
    fit = fitted(UNITS, DRAWS)
    fit.effect("hours", on="visits", horizon=2, draws=DRAWS)
    rows: list[dict[str, Any]] = []
    for cause, on in ASKED:
        wall, cpu = time.perf_counter(), time.process_time()
        effect = fit.effect(cause, on=on, horizon=PERIODS, draws=DRAWS)
        table = effect.summary()
        rows.append(
            {
                "cause": cause,
                "on": on,
                "cpu seconds": round(time.process_time() - cpu, 2),
                "wall seconds": round(time.perf_counter() - wall, 2),
                "largest share of noise": round(float(table["noise"].max()), 3),
            }
        )
    found = {
        "draws": DRAWS,
        "units": UNITS,
        "periods": PERIODS,
        "python": platform.python_version(),
        "numpy": version("numpy"),
        "rows": rows,
    }
    (RESULTS / "effects.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    columns = ("cause", "on", "CPU seconds", "wall seconds", "largest share of noise")
    head = f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|"
    lines = [
        f"| {r['cause']} | {r['on']} | {r['cpu seconds']} | {r['wall seconds']} | "
        f"{r['largest share of noise']} |"
        for r in rows
    ]
    text = (
        f"# Speed of an effect\n\n{DRAWS:,} draws × {UNITS} units × {PERIODS} months, eight "
        f"indicators of eight families; one run of `benchmarks/effects.py`. The machine was "
        f"shared, so CPU seconds say more than wall seconds. The last column is the share of the "
        f"variance over draws that comes from simulating: at this size one noise is simulated per "
        f"draw; `replicates=` averages more.\n\n"
    )
    (RESULTS / "effects.md").write_text(text + "\n".join([head, *lines]) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
