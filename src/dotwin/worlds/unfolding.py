"""How one block of draws unfolds: period by period, cause before effect, world after world.

Each indicator gets its value from its mechanism at its addressed noise, which all worlds share. An
intervened indicator keeps two values: the natural one, which its own lag reads, and the changed
one, which everything else reads. What an intervention cannot reach is the baseline itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.family import PlainFamily
from dotwin.mechanisms.kernels.compiled import kernel, plain
from dotwin.mechanisms.memory import room
from dotwin.mechanisms.response import Response, respond
from dotwin.spec.expressions import evaluate
from dotwin.worlds.changing import Changing, Tally
from dotwin.worlds.hidden import HiddenCauses
from dotwin.worlds.machine import Machine, Mechanism, shock
from dotwin.worlds.noise import normal_noise, tail_noise, uniform
from dotwin.worlds.world import World, WorldEnvironment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.worlds.engine import Engine

__all__ = ["Unfolding", "inside", "sound"]

#: The logarithm of the largest number that a double holds is 709.8.
_LARGEST_PREDICTOR = 700.0
#: Counts of more than 2**53 are not whole numbers of one any more.
_LARGEST_LOG_COUNT = 36.7
#: The smallest number above 0 that a double holds with all its digits.
_TINY = float(np.finfo(float).tiny)
_LARGEST = float(np.finfo(float).max)


def sound(response: Response) -> Response:
    """Hold predictors within what a double can say.

    A share of exp(-700) is 0 and a mean of exp(-700) is 0 to all intents; a mean too large to be a
    number is missing, and so are the values that come of it.
    """
    link = response.family.link
    if link == "identity":
        return response
    largest = _LARGEST_LOG_COUNT if response.family.discrete else _LARGEST_PREDICTOR
    most = _LARGEST_PREDICTOR if link == "logit" else largest
    eta = plain(np.atleast_2d(np.asarray(response.eta, dtype=float)))
    outside = np.empty(1, dtype=np.int64)
    kernel("within")(eta, -_LARGEST_PREDICTOR, most, outside)
    if not outside[0]:
        return response
    held = room(eta.shape)
    kernel("hold")(eta, -_LARGEST_PREDICTOR, most, link == "logit", held)
    return replace(response, eta=held)


def inside(response: Response, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep values that rounding put on an open end of the support just inside it.

    An infinite value is none. Counts, and values that no modifier moves, are inside as they are.
    """
    family = response.family
    support = family.support
    if family.discrete or (isinstance(family, PlainFamily) and np.isfinite(support.low)):
        return values
    if support.low == -np.inf and support.high == np.inf:
        outside = np.empty(1, dtype=np.int64)
        kernel("within")(values, -_LARGEST, _LARGEST, outside)
        if not outside[0]:
            return values
    values = np.where(np.isinf(values), np.nan, values)
    if not support.closed_low:
        low = support.low
        values = np.where(values == low, np.nextafter(low, np.inf) if low else _TINY, values)
    if not support.closed_high and np.isfinite(support.high):
        values = np.where(values == support.high, np.nextafter(support.high, -np.inf), values)
    return values


