"""Priors of hyperparameters on the unconstrained scale, and of globals, for many draws at once."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.nuts.constants import is_positive, prior_code, prior_constant
from dotwin.inference.nuts.parts import PriorCode
from dotwin.spec.prior import Prior

__all__ = ["hyper_log_prior", "hyper_value", "student_t_terms"]

Floats = NDArray[np.float64]


def hyper_value(prior: Prior, h: Floats) -> Floats:
    """Turn an unconstrained hyperparameter into the quantity that has the prior.

    Parameters
    ----------
    prior : Prior
    h : array
        Its logarithm, or its logit where the prior has two ends.
    """
    if is_positive(prior_code(prior)):
        return np.asarray(np.exp(h))
    low, high = prior.arguments if prior.distribution == "uniform" else (0.0, 1.0)
    return np.asarray(low + (high - low) / (1.0 + np.exp(-h)))


def hyper_log_prior(prior: Prior, h: Floats) -> Floats:
    """Return the log density of an unconstrained hyperparameter, Jacobian included.

    Parameters
    ----------
    prior : Prior
    h : array
    """
    a = prior.arguments
    constant = prior_constant(prior)
    v = np.exp(np.minimum(h, 700.0))
    match prior_code(prior):
        case PriorCode.HALF_NORMAL:
            return np.asarray(constant + h - 0.5 * (v / a[0]) ** 2)
        case PriorCode.HALF_STUDENT_T:
            return np.asarray(constant + h - 0.5 * (a[0] + 1.0) * np.log1p((v / a[1]) ** 2 / a[0]))
        case PriorCode.EXPONENTIAL:
            return np.asarray(constant + h - a[0] * v)
        case PriorCode.GAMMA:
            return np.asarray(constant + a[0] * h - a[1] * v)
        case PriorCode.LOGNORMAL:
            return np.asarray(constant - 0.5 * ((h - a[0]) / a[1]) ** 2)
        case PriorCode.BETA:
            return np.asarray(constant - a[0] * np.logaddexp(0.0, -h) - a[1] * np.logaddexp(0.0, h))
        case PriorCode.UNIFORM:
            return np.asarray(-np.logaddexp(0.0, -h) - np.logaddexp(0.0, h))
        case _:
            raise ValueError(f"{prior} is no prior of a spread")


def student_t_terms(
    beta: Floats, nu: Floats, mean: Floats, scale: Floats
) -> tuple[Floats, Floats, Floats]:
    """Return log densities of Student's t, their derivatives, and minus the second ones.

    Parameters
    ----------
    beta : array, dims (..., global)
    nu, mean, scale : array, dims (global,)
    """
    z = (beta - mean) / scale
    constant = np.array(
        [
            math.lgamma(0.5 * (n + 1.0)) - math.lgamma(0.5 * n) - 0.5 * math.log(n * math.pi)
            for n in nu
        ]
    ) - np.log(scale)
    log_density = constant - 0.5 * (nu + 1.0) * np.log1p(z * z / nu)
    held = (nu + 1.0) / (nu + z * z)
    bend = held * (nu - z * z) / (nu + z * z) / scale**2
    return log_density, -held * z / scale, bend
