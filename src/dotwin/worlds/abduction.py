"""Worlds that look back: the noise behind the facts, and what it would have made of another world.

In every draw of the parameters the noise of each fact is found (*abducted*): for a number it is the
one value that gives it, for a count a uniform draw between F(y - 1) and F(y). The other world runs
on the same noise. So a world in which nothing is changed is the facts, exactly; what cannot be
reached is the facts, too, and is not computed.

What one unit would have done rests on this *monotone coupling*: a unit that sits high among its
like in one world sits as high in the other. No data can test it. Averages over units drawn from the
model do not depend on it.

Where the mechanism says nothing of a value (it does not hold there, nobody is at risk, somebody set
the value) the noise is drawn anew. A value that somebody set is the same in all worlds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import SpecificationError
from dotwin.mechanisms.behind import noise_behind
from dotwin.mechanisms.tails import SMALLEST_TAIL
from dotwin.worlds.calendar import FuturePeriods
from dotwin.worlds.changing import Changing
from dotwin.worlds.engine import Engine
from dotwin.worlds.evidence import draw_missing
from dotwin.worlds.facts import Facts, gather_facts, mechanism_reads, window_of
from dotwin.worlds.machine import Mechanism
from dotwin.worlds.noise import tail_noise, uniform
from dotwin.worlds.program import Program, compile_programs
from dotwin.worlds.run import Run, draw_number, machine_of, thinned
from dotwin.worlds.start import gather_start
from dotwin.worlds.unfolding import Unfolding, inside
from dotwin.worlds.verbs import acts_on_share
from dotwin.worlds.world import World

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.mechanisms.response import Response
    from dotwin.spec import Scenario

__all__ = ["LookingBack", "Memory", "Recalled", "look_back", "looking_back"]


@dataclass(frozen=True, eq=False)
class LookingBack(Engine):
    """An engine whose worlds share the noise behind the facts.

    Parameters
    ----------
    facts : Facts
    gap_mechanisms : dict of str to Mechanism
        Lined up with the units that have missing facts.
    abduction : int
        Which draw of what the facts leave open: missing facts, and noise within a count's interval.
    fresh : frozenset of str
        Indicators whose noise is drawn anew instead of abducted.
    """

    facts: Facts = field(default_factory=lambda: Facts({}, 0, {}))
    gap_mechanisms: dict[str, Mechanism] = field(default_factory=dict)
    abduction: int = 0
    fresh: frozenset[str] = frozenset()

    def unfolding(self, rows: slice) -> Recalled:
        """Return what unfolds the worlds of some draws."""
        return Recalled(self, self.machine.block(rows, self.seed), rows)

    def size(self, block: int | None = None) -> int:
        """Return how many draws a block has: fewer where several worlds unfold side by side."""
        return block or max(1, super().size() // max(1, len(self.programs) - 1))


@dataclass(frozen=True, eq=False)
class Memory:
    """What is behind a fact.

    Parameters
    ----------
    noise : array (draw, unit)
        None of an exact indicator.
    value : array (draw, unit)
        What an exact indicator's equation makes of the facts.
    tells : bool array (draw, unit)
        Where the fact tells of the noise.
    response : Response or None
        What the mechanism made of the facts.
    """

    noise: Any
    value: Any
    tells: Any
    response: Response | None


class Recalled(Unfolding):
    """The worlds of one block of draws, on the noise behind the facts."""

    engine: LookingBack

    def __init__(self, engine: LookingBack, machine: Any, rows: slice) -> None:
        super().__init__(engine, machine, rows)
        self.facts = engine.facts
        self.factual = World(self.past, {}, {})
        self.memory: dict[str, tuple[int, Memory]] = {}
        self.unread: str | None = None

    # ── the factual world ──────────────────────────────────────────────────────────────────────

    def past_world(self) -> World:
        """Return a world that holds the facts of all periods, what is missing of them drawn."""
        positions = len(self.start.ordinals)
        later = positions - self.facts.known
        seen: dict[str, list[Any]] = {}
        for name in self.twin.indicators:
            values = self.facts.values.get(name)
            if values is None:
                empty = np.full((1, len(self.start.members.units)), np.nan)
                seen[name] = [empty] * self.facts.known
            else:
                seen[name] = [values[None, :, p] for p in range(self.facts.known)]
            held = self.start.givens.get(name)
            seen[name] += [
                None if held is None else held[None, :, held.shape[1] - later + t]
                for t in range(later)
            ]
        for (name, position), drawn in self._drawn().items():
            if position < self.facts.known:
                shape = (len(self.machine.draws), len(self.start.members.units))
                filled = np.array(np.broadcast_to(seen[name][position], shape))
                assert self.facts.gaps is not None
                filled[:, self.facts.gaps.rows] = drawn
                seen[name][position] = filled
        return World(self.past, seen, {name: list(values) for name, values in seen.items()})

    def _drawn(self) -> dict[tuple[str, int], NDArray[np.float64]]:
        gaps, engine = self.facts.gaps, self.engine
        if gaps is None:
            return {}
        machine = replace(engine.machine, mechanisms=engine.gap_mechanisms)
        plain = Engine(
            twin=self.twin,
            machine=machine,
            start=gaps.start,
            programs=engine.programs[:1],
            seed=engine.seed,
            known_periods=engine.known_periods,
            hidden=engine.hidden,
        )
        unfolding = Unfolding(plain, machine.block(self.rows, engine.seed), self.rows)
        return draw_missing(unfolding, gaps, mechanism_reads(self.twin), engine.abduction)

    # ── the other worlds ───────────────────────────────────────────────────────────────────────

    def worlds(self) -> Iterator[World]:
        """Unfold the factual world and, side by side, those of the other programs."""
        self.factual = self.past_world()
        baseline, *others = self.engine.programs
        unchanged = Changing(self, self.factual, baseline)
        changing = [Changing(self, self.begin(), program) for program in others]
        for t in range(self.engine.horizon):
            if self.past + t >= self.facts.known:
                for name in baseline.order:
                    made = self.natural(self.factual, name, self.past + t)
                    unchanged.put(name, t, *made)
            for one in changing:
                self.advance(one, t)
        yield self.factual
        yield from (one.world for one in changing)

    def begin(self) -> World:
        """Return another world that has the factual one's past."""
        seen, natural = (
            {name: list(values) for name, values in kept.items()}
            for kept in (self.factual.seen, self.factual.natural)
        )
        return World(self.past, seen, natural)

    def advance(self, changing: Changing, t: int) -> None:
        """Unfold another world by a period; what it cannot reach is the factual world."""
        world, program = changing.world, changing.program
        for name in program.order:
            if name in program.touched:
                self.unread = name if self._is_set(program, name, t) else None
                held = program.held(name, t)
                made = self.natural(world, name, self.past + t, held, self.factual)
                changing.put(name, t, *made)
            else:
                same = self.factual.seen[name][self.past + t]
                world.put(name, self.past + t, same, same)

    def _is_set(self, program: Program, name: str, t: int) -> bool:
        """Whether an indicator is set for everyone, so that nobody reads what it would be."""
        if name not in self.machine.mechanisms:
            return False
        return any(
            change.intervention.verb == "do" and change.where is None and change.strength[t] == 1
            for change in program.changes.get(name, ())
        ) and not acts_on_share(self.machine.mechanisms[name].equation)

    def natural(
        self,
        world: World,
        name: str,
        position: int,
        held: frozenset[str] = frozenset(),
        reference: World | None = None,
    ) -> tuple[Any, Response | None, Any]:
        """Return what a world itself yields on the noise behind the facts."""
        one = self.twin.indicators[name]
        if one.is_given or position >= self.facts.known or name in self.engine.fresh:
            return super().natural(world, name, position, held, reference)
        fact = self.factual.seen[name][position]
        if name == self.unread:
            return fact, self.response(world, name, position, held, reference), None
        memory = self.recall(name, position)
        if memory.response is None:
            value, _, _ = super().natural(world, name, position, held, reference)
            # What accounting leaves over is the same in all worlds.
            moved = value + np.where(memory.tells, fact - memory.value, 0.0)
            return np.where(memory.tells & (value == memory.value), fact, moved), None, None
        response = self.response(world, name, position, held, reference)
        same = memory.tells & _same(response, memory.response)
        if name in self.facts.assigned:
            same = same | self.facts.assigned[name][None, :, position]
        if np.all(same):
            return fact, response, memory.noise
        value = inside(response, response.quantile(memory.noise))
        if one.level not in (None, self.twin.unit):
            value = value[:, self.start.members.levels[str(one.level)].representative]
        return np.where(same, fact, value), response, memory.noise

    def recall(self, name: str, position: int) -> Memory:
        """Return what is behind a fact; it is kept until another period is asked for."""
        kept = self.memory.get(name)
        if kept is not None and kept[0] == position:
            return kept[1]
        memory = self._abduct(name, position)
        self.memory[name] = (position, memory)
        return memory

    def _abduct(self, name: str, position: int) -> Memory:
        one = self.twin.indicators[name]
        fact = np.asarray(self.factual.seen[name][position], dtype=float)
        if one.equals is not None:
            value, _, _ = super().natural(self.factual, name, position)
            return Memory(None, value, np.isfinite(fact) & np.isfinite(value), None)
        ordinal = int(self.start.ordinals[position])
        level = one.level if one.level is not None else self.twin.unit
        units = self.by_level[level]
        response = self.response(self.factual, name, position)
        within = None
        if response.family.discrete or response.family.atoms:
            address = f"{name} (within {self.engine.abduction})"
            within = uniform(
                tail_noise(self.engine.seed, address, self.machine.draws, units, ordinal)
            )
        v = noise_behind(
            response.family, fact, response.eta, response.extra, response.trials, within
        )
        tells = np.isfinite(v) & np.isfinite(fact)
        if response.holds is not None:
            tells &= np.asarray(response.holds) != 0
        if response.trials is not None:
            tells &= np.asarray(response.trials) != 0
        if name in self.facts.assigned:
            tells &= ~self.facts.assigned[name][None, :, position]
        far = tells & (np.abs(v) <= SMALLEST_TAIL)
        if far.any():
            self.facts.count_unexplained(name, int(far.sum()))
        if not tells.all():
            v = np.where(tells, v, super().noise(name, units, ordinal))
        if level != self.twin.unit:
            first = self.start.members.levels[level].representative
            v, tells = v[:, first], tells[:, first]
        return Memory(v, None, tells, response)


