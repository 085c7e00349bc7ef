"""Quantiles by SciPy at signed tail noise: the reference for the compiled ones.

Two ways, chosen lane by lane so that no result depends on its neighbours:

*Lockstep.* Poisson, binomial and negative binomial probabilities follow the Panjer
recurrence p_k = (a + b / k) p_{k-1}. All lanes of a tile walk up together and count the k
whose cumulative probability is still below u.

*Search.* Where the walk would be long, would start from an underflowed p_0, or would
lose a small upper tail to rounding, a good guess is refined by doubling steps and
bisection on the exact tail functions.

References
----------
Panjer (1981), Recursive evaluation of a family of compound distributions,
doi:10.1017/S0515036100006796.
Fisher and Cornish (1960), The percentile points of distributions having known cumulants,
doi:10.1080/00401706.1960.10489895.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from dotwin.mechanisms import counts
from dotwin.mechanisms.tails import SMALLEST_TAIL

type FloatArray = NDArray[np.float64]
type BoolArray = NDArray[np.bool_]

_TILE = 4096  # lanes that walk together: six arrays of this length stay in the L2 cache
_STEPS_PER_PASS = 8  # steps between two looks at how many lanes are still walking
_LONGEST_WALK = 4000  # a heavy-tailed lane beyond this is found by search
_LONGEST_MEAN = 150.0  # means above this are cheaper to search than to walk
_LOG_SMALLEST_START = -690.0  # exp of this is still a normal double
_SMALLEST_WALKED_TAIL = 2.0**-13  # an upper tail below this loses digits in 1 - m


def by_tail(
    v: ArrayLike,
    lower: Callable[..., Any],
    upper: Callable[..., Any],
    *parameters: ArrayLike,
) -> FloatArray:
    """Invert each noise value in its own tail.

    Parameters
    ----------
    v : array_like
        Signed tail noise.
    lower, upper : callable
        ``lower(m, *parameters)`` solves F(y) = m, ``upper(m, *parameters)`` solves
        1 - F(y) = m; both work on flat arrays.
    *parameters : array_like
        Broadcast against ``v``.

    Returns
    -------
    ndarray
        The solutions, in the broadcast shape.
    """
    noise, *shaped = np.broadcast_arrays(v, *parameters)
    out = np.empty(noise.shape)
    down = noise > 0
    for side, solve in ((down, lower), (~down, upper)):
        if side.any():
            m = np.maximum(np.abs(noise[side]), SMALLEST_TAIL)
            out[side] = solve(m, *(p[side] for p in shaped))
    return out


def normal_score(v: ArrayLike) -> FloatArray:
    """Standard normal value at signed tail noise."""
    return by_tail(v, special.ndtri, lambda m: -special.ndtri(m))


def gamma_score(v: ArrayLike, shape: ArrayLike) -> FloatArray:
    """Gamma value of scale 1 at signed tail noise."""
    return by_tail(
        v,
        lambda m, a: special.gammaincinv(a, m),
        lambda m, a: special.gammainccinv(a, m),
        shape,
    )


def beta_value(v: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Beta value at signed tail noise."""
    return by_tail(
        v,
        lambda m, a, b: special.betaincinv(a, b, m),
        lambda m, a, b: special.betainccinv(a, b, m),
        a,
        b,
    )


def student_score(v: ArrayLike, nu: ArrayLike) -> FloatArray:
    """Student's t at signed tail noise."""

    def upper(m: FloatArray, nu: FloatArray) -> FloatArray:
        # t**2 / (nu + t**2) is beta(1/2, nu/2); near 1 its complement keeps the digits
        share = special.betainccinv(0.5, 0.5 * nu, 2.0 * m)
        rest = 1.0 - share
        far = share > 0.5
        if far.any():
            rest[far] = special.betaincinv(0.5 * nu[far], 0.5, 2.0 * m[far])
        return np.asarray(np.sqrt(nu * np.where(far, (1.0 - rest) / rest, share / rest)))

    return by_tail(v, lambda m, nu: -upper(m, nu), upper, nu)


