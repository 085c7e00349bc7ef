"""What counts have in common, and the unbounded ones: poisson and negative_binomial."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms import counts, quantiles
from dotwin.mechanisms.family import (
    COUNT,
    DiscreteFamily,
    DispersionParameter,
    Extra,
    Support,
    dispersion_parameter,
)
from dotwin.mechanisms.links import Tensor, tensors

type FloatArray = NDArray[np.float64]
type TailFunction = Callable[..., FloatArray]

_UNDERFLOW = 1e-280  # tails below this are summed relative to their first term
_LONGEST_SERIES = 10_000
_SERIES_TERMS = 12  # terms of that sum in a graph: there each is far below the one before


def _array(x: ArrayLike) -> FloatArray:
    return np.asarray(x, dtype=float)


def _exp(eta: ArrayLike) -> FloatArray:
    with np.errstate(over="ignore", under="ignore"):
        return np.asarray(np.exp(_array(eta)))


@dataclass(frozen=True)
class CountFamily(DiscreteFamily):
    """Counts whose truncated moments are tails of a sister distribution."""

    def log_zero(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Log P(Y = 0), relatively precise also where it is near 0."""
        return self.logp(0.0, eta, extra, trials)

    @abstractmethod
    def _tail_functions(self) -> tuple[TailFunction, TailFunction]:
        """The distribution function and its complement, each precise where it is small."""

    @abstractmethod
    def _parameters(
        self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None
    ) -> tuple[FloatArray, ...]:
        """What the tail functions take after the count."""

    def tails(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """P(Y <= y) and P(Y > y) together."""
        mean = self.mean(eta, extra, trials)
        log_zero = self.log_zero(eta, extra, trials)
        parameters = self._parameters(eta, extra, trials)
        return counts.both_tails(y, mean, log_zero, *self._tail_functions(), *parameters)

    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y)."""
        return self.tails(y, eta, extra, trials)[0]

    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y)."""
        return self.tails(y, eta, extra, trials)[1]

    @abstractmethod
    def pymc_log_zero(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y = 0) as a PyTensor graph, precise also near 0."""

    @abstractmethod
    def ratio(
        self, k: FloatArray, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y = k) / P(Y = k - 1)."""

    def logsf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log P(Y > y), also where the probability underflows."""
        tail = self.sf(y, eta, extra, trials)
        with np.errstate(divide="ignore"):
            out = np.log(tail)
        deep = tail < _UNDERFLOW
        if deep.any():
            first = np.floor(_array(y)) + 1.0
            series = self.logp(first, eta, extra, trials) + np.log(
                self.tail_sum(first, eta, extra, trials)
            )
            out = np.where(deep, series, out)
        return np.asarray(out)

    def tail_sum(
        self, first: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y >= first) / P(Y = first), by its series; meant for ``first`` far above the mean."""
        k = np.asarray(first, dtype=float)
        term = np.minimum(self.ratio(k + 1.0, eta, extra, trials), 1.0)
        total = 1.0 + term
        # geometric at worst: far above the mean the ratio is well below one
        for _ in range(_LONGEST_SERIES):
            if np.all(term <= np.finfo(float).eps * total):
                break
            k = k + 1.0
            term = term * np.clip(self.ratio(k + 1.0, eta, extra, trials), 0.0, 1.0)
            total = total + term
        return np.asarray(total)


