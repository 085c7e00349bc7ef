"""What truncation from below and extra zeros add to the log density of rows, compiled."""

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
    log_student_tail,
    student_constant,
    student_series,
)

__all__ = [
    "inflate",
    "log_at_least",
    "log_zero",
    "truncate_counts",
    "truncate_normal",
    "truncate_student_t",
]

Floats = NDArray[np.float64]

_POISSON = int(FamilyCode.POISSON)
_NEGATIVE_BINOMIAL = int(FamilyCode.NEGATIVE_BINOMIAL)
_BINOMIAL = int(FamilyCode.BINOMIAL)
#: Where less than this lies above the bound, it is summed itself and not as a difference from 1.
_SMALL_TAIL = 1e-6
_LONGEST_SERIES = 100_000


@njit(error_model="numpy")
def _expit(x: float) -> float:
    e = exp(-abs(x))
    return (1.0 if x > 0.0 else e) / (1.0 + e)


@njit(error_model="numpy")
def _softplus(x: float) -> float:
    return max(x, 0.0) + log1p_unit(exp(-abs(x)))


@njit(error_model="numpy")
def log_zero(
    family: int, eta: float, trials: float, dispersion: float
) -> tuple[float, float, float]:
    """Log P(Y = 0) and its derivatives in eta and in the dispersion."""
    if family == _POISSON:
        mean = exp(eta)
        return -mean, -mean, 0.0
    if family == _NEGATIVE_BINOMIAL:
        odds = eta - math.log(dispersion)
        share, softplus = _expit(odds), _softplus(odds)
        return -dispersion * softplus, -dispersion * share, share - softplus
    p = _expit(eta)
    if family == _BINOMIAL:
        return -trials * _softplus(eta), -trials * p, 0.0
    q = _expit(-eta)
    misses, misses_slope = log_rising(dispersion * q, trials)
    whole, whole_slope = log_rising(dispersion, trials)
    by_eta = -dispersion * p * q * misses_slope
    return misses - whole, by_eta, q * misses_slope - whole_slope


@njit(error_model="numpy")
def _ratio(family: int, k: float, eta: float, trials: float, dispersion: float) -> float:
    """P(Y = k + 1) / P(Y = k)."""
    if family == _POISSON:
        return exp(eta) / (k + 1.0)
    if family == _NEGATIVE_BINOMIAL:
        return (k + dispersion) / (k + 1.0) * _expit(eta - math.log(dispersion))
    if k >= trials:
        return 0.0
    if family == _BINOMIAL:
        return (trials - k) / (k + 1.0) * exp(eta)
    a, b = dispersion * _expit(eta), dispersion * _expit(-eta)
    return (trials - k) * (a + k) / ((k + 1.0) * (b + trials - k - 1.0))


@njit(error_model="numpy")
def _score_step(
    family: int, k: float, eta: float, trials: float, dispersion: float
) -> tuple[float, float]:
    """Change of the derivatives of log P(Y = k) from k to k + 1."""
    if family == _NEGATIVE_BINOMIAL:
        share = _expit(eta - math.log(dispersion))
        return 1.0 - share, 1.0 / (dispersion + k) - (1.0 - share) / dispersion
    if family in (_POISSON, _BINOMIAL):
        return 1.0, 0.0
    p, q = _expit(eta), _expit(-eta)
    by_a, by_b = 1.0 / (dispersion * p + k), -1.0 / (dispersion * q + trials - k - 1.0)
    return dispersion * p * q * (by_a - by_b), p * by_a + q * by_b


