"""Compiled quantiles of counts; read `dotwin.mechanisms.kernels.walks` and `lattice` first.

Each ``build_...`` compiles one kernel, cached on disk under the version of all kernel sources.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from dotwin.mechanisms.kernels.elementary import exp, log1p, normal_score
from dotwin.mechanisms.kernels.gammas import stirling_rest
from dotwin.mechanisms.kernels.lanes import load
from dotwin.mechanisms.kernels.lattice import (
    BETA_BINOMIAL,
    BINOMIAL,
    NEGATIVE_BINOMIAL,
    POISSON,
    cornish_fisher,
    search,
)
from dotwin.mechanisms.kernels.walks import (
    TILE,
    TOO_LONG,
    tile,
    walk_beta_binomial,
    walk_panjer,
)

__all__ = ["build_beta_binomial", "build_binomial", "build_negative_binomial", "build_poisson"]

_LONGEST_MEAN = 100.0  # larger means are cheaper on the lattice
_LONGEST_SKEWED_MEAN = 1500.0
_LEAST_VARIANCE = 100.0  # a smaller one is too coarse for the lattice
_LARGE_VARIANCE = 1e8  # from here the lattice is sure far into the tails
_LEAST_DISPERSION = 20.0  # a smaller one is too skewed for the lattice
_LOG_SMALLEST_START = -690.0  # exp of this is still a normal double
_SMALLEST_WALKED_TAIL = 2.0**-13  # a smaller upper tail loses digits in 1 - m
_SMALLEST_LATTICE_TAIL = 1.4e-11
_LARGEST_MEAN = 1e300
_LEAST_SHAPE = 1e-60
_PARAMETERS = 11


@njit(error_model="numpy", forceinline=True)
def _walked(v: float) -> bool:
    return v > 0.0 or v <= -_SMALLEST_WALKED_TAIL


@njit(error_model="numpy", forceinline=True)
def _below(v: float) -> float:
    """The probability below."""
    u = 1.0 + v
    return v if v > 0.0 else u


@njit(error_model="numpy")
def _settle(count: int, wide: Any, place: Any, found: Any, kind: int) -> None:
    """Find lanes that are not walked.

    Parameters
    ----------
    count : int
    wide : array (11 + 2, TILE)
        v; mean, variance and further cumulants to the sixth; the largest count; three parameters;
        whether the lattice may serve. Then room for two rows.
    place : int array (TILE,)
    found : array
    kind : int
    """
    guess, margin = wide[_PARAMETERS], wide[_PARAMETERS + 1]
    for i in range(count):
        z = normal_score(wide[0, i])
        guess[i], margin[i] = cornish_fisher(
            z, wide[1, i], wide[2, i], wide[3, i], wide[4, i], wide[5, i], wide[6, i]
        )
    for i in range(count):
        v, variance, high = wide[0, i], wide[2, i], wide[7, i]
        m = math.fabs(v)
        sure = margin[i] > 0.0 and variance > _LEAST_VARIANCE and high >= 0.0
        sure = sure and (
            m >= _SMALLEST_WALKED_TAIL
            or (variance > _LARGE_VARIANCE and m >= _SMALLEST_LATTICE_TAIL)
        )
        if sure:
            found[place[i]] = min(max(guess[i], 0.0), high)
        else:
            start = guess[i] if variance > 1.0 and m >= _SMALLEST_LATTICE_TAIL else wide[1, i]
            high = math.fabs(high)
            found[place[i]] = search(v, start, high, kind, wide[8, i], wide[9, i], wide[10, i])


def build_poisson(version: int) -> Any:
    """Compile the quantile of a Poisson count with mean exp(eta)."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_poisson(v: Any, eta: Any, out: Any) -> None:
        assert version >= 0
        space, wide, raw = tile(6), tile(_PARAMETERS + 2), tile(2)
        place, other = np.empty(TILE, np.int64), np.empty(TILE, np.int64)
        for row in range(out.shape[0]):
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(eta, row, first, count, raw[1])
                usual = 0
                for i in range(count):
                    mean = exp(raw[1, i])
                    raw[1, i] = mean
                    usual += 1 if mean < _LONGEST_MEAN and _walked(raw[0, i]) else 0
                if usual == count:
                    # nobody stands apart: the lanes stay where they are
                    for i in range(count):
                        mean = raw[1, i]
                        space[0, i] = _below(raw[0, i])
                        space[1, i] = exp(-mean)
                        space[2, i] = 0.0
                        space[3, i] = mean
                        place[i] = i
                    walk_panjer(count, space, place, target)
                    continue
                walking, waiting = 0, 0
                for i in range(count):
                    noise, mean = raw[0, i], raw[1, i]
                    if not mean < _LARGEST_MEAN or noise != noise:
                        target[i] = math.nan
                    elif mean < _LONGEST_MEAN and _walked(noise):
                        space[0, walking], space[4, walking] = noise, mean
                        place[walking] = i
                        walking += 1
                    else:
                        wide[0, waiting], wide[1, waiting] = noise, mean
                        other[waiting] = i
                        waiting += 1
                for i in range(walking):
                    mean = space[4, i]
                    space[0, i] = _below(space[0, i])
                    space[1, i] = exp(-mean)
                    space[2, i] = 0.0
                    space[3, i] = mean
                walk_panjer(walking, space, place, target)
                for i in range(waiting):
                    mean = wide[1, i]
                    for cumulant in range(2, 7):
                        wide[cumulant, i] = mean
                    wide[7, i] = math.inf
                    wide[8, i] = mean
                    wide[9, i] = 0.0
                    wide[10, i] = 0.0
                _settle(waiting, wide, other, target, POISSON)

    return fill_poisson


