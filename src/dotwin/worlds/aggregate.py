"""From units to groups: sums, averages and ratios of sums, within each draw.

Aggregation comes first and transforms after: an expression is read on the groups' totals and
averages, so ``missed / scheduled`` of a region is its missed visits over its scheduled visits, not
the mean of its providers' ratios. Counts and money add up; everything else averages, by its
``weight`` indicator where it has one. A product such as ``visits * price`` is taken unit by unit
and then adds up, or averages when neither factor adds up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import ExpressionError, SpecificationError, nearest
from dotwin.spec.expressions import (
    Across,
    Arithmetic,
    Bool,
    Call,
    Compare,
    Expr,
    Not,
    Number,
    Ref,
    Start,
    Text,
    evaluate,
    parse,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin

__all__ = ["Groups", "UnitStates", "adds_up", "aggregate", "group_units", "unit_of"]

_COUNTS = ("poisson", "negative_binomial", "binomial", "beta_binomial")
_MONEY = ("$", "€", "£", "usd", "eur", "gbp", "dollar", "euro", "pound")
#: A given with more distinct values than this is no grouping but a measurement.
_MOST_GROUPS = 12

By = str | Sequence[str] | None


@dataclass(frozen=True, eq=False)
class Groups:
    """How units fall into groups.

    Parameters
    ----------
    names : tuple of str
        What the groups are by; empty for all units together.
    labels : tuple of tuple of str
        Each group's label by each name.
    codes : int array (unit,)
        Each unit's group, -1 where what it is grouped by is unknown.
    """

    names: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]
    codes: NDArray[np.intp]

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over units: dims (..., unit, period) to (..., group, period), missing left out."""
        kept = np.flatnonzero(self.codes >= 0)
        order = kept[np.argsort(self.codes[kept], kind="stable")]
        first = np.searchsorted(self.codes[order], np.arange(len(self.labels)))
        filled = np.where(np.isnan(values), 0.0, values)
        return np.add.reduceat(filled[..., order, :], first, axis=-2)

    def only(self, kept: NDArray[np.bool_]) -> Groups:
        """Leave units out, and groups that nobody is left in.

        Parameters
        ----------
        kept : bool array (unit,)
        """
        codes = np.where(kept, self.codes, -1)
        used, packed = np.unique(codes[codes >= 0], return_inverse=True)
        codes[codes >= 0] = packed
        return Groups(self.names, tuple(self.labels[i] for i in used), codes)


@dataclass(frozen=True, eq=False)
class UnitStates:
    """What is known of units when futures begin.

    Parameters
    ----------
    levels : dict of str to array (unit,)
        Each unit's group of each level, the unit itself among them, as text.
    facts : dict of str to array (unit,)
        Each indicator's last value before the future.
    """

    levels: Mapping[str, NDArray[Any]]
    facts: Mapping[str, NDArray[Any]]


class _StateEnvironment:
    """Reads expressions against what is known of units when futures begin."""

    def __init__(self, twin: Twin, states: UnitStates) -> None:
        self.twin, self.states = twin, states

    def value(self, name: str, lag: int) -> Any:
        """Return a state before the future, or each unit's group of a level."""
        if lag:
            raise ExpressionError(f"by: write start({name}) for the state when futures begin.")
        if name in self.states.levels:
            return self.states.levels[name].astype(object)
        return self.states.facts[name]

    def trials(self, name: str, lag: int) -> Any:
        """Return the trials of an indicator that has them."""
        return self.value(str(self.twin.indicators[name].trials), lag)

    def start(self, expression: Expr) -> Any:
        """Return the state before the future."""
        return evaluate(expression, self)

    def across(self, function: str, values: Any, over: str, others: bool) -> Any:
        """Refuse: groups are made of units' own states."""
        raise ExpressionError(f"by: {function}(…, over={over}) cannot group units.")


