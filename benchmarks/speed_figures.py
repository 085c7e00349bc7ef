"""Figures of the page on speed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from speed_rows import number, picked

INK, OURS = "#222222", "#0072B2"


def apart(values: Sequence[float]) -> list[float]:
    """Leave out what would stand upon its neighbour on a logarithmic axis; keep both ends."""
    kept = [values[-1]]
    for value in reversed(values[:-1]):
        if kept[-1] / value > 1.9:
            kept.append(value)
    return kept[::-1]


def figures_of(content: dict[str, Any], folder: Path) -> None:
    """Draw ESS per CPU-second and growth."""
    import matplotlib as mpl

    mpl.use("svg")
    import matplotlib.pyplot as plt

    mpl.rcParams |= {"svg.hashsalt": "dotwin", "font.size": 9, "svg.fonttype": "none"}
    sizes = sorted({one["providers"] for one in picked(content, who="nutpie")})
    figure, axes = plt.subplots(
        1, len(sizes), figsize=(7.2, 2.9), layout="constrained", sharex=True
    )
    for ax, providers in zip(axes, sizes, strict=True):
        bars = []
        for who, plain in (
            ("nutpie", "nutpie"), ("pymc", "pm.sample"), ("numpyro", "NumPyro"),
            ("dotwin", "dotwin"),
        ):  # fmt: skip
            for state in ("cold", "warm"):
                found = [
                    one for one in picked(content, who=who, state=state, providers=providers)
                    if "ess" in one
                ]  # fmt: skip
                for kept in sorted({one["draws"] * one["chains"] for one in found}):
                    best = max(
                        one["ess_per_cpu_second"]
                        for one in found
                        if one["draws"] * one["chains"] == kept
                    )
                    more = f", {kept:,} draws" if who == "dotwin" else ""
                    bars.append((f"{plain}, {state}{more}", best, who == "dotwin"))
        for i, (_, value, ours) in enumerate(reversed(bars)):
            ax.barh(i, value, color=OURS if ours else "#8A8A8A", height=0.7)
            ax.text(value * 1.15, i, number(value), va="center", color=INK, fontsize=8)
        ax.set_yticks(range(len(bars)), [name for name, *_ in reversed(bars)])
        ax.set_xscale("log")
        ax.set_xlim(0.01, 5000)
        ax.set_title(f"{providers} providers", fontsize=9, loc="left")
        ax.set_xlabel("ESS per CPU-second")
        ax.spines[["top", "right"]].set_visible(False)
    save(figure, folder / "speed-peers.svg")

    growth = content["growth"]
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.6), layout="constrained")
    for ax, over in zip(axes, ("providers", "mechanisms"), strict=True):
        done = [one for one in growth[over] if "not finished" not in one]
        if done:
            x = [one[over] for one in done]
            y = [one["cpu seconds, all"] for one in done]
            ax.plot(x, y, "o-", color=OURS, markersize=4)
            # A decade's numbers would run into each other; what was measured is named instead.
            ax.set_xscale("log")
            ax.set_yscale("log")
            named = apart(x)
            ax.set_xticks(named, [f"{size:,}" for size in named], minor=False)
            named = apart(y)
            ax.set_yticks(named, [f"{seconds:.0f}" for seconds in named], minor=False)
            ax.minorticks_off()
            ax.plot(
                [x[0], x[-1]], [y[-1] * x[0] / x[-1], y[-1]], color="#8A8A8A", linestyle=(0, (4, 2))
            )
            ax.text(
                x[0], y[-1] * x[0] / x[-1], " linear ", color="#5A5A5A", va="bottom", fontsize=8
            )
        ax.set_xlabel(over)
        ax.set_ylabel("CPU-seconds")
        ax.spines[["top", "right"]].set_visible(False)
    save(figure, folder / "speed-growth.svg")


def save(figure: Any, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})
    text = path.read_text(encoding="utf-8")
    path.write_text("\n".join(line.rstrip() for line in text.splitlines()) + "\n", encoding="utf-8")
