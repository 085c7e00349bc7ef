"""The two worlds of a contrast: as the futures show them, or averaged over further noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from dotwin.spec.expressions import parse
from dotwin.worlds.identified import differing, differing_cuts
from dotwin.worlds.run import compared

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.worlds.futures import Futures
    from dotwin.worlds.world import World

__all__ = ["expected", "needed_for", "reached", "realised"]


def reached(futures: Futures, name: str, against: str) -> frozenset[str]:
    """Return the indicators that can differ between two scenarios."""
    one, other = futures.program(name), futures.program(against)
    changed = {*differing(one, other), *differing_cuts(one, other)}
    graph = futures.twin.graph
    return frozenset(changed).union(*(graph.descendants(x) for x in changed))


def needed_for(futures: Futures, outcomes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the outcomes with what their ratios and averages are taken over."""
    found = dict.fromkeys(outcomes)
    for name in outcomes:
        one = futures.twin.indicators[name]
        extra = [one.trials, one.weight]
        extra += sorted(parse(one.exposure).names()) if one.exposure else []
        found |= dict.fromkeys(other for other in extra if other and other in futures.draws)
    for threshold in futures.twin.thresholds.values():
        names = parse(threshold.of).names()
        if names & set(outcomes):
            found |= dict.fromkeys(n for n in sorted(names) if n in futures.draws)
    return tuple(found)


def realised(
    futures: Futures, name: str, against: str, needed: tuple[str, ...]
) -> dict[str, NDArray[np.float64]]:
    """Return both worlds as the futures show them; dims (2, 1, draw, unit, period)."""
    order = list(futures.scenarios)
    both = [order.index(name), order.index(against)]
    return {n: futures.read(n)[both][:, None] for n in needed}


def expected(
    futures: Futures, name: str, against: str, needed: tuple[str, ...], replicates: int
) -> dict[str, NDArray[np.float64]]:
    """Average both worlds over each pair of mirrored noise."""
    worlds = {
        n: np.repeat(values / 2.0, replicates // 2, axis=1)
        for n, values in realised(futures, name, against, needed).items()
    }
    run = futures.run
    differ = reached(futures, name, against)
    programs = compared(
        run, futures.program(against), futures.program(name), differ, frozenset(needed)
    )
    simulated = [n for n in needed if not _is_constant(futures, n)]
    for values in (worlds[n] for n in simulated):
        values[:, 1:] = 0.0
    for n in set(needed) - set(simulated):
        worlds[n] *= 2.0
    for replicate in range(1, replicates):

        def add(rows: slice, number: int, world: World, pair: int = replicate // 2) -> None:
            # The scenario comes last, after the one that it is compared with.
            back = len(programs) - 1 - number
            if back > 1:
                return
            for n in simulated:
                for t in range(len(run.future)):
                    value = world.seen[n][run.start.past + t]
                    worlds[n][back, pair, rows, :, t] += value / 2.0

        run.engine(programs, replicate).collect(add)
    return worlds


def _is_constant(futures: Futures, name: str) -> bool:
    """Whether an indicator is a given that no scenario changes."""
    touched = frozenset().union(*(program.touched for program in futures.run.programs))
    return futures.twin.indicators[name].is_given and name not in touched
