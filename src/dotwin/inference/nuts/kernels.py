"""The log density of one mechanism and its gradient, compiled: one pass over its rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from dotwin.inference.nuts import likelihood as rows
from dotwin.inference.nuts.effect_kernels import fill_effects, return_effects
from dotwin.inference.nuts.parts import (
    FamilyCode,
    Natural,
    Parts,
    ResponseParts,
    Zeros,
)
from dotwin.inference.nuts.predictor_kernels import predict, return_predictor
from dotwin.inference.nuts.prior_kernels import fill_cutpoints, fill_elements, return_cutpoints
from dotwin.inference.nuts.truncation import (
    inflate,
    truncate_counts,
    truncate_normal,
    truncate_student_t,
)

__all__ = ["build_log_density", "build_row_density", "log_density", "log_density_by_row"]

Floats = NDArray[np.float64]

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


@njit(error_model="numpy")
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


@njit(error_model="numpy")
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
    by_d = 0.0
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
    elif family in (_F_NORMAL, _F_NORMAL_LOG):
        result, by_d = rows.normal_rows(eta, part.y, d, family == _F_NORMAL_LOG, slope)
    elif family == _F_STUDENT_T:
        nu, nu_slope = _natural(part, 1, values)
        result, by_d, by_nu = rows.student_t_rows(eta, part.y, d, nu, slope)
        if part.lower.size:
            more, by_more, more_nu = truncate_student_t(eta, part.lower, d, nu, slope)
            result, by_d, by_nu = result + more, by_d + by_more, by_nu + more_nu
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
    if part.lower.size and family != _F_STUDENT_T:
        if family in (_F_NORMAL, _F_NORMAL_LOG):
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


@njit(error_model="numpy")
def _ends(part: ResponseParts, values: Floats, by_value: Floats) -> float:
    """Log probability of how many outcomes lie at the ends; their predictors are constants."""
    weights = np.zeros(2)
    rest = 1.0
    for k in range(2):
        if part.ends[k] >= 0:
            weights[k] = math.exp(values[part.ends[k]])
            rest += weights[k]
    n = part.end_counts[0] + part.end_counts[1] + part.end_counts[2]
    result: float = -n * math.log(rest)
    for k in range(2):
        if part.ends[k] >= 0:
            result += part.end_counts[k] * values[part.ends[k]]
            by_value[part.ends[k]] += part.end_counts[k] - n * weights[k] / rest
    return result


@njit(nogil=True, error_model="numpy")
def rows_by_predictor(
    values: Floats,
    effects: Floats,
    parts: Parts,
    eta: Floats,
    slope: Floats,
    zeros_eta: Floats,
    zeros_slope: Floats,
    by_value: Floats,
    by_effect: Floats,
) -> float:
    """Return the log density of all rows, and add its gradient in single elements and effects."""
    predict(parts.main, values, effects, eta)
    if zeros_eta.size:
        predict(parts.second, values, effects, zeros_eta)
    result = _respond(
        parts.response,
        eta,
        zeros_eta,
        values,
        parts.free.first_cutpoint,
        parts.free.cutpoints,
        slope,
        zeros_slope,
        by_value,
    )
    if parts.response.ends[0] >= 0 or parts.response.ends[1] >= 0:
        result += _ends(parts.response, values, by_value)
    return_predictor(parts.main, slope, by_value, by_effect)
    if zeros_eta.size:
        return_predictor(parts.second, zeros_slope, by_value, by_effect)
    return result


@njit(nogil=True, error_model="numpy")
def log_density_by_row(
    point: Floats,
    parts: Parts,
    gradient: Floats,
    values: Floats,
    effects: Floats,
    eta: Floats,
    slope: Floats,
    zeros_eta: Floats,
    zeros_slope: Floats,
) -> float:
    """Return the log density at an unconstrained point, and fill in its gradient.

    Single elements, effects, the linear predictors of all rows and the slopes in them are filled
    in too.
    """
    free = parts.free
    elements = free.code.size
    jacobian = np.ones(elements)
    by_value = np.zeros(elements)
    result = parts.constant
    result += fill_elements(point, free, values, jacobian, gradient)
    if free.cutpoints:
        result += fill_cutpoints(point, free, values, by_value)
    raw = point[elements:]
    by_effect = np.zeros(effects.size)
    scales = np.empty(parts.effects.weight.size)
    fill_effects(raw, parts.effects, values, effects, scales)

    result += rows_by_predictor(
        values, effects, parts, eta, slope, zeros_eta, zeros_slope, by_value, by_effect
    )
    result += return_effects(
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
        return_cutpoints(point, free, by_value, gradient)
    return result


@njit(nogil=True, error_model="numpy")
def log_density(point: Floats, parts: Parts, gradient: Floats) -> float:
    """Return the log density at an unconstrained point, and fill in its gradient."""
    elements = parts.free.code.size
    rows, zeros_rows = parts.main.starts[-1], parts.second.starts[-1]
    return log_density_by_row(
        point,
        parts,
        gradient,
        np.empty(elements),
        np.empty(point.size - elements + parts.effects.walk_size.size),
        np.empty(rows),
        np.empty(rows),
        np.empty(zeros_rows),
        np.empty(zeros_rows),
    )


def build_log_density(version: int) -> Any:
    """Compile the log density.

    Parameters
    ----------
    version : int
        A number that changes whenever any module of the kernels does. It is part of the key under
        which the compiled code is kept on disk, which by itself watches this file only.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def versioned(point: Floats, parts: Parts, gradient: Floats) -> float:
        """Return the log density at an unconstrained point, and fill in its gradient."""
        return log_density(point, parts, gradient) + 0.0 * version

    return versioned


def build_row_density(version: int) -> Any:
    """Compile the log density of the rows alone, in the parameters themselves.

    Parameters
    ----------
    version : int
        As for `build_log_density`.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def row_density(
        values: Floats, effects: Floats, parts: Parts, by_value: Floats, by_effect: Floats
    ) -> float:
        """Return the log density, up to a constant, and fill in its gradient."""
        rows, zeros_rows = parts.main.starts[-1], parts.second.starts[-1]
        by_value[:] = 0.0 * version
        by_effect[:] = 0.0
        return rows_by_predictor(
            values,
            effects,
            parts,
            np.empty(rows),
            np.empty(rows),
            np.empty(zeros_rows),
            np.empty(zeros_rows),
            by_value,
            by_effect,
        )

    return row_density
