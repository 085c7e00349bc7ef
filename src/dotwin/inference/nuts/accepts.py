"""Which mechanisms the compiled log density knows."""

from __future__ import annotations

import numpy as np

from dotwin.inference.nuts.constants import is_positive, prior_code
from dotwin.inference.nuts.parts import PriorCode
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.parameters import Parameter, parameters

__all__ = ["is_known"]

_TRUNCATED = (
    "normal",
    "student_t",
    "lognormal",
    "poisson",
    "negative_binomial",
    "binomial",
    "beta_binomial",
)


def is_known(design: Design) -> bool:
    """Whether the compiled log density covers a mechanism.

    Parameters
    ----------
    design : Design
    """
    eq = design.equation
    if design.lower is not None:
        if eq.indicator.family not in _TRUNCATED:
            return False
        held = design.y != 0 if eq.indicator.zeros is not None else np.ones(design.rows, dtype=bool)
        if (design.y < design.lower)[held].any():
            return False
    listed = parameters(eq, design.reference, design.group_names, design.period_names)
    sds = {one.sd for one in listed}
    return all(_prior_is_known(one, is_sd=one.name in sds) for one in listed)


def _prior_is_known(one: Parameter, *, is_sd: bool) -> bool:
    codes = {prior_code(prior) for prior in one.priors}
    if one.kind == "cutpoints":
        return codes == {PriorCode.NORMAL}
    if not (is_sd or one.kind == "dispersion"):
        return True
    inside = {PriorCode.BETA, PriorCode.UNIFORM}
    return all(is_positive(code) or code in inside for code in codes) and not any(
        prior.distribution == "uniform" and prior.arguments[0] < 0 for prior in one.priors
    )
