"""Write what was measured: benchmarks/results/peers.json and .md, docs/speed.md and its figures.

Nothing is typed in: numbers come from out/peers/measured, where `peers.py`, `growth.py` and
`gradient.py` left them, and from the results of `simulation.py` and `update.py`. Without
out/peers, or with ``--page``, the page alone is made anew from the committed results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from speed_figures import figures_of
from speed_words import page_of

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
MEASURED = ROOT / "out" / "peers" / "measured"
PACKAGES = ("dotwin", "pymc", "nutpie", "numba", "numpy", "jax", "numpyro", "pathmc")
#: Decimal places that a number is kept to: more than a rerun would repeat.
DIGITS = 4


def gathered() -> dict[str, Any]:
    """Gather all measurements into one."""
    found = {
        path.stem: rounded(json.loads(path.read_text(encoding="utf-8")))
        for path in sorted(MEASURED.glob("*.json"))
    }
    fits = [one for key, one in found.items() if "providers" in one and "who" in one]
    growth = [one for key, one in found.items() if key.startswith("growth-")]
    fewest = min(one["providers"] for one in growth)
    by_providers = sorted(
        (one for one in growth if one["mechanisms"] == 4 and one["providers"] != fewest),
        key=lambda one: one["providers"],
    )
    by_mechanisms = sorted(
        (one for one in growth if one["providers"] == fewest and one["mechanisms"] != 4),
        key=lambda one: one["mechanisms"],
    )
    return {
        "about": {
            "cores": os.cpu_count(),
            "shared": "the fits by dotwin with nothing else running, peers and growth partly "
            "beside other work, which costs CPU-seconds: NumPyro (60, cold) took 169 so, 164 alone",
            "processor": platform.machine(),
            "versions": {"python": platform.python_version(), **{n: version(n) for n in PACKAGES}},
        },
        "same model": found.get("same-model"),
        "fits": fits,
        "shared with pathmc": {k: v for k, v in found.items() if k.startswith("shared-")},
        "gradient": found.get("gradient"),
        "growth": {
            "providers": by_providers,
            "slope over providers": slope(by_providers, "providers"),
            "mechanisms": by_mechanisms,
            "slope over mechanisms": slope(by_mechanisms, "mechanisms"),
        },
        "real": {k.removeprefix("real-"): v for k, v in found.items() if k.startswith("real-")},
    }


def rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    return value


def slope(found: list[dict[str, Any]], over: str) -> float | None:
    """Return the exponent of the growth of CPU seconds over the larger half of the sizes."""
    done = [one for one in found if "not finished" not in one]
    done = done[len(done) // 2 :] if len(done) > 3 else done[-2:]
    if len(done) < 2:
        return None
    x, y = (np.log([one[name] for one in done]) for name in (over, "cpu seconds, all"))
    return round(float(np.polyfit(x, y, 1)[0]), 2)


def read(name: str) -> Any:
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--page", action="store_true", help="do not gather anew")
    if not parser.parse_args().page and MEASURED.exists():
        text = json.dumps(gathered(), indent=1, ensure_ascii=False)
        (RESULTS / "peers.json").write_text(text + "\n", encoding="utf-8")
    content = read("peers.json")
    page, table = page_of(content, read("simulation.json"), read("update.json"))
    (ROOT / "docs" / "speed.md").write_text(page, encoding="utf-8")
    (RESULTS / "peers.md").write_text(table, encoding="utf-8")
    figures_of(content, ROOT / "docs" / "images")


if __name__ == "__main__":
    main()
