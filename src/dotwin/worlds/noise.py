"""Noise that is addressed, not stored.

The noise of (indicator, draw, unit, period) is a pure function of these names and the seed: a
counter-based generator (Philox4x32-10 [1]_) is keyed by seed and name, and counts draw, unit and
period. So two scenarios share their noise exactly, nothing depends on blocks, cores or order, a
further unit or indicator changes nobody else's noise, and memory does not grow with scenarios.

Noise is *signed tail noise* v with 0 < abs(v) < 1/2: v > 0 says that the value sits where its
lower tail has probability v, v < 0 that its upper tail has probability -v. Both tails are equally
precise, and -v is as good as v, which gives antithetic pairs.

References
----------
.. [1] Salmon, J. K., Moraes, M. A., Dror, R. O., & Shaw, D. E. (2011). Parallel random numbers:
   as easy as 1, 2, 3. SC '11. doi:10.1145/2063384.2063405
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import SpecificationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.prior import Prior

__all__ = [
    "node_key",
    "normal_noise",
    "philox4x32",
    "prior_quantile",
    "tail_noise",
    "uniform",
    "unit_numbers",
]

_MASK = np.uint64(0xFFFFFFFF)
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint64(0x9E3779B9), np.uint64(0xBB67AE85))
_HALF_WORD = np.uint64(32)


def philox4x32(
    counter: Sequence[Any], key: Sequence[Any], rounds: int = 10
) -> tuple[NDArray[np.uint64], ...]:
    """Philox4x32: four 32-bit words from a counter of four words and a key of two.

    This is the readable form, in NumPy; `tail_noise` runs the same rounds compiled.

    Parameters
    ----------
    counter : four arrays of integers below 2**32
        Their shapes broadcast.
    key : two integers below 2**32
    rounds : int

    Returns
    -------
    tuple of four uint64 arrays
        Each word below 2**32.

    References
    ----------
    .. [1] Salmon et al. (2011). doi:10.1145/2063384.2063405

    Examples
    --------
    >>> [f"{int(word):08x}" for word in philox4x32((0, 0, 0, 0), (0, 0))]
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8']
    """
    c0, c1, c2, c3 = np.broadcast_arrays(*(np.asarray(word, dtype=np.uint64) for word in counter))
    k0, k1 = (np.uint64(word) for word in key)
    for _ in range(rounds):
        p0, p1 = _MULTIPLIERS[0] * c0, _MULTIPLIERS[1] * c2
        c0, c1, c2, c3 = (
            (p1 >> _HALF_WORD) ^ c1 ^ k0,
            p1 & _MASK,
            (p0 >> _HALF_WORD) ^ c3 ^ k1,
            p0 & _MASK,
        )
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return c0, c1, c2, c3


def node_key(seed: int, node: str) -> tuple[int, int]:
    """Give the key of a node's noise: 64 bits of a hash of seed and name.

    Parameters
    ----------
    seed : int
        Any integer.
    node : str
        Such as ``missed_visits`` or ``missed_visits.period``.

    Returns
    -------
    tuple of two int below 2**32
    """
    digest = hashlib.blake2s(f"{int(seed)}/{node}".encode(), digest_size=8).digest()
    number = int.from_bytes(digest, "little")
    return number & 0xFFFFFFFF, number >> 32


def unit_numbers(ids: Iterable[str]) -> NDArray[np.uint64]:
    """Number units or groups by a 64-bit hash of their id, whatever their position.

    Parameters
    ----------
    ids : iterable of str

    Returns
    -------
    uint64 array (unit,)
    """
    digests = [hashlib.blake2s(str(one).encode(), digest_size=8).digest() for one in ids]
    return np.frombuffer(b"".join(digests), dtype="<u8").astype(np.uint64)


def tail_noise(
    seed: int, node: str, draws: NDArray[Any], units: NDArray[np.uint64], period: int
) -> NDArray[np.float64]:
    """Give the signed tail noise of a node in one period.

    Parameters
    ----------
    seed : int
    node : str
    draws : integer array (draw,)
        The posterior draws' own numbers, so that a subset of draws keeps its noise.
    units : uint64 array (unit,)
        From `unit_numbers`.
    period : int
        The calendar's number of the period; 0 in a cross-section.

    Returns
    -------
    float64 array (draw, unit)
        v with 2**-54 <= abs(v) < 1/2.

    Examples
    --------
    >>> units = unit_numbers(["home-1", "home-2"])
    >>> both = tail_noise(1, "visits", np.arange(3), units, 662)
    >>> bool((both[2:, 1:] == tail_noise(1, "visits", np.array([2]), units[1:], 662)).all())
    True
    """
    from dotwin.mechanisms.memory import room
    from dotwin.worlds.philox import fill_tail_noise

    key = node_key(seed, node)
    out = room((len(draws), len(units)))
    numbers = np.ascontiguousarray(units, dtype=np.uint64)
    fill_tail_noise(
        np.uint64(key[0]),
        np.uint64(key[1]),
        np.ascontiguousarray(draws, dtype=np.uint64) & _MASK,
        numbers & _MASK,
        numbers >> _HALF_WORD,
        np.uint64(int(period) & 0xFFFFFFFF),
        out,
    )
    return out


def uniform(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn signed tail noise into the probability below it.

    Examples
    --------
    >>> uniform(np.array([0.25, -0.25]))
    array([0.25, 0.75])
    """
    return np.where(v > 0, v, 1.0 + v)


