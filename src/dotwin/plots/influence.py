"""Where an indicator's variation comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.plots.style import GREY, INK, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.effects import Influence

__all__ = ["plot_influence"]


def plot_influence(found: Influence) -> Figure:
    """Draw each source's share of the variance as a bar, with its interval.

    Parameters
    ----------
    found : Influence

    Returns
    -------
    Figure
    """
    table = found.summary()
    figure, (axes,) = new_figure(height=0.3 * len(table) + 0.7)
    y = np.arange(len(table))[::-1]
    low, high = (100 * table[name].to_numpy() for name in ("5%", "95%"))
    axes.barh(y, 100 * table["mean"], height=0.55, color=color(1), alpha=0.75)
    axes.hlines(y, low, high, color=INK, linewidth=1.0)
    axes.axvline(0.0, color=GREY, linewidth=0.8)
    axes.set_yticks(y, table["source"].tolist())
    axes.grid(axis="y", visible=False)
    twin = found.run.twin
    label = twin.label(found.on) if found.on in twin.indicators else found.on
    axes.set_xlabel(f"{label}: % of the variance between {twin.unit}-periods", fontsize=8.5)
    return finish(figure)
