"""One chain of the joint sampler: its blocks, its state, and what it keeps."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.engine import Settings
from dotwin.inference.joint.compiled import Kernels
from dotwin.inference.joint.density_kernels import Block
from dotwin.inference.joint.hamiltonian import new_adaptation, phases
from dotwin.inference.joint.parts import CellKind
from dotwin.inference.joint.state import new_state
from dotwin.inference.joint.tables import Tables
from dotwin.inference.nuts.elements import JITTER

__all__ = ["STATISTICS", "Chain", "statistics_of"]

Floats = NDArray[np.float64]

#: What a step says of itself.
STATISTICS = ("energy", "diverging", "tree_depth", "n_steps", "step_size")
#: Sweeps between two reports of progress.
_REPORT = 50


class Chain:
    """One chain: its state, and what it keeps.

    Parameters
    ----------
    tables : Tables
    compiled : Kernels
    settings : Settings
    seed : SeedSequence
    target_accept : float
    sweeps : int
        Sweeps per draw.
    """

    def __init__(
        self,
        tables: Tables,
        compiled: Kernels,
        settings: Settings,
        seed: np.random.SeedSequence,
        target_accept: float,
        sweeps: int,
    ) -> None:
        self._tables, self._compiled, self._settings = tables, compiled, settings
        self._target, self._sweeps = target_accept, sweeps
        self._rng = np.random.default_rng(seed)
        self.state = new_state(tables)
        self.parts = [one.parts(self.state.store) for one in tables.mechanisms]
        continuous = np.flatnonzero(tables.cells.kind != CellKind.COUNT)
        count = len(tables.mechanisms)
        # Unknown numbers join all mechanisms; counts are drawn apart, and then they are apart too.
        groups = [list(range(count))] if continuous.size else [[m] for m in range(count)]
        self.blocks = [self._block(group, continuous) for group in groups]
        self._lists = [compiled.listed([self.parts[m] for m in group]) for group in groups]
        self.points = [self._start(block) for block in self.blocks]
        self._adaptations = [new_adaptation(self._spread(block)) for block in self.blocks]
        self._out = np.zeros((len(groups), len(STATISTICS)))
        #: What the mechanisms' log densities leave out of the counts as they are.
        self._left_out = 0.0
        self._begun = False
        self._counts = bool((tables.cells.kind == CellKind.COUNT).any())
        self.kept = [np.empty((settings.draws, point.size)) for point in self.points]
        self.values = np.empty((settings.draws, tables.place.size))
        self.statistics = np.zeros((settings.draws, len(STATISTICS)))

    def _block(self, group: list[int], cell: NDArray[np.int64]) -> Block:
        sizes = [self._tables.mechanisms[m].layout.size for m in group]
        return Block(
            mechanism=np.array(group, dtype=np.int64),
            first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            cell=cell,
            cells=self._tables.cells,
            reads=self._tables.reads,
            rows=self._tables.rows,
            mechanisms=self._tables.of_mechanisms,
            state=self.state,
        )

    def _start(self, block: Block) -> Floats:
        starts = [
            self._tables.mechanisms[m].layout.start(int(self._rng.integers(2**31)))
            for m in block.mechanism
        ]
        place, width = self._tables.place[block.cell], self._tables.width[block.cell]
        return np.concatenate(
            [*starts, place + JITTER * width * self._rng.uniform(-1, 1, place.size)]
        )

    def _spread(self, block: Block) -> Floats:
        spreads = [self._tables.mechanisms[m].layout.spread / JITTER for m in block.mechanism]
        return np.concatenate([*spreads, self._tables.width[block.cell]])

    def run(self) -> Iterator[int]:
        """Run the chain; yield the sweeps that are done, now and then."""
        tune = self._sweeps * self._settings.tune
        for number, phase in enumerate(phases(tune).tolist()):
            self._sweep(phase, number)
            if number % _REPORT == 0:
                yield number
        if tune:
            for adaptation in self._adaptations:
                adaptation.numbers[0] = np.exp(adaptation.numbers[1])
        for draw in range(self._settings.draws):
            said = [self._sweep(0, -1) for _ in range(self._sweeps)]
            self._keep(draw, np.array(said))
            if draw % _REPORT == 0:
                yield tune + draw * self._sweeps

    def _sweep(self, phase: int, tuned: int) -> Floats:
        """Move along ridges, then the blocks, then the counts; return what the moves say."""
        # Before the first sweep the state is that of no point yet. Where there are hidden causes,
        # all mechanisms are in one block.
        for ridge in self._tables.ridges if self._begun else ():
            ridge.move(self._compiled.ridge, self._rng, self.points[0], self.blocks[0])
        self._begun = True
        for block, parts, point, adaptation, out in zip(
            self.blocks, self._lists, self.points, self._adaptations, self._out, strict=True
        ):
            self._compiled.transition(
                self._rng, point, parts, block, adaptation, phase, self._target, out
            )
        energy, diverged, _, steps, _ = self._out.sum(axis=0)
        energy -= self._left_out
        if self._counts:
            tables = self._tables
            self._left_out = self._compiled.sweep(
                self._rng, tables.cells, tables.reads, tables.rows, self.state, tuned
            )
        # Of several blocks the deepest tree and the shortest step are told.
        depth, step = self._out[:, 2].max(), self._out[:, 4].min()
        return np.array([energy, diverged, depth, steps, step])

    def _keep(self, draw: int, said: Floats) -> None:
        for kept, point in zip(self.kept, self.points, strict=True):
            kept[draw] = point
        self.values[draw] = self.state.store[self._tables.cells.value]
        self.statistics[draw] = [
            said[-1, 0],
            said[:, 1].any(),
            said[:, 2].max(),
            said[:, 3].sum(),
            said[:, 4].min(),
        ]

    def of_mechanism(self, number: int) -> Floats:
        """Return the kept points of a mechanism, dims (draw, element)."""
        for block, kept in zip(self.blocks, self.kept, strict=True):
            for j in np.flatnonzero(block.mechanism == number):
                return kept[:, block.first[j] : block.first[j + 1]]
        raise IndexError(number)


def statistics_of(chains: list[Chain]) -> dict[str, NDArray[Any]]:
    """Gather what the chains say of themselves, dims (chain, draw)."""
    values = np.stack([chain.statistics for chain in chains])
    found: dict[str, NDArray[Any]] = {name: values[:, :, k] for k, name in enumerate(STATISTICS)}
    found["diverging"] = found["diverging"] > 0
    for name in ("tree_depth", "n_steps"):
        found[name] = np.rint(found[name]).astype(np.int64)
    return found