def normal_noise(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Turn signed tail noise into standard normal noise.

    Examples
    --------
    >>> normal_noise(np.array([0.025, -0.025])).round(2)
    array([-1.96,  1.96])
    """
    from scipy.special import ndtri

    z: NDArray[np.float64] = np.copysign(ndtri(np.abs(v)), -v)
    return z


def prior_quantile(prior: Prior, v: NDArray[np.float64]) -> NDArray[np.float64]:
    """Draw a distribution at given signed tail noise, by inversion.

    Parameters
    ----------
    prior : Prior
    v : float array

    Returns
    -------
    float array of the same shape

    Examples
    --------
    >>> from dotwin.spec import Prior
    >>> prior_quantile(Prior.parse("normal(3, 2)"), np.array([0.025, -0.025])).round(2)
    array([-0.92,  6.92])
    """
    from scipy import special

    v = np.asarray(v, dtype=float)
    tail, upper = np.abs(v), v < 0
    a = prior.arguments

    def student(nu: float) -> NDArray[np.float64]:
        return np.asarray(np.copysign(special.stdtrit(nu, tail), -v), dtype=float)

    def outer(lower: NDArray[np.float64], higher: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(upper, higher, lower)

    # A half distribution's lower tail p is the middle 2p of the full one, its upper tail p the
    # outer tails p/2 each.
    half = np.where(upper, tail / 2, 0.5 - tail / 2)
    match prior.distribution:
        case "normal":
            return a[0] + a[1] * normal_noise(v)
        case "student_t":
            return a[1] + a[2] * student(a[0])
        case "half_normal":
            return np.asarray(-a[0] * special.ndtri(half), dtype=float)
        case "half_student_t":
            return np.asarray(-a[1] * special.stdtrit(a[0], half), dtype=float)
        case "exponential":
            return outer(-np.log1p(-tail), -np.log(tail)) / a[0]
        case "gamma":
            lower, higher = special.gammaincinv(a[0], tail), special.gammainccinv(a[0], tail)
            return outer(lower, higher) / a[1]
        case "lognormal":
            return np.exp(a[0] + a[1] * normal_noise(v))
        case "beta":
            lower = special.betaincinv(a[0], a[1], tail)
            higher = special.betainccinv(a[0], a[1], tail)
            return outer(lower, higher)
        case "uniform":
            return a[0] + (a[1] - a[0]) * uniform(v)
    raise SpecificationError(f"'{prior}' cannot be drawn: its distribution has no quantile here.")
