"""What a family of distributions is: the one place that knows its density, tails and noise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.errors import SpecificationError
from dotwin.mechanisms.links import Link, Tensor, get_link
from dotwin.mechanisms.tails import signed_tail

type FloatArray = NDArray[np.float64]
type BoolArray = NDArray[np.bool_]
type Extra = Mapping[str, Any]


@dataclass(frozen=True)
class Support:
    """The values that a family can take.

    Attributes
    ----------
    low, high : float
        Ends of the range, in the indicator's own unit.
    closed_low, closed_high : bool
        Whether the end itself is a possible value.
    integer : bool
        Whether only whole numbers are possible.
    up_to_trials : bool
        Whether the upper end is the number of trials.

    Examples
    --------
    >>> Support(0, integer=True).contains([0, 1.5, -1]).tolist()
    [True, False, False]
    """

    low: float = -np.inf
    high: float = np.inf
    closed_low: bool = True
    closed_high: bool = True
    integer: bool = False
    up_to_trials: bool = False

    def contains(self, values: ArrayLike, trials: ArrayLike | None = None) -> BoolArray:
        """Say for each value whether the family can take it.

        Parameters
        ----------
        values : array_like
            Values in the indicator's own unit; NaN is never contained.
        trials : array_like, optional
            Number of trials, where the upper end is the number of trials.

        Returns
        -------
        ndarray of bool
            Broadcast shape of both.
        """
        y = np.asarray(values, dtype=float)
        high: ArrayLike = self.high
        if self.up_to_trials and trials is not None:
            high = np.asarray(trials, dtype=float)
        inside = np.isfinite(y)
        inside &= (y >= self.low) if self.closed_low else (y > self.low)
        inside = inside & ((y <= high) if self.closed_high else (y < high))
        if self.integer:
            inside &= y == np.floor(y)
        return np.asarray(inside)

    def describe(self) -> str:
        """Say in words which values are possible."""
        if self.integer:
            first = f"{self.low:g}, {self.low + 1:g}"
            if self.up_to_trials:
                return f"a count {first}, … up to the number of trials"
            if np.isfinite(self.high):
                return f"{self.low:g} or {self.high:g}"
            return f"a count {first}, {self.low + 2:g}, …"
        if not np.isfinite(self.low):
            return "any number"
        lower = f"{'at least' if self.closed_low else 'above'} {self.low:g}"
        if not np.isfinite(self.high):
            return f"a number {lower}"
        return f"a number {lower} and {'at most' if self.closed_high else 'below'} {self.high:g}"


REAL = Support()
POSITIVE = Support(0.0, closed_low=False)
SHARE = Support(0.0, 1.0, closed_low=False, closed_high=False)
YES_OR_NO = Support(0.0, 1.0, integer=True)
COUNT = Support(0.0, integer=True)
COUNT_OF_TRIALS = Support(0.0, integer=True, up_to_trials=True)


@dataclass(frozen=True)
class DispersionParameter:
    """A parameter of a family beside its linear predictor.

    Attributes
    ----------
    name : str
        Key in ``extra``.
    default_prior : str
        Prior, in the language of the specification, on ``prior_on``.
    meaning : str
        What the parameter says, in words.
    prior_on : str
        The quantity that the prior describes: ``residual_sd``, ``nu - 2`` or
        ``1/sqrt(dispersion)``.
    relative_to_child_sd : bool
        Whether the prior is in reference sds of the indicator on the link scale.

    Examples
    --------
    >>> DispersionParameter("nu", "gamma(2, 0.1)", "tails", "nu - 2").natural(3.0)
    5.0
    """

    name: str
    default_prior: str
    meaning: str
    prior_on: str
    relative_to_child_sd: bool = False

    def natural(self, value: Any) -> Any:
        """Turn the quantity that has the prior into the parameter (arrays or tensors)."""
        if self.prior_on == "nu - 2":
            return 2.0 + value
        if self.prior_on == "1/sqrt(dispersion)":
            return value**-2.0
        return value

    def prior_quantity(self, value: Any) -> Any:
        """Turn the parameter into the quantity that has the prior (arrays or tensors)."""
        if self.prior_on == "nu - 2":
            return value - 2.0
        if self.prior_on == "1/sqrt(dispersion)":
            return value**-0.5
        return value


RESIDUAL_SD = DispersionParameter(
    "residual_sd",
    "half_normal(1)",
    "how far values scatter around their expectation",
    "residual_sd",
    relative_to_child_sd=True,
)
"""Scale of the residual, on the scale of the linear predictor."""


def dispersion_parameter(meaning: str) -> DispersionParameter:
    """Return the ``dispersion`` parameter with its meaning for one family."""
    return DispersionParameter("dispersion", "half_normal(1)", meaning, "1/sqrt(dispersion)")


class Family(ABC):
    """A distribution of one indicator given its linear predictor.

    Every method takes the linear predictor ``eta`` (not the mean), so that a probability
    near 0 or 1 keeps its digits; ``extra``, a mapping from parameter name to array; and
    the number of ``trials`` where the family has them. All arrays broadcast.

    Noise ``v`` is signed tail noise: +m means lower-tail probability m, -m means
    upper-tail probability m, with m in (0, 0.5].
    """

    name: str
    link: str
    links: tuple[str, ...]
    support: Support
    discrete: bool
    needs_trials: bool
    dispersion: tuple[DispersionParameter, ...]

    @property
    def atoms(self) -> tuple[float, ...]:
        """Values of an otherwise continuous range that have probability of their own."""
        return ()

    @property
    def linear_predictors(self) -> tuple[str, ...]:
        """Keys of ``extra`` that are further linear predictors, on the logit scale."""
        return ()

    @property
    def title(self) -> str:
        """The family in words."""
        return self.name.replace("_", " ")

    @property
    def extra_names(self) -> tuple[str, ...]:
        """Every key that ``extra`` must have."""
        return tuple(parameter.name for parameter in self.dispersion)

    @abstractmethod
    def logp(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log density (or log probability) of ``y``; -inf outside the support."""

    @abstractmethod
    def cdf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y <= y), precise where it is small."""

    @abstractmethod
    def sf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """P(Y > y), precise where it is small."""

    @abstractmethod
    def quantile(
        self, v: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Value at signed tail noise ``v``: increasing in the noise's probability and in eta."""

    def prepared(self, extra: Extra) -> Extra:
        """Return parameters with what `quantile` makes of them first, to be used many times."""
        return extra

    @abstractmethod
    def abduct(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        extra: Extra,
        trials: ArrayLike | None = None,
        jitter: ArrayLike | None = None,
    ) -> FloatArray:
        """Signed tail noise that gives ``y``.

        Where ``y`` has probability of its own, the noise is the fraction ``jitter`` (in
        (0, 1); the middle when None) of the way through its interval.
        """

    @abstractmethod
    def mean(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Expectation, in the indicator's own unit (a count where there are trials)."""

    @abstractmethod
    def variance(self, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None) -> FloatArray:
        """Variance, in the square of the indicator's own unit."""

    @abstractmethod
    def pymc_logp(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log density as a PyTensor graph, elementwise."""

    @abstractmethod
    def pymc_dist(self, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """The distribution as an unregistered PyMC random variable."""

    def tails(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """P(Y <= y) and P(Y > y) together."""
        return self.cdf(y, eta, extra, trials), self.sf(y, eta, extra, trials)

    def logsf(
        self, y: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> FloatArray:
        """Log P(Y > y)."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.sf(y, eta, extra, trials)))


@dataclass(frozen=True)
class PlainFamily(Family):
    """A family as such, without modifiers: the values that describe it."""

    name: str
    link: str
    links: tuple[str, ...]
    support: Support
    discrete: bool
    needs_trials: bool
    dispersion: tuple[DispersionParameter, ...]

    def __post_init__(self) -> None:
        if self.link not in self.links:
            raise SpecificationError(
                f"Family {self.name!r} cannot have the link {self.link!r}. "
                f"Accepted: {', '.join(self.links)}."
            )

    @property
    def link_function(self) -> Link:
        """The link as an object."""
        return get_link(self.link)

    def pymc_logp(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log density as a PyTensor graph, elementwise: that of the PyMC distribution."""
        import pymc as pm

        return pm.logp(self.pymc_dist(eta, extra, trials), y)

    @abstractmethod
    def pymc_logsf(self, y: Any, eta: Any, extra: Extra, trials: Any = None) -> Tensor:
        """Log P(Y > y) as a PyTensor graph, where the family can be truncated from below."""

    @abstractmethod
    def moments_above(
        self, lower: ArrayLike, eta: ArrayLike, extra: Extra, trials: ArrayLike | None = None
    ) -> tuple[FloatArray, FloatArray]:
        """E[Y | Y >= lower] and E[Y**2 | Y >= lower]."""

    def _refuse(self, what: str) -> SpecificationError:
        return SpecificationError(f"Family {self.name!r} cannot be {what}.")


@dataclass(frozen=True)
class ContinuousFamily(PlainFamily):
    """A family whose noise is found by inverting its distribution function."""

    def abduct(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        extra: Extra,
        trials: ArrayLike | None = None,
        jitter: ArrayLike | None = None,
    ) -> FloatArray:
        """Signed tail noise of ``y``; ``jitter`` has nothing to do here."""
        return signed_tail(*self.tails(y, eta, extra, trials))


@dataclass(frozen=True)
class DiscreteFamily(PlainFamily):
    """A family on whole numbers, whose noise lies in an interval per value."""

    def abduct(
        self,
        y: ArrayLike,
        eta: ArrayLike,
        extra: Extra,
        trials: ArrayLike | None = None,
        jitter: ArrayLike | None = None,
    ) -> FloatArray:
        """Signed tail noise in the interval of ``y``; its quantile is exactly ``y``."""
        return abduct_between(self, y, eta, extra, trials, jitter)


def abduct_between(
    family: Family,
    y: ArrayLike,
    eta: ArrayLike,
    extra: Extra,
    trials: ArrayLike | None,
    jitter: ArrayLike | None,
) -> FloatArray:
    """Signed tail noise between F(y - 1) and F(y) of a family on whole numbers."""
    y = np.asarray(y, dtype=float)
    below, here = (family.tails(k, eta, extra, trials) for k in (y - 1.0, y))
    fraction = np.asarray(0.5 if jitter is None else jitter, dtype=float)
    v = signed_tail(*(b + fraction * (h - b) for b, h in zip(below, here, strict=True)))
    if fraction.ndim or fraction != 0.5:
        # a fraction at the very edge can fall to the neighbour by rounding: the middle cannot
        wrong = family.quantile(v, eta, extra, trials) != y
        if wrong.any():
            middle = signed_tail(*(0.5 * (b + h) for b, h in zip(below, here, strict=True)))
            v = np.where(wrong, middle, v)
    return v
