"""The figure of a hidden cause of stated strength."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.plots.style import INK, band, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.effects.doubts.sensitivity import Sensitivity

__all__ = ["plot_sensitivity"]


def plot_sensitivity(sensitivity: Sensitivity) -> Figure:
    """Draw an effect against the strength of a hidden cause that moves it towards 0.

    Parameters
    ----------
    sensitivity : Sensitivity

    Returns
    -------
    Figure
    """
    table, effect = sensitivity.table, sensitivity.effect
    figure, (axes,) = new_figure(1, height=2.8)
    path = table[table["direction"] != "away from 0"]
    x = path["strength"].to_numpy()
    band(axes, x, path["5%"], path["95%"], color(0), 0.25)
    axes.plot(x, path["mean"], color=color(0), linewidth=1.5)
    axes.axhline(0, color=INK, linewidth=0.8)
    if np.isfinite(sensitivity.tipping):
        axes.axvline(sensitivity.tipping, color=INK, linewidth=0.8, linestyle=":")
    axes.set_xlabel("strength of the hidden cause, in multiples of the strongest observed cause")
    axes.set_ylabel(effect.question.outcome.words, fontsize=8)
    return finish(figure, f"{effect.question.names[1]}, less {effect.question.names[0]}")