def _same(one: Response, other: Response) -> Any:
    """Where two responses are the same distribution, to the last bit."""
    same: Any = one.eta == other.eta
    varying = {*one.family.linear_predictors, "lower"}
    pairs = [(one.extra[key], other.extra[key]) for key in varying if key in one.extra]
    for first, second in (*pairs, (one.trials, other.trials), (one.holds, other.holds)):
        if first is not None:
            same = same & (np.asarray(first) == np.asarray(second))
    return same


def look_back(
    fit: Fit,
    scenarios: Sequence[Scenario],
    *,
    periods: slice | str | Sequence[str] | None,
    ahead: int = 0,
    seed: int,
    draws: int,
    reached: frozenset[str] = frozenset(),
    among: NDArray[np.bool_] | None = None,
) -> tuple[Run, Facts]:
    """Work out what is needed to run scenarios on the noise behind the facts of a window.

    Parameters
    ----------
    fit : Fit
    scenarios : sequence of Scenario
        Their dates lie in the window; they begin with it unless they say otherwise.
    periods : slice, str or sequence of str, optional
        The window, see `dotwin.worlds.facts.window_of`.
    ahead : int
        Periods after the panel's last, at new noise that all worlds share.
    seed : int
    draws : int
        Posterior draws, taken evenly from the chains.
    reached : frozenset of str
        Further indicators whose noise is looked for, beside all that the scenarios reach.
    among : bool array (unit of the panel,), optional
        Who is looked back on; all unless given.

    Returns
    -------
    run : Run
        Its future is the window and what follows.
    facts : Facts

    Raises
    ------
    SpecificationError
        When a scenario cannot be what it says.
    DataError
        When a period is not in the panel, or no unit can be looked back on.
    """
    twin, panel = fit.twin, fit.panel
    if draws < 1:
        raise SpecificationError(f"draws={draws}: at least one draw is looked at.")
    window = window_of(panel, periods)
    future = _periods(fit, window, ahead)
    programs = compile_programs(twin, scenarios, future)
    touched = frozenset[str]().union(reached, *(program.touched for program in programs))
    later = _later_givens(fit, programs, ahead)
    start, facts = gather_facts(twin, panel, window, touched, later, future, among)
    values, chain, draw = thinned(fit, draws)
    run = Run(
        fit=fit,
        panel=panel,
        future=future,
        programs=programs,
        start=start,
        machine=machine_of(fit, panel, start, values, draw_number(chain, draw)),
        chains=np.unique(chain),
        draws=draw[chain == chain[0]],
        seed=int(seed),
        imputed={},
        new_groups={},
        drawn_starts={},
    )
    return run, facts


