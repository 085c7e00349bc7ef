"""A question about an effect: which cause is set to what, for how long, for whom, and on what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from dotwin.effects.outcome import Outcome, read_outcome
from dotwin.errors import SpecificationError, nearest
from dotwin.mechanisms.links import get_link
from dotwin.mechanisms.references import RANGE_IN_SDS
from dotwin.spec import Scenario, do
from dotwin.spec.expressions import parse
from dotwin.spec.value import shortest
from dotwin.worlds.aggregate import By, Groups, group_units
from dotwin.worlds.licence import NO_HIDDEN_CAUSES, PRIOR
from dotwin.worlds.run import Run, plan
from dotwin.worlds.start import future_periods

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = [
    "ASSUMPTIONS",
    "NO_PLAN",
    "Hold",
    "Question",
    "Settings",
    "ask",
    "is_yes_no",
    "usual_contrast",
]

Hold = Literal["throughout", "once"]
#: What an effect may assume by name.
ASSUMPTIONS = (NO_HIDDEN_CAUSES, PRIOR, "edge")
#: Two values are compared. Nobody proposes to bring them about, so nothing must pay for them.
NO_PLAN = "a comparison, not a plan"
#: How many periods are simulated unless said otherwise.
_HORIZON = 12


@dataclass(frozen=True, eq=False)
class Settings:
    """Where worlds start and how many draws of them there are.

    Parameters
    ----------
    seed : int
    draws : int
    replicates : int or None
        How many noises are averaged; chosen by size when None.
    panel : Panel or None
        Another panel to start from.
    inputs : DataFrame or None
        Future values of givens.
    new_groups : {'population'} or None
    carry_forward : int
    assume : frozenset of str
    """

    seed: int
    draws: int
    replicates: int | None
    panel: Panel | None
    inputs: pd.DataFrame | None
    new_groups: str | None
    carry_forward: int
    assume: frozenset[str]


@dataclass(frozen=True, eq=False)
class Question:
    """What is asked.

    Parameters
    ----------
    fit : Fit
    cause : str
    outcome : Outcome
    contrast : (float, float)
        The values that the cause is set to; the effect is the second less the first.
    start : int, str or None
        The first period in which it is set.
    periods : int or None
        For how many periods it is set; to the end when None.
    horizon : int or None
        How many periods are simulated; None in a cross-section.
    hold : {'throughout', 'once'}
    among : str or None
        The group of units that the effect is averaged over; all when None.
    by : tuple of str
    settings : Settings
    kept : bool array (unit,), optional
        The units that count, where some are left out.
    """

    fit: Fit
    cause: str
    outcome: Outcome
    contrast: tuple[float, float]
    start: int | str | None
    periods: int | None
    horizon: int | None
    hold: Hold
    among: str | None
    by: tuple[str, ...]
    settings: Settings
    kept: NDArray[np.bool_] | None = None

    @property
    def twin(self) -> Twin:
        """The twin of the fit."""
        return self.fit.twin

    @property
    def names(self) -> tuple[str, str]:
        """What the two worlds are called."""
        first, second = (f"{value:.4g}" for value in self.contrast)
        if first == second:
            first, second = map(shortest, self.contrast)
        return f"{self.cause} = {first}", f"{self.cause} = {second}"

    @property
    def scenarios(self) -> tuple[Scenario, Scenario]:
        """The two worlds as scenarios."""
        first, second = (
            Scenario(
                name,
                [do(self.cause, value, start=self.start, periods=self.periods)],
                source=NO_PLAN,
            )
            for name, value in zip(self.names, self.contrast, strict=True)
        )
        return first, second

    @cached_property
    def run(self) -> Run:
        """The simulation, worked out."""
        s = self.settings
        run = plan(
            self.fit,
            periods=self.horizon,
            scenarios=self.scenarios,
            seed=s.seed,
            draws=s.draws,
            panel=s.panel,
            inputs=s.inputs,
            new_groups=s.new_groups,
            carry_forward=s.carry_forward,
        )
        return self._with_facts(run) if self._keeps_facts else run

    @property
    def simulated(self) -> frozenset[str]:
        """The fitted mechanisms that decide the two worlds' outcomes."""
        graph, ends = self.twin.graph, set(self.outcome.indicators)
        found = ends.union(*(graph.ancestors(end) for end in ends))
        if self.hold == "throughout" and self.start is None and self.periods is None:
            # It is set in every period, and its own mechanism is never asked.
            found = found - {self.cause}
        return frozenset(found & set(self.fit.designs))

    @property
    def grouping(self) -> frozenset[str]:
        """The indicators that choose groups."""
        texts = [*self.by, *([self.among] if self.among is not None else [])]
        levels = set(self.twin.panel.all_levels)
        names = {name for text in texts if text not in levels for name in parse(text).names()}
        return frozenset(names & set(self.twin.indicators))

    @property
    def _keeps_facts(self) -> bool:
        """Whether units keep their recorded states.

        A cross-section is replayed with new noise, and then a unit's recorded state says nothing
        of the simulated one. Where groups are chosen by such states, what the cause does not
        affect stays as it was recorded.
        """
        return self.horizon is None and any(
            not self.twin.indicators[name].is_given for name in self.grouping
        )

    def _with_facts(self, run: Run) -> Run:
        affected = self.twin.graph.descendants(self.cause) | {self.cause}
        facts = {
            name: np.asarray(run.start.facts[name][:, -1:], dtype=float)
            for name in self.twin.stochastic
            if name not in affected and name in run.start.facts
        }
        return replace(run, start=replace(run.start, givens={**run.start.givens, **facts}))

    @cached_property
    def groups(self) -> Groups:
        """How the units fall into groups; those outside ``among`` into none.

        Raises
        ------
        SpecificationError
            When nobody is in the group, or a group is chosen by a result of the cause.
        """
        twin, states = self.twin, self.run.states
        if self.horizon is None:
            affected = self.twin.graph.descendants(self.cause) - {self.cause}
            for name in sorted(self.grouping & affected):
                raise SpecificationError(
                    f"{name} is a result of {self.cause}, and a cross-section has no earlier state "
                    f"of it: groups chosen by a result are biased. Group by levels, givens, or "
                    f"what {self.cause} does not act on."
                )
        groups = group_units(twin, states, self.by or None)
        if self.among is not None:
            groups = groups.only(self._members())
        for name in self._kept:
            groups = groups.only(~np.isnan(self.run.start.givens[name]).any(axis=1))
        if not groups.labels:
            raise SpecificationError(f"among: no unit meets '{self.among}' when the change begins.")
        return groups if self.kept is None else groups.only(self.kept)

    @property
    def _kept(self) -> tuple[str, ...]:
        """The indicators whose recorded values stay."""
        return tuple(sorted(set(self.run.start.givens) - set(self.twin.given)))

    def _members(self) -> Any:
        text = str(self.among)
        found = group_units(self.twin, self.run.states, text)
        labels = [label[0] for label in found.labels]
        if strange := sorted(set(labels) - {"yes", "no", "0", "1"}):
            raise SpecificationError(
                f"among='{text}': a condition says who belongs, such as '{text} == {strange[0]!r}'."
            )
        inside = np.array([label in ("yes", "1") for label in labels])
        return (found.codes >= 0) & inside[found.codes]


