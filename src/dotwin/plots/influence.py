"""Where an indicator's variation comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.plots.quantity import quantity
from dotwin.plots.style import GREY, INK, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.effects import Influence

__all__ = ["plot_influence"]

#: The smallest of more sources than this are drawn together.
_MOST_SOURCES = 8


def plot_influence(found: Influence) -> Figure:
    """Draw each source's share of the variance as a bar, with its interval.

    Of many sources the smallest are drawn as one.

    Parameters
    ----------
    found : Influence

    Returns
    -------
    Figure
    """
    shares = 100 * found.draws["share"].stack(sample=("chain", "draw"))
    names = found.summary()["source"].tolist()
    alone = names if len(names) <= _MOST_SOURCES else names[: _MOST_SOURCES - 1]
    bars = [shares.sel(source=name).values for name in alone]
    labels = list(alone)
    if rest := names[len(alone) :]:
        bars.append(shares.sel(source=rest).sum("source").values)
        labels.append(f"{len(rest)} others together")
    figure, (axes,) = new_figure(height=0.3 * len(labels) + 0.7)
    y = np.arange(len(labels))[::-1]
    low, high = np.quantile(bars, [0.05, 0.95], axis=1)
    axes.barh(y, np.mean(bars, axis=1), height=0.55, color=color(1), alpha=0.75)
    axes.hlines(y, low, high, color=INK, linewidth=1.0)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.set_yticks(y, labels)
    axes.grid(axis="y", visible=False)
    twin = found.run.twin
    on = twin.thresholds[found.on].of if found.on in twin.thresholds else found.on
    axes.set_xlabel(f"% of the variance of {quantity(twin, on).axis}", fontsize=8.5)
    return finish(figure)
