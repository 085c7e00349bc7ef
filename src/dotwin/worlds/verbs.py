"""What an intervention does to a value: the verbs, the edges of the support, shares of trials.

The verbs act on the *natural value* x, the one that the world itself yields::

    do(x, a)        a
    shift(x, a)     x + a
    scale(x, a)     x * a
    at_least(x, a)  max(x, a)
    at_most(x, a)   min(x, a)

While an intervention rises to full strength, the value is x + w (verb(x) - x) with w from 0 to 1.

An indicator with trials, and a yes-or-no indicator, has no value to move by degrees: there the
verbs act on its share (the probability behind the count) and the count is drawn anew from the
same family at the same noise. ``do`` takes the place of the whole mechanism, extra zeros included;
the other verbs move the share of the family and leave extra zeros as they are.

Other counts take the changed value as it is, so that +15 % is +15 %; it need not be whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.families import get_family
from dotwin.mechanisms.family import Support
from dotwin.mechanisms.response import Response

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.mechanisms.equation import Equation

__all__ = ["Changed", "acts_on_share", "change_share", "change_value", "support_edges"]

#: Beyond this the logit of a share is an edge in all but name: exp(-700) is near the smallest
#: number that a double holds.
_LARGEST_LOGIT = 700.0
#: How far inside an open end of its support a value is put, as a part of its usual size.
_INSIDE = 1e-6


@dataclass(frozen=True, eq=False)
class Changed:
    """A changed value, and where it had to be held at the edge of what is possible.

    Parameters
    ----------
    value : array, dims (draw, unit)
    at_edge : bool array, dims (draw, unit)
    """

    value: NDArray[np.float64]
    at_edge: NDArray[np.bool_]


def acts_on_share(equation: Equation | None) -> bool:
    """Whether verbs act on the indicator's share rather than on its value."""
    return equation is not None and (
        equation.indicator.trials is not None or equation.indicator.family == "bernoulli"
    )


def _moved(verb: str, natural: Any, amount: Any, strength: float) -> Any:
    match verb:
        case "do":
            full = amount + 0.0 * natural  # NaN stays NaN: what does not exist is not set
        case "shift":
            full = natural + amount
        case "scale":
            full = natural * amount
        case "at_least":
            full = np.maximum(natural, amount)
        case "at_most":
            full = np.minimum(natural, amount)
        case _:
            raise TypeError(f"not a verb: {verb}")
    return full if strength == 1.0 else natural + strength * (full - natural)


def _held(value: Any, low: Any, high: Any) -> Changed:
    inside = np.minimum(np.maximum(value, low), high)
    return Changed(inside, np.asarray((value < low) | (value > high)))


def support_edges(
    equation: Equation, support: Support, usual: float, lower: Any
) -> tuple[Any, Any]:
    """Give the smallest and largest value that an intervention can set.

    Parameters
    ----------
    equation : Equation
    support : Support
    usual : float
        A usual size of the indicator: the reference centre, in its own unit.
    lower : array or None
        The bound from ``at_least``.

    Returns
    -------
    low, high : float or array
        An open end is replaced by a value just inside it.
    """
    span = support.high - support.low if np.isfinite(support.high) else abs(usual) or 1.0
    low: Any = support.low if support.closed_low else support.low + _INSIDE * span
    high: Any = support.high if support.closed_high else support.high - _INSIDE * span
    if equation.indicator.family == "ordinal":
        high = float(len(equation.indicator.categories) - 1)
    return (low if lower is None else np.maximum(low, lower)), high


def change_value(
    verb: str, natural: Any, amount: Any, strength: float, low: Any, high: Any
) -> Changed:
    """Apply a verb to a value and hold it inside the support."""
    return _held(_moved(verb, natural, amount, strength), low, high)


def change_share(
    verb: str, response: Response, equation: Equation, noise: Any, amount: Any, strength: float
) -> Changed:
    """Apply a verb to a share and draw the count anew at the same noise.

    Parameters
    ----------
    verb : str
    response : Response
        The natural distribution.
    equation : Equation
    noise : array, dims (draw, unit)
        Signed tail noise.
    amount : float or array (draw, 1)
        A share, or a factor for ``scale``.
    strength : float
    """
    plain = get_family(str(equation.indicator.family))
    whole = verb == "do" and strength == 1.0
    natural = plain.link_function.inverse(response.eta)
    held = _held(_moved(verb, natural, amount, strength), 0.0, 1.0)
    eta = np.clip(plain.link_function.forward(held.value), -_LARGEST_LOGIT, _LARGEST_LOGIT)
    inner = np.isfinite(eta) & (np.abs(eta) < _LARGEST_LOGIT)
    family = plain if whole else response.family
    drawn = replace(response, family=family, eta=np.where(inner, eta, 0.0)).quantile(noise)
    # A share of exactly 0 or 1 leaves nothing to chance.
    certain = np.where(held.value > 0.5, 1.0 if response.trials is None else response.trials, 0.0)
    value = np.where(inner | np.isnan(held.value), drawn, certain)
    if response.holds is not None:
        value = np.where(np.asarray(response.holds) == 0, response.otherwise, value)
    return Changed(value, held.at_edge)
