"""Continuous families around a normal or Student t: normal, student_t and lognormal."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms import quantiles
from dotwin.mechanisms.family import (
    POSITIVE,
    REAL,
    RESIDUAL_SD,
    ContinuousFamily,
    DispersionParameter,
    Extra,
    Support,
)
from dotwin.mechanisms.links import Tensor, tensors

type FloatArray = NDArray[np.float64]

_HALF_LOG_TWO_PI = 0.5 * np.log(2.0 * np.pi)


def _array(x: ArrayLike) -> FloatArray:
    return np.asarray(x, dtype=float)


def _mills(z: FloatArray) -> FloatArray:
    """Normal density over its upper tail, precise for any z."""
    from scipy import special

    return np.asarray(np.exp(-0.5 * z * z - _HALF_LOG_TWO_PI - special.log_ndtr(-z)))


def _log_ndtr_pt(z: Any) -> Tensor:
    """Log of the normal distribution function as a PyTensor graph, precise in both tails."""
    pt = tensors()

    # a bare 2.0 would become a single-precision constant, and its root a wrong digit 8
    root = np.asarray(np.sqrt(2.0))
    far = pt.lt(z, -1.0)
    tail = pt.log(0.5 * pt.erfcx(-pt.switch(far, z, -1.0) / root)) - 0.5 * z * z
    return pt.switch(far, tail, pt.log1p(-0.5 * pt.erfc(pt.switch(far, -1.0, z) / root)))


@dataclass(frozen=True)
class Normal(ContinuousFamily):
    """Normal: y ~ N(mean, residual_sd), mean = inverse link of eta."""

    name: str = "normal"
    link: str = "identity"
    links: tuple[str, ...] = ("identity", "log")
    support: Support = REAL
    discrete: bool = False
    needs_trials: bool = False
    dispersion: tuple[DispersionParameter, ...] = (RESIDUAL_SD,)

    def _score(self, y: ArrayLike, eta: ArrayLike, extra: Extra) -> FloatArray:
        return (_array(y) - self.link_function.inverse(eta)) / _array(extra["residual_sd"])

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log density."""
        z = self._score(y, eta, extra)
        density = -0.5 * z * z - np.log(_array(extra["residual_sd"])) - _HALF_LOG_TWO_PI
        return np.asarray(density)

    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y)."""
        from scipy import special

        return np.asarray(special.ndtr(self._score(y, eta, extra)))

    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y)."""
        from scipy import special

        return np.asarray(special.ndtr(-self._score(y, eta, extra)))

    def logsf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log P(Y > y)."""
        from scipy import special

        return np.asarray(special.log_ndtr(-self._score(y, eta, extra)))

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Value at signed tail noise."""
        return quantiles.normal(v, eta, extra["residual_sd"], logarithmic=self.link == "log")

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation."""
        mean, _ = np.broadcast_arrays(self.link_function.inverse(eta), extra["residual_sd"])
        return mean

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance."""
        sd, _ = np.broadcast_arrays(_array(extra["residual_sd"]), eta)
        return np.asarray(sd * sd)

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""
        mu, sd = self.link_function.inverse(eta), _array(extra["residual_sd"])
        ratio = _mills(self._score(lower, eta, extra))
        return mu + sd * ratio, mu * mu + sd * sd + sd * ratio * (mu + _array(lower))

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.Normal``."""
        import pymc as pm

        return pm.Normal.dist(self.link_function.inverse_pt(eta), extra["residual_sd"])

    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y > y)."""
        mu = self.link_function.inverse_pt(eta)
        return _log_ndtr_pt((mu - y) / extra["residual_sd"])


def _student_tail(t: FloatArray, nu: FloatArray) -> FloatArray:
    """P(T > t) of Student's t, precise for t > 0 (and by symmetry elsewhere)."""
    from scipy import special

    with np.errstate(over="ignore"):
        square = t * t
    total = nu + square
    # I_x(nu/2, 1/2) at x = nu / (nu + t**2); for x > 1/2 through its complement
    far = square > nu
    tail = np.empty(t.shape)
    tail[far] = 0.5 * special.betainc(0.5 * nu[far], 0.5, nu[far] / total[far])
    tail[~far] = 0.5 * special.betaincc(0.5, 0.5 * nu[~far], square[~far] / total[~far])
    return np.where(t >= 0, tail, 1.0 - tail)


