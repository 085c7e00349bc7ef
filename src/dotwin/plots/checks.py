"""Figures of checks: data drawn anew beside the recorded, calibration, backtests."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dotwin.plots.quantity import quantity
from dotwin.plots.style import GREY, INK, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from dotwin.inference.predictive import PredictiveCheck
    from dotwin.spec.twin import Twin

__all__ = ["plot_calibration", "plot_check", "plot_predictive"]

#: Simulated bands are found to about a hundredth of their probability with so many.
_SIMULATIONS = 1000
#: A band over more values than this takes long and shows nothing that fewer do not.
_MOST_VALUES = 400

Floats = NDArray[np.float64]


def plot_check(twin: Twin, check: PredictiveCheck) -> Figure:
    """Draw the data drawn anew, and the calibration, of one mechanism beside each other.

    Parameters
    ----------
    twin : Twin
    check : PredictiveCheck

    Returns
    -------
    Figure
    """
    figure, (left, right) = new_figure(2, columns=2, height=2.2)
    _predictive(left, twin, check)
    _calibration(right, check)
    return finish(figure)


def plot_predictive(twin: Twin, check: PredictiveCheck) -> Figure:
    """Draw the distribution of the recorded values over those of data drawn anew.

    Parameters
    ----------
    twin : Twin
    check : PredictiveCheck

    Returns
    -------
    Figure
    """
    figure, (axes,) = new_figure(height=2.4)
    _predictive(axes, twin, check)
    return finish(figure)


def plot_calibration(check: PredictiveCheck) -> Figure:
    """Draw how far the PIT values lie from uniform, with a 95 % simultaneous band.

    Parameters
    ----------
    check : PredictiveCheck

    Returns
    -------
    Figure

    References
    ----------
    .. [1] Säilynoja, T., Bürkner, P.-C. and Vehtari, A. (2022). Graphical test for discrete
       uniformity and its applications in goodness-of-fit evaluation.
       doi:10.1007/s11222-022-10090-6
    """
    figure, (axes,) = new_figure(height=2.4)
    _calibration(axes, check)
    return finish(figure)


def _predictive(axes: Axes, twin: Twin, check: PredictiveCheck) -> None:
    observed, again = check.observed, check.replicated
    shown = quantity(twin, check.indicator)
    if check.trials is not None:
        shown = quantity(twin, f"share({check.indicator})")
        observed, again = observed / check.trials, again / check.trials
    observed, again = observed * shown.factor, again * shown.factor
    low, high = np.quantile(
        np.concatenate([observed, again[: min(10, len(again))].ravel()]), [0, 0.998]
    )
    counts = check.trials is None and np.allclose(observed, np.round(observed)) and high - low < 40
    if counts:
        edges = np.arange(np.floor(low) - 0.5, np.ceil(high) + 1.5)
    else:
        edges = np.linspace(low, high if high > low else low + 1.0, 31)
    share = 100.0 / observed.size
    replicated = np.stack([np.histogram(one, edges)[0] for one in again]) * share
    middle = 0.5 * (edges[1:] + edges[:-1])
    lower, upper = np.quantile(replicated, [0.05, 0.95], axis=0)
    axes.stairs(
        np.histogram(observed, edges)[0] * share, edges, color=INK, label="recorded", linewidth=1.2
    )
    axes.vlines(
        middle, lower, upper, color=color(0), linewidth=3, alpha=0.6, label="drawn anew, 90 %"
    )
    axes.set_xlabel(_wrapped(shown.axis), fontsize=8)
    axes.set_ylabel("% of rows", fontsize=8)
    axes.legend(frameon=False, fontsize=7.5)


def _wrapped(text: str, width: int = 46) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width))


def _calibration(axes: Axes, check: PredictiveCheck) -> None:
    pit = check.pit
    if pit.size > _MOST_VALUES:
        pit = np.random.default_rng(0).choice(pit, _MOST_VALUES, replace=False)
    x, low, high = _band(pit.size)
    below = np.searchsorted(np.sort(pit), x, side="right") / pit.size
    axes.fill_between(x, low - x, high - x, color=GREY, alpha=0.3, linewidth=0, label="if right")
    axes.step(x, below - x, color=color(0), linewidth=1.3, where="post", label="recorded")
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set_xlabel("predicted probability of a lower value", fontsize=8)
    axes.set_ylabel("share of rows below,\nless expected", fontsize=8)
    axes.legend(frameon=False, fontsize=7.5, ncols=2, loc="upper right")


@cache
def _band(size: int) -> tuple[Floats, Floats, Floats]:
    """Return the 95 % simultaneous band of the ECDF of so many uniform values, and where."""
    from arviz_stats.ecdf_utils import ecdf_pit

    rng = np.random.default_rng(0)
    x, _, low, high = ecdf_pit(rng.uniform(size=size), 0.95, _SIMULATIONS, rng=rng)
    return x, low, high
