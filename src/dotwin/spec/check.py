"""Everything that can be wrong with a twin whose fields are readable, found in one pass."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from dotwin.errors import ExpressionError, Problem, nearest
from dotwin.spec.declarations import problems_of_declaration
from dotwin.spec.expressions import FUNCTIONS, Start, parse
from dotwin.spec.interventions import Intervention, Scenario
from dotwin.spec.readings import Reading, problems_of_reading, readings_of, same_period_parents
from dotwin.spec.twin import Twin

__all__ = ["problems_of_expression", "problems_of_scenario", "problems_of_twin"]

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
    found += _hidden_causes(twin)
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
    for section in ("indicators", "hidden_causes"):
        for name in getattr(twin, section):
            path = (section, name)
            if what := _bad_name(name):
                yield Problem.at(path, what)
            if name in levels:
                yield Problem.at(path, f"'{name}' is a level too; choose another name.")
            if section == "hidden_causes" and name in twin.indicators:
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


def _hidden_causes(twin: Twin) -> Iterator[Problem]:
    levels = (*twin.panel.all_levels, *(("period",) if twin.panel.period is not None else ()))
    for name, hidden in twin.hidden_causes.items():
        path = ("hidden_causes", name)
        if len(set(hidden.affects)) < 2:
            yield Problem.at(
                (*path, "affects"), "a hidden cause affects at least two indicators, each once."
            )
        for position, affected in enumerate(hidden.affects):
            place = (*path, "affects", position)
            if affected not in twin.indicators:
                hint = nearest(affected, twin.indicators)
                yield Problem.at(place, f"there is no indicator '{affected}'. {hint}")
            elif twin.indicators[affected].family is None and not twin.indicators[affected].causes:
                kind = "is given" if twin.indicators[affected].is_given else "equals others"
                yield Problem.at(
                    place,
                    f"'{affected}' {kind}, so nothing hidden can act on it; give it a family.",
                )
        if hidden.level not in levels:
            yield Problem.at(
                (*path, "level"),
                f"there is no level '{hidden.level}'. {nearest(hidden.level, levels)}",
            )


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
        for problem in _intervention(twin, intervention)
    ]


def _intervention(twin: Twin, one: Intervention) -> Iterator[Problem]:
    target = twin.indicators.get(one.indicator)
    if target is None:
        hint = nearest(one.indicator, twin.indicators)
        yield Problem("", f"'{one}': there is no indicator '{one.indicator}'. {hint}")
    elif target.equals is not None:
        yield Problem(
            "",
            f"'{one}': {one.indicator} equals {target.equals} and cannot be set; "
            f"change its parts: {_parts(one.indicator, target.equals)}.",
        )
    elif target.categories and target.family is None:
        yield Problem("", f"'{one}': {one.indicator} holds text, which no number can replace.")
    if twin.panel.period is None:
        for option in ("start", "until", "periods", "over"):
            if getattr(one, option) is not None:
                yield Problem("", f"'{one}': a cross-section has one period; leave {option} out.")
    if one.where is None:
        return
    said = problems_of_reading(twin, Reading((), one.where, "where", None))
    yield from (Problem("", f"'{one}', where: {problem.what}") for problem in said)
    if not said and target is not None:
        yield from _rule(twin, one)


def _parts(name: str, equals: str) -> str:
    try:
        parts = parse(equals).names() - {name}
    except ExpressionError:
        return "those in equals"
    return ", ".join(sorted(parts)) or "it has none"


def _rule(twin: Twin, one: Intervention) -> Iterator[Problem]:
    """A rule may read this period's state only of what the intervention does not change."""
    condition = parse(str(one.where))
    frozen = {ref for e in condition.walk() if isinstance(e, Start) for ref in e.item.refs()}
    parents = same_period_parents(twin)
    for name, lag in sorted(condition.refs() - frozen):
        if lag == 0 and name in parents and one.indicator in {name, *_ancestors(name, parents)}:
            because = "is what it changes" if name == one.indicator else f"follows {one.indicator}"
            yield Problem(
                "",
                f"'{one}': where reads {name}, which {because} within the same period. Write "
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
