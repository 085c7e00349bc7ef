"""The figure of one effect under rival graphs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.plots.effects import scale
from dotwin.plots.style import GREY, INK, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.effects.doubts.rivals import RivalEffects

__all__ = ["plot_rivals"]

_VERDICTS = {"yes": "identified", "assumed": "assumed, not identified", "no": "not licensed"}


def plot_rivals(rivals: RivalEffects) -> Figure:
    """Draw an effect as each rival has it, beside its weight and the verdict on it.

    Parameters
    ----------
    rivals : RivalEffects

    Returns
    -------
    Figure
    """
    table, effects = rivals.table, rivals.effects
    rows = len(table)
    figure, (axes, weights) = new_figure(2, columns=2, height=0.42 * rows + 1.0)
    weights.sharey(axes)
    y = np.arange(rows)[::-1]
    factor, unit, label = 1.0, "", f"effect of {rivals.cause} on {rivals.on}"
    if effects:
        first = next(iter(effects.values()))
        factor, unit = scale(first)
        label = first.question.outcome.words
    for place, row in zip(y, table.to_dict("records"), strict=True):
        effect = effects.get(row["rival"])
        if effect is None:
            at = axes.get_yaxis_transform()
            text = axes.text(0.5, place, "no answer", color=GREY, fontsize=8.5, transform=at)
            text.set(ha="center", va="center", backgroundcolor="white")
        else:
            half = effect.summary(interval=0.5).iloc[-1]
            # What is only assumed is drawn in grey.
            shade = color(0) if row["identified"] == "yes" else GREY
            axes.hlines(place, row["5%"] * factor, row["95%"] * factor, color=shade, linewidth=1.2)
            axes.hlines(
                place, half["25%"] * factor, half["75%"] * factor, color=shade, linewidth=3.5
            )
            median = half["median"] * factor
            axes.plot(median, place, "o", color="white", markeredgecolor=shade, markersize=4.5)
        doubt = " (unreliable)" if row["unreliable"] > 0 else ""
        words = f"{row['weight']:.0%}{doubt}\n{_VERDICTS[row['identified']]}"
        weights.barh(place, row["weight"], height=0.5, color="#D5DCE2")
        weights.text(0.02, place, words, fontsize=8, color=INK, va="center")
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_ylim(-0.6, rows - 0.4)
    axes.set_yticks(y, table["rival"])
    axes.set_xlabel(f"{label} ({unit})" if unit else label, fontsize=8.5)
    weights.tick_params(labelleft=False, left=False)
    weights.set_xlim(0, 1)
    weights.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    weights.set_xlabel("weight for predicting; says nothing of arrows", fontsize=8.5)
    weights.grid(visible=False)
    title = "" if not effects else f"{first.question.names[1]}, less {first.question.names[0]}"
    if effects:
        title += f",{first.when}" if first.when else ""
    return finish(figure, title)
