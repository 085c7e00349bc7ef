"""Hybrid worlds: each part of what made a period from one side or from another.

A value is made by its mechanism from starting states, givens, the calendar, shocks, what is the
unit's own, and noise. Two sides (two periods, two groups, two fits) differ in all of them. A hybrid
world takes each part from a stated side, so that the difference between the sides can be shared out
among the parts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.response import Response, respond
from dotwin.spec.expressions import evaluate
from dotwin.worlds.abduction import Recalled
from dotwin.worlds.unfolding import inside, sound
from dotwin.worlds.world import Grouping, Membership, World, WorldEnvironment

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Hybrid", "Part", "Side"]

#: A part of what makes values: its kind, and the indicator that it belongs to.
Part = tuple[str, str]


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two sides, for one block of draws.

    Parameters
    ----------
    unfolding : Recalled
        With its factual world.
    position : int
        The period that is looked at.
    units : int array (pair,)
        Which of its units stands in each pair.
    """

    unfolding: Recalled
    position: int
    units: NDArray[np.intp]

    def take(self, values: Any) -> Any:
        """Line values by unit up with the pairs, dims (draw or 1, pair)."""
        array = np.atleast_2d(np.asarray(values))
        return array[:, self.units] if array.shape[1] > 1 else array

    @property
    def ordinal(self) -> int:
        """The calendar's number of the period."""
        return int(self.unfolding.start.ordinals[self.position])


class Hybrid:
    """Makes hybrid worlds of one period.

    Parameters
    ----------
    sides : (Side, Side)
    names : sequence of str
        The indicators that are made, causes first.
    depth : int
        How many periods back their mechanisms read.
    two_fits : bool
        Whether the sides have fits of their own, and units' effects with them.
    """

    def __init__(
        self, sides: tuple[Side, Side], names: Sequence[str], depth: int, two_fits: bool
    ) -> None:
        self.sides, self.names, self.depth = sides, names, depth
        self.two_fits = two_fits
        self.twin = sides[0].unfolding.twin
        self.fixed: dict[tuple[str, int, int], dict[str, Any]] = {}
        self.tables: dict[tuple[str, int], Mapping[str, Any]] = {}
        first = sides[0].unfolding.start.members
        self.members = Membership(
            tuple(first.units[i] for i in sides[0].units),
            {
                level: Grouping(one.codes[sides[0].units], one.names)
                for level, one in first.levels.items()
            },
        )
        self.past = {
            (name, side, back): sides[side].take(
                sides[side].unfolding.factual.seen[name][sides[side].position - back]
            )
            for name in self.twin.indicators
            for side in (0, 1)
            for back in range(depth + 1)
            if sides[side].position - back >= 0
        }

    def facts(self, name: str, side: int) -> Any:
        """Return the facts of one side, dims (draw or 1, pair)."""
        return self.past[name, side, 0]

    def world(self, moved: Collection[Part]) -> World:
        """Make a world whose moved parts are those of the second side.

        Parameters
        ----------
        moved : collection of (kind, indicator)
            Kinds: 'state', 'given', 'calendar', 'shock', 'effects', 'noise', 'mechanism'; and
            'hidden' with the name of a hidden cause that is fitted.

        Returns
        -------
        World
            With the period at position ``depth``.
        """
        seen: dict[str, list[Any]] = {}
        for name, one in self.twin.indicators.items():
            side = int((("given" if one.is_given else "state"), name) in moved)
            empty = np.full((1, len(self.members.units)), np.nan)
            seen[name] = [
                self.past.get((name, side, back), empty) for back in range(self.depth, -1, -1)
            ]
        world = World(self.depth, seen, {name: list(values) for name, values in seen.items()})
        for name in self.names:
            if not self.twin.indicators[name].is_given:
                value = self._made(world, name, moved)
                world.put(name, self.depth, value, value)
        return world

    def _made(self, world: World, name: str, moved: Collection[Part]) -> Any:
        own = int(("noise", name) in moved)
        side = self.sides[own]
        fact = self.facts(name, own)
        memory = side.unfolding.recall(name, side.position)
        environment = WorldEnvironment(self.twin, world, self.members, self.depth, child=name)
        if self.twin.indicators[name].equals is not None:
            value = evaluate(side.unfolding.expressions[name], environment)
            return np.atleast_2d(value) + np.nan_to_num(fact - side.take(memory.value))
        response = self._response(environment, name, moved)
        value = inside(response, response.quantile(side.take(memory.noise)))
        assigned = side.unfolding.facts.assigned.get(name)
        if assigned is None:
            return value
        return np.where(side.take(assigned[None, :, side.position]), fact, value)

    def _response(
        self, environment: WorldEnvironment, name: str, moved: Collection[Part]
    ) -> Response:
        model = int(("mechanism", name) in moved)
        # What is a unit's own is known to the fit of its own side alone.
        effects = model if self.two_fits else int(("effects", name) in moved)
        unfolding, whose = self.sides[model].unfolding, self.sides[effects]
        mechanism = unfolding.machine.mechanisms[name]
        theirs = whose.unfolding.machine.mechanisms[name]
        response = respond(
            mechanism.design,
            unfolding.machine.parameters,
            environment,
            {key: values[whose.units] for key, values in theirs.constants.items()},
            {level: codes[whose.units] for level, codes in theirs.codes.items()},
            self.sides[int(("calendar", name) in moved)].ordinal,
            self._offsets(name, model, moved),
            self.fixed.setdefault((name, model, effects), {}),
        )
        if (name, model) not in self.tables:
            fixed = [parameter.name for parameter in response.family.dispersion]
            own = {key: response.extra[key] for key in fixed}
            self.tables[name, model] = response.family.prepared(own)
        return sound(replace(response, extra={**response.extra, **self.tables[name, model]}))

    def _offsets(self, name: str, model: int, moved: Collection[Part]) -> dict[str, Any]:
        """Return what shocks and hidden causes add, each from its side."""
        side = self.sides[int(("shock", name) in moved)]
        mechanism = side.unfolding.machine.mechanisms[name]
        found = side.unfolding.shock(mechanism, side.ordinal)
        main = mechanism.equation.main.prefix
        for factor in mechanism.equation.factors:
            # Like units' effects, its values are known to the fit of its own side alone.
            whose = self.sides[model if self.two_fits else int(("hidden", factor.name) in moved)]
            parts = whose.unfolding.hidden.parts(
                whose.unfolding.machine.mechanisms[name], whose.ordinal
            )
            found[main] = found[main] + whose.take(parts[factor.name])
        return found
