"""Tail probabilities of count distributions, precise in both tails."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

type FloatArray = NDArray[np.float64]

_MOST = 0.9  # one minus a tail up to this keeps all but one digit
_FEW_TRIALS = 64
_NOTHING = 1e-18  # of a sum, what no digit of it shows
_STIRLING_FROM = 16.0  # from here five terms of Stirling's series reach double precision


def log1mexp(x: ArrayLike) -> FloatArray:
    """Return log(1 - exp(x)) for x <= 0 without cancellation.

    References
    ----------
    Maechler (2012), Accurately computing log(1 - exp(-|a|)), R package Rmpfr vignette.

    Examples
    --------
    >>> round(float(log1mexp(-1e-20)), 4)
    -46.0517
    """
    x = np.asarray(x, dtype=float)
    with np.errstate(divide="ignore", invalid="ignore", under="ignore"):
        return np.where(x > -np.log(2.0), np.log(-np.expm1(x)), np.log1p(-np.exp(x)))


def log_rising(x: ArrayLike, k: ArrayLike) -> FloatArray:
    """Return log Gamma(x + k) - log Gamma(x), also for large x and small k.

    The difference of two log-gammas of size x log x loses all digits of a small
    difference; the difference of Stirling's series does not.

    Examples
    --------
    >>> round(float(log_rising(3.0, 2.0)), 12) == round(float(np.log(12.0)), 12)
    True
    """
    from scipy import special

    x, k = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(k, dtype=float))
    out = np.empty(x.shape)
    large = x >= _STIRLING_FROM
    # a step of less than one is lost between two log-gammas: go up to Stirling's range
    short = ~large & (k < 1.0)
    rest = ~large & ~short
    with np.errstate(divide="ignore", invalid="ignore"):
        out[rest] = special.gammaln(x[rest] + k[rest]) - special.gammaln(x[rest])
        out[large] = _stirling_rising(x[large], k[large])
        if short.any():
            y, step = x[short], k[short]
            climb = np.sum([np.log1p(step / (y + i)) for i in range(int(_STIRLING_FROM))], axis=0)
            out[short] = _stirling_rising(y + _STIRLING_FROM, step) - climb
    return out


def _stirling_rising(x: FloatArray, k: FloatArray) -> FloatArray:
    """Difference of Stirling's series at x + k and at x."""
    main = (x + k - 0.5) * np.log1p(k / x) + k * (np.log(x) - 1.0)
    return np.asarray(main + (_stirling_rest(x + k) - _stirling_rest(x)))


def _stirling_rest(z: FloatArray) -> FloatArray:
    w = 1.0 / (z * z)
    series = 1 / 1680 - w * (1 / 1188 - w * 691 / 360360)
    return np.asarray((1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * series))) / z)


def poisson_cdf(k: ArrayLike, mu: ArrayLike) -> FloatArray:
    """P(Y <= k) of a Poisson count."""
    from scipy import special

    k = np.floor(np.asarray(k, dtype=float))
    return np.where(
        k < 0, 0.0, special.gammaincc(np.maximum(k, 0.0) + 1.0, np.asarray(mu, dtype=float))
    )


def poisson_sf(k: ArrayLike, mu: ArrayLike) -> FloatArray:
    """P(Y > k) of a Poisson count."""
    from scipy import special

    k = np.floor(np.asarray(k, dtype=float))
    return np.where(
        k < 0, 1.0, special.gammainc(np.maximum(k, 0.0) + 1.0, np.asarray(mu, dtype=float))
    )


def _incomplete_beta(a: FloatArray, b: FloatArray, x: FloatArray, rest: FloatArray) -> FloatArray:
    """I_x(a, b) from x and rest = 1 - x, each precise: the smaller one is used."""
    from scipy import special

    out = np.empty(x.shape)
    small = x <= rest
    out[small] = special.betainc(a[small], b[small], x[small])
    out[~small] = special.betaincc(b[~small], a[~small], rest[~small])
    return out


