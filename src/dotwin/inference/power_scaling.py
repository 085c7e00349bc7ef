"""How far posterior quantities would move if a prior, or the data, counted for more or less.

The posterior is p(g) p(y | g) with g the parameters of a component. Power scaling raises one factor
to a power a, so that each draw gets the weight p(g)^(a - 1) or p(y | g)^(a - 1); nothing is fitted
anew (Kallioinen et al. 2024, doi 10.1007/s11222-023-10366-5).

Which factor is which must be said where parameters have parents. The prior that is scaled is that
of coefficients, spreads, dispersions and cutpoints. The population of group effects, shocks and
hidden causes is part of the model and keeps its power. The likelihood that is scaled is that of
whole units, their own effects integrated out: were rows scaled given them, an effect that differs
between units only would seem to owe nothing to the data. Where a mechanism gives a unit more than
one effect it is that of rows given all effects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import SpecificationError
from dotwin.inference.nuts.constants import prior_constant
from dotwin.inference.reweighting import KHAT_MAX, smoothed
from dotwin.mechanisms.parameters import Parameter
from dotwin.spec.prior import Prior

if TYPE_CHECKING:
    import pandas as pd

    from dotwin.inference.fit import Fit

__all__ = [
    "KHAT_MAX",
    "THRESHOLD",
    "ComponentDensities",
    "Moved",
    "conflict",
    "densities",
    "judged",
    "log_prior",
    "parameter_sensitivity",
    "power_weights",
    "sensitivity_to",
    "verdict",
    "with_draws",
]

Floats = NDArray[np.float64]

#: Above this a change counts (Kallioinen et al. 2024, section 3.3).
THRESHOLD = 0.05
#: The powers whose distributions are compared.
ALPHAS = (0.99, 1.01)
#: The largest of so many random pairings is what chance gives in one case of twenty.
PAIRINGS = 20
#: Prior and data disagree when so many standard errors lie between them.
APART = 2.0
#: A share of the precision is estimated too roughly to tell smaller ones from this.
SMALL_SHARE = 0.1


def log_prior(listed: Sequence[Parameter], values: Mapping[str, Floats]) -> Floats:
    """Return the log density of the priors of coefficients, spreads, dispersions and cutpoints.

    It is a density in the quantity that has the prior: 1/√dispersion, say, not the dispersion.

    Parameters
    ----------
    listed : sequence of Parameter
    values : dict of str to array
        By posterior name, the draw first.

    Returns
    -------
    array, dims (draw,)
    """
    total: Any = 0.0
    for one in listed:
        if not one.priors:
            continue
        value = values[one.name]
        if one.transform is not None:
            value = one.transform.prior_quantity(value)
        flat = np.reshape(value, (value.shape[0], -1))
        priors = one.priors if len(one.priors) > 1 else one.priors * flat.shape[1]
        for prior, column in zip(priors, flat.T, strict=True):
            total = total + _log_density(prior, column)
    return np.asarray(total, dtype=float)


def _log_density(prior: Prior, x: Floats) -> Floats:
    a, constant = prior.arguments, prior_constant(prior)
    match prior.distribution:
        case "normal":
            return np.asarray(constant - 0.5 * ((x - a[0]) / a[1]) ** 2)
        case "student_t":
            return np.asarray(
                constant - 0.5 * (a[0] + 1) * np.log1p(((x - a[1]) / a[2]) ** 2 / a[0])
            )
        case "half_normal":
            return np.asarray(constant - 0.5 * (x / a[0]) ** 2)
        case "half_student_t":
            return np.asarray(constant - 0.5 * (a[0] + 1) * np.log1p((x / a[1]) ** 2 / a[0]))
        case "exponential":
            return np.asarray(constant - a[0] * x)
        case "gamma":
            return np.asarray(constant + (a[0] - 1) * np.log(x) - a[1] * x)
        case "lognormal":
            return np.asarray(constant - np.log(x) - 0.5 * ((np.log(x) - a[0]) / a[1]) ** 2)
        case "beta":
            return np.asarray(constant + (a[0] - 1) * np.log(x) + (a[1] - 1) * np.log1p(-x))
        case _:
            return np.full(x.shape, -np.log(a[1] - a[0]))


@dataclass(frozen=True, eq=False)
class ComponentDensities:
    """The factors of a component's posterior at each draw.

    Parameters
    ----------
    component : str
    prior, likelihood : array, dims (draw,)
        Log densities.
    by_row : tuple of str
        The mechanisms whose likelihood is that of rows given all effects.
    """

    component: str
    prior: Floats
    likelihood: Floats
    by_row: tuple[str, ...]


def with_draws(fit: Fit, chains: NDArray[np.int64], draws: NDArray[np.int64]) -> Fit:
    """Return a fit with some of its draws only.

    Parameters
    ----------
    fit : Fit
    chains, draws : int array
        Positions along the dims chain and draw.
    """
    import xarray as xr

    posterior = fit.tree["posterior"].to_dataset().isel(chain=chains, draw=draws)
    return replace(fit, tree=xr.DataTree.from_dict({"posterior": posterior}))


def densities(fit: Fit, components: Sequence[tuple[str, ...]]) -> list[ComponentDensities]:
    """Evaluate prior and likelihood of some components at every draw of a fit.

    Parameters
    ----------
    fit : Fit
    components : sequence of tuple of str
        The mechanisms of each.

    Returns
    -------
    list of ComponentDensities

    Raises
    ------
    SpecificationError
        When the fit holds known values, was saved without its panel, or imputes missing values of
        a mechanism.
    """
    if fit.settings.tune == 0:
        raise SpecificationError("this fit holds known values, which no prior had a part in.")
    values = fit.draws().values
    found = []
    for members in components:
        prior: Any = 0.0
        likelihood: Any = 0.0
        by_row = []
        for name in members:
            prior = prior + log_prior(fit.parameters(name), values)
            logs, whole = _likelihood(fit, name)
            likelihood = likelihood + logs
            if not whole:
                by_row.append(name)
        found.append(ComponentDensities(" + ".join(members), prior, likelihood, tuple(by_row)))
    return found


def _likelihood(fit: Fit, name: str) -> tuple[Floats, bool]:
    """Return a mechanism's log-likelihood by draw, and whether unit effects are integrated out."""
    try:
        tree, whole = fit.log_likelihood(name, leave_out="unit"), True
    except SpecificationError:
        # Refused again, with its reason, where it is not for having several effects of a unit.
        tree, whole = fit.log_likelihood(name), False
    values = tree["log_likelihood"][name].transpose("chain", "draw", ...).values
    return values.sum(axis=-1).ravel(), whole


