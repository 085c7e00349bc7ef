"""Worlds in which some indicators are what a later panel says they were."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.worlds.engine import Engine
from dotwin.worlds.unfolding import Unfolding

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.mechanisms.response import Response
    from dotwin.worlds.run import Run
    from dotwin.worlds.world import World

__all__ = ["ImposedEngine", "imposing"]


@dataclass(frozen=True, eq=False)
class ImposedEngine(Engine):
    """An engine for worlds in which some values are set, unit by unit and period by period.

    Parameters
    ----------
    imposed : dict of str to float array (unit, period)
        By indicator; where missing, it is what the world itself yields.
    out_of : dict of str to float array (unit, period)
        By indicator with trials: how many there were. Where the world has another number of them,
        the share is set.
    """

    imposed: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    out_of: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)

    def unfolding(self, rows: slice) -> Imposing:
        """Return what unfolds the worlds of some draws."""
        return Imposing(self, self.machine.block(rows, self.seed), rows)


class Imposing(Unfolding):
    """An unfolding in which some values are set."""

    engine: ImposedEngine

    def natural(
        self,
        world: World,
        name: str,
        position: int,
        held: frozenset[str] = frozenset(),
        reference: World | None = None,
    ) -> tuple[Any, Response | None, Any]:
        """Return what the world yields, or what is set in its place."""
        found = super().natural(world, name, position, held, reference)
        if name not in self.engine.imposed or position < self.past:
            return found
        t = position - self.past
        value = self.engine.imposed[name][None, :, t]
        trials = self.twin.indicators[name].trials
        if trials is not None:
            here = np.asarray(world.seen[trials][position], dtype=float)
            there = self.engine.out_of[name][None, :, t]
            with np.errstate(invalid="ignore", divide="ignore"):
                value = np.where(here == there, value, value / there * here)
        return np.where(np.isfinite(value), value, found[0]), None, None


def imposing(
    run: Run,
    imposed: Mapping[str, NDArray[np.float64]],
    out_of: Mapping[str, NDArray[np.float64]],
) -> ImposedEngine:
    """Return an engine for the one world in which some values are set.

    Parameters
    ----------
    run : Run
    imposed, out_of : dict of str to float array (unit, period)
        See `ImposedEngine`.
    """
    plain = run.engine(run.programs[:1])
    own = {one.name: getattr(plain, one.name) for one in fields(Engine)}
    return ImposedEngine(**own, imposed=dict(imposed), out_of=dict(out_of))
