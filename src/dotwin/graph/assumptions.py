"""Every claim that a twin's graph makes, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotwin.graph.arrows import Arrow
    from dotwin.graph.twin_graph import TwinGraph

__all__ = ["Assumption", "Assumptions", "assumptions"]

#: The kinds, in the order in which they are printed, and their headings.
KINDS: dict[str, str] = {
    "drawn cause": "What acts on what",
    "absent cause": "What does not",
    "hidden causes": "What no column records",
    "unit effects": "Stable traits",
    "period shocks": "Shocks of the calendar",
    "the past": "What came before",
    "interference": "One unit and another",
    "given": "Known inputs",
    "missing": "Missing values",
}


@dataclass(frozen=True)
class Assumption:
    """One claim that the answers of a twin rest on.

    Parameters
    ----------
    kind : str
        'drawn cause', 'absent cause', 'hidden causes', 'unit effects', 'period shocks',
        'the past', 'interference', 'given' or 'missing'.
    sentence : str
        The claim in plain words.
    about : tuple of str
        The indicators or hidden causes that it speaks of.
    """

    kind: str
    sentence: str
    about: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.sentence


class Assumptions(tuple[Assumption, ...]):
    """A tuple of `Assumption` that prints as sentences under headings.

    Examples
    --------
    >>> print(Assumptions([Assumption("interference", "Homes do not act on each other.")]))
    One unit and another
      1. Homes do not act on each other.
    """

    __slots__ = ()

    def about(self, name: str) -> Assumptions:
        """Return the assumptions that speak of an indicator or hidden cause."""
        return Assumptions(one for one in self if name in one.about)

    def of_kind(self, kind: str) -> Assumptions:
        """Return the assumptions of one kind."""
        return Assumptions(one for one in self if one.kind == kind)

    def __str__(self) -> str:
        lines: list[str] = []
        number = 0
        for kind, heading in KINDS.items():
            if chosen := self.of_kind(kind):
                lines.append(heading)
                for one in chosen:
                    number += 1
                    lines.append(f"  {number}. {one.sentence}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


def assumptions(graph: TwinGraph) -> Assumptions:
    """Return every claim that a twin's graph makes.

    Parameters
    ----------
    graph : TwinGraph

    Returns
    -------
    Assumptions
    """
    found = [
        *_drawn(graph),
        *_absent(graph),
        *_hidden(graph),
        *_unit_effects(graph),
        *_period_shocks(graph),
        *_past(graph),
        *_interference(graph),
        *_given(graph),
        *_missing(graph),
    ]
    return Assumptions(found)


def _drawn(graph: TwinGraph) -> Iterator[Assumption]:
    terms: dict[tuple[str, str, str], list[Arrow]] = {}
    for arrow in graph.arrows:
        terms.setdefault((arrow.kind, arrow.effect, arrow.term), []).append(arrow)
    for (kind, effect, term), arrows in terms.items():
        indicator = graph.twin.indicators[effect]
        target = graph.label(effect)
        causes, why = _listed([graph.label(a.cause) for a in arrows]), ""
        match kind:
            case "cause":
                text = f"There is a direct effect of {_effect(graph, arrows)}"
                why = indicator.causes[term].because
            case "zeros":
                text = f"There is a direct effect of {_effect(graph, arrows, 'any ')}"
                why = indicator.zeros.causes[term].because if indicator.zeros else ""
            case "trials":
                text = f"How many {target} there can be is set by {causes}"
            case "exposure":
                text = f"All else equal, {target} come in proportion to {term}"
            case "at_least":
                text = f"There is never less of {target} than of {causes}"
            case "when":
                text = f"Only when {term} can {target} differ from {indicator.otherwise or 0:.12g}"
            case _:
                text = f"By definition, {target} = {term}"
        yield Assumption(
            "drawn cause",
            _sentence(text + (f": {why}" if why else "")),
            tuple(dict.fromkeys([*(arrow.cause for arrow in arrows), effect])),
        )


def _effect(graph: TwinGraph, arrows: list[Arrow], some: str = "") -> str:
    """Say what acts on what and how much later: 'a on b, and of c on b two months later'."""
    by_lag: dict[int, list[Arrow]] = {}
    for arrow in arrows:
        by_lag.setdefault(arrow.lag, []).append(arrow)
    effect = arrows[0].effect
    parts: list[str] = []
    for lag, found in sorted(by_lag.items()):
        causes = _listed([_across(graph, arrow) for arrow in found])
        own = all(arrow.cause == effect and not arrow.across for arrow in found) and not some
        target = "itself" if own else some + graph.label(effect)
        parts.append(f"{causes} on {target}{_later(graph, lag)}")
    return ", and of ".join(parts)


def _across(graph: TwinGraph, arrow: Arrow) -> str:
    label = graph.label(arrow.cause)
    return f"{label} in other units, {arrow.term}," if arrow.across else label


def _later(graph: TwinGraph, lag: int) -> str:
    if not lag:
        return ""
    period = _period(graph)
    words = ("zero", "one", "two", "three", "four", "five", "six")
    return f" {words[lag] if lag < len(words) else lag} {period}{'s' if lag > 1 else ''} later"


def _absent(graph: TwinGraph) -> Iterator[Assumption]:
    for name in graph.indicators:
        if graph.twin.indicators[name].is_given:
            continue
        parents = [graph.label(p) for p in graph.parents(name) if p != name]
        if name in graph.parents(name):
            parents.append("its own past")
        text = f"Of all that is recorded, nothing acts directly on {graph.label(name)}"
        if parents:
            text += f" except, at the lags drawn, {_listed(parents)}"
        yield Assumption("absent cause", _sentence(text), (name,))


def _hidden(graph: TwinGraph) -> Iterator[Assumption]:
    declared = graph.twin.hidden_causes
    unit = graph.twin.unit.replace("_", " ")
    for name, hidden in declared.items():
        if hidden.level == "period":
            what = f"a shock of a {_period(graph)}"
        else:
            what = f"a trait of a {hidden.level.replace('_', ' ')}"
        text = (
            f"{graph.label(name)}, {what} that no column records, moves "
            f"{_listed([graph.label(one) for one in hidden.affects])}"
        )
        if hidden.because:
            text += f": {hidden.because}"
        yield Assumption("hidden causes", _sentence(text), (name, *hidden.affects))
    others = "other " if declared else ""
    yield Assumption(
        "hidden causes",
        f"No {others}unrecorded cause moves two indicators of one {unit}, apart from what came "
        f"before the panel.",
        tuple(declared),
    )


def _joined_pairs(graph: TwinGraph) -> Iterator[tuple[str, str]]:
    """Yield the pairs of fitted mechanisms of which one acts on the other."""
    for a, b in combinations(graph.twin.stochastic, 2):
        if graph.reaches(a, b) or graph.reaches(b, a):
            yield a, b


def _shared_hidden(graph: TwinGraph, a: str, b: str, period: bool) -> list[str]:
    return [
        graph.label(name)
        for name, hidden in graph.twin.hidden_causes.items()
        if {a, b} <= set(hidden.affects) and (hidden.level == "period") == period
    ]


def _unit_effects(graph: TwinGraph) -> Iterator[Assumption]:
    # Without a group effect a mechanism has no stable trait at all: a stronger claim of its kind.
    levels = {name: _levels(graph, name) for name in graph.twin.stochastic}
    for a, b in _joined_pairs(graph):
        shared = [level for level in levels[a] if level in levels[b]]
        if not shared:
            continue
        places = _listed([f"a {level.replace('_', ' ')}" for level in shared], "or")
        through = ["along the arrows drawn", *_shared_hidden(graph, a, b, period=False)]
        yield Assumption(
            "unit effects",
            f"No stable trait of {places} moves both {graph.label(a)} and {graph.label(b)}, except "
            f"{_listed(through)}.",
            (a, b),
        )
    for name in graph.twin.stochastic:
        unit = graph.twin.unit
        if unit not in levels[name] and graph.twin.panel.period is not None:
            yield Assumption(
                "unit effects",
                f"No stable trait of a {unit.replace('_', ' ')} moves {graph.label(name)}, except "
                f"through its causes.",
                (name,),
            )


def _levels(graph: TwinGraph, name: str) -> list[str]:
    return [
        effect.level
        for effect in graph.group_effects
        if effect.indicator == name and effect.level not in ("period", "trend")
    ]


def _period_shocks(graph: TwinGraph) -> Iterator[Assumption]:
    if graph.twin.panel.period is None:
        return
    period = _period(graph)
    shocked = {e.indicator for e in graph.group_effects if e.level == "period"}
    for a, b in _joined_pairs(graph):
        if {a, b} <= shocked:
            through = ["along the arrows drawn", *_shared_hidden(graph, a, b, period=True)]
            yield Assumption(
                "period shocks",
                f"No shock of a {period} moves both {graph.label(a)} and {graph.label(b)}, except "
                f"{_listed(through)}.",
                (a, b),
            )
    for name in graph.twin.stochastic:
        if name not in shocked:
            yield Assumption(
                "period shocks",
                _sentence(
                    f"no shock of a {period} moves {graph.label(name)} in all units at once, "
                    f"except through its causes"
                ),
                (name,),
            )


def _past(graph: TwinGraph) -> Iterator[Assumption]:
    if graph.max_lag:
        names = {arrow.effect for arrow in graph.arrows if arrow.lag}
        yield Assumption(
            "the past",
            "What happened before the panel begins acts on what is fitted only through the "
            "recorded lags, each unit's first values and its stable traits.",
            tuple(name for name in graph.indicators if name in names),
        )


def _interference(graph: TwinGraph) -> Iterator[Assumption]:
    unit = graph.twin.unit.replace("_", " ")
    across = {(arrow.effect, arrow.term): arrow for arrow in graph.arrows if arrow.across}
    if not across:
        yield Assumption(
            "interference",
            f"What happens in one {unit} does not act on another: nobody competes for the same "
            f"staff, and no client moves because of a change elsewhere.",
        )
        return
    ways = _listed([f"{term} on {graph.label(effect)}" for effect, term in across])
    yield Assumption(
        "interference",
        f"One {unit} acts on another only through {ways}.",
        tuple(dict.fromkeys(name for a in across.values() for name in (a.cause, a.effect))),
    )


def _given(graph: TwinGraph) -> Iterator[Assumption]:
    unexplained: list[str] = []
    for name in graph.twin.given:
        indicator, label = graph.twin.indicators[name], graph.label(name)
        if indicator.unconfounded:
            text = f"{label} varies for no reason that touches its effects"
            yield Assumption("given", _sentence(f"{text}: {indicator.unconfounded}"), (name,))
        elif indicator.assigned is not None:
            how = {
                "randomised": "by lot",
                "phased": "in phases whose order has nothing to do with its effects",
                "rule": "by a rule",
            }[indicator.assigned.how]
            yield Assumption("given", _sentence(f"{label} was assigned {how}"), (name,))
        else:
            unexplained.append(name)
    if unexplained:
        labels = [graph.label(name) for name in unexplained]
        vary = "varies" if len(labels) == 1 else "vary"
        their = "its own effect is" if len(labels) == 1 else "their own effects are"
        yield Assumption(
            "given",
            _sentence(
                f"why {_listed(labels)} {vary} is not declared: held fixed where a mechanism reads "
                f"it, but {their} not identified"
            ),
            tuple(unexplained),
        )


def _missing(graph: TwinGraph) -> Iterator[Assumption]:
    causes = {arrow.cause for arrow in graph.arrows}
    for way, claim in (
        (
            "set_aside",
            "Rows in which one of these is missing are set aside, which is right when being "
            "missing does not depend on the outcome given the other causes",
        ),
        (
            "impute",
            "Missing values of these are estimated with the mechanisms, which is right when being "
            "missing does not depend on the value itself given what is recorded",
        ),
    ):
        names = tuple(
            n for n in graph.indicators if n in causes and graph.twin.indicators[n].missing == way
        )
        if names:
            listed = _listed([graph.label(name) for name in names])
            yield Assumption("missing", f"{claim}: {listed}.", names)


def _period(graph: TwinGraph) -> str:
    return graph.twin.panel.period.frequency if graph.twin.panel.period else "period"


def _listed(words: list[str], last: str = "and") -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {last} {words[-1]}"


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:].rstrip(". ") + "."