def _lockstep(
    u: FloatArray,
    log_start: FloatArray,
    step: Callable[[int, list[FloatArray]], FloatArray],
    parameters: list[FloatArray],
) -> FloatArray:
    """Count, per lane, the k = 0, 1, ... whose cumulative probability is below u.

    ``step(k, parameters)`` returns p_k / p_{k-1}. Lanes still walking after the longest
    walk get -1.
    """
    found = np.empty(u.size)
    for begin in range(0, u.size, _TILE):
        lanes: NDArray[np.intp] = np.arange(begin, min(begin + _TILE, u.size))
        target = u[lanes]
        p = np.exp(log_start[lanes])
        cumulative = p.copy()
        own = [x[lanes] for x in parameters]
        count: FloatArray = np.zeros(lanes.size)
        few: NDArray[np.uint8] = np.zeros(
            lanes.size, dtype=np.uint8
        )  # bytes add eight times faster than doubles
        below = cumulative < target
        k = 0
        while True:
            few[:] = below
            for _ in range(_STEPS_PER_PASS):
                k += 1
                p *= step(k, own)
                cumulative += p
                np.less(cumulative, target, out=below)
                few += below.view(np.uint8)
            # the last comparison belongs to the next pass
            count += few - below.view(np.uint8)
            walking = int(np.count_nonzero(below))
            if walking == 0 or k >= _LONGEST_WALK:
                count[below] = -1.0
                found[lanes] = count
                break
            if 2 * walking < lanes.size:
                done = ~below
                found[lanes[done]] = count[done]
                lanes, count, few = lanes[below], count[below], few[below]
                target, p, cumulative = target[below], p[below], cumulative[below]
                own = [x[below] for x in own]
                below = np.ones(lanes.size, dtype=bool)
    return found


def _panjer_step(k: int, parameters: list[FloatArray]) -> FloatArray:
    a, b, scratch = parameters
    np.multiply(b, 1.0 / k, out=scratch)
    scratch += a
    return scratch


def _beta_binomial_step(k: int, parameters: list[FloatArray]) -> FloatArray:
    # p_k / p_{k-1} = (n - k + 1)(a + k - 1) / (k (b + n - k))
    left, succeed, fail, scratch = parameters
    np.multiply(left, succeed, out=scratch)
    scratch /= np.maximum(fail, SMALLEST_TAIL)
    scratch *= 1.0 / k
    left -= 1.0
    np.maximum(left, 0.0, out=left)
    succeed += 1.0
    fail -= 1.0
    return scratch


def smallest_reaching(
    v: FloatArray,
    start: FloatArray,
    high: FloatArray,
    cdf: Callable[..., FloatArray],
    sf: Callable[..., FloatArray],
    parameters: tuple[FloatArray, ...],
) -> FloatArray:
    """Find the quantile on the integers 0 .. high by search from a guess.

    Parameters
    ----------
    v : ndarray
        Signed tail noise, flat.
    start : ndarray
        Guess; clipped to the range.
    high : ndarray
        Largest value (infinity for unbounded counts).
    cdf, sf : callable
        ``cdf(k, *parameters)`` and ``sf(k, *parameters)``.
    parameters : tuple of ndarray
        Flat, aligned with ``v``.

    Returns
    -------
    ndarray
        Smallest k with F(k) >= v where v > 0, smallest k with 1 - F(k) <= -v elsewhere.
    """

    def reached(k: FloatArray, lanes: NDArray[np.intp]) -> BoolArray:
        own = tuple(p[lanes] for p in parameters)
        noise = v[lanes]
        out = np.empty(k.size, dtype=bool)
        down = noise > 0
        up = ~down
        if down.any():
            out[down] = cdf(k[down], *(p[down] for p in own)) >= noise[down]
        if up.any():
            out[up] = sf(k[up], *(p[up] for p in own)) <= -noise[up]
        return out | (k >= high[lanes])

    guess = np.clip(np.floor(start), 0.0, np.minimum(high, 2.0**52))
    guess = np.where(np.isfinite(guess), guess, 0.0)
    everyone = np.arange(v.size)
    there = reached(guess, everyone)
    # invariant: below[lane] is not reached (or -1), above[lane] is
    above = np.where(there, guess, np.inf)
    below = np.where(there, -1.0, guess)
    for upward in (False, True):
        lanes = everyone[there != upward]
        edge = guess[lanes]
        width = 1.0
        while lanes.size:
            trial = np.maximum(edge - width, -1.0) if not upward else edge + width
            inside = (trial >= 0) & (trial <= 2.0**53)
            hit = np.where(trial < 0, False, True)
            if inside.any():
                hit[inside] = reached(trial[inside], lanes[inside])
            above[lanes[hit]] = trial[hit]
            below[lanes[~hit]] = trial[~hit]
            keep = ~hit if upward else hit
            lanes, edge = lanes[keep], trial[keep]
            width *= 2.0
    lanes = everyone[above - below > 1.0]
    while lanes.size:
        middle = np.floor(0.5 * (below[lanes] + above[lanes]))
        hit = reached(middle, lanes)
        above[lanes[hit]] = middle[hit]
        below[lanes[~hit]] = middle[~hit]
        lanes = lanes[above[lanes] - below[lanes] > 1.0]
    return above