def _periods(fit: Fit, window: slice, ahead: int) -> FuturePeriods:
    panel = fit.panel
    layout = fit.twin.panel.period
    if ahead < 0:
        raise SpecificationError(f"ahead={ahead}: a count of periods, 0 or more.")
    if ahead and (layout is None or window.stop != len(panel.period_labels)):
        raise SpecificationError(
            "ahead: periods after the panel follow a window that ends with the panel's last "
            f"period, {panel.period_labels[-1]}."
        )
    if layout is None:
        return FuturePeriods(None, np.zeros(1, dtype=np.int64))
    first = int(panel.period_ordinals[window.start])
    count = window.stop - window.start + ahead
    return FuturePeriods(layout.frequency, first + np.arange(count, dtype=np.int64))


def _later_givens(fit: Fit, programs: Sequence[Program], ahead: int) -> dict[str, NDArray[Any]]:
    """Return what givens are held at after the panel, dims (unit of the panel, period)."""
    if not ahead:
        return {}
    panel, layout = fit.panel, fit.twin.panel.period
    assert layout is not None
    ordinals = int(panel.period_ordinals[-1]) + 1 + np.arange(ahead, dtype=np.int64)
    start = gather_start(
        fit.twin, panel, programs, FuturePeriods(layout.frequency, ordinals), None, 0
    )
    found = {}
    for name, held in start.givens.items():
        empty: Any = "" if held.dtype.kind in "OUT" else np.nan
        full = np.full((len(panel.units), ahead), empty, dtype=held.dtype)
        full[start.rows] = held
        found[name] = full
    return found


def looking_back(
    run: Run,
    facts: Facts,
    programs: Sequence[Program] | None = None,
    *,
    abduction: int = 0,
    replicate: int = 0,
    fresh: frozenset[str] = frozenset(),
) -> LookingBack:
    """Return an engine for worlds on the noise behind the facts.

    Parameters
    ----------
    run : Run
        From `look_back`.
    facts : Facts
    programs : sequence of Program, optional
        Those of the run unless given; the first is the factual world.
    abduction, replicate : int
        Which draw of what the facts leave open, and of noise after the window.
    fresh : frozenset of str
        Indicators whose noise is drawn anew instead of abducted.
    """
    plain = run.engine(programs, replicate)
    own = {one.name: getattr(plain, one.name) for one in fields(Engine)}
    mechanisms = {}
    if facts.gaps is not None:
        there = machine_of(
            run.fit, run.panel, facts.gaps.start, run.machine.parameters, run.machine.draws
        )
        mechanisms = dict(there.mechanisms)
    return LookingBack(
        **own, facts=facts, gap_mechanisms=mechanisms, abduction=abduction, fresh=fresh
    )
