"""Log densities of rows and their derivatives, compiled; one function per family.

Each takes the linear predictor of every row, writes the derivative with respect to it into
``slope``, and returns the sum over rows with its derivatives with respect to the family's
parameters. Terms that no parameter enters are left to the layout.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts.special import (
    exp,
    gamma_constant,
    lgamma_digamma,
    log1p_unit,
    log_rising,
    log_rising_over_power,
)

__all__ = [
    "beta_binomial_rows",
    "beta_rows",
    "binomial_rows",
    "gamma_rows",
    "negative_binomial_rows",
    "normal_rows",
    "ordinal_rows",
    "poisson_rows",
    "student_t_rows",
]

Floats = NDArray[np.float64]

# Sums over rows may be reordered, so that they run in several lanes. The exponentials are compiled
# without that licence, and keep their own flags when they are inlined here.
_SUMS = {"contract", "nsz", "reassoc"}


@njit(fastmath=_SUMS, error_model="numpy")
def poisson_rows(eta: Floats, y: Floats, slope: Floats) -> float:
    """Poisson with mean exp(eta)."""
    value = 0.0
    for i in range(eta.size):
        mean = exp(eta[i])
        value += y[i] * eta[i] - mean
        slope[i] = y[i] - mean
    return value


@njit(fastmath=_SUMS, error_model="numpy")
def negative_binomial_rows(
    eta: Floats, y: Floats, distinct: Floats, times: Floats, dispersion: float, slope: Floats
) -> tuple[float, float]:
    """Negative binomial with mean exp(eta); gammas are taken once per distinct count."""
    log_dispersion = math.log(dispersion)
    value = 0.0
    pull, drag = 0.0, 0.0
    for i in range(eta.size):
        odds = eta[i] - log_dispersion
        e = exp(-abs(odds))
        softplus = max(odds, 0.0) + log1p_unit(e)
        share = (1.0 if odds > 0.0 else e) / (1.0 + e)
        weight = dispersion + y[i]
        value += y[i] * eta[i] - weight * softplus
        slope[i] = y[i] - weight * share
        pull += weight * share
        drag += softplus
    derivative = pull / dispersion - drag
    for j in range(distinct.size):
        rising, rising_slope = log_rising_over_power(dispersion, distinct[j])
        value += times[j] * rising
        derivative += times[j] * rising_slope
    return value, derivative


@njit(fastmath=_SUMS, error_model="numpy")
def binomial_rows(eta: Floats, y: Floats, trials: Floats, slope: Floats) -> float:
    """Binomial with probability expit(eta); without trials, one trial each."""
    value = 0.0
    if trials.size == 0:
        for i in range(eta.size):
            e = exp(-abs(eta[i]))
            value += y[i] * eta[i] - max(eta[i], 0.0) - log1p_unit(e)
            slope[i] = y[i] - (1.0 if eta[i] > 0.0 else e) / (1.0 + e)
    else:
        for i in range(eta.size):
            e = exp(-abs(eta[i]))
            value += y[i] * eta[i] - trials[i] * (max(eta[i], 0.0) + log1p_unit(e))
            slope[i] = y[i] - trials[i] * ((1.0 if eta[i] > 0.0 else e) / (1.0 + e))
    return value


@njit(fastmath=_SUMS, error_model="numpy")
def beta_binomial_rows(
    eta: Floats,
    y: Floats,
    trials: Floats,
    distinct: Floats,
    times: Floats,
    dispersion: float,
    slope: Floats,
) -> tuple[float, float]:
    """Beta-binomial with mean expit(eta) and precision ``dispersion``."""
    value, derivative = 0.0, 0.0
    for i in range(eta.size):
        e = exp(-abs(eta[i]))
        large, small = 1.0 / (1.0 + e), e / (1.0 + e)
        p = large if eta[i] > 0.0 else small
        q = small if eta[i] > 0.0 else large
        hits, hits_slope = log_rising(dispersion * p, y[i])
        misses, misses_slope = log_rising(dispersion * q, trials[i] - y[i])
        value += hits + misses
        slope[i] = dispersion * p * q * (hits_slope - misses_slope)
        derivative += p * hits_slope + q * misses_slope
    for j in range(distinct.size):
        rising, rising_slope = log_rising(dispersion, distinct[j])
        value -= times[j] * rising
        derivative -= times[j] * rising_slope
    return value, derivative


@njit(fastmath=_SUMS, error_model="numpy")
def normal_rows(
    eta: Floats, y: Floats, residual_sd: float, log_link: bool, slope: Floats
) -> tuple[float, float]:
    """Normal around eta, or around exp(eta)."""
    precision = 1.0 / (residual_sd * residual_sd)
    squares = 0.0
    if log_link:
        for i in range(eta.size):
            mean = exp(eta[i])
            away = y[i] - mean
            squares += away * away
            slope[i] = away * precision * mean
    else:
        for i in range(eta.size):
            away = y[i] - eta[i]
            squares += away * away
            slope[i] = away * precision
    squares *= precision
    value = -0.5 * squares - eta.size * math.log(residual_sd)
    return value, (squares - eta.size) / residual_sd


@njit(fastmath=_SUMS, error_model="numpy")
def student_t_rows(
    eta: Floats, y: Floats, residual_sd: float, nu: float, slope: Floats
) -> tuple[float, float, float]:
    """Student's t around eta."""
    logs, shrunk = 0.0, 0.0
    for i in range(eta.size):
        z = (y[i] - eta[i]) / residual_sd
        square = z * z
        logs += math.log1p(square / nu)
        weight = (nu + 1.0) / (nu + square)
        slope[i] = weight * z / residual_sd
        shrunk += weight * square
    n = eta.size
    high, high_slope = lgamma_digamma(0.5 * (nu + 1.0))
    low, low_slope = lgamma_digamma(0.5 * nu)
    value = n * (high - low - 0.5 * math.log(nu * math.pi) - math.log(residual_sd))
    value -= 0.5 * (nu + 1.0) * logs
    by_nu = 0.5 * (n * (high_slope - low_slope - 1.0 / nu) - logs + shrunk / nu)
    return value, (shrunk - n) / residual_sd, by_nu


