"""Panels simulated from a twin, with the truth that made them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import DataError, Problem, SpecificationError, nearest
from dotwin.spec.expressions import parse
from dotwin.spec.interventions import do
from dotwin.worlds.engine import Engine
from dotwin.worlds.machine import Machine, Mechanism, align
from dotwin.worlds.made_up import (
    first_ordinal,
    made_up_givens,
    made_up_units,
    rough_exact,
    rough_values,
)
from dotwin.worlds.noise import normal_noise, tail_noise, unit_numbers
from dotwin.worlds.program import BASELINE, Change, Program
from dotwin.worlds.rescaling import rescaled
from dotwin.worlds.start import Start, longest_lag
from dotwin.worlds.world import Grouping, Membership

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

    from dotwin.mechanisms.design import Design
    from dotwin.mechanisms.parameters import Parameter
    from dotwin.panel import Panel, Quality
    from dotwin.spec.twin import Twin

__all__ = ["LOADING", "simulate_panel"]

#: What one sd of a hidden cause adds to the linear predictor of an indicator that it affects, in
#: the indicator's reference sds where its link is the identity.
LOADING = 0.5
#: Periods that are simulated and thrown away before the panel begins.
_BURN_IN = 40
#: Draws from the priors whose system nobody would believe are drawn again, so often at most.
_ATTEMPTS = 100
#: A value beyond this is an explosion, whatever its unit.
_EXPLODED = 1e12
#: A positive value below this is a collapse, whatever its unit.
_COLLAPSED = 1e-12


def simulate_panel(
    twin: Twin,
    *,
    units: Mapping[str, int],
    periods: int = 1,
    seed: int,
    parameters: Mapping[str, Any] | xr.Dataset | None = None,
) -> Panel:
    """Simulate a panel of made-up units with known truth.

    Givens are drawn as `simulated_as` or `plausible` says, parameters from their priors, values
    from their mechanisms by the engine that simulates futures. The panel is one that the model
    describes exactly: before it begins, a run-in of 40 periods lets each unit settle with group
    effects of its own; at its beginning the groups take the effects of ``truth``, and from the
    first period that a mechanism is fitted on, its values come from the equation in ``truth``,
    first values of the unit included. Parameters drawn from the priors are drawn again
    when the panel explodes, stands still, or has an indicator whose median lies far outside its
    plausible range.

    A hidden cause is a standard normal trait of its level's groups (or a shock of each period).
    One sd of it adds 0.5 to the linear predictor of each indicator that it affects (0.5 reference
    sds where the link is the identity), so the panel is confounded as the twin declares.

    Parameters
    ----------
    twin : Twin
    units : dict of str to int
        How many groups of each level, and how many units, such as
        ``{"region": 6, "provider": 60}``. Ids are made up: ``provider-01``.
    periods : int
    seed : int
    parameters : dict or Dataset, optional
        Parameters to fix, by their posterior name; the rest are drawn from their priors.
        ``<hidden cause>.loading`` changes what a hidden cause adds.

    Returns
    -------
    Panel
        With ``.truth``: every parameter under its posterior name and dims, and each hidden cause
        with its loading.

    Raises
    ------
    SpecificationError
        When a given has neither ``simulated_as`` nor ``plausible``, a parameter's name is unknown,
        or the system that fixed parameters describe explodes.

    Examples
    --------
    >>> import dotwin as dw
    >>> twin = dw.Twin(
    ...     twin="visits",
    ...     panel={"unit": "home"},
    ...     indicators={
    ...         "staff": {"domain": "workforce", "simulated_as": "normal(3, 1)"},
    ...         "visits": {"domain": "quality", "family": "poisson", "causes": {"staff": {}}},
    ...     },
    ... )
    >>> panel = twin.simulate_panel(units={"home": 50}, seed=1)
    >>> sorted(panel.truth)
    ['visits.causes', 'visits.intercept']
    """
    if periods < 1 or (twin.panel.period is None and periods != 1):
        raise SpecificationError(
            f"periods={periods}: a panel has one or more, and a cross-section exactly one."
        )
    fixed = _fixed(parameters)
    frame = _Frame.made_up(twin, units, periods, seed)
    failure: Exception | None = None
    for attempt in range(_ATTEMPTS):
        try:
            return _settled(frame, fixed, seed if attempt == 0 else _sub_seed(seed, f"{attempt}"))
        except (DataError, FloatingPointError) as error:
            failure = error
    raise SpecificationError(
        f"no panel could be simulated: {failure} It was so in each of {_ATTEMPTS} draws of the "
        f"parameters. Fix some with parameters= (persistences below 1), or give tighter priors."
    )


def _fixed(given: Mapping[str, Any] | xr.Dataset | None) -> dict[str, Any]:
    return {} if given is None else {str(k): np.asarray(v, float) for k, v in given.items()}


def _sub_seed(seed: int, purpose: str) -> int:
    digest = hashlib.blake2s(f"{seed}/{purpose}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


@dataclass(frozen=True, eq=False)
class _Frame:
    """What a made-up panel has before any mechanism has run.

    Parameters
    ----------
    twin : Twin
    groups : dict of str to list of str
        Each unit's group by level.
    ordinals : int64 array (period,)
        Of the run-in and the panel.
    run_in : int
        How many of these come before the panel.
    givens : dict of str to array (unit, period)
    seed : int
    """

    twin: Twin
    groups: Mapping[str, list[str]]
    ordinals: NDArray[np.int64]
    run_in: int
    givens: Mapping[str, NDArray[Any]]
    seed: int

    @classmethod
    def made_up(cls, twin: Twin, units: Mapping[str, int], periods: int, seed: int) -> _Frame:
        groups = made_up_units(twin, units)
        if twin.panel.period is None:
            ordinals, run_in = np.zeros(1, dtype=np.int64), 0
        else:
            lag = longest_lag(twin, ())
            run_in = _BURN_IN + 2 * lag if lag else 0
            first = first_ordinal(twin.panel.period.frequency)
            ordinals = first + np.arange(-run_in, periods, dtype=np.int64)
        givens = made_up_givens(twin, groups, ordinals, seed)
        return cls(twin, groups, ordinals, run_in, givens, seed)

    @cached_property
    def members(self) -> Membership:
        levels = {}
        for level, ids in self.groups.items():
            names = sorted(set(ids))
            place = {name: i for i, name in enumerate(names)}
            levels[level] = Grouping(np.array([place[one] for one in ids]), tuple(names))
        return Membership(tuple(self.groups[self.twin.unit]), levels)

    def dataset(self, values: Mapping[str, NDArray[Any]]) -> xr.Dataset:
        """Put values that cover the run-in too into the layout of a panel."""
        import xarray as xr

        from dotwin.panel.periods import period_starts

        layout = self.twin.panel.period
        kept = self.ordinals[self.run_in :]
        periods: Any = period_starts(kept, layout.frequency) if layout else np.zeros(1, dtype=int)
        dims = ("unit", "period")
        data = {name: (dims, array[:, self.run_in :]) for name, array in values.items()}
        levels = {
            level: ("unit", np.asarray(ids, dtype=str))
            for level, ids in self.groups.items()
            if level != self.twin.unit
        }
        coords = {"unit": list(self.members.units), "period": periods, **levels}
        present = np.ones((len(self.members.units), len(kept)), dtype=bool)
        return xr.Dataset(data, coords=coords).assign(present=(dims, present))

    @cached_property
    def _quality(self) -> Quality:
        from dotwin.panel.quality import assess

        return assess(self.dataset(self.rough), self.twin)

    def unchecked(self, values: Mapping[str, NDArray[Any]]) -> Panel:
        """Make a panel of values on the way to the final ones, whatever they are."""
        from dotwin.panel import Panel

        return Panel(self.twin, self.dataset(values), self._quality)

    def panel(self, values: Mapping[str, NDArray[Any]], truth: xr.Dataset) -> Panel:
        """Make the final panel, with every check that data must pass."""
        from dotwin.panel import Panel

        return Panel.from_dataset(self.dataset(values), self.twin, truth)

    @cached_property
    def rough(self) -> dict[str, NDArray[Any]]:
        """Values to begin with: those of givens, and guesses for all others."""
        twin, known = self.twin, dict(self.givens)
        for name in twin.graph.order():
            one = twin.indicators[name]
            if one.is_stochastic:
                known[name] = rough_values(twin, name, known, self.groups, self.ordinals, self.seed)
            elif one.equals is not None:
                known[name] = rough_exact(twin, name, known, self.groups)
        return known


def _settled(frame: _Frame, fixed: Mapping[str, Any], seed: int) -> Panel:
    """Simulate again until the units' means and first values are those that made the panel."""
    from dotwin.mechanisms.design import build_design
    from dotwin.mechanisms.equation import Structure

    twin = frame.twin
    structure = Structure(_varying(frame), _categories(twin))

    def designed(panel: Panel, like: Mapping[str, Design] | None) -> dict[str, Design]:
        return {
            name: build_design(
                twin,
                name,
                panel,
                structure=structure,
                reference=None if like is None else like[name].reference,
            )
            for name in twin.stochastic
        }

    values = dict(frame.rough)
    panel = frame.unchecked(values)
    first = designs = designed(panel, None)
    drawn = _draw(frame, first, fixed, seed)
    hidden = _hidden(frame, first, fixed, seed)
    # The mean of a cause is settled one round after the cause itself: the rounds that are needed
    # are no more than the indicators, since no cause whose mean is read follows from its child.
    for _ in range(len(designs) + 2):
        mechanisms = {n: align(d, frame.members, panel, panel) for n, d in designs.items()}
        before, values = values, _run(frame, mechanisms, drawn, hidden, seed)
        if all(np.array_equal(values[n], before[n], equal_nan=True) for n in designs):
            break
        panel = frame.unchecked(values)
        designs = designed(panel, first)
    _refuse_implausible(frame, values)
    truth = dict(drawn.truth)
    for name, design in designed(panel, None).items():
        truth |= rescaled(first[name], design, truth)
    return frame.panel(values, _truth(drawn.listed, truth, hidden))


