"""Compiled quantiles of continuous families and of categories.

Each ``build_...`` compiles one kernel, cached on disk under the version of all kernel sources.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from dotwin.mechanisms.kernels.elementary import (
    SMALLEST,
    exp,
    far_normal_score,
    fma,
    logit_of_tail,
    normal_score,
)
from dotwin.mechanisms.kernels.lanes import load
from dotwin.mechanisms.kernels.tables import (
    EDGE,
    barycentric,
    fill_gamma_table,
    fill_student_table,
    gamma_score_log,
    interpolated,
    student_score,
)
from dotwin.mechanisms.kernels.walks import TILE, tile

__all__ = [
    "build_bernoulli",
    "build_gamma",
    "build_gamma_tables",
    "build_lognormal",
    "build_normal",
    "build_ordinal",
    "build_student_t",
    "build_student_t_tables",
    "build_tables_between",
]

_FAR = 1.4e-11  # the normal score of a smaller tail has its own formula
_LARGEST = float(np.finfo(float).max)


@njit(error_model="numpy", forceinline=True)
def _scores(v: Any, count: int, into: Any) -> None:
    """Fill in normal scores at signed tail noise."""
    for i in range(count):
        into[i] = normal_score(v[i])
    far = 0
    for i in range(count):
        far += 1 if math.fabs(v[i]) < _FAR else 0
    if far > 0:
        for i in range(count):
            if math.fabs(v[i]) < _FAR:
                into[i] = far_normal_score(v[i])


@njit(error_model="numpy", forceinline=True)
def _beyond(z: Any, count: int) -> int:
    """Count the scores that a table does not reach: a loop that solves for them is slow to pass."""
    beyond = 0
    for i in range(count):
        beyond += 1 if math.fabs(z[i]) > EDGE else 0
    return beyond


@njit(error_model="numpy", forceinline=True)
def _positive(y: float) -> float:
    """Hold a positive value within the range of doubles; NaN stays."""
    y = SMALLEST if y < SMALLEST else y
    return _LARGEST if y > _LARGEST else y


def build_normal(version: int) -> Any:
    """Compile the quantile of a normal value, whose mean is eta or exp(eta)."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_normal(v: Any, eta: Any, sd: Any, logarithmic: bool, out: Any) -> None:
        assert version >= 0
        raw = tile(4)
        for row in range(out.shape[0]):
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(eta, row, first, count, raw[1])
                load(sd, row, first, count, raw[2])
                _scores(raw[0], count, raw[3])
                if logarithmic:
                    for i in range(count):
                        raw[1, i] = exp(raw[1, i])
                for i in range(count):
                    target[i] = raw[1, i] + raw[2, i] * raw[3, i]

    return fill_normal


def build_lognormal(version: int) -> Any:
    """Compile the quantile of a lognormal value with median exp(eta)."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_lognormal(v: Any, eta: Any, sd: Any, out: Any) -> None:
        assert version >= 0
        raw = tile(4)
        for row in range(out.shape[0]):
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(eta, row, first, count, raw[1])
                load(sd, row, first, count, raw[2])
                _scores(raw[0], count, raw[3])
                for i in range(count):
                    target[i] = _positive(exp(raw[1, i] + raw[2, i] * raw[3, i]))

    return fill_lognormal


def build_student_t(version: int) -> Any:
    """Compile the quantile of Student's t around eta.

    The kernel takes a table of scores per row, see `fill_student_table`; with a table of no width
    every score is solved for.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_student_t(v: Any, eta: Any, sd: Any, nu: Any, tables: Any, out: Any) -> None:
        assert version >= 0
        raw = tile(6)
        for row in range(out.shape[0]):
            table = tables[row if tables.shape[0] > 1 else 0]
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(eta, row, first, count, raw[1])
                load(sd, row, first, count, raw[2])
                load(nu, row, first, count, raw[3])
                if table.size == 0:
                    for i in range(count):
                        raw[5, i] = student_score(raw[0, i], raw[3, i])
                else:
                    _scores(raw[0], count, raw[4])
                    for i in range(count):
                        z = raw[4, i]
                        raw[5, i] = z * exp(interpolated(table, math.fabs(z)))
                    if _beyond(raw[4], count) > 0:
                        for i in range(count):
                            if math.fabs(raw[4, i]) > EDGE:
                                raw[5, i] = student_score(raw[0, i], raw[3, i])
                for i in range(count):
                    target[i] = raw[1, i] + raw[2, i] * raw[5, i]

    return fill_student_t