def group_units(twin: Twin, states: UnitStates, by: By) -> Groups:
    """Group units by levels, givens or their state at the start.

    Parameters
    ----------
    twin : Twin
    states : UnitStates
    by : str or sequence of str, optional
        Levels, the unit, givens, or conditions on levels, givens and ``start(…)`` such as
        ``start(acuity) > 2``. All units together unless given.

    Raises
    ------
    SpecificationError
        When a name is unknown, has too many values, or is a state after the start.
    """
    count = len(states.levels[twin.unit])
    names = () if by is None else (by,) if isinstance(by, str) else tuple(by)
    keys = [_key(twin, states, name, count) for name in names]
    if not keys:
        return Groups((), ((),), np.zeros(count, dtype=np.intp))
    known = np.all([key != "" for key in keys], axis=0)
    rows = list(zip(*(key.tolist() for key in keys), strict=True))
    labels = sorted({row for row, ok in zip(rows, known, strict=True) if ok}, key=_natural_order)
    place = {label: i for i, label in enumerate(labels)}
    codes = np.array([place.get(row, -1) for row in rows], dtype=np.intp)
    if not labels:
        raise SpecificationError(f"by: {', '.join(names)} is unknown for every unit.")
    return Groups(names, tuple(labels), codes)


def _natural_order(label: tuple[str, ...]) -> tuple[tuple[int, float, str], ...]:
    """Sort numbers as numbers and everything else as text."""

    def rank(text: str) -> tuple[int, float, str]:
        try:
            return (0, float(text), text)
        except ValueError:
            return (1, 0.0, text)

    return tuple(map(rank, label))


def _key(twin: Twin, states: UnitStates, name: str, count: int) -> NDArray[Any]:
    if name in states.levels:
        return states.levels[name].astype(str)
    expression = parse(name)
    later = sorted(
        other
        for other, _ in _outside_start(expression)
        if other in twin.indicators and not twin.indicators[other].is_given
    )
    if later:
        raise SpecificationError(
            f"by: {later[0]} after the start is a result of what is compared, and groups chosen by "
            f"a result are biased. Group by its state when futures begin: start({later[0]})."
        )
    accepted = [*states.levels, *twin.indicators]
    unknown = sorted(expression.names() - set(accepted))
    if unknown:
        raise SpecificationError(f"by: there is no '{unknown[0]}'. {nearest(unknown[0], accepted)}")
    absent = sorted(
        n for n in expression.names() if n not in states.levels and n not in states.facts
    )
    if absent:
        raise SpecificationError(f"by: the panel has no values of {absent[0]}.")
    values = np.broadcast_to(
        np.asarray(evaluate(expression, _StateEnvironment(twin, states))), count
    )
    if values.dtype.kind in "OUT":
        return values.astype(str)
    numbers = values.astype(float)
    if isinstance(expression, Compare | Bool | Not):
        words = np.where(numbers != 0, "yes", "no").astype(object)
    else:
        words = np.array([f"{number:.12g}" for number in numbers], dtype=object)
    words[np.isnan(numbers)] = ""
    distinct = set(words.tolist()) - {""}
    if len(distinct) > _MOST_GROUPS:
        raise SpecificationError(
            f"by: {name} has {len(distinct)} distinct values; group by a condition such as "
            f"'{name} > {np.nanmedian(numbers):.3g}'."
        )
    return words.astype(str)


def _outside_start(expression: Expr) -> frozenset[tuple[str, int]]:
    if isinstance(expression, Start):
        return frozenset()
    own = {(expression.name, expression.lag)} if isinstance(expression, Ref) else set()
    return frozenset(own).union(*(_outside_start(child) for child in expression.children()))


def adds_up(twin: Twin, name: str) -> bool:
    """Say whether an indicator adds up over units: counts, money, and what counts are out of.

    An exact indicator adds up when everything that it is made of does; a ratio never does.
    """
    return _adds_up(twin, name, frozenset())


def _adds_up(twin: Twin, name: str, above: frozenset[str]) -> bool:
    one = twin.indicators[name]
    if one.family in _COUNTS:
        return True
    unit = one.unit.lower()
    if " per " not in unit and any(unit.startswith(sign) for sign in _MONEY):
        return True
    if one.equals is not None:
        expression = parse(one.equals)
        if any(isinstance(e, Arithmetic) and e.op == "/" for e in expression.walk()):
            return False
        parts = expression.names() - {name} - above
        return bool(parts) and any(
            _adds_up(twin, part, above | {name}) for part in parts if part in twin.indicators
        )
    out_of = {other.trials for other in twin.indicators.values()}
    exposed = {
        part
        for other in twin.indicators.values()
        if other.exposure
        for part in parse(other.exposure).names()
    }
    return one.is_given and name in out_of | exposed


def unit_of(twin: Twin, expression: Expr) -> str:
    """Return the unit of an expression that is one indicator; nothing for others."""
    return twin.indicators[expression.name].unit if isinstance(expression, Ref) else ""


