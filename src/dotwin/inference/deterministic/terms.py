"""One row's log density given its linear predictor, and two derivatives, compiled by family.

The family is a constant of the kernel that these are compiled into, so that the other branches
vanish. A linear predictor is split into a part eta that is computed once per row and the group's
effect v that quadrature moves; ``base`` holds what one exponential per row has to say.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.deterministic.lanes import (
    FLAGS,
    digamma_trigamma,
    exp,
    inlined,
    lgamma,
    log,
    log1m_exp,
    log1p,
    log_rising,
    one_less_exp,
)
from dotwin.inference.deterministic.tails import log_tail, log_tail_bend
from dotwin.inference.nuts.parts import FamilyCode
from dotwin.inference.nuts.truncation import log_at_least

__all__ = ["base_of", "curved", "mixed", "move_of", "value"]

Floats = NDArray[np.float64]

POISSON, NEGATIVE_BINOMIAL = int(FamilyCode.POISSON), int(FamilyCode.NEGATIVE_BINOMIAL)
BINOMIAL, BETA_BINOMIAL = int(FamilyCode.BINOMIAL), int(FamilyCode.BETA_BINOMIAL)
GAMMA, BETA, STUDENT_T = int(FamilyCode.GAMMA), int(FamilyCode.BETA), int(FamilyCode.STUDENT_T)
NORMAL, NORMAL_LOG_LINK = int(FamilyCode.NORMAL), int(FamilyCode.NORMAL_LOG_LINK)

#: What is changed of the family: nothing; counts of at least one; outcomes of at least each row's
#: own bound; counts whose zeros may come from a second source.
WHOLE, POSITIVE, BOUNDED, INFLATED = 0, 1, 2, 3
#: Below this share above a bound, the tail is summed itself.
_SMALL_TAIL = 1e-4
#: Step of the difference that gives a bounded count's curvature.
_STEP = 1e-4
#: Logits are held between these, beyond which a probability is 0 or 1 to every digit.
_LOGIT_END = 300.0


@inlined
def base_of(family: int, eta: float, y: float, d: float, c: float) -> float:
    """Return the exponential of a row that all values of the group's effect share."""
    if family == NEGATIVE_BINOMIAL:
        return float(exp(eta - c))
    if family == GAMMA:
        return float(exp(-eta))
    if family in (BETA, BETA_BINOMIAL):
        return float(exp(min(max(eta, -_LOGIT_END), _LOGIT_END)))
    if family in (NORMAL, STUDENT_T):
        return eta
    return float(exp(eta))


@inlined
def move_of(family: int, v: float) -> float:
    """Return what turns the base at an effect of 0 into that at an effect of v."""
    if family == GAMMA:
        return float(exp(-v))
    if family in (NORMAL, STUDENT_T):
        return v
    return float(exp(v))


@inlined
def value(
    family: int,
    kind: int,
    eta: float,
    base: float,
    v: float,
    move: float,
    y: float,
    extra: float,
    lower: float,
    d: float,
    c: float,
    second: float,
    table: Floats,
    lane: int,
) -> float:
    """Return a row's log density but for terms that no effect enters.

    Parameters
    ----------
    family, kind : int
        `FamilyCode`, and the kind of truncation.
    eta, base, v, move : float
    y, extra : float
        Trials of a binomial; the log of a gamma's outcome; for a beta the logs of the outcome and
        of one minus it.
    lower : float
        Bound of a truncated outcome.
    d, c : float
        The family's parameter; its logarithm or, for a student_t, the degrees of freedom.
    second : float
        The linear predictor of zeros from a second source.
    table : array, dims (lane, number)
        Of the tail that a bound keeps, where the outcome is continuous.
    lane : int
    """
    base_kind = WHOLE if kind == INFLATED else kind
    own = _value(family, base_kind, eta, base, v, move, y, extra, lower, d, c, table, lane)
    if kind == INFLATED:
        if y > 0.0:
            own -= _softplus(second)
        else:
            if family == BETA_BINOMIAL:
                own -= log_rising(d, extra)
            own += _softplus(second - own) - _softplus(second)
    return own


