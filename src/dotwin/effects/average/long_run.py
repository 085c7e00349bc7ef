"""The effect that remains: what a change that is held for good comes to in the end.

Both worlds are simulated until they have settled, and the last periods are averaged. Whether a draw
settles is not assumed but tried: in a third world the cause is set to the other value in the first
period only. What that one period did must have faded by the end. Where it has not, the system keeps
what it was given (a stock that nothing drains, a persistence of 1) or explodes, no long run exists,
and the draw is left out and counted.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from dotwin.effects.average.effect import answer
from dotwin.effects.average.g_formula import average_worlds
from dotwin.errors import SpecificationError
from dotwin.spec import Scenario, do
from dotwin.worlds.program import compile_programs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.effects.average.question import Question
    from dotwin.effects.average.result import Effect

__all__ = ["long_run"]

#: Periods in which worlds settle: a persistence of 0.96 leaves 1 % of what was.
_SETTLE = 120
#: What may be left of one period's change, as a part of what it did at most.
_FADED = 0.01
#: The last periods that are averaged, unless a season is longer.
_LAST = 12


def long_run(effect: Effect) -> Effect:
    """Return the effect in the long run, without the draws that have none.

    Parameters
    ----------
    effect : Effect
        By period, of a change that is held to the end.
    """
    question = effect.question
    if question.hold != "throughout" or question.periods is not None:
        raise SpecificationError(
            "long_run(): the long run is that of a change held for good; leave periods= out and "
            "use hold='throughout'."
        )
    seasons = [one.season.cycle for one in question.twin.indicators.values() if one.season]
    last = _LAST if not seasons else -(-_LAST // max(seasons)) * max(seasons)
    settled = replace(question, start=None, horizon=_SETTLE + last)
    found = answer(settled, effect.licence, effect.futures)
    others = [dim for dim in found.worlds.dims if dim not in ("chain", "draw")]
    stable = found.worlds.notnull().all(others)
    stable = stable & _faded(settled, last).reshape(stable.shape)
    worlds = found.worlds.isel(period=slice(-last, None)).mean("period").where(stable)
    worlds = worlds.transpose(*(dim for dim in found.worlds.dims if dim != "period"))
    return replace(
        found,
        worlds=worlds,
        noise=np.full((found.noise.shape[0], 1), np.nan),
        reading=("long run",),
        unstable=float(1.0 - stable.mean()),
    )


def _faded(question: Question, last: int) -> NDArray[np.bool_]:
    """Whether one period's change has faded in the last periods, by draw."""
    from_, to = question.contrast
    first = question.scenarios[0]
    pulse_of = [do(question.cause, to, periods=1), do(question.cause, from_, start=2)]
    once = Scenario("once", pulse_of, source=first.source)
    run = question.run
    programs = compile_programs(question.twin, (first, once), run.future)
    pulse = average_worlds(
        run, programs[1], programs[2], question.outcome, question.groups, replicates=1
    )
    size = np.abs(pulse.levels[1] - pulse.levels[0])
    most = size.max(axis=-1)
    left = size[..., -last:].max(axis=-1)
    faded: NDArray[np.bool_] = (left <= _FADED * most).all(axis=-1)
    return faded
