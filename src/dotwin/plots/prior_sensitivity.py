"""The figure of an effect when priors, or data, count for more or less."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotwin.plots.effects import scale
from dotwin.plots.style import GREY, INK, band, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from dotwin.effects.doubts.prior_sensitivity import PriorSensitivity

__all__ = ["plot_prior_sensitivity"]


def plot_prior_sensitivity(sensitivity: PriorSensitivity) -> Figure:
    """Draw an effect against the power of the priors, and of the data.

    Powers at which the weights are not to be trusted are left out.

    Parameters
    ----------
    sensitivity : PriorSensitivity

    Returns
    -------
    Figure
    """
    effect, whole = sensitivity.effect, sensitivity.table.iloc[0]
    factor, unit = scale(effect)
    figure, grid = new_figure(2, columns=2, height=2.6)
    words = {"prior": "how much the priors count", "likelihood": "how much the data count"}
    for axes, (name, label) in zip(grid, words.items(), strict=True):
        path = sensitivity.trusted(name)
        x = path["power"].to_numpy()
        band(axes, x, path["5%"] * factor, path["95%"] * factor, color(0), 0.25)
        axes.plot(x, path["mean"] * factor, color=color(0), linewidth=1.5)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.axvline(1, color=GREY, linewidth=0.8, linestyle=":")
        axes.set_xscale("log", base=2)
        axes.set_xlim(0.48, 2.08)
        axes.set_xticks([0.5, 1, 2], ["half", "as fitted", "twice"])
        axes.minorticks_off()
        axes.set_xlabel(label, fontsize=8.5)
        title = f"sensitivity {whole[name]:.2f}"
        axes.set_title(title, fontsize=9, loc="left", color=INK)
    words_of = effect.question.outcome.words
    grid[0].set_ylabel(f"{words_of}\n({unit})" if unit else words_of, fontsize=8)
    ends = [axes.get_ylim() for axes in grid]
    for axes in grid:
        axes.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
    first, second = effect.question.names
    return finish(figure, f"{second}, less {first}{effect.when}: {sensitivity.verdict}")
