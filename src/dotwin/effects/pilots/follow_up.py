"""After a decision: what was realised against what was forecast, under what was actually done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dotwin.effects.compared import assumptions, collected, outcomes_of
from dotwin.effects.pilots.followed import FollowUp, either
from dotwin.errors import DataError, SpecificationError, nearest
from dotwin.graph import licence as identification_licence
from dotwin.worlds.imposed import imposing
from dotwin.worlds.licence import (
    NO_HIDDEN_CAUSES,
    Licence,
    Verdict,
    backtested_verdict,
    converged_verdict,
    refuse,
)
from dotwin.worlds.program import BASELINE
from dotwin.worlds.simulate import counted

if TYPE_CHECKING:
    from dotwin.panel import Panel
    from dotwin.worlds.engine import Engine
    from dotwin.worlds.futures import Futures
    from dotwin.worlds.run import Run
    from dotwin.worlds.world import World

__all__ = ["follow_up"]

Floats = NDArray[np.float64]


def follow_up(
    futures: Futures,
    panel: Panel,
    scenario: str,
    *,
    on: str | Sequence[str] | None = None,
    done: str | Sequence[str] | None = None,
    assume: str | Sequence[str] = (),
) -> FollowUp:
    """Set what was realised against a forecast, under what was actually done.

    The forecast is made again twice, with the same parameters and the same noise: once with the
    inputs that came, and once with what was actually done in the place of the plan, unit by unit
    and period by period. So the gap between what was realised and what was planned falls into what
    inputs, what those who acted, and what the twin got wrong; and the twin is judged by the
    forecast that it would have made, had it known what would be done.

    Parameters
    ----------
    futures : Futures
        The forecast. Its posterior has seen nothing of what came later.
    panel : Panel
        With what came later, read with the same twin.
    scenario : str
        What was planned; ``baseline`` where it was to go on as usual.
    on : str or sequence of str, optional
        The outcomes; all that what was done can change unless given.
    done : str or sequence of str, optional
        The indicators of which it is looked up what was done; those that the scenario changes
        unless given.
    assume : str or sequence of str
        ``no hidden causes``: split the gap although the declared graph does not license the effect
        of what was done.

    Returns
    -------
    FollowUp

    Raises
    ------
    SpecificationError
        When nothing that was done is named, or it is not recorded.
    DataError
        When none of the forecast's periods has come.
    LicenceError
        When the declared graph does not license the effect of what was done.

    Examples
    --------
    >>> import dotwin as dw
    >>> from dotwin.effects.examples import small_pilot
    >>> fit = small_pilot()
    >>> early = fit.panel.select(periods=slice(0, 3))
    >>> futures = fit.simulate(periods=2, scenarios=dw.do("coaching", 1), panel=early, seed=1)
    >>> found = futures.follow_up(fit.panel, "do(coaching, 1)")
    >>> round(float(found.parts().query("part == 'what was done'")["mean"].iloc[-1]), 2)
    0.33
    """
    run, twin = futures.run, futures.twin
    assumed = assumptions(assume, (NO_HIDDEN_CAUSES,))
    program = futures.program(scenario)
    named = tuple(program.changes) if done is None else (done,) if isinstance(done, str) else done
    names = tuple(dict.fromkeys(named))
    if not names:
        raise SpecificationError(
            f"done: '{scenario}' changes no indicator; name those of which it is to be looked up "
            f"what was done."
        )
    for name in names:
        if name not in twin.indicators or name not in panel.indicators:
            raise SpecificationError(
                f"done: the panel has no '{name}'. {nearest(name, panel.indicators)}"
            )
        if twin.indicators[name].equals is not None:
            raise SpecificationError(f"done: {name} equals others; name its parts.")
    # Cuts of arrows and the like change what nobody records.
    reached = frozenset(names).union(*(twin.graph.descendants(name) for name in names))
    outcomes = tuple(n for n in outcomes_of(twin, reached - set(names), on) if n not in names)
    if not outcomes:
        raise SpecificationError(
            f"on: nothing is reached by {either(twin, names)}; name outcomes with on=."
        )
    licence = _licence(futures, names, outcomes, assumed)
    refuse(licence, outcomes)
    places = _places(run, panel)
    wanted = tuple(dict.fromkeys([*collected(twin, outcomes), *names]))
    later = _then(run, panel, places)
    found = {name: later(name) for name in wanted if name in panel.indicators}
    recorded = {n: v.astype(float) for n, v in found.items() if v.dtype.kind not in "OUT"}
    wanted = tuple(recorded)
    if missing := [name for name in outcomes if name not in recorded]:
        raise SpecificationError(f"on: the panel has no numbers of {missing[0]}.")
    other = _with_givens(
        run, later, frozenset(twin.given) - {*program.changes, *names}, places.size
    )
    known = _with_givens(run, later, frozenset(twin.given), places.size)
    programs = (run.programs[0],) if scenario == BASELINE else (run.programs[0], program)
    # What is given is already what it was.
    modelled = [name for name in names if not twin.indicators[name].is_given]
    imposed = {name: _padded(recorded[name], len(run.future)) for name in modelled}
    out_of = {
        name: _padded(later(str(twin.indicators[name].trials)), len(run.future))
        for name in modelled
        if twin.indicators[name].trials is not None
    }
    three = [
        _values(engine, wanted, places.size)
        for engine in (
            run.engine(programs),
            other.engine(programs),
            imposing(known, imposed, out_of),
        )
    ]
    notes = []
    lacking = sum(int((found[name] == "").sum()) for name in names if name not in recorded)
    lacking += sum(int((~np.isfinite(recorded[name])).sum()) for name in names if name in recorded)
    if lacking:
        noun = f"{twin.unit}-period"
        notes.append(f"{counted(lacking, noun)} without a record of what was done, so as forecast")
    if any(twin.graph.reaches(y, name) for y in outcomes for name in names):
        notes.append(
            f"{either(twin, names)} may have answered to what had happened, so the forecast under "
            f"what was done knows something of what came"
        )
    return FollowUp(
        run=run,
        panel=panel,
        scenario=scenario,
        done=names,
        outcomes=outcomes,
        forecasts={n: (three[0][n], three[1][n], three[2][n]) for n in wanted},
        realised=recorded,
        periods=run.future.labels[: places.size],
        licence=licence,
        notes=tuple(notes),
    )


def _places(run: Run, panel: Panel) -> NDArray[np.intp]:
    """Return the positions in a panel of the forecast's periods that have come."""
    twin = run.twin
    if panel.twin.panel != twin.panel:
        raise SpecificationError(
            "panel: its units, levels or periods are not those of the fitted twin; read it with "
            "read_panel(source, fit.twin)."
        )
    if run.future.frequency is None:
        raise SpecificationError("follow_up: a cross-section has no periods that come later.")
    place = {int(number): i for i, number in enumerate(panel.period_ordinals)}
    found = [place.get(int(number), -1) for number in run.future.ordinals]
    came = found.index(-1) if -1 in found else len(found)
    if came == 0:
        raise DataError(
            f"panel: it ends with {panel.period_labels[-1]}, and the forecast begins with "
            f"{run.future.labels[0]}."
        )
    return np.asarray(found[:came], dtype=np.intp)


