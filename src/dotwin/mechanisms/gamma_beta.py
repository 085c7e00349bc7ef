"""Continuous families of positive values and shares: gamma and beta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms import quantiles
from dotwin.mechanisms.family import (
    POSITIVE,
    SHARE,
    ContinuousFamily,
    DispersionParameter,
    Extra,
    Support,
    dispersion_parameter,
)
from dotwin.mechanisms.links import Tensor, tensors

type FloatArray = NDArray[np.float64]

_UNDERFLOW = 1e-280  # tails below this are computed in logarithms
_GRAPH_LEVELS = 6  # a graph of more levels takes long to compile
_FRACTION_LEVELS = 20  # there the argument is above 600 and each level gains two digits or more


def _array(x: ArrayLike) -> FloatArray:
    return np.asarray(x, dtype=float)


def _log_gamma_upper(shape: FloatArray, x: FloatArray) -> FloatArray:
    """Log of the regularised upper incomplete gamma function, also where it underflows."""
    from scipy import special

    tail = np.asarray(special.gammaincc(shape, x))
    with np.errstate(divide="ignore"):
        out = np.array(np.log(tail))
    deep = tail < _UNDERFLOW
    if deep.any():
        a, z = shape[deep], x[deep]
        series = (
            a * np.log(z)
            - z
            - special.gammaln(a)
            - np.log(_legendre_fraction(a, z, _FRACTION_LEVELS))
        )
        out[deep] = series
    return out


def _legendre_fraction(shape: Any, x: Any, levels: int) -> Any:
    """Continued fraction x**a exp(-x) / Gamma(a, x), for x far above a (arrays or tensors).

    References
    ----------
    NIST Digital Library of Mathematical Functions, 8.9.2, https://dlmf.nist.gov/8.9.E2.
    """
    denominator = x + 2 * levels + 1 - shape
    for i in range(levels, 0, -1):
        denominator = x + 2 * i - 1 - shape - i * (i - shape) / denominator
    return denominator


@dataclass(frozen=True)
class Gamma(ContinuousFamily):
    """Gamma with mean exp(eta) and shape ``dispersion``."""

    name: str = "gamma"
    link: str = "log"
    links: tuple[str, ...] = ("log",)
    support: Support = POSITIVE
    discrete: bool = False
    needs_trials: bool = False
    dispersion: tuple[DispersionParameter, ...] = (
        dispersion_parameter("1/√dispersion is the coefficient of variation around the mean"),
    )

    def _scaled(self, y: ArrayLike, eta: ArrayLike, extra: Extra) -> tuple[FloatArray, FloatArray]:
        shape = _array(extra["dispersion"])
        with np.errstate(over="ignore"):
            x = np.maximum(_array(y), 0.0) * shape * np.exp(-_array(eta))
        x, shape = np.broadcast_arrays(x, shape)
        return x, shape

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log density."""
        from scipy import special

        y, eta, shape = np.broadcast_arrays(_array(y), _array(eta), _array(extra["dispersion"]))
        safe = np.where(y > 0, y, 1.0)
        inside = (
            shape * (np.log(shape) - eta)
            + (shape - 1.0) * np.log(safe)
            - safe * shape * np.exp(-eta)
            - special.gammaln(shape)
        )
        return np.where(y > 0, inside, -np.inf)

    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y)."""
        from scipy import special

        x, shape = self._scaled(y, eta, extra)
        return np.asarray(special.gammainc(shape, x))

    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y)."""
        from scipy import special

        x, shape = self._scaled(y, eta, extra)
        return np.asarray(special.gammaincc(shape, x))

    def logsf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log P(Y > y), also where the probability underflows."""
        x, shape = self._scaled(y, eta, extra)
        return _log_gamma_upper(shape, x)

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Value at signed tail noise."""
        shape = extra["dispersion"]
        tables = extra.get("tables")
        if tables is None:
            tables = quantiles.gamma_tables(shape)
        return quantiles.gamma(v, eta, shape, tables)

    def prepared(self, extra: Extra) -> Extra:
        """Add the tables of scores."""
        return {**extra, "tables": quantiles.gamma_tables(extra["dispersion"])}

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation: exp(eta)."""
        mean, _ = np.broadcast_arrays(np.exp(_array(eta)), extra["dispersion"])
        return mean

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance: mean**2 / dispersion."""
        return np.asarray(np.exp(2.0 * _array(eta)) / _array(extra["dispersion"]))

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""
        x, shape = self._scaled(lower, eta, extra)
        above, mu = _log_gamma_upper(shape, x), np.exp(_array(eta))
        once, twice = (np.exp(_log_gamma_upper(shape + k, x) - above) for k in (1.0, 2.0))
        first = mu * once
        second = mu * mu * (1.0 + 1.0 / shape) * twice
        return first, second

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.Gamma``."""
        import pymc as pm

        pt = tensors()

        return pm.Gamma.dist(alpha=extra["dispersion"], beta=extra["dispersion"] * pt.exp(-eta))

    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y > y)."""
        pt = tensors()

        shape = pt.as_tensor_variable(extra["dispersion"])
        x = pt.maximum(y, 0.0) * shape * pt.exp(-eta)
        tail = pt.gammaincc(shape, x)
        deep = pt.lt(tail, _UNDERFLOW)
        far = pt.switch(deep, x, shape + 600.0)
        series = shape * pt.log(far) - far - pt.gammaln(shape)
        series = series - pt.log(_legendre_fraction(shape, far, _GRAPH_LEVELS))
        return pt.switch(deep, series, pt.log(pt.switch(deep, 1.0, tail)))