def power_weights(logs: Floats, power: float) -> tuple[Floats, float]:
    """Return weights of draws when a factor is raised to a power, and their Pareto k.

    Parameters
    ----------
    logs : array, dims (draw,)
        The factor's log density.
    power : float
    """
    return smoothed((power - 1.0) * logs)


@dataclass(frozen=True)
class Moved:
    """How a quantity's distribution changes with the power of a factor.

    Parameters
    ----------
    size : float
        The cumulative Jensen-Shannon distance to the distribution at powers 0.99 and 1.01, per
        doubling of the power, as ArviZ's ``psense`` computes it.
    chance : float
        What the largest of 20 random pairings of the same draws and weights gives. A factor of many
        parameters has weights that vary much, and then few draws move by themselves.
    pull : float
        By how many sds the mean moves per doubling.
    share : float
        How much of the precision comes from the factor, were both normal.
    """

    size: float
    chance: float
    pull: float = 0.0
    share: float = 0.0

    @property
    def counts(self) -> bool:
        """Whether it is above the threshold, and above what chance gives."""
        return self.size >= THRESHOLD and self.size > self.chance

    @property
    def is_unclear(self) -> bool:
        """Whether it is above the threshold, but chance might do as much."""
        return self.size >= THRESHOLD and not self.counts


def sensitivity_to(values: Floats, logs: Floats) -> Moved:
    """Return how a quantity's distribution changes with the power of a factor.

    Parameters
    ----------
    values, logs : array, dims (draw,)
        The quantity, and the factor's log density.
    """
    from arviz_stats.base.array import array_stats

    if np.ptp(values) == 0.0 or np.ptp(logs) == 0.0:
        return Moved(0.0, 0.0)
    weights = [np.exp(array_stats.power_scale_lw(logs, alpha=alpha, axis=-1)) for alpha in ALPHAS]
    lower, upper = (one[None] / one.sum() for one in weights)

    def moved(draws: Floats) -> float:
        ends = dict(zip(("lower_alpha", "upper_alpha"), ALPHAS, strict=True))
        return float(array_stats.power_scale_sense(draws[None], lower, upper, **ends))

    rng = np.random.default_rng(values.size)
    chance = max(moved(rng.permutation(values)) for _ in range(PAIRINGS))
    z = (values - values.mean()) / values.std()
    away = logs - logs.mean()
    # The slopes of mean and log variance in the log of the power are covariances with the factor.
    return Moved(
        moved(values), chance, float((z * away).mean() * np.log(2.0)), -float((z**2 * away).mean())
    )


