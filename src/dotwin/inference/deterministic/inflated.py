"""Counts whose zeros may come from a second source, compiled."""

from __future__ import annotations

from typing import Any

from dotwin.inference.deterministic.lanes import exp, inlined, log1p, log_rising
from dotwin.inference.deterministic.terms import Terms
from dotwin.inference.nuts.parts import FamilyCode

__all__ = ["inflated"]


def inflated(own: Terms, family: int) -> Terms:
    """Mix counts with zeros whose logit is a second linear predictor.

    Parameters
    ----------
    own : Terms
        Of the counts alone.
    family : int
        `FamilyCode`.

    Returns
    -------
    Terms
    """
    log_density = own.value
    left_out = _log_rising if family == FamilyCode.BETA_BINOMIAL else _nothing

    @inlined
    def value(
        eta: float, base: float, v: float, move: float, y: float, extra: float, lower: float,
        d: float, c: float, second: float, table: Any, lane: int,
    ) -> float:  # fmt: skip
        alone = log_density(eta, base, v, move, y, extra, lower, d, c, second, table, lane)
        if y > 0.0:
            alone -= _softplus(second)
        else:
            alone -= left_out(d, extra)
            alone += _softplus(second - alone) - _softplus(second)
        return float(alone)

    @inlined
    def mixed(
        eta: float, base: float, v: float, move: float, y: float, extra: float, d: float,
        c: float, second: float, slope: float, bend: float, table: Any, lane: int,
    ) -> tuple[float, float, float, float, float]:  # fmt: skip
        share, spread = _logistic(second)
        if y > 0.0:
            return slope, bend, -share, spread, 0.0
        alone = log_density(eta, base, v, move, y, extra, 0.0, d, c, second, table, lane)
        # The probability that a zero came from the second source.
        from_second, doubt = _logistic(second - (alone - left_out(d, extra)))
        both = doubt * slope
        return (
            (1.0 - from_second) * slope,
            (1.0 - from_second) * bend - both * slope,
            from_second - share,
            spread - doubt,
            both,
        )

    return Terms(own.base_of, own.move_of, value, own.curved, mixed)


@inlined
def _nothing(d: float, trials: float) -> float:
    return 0.0


@inlined
def _log_rising(d: float, trials: float) -> float:
    """Return what a beta-binomial's value leaves out, as no effect enters it."""
    return float(log_rising(d, trials))


@inlined
def _softplus(x: float) -> float:
    """Return log(1 + exp(x))."""
    return float(max(x, 0.0) + log1p(exp(-abs(x))))


@inlined
def _logistic(x: float) -> tuple[float, float]:
    """Return the probability whose logit is x, and its variance."""
    e = exp(-abs(x))
    return (1.0 if x > 0.0 else e) / (1.0 + e), e / ((1.0 + e) * (1.0 + e))
