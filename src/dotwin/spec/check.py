"""Everything that can be wrong with a twin whose fields are readable, found in one pass."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress

from dotwin.errors import ExpressionError, Problem, nearest
from dotwin.spec.declarations import problems_of_declaration
from dotwin.spec.expressions import FUNCTIONS, Start, parse
from dotwin.spec.hidden import problems_of_hidden_causes
from dotwin.spec.interventions import Intervention
from dotwin.spec.readings import (
    Place,
    Reading,
    problems_of_reading,
    readings_of,
    same_period_parents,
)
from dotwin.spec.scenario import Scenario
from dotwin.spec.twin import Twin

__all__ = [
    "AMOUNTS",
    "problems_of_expression",
    "problems_of_intervention",
    "problems_of_scenario",
    "problems_of_twin",
]

#: The families of amounts, which one unit can hand to another.
AMOUNTS = ("normal", "student_t", "lognormal", "gamma", "poisson", "negative_binomial")

type Parents = Mapping[str, Iterable[str]]


def problems_of_twin(twin: Twin) -> list[Problem]:
    """List everything about a twin that does not fit together.

    Parameters
    ----------
    twin : Twin

    Returns
    -------
    list of Problem
        Each with its path; none when the twin is sound.
    """
    found = [*_panel(twin), *_names(twin)]
    for name in twin.indicators:
        found += problems_of_declaration(twin, name)
    for reading in readings_of(twin):
        found += problems_of_reading(twin, reading)
    found += _cycles(twin)
    found += problems_of_hidden_causes(twin)
    for name, scenario in twin.scenarios.items():
        found += [
            problem.under(("scenarios", name)) for problem in problems_of_scenario(twin, scenario)
        ]
    return found


def problems_of_expression(twin: Twin, text: str) -> list[Problem]:
    """List what keeps a condition from being read against a twin, as in `Futures.probability`.

    Parameters
    ----------
    twin : Twin
    text : str
        For instance ``missed_visits / scheduled_visits > 0.05``.

    Returns
    -------
    list of Problem
    """
    return problems_of_reading(twin, Reading((), text, "probability"))


def _panel(twin: Twin) -> Iterator[Problem]:
    levels = twin.panel.all_levels
    for level in dict.fromkeys(levels):
        path = ("panel", "unit" if level == twin.unit else "levels")
        if what := _bad_name(level):
            yield Problem.at(path, what)
        if levels.count(level) > 1:
            yield Problem.at(
                ("panel", "levels"),
                f"'{level}' stands twice; the unit is a level of its own and is not listed again.",
            )
    for level in twin.panel.columns:
        if level not in levels:
            yield Problem.at(
                ("panel", "columns", level),
                f"there is no level '{level}'. {nearest(level, levels)}",
            )


def _bad_name(name: str) -> str | None:
    """Say why a name cannot stand in an expression."""
    if not name.isidentifier() or unicodedata.normalize("NFKC", name) != name:
        words = "_".join("".join(c if c.isalnum() else " " for c in name).split())
        offer = words if words and not words[0].isdigit() else f"x_{words}" if words else "a_name"
        return (
            f"'{name}' cannot stand in an expression; use letters, digits and _, as in '{offer}', "
            "and write what people read as label."
        )
    if keyword.iskeyword(name) or name in ("period", "start", "mean", "sum", *FUNCTIONS):
        return f"'{name}' is a word of the expression language; choose another name."
    return None


def _names(twin: Twin) -> Iterator[Problem]:
    if not twin.indicators:
        yield Problem.at(("indicators",), "a twin needs at least one indicator.")
    levels = twin.panel.all_levels
    for section in ("indicators", "hidden_causes", "exposures"):
        for name in getattr(twin, section):
            path = (section, name)
            if what := _bad_name(name):
                yield Problem.at(path, what)
            if name in levels:
                yield Problem.at(path, f"'{name}' is a level too; choose another name.")
            if section != "indicators" and name in twin.indicators:
                yield Problem.at(path, f"'{name}' is an indicator too; choose another name.")


def _cycles(twin: Twin) -> Iterator[Problem]:
    """Name one cycle within a period for each knot of indicators."""
    parents = same_period_parents(twin)
    done: set[str] = set()
    for name in twin.indicators:
        if name in done:
            continue
        way = _way_back(name, parents)
        done.add(name)
        if way is None:
            continue
        done.update(way)
        yield Problem.at(
            ("indicators", name),
            f"within one period {' → '.join(way)} is a cycle; a lag such as {way[0]}[-1] turns it "
            "into feedback.",
        )


def _way_back(name: str, parents: Parents) -> list[str] | None:
    """Find the shortest way from an indicator along arrows back to itself."""
    before: dict[str, str] = {}
    frontier = [name]
    while frontier:
        reached: list[str] = []
        for effect in frontier:
            for cause in sorted(parents[effect]):
                if cause == name:
                    way = [name, effect]
                    while way[-1] != name:
                        way.append(before[way[-1]])
                    return way
                if cause not in before:
                    before[cause] = effect
                    reached.append(cause)
        frontier = reached
    return None


def problems_of_scenario(twin: Twin, scenario: Scenario) -> list[Problem]:
    """List what a scenario asks of a twin that the twin does not have.

    Parameters
    ----------
    twin : Twin
    scenario : Scenario

    Returns
    -------
    list of Problem
        With paths within the scenario.
    """
    return [
        problem.under(("interventions", position))
        for position, intervention in enumerate(scenario.interventions)
        for problem in problems_of_intervention(twin, intervention)
    ]


def problems_of_intervention(twin: Twin, one: Intervention) -> Iterator[Problem]:
    """Yield what an intervention asks of a twin that the twin does not have."""
    target = twin.indicators.get(one.changed)
    for name in dict.fromkeys((one.indicator, one.changed)):
        if name not in twin.indicators:
            hint = nearest(name, twin.indicators)
            yield Problem("", f"'{one}': there is no indicator '{name}'. {hint}")
    if target is not None:
        yield from _target(twin, one)
    if twin.panel.period is None:
        for option in ("start", "until", "periods", "over"):
            if getattr(one, option) is not None:
                yield Problem("", f"'{one}': a cross-section has one period; leave {option} out.")
    # An indicator of an outer level has one value per group, so what changes it reads groups.
    child = one.indicator if target is not None and target.level is not None else None
    places: tuple[tuple[str | None, Place], ...] = ((one.where, "where"), (one.rule, "rule"))
    for text, place in places:
        if text is None:
            continue
        said = problems_of_reading(twin, Reading((), text, place, child))
        yield from (Problem("", f"'{one}', {place}: {problem.what}") for problem in said)
        if not said and target is not None:
            yield from _rule(twin, one, text, place)


def _target(twin: Twin, one: Intervention) -> Iterator[Problem]:
    """What is changed must be something that the verb can change."""
    target = twin.indicators[one.changed]
    if one.verb == "block":
        if one.indicator in twin.indicators and one.indicator not in _read_by(twin, one.changed):
            accepted = ", ".join(sorted(_read_by(twin, one.changed))) or "nothing"
            yield Problem(
                "",
                f"'{one}': {one.changed} does not read {one.indicator}, so there is no arrow to "
                f"cut. It reads {accepted}.",
            )
        return
    if target.equals is not None:
        yield Problem(
            "",
            f"'{one}': {one.indicator} equals {target.equals} and cannot be set; "
            f"change its parts: {_parts(one.indicator, target.equals)}.",
        )
    elif target.categories and target.family is None:
        yield Problem("", f"'{one}': {one.indicator} holds text, which no number can replace.")
    elif one.verb == "redeploy":
        yield from _movable(twin, one)


def _read_by(twin: Twin, name: str) -> frozenset[str]:
    """Return what an indicator's mechanism reads, at any lag, but for its own past."""
    found: set[str] = set()
    for reading in readings_of(twin):
        if reading.child == name:
            with suppress(ExpressionError):
                found |= parse(reading.text).names()
    one = twin.indicators[name]
    found |= {other for other in (one.trials, one.at_least) if other is not None}
    return frozenset(found & twin.indicators.keys() - {name})


