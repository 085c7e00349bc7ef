"""The log density of one mechanism and its gradient, compiled: one pass over its rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts import likelihood as rows
from dotwin.inference.nuts.parts import (
    EffectParts,
    FamilyCode,
    FreeParts,
    Natural,
    Parts,
    PredictorParts,
    PriorCode,
    ResponseParts,
    Zeros,
)
from dotwin.inference.nuts.special import dot, exp, total, unit_sums
from dotwin.inference.nuts.truncation import inflate, truncate_counts, truncate_normal

__all__ = ["log_density"]

Floats = NDArray[np.float64]

_NORMAL, _STUDENT_T = int(PriorCode.NORMAL), int(PriorCode.STUDENT_T)
_HALF_NORMAL, _HALF_STUDENT_T = int(PriorCode.HALF_NORMAL), int(PriorCode.HALF_STUDENT_T)
_EXPONENTIAL, _GAMMA = int(PriorCode.EXPONENTIAL), int(PriorCode.GAMMA)
_LOGNORMAL, _BETA, _UNIFORM = int(PriorCode.LOGNORMAL), int(PriorCode.BETA), int(PriorCode.UNIFORM)
_INVERSE_SQUARE, _TWO_MORE = int(Natural.INVERSE_SQUARE), int(Natural.TWO_MORE)
_F_NORMAL, _F_NORMAL_LOG = int(FamilyCode.NORMAL), int(FamilyCode.NORMAL_LOG_LINK)
_F_STUDENT_T, _F_GAMMA, _F_BETA = (
    int(FamilyCode.STUDENT_T),
    int(FamilyCode.GAMMA),
    int(FamilyCode.BETA),
)
_F_BINOMIAL, _F_BETA_BINOMIAL = int(FamilyCode.BINOMIAL), int(FamilyCode.BETA_BINOMIAL)
_F_POISSON, _F_NEGATIVE_BINOMIAL = int(FamilyCode.POISSON), int(FamilyCode.NEGATIVE_BINOMIAL)
_HURDLE, _INFLATED = int(Zeros.HURDLE), int(Zeros.INFLATED)

# Explicit lanes for loops that only add and multiply.
_LANES = {"contract", "nsz"}


@njit(error_model="numpy")  # type: ignore[untyped-decorator] # numba publishes no types
def _elements(
    point: Floats, free: FreeParts, values: Floats, jacobian: Floats, gradient: Floats
) -> float:
    """Fill in the elements' values, their slopes, and the gradient of their priors."""
    result = 0.0
    for j in range(values.size):
        x, code = point[j], free.code[j]
        a, b, c = free.arguments[0, j], free.arguments[1, j], free.arguments[2, j]
        if code == _NORMAL:
            z = (x - a) / b
            values[j], jacobian[j] = x, 1.0
            result -= 0.5 * z * z
            gradient[j] = -z / b
        elif code == _STUDENT_T:
            z = (x - b) / c
            values[j], jacobian[j] = x, 1.0
            result -= 0.5 * (a + 1.0) * math.log1p(z * z / a)
            gradient[j] = -(a + 1.0) * z / ((a + z * z) * c)
        elif code == _BETA or code == _UNIFORM:
            up, down = 1.0 / (1.0 + math.exp(-x)), 1.0 / (1.0 + math.exp(x))
            log_up = -max(-x, 0.0) - math.log1p(math.exp(-abs(x)))
            log_down = -max(x, 0.0) - math.log1p(math.exp(-abs(x)))
            if code == _BETA:
                values[j], jacobian[j] = up, up * down
                result += a * log_up + b * log_down
                gradient[j] = a * down - b * up
            else:
                values[j], jacobian[j] = a + (b - a) * up, (b - a) * up * down
                result += log_up + log_down
                gradient[j] = down - up
        elif code <= _LOGNORMAL:
            v = math.exp(x)
            values[j], jacobian[j] = v, v
            if code == _HALF_NORMAL:
                z = v / a
                result += x - 0.5 * z * z
                gradient[j] = 1.0 - z * z
            elif code == _HALF_STUDENT_T:
                z = v / b
                result += x - 0.5 * (a + 1.0) * math.log1p(z * z / a)
                gradient[j] = 1.0 - (a + 1.0) * z * z / (a + z * z)
            elif code == _EXPONENTIAL:
                result += x - a * v
                gradient[j] = 1.0 - a * v
            elif code == _GAMMA:
                result += a * x - b * v
                gradient[j] = a - b * v
            else:
                z = (x - a) / b
                result -= 0.5 * z * z
                gradient[j] = -z / b
    return result


