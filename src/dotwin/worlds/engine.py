"""The forward engine: from mechanisms, a start and programs to trajectories.

For every block of draws, period by period and cause before effect, each indicator gets its value
from its mechanism at its addressed noise. All scenarios of a block share that noise. An intervened
indicator keeps two values: the natural one, which its own lag reads, and the changed one, which
everything else reads. What an intervention cannot reach is not computed again but is the baseline.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.family import PlainFamily
from dotwin.mechanisms.kernels.compiled import kernel, plain
from dotwin.mechanisms.links import get_link
from dotwin.mechanisms.response import Response, respond
from dotwin.spec.expressions import Expr, evaluate, parse
from dotwin.spec.prior import Prior
from dotwin.worlds.machine import Machine, Mechanism, shock
from dotwin.worlds.noise import (
    normal_noise,
    prior_quantile,
    tail_noise,
    uniform,
    unit_numbers,
)
from dotwin.worlds.program import Change, Program
from dotwin.worlds.start import Start, all_reads, expressions_of
from dotwin.worlds.verbs import Changed, acts_on_share, change_share, change_value, support_edges
from dotwin.worlds.world import World, WorldEnvironment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin

__all__ = ["Block", "Edges", "Engine"]

#: Values of one node that are computed together: few enough to stay in the cache of a core, many
#: enough that the interpreter's own time does not count.
_BLOCK_VALUES = 65_536
#: Few threads wait for each other's Python; more would not help.
_MOST_THREADS = 4
#: The logarithm of the largest number that a double holds is 709.8.
_LARGEST_PREDICTOR = 700.0
#: Counts of more than 2**53 are not whole numbers of one any more.
_LARGEST_LOG_COUNT = 36.7
#: The smallest number above 0 that a double holds with all its digits.
_TINY = float(np.finfo(float).tiny)


@dataclass(eq=False)
class Edges:
    """How many intervened unit-periods had to be held at the edge of what is possible.

    Parameters
    ----------
    changed, at_edge : dict of (scenario, indicator) to int
    """

    changed: dict[tuple[str, str], int] = field(default_factory=dict)
    at_edge: dict[tuple[str, str], int] = field(default_factory=dict)

    def add(self, key: tuple[str, str], changed: int, at_edge: int) -> None:
        """Count further unit-periods."""
        self.changed[key] = self.changed.get(key, 0) + changed
        self.at_edge[key] = self.at_edge.get(key, 0) + at_edge

    def merge(self, other: Edges) -> None:
        """Count what another has counted."""
        for key, changed in other.changed.items():
            self.add(key, changed, other.at_edge[key])

    def shares(self) -> dict[tuple[str, str], float]:
        """Return the share at the edge, by scenario and indicator."""
        return {
            key: self.at_edge[key] / changed if changed else 0.0
            for key, changed in self.changed.items()
        }


@dataclass(frozen=True, eq=False)
class Block:
    """What the engine made of some draws.

    Parameters
    ----------
    rows : slice
        Which draws.
    worlds : tuple of World
        One per program.
    """

    rows: slice
    worlds: tuple[World, ...]


@dataclass(frozen=True, eq=False)
class Engine:
    """Simulates worlds forward.

    Parameters
    ----------
    twin : Twin
    machine : Machine
    start : Start
    programs : tuple of Program
        The baseline first.
    seed : int
    replicate : int
        Which noise: replicates 0 and 1 are each other's mirror images, and so on by pairs.
        Parameters, effects of new groups and intervention values are the same in all.
    known_periods : dict of int to int
        The calendar's numbers of the fit's periods, and their positions.
    imputed : dict of (indicator, unit row, column of the past) to array (draw,)
        Posterior draws of missing facts.
    hidden : callable, optional
        ``hidden(indicator, ordinal)`` is added to the indicator's linear predictor: what hidden
        causes do in a simulated panel.
    """

    twin: Twin
    machine: Machine
    start: Start
    programs: tuple[Program, ...]
    seed: int
    replicate: int = 0
    known_periods: Mapping[int, int] = field(default_factory=dict)
    imputed: Mapping[tuple[str, int, int], NDArray[np.float64]] = field(default_factory=dict)
    hidden: Callable[[str, int], Any] | None = None
    edges: Edges = field(default_factory=Edges)

    @cached_property
    def everyone(self) -> NDArray[np.uint64]:
        """The number that addresses what all units share."""
        return unit_numbers([""])

    @cached_property
    def by_level(self) -> dict[str, NDArray[np.uint64]]:
        """The numbers that address units, or groups of a level, by level."""
        levels = {self.twin.unit, *(one.level or "" for one in self.twin.indicators.values())}
        return {
            level: unit_numbers(grouping.labels[0])
            for level, grouping in self.start.members.levels.items()
            if level in levels
        }

    @cached_property
    def expressions(self) -> dict[str, Expr]:
        """The equations of exact indicators."""
        return {name: parse(one.equals) for name, one in self.twin.indicators.items() if one.equals}

    @property
    def horizon(self) -> int:
        """How many periods are simulated."""
        return len(self.start.ordinals) - self.start.past

    def size(self, block: int | None = None) -> int:
        """Return how many draws a block has."""
        units = max(1, len(self.start.members.units))
        return block or max(1, _BLOCK_VALUES // units)

    def blocks(self, block: int | None = None) -> Iterator[Block]:
        """Simulate block after block of draws; each holds the worlds of all programs.

        Parameters
        ----------
        block : int, optional
            Draws per block; chosen by the number of units unless given. It changes nothing but
            the memory and time that are used.
        """

        def simulated(run: _Run) -> Block:
            return Block(run.rows, tuple(run.worlds()))

        yield from self._by_block(simulated, block)

    def collect(
        self,
        keep: Callable[[slice, int, World], None],
        block: int | Sequence[slice] | None = None,
    ) -> None:
        """Simulate, and hand over each world of each block once it is there.

        However many programs there are, a block holds no more than the baseline and one other
        world at a time.

        Parameters
        ----------
        keep : callable
            Called as ``keep(rows, number, world)`` with the block's draws and the program's
            number. Several threads call it, each for draws of its own.
        block : int or sequence of slice, optional
            Draws per block, as in `blocks`; or the blocks themselves.
        """

        def handed(run: _Run) -> None:
            for number, world in enumerate(run.worlds()):
                keep(run.rows, number, world)

        for _ in self._by_block(handed, block):
            pass

    def _by_block[T](
        self, work: Callable[[_Run], T], block: int | Sequence[slice] | None
    ) -> Iterator[T]:
        """Do some work for each block, in order, on several threads; count the edges."""
        if block is None or isinstance(block, int):
            total, size = len(self.machine.draws), self.size(block)
            slices = [slice(first, min(first + size, total)) for first in range(0, total, size)]
        else:
            slices = list(block)

        def one(rows: slice) -> tuple[T, Edges]:
            # A draw may send a predictor to infinity: its values are counted, not warned about.
            with np.errstate(all="ignore"):
                run = _Run(self, self.machine.block(rows, self.seed), rows)
                return work(run), run.edges

        for result, edges in _in_order(one, slices):
            self.edges.merge(edges)
            yield result

    def response(self, block: Block, name: str, t: int) -> Response:
        """Return the distribution that an indicator has in the baseline, given its causes there.

        Parameters
        ----------
        block : Block
        name : str
            An indicator with a mechanism.
        t : int
            A future period, counted from 0.

        Returns
        -------
        Response
            Dims (draw, unit).
        """
        with np.errstate(all="ignore"):
            run = _Run(self, self.machine.block(block.rows, self.seed), block.rows)
            _, response, _ = run._natural(block.worlds[0], name, run.past + t)
        if response is None:
            raise ValueError(f"'{name}' has no mechanism, so no distribution.")
        return response

    def unstartable(self) -> dict[str, NDArray[np.bool_]]:
        """Say which units lack a starting value that cannot be drawn, by indicator.

        Returns
        -------
        dict of str to bool array (unit,)
        """
        rows = slice(0, 1)
        with np.errstate(all="ignore"):
            world = _Run(self, self.machine.block(rows, self.seed), rows).past_world()
        found: dict[str, NDArray[np.bool_]] = {}
        for name, lag in _lagged_reads(self.twin):
            for back in range(1, lag + 1):
                values = world.seen[name][world.past - back]
                if np.asarray(values).dtype.kind in "OUT":
                    lacking = np.asarray(values == "").reshape(-1)
                else:
                    lacking = np.isnan(np.asarray(values, dtype=float)).any(axis=0)
                if lacking.any():
                    found[name] = found.get(name, np.zeros(lacking.shape, dtype=bool)) | lacking
        return found


def _in_order[A, T](work: Callable[[A], T], items: Sequence[A]) -> Iterator[T]:
    """Work on items on as many threads as there are cores, a few ahead of what is asked for."""
    threads = min(_MOST_THREADS, os.cpu_count() or 1, len(items))
    if threads < 2:
        yield from map(work, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[T]] = deque()
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) > threads:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _sound(response: Response) -> Response:
    """Hold predictors within what a double can say.

    A share of exp(-700) is 0 and a mean of exp(-700) is 0 to all intents; a mean too large to be a
    number is missing, and so are the values that come of it.
    """
    link = response.family.link
    if link == "identity":
        return response
    largest = _LARGEST_LOG_COUNT if response.family.discrete else _LARGEST_PREDICTOR
    most = _LARGEST_PREDICTOR if link == "logit" else largest
    eta = np.atleast_2d(np.asarray(response.eta, dtype=float))
    held = np.empty(eta.shape)
    kernel("hold")(plain(eta), -_LARGEST_PREDICTOR, most, link == "logit", held)
    return replace(response, eta=held)


def _inside(response: Response, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keep values that rounding put on an open end of the support just inside it.

    An infinite value is none. Counts, and values that no modifier moves, are inside as they are.
    """
    family = response.family
    support = family.support
    if family.discrete or (isinstance(family, PlainFamily) and np.isfinite(support.low)):
        return values
    values = np.where(np.isinf(values), np.nan, values)
    if not support.closed_low:
        low = support.low
        values = np.where(values == low, np.nextafter(low, np.inf) if low else _TINY, values)
    if not support.closed_high and np.isfinite(support.high):
        values = np.where(values == support.high, np.nextafter(support.high, -np.inf), values)
    return values