def conflict(prior: Moved, likelihood: Moved) -> float:
    """Return how far prior and data lie apart, in standard errors of their difference.

    Exact where both are normal: a factor with the share w of the precision pulls the mean by
    z √(w (1 - w)) sds as the log of its power grows. 0 where both pull the same way.
    """
    if prior.pull * likelihood.pull >= 0.0:
        return 0.0
    both = max(prior.share, 0.0), max(likelihood.share, 0.0)
    share = float(np.clip(both[0] / max(sum(both), 1e-12), SMALL_SHARE, 1.0 - SMALL_SHARE))
    pull = min(abs(prior.pull), abs(likelihood.pull)) / np.log(2.0)
    return float(pull / np.sqrt(share * (1.0 - share)))


def verdict(prior: Moved, likelihood: Moved) -> str:
    """Say what two sensitivities mean.

    Examples
    --------
    >>> verdict(Moved(0.02, 0.01), Moved(0.2, 0.03))
    'the data decide'
    """
    if prior.counts and likelihood.counts:
        apart = conflict(prior, likelihood) >= APART
        return "prior and data disagree" if apart else "prior and data both count"
    if prior.counts:
        return "the prior moves the answer"
    if prior.is_unclear:
        return "too few draws to tell"
    if likelihood.is_unclear:
        return "the prior does not move it"
    return "the data decide" if likelihood.counts else "neither moves it"


def judged(values: Floats, prior: Floats, likelihood: Floats) -> dict[str, Any]:
    """Judge a quantity by its draws and those of both factors; columns of a table."""
    both = sensitivity_to(values, prior), sensitivity_to(values, likelihood)
    return {
        "prior": both[0].size,
        "likelihood": both[1].size,
        "prior_chance": both[0].chance,
        "likelihood_chance": both[1].chance,
        "apart": conflict(*both),
        "verdict": verdict(*both),
    }


def parameter_sensitivity(fit: Fit, draws: int) -> pd.DataFrame:
    """Say for each parameter whether its prior or the data decide it.

    Parameters
    ----------
    fit : Fit
    draws : int
        How many are used, evenly from each chain.

    Returns
    -------
    DataFrame
        A row per coefficient, spread, dispersion and cutpoint: ``component``, ``parameter``,
        ``prior`` and ``likelihood`` (sensitivities to both factors of its component),
        ``prior_chance`` and ``likelihood_chance`` (what chance would give), ``apart`` (standard
        errors between prior and data, were both normal), ``verdict``. A dispersion is judged as the
        quantity that has the prior.
    """
    import pandas as pd

    sizes = fit.tree["posterior"].sizes
    chains, total = int(sizes["chain"]), int(sizes["draw"])
    each = max(1, min(draws // chains, total))
    positions = np.floor((np.arange(each) + 0.5) * total / each).astype(np.int64)
    some = with_draws(fit, np.arange(chains), positions)
    values = some.draws().values
    rows = []
    for members, found in zip(fit.components, densities(some, fit.components), strict=True):
        for name in members:
            for one in some.parameters(name):
                if not one.priors:
                    continue
                # A dispersion without an upper end is judged where its prior is, 1/√ of it.
                value = values[one.name]
                if one.transform is not None:
                    value = one.transform.prior_quantity(value)
                flat = value.reshape(len(found.prior), -1)
                labels = [f"[{label}]" for label in one.coords[0]] if one.coords else [""]
                for label, column in zip(labels, flat.T, strict=True):
                    row: dict[str, Any] = {
                        "component": found.component,
                        "parameter": f"{one.name}{label}",
                    }
                    rows.append(row | judged(column, found.prior, found.likelihood))
    return pd.DataFrame(rows)
