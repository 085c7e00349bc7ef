"""Does a fitted mechanism give data like those it was fitted to? Replications and PIT values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import SpecificationError, nearest
from dotwin.mechanisms.response import log_likelihood, row_extra, row_predictor
from dotwin.mechanisms.tails import draw_tail_noise

if TYPE_CHECKING:
    from dotwin.inference.fit import Fit

__all__ = ["PredictiveCheck", "predictive_check"]

Floats = NDArray[np.float64]

#: Rows beyond which a figure or a band gains little; taken evenly from the panel.
MOST_ROWS = 800
#: Pareto k above which an importance-weighted value of a row is not to be trusted (Vehtari et al.
#: 2024, JMLR 25(72)).
KHAT_MAX = 0.7


@dataclass(frozen=True, eq=False)
class PredictiveCheck:
    """What a fitted mechanism predicts for the rows that it was fitted to.

    Parameters
    ----------
    indicator : str
    observed : array, dims (row,)
        In the indicator's own unit; counts are counts.
    replicated : array, dims (draw, row)
        The same rows, drawn anew from the mechanism.
    trials : array or None, dims (row,)
    pit : array, dims (row,)
        The probability of a value below the recorded one, predicted from all other rows: uniform
        where the mechanism is right. Ties of counts are broken at random.
    uniformity : float
        The p value of a test that the PIT values are uniform, which allows for their dependence.
    doubtful : int
        Rows whose prediction from all others could not be had with certainty.
    """

    indicator: str
    observed: Floats
    replicated: Floats
    trials: Floats | None
    pit: Floats
    uniformity: float
    doubtful: int

    def coverage(self, interval: float) -> float:
        """Return the share of rows inside their equal-tailed predictive interval."""
        outside = (1.0 - interval) / 2.0
        return float(np.mean((self.pit >= outside) & (self.pit <= 1.0 - outside)))


def predictive_check(
    fit: Fit, indicator: str, *, seed: int, draws: int = 200, replications: int = 50
) -> PredictiveCheck:
    """Compare a mechanism with the rows that it was fitted to.

    Each row is predicted from all others by importance sampling: Pareto-smoothed weights take the
    row itself out of the posterior.

    Parameters
    ----------
    fit : Fit
    indicator : str
    seed : int
        Of the replications and of the ties that are broken at random.
    draws : int
        Posterior draws behind the PIT values.
    replications : int
        How many data sets are drawn anew.

    Returns
    -------
    PredictiveCheck

    References
    ----------
    .. [1] Vehtari, A., Gelman, A. and Gabry, J. (2017). Practical Bayesian model evaluation using
       leave-one-out cross-validation and WAIC. doi:10.1007/s11222-016-9696-4
    .. [2] Czado, C., Gneiting, T. and Held, L. (2009). Predictive model assessment for count data.
       doi:10.1111/j.1541-0420.2009.01191.x
    .. [3] Tesso et al. (2026). LOO-PIT predictive model checking. arXiv:2603.02928
    """
    from arviz_stats.base.array import array_stats

    if indicator not in fit.designs:
        raise SpecificationError(
            f"'{indicator}' has no fitted mechanism. {nearest(indicator, fit.designs)}"
        )
    design = fit.designs[indicator]
    family = design.equation.family
    rows = np.arange(design.rows)
    if rows.size > MOST_ROWS:
        rows = np.linspace(0, rows.size - 1, MOST_ROWS).astype(np.intp)
    rng = np.random.default_rng(seed)
    values = fit.draws(draws).values
    eta = row_predictor(design.equation.main, design, values, rows)
    extra = row_extra(design, values, rows)
    trials = None if design.trials is None else design.trials[rows]
    observed = design.y[rows]

    weights, doubtful = _without_itself(log_likelihood(design, values, rows))
    below = observed - 1.0 if family.discrete else np.nextafter(observed, -np.inf)
    upper = (weights * family.cdf(observed, eta, extra, trials)).sum(axis=0)
    lower = (weights * family.cdf(below, eta, extra, trials)).sum(axis=0)
    pit = np.clip(lower + rng.uniform(size=observed.size) * (upper - lower), 0.0, 1.0)

    some = fit.draws(replications).values
    again = row_predictor(design.equation.main, design, some, rows)
    noise = draw_tail_noise(rng, again.shape)
    replicated = family.quantile(noise, again, row_extra(design, some, rows), trials)
    uniformity = float(array_stats.uniformity_test(pit)[0])
    return PredictiveCheck(
        indicator,
        observed,
        np.asarray(replicated, dtype=float),
        trials,
        pit,
        uniformity,
        doubtful,
    )


def _without_itself(logs: Floats) -> tuple[Floats, int]:
    """Weigh draws, dims (draw, row), so that each row is left out; count rows where that fails."""
    from arviz_stats.base.array import array_stats

    count = logs.shape[0]
    weights = np.full(logs.shape, 1.0 / count)
    if count == 1:
        return weights, 0
    # A tail without any spread, as from a chain that does not move, has no shape to be smoothed.
    tail = max(2, int(min(0.2 * count, 3.0 * np.sqrt(count))))
    moving = np.flatnonzero(np.ptp(np.sort(-logs, axis=0)[-tail:], axis=0) > 0)
    # A row that its mechanism finds impossible has a tail that overflows: its k says so.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        smooth, khat = array_stats.psislw(logs[:, moving], axis=0)
    found = np.exp(np.moveaxis(np.asarray(smooth), -1, 0))
    fine = np.isfinite(found).all(axis=0) & (found.sum(axis=0) > 0)
    weights[:, moving[fine]] = found[:, fine] / found[:, fine].sum(axis=0)
    trusted = int((fine & (np.asarray(khat) <= KHAT_MAX)).sum())
    return weights, logs.shape[1] - trusted