def negative_binomial_cdf(k: ArrayLike, mu: ArrayLike, alpha: ArrayLike) -> FloatArray:
    """P(Y <= k) of a negative binomial count with variance mu + mu**2 / alpha."""
    k, mu, alpha = np.broadcast_arrays(np.floor(np.asarray(k, dtype=float)), mu, alpha)
    total = mu + alpha
    inner = _incomplete_beta(
        np.asarray(alpha, dtype=float), np.maximum(k, 0.0) + 1.0, alpha / total, mu / total
    )
    return np.where(k < 0, 0.0, inner)


def negative_binomial_sf(k: ArrayLike, mu: ArrayLike, alpha: ArrayLike) -> FloatArray:
    """P(Y > k) of a negative binomial count with variance mu + mu**2 / alpha."""
    k, mu, alpha = np.broadcast_arrays(np.floor(np.asarray(k, dtype=float)), mu, alpha)
    total = mu + alpha
    inner = _incomplete_beta(
        np.maximum(k, 0.0) + 1.0, np.asarray(alpha, dtype=float), mu / total, alpha / total
    )
    return np.where(k < 0, 1.0, inner)


def binomial_cdf(k: ArrayLike, trials: ArrayLike, eta: ArrayLike) -> FloatArray:
    """P(Y <= k) of a binomial count with success logit eta."""
    from scipy import special

    k, n, eta = np.broadcast_arrays(np.floor(np.asarray(k, dtype=float)), trials, eta)
    inside = np.clip(k, 0.0, np.maximum(n - 1.0, 0.0))
    left = np.maximum(n - inside, 1.0)
    inner = _incomplete_beta(left, inside + 1.0, special.expit(-eta), special.expit(eta))
    return np.where(k < 0, 0.0, np.where(k >= n, 1.0, inner))


def binomial_sf(k: ArrayLike, trials: ArrayLike, eta: ArrayLike) -> FloatArray:
    """P(Y > k) of a binomial count with success logit eta."""
    from scipy import special

    k, n, eta = np.broadcast_arrays(np.floor(np.asarray(k, dtype=float)), trials, eta)
    inside = np.clip(k, 0.0, np.maximum(n - 1.0, 0.0))
    left = np.maximum(n - inside, 1.0)
    inner = _incomplete_beta(inside + 1.0, left, special.expit(eta), special.expit(-eta))
    return np.where(k < 0, 1.0, np.where(k >= n, 0.0, inner))