def _then(run: Run, panel: Panel, places: NDArray[np.intp]) -> Any:
    """Return what looks an indicator up for the units of the forecast, dims (unit, period)."""
    rows = {str(unit): i for i, unit in enumerate(panel.units)}
    at = np.array([rows.get(unit, -1) for unit in run.start.members.units], dtype=np.intp)
    there = (at[:, None] >= 0) & np.asarray(panel.data["present"].values, dtype=bool)[
        at[:, None], places
    ]

    def later(name: str) -> NDArray[Any]:
        values = panel.values(name)
        empty: Any = "" if values.dtype.kind in "OUT" else np.nan
        return np.where(there, values[at[:, None], places], empty)

    return later


def _with_givens(run: Run, later: Any, names: frozenset[str], came: int) -> Run:
    """Let givens take the values that they had, where these are known."""
    givens = dict(run.start.givens)
    for name in names & set(givens):
        held = np.array(givens[name])
        then = later(name)
        known = then != "" if then.dtype.kind in "OUT" else np.isfinite(then.astype(float))
        held[:, :came] = np.where(known, then, held[:, :came])
        givens[name] = held
    return replace(run, start=replace(run.start, givens=givens))


def _padded(values: Floats, periods: int) -> Floats:
    """Leave what has not come yet open."""
    open_ended = np.full((values.shape[0], periods), np.nan)
    open_ended[:, : values.shape[1]] = values
    return open_ended


def _values(engine: Engine, names: Sequence[str], came: int) -> dict[str, Floats]:
    """Simulate, and keep the last program's values, dims (draw, unit, period)."""
    count, units = len(engine.machine.draws), len(engine.start.members.units)
    last, past = len(engine.programs) - 1, engine.start.past
    found = {name: np.empty((count, units, came)) for name in names}

    def keep(rows: slice, number: int, world: World) -> None:
        if number == last:
            for name, values in found.items():
                for t in range(came):
                    values[rows, :, t] = world.seen[name][past + t]

    engine.collect(keep)
    return found


def _licence(
    futures: Futures, names: tuple[str, ...], outcomes: tuple[str, ...], assumed: frozenset[str]
) -> Licence:
    """Judge whether what was done has an identified effect on each outcome."""
    twin, fit = futures.twin, futures.fit
    verdicts = {y: identification_licence(twin.graph, set(names), y) for y in outcomes}
    failed = {y: one for y, one in verdicts.items() if not one.licensed}
    if not failed:
        reasons = dict.fromkeys(one.reason.rstrip(".") for one in verdicts.values())
        said = "; ".join(reasons)
        identified = Verdict("yes", f"{said[:1].upper()}{said[1:]}.")
    else:
        reasons = dict.fromkeys(one.reason.rstrip(".") for one in failed.values())
        said = "; ".join(reasons)
        said = f"{said[:1].upper()}{said[1:]}."
        if NO_HIDDEN_CAUSES in assumed:
            association = "Association under the declared graph, not an effect."
            identified = Verdict("assumed", f"{association} {said}", NO_HIDDEN_CAUSES)
        else:
            identified = Verdict("no", said, NO_HIDDEN_CAUSES)
    return Licence(
        identified=identified,
        supported=Verdict("yes", "What was done was done: nothing is supposed."),
        converged=converged_verdict(fit),
        backtested=backtested_verdict(fit, outcomes),
    )