def build_student_t_tables(version: int) -> Any:
    """Compile the tables of Student t scores, a row per number of degrees of freedom."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_student_t_tables(nu: Any, out: Any) -> None:
        assert version >= 0
        for row in range(out.shape[0]):
            fill_student_table(nu[row], out[row])

    return fill_student_t_tables


def build_gamma_tables(version: int) -> Any:
    """Compile the tables of gamma scores, a row per shape."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_gamma_tables(shape: Any, out: Any) -> None:
        assert version >= 0
        for row in range(out.shape[0]):
            fill_gamma_table(shape[row], out[row])

    return fill_gamma_tables


def build_tables_between(version: int) -> Any:
    """Compile the tables at places between 1 and 2, from those at Chebyshev's points of log2."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_tables_between(place: Any, rows: Any, points: Any, solved: Any, out: Any) -> None:
        assert version >= 0
        weights = np.empty(points.size)
        for i in range(place.size):
            barycentric(2.0 * math.log2(place[i]) - 1.0, points, weights)
            row = out[rows[i]]
            for k in range(row.size):
                row[k] = weights[0] * solved[0, k]
            for j in range(1, points.size):
                for k in range(row.size):
                    row[k] = fma(weights[j], solved[j, k], row[k])

    return fill_tables_between


def build_gamma(version: int) -> Any:
    """Compile the quantile of a gamma value with mean exp(eta).

    The kernel takes a table of scores per row, see `fill_gamma_table`; with a table of no width,
    or of NaN, every score is solved for.
    """

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_gamma(v: Any, eta: Any, shape: Any, tables: Any, out: Any) -> None:
        assert version >= 0
        raw = tile(5)
        for row in range(out.shape[0]):
            table = tables[row if tables.shape[0] > 1 else 0]
            tabled = table.size > 0 and table[0] == table[0]
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(eta, row, first, count, raw[1])
                load(shape, row, first, count, raw[2])
                if tabled:
                    _scores(raw[0], count, raw[3])
                    for i in range(count):
                        raw[4, i] = interpolated(table, raw[3, i] + EDGE)
                    if _beyond(raw[3], count) > 0:
                        for i in range(count):
                            if math.fabs(raw[3, i]) > EDGE:
                                raw[4, i] = gamma_score_log(raw[0, i], raw[2, i])
                else:
                    for i in range(count):
                        raw[4, i] = gamma_score_log(raw[0, i], raw[2, i])
                for i in range(count):
                    target[i] = _positive(exp(raw[1, i] + raw[4, i]))

    return fill_gamma


def build_bernoulli(version: int) -> Any:
    """Compile the quantile of yes or no with success logit eta."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_bernoulli(v: Any, eta: Any, out: Any) -> None:
        assert version >= 0
        raw = tile(2)
        for row in range(out.shape[0]):
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(eta, row, first, count, raw[1])
                for i in range(count):
                    latent = raw[1, i] + logit_of_tail(raw[0, i])
                    y = 1.0 if latent > 0.0 else 0.0
                    target[i] = y if latent == latent else math.nan

    return fill_bernoulli


def build_ordinal(version: int) -> Any:
    """Compile the quantile of ordered categories; the cutpoints' axis comes last."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_ordinal(v: Any, eta: Any, cutpoints: Any, out: Any) -> None:
        assert version >= 0
        raw = tile(3)
        for row in range(out.shape[0]):
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(eta, row, first, count, raw[1])
                for i in range(count):
                    raw[0, i] = raw[1, i] + logit_of_tail(raw[0, i])
                    raw[1, i] = 0.0
                for k in range(cutpoints.shape[2]):
                    load(cutpoints[:, :, k], row, first, count, raw[2])
                    for i in range(count):
                        raw[1, i] += 1.0 if raw[2, i] < raw[0, i] else 0.0
                for i in range(count):
                    target[i] = raw[1, i] if raw[0, i] == raw[0, i] else math.nan

    return fill_ordinal
