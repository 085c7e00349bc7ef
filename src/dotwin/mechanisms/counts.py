"""Tail probabilities of count distributions, precise in both tails."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

type FloatArray = NDArray[np.float64]

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
    large = x >= _STIRLING_FROM
    with np.errstate(divide="ignore", invalid="ignore"):
        direct = special.gammaln(x + k) - special.gammaln(x)
        safe = np.where(large, x, _STIRLING_FROM)
        series = (
            (safe + k - 0.5) * np.log1p(k / safe)
            + k * (np.log(safe) - 1.0)
            + (_stirling_rest(safe + k) - _stirling_rest(safe))
        )
    return np.where(large, series, direct)


def _stirling_rest(z: FloatArray) -> FloatArray:
    w = 1.0 / (z * z)
    return np.asarray(
        (1 / 12 - w * (1 / 360 - w * (1 / 1260 - w * (1 / 1680 - w * (1 / 1188 - w * 691 / 360360))))) / z
    )


def poisson_cdf(k: ArrayLike, mu: ArrayLike) -> FloatArray:
    """P(Y <= k) of a Poisson count."""
    from scipy import special

    k = np.floor(np.asarray(k, dtype=float))
    return np.where(k < 0, 0.0, special.gammaincc(np.maximum(k, 0.0) + 1.0, mu))


def poisson_sf(k: ArrayLike, mu: ArrayLike) -> FloatArray:
    """P(Y > k) of a Poisson count."""
    from scipy import special

    k = np.floor(np.asarray(k, dtype=float))
    return np.where(k < 0, 1.0, special.gammainc(np.maximum(k, 0.0) + 1.0, mu))


def _incomplete_beta(a: FloatArray, b: FloatArray, x: FloatArray, rest: FloatArray) -> FloatArray:
    """I_x(a, b) from x and rest = 1 - x, each precise: the smaller one is used."""
    from scipy import special

    return np.where(
        x <= rest, special.betainc(a, b, np.minimum(x, 0.5)), special.betaincc(b, a, np.minimum(rest, 0.5))
    )


def negative_binomial_cdf(k: ArrayLike, mu: ArrayLike, alpha: ArrayLike) -> FloatArray:
    """P(Y <= k) of a negative binomial count with variance mu + mu**2 / alpha."""
    k, mu, alpha = np.broadcast_arrays(np.floor(np.asarray(k, dtype=float)), mu, alpha)
    total = mu + alpha
    inner = _incomplete_beta(alpha, np.maximum(k, 0.0) + 1.0, alpha / total, mu / total)
    return np.where(k < 0, 0.0, inner)


def negative_binomial_sf(k: ArrayLike, mu: ArrayLike, alpha: ArrayLike) -> FloatArray:
    """P(Y > k) of a negative binomial count with variance mu + mu**2 / alpha."""
    k, mu, alpha = np.broadcast_arrays(np.floor(np.asarray(k, dtype=float)), mu, alpha)
    total = mu + alpha
    inner = _incomplete_beta(np.maximum(k, 0.0) + 1.0, alpha, mu / total, alpha / total)
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


def beta_binomial_log_lower(
    k: ArrayLike, trials: ArrayLike, a: ArrayLike, b: ArrayLike
) -> FloatArray:
    """Log P(Y <= k) of a beta-binomial count: the sum of its terms from k down to 0.

    The sum is relative to the term at k, so that a tail of 1e-400 has a logarithm.
    Long lanes leave last; the cost is the largest k.
    """
    shaped = np.broadcast_arrays(np.floor(np.asarray(k, dtype=float)), trials, a, b)
    shape = shaped[0].shape
    top, n, x, y = (np.array(s, dtype=float).ravel() for s in shaped)
    inside = np.clip(top, 0.0, n)
    log_sum = np.zeros(top.size)
    lanes = np.flatnonzero(inside > 0)
    at, m, p, q = inside[lanes], n[lanes], x[lanes], y[lanes]
    term, total = np.ones(lanes.size), np.ones(lanes.size)
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
        done = at <= 0
        if done.any():
            log_sum[lanes[done]] += np.log(total[done])
            keep = ~done
            lanes, at, m, p, q = (z[keep] for z in (lanes, at, m, p, q))
            term, total = term[keep], total[keep]
    with np.errstate(divide="ignore", invalid="ignore"):
        out = np.minimum(beta_binomial_logpmf(inside, n, x, y) + log_sum, 0.0)
    out = np.where(top < 0, -np.inf, np.where(top >= n, 0.0, out))
    return out.reshape(shape)


def beta_binomial_cdf(k: ArrayLike, trials: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """P(Y <= k) of a beta-binomial count, precise where it is small."""
    return _beta_binomial_tail(k, trials, a, b)


def beta_binomial_sf(k: ArrayLike, trials: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    """P(Y > k) of a beta-binomial count, precise where it is small."""
    k, n = np.floor(np.asarray(k, dtype=float)), np.asarray(trials, dtype=float)
    return _beta_binomial_tail(n - k - 1.0, n, b, a)


def _beta_binomial_tail(k: ArrayLike, trials: ArrayLike, a: ArrayLike, b: ArrayLike) -> FloatArray:
    # sum on the side of the mean where the terms are few and their sum is not near 1
    k, n, a, b = np.broadcast_arrays(k, trials, a, b)
    out = np.empty(k.shape)
    lower = np.floor(k) * (a + b) < n * a
    upper = ~lower
    if lower.any():
        out[lower] = np.exp(beta_binomial_log_lower(k[lower], n[lower], a[lower], b[lower]))
    if upper.any():
        far = n[upper] - np.floor(k[upper]) - 1.0
        out[upper] = -np.expm1(beta_binomial_log_lower(far, n[upper], b[upper], a[upper]))
    return out
