"""Figures of a fit: coefficients, priors beside posteriors, convergence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import SpecificationError
from dotwin.mechanisms.parameters import draw_prior
from dotwin.plots.style import GREY, INK, color, finish, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from dotwin.inference.fit import Fit

__all__ = ["plot_coefficients", "plot_convergence", "plot_priors"]

_PRIOR_DRAWS = 4000
#: Bins of a rank plot (Vehtari et al. 2021, doi 10.1214/20-BA1221).
_RANK_BINS = 20
_KINDS = ("free", "dispersion", "cutpoints")


def plot_coefficients(fit: Fit, indicator: str) -> Figure:
    """Draw the coefficients of a mechanism as a forest, each over its prior.

    Thick and thin lines hold 50 % and 90 % of the posterior, the grey bar 90 % of the prior. A
    diamond stands for a difference between units, a circle for a change within one.

    Parameters
    ----------
    fit : Fit
    indicator : str

    Returns
    -------
    Figure
    """
    posterior, priors = _draws(fit, indicator)
    rows = [
        (name, posterior[name], priors[name])
        for name in posterior
        if name.split(".")[-1].startswith("causes[")
    ]
    figure, (axes,) = new_figure(height=0.24 * max(len(rows), 1) + 0.75)
    if not rows:
        axes.set_axis_off()
        axes.text(0, 0.5, "This mechanism has no causes.", fontsize=9, color=INK)
        return finish(figure)
    names = [name.partition("[")[2].removesuffix("]") for name, _, _ in rows]
    _forest(axes, names, [row[1] for row in rows], [row[2] for row in rows])
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel("change of the linear predictor per reference sd (own lags: per unit)")
    axes.xaxis.label.set_fontsize(8.5)
    return finish(figure)


def plot_priors(fit: Fit, indicator: str) -> Figure:
    """Draw the prior and posterior of everything in a mechanism that is no coefficient.

    Parameters
    ----------
    fit : Fit
    indicator : str

    Returns
    -------
    Figure
    """
    posterior, priors = _draws(fit, indicator)
    names = [name for name in posterior if not name.split(".")[-1].startswith("causes[")]
    figure, grid = new_figure(max(1, len(names)), columns=4, height=1.5)
    for axes, name in zip(grid, names, strict=False):
        low, high = np.quantile(np.concatenate([posterior[name], priors[name]]), [0.005, 0.98])
        edges = np.linspace(low, high if high > low else low + 1.0, 41)
        options: dict[str, Any] = {"bins": edges, "density": True}
        axes.hist(priors[name], color=GREY, alpha=0.4, label="prior", **options)
        axes.hist(
            posterior[name],
            color=color(0),
            histtype="step",
            linewidth=1.4,
            label="posterior",
            **options,
        )
        axes.set_title(name.removeprefix(f"{indicator}."), fontsize=8, loc="left", color=INK)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
    if names:
        handles, words = grid[0].get_legend_handles_labels()
        figure.legend(
            handles, words, loc="outside lower center", ncols=2, frameon=False, fontsize=8
        )
    return finish(figure)


def plot_convergence(fit: Fit, indicator: str) -> Figure:
    """Draw the ranks of each chain's draws, for the parameter that mixes worst.

    Chains that agree have level bars.

    Parameters
    ----------
    fit : Fit
    indicator : str

    Returns
    -------
    Figure
    """
    from arviz_stats.base.array import array_stats

    component = next((c for c in fit.components if indicator in c), None)
    if component is None:
        raise SpecificationError(f"'{indicator}' has no fitted mechanism.")
    worst = fit.diagnose().worst
    rows = worst[worst["component"] == " + ".join(component)]
    rows = rows[rows["parameter"].str.startswith(f"{indicator}.")]
    figure, (axes,) = new_figure(height=1.8)
    if rows.empty or not np.isfinite(rows["ess_bulk"]).any():
        axes.set_axis_off()
        return finish(figure)
    name = str(rows["parameter"].iloc[int(np.nanargmin(rows["ess_bulk"].to_numpy()))])
    ranks = np.asarray(array_stats.compute_ranks(_of_parameter(fit, name), axis=None))
    chains, draws = ranks.shape
    edges = np.linspace(0, ranks.size, min(_RANK_BINS, max(2, draws // 5)) + 1)
    for chain in range(chains):
        counts, _ = np.histogram(ranks[chain], edges)
        level = counts / (draws / (edges.size - 1)) - 1.0
        axes.stairs(chain + 0.4 * level, edges, baseline=chain, fill=True, color=color(chain))
        axes.axhline(chain, color=INK, linewidth=0.5)
    axes.set_yticks(range(chains), [f"chain {chain + 1}" for chain in range(chains)])
    axes.set_ylim(-0.6, chains - 0.4)
    axes.set_xlabel(f"rank of the draw over all chains: {name}", fontsize=8.5)
    return finish(figure)


def _of_parameter(fit: Fit, name: str) -> NDArray[np.float64]:
    """Return the draws, dims (chain, draw), of a parameter named as diagnose() does."""
    variable, _, index = name.partition("[")
    array = fit.tree["posterior"].to_dataset()[variable].transpose("chain", "draw", ...)
    values = np.asarray(array.values, dtype=float)
    if not index:
        return values
    one = next(p for p in fit.parameters(variable.split(".")[0]) if p.name == variable)
    grid = np.indices(one.shape).reshape(len(one.shape), -1).T
    for place in grid:
        words = ", ".join(str(one.coords[k][i]) for k, i in enumerate(place))
        if words == index.removesuffix("]"):
            return np.asarray(values[(slice(None), slice(None), *place)])
    raise KeyError(name)


def _draws(
    fit: Fit, indicator: str
) -> tuple[dict[str, NDArray[np.float64]], dict[str, NDArray[np.float64]]]:
    """Return posterior and prior draws of each element of a mechanism's parameters.

    Dispersions are on the scale that their prior is on, which has no long tail.
    """
    listed = fit.parameters(indicator)
    values = fit.draws(2000).values
    prior = draw_prior([one for one in listed if one.kind in _KINDS], _PRIOR_DRAWS, seed=0)
    found: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for one in listed:
        if one.kind not in _KINDS:
            continue
        for target, natural in zip(found, (values[one.name], prior[one.name]), strict=True):
            draws = natural if one.transform is None else one.transform.prior_quantity(natural)
            if not one.shape:
                on = one.transform.prior_on if one.transform is not None else ""
                target[on or one.name] = draws
                continue
            for k, word in enumerate(one.coords[0]):
                target[f"{one.name}[{word}]"] = draws[:, k]
    return found


def _forest(
    axes: Axes,
    names: list[str],
    posterior: list[NDArray[np.float64]],
    prior: list[NDArray[np.float64]],
) -> None:
    y = np.arange(len(names))[::-1]
    for place, name, draws, before in zip(y, names, posterior, prior, strict=True):
        low, lower, middle, upper, high = np.quantile(draws, [0.05, 0.25, 0.5, 0.75, 0.95])
        between = name.startswith(("between: ", "initial: "))
        shade = color(1) if between else color(0)
        axes.hlines(place, *np.quantile(before, [0.05, 0.95]), color="#DDDDDD", linewidth=7)
        axes.hlines(place, low, high, color=shade, linewidth=1.2)
        axes.hlines(place, lower, upper, color=shade, linewidth=3.2)
        axes.plot(
            middle,
            place,
            "D" if between else "o",
            color="white",
            markeredgecolor=shade,
            markersize=4.5,
        )
    axes.set_yticks(y, names)
    axes.set_ylim(-0.7, len(names) - 0.3)
