"""Figures of an early warning: what is known of some units, and whether warnings were right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from dotwin.errors import SpecificationError
from dotwin.plots.style import GREY, INK, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.effects.alerts.warning import EarlyWarning
    from dotwin.effects.alerts.warning_scores import WarningScores

__all__ = ["plot_early_warning", "plot_reliability"]

#: More lines than this cannot be told apart.
_MOST_UNITS = 30
#: By verdict: a colour and a mark, so that a grey print can be read.
_MARKS = {"alert": (1, "o"), "abstains": (6, "D"), "no alert": (0, "s")}


def plot_early_warning(warning: EarlyWarning, units: Sequence[str] | None = None) -> Figure:
    """Draw probabilities and ranks of some units, each with its interval.

    Units stand in the panel's order: the figure is no league table.

    Parameters
    ----------
    warning : EarlyWarning
    units : sequence of str, optional
        Those that call for an alert, and then others evenly from the rest, up to 30 in all,
        unless given.

    Returns
    -------
    Figure
    """
    table = warning.summary()
    unit = warning.twin.unit
    if units is not None:
        strangers = [one for one in units if one not in set(table[unit])]
        if strangers:
            raise SpecificationError(f"there is no warning for {unit} '{strangers[0]}'.")
        shown = table[table[unit].isin(list(units))]
    else:
        alerts = np.flatnonzero(table["verdict"] == "alert")[:_MOST_UNITS]
        rest = np.setdiff1d(np.arange(len(table)), alerts)
        room = min(_MOST_UNITS - alerts.size, rest.size)
        some = rest[np.linspace(0, rest.size - 1, room).astype(int)] if room else rest[:0]
        shown = table.iloc[np.sort(np.concatenate([alerts, some]))]
    y = np.arange(len(shown))[::-1]
    columns = shown.columns.tolist()
    low, high = columns[columns.index("probability") + 1 : columns.index("probability") + 3]
    figure, (left, right) = new_figure(2, columns=2, height=1.2 + 0.17 * len(shown))
    for word, (shade, mark) in _MARKS.items():
        own = (shown["verdict"] == word).to_numpy()
        if not own.any():
            continue
        part, at = shown[own], y[own]
        left.hlines(at, 100 * part[low], 100 * part[high], color=color(shade), linewidth=2)
        left.plot(100 * part["probability"], at, mark, color=color(shade), markersize=4, label=word)
        right.hlines(at, part[f"rank {low}"], part[f"rank {high}"], color=color(shade), linewidth=2)
    left.axvline(100 * warning.alert_at, color=INK, linewidth=0.9, linestyle=(0, (4, 2)))
    left.set_yticks(y, shown[unit].tolist())
    right.set_yticks(y, [""] * y.size)
    frequency = warning.run.future.frequency
    when = f"1 {frequency}" if warning.horizon == 1 else f"{warning.horizon} {frequency}s"
    left.set_xlabel(f"% probability of crossing within {when}; line: alert", fontsize=8)
    left.set_xlim(left=0)
    right.set_xlabel(f"rank of its risk among {len(table):,}, 1 the highest", fontsize=8)
    right.set_xlim(1, len(table))
    left.legend(frameon=False, fontsize=7.5)
    for axes in (left, right):
        axes.grid(visible=False, axis="y")
        axes.grid(visible=True, axis="x", color="#E4E4E4", linewidth=0.6)
    return finish(figure, f"{warning.threshold.replace('_', ' ')}. {warning.notice}")


def plot_reliability(scores: WarningScores, groups: int = 10) -> Figure:
    """Draw observed against expected crossings in groups of like probability.

    Parameters
    ----------
    scores : WarningScores
    groups : int
        About so many.

    Returns
    -------
    Figure
    """
    table = scores.reliability(groups)
    figure, (axes,) = new_figure(columns=1, width=4.2, height=3.2)
    x = 100 * table["expected"].to_numpy()
    top = 100 * float(max(table["high"].max(), table["observed"].max(), table["expected"].max()))
    axes.plot([0, top], [0, top], color=GREY, linewidth=1.0, linestyle=(0, (4, 2)))
    axes.vlines(
        x, 100 * table["low"], 100 * table["high"], color=color(0), alpha=0.45, linewidth=6,
        label="band if every probability is right",
    )  # fmt: skip
    inside = table["inside"].to_numpy()
    seen = 100 * table["observed"].to_numpy()
    axes.plot(x[inside], seen[inside], "o", color=INK, markersize=4, label="observed")
    if not inside.all():
        axes.plot(x[~inside], seen[~inside], "X", color=color(1), markersize=7, label="outside")
    axes.set_xlabel("% expected to cross", fontsize=8)
    axes.set_ylabel("% that crossed", fontsize=8)
    axes.set_xlim(0, 1.05 * x.max())
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=7.5, loc="upper left")
    return finish(figure)
