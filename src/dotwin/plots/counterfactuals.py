"""Figures of what would have been, through what, how necessarily, and why it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.effects.compared import headline
from dotwin.plots.quantity import quantity
from dotwin.plots.style import GREY, INK, band, color, dash, finish, new_figure, period_axis
from dotwin.spec.expressions import parse
from dotwin.worlds.aggregate import By, aggregate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.effects import Attribution, Counterfactual, Mediation, Necessity

__all__ = ["plot_attribution", "plot_counterfactual", "plot_mediation", "plot_necessity"]

#: More panels than this cannot be read on a page.
_MOST_PANELS = 12
_HISTORY = 12


def plot_counterfactual(
    answer: Counterfactual, indicator: str | None = None, by: By = None
) -> Figure:
    """Draw what was as a line, and what would have been with its bands.

    Parameters
    ----------
    answer : Counterfactual
    indicator : str, optional
        An indicator, an expression or a threshold's name; the last effect unless given.
    by : str or sequence of str, optional
        As in `Counterfactual.summary`; the first 12 groups are drawn.

    Returns
    -------
    Figure
    """
    twin, run = answer.twin, answer.run
    text = indicator or headline(twin, answer.outcomes, frozenset(run.programs[1].changes))
    shown = quantity(twin, text)
    groups = answer.worlds.groups(by)
    was, would = (answer.worlds.aggregate(shown.text, w, groups) * shown.factor for w in (0, 1))
    panel = run.fit.panel
    names = parse(shown.text).names()
    first = 0 if panel.is_cross_section else run.start.past - 1
    back = slice(max(0, first - _HISTORY), first)
    before = np.empty((len(groups.labels), 0))
    if names <= set(panel.indicators) and back.stop > back.start:

        def read(name: str) -> np.ndarray:
            return np.asarray(panel.values(name), dtype=float)[run.start.rows, back]

        before = aggregate(twin, parse(shown.text), read, groups) * shown.factor
    labels = [*panel.period_labels[back], *run.future.labels]
    here = before.shape[1]
    x = np.arange(here, here + was.shape[-1])
    count = min(len(groups.labels), _MOST_PANELS)
    figure, grid = new_figure(count, height=2.0 if count > 1 else 2.8)
    for panel_number, axes in enumerate(grid):
        low, lower, middle, upper, high = np.quantile(
            would[:, panel_number], [0.05, 0.25, 0.5, 0.75, 0.95], axis=0
        )
        band(axes, x, low, high, color(1), 0.18)
        band(axes, x, lower, upper, color(1), 0.3)
        mark = "o" if len(x) == 1 else None
        axes.plot(x, middle, color=color(1), linestyle=dash(1), linewidth=1.5, marker=mark,
                  label=f"had '{answer.scenario.name}' been so")  # fmt: skip
        facts = np.concatenate([before[panel_number], was[:, panel_number].mean(axis=0)])
        axes.plot(np.arange(len(facts)), facts, color=INK, linewidth=1.3, marker=mark, label="was")
        if here:
            axes.axvline(here - 0.5, color=GREY, linewidth=0.8, linestyle=":")
        if groups.names:
            title = " · ".join(groups.labels[panel_number])
            axes.set_title(title, fontsize=9, loc="left", color=INK)
        period_axis(axes, labels, most=3 if count > 1 else 7)
    handles, written = grid[0].get_legend_handles_labels()
    figure.legend(handles, written, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    figure.supylabel(f"{shown.label}, total" if shown.total else shown.axis, fontsize=8.5)
    return finish(figure)


def plot_necessity(found: Necessity) -> Figure:
    """Draw each probability with its interval, between its bounds.

    Parameters
    ----------
    found : Necessity

    Returns
    -------
    Figure
    """
    table = found.summary()
    figure, (axes,) = new_figure(height=1.9)
    y = np.arange(len(table))[::-1]
    axes.hlines(y, table["at least 5%"], table["at most 95%"], color=GREY, linewidth=1.0)
    axes.hlines(y, table["at least"], table["at most"], color=GREY, linewidth=6.0, alpha=0.4,
                label="bounds, whatever the coupling")  # fmt: skip
    axes.hlines(y, table["5%"], table["95%"], color=color(0), linewidth=2.0)
    axes.plot(table["mean"], y, "o", color="white", markeredgecolor=color(0), markersize=5,
              label="model, coupling monotone")  # fmt: skip
    axes.set_yticks(y, table["probability of"].tolist())
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.6, len(table) - 0.4)
    axes.set_xlabel("probability", fontsize=8.5)
    axes.legend(loc="best", frameon=False, fontsize=8)
    return finish(figure, f"{found.twin.label(found.cause)} and '{found.event}'")


def plot_mediation(found: Mediation) -> Figure:
    """Draw each part of the effect over time; as a forest where there is one period.

    Parameters
    ----------
    found : Mediation

    Returns
    -------
    Figure
    """
    labels = list(found.run.future.labels)
    names = list(found.parts)
    values = {name: part[:, 0] for name, part in found.parts.items()}
    label = found.twin.label
    what = " and ".join(map(label, found.through))
    title = f"{label(found.cause)} on {label(found.on)}, through {what} ({found.kind})"
    if len(labels) == 1:
        figure, (axes,) = new_figure(height=0.26 * len(names) + 0.9)
        y = np.arange(len(names))[::-1]
        ends = np.array([np.quantile(values[n][:, 0], [0.05, 0.5, 0.95]) for n in names])
        axes.hlines(y, ends[:, 0], ends[:, 2], color=color(0), linewidth=1.5)
        axes.plot(ends[:, 1], y, "o", color="white", markeredgecolor=color(0), markersize=5)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(y, names)
        return finish(figure, title)
    figure, grid = new_figure(len(names), height=1.9)
    x = np.arange(len(labels))
    ends = np.stack([np.quantile(values[n], [0.05, 0.25, 0.5, 0.75, 0.95], axis=0) for n in names])
    reach = np.ptp([ends.min(), ends.max(), 0.0]) or 1.0
    for axes, name, (low, lower, middle, upper, high) in zip(grid, names, ends, strict=True):
        band(axes, x, low, high, color(0), 0.18)
        band(axes, x, lower, upper, color(0), 0.3)
        axes.plot(x, middle, color=color(0), linewidth=1.5)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_ylim(min(ends.min(), 0) - 0.05 * reach, max(ends.max(), 0) + 0.05 * reach)
        axes.set_title(name, fontsize=9, loc="left", color=INK)
        period_axis(axes, labels, most=3)
    return finish(figure, title)


def plot_attribution(found: Attribution) -> Figure:
    """Draw the way from one end to the other, part by part, with each part's interval.

    Parameters
    ----------
    found : Attribution

    Returns
    -------
    Figure
    """
    table = found.summary()
    names = [found.labels[0], *table["part"].tolist(), found.labels[1]]
    figure, (axes,) = new_figure(height=0.3 * len(names) + 0.7)
    y = np.arange(len(names))[::-1]
    means = table["mean"].to_numpy()
    starts = found.before + np.concatenate([[0.0], np.cumsum(means)[:-1]])
    for place, start, mean, low, high in zip(
        y[1:-1], starts, means, table["5%"], table["95%"], strict=True
    ):
        shade = color(1) if mean > 0 else color(0)
        axes.barh(place, mean, left=start, height=0.55, color=shade, alpha=0.75)
        axes.hlines(place, start + low, start + high, color=INK, linewidth=1.0)
        axes.vlines(start + mean, place - 1, place, color=GREY, linewidth=0.6)
    axes.plot([found.before, found.after], [y[0], y[-1]], "o", color=INK, markersize=5)
    axes.vlines(found.before, y[1], y[0], color=GREY, linewidth=0.6)
    axes.set_yticks(y, names)
    axes.use_sticky_edges = False
    axes.margins(x=0.05)
    axes.grid(axis="y", visible=False)
    measure = found.comparisons[0].measure
    twin = found.comparisons[0].ends[0].fit.twin
    shown = quantity(twin, measure.text)
    axes.set_xlabel(f"{shown.label}, total" if measure.total else shown.axis, fontsize=8.5)
    return finish(figure)
