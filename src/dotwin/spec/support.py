"""Which values each family can take: the one table of supports, by the family's name.

Data are checked against it when they are read, long before anything knows a density.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dotwin.spec.twin import Indicator

__all__ = ["SUPPORTS", "Support", "support_of"]


@dataclass(frozen=True)
class Support:
    """The values that a family can take.

    Parameters
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

    def contains(self, values: ArrayLike, trials: ArrayLike | None = None) -> NDArray[np.bool_]:
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
        """Say in words which values are possible.

        Examples
        --------
        >>> Support(0, 1, closed_low=False, closed_high=False).describe()
        'numbers above 0 and below 1'
        """
        if self.integer and np.isfinite(self.high):
            if self.high - self.low == 1:
                return f"{self.low:g} or {self.high:g}"
            return f"whole numbers from {self.low:g} to {self.high:g}"
        if self.integer:
            end = " up to the number of trials" if self.up_to_trials else ""
            return f"whole numbers from {self.low:g}{end}"
        if not np.isfinite(self.low) and not np.isfinite(self.high):
            return "any finite number"
        lower = f"{'of at least' if self.closed_low else 'above'} {self.low:g}"
        if not np.isfinite(self.high):
            return f"numbers {lower}"
        if self.closed_low and self.closed_high:
            return f"numbers from {self.low:g} to {self.high:g}"
        return f"numbers {lower} and {'of at most' if self.closed_high else 'below'} {self.high:g}"


_REAL = Support()
_POSITIVE = Support(0.0, closed_low=False)
_COUNT = Support(0.0, integer=True)
_COUNT_OF_TRIALS = Support(0.0, integer=True, up_to_trials=True)

#: Family -> the values that it can take, before zeros, ends and percentages widen them.
SUPPORTS: dict[str, Support] = {
    "normal": _REAL,
    "student_t": _REAL,
    "lognormal": _POSITIVE,
    "gamma": _POSITIVE,
    "beta": Support(0.0, 1.0, closed_low=False, closed_high=False),
    "bernoulli": Support(0.0, 1.0, integer=True),
    "binomial": _COUNT_OF_TRIALS,
    "beta_binomial": _COUNT_OF_TRIALS,
    "poisson": _COUNT,
    "negative_binomial": _COUNT,
    "ordinal": _COUNT,
}


def support_of(indicator: Indicator) -> Support:
    """Say which recorded values an indicator can have.

    The family's support, changed by what the indicator declares: ``zeros`` admits 0, ``ends`` admit
    their end, a number as ``at_least`` cuts off what lies below it, ``out_of`` stretches a share to
    its percentage, ``categories`` bound the codes of an ordinal. A given can have any finite
    number, or, with ``out_of``, one from 0 to that.

    Parameters
    ----------
    indicator : Indicator

    Returns
    -------
    Support
        In the indicator's own unit, as the table records it.

    Examples
    --------
    >>> from dotwin.spec.twin import Indicator
    >>> agency = Indicator(domain="workforce", family="beta", out_of=100, ends=(0,))
    >>> support_of(agency).contains([0.0, 40.0, 100.0]).tolist()
    [True, True, False]
    """
    if indicator.family is None:
        return _REAL if indicator.out_of is None else Support(0.0, indicator.out_of)
    support = SUPPORTS[indicator.family]
    if indicator.floor is not None and indicator.floor > support.low and indicator.zeros is None:
        support = replace(support, low=indicator.floor, closed_low=True)
    if indicator.family == "ordinal" and indicator.categories:
        return replace(support, high=len(indicator.categories) - 1.0)
    if indicator.zeros is not None and support.low == 0:
        support = replace(support, closed_low=True)
    if indicator.family == "beta":
        whole = indicator.out_of or 1.0
        support = replace(
            support,
            high=whole,
            closed_low=support.closed_low or 0.0 in indicator.ends,
            closed_high=bool({1.0, whole} & set(indicator.ends)),
        )
    return support
