"""Figure of a backtest: where observations fell among what was forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.plots.style import GREY, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.worlds.calibration import Backtest

__all__ = ["plot_backtest"]

#: Tenths are fine enough to show forecasts that are too narrow, too wide, too high or too low.
_BINS = 10


def plot_backtest(backtest: Backtest) -> Figure:
    """Draw the histogram of PIT values of each indicator.

    Flat: forecasts mean what they say. High at both ends: too narrow; high in the middle: too
    wide; leaning to one end: too low or too high.

    Parameters
    ----------
    backtest : Backtest

    Returns
    -------
    Figure
    """
    names = backtest.indicators
    figure, panels = new_figure(len(names), height=2.0)
    values = backtest.pit
    for axes, name in zip(panels, names, strict=True):
        own = values[values["indicator"] == name]["pit"].to_numpy()
        counts, edges = np.histogram(own, np.linspace(0.0, 1.0, _BINS + 1))
        share = 100.0 * counts / max(own.size, 1)
        axes.stairs(share, edges, fill=True, color=color(0), alpha=0.55)
        axes.axhline(100.0 / _BINS, color=GREY, linewidth=1.0, linestyle=(0, (4, 2)))
        axes.set_title(f"{backtest.labels[name]}: {backtest.verdict(name).status}", fontsize=8.5)
        axes.set_xlabel("share of the forecast below what came", fontsize=8)
        axes.set_ylabel("% of forecasts", fontsize=8)
        axes.set_xlim(0.0, 1.0)
    return finish(figure)
