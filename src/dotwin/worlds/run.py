"""One call of `simulate`, worked out: what the engine needs to run it, and to run it again.

Futures keep it, so that a contrast can average over more noise than the futures show.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import DataError, SpecificationError
from dotwin.panel.names import refuse_unknown_names
from dotwin.worlds.aggregate import UnitStates
from dotwin.worlds.engine import Engine
from dotwin.worlds.machine import Machine, align, new_groups_of, refuse_new_groups
from dotwin.worlds.noise import tail_noise, uniform, unit_numbers
from dotwin.worlds.program import Asked, Program, chosen_scenarios, compile_programs
from dotwin.worlds.start import Start, future_periods, gather_start

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin
    from dotwin.worlds.calendar import FuturePeriods

__all__ = ["Run", "compared", "draw_number", "machine_of", "plan", "thinned"]

#: The draws' numbers leave this many bits for the draw within its chain.
_DRAW_BITS = 24


def draw_number(chain: NDArray[np.int64], draw: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number posterior draws so that each keeps its number, and so its noise, in any subset."""
    return (chain << _DRAW_BITS) + draw


@dataclass(frozen=True, eq=False)
class Run:
    """Everything that a simulation is made from.

    Parameters
    ----------
    fit : Fit
    panel : Panel
        Where the futures start.
    future : FuturePeriods
    programs : tuple of Program
        The baseline first.
    start : Start
    machine : Machine
    chains : int array (chain,)
        Coordinates of the dims chain and draw; draws are flattened chain by chain.
    draws : int array (draw,)
    seed : int
    imputed : dict
        Posterior draws of missing facts, see `Engine`.
    new_groups : dict of str to tuple of str
        Groups whose effects are drawn from the population, by level.
    drawn_starts : dict of str to int
        How many starting values are missing in the panel and drawn from their causes.
    borrowed : tuple of str
        New units without a past, whose last states are those of fitted units, drawn anew per draw.
    """

    fit: Fit
    panel: Panel
    future: FuturePeriods
    programs: tuple[Program, ...]
    start: Start
    machine: Machine
    chains: NDArray[np.int64]
    draws: NDArray[np.int64]
    seed: int
    imputed: Mapping[tuple[str, int, int], NDArray[np.float64]]
    new_groups: Mapping[str, tuple[str, ...]]
    drawn_starts: Mapping[str, int]
    borrowed: tuple[str, ...] = ()

    @property
    def twin(self) -> Twin:
        """The twin of the fit."""
        return self.fit.twin

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Numbers of chains, draws, units and periods."""
        units = len(self.start.members.units)
        return len(self.chains), len(self.draws), units, len(self.future)

    @property
    def states(self) -> UnitStates:
        """What is known of the units when the futures begin."""
        members = self.start.members
        return UnitStates(
            {level: one.labels[0] for level, one in members.levels.items()},
            {name: values[:, -1] for name, values in self.start.facts.items()},
        )

    def engine(self, programs: Sequence[Program] | None = None, replicate: int = 0) -> Engine:
        """Return an engine for some of the programs, at the noise of a replicate."""
        periods = self.fit.panel.period_ordinals
        # A fit that was saved without its panel holds only the last of its periods.
        named = max((len(d.period_names) for d in self.fit.designs.values()), default=len(periods))
        first = named - len(periods)
        return Engine(
            twin=self.twin,
            machine=self.machine,
            start=self.start,
            programs=tuple(self.programs if programs is None else programs),
            seed=self.seed,
            replicate=replicate,
            known_periods={int(number): first + i for i, number in enumerate(periods)},
            imputed=self.imputed,
        )


def compared(
    run: Run, base: Program, other: Program, reached: frozenset[str], needed: frozenset[str]
) -> tuple[Program, ...]:
    """Prepare two programs to be run again for some outcomes only.

    They come last; where an arrow is cut, the baseline that its effect sees comes before them.

    Parameters
    ----------
    run : Run
    base, other : Program
    reached : frozenset of str
        The indicators that can differ between the two.
    needed : frozenset of str
        The outcomes.
    """
    indicators = run.twin.indicators
    relevant = set(needed) | {
        str(indicators[name].weight)
        for program in (base, other)
        for name, changes in program.changes.items()
        if any(change.intervention.verb == "redeploy" for change in changes)
    }
    relevant |= base.reads() | other.reads()
    relevant &= indicators.keys()
    relevant |= {above for name in relevant for above in run.twin.graph.ancestors(name)}

    def pruned(program: Program) -> tuple[str, ...]:
        return tuple(name for name in program.order if name in relevant)

    pair = replace(base, order=pruned(base)), replace(other, order=pruned(other))
    if base.cuts or other.cuts:
        baseline = run.programs[0]
        return replace(baseline, order=pruned(baseline)), *pair
    return pair[0], replace(pair[1], touched=reached)


def plan(
    fit: Fit,
    *,
    periods: int | None,
    scenarios: Sequence[Asked] | Asked | None,
    seed: int,
    draws: int,
    panel: Panel | None,
    inputs: pd.DataFrame | None,
    new_groups: str | None,
    carry_forward: int,
) -> Run:
    """Work a simulation out; see `dotwin.worlds.simulate` for the parameters."""
    twin = fit.twin
    panel = fit.panel if panel is None else panel
    _same_twin(twin, panel)
    if new_groups not in (None, "population"):
        raise SpecificationError(f"new_groups='{new_groups}': say 'population' or leave it out.")
    if carry_forward < 0:
        raise SpecificationError(f"carry_forward={carry_forward}: a count of periods, 0 or more.")
    if draws < 1:
        raise SpecificationError(f"draws={draws}: at least one draw is simulated.")
    if periods is None:
        if twin.panel.period is not None:
            raise SpecificationError(
                f"periods: say how many {twin.panel.period.frequency}s are simulated."
            )
        periods = 1
    future = future_periods(panel, periods)
    programs = compile_programs(twin, chosen_scenarios(twin, scenarios), future)
    refuse_unknown_names(panel, (read for program in programs for read in program.expressions()))
    start = gather_start(twin, panel, programs, future, inputs, carry_forward)
    values, chain, draw = thinned(fit, draws)
    run = Run(
        fit=fit,
        panel=panel,
        future=future,
        programs=programs,
        start=start,
        machine=machine_of(fit, panel, start, values, draw_number(chain, draw)),
        chains=np.unique(chain),
        draws=draw[chain == chain[0]],
        seed=int(seed),
        imputed=_imputed(fit, panel, start, values),
        new_groups={},
        drawn_starts={},
    )
    found = new_groups_of(run.machine.mechanisms)
    if new_groups is None:
        refuse_new_groups(found)
    run = _with_borrowed_starts(run)
    run = _without_unstartable(run, values)
    return replace(
        run,
        new_groups=new_groups_of(run.machine.mechanisms),
        drawn_starts=_drawn_starts(run),
        borrowed=tuple(unit for unit in run.borrowed if unit in run.start.members.units),
    )


def _same_twin(twin: Twin, panel: Panel) -> None:
    if panel.twin.panel != twin.panel:
        raise SpecificationError(
            "panel: its units, levels or periods are not those of the fitted twin; read it with "
            "read_panel(source, fit.twin)."
        )


def thinned(
    fit: Fit, draws: int
) -> tuple[Mapping[str, NDArray[np.float64]], NDArray[np.int64], NDArray[np.int64]]:
    """Take draws evenly from each chain, the same number from all."""
    sizes = fit.posterior["posterior"].sizes
    chains = int(sizes["chain"])
    each = max(1, min(draws, fit.n_draws) // chains)
    taken = fit.draws(each * chains)
    return taken.values, taken.chain, taken.draw


def machine_of(
    fit: Fit,
    panel: Panel,
    start: Start,
    values: Mapping[str, NDArray[np.float64]],
    numbers: NDArray[np.int64],
) -> Machine:
    """Line every fitted mechanism up with the units of a start."""
    mechanisms = {
        name: align(design, start.members, fit.panel, panel) for name, design in fit.designs.items()
    }
    return Machine(mechanisms, values, numbers)


def _imputed(
    fit: Fit, panel: Panel, start: Start, values: Mapping[str, NDArray[np.float64]]
) -> dict[tuple[str, int, int], NDArray[np.float64]]:
    """Find posterior draws of facts that are missing among the last states."""
    if panel is not fit.panel:
        return {}
    posterior = fit.posterior["posterior"]
    labels = {label: i for i, label in enumerate(panel.period_labels)}
    units = {unit: i for i, unit in enumerate(start.members.units)}
    found = {}
    for name in fit.twin.indicators:
        key = f"{name}.missing"
        if key not in values:
            continue
        for k, cell in enumerate(np.asarray(posterior[f"{name}.missing_cell"]).tolist()):
            unit, _, label = str(cell).rpartition(", ")
            column = labels[label] - len(labels) + start.past
            if unit in units and column >= 0 and unit not in start.carried:
                found[(name, units[unit], column)] = values[key][:, k]
    return found


def _with_borrowed_starts(run: Run) -> Run:
    """Let new units without a past start like a fitted unit, drawn anew for each draw."""
    if run.future.frequency is None or run.panel is run.fit.panel:
        return run
    lacking = run.engine().unstartable()
    known = set(map(str, run.fit.panel.units))
    units = run.start.members.units
    modelled = [name for name in lacking if not run.twin.indicators[name].is_given]
    new = [
        u
        for u, unit in enumerate(units)
        if unit not in known and any(bool(lacking[name][u]) for name in modelled)
    ]
    if not new:
        return run
    past, fitted = run.start.past, run.fit.panel
    columns = range(past - past // 2, past)
    donors = {
        name: fitted.values(name)[:, [column - past for column in columns]]
        for name in run.twin.indicators
        if not run.twin.indicators[name].is_given and name in fitted.indicators
        if len(fitted.period_labels) >= past // 2
    }
    complete = np.flatnonzero(
        np.all([np.isfinite(donors[name]).all(axis=1) for name in modelled], axis=0)
    )
    if complete.size == 0:
        return run
    imputed = dict(run.imputed)
    for u in new:
        v = tail_noise(run.seed, "start", run.machine.draws, unit_numbers([units[u]]), 0)[:, 0]
        chosen = complete[np.floor(uniform(v) * complete.size).astype(np.intp)]
        for name, states in donors.items():
            for k, column in enumerate(columns):
                if np.isnan(run.start.facts[name][u, column]):
                    imputed[(name, u, column)] = states[chosen, k]
    return replace(run, imputed=imputed, borrowed=tuple(units[u] for u in new))


def _without_unstartable(run: Run, values: Mapping[str, NDArray[np.float64]]) -> Run:
    """Leave out units that lack a starting value which cannot be drawn."""
    if run.future.frequency is None:
        return run
    lacking = run.engine().unstartable()
    if not lacking:
        return run
    units = np.asarray(run.start.members.units, dtype=object)
    kept = np.ones(len(units), dtype=bool)
    reasons = []
    for name, missing in lacking.items():
        here = missing & kept
        if here.any():
            reason = f"{name} has no last value and cannot be drawn from its causes"
            reasons.append((reason, tuple(units[here].tolist())))
            kept &= ~missing
    if not kept.any():
        shown = "; ".join(f"{reason}: {len(names)} units" for reason, names in reasons)
        raise DataError(f"no unit can be simulated ({shown}).")
    start = run.start.keep(kept, reasons)
    return replace(
        run,
        start=start,
        machine=machine_of(run.fit, run.panel, start, values, run.machine.draws),
        imputed=_moved(run, start),
    )


def _moved(run: Run, start: Start) -> dict[tuple[str, int, int], NDArray[np.float64]]:
    """Keep the draws of missing facts of the units that stay."""
    place = {unit: u for u, unit in enumerate(start.members.units)}
    before = run.start.members.units
    return {
        (name, place[before[u]], column): values
        for (name, u, column), values in run.imputed.items()
        if before[u] in place
    }


def _drawn_starts(run: Run) -> dict[str, int]:
    """Count starting values that the panel lacks, by indicator."""
    if run.future.frequency is None:
        return {}
    found: dict[str, int] = {}
    half = run.start.past // 2
    for name in run.twin.stochastic:
        facts: Any = run.start.facts.get(name)
        if facts is not None:
            imputed = sum(1 for key in run.imputed if key[0] == name and key[2] >= half)
            missing = int(np.isnan(facts[:, half:]).sum()) - imputed
            if missing > 0:
                found[name] = missing
    return found