def _cornish_fisher(
    v: FloatArray, mean: FloatArray, sd: FloatArray, skew_times_sd: FloatArray
) -> FloatArray:
    z = normal_score(v)
    return np.asarray(np.ceil(mean + sd * z + (z * z - 1.0) * skew_times_sd / 6.0 - 0.5))


def _walk_or_search(
    v: FloatArray,
    walkable: BoolArray,
    walk: Callable[[BoolArray], FloatArray],
    search: Callable[[BoolArray], FloatArray],
    valid: BoolArray,
) -> FloatArray:
    out = np.full(v.shape, np.nan)
    short = walkable & valid
    if short.any():
        out[short] = walk(short)
    rest = valid & ~(out >= 0)
    if rest.any():
        out[rest] = search(rest)
    return out


def _cumulative_target(v: FloatArray) -> FloatArray:
    return np.where(v > 0, v, 1.0 + v)


def _flat(*arrays: ArrayLike) -> tuple[tuple[int, ...], list[FloatArray]]:
    shaped = np.broadcast_arrays(*arrays)
    return shaped[0].shape, [np.array(x, dtype=float).ravel() for x in shaped]


def poisson_quantile(v: ArrayLike, mu: ArrayLike) -> FloatArray:
    """Poisson count at signed tail noise.

    Parameters
    ----------
    v : array_like
        Signed tail noise.
    mu : array_like
        Mean, > 0.

    Returns
    -------
    ndarray
        Counts as floats; NaN where a parameter is not usable.

    Examples
    --------
    >>> float(poisson_quantile(0.5, 3.0))
    3.0
    """
    shape, (noise, mean) = _flat(v, mu)
    valid = np.isfinite(noise) & np.isfinite(mean) & (mean >= 0)
    walkable = (mean < _LONGEST_MEAN) & ((noise > 0) | (noise <= -_SMALLEST_WALKED_TAIL))

    def walk(lanes: BoolArray) -> FloatArray:
        own = mean[lanes]
        parameters = [np.zeros_like(own), own, np.empty_like(own)]
        return _lockstep(_cumulative_target(noise[lanes]), -own, _panjer_step, parameters)

    def search(lanes: BoolArray) -> FloatArray:
        own, sd = mean[lanes], np.sqrt(mean[lanes])
        start = _cornish_fisher(noise[lanes], own, sd, np.ones_like(sd))
        high = np.full(own.size, np.inf)
        return smallest_reaching(
            noise[lanes], start, high, counts.poisson_cdf, counts.poisson_sf, (own,)
        )

    return _walk_or_search(noise, walkable, walk, search, valid).reshape(shape)


