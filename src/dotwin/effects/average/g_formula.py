"""The parametric g-formula: two worlds that differ in one cause, averaged over noise and units.

Both worlds unfold period by period from the same start at the same noise, with every cause that
the intervention reaches drawn anew from its own mechanism. The outcome is averaged over what its
mechanism says of it given its simulated causes, not over draws of it: the average is the same and
less noise is left (Rao and Blackwell).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from dotwin.worlds.identified import differing
from dotwin.worlds.run import compared
from dotwin.worlds.start import all_reads, expressions_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.effects.outcome import Outcome
    from dotwin.worlds.aggregate import Groups
    from dotwin.worlds.program import Program
    from dotwin.worlds.run import Run
    from dotwin.worlds.world import World

__all__ = ["Averages", "average_worlds", "usual_replicates"]

#: Values that may be simulated to average noise away: about half a second.
_BUDGET = 20_000_000
#: What the interpreter's own time on one indicator and period costs, in values.
_STEP = 10_000
_MOST_PAIRS = 16
#: On how many draws the noise that is left is measured, where all draws hold one pair only.
_DRAWS_FOR_NOISE = 64


@dataclass(frozen=True, eq=False)
class Averages:
    """An outcome in two worlds.

    Parameters
    ----------
    levels : float array (world, draw, group, period)
    noise : float array (group, period)
        The variance of the difference within a draw that comes from simulating.
    """

    levels: NDArray[np.float64]
    noise: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Sums:
    """Numerators and denominators, dims (pair, world, draw, group, period)."""

    above: NDArray[np.float64]
    below: NDArray[np.float64]

    @staticmethod
    def empty(pairs: int, draws: int, groups: int, periods: int) -> _Sums:
        shape = (pairs, 2, draws, groups, periods)
        return _Sums(np.zeros(shape), np.zeros(shape))

    def levels(self) -> NDArray[np.float64]:
        with np.errstate(invalid="ignore", divide="ignore"):
            whole: NDArray[np.float64] = self.above.sum(axis=0) / self.below.sum(axis=0)
        return whole

    def by_pair(self) -> NDArray[np.float64]:
        """Return the difference of each pair, dims (pair, draw, group, period)."""
        with np.errstate(invalid="ignore", divide="ignore"):
            each = self.above / self.below
        difference: NDArray[np.float64] = each[:, 1] - each[:, 0]
        return difference


def usual_replicates(run: Run, programs: tuple[Program, Program]) -> int:
    """Choose how many noises are averaged: as many as cost little, in mirrored pairs."""
    chains, draws, units, periods = run.shape
    steps = periods * (len(programs[0].order) + len(programs[1].touched & set(programs[1].order)))
    cost = 2 * steps * max(chains * draws * units, _STEP)
    if cost > 3 * _BUDGET:
        return 1
    return 2 * min(max(_BUDGET // cost, 1), _MOST_PAIRS)


def average_worlds(
    run: Run,
    first: Program,
    second: Program,
    outcome: Outcome,
    groups: Groups,
    replicates: int | None = None,
) -> Averages:
    """Simulate two worlds and average an outcome in each.

    Parameters
    ----------
    run : Run
    first, second : Program
    outcome : Outcome
    groups : Groups
    replicates : int, optional
        How many noises are averaged; chosen by size unless given.
    """
    changed = differing(second, first)
    graph = run.twin.graph
    reached = frozenset(changed).union(*(graph.descendants(one) for one in changed))
    held = set(run.start.givens) - set(run.twin.given)
    base, other = (
        replace(p, order=tuple(name for name in p.order if name not in held))
        for p in compared(run, first, second, reached, outcome.needed)
    )
    programs = (base, other)
    if replicates is None:
        replicates = usual_replicates(run, programs)
    chains, draws, _, periods = run.shape
    total, count = chains * draws, len(groups.labels)
    sums = _Sums.empty((replicates + 1) // 2, total, count, periods)
    for replicate in range(replicates):
        _add(run, programs, outcome, groups, replicate, sums, replicate // 2, slice(0, total))
    pairs = sums.by_pair()
    if pairs.shape[0] < 2:
        # A second pair, on some of the draws, shows how far the first is from the average.
        some = slice(0, total, max(1, total // _DRAWS_FOR_NOISE))
        further = _Sums.empty(1, total, count, periods)
        for replicate in range(2, 2 + replicates):
            _add(run, programs, outcome, groups, replicate, further, 0, some)
        pairs = np.concatenate([pairs, further.by_pair()])[:, some]
        noise = pairs.var(axis=0, ddof=1).mean(axis=0)
    else:
        noise = pairs.var(axis=0, ddof=1).mean(axis=0) / pairs.shape[0]
    return Averages(sums.levels(), noise)


def _add(
    run: Run,
    programs: tuple[Program, Program],
    outcome: Outcome,
    groups: Groups,
    replicate: int,
    sums: _Sums,
    pair: int,
    rows: slice,
) -> None:
    """Add one noise's worlds to the sums of a pair, for some of the draws."""
    past, periods, units = run.start.past, run.shape[3], run.shape[2]
    expected = frozenset({outcome.name} if outcome.name is not None else ())
    engine = replace(
        run.engine(programs, replicate),
        expected=expected,
        unread=frozenset(n for n in expected if not _is_read(run, programs[0].order, n)),
    )

    def keep(block: slice, number: int, world: World) -> None:
        size = len(range(*block.indices(run.shape[0] * run.shape[1])))

        def read(name: str, mean: bool) -> NDArray[np.float64]:
            own = name in programs[number].changes
            values = [
                world.means.get((name, t), world.seen[name][t])
                if mean and not own
                else world.seen[name][t]
                for t in range(past, past + periods)
            ]
            full = [np.broadcast_to(np.asarray(v, dtype=float), (size, units)) for v in values]
            return np.stack(full, axis=-1)

        above, below = outcome.sums(read, groups)
        sums.above[pair, number, block] += above
        sums.below[pair, number, block] += below

    first, last, step = rows.indices(len(run.machine.draws))
    reach = engine.size() * step
    engine.collect(keep, [slice(b, min(b + reach, last), step) for b in range(first, last, reach)])


def _is_read(run: Run, order: tuple[str, ...], name: str) -> bool:
    """Whether any indicator that is simulated reads another one, or its own past."""
    return any(
        child in order and name in {other for other, _ in all_reads(run.twin, expression)}
        for child, expression in expressions_of(run.twin)
    )
