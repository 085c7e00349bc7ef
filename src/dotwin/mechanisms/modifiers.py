"""What a modifier of a family is, and the first of them: truncation from below."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.mechanisms.count_families import CountFamily
from dotwin.mechanisms.family import (
    DispersionParameter,
    Extra,
    Family,
    PlainFamily,
    Support,
    abduct_between,
)
from dotwin.mechanisms.links import Tensor, tensors
from dotwin.mechanisms.tails import draw_tail_noise, signed_tail, tail_probabilities

type FloatArray = NDArray[np.float64]

_NEWTON_STEPS = 50
_UNDERFLOW = 1e-280  # a mass above the bound smaller than this is handled in logarithms


def _array(x: ArrayLike) -> FloatArray:
    return np.asarray(x, dtype=float)


@dataclass(frozen=True)
class ModifiedFamily(Family):
    """A family around another one; what it does not change is the base's."""

    base: Family
    name: str = field(init=False)
    link: str = field(init=False)
    links: tuple[str, ...] = field(init=False)
    support: Support = field(init=False)
    discrete: bool = field(init=False)
    needs_trials: bool = field(init=False)
    dispersion: tuple[DispersionParameter, ...] = field(init=False)

    def __post_init__(self) -> None:
        for own in ("name", "link", "links", "discrete", "needs_trials", "dispersion"):
            object.__setattr__(self, own, getattr(self.base, own))
        object.__setattr__(self, "support", self._own_support())

    @abstractmethod
    def _own_support(self) -> Support:
        """The possible values after the change."""

    @property
    def atoms(self) -> tuple[float, ...]:
        """Values of an otherwise continuous range that have probability of their own."""
        return self.base.atoms

    @property
    def linear_predictors(self) -> tuple[str, ...]:
        """Keys of ``extra`` that are further linear predictors, on the logit scale."""
        return self.base.linear_predictors

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Every key that ``extra`` must have."""
        return self.base.extra_names

    def prepared(self, extra: Extra) -> Extra:
        """Return parameters with what `quantile` makes of them first, to be used many times."""
        return self.base.prepared(extra)

    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """A ``pm.CustomDist`` with this density, drawn by inverting uniform noise."""
        import pymc as pm

        pt = tensors()
        keys = list(self.extra_names)
        given = [eta, *(extra[key] for key in keys)]
        if self.needs_trials:
            given.append(trials)
        inputs = [pt.as_tensor_variable(value) for value in given]

        def split(values: tuple[Any, ...]) -> tuple[Any, dict[str, Any], Any]:
            trials = values[-1] if self.needs_trials else None
            return values[0], dict(zip(keys, values[1 : 1 + len(keys)], strict=True)), trials

        def logp(value: Any, *values: Any) -> Tensor:
            eta, extra, trials = split(values)
            return self.pymc_logp(value, eta, extra, trials)

        def random(
            *values: Any,
            rng: np.random.Generator | None = None,
            size: tuple[int, ...] | None = None,
        ) -> FloatArray:
            shape = np.broadcast_shapes(*(np.shape(value) for value in values))
            v = draw_tail_noise(rng or np.random.default_rng(), shape if size is None else size)
            eta, extra, trials = split(values)
            return self.quantile(v, eta, extra, trials)

        empty = ",".join("()" for _ in inputs)
        return pm.CustomDist.dist(
            *inputs,
            logp=logp,
            random=random,
            signature=f"{empty}->()",
            dtype="float64",
            class_name=self.title.title().replace(" ", "").replace("-", ""),
        )


@dataclass(frozen=True)
class Truncated(ModifiedFamily):
    """A family given that the value is at least a lower bound.

    Parameters
    ----------
    base : PlainFamily
        The family before truncation.
    reads_lower : bool
        Whether ``extra['lower']`` holds the bound, one per value.
    minimum : float
        A bound that holds for every value: 1 for the positive part of a count.
    """

    base: PlainFamily
    reads_lower: bool = True
    minimum: float = -np.inf

    def _own_support(self) -> Support:
        support = self.base.support
        if self.minimum > support.low:
            return replace(support, low=self.minimum, closed_low=True)
        return support

    @property
    def title(self) -> str:
        """The family in words."""
        if self.reads_lower:
            return f"truncated {self.base.title}"
        return f"{self.base.title} of at least {self.minimum:g}"

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Every key that ``extra`` must have."""
        return (*self.base.extra_names, *(("lower",) if self.reads_lower else ()))

    def _lower(self, extra: Extra) -> FloatArray:
        low = _array(extra["lower"]) if self.reads_lower else _array(-np.inf)
        low = np.maximum(np.maximum(low, self.minimum), self.support.low)
        return np.ceil(low) if self.discrete else low

    def _edge(self, extra: Extra) -> FloatArray:
        """The value whose upper tail is the mass that truncation keeps."""
        return self._lower(extra) - 1.0 if self.discrete else self._lower(extra)

    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log density given that the bound holds."""
        kept = self.base.logsf(self._edge(extra), eta, extra, trials)
        with np.errstate(invalid="ignore"):
            inside = self.base.logp(y, eta, extra, trials) - kept
        return np.where(_array(y) >= self._lower(extra), inside, -np.inf)

    def tails(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """P(Y <= y) and P(Y > y) together, given that the bound holds."""
        edge = self._edge(extra)
        y = np.maximum(_array(y), edge)
        removed, kept = self.base.tails(edge, eta, extra, trials)
        below, above = self.base.tails(y, eta, extra, trials)
        with np.errstate(divide="ignore", invalid="ignore"):
            gained = np.where(removed <= 0.5, below - removed, kept - above)
            lower, upper = gained / kept, above / kept
        deep = kept < _UNDERFLOW
        if deep.any():
            with np.errstate(invalid="ignore"):
                log_upper = self.base.logsf(y, eta, extra, trials) - self.base.logsf(
                    edge, eta, extra, trials
                )
            lower = np.where(deep, -np.expm1(log_upper), lower)
            upper = np.where(deep, np.exp(log_upper), upper)
        return np.clip(lower, 0.0, 1.0), np.clip(upper, 0.0, 1.0)

    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y) given that the bound holds."""
        return self.tails(y, eta, extra, trials)[0]

    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y) given that the bound holds."""
        return self.tails(y, eta, extra, trials)[1]

    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Value at signed tail noise: the noise is mapped into the mass that is kept."""
        edge, low = self._edge(extra), self._lower(extra)
        removed, kept = self.base.tails(edge, eta, extra, trials)
        lower, upper = tail_probabilities(v)
        # at removed = 0 the two forms agree; above 1/2 the second keeps its digits
        inner = signed_tail(removed + lower * kept, upper * kept)
        y = np.maximum(self.base.quantile(inner, eta, extra, trials), low)
        deep = kept < _UNDERFLOW
        if deep.any():
            beyond = self._deep_count if isinstance(self.base, CountFamily) else self._deep_value
            y = np.where(deep, beyond(v, deep, eta, extra, trials), y)
        return np.asarray(y)

    def _deep_value(
        self,
        v: ArrayLike,
        deep: NDArray[np.bool_],
        eta: ArrayLike,
        extra: Extra,
        trials: ArrayLike | None,
    ) -> FloatArray:
        """Newton steps on the log of the tail, from the bound, where the kept mass underflows."""
        _, upper = tail_probabilities(v)
        low = self._lower(extra)
        target = self.base.logsf(low, eta, extra, trials) + np.log(upper)
        y, deep, target = np.broadcast_arrays(low, deep, target)
        for _ in range(_NEWTON_STEPS):
            above = self.base.logsf(y, eta, extra, trials)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
                hazard = np.exp(self.base.logp(y, eta, extra, trials) - above)
                step = (above - target) / hazard
            step = np.where(deep & np.isfinite(step), step, 0.0)
            y = np.maximum(y + step, low)
            if np.all(np.abs(step) <= np.finfo(float).eps * np.abs(y)):
                break
        return np.asarray(y)

    def _deep_count(
        self,
        v: ArrayLike,
        deep: NDArray[np.bool_],
        eta: ArrayLike,
        extra: Extra,
        trials: ArrayLike | None,
    ) -> FloatArray:
        """Walk up from the bound, where the kept mass underflows and the walk is short."""
        if not isinstance(self.base, CountFamily):
            raise TypeError("only counts are walked")
        lower, _ = tail_probabilities(v)
        low = self._lower(extra)
        target = np.minimum(lower, 1.0 - np.finfo(float).eps) * self.base.tail_sum(
            low, eta, extra, trials
        )
        deep, target, k = np.broadcast_arrays(deep, target, low)
        k = np.array(k)
        term = np.ones(k.shape)
        total = term.copy()
        while np.any(walking := deep & (total < target) & (term > 0)):
            step = np.clip(self.base.ratio(k + 1.0, eta, extra, trials), 0.0, 1.0)
            term = np.where(walking, term * step, term)
            total = np.where(walking, total + term, total)
            k = np.where(walking, k + 1.0, k)
        return k

    def abduct(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        extra: Extra,
        trials: ArrayLike | None = None,
        jitter: ArrayLike | None = None,
    ) -> FloatArray:
        """Signed tail noise that gives ``y``."""
        if self.discrete:
            return abduct_between(self, y, eta, extra, trials, jitter)
        return signed_tail(*self.tails(y, eta, extra, trials))

    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation given that the bound holds."""
        return self.base.moments_above(self._lower(extra), eta, extra, trials)[0]

    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance given that the bound holds."""
        first, second = self.base.moments_above(self._lower(extra), eta, extra, trials)
        return np.maximum(second - first * first, 0.0)

    def pymc_logp(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log density given that the bound holds, as a PyTensor graph."""
        pt = tensors()

        low: Any = self._lower({}) if not self.reads_lower else None
        if low is None:
            low = pt.maximum(extra["lower"], max(self.minimum, self.support.low))
            low = pt.ceil(low) if self.discrete else low
        if not self.reads_lower and self.minimum == 1.0 and isinstance(self.base, CountFamily):
            kept = pt.log(-pt.expm1(self.base.pymc_log_zero(eta, extra, trials)))
        else:
            edge = low - 1.0 if self.discrete else low
            kept = self.base.pymc_logsf(edge, eta, extra, trials)
        inside = self.base.pymc_logp(y, eta, extra, trials) - kept
        return pt.switch(pt.ge(y, low), inside, -np.inf)