@inlined
def _softplus(x: float) -> float:
    """Return log(1 + exp(x))."""
    return float(max(x, 0.0) + log1p(exp(-abs(x))))


@inlined
def _value(
    family: int,
    kind: int,
    eta: float,
    base: float,
    v: float,
    move: float,
    y: float,
    extra: float,
    lower: float,
    d: float,
    c: float,
    table: Floats,
    lane: int,
) -> float:
    """Return what `value` does, without a second source of zeros."""
    if family == NEGATIVE_BINOMIAL:
        x = base * move
        softplus = log1p(x)
        result = y * (eta + v) - (y + d) * softplus
        if kind == POSITIVE:
            result -= log1m_exp(d * softplus)
        elif kind == BOUNDED:
            result -= _log_kept(family, eta + v, x, d * softplus, extra, lower, d)
        return result
    if family == POISSON:
        x = base * move
        result = y * (eta + v) - x
        if kind == POSITIVE:
            result -= log1m_exp(x)
        elif kind == BOUNDED:
            result -= _log_kept(family, eta + v, x, x, extra, lower, d)
        return result
    if family == BINOMIAL:
        x = base * move
        softplus = log1p(x)
        result = y * (eta + v) - extra * softplus
        if kind == POSITIVE:
            result -= log1m_exp(extra * softplus)
        elif kind == BOUNDED:
            result -= _log_kept(family, eta + v, x, extra * softplus, extra, lower, d)
        return result
    if family == GAMMA:
        return d * (extra - eta - v + (1.0 - y * base * move))
    if family in (NORMAL, NORMAL_LOG_LINK, STUDENT_T):
        mean = base * move if family == NORMAL_LOG_LINK else base + move
        z = (y - mean) / d
        square = z * z
        result = -0.5 * (c + 1.0) * log1p(square / c) if family == STUDENT_T else -0.5 * square
        if kind == BOUNDED:
            result -= log_tail((lower - mean) / d, table, lane)
        return result
    x = base * move
    q = 1.0 / (1.0 + x)
    p = x * q
    a, b = d * p, d * q
    if family == BETA:
        return (a - 1.0) * y + (b - 1.0) * extra - lgamma(a) - lgamma(b)
    result = log_rising(a, y) + log_rising(b, extra - y)
    if kind != WHOLE and lower > 0.0:
        result -= log_at_least(family, lower, eta + v, extra, d)[0]
    return result


@inlined
def curved(
    family: int,
    kind: int,
    eta: float,
    base: float,
    v: float,
    move: float,
    y: float,
    extra: float,
    lower: float,
    d: float,
    c: float,
    table: Floats,
    lane: int,
) -> tuple[float, float]:
    """Return the derivative of `value` in the linear predictor, and minus the second one.

    Zeros from a second source are left to `mixed`.
    """
    if family == NEGATIVE_BINOMIAL:
        x = base * move
        t = 1.0 / (1.0 + x)
        share = x * t
        slope, bend = y - (y + d) * share, (y + d) * share * t
        if kind == POSITIVE:
            more, less = _positive(d * log1p(x), d * share, d * share * t)
            slope, bend = slope + more, bend + less
    elif family == POISSON:
        x = base * move
        slope, bend = y - x, x
        if kind == POSITIVE:
            more, less = _positive(x, x, x)
            slope, bend = slope + more, bend + less
    elif family == BINOMIAL:
        x = base * move
        t = 1.0 / (1.0 + x)
        share = x * t
        slope, bend = y - extra * share, extra * share * t
        if kind == POSITIVE:
            more, less = _positive(extra * log1p(x), extra * share, extra * share * t)
            slope, bend = slope + more, bend + less
    elif family == GAMMA:
        x = d * y * base * move
        return x - d, x
    elif family in (NORMAL, NORMAL_LOG_LINK, STUDENT_T):
        mean = base * move if family == NORMAL_LOG_LINK else base + move
        z = (y - mean) / d
        if family == STUDENT_T:
            held = 1.0 / (c + z * z)
            slope = (c + 1.0) * z * held / d
            bend = (c + 1.0) * (c - z * z) * held * held / (d * d)
        else:
            slope, bend = z / d, 1.0 / (d * d)
        if kind == BOUNDED:
            first, second_bend = log_tail_bend(family, (lower - mean) / d, c, table, lane)
            slope += first / d
            bend += second_bend / (d * d)
        if family == NORMAL_LOG_LINK:
            # In the logarithm of the mean.
            bend = bend * mean * mean - slope * mean
            slope *= mean
        return slope, bend
    else:
        x = base * move
        q = 1.0 / (1.0 + x)
        p = x * q
        a, b = d * p, d * q
        first_a, second_a = digamma_trigamma(a)
        first_b, second_b = digamma_trigamma(b)
        if family == BETA:
            pull = y - extra - first_a + first_b
            turn = -second_a - second_b
        else:
            first_y, second_y = digamma_trigamma(a + y)
            first_n, second_n = digamma_trigamma(b + extra - y)
            pull = first_y - first_a - first_n + first_b
            turn = second_y - second_a + second_n - second_b
        away = d * p * q
        slope, bend = away * pull, -away * (q - p) * pull - away * away * turn
    if kind == BOUNDED and lower > 0.0:
        at = eta + v
        slope -= log_at_least(family, lower, at, extra, d)[1]
        above = log_at_least(family, lower, at + _STEP, extra, d)[1]
        below = log_at_least(family, lower, at - _STEP, extra, d)[1]
        bend += (above - below) / (2.0 * _STEP)
    return slope, bend


