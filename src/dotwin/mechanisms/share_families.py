"""Counts out of a number of trials: binomial and beta_binomial."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms import counts, quantiles
from dotwin.mechanisms.count_families import CountFamily, SeriesFamily, TailFunction
from dotwin.mechanisms.family import (
    COUNT_OF_TRIALS,
    DispersionParameter,
    Extra,
    Support,
    dispersion_parameter,
)
from dotwin.mechanisms.gamma_beta import beta_shapes
from dotwin.mechanisms.links import Tensor, tensors

type FloatArray = NDArray[np.float64]


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
        return quantiles.binomial(v, _trials(trials), eta)

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
        pt = tensors()

        return -trials * pt.softplus(eta)

    def _pymc_tail(self, first: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        pt = tensors()

        return pt.betainc(first, pt.maximum(trials - first + 1.0, 1.0), pt.sigmoid(eta))

    def _pymc_ratio(self, k: Any, eta: Any, extra: Extra, trials: Any) -> Tensor:
        pt = tensors()

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
        return quantiles.beta_binomial(v, _trials(trials), eta, extra["dispersion"])

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

        pt = tensors()

        kappa = extra["dispersion"]
        return pm.BetaBinomial.dist(
            alpha=kappa * pt.sigmoid(eta), beta=kappa * pt.sigmoid(-eta), n=trials
        )

    def pymc_log_zero(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y = 0)."""
        pt = tensors()

        kappa = extra["dispersion"]
        b = kappa * pt.sigmoid(-eta)
        fail = pt.gammaln(b + trials) - pt.gammaln(b)
        return fail - (pt.gammaln(kappa + trials) - pt.gammaln(kappa))

    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y > y) as a PyTensor graph: the sum of its terms up to the largest trials."""
        pt = tensors()

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
