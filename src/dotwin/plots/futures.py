"""Figures of futures: forecasts with their history, differences between scenarios, support."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.plots.quantity import Quantity, quantity
from dotwin.plots.style import (
    GREY,
    INK,
    band,
    color,
    dash,
    finish,
    new_figure,
    period_axis,
)
from dotwin.spec.expressions import parse
from dotwin.worlds.aggregate import By, Groups, aggregate

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dotwin.worlds import Contrast, Futures, Support

__all__ = ["plot_contrast", "plot_futures", "plot_groups", "plot_support"]

#: More panels than this cannot be read on a page.
_MOST_PANELS = 12
_HISTORY = 24


def plot_futures(
    futures: Futures,
    indicator: str,
    by: By = None,
    *,
    scenarios: tuple[str, ...] | None = None,
) -> Figure:
    """Draw a quantity's history and its futures, a panel per group.

    The middle line is the median, the bands hold 50 % and 90 % of the draws. A dotted line is a
    threshold on this quantity.

    Parameters
    ----------
    futures : Futures
    indicator : str
        An indicator, an expression of indicators, or a threshold's name.
    by : str or sequence of str, optional
        As in `Futures.summary`; the first 12 groups are drawn.
    scenarios : tuple of str, optional
        All unless given; bands are drawn for the first.

    Returns
    -------
    Figure
    """
    shown = quantity(futures.twin, indicator)
    groups = futures.groups(by)
    chosen = tuple(futures.scenarios) if scenarios is None else scenarios
    names = list(futures.scenarios)
    values = aggregate(futures.twin, parse(shown.text), futures.read, groups) * shown.factor
    past_labels, past = _history(futures, shown, groups)
    labels = past_labels + list(futures.run.future.labels)
    count = min(len(groups.labels), _MOST_PANELS)
    figure, grid = new_figure(count, height=2.0 if count > 1 else 2.8)
    here = len(past_labels)
    x = np.arange(here, len(labels))
    for panel, axes in enumerate(grid):
        if here:
            axes.plot(np.arange(here), past[panel], color=INK, linewidth=1.1)
        for position, name in enumerate(chosen):
            draws = values[names.index(name)][:, panel, :]
            low, lower, middle, upper, high = np.quantile(
                draws, [0.05, 0.25, 0.5, 0.75, 0.95], axis=0
            )
            if position == 0:
                band(axes, x, low, high, color(position), 0.18)
                band(axes, x, lower, upper, color(position), 0.3)
            mark = "o" if len(x) == 1 else None
            axes.plot(
                x,
                middle,
                color=color(position),
                linestyle=dash(position),
                linewidth=1.5,
                marker=mark,
                label=name,
            )
        for threshold in futures.twin.thresholds.values():
            if parse(threshold.of) == parse(shown.text):
                line = threshold.above if threshold.above is not None else threshold.below
                assert line is not None  # a threshold has one side
                axes.axhline(line * shown.factor, color=INK, linestyle=":", linewidth=1)
        axes.set_title(" · ".join(groups.labels[panel]), fontsize=9, loc="left", color=INK)
        period_axis(axes, labels, most=3 if count > 1 else 7)
    if len(chosen) > 1:
        handles, written = grid[0].get_legend_handles_labels()
        figure.legend(
            handles, written, loc="outside lower center", ncols=3, frameon=False, fontsize=8
        )
    figure.supylabel(_total(shown, futures), fontsize=8.5, color=INK)
    return finish(figure)


def _total(shown: Quantity, futures: Futures) -> str:
    if not shown.total:
        return shown.axis
    return f"{shown.label}, total"


def _history(
    futures: Futures, shown: Quantity, groups: Groups
) -> tuple[list[str], NDArray[np.float64]]:
    """Return the last recorded periods of the simulated units: labels, and (group, period)."""
    import pandas as pd

    panel = futures.run.panel
    if panel.is_cross_section:
        return [], np.empty((len(groups.labels), 0))
    places = panel.units.get_indexer(pd.Index(list(futures.run.start.members.units)))
    names = parse(shown.text).names()
    if not names <= set(panel.indicators) or (places < 0).any():
        return [], np.empty((len(groups.labels), 0))

    def read(name: str) -> Any:
        return np.asarray(panel.values(name), dtype=float)[places]

    with np.errstate(invalid="ignore", divide="ignore"):
        values = aggregate(futures.twin, parse(shown.text), read, groups) * shown.factor
    for name in names:
        # A period in which nothing is recorded has no total; it is a gap, not a zero.
        values[..., ~np.isfinite(read(name)).any(axis=0)] = np.nan
    keep = slice(max(0, values.shape[-1] - _HISTORY), None)
    return panel.period_labels[keep], values[..., keep]


def plot_contrast(contrast: Contrast, indicator: str | Sequence[str] | None = None) -> Figure:
    """Draw the difference between two scenarios over time.

    Parameters
    ----------
    contrast : Contrast
    indicator : str or sequence of str, optional
        Indicators, expressions or thresholds' names; every outcome unless given.

    Returns
    -------
    Figure
    """
    twin = contrast.futures.twin
    chosen = (indicator,) if isinstance(indicator, str) else indicator
    texts = contrast.outcomes if chosen is None else tuple(chosen)
    labels = list(contrast.futures.run.future.labels)
    x = np.arange(len(labels))
    figure, grid = new_figure(len(texts), height=2.2 if len(texts) > 1 else 2.8)
    for axes, text in zip(grid, texts, strict=True):
        shown = quantity(twin, text)
        wide = contrast.summary(on=shown.text)
        narrow = contrast.summary(on=shown.text, interval=0.5)
        f = shown.factor
        band(axes, x, wide["5%"] * f, wide["95%"] * f, color(0), 0.18)
        band(axes, x, narrow["25%"] * f, narrow["75%"] * f, color(0), 0.3)
        mark = "o" if len(x) == 1 else None
        axes.plot(x, wide["median"] * f, color=color(0), linewidth=1.5, marker=mark)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.set_title(shown.label, fontsize=9, loc="left", color=INK)
        axes.set_ylabel(_short(shown.difference), fontsize=8)
        period_axis(axes, labels, most=3 if len(texts) > 1 else 7)
    title = f"{contrast.name}, less {contrast.against}"
    return finish(figure, title)


def _short(unit: str, most: int = 34) -> str:
    return unit if len(unit) <= most else f"{unit[: most - 1].rstrip()}…"


def plot_groups(contrast: Contrast, indicator: str, by: str, period: str | None = None) -> Figure:
    """Draw the difference between two scenarios for each group, as a forest.

    Parameters
    ----------
    contrast : Contrast
    indicator : str
        An indicator, an expression or a threshold's name.
    by : str
        A level, or another grouping that `Futures.summary` knows.
    period : str, optional
        The last one unless given.

    Returns
    -------
    Figure
    """
    futures = contrast.futures
    shown = quantity(futures.twin, indicator)
    at = futures.run.future.labels[-1] if period is None else period
    wide = contrast.summary(by=by, on=shown.text)
    narrow = contrast.summary(by=by, on=shown.text, interval=0.5)
    wide, narrow = (table[table["period"] == at] for table in (wide, narrow))
    names = wide[by].tolist()
    figure, (axes,) = new_figure(height=0.22 * len(names) + 0.9)
    y = np.arange(len(names))[::-1]
    f = shown.factor
    axes.hlines(y, wide["5%"] * f, wide["95%"] * f, color=color(0), linewidth=1.2)
    axes.hlines(y, narrow["25%"] * f, narrow["75%"] * f, color=color(0), linewidth=3.5)
    axes.plot(wide["median"] * f, y, "o", color="white", markeredgecolor=color(0), markersize=4.5)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_yticks(y, names)
    axes.set_xlabel(f"{shown.label}: {shown.difference}", fontsize=8.5)
    when = "" if futures.run.future.frequency is None else f", {at}"
    return finish(figure, f"{contrast.name}, less {contrast.against}{when}")


def plot_support(support: Support) -> Figure:
    """Draw what the panel shows of each intervened indicator, and what the scenario brings.

    Parameters
    ----------
    support : Support

    Returns
    -------
    Figure
    """
    names = list(support.points)
    figure, grid = new_figure(max(1, len(names)), columns=2, height=1.9)
    for axes, name in zip(grid, names, strict=False):
        observed, new = support.points[name]
        both = np.concatenate([observed, new])
        low, high = np.quantile(both, [0.002, 0.998]) if both.size else (0.0, 1.0)
        edges = np.linspace(low, high if high > low else low + 1.0, 31).tolist()
        for values, shade, word in ((observed, GREY, "panel"), (new, color(1), "scenario")):
            if values.size:
                weights = np.full(values.size, 100.0 / values.size)
                axes.hist(
                    values,
                    edges,
                    weights=weights,
                    histtype="stepfilled" if word == "panel" else "step",
                    color=shade,
                    alpha=0.45 if word == "panel" else 1.0,
                    linewidth=1.4,
                    label=word,
                )
        verdict = support.table.loc[support.table["indicator"] == name, "verdict"].tolist()
        axes.set_title(f"{name}: {', '.join(verdict)}", fontsize=9, loc="left", color=INK)
        axes.set_ylabel("% of values", fontsize=8)
        axes.legend(frameon=False, fontsize=8)
    if not names:
        grid[0].set_axis_off()
    return finish(figure)