@njit(error_model="numpy")
def _finish_negative_binomial(count: int, raw: Any, target: Any) -> None:
    """Search for the counts of lanes whose walk was too long."""
    for i in range(count):
        if target[i] == TOO_LONG:
            mean, size = raw[1, i], raw[2, i]
            target[i] = search(raw[0, i], mean, math.inf, NEGATIVE_BINOMIAL, mean, size, 0.0)


def build_negative_binomial(version: int) -> Any:
    """Compile the quantile of a negative binomial count with mean exp(eta)."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_negative_binomial(v: Any, eta: Any, dispersion: Any, out: Any) -> None:
        assert version >= 0
        space, wide, raw = tile(6), tile(_PARAMETERS + 2), tile(4)
        place, other = np.empty(TILE, np.int64), np.empty(TILE, np.int64)
        for row in range(out.shape[0]):
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(eta, row, first, count, raw[1])
                load(dispersion, row, first, count, raw[2])
                usual = 0
                for i in range(count):
                    mean, size = exp(raw[1, i]), raw[2, i]
                    start = -size * log1p(mean / size)
                    raw[1, i] = mean
                    raw[3, i] = start
                    longest = _LONGEST_SKEWED_MEAN if size < _LEAST_DISPERSION else _LONGEST_MEAN
                    short = mean < longest and size > 0.0 and start > _LOG_SMALLEST_START
                    usual += 1 if short and size < _LARGEST_MEAN and _walked(raw[0, i]) else 0
                if usual == count:
                    # nobody stands apart: the lanes stay where they are
                    for i in range(count):
                        mean, size = raw[1, i], raw[2, i]
                        share = mean / (mean + size)
                        space[0, i] = _below(raw[0, i])
                        space[1, i] = exp(raw[3, i])
                        space[2, i] = share
                        space[3, i] = (size - 1.0) * share
                        place[i] = i
                    walk_panjer(count, space, place, target)
                    _finish_negative_binomial(count, raw, target)
                    continue
                walking, waiting = 0, 0
                for i in range(count):
                    noise, mean, size, start = raw[0, i], raw[1, i], raw[2, i], raw[3, i]
                    usable = mean < _LARGEST_MEAN and size > 0.0 and size < _LARGEST_MEAN
                    skewed = size < _LEAST_DISPERSION
                    longest = _LONGEST_SKEWED_MEAN if skewed else _LONGEST_MEAN
                    if not usable or noise != noise:
                        target[i] = math.nan
                    elif mean < longest and start > _LOG_SMALLEST_START and _walked(noise):
                        space[0, walking], space[1, walking] = noise, start
                        space[2, walking], space[3, walking] = mean, size
                        place[walking] = i
                        walking += 1
                    else:
                        wide[0, waiting], wide[1, waiting], wide[9, waiting] = noise, mean, size
                        other[waiting] = i
                        waiting += 1
                for i in range(walking):
                    mean, size = space[2, i], space[3, i]
                    share = mean / (mean + size)
                    space[0, i] = _below(space[0, i])
                    space[1, i] = exp(space[1, i])
                    space[2, i] = share
                    space[3, i] = (size - 1.0) * share
                walk_panjer(walking, space, place, target)
                for i in range(waiting):
                    mean, size = wide[1, i], wide[9, i]
                    ratio = mean / size
                    spread = ratio * (1.0 + ratio)
                    variance = mean * (1.0 + ratio)
                    wide[2, i] = variance
                    wide[3, i] = variance * (1.0 + 2.0 * ratio)
                    wide[4, i] = variance * (1.0 + 6.0 * spread)
                    wide[5, i] = variance * (1.0 + 2.0 * ratio) * (1.0 + 12.0 * spread)
                    wide[6, i] = variance * (1.0 + spread * (30.0 + 120.0 * spread))
                    # a largest count below 0: too skewed for the lattice
                    wide[7, i] = -math.inf if size < _LEAST_DISPERSION else math.inf
                    wide[8, i] = mean
                    wide[10, i] = 0.0
                _settle(waiting, wide, other, target, NEGATIVE_BINOMIAL)
                _finish_negative_binomial(count, raw, target)

    return fill_negative_binomial


def build_binomial(version: int) -> Any:
    """Compile the quantile of a binomial count with success logit eta."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_binomial(v: Any, trials: Any, eta: Any, out: Any) -> None:
        assert version >= 0
        space, wide, raw, rare = tile(6), tile(_PARAMETERS + 2), tile(5), np.empty(TILE)
        place, other = np.empty(TILE, np.int64), np.empty(TILE, np.int64)
        for row in range(out.shape[0]):
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(trials, row, first, count, raw[1])
                load(eta, row, first, count, raw[2])
                usual = 0
                for i in range(count):
                    # the rarer of success and failure is counted: its walk is short and stable
                    flip = raw[2, i] > 0.0
                    noise, n = -raw[0, i] if flip else raw[0, i], raw[1, i]
                    raw[0, i] = noise
                    odds = exp(-math.fabs(raw[2, i]))
                    start = -n * log1p(odds)
                    raw[3, i] = odds
                    raw[4, i] = start
                    mean = n * odds / (1.0 + odds)
                    short = mean < _LONGEST_MEAN and start > _LOG_SMALLEST_START
                    usual += 1 if short and n >= 0.0 and _walked(noise) else 0
                walking, waiting = 0, 0
                if usual == count:
                    # nobody stands apart: the lanes stay where they are
                    walking = count
                    for i in range(count):
                        space[0, i], space[1, i] = raw[0, i], raw[4, i]
                        space[2, i], space[3, i] = raw[1, i], raw[3, i]
                        place[i] = i
                for i in range(0 if usual == count else count):
                    noise, n, odds, start = raw[0, i], raw[1, i], raw[3, i], raw[4, i]
                    mean = n * odds / (1.0 + odds)
                    short = mean < _LONGEST_MEAN or mean <= _LEAST_VARIANCE * (1.0 + odds)
                    if not (n >= 0.0 and n < math.inf and odds <= 1.0) or noise != noise:
                        rare[i] = math.nan
                    elif short and start > _LOG_SMALLEST_START and _walked(noise):
                        space[0, walking], space[1, walking] = noise, start
                        space[2, walking], space[3, walking] = n, odds
                        place[walking] = i
                        walking += 1
                    else:
                        wide[0, waiting], wide[1, waiting] = noise, mean
                        wide[8, waiting], wide[2, waiting] = n, odds
                        other[waiting] = i
                        waiting += 1
                for i in range(walking):
                    n, odds = space[2, i], space[3, i]
                    space[0, i] = _below(space[0, i])
                    space[1, i] = exp(space[1, i])
                    space[2, i] = -odds
                    space[3, i] = (n + 1.0) * odds
                walk_panjer(walking, space, place, rare)
                for i in range(waiting):
                    n, odds = wide[8, i], wide[2, i]
                    p, q = odds / (1.0 + odds), 1.0 / (1.0 + odds)
                    spread = p * q
                    variance = n * spread
                    wide[2, i] = variance
                    wide[3, i] = variance * (q - p)
                    wide[4, i] = variance * (1.0 - 6.0 * spread)
                    wide[5, i] = variance * (q - p) * (1.0 - 12.0 * spread)
                    wide[6, i] = variance * (1.0 - spread * (30.0 - 120.0 * spread))
                    wide[7, i] = n
                    wide[9, i] = p
                    wide[10, i] = q
                _settle(waiting, wide, other, rare, BINOMIAL)
                for i in range(count):
                    n = raw[1, i]
                    y = n if rare[i] > n else rare[i]
                    z = n - y
                    target[i] = z if raw[2, i] > 0.0 else y

    return fill_binomial


