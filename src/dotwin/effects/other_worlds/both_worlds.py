"""What was and what would have been: both worlds of a counterfactual, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.worlds.abduction import looking_back
from dotwin.worlds.run import compared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.worlds.changing import Tally
    from dotwin.worlds.facts import Facts
    from dotwin.worlds.run import Run
    from dotwin.worlds.world import World

__all__ = ["both_worlds"]


def both_worlds(
    run: Run,
    facts: Facts,
    names: tuple[str, ...],
    *,
    abduction: int = 0,
    replicate: int = 0,
    fresh: frozenset[str] = frozenset(),
) -> tuple[dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]], Tally]:
    """Make both worlds, and keep some indicators: (draw, unit, period) of each.

    What is ``fresh`` runs on new noise in the other world, not on that behind the facts.
    """
    was, other = run.programs
    pruned = compared(run, was, other, other.touched, frozenset(names))
    programs = (pruned[0], pruned[-1])
    engine = looking_back(
        run, facts, programs, abduction=abduction, replicate=replicate, fresh=fresh
    )
    chains, draws, units, periods = run.shape
    count, past = chains * draws, run.start.past
    gaps = {name for name, _ in facts.gaps.cells + facts.gaps.computed} if facts.gaps else set()
    ahead = past + periods > facts.known
    kept: dict[tuple[str, int], NDArray[np.float64]] = {}
    fixed: dict[str, NDArray[np.float64]] = {}
    for name in names:
        known = facts.values.get(name)
        if known is not None and known.dtype.kind in "OUT":
            continue
        if known is not None and name not in gaps and not ahead:
            window = known[:, past : past + periods]
            fixed[name] = np.broadcast_to(window, (count, units, periods))
        else:
            kept[name, 0] = np.empty((count, periods, units))
        if name in other.touched:
            kept[name, 1] = np.empty((count, periods, units))

    def keep(rows: slice, number: int, world: World) -> None:
        for (name, which), values in kept.items():
            if which == number:
                for t in range(periods):
                    values[rows, t] = world.seen[name][past + t]

    engine.collect(keep)
    found = {}
    for name in names:
        if name not in fixed and (name, 0) not in kept:
            continue
        first = fixed[name] if name in fixed else kept[name, 0].swapaxes(1, 2)
        second = kept[name, 1].swapaxes(1, 2) if (name, 1) in kept else first
        found[name] = (first, second)
    return found, engine.tally