def is_yes_no(fit: Fit, name: str) -> bool:
    """Whether an indicator says yes or no: a Bernoulli, or a given that is only ever 0 or 1."""
    one = fit.twin.indicators[name]
    if not one.is_given or name not in fit.panel.data:
        return one.family == "bernoulli"
    values = fit.panel.data[name].values
    if values.dtype.kind in "OUT":
        return False
    known = values[np.isfinite(values)]
    return bool(known.size) and bool(np.isin(known, (0.0, 1.0)).all())


def usual_contrast(fit: Fit, cause: str) -> tuple[float, float]:
    """Return the reference centre of a cause and one sd above it; 0 and 1 where it is yes or no.

    Parameters
    ----------
    fit : Fit
    cause : str

    Returns
    -------
    (float, float)
        In the cause's own unit; shares where it has trials.
    """
    if is_yes_no(fit, cause):
        return 0.0, 1.0
    one = fit.twin.indicators[cause]
    if cause in fit.designs:
        design = fit.designs[cause]
        if one.family == "ordinal":
            raise SpecificationError(
                f"contrast: say which categories of {cause} are compared, as positions from 0 to "
                f"{len(one.categories) - 1}."
            )
        centre, sd = design.reference.child
        inverse = get_link(design.equation.family.link).inverse
        size = float(one.out_of or 1.0)
        return size * float(inverse(centre)), size * float(inverse(centre + sd))
    for design in fit.designs.values():
        if cause in design.reference.factors:
            centre, sd = design.reference.factors[cause]
            return centre, centre + sd
    if one.plausible is not None:
        low, high = one.plausible
        return (low + high) / 2, (low + high) / 2 + (high - low) / RANGE_IN_SDS
    if cause not in fit.panel.data or fit.panel.data[cause].values.dtype.kind in "OUT":
        raise SpecificationError(f"contrast: say which values of {cause} are compared.")
    values = fit.panel.data[cause].values
    return float(np.nanmean(values)), float(np.nanmean(values) + np.nanstd(values))


