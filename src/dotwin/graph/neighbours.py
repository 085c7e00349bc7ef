"""The unrolled graph of a unit and a neighbour: how units act on each other."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from dotwin.graph.causal_graph import CausalGraph, Node
from dotwin.graph.through_time import ELSEWHERE
from dotwin.graph.twin_graph import TwinGraph

__all__ = ["Rules", "elsewhere", "own_name", "with_neighbour", "with_rules"]

#: Indicator -> what its rule reads: names with lags, None for the value when it begins.
Rules = Mapping[str, Collection[tuple[str, int | None]]]


def elsewhere(node: Node) -> Node:
    """Return a neighbour's node in place of the unit's own."""
    if isinstance(node, str):
        return node + ELSEWHERE
    return node[0] + ELSEWHERE, node[1]


def own_name(node: Node) -> str:
    """Return the name of a node, whoever's it is."""
    name = node if isinstance(node, str) else node[0]
    return name.removesuffix(ELSEWHERE)


def with_rules(graph: CausalGraph, rules: Rules, first: int, last: int) -> CausalGraph:
    """Return the graph in which what rules read acts on what they change.

    Parameters
    ----------
    graph : CausalGraph
        Unrolled.
    rules : dict of str to collection of (str, int or None)
    first, last : int
        The periods in which they act.
    """
    new: list[tuple[Node, Node]] = []
    known = {*graph.nodes, *graph.latent}
    for name, read in rules.items():
        for cause, lag in read:
            for t in range(first, last + 1):
                source: Node = (cause, first - 1 if lag is None else t - lag)
                if source in known and source != (name, t):
                    new.append((source, (name, t)))
    if not new:
        return graph
    return CausalGraph(
        [*graph.edges, *new],
        nodes=graph.nodes,
        latent=graph.latent,
        deterministic=graph.deterministic,
    )


def with_neighbour(
    twin_graph: TwinGraph, graph: CausalGraph, exchanging: Collection[str] = ()
) -> CausalGraph:
    """Return the unrolled graph of a unit and of another one of its group.

    Both have nodes of their own for what differs between units; what is recorded or hidden at an
    outer level or by period they share. Arrows that read other units lead from either to either,
    also from a unit to itself: so the neighbour stands for all others, and for what they do to each
    other. Any path that is open among many units, given the same of each, is open here.

    Parameters
    ----------
    twin_graph : TwinGraph
    graph : CausalGraph
        Unrolled, of one unit.
    exchanging : collection of str
        Indicators of which units hand something to each other: what acts on one unit's natural
        value acts on what the other has.

    Returns
    -------
    CausalGraph
    """
    twin = twin_graph.twin
    inner = {twin.unit, None}
    own = {name for name, one in twin.indicators.items() if one.level in inner}
    own |= {effect.name for effect in twin_graph.group_effects if effect.level == twin.unit}
    own |= {name for name, one in twin.hidden_causes.items() if one.level == twin.unit}
    across = {(a.cause, a.lag, a.effect) for a in twin_graph.arrows if a.across}

    def is_own(node: Node) -> bool:
        return own_name(node) in own

    def crosses(cause: Node, effect: Node) -> bool:
        if isinstance(effect, tuple) and effect[0] in exchanging:
            return True
        if isinstance(cause, str) or isinstance(effect, str):
            return False
        return (cause[0], effect[1] - cause[1], effect[0]) in across

    def of_both(node: Node) -> tuple[Node, ...]:
        return (node, elsewhere(node)) if is_own(node) else (node,)

    edges: dict[tuple[Node, Node], None] = {}
    for cause, effect in graph.edges:
        causes, effects = of_both(cause), of_both(effect)
        if len(causes) == len(effects) == 2 and not crosses(cause, effect):
            edges |= dict.fromkeys(zip(causes, effects, strict=True))
        else:
            edges |= dict.fromkeys((c, e) for c in causes for e in effects)
    return CausalGraph(
        edges,
        nodes=[n for node in graph.nodes for n in of_both(node)],
        latent=[n for node in graph.latent for n in of_both(node)],
        deterministic=[n for node in graph.deterministic for n in of_both(node)],
    )
