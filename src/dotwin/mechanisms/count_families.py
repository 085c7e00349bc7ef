"""Count families: poisson, negative_binomial, binomial and beta_binomial."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms import counts, quantiles
from dotwin.mechanisms.continuous import beta_shapes
from dotwin.mechanisms.family import (
    COUNT,
    COUNT_OF_TRIALS,
    DiscreteFamily,
    DispersionParameter,
    Extra,
    Support,
    dispersion_parameter,
)
from dotwin.mechanisms.links import Tensor

type FloatArray = NDArray[np.float64]
type TailFunction = Callable[..., FloatArray]

_UNDERFLOW = 1e-280  # tails below this are summed relative to their first term
_LONGEST_SERIES = 10_000
_SERIES_TERMS = 12  # terms of that sum in a graph: there each is far below the one before


def _array(x: ArrayLike) -> FloatArray:
    return np.asarray(x, dtype=float)


def _trials(trials: ArrayLike | None) -> FloatArray:
    if trials is None:
        raise TypeError("this family needs the number of trials")
    return np.asarray(trials, dtype=float)


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
        import pytensor.tensor as pt

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
        return quantiles.poisson_quantile(v, _exp(eta))

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
        import pytensor.tensor as pt

        return pm.Poisson.dist(pt.exp(eta))

    def pymc_log_zero(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y = 0)."""
        import pytensor.tensor as pt

        return -pt.exp(eta)

    def _pymc_tail(self, first: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        import pytensor.tensor as pt

        return pt.gammainc(first, pt.exp(eta))

    def _pymc_ratio(self, k: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        import pytensor.tensor as pt

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
        return quantiles.negative_binomial_quantile(v, _exp(eta), extra["dispersion"])

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
        import pytensor.tensor as pt

        return pm.NegativeBinomial.dist(mu=pt.exp(eta), alpha=extra["dispersion"])

    def pymc_log_zero(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y = 0)."""
        import pytensor.tensor as pt

        alpha = extra["dispersion"]
        return -alpha * pt.log1p(pt.exp(eta) / alpha)

    def _pymc_tail(self, first: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        import pytensor.tensor as pt

        alpha, mu = extra["dispersion"], pt.exp(eta)
        return pt.betainc(first, alpha, mu / (mu + alpha))

    def _pymc_ratio(self, k: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        import pytensor.tensor as pt

        alpha, mu = extra["dispersion"], pt.exp(eta)
        return (k - 1.0 + alpha) / k * (mu / (mu + alpha))


@dataclass(frozen=True)
class Binomial(SeriesFamily):
    """Binomial: successes in ``trials`` with probability expit(eta)."""

    name: str = "binomial"
    link: str = "logit"
    links: tuple[str, ...] = ("logit",)
    support: Support = COUNT_OF_TRIALS
    discrete: bool = True
    needs_trials: bool = True
    dispersion: tuple[DispersionParameter, ...] = ()

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log probability."""
        from scipy import special

        y, eta, n = _array(y), _array(eta), _trials(trials)
        possible = self.support.contains(y, n)
        safe = np.where(possible, y, 0.0)
        choose = special.gammaln(n + 1.0) - special.gammaln(safe + 1.0)
        choose = choose - special.gammaln(n - safe + 1.0)
        inside = choose + safe * special.log_expit(eta) + (n - safe) * special.log_expit(-eta)
        return np.where(possible, inside, -np.inf)

    def _tail_functions(self) -> tuple[TailFunction, TailFunction]:
        return counts.binomial_cdf, counts.binomial_sf

    def _parameters(
        self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None
    ) -> tuple[FloatArray, ...]:
        return (_trials(trials), _array(eta))

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Count at signed tail noise."""
        return quantiles.binomial_quantile(v, _trials(trials), eta)

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation: trials * expit(eta)."""
        return _trials(trials) * self.link_function.inverse(eta)

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance."""
        inverse = self.link_function.inverse
        return _trials(trials) * inverse(eta) * inverse(-_array(eta))

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""
        n, low = _trials(trials), np.ceil(_array(lower))
        p = self.link_function.inverse(eta)
        above = self.logsf(low - 1.0, eta, extra, n)

        def sister(times: int) -> FloatArray:
            fewer = np.maximum(n - times, 0.0)
            return np.exp(self.logsf(low - 1.0 - times, eta, extra, fewer) - above)

        first = n * p * sister(1)
        falling = n * np.maximum(n - 1.0, 0.0) * p * p * sister(2)
        return first, falling + first

    def ratio(
        self, k: FloatArray, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y = k) / P(Y = k - 1)."""
        return np.asarray(np.maximum(_trials(trials) - k + 1.0, 0.0) / k * _exp(eta))

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.Binomial``."""
        import pymc as pm

        return pm.Binomial.dist(n=trials, logit_p=eta)

    def pymc_log_zero(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y = 0)."""
        import pytensor.tensor as pt

        return -trials * pt.softplus(eta)

    def _pymc_tail(self, first: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        import pytensor.tensor as pt

        return pt.betainc(first, pt.maximum(trials - first + 1.0, 1.0), pt.sigmoid(eta))

    def _pymc_ratio(self, k: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        import pytensor.tensor as pt

        return pt.maximum(trials - k + 1.0, 0.0) / k * pt.exp(eta)


@dataclass(frozen=True)
class BetaBinomial(CountFamily):
    """Beta-binomial: a binomial whose probability is beta with mean expit(eta)."""

    name: str = "beta_binomial"
    link: str = "logit"
    links: tuple[str, ...] = ("logit",)
    support: Support = COUNT_OF_TRIALS
    discrete: bool = True
    needs_trials: bool = True
    dispersion: tuple[DispersionParameter, ...] = (
        dispersion_parameter(
            "precision: shares scatter with variance mean (1 - mean) / (1 + dispersion)"
        ),
    )

    def _shapes(self, eta: ArrayLike, extra: Extra) -> tuple[FloatArray, FloatArray]:
        return beta_shapes(eta, extra["dispersion"])

    def log_zero(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Log P(Y = 0), relatively precise also where it is near 0."""
        return counts.beta_binomial_log_zero(_trials(trials), *self._shapes(eta, extra))

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log probability."""
        y, n = _array(y), _trials(trials)
        possible = self.support.contains(y, n)
        safe = np.where(possible, y, 0.0)
        inside = counts.beta_binomial_logpmf(safe, n, *self._shapes(eta, extra))
        return np.where(possible, inside, -np.inf)

    def _tail_functions(self) -> tuple[TailFunction, TailFunction]:
        return counts.beta_binomial_cdf, counts.beta_binomial_sf

    def _parameters(
        self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None
    ) -> tuple[FloatArray, ...]:
        return (_trials(trials), *self._shapes(eta, extra))

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Count at signed tail noise."""
        return quantiles.beta_binomial_quantile(v, _trials(trials), *self._shapes(eta, extra))

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation: trials * expit(eta)."""
        mean = _trials(trials) * self.link_function.inverse(eta)
        mean, _ = np.broadcast_arrays(mean, extra["dispersion"])
        return mean

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance."""
        n, kappa, inverse = _trials(trials), _array(extra["dispersion"]), self.link_function.inverse
        return n * inverse(eta) * inverse(-_array(eta)) * (kappa + n) / (kappa + 1.0)

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""
        n, low = _trials(trials), np.ceil(_array(lower))
        a, b = self._shapes(eta, extra)
        above = self.logsf(low - 1.0, eta, extra, n)

        def sister(times: int) -> FloatArray:
            fewer = np.maximum(n - times, 0.0)
            reach = fewer - (low - times)
            return np.exp(counts.beta_binomial_log_lower(reach, fewer, b, a + times) - above)

        share = a / (a + b)
        first = n * share * sister(1)
        pairs = share * (a + 1.0) / (a + b + 1.0)
        falling = n * np.maximum(n - 1.0, 0.0) * pairs * sister(2)
        return first, falling + first

    def logsf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log P(Y > y), also where the probability underflows."""
        n, (a, b) = _trials(trials), self._shapes(eta, extra)
        return counts.beta_binomial_log_lower(n - np.floor(_array(y)) - 1.0, n, b, a)

    def ratio(
        self, k: FloatArray, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y = k) / P(Y = k - 1)."""
        n, (a, b) = _trials(trials), self._shapes(eta, extra)
        left = np.maximum(n - k + 1.0, 0.0)
        return np.asarray(left * (a + k - 1.0) / (k * np.maximum(b + n - k, b)))

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.BetaBinomial``."""
        import pymc as pm
        import pytensor.tensor as pt

        kappa = extra["dispersion"]
        return pm.BetaBinomial.dist(
            alpha=kappa * pt.sigmoid(eta), beta=kappa * pt.sigmoid(-eta), n=trials
        )

    def pymc_log_zero(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y = 0)."""
        import pytensor.tensor as pt

        kappa = extra["dispersion"]
        b = kappa * pt.sigmoid(-eta)
        fail = pt.gammaln(b + trials) - pt.gammaln(b)
        return fail - (pt.gammaln(kappa + trials) - pt.gammaln(kappa))

    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y > y) as a PyTensor graph: the sum of its terms up to the largest trials."""
        import pytensor.tensor as pt

        n = pt.shape_padright(pt.as_tensor_variable(trials))
        count = pt.arange(pt.max(n).astype("int64") + 1)
        kappa = pt.shape_padright(pt.as_tensor_variable(extra["dispersion"]))
        wide = pt.shape_padright(pt.as_tensor_variable(eta))
        a, b = kappa * pt.sigmoid(wide), kappa * pt.sigmoid(-wide)
        inside = pt.minimum(count, n)
        terms = (
            pt.gammaln(n + 1.0)
            - pt.gammaln(inside + 1.0)
            - pt.gammaln(n - inside + 1.0)
            + pt.gammaln(a + inside)
            + pt.gammaln(b + n - inside)
            - pt.gammaln(kappa + n)
            - (pt.gammaln(a) + pt.gammaln(b) - pt.gammaln(kappa))
        )
        above = pt.gt(count, pt.shape_padright(pt.as_tensor_variable(y))) & pt.le(count, n)
        tail = pt.logsumexp(pt.switch(above, terms, -np.inf), axis=-1)
        return pt.switch(pt.lt(y, 0), 0.0, tail)