def negative_binomial_quantile(v: ArrayLike, mu: ArrayLike, alpha: ArrayLike) -> FloatArray:
    """Negative binomial count at signed tail noise; variance mu + mu**2 / alpha.

    Parameters
    ----------
    v : array_like
        Signed tail noise.
    mu, alpha : array_like
        Mean and dispersion, > 0.

    Returns
    -------
    ndarray
        Counts as floats; NaN where a parameter is not usable.

    Examples
    --------
    >>> float(negative_binomial_quantile(0.5, 3.0, 5.0))
    3.0
    """
    shape, (noise, mean, size) = _flat(v, mu, alpha)
    valid = np.isfinite(noise) & np.isfinite(mean) & (mean >= 0) & np.isfinite(size) & (size > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        log_start = -size * np.log1p(mean / size)
        share = mean / (mean + size)
    walkable = (mean < _LONGEST_MEAN) & (log_start > _LOG_SMALLEST_START)
    walkable &= (noise > 0) | (noise <= -_SMALLEST_WALKED_TAIL)

    def walk(lanes: BoolArray) -> FloatArray:
        q = share[lanes]
        parameters = [q, (size[lanes] - 1.0) * q, np.empty_like(q)]
        u = _cumulative_target(noise[lanes])
        return _lockstep(u, log_start[lanes], _panjer_step, parameters)

    def search(lanes: BoolArray) -> FloatArray:
        m, a = mean[lanes], size[lanes]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            sd = np.sqrt(m + m * m / a)
            start = _cornish_fisher(noise[lanes], m, sd, 1.0 + 2.0 * m / a)
        skewed = a < 20.0  # the gamma mixture is nearer than a corrected normal
        if skewed.any():
            mixing = gamma_score(noise[lanes][skewed], a[skewed])
            start[skewed] = m[skewed] / a[skewed] * mixing
        high = np.full(m.size, np.inf)
        tails = counts.negative_binomial_cdf, counts.negative_binomial_sf
        return smallest_reaching(noise[lanes], start, high, *tails, (m, a))

    return _walk_or_search(noise, walkable, walk, search, valid).reshape(shape)


def binomial_quantile(v: ArrayLike, trials: ArrayLike, eta: ArrayLike) -> FloatArray:
    """Binomial count at signed tail noise.

    Parameters
    ----------
    v : array_like
        Signed tail noise.
    trials : array_like
        Number of trials, >= 0.
    eta : array_like
        Logit of the success probability.

    Returns
    -------
    ndarray
        Counts as floats; NaN where a parameter is not usable.

    Examples
    --------
    >>> float(binomial_quantile(0.5, 10, 0.0))
    5.0
    """
    shape, (noise, n, logit) = _flat(v, trials, eta)
    valid = np.isfinite(noise) & np.isfinite(n) & (n >= 0) & ~np.isnan(logit)
    # the rarer of success and failure is counted: its recurrence is short and stable
    flip = logit > 0
    noise = np.where(flip, -noise, noise)
    logit = -np.abs(logit)
    log_start = n * special.log_expit(-logit)
    mean = n * special.expit(logit)
    walkable = (mean < _LONGEST_MEAN) & (log_start > _LOG_SMALLEST_START)
    walkable &= (noise > 0) | (noise <= -_SMALLEST_WALKED_TAIL)

    def walk(lanes: BoolArray) -> FloatArray:
        odds = np.exp(logit[lanes])
        parameters = [-odds, (n[lanes] + 1.0) * odds, np.empty_like(odds)]
        u = _cumulative_target(noise[lanes])
        return _lockstep(u, log_start[lanes], _panjer_step, parameters)

    def search(lanes: BoolArray) -> FloatArray:
        p, m = special.expit(logit[lanes]), mean[lanes]
        sd = np.sqrt(m * (1.0 - p))
        start = _cornish_fisher(noise[lanes], m, sd, 1.0 - 2.0 * p)
        own = (n[lanes], logit[lanes])
        return smallest_reaching(
            noise[lanes], start, n[lanes], counts.binomial_cdf, counts.binomial_sf, own
        )

    rare = np.minimum(_walk_or_search(noise, walkable, walk, search, valid), n)
    return np.where(flip, n - rare, rare).reshape(shape)


def beta_binomial_quantile(
    v: ArrayLike, trials: ArrayLike, a: ArrayLike, b: ArrayLike
) -> FloatArray:
    """Beta-binomial count at signed tail noise.

    Parameters
    ----------
    v : array_like
        Signed tail noise.
    trials : array_like
        Number of trials, >= 0.
    a, b : array_like
        Parameters of the beta distribution of the success probability, > 0.

    Returns
    -------
    ndarray
        Counts as floats; NaN where a parameter is not usable.

    Examples
    --------
    >>> float(beta_binomial_quantile(0.5, 10, 4.0, 4.0))
    5.0
    """
    shape, (noise, n, first, second) = _flat(v, trials, a, b)
    valid = np.isfinite(noise) & np.isfinite(n) & (n >= 0)
    valid &= np.isfinite(first) & np.isfinite(second) & (first > 0) & (second > 0)
    # walk from the end nearer to the mean; a small tail always from its own end, where
    # the sum of its terms is precise
    small = np.abs(noise) < _SMALLEST_WALKED_TAIL
    flip = np.where(small, noise < 0, first > second)
    noise = np.where(flip, -noise, noise)
    first, second = np.where(flip, second, first), np.where(flip, first, second)
    log_start = np.full(n.shape, -np.inf)
    log_start[valid] = counts.log_rising(second[valid], n[valid]) - counts.log_rising(
        first[valid] + second[valid], n[valid]
    )
    walkable = log_start > _LOG_SMALLEST_START

    def walk(lanes: BoolArray) -> FloatArray:
        k = n[lanes]
        parameters = [k.copy(), first[lanes], second[lanes] + k - 1.0, np.empty_like(k)]
        u = _cumulative_target(noise[lanes])
        return _lockstep(u, log_start[lanes], _beta_binomial_step, parameters)

    def search(lanes: BoolArray) -> FloatArray:
        k, x, y = n[lanes], first[lanes], second[lanes]
        share, total = x / (x + y), x + y
        sd = np.sqrt(k * share * (1.0 - share) * (total + k) / (total + 1.0))
        start = _cornish_fisher(noise[lanes], k * share, sd, np.zeros_like(sd))
        return smallest_reaching(
            noise[lanes], start, k, counts.beta_binomial_cdf, counts.beta_binomial_sf, (k, x, y)
        )

    found = np.minimum(_walk_or_search(noise, walkable, walk, search, valid), n)
    return np.where(flip, n - found, found).reshape(shape)