def _refuse_implausible(frame: _Frame, values: Mapping[str, NDArray[Any]]) -> None:
    """Refuse a panel that nobody would take for one of its kind.

    The median of an indicator must lie in its plausible range, widened on the link scale by the
    range's own length on either side. Whether it does depends on the values alone, so what is left
    out changes no posterior given a panel that is kept.
    """
    from dotwin.mechanisms.families import build_family
    from dotwin.mechanisms.links import get_link

    twin = frame.twin
    for name in twin.stochastic:
        one, array = twin.indicators[name], values[name][:, frame.run_in :]
        known = array[np.isfinite(array)]
        if known.size > 1 and bool((known == known[0]).all()):
            raise FloatingPointError(f"{twin.label(name)} stands still.")
        if one.plausible is None or one.exposure is not None or one.family == "ordinal":
            continue
        over: Any = one.out_of or 1.0
        if one.trials is not None:
            over = np.maximum(values[one.trials][:, frame.run_in :], 1.0)
        link = get_link(build_family(str(one.family), link=one.link).link).forward
        low, high = (float(link(end / (one.out_of or 1.0))) for end in one.plausible)
        middle = float(link(np.nanmedian(array / over)))
        if np.isfinite([low, high]).all() and not 2 * low - high <= middle <= 2 * high - low:
            raise FloatingPointError(f"{twin.label(name)} is not plausible.")