@njit(error_model="numpy")
def log_at_least(
    family: int, lower: float, eta: float, trials: float, dispersion: float
) -> tuple[float, float, float]:
    """Log P(Y >= lower), for a whole lower >= 1, and its derivatives."""
    log_mass, by_eta, by_dispersion = log_zero(family, eta, trials, dispersion)
    if lower == 1.0:
        odds = -1.0 / math.expm1(-log_mass)
        return math.log(-math.expm1(log_mass)), odds * by_eta, odds * by_dispersion
    below, below_eta, below_dispersion = 0.0, 0.0, 0.0
    k = 0.0
    while k < lower:
        mass = math.exp(log_mass)
        below += mass
        below_eta += mass * by_eta
        below_dispersion += mass * by_dispersion
        ratio = _ratio(family, k, eta, trials, dispersion)
        step_eta, step_dispersion = _score_step(family, k, eta, trials, dispersion)
        log_mass += math.log(ratio) if ratio > 0.0 else -math.inf
        by_eta += step_eta
        by_dispersion += step_dispersion
        k += 1.0
    above = 1.0 - below
    if above > _SMALL_TAIL:
        return math.log1p(-below), -below_eta / above, -below_dispersion / above
    mass, total = 1.0, 1.0
    sum_eta, sum_dispersion = by_eta, by_dispersion
    for _ in range(_LONGEST_SERIES):
        mass *= _ratio(family, k, eta, trials, dispersion)
        if not mass > 1e-17 * total:
            break
        step_eta, step_dispersion = _score_step(family, k, eta, trials, dispersion)
        by_eta += step_eta
        by_dispersion += step_dispersion
        total += mass
        sum_eta += mass * by_eta
        sum_dispersion += mass * by_dispersion
        k += 1.0
    return log_mass + math.log(total), sum_eta / total, sum_dispersion / total


@njit(error_model="numpy")
def truncate_counts(
    family: int, eta: Floats, lower: Floats, trials: Floats, dispersion: float, slope: Floats
) -> tuple[float, float]:
    """Condition counts on being at least ``lower``; return the change and its derivative."""
    value, derivative = 0.0, 0.0
    for i in range(eta.size):
        if lower[i] > 0.0:
            n = trials[i] if trials.size else 0.0
            log_kept, by_eta, by_dispersion = log_at_least(family, lower[i], eta[i], n, dispersion)
            value -= log_kept
            slope[i] -= by_eta
            derivative -= by_dispersion
    return value, derivative


@njit(error_model="numpy")
def truncate_normal(
    eta: Floats, lower: Floats, residual_sd: float, log_link: bool, slope: Floats
) -> tuple[float, float]:
    """Condition a normal on being at least ``lower``; return the change and its derivative."""
    value, derivative = 0.0, 0.0
    for i in range(eta.size):
        if lower[i] > -math.inf:
            mean = exp(eta[i]) if log_link else eta[i]
            z = (lower[i] - mean) / residual_sd
            log_kept, by_z = log_normal_tail(z)
            value -= log_kept
            slope[i] += by_z / residual_sd * (mean if log_link else 1.0)
            derivative += by_z * z / residual_sd
    return value, derivative


@njit(error_model="numpy")
def truncate_student_t(
    eta: Floats, lower: Floats, residual_sd: float, nu: float, slope: Floats
) -> tuple[float, float, float]:
    """Condition Student's t on being at least ``lower``; return the change and its derivatives."""
    value, derivative, by_nu = 0.0, 0.0, 0.0
    log_beta, log_beta_slope = student_constant(nu)
    series = student_series(nu)
    for i in range(eta.size):
        if lower[i] > -math.inf:
            z = (lower[i] - eta[i]) / residual_sd
            log_kept, by_z, kept_by_nu = log_student_tail(z, nu, log_beta, log_beta_slope, series)
            value -= log_kept
            slope[i] += by_z / residual_sd
            derivative += by_z * z / residual_sd
            by_nu -= kept_by_nu
    return value, derivative, by_nu


@njit(error_model="numpy")
def inflate(
    family: int,
    eta: Floats,
    zeros_eta: Floats,
    at_zero: Floats,
    trials: Floats,
    dispersion: float,
    slope: Floats,
    zeros_slope: Floats,
) -> tuple[float, float]:
    """Mix counts with zeros of probability expit(zeros_eta); return the change and derivative."""
    value, derivative = 0.0, 0.0
    for i in range(eta.size):
        # The counts' own share; at a zero the mixture then adds log(1 + exp(z - log P(Y = 0))).
        value -= _softplus(zeros_eta[i])
        zeros_slope[i] = -_expit(zeros_eta[i])
        if at_zero[i] == 1.0:
            n = trials[i] if trials.size else 0.0
            log_none, by_eta, by_dispersion = log_zero(family, eta[i], n, dispersion)
            value += _softplus(zeros_eta[i] - log_none)
            extra = _expit(zeros_eta[i] - log_none)
            zeros_slope[i] += extra
            slope[i] -= extra * by_eta
            derivative -= extra * by_dispersion
    return value, derivative