class Unfolding:
    """The worlds of one block of draws."""

    def __init__(self, engine: Engine, machine: Machine, rows: slice) -> None:
        self.engine, self.machine, self.rows = engine, machine, rows
        self.twin, self.start, self.past = engine.twin, engine.start, engine.start.past
        self.everyone, self.by_level = engine.everyone, engine.by_level
        self.expressions = engine.expressions
        self.tally = Tally()
        self.amounts: dict[str, Any] = {}
        self.tables: dict[str, Mapping[str, Any]] = {}
        self.fixed: dict[str, Any] = {}
        self.shocks: dict[tuple[str, int], Any] = {}
        self.hidden = HiddenCauses(
            machine, engine.start.members, engine.known_periods, self.noise, engine.seed
        )

    # ── noise ──────────────────────────────────────────────────────────────────────────────────

    def noise(self, node: str, units: NDArray[np.uint64], ordinal: int) -> NDArray[np.float64]:
        """Return a node's signed tail noise in a period, dims (draw, unit)."""
        pair, mirrored = divmod(self.engine.replicate, 2)
        address = f"{node} (noise {pair})" if pair else node
        v = tail_noise(self.engine.seed, address, self.machine.draws, units, ordinal)
        return -v if mirrored else v

    def normal(self, node: str, ordinal: int) -> NDArray[np.float64]:
        """Return normal noise that all units share, dims (draw, 1)."""
        return normal_noise(self.noise(node, self.everyone, ordinal))

    def shock(self, mechanism: Mechanism, ordinal: int) -> dict[str, Any]:
        """Return period shock and walk of each predictor, computed once for all scenarios."""
        found = {}
        for predictor in mechanism.equation.predictors:
            key = (predictor.prefix, ordinal)
            if key not in self.shocks:
                self.shocks[key] = shock(
                    predictor,
                    self.machine.parameters,
                    self.engine.known_periods,
                    ordinal,
                    self.normal,
                )
            found[predictor.prefix] = self.shocks[key]
        return found

    def offsets(self, mechanism: Mechanism, ordinal: int) -> dict[str, Any]:
        """Return what shocks and hidden causes add to each predictor."""
        found = self.shock(mechanism, ordinal)
        main = mechanism.equation.main.prefix
        for part in self.hidden.parts(mechanism, ordinal).values():
            found[main] = found[main] + part
        if self.engine.hidden is not None:
            found[main] = found[main] + self.engine.hidden(mechanism.equation.child, ordinal)
        return found

    # ── the past ───────────────────────────────────────────────────────────────────────────────

    def past_world(self) -> World:
        """Return a world that holds the facts, what is missing of them drawn from its causes."""
        seen: dict[str, list[Any]] = {}
        for name in self.twin.indicators:
            future: list[Any] = [None] * self.engine.horizon
            if name in self.start.givens:
                held = self.start.givens[name]
                future = [held[None, :, t] for t in range(self.engine.horizon)]
            facts = self.start.facts.get(name)
            if facts is None:
                empty = np.full((1, len(self.start.members.units)), np.nan)
                seen[name] = [empty] * self.past + future
            else:
                seen[name] = [facts[None, :, p] for p in range(self.past)] + future
        for (name, unit, column), draws in self.engine.imputed.items():
            shape = (len(self.machine.draws), len(self.start.members.units))
            filled = np.array(np.broadcast_to(seen[name][column], shape))
            filled[:, unit] = draws[self.rows]
            seen[name][column] = filled
        world = World(self.past, seen, {name: list(values) for name, values in seen.items()})
        if self.twin.panel.period is not None:
            self._draw_missing_past(world)
        return world

    def _draw_missing_past(self, world: World) -> None:
        for position in range(self.past // 2, self.past):
            for name in self.engine.programs[0].order:
                if self.twin.indicators[name].is_given:
                    continue
                facts = np.asarray(world.seen[name][position], dtype=float)
                missing = np.isnan(facts)
                if not missing.any():
                    continue
                drawn, _, _ = self.natural(world, name, position)
                value = np.where(missing, drawn, facts)
                world.put(name, position, value, value)

    # ── the future ─────────────────────────────────────────────────────────────────────────────

    def worlds(self) -> Iterator[World]:
        """Run program after program; what the first one reaches alone is kept for all."""
        past = self.past_world()
        baseline: World | None = None
        for program in self.engine.programs:
            world = World(
                self.past,
                {name: list(values) for name, values in past.seen.items()},
                {name: list(values) for name, values in past.natural.items()},
                {} if baseline is None else dict(baseline.means),
            )
            changing = Changing(self, world, program)
            for t in range(self.engine.horizon):
                for name in program.order:
                    if baseline is not None and name not in program.touched:
                        same = baseline.seen[name][self.past + t]
                        world.put(name, self.past + t, same, same)
                    else:
                        held = program.held(name, t)
                        made = self.natural(world, name, self.past + t, held, baseline)
                        changing.put(name, t, *made)
            baseline = world if baseline is None else baseline
            yield world

    def natural(
        self,
        world: World,
        name: str,
        position: int,
        held: frozenset[str] = frozenset(),
        reference: World | None = None,
    ) -> tuple[Any, Response | None, Any]:
        """Return what the world itself yields, with its distribution and noise where it has any.

        Parameters
        ----------
        world : World
        name : str
        position : int
            The period, counted from the first that is kept.
        held : frozenset of str
            Causes that it sees as they are in the reference world.
        reference : World, optional
        """
        one = self.twin.indicators[name]
        if one.is_given:
            return world.seen[name][position], None, None
        if one.equals is not None:
            environment = self._seen_by(name, world, position, held, reference)
            value = evaluate(self.expressions[name], environment)
            value = np.atleast_2d(np.asarray(value, dtype=float))
            shape = np.broadcast_shapes(value.shape, (1, len(self.start.members.units)))
            return np.broadcast_to(value, shape), None, None
        response = self.response(world, name, position, held, reference)
        level = one.level if one.level is not None else self.twin.unit
        mean = response.mean() if name in self.engine.expected else None
        if mean is not None and level != self.twin.unit:
            mean = mean[:, self.start.members.levels[level].representative]
        if mean is not None:
            world.means[name, position] = mean
        if name in self.engine.unread:
            return mean, response, None
        noise = self.noise(name, self.by_level[level], int(self.start.ordinals[position]))
        value = inside(response, response.quantile(noise))
        if level != self.twin.unit:
            value = value[:, self.start.members.levels[level].representative]
        return value, response, noise

    def _seen_by(
        self,
        name: str,
        world: World,
        position: int,
        held: frozenset[str],
        reference: World | None,
    ) -> WorldEnvironment:
        return WorldEnvironment(
            self.twin,
            world,
            self.start.members,
            position,
            child=name,
            held=held,
            reference=reference,
        )

    def response(
        self,
        world: World,
        name: str,
        position: int,
        held: frozenset[str] = frozenset(),
        reference: World | None = None,
    ) -> Response:
        """Return the distribution of an indicator with a mechanism, given its causes in a world.

        Parameters
        ----------
        world : World
        name : str
        position : int
        held : frozenset of str
            Causes that it sees as they are in the reference world.
        reference : World, optional
        """
        one = self.twin.indicators[name]
        environment = self._seen_by(name, world, position, held, reference)
        mechanism = self.machine.mechanisms[name]
        ordinal = int(self.start.ordinals[position])
        response = respond(
            mechanism.design,
            self.machine.parameters,
            environment,
            mechanism.constants,
            mechanism.codes,
            ordinal,
            self.offsets(mechanism, ordinal),
            self.fixed,
        )
        if response.trials is not None:
            level = one.level if one.level is not None else self.twin.unit
            response = replace(response, trials=self._whole(name, level, response.trials, ordinal))
        return sound(replace(response, extra=self._prepared(name, response)))

    def _prepared(self, name: str, response: Response) -> Mapping[str, Any]:
        """Return a response's parameters, those that no period changes prepared only once."""
        fixed = [parameter.name for parameter in response.family.dispersion]
        if name not in self.tables:
            own = {key: response.extra[key] for key in fixed}
            self.tables[name] = response.family.prepared(own)
        return {**response.extra, **self.tables[name]}

    def _whole(self, name: str, level: str, trials: Any, ordinal: int) -> Any:
        """Make trials whole, rounding up as often as the fraction says, at addressed noise."""
        trials = np.asarray(trials, dtype=float)
        broken = np.empty(1, dtype=np.int64)
        kernel("broken")(plain(trials).reshape(-1), broken)
        if not broken[0]:
            return trials
        u = uniform(self.noise(f"{name}.trials", self.by_level[level], ordinal))
        return np.floor(trials + u)
