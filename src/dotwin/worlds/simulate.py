"""Simulate a fitted twin forward, with and without interventions."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dotwin.errors import ConservationWarning, LicenceError, SpecificationError
from dotwin.spec.check import AMOUNTS
from dotwin.worlds.changing import Tally
from dotwin.worlds.futures import Futures
from dotwin.worlds.program import Asked
from dotwin.worlds.run import Run, plan
from dotwin.worlds.store import MemoryStore, Store, ZarrStore

if TYPE_CHECKING:
    import pandas as pd

    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.spec.indicator import Indicator

__all__ = ["counted", "refuse_edges", "simulate"]

#: Results larger than this go to disk.
_LARGEST_IN_MEMORY = 2**30
#: A scenario that sends more of its unit-periods to an edge than this must be asked for by name.
_MOST_AT_EDGE = 0.05
#: A spread of shocks learnt from fewer periods is what its prior says.
_FEW_PERIODS = 8


def simulate(
    fit: Fit,
    *,
    periods: int | None = None,
    scenarios: Sequence[Asked] | Asked | None = (),
    seed: int,
    draws: int = 500,
    panel: Panel | None = None,
    inputs: pd.DataFrame | None = None,
    new_groups: str | None = None,
    carry_forward: int = 0,
    assume: str | Sequence[str] = (),
    out: str | os.PathLike[str] | None = None,
) -> Futures:
    """Simulate a fitted twin forward.

    Every posterior draw unfolds from the units' last states with noise of its own; all scenarios
    share that noise exactly. The same fit and seed give the same bytes, whatever else is simulated
    along with it.

    Parameters
    ----------
    fit : Fit
    periods : int
        How many future periods; left out for a cross-section, whose one period is replayed.
    scenarios : sequence of Scenario, Intervention or str
        The baseline is always there. A name stands for a scenario of the twin, and an intervention
        for itself; None for all of the twin's.
    seed : int
    draws : int
        Posterior draws, taken evenly from the chains.
    panel : Panel, optional
        Another panel to start from: its units, givens and last states.
    inputs : DataFrame, optional
        Future values of givens, with columns for unit and period and one per given. Without the
        unit's column they hold for all units, without the period's for all periods.
    new_groups : {'population'}, optional
        Draw the effects of groups never seen from the spread of those that were.
    carry_forward : int
        Start units that are absent at the end of the panel from their last state, if it is at most
        so many periods old.
    assume : str or sequence of str
        ``edge``: let a scenario hold more than 5 % of its unit-periods at an edge of the support.
    out : path, optional
        A folder to write the draws to, as zarr; needed above 1 GiB.

    Returns
    -------
    Futures

    Raises
    ------
    SpecificationError
        When a scenario cannot be what it says.
    NewGroupsError
        When the panel has groups that the fit has never seen.
    LicenceError
        When too many unit-periods are held at an edge.
    """
    assumed = _assumed(assume)
    run = plan(
        fit,
        periods=periods,
        scenarios=scenarios,
        seed=seed,
        draws=draws,
        panel=panel,
        inputs=inputs,
        new_groups=new_groups,
        carry_forward=carry_forward,
    )
    store = _store(run, out)
    tally = _fill(run, store)
    refuse_edges(tally, assumed)
    _warn_of_resources_from_nowhere(run, tally)
    drawn = run.shape[0] * run.shape[1]
    return Futures(
        draws=store.dataset(),
        run=run,
        edge_share=tally.edge_shares(),
        notes=_notes(run, store.undefined, tally),
        received={key: total / drawn for key, total in tally.received.items()},
    )


def _assumed(assume: str | Sequence[str]) -> frozenset[str]:
    names = frozenset([assume] if isinstance(assume, str) else assume)
    unknown = sorted(names - {"edge"})
    if unknown:
        raise SpecificationError(
            f"assume='{unknown[0]}': simulate knows 'edge'; what a contrast assumes is said there."
        )
    return names


def _store(run: Run, out: str | os.PathLike[str] | None) -> Store:
    chains, draws, units, periods = run.shape
    touched = frozenset().union(*(program.touched for program in run.programs))
    modelled = [n for n, one in run.twin.indicators.items() if not one.is_given]
    worlds = len(run.programs)
    values = sum(worlds if name in touched else 1 for name in modelled)
    values += sum(worlds for name in run.twin.given if name in touched)
    size = 8 * values * chains * draws * units * periods
    if out is not None:
        return ZarrStore(run, touched, Path(out))
    if size > _LARGEST_IN_MEMORY:
        raise SpecificationError(
            f"the result takes {size / 2**30:.1f} GiB: name a folder with out= to write it to, or "
            f"simulate fewer draws (now {chains * draws:,}), periods or scenarios."
        )
    return MemoryStore(run, touched)


def _fill(run: Run, store: Store) -> Tally:
    engine = run.engine()
    engine.collect(store.put, store.blocks)
    return engine.tally


def refuse_edges(tally: Tally, assumed: frozenset[str]) -> None:
    """Raise when a scenario is held at an edge of the support too often.

    Raises
    ------
    LicenceError
    """
    many = {key: share for key, share in tally.edge_shares().items() if share > _MOST_AT_EDGE}
    if not many or "edge" in assumed:
        return
    shown = "; ".join(
        f"{scenario} holds {indicator} at the edge of what is possible in {share:.0%} of the "
        f"unit-periods that it changes"
        for (scenario, indicator), share in many.items()
    )
    raise LicenceError(
        f"{shown}. Such a scenario does not do what it says. Choose a smaller change, or say "
        f"assume='edge' to simulate it all the same."
    )


def _warn_of_resources_from_nowhere(run: Run, tally: Tally) -> None:
    """Warn of scenarios that add staff or capacity and name no source."""
    for program in run.programs:
        if program.scenario is None or program.scenario.source:
            continue
        added = [
            run.twin.label(name)
            for name, changes in program.changes.items()
            if tally.added.get((program.name, name), 0.0) > 0
            and all(change.intervention.verb != "redeploy" for change in changes)
            and is_resource(run.twin.indicators[name])
        ]
        if added:
            warnings.warn(
                f"{program.name}: resources appear from nowhere ({', '.join(added)}). Say where "
                f"they come from with source= in the scenario, or move them between units with "
                f"redeploy.",
                ConservationWarning,
                stacklevel=4,
            )


def is_resource(one: Indicator) -> bool:
    """Whether an indicator is an amount of staff or capacity: more must come from somewhere.

    It is when its domain is workforce or capacity and it is an amount: not a share, a rate, a
    probability or a category.
    """
    if one.domain not in ("workforce", "capacity") or one.categories:
        return False
    if one.trials is not None or one.out_of is not None:
        return False
    relative = one.unit.lower().startswith(("share", "percent", "%", "rate"))
    return (one.family is None or one.family in AMOUNTS) and not relative


def _notes(run: Run, undefined: dict[str, int], tally: Tally) -> tuple[str, ...]:
    """Say what a reader of the futures must know."""
    twin, notes = run.twin, []
    read = [name for name in twin.given if name in run.start.givens]
    if read and run.future.frequency is not None:
        notes.append(f"given {', '.join(twin.label(name) for name in read)} as held or supplied")
    for reason, units in run.start.left_out:
        notes.append(f"{counted(len(units), 'unit')} left out: {reason}")
    if run.start.carried:
        carried = counted(len(run.start.carried), "unit")
        notes.append(f"{carried} started from a state before the last period")
    for level, names in run.new_groups.items():
        notes.append(f"{counted(len(names), f'new {level}')} drawn from the population")
    if run.borrowed:
        borrowed = counted(len(run.borrowed), f"new {twin.unit}")
        notes.append(f"{borrowed} started from last states of fitted ones, drawn anew per draw")
    for name, count in run.drawn_starts.items():
        last = counted(
            count,
            f"missing last value of {twin.label(name)}",
            f"missing last values of {twin.label(name)}",
        )
        notes.append(f"{last} drawn from its causes")
    few = len(run.fit.panel.period_labels) < _FEW_PERIODS
    shaken = [n for n, m in run.machine.mechanisms.items() if m.equation.main.period]
    if few and shaken and run.future.frequency is not None:
        notes.append(
            f"the spread of period shocks rests on its prior: the panel has "
            f"{len(run.fit.panel.period_labels)} periods"
        )
    for name, count in undefined.items():
        notes.append(
            f"{count:,} values of {twin.label(name)} could not be computed and are missing"
        )
    for (scenario, name), changed in tally.changed.items():
        if not changed:
            notes.append(f"'{scenario}' changes {twin.label(name)} nowhere: nobody meets its terms")
    uncertain = {
        str(change.intervention)
        for program in run.programs
        for changes in program.changes.values()
        for change in changes
        if change.uncertain
    }
    for text in sorted(uncertain):
        notes.append(f"{text} is drawn once per draw, alike in all scenarios that say it")
    return tuple(notes)


def counted(count: int, one: str, many: str | None = None) -> str:
    """Say how many things something happens to."""
    return f"1 {one} is" if count == 1 else f"{count:,} {many or one + 's'} are"
