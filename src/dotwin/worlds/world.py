"""The state of a world as it unfolds, and how expressions read it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import ExpressionError
from dotwin.panel.exposure import exposed
from dotwin.spec.expressions import Across, Expr, evaluate

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin

__all__ = ["Grouping", "Membership", "World", "WorldEnvironment"]


@dataclass(frozen=True, eq=False)
class Grouping:
    """Which group of a level each unit belongs to.

    Parameters
    ----------
    codes : int array (unit,)
    names : tuple of str
    """

    codes: NDArray[np.intp]
    names: tuple[str, ...]

    @cached_property
    def labels(self) -> NDArray[Any]:
        """Each unit's group by name, shape (1, unit)."""
        return np.asarray(self.names, dtype=object)[self.codes][None, :]

    @cached_property
    def _sorted(self) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
        """Units by group, the positions at which groups begin, each unit's group among these."""
        order = np.argsort(self.codes, kind="stable")
        present, first, inverse = np.unique(
            self.codes[order], return_index=True, return_inverse=True
        )
        place = np.empty_like(order)
        place[order] = inverse
        del present
        return order, first, place

    @cached_property
    def representative(self) -> NDArray[np.intp]:
        """Position of the first unit of each unit's group, shape (unit,)."""
        order, first, place = self._sorted
        return order[first][place]

    def total(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum over each unit's group, in the order of units; dims (draw, unit)."""
        order, first, place = self._sorted
        return np.add.reduceat(values[:, order], first, axis=1)[:, place]


@dataclass(frozen=True, eq=False)
class Membership:
    """The units of a world and their groups.

    Parameters
    ----------
    units : tuple of str
    levels : dict of str to Grouping
        The unit itself is a level.
    """

    units: tuple[str, ...]
    levels: Mapping[str, Grouping]


@dataclass(eq=False)
class World:
    """The trajectories of one scenario for one block of draws.

    Positions count periods from the first one kept; the first future period has position
    ``past``. Values have dims (draw, unit), or (1, unit) where they are the same in every draw.

    Parameters
    ----------
    past : int
        How many periods before the future are kept.
    seen : dict of str to list of array
        What other indicators see.
    natural : dict of str to list of array
        What the world itself yields, where an intervention changes it; else what is seen.
    means : dict of (str, int) to array
        By indicator and position: its expectation given its causes, where the engine keeps it.
    """

    past: int
    seen: dict[str, list[Any]]
    natural: dict[str, list[Any]] = field(default_factory=dict)
    means: dict[tuple[str, int], Any] = field(default_factory=dict)

    def put(self, name: str, position: int, seen: Any, natural: Any) -> None:
        """Write a period's value as others see it and as the own lag sees it."""
        self.seen[name][position] = seen
        self.natural[name][position] = natural


@dataclass(frozen=True, eq=False)
class WorldEnvironment:
    """Reads expressions in one period of a world.

    Parameters
    ----------
    twin : Twin
    world : World
    members : Membership
    position : int
        The period that lag 0 means.
    child : str, optional
        The indicator whose mechanism reads: its own lags are natural values.
    overrides : dict of str to array
        Values of this period that are not in the world yet.
    begun : callable, optional
        Gives ``start(expression)``.
    held : frozenset of str
        What is read as it is in the reference world.
    reference : World, optional
    """

    twin: Twin
    world: World
    members: Membership
    position: int
    child: str | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict)
    begun: Callable[[Expr], Any] | None = None
    held: frozenset[str] = frozenset()
    reference: World | None = None

    def value(self, name: str, lag: int) -> Any:
        """Return an indicator's values ``lag`` periods back, or each unit's group of a level."""
        if lag == 0 and name in self.overrides:
            return self.overrides[name]
        if name not in self.twin.indicators:
            return self.members.levels[name].labels
        where = self.position - lag
        kept = self.world.natural if name == self.child and lag else self.world.seen
        if self.reference is not None and name in self.held:
            kept = self.reference.seen
        if where < 0 or (value := kept[name][where]) is None:
            return np.full((1, len(self.members.units)), np.nan)
        return value

    def trials(self, name: str, lag: int) -> Any:
        """Return the trials of an indicator that has them."""
        trials = self.twin.indicators[name].trials
        if trials is None:
            raise ExpressionError(f"share({name}): '{name}' has no trials, so it has no share.")
        return self.value(trials, lag)

    def start(self, expression: Expr) -> Any:
        """Return what an expression was when the intervention began."""
        if self.begun is None:
            raise ExpressionError(f"start({expression}) has a meaning only inside an intervention.")
        return self.begun(expression)

    def across_units(self, expression: Across, ops: Any) -> Any:
        """Return a mean or sum over units.

        A unit's own lag sees its natural value, but what it sees of the others is what they show:
        a change in one unit reaches its neighbours.
        """
        function, over, others = expression.function, expression.over, expression.others
        own = evaluate(expression.item, self, ops)
        if self.child is None or all(
            name != self.child or not lag for name, lag in expression.item.refs()
        ):
            return self.across(function, own, over, others)
        seen = evaluate(expression.item, replace(self, child=None), ops)
        result = self.across(function, seen, over, others)
        if others or own is seen:
            return result
        known = np.where(np.isnan(seen), np.nan, 1.0)
        weight: Any = 1.0
        if over in self.twin.exposures:
            alone = self.across("sum", known, over, True)
            weight = np.nan_to_num(self.across("sum", known, over, False) - np.nan_to_num(alone))
        share = weight / self.across("sum", known, over, False) if function == "mean" else weight
        with np.errstate(invalid="ignore"):
            # Where the two agree nothing is added, not even rounding.
            return np.where(own != seen, result + share * (own - seen), result)

    def across(self, function: str, values: Any, over: str, others: bool) -> Any:
        """Return the mean or sum over each unit's group, or over those that it is exposed to.

        Units whose value is missing are left out.
        """
        if over in self.twin.exposures:
            seen = self.twin.exposures[over]
            return exposed(function, np.atleast_2d(values), seen, self.members.units, others)
        grouping = self.members.levels[over]
        array = np.atleast_2d(np.asarray(values, dtype=float))
        if array.shape[-1] == 1:
            array = np.broadcast_to(array, (array.shape[0], len(grouping.codes)))
        known = ~np.isnan(array)
        filled = np.where(known, array, 0.0)
        total, count = grouping.total(filled), grouping.total(known.astype(float))
        if others:
            total, count = total - filled, count - known
        if function == "sum":
            return np.where(count > 0, total, np.nan)
        with np.errstate(invalid="ignore", divide="ignore"):
            return total / count
