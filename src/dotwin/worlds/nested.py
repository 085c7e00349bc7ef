"""Nested worlds: some indicators take the values that they have in another world.

A world of mediation sets the cause to one value while its mediators behave as under another. Their
values come from a world that was unfolded before, on the same noise (what *this* unit would have
had) or on other noise (what *some* unit like it would have had). A path-specific world lets each
mechanism see either the changed or the unchanged cause of an arrow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.worlds.changing import Changing
from dotwin.worlds.engine import Engine
from dotwin.worlds.program import Program
from dotwin.worlds.unfolding import Unfolding
from dotwin.worlds.world import World

if TYPE_CHECKING:
    from dotwin.mechanisms.response import Response
    from dotwin.worlds.run import Run

__all__ = ["Nested", "NestedEngine", "nesting"]

#: An arrow between two indicators, at any lag.
Arrow = tuple[str, str]


@dataclass(frozen=True)
class Nested:
    """One of several worlds that are unfolded after each other.

    Parameters
    ----------
    name : str
    program : int
        Which program runs in it.
    other_noise : bool
        Whether it runs on other noise than the worlds that are compared.
    imposed : dict of str to str
        By indicator: the earlier world whose value it takes.
    arrows : frozenset of (cause, effect), optional
        The arrows along which the program's change travels; everything else is the first world.
    """

    name: str
    program: int
    other_noise: bool = False
    imposed: Mapping[str, str] = field(default_factory=dict)
    arrows: frozenset[Arrow] | None = None


@dataclass(frozen=True, eq=False)
class NestedEngine(Engine):
    """An engine for nested worlds.

    Parameters
    ----------
    outcome : str
        Its expectation given its causes is handed over with each world.
    other : int
        The replicate of the other noise.
    """

    outcome: str = ""
    other: int = 2

    def unfolding(self, rows: slice) -> Expecting:
        """Return what unfolds the worlds of some draws."""
        return Expecting(self, self.machine.block(rows, self.seed), rows)

    def nest(
        self,
        recipe: Sequence[Nested],
        keep: Callable[[slice, str, World, list[Any]], None],
        step: int = 1,
    ) -> None:
        """Unfold nested worlds, block after block of draws.

        Parameters
        ----------
        recipe : sequence of Nested
            The first one at the worlds' own noise.
        keep : callable
            Called as ``keep(rows, name, world, expected)``, with the outcome's expectation in each
            period; by several threads, each for draws of its own.
        step : int
            Every so many of the draws are simulated.
        """

        def work(own: Unfolding) -> None:
            assert isinstance(own, Expecting)
            away = Expecting(replace(self, replicate=self.other), own.machine, own.rows)
            # What does not vary with the noise is worked out once.
            away.fixed, away.tables, away.amounts = own.fixed, own.tables, own.amounts
            first: dict[bool, World] = {}
            found: dict[str, World] = {}
            for one in recipe:
                here = away if one.other_noise else own
                root = first.get(one.other_noise)
                world, expected = here.unfold(one, self.programs[one.program], root, found)
                first.setdefault(one.other_noise, world)
                found[one.name] = world
                keep(own.rows, one.name, world, expected)

        total, reach = len(self.machine.draws), self.size() * step
        blocks = [slice(first, min(first + reach, total), step) for first in range(0, total, reach)]
        for _ in self._by_block(work, blocks):
            pass


class Expecting(Unfolding):
    """An unfolding that remembers what it expects of the outcome."""

    engine: NestedEngine
    expected: Any = None

    def natural(
        self,
        world: World,
        name: str,
        position: int,
        held: frozenset[str] = frozenset(),
        reference: World | None = None,
    ) -> tuple[Any, Response | None, Any]:
        """Return what the world itself yields; remember the outcome's expectation."""
        value, response, noise = super().natural(world, name, position, held, reference)
        if name == self.engine.outcome:
            self.expected = value if response is None else response.mean()
        return value, response, noise

    def unfold(
        self, one: Nested, program: Program, root: World | None, found: Mapping[str, World]
    ) -> tuple[World, list[Any]]:
        """Unfold one world; what it shares with the first world is not computed again."""
        past = self.past_world() if root is None else root
        count = self.past
        world = World(
            count,
            {n: [*v[:count], *([None] * self.engine.horizon)] for n, v in past.seen.items()},
            {n: [*v[:count], *([None] * self.engine.horizon)] for n, v in past.natural.items()},
        )
        for name in self.twin.given:
            world.seen[name] = list(past.seen[name])
            world.natural[name] = list(past.natural[name])
        changing = Changing(self, world, program)
        expected = []
        for t in range(self.engine.horizon):
            self.expected = None
            for name in program.order:
                if name in one.imposed:
                    value = self._imposed(world, found[one.imposed[name]], name, count + t)
                    world.put(name, count + t, value, value)
                elif (
                    root is None
                    or (one.arrows is None and name in program.touched)
                    # Along arrows, its children see it set, and all others as it was.
                    or (one.arrows is not None and name in program.changes)
                ):
                    changing.put(name, t, *self.natural(world, name, count + t))
                elif one.arrows is not None and any(name == effect for _, effect in one.arrows):
                    self._step_along(world, root, one.arrows, name, t)
                else:
                    same = root.seen[name][count + t]
                    world.put(name, count + t, same, root.natural[name][count + t])
            outcome = world.seen[self.engine.outcome][count + t]
            expected.append(outcome if self.expected is None else self.expected)
        return world, expected

    def _step_along(
        self,
        world: World,
        root: World,
        arrows: frozenset[Arrow],
        name: str,
        t: int,
    ) -> None:
        """Give an indicator what its mechanism makes of changed and unchanged causes."""
        view = World(
            self.past,
            {n: (world if (n, name) in arrows else root).seen[n] for n in world.seen},
            {n: (world if (n, name) in arrows else root).natural[n] for n in world.natural},
        )
        value, _, _ = self.natural(view, name, self.past + t)
        world.put(name, self.past + t, value, value)

    def _imposed(self, world: World, source: World, name: str, position: int) -> Any:
        """Return the value of another world: of trials the share, whatever their number here."""
        value = source.seen[name][position]
        trials = self.twin.indicators[name].trials
        if trials is None:
            return value
        here, there = world.seen[trials][position], source.seen[trials][position]
        moved = np.where(there > 0, value * here / np.where(there > 0, there, 1.0), 0.0)
        return np.where(here == there, value, moved)


def nesting(
    run: Run, programs: Sequence[Program], outcome: str, replicate: int, other: int
) -> NestedEngine:
    """Return an engine for nested worlds of a run.

    Parameters
    ----------
    run : Run
    programs : sequence of Program
    outcome : str
    replicate, other : int
        The noise of the worlds that are compared, and other noise.
    """
    plain = run.engine(programs, replicate)
    own = {one.name: getattr(plain, one.name) for one in fields(Engine)}
    return NestedEngine(**own, outcome=outcome, other=other)
