"""Scenarios as programs: which indicator is changed, when, how strongly, and for whom.

`compile_programs` turns scenarios into `Program` values against one twin and one future. All that
can be wrong with a scenario before anything is simulated is found here, several problems at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from dotwin.errors import Problem, SpecificationError, nearest
from dotwin.spec.check import problems_of_intervention
from dotwin.spec.expressions import Expr, Ref, Start, parse
from dotwin.spec.interventions import Intervention
from dotwin.spec.prior import Prior
from dotwin.spec.scenario import Scenario
from dotwin.worlds.calendar import FuturePeriods

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.spec.twin import Twin

__all__ = [
    "BASELINE",
    "Asked",
    "Change",
    "Cut",
    "Program",
    "chosen_scenarios",
    "compile_programs",
    "reads",
]

#: The world without intervention.
BASELINE = "baseline"

#: How a scenario is asked for.
Asked = Scenario | Intervention | str

Group = Literal["everyone", "fixed", "rule"]


@dataclass(frozen=True, eq=False)
class Change:
    """One intervention, with its dates worked out.

    Parameters
    ----------
    intervention : Intervention
    strength : float array (period,)
        0 where it does not act, 1 at full strength, between them while it rises.
    where : Expr, optional
        The condition that a unit must meet.
    group : {'everyone', 'fixed', 'rule'}
        Whether the condition is read once, when the intervention begins, or anew in each period.
    rule: Expr, optional
        What a policy sets, or whose need a redeployment puts first.
    """

    intervention: Intervention
    strength: NDArray[np.float64]
    where: Expr | None
    group: Group
    rule: Expr | None = None

    def acts(self, t: int) -> bool:
        """Whether it acts in a future period, counted from 0."""
        return bool(self.strength[t] > 0)

    @property
    def first(self) -> int:
        """Position of the first period in which it acts."""
        return int(np.flatnonzero(self.strength)[0])

    @property
    def feeds_back(self) -> bool:
        """Whether the indicator's own lag sees the changed value.

        It does when asked to (``carry=True``) and when the value is set: what is set has no
        natural value left.
        """
        return self.intervention.carry or self.intervention.verb in ("do", "policy")

    @property
    def expressions(self) -> tuple[Expr, ...]:
        """What it reads: the condition and the rule."""
        return tuple(e for e in (self.where, self.rule) if e is not None)

    @property
    def uncertain(self) -> bool:
        """Whether its value is a distribution."""
        one = self.intervention
        return any(isinstance(value, Prior) for value in (one.value, one.share, one.amount))

    @property
    def address(self) -> str:
        """The name under which its value, if a distribution, is drawn.

        It leaves dates and group out, so that two scenarios with the same change draw it alike.
        """
        one = self.intervention
        said = next(v for v in (one.value, one.share, one.amount) if v is not None)
        return f"{one.verb}({one.indicator}, {said})"


@dataclass(frozen=True, eq=False)
class Cut:
    """One arrow that is cut: the effect sees the cause as it is in the baseline.

    Parameters
    ----------
    cause, effect : str
    periods : bool array (period,)
        Where it is cut.
    """

    cause: str
    effect: str
    periods: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Program:
    """A scenario, ready to run.

    Parameters
    ----------
    name : str
    scenario : Scenario or None
        None for the baseline.
    changes : dict of str to tuple of Change
        By indicator.
    order : tuple of str
        The indicators so that in each period causes, and what rules read, come first.
    touched : frozenset of str
        The indicators that can differ from the baseline; all others never do.
    cuts : tuple of Cut
    """

    name: str
    scenario: Scenario | None
    changes: Mapping[str, tuple[Change, ...]]
    order: tuple[str, ...]
    touched: frozenset[str]
    cuts: tuple[Cut, ...] = ()

    def held(self, name: str, t: int) -> frozenset[str]:
        """Return the causes that an indicator sees as in the baseline in a future period."""
        return frozenset(
            cut.cause for cut in self.cuts if cut.effect == name and bool(cut.periods[t])
        )

    def reads(self) -> frozenset[str]:
        """Return the names that its conditions and rules read."""
        return frozenset().union(*(expression.names() for _, expression in self.expressions()))

    def expressions(self) -> Iterator[tuple[str, Expr]]:
        """Yield each of its conditions and rules after where it stands, for a message."""
        for changes in self.changes.values():
            for change in changes:
                for expression in change.expressions:
                    yield _place(self.name, change.intervention), expression


def _place(scenario: str, one: Intervention) -> str:
    """Say where an intervention stands; one by itself has given its scenario its name."""
    return scenario if scenario == str(one) else f"{scenario} > {one}"


def chosen_scenarios(twin: Twin, scenarios: Sequence[Asked] | Asked | None) -> tuple[Scenario, ...]:
    """Look up scenarios by name; None stands for all that the twin has.

    An intervention by itself is a scenario that is called what it says.

    Raises
    ------
    SpecificationError
        When a name is unknown or stands for two scenarios, or something else is given.
    """
    if scenarios is None:
        return tuple(twin.scenarios.values())
    if isinstance(scenarios, Scenario | Intervention | str):
        scenarios = [scenarios]
    found: list[Scenario] = []
    for one in scenarios:
        if isinstance(one, Scenario):
            found.append(one)
        elif isinstance(one, Intervention):
            found.append(Scenario(str(one), [one]))
        elif not isinstance(one, str):
            raise SpecificationError(
                f"scenarios: {one!r} is neither a scenario, nor an intervention such as "
                f"dw.do(...), nor the name of a scenario of the twin."
            )
        elif one == BASELINE:
            continue
        elif one in twin.scenarios:
            found.append(twin.scenarios[one])
        else:
            raise SpecificationError(
                f"scenarios: the twin has no scenario '{one}'. {nearest(one, twin.scenarios)}"
            )
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise SpecificationError(f"scenarios: '{twice[0]}' is the name of two scenarios.")
    return tuple(found)


def compile_programs(
    twin: Twin, scenarios: Sequence[Scenario], future: FuturePeriods
) -> tuple[Program, ...]:
    """Work out the baseline's program and each scenario's.

    Parameters
    ----------
    twin : Twin
    scenarios : sequence of Scenario
    future : FuturePeriods

    Returns
    -------
    tuple of Program
        The baseline first.

    Raises
    ------
    SpecificationError
        With every problem found: an unknown indicator, an exact or text indicator, dates outside
        the future, a rule that reads what its own intervention changes in the same period.
    """
    programs = [Program(BASELINE, None, {}, twin.graph.order(), frozenset())]
    problems: list[Problem] = []
    for scenario in scenarios:
        changes: dict[str, tuple[Change, ...]] = {}
        cuts: list[Cut] = []
        faults = len(problems)
        for intervention in scenario.interventions:
            where = _place(scenario.name, intervention)
            found = [
                Problem(scenario.name, problem.what)
                for problem in problems_of_intervention(twin, intervention)
            ]
            strength, wrong_dates = _strength(intervention, future, where)
            problems += found + wrong_dates
            if not found and not wrong_dates and intervention.effect is not None:
                cuts.append(Cut(intervention.indicator, intervention.effect, strength > 0))
            elif not found and not wrong_dates:
                change = _change(twin, intervention, strength)
                before = changes.get(intervention.indicator, ())
                if any(((other.strength > 0) & (strength > 0)).any() for other in before):
                    problems.append(
                        Problem(where, "meets another change of the same indicator and period.")
                    )
                changes[intervention.indicator] = (*before, change)
        if len(problems) == faults:
            order = _order(twin, changes, scenario.name)
            sources = {*changes, *(cut.effect for cut in cuts)}
            touched = frozenset(sources).union(*(twin.graph.descendants(x) for x in sources))
            program = Program(scenario.name, scenario, changes, order, touched, tuple(cuts))
            programs.append(program)
    if problems:
        raise SpecificationError(problems)
    return tuple(programs)


def reads(expression: Expr) -> frozenset[tuple[str, int]]:
    """Return the (name, lag) pairs that are read anew each period, not inside ``start``."""
    if isinstance(expression, Start):
        return frozenset()
    own = {(expression.name, expression.lag)} if isinstance(expression, Ref) else set()
    return frozenset(own).union(*(reads(child) for child in expression.children()))


def _strength(
    intervention: Intervention, future: FuturePeriods, where: str
) -> tuple[NDArray[np.float64], list[Problem]]:
    """Give the strength per future period: 0, rising over ``over`` periods, then 1."""
    count = len(future)
    try:
        first = 0 if intervention.start is None else future.position(intervention.start)
        if intervention.periods is not None:
            last = first + intervention.periods - 1
        elif intervention.until is not None:
            last = future.position(intervention.until)
        else:
            last = count - 1
    except SpecificationError as error:
        return np.zeros(count), [Problem(where, str(error))]
    if first < 0:
        begins = f"the first future period is {future.labels[0]}"
        return np.zeros(count), [Problem(where, f"start lies before the future; {begins}.")]
    if first >= count:
        ends = f"the last simulated period is {future.labels[-1]} (period {count})"
        return np.zeros(count), [Problem(where, f"start lies after the future; {ends}.")]
    if last < first:
        return np.zeros(count), [Problem(where, "until lies before start.")]
    strength = np.zeros(count)
    run = np.arange(1, count - first + 1, dtype=float)
    strength[first:] = np.minimum(run / (intervention.over or 1), 1.0)
    strength[last + 1 :] = 0.0
    return strength, []


def _change(twin: Twin, one: Intervention, strength: NDArray[np.float64]) -> Change:
    """Read what an intervention reads, and say for whom it acts."""
    where = None if one.where is None else parse(one.where)
    rule = None if one.rule is None else parse(one.rule)
    group: Group = "everyone"
    if where is not None:
        read = {name for name, _ in reads(where) if name in twin.indicators}
        group = "rule" if any(not twin.indicators[name].is_given for name in read) else "fixed"
    return Change(one, strength, where, group, rule)


def _order(twin: Twin, changes: Mapping[str, tuple[Change, ...]], scenario: str) -> tuple[str, ...]:
    """Order a period so that what rules read is known before they act.

    Raises
    ------
    SpecificationError
        When two rules wait for each other.
    """
    import networkx as nx

    graph: nx.DiGraph[str] = nx.DiGraph()
    base = twin.graph.order()
    graph.add_nodes_from(base)
    graph.add_edges_from((a.cause, a.effect) for a in twin.graph.arrows if a.lag == 0)
    for name, several in changes.items():
        for change in several:
            read = [pair for expression in change.expressions for pair in reads(expression)]
            weight = twin.indicators[name].weight
            if change.intervention.verb == "redeploy" and weight is not None:
                read.append((weight, 0))
            graph.add_edges_from(
                (other, name)
                for other, lag in read
                if lag == 0 and other in twin.indicators and other != name
            )
    place = {name: i for i, name in enumerate(base)}
    try:
        return tuple(nx.lexicographical_topological_sort(graph, key=place.__getitem__))
    except nx.NetworkXUnfeasible:
        cycle = " → ".join(cause for cause, _ in nx.find_cycle(graph))
        raise SpecificationError(
            f"{scenario}: within one period its rules wait for each other ({cycle}). Let one of "
            f"them read last period's value, such as x[-1]."
        ) from None