@njit(error_model="numpy")  # type: ignore[untyped-decorator] # numba publishes no types
def _cutpoints(point: Floats, free: FreeParts, values: Floats, by_value: Floats) -> float:
    """Fill in ordered cutpoints with their normal prior; its slope goes to ``by_value``."""
    result = 0.0
    first = free.first_cutpoint
    for j in range(first, first + free.cutpoints):
        if j == first:
            values[j] = point[j]
        else:
            values[j] = values[j - 1] + math.exp(point[j])
            result += point[j]
        z = (values[j] - free.arguments[0, j]) / free.arguments[1, j]
        result -= 0.5 * z * z
        by_value[j] -= z / free.arguments[1, j]
    return result


@njit(error_model="numpy")  # type: ignore[untyped-decorator] # numba publishes no types
def _cutpoints_back(point: Floats, free: FreeParts, by_value: Floats, gradient: Floats) -> None:
    above = 0.0
    first = free.first_cutpoint
    for j in range(first + free.cutpoints - 1, first - 1, -1):
        above += by_value[j]
        gradient[j] = above if j == first else 1.0 + above * math.exp(point[j])


@njit(fastmath=_LANES, error_model="numpy")  # type: ignore[untyped-decorator] # no types
def _effects(
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


@njit(fastmath={"contract", "nsz", "reassoc"}, error_model="numpy")  # type: ignore[untyped-decorator] # no types
def _effects_back(
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


@njit(fastmath=_LANES, error_model="numpy")  # type: ignore[untyped-decorator] # no types
def _predict(part: PredictorParts, values: Floats, effects: Floats, eta: Floats) -> None:
    """Fill in the linear predictor of every row."""
    units = part.starts.size - 1
    base = np.zeros(units)
    if part.intercept >= 0:
        base[:] = values[part.intercept]
    for k in range(part.unit_terms.size):
        coefficient = values[part.unit_terms[k]]
        column = part.unit_columns[k]
        for u in range(units):
            base[u] += coefficient * column[u]
    for level in range(part.effects.shape[0]):
        index = part.effects[level]
        for u in range(units):
            base[u] += effects[index[u]]
    for u in range(units):
        for i in range(part.starts[u], part.starts[u + 1]):
            eta[i] = base[u]
    if part.offset.size:
        for i in range(eta.size):
            eta[i] += part.offset[i]
    for k in range(part.row_terms.size):
        coefficient = values[part.row_terms[k]]
        column = part.row_columns[k]
        for i in range(eta.size):
            eta[i] += coefficient * column[i]
    for s in range(part.slope_rows.size):
        column = part.row_columns[part.slope_rows[s]]
        index = part.slope_effects[s]
        for u in range(units):
            coefficient = effects[index[u]]
            for i in range(part.starts[u], part.starts[u + 1]):
                eta[i] += coefficient * column[i]
    if part.shock >= 0:
        for i in range(eta.size):
            eta[i] += effects[part.shock + part.period[i]]
    if part.walk >= 0:
        for i in range(eta.size):
            eta[i] += effects[part.walk + part.period[i]]


@njit(fastmath=_LANES, error_model="numpy")  # type: ignore[untyped-decorator] # no types
def _predict_back(part: PredictorParts, slope: Floats, by_value: Floats, by_effect: Floats) -> None:
    """Carry the rows' slopes back to coefficients and effects."""
    units = part.starts.size - 1
    by_unit = np.empty(units)
    unit_sums(slope, part.starts, by_unit)
    if part.intercept >= 0:
        by_value[part.intercept] += total(by_unit)
    for k in range(part.unit_terms.size):
        by_value[part.unit_terms[k]] += dot(by_unit, part.unit_columns[k])
    for level in range(part.effects.shape[0]):
        index = part.effects[level]
        for u in range(units):
            by_effect[index[u]] += by_unit[u]
    for k in range(part.row_terms.size):
        by_value[part.row_terms[k]] += dot(slope, part.row_columns[k])
    for s in range(part.slope_rows.size):
        column = part.row_columns[part.slope_rows[s]]
        index = part.slope_effects[s]
        for u in range(units):
            first, last = part.starts[u], part.starts[u + 1]
            by_effect[index[u]] += dot(slope[first:last], column[first:last])
    if part.shock >= 0:
        for i in range(slope.size):
            by_effect[part.shock + part.period[i]] += slope[i]
    if part.walk >= 0:
        for i in range(slope.size):
            by_effect[part.walk + part.period[i]] += slope[i]


@njit(error_model="numpy")  # type: ignore[untyped-decorator] # numba publishes no types
def _natural(part: ResponseParts, which: int, values: Floats) -> tuple[float, float]:
    """Return a family's parameter and its derivative in the quantity that has the prior."""
    if part.dispersion[which] < 0:
        return 1.0, 0.0
    v = values[part.dispersion[which]]
    if part.natural[which] == _INVERSE_SQUARE:
        return 1.0 / (v * v), -2.0 / (v * v * v)
    if part.natural[which] == _TWO_MORE:
        return 2.0 + v, 1.0
    return v, 1.0


@njit(error_model="numpy")  # type: ignore[untyped-decorator] # numba publishes no types
def _respond(
    part: ResponseParts,
    eta: Floats,
    zeros_eta: Floats,
    values: Floats,
    first_cutpoint: int,
    cutpoints: int,
    slope: Floats,
    zeros_slope: Floats,
    by_value: Floats,
) -> float:
    """Return the log density of all rows; fill in slopes."""
    family = part.family
    d, d_slope = _natural(part, 0, values)
    by_d, by_nu = 0.0, 0.0
    if family == _F_NEGATIVE_BINOMIAL:
        result, by_d = rows.negative_binomial_rows(eta, part.y, part.distinct, part.times, d, slope)
    elif family == _F_POISSON:
        result = rows.poisson_rows(eta, part.y, slope)
    elif family == _F_BINOMIAL:
        result = rows.binomial_rows(eta, part.y, part.trials, slope)
    elif family == _F_BETA_BINOMIAL:
        result, by_d = rows.beta_binomial_rows(
            eta, part.y, part.trials, part.distinct, part.times, d, slope
        )
    elif family == _F_NORMAL or family == _F_NORMAL_LOG:
        result, by_d = rows.normal_rows(eta, part.y, d, family == _F_NORMAL_LOG, slope)
    elif family == _F_STUDENT_T:
        nu, nu_slope = _natural(part, 1, values)
        result, by_d, by_nu = rows.student_t_rows(eta, part.y, d, nu, slope)
        by_value[part.dispersion[1]] += by_nu * nu_slope
    elif family == _F_GAMMA:
        result, by_d = rows.gamma_rows(eta, part.y, part.log_y, d, slope)
    elif family == _F_BETA:
        result, by_d = rows.beta_rows(eta, part.log_y, part.log_rest, d, slope)
    else:
        last = first_cutpoint + cutpoints
        result = rows.ordinal_rows(
            eta, part.y, values[first_cutpoint:last], slope, by_value[first_cutpoint:last]
        )
    if part.lower.size:
        if family == _F_NORMAL or family == _F_NORMAL_LOG:
            more, by_more = truncate_normal(eta, part.lower, d, family == _F_NORMAL_LOG, slope)
        else:
            more, by_more = truncate_counts(family, eta, part.lower, part.trials, d, slope)
        result += more
        by_d += by_more
    if part.zeros == _INFLATED:
        more, by_more = inflate(
            family, eta, zeros_eta, part.at_zero, part.trials, d, slope, zeros_slope
        )
        result += more
        by_d += by_more
    elif part.zeros == _HURDLE:
        result += rows.binomial_rows(zeros_eta, part.at_zero, np.empty(0), zeros_slope)
    if part.dispersion[0] >= 0:
        by_value[part.dispersion[0]] += by_d * d_slope
    return result


@njit(error_model="numpy")  # type: ignore[untyped-decorator] # numba publishes no types
def _ends(part: ResponseParts, values: Floats, by_value: Floats) -> float:
    """Log probability of how many outcomes lie at the ends; their predictors are constants."""
    weights = np.zeros(2)
    rest = 1.0
    for k in range(2):
        if part.ends[k] >= 0:
            weights[k] = math.exp(values[part.ends[k]])
            rest += weights[k]
    n = part.end_counts[0] + part.end_counts[1] + part.end_counts[2]
    result = -n * math.log(rest)
    for k in range(2):
        if part.ends[k] >= 0:
            result += part.end_counts[k] * values[part.ends[k]]
            by_value[part.ends[k]] += part.end_counts[k] - n * weights[k] / rest
    return result


def build_log_density(version: int) -> Any:
    """Compile the log density.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does. It is part of the key under
        which the compiled code is kept on disk, which by itself watches this file only.
    """

    @njit(cache=True, nogil=True, error_model="numpy")  # type: ignore[untyped-decorator] # no types
    def log_density(point: Floats, parts: Parts, gradient: Floats) -> float:
        """Return the log density at an unconstrained point, and fill in its gradient."""
        free = parts.free
        elements = free.code.size
        values = np.empty(elements)
        jacobian = np.ones(elements)
        by_value = np.zeros(elements)
        result = parts.constant + 0.0 * version
        result += _elements(point, free, values, jacobian, gradient)
        if free.cutpoints:
            result += _cutpoints(point, free, values, by_value)
        raw = point[elements:]
        weights = parts.effects.weight
        paths = parts.effects.walk_size.size
        effects = np.empty(raw.size + paths)
        by_effect = np.zeros(raw.size + paths)
        scales = np.empty(weights.size)
        _effects(raw, parts.effects, values, effects, scales)

        rows_main = parts.main.starts[-1]
        rows_second = parts.second.starts[-1]
        eta, slope = np.empty(rows_main), np.empty(rows_main)
        zeros_eta, zeros_slope = np.empty(rows_second), np.empty(rows_second)
        _predict(parts.main, values, effects, eta)
        if rows_second:
            _predict(parts.second, values, effects, zeros_eta)
        result += _respond(
            parts.response,
            eta,
            zeros_eta,
            values,
            free.first_cutpoint,
            free.cutpoints,
            slope,
            zeros_slope,
            by_value,
        )
        if parts.response.ends[0] >= 0 or parts.response.ends[1] >= 0:
            result += _ends(parts.response, values, by_value)
        _predict_back(parts.main, slope, by_value, by_effect)
        if rows_second:
            _predict_back(parts.second, zeros_slope, by_value, by_effect)

        result += _effects_back(
            raw,
            parts.effects,
            values,
            effects,
            scales,
            by_effect,
            by_value,
            gradient[elements:],
        )
        for j in range(elements - free.cutpoints):
            gradient[j] += by_value[j] * jacobian[j]
        if free.cutpoints:
            _cutpoints_back(point, free, by_value, gradient)
        return result

    return log_density
