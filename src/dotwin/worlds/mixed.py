"""Mixed worlds: each thing that makes a unit's future from that unit's world or from another's.

Two units are taken at random, each with its own start, givens, effects, shocks and noise, and their
futures are simulated. Between the two lie worlds in which some of this is the first one's and the
rest the second one's. How far they are apart says how much of the variation each thing is behind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.response import respond
from dotwin.spec.expressions import Expr, evaluate
from dotwin.worlds.engine import Engine
from dotwin.worlds.hybrids import Part
from dotwin.worlds.noise import uniform
from dotwin.worlds.unfolding import Unfolding, inside, sound
from dotwin.worlds.world import Grouping, Membership, World, WorldEnvironment

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Mixed", "OwnShocks"]


class OwnShocks(Unfolding):
    """An unfolding in which each unit has shocks of its own.

    What a single unit's future is drawn from is the same whether others have its shocks or not, and
    as many shocks as units say more of how much shocks vary than one.
    """

    def noise(self, node: str, units: NDArray[np.uint64], ordinal: int) -> NDArray[np.float64]:
        """Return a node's signed tail noise in a period, dims (draw, unit)."""
        shared = np.array_equal(units, self.everyone)
        return super().noise(node, self.by_level[self.twin.unit] if shared else units, ordinal)


class Mixed:
    """Makes mixed worlds of one block of draws.

    Parameters
    ----------
    engines : (Engine, Engine)
        Of the same run, at independent noise.
    rows : slice
        Which draws.
    units : int array (unit,)
        Which unit of the second world each unit of the first one meets.
    behind : dict of str to frozenset of Part
        The indicators that are made, causes first, with the parts that each can depend on.
    periods : dict of str to frozenset of int
        In which periods each is needed, counted from 0; earlier ones are its past.
    """

    def __init__(
        self,
        engines: tuple[Engine, Engine],
        rows: slice,
        units: NDArray[np.intp],
        behind: Mapping[str, frozenset[Part]],
        periods: Mapping[str, frozenset[int]],
    ) -> None:
        first, second = (OwnShocks(e, e.machine.block(rows, e.seed), rows) for e in engines)
        self.sides, self.units = (first, second), units
        self.behind, self.periods = behind, periods
        self.twin, self.past, self.horizon = first.twin, first.past, engines[0].horizon
        members = first.start.members
        self.members = (
            members,
            Membership(
                tuple(members.units[i] for i in units),
                {x: Grouping(one.codes[units], one.names) for x, one in members.levels.items()},
            ),
        )
        pasts = [side.past_world().seen for side in self.sides]
        self.given = {
            (name, k): [None if v is None else self._take(k, v) for v in pasts[k][name]]
            for name in behind
            for k in (0, 1)
        }
        self.known: dict[tuple[str, frozenset[Part]], list[Any]] = {}
        self.noises: dict[tuple[str, int, int], Any] = {}
        self.fixed: dict[tuple[str, int], dict[str, Any]] = {}
        self.tables: dict[str, Mapping[str, Any]] = {}

    def _take(self, side: int, values: Any) -> Any:
        """Line values by unit of a side up with the units of the first."""
        array = np.atleast_2d(np.asarray(values))
        return array[:, self.units] if side and array.shape[1] > 1 else array

    def outcome(self, expression: Expr, moved: frozenset[Part]) -> NDArray[np.float64]:
        """Return an expression's values in the last period of a mixed world.

        Parameters
        ----------
        expression : Expr
            Of indicators.
        moved : frozenset of Part
            What is the second unit's; everything else is the first one's.

        Returns
        -------
        float array (draw, unit)
        """
        position = self.past + self.horizon - 1
        world = self.world(moved)
        values = evaluate(expression, WorldEnvironment(self.twin, world, self.members[0], position))
        shape = len(self.sides[0].machine.draws), len(self.units)
        return np.broadcast_to(np.asarray(values, dtype=float), shape)

    def world(self, moved: frozenset[Part]) -> World:
        """Unfold a mixed world; what does not depend on what moved is not made again."""
        seen: dict[str, list[Any]] = {}
        fresh = []
        for name, parts in self.behind.items():
            key = (name, moved & parts)
            if key not in self.known:
                kind = "given" if self.twin.indicators[name].is_given else "state"
                self.known[key] = list(self.given[name, int((kind, name) in moved)])
                if kind == "state":
                    fresh.append(name)
            seen[name] = self.known[key]
        world = World(self.past, seen, seen)
        for t in range(self.horizon):
            for name in fresh:
                if t not in self.periods[name]:
                    continue
                value = self._made(world, name, self.past + t, moved)
                world.put(name, self.past + t, value, value)
        return world

    def _made(self, world: World, name: str, position: int, moved: frozenset[Part]) -> Any:
        first = self.sides[0]
        whose = int(("effects", name) in moved)
        environment = WorldEnvironment(self.twin, world, self.members[whose], position, child=name)
        if self.twin.indicators[name].equals is not None:
            value = evaluate(first.expressions[name], environment)
            return np.atleast_2d(np.asarray(value, dtype=float))
        mechanism = first.machine.mechanisms[name]
        ordinal = int(first.start.ordinals[position])
        theirs = self.units if whose else slice(None)
        response = respond(
            mechanism.design,
            first.machine.parameters,
            environment,
            {key: values[theirs] for key, values in mechanism.constants.items()},
            {level: codes[theirs] for level, codes in mechanism.codes.items()},
            ordinal,
            self._offsets(name, ordinal, moved),
            self.fixed.setdefault((name, whose), {}),
        )
        if name not in self.tables:
            fixed = [parameter.name for parameter in response.family.dispersion]
            own = {key: response.extra[key] for key in fixed}
            self.tables[name] = response.family.prepared(own)
        response = sound(replace(response, extra={**response.extra, **self.tables[name]}))
        side = int(("noise", name) in moved)
        if response.trials is not None:
            trials = np.asarray(response.trials, dtype=float)
            if not np.all(trials == np.floor(trials)):
                u = uniform(self._noise(f"{name}.trials", ordinal, side))
                response = replace(response, trials=np.floor(trials + u))
        return inside(response, response.quantile(self._noise(name, ordinal, side)))

    def _noise(self, node: str, ordinal: int, side: int) -> Any:
        """Return a node's noise: also that of a group's indicator is each unit's own."""
        key = (node, ordinal, side)
        if key not in self.noises:
            one = self.sides[side]
            self.noises[key] = self._take(
                side, one.noise(node, one.by_level[self.twin.unit], ordinal)
            )
        return self.noises[key]

    def _offsets(self, name: str, ordinal: int, moved: frozenset[Part]) -> dict[str, Any]:
        """Return what shocks and hidden causes add, each from its side."""
        mechanism = self.sides[0].machine.mechanisms[name]
        side = int(("shock", name) in moved)
        shocks = self.sides[side].shock(mechanism, ordinal)
        found = {prefix: self._take(side, value) for prefix, value in shocks.items()}
        main = mechanism.equation.main.prefix
        factors: Sequence[Any] = mechanism.equation.factors
        for factor in factors:
            side = int(("hidden", factor.name) in moved)
            parts = self.sides[side].hidden.parts(mechanism, ordinal)
            found[main] = found[main] + self._take(side, parts[factor.name])
        return found