def ask(
    fit: Fit,
    cause: str,
    *,
    on: str,
    contrast: Sequence[float] | None,
    start: int | str | None,
    periods: int | None,
    horizon: int | None,
    hold: Hold,
    weight: str | None,
    among: str | None,
    by: By,
    settings: Settings,
) -> Question:
    """Check a question and fill in what it leaves open; see `dotwin.effects.effect`."""
    twin = fit.twin
    if cause not in twin.indicators:
        raise SpecificationError(f"cause: there is no '{cause}'. {nearest(cause, twin.indicators)}")
    if unknown := sorted(settings.assume - set(ASSUMPTIONS)):
        raise SpecificationError(
            f"assume='{unknown[0]}': an effect knows {', '.join(map(repr, ASSUMPTIONS))}."
        )
    if settings.replicates is not None and settings.replicates < 1:
        raise SpecificationError(f"replicates={settings.replicates}: at least one.")
    outcome = read_outcome(twin, on, weight)
    if cause in outcome.expression.names():
        raise SpecificationError(f"on: {cause} is what is set, so nothing is learnt about it.")
    if outcome.weight is not None and outcome.weight in twin.graph.descendants(cause) | {cause}:
        raise SpecificationError(
            f"weight: {outcome.weight} is itself changed by {cause}, and what units weigh must be "
            f"the same in both worlds."
        )
    first, second = _two_values(fit, cause, contrast)
    if hold not in ("throughout", "once"):
        raise SpecificationError(f"hold='{hold}': say 'throughout' or 'once'.")
    if twin.panel.period is None:
        if (start, periods, horizon) != (None, None, None) or hold != "throughout":
            raise SpecificationError(
                f"'{twin.name}' is a cross-section: leave start, periods, horizon and hold out."
            )
    else:
        if hold == "once" and periods not in (None, 1):
            raise SpecificationError(
                f"hold='once' sets {cause} in one period only; periods={periods} asks for more."
            )
        periods = 1 if hold == "once" else periods
        panel = fit.panel if settings.panel is None else settings.panel
        before = 0 if start is None else future_periods(panel, 1).position(start)
        if horizon is None:
            horizon = max(_HORIZON, before + (periods or 1))
    return Question(
        fit=fit,
        cause=cause,
        outcome=outcome,
        contrast=(first, second),
        start=start,
        periods=periods,
        horizon=horizon,
        hold=hold,
        among=among,
        by=() if by is None else (by,) if isinstance(by, str) else tuple(by),
        settings=settings,
    )


def _two_values(fit: Fit, cause: str, contrast: Sequence[float] | None) -> tuple[float, float]:
    if contrast is None:
        return usual_contrast(fit, cause)
    form = "two numbers (from, to), such as (0.05, 0.15)"
    try:
        first, second = (float(value) for value in contrast)
    except (TypeError, ValueError):
        raise SpecificationError(f"contrast={contrast!r}: {form}.") from None
    if not (np.isfinite(first) and np.isfinite(second)) or first == second:
        raise SpecificationError(f"contrast={contrast!r}: {form}, which differ.")
    return first, second
