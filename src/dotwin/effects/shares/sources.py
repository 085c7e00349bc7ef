"""Where an indicator's variation comes from: the sources, and how their shares are simulated.

Two units are taken at random, each in a world of its own. `shapley` shares the difference of their
outcomes out among the sources, from one world to the other. Half the mean product of the difference
and a source's part of it is the source's Shapley share of the variance: of
v(S) = Cov(Y(N), Y(N_S, N'_rest)), which is Var(E[Y | N_S]) for independent sources. It is unbiased
at any number of simulated pairs, also over a random order of joining, and the shares sum to half
the mean squared difference, exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from dotwin.effects.shares.parts import part_name, prefixes
from dotwin.effects.shares.shapley import shapley
from dotwin.errors import DataError, SpecificationError
from dotwin.spec.expressions import Across, Expr
from dotwin.worlds.facts import mechanism_reads
from dotwin.worlds.hybrids import Part
from dotwin.worlds.mixed import Mixed
from dotwin.worlds.start import expressions_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin
    from dotwin.worlds.run import Run

__all__ = ["Sources", "shared_out", "sources_of"]

#: With more sources, one random order and its reverse stand for all orders in each replicate.
_ALL_ORDERS = 5
#: Values of one indicator that are made together; several worlds of them are held at a time.
_BLOCK_VALUES = 16_384
#: Kinds in the order in which they come about.
_ORDER = ("given", "state", "effects", "hidden", "shock", "noise")


@dataclass(frozen=True, eq=False)
class Sources:
    """What an outcome's variation can come from.

    Parameters
    ----------
    named : dict of str to frozenset of Part
    behind : dict of str to frozenset of Part
        The indicators that the outcome is made from, causes first, with what each depends on.
    periods : dict of str to frozenset of int
        When each is read, counted from the first future period.
    """

    named: dict[str, frozenset[Part]]
    behind: dict[str, frozenset[Part]]
    periods: dict[str, frozenset[int]]


def sources_of(run: Run, expression: Expr, detail: str) -> Sources:
    """List the sources from which anything can reach the outcome in time.

    Parameters
    ----------
    run : Run
    expression : Expr
        The outcome, read in the last period.
    detail : {'kinds', 'indicators'}

    Raises
    ------
    SpecificationError
        When units act on each other on the way to the outcome.
    """
    twin = run.twin
    reads = mechanism_reads(twin)
    last = len(run.future) - 1
    waiting = [(name, last - lag) for name, lag in expression.refs()]
    waiting += [(str(twin.indicators[name].trials), t) for name, t in waiting
                if twin.indicators[name].trials is not None]  # fmt: skip
    found = set(waiting)
    while waiting:
        name, t = waiting.pop()
        if t < 0 or twin.indicators[name].is_given:
            continue
        fresh = {(other, t - lag) for other, lag in reads[name]} - found
        found |= fresh
        waiting += fresh
    names = {name for name, _ in found}
    _refuse_interference(twin, names, expression)
    periods = {name: frozenset(t for n, t in found if n == name) for name in names}
    own = {name: _parts(run, name, periods[name]) for name in names}
    named: dict[str, set[Part]] = {}
    place = {name: i for i, name in enumerate((*twin.graph.order(), *twin.indicators))}
    parts = sorted(
        {part for several in own.values() for part in several},
        key=lambda part: (_ORDER.index(part[0]), place.get(part[1], len(place)), part[1]),
    )
    for part in parts:
        named.setdefault(part_name(part, twin, detail), set()).add(part)
    behind = {}
    for name in sorted(names, key=place.__getitem__):
        closed, waiting_names = {name}, [name]
        while waiting_names:
            more = {other for other, _ in reads[waiting_names.pop()]} & names - closed
            closed |= more
            waiting_names += more
        behind[name] = frozenset().union(*(own[other] for other in closed))
    return Sources({name: frozenset(group) for name, group in named.items()}, behind, periods)


def _refuse_interference(twin: Twin, names: set[str], expression: Expr) -> None:
    for name, one in [("the outcome", expression), *expressions_of(twin)]:
        if name in {"the outcome", *names} and any(isinstance(p, Across) for p in one.walk()):
            raise SpecificationError(
                f"{name} reads other units, so what belongs to one unit cannot be told apart."
            )


def _parts(run: Run, name: str, periods: frozenset[int]) -> frozenset[Part]:
    """Return what an indicator's values in some periods are made of, besides its causes."""
    twin = run.twin
    if twin.indicators[name].is_given:
        return frozenset({("given", name)})
    found: set[Part] = {("state", name)} if min(periods) < 0 else set()
    mechanism = run.machine.mechanisms.get(name)
    if max(periods) < 0 or mechanism is None:
        return frozenset(found)
    found.add(("noise", name))
    predictors = mechanism.equation.predictors
    if any(p.period or p.walk for p in predictors):
        found.add(("shock", name))
    levels = set(twin.panel.all_levels)
    reads_levels = any(n == name and e.names() & levels for n, e in expressions_of(twin))
    if mechanism.codes or mechanism.constants or reads_levels:
        found.add(("effects", name))
    found |= {("hidden", factor.name) for factor in mechanism.equation.factors}
    return frozenset(found)


