"""Parameters as stretches of the unconstrained vector: their priors, values and starting points."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.nuts.constants import is_positive, prior_code, prior_middle, prior_spread
from dotwin.inference.nuts.parts import PriorCode
from dotwin.mechanisms.design import Design
from dotwin.mechanisms.parameters import Parameter
from dotwin.spec.prior import Prior

__all__ = ["JITTER", "element_priors", "single_values", "size_of", "starting_point"]

Floats = NDArray[np.float64]

#: How far chains start from the middle, in sds of the prior.
JITTER = 0.1


def size_of(one: Parameter) -> int:
    """Return how many unconstrained elements a parameter has."""
    size = int(np.prod(one.shape, dtype=int))
    return size - 1 if one.kind == "walk" else size


def element_priors(one: Parameter) -> tuple[Prior, ...]:
    """Return the prior of each element."""
    return one.priors if len(one.priors) == size_of(one) else one.priors * size_of(one)


def single_values(one: Parameter, raw: Floats) -> Floats:
    """Undo the transforms of single elements."""
    values = np.array(raw, dtype=float)
    for j, prior in enumerate(element_priors(one)):
        code = prior_code(prior)
        if is_positive(code):
            values[..., j] = np.exp(raw[..., j])
        elif code in (PriorCode.BETA, PriorCode.UNIFORM):
            share = 1.0 / (1.0 + np.exp(-raw[..., j]))
            low, high = prior.arguments if code == PriorCode.UNIFORM else (0.0, 1.0)
            values[..., j] = low + (high - low) * share
    return values


def starting_point(
    design: Design, listed: Sequence[Parameter], places: Mapping[str, slice]
) -> tuple[Floats, Floats]:
    """Choose where chains start: at the priors' middles, but constants where the data are."""
    size = max((place.stop for place in places.values()), default=0)
    middle, spread = np.zeros(size), np.full(size, JITTER)
    for one in listed:
        place = places[one.name]
        if one.kind in ("free", "dispersion"):
            priors = element_priors(one)
            middle[place] = [prior_middle(prior) for prior in priors]
            spread[place] = [JITTER * prior_spread(prior) for prior in priors]
        elif one.kind == "effects":
            sd = middle[places[one.sd]]
            groups = one.shape[-1]
            scale = np.exp(np.minimum(sd, 0.0))
            spread[place] = JITTER * np.repeat(scale, groups)
    y = design.y / (design.equation.indicator.out_of or 1.0)
    for arrays in design.predictors:
        prefix, role = arrays.predictor.prefix, arrays.predictor.role
        if f"{prefix}.intercept" in places:
            at = places[f"{prefix}.intercept"].start
            if role == "mean":
                middle[at] = design.reference.child[0]
            else:
                share = (float((y == (1.0 if role == "end1" else 0.0)).sum()) + 0.5) / (y.size + 1)
                middle[at] = math.log(share / (1.0 - share))
    cutpoints = f"{design.child}.cutpoints"
    if cutpoints in places:
        place = places[cutpoints]
        count = place.stop - place.start
        below = np.array([(y <= k).sum() for k in range(count)]) + 0.5 * np.arange(1, count + 1)
        share = below / (y.size + 0.5 * (count + 1))
        cuts = np.log(share / (1.0 - share))
        middle[place] = np.concatenate([cuts[:1], np.log(np.diff(cuts))])
    return middle, spread
