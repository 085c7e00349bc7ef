"""Log densities of continuous outcomes, and their derivatives, compiled for one family."""

from __future__ import annotations

from typing import Any

from dotwin.inference.deterministic.counts import exp_of_logit
from dotwin.inference.deterministic.lanes import digamma_trigamma, exp, inlined, lgamma, log1p
from dotwin.inference.deterministic.tails import log_tail, log_tail_bend
from dotwin.inference.deterministic.terms import BOUNDED, Terms
from dotwin.inference.nuts.parts import FamilyCode

__all__ = ["amount_terms"]

_STUDENT_T, _NORMAL_LOG_LINK = int(FamilyCode.STUDENT_T), int(FamilyCode.NORMAL_LOG_LINK)


def amount_terms(family: int, kind: int) -> Terms:
    """Choose the functions of a family of continuous outcomes.

    Parameters
    ----------
    family, kind : int
        `FamilyCode`, and what is changed of it.

    Returns
    -------
    Terms
    """
    if family == FamilyCode.GAMMA:
        return Terms(_exp_less, _exp_of_less, _gamma_value, _gamma_curved)
    if family == FamilyCode.BETA:
        return Terms(exp_of_logit, exp, _beta_value, _beta_curved)
    return _residuals(family, kind)


def _residuals(family: int, kind: int) -> Terms:
    """Choose the functions of what is normal or Student's t around its mean."""
    bounded = kind == BOUNDED
    log_link = family == _NORMAL_LOG_LINK
    mean_of = _times if log_link else _plus
    kernel, kernel_slopes = (
        (_student, _student_slopes) if family == _STUDENT_T else (_normal, _normal_slopes)
    )

    @inlined
    def value(
        eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
        d: float, c: float, second: float, table: Any, lane: int,
    ) -> float:  # fmt: skip
        mean = mean_of(base, move)
        result = kernel((y - mean) / d, c)
        if bounded:
            result -= log_tail((lower - mean) / d, table, lane)
        return float(result)

    @inlined
    def curved(
        eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
        d: float, c: float, table: Any, lane: int,
    ) -> tuple[float, float]:  # fmt: skip
        mean = mean_of(base, move)
        slope, bend = kernel_slopes((y - mean) / d, c, d)
        if bounded:
            first, second_bend = log_tail_bend(family, (lower - mean) / d, c, table, lane)
            slope += first / d
            bend += second_bend / (d * d)
        if log_link:
            # In the logarithm of the mean.
            bend = bend * mean * mean - slope * mean
            slope *= mean
        return slope, bend

    if log_link:
        return Terms(_exp, exp, value, curved)
    return Terms(_eta, _effect, value, curved)


@inlined
def _exp(eta: float, d: float, c: float) -> float:
    return float(exp(eta))


@inlined
def _eta(eta: float, d: float, c: float) -> float:
    return eta


@inlined
def _effect(v: float) -> float:
    return v


@inlined
def _plus(base: float, move: float) -> float:
    return base + move


@inlined
def _times(base: float, move: float) -> float:
    return base * move


@inlined
def _normal(z: float, c: float) -> float:
    return -0.5 * (z * z)


@inlined
def _normal_slopes(z: float, c: float, d: float) -> tuple[float, float]:
    return z / d, 1.0 / (d * d)


@inlined
def _student(z: float, c: float) -> float:
    return float(-0.5 * (c + 1.0) * log1p(z * z / c))


@inlined
def _student_slopes(z: float, c: float, d: float) -> tuple[float, float]:
    held = 1.0 / (c + z * z)
    return (c + 1.0) * z * held / d, (c + 1.0) * (c - z * z) * held * held / (d * d)


@inlined
def _exp_less(eta: float, d: float, c: float) -> float:
    return float(exp(-eta))


@inlined
def _exp_of_less(v: float) -> float:
    return float(exp(-v))


@inlined
def _gamma_value(
    eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
    d: float, c: float, second: float, table: Any, lane: int,
) -> float:  # fmt: skip
    return d * (extra - eta - v + (1.0 - y * base * move))


@inlined
def _gamma_curved(
    eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
    d: float, c: float, table: Any, lane: int,
) -> tuple[float, float]:  # fmt: skip
    x = d * y * base * move
    return x - d, x


@inlined
def _beta_value(
    eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
    d: float, c: float, second: float, table: Any, lane: int,
) -> float:  # fmt: skip
    x = base * move
    q = 1.0 / (1.0 + x)
    a, b = d * (x * q), d * q
    return float((a - 1.0) * y + (b - 1.0) * extra - lgamma(a) - lgamma(b))


@inlined
def _beta_curved(
    eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
    d: float, c: float, table: Any, lane: int,
) -> tuple[float, float]:  # fmt: skip
    x = base * move
    q = 1.0 / (1.0 + x)
    p = x * q
    first_a, second_a = digamma_trigamma(d * p)
    first_b, second_b = digamma_trigamma(d * q)
    pull = y - extra - first_a + first_b
    away = d * p * q
    return away * pull, -away * (q - p) * pull + away * away * (second_a + second_b)
