"""The forward engine: from mechanisms, a start and programs to trajectories.

For every block of draws, period by period and cause before effect, each indicator gets its value
from its mechanism at its addressed noise. All scenarios of a block share that noise. How a block
unfolds is said in `unfolding`; here draws are cut into blocks, and blocks run on threads.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.response import Response
from dotwin.spec.expressions import Expr, parse
from dotwin.worlds.changing import Tally
from dotwin.worlds.machine import Machine
from dotwin.worlds.noise import unit_numbers
from dotwin.worlds.program import Program
from dotwin.worlds.start import Start, all_reads, expressions_of
from dotwin.worlds.unfolding import Unfolding
from dotwin.worlds.world import World

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin

__all__ = ["Block", "Engine"]

#: Values of one node that are computed together: few enough to stay in the cache of a core, many
#: enough that the interpreter's own time does not count.
_BLOCK_VALUES = 65_536
#: Few threads wait for each other's Python; more would not help.
_MOST_THREADS = 4


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
        causes that are declared only do in a simulated panel.
    expected : frozenset of str
        Indicators whose expectation given their causes is kept beside their value. Averages of
        it are those of the value with less noise.
    unread : frozenset of str
        Those of them that nothing reads: the expectation takes the place of the value, which
        nobody would miss.
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
    expected: frozenset[str] = frozenset()
    unread: frozenset[str] = frozenset()
    tally: Tally = field(default_factory=Tally)

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

        def simulated(run: Unfolding) -> Block:
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

        def handed(run: Unfolding) -> None:
            for number, world in enumerate(run.worlds()):
                keep(run.rows, number, world)

        for _ in self._by_block(handed, block):
            pass

    def _by_block[T](
        self, work: Callable[[Unfolding], T], block: int | Sequence[slice] | None
    ) -> Iterator[T]:
        """Do some work for each block, in order, on several threads; keep the tally."""
        if block is None or isinstance(block, int):
            total, size = len(self.machine.draws), self.size(block)
            slices = [slice(first, min(first + size, total)) for first in range(0, total, size)]
        else:
            slices = list(block)

        def one(rows: slice) -> tuple[T, Tally]:
            # A draw may send a predictor to infinity: its values are counted, not warned about.
            with np.errstate(all="ignore"):
                run = self.unfolding(rows)
                return work(run), run.tally

        for result, tally in _in_order(one, slices):
            self.tally.merge(tally)
            yield result

    def unfolding(self, rows: slice) -> Unfolding:
        """Return what unfolds the worlds of some draws."""
        return Unfolding(self, self.machine.block(rows, self.seed), rows)

    def response(self, block: Block, name: str, t: int, program: int = 0) -> Response:
        """Return the distribution that an indicator has in a world, given its causes there.

        Parameters
        ----------
        block : Block
        name : str
            An indicator with a mechanism.
        t : int
            A future period, counted from 0.
        program : int
            Position of the program whose world is read; the baseline's unless given.

        Returns
        -------
        Response
            Dims (draw, unit).
        """
        with np.errstate(all="ignore"):
            run = Unfolding(self, self.machine.block(block.rows, self.seed), block.rows)
            _, response, _ = run.natural(block.worlds[program], name, run.past + t)
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
            world = Unfolding(self, self.machine.block(rows, self.seed), rows).past_world()
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