@dataclass(frozen=True)
class Beta(ContinuousFamily):
    """Beta with mean expit(eta) and precision ``dispersion`` (a + b)."""

    name: str = "beta"
    link: str = "logit"
    links: tuple[str, ...] = ("logit",)
    support: Support = SHARE
    discrete: bool = False
    needs_trials: bool = False
    dispersion: tuple[DispersionParameter, ...] = (
        dispersion_parameter("precision: the variance is mean (1 - mean) / (1 + dispersion)"),
    )

    def _shapes(self, eta: ArrayLike, extra: Extra) -> tuple[FloatArray, FloatArray]:
        return beta_shapes(eta, extra["dispersion"])

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log density."""
        from scipy import special

        a, b = self._shapes(eta, extra)
        y = _array(y)
        possible = (y > 0) & (y < 1)
        safe = np.where(possible, y, 0.5)
        inside = (a - 1.0) * np.log(safe) + (b - 1.0) * np.log1p(-safe) - special.betaln(a, b)
        return np.where(possible, inside, -np.inf)

    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y)."""
        from scipy import special

        return np.asarray(special.betainc(*self._shapes(eta, extra), np.clip(_array(y), 0.0, 1.0)))

    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y)."""
        from scipy import special

        return np.asarray(special.betaincc(*self._shapes(eta, extra), np.clip(_array(y), 0.0, 1.0)))

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Value at signed tail noise; kept inside the open interval."""
        return quantiles.beta(v, eta, extra["dispersion"])

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation: expit(eta)."""
        mean, _ = np.broadcast_arrays(self.link_function.inverse(eta), extra["dispersion"])
        return mean

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance."""
        eta = _array(eta)
        spread = self.link_function.inverse(eta) * self.link_function.inverse(-eta)
        return np.asarray(spread / (1.0 + _array(extra["dispersion"])))

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""
        from scipy import special

        a, b = self._shapes(eta, extra)
        x = np.clip(_array(lower), 0.0, 1.0)
        above = special.betaincc(a, b, x)
        share, total = a / (a + b), a + b
        first = share * special.betaincc(a + 1.0, b, x) / above
        second = share * (a + 1.0) / (total + 1.0) * special.betaincc(a + 2.0, b, x) / above
        return first, second

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.Beta``."""
        import pymc as pm

        pt = tensors()

        kappa = extra["dispersion"]
        return pm.Beta.dist(alpha=kappa * pt.sigmoid(eta), beta=kappa * pt.sigmoid(-eta))

    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y > y)."""
        pt = tensors()

        kappa = extra["dispersion"]
        possible = pt.gt(y, 0.0)
        # at 0 nothing is cut off, and the gradient of the tail is undefined
        rest = 1.0 - pt.minimum(pt.switch(possible, y, 0.5), 1.0)
        tail = pt.betainc(kappa * pt.sigmoid(-eta), kappa * pt.sigmoid(eta), rest)
        return pt.switch(possible, pt.log(tail), 0.0)


def beta_shapes(eta: ArrayLike, kappa: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Shapes a and b of a beta distribution from the logit of its mean and its precision."""
    from scipy import special

    eta, kappa = np.broadcast_arrays(_array(eta), _array(kappa))
    return np.asarray(kappa * special.expit(eta)), np.asarray(kappa * special.expit(-eta))
