"""Families of categories: bernoulli and ordinal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms import quantiles
from dotwin.mechanisms.counts import log1mexp
from dotwin.mechanisms.family import (
    COUNT,
    YES_OR_NO,
    DiscreteFamily,
    DispersionParameter,
    Extra,
    Support,
)
from dotwin.mechanisms.links import Tensor, tensors

type FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class CumulativeLogit(DiscreteFamily):
    """Categories 0 .. K-1 cut from a logistic variable: P(Y <= k) = expit(cutpoint_k - eta)."""

    def cutpoints(self, extra: Extra) -> FloatArray:
        """Ordered cutpoints, category axis last."""
        return np.asarray(extra["cutpoints"], dtype=float)

    def _edges(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra
    ) -> tuple[FloatArray, FloatArray, NDArray[np.bool_]]:
        """Cutpoints below and above category y, and whether y is a category."""
        cuts = self.cutpoints(extra)
        y, eta = np.asarray(y, dtype=float), np.asarray(eta, dtype=float)
        shape = np.broadcast_shapes(y.shape, eta.shape, cuts.shape[:-1])
        ends = np.full((*cuts.shape[:-1], 1), np.inf)
        padded = np.concatenate([-ends, cuts, ends], axis=-1)
        padded = np.broadcast_to(padded, (*shape, padded.shape[-1]))
        possible = self.support.contains(y) & (y <= cuts.shape[-1])
        index = np.broadcast_to(np.where(possible, y, 0.0).astype(np.intp), shape)[..., None]
        below = np.take_along_axis(padded, index, axis=-1)[..., 0]
        above = np.take_along_axis(padded, index + 1, axis=-1)[..., 0]
        return below, above, np.broadcast_to(possible, shape)

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log probability."""
        from scipy import special

        below, above, possible = self._edges(y, eta, extra)
        eta = np.asarray(eta, dtype=float)
        # expit(b) - expit(a) = expit(b) expit(-a) (1 - exp(a - b)): no cancellation
        inside = special.log_expit(above - eta) + special.log_expit(eta - below)
        inside = inside + log1mexp(below - above)
        return np.where(possible, inside, -np.inf)

    def _cut_above(self, y: ArrayLike, eta: ArrayLike, extra: Extra) -> FloatArray:
        cuts = self.cutpoints(extra)
        inside = np.clip(np.floor(np.asarray(y, dtype=float)), -1.0, cuts.shape[-1])
        _, above, _ = self._edges(np.maximum(inside, 0.0), eta, extra)
        return np.where(inside < 0, -np.inf, above - np.asarray(eta, dtype=float))

    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y)."""
        from scipy import special

        return np.asarray(special.expit(self._cut_above(y, eta, extra)))

    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y)."""
        from scipy import special

        return np.asarray(special.expit(-self._cut_above(y, eta, extra)))

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Category at signed tail noise."""
        return quantiles.ordinal(v, eta, self.cutpoints(extra))

    def _probabilities(self, eta: ArrayLike, extra: Extra) -> FloatArray:
        categories = np.arange(self.cutpoints(extra).shape[-1] + 1)
        eta = np.asarray(eta, dtype=float)
        cuts = self.cutpoints(extra)[..., None, :]
        return np.asarray(np.exp(self.logp(categories, eta[..., None], {"cutpoints": cuts})))

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expected category number."""
        p = self._probabilities(eta, extra)
        return np.asarray(p @ np.arange(p.shape[-1]))

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance of the category number."""
        p = self._probabilities(eta, extra)
        away = np.arange(p.shape[-1]) - self.mean(eta, extra)[..., None]
        return np.asarray(np.sum(p * away * away, axis=-1))

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """Not defined: categories are not truncated."""
        raise self._refuse("truncated from below")

    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Not defined: categories are not truncated."""
        raise self._refuse("truncated from below")


@dataclass(frozen=True)
class Ordinal(CumulativeLogit):
    """Ordered categories 0 .. K-1 with ``extra['cutpoints']``, the cutpoint axis last."""

    name: str = "ordinal"
    link: str = "logit"
    links: tuple[str, ...] = ("logit",)
    support: Support = COUNT
    discrete: bool = True
    needs_trials: bool = False
    dispersion: tuple[DispersionParameter, ...] = ()

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Every key that ``extra`` must have."""
        return ("cutpoints",)

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.OrderedLogistic``."""
        import pymc as pm

        return pm.OrderedLogistic.dist(eta=eta, cutpoints=extra["cutpoints"], compute_p=False)

    def pymc_logp(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log probability as a PyTensor graph, without differences of near-equal numbers."""
        pt = tensors()

        cuts = pt.as_tensor_variable(extra["cutpoints"])
        y = pt.as_tensor_variable(y)
        eta = pt.as_tensor_variable(eta)
        top = cuts.shape[-1]
        column = pt.arange(top)
        # one-hot selection keeps every broadcast shape and its gradient
        own = pt.shape_padright(y)
        above = pt.sum(pt.switch(pt.eq(column, own), cuts, 0.0), axis=-1)
        below = pt.sum(pt.switch(pt.eq(column, own - 1), cuts, 0.0), axis=-1)
        first, last = pt.le(y, 0), pt.ge(y, top)
        gap = pt.switch(first | last, -1.0, below - above)
        inside = pt.switch(first | last, 0.0, pt.log(-pt.expm1(gap)))
        logp = (
            pt.switch(last, 0.0, -pt.softplus(eta - above))
            + pt.switch(first, 0.0, -pt.softplus(below - eta))
            + inside
        )
        return pt.switch(pt.lt(y, 0) | pt.gt(y, top), -np.inf, logp)


_ZERO_CUT = np.zeros(1)


@dataclass(frozen=True)
class Bernoulli(CumulativeLogit):
    """Yes or no with probability expit(eta): two categories cut at zero."""

    name: str = "bernoulli"
    link: str = "logit"
    links: tuple[str, ...] = ("logit",)
    support: Support = YES_OR_NO
    discrete: bool = True
    needs_trials: bool = False
    dispersion: tuple[DispersionParameter, ...] = ()

    def cutpoints(self, extra: Extra) -> FloatArray:
        """One cutpoint at zero."""
        return _ZERO_CUT

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Yes or no at signed tail noise."""
        return quantiles.bernoulli(v, eta)

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation: expit(eta)."""
        return self.link_function.inverse(eta)

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance."""
        return self.link_function.inverse(eta) * self.link_function.inverse(-np.asarray(eta))

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.Bernoulli``."""
        import pymc as pm

        return pm.Bernoulli.dist(logit_p=eta)
