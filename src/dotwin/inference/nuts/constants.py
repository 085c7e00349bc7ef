"""Priors as the kernels read them: a code, a normalising constant, and a place to start."""

from __future__ import annotations

import math

from dotwin.inference.nuts.parts import PriorCode
from dotwin.spec.prior import Prior

__all__ = ["is_positive", "prior_code", "prior_constant", "prior_middle", "prior_spread"]

_HALF_LOG_TWO_PI = 0.5 * math.log(2.0 * math.pi)
#: The median of a half-normal is 0.67 of its sd.
_HALF_NORMAL_MEDIAN = 0.6744897501960817


def prior_code(prior: Prior) -> PriorCode:
    """Return the kernels' code of a prior."""
    return PriorCode[prior.distribution.upper()]


def is_positive(code: PriorCode) -> bool:
    """Whether the prior is on positive numbers, which are sampled as their logs."""
    return PriorCode.HALF_NORMAL <= code <= PriorCode.LOGNORMAL


def prior_constant(prior: Prior) -> float:
    """Return the part of a prior's log density, Jacobian included, that no value enters."""
    a = prior.arguments
    match prior_code(prior):
        case PriorCode.NORMAL | PriorCode.LOGNORMAL:
            return -math.log(a[1]) - _HALF_LOG_TWO_PI
        case PriorCode.STUDENT_T:
            return _student_constant(a[0], a[2])
        case PriorCode.HALF_NORMAL:
            return math.log(2.0) - _HALF_LOG_TWO_PI - math.log(a[0])
        case PriorCode.HALF_STUDENT_T:
            return math.log(2.0) + _student_constant(a[0], a[1])
        case PriorCode.EXPONENTIAL:
            return math.log(a[0])
        case PriorCode.GAMMA:
            return a[0] * math.log(a[1]) - math.lgamma(a[0])
        case PriorCode.BETA:
            return math.lgamma(a[0] + a[1]) - math.lgamma(a[0]) - math.lgamma(a[1])
        case _:
            return 0.0


def _student_constant(nu: float, scale: float) -> float:
    gammas = math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu)
    return gammas - 0.5 * math.log(nu * math.pi) - math.log(scale)


def prior_middle(prior: Prior) -> float:
    """Return a middling value of a prior on the scale that is sampled."""
    a = prior.arguments
    match prior_code(prior):
        case PriorCode.NORMAL | PriorCode.LOGNORMAL:
            return a[0]
        case PriorCode.STUDENT_T:
            return a[1]
        case PriorCode.HALF_NORMAL:
            return math.log(_HALF_NORMAL_MEDIAN * a[0])
        case PriorCode.HALF_STUDENT_T:
            return math.log(_HALF_NORMAL_MEDIAN * a[1])
        case PriorCode.EXPONENTIAL:
            return math.log(math.log(2.0) / a[0])
        case PriorCode.GAMMA:
            return math.log(a[0] / a[1])
        case PriorCode.BETA:
            return math.log(a[0] / a[1])
        case _:
            return 0.0


def prior_spread(prior: Prior) -> float:
    """Return how wide a prior is on the scale that is sampled."""
    a = prior.arguments
    match prior_code(prior):
        case PriorCode.NORMAL | PriorCode.LOGNORMAL:
            return a[1]
        case PriorCode.STUDENT_T:
            return a[2]
        case _:
            return 1.0
