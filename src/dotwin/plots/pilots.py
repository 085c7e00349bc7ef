"""Figures of pilots: effects since the start, checks before it, realised against forecast."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.plots.style import GREY, INK, band, color, dash, finish, new_figure, period_axis

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dotwin.effects.pilots.followed import FollowUp
    from dotwin.effects.pilots.pilot import Pilot
    from dotwin.effects.pilots.pre_period import PrePeriod
    from dotwin.effects.pilots.stand_ins import StandIns
    from dotwin.worlds.aggregate import By

__all__ = ["plot_follow_up", "plot_pilot", "plot_pre_period", "plot_stand_ins"]


def plot_pilot(pilot: Pilot, by: Literal["since", "cohort"] = "since") -> Figure:
    """Draw a pilot's effect over the periods since the start.

    Parameters
    ----------
    pilot : Pilot
    by : {'since', 'cohort'}
        All cohorts together, or each in a panel of its own.

    Returns
    -------
    Figure
    """
    twin = pilot.fit.twin
    keys = ("since",) if by == "since" else ("cohort", "since")
    wide, narrow = (pilot.summary(keys, interval=share) for share in (0.9, 0.5))
    names = [""] if by == "since" else list(dict.fromkeys(wide["cohort"]))
    figure, grid = new_figure(len(names), height=2.8 if by == "since" else 2.3)
    for axes, name in zip(grid, names, strict=True):
        own = np.ones(len(wide), bool) if by == "since" else (wide["cohort"] == name).to_numpy()
        _since(axes, wide[own], narrow[own])
        title = f"began {name}" if name else ""
        axes.set_title(title, fontsize=9, loc="left", color=INK)
        axes.set_xlabel(f"{twin.panel.period.frequency}s since the start", fontsize=8)  # type: ignore[union-attr]
    low, high = (f(one.get_ylim()[i] for one in grid) for i, f in enumerate((min, max)))
    for axes in grid:
        axes.set_ylim(low, high)
    grid[0].set_ylabel(_what(pilot), fontsize=8)
    return finish(figure, f"with {twin.label(pilot.programme)}, less without")


def _since(axes: Axes, wide: pd.DataFrame, narrow: pd.DataFrame) -> None:
    x = wide["since"].astype(int).to_numpy()
    band(axes, x, wide["5%"], wide["95%"], color(0), 0.18)
    band(axes, x, narrow["25%"], narrow["75%"], color(0), 0.3)
    axes.plot(x, wide["median"], color=color(0), linewidth=1.5, marker="o", markersize=3)
    axes.axhline(0, color=INK, linewidth=0.8)
    if (x < 0).any():
        axes.axvline(-0.5, color=GREY, linewidth=0.8, linestyle=":")
    _whole_periods(axes, x)


def _whole_periods(axes: Axes, since: NDArray[np.integer[Any]]) -> None:
    """Mark whole periods since the start, 0 among them, not more than fit."""
    step = max(1, -(-len(since) // 8))
    axes.set_xticks([s for s in since.tolist() if s % step == 0])


def _what(pilot: Pilot) -> str:
    """Return what the outcome is called, with its unit where the words do not hold it."""
    outcome = pilot.outcome
    plain = outcome.unit and outcome.kind not in ("rate", "condition")
    return f"{outcome.words}\n({outcome.unit})" if plain else outcome.words


def plot_pre_period(check: PrePeriod) -> Figure:
    """Draw differences before the start, and the effect since it on the same scale.

    Parameters
    ----------
    check : PrePeriod

    Returns
    -------
    Figure
    """
    pilot = check.pilot
    before, after = check.summary(), pilot.summary("since")
    figure, (axes,) = new_figure(1, height=2.8)
    x = before["since"].to_numpy()
    low, high = before["all at once, from"], before["all at once, to"]
    axes.vlines(x, low, high, color=color(1), linewidth=1.5)
    axes.plot(x, before["mean"], "o", color=color(1), markersize=4, label="before: placebo")
    since = after["since"].astype(int).to_numpy()
    axes.vlines(since, after["5%"], after["95%"], color=color(0), linewidth=1.5)
    axes.plot(since, after["mean"], "s", color=color(0), markersize=4, label="since: effect")
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.axvline(-0.5 - pilot.anticipation, color=GREY, linewidth=0.8, linestyle=":")
    axes.set_xlabel(
        f"{pilot.fit.twin.panel.period.frequency}s since the start",  # type: ignore[union-attr]
        fontsize=8,
    )
    axes.set_ylabel(_what(pilot), fontsize=8)
    _whole_periods(axes, np.concatenate([x, since]))
    axes.legend(fontsize=8, frameon=False)
    return finish(figure, "what was, less its forecast without the programme")


def plot_stand_ins(stand_ins: StandIns) -> Figure:
    """Draw where what happened fell among the forecasts of units that never began.

    Parameters
    ----------
    stand_ins : StandIns

    Returns
    -------
    Figure
    """
    figure, (left, right) = new_figure(2, columns=2, height=2.6)
    values, bins = stand_ins.cases["pit"].to_numpy(), 10
    left.hist(values, bins=bins, range=(0, 1), color=color(0), alpha=0.6)
    level = values.size / bins
    left.axhline(level, color=INK, linewidth=0.8)
    left.set_xlabel("place of what happened among the forecasts", fontsize=8)
    left.set_ylabel("unit-periods", fontsize=8)
    table = stand_ins.effects
    y = np.arange(len(table))[::-1]
    right.hlines(y, table["5%"], table["95%"], color=color(0), linewidth=1.5)
    right.plot(table["mean"], y, "o", color=color(0), markersize=4)
    right.axvline(0, color=INK, linewidth=0.8)
    right.set_yticks(y, [f"turn {turn}" for turn in table["turn"]])
    right.set_ylim(-0.6, len(table) - 0.4)
    right.set_xlabel("effect found where there was none", fontsize=8)
    return finish(figure, stand_ins.pilot.outcome.words)


def plot_follow_up(found: FollowUp, on: str | None = None, by: By = None) -> Figure:
    """Draw what was realised over its forecasts, and what the gap is made of.

    Parameters
    ----------
    found : FollowUp
    on : str, optional
        An outcome; the first unless given.
    by : str or sequence of str, optional
        A panel per group; all units and the parts of the gap unless given.

    Returns
    -------
    Figure
    """
    text = found.outcomes[0] if on is None else on
    table = found.summary(by, on=text)
    keys = [by] if isinstance(by, str) else list(by or ())
    parts = [("", table)]
    if keys:
        parts = [
            (", ".join(map(str, name if isinstance(name, tuple) else (name,))), part)
            for name, part in table.groupby(keys, sort=False)
        ]
    labels = list(found.periods)
    x = np.arange(len(labels))
    figure, grid = new_figure(len(parts) + (not keys), columns=2 if not keys else 3, height=2.6)
    for k, (axes, (name, part)) in enumerate(zip(grid, parts, strict=False)):
        for shade, forecast in ((3, "as planned"), (0, "with what was done")):
            own = part[part["forecast"] == forecast]
            band(axes, x, own["5%"], own["95%"], color(shade), 0.2)
            axes.plot(x, own["mean"], color=color(shade), linestyle=dash(shade), label=forecast)
        own = part[part["forecast"] == "as planned"]
        axes.plot(x, own["realised"], "o", color=INK, markersize=4, label="realised")
        axes.set_title(name, fontsize=9, loc="left", color=INK)
        period_axis(axes, labels, most=4)
        if k == 0:
            axes.set_ylabel(_what_is(found, text), fontsize=8)
            axes.legend(fontsize=7, frameon=False)
    if not keys:
        _gap(grid[1], found, text, x, labels)
    return finish(figure, f"realised against the forecast of '{found.scenario}'")


def _what_is(found: FollowUp, text: str) -> str:
    """Return what a quantity is called, with its unit."""
    twin = found.twin
    if text not in twin.indicators:
        return text
    one = twin.indicators[text]
    return f"{twin.label(text)}\n({one.unit})" if one.unit else twin.label(text)


def _gap(axes: Axes, found: FollowUp, text: str, x: NDArray[np.intp], labels: list[str]) -> None:
    table = found.parts(on=text)
    kinds = [part for part in dict.fromkeys(table["part"]) if part != "gap"]
    kinds = [k for k in kinds if (table.loc[table["part"] == k, "mean"] != 0).any()]
    for k, part in enumerate(kinds):
        own = table[table["part"] == part]
        off = 0.12 * (k - (len(kinds) - 1) / 2)
        shade = color(k + 1)
        axes.vlines(x + off, own["5%"], own["95%"], color=shade, linewidth=1.5)
        axes.plot(x + off, own["mean"], "o", color=shade, markersize=4, label=part)
    axes.axhline(0, color=INK, linewidth=0.8)
    axes.set_title("realised less planned", fontsize=9, loc="left", color=INK)
    axes.legend(fontsize=7, frameon=False)
    period_axis(axes, labels, most=4)
