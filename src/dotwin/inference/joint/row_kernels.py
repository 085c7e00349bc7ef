"""The log density of one row as a function of its linear predictor and of its outcome, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts.parts import FamilyCode
from dotwin.inference.nuts.special import (
    exp,
    log1p_unit,
    log_normal_tail,
    log_rising,
    log_rising_over_power,
    log_student_tail,
    student_constant,
    student_series,
)
from dotwin.inference.nuts.truncation import log_at_least, log_zero

__all__ = ["count_density", "outcome_slope", "row_density"]

Floats = NDArray[np.float64]

_NORMAL, _NORMAL_LOG = int(FamilyCode.NORMAL), int(FamilyCode.NORMAL_LOG_LINK)
_STUDENT_T, _GAMMA, _BETA = (
    int(FamilyCode.STUDENT_T),
    int(FamilyCode.GAMMA),
    int(FamilyCode.BETA),
)
_BINOMIAL, _BETA_BINOMIAL = int(FamilyCode.BINOMIAL), int(FamilyCode.BETA_BINOMIAL)
_POISSON, _NEGATIVE_BINOMIAL = int(FamilyCode.POISSON), int(FamilyCode.NEGATIVE_BINOMIAL)


@njit(error_model="numpy")
def _softplus(x: float) -> float:
    return max(x, 0.0) + log1p_unit(exp(-abs(x)))


@njit(error_model="numpy")
def _ordinal(category: int, eta: float, cutpoints: Floats) -> float:
    top = cutpoints.size
    value = 0.0
    if category < top:
        value -= _softplus(eta - cutpoints[category])
    if category > 0:
        value -= _softplus(cutpoints[category - 1] - eta)
    if 0 < category < top:
        value += math.log(-math.expm1(cutpoints[category - 1] - cutpoints[category]))
    return value


@njit(error_model="numpy")
def _of_predictor(
    family: int, y: float, eta: float, trials: float, d: float, nu: float, cutpoints: Floats
) -> float:
    """Log density up to what depends on the outcome and the dispersion alone."""
    if family == _NORMAL:
        z = (y - eta) / d
        return -0.5 * z * z
    if family == _NORMAL_LOG:
        z = (y - exp(eta)) / d
        return -0.5 * z * z
    if family == _STUDENT_T:
        z = (y - eta) / d
        return -0.5 * (nu + 1.0) * math.log1p(z * z / nu)
    if family == _GAMMA:
        return -d * (eta + y * exp(-eta))
    if family == _POISSON:
        return y * eta - exp(eta)
    if family == _NEGATIVE_BINOMIAL:
        return y * eta - (d + y) * _softplus(eta - math.log(d))
    if family == _BINOMIAL:
        return y * eta - trials * _softplus(eta)
    if family == _BETA_BINOMIAL:
        e = exp(-abs(eta))
        large, small = 1.0 / (1.0 + e), e / (1.0 + e)
        p = large if eta > 0.0 else small
        q = small if eta > 0.0 else large
        return log_rising(d * p, y)[0] + log_rising(d * q, trials - y)[0]
    if family == _BETA:
        e = exp(-abs(eta))
        large, small = 1.0 / (1.0 + e), e / (1.0 + e)
        p = large if eta > 0.0 else small
        q = small if eta > 0.0 else large
        a, b = d * p, d * q
        return a * math.log(y) + b * math.log1p(-y) - math.lgamma(a) - math.lgamma(b)
    return _ordinal(int(y), eta, cutpoints)


@njit(error_model="numpy")
def _log_kept(family: int, lower: float, eta: float, trials: float, d: float, nu: float) -> float:
    """Log probability of an outcome of at least ``lower``."""
    if family in (_NORMAL, _NORMAL_LOG):
        mean = exp(eta) if family == _NORMAL_LOG else eta
        return log_normal_tail((lower - mean) / d)[0]
    if family == _STUDENT_T:
        log_beta, slope = student_constant(nu)
        return log_student_tail((lower - eta) / d, nu, log_beta, slope, student_series(nu))[0]
    return log_at_least(family, lower, eta, trials, d)[0]


@njit(error_model="numpy")
def row_density(
    family: int,
    y: float,
    eta: float,
    trials: float,
    lower: float,
    inflated: bool,
    zeros_eta: float,
    d: float,
    nu: float,
    cutpoints: Floats,
) -> float:
    """Log density of a row, up to what its linear predictors do not change.

    ``lower`` is minus infinity where nothing truncates; ``inflated`` mixes in zeros of probability
    expit(zeros_eta).
    """
    value = _of_predictor(family, y, eta, trials, d, nu, cutpoints)
    if lower > -math.inf:
        value -= _log_kept(family, lower, eta, trials, d, nu)
    if inflated:
        value -= _softplus(zeros_eta)
        if y == 0.0:
            value += _softplus(zeros_eta - log_zero(family, eta, trials, d)[0])
    return value


@njit(error_model="numpy")
def count_density(
    family: int, y: float, eta: float, trials: float, d: float, nu: float, cutpoints: Floats
) -> float:
    """Log probability of an unknown count, up to what it does not change."""
    value = _of_predictor(family, y, eta, trials, d, nu, cutpoints) - math.lgamma(y + 1.0)
    if family == _NEGATIVE_BINOMIAL:
        value += log_rising_over_power(d, y)[0]
    elif family in (_BINOMIAL, _BETA_BINOMIAL):
        value -= math.lgamma(trials - y + 1.0)
    return value


@njit(error_model="numpy")
def outcome_slope(family: int, y: float, eta: float, d: float, nu: float) -> float:
    """Return the derivative of the log density of a continuous outcome in the outcome.

    A positive outcome is taken on the log scale and a share on the logit scale: the density is that
    of the log (of a lognormal, ``y`` is the log itself) or of the logit.
    """
    if family == _NORMAL:
        return -(y - eta) / (d * d)
    if family == _NORMAL_LOG:
        return -(y - exp(eta)) / (d * d)
    if family == _STUDENT_T:
        z = (y - eta) / d
        return -(nu + 1.0) * z / ((nu + z * z) * d)
    if family == _GAMMA:
        return d * (1.0 - y * exp(-eta))
    e = exp(-abs(eta))
    large, small = 1.0 / (1.0 + e), e / (1.0 + e)
    p = large if eta > 0.0 else small
    q = small if eta > 0.0 else large
    return d * (p * (1.0 - y) - q * y)
