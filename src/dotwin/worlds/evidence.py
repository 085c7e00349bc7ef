"""Drawing facts that are missing, given all facts that are there.

A missing value is not what its own causes alone make of it: what it did is evidence too. Each is
drawn from its distribution given its causes and given everything that reads it, one after another,
again and again (Gibbs). One step works on the normal score of the value's noise, whose prior is
standard normal whatever the family, with an elliptical slice [1]_: it needs no tuning, takes counts
as well as numbers, and is exact in one step where nothing is known of the effects. All draws and
units move side by side.

References
----------
.. [1] Murray, I., Adams, R. P., & MacKay, D. J. C. (2010). Elliptical slice sampling. AISTATS 9,
   541-548. arXiv:1001.0131
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.mechanisms.tails import signed_tail
from dotwin.spec.expressions import evaluate
from dotwin.worlds.noise import normal_noise, tail_noise, uniform
from dotwin.worlds.unfolding import Unfolding, inside
from dotwin.worlds.world import World, WorldEnvironment

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.worlds.facts import Cell, Gaps, Reads

__all__ = ["draw_missing"]

#: Rounds over all missing cells of a unit.
_SWEEPS = 24
#: A slice shrinks by half or so in each step: after so many it holds the old value alone.
_LONGEST_SHRINK = 48


def draw_missing(
    unfolding: Unfolding, gaps: Gaps, reads: Reads, replicate: int
) -> dict[Cell, NDArray[np.float64]]:
    """Draw missing facts from their distribution given all that is known.

    Parameters
    ----------
    unfolding : Unfolding
        Of the units with gaps, over all positions.
    gaps : Gaps
    reads : dict
        What each mechanism reads.
    replicate : int
        Which draws; others are independent.

    Returns
    -------
    dict of (indicator, position) to array (draw, gap unit)
        The facts, where they are known.
    """
    return _Sampler(unfolding, gaps, reads, replicate).run()


class _Sampler:
    """Gibbs over the missing cells of one block of draws."""

    def __init__(self, unfolding: Unfolding, gaps: Gaps, reads: Reads, replicate: int) -> None:
        self.unfolding, self.gaps, self.replicate = unfolding, gaps, replicate
        self.twin = unfolding.twin
        self.world = self._facts()
        self.missing = {
            (name, position): np.isnan(gaps.values[name][:, position].astype(float))
            for name, position in gaps.cells
        }
        self.effects = {cell: self._effects(cell, reads) for cell in gaps.cells}
        self.told = self._told_of()

    def _facts(self) -> World:
        units = len(self.gaps.rows)
        count = len(self.gaps.start.ordinals)
        seen: dict[str, list[Any]] = {}
        for name in self.twin.indicators:
            values = self.gaps.values.get(name)
            empty = np.full((1, units), np.nan)
            seen[name] = [
                empty if values is None else values[None, :, position] for position in range(count)
            ]
        return World(count, seen, {name: list(values) for name, values in seen.items()})

    def _effects(self, cell: Cell, reads: Reads) -> tuple[tuple[Cell, ...], tuple[Cell, ...]]:
        """Return the exact indicators that follow from a cell, and what else reads it or them."""
        followed: list[Cell] = []
        readers: dict[Cell, None] = {}
        waiting = [cell]
        while waiting:
            name, position = waiting.pop(0)
            for child, found in reads.items():
                for cause, lag in found:
                    here = (child, position + lag)
                    if cause != name or here[1] >= len(self.gaps.start.ordinals):
                        continue
                    if self.twin.indicators[child].equals is None:
                        readers[here] = None
                    elif here in self.gaps.computed and here not in followed:
                        followed.append(here)
                        waiting.append(here)
        order = {one: place for place, one in enumerate(self.gaps.computed)}
        return tuple(sorted(followed, key=order.__getitem__)), tuple(readers)

    def _told_of(self) -> dict[Cell, NDArray[np.bool_]]:
        """Say of which units something is known that a missing cell brought about.

        What brought about nothing but further missing values needs no Gibbs: it follows from its
        causes in the end, and until then it tells nothing.
        """
        told: dict[Cell, NDArray[np.bool_]] = {}
        order = {name: place for place, name in enumerate(self.twin.graph.order())}
        for cell in sorted(self.gaps.cells, key=lambda c: (c[1], order[c[0]]), reverse=True):
            known = np.zeros(len(self.gaps.rows), dtype=bool)
            for child, position in self.effects[cell][1]:
                values = self.gaps.values.get(child)
                if values is not None:
                    known |= np.isfinite(values[:, position].astype(float))
                known |= told.get((child, position), False)
            told[cell] = known & self.missing[cell]
        return told

    def run(self) -> dict[Cell, NDArray[np.float64]]:
        cells = sorted((*self.gaps.cells, *self.gaps.computed), key=self._order)
        for cell in cells:
            self._begin(cell, "begin")
        moving = [cell for cell in self.gaps.cells if self.told[cell].any()]
        for sweep in range(_SWEEPS if moving else 0):
            for cell in moving:
                self._move(cell, sweep)
        if moving:
            for cell in cells:
                self._begin(cell, "end")
        return {(name, position): self.world.seen[name][position] for name, position in cells}

    def _order(self, cell: Cell) -> tuple[int, int]:
        return cell[1], self.twin.graph.order().index(cell[0])

    def _begin(self, cell: Cell, step: str) -> None:
        """Draw what the causes alone make of a cell; in the end only where it told nothing."""
        name, position = cell
        if cell not in self.missing:
            self._follow((cell,))
            return
        drawn = self._value(cell, self._noise(name, position, step))
        asked = self.missing[cell]
        before: Any = self.gaps.values[name][None, :, position]
        if step == "end":
            asked, before = asked & ~self.told[cell], self.world.seen[name][position]
        value = np.where(asked, drawn, before)
        self.world.put(name, position, value, value)

    def _value(self, cell: Cell, noise: Any) -> NDArray[np.float64]:
        response = self.unfolding.response(self.world, *cell)
        return inside(response, response.quantile(noise))

    def _noise(self, name: str, position: int, step: str) -> NDArray[np.float64]:
        one = self.twin.indicators[name]
        units = self.unfolding.by_level[one.level or self.twin.unit]
        return tail_noise(
            self.unfolding.engine.seed,
            f"{name} (missing {self.replicate}, {step})",
            self.unfolding.machine.draws,
            units,
            int(self.gaps.start.ordinals[position]),
        )

    def _follow(self, cells: Sequence[Cell]) -> None:
        """Compute exact indicators anew where they are not recorded."""
        for name, position in cells:
            environment = WorldEnvironment(
                self.twin, self.world, self.gaps.start.members, position, child=name
            )
            value = evaluate(self.unfolding.expressions[name], environment)
            recorded = self.gaps.values.get(name)
            if recorded is not None:
                here = recorded[None, :, position]
                value = np.where(np.isnan(here), value, here)
            value = np.atleast_2d(np.asarray(value, dtype=float))
            self.world.put(name, position, value, value)

    def _move(self, cell: Cell, sweep: int) -> None:
        """Take one slice step of a cell given everything else."""
        name, position = cell
        followed, readers = self.effects[cell]
        response = self.unfolding.response(self.world, name, position)
        before = np.asarray(self.world.seen[name][position], dtype=float)

        def fresh(step: str) -> NDArray[np.float64]:
            return self._noise(name, position, f"{sweep} {step}")

        within = uniform(fresh("within"))
        v = response.family.abduct(before, response.eta, response.extra, response.trials, within)
        prior = fresh("prior")
        score = normal_noise(np.where(np.isfinite(v), v, prior))
        other = normal_noise(fresh("ellipse"))
        floor = self._density(readers, name) + np.log(uniform(fresh("height")))
        angle = 2.0 * np.pi * uniform(fresh("angle"))
        low, high = angle - 2.0 * np.pi, angle.copy()
        value = np.array(np.broadcast_to(before, angle.shape))
        done = np.broadcast_to(~self.told[cell], angle.shape).copy()
        for step in range(_LONGEST_SHRINK):
            asked = score * np.cos(angle) + other * np.sin(angle)
            found = inside(response, response.quantile(_as_tail(asked)))
            tried = np.where(done, value, found)
            self.world.put(name, position, tried, tried)
            self._follow(followed)
            above = ~done & (self._density(readers, name) >= floor)
            value = np.where(above, tried, value)
            done |= above
            if done.all():
                break
            low = np.where(~done & (angle < 0), angle, low)
            high = np.where(~done & (angle >= 0), angle, high)
            angle = low + (high - low) * uniform(fresh(f"shrink {step}"))
        self.world.put(name, position, value, value)
        self._follow(followed)

    def _density(self, readers: Sequence[Cell], name: str) -> NDArray[np.float64]:
        """Return the log density of everything that reads a cell, dims (draw, unit)."""
        shape = (len(self.unfolding.machine.draws), len(self.gaps.rows))
        total = np.zeros(shape)
        for child, position in readers:
            value = self.world.seen[child][position]
            density = self.unfolding.response(self.world, child, position).log_density(value)
            density = density / self._repeated(child, name)
            # What is not known tells nothing, nor does what somebody set.
            silent = np.isnan(density) | np.isnan(np.asarray(value, dtype=float))
            if (child, position) in self.missing:
                lost = self.missing[child, position] & ~self.told[child, position]
                silent = silent | lost[None, :]
            if child in self.gaps.assigned:
                silent = silent | self.gaps.assigned[child][None, :, position]
            total += np.where(silent, 0.0, density)
        level = self.twin.indicators[name].level
        if level not in (None, self.twin.unit):
            total = self.gaps.start.members.levels[str(level)].total(total)
        return total

    def _repeated(self, child: str, name: str) -> Any:
        """Return how often one value of a group stands in its units, where these are added up."""
        level, own = self.twin.indicators[child].level, self.twin.indicators[name].level
        if own in (None, self.twin.unit) or level in (None, self.twin.unit):
            return 1.0
        return self.gaps.start.members.levels[str(level)].total(np.ones((1, len(self.gaps.rows))))


def _as_tail(score: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy import special

    return signed_tail(special.ndtr(score), special.ndtr(-score))