class _GroupEnvironment:
    """Reads expressions on groups' totals and averages."""

    def __init__(self, twin: Twin, read: Callable[[str], Any], groups: Groups) -> None:
        self.twin, self.read, self.groups = twin, read, groups
        self.products: dict[str, NDArray[np.float64]] = {}

    def value(self, name: str, lag: int) -> Any:
        """Return an indicator's total or average; dims (..., group, period)."""
        if name in self.products:
            return self.products[name]
        if lag:
            raise ExpressionError(f"{name}[-{lag}]: results are read in their own period.")
        if name not in self.twin.indicators:
            raise ExpressionError(
                f"there is no indicator '{name}'. {nearest(name, self.twin.indicators)}"
            )
        values = np.asarray(self.read(name))
        if values.dtype.kind in "OUT":
            raise ExpressionError(f"{name} holds text categories, which do not add up or average.")
        if adds_up(self.twin, name):
            return self.groups.total(values)
        return self.average(values, self.twin.indicators[name].weight)

    def average(self, values: NDArray[np.float64], weight: str | None) -> NDArray[np.float64]:
        """Average over units, by a weight indicator where there is one."""
        known = ~np.isnan(values)
        weights: Any = known.astype(float)
        if weight is not None:
            weights = np.where(known, self.read(weight), 0.0)
        with np.errstate(invalid="ignore", divide="ignore"):
            return self.groups.total(values * weights) / self.groups.total(weights)

    def trials(self, name: str, lag: int) -> Any:
        """Return the trials of an indicator that has them, added up."""
        trials = self.twin.indicators[name].trials
        if trials is None:
            raise ExpressionError(f"share({name}): '{name}' has no trials, so it has no share.")
        return self.groups.total(np.asarray(self.read(trials)))

    def start(self, expression: Expr) -> Any:
        """Refuse: results are read in their own period."""
        raise ExpressionError(f"start({expression}) has a meaning in where= and by= only.")

    def across(self, function: str, values: Any, over: str, others: bool) -> Any:
        """Refuse: groups are what by= says."""
        raise ExpressionError(f"{function}(…, over={over}): say by='{over}' instead.")


class _UnitEnvironment(_GroupEnvironment):
    """Reads expressions unit by unit."""

    def value(self, name: str, lag: int) -> Any:
        """Return an indicator's values; dims (..., unit, period)."""
        super().value(name, lag)  # for its refusals
        return np.asarray(self.read(name))

    def trials(self, name: str, lag: int) -> Any:
        """Return the trials of an indicator that has them."""
        return self.value(str(self.twin.indicators[name].trials), lag)


def aggregate(
    twin: Twin, expression: Expr, read: Callable[[str], Any], groups: Groups
) -> NDArray[np.float64]:
    """Read an expression on groups of units.

    Parameters
    ----------
    twin : Twin
    expression : Expr
    read : callable
        Gives an indicator's values, dims (..., unit, period).
    groups : Groups

    Returns
    -------
    float array (..., group, period)
    """
    environment = _GroupEnvironment(twin, read, groups)
    prepared = _without_products(expression, environment)
    return np.asarray(evaluate(prepared, environment), dtype=float)


def _without_products(expression: Expr, environment: _GroupEnvironment) -> Expr:
    """Replace each product of indicators by its total or average over the group."""
    if (
        isinstance(expression, Arithmetic)
        and expression.op == "*"
        and expression.left.names()
        and expression.right.names()
    ):
        twin, read, groups = environment.twin, environment.read, environment.groups
        values = np.asarray(evaluate(expression, _UnitEnvironment(twin, read, groups)))
        name = f"product {len(environment.products)}"
        summing = any(adds_up(twin, part) for part in expression.names())
        environment.products[name] = (
            groups.total(values) if summing else environment.average(values, None)
        )
        return Ref(name)
    if isinstance(expression, Number | Text | Ref | Start | Across | Call):
        if isinstance(expression, Call) and expression.function != "share":
            arguments = tuple(_without_products(a, environment) for a in expression.arguments)
            return replace(expression, arguments=arguments)
        return expression
    assert is_dataclass(expression)
    changed: dict[str, Any] = {}
    for one in fields(expression):
        part = getattr(expression, one.name)
        if isinstance(part, Expr):
            changed[one.name] = _without_products(part, environment)
        elif isinstance(part, tuple):
            changed[one.name] = tuple(_without_products(p, environment) for p in part)
    return replace(expression, **changed)