@inlined
def mixed(
    family: int,
    eta: float,
    base: float,
    v: float,
    move: float,
    y: float,
    extra: float,
    d: float,
    c: float,
    second: float,
    slope: float,
    bend: float,
    table: Floats,
    lane: int,
) -> tuple[float, float, float, float, float]:
    """Return derivatives where zeros may come from a second source.

    ``slope`` and ``bend`` are those of the counts alone, from `curved`.

    Returns
    -------
    slope, bend, second_slope, second_bend, both : float
        In the counts' linear predictor, in that of the second source, and minus the mixed
        derivative.
    """
    e = exp(-abs(second))
    share = (1.0 if second > 0.0 else e) / (1.0 + e)
    spread = e / ((1.0 + e) * (1.0 + e))
    if y > 0.0:
        return slope, bend, -share, spread, 0.0
    own = _value(family, WHOLE, eta, base, v, move, y, extra, 0.0, d, c, table, lane)
    if family == BETA_BINOMIAL:
        own -= log_rising(d, extra)
    # The probability that a zero came from the second source.
    away = second - own
    e = exp(-abs(away))
    from_second = (1.0 if away > 0.0 else e) / (1.0 + e)
    doubt = e / ((1.0 + e) * (1.0 + e))
    both = doubt * slope
    return (
        (1.0 - from_second) * slope,
        (1.0 - from_second) * bend - both * slope,
        from_second - share,
        spread - doubt,
        both,
    )


@inlined
def _positive(a: float, first: float, second: float) -> tuple[float, float]:
    """Derivatives of -log(1 - exp(-a)) for a function a of the linear predictor."""
    odds = exp(-a) / one_less_exp(a)
    return -first * odds, second * odds - first * first * odds * (1.0 + odds)


@njit(fastmath=FLAGS, error_model="numpy")
def _log_kept(
    family: int, eta: float, x: float, a: float, trials: float, lower: float, d: float
) -> float:
    """Log P(Y >= lower), where exp(-a) is the probability of none."""
    if lower <= 0.0:
        return 0.0
    if lower == 1.0:
        return float(log1m_exp(a))
    mass = exp(-a)
    share = x / (1.0 + x)
    below, k = 0.0, 0.0
    while k < lower:
        below += mass
        if family == POISSON:
            mass *= x / (k + 1.0)
        elif family == NEGATIVE_BINOMIAL:
            mass *= (k + d) / (k + 1.0) * share
        else:
            mass *= max(trials - k, 0.0) / (k + 1.0) * x
        k += 1.0
    if below < 1.0 - _SMALL_TAIL:
        return float(log(1.0 - below))
    return float(log_at_least(family, lower, eta, trials, d)[0])
