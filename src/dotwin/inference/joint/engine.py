"""The engine of joined mechanisms: parameters and missing values in turn."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dotwin.inference.engine import Component, Draws, Progress, Settings
from dotwin.inference.joint.compiled import Kernels, kernels
from dotwin.inference.joint.programs import can_be_read
from dotwin.inference.joint.tables import Tables, build_tables
from dotwin.inference.nuts.accepts import is_known

__all__ = ["JointEngine"]

Floats = NDArray[np.float64]

#: Sweeps between two reports of progress.
_REPORT = 50
#: Further sweeps per draw where all of a mechanism's outcomes are missing.
_SWEEPS = 5
_STATISTICS = ("energy", "diverging", "tree_depth", "n_steps", "step_size")


@dataclass(frozen=True)
class JointEngine:
    """Gibbs sampling of mechanisms that missing causes join, without compiling a model.

    A sweep moves each mechanism's parameters by the No-U-turn sampler, given the missing values,
    and then draws every missing value given all else. Each of these steps leaves the joint
    posterior as it is, and so does a sweep (Geman and Geman 1984, doi 10.1109/TPAMI.1984.4767596).

    Parameters
    ----------
    target_accept : float
        Acceptance that step sizes aim at.

    Examples
    --------
    >>> JointEngine().name
    'joint'
    """

    target_accept: float = 0.9
    name: str = "joint"

    def accepts(self, component: Component) -> bool:
        """Whether it knows all that the component needs."""
        if component.imputation is None:
            return False
        names = set(component.imputation.cells)
        return all(
            is_known(design)
            and all(can_be_read(e, names) for e in design.equation.expressions.values())
            for design in component.designs
        )

    def sample(self, component: Component, settings: Settings, progress: Progress) -> Draws:
        """Draw from the posterior.

        Parameters
        ----------
        component : Component
            One that `accepts` says yes to.
        settings : Settings
        progress : callable
            Told the share of the work that is done, and a few words.

        Returns
        -------
        Draws
        """
        began = time.perf_counter()
        progress(0.0, "preparing")
        tables, compiled = build_tables(component), kernels()
        progress(0.0, "sampling")
        per_draw = _sweeps_per_draw(component)
        sweeps = per_draw * (settings.draws + settings.tune)
        done = [0] * settings.chains

        def one(number: int) -> _Chain:
            seed = np.random.SeedSequence([settings.seed, number])
            chain = _Chain(tables, compiled, settings, seed, self.target_accept, per_draw)
            for done[number] in chain.run():
                progress(sum(done) / (sweeps * settings.chains), "sampling")
            return chain

        with ThreadPoolExecutor(min(settings.chains, os.cpu_count() or 1)) as pool:
            chains = list(pool.map(one, range(settings.chains)))
        progress(1.0, "done")
        return Draws(
            posterior=_posterior(tables, chains),
            statistics=_statistics(chains),
            engine=self.name,
            seconds=time.perf_counter() - began,
        )


def _sweeps_per_draw(component: Component) -> int:
    """Sweep the more often, the more of a mechanism's outcomes are missing.

    Parameters and missing values are drawn by turns, so that neighbouring sweeps are the more alike
    the more of what informs the parameters is itself unknown.
    """
    assert component.imputation is not None
    missing = component.imputation.cells
    shares = [missing[d.child].sum() / d.rows for d in component.designs if d.child in missing]
    return 1 + math.ceil(_SWEEPS * max(shares))


class _Chain:
    """One chain: its state, and what it keeps."""

    def __init__(
        self,
        tables: Tables,
        compiled: Kernels,
        settings: Settings,
        seed: np.random.SeedSequence,
        target_accept: float,
        per_draw: int,
    ) -> None:
        from dotwin.inference.joint.cell_kernels import ChainState
        from dotwin.inference.joint.hamiltonian import new_adaptation

        self._tables, self._compiled, self._settings = tables, compiled, settings
        self._target, self._per_draw = target_accept, per_draw
        self._rng = np.random.default_rng(seed)
        layouts = [one.layout for one in tables.mechanisms]
        starts = self._rng.integers(2**31, size=len(layouts))
        self._points = [
            layout.start(int(start)) for layout, start in zip(layouts, starts, strict=True)
        ]
        self._adaptations = [new_adaptation(layout.size) for layout in layouts]
        rows, count = tables.rows.family.size, len(layouts)
        self._state = ChainState(
            store=tables.store.copy(),
            eta=np.zeros(rows),
            zeros_eta=np.zeros(rows),
            coefficient=np.zeros(tables.reads.row.size),
            dispersion=np.ones((count, 2)),
            cutpoints=np.zeros((count, int(tables.rows.cutpoints.max()))),
            place=tables.place.copy(),
            width=tables.width.copy(),
            move=np.zeros(tables.place.size),
        )
        self._parts = [one.parts(self._state.store) for one in tables.mechanisms]
        self._out = np.zeros((count, len(_STATISTICS)))
        self.points = [np.empty((settings.draws, layout.size)) for layout in layouts]
        self.values = np.empty((settings.draws, tables.place.size))
        self.statistics = np.zeros((settings.draws, len(_STATISTICS)))

    def run(self) -> Iterator[int]:
        """Run the chain; yield the sweeps that are done, now and then."""
        from dotwin.inference.joint.hamiltonian import phases

        per_draw = self._per_draw
        tune = per_draw * self._settings.tune
        for number, phase in enumerate(phases(tune).tolist()):
            self._sweep(phase, number)
            if number % _REPORT == 0:
                yield number
        if tune:
            for adaptation in self._adaptations:
                adaptation.numbers[0] = np.exp(adaptation.numbers[1])
        for draw in range(self._settings.draws):
            statistics = np.zeros(len(_STATISTICS))
            for _ in range(per_draw):
                statistics[1:] += self._sweep(0, -1)[1:]
            statistics[0] = self._energy
            self._keep(draw, statistics / np.array([1.0, 1.0, per_draw, 1.0, per_draw]))
            if draw % _REPORT == 0:
                yield tune + draw * per_draw

    def _sweep(self, phase: int, tuned: int) -> Floats:
        """Move parameters, then missing values; return what the moves say, summed up."""
        for m, one in enumerate(self._tables.mechanisms):
            self._compiled.transition(
                self._rng,
                self._points[m],
                self._parts[m],
                self._adaptations[m],
                phase,
                self._target,
                self._out[m],
            )
            self._compiled.refresh(
                self._points[m],
                self._parts[m],
                m,
                one.rows.start,
                one.zeros_rows.start,
                one.inflated,
                one.reads,
                one.element,
                one.effects,
                self._state,
            )
        left_out = self._compiled.sweep(
            self._rng,
            self._tables.cells,
            self._tables.reads,
            self._tables.rows,
            self._state,
            tuned,
        )
        total = self._out.sum(axis=0)
        self._energy = total[0] - left_out
        total[1] = min(total[1], 1.0)
        # Of several mechanisms the deepest tree and the shortest step are told.
        total[2], total[4] = self._out[:, 2].max(), self._out[:, 4].min()
        return np.asarray(total)

    def _keep(self, draw: int, statistics: Floats) -> None:
        for kept, point in zip(self.points, self._points, strict=True):
            kept[draw] = point
        cells = self._tables.cells
        self.values[draw] = self._state.store[cells.value]
        self.statistics[draw] = statistics


def _posterior(tables: Tables, chains: list[_Chain]) -> dict[str, Floats]:
    found: dict[str, Floats] = {}
    for m, one in enumerate(tables.mechanisms):
        found |= one.layout.constrain(np.stack([chain.points[m] for chain in chains]))
    values = np.stack([chain.values for chain in chains])
    for name, span in tables.spans.items():
        found[f"{name}.missing"] = values[:, :, span]
    return found


def _statistics(chains: list[_Chain]) -> dict[str, NDArray[Any]]:
    values = np.stack([chain.statistics for chain in chains])
    found: dict[str, NDArray[Any]] = {name: values[:, :, k] for k, name in enumerate(_STATISTICS)}
    found["diverging"] = found["diverging"] > 0
    for name in ("tree_depth", "n_steps"):
        found[name] = np.rint(found[name]).astype(np.int64)
    return found
