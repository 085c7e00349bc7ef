"""Draw the figure of the page on calibration: empirical distributions of ranks, less what is right.

Remake it with `python -m docs.calibration_figure`. It reads benchmarks/results/calibration.json.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
import numpy as np

from benchmarks.calibration_summary import LEVEL
from benchmarks.uniformity import PLACES, band

ROOT = Path(__file__).resolve().parents[1]
WITHIN, OUTSIDE, INK = "#0072B2", "#D55E00", "#222222"
COLUMNS = 10
ENGINES = {"deterministic": "without sampling", "nuts": "No-U-turn chains"}


def panel(ax: Any, case: dict[str, Any], reach: float) -> None:
    """Draw the range of all quantities of a design, its furthest one, and their common band."""
    at = np.arange(1, PLACES) / PLACES
    count, several = case["kept"], case["quantities"]
    low, high = band(count, LEVEL / len(several))
    shares = np.stack([np.cumsum(q["bins"])[:-1] / count for q in several.values()]) - at
    furthest = list(several).index(case["of"])
    colour = WITHIN if case["p"] >= LEVEL else OUTSIDE
    ax.fill_between(at, low - at, high - at, color="#dddddd", linewidth=0)
    ax.fill_between(at, shares.min(axis=0), shares.max(axis=0), color=colour, alpha=0.3, lw=0)
    ax.plot(at, shares[furthest], color=colour, linewidth=0.9)
    ax.axhline(0.0, color=INK, linewidth=0.4)
    ax.set(xlim=(0, 1), ylim=(-reach, reach), xticks=[], yticks=[])
    for side in ax.spines.values():
        side.set_linewidth(0.4)


def main() -> None:
    """Draw a row per engine and layout, one of missing causes, and one of what is broken."""
    content = json.loads(
        (ROOT / "benchmarks" / "results" / "calibration.json").read_text(encoding="utf-8")
    )
    mpl.rcParams |= {"svg.hashsalt": "dotwin", "font.size": 8, "svg.fonttype": "none"}
    right = [c for c in content["cases"] if not c["broken"]]
    broken = [c for c in content["cases"] if c["broken"]]
    joint = [c for c in right if c["engine"] == "joint"]
    families = list(dict.fromkeys(c["design"].partition(", ")[0] for c in right if c not in joint))
    layouts = list(dict.fromkeys(c["design"].partition(", ")[2] for c in right if c not in joint))
    rows = [(engine, layout) for engine in ENGINES for layout in layouts]
    figure = plt.figure(figsize=(10.5, 10.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[len(rows), 3.1])
    grid = above.subplots(len(rows), len(families))
    for axes, (engine, layout) in zip(grid, rows, strict=True):
        for ax, family in zip(axes, families, strict=True):
            found = [
                c for c in right if c["engine"] == engine and c["design"] == f"{family}, {layout}"
            ]
            if not found or not found[0]["kept"]:
                ax.axis("off")
                continue
            panel(ax, found[0], 0.15 if engine == "deterministic" else 0.3)
        axes[0].set_ylabel(f"{ENGINES[engine]}\n{layout}", fontsize=8)
    for ax, family in zip(grid[0], families, strict=True):
        ax.set_title(family.replace("_", " "), fontsize=8)
    lower = below.subplots(2, max(len(joint), len(broken)))
    for axes, cases, title in (
        (lower[0], joint, "missing causes"),
        (lower[1], broken, "broken on purpose"),
    ):
        for ax in axes[len(cases) :]:
            ax.axis("off")
        for ax, case in zip(axes, cases, strict=False):
            panel(ax, case, 0.3)
            engine = ENGINES.get(case["engine"], "missing causes")
            words = f"{case['broken']}\n{case['design']}\n{engine}" if case["broken"] else ""
            ax.set_title((words or case["design"]).replace("_", " "), fontsize=7)
        axes[0].set_ylabel(title, fontsize=8)
    figure.savefig(ROOT / "docs" / "images" / "calibration.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
