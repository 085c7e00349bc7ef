"""Quantiles of the plain families at signed tail noise, by compiled kernels.

Arguments broadcast. A parameter that is one number per row of a table of (draw, unit) values, as a
posterior draw's dispersion is, stays so: the kernels of gamma and Student t tabulate their scores
once for it. No value depends on its neighbours, on blocks or on threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms.kernels.compiled import kernel, plain
from dotwin.mechanisms.memory import common_shape, room
from dotwin.mechanisms.score_tables import gamma_tables, student_t_tables

__all__ = [
    "bernoulli",
    "beta",
    "beta_binomial",
    "binomial",
    "gamma",
    "gamma_tables",
    "lognormal",
    "negative_binomial",
    "normal",
    "ordinal",
    "poisson",
    "student_t",
    "student_t_tables",
]

type FloatArray = NDArray[np.float64]

#: Exact tails of a beta-binomial of more trials take too long: milliseconds each.
_MOST_TRIALS = 2.0**20


def _rows(*arrays: ArrayLike) -> tuple[tuple[int, ...], list[FloatArray]]:
    """Return the broadcast shape, and arrays of two axes of which those of length one repeat."""
    given = [np.asarray(x, dtype=float) for x in arrays]
    shape = common_shape(*(x.shape for x in given))
    size = int(np.prod(shape))
    if len(shape) > 2:
        given = [x if x.size == 1 else np.broadcast_to(x, shape) for x in given]
    if all(x.size in (1, size) for x in given):
        flat = [plain(x).reshape(1, -1) for x in given]
    else:
        flat = [plain(x).reshape((1,) * (2 - x.ndim) + x.shape) for x in given]
    return shape, flat


def filled(name: str, *arrays: ArrayLike) -> FloatArray:
    """Return what a kernel fills in, of the broadcast shape of its arrays."""
    shape, rows = _rows(*arrays)
    out = room(common_shape(*(x.shape for x in rows)))
    kernel(name)(*rows, out)
    return out.reshape(shape)


def normal(v: ArrayLike, eta: ArrayLike, sd: ArrayLike, *, logarithmic: bool) -> FloatArray:
    """Return normal values with mean eta, or exp(eta) where ``logarithmic``."""
    shape, rows = _rows(v, eta, sd)
    out = room(common_shape(*(x.shape for x in rows)))
    kernel("normal")(*rows, logarithmic, out)
    return out.reshape(shape)


def lognormal(v: ArrayLike, eta: ArrayLike, sd: ArrayLike) -> FloatArray:
    """Return lognormal values with median exp(eta)."""
    return filled("lognormal", v, eta, sd)


def beta(v: ArrayLike, eta: ArrayLike, precision: ArrayLike) -> FloatArray:
    """Return beta values with mean expit(eta), inside the open interval."""
    return filled("beta", v, eta, precision)


def bernoulli(v: ArrayLike, eta: ArrayLike) -> FloatArray:
    """Return 0 or 1, which has the logit eta."""
    return filled("bernoulli", v, eta)


def poisson(v: ArrayLike, eta: ArrayLike) -> FloatArray:
    """Return Poisson counts with mean exp(eta)."""
    return filled("poisson", v, eta)


def negative_binomial(v: ArrayLike, eta: ArrayLike, dispersion: ArrayLike) -> FloatArray:
    """Return negative binomial counts with mean exp(eta)."""
    return filled("negative_binomial", v, eta, dispersion)


def binomial(v: ArrayLike, trials: ArrayLike, eta: ArrayLike) -> FloatArray:
    """Return binomial counts whose success has the logit eta."""
    return filled("binomial", v, trials, eta)


def beta_binomial(
    v: ArrayLike, trials: ArrayLike, eta: ArrayLike, precision: ArrayLike
) -> FloatArray:
    """Return beta-binomial counts whose share has mean expit(eta).

    Of more trials than can be walked through, the count is the whole part of the beta's share of
    them, which differs from the exact one by about one in as many.
    """
    n = np.asarray(trials, dtype=float)
    many = n > _MOST_TRIALS
    counts = filled("beta_binomial", v, np.where(many, 0.0, n), eta, precision)
    if not many.any():
        return counts
    return np.where(many, np.floor(n * beta(v, eta, precision)), counts)


def ordinal(v: ArrayLike, eta: ArrayLike, cutpoints: FloatArray) -> FloatArray:
    """Return ordered categories; the axis of the cutpoints comes last."""
    cuts = np.asarray(cutpoints, dtype=float)
    width = cuts.shape[-1]
    noise, predictor = np.asarray(v, dtype=float), np.asarray(eta, dtype=float)
    shape = common_shape(noise.shape, predictor.shape, cuts.shape[:-1])
    if len(shape) > 2:
        noise, predictor = (np.broadcast_to(x, shape).reshape(1, -1) for x in (noise, predictor))
        cuts = np.broadcast_to(cuts, (*shape, width)).reshape(1, -1, width)
    rows = [plain(x.reshape((1,) * (2 - x.ndim) + x.shape)) for x in (noise, predictor)]
    cuts = plain(cuts.reshape((1,) * (3 - cuts.ndim) + cuts.shape))
    out = room(common_shape(*(x.shape for x in rows), cuts.shape[:2]))
    kernel("ordinal")(*rows, cuts, out)
    return out.reshape(shape)


def _tabled(name: str, arrays: tuple[ArrayLike, ...], tables: FloatArray) -> FloatArray:
    if len(tables) <= 1:
        shape, rows = _rows(*arrays)
    else:
        given = [np.asarray(x, dtype=float) for x in arrays]
        shape = common_shape(*(x.shape for x in given))
        rows = [plain(x).reshape((1,) * (2 - x.ndim) + x.shape) for x in given]
    out = room(common_shape(*(x.shape for x in rows)))
    kernel(name)(*rows, tables, out)
    return out.reshape(shape)


def gamma(v: ArrayLike, eta: ArrayLike, shape: ArrayLike, tables: FloatArray) -> FloatArray:
    """Return gamma values with mean exp(eta), from `gamma_tables` of the shape."""
    return _tabled("gamma", (v, eta, shape), tables)


def student_t(
    v: ArrayLike, eta: ArrayLike, sd: ArrayLike, nu: ArrayLike, tables: FloatArray
) -> FloatArray:
    """Return values of Student's t around eta, from `student_t_tables` of nu."""
    return _tabled("student_t", (v, eta, sd, nu), tables)