@dataclass(frozen=True)
class SeriesFamily(CountFamily):
    """Counts whose tail is an incomplete gamma or beta function."""

    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y > y) as a PyTensor graph; by its series where it underflows."""
        pt = tensors()

        first = pt.floor(y) + 1.0
        inside = pt.maximum(first, 1.0)
        tail = self._pymc_tail(inside, eta, extra, trials)
        deep = pt.lt(tail, _UNDERFLOW)
        total: Any = 1.0
        for step in range(_SERIES_TERMS, 0, -1):
            ratio = pt.clip(self._pymc_ratio(inside + step, eta, extra, trials), 0.0, 1.0)
            total = 1.0 + ratio * total
        series = self.pymc_logp(inside, eta, extra, trials) + pt.log(total)
        at_one = pt.log(-pt.expm1(self.pymc_log_zero(eta, extra, trials)))
        general = pt.switch(deep, series, pt.log(pt.switch(deep, 1.0, tail)))
        return pt.switch(pt.le(first, 0.0), 0.0, pt.switch(pt.eq(first, 1.0), at_one, general))

    @abstractmethod
    def _pymc_tail(self, first: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        """P(Y >= first) for first >= 1 as a PyTensor graph."""

    @abstractmethod
    def _pymc_ratio(self, k: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        """P(Y = k) / P(Y = k - 1) as a PyTensor graph."""


@dataclass(frozen=True)
class Poisson(SeriesFamily):
    """Poisson with mean exp(eta)."""

    name: str = "poisson"
    link: str = "log"
    links: tuple[str, ...] = ("log",)
    support: Support = COUNT
    discrete: bool = True
    needs_trials: bool = False
    dispersion: tuple[DispersionParameter, ...] = ()

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log probability."""
        from scipy import special

        y, eta = _array(y), _array(eta)
        possible = self.support.contains(y)
        safe = np.where(possible, y, 0.0)
        return np.where(possible, safe * eta - _exp(eta) - special.gammaln(safe + 1.0), -np.inf)

    def _tail_functions(self) -> tuple[TailFunction, TailFunction]:
        return counts.poisson_cdf, counts.poisson_sf

    def _parameters(
        self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None
    ) -> tuple[FloatArray, ...]:
        return (_exp(eta),)

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Count at signed tail noise."""
        return quantiles.poisson(v, eta)

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation: exp(eta)."""
        return _exp(eta)

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance: exp(eta)."""
        return _exp(eta)

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""
        eta, low = _array(eta), np.ceil(_array(lower))
        above = self.logsf(low - 1.0, eta, extra)
        first = np.exp(eta + self.logsf(low - 2.0, eta, extra) - above)
        falling = np.exp(2.0 * eta + self.logsf(low - 3.0, eta, extra) - above)
        return first, falling + first

    def ratio(
        self, k: FloatArray, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y = k) / P(Y = k - 1)."""
        return _exp(eta) / k

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.Poisson``."""
        import pymc as pm

        pt = tensors()

        return pm.Poisson.dist(pt.exp(eta))

    def pymc_log_zero(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y = 0)."""
        pt = tensors()

        return -pt.exp(eta)

    def _pymc_tail(self, first: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        pt = tensors()

        return pt.gammainc(first, pt.exp(eta))

    def _pymc_ratio(self, k: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        pt = tensors()

        return pt.exp(eta) / k


@dataclass(frozen=True)
class NegativeBinomial(SeriesFamily):
    """Negative binomial with mean mu = exp(eta) and variance mu + mu**2 / dispersion."""

    name: str = "negative_binomial"
    link: str = "log"
    links: tuple[str, ...] = ("log",)
    support: Support = COUNT
    discrete: bool = True
    needs_trials: bool = False
    dispersion: tuple[DispersionParameter, ...] = (
        dispersion_parameter("1/√dispersion is the spread of rates that the causes do not explain"),
    )

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log probability."""
        from scipy import special

        y, alpha = _array(y), _array(extra["dispersion"])
        possible = self.support.contains(y)
        safe = np.where(possible, y, 0.0)
        # log of the share mu / (mu + alpha) and of its complement, from their odds
        log_odds = _array(eta) - np.log(alpha)
        inside = (
            counts.log_rising(alpha, safe)
            - special.gammaln(safe + 1.0)
            + special.xlog1py(-alpha, _exp(log_odds))
            + safe * special.log_expit(log_odds)
        )
        return np.where(possible, inside, -np.inf)

    def _tail_functions(self) -> tuple[TailFunction, TailFunction]:
        return counts.negative_binomial_cdf, counts.negative_binomial_sf

    def _parameters(
        self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None
    ) -> tuple[FloatArray, ...]:
        return (_exp(eta), _array(extra["dispersion"]))

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Count at signed tail noise."""
        return quantiles.negative_binomial(v, eta, extra["dispersion"])

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation: exp(eta)."""
        mean, _ = np.broadcast_arrays(_exp(eta), extra["dispersion"])
        return mean

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance: mu + mu**2 / dispersion."""
        mu = _exp(eta)
        return mu + mu * mu / _array(extra["dispersion"])

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""
        eta, alpha, low = _array(eta), _array(extra["dispersion"]), np.ceil(_array(lower))
        above = self.logsf(low - 1.0, eta, extra)

        def sister(times: int) -> FloatArray:
            # y (y-1) ... p(y) is the same share with dispersion alpha + times
            more = {"dispersion": alpha + times}
            shifted = eta + np.log1p(times / alpha)
            return self.logsf(low - 1.0 - times, shifted, more) - above

        first = np.exp(eta + sister(1))
        falling = np.exp(2.0 * eta + np.log1p(1.0 / alpha) + sister(2))
        return first, falling + first

    def ratio(
        self, k: FloatArray, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y = k) / P(Y = k - 1)."""
        alpha, mu = _array(extra["dispersion"]), _exp(eta)
        return np.asarray((k - 1.0 + alpha) / k * (mu / (mu + alpha)))

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.NegativeBinomial``."""
        import pymc as pm

        pt = tensors()

        return pm.NegativeBinomial.dist(mu=pt.exp(eta), alpha=extra["dispersion"])

    def pymc_log_zero(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y = 0)."""
        pt = tensors()

        alpha = extra["dispersion"]
        return -alpha * pt.log1p(pt.exp(eta) / alpha)

    def _pymc_tail(self, first: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        pt = tensors()

        alpha, mu = extra["dispersion"], pt.exp(eta)
        return pt.betainc(first, alpha, mu / (mu + alpha))

    def _pymc_ratio(self, k: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        pt = tensors()

        alpha, mu = extra["dispersion"], pt.exp(eta)
        return (k - 1.0 + alpha) / k * (mu / (mu + alpha))
