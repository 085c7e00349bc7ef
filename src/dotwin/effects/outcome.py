"""What an effect is on, as sums over units: a numerator and a denominator in each world.

Averages over noise and over units are taken of the two sums, and only then are they divided. So a
rate is a ratio of sums, and every other outcome is an average over units.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.errors import ExpressionError, SpecificationError, nearest
from dotwin.spec.expressions import Bool, Call, Compare, Expr, Not, Ref, evaluate, parse
from dotwin.worlds.aggregate import Groups, aggregate, unit_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin

__all__ = ["Outcome", "read_outcome"]

Kind = Literal["mean", "rate", "condition", "expression"]
#: Gives an indicator's values, dims (draw, unit, period); its expectation when asked for.
Read = Callable[[str, bool], "NDArray[np.float64]"]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What is compared between two worlds.

    Parameters
    ----------
    twin : Twin
    text : str
        As it was asked for.
    expression : Expr
    kind : {'mean', 'rate', 'condition', 'expression'}
        An average of an indicator; a count over its trials or exposure; the share of units that
        meet a condition; or an expression of totals and averages.
    weight : str or None
        The indicator by which units are weighted.
    """

    twin: Twin
    text: str
    expression: Expr
    kind: Kind
    weight: str | None

    @property
    def name(self) -> str | None:
        """The indicator whose expectation stands for its value; none for other expressions."""
        match self.expression:
            case Ref(name=name) | Call(function="share", arguments=(Ref(name=name),)):
                return name
        return None

    @cached_property
    def over(self) -> Expr | None:
        """What a rate's count is divided by."""
        if self.kind != "rate":
            return None
        one = self.twin.indicators[str(self.name)]
        return parse(str(one.trials if one.trials is not None else one.exposure))

    @cached_property
    def indicators(self) -> tuple[str, ...]:
        """The indicators that it is made of."""
        names = set(self.expression.names())
        if self.over is not None:
            names |= self.over.names()
        for part in self.expression.walk():
            match part:
                case Call(function="share", arguments=(Ref(name=name),)):
                    names.add(str(self.twin.indicators[name].trials))
        return tuple(name for name in self.twin.indicators if name in names)

    @cached_property
    def needed(self) -> frozenset[str]:
        """The indicators that must be simulated to read it."""
        return frozenset(self.indicators) | ({self.weight} if self.weight else frozenset())

    @property
    def unit(self) -> str:
        """In what it is measured."""
        if self.kind == "rate" and self.over is not None:
            below = " ".join(self.twin.label(n) for n in sorted(self.over.names()))
            return f"per {below}"
        return "share of units" if self.kind == "condition" else unit_of(self.twin, self.expression)

    @property
    def is_probability(self) -> bool:
        """Whether it lies between 0 and 1 because it counts who has something."""
        if self.kind == "condition":
            return True
        one = self.twin.indicators.get(self.name or "")
        return one is not None and (one.family == "bernoulli" or one.trials is not None)

    @property
    def words(self) -> str:
        """What people call it."""
        label = self.twin.label(self.name) if self.name else self.text
        if self.kind == "condition":
            return f"share of {self.twin.unit}s with {self.text}"
        if self.kind == "rate":
            return f"{label} {self.unit}"
        return label if self.is_probability else f"mean {label}"

    def sums(self, read: Read, groups: Groups) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return numerator and denominator, each with dims (draw, group, period).

        Parameters
        ----------
        read : callable
        groups : Groups
        """
        if self.kind == "expression":
            value = aggregate(self.twin, self.expression, lambda n: read(n, False), groups)
            return value, np.ones_like(value)
        environment = _UnitEnvironment(self.twin, read)
        if self.name is not None:
            value = read(self.name, True)
        else:
            value = np.asarray(evaluate(self.expression, environment), dtype=float)
        below: Any = 1.0
        if self.over is not None:
            below = np.asarray(evaluate(self.over, environment), dtype=float)
            if self.weight is not None:
                with np.errstate(invalid="ignore", divide="ignore"):
                    value, below = value / below, 1.0
        if self.weight is not None:
            weight = read(self.weight, False)
            value, below = value * weight, weight * below
        value, below = np.broadcast_arrays(value, below)
        known = ~np.isnan(value) & ~np.isnan(below)
        return groups.total(np.where(known, value, 0.0)), groups.total(np.where(known, below, 0.0))


@dataclass(frozen=True)
class _UnitEnvironment:
    """Reads expressions unit by unit, in their own period."""

    twin: Twin
    read: Read

    def value(self, name: str, lag: int) -> Any:
        """Return an indicator's values, dims (draw, unit, period)."""
        if lag:
            raise ExpressionError(f"{name}[-{lag}]: outcomes are read in their own period.")
        return self.read(name, False)

    def trials(self, name: str, lag: int) -> Any:
        """Return the trials of an indicator."""
        return self.value(str(self.twin.indicators[name].trials), lag)

    def start(self, expression: Expr) -> Any:
        """Refuse: outcomes are read in their own period."""
        raise ExpressionError(f"start({expression}) has a meaning in by= and among= only.")

    def across(self, function: str, values: Any, over: str, others: bool) -> Any:
        """Refuse: groups are what by= says."""
        raise ExpressionError(f"{function}(…, over={over}): say by='{over}' instead.")


def read_outcome(twin: Twin, text: str, weight: str | None) -> Outcome:
    """Read what an effect is on.

    Parameters
    ----------
    twin : Twin
    text : str
        An indicator, ``share(indicator)``, a condition, a ratio or another expression of
        indicators, or the name of a threshold, which stands for its crossing.
    weight : str or None
        Units count by this indicator; all alike when None, except that a rate is a ratio of sums.

    Raises
    ------
    SpecificationError
        When an indicator is unknown or holds text.
    """
    source = twin.thresholds[text].condition if text in twin.thresholds else text
    expression = parse(source)
    names = expression.names() | ({weight} if weight is not None else set())
    for name in sorted(names - set(twin.indicators)):
        raise SpecificationError(f"on: there is no '{name}'. {nearest(name, twin.indicators)}")
    kind: Kind = "expression"
    match expression:
        case Ref(name=name, lag=0):
            one = twin.indicators[name]
            if one.categories and one.family != "ordinal":
                raise SpecificationError(
                    f"on: '{name}' holds text categories, which have no average; ask for a "
                    f"condition such as {name} == '{one.categories[0]}'."
                )
            kind = "rate" if one.trials is not None or one.exposure is not None else "mean"
        case Call(function="share", arguments=(Ref(name=name, lag=0),)):
            if twin.indicators[name].trials is None:
                raise SpecificationError(f"on: '{name}' has no trials, so it has no share.")
            kind = "rate"
        case Compare() | Bool() | Not():
            kind = "condition"
    if weight is not None and kind == "expression":
        raise SpecificationError(
            f"weight: {text} is read on totals and averages of all units, so no weight applies; "
            f"use an indicator or a condition."
        )
    if weight is None and kind == "mean" and isinstance(expression, Ref):
        weight = twin.indicators[expression.name].weight
    return Outcome(twin, source, expression, kind, weight)