def beta_binomial_logpmf(k: ArrayLike, trials: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Log P(Y = k) of a beta-binomial count, for k in 0 .. trials."""
    from scipy import special

    k, n = np.asarray(k, dtype=float), np.asarray(trials, dtype=float)
    a, b = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    choose = special.gammaln(n + 1.0) - special.gammaln(k + 1.0) - special.gammaln(n - k + 1.0)
    return np.asarray(choose + log_rising(a, k) + log_rising(b, n - k) - log_rising(a + b, n))


def beta_binomial_log_zero(trials: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """Log P(Y = 0) of a beta-binomial count, relatively precise also where it is near 0."""
    n, a, b = np.broadcast_arrays(*(np.asarray(x, dtype=float) for x in (trials, a, b)))
    out = np.array(log_rising(b, n) - log_rising(a + b, n))
    near = out > -0.1
    if near.any():
        # few trials: the product of failures; many: the same ratio, short in the other shape
        m, x, y = n[near], a[near], b[near]
        product = np.zeros(m.size)
        for i in range(int(np.max(np.where(m <= _FEW_TRIALS, m, 0.0)))):
            product += np.where(i < m, np.log1p(-x / (x + y + i)), 0.0)
        out[near] = np.where(m <= _FEW_TRIALS, product, log_rising(y, x) - log_rising(y + m, x))
    return out


def beta_binomial_log_lower(
    k: ArrayLike, trials: ArrayLike, a: ArrayLike, b: ArrayLike
) -> FloatArray:
    """Log P(Y <= k) of a beta-binomial count: the sum of its terms from k down to 0.

    The sum is relative to the term at k, so that a tail of 1e-400 has a logarithm.
    Long lanes leave last; the cost is the largest k, or where terms that only fall stop to count.
    """
    shaped = np.broadcast_arrays(np.floor(np.asarray(k, dtype=float)), trials, a, b)
    shape = shaped[0].shape
    top, n, x, y = (np.array(s, dtype=float).ravel() for s in shaped)
    inside = np.clip(top, 0.0, n)
    log_sum = np.zeros(top.size)
    lanes = np.flatnonzero(inside > 0)
    at, m, p, q = inside[lanes], n[lanes], x[lanes], y[lanes]
    term, total = np.ones(lanes.size), np.ones(lanes.size)
    # With one mode, terms that once are far below the sum never rise again.
    one_mode = (p >= 1.0) & (q >= 1.0)
    while lanes.size:
        with np.errstate(over="ignore"):
            term = term * (at * (q + m - at) / ((m - at + 1.0) * (p + at - 1.0)))
            total = total + term
        at = at - 1.0
        # a hump far below k: rescale instead of overflowing
        large = total > 1e200
        if large.any():
            log_sum[lanes[large]] += np.log(total[large])
            term = np.where(large, term / total, term)
            total = np.where(large, 1.0, total)
        done = (at <= 0) | (one_mode & (at * term < _NOTHING * total))
        if done.any():
            log_sum[lanes[done]] += np.log(total[done])
            keep = ~done
            lanes, at, m, p, q = (z[keep] for z in (lanes, at, m, p, q))
            term, total, one_mode = term[keep], total[keep], one_mode[keep]
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.minimum(beta_binomial_logpmf(inside, n, x, y) + log_sum, 0.0)
    out = np.where(top < 0, -np.inf, np.where(top >= n, 0.0, out))
    return out.reshape(shape)


def beta_binomial_cdf(k: ArrayLike, trials: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """P(Y <= k) of a beta-binomial count, by summing up to k."""
    return np.asarray(np.exp(beta_binomial_log_lower(k, trials, a, b)))


def beta_binomial_sf(k: ArrayLike, trials: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """P(Y > k) of a beta-binomial count, by summing from k + 1."""
    k, n = np.floor(np.asarray(k, dtype=float)), np.asarray(trials, dtype=float)
    return np.asarray(np.exp(beta_binomial_log_lower(n - k - 1.0, n, b, a)))


def both_tails(
    k: ArrayLike,
    mean: ArrayLike,
    log_zero: ArrayLike,
    cdf: Callable[..., FloatArray],
    sf: Callable[..., FloatArray],
    *parameters: ArrayLike,
) -> tuple[FloatArray, FloatArray]:
    """P(Y <= k) and P(Y > k), both precise, at the price of about one of them.

    Parameters
    ----------
    k : array_like
        Counts.
    mean, log_zero : array_like
        Mean and log P(Y = 0) of the distribution.
    cdf, sf : callable
        ``cdf(k, *parameters)`` and ``sf(k, *parameters)``, each precise where it is small.
    *parameters : array_like
        Parameters of the distribution.

    Returns
    -------
    lower, upper : ndarray
        Broadcast shape of everything.
    """
    floor, middle, zero, *own = np.broadcast_arrays(
        np.floor(np.asarray(k, dtype=float)), mean, log_zero, *parameters
    )
    lower, upper = np.zeros(floor.shape), np.ones(floor.shape)
    at_zero = floor == 0
    lower[at_zero], upper[at_zero] = np.exp(zero[at_zero]), -np.expm1(zero[at_zero])
    inside = ~(floor < 0) & ~at_zero
    left = inside & (floor + 1.0 <= middle)
    for lanes, near, far, near_tail, far_tail in (
        (left, lower, upper, cdf, sf),
        (inside & ~left, upper, lower, sf, cdf),
    ):
        if not lanes.any():
            continue
        near[lanes] = near_tail(floor[lanes], *(p[lanes] for p in own))
        far[lanes] = 1.0 - near[lanes]
        # a tail near 1 on its own side of the mean (strong skew) leaves few digits to the other
        again = lanes & (near > _MOST)
        if again.any():
            far[again] = far_tail(floor[again], *(p[again] for p in own))
    return lower, upper