def build_beta_binomial(version: int) -> Any:
    """Compile the quantile of a beta-binomial count whose share has mean expit(eta)."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_beta_binomial(v: Any, trials: Any, eta: Any, precision: Any, out: Any) -> None:
        assert version >= 0
        space, raw, rare = tile(7), tile(6), np.empty(TILE)
        place = np.empty(TILE, np.int64)
        for row in range(out.shape[0]):
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, raw[0])
                load(trials, row, first, count, raw[1])
                load(eta, row, first, count, raw[2])
                load(precision, row, first, count, raw[3])
                for i in range(count):
                    noise, n, logit, kappa = raw[0, i], raw[1, i], raw[2, i], raw[3, i]
                    e = exp(-math.fabs(logit))
                    large = kappa / (1.0 + e)
                    little = e * large
                    # from the end nearer to the mean; a small tail always from its own end, where
                    # the sum of its terms is precise
                    small = math.fabs(noise) < _SMALLEST_WALKED_TAIL
                    flip = noise < 0.0 if small else logit > 0.0
                    a = little if (logit > 0.0) == flip else large
                    b = large if (logit > 0.0) == flip else little
                    raw[0, i] = -noise if flip else noise
                    raw[2, i] = a
                    raw[4, i] = b
                    raw[5, i] = 1.0 if flip else 0.0
                    # log of Gamma(b + n) Gamma(kappa) / (Gamma(b) Gamma(kappa + n)), as a ratio of
                    # rises by a, of which nothing large is left to cancel
                    inside = (kappa - 0.5) * log1p(a / b)
                    inside -= (kappa + n - 0.5) * log1p(a / (b + n))
                    inside -= a * log1p(n / b)
                    inside += stirling_rest(kappa) - stirling_rest(b)
                    inside += stirling_rest(b + n) - stirling_rest(kappa + n)
                    raw[3, i] = inside
                usual = 0
                for i in range(count):
                    n, a, b = raw[1, i], raw[2, i], raw[4, i]
                    finite = n >= 0.0 and n < math.inf and a < math.inf and b < math.inf
                    walked = raw[3, i] > _LOG_SMALLEST_START and b > _LEAST_SHAPE and a > 0.0
                    usual += 1 if finite and walked and raw[0, i] == raw[0, i] else 0
                walking = 0
                if usual == count:
                    # nobody stands apart: the lanes stay where they are
                    walking = count
                    for i in range(count):
                        space[0, i], space[1, i] = _below(raw[0, i]), raw[3, i]
                        space[2, i], space[3, i], space[6, i] = raw[2, i], raw[4, i], raw[1, i]
                        place[i] = i
                for i in range(0 if usual == count else count):
                    noise, n, a, b, start = raw[0, i], raw[1, i], raw[2, i], raw[4, i], raw[3, i]
                    usable = n >= 0.0 and n < math.inf and a > 0.0 and b > 0.0
                    if not usable or noise != noise or not a < math.inf or not b < math.inf:
                        rare[i] = math.nan
                    elif start > _LOG_SMALLEST_START and b > _LEAST_SHAPE:
                        space[0, walking], space[1, walking] = _below(noise), start
                        space[2, walking], space[3, walking], space[6, walking] = a, b, n
                        place[walking] = i
                        walking += 1
                    else:
                        mean = n * a / (a + b)
                        rare[i] = search(noise, mean, n, BETA_BINOMIAL, n, a, b)
                for i in range(walking):
                    space[1, i] = exp(space[1, i])
                walk_beta_binomial(walking, space, place, rare)
                for i in range(count):
                    n = raw[1, i]
                    if rare[i] == TOO_LONG:
                        a, b = raw[2, i], raw[4, i]
                        mean = n * a / (a + b)
                        rare[i] = search(raw[0, i], mean, n, BETA_BINOMIAL, n, a, b)
                    y = n if rare[i] > n else rare[i]
                    z = n - y
                    target[i] = z if raw[5, i] > 0.0 else y

    return fill_beta_binomial
