"""Effective sample sizes of many parameters at once.

The numbers are ArviZ's: rank-normalised split chains and Geyer's initial monotone sequence (Vehtari
et al. 2021, doi 10.1214/20-BA1221). ArviZ takes one parameter after the other; here each step is
taken for all of them, and no lag is computed that no parameter needs.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["effective_sizes"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: Tails are looked at beyond these quantiles.
TAILS = (0.05, 0.95)
#: Blom's (1958) offset of ranks.
BLOM = 0.375
#: Parameters that are handled at once.
AT_ONCE = 128


def effective_sizes(draws: Floats) -> tuple[Floats, Floats]:
    """Return bulk and tail effective sample sizes.

    Parameters
    ----------
    draws : array, dims (chain, draw, parameter)

    Returns
    -------
    bulk, tail : array, dims (parameter,)
    """
    bulk, tail = np.empty(draws.shape[2]), np.empty(draws.shape[2])
    for first in range(0, bulk.size, AT_ONCE):
        some = slice(first, first + AT_ONCE)
        bulk[some], tail[some] = _sizes(np.ascontiguousarray(np.moveaxis(draws[..., some], 2, 0)))
    return bulk, tail


def _sizes(draws: Floats) -> tuple[Floats, Floats]:
    """Return both sizes, of draws of dims (parameter, chain, draw)."""
    flat = draws.reshape(draws.shape[0], -1)
    order = flat.argsort(axis=1)
    ranked = np.take_along_axis(flat, order, axis=1)
    half = _split(draws)
    if half.size == draws.size:
        scores = _scores(order, ranked).reshape(draws.shape)
    else:
        # The middle draw of a chain of odd length belongs to neither half, and has no rank.
        halves = half.reshape(half.shape[0], -1)
        order = halves.argsort(axis=1)
        scores = _scores(order, np.take_along_axis(halves, order, axis=1)).reshape(half.shape)
    bulk = _size(_split(scores) if half.size == draws.size else scores)
    ends = []
    for share in TAILS:
        at = share * (flat.shape[1] - 1)
        low = int(at)
        a, b = ranked[:, low], ranked[:, min(low + 1, flat.shape[1] - 1)]
        t = at - low
        quantile = np.where(t < 0.5, a + (b - a) * t, b - (b - a) * (1.0 - t))
        ends.append(_size(_split((draws <= quantile[:, None, None]).astype(float))))
    return bulk, np.minimum(*ends)


def _split(draws: Floats) -> Floats:
    """Split each chain in halves, dims (parameter, half chain, draw)."""
    half = draws.shape[2] // 2
    return np.concatenate([draws[..., :half], draws[..., -half:]], axis=1)


def _scores(order: Indices, ranked: Floats) -> Floats:
    """Return normal scores of average ranks, dims (parameter, draw)."""
    from scipy.special import ndtri

    count = ranked.shape[1]
    place = np.arange(count)
    new = np.ones(ranked.shape, dtype=bool)
    new[:, 1:] = ranked[:, 1:] != ranked[:, :-1]
    first = np.maximum.accumulate(np.where(new, place, 0), axis=1)
    ends = np.ones(ranked.shape, dtype=bool)
    ends[:, :-1] = new[:, 1:]
    last = np.minimum.accumulate(np.where(ends, place, count)[:, ::-1], axis=1)[:, ::-1]
    # An average of ranks is a whole number of halves, so few scores are to be computed.
    halves = np.arange(2 * count - 1)
    table = ndtri((0.5 * halves + 1.0 - BLOM) / (count - 2.0 * BLOM + 1.0))
    scores = np.empty(ranked.shape)
    np.put_along_axis(scores, order, table[first + last], axis=1)
    return scores


def _size(draws: Floats) -> Floats:
    """Return the effective size of means of draws, dims (parameter, chain, draw)."""
    parameters, chains, count = draws.shape
    total = float(chains * count)
    mean = draws.mean(axis=2, keepdims=True)
    away = draws - mean
    own = np.einsum("pcd,pcd->p", away, away) / total
    within = own * count / (count - 1.0)
    spread = own.copy()
    if chains > 1:
        spread += mean[..., 0].var(axis=1, ddof=1)
    still = np.ptp(draws.reshape(parameters, -1), axis=1) < np.finfo(float).resolution

    def correlation(lag: int, which: Indices) -> Floats:
        some = away if which.size == parameters else away[which]
        product = np.einsum("pcd,pcd->p", some[..., : count - lag], some[..., lag:]) / total
        return np.asarray(1.0 - (within[which] - product) / spread[which])

    with np.errstate(invalid="ignore", divide="ignore"):
        everyone = np.arange(parameters)
        even, odd = np.ones(parameters), correlation(1, everyone)
        rho = [even.copy(), odd.copy()]
        last = np.full(parameters, -1)
        at = 1
        active = np.flatnonzero(even + odd > 0.0)
        while at < count - 3 and active.size:
            even[active], odd[active] = (correlation(at + k, active) for k in (1, 2))
            keeps = active[even[active] + odd[active] >= 0.0]
            for values in (even, odd):
                rho.append(np.zeros(parameters))
                rho[-1][keeps] = values[keeps]
            at += 2
            last[active] = at - 2
            active = active[even[active] + odd[active] > 0.0]
    rho.append(np.zeros(parameters))
    table = np.stack(rho)
    above = everyone[even > 0.0]
    table[last[above] + 1, above] = even[above]
    for at in range(1, int(last.max(initial=0)) - 1, 2):
        rises = table[at + 1] + table[at + 2] > table[at - 1] + table[at]
        rises &= at <= last - 2
        mean_before = 0.5 * (table[at - 1] + table[at])
        table[at + 1, rises] = table[at + 2, rises] = mean_before[rises]
    upto = np.concatenate([np.zeros((1, parameters)), table.cumsum(axis=0)])
    time = -1.0 + 2.0 * upto[last + 1, everyone] + table[last + 1, everyone]
    sizes = total / np.maximum(time, 1.0 / np.log10(total))
    sizes[np.isnan(table).any(axis=0)] = np.nan
    sizes[still] = total
    return np.asarray(sizes)
