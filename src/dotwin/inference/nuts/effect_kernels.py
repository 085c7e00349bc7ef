"""Group effects, period shocks and walks: their values, prior and gradient, compiled."""

from __future__ import annotations

import math

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts.parts import EffectParts
from dotwin.inference.nuts.special import dot, exp

__all__ = ["fill_effects", "return_effects"]

Floats = NDArray[np.float64]


@njit(fastmath={"contract", "nsz"}, error_model="numpy")
def fill_effects(
    raw: Floats,
    parts: EffectParts,
    values: Floats,
    effects: Floats,
    scales: Floats,
) -> None:
    """Turn raw effects into effects; keep sd**(1 - weight), which the gradient needs again."""
    for s in range(parts.sd.size):
        sd = values[parts.sd[s]]
        log_sd = math.log(sd)
        # Stretches, because a loop over indices that might be negative does not vectorise.
        span = slice(parts.start[s], parts.start[s] + parts.size[s])
        effect, scale, pull = effects[span], scales[span], parts.pull[span]
        weight, centre, own = parts.weight[span], parts.centre[span], raw[span]
        intercept = values[parts.intercept[s]] if parts.intercept[s] >= 0 else 0.0
        for j in range(effect.size):
            scale[j] = sd * exp(-weight[j] * log_sd)
            effect[j] = own[j] * scale[j] - pull[j] * (intercept - centre[j])
        for k in range(parts.terms[s]):
            coefficient = values[parts.first_term[s] + k]
            means = parts.means[k][span]
            for j in range(effect.size):
                effect[j] -= pull[j] * coefficient * means[j]
        for level in range(parts.parents.shape[0]):
            parents = parts.parents[level][span]
            if parents[0] >= 0:
                for j in range(effect.size):
                    effect[j] -= pull[j] * effects[parents[j]]
    at, to = parts.weight.size, parts.weight.size
    for w in range(parts.walk_sd.size):
        sd, path = values[parts.walk_sd[w]], 0.0
        effects[to] = 0.0
        for j in range(parts.walk_size[w]):
            path += sd * raw[at + j]
            effects[to + 1 + j] = path
        at += parts.walk_size[w]
        to += parts.walk_size[w] + 1


@njit(fastmath={"contract", "nsz", "reassoc"}, error_model="numpy")
def return_effects(
    raw: Floats,
    parts: EffectParts,
    values: Floats,
    effects: Floats,
    scales: Floats,
    by_effect: Floats,
    by_value: Floats,
    gradient: Floats,
) -> float:
    """Add the effects' prior and carry the gradient on to raw effects, sds and what is shared."""
    result = 0.0
    # Inner groups first: they hand a part of their gradient to the groups that hold them.
    for s in range(parts.sd.size - 1, -1, -1):
        sd = values[parts.sd[s]]
        span = slice(parts.start[s], parts.start[s] + parts.size[s])
        effect, scale, pull = effects[span], scales[span], parts.pull[span]
        weight, own, by_own, by = parts.weight[span], raw[span], gradient[span], by_effect[span]
        by_log_sd, squares, weights, by_shared = 0.0, 0.0, 0.0, 0.0
        for j in range(effect.size):
            z = effect[j] / sd
            slope = by[j] - z / sd
            squares += z * z
            weights += weight[j]
            by_own[j] = slope * scale[j]
            by_log_sd += (1.0 - weight[j]) * by_own[j] * own[j] + z * z - weight[j]
            by[j] = pull[j] * slope
            by_shared += by[j]
        result -= 0.5 * squares + weights * math.log(sd)
        by_value[parts.sd[s]] += by_log_sd / sd
        if parts.intercept[s] >= 0:
            by_value[parts.intercept[s]] -= by_shared
        for k in range(parts.terms[s]):
            by_value[parts.first_term[s] + k] -= dot(by, parts.means[k][span])
        for level in range(parts.parents.shape[0]):
            parents = parts.parents[level][span]
            if parents[0] >= 0:
                for j in range(effect.size):
                    by_effect[parents[j]] -= by[j]
    at, to = parts.weight.size, parts.weight.size
    for w in range(parts.walk_sd.size):
        sd, above, by_sd = values[parts.walk_sd[w]], 0.0, 0.0
        for j in range(parts.walk_size[w] - 1, -1, -1):
            above += by_effect[to + 1 + j]
            step = raw[at + j]
            by_sd += above * step
            gradient[at + j] = above * sd - step
            result -= 0.5 * step * step
        by_value[parts.walk_sd[w]] += by_sd
        at += parts.walk_size[w]
        to += parts.walk_size[w] + 1
    return result
