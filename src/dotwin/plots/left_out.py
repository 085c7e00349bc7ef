"""The figure of an effect without each group of units."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.plots.effects import scale
from dotwin.plots.style import GREY, INK, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.effects.doubts.left_out import GroupsLeftOut

__all__ = ["plot_left_out"]


def plot_left_out(found: GroupsLeftOut) -> Figure:
    """Draw the effect without each group, those that move it most first, beside the whole one.

    Parameters
    ----------
    found : GroupsLeftOut

    Returns
    -------
    Figure
    """
    table = found.table.dropna(subset=["mean"])
    table = table.iloc[np.argsort(-table["moved"].abs().to_numpy(), kind="stable")]
    factor, unit = scale(found.effect)
    rows = len(table)
    figure, (axes,) = new_figure(height=0.26 * rows + 1.1)
    whole = found.effect.summary().iloc[-1]
    axes.axvspan(whole["5%"] * factor, whole["95%"] * factor, color=GREY, alpha=0.15, linewidth=0)
    axes.axvline(whole["mean"] * factor, color=GREY, linewidth=1)
    y = np.arange(rows)[::-1]
    axes.hlines(y, table["5%"] * factor, table["95%"] * factor, color=color(0), linewidth=1.2)
    axes.plot(
        table["with"] * factor, y, "|", color=GREY, markersize=9, label="same units, fitted with it"
    )
    axes.plot(
        table["mean"] * factor,
        y,
        "o",
        color="white",
        markeredgecolor=color(0),
        markersize=4.5,
        label="fitted without it",
    )
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_ylim(-0.6, rows - 0.4)
    names = [f"{g} ({how})" for g, how in zip(table["group"], table["how"], strict=True)]
    axes.set_yticks(y, names)
    words = found.effect.question.outcome.words
    axes.set_xlabel(f"{words} ({unit})" if unit else words, fontsize=8.5)
    figure.legend(loc="outside lower right", fontsize=8, frameon=False, ncols=2)
    first, second = found.effect.question.names
    return finish(figure, f"{second}, less {first}{found.effect.when}, without each {found.by}")