@dataclass(frozen=True)
class StudentT(ContinuousFamily):
    """Student's t: y = eta + residual_sd * T, with nu > 2 degrees of freedom."""

    name: str = "student_t"
    link: str = "identity"
    links: tuple[str, ...] = ("identity",)
    support: Support = REAL
    discrete: bool = False
    needs_trials: bool = False
    dispersion: tuple[DispersionParameter, ...] = (
        RESIDUAL_SD,
        DispersionParameter(
            "nu",
            "gamma(2, 0.1)",
            "how rare extreme values are: near 2 they are common, above 30 as in a normal",
            "nu - 2",
        ),
    )

    def _score(self, y: ArrayLike, eta: ArrayLike, extra: Extra) -> tuple[FloatArray, FloatArray]:
        z = (_array(y) - _array(eta)) / _array(extra["residual_sd"])
        z, nu = np.broadcast_arrays(z, _array(extra["nu"]))
        return z, nu

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log density."""
        from dotwin.mechanisms.counts import log_rising

        z, nu = self._score(y, eta, extra)
        constant = log_rising(0.5 * nu, 0.5) - 0.5 * np.log(nu * np.pi)
        kernel = -0.5 * (nu + 1.0) * np.log1p(z * z / nu)
        return constant - np.log(_array(extra["residual_sd"])) + kernel

    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y)."""
        z, nu = self._score(y, eta, extra)
        return _student_tail(-z, nu)

    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y)."""
        z, nu = self._score(y, eta, extra)
        return _student_tail(z, nu)

    def tails(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """P(Y <= y) and P(Y > y) together."""
        z, nu = self._score(y, eta, extra)
        small = _student_tail(np.abs(z), nu)
        large = 1.0 - small
        return np.where(z < 0, small, large), np.where(z < 0, large, small)

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Value at signed tail noise."""
        nu = extra["nu"]
        tables = extra.get("tables")
        if tables is None:
            tables = quantiles.student_t_tables(nu)
        return quantiles.student_t(v, eta, extra["residual_sd"], nu, tables)

    def prepared(self, extra: Extra) -> Extra:
        """Add the tables of scores."""
        return {**extra, "tables": quantiles.student_t_tables(extra["nu"])}

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation (nu > 1)."""
        mean, _, _ = np.broadcast_arrays(_array(eta), extra["residual_sd"], extra["nu"])
        return mean

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance (nu > 2)."""
        sd, nu, _ = np.broadcast_arrays(_array(extra["residual_sd"]), _array(extra["nu"]), eta)
        return np.asarray(sd * sd * nu / (nu - 2.0))

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""
        z, nu = self._score(lower, eta, extra)
        mu, sd = _array(eta), _array(extra["residual_sd"])
        above = _student_tail(z, nu)
        density = np.exp(self.logp(lower, eta, extra)) * sd
        first = (nu + z * z) / (nu - 1.0) * density / above
        lighter = _student_tail(z * np.sqrt((nu - 2.0) / nu), nu - 2.0)
        second = nu * (nu - 1.0) / (nu - 2.0) * lighter / above - nu
        return mu + sd * first, mu * mu + 2.0 * mu * sd * first + sd * sd * second

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.StudentT``."""
        import pymc as pm

        return pm.StudentT.dist(nu=extra["nu"], mu=eta, sigma=extra["residual_sd"])

    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y > y)."""
        pt = tensors()

        nu = pt.as_tensor_variable(extra["nu"])
        z = (y - eta) / extra["residual_sd"]
        # a bare 0.5 would become a single-precision constant, and its log gamma one too
        shape = np.asarray(0.5)
        half = 0.5 * pt.betainc(0.5 * nu, shape, nu / (nu + z * z))
        return pt.log(pt.switch(pt.ge(z, 0.0), half, 1.0 - half))


@dataclass(frozen=True)
class Lognormal(ContinuousFamily):
    """Lognormal: log y ~ N(eta, residual_sd); eta is the log of the median."""

    name: str = "lognormal"
    link: str = "log"
    links: tuple[str, ...] = ("log",)
    support: Support = POSITIVE
    discrete: bool = False
    needs_trials: bool = False
    dispersion: tuple[DispersionParameter, ...] = (RESIDUAL_SD,)

    def _score(self, y: ArrayLike, eta: ArrayLike, extra: Extra) -> FloatArray:
        with np.errstate(divide="ignore"):
            log_y = np.log(np.maximum(_array(y), 0.0))
        return np.asarray((log_y - _array(eta)) / _array(extra["residual_sd"]))

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log density."""
        y = _array(y)
        safe = np.where(y > 0, y, 1.0)
        z = self._score(safe, eta, extra)
        sd = _array(extra["residual_sd"])
        inside = -0.5 * z * z - np.log(sd) - _HALF_LOG_TWO_PI - np.log(safe)
        return np.where(y > 0, inside, -np.inf)

    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y)."""
        from scipy import special

        return np.asarray(special.ndtr(self._score(y, eta, extra)))

    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y)."""
        from scipy import special

        return np.asarray(special.ndtr(-self._score(y, eta, extra)))

    def logsf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log P(Y > y)."""
        from scipy import special

        return np.asarray(special.log_ndtr(-self._score(y, eta, extra)))

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Value at signed tail noise."""
        return quantiles.lognormal(v, eta, extra["residual_sd"])

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation: exp(eta + residual_sd**2 / 2)."""
        return np.asarray(np.exp(_array(eta) + 0.5 * _array(extra["residual_sd"]) ** 2))

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance."""
        square = _array(extra["residual_sd"]) ** 2
        return np.asarray(np.expm1(square) * np.exp(2.0 * _array(eta) + square))

    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""
        from scipy import special

        eta, sd = _array(eta), _array(extra["residual_sd"])
        z = self._score(lower, eta, extra)
        above = special.log_ndtr(-z)
        first, second = (
            np.exp(r * eta + 0.5 * (r * sd) ** 2 + special.log_ndtr(r * sd - z) - above)
            for r in (1.0, 2.0)
        )
        return first, second

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """``pm.LogNormal``."""
        import pymc as pm

        return pm.LogNormal.dist(eta, extra["residual_sd"])

    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y > y)."""
        pt = tensors()

        positive = pt.gt(y, 0.0)
        log_y = pt.log(pt.switch(positive, y, 1.0))
        return pt.switch(positive, _log_ndtr_pt((eta - log_y) / extra["residual_sd"]), 0.0)
