"""Identification of a twin's effects, on its graph unrolled over a window of periods."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from dotwin.errors import SpecificationError
from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.identification import Identification
from dotwin.graph.natural_values import Kind, identify_change
from dotwin.graph.question import Words, listed
from dotwin.graph.separation import Node, OpenPath
from dotwin.graph.twin_graph import TwinGraph, is_exogenous

if TYPE_CHECKING:
    from dotwin.spec.twin import Indicator

__all__ = ["Window", "identify_through_time", "node_label", "undeclared"]

#: What ends the name of a neighbour's node.
ELSEWHERE = " (elsewhere)"
#: What counts as known when nothing else identifies an effect.
MODELLED = (
    "Group effects and period shocks count as known, because each enters one mechanism, whose "
    "model estimates them."
)
#: What stands beside a verdict where units act on each other.
_ACROSS = (
    "Units act on each other through {terms}. The graph stands for any one of them, so the verdict "
    "is for changes made to all alike, with what a unit sees of the others read as its own."
)
#: Periods beyond the longest chain of lags; the structure repeats itself, so more add nothing.
_FURTHER = 3


@dataclass(frozen=True)
class Window:
    """The periods over which a graph is unrolled for one question.

    Parameters
    ----------
    first : int
        The first period in which something is changed: every lag lies inside the window.
    last : int
    """

    first: int
    last: int

    @classmethod
    def of(
        cls, graph: TwinGraph, causes: Collection[str], outcome: str, further: int = _FURTHER
    ) -> Window:
        """Return a window as long as the longest chain of lags from causes to an outcome.

        Parameters
        ----------
        graph : TwinGraph
        causes : collection of str
        outcome : str
        further : int
            Periods beyond that chain.
        """
        if graph.twin.panel.period is None:
            return cls(graph.max_lag, 0)
        between = [
            name
            for name in graph.indicators
            if any(graph.reaches(cause, name) for cause in causes)
            and (name == outcome or graph.reaches(name, outcome))
        ]
        longest = sum(
            max((a.lag for a in graph.arrows if a.effect == name and a.cause != name), default=0)
            for name in between
        )
        return cls(graph.max_lag, graph.max_lag + longest + further - 1)

    @property
    def span(self) -> range:
        """The periods from the first change on."""
        return range(self.first, self.last + 1)


def node_label(graph: TwinGraph, node: Node) -> str:
    """Return what people read for a node, without its period."""
    name = node if isinstance(node, str) else node[0]
    known = name in graph.twin.indicators or name in graph.twin.hidden_causes
    return graph.label(name) if known else name


def path_in_words(graph: TwinGraph, path: OpenPath) -> OpenPath:
    """Return a path in names for people, periods counted from its first indicator.

    Parameters
    ----------
    graph : TwinGraph
    path : OpenPath
        On the unrolled graph.
    """
    origin = next((node[1] for node in path.nodes if isinstance(node, tuple)), 0)
    names: list[Node] = []
    for node in path.nodes:
        name = node if isinstance(node, str) else node[0]
        own = name.removesuffix(ELSEWHERE)
        if own in graph.twin.hidden_causes:
            names.append(graph.label(own) + name[len(own) :])
        elif isinstance(node, str) or node[1] == origin:
            names.append(name)
        else:
            names.append(f"{name}[{node[1] - origin:+d}]")
    return OpenPath(tuple(names), path.arrows)


def undeclared(graph: TwinGraph, name: str) -> str | None:
    """Return why an effect of a given is not identified, or None."""
    indicator = graph.twin.indicators[name]
    if not indicator.is_given or is_exogenous(indicator):
        return None
    label = graph.label(name)
    if indicator.assigned is not None:
        return (
            f"the effect of {label} is not identified: it is set by a rule, and what the rule "
            f"reads is not declared."
        )
    return f"the effect of {label} is not identified: why it varies is not declared."


def identify_through_time(
    graph: TwinGraph,
    causes: Collection[str],
    outcome: str,
    kinds: Mapping[str, Kind],
    reads: Collection[str] = (),
    carry: Collection[str] = (),
    periods: int | None = None,
) -> Identification:
    """Judge whether changing indicators has an identified effect on an outcome.

    Parameters
    ----------
    graph : TwinGraph
    causes : collection of str
    outcome : str
    kinds : dict of str to str
        One for each cause.
    reads, carry : collection of str
    periods : int, optional

    Returns
    -------
    Identification

    Raises
    ------
    SpecificationError
        When the question makes no sense.
    """
    _check(graph, causes, outcome, kinds, reads, carry)
    window = Window.of(graph, causes, outcome)
    if periods is not None:
        if periods <= window.first:
            raise SpecificationError(
                f"periods={periods}: the longest lag is {window.first}, so a window has at least "
                f"{window.first + 1} periods."
            )
        window = Window(window.first, periods - 1)
    for name in causes:
        if graph.reaches(name, outcome) and (problem := undeclared(graph, name)) is not None:
            query = f"P({outcome} | {', '.join(f'{kinds[one]}({one})' for one in causes)})"
            return Identification(query, False, None, problem[0].upper() + problem[1:])
    unrolled = graph.unroll(window.last + 1)
    beside: tuple[str, ...] = ()
    reached = any(graph.reaches(name, outcome) for name in causes)
    if reached and (terms := _across(graph, outcome)):
        if doubtful := _hidden_behind(graph, unrolled, [outcome, *causes]):
            query = f"P({outcome} | {', '.join(f'{kinds[one]}({one})' for one in causes)})"
            return Identification(
                query,
                False,
                None,
                f"Units act on each other through {listed(terms)}, and {listed(doubtful)}, which "
                f"no column records, acts on what leads to {graph.label(outcome)}. No formula of "
                f"one unit's own variables is known to hold then.",
            )
        beside = (_ACROSS.format(terms=listed(terms)),)
    strict = _over_time(graph, unrolled, window, causes, outcome, kinds, reads, carry, beside)
    if strict.identified or not graph.group_effects:
        return strict
    known = _with_group_effects_known(graph, unrolled)
    beside = (MODELLED, *beside)
    return _over_time(graph, known, window, causes, outcome, kinds, reads, carry, beside)


def _across(graph: TwinGraph, outcome: str) -> list[str]:
    """Return the terms through which other units act on what leads to an outcome."""
    leading = graph.ancestors(outcome) | {outcome}
    return list(dict.fromkeys(a.term for a in graph.arrows if a.across and a.effect in leading))


def _hidden_behind(
    graph: TwinGraph, unrolled: CausalGraph, names: Collection[str]
) -> tuple[str, ...]:
    """Return the labels of declared hidden causes that act, at any distance, on some indicators."""
    ends = [node for node in unrolled.nodes if isinstance(node, tuple) and node[0] in names]
    behind = {n if isinstance(n, str) else n[0] for n in unrolled.ancestors(ends)}
    return tuple(graph.label(name) for name in graph.twin.hidden_causes if name in behind)


def _over_time(
    graph: TwinGraph,
    unrolled: CausalGraph,
    window: Window,
    causes: Collection[str],
    outcome: str,
    kinds: Mapping[str, Kind],
    reads: Collection[str],
    carry: Collection[str],
    assuming: tuple[str, ...],
) -> Identification:
    """Return the verdict for the last period, or for the first that is not identified."""
    carried = frozenset[Node]((name, t) for name in carry for t in window.span)
    hidden = graph.twin.hidden_causes
    recordable = {
        graph.label(name): frozenset(
            node for node in unrolled.latent if (node if isinstance(node, str) else node[0]) == name
        )
        for name in hidden
    }
    words = Words(
        {node: node_label(graph, node) for node in (*unrolled.nodes, *unrolled.latent)},
        partial(path_in_words, graph),
    )
    modelled = frozenset(
        node for node in unrolled.nodes if isinstance(node, str) or node[0] not in graph.indicators
    )
    found: Identification | None = None
    # The last period sees the most, so it fails first where any does.
    for t in reversed(window.span):
        within: dict[Node, Kind] = {
            (n, at): kinds[n] for at in window.span if at <= t for n in causes
        }
        one = identify_change(
            unrolled,
            within,
            frozenset(within),
            frozenset([(outcome, t)]),
            _read(unrolled, within, reads, t),
            carried & frozenset(within),
            words=words,
            recordable=recordable,
            assuming=assuming,
            known=modelled,
        )
        if not one.identified:
            return one
        found = found or one
    assert found is not None  # a window has a period
    return found


def _read(
    unrolled: CausalGraph, changed: Mapping[Node, Kind], reads: Collection[str], last: int
) -> frozenset[Node]:
    """Return the nodes that rules look at: those of each period that some change can still see."""
    ruled = [node for node, kind in changed.items() if kind in ("rule", "policy")]
    seen = [(name, t) for name in reads for t in range(last + 1)]
    return frozenset(
        node
        for node in seen
        if any(node != one and node not in unrolled.descendants([one]) for one in ruled)
    )


def _with_group_effects_known(graph: TwinGraph, unrolled: CausalGraph) -> CausalGraph:
    """Return the graph in which group effects, shocks and walking trends are recorded."""
    names = {
        effect.name: f"{effect.level} effect on {effect.indicator}"
        if effect.level != "trend"
        else f"trend of {effect.indicator}"
        for effect in graph.group_effects
    }

    def renamed(node: Node) -> Node:
        if isinstance(node, str):
            return names.get(node, node)
        return names.get(node[0], node[0]), node[1]

    parts = set(names)
    return CausalGraph(
        [(renamed(cause), renamed(effect)) for cause, effect in unrolled.edges],
        nodes=map(renamed, (*unrolled.nodes, *unrolled.latent)),
        latent=[
            node
            for node in unrolled.latent
            if (node if isinstance(node, str) else node[0]) not in parts
        ],
        deterministic=unrolled.deterministic,
    )


def _check(
    graph: TwinGraph,
    causes: Collection[str],
    outcome: str,
    kinds: Mapping[str, Kind],
    reads: Collection[str],
    carry: Collection[str],
) -> None:
    if not causes:
        raise SpecificationError("name at least one indicator that is changed.")
    for name in (*causes, outcome, *reads):
        graph.parents(name)  # an unknown name raises here, with the nearest ones
    if set(kinds) != set(causes):
        raise SpecificationError("kind= names each cause once, or is one word for all of them.")
    if strangers := sorted(set(carry) - set(causes)):
        raise SpecificationError(f"{listed(strangers)}: carry= names causes that are changed.")
    if reads and not {"rule", "policy"} & set(kinds.values()):
        raise SpecificationError("reads= belongs to a rule or a policy.")
    for name in causes:
        one: Indicator = graph.twin.indicators[name]
        if one.equals is not None:
            parts = listed([p for p in graph.parents(name) if p != name])
            raise SpecificationError(
                f"'{name}' is exact, {name} = {one.equals}, and cannot be set apart from its "
                f"parts; change {parts}."
            )
