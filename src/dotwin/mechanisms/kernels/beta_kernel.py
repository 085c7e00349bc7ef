"""The compiled quantile of beta values.

A tile of lanes starts from a Cornish-Fisher expansion of the logit, finds the tail there by a
continued fraction and takes one step of order six; few lanes need a second one. What does not suit
(a small shape, a far tail) is solved for alone.

References
----------
.. [1] Abramowitz, M., & Stegun, I. A. (1964). Handbook of Mathematical Functions, 26.2.49.
.. [2] NIST Digital Library of Mathematical Functions, 8.17(v). https://dlmf.nist.gov/8.17.v
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from dotwin.mechanisms.kernels.elementary import (
    SMALLEST,
    exp,
    fma,
    log,
    normal_score,
)
from dotwin.mechanisms.kernels.gammas import (
    SHIFT,
    beta_density,
    beta_density_near_mean,
    beta_logit,
    far_stirling_rest,
    is_near_mean,
    order_six,
    stirling_rest,
)
from dotwin.mechanisms.kernels.lanes import load
from dotwin.mechanisms.kernels.walks import TILE, tile

__all__ = ["build_beta"]

_LARGEST_SHARE = float(np.nextafter(1.0, 0.0))
_LEAST_TAIL = 1.4e-11
_LARGEST_PRECISION = 1e20
_CLOSE = 1e-2  # a step so short, in units of the density's width, errs by its seventh power
_MOST_LEVELS = 400.0
_LEVELS = 4
_ENOUGH = 1e-12  # four more levels change the tail by less, and what is left is far smaller
_ROUNDS = 4
_LEAST_SHAPE = 0.4  # the expansion of a smaller one is too far off


@njit(error_model="numpy")
def _tails(count: int, a: Any, b: Any, x: Any, y: Any, work: Any) -> None:
    """Fill in x**a y**b / B(a, b) over the lower tail at x, as ``work[0]``, by a fraction.

    Its convergents A_n / B_n follow from the recurrence of their parts, scaled to B_n = 1 now and
    then; a lane keeps the first convergent that no longer changes, and NaN if there is none.
    """
    value, top, bottom, before = work[0], work[1], work[2], work[3]
    done = work[4]
    for i in range(count):
        away = a[i] * y[i] - b[i] * x[i]
        value[i] = a[i] * (away + 1.0) / (a[i] + 1.0)
        top[i], bottom[i] = 1.0, 0.0  # of the convergent before the last, whose bottom is 1
        before[i] = 1.0 / (a[i] + 1.0)
        done[i] = 0.0
    n = 0.0
    while n < _MOST_LEVELS:
        going = 0
        for i in range(count):
            p, q, s, r = a[i], b[i], x[i], y[i]
            start, slope, n_less = p * r - q * s + 1.0, 1.0 + r, p + q - 1.0
            high, low = value[i], 1.0
            high0, low0 = top[i], bottom[i]
            inverse = before[i]
            m = n
            for _ in range(_LEVELS):
                m += 1.0
                scaled, up = s * inverse, p + m
                part = (q - m) * m * scaled
                over = (up - 1.0) * (n_less + m) * (scaled * part)
                inverse = 1.0 / (up + m + 1.0)
                under = fma(up * fma(m, slope, start), inverse, m + part)
                high0, high = high, fma(under, high, over * high0)
                low0, low = low, fma(under, low, over * low0)
            scale = 1.0 / low
            fresh = high * scale
            old = value[i]
            still = done[i] == 0.0
            value[i] = fresh if still else old
            top[i], bottom[i] = high0 * scale, low0 * scale
            before[i] = inverse
            arrived = math.fabs(fresh - old) <= _ENOUGH * math.fabs(fresh)
            done[i] = 1.0 if arrived else done[i]
        n += _LEVELS
        for i in range(count):
            going += 1 if done[i] == 0.0 else 0
        if going == 0:
            return
    for i in range(count):
        value[i] = value[i] if done[i] == 1.0 else math.nan


@njit(error_model="numpy", forceinline=True)
def _far_cumulants(x: float) -> tuple[float, float, float, float, float]:
    """Return the first five cumulants of log X - log x, for X gamma with shape x, to some 7 digits.

    For x > 4.
    """
    w = 1.0 / x
    q = w * w
    first = -0.5 * w - q * (1.0 / 12.0 - q * (1.0 / 120.0 - q * (1.0 / 252.0)))
    second = w + 0.5 * q + q * w * (1.0 / 6.0 - q * (1.0 / 30.0 - q * (1.0 / 42.0)))
    third = -q - q * w - q * q * (0.5 - q * (1.0 / 6.0 - q * (1.0 / 6.0)))
    fourth = q * w * (2.0 + w * (3.0 + w * (2.0 - q * (1.0 - q * (4.0 / 3.0)))))
    fifth = -q * q * (6.0 + w * (12.0 + w * (10.0 - q * 7.0)))
    return first, second, third, fourth, fifth


@njit(error_model="numpy", forceinline=True)
def _cumulants(a: float) -> tuple[float, float, float, float, float]:
    """Return those of log X - log(a + 4) for any shape, from those of a larger one."""
    r0, r1, r2, r3 = 1.0 / a, 1.0 / (a + 1.0), 1.0 / (a + 2.0), 1.0 / (a + 3.0)
    s0, s1, s2, s3 = r0 * r0, r1 * r1, r2 * r2, r3 * r3
    first, second, third, fourth, fifth = _far_cumulants(a + 4.0)
    first -= r0 + r1 + r2 + r3
    second += s0 + s1 + s2 + s3
    third -= 2.0 * (s0 * r0 + s1 * r1 + s2 * r2 + s3 * r3)
    fourth += 6.0 * (s0 * s0 + s1 * s1 + s2 * s2 + s3 * s3)
    fifth -= 24.0 * (s0 * s0 * r0 + s1 * s1 * r1 + s2 * s2 * r2 + s3 * s3 * r3)
    return first, second, third, fourth, fifth


@njit(error_model="numpy", forceinline=True)
def _expanded(of_a: Any, of_b: Any, middle: float, z: float) -> float:
    """Return about the logit of a beta value: a difference of logs of gamma values.

    ``middle`` is the difference of what their first cumulants are counted from.
    """
    a1, a2, a3, a4, a5 = of_a
    b1, b2, b3, b4, b5 = of_b
    scale = 1.0 / (a2 + b2)
    sd = math.sqrt(a2 + b2)
    over = scale * sd
    g1 = (a3 - b3) * scale * over
    g2 = (a4 + b4) * scale * scale
    g3 = (a5 - b5) * scale * scale * over
    z2 = z * z
    h2 = z2 - 1.0
    h3 = z * (z2 - 3.0)
    h4 = z2 * (z2 - 6.0) + 3.0
    x = z + g1 * h2 * (1.0 / 6.0) + g2 * h3 * (1.0 / 24.0) - g1 * g1 * (2.0 * h3 + z) * (1.0 / 36.0)
    x += g3 * h4 * (1.0 / 120.0) - g1 * g2 * (h4 + h2) * (1.0 / 24.0)
    x += g1 * g1 * g1 * (12.0 * h4 + 19.0 * h2) * (1.0 / 324.0)
    return float(middle + (a1 - b1) + sd * x)


@njit(error_model="numpy", forceinline=True)
def _whole_vectors(count: int) -> int:
    """Round a number of lanes up: what is left of a vector takes longer lane by lane."""
    return min((count + 7) // 8 * 8, TILE)


@njit(error_model="numpy")
def _begin(count: int, logit: Any, space: Any, work: Any, place: Any) -> None:
    """Fill in what the density needs of Stirling's series, and a guess at the logit.

    Shapes from `SHIFT` on need no climb to larger ones; the others are put side by side for it.
    """
    u, a, b, rest, t = space[0], space[1], space[2], space[3], space[4]
    near = 0
    for i in range(count):
        rest[i] = far_stirling_rest(a[i] + b[i]) - far_stirling_rest(a[i]) - far_stirling_rest(b[i])
        middle = -math.fabs(logit[i])
        t[i] = _expanded(_far_cumulants(a[i]), _far_cumulants(b[i]), middle, normal_score(u[i]))
        near += 1 if a[i] < SHIFT else 0
    if near == 0:
        return
    near = 0
    for i in range(count):
        if a[i] < SHIFT:
            work[0, near], work[1, near], work[2, near] = u[i], a[i], b[i]
            place[near] = i
            near += 1
    for i in range(_whole_vectors(near)):
        p, q = work[1, i], work[2, i]
        work[3, i] = stirling_rest(p + q) - stirling_rest(p) - stirling_rest(q)
        middle = log((p + 4.0) / (q + 4.0))
        work[4, i] = _expanded(_cumulants(p), _cumulants(q), middle, normal_score(work[0, i]))
    for i in range(near):
        rest[place[i]], t[place[i]] = work[3, i], work[4, i]


@njit(error_model="numpy")
def _densities(count: int, space: Any, work: Any, place: Any) -> None:
    """Fill in the density of the logit at x; the few x far from the mean are put side by side."""
    a, b, rest, x, y, density = space[1], space[2], space[3], space[5], space[6], space[7]
    apart = 0
    for i in range(count):
        density[i] = beta_density_near_mean(a[i], b[i], x[i], y[i], rest[i])
        apart += 0 if is_near_mean(a[i], b[i], x[i], y[i]) else 1
    if apart == 0:
        return
    apart = 0
    for i in range(count):
        if not is_near_mean(a[i], b[i], x[i], y[i]):
            work[0, apart], work[1, apart], work[2, apart] = a[i], b[i], rest[i]
            work[3, apart], work[4, apart] = x[i], y[i]
            place[apart] = i
            apart += 1
    for i in range(_whole_vectors(apart)):
        p, q, less = work[0, i], work[1, i], work[2, i]
        work[0, i] = beta_density(p, q, work[3, i], work[4, i], less)
    for i in range(apart):
        density[place[i]] = work[0, i]


def build_beta(version: int) -> Any:
    """Compile the quantile of a beta value with mean expit(eta) and a precision."""

    @njit(cache=True, nogil=True, error_model="numpy")
    def fill_beta(v: Any, eta: Any, precision: Any, out: Any) -> None:
        assert version >= 0
        raw, space, work = tile(4), tile(12), tile(5)
        noise, logit = raw[0], raw[1]
        place, other = np.empty(TILE, np.int64), np.empty(TILE, np.int64)
        u, a, b, t = space[0], space[1], space[2], space[4]
        x, y, density, step, done = space[5], space[6], space[7], space[8], space[9]
        first_shape, other_shape, away = space[10], space[11], raw[2]
        for row in range(out.shape[0]):
            for first in range(0, out.shape[1], TILE):
                count = min(TILE, out.shape[1] - first)
                target = out[row, first : first + count]
                load(v, row, first, count, noise)
                load(eta, row, first, count, logit)
                load(precision, row, first, count, raw[2])
                for i in range(count):
                    # the smaller of share and rest is solved for: its series is short
                    kappa, flip = raw[2, i], logit[i] > 0.0
                    e = exp(-math.fabs(logit[i]))
                    q = kappa / (1.0 + e)
                    p = q * e
                    u[i] = -noise[i] if flip else noise[i]
                    a[i], b[i] = p, q
                _begin(count, logit, space, work, place)
                common = 0
                for i in range(count):
                    suits = math.fabs(u[i]) >= _LEAST_TAIL and a[i] > _LEAST_SHAPE
                    suits = suits and a[i] + b[i] < _LARGEST_PRECISION
                    common += 1 if suits and math.fabs(t[i]) < 100.0 else 0
                waiting = 0
                if common == count:
                    # nobody stands apart: the lanes stay where they are
                    waiting = count
                    for i in range(count):
                        place[i] = i
                for i in range(0 if common == count else count):
                    m = math.fabs(u[i])
                    usual = m >= _LEAST_TAIL and a[i] + b[i] < _LARGEST_PRECISION
                    if not (a[i] > 0.0 and b[i] > 0.0 and b[i] < math.inf) or m != m:
                        raw[3, i] = math.nan
                    elif usual and a[i] > _LEAST_SHAPE and math.fabs(t[i]) < 100.0:
                        for k in range(5):
                            space[k, waiting] = space[k, i]
                        place[waiting] = i
                        waiting += 1
                    else:
                        raw[3, i] = _alone(u[i], a[i], b[i])
                for _ in range(_ROUNDS):
                    if waiting == 0:
                        break
                    for i in range(waiting):
                        e = exp(-math.fabs(t[i]))
                        far = 1.0 / (1.0 + e)
                        near = e * far
                        x[i] = near if t[i] < 0.0 else far
                        y[i] = far if t[i] < 0.0 else near
                    _densities(waiting, space, work, other)
                    for i in range(waiting):
                        below, above = x[i], y[i]
                        away[i] = a[i] * above - b[i] * below
                        # the tail on the side of the mean where x lies: its fraction is short
                        right = away[i] < 0.0
                        first_shape[i] = b[i] if right else a[i]
                        other_shape[i] = a[i] if right else b[i]
                        x[i] = above if right else below
                        y[i] = below if right else above
                    _tails(waiting, first_shape, other_shape, x, y, work)
                    for i in range(waiting):
                        here = density[i] / work[0, i]
                        right, down = away[i] < 0.0, u[i] > 0.0
                        m = math.fabs(u[i])
                        wanted = m if right != down else 1.0 - m
                        gap = here - wanted if right else wanted - here
                        delta = gap / density[i]
                        n, s = a[i] + b[i], x[i] * y[i]
                        difference = x[i] - y[i] if right else y[i] - x[i]
                        h1 = away[i]
                        step[i] = order_six(
                            delta,
                            h1,
                            -n * s,
                            -n * s * difference,
                            -n * s * (1.0 - 6.0 * s),
                            -n * s * difference * (1.0 - 12.0 * s),
                        )
                        width = math.fabs(h1) + math.sqrt(n * s)
                        size = math.fabs(delta) * width
                        # 1: arrived; 0: another round; -1: too far for a series
                        lost = 0.0 if size < 0.3 else -1.0
                        done[i] = 1.0 if size < _CLOSE else lost
                    arrived = 0
                    for i in range(waiting):
                        arrived += 1 if done[i] == 1.0 else 0
                    if arrived == count:
                        for i in range(count):
                            raw[3, i] = t[i] + step[i]
                        waiting = 0
                    kept = 0
                    for i in range(waiting):
                        if done[i] == 1.0:
                            raw[3, place[i]] = t[i] + step[i]
                        elif done[i] == 0.0:
                            for k in range(4):
                                space[k, kept] = space[k, i]
                            t[kept] = t[i] + step[i]
                            place[kept] = place[i]
                            kept += 1
                        else:
                            raw[3, place[i]] = _alone(u[i], a[i], b[i])
                    waiting = kept
                for i in range(waiting):
                    raw[3, place[i]] = _alone(u[i], a[i], b[i])
                for i in range(count):
                    up = exp(-raw[3, i] if logit[i] <= 0.0 else raw[3, i])
                    share = 1.0 / (1.0 + up)
                    share = SMALLEST if share < SMALLEST else share
                    target[i] = _LARGEST_SHARE if share > _LARGEST_SHARE else share

    return fill_beta


@njit(error_model="numpy")
def _alone(v: float, a: float, b: float) -> float:
    """Solve for one logit."""
    m = max(math.fabs(v), SMALLEST)
    # from the power law of the tail that is named, or from the middle
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    middle = math.log(a / b)
    if v > 0.0:
        start = min((math.log(m) + math.log(a) + log_beta) / a, middle)
        return beta_logit(m, 1.0 - m, a, b, start)
    start = max(-(math.log(m) + math.log(b) + log_beta) / b, middle)
    return beta_logit(1.0 - m, m, a, b, start)
