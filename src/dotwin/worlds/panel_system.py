"""A made-up panel's system, run stretch by stretch until each mechanism is that of the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.spec.expressions import parse
from dotwin.spec.verbs import do
from dotwin.worlds.engine import Engine
from dotwin.worlds.machine import Machine, Mechanism
from dotwin.worlds.panel_frame import Frame
from dotwin.worlds.panel_truth import Drawn, Hidden, sub_seed
from dotwin.worlds.program import BASELINE, Change, Program
from dotwin.worlds.start import Start, longest_lag

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin

__all__ = ["run_system"]

#: A value beyond this is an explosion, whatever its unit.
_EXPLODED = 1e12
#: A positive value below this is a collapse, whatever its unit.
_COLLAPSED = 1e-12


def run_system(
    frame: Frame,
    mechanisms: Mapping[str, Mechanism],
    drawn: Drawn,
    hidden: Hidden,
    seed: int,
) -> dict[str, NDArray[Any]]:
    """Run the system stretch by stretch; each mechanism turns to the truth at its first row."""
    twin, total = frame.twin, len(frame.ordinals)
    past = max(1, 2 * longest_lag(twin, ()))
    values = {name: np.array(array) for name, array in frame.rough.items()}
    turns = {name: frame.run_in + m.equation.max_lag for name, m in mechanisms.items()}
    edges = sorted({min(turn, total) for turn in turns.values()} | {frame.run_in, total})
    begin = past if frame.run_in else 0
    starting = {
        name: float(one.start)
        for name, one in twin.indicators.items()
        if one.equals is not None
        and one.start is not None
        and any(r == name and lag for r, lag in parse(one.equals).refs())
    }
    if starting and frame.run_in + 1 < total:
        edges = sorted({*edges, frame.run_in + 1})
    for end in edges:
        if end <= begin:
            continue
        current = dict(drawn.before)
        for name, turn in turns.items():
            if begin >= turn:
                own = (f"{name}.",)
                current |= {k: v for k, v in drawn.truth.items() if k.startswith(own)}
        at_start = starting if begin == frame.run_in and frame.run_in else {}
        stretch = _stretch(frame, values, past, begin, end)
        engine = Engine(
            twin=twin,
            machine=Machine(mechanisms, current, np.zeros(1, dtype=np.int64)),
            start=stretch,
            programs=(_program(twin, at_start, end - begin),),
            seed=sub_seed(seed, "values"),
            known_periods={int(t): i for i, t in enumerate(frame.ordinals[frame.run_in :])},
            hidden=hidden,
        )
        (block,) = engine.blocks()
        (world,) = block.worlds
        for name, array in values.items():
            if twin.indicators[name].is_given:
                continue
            for t in range(end - begin):
                one = np.asarray(world.seen[name][past + t], dtype=float)
                array[:, begin + t] = np.broadcast_to(one, (1, len(array)))[0]
            _refuse_explosion(twin, name, array[:, begin:end])
        begin = end
    return values


def _refuse_explosion(twin: Twin, name: str, values: NDArray[np.float64]) -> None:
    one = twin.indicators[name]
    always = one.when is None or one.otherwise is not None
    unknown = np.isnan(values) & always
    if unknown.all(axis=1).any():
        raise FloatingPointError(
            f"{twin.label(name)} has no value in some {twin.unit.replace('_', ' ')}s: what it "
            f"reads has none there, as a mean over others where there are no others."
        )
    if bool(np.any(unknown | (np.abs(np.nan_to_num(values)) > _EXPLODED))):
        raise FloatingPointError(f"{twin.label(name)} leaves all bounds.")
    if one.family in ("beta", "gamma", "lognormal"):
        # On a logarithmic scale a value next to 0 is an explosion too: its own lag keeps it there.
        # So is a share next to its whole, which numbers tell from the whole no better than 1e-16.
        ended = (values == 0.0) & bool(one.zeros or 0 in one.ends)
        near = (np.abs(values) < _COLLAPSED) & ~ended
        if one.family == "beta":
            whole = one.out_of or 1.0
            ended = (values == whole) & (1 in one.ends)
            near |= (np.abs(whole - values) < _COLLAPSED * whole) & ~ended
        if bool(np.any(near)):
            raise FloatingPointError(f"{twin.label(name)} collapses to an end of its range.")


def _program(twin: Twin, at_start: Mapping[str, float], periods: int) -> Program:
    """Return the baseline, in which exact indicators begin where they are said to."""
    first = np.zeros(periods)
    first[0] = 1.0
    changes = {
        name: (Change(do(name, value), first, None, "everyone"),)
        for name, value in at_start.items()
    }
    return Program(BASELINE, None, changes, twin.graph.order(), frozenset())


def _stretch(
    frame: Frame, values: Mapping[str, NDArray[Any]], past: int, begin: int, end: int
) -> Start:
    """Return the start of a stretch: what came before it are its facts."""
    columns = np.arange(begin - past, begin)
    facts = {}
    for name, array in values.items():
        empty: Any = "" if array.dtype.kind in "OUT" else np.nan
        facts[name] = np.where(columns >= 0, array[:, np.maximum(columns, 0)], empty)
    start = Start(
        members=frame.members,
        rows=np.arange(len(frame.groups[frame.twin.unit])),
        past=past,
        facts=facts,
        givens={name: array[:, begin:end] for name, array in frame.givens.items()},
        ordinals=frame.ordinals[0] + np.arange(begin - past, end, dtype=np.int64),
    )
    return start