def _lagged_reads(twin: Twin) -> list[tuple[str, int]]:
    """Return each indicator that a mechanism reads at a lag, with the longest such lag.

    A rule that reads a missing state does not hold there, so rules leave nobody out.
    """
    longest: dict[str, int] = {}
    for _, expression in expressions_of(twin):
        for name, lag in all_reads(twin, expression):
            if lag:
                longest[name] = max(lag, longest.get(name, 0))
    return sorted(longest.items())


class _Run:
    """The worlds of one block of draws."""

    def __init__(self, engine: Engine, machine: Machine, rows: slice) -> None:
        self.engine, self.machine, self.rows = engine, machine, rows
        self.twin, self.start, self.past = engine.twin, engine.start, engine.start.past
        self.everyone, self.by_level = engine.everyone, engine.by_level
        self.expressions = engine.expressions
        self.edges = Edges()
        self.amounts: dict[str, Any] = {}
        self.tables: dict[str, Mapping[str, Any]] = {}
        self.fixed: dict[str, Any] = {}
        self.shocks: dict[tuple[str, int], Any] = {}

    # ── noise ──────────────────────────────────────────────────────────────────────────────────

    def noise(self, node: str, units: NDArray[np.uint64], ordinal: int) -> NDArray[np.float64]:
        pair, mirrored = divmod(self.engine.replicate, 2)
        address = f"{node} (noise {pair})" if pair else node
        v = tail_noise(self.engine.seed, address, self.machine.draws, units, ordinal)
        return -v if mirrored else v

    def normal(self, node: str, ordinal: int) -> NDArray[np.float64]:
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
        if self.engine.hidden is not None:
            main = mechanism.equation.main.prefix
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
                drawn, _, _ = self._natural(world, name, position)
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
            )
            groups: dict[int, Any] = {}
            for t in range(self.engine.horizon):
                for name in program.order:
                    if baseline is not None and name not in program.touched:
                        same = baseline.seen[name][self.past + t]
                        world.put(name, self.past + t, same, same)
                    else:
                        self._step(world, program, name, t, groups)
            baseline = world if baseline is None else baseline
            yield world

    def _step(
        self, world: World, program: Program, name: str, t: int, groups: dict[int, Any]
    ) -> None:
        position = self.past + t
        natural, response, noise = self._natural(world, name, position)
        acting = [change for change in program.changes.get(name, ()) if change.acts(t)]
        if not acting:
            world.put(name, position, natural, natural)
            return
        (change,) = acting
        changed = self._changed(change, name, natural, response, noise, change.strength[t])
        group = self._group(world, change, name, t, natural, groups)
        value = changed.value
        at_edge = changed.at_edge & np.isfinite(changed.value)
        acts = np.isfinite(changed.value)
        if group is not None:
            value = np.where(group, value, natural)
            at_edge, acts = at_edge & group, acts & group
        self.edges.add((program.name, name), int(acts.sum()), int(at_edge.sum()))
        world.put(name, position, value, value if change.feeds_back else natural)

    def _natural(self, world: World, name: str, position: int) -> tuple[Any, Response | None, Any]:
        """Return what the world itself yields, with its distribution and noise where it has any."""
        one = self.twin.indicators[name]
        if one.is_given:
            return world.seen[name][position], None, None
        environment = WorldEnvironment(self.twin, world, self.start.members, position, child=name)
        if one.equals is not None:
            value = evaluate(self.expressions[name], environment)
            value = np.atleast_2d(np.asarray(value, dtype=float))
            shape = np.broadcast_shapes(value.shape, (1, len(self.start.members.units)))
            return np.broadcast_to(value, shape), None, None
        mechanism = self.machine.mechanisms[name]
        ordinal = int(self.start.ordinals[position])
        response = respond(
            mechanism.design,
            self.machine.parameters,
            environment,
            mechanism.constants,
            mechanism.codes,
            ordinal,
            self.shock(mechanism, ordinal),
            self.fixed,
        )
        level = one.level if one.level is not None else self.twin.unit
        noise = self.noise(name, self.by_level[level], ordinal)
        if response.trials is not None:
            response = replace(response, trials=self._whole(name, level, response.trials, ordinal))
        response = _sound(replace(response, extra=self._prepared(name, response)))
        value = _inside(response, response.quantile(noise))
        if level != self.twin.unit:
            value = value[:, self.start.members.levels[level].representative]
        return value, response, noise

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
        if bool(np.all((trials == np.floor(trials)) | np.isnan(trials))):
            return trials
        u = uniform(self.noise(f"{name}.trials", self.by_level[level], ordinal))
        return np.floor(trials + u)

    def _changed(
        self,
        change: Change,
        name: str,
        natural: Any,
        response: Response | None,
        noise: Any,
        strength: float,
    ) -> Changed:
        verb, amount = change.intervention.verb, self._amount(change)
        if response is None:
            return change_value(verb, natural, amount, strength, -np.inf, np.inf)
        mechanism = self.machine.mechanisms[name]
        if acts_on_share(mechanism.equation):
            changed = change_share(verb, response, mechanism.equation, noise, amount, strength)
            level = mechanism.equation.indicator.level
            if level is not None and level != self.twin.unit:
                first = self.start.members.levels[level].representative
                changed = Changed(changed.value[:, first], changed.at_edge[:, first])
            return changed
        family = mechanism.equation.family
        usual = float(get_link(family.link).inverse(mechanism.design.reference.child[0]))
        low, high = support_edges(
            mechanism.equation, family.support, usual, response.extra.get("lower")
        )
        changed = change_value(verb, natural, amount, strength, low, high)
        if response.holds is None:
            return changed
        holds = np.asarray(response.holds) != 0
        return Changed(np.where(holds, changed.value, natural), changed.at_edge & holds)

    def _amount(self, change: Change) -> Any:
        """Return an intervention's value, drawn once per draw where it is a distribution."""
        value = change.intervention.value
        if not isinstance(value, Prior):
            return value
        if change.address not in self.amounts:
            v = tail_noise(self.engine.seed, change.address, self.machine.draws, self.everyone, 0)
            self.amounts[change.address] = prior_quantile(value, v)
        return self.amounts[change.address]

    def _group(
        self,
        world: World,
        change: Change,
        name: str,
        t: int,
        natural: Any,
        groups: dict[int, Any],
    ) -> Any:
        """Return who is intervened on, or None for everyone; an unknown condition does not hold."""
        if change.where is None:
            return None
        if change.group == "fixed" and id(change) in groups:
            return groups[id(change)]
        environment = WorldEnvironment(
            self.twin,
            world,
            self.start.members,
            self.past + t,
            overrides={name: natural},
            begun=partial(self._begun, world, change),
        )
        condition = np.atleast_2d(np.asarray(evaluate(change.where, environment), dtype=float))
        group = np.nan_to_num(condition) != 0
        if change.group == "fixed":
            groups[id(change)] = group
        return group

    def _begun(self, world: World, change: Change, expression: Expr) -> Any:
        """Return what an expression was in the period before the intervention began."""
        before = self.past + change.first - 1
        return evaluate(expression, WorldEnvironment(self.twin, world, self.start.members, before))