def _varying(frame: _Frame) -> frozenset[str]:
    if len(frame.ordinals) - frame.run_in == 1:
        return frozenset()
    steady = {
        name for name, values in frame.givens.items() if bool((values == values[:, :1]).all())
    }
    return frozenset(set(frame.twin.indicators) - steady)


def _categories(twin: Twin) -> dict[str, tuple[str, ...]]:
    """List categories, the reference first."""
    found = {}
    for name, one in twin.indicators.items():
        if one.categories:
            first = one.reference or one.categories[0]
            found[name] = (first, *(c for c in one.categories if c != first))
    return found


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Parameters: those of the truth, and those of the time before each mechanism's first row."""

    listed: Mapping[str, list[Parameter]]
    truth: Mapping[str, NDArray[np.float64]]
    before: Mapping[str, NDArray[np.float64]]


def _draw(
    frame: _Frame, designs: Mapping[str, Design], fixed: Mapping[str, Any], seed: int
) -> _Drawn:
    """Draw every parameter that is not fixed from its prior."""
    from dotwin.mechanisms.parameters import draw_prior, parameters

    listed = {
        n: parameters(d.equation, d.reference, d.group_names, d.period_names)
        for n, d in designs.items()
    }
    known = {one.name: one for several in listed.values() for one in several}
    accepted = {*known, *(f"{name}.loading" for name in frame.twin.hidden_causes)}
    problems = []
    for name, value in fixed.items():
        if name not in accepted:
            problems.append(
                Problem("parameters", f"no mechanism has '{name}'. {nearest(name, accepted)}")
            )
        elif name in known and np.shape(value) not in ((), known[name].shape):
            labels = ", ".join(str(label) for names in known[name].coords for label in names)
            problems.append(
                Problem(
                    f"parameters > {name}",
                    f"has the shape {np.shape(value)}; the parameter has {known[name].shape}"
                    + (f": {labels}." if len(known[name].coords) == 1 else "."),
                )
            )
    if problems:
        raise SpecificationError(problems)
    truth: dict[str, NDArray[np.float64]] = {}
    before: dict[str, NDArray[np.float64]] = {}
    for child, several in listed.items():
        own = draw_prior(several, 1, _sub_seed(seed, f"prior of {child}"), fixed)
        spread = {one.name: own[one.name][0] for one in several if one.kind != "effects"}
        run_in = draw_prior(several, 1, _sub_seed(seed, f"run-in of {child}"), spread)
        truth |= own
        before |= _without_past(designs[child], several, run_in)
    return _Drawn(listed, truth, before)


