"""Point masses at the ends of a range, and shares recorded on another scale."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms.count_families import CountFamily
from dotwin.mechanisms.family import (
    Extra,
    Support,
)
from dotwin.mechanisms.links import Tensor, tensors
from dotwin.mechanisms.modifiers import ModifiedFamily
from dotwin.mechanisms.tails import signed_tail, tail_probabilities

type FloatArray = NDArray[np.float64]


def _array(x: ArrayLike) -> FloatArray:
    return np.asarray(x, dtype=float)


@dataclass(frozen=True)
class WithAtoms(ModifiedFamily):
    """A family mixed with a point mass at 0, and perhaps another at 1.

    With one mass, ``keys`` names its logit against the rest. With several, the
    probabilities are the softmax of 0 (the interior) and the named predictors.

    Parameters
    ----------
    base : Family
        The rest. Where it can be 0 itself (zero inflation), the two add up.
    keys : tuple of str
        Keys of ``extra``, aligned with ``at``.
    at : tuple of float
        Where the masses sit: 0, 1 or both.
    kind : str
        What to call it, in words.
    """

    keys: tuple[str, ...] = ("zeros_eta",)
    at: tuple[float, ...] = (0.0,)
    kind: str = "hurdle"

    def _own_support(self) -> Support:
        support = self.base.support
        if 0.0 in self.at:
            support = replace(support, low=0.0, closed_low=True)
        if 1.0 in self.at:
            support = replace(support, high=1.0, closed_high=True)
        return support

    @property
    def title(self) -> str:
        """The family in words."""
        return f"{self.kind} {self.base.title}"

    @property
    def atoms(self) -> tuple[float, ...]:
        """Values of an otherwise continuous range that have probability of their own."""
        return () if self.discrete else self.at

    @property
    def linear_predictors(self) -> tuple[str, ...]:
        """Keys of ``extra`` that are further linear predictors, on the logit scale."""
        return (*self.base.linear_predictors, *self.keys)

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Every key that ``extra`` must have."""
        return (*self.base.extra_names, *self.keys)

    def log_weights(self, extra: Extra) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Log probability of the mass at 0, of the rest, and of the mass at 1."""
        from scipy import special

        nothing = _array(-np.inf)
        if len(self.keys) == 1:
            z = _array(extra[self.keys[0]])
            mass, rest = special.log_expit(z), special.log_expit(-z)
            return (mass, rest, nothing) if self.at == (0.0,) else (nothing, rest, mass)
        low, high = np.broadcast_arrays(*(_array(extra[key]) for key in self.keys))
        total = np.logaddexp(0.0, np.logaddexp(low, high))
        return low - total, -total, high - total

    def _weights(self, extra: Extra) -> tuple[FloatArray, FloatArray, FloatArray]:
        low, rest, high = (np.exp(w) for w in self.log_weights(extra))
        return low, rest, high

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log density inside, log probability at a point mass."""
        y = _array(y)
        low, rest, high = self.log_weights(extra)
        out = rest + self.base.logp(y, eta, extra, trials)
        out = np.where(y == 0.0, np.logaddexp(low, out), out)
        if 1.0 in self.at:
            out = np.where(y == 1.0, high, out)
        return out

    def tails(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """P(Y <= y) and P(Y > y) together."""
        low, rest, high = self._weights(extra)
        y = _array(y)
        inside = self.base.tails(y, eta, extra, trials)
        lower = np.where(y >= 0.0, low, 0.0) + rest * inside[0] + np.where(y >= 1.0, high, 0.0)
        upper = np.where(y < 1.0, high, 0.0) + rest * inside[1] + np.where(y < 0.0, low, 0.0)
        return np.minimum(lower, 1.0), np.minimum(upper, 1.0)

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

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Value at signed tail noise: 0 first, then the rest, then 1."""
        low, rest, high = self._weights(extra)
        lower, upper = tail_probabilities(v)
        down = _array(v) > 0
        # the tail that the noise names is kept exact; the other is taken from the weights
        with np.errstate(divide="ignore", invalid="ignore"):
            inner_lower = np.where(down, lower - low, rest + high - upper) / rest
            inner_upper = np.where(down, rest + low - lower, upper - high) / rest
        at_low, at_high = inner_lower <= 0.0, inner_upper <= 0.0
        inner = signed_tail(inner_lower, inner_upper)
        inner = np.where(at_low | at_high, 0.5, inner)  # not used: the cheapest noise
        y = self.base.quantile(inner, eta, extra, trials)
        y = np.where(at_low, 0.0, y)
        return np.where(at_high, 1.0, y) if 1.0 in self.at else y

    def abduct(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        extra: Extra,
        trials: ArrayLike | None = None,
        jitter: ArrayLike | None = None,
    ) -> FloatArray:
        """Signed tail noise that gives ``y``; at a point mass, ``jitter`` of its way through.

        Noise is one double: right above a large point mass its step is about 1e-16, so
        an inside value whose own lower tail is smaller than that is not given back exactly.
        """
        v = self._abduct(y, eta, extra, trials, _array(0.5 if jitter is None else jitter))
        if self.discrete and jitter is not None:
            wrong = self.quantile(v, eta, extra, trials) != _array(y)
            if wrong.any():
                middle = self._abduct(y, eta, extra, trials, _array(0.5))
                v = np.where(wrong, middle, v)
        return v

    def _abduct(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        extra: Extra,
        trials: ArrayLike | None,
        fraction: FloatArray,
    ) -> FloatArray:
        y = _array(y)
        low, rest, high = self._weights(extra)
        within = tail_probabilities(self.base.abduct(y, eta, extra, trials, fraction))
        lower, upper = low + rest * within[0], high + rest * within[1]
        if 0.0 in self.at:
            within = self.base.tails(0.0, eta, extra, trials)
            here, above = low + rest * within[0], high + rest * within[1]
            lower = np.where(y == 0.0, fraction * here, lower)
            upper = np.where(y == 0.0, above + (1.0 - fraction) * here, upper)
        if 1.0 in self.at:
            lower = np.where(y == 1.0, low + rest + fraction * high, lower)
            upper = np.where(y == 1.0, (1.0 - fraction) * high, upper)
        return signed_tail(lower, upper)

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation."""
        _, rest, high = self._weights(extra)
        return rest * self.base.mean(eta, extra, trials) + high

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance: within the rest, plus between the rest and the point masses."""
        low, rest, high = self._weights(extra)
        inner = self.base.mean(eta, extra, trials)
        mean = rest * inner + high
        between = low * mean**2 + rest * (inner - mean) ** 2 + high * (1.0 - mean) ** 2
        return rest * self.base.variance(eta, extra, trials) + between

    def pymc_logp(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log density as a PyTensor graph."""
        pt = tensors()

        y = pt.as_tensor_variable(y)
        if len(self.keys) == 1:
            z = pt.as_tensor_variable(extra[self.keys[0]])
            masses, rest = {self.at[0]: -pt.softplus(-z)}, -pt.softplus(z)
        else:
            predictors = [pt.as_tensor_variable(extra[key]) for key in self.keys]
            total = pt.logaddexp(0.0, pt.logaddexp(*predictors))
            masses = {at: p - total for at, p in zip(self.at, predictors, strict=True)}
            rest = -total
        overlaps = isinstance(self.base, CountFamily)
        safe = y
        if not overlaps:
            # the density is undefined at the mass: evaluate it elsewhere, then ignore it
            elsewhere = 1.0 if self.base.support.high > 1.0 else 0.5
            for at in self.at:
                safe = pt.switch(pt.eq(y, at), elsewhere, safe)
        out = rest + self.base.pymc_logp(safe, eta, extra, trials)
        for at, mass in masses.items():
            out = pt.switch(pt.eq(y, at), pt.logaddexp(mass, out) if overlaps else mass, out)
        return out


@dataclass(frozen=True)
class Rescaled(ModifiedFamily):
    """A family of shares recorded out of something else: 0 to 100 for percentages."""

    out_of: float = 100.0

    def _own_support(self) -> Support:
        support = self.base.support
        return replace(support, low=support.low * self.out_of, high=support.high * self.out_of)

    @property
    def title(self) -> str:
        """The family in words."""
        return f"{self.base.title} out of {self.out_of:g}"

    @property
    def atoms(self) -> tuple[float, ...]:
        """Values of an otherwise continuous range that have probability of their own."""
        return tuple(at * self.out_of for at in self.base.atoms)

    def _share(self, y: ArrayLike) -> FloatArray:
        return _array(y) / self.out_of

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log density per unit of the recorded scale; log probability at a point mass."""
        out = self.base.logp(self._share(y), eta, extra, trials)
        return np.where(np.isin(_array(y), self.atoms), out, out - np.log(self.out_of))

    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y)."""
        return self.base.cdf(self._share(y), eta, extra, trials)

    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y)."""
        return self.base.sf(self._share(y), eta, extra, trials)

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Value at signed tail noise."""
        return self.out_of * self.base.quantile(v, eta, extra, trials)

    def abduct(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        extra: Extra,
        trials: ArrayLike | None = None,
        jitter: ArrayLike | None = None,
    ) -> FloatArray:
        """Signed tail noise that gives ``y``."""
        return self.base.abduct(self._share(y), eta, extra, trials, jitter)

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation on the recorded scale."""
        return self.out_of * self.base.mean(eta, extra, trials)

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance on the recorded scale."""
        return self.out_of**2 * self.base.variance(eta, extra, trials)

    def pymc_logp(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log density as a PyTensor graph."""
        pt = tensors()

        y = pt.as_tensor_variable(y)
        jacobian: Any = np.log(self.out_of)
        for at in self.atoms:
            jacobian = pt.switch(pt.eq(y, at), 0.0, jacobian)
        return self.base.pymc_logp(y / self.out_of, eta, extra, trials) - jacobian