@njit(fastmath=_SUMS, error_model="numpy")
def gamma_rows(
    eta: Floats, y: Floats, log_y: Floats, dispersion: float, slope: Floats
) -> tuple[float, float]:
    """Gamma with mean exp(eta) and shape ``dispersion``."""
    value = 0.0
    for i in range(eta.size):
        ratio = y[i] * exp(-eta[i])
        # The terms are small where the outcome is near its mean, also for a huge shape.
        value += (log_y[i] - eta[i]) + (1.0 - ratio)
        slope[i] = dispersion * (ratio - 1.0)
    constant, constant_slope = gamma_constant(dispersion)
    n = eta.size
    return dispersion * value + n * constant, value + n * constant_slope


@njit(fastmath=_SUMS, error_model="numpy")
def beta_rows(
    eta: Floats, log_y: Floats, log_rest: Floats, dispersion: float, slope: Floats
) -> tuple[float, float]:
    """Beta with mean expit(eta) and precision ``dispersion``."""
    value, derivative = 0.0, 0.0
    for i in range(eta.size):
        e = exp(-abs(eta[i]))
        large, small = 1.0 / (1.0 + e), e / (1.0 + e)
        p = large if eta[i] > 0.0 else small
        q = small if eta[i] > 0.0 else large
        a, b = dispersion * p, dispersion * q
        lgamma_a, digamma_a = lgamma_digamma(a)
        lgamma_b, digamma_b = lgamma_digamma(b)
        value += (a - 1.0) * log_y[i] + (b - 1.0) * log_rest[i] - lgamma_a - lgamma_b
        by_a, by_b = log_y[i] - digamma_a, log_rest[i] - digamma_b
        slope[i] = dispersion * p * q * (by_a - by_b)
        derivative += p * by_a + q * by_b
    lgamma_all, digamma_all = lgamma_digamma(dispersion)
    return value + eta.size * lgamma_all, derivative + eta.size * digamma_all


@njit(fastmath=_SUMS, error_model="numpy")
def ordinal_rows(
    eta: Floats, y: Floats, cutpoints: Floats, slope: Floats, cut_slope: Floats
) -> float:
    """Categories 0, 1, … cut from a logistic variable around eta."""
    top = cutpoints.size
    value = 0.0
    counts = np.zeros(top + 1)
    for i in range(eta.size):
        category = int(y[i])
        counts[category] += 1.0
        pull = 0.0
        if category < top:
            above = cutpoints[category] - eta[i]
            e = exp(-abs(above))
            value -= max(-above, 0.0) + log1p_unit(e)
            beyond = (e if above > 0.0 else 1.0) / (1.0 + e)
            cut_slope[category] += beyond
            pull -= beyond
        if category > 0:
            below = cutpoints[category - 1] - eta[i]
            e = exp(-abs(below))
            value -= max(below, 0.0) + log1p_unit(e)
            within = (1.0 if below > 0.0 else e) / (1.0 + e)
            cut_slope[category - 1] -= within
            pull += within
        slope[i] = pull
    # expit(above) expit(-below) (1 - exp(-gap)): the last factor is the category's alone.
    for category in range(1, top):
        gap = cutpoints[category] - cutpoints[category - 1]
        value += counts[category] * math.log(-math.expm1(-gap))
        push = counts[category] / math.expm1(gap)
        cut_slope[category] += push
        cut_slope[category - 1] -= push
    return value
