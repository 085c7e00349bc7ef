"""What each mechanism leaves unexplained, as normal scores, unit by unit and period by period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import SpecificationError
from dotwin.mechanisms.response import row_extra, row_predictor
from dotwin.worlds.noise import normal_noise

if TYPE_CHECKING:
    from dotwin.inference import Fit

__all__ = ["Innovations", "innovations"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Innovations:
    """The noise of a mechanism, as far as data and posterior tell it.

    Parameters
    ----------
    mean : array, dims (unit, period)
        Normal scores, averaged over posterior draws; missing where the mechanism has no row.
    shared : array, dims (lag, unit, period)
        Covariance over posterior draws of the score of a period and of that ``lag`` periods
        before. A unit's effect is not known exactly, and moves the scores of all its periods
        together: averaged scores of one unit are correlated by minus this much for no other reason.
    """

    mean: Floats
    shared: Floats


def innovations(
    fit: Fit, indicator: str, *, seed: int, draws: int, longest: int = 0
) -> Innovations:
    """Return the noise that a mechanism must have had, given its causes and group effects.

    It is the randomised quantile residual: under the true mechanism a standard normal number that
    is independent of everything that is not caused by it. A count leaves its noise anywhere in
    an interval; the mean over posterior draws, each with a fresh place in the interval, is what
    the data say of it.

    Parameters
    ----------
    fit : Fit
    indicator : str
    seed : int
    draws : int
        Posterior draws.

    longest : int
        The longest lag of ``shared``.

    Returns
    -------
    Innovations

    References
    ----------
    .. [1] Dunn, P. K. and Smyth, G. K. (1996). Randomized quantile residuals.
       doi:10.1080/10618600.1996.10474708
    """
    design = fit.designs[indicator]
    if design.rows == 0:
        raise SpecificationError("this fit was saved without its panel, so it has no residuals.")
    family = design.equation.family
    values = fit.draws(draws).values
    eta = row_predictor(design.equation.main, design, values)
    extra = row_extra(design, values)
    rng = np.random.default_rng(seed)
    jitter = rng.uniform(np.finfo(float).tiny, 1.0, eta.shape)
    with np.errstate(all="ignore"):
        noise = family.abduct(design.y, eta, extra, design.trials, jitter)
    shape = (len(fit.panel.units), len(fit.panel.period_labels))
    scores = np.full((len(eta), *shape), np.nan)
    scores[:, design.unit, design.period] = normal_noise(noise)
    scores[~np.isfinite(scores)] = np.nan
    mean = scores.mean(axis=0)
    off = scores - mean
    shared = np.full((longest + 1, *shape), np.nan)
    for lag in range(longest + 1):
        both = off[..., lag:] * off[..., : shape[1] - lag]
        shared[lag, :, lag:] = both.sum(axis=0) / max(len(eta) - 1, 1)
    return Innovations(mean, shared)
