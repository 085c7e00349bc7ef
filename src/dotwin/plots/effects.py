"""Figures of effects: over time, or one line per group."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.plots.quantity import quantity
from dotwin.plots.style import INK, band, color, finish, new_figure, period_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dotwin.effects import Effect

__all__ = ["plot_effect", "scale"]


def plot_effect(effect: Effect) -> Figure:
    """Draw an effect: its course over periods, or its groups side by side where it has one period.

    Parameters
    ----------
    effect : Effect

    Returns
    -------
    Figure
    """
    groups = effect.question.groups
    wide, narrow = effect.summary(), effect.summary(interval=0.5)
    factor, unit = scale(effect)
    title = f"{effect.question.names[1]}, less {effect.question.names[0]}"
    if effect.caution:
        # Above the numbers, so that nobody sees them without it.
        title = f"{effect.caution}:\n{title}"
    label = f"{effect.question.outcome.words}\n({unit})" if unit else effect.question.outcome.words
    if "period" not in wide:
        return finish(
            _forest(effect, wide, narrow, factor, label),
            title + (f",{effect.when}" if effect.when else ""),
        )
    names = [", ".join(one) for one in groups.labels] if groups.names else [""]
    labels = list(wide["period"].unique())
    figure, grid = new_figure(len(names), height=2.2 if len(names) > 1 else 2.8)
    x = np.arange(len(labels))
    for g, (axes, name) in enumerate(zip(grid, names, strict=True)):
        rows = slice(g * len(labels), (g + 1) * len(labels))
        w, n = wide.iloc[rows], narrow.iloc[rows]
        band(axes, x, w["5%"] * factor, w["95%"] * factor, color(0), 0.18)
        band(axes, x, n["25%"] * factor, n["75%"] * factor, color(0), 0.3)
        mark = "o" if len(x) == 1 else None
        axes.plot(x, w["median"] * factor, color=color(0), linewidth=1.5, marker=mark)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_title(name, fontsize=9, loc="left", color=INK)
        if g == 0:
            axes.set_ylabel(label, fontsize=8)
        period_axis(axes, labels, most=3 if len(names) > 1 else 7)
    if len(names) > 1:
        low = min(axes.get_ylim()[0] for axes in grid)
        high = max(axes.get_ylim()[1] for axes in grid)
        for axes in grid:
            axes.set_ylim(low, high)
    return finish(figure, title)


def _forest(
    effect: Effect, wide: pd.DataFrame, narrow: pd.DataFrame, factor: float, label: str
) -> Figure:
    groups = effect.question.groups
    names = [", ".join(one) for one in groups.labels] if groups.names else ["all units"]
    figure, (axes,) = new_figure(height=0.26 * len(names) + 0.9)
    y = np.arange(len(names))[::-1]
    axes.hlines(y, wide["5%"] * factor, wide["95%"] * factor, color=color(0), linewidth=1.2)
    axes.hlines(y, narrow["25%"] * factor, narrow["75%"] * factor, color=color(0), linewidth=3.5)
    median = wide["median"] * factor
    axes.plot(median, y, "o", color="white", markeredgecolor=color(0), markersize=4.5)
    axes.axvline(0, color=INK, linewidth=0.8)
    _room(axes, len(names))
    axes.set_yticks(y, names)
    axes.set_xlabel(label, fontsize=8.5)
    return figure


def _room(axes: Axes, rows: int) -> None:
    """Leave space above the first and below the last row."""
    axes.set_ylim(-0.6, rows - 0.4)


def scale(effect: Effect) -> tuple[float, str]:
    """Return by what values are multiplied and the unit they then have."""
    outcome = effect.question.outcome
    if outcome.is_probability:
        return 100.0, "percentage points"
    if outcome.kind == "mean":
        shown = quantity(outcome.twin, outcome.text)
        return shown.factor, shown.difference
    return 1.0, ""
