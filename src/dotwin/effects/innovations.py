"""What each mechanism leaves unexplained, as normal scores, unit by unit and period by period."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dotwin.errors import SpecificationError
from dotwin.mechanisms.response import row_extra, row_predictor
from dotwin.mechanisms.tails import draw_tail_noise
from dotwin.worlds.noise import normal_noise

if TYPE_CHECKING:
    from dotwin.inference import Fit

__all__ = ["innovations"]

Floats = NDArray[np.float64]


def innovations(fit: Fit, indicator: str, *, seed: int, draws: int) -> Floats:
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

    Returns
    -------
    array, dims (unit, period)
        Missing where the mechanism has no row.

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
    jitter = np.abs(draw_tail_noise(rng, eta.shape)) + 0.5 * (rng.random(eta.shape) < 0.5)
    with np.errstate(all="ignore"):
        noise = family.abduct(design.y, eta, extra, design.trials, jitter)
    scores = np.asarray(normal_noise(noise)).mean(axis=0)
    found = np.full((len(fit.panel.units), len(fit.panel.period_labels)), np.nan)
    found[design.unit, design.period] = np.where(np.isfinite(scores), scores, np.nan)
    return found
