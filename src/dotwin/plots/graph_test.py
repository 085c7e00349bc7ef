"""Figure of a test of the graph: each implied independence, and what would have been seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.effects.doubts.graph_tests import named
from dotwin.plots.style import GREY, INK, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.effects.doubts.graph_tests import GraphTest

__all__ = ["plot_graph_test"]

#: More lines than this cannot be read.
_MOST = 36


def plot_graph_test(test: GraphTest) -> Figure:
    """Draw each partial correlation with its interval, over what would have been seen.

    Parameters
    ----------
    test : GraphTest

    Returns
    -------
    Figure
        The least probable under the graph first, up to 36.
    """
    table = test.table[test.table["verdict"] != "not testable"].sort_values("p").head(_MOST)
    y = np.arange(len(table))[::-1]
    figure, (axes,) = new_figure(columns=1, width=6.4, height=1.0 + 0.17 * max(len(table), 3))
    seen = table["power_at"].to_numpy()
    axes.hlines(
        y, -seen, seen, color=GREY, alpha=0.3, linewidth=7,
        label="would be seen with 80 % probability only beyond",
    )  # fmt: skip
    bad = (table["verdict"] == "contradicted").to_numpy()
    for mask, shade, mark, label in (
        (~bad, color(0), "o", "not contradicted"),
        (bad, color(1), "X", "contradicted"),
    ):
        part, at = table[mask], y[mask]
        if len(part):
            axes.hlines(at, part["2.5%"], part["97.5%"], color=shade, linewidth=1.6)
            axes.plot(part["correlation"], at, mark, color=shade, markersize=4.5, label=label)
    axes.axvline(0, color=INK, linewidth=0.7)
    columns = (table[name].tolist() for name in ("effect", "cause", "lag"))
    names = [f"{effect} ⊥ {named(cause, lag)}" for effect, cause, lag in zip(*columns, strict=True)]
    axes.set_yticks(y, names)
    axes.grid(visible=False, axis="y")
    axes.set_xlabel("partial correlation, 95 % interval over resampled units", fontsize=8)
    figure.legend(frameon=False, fontsize=7.5, loc="outside lower center", ncols=3)
    return finish(figure)