def shared_out(
    run: Run, expression: Expr, sources: Sources, replicates: int
) -> tuple[NDArray[np.float64], int]:
    """Simulate every source's Shapley share of the variance over units and their worlds.

    Parameters
    ----------
    run : Run
    expression : Expr
    sources : Sources
    replicates : int
        How many independent pairs of worlds each unit of each draw gets.

    Returns
    -------
    shares : float array (replicate, source, draw)
        In each draw they sum to the variance as simulated.
    orders : int
        How many random orders were taken; 0 where all orders are.

    Raises
    ------
    DataError
        When the outcome has no value in some world.
    """
    count, players = len(sources.named), list(sources.named.values())
    total, units = len(run.machine.draws), len(run.start.members.units)
    step = max(1, _BLOCK_VALUES // units)
    shares = np.empty((replicates, count, total))
    every = count <= _ALL_ORDERS
    for replicate in range(replicates):
        rng = np.random.default_rng([abs(run.seed), replicate])
        met, order = rng.permutation(units), rng.permutation(count)
        # Replicates 2k and 2k + 1 of the noise are mirror images: only every other one is taken.
        engines = tuple(run.engine(replicate=2 * (2 * replicate + k)) for k in (0, 1))
        for begin in range(0, total, step):
            rows = slice(begin, min(begin + step, total))
            with np.errstate(all="ignore"):
                mixed = Mixed((engines[0], engines[1]), rows, met, sources.behind, sources.periods)
                value = _values(mixed, expression, players)
                if every:
                    parts = shapley(np.stack([value(one) for one in range(2**count)]))
                else:
                    parts = np.zeros((count, rows.stop - begin, units))
                    for joining in (order, order[::-1]):
                        worth = [value(one) for one in prefixes(joining)]
                        for k, player in enumerate(joining):
                            parts[player] += (worth[k + 1] - worth[k]) / 2
                difference = value(2**count - 1) - value(0)
            shares[replicate, :, rows] = (difference * parts).mean(axis=2) / 2
    return shares, 0 if every else 2 * replicates


def _values(
    mixed: Mixed, expression: Expr, players: Sequence[frozenset[Part]]
) -> Callable[[int], NDArray[np.float64]]:
    """Return what gives the outcome where a coalition's sources are the second world's."""
    made: dict[int, NDArray[np.float64]] = {}

    def value(coalition: int) -> NDArray[np.float64]:
        if coalition not in made:
            moved = frozenset[Part]().union(
                *(group for i, group in enumerate(players) if coalition >> i & 1)
            )
            made[coalition] = _finite(mixed.outcome(expression, moved), expression)
        return made[coalition]

    return value


def _finite(values: NDArray[np.float64], expression: Expr) -> NDArray[np.float64]:
    if not np.isfinite(values).all():
        raise DataError(
            f"on: {expression} has no value in {1 - np.isfinite(values).mean():.1%} of simulated "
            f"unit-periods (a share of nothing, or a number too large), so its variance has none. "
            f"Ask for an indicator that always has one."
        )
    return values