def _without_past(
    design: Design, listed: list[Parameter], drawn: Mapping[str, NDArray[np.float64]]
) -> dict[str, NDArray[np.float64]]:
    """Return parameters of the run-in: no first values to lean on yet, no walk so far."""
    found = dict(drawn)
    for one in listed:
        if one.kind == "walk":
            found[one.name] = np.zeros_like(drawn[one.name])
    for predictor in design.equation.predictors:
        for k, term in enumerate(predictor.terms):
            if term.kind == "initial":
                name = f"{predictor.prefix}.causes"
                found[name] = np.array(found[name])
                found[name][:, k] = 0.0
    return found


@dataclass(frozen=True, eq=False)
class _Hidden:
    """Hidden causes: their values by unit or by period, and what they add to whom."""

    by_unit: dict[str, tuple[str, NDArray[np.float64], list[str]]]
    by_period: dict[str, tuple[dict[int, float], list[str]]]
    loading: dict[str, float]
    scale: dict[str, float]
    affects: dict[str, tuple[str, ...]]
    codes: dict[str, NDArray[np.intp]]

    def __call__(self, child: str, ordinal: int) -> Any:
        total: Any = 0.0
        for name, affected in self.affects.items():
            if child not in affected:
                continue
            size = self.loading[name] * self.scale[child]
            if name in self.by_unit:
                total = total + size * self.by_unit[name][1][self.codes[name]][None, :]
            else:
                total = total + size * self.by_period[name][0][ordinal]
        return total


def _hidden(
    frame: _Frame, designs: Mapping[str, Design], fixed: Mapping[str, Any], seed: int
) -> _Hidden:
    twin, members = frame.twin, frame.members
    by_unit: dict[str, tuple[str, NDArray[np.float64], list[str]]] = {}
    by_period: dict[str, tuple[dict[int, float], list[str]]] = {}
    loading, codes = {}, {}
    one_draw = np.zeros(1, dtype=np.int64)
    for name, hidden in twin.hidden_causes.items():
        loading[name] = float(fixed.get(f"{name}.loading", LOADING))
        address = f"hidden cause {name}"
        if hidden.level == "period":
            everyone = unit_numbers([""])
            values = [
                float(normal_noise(tail_noise(seed, address, one_draw, everyone, int(t)))[0, 0])
                for t in frame.ordinals
            ]
            by_period[name] = (dict(zip(frame.ordinals.tolist(), values, strict=True)), [])
        else:
            grouping = members.levels[hidden.level]
            drawn = normal_noise(
                tail_noise(seed, address, one_draw, unit_numbers(grouping.names), 0)
            )[0]
            by_unit[name] = (hidden.level, drawn, list(grouping.names))
            codes[name] = grouping.codes
    scale = {child: design.reference.multiplier for child, design in designs.items()}
    affects = {name: hidden.affects for name, hidden in twin.hidden_causes.items()}
    return _Hidden(by_unit, by_period, loading, scale, affects, codes)


def _run(
    frame: _Frame,
    mechanisms: Mapping[str, Mechanism],
    drawn: _Drawn,
    hidden: _Hidden,
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
            seed=_sub_seed(seed, "values"),
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
    unknown = np.isnan(values) if one.when is None or one.otherwise is not None else False
    if bool(np.any(unknown | (np.abs(np.nan_to_num(values)) > _EXPLODED))):
        raise FloatingPointError(f"{twin.label(name)} leaves all bounds.")
    if one.family in ("beta", "gamma", "lognormal"):
        # On a logarithmic scale a value next to 0 is an explosion too: its own lag keeps it there.
        ended = (values == 0.0) & bool(one.zeros or one.ends)
        near = (np.abs(values) < _COLLAPSED) & ~ended
        if bool(np.any(near)):
            raise FloatingPointError(f"{twin.label(name)} collapses to 0.")


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
    frame: _Frame, values: Mapping[str, NDArray[Any]], past: int, begin: int, end: int
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


def _truth(
    listed: Mapping[str, list[Parameter]],
    values: Mapping[str, NDArray[np.float64]],
    hidden: _Hidden,
) -> xr.Dataset:
    import xarray as xr

    variables: dict[str, Any] = {}
    coords: dict[str, Any] = {}
    for several in listed.values():
        for one in several:
            coords |= {d: list(c) for d, c in zip(one.dims, one.coords, strict=True)}
            variables[one.name] = (one.dims, values[one.name][0])
    for name, loading in hidden.loading.items():
        variables[f"{name}.loading"] = ((), loading)
        if name in hidden.by_unit:
            level, drawn, names = hidden.by_unit[name]
            coords[level] = names
            variables[name] = ((level,), drawn)
    return xr.Dataset(variables, coords=coords)
