"""Draw the figure of the page on identification: four graphs and what can be said of each.

Remake it with `python docs/identification_figure.py`. The verdicts are asked of the graphs.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

import matplotlib.pyplot as plt
from matplotlib.patches import FancyArrowPatch

import dotwin as dw

PLACES = {
    "staff": (0.0, 0.0),
    "falls": (2.0, 0.0),
    "acuity": (1.0, 1.0),
    "missed visits": (1.0, 0.0),
    "lottery": (0.0, 1.0),
}
EDGES = [
    [("acuity", "staff"), ("acuity", "falls"), ("staff", "falls")],
    [("staff", "falls")],
    [("staff", "missed visits"), ("missed visits", "falls")],
    [("lottery", "staff"), ("staff", "falls")],
]
HIDDEN = [[], [("staff", "falls")], [("staff", "falls")], [("staff", "falls")]]
SAID = {"back door": "identified: back door", "front door": "identified: front door"}


def main() -> None:
    mpl.rcParams |= {"svg.hashsalt": "dotwin", "font.size": 9, "svg.fonttype": "none"}
    figure, axes = plt.subplots(1, 4, figsize=(10, 1.9), layout="constrained")
    for ax, edges, hidden in zip(axes, EDGES, HIDDEN, strict=True):
        found = dw.CausalGraph(edges, hidden).identify("staff", "falls")
        said = SAID[found.strategy] if found.identified else "not identified"
        if found.strategy == "instrument":
            said += ": an instrument bounds it"
        ax.set_title(said, fontsize=9, color="#1b6b3a" if found.identified else "#a3341f")
        for pairs, style in ((edges, "-"), (hidden, "--")):
            for one, other in pairs:
                dashed = style == "--"
                ax.add_patch(
                    FancyArrowPatch(
                        PLACES[one],
                        PLACES[other],
                        arrowstyle="<|-|>" if dashed else "-|>",
                        connectionstyle="arc3,rad=0.45" if dashed else "arc3",
                        linestyle=style,
                        mutation_scale=10,
                        shrinkA=18,
                        shrinkB=18,
                        color="#777777" if dashed else "#222222",
                    )
                )
        for name in dict.fromkeys(node for edge in edges for node in edge):
            ax.text(*PLACES[name], name.replace(" ", "\n"), ha="center", va="center")
        ax.set(xlim=(-0.5, 2.5), ylim=(-0.65, 1.25))
        ax.axis("off")
    folder = Path(__file__).parent / "images"
    figure.savefig(folder / "identification.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