def _movable(twin: Twin, one: Intervention) -> Iterator[Problem]:
    """A resource is an amount of units: what one gives, another has."""
    target, levels = twin.indicators[one.indicator], twin.panel.levels
    if one.within not in levels:
        hint = nearest(str(one.within), levels) if levels else "panel > levels declares none."
        yield Problem("", f"'{one}': within: there is no level '{one.within}'. {hint}")
    if target.level not in (None, twin.unit):
        yield Problem(
            "",
            f"'{one}': {one.indicator} is recorded by {target.level}, so units hold none of it to "
            f"give; move it with do, shift or policy.",
        )
    if target.family is not None and target.family not in AMOUNTS:
        yield Problem(
            "",
            f"'{one}': {one.indicator} is {target.family}, no amount that units could hand over. "
            f"Accepted: a given, or {', '.join(AMOUNTS)}.",
        )
    weight = target.weight
    parents = same_period_parents(twin)
    if weight in parents and one.indicator in {weight, *_ancestors(str(weight), parents)}:
        yield Problem(
            "",
            f"'{one}': the total is of {one.indicator} times {weight}, which follows "
            f"{one.indicator} within the same period.",
        )


def _parts(name: str, equals: str) -> str:
    try:
        parts = parse(equals).names() - {name}
    except ExpressionError:
        return "those in equals"
    return ", ".join(sorted(parts)) or "it has none"


def _rule(twin: Twin, one: Intervention, text: str, place: str) -> Iterator[Problem]:
    """A rule may read this period's state only of what the intervention does not change."""
    condition = parse(text)
    frozen = {ref for e in condition.walk() if isinstance(e, Start) for ref in e.item.refs()}
    parents = same_period_parents(twin)
    for name, lag in sorted(condition.refs() - frozen):
        if name == one.indicator and one.verb != "policy":
            continue  # its natural value, before anything is changed
        if lag == 0 and name in parents and one.indicator in {name, *_ancestors(name, parents)}:
            because = "is what it sets" if name == one.indicator else f"follows {one.indicator}"
            yield Problem(
                "",
                f"'{one}': {place} reads {name}, which {because} within the same period. Write "
                f"{name}[-1] for the period before, or start({name}) for the value at the start.",
            )


def _ancestors(name: str, parents: Parents) -> set[str]:
    found: set[str] = set()
    frontier = [name]
    while frontier:
        for cause in parents[frontier.pop()]:
            if cause not in found:
                found.add(cause)
                frontier.append(cause)
    return found
