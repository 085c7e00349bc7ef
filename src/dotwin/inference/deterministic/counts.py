"""Log densities of counts, and their derivatives, compiled for one family and truncation.

With x the mean, the odds or the mean over the dispersion, the log density of all but the
beta-binomial is y eta - w S(x), and that of no event -w0 S(x), for weights w and w0 of the row.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from dotwin.inference.deterministic.lanes import (
    FLAGS,
    digamma_trigamma,
    exp,
    inlined,
    log,
    log1m_exp,
    log1p,
    log_rising,
    one_less_exp,
)
from dotwin.inference.deterministic.terms import BOUNDED, POSITIVE, Terms
from dotwin.inference.nuts.parts import FamilyCode
from dotwin.inference.nuts.truncation import log_at_least

__all__ = ["count_terms", "exp_of_logit"]

_POISSON, _NEGATIVE_BINOMIAL = int(FamilyCode.POISSON), int(FamilyCode.NEGATIVE_BINOMIAL)
_BETA_BINOMIAL = int(FamilyCode.BETA_BINOMIAL)

#: Below this share above a bound, the tail is summed itself.
_SMALL_TAIL = 1e-4
#: Step of the difference that gives a bounded count's curvature.
_STEP = 1e-4
#: Logits are held between these, beyond which a probability is 0 or 1 to every digit.
_LOGIT_END = 300.0


@inlined
def exp_of_logit(eta: float, d: float, c: float) -> float:
    """Return the odds, within what their square can hold."""
    return float(exp(min(max(eta, -_LOGIT_END), _LOGIT_END)))


@inlined
def _exp(eta: float, d: float, c: float) -> float:
    return float(exp(eta))


@inlined
def _exp_over_dispersion(eta: float, d: float, c: float) -> float:
    return float(exp(eta - c))


@inlined
def _itself(x: float) -> float:
    return x


@inlined
def _itself_twice(x: float) -> tuple[float, float]:
    return x, x


@inlined
def _share_slopes(x: float) -> tuple[float, float]:
    """Return two derivatives of log(1 + x) in log x."""
    t = 1.0 / (1.0 + x)
    share = x * t
    return share, share * t


@inlined
def _poisson_weights(y: float, trials: float, d: float) -> tuple[float, float]:
    return 1.0, 1.0


@inlined
def _negative_binomial_weights(y: float, trials: float, d: float) -> tuple[float, float]:
    return y + d, d


@inlined
def _binomial_weights(y: float, trials: float, d: float) -> tuple[float, float]:
    return trials, trials


def count_terms(family: int, kind: int) -> Terms:
    """Choose the functions of a family of counts.

    Parameters
    ----------
    family, kind : int
        `FamilyCode`, and what is changed of it; zeros from a second source are not known here.

    Returns
    -------
    Terms
    """
    log_kept, kept_slopes = _truncation(family, kind)
    if family == _BETA_BINOMIAL:
        return _beta_binomial(log_kept, kept_slopes)
    base_of, total, slopes, weights = _exp, log1p, _share_slopes, _binomial_weights
    if family == _POISSON:
        total, slopes, weights = _itself, _itself_twice, _poisson_weights
    elif family == _NEGATIVE_BINOMIAL:
        base_of, weights = _exp_over_dispersion, _negative_binomial_weights

    @inlined
    def value(
        eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
        d: float, c: float, second: float, table: Any, lane: int,
    ) -> float:  # fmt: skip
        x = base * move
        weight, of_none = weights(y, extra, d)
        summed = total(x)
        result = y * (eta + v) - weight * summed
        return float(result - log_kept(eta + v, x, of_none * summed, extra, lower, d))

    @inlined
    def curved(
        eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
        d: float, c: float, table: Any, lane: int,
    ) -> tuple[float, float]:  # fmt: skip
        x = base * move
        weight, of_none = weights(y, extra, d)
        first, second = slopes(x)
        more, less = kept_slopes(
            eta + v, of_none * total(x), of_none * first, of_none * second, extra, lower, d
        )
        return y - weight * first + more, weight * second + less

    return Terms(base_of, exp, value, curved)


def _beta_binomial(log_kept: Any, kept_slopes: Any) -> Terms:

    @inlined
    def value(
        eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
        d: float, c: float, second: float, table: Any, lane: int,
    ) -> float:  # fmt: skip
        x = base * move
        q = 1.0 / (1.0 + x)
        a, b = d * (x * q), d * q
        result = log_rising(a, y) + log_rising(b, extra - y)
        return float(result - log_kept(eta + v, x, 0.0, extra, lower, d))

    @inlined
    def curved(
        eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
        d: float, c: float, table: Any, lane: int,
    ) -> tuple[float, float]:  # fmt: skip
        x = base * move
        q = 1.0 / (1.0 + x)
        p = x * q
        a, b = d * p, d * q
        first_a, second_a = digamma_trigamma(a)
        first_b, second_b = digamma_trigamma(b)
        first_y, second_y = digamma_trigamma(a + y)
        first_n, second_n = digamma_trigamma(b + extra - y)
        pull = first_y - first_a - first_n + first_b
        turn = second_y - second_a + second_n - second_b
        away = d * p * q
        more, less = kept_slopes(eta + v, 0.0, 0.0, 0.0, extra, lower, d)
        return away * pull + more, -away * (q - p) * pull - away * away * turn + less

    return Terms(exp_of_logit, exp, value, curved)


def _truncation(family: int, kind: int) -> tuple[Any, Any]:
    """Choose log P(Y >= bound), and what its being taken off adds to the derivatives."""
    if kind == POSITIVE:
        return _log_some, _some_slopes
    if kind != BOUNDED:
        return _nothing, _no_slopes
    summed = family != _BETA_BINOMIAL

    @njit(fastmath=FLAGS, error_model="numpy")
    def log_kept(eta: float, x: float, a: float, trials: float, lower: float, d: float) -> float:
        if lower <= 0.0:
            return 0.0
        if summed:
            return _log_kept(family, eta, x, a, trials, lower, d)
        return float(log_at_least(family, lower, eta, trials, d)[0])

    @njit(fastmath=FLAGS, error_model="numpy")
    def kept_slopes(
        eta: float, a: float, first: float, second: float, trials: float, lower: float, d: float
    ) -> tuple[float, float]:
        if lower <= 0.0:
            return 0.0, 0.0
        above = log_at_least(family, lower, eta + _STEP, trials, d)[1]
        below = log_at_least(family, lower, eta - _STEP, trials, d)[1]
        here = log_at_least(family, lower, eta, trials, d)[1]
        return -here, (above - below) / (2.0 * _STEP)

    return log_kept, kept_slopes


@inlined
def _nothing(eta: float, x: float, a: float, trials: float, lower: float, d: float) -> float:
    return 0.0


@inlined
def _no_slopes(
    eta: float, a: float, first: float, second: float, trials: float, lower: float, d: float
) -> tuple[float, float]:
    return 0.0, 0.0


@inlined
def _log_some(eta: float, x: float, a: float, trials: float, lower: float, d: float) -> float:
    """Return log P(Y > 0), where exp(-a) is the probability of none."""
    return float(log1m_exp(a))


@inlined
def _some_slopes(
    eta: float, a: float, first: float, second: float, trials: float, lower: float, d: float
) -> tuple[float, float]:
    """Derivatives of -log(1 - exp(-a)) for a function a of the linear predictor."""
    odds = exp(-a) / one_less_exp(a)
    return -first * odds, second * odds - first * first * odds * (1.0 + odds)


@njit(fastmath=FLAGS, error_model="numpy")
def _log_kept(
    family: int, eta: float, x: float, a: float, trials: float, lower: float, d: float
) -> float:
    """Log P(Y >= lower) for a whole lower >= 1, where exp(-a) is the probability of none."""
    if lower == 1.0:
        return float(log1m_exp(a))
    mass = exp(-a)
    share = x / (1.0 + x)
    below, k = 0.0, 0.0
    while k < lower:
        below += mass
        if family == _POISSON:
            mass *= x / (k + 1.0)
        elif family == _NEGATIVE_BINOMIAL:
            mass *= (k + d) / (k + 1.0) * share
        else:
            mass *= max(trials - k, 0.0) / (k + 1.0) * x
        k += 1.0
    if below < 1.0 - _SMALL_TAIL:
        return float(log(1.0 - below))
    return float(log_at_least(family, lower, eta, trials, d)[0])
