"""How far an effect would move if priors, or the data, counted for more or less."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import SpecificationError
from dotwin.inference.power_scaling import (
    KHAT_MAX,
    THRESHOLD,
    densities,
    judged,
    power_weights,
    with_draws,
)
from dotwin.worlds.tables import number

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.effects.average.result import Effect

__all__ = ["POWERS", "PriorSensitivity", "prior_sensitivity"]

#: From counting for half as much to counting twice.
POWERS = (0.5, 0.63, 0.8, 0.9, 1.0, 1.1, 1.25, 1.6, 2.0)
#: The row of all mechanisms together.
ALL = "all mechanisms"
#: Above this share of simulation noise an effect's draws hide what moves it.
_NOISY = 0.2
#: An interval from fewer effective draws says little of its ends.
_FEW = 50


@dataclass(frozen=True, eq=False, repr=False)
class PriorSensitivity:
    """How far an effect depends on the priors, and how far on the data.

    Made by `Effect.prior_sensitivity`.

    Parameters
    ----------
    effect : Effect
    table : DataFrame
        A row for all mechanisms together and one for each that the effect was computed from:
        ``mechanism``, ``prior`` and ``likelihood`` (sensitivity of the effect to each, per doubling
        of its power), ``prior_chance`` and ``likelihood_chance`` (what these draws would give by
        chance), ``apart`` (standard errors between what prior and data say, were both normal),
        ``verdict``.
    path : DataFrame
        The effect with all priors, or all data, at each power: ``scaled`` ('prior' or
        'likelihood'), ``power``, ``mean``, ``5%``, ``95%``, ``khat``, the Pareto k of the weights,
        and ``ess``, the draws that they leave. Rows with a k of 0.7 or more, or fewer than 50
        draws, are not to be trusted.
    notes : tuple of str
    """

    effect: Effect
    table: pd.DataFrame
    path: pd.DataFrame
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """What moves the effect, in words: that of all mechanisms together."""
        return str(self.table["verdict"].iloc[0])

    def trusted(self, scaled: str) -> pd.DataFrame:
        """Return the rows of ``path`` for 'prior' or 'likelihood' whose weights can be trusted."""
        path = self.path[self.path["scaled"] == scaled]
        return path[(path["khat"] < KHAT_MAX) & (path["ess"] >= _FEW)]

    def summary(self) -> pd.DataFrame:
        """Return the table."""
        return self.table.copy()

    def __repr__(self) -> str:
        twin, question = self.effect.question.twin, self.effect.question
        what = f"the effect of {twin.label(question.cause)} on {question.outcome.words}"
        whole = self.table.iloc[0]
        prior, data = (f"{whole[one]:.2f}" for one in ("prior", "likelihood"))
        match self.verdict:
            case "the data decide":
                text = f"The data decide {what}"
            case "neither moves it":
                text = f"Neither priors nor data move {what}"
            case "the prior moves the answer":
                text = f"The prior moves {what}, and the data say little against it"
            case "prior and data both count":
                text = f"Prior and data both count for {what}, and do not disagree"
            case "prior and data disagree":
                apart = f"about {whole['apart']:.0f} standard errors apart"
                text = f"Prior and data disagree on {what}: they lie {apart}, and both move it"
            case "the prior does not move it":
                text = f"The priors do not move {what}; too few draws to tell how far the data do"
            case _:
                text = f"Too few draws to tell whether priors move {what}"
        text += f" (sensitivity to the priors {prior}, to the data {data}; {THRESHOLD:g} counts)"
        if self.verdict.startswith(("the prior moves", "prior and data")):
            if len(self.table) > 2:
                worst = self.table.iloc[1:].sort_values("prior").iloc[-1]
                text += f", most by the priors of {worst['mechanism']}"
            text += f". {self._ends()}"
        return ". ".join([text.rstrip("."), *self.notes]) + "."

    def _ends(self) -> str:
        """Say where the effect goes between the outer powers whose weights can be trusted."""
        path = self.trusted("prior")
        first, last = path.iloc[0], path.iloc[-1]
        return (
            f"With the priors counting {number(first['power'])} to {number(last['power'])} times, "
            f"its mean goes from {number(first['mean'])} to {number(last['mean'])}"
        )

    def plot(self) -> Any:
        """Draw the effect against the power of the priors, and of the data."""
        return importlib.import_module("dotwin.plots").plot_prior_sensitivity(self)


def prior_sensitivity(effect: Effect) -> PriorSensitivity:
    r"""Scale priors and likelihood by a power and see how far the effect moves.

    Each draw of the effect keeps its value and gets the weight :math:`p(g)^{a-1}` or
    :math:`p(y \mid g)^{a-1}`, with g the parameters that it was computed from [1]_. Sensitivity is
    the cumulative Jensen-Shannon distance that this makes, per doubling of the power a. Above 0.05
    it counts, unless random pairings of draws and weights give as much: to the prior alone, the
    prior moves the answer; to both, both count, and they disagree where two standard errors or more
    lie between what each says by itself.

    Scaled are the priors of coefficients, spreads, dispersions and cutpoints; the population of
    group effects, shocks and hidden causes is not. The likelihood is that of whole units, their
    own effects integrated out, where a mechanism gives units one effect at most.

    Parameters
    ----------
    effect : Effect

    Returns
    -------
    PriorSensitivity
        In a panel, of the last period unless the effect was read at another.

    Raises
    ------
    SpecificationError
        When the effect has groups, or the fit has no posterior whose factors can be evaluated.

    References
    ----------
    .. [1] Kallioinen, N., Paananen, T., Bürkner, P.-C. and Vehtari, A. (2024). Detecting and
       diagnosing prior and likelihood sensitivity with power-scaling.
       doi:10.1007/s11222-023-10366-5
    """
    import pandas as pd

    question = effect.question
    if question.groups.names:
        raise SpecificationError(
            "prior_sensitivity: ask an effect without by=, one group at a time with among=."
        )
    values, noise = _values(effect)
    fit, run = question.fit, question.run
    components = tuple(c for c in fit.components if set(c) & question.simulated)
    parts = densities(with_draws(fit, run.chains, run.draws), components)
    kept = np.isfinite(values)
    values = values[kept]
    factors = {
        "prior": [part.prior[kept] for part in parts],
        "likelihood": [part.likelihood[kept] for part in parts],
    }
    totals = {name: np.sum(logs, axis=0) for name, logs in factors.items()}
    rows = []
    for label, prior, likelihood in [
        (ALL, totals["prior"], totals["likelihood"]),
        *zip((p.component for p in parts), factors["prior"], factors["likelihood"], strict=True),
    ]:
        rows.append({"mechanism": label} | judged(values, prior, likelihood))
    table = pd.DataFrame(rows)
    path = pd.DataFrame(
        [
            (name, power, *_weighted(values, logs, power))
            for name, logs in totals.items()
            for power in POWERS
        ],
        columns=["scaled", "power", "mean", "5%", "95%", "khat", "ess"],
    )
    return PriorSensitivity(effect, table, path, _notes(parts, noise, path))


def _values(effect: Effect) -> tuple[NDArray[np.float64], float]:
    """Return the difference by draw, and the share of its variance that is simulation noise."""
    draws, noise = effect.draws["difference"], float(effect.noise[0, -1])
    if "period" in draws.dims:
        draws = draws.isel(period=-1)
    return draws.transpose("chain", "draw").values.ravel(), noise


def _weighted(
    values: NDArray[np.float64], logs: NDArray[np.float64], power: float
) -> tuple[float, ...]:
    """Return mean, ends of the 90 % interval, Pareto k and ESS when a factor has a power."""
    weights, khat = power_weights(logs, power)
    order = np.argsort(values)
    # Each draw stands for the middle of its weight.
    at = np.cumsum(weights[order]) - 0.5 * weights[order]
    low, high = np.interp([0.05, 0.95], at, values[order])
    return float(weights @ values), float(low), float(high), khat, float(1 / (weights @ weights))


def _notes(parts: Any, noise: float, path: pd.DataFrame) -> tuple[str, ...]:
    notes = []
    if by_row := [name for part in parts for name in part.by_row]:
        notes.append(
            f"The likelihood of {', '.join(by_row)} is scaled by rows, given the effects of units"
        )
    if noise > _NOISY:
        notes.append(
            f"{noise:.0%} of the spread of the draws comes from simulating, which hides a part of "
            f"what moves the effect; ask it again with more replicates"
        )
    unsafe = ((path["khat"] >= KHAT_MAX) | (path["ess"] < _FEW)) & (path["scaled"] == "prior")
    if unsafe.any():
        powers = ", ".join(f"{power:g}" for power in path.loc[unsafe, "power"])
        notes.append(f"Weights are unreliable where the priors count {powers} times")
    return tuple(notes)
