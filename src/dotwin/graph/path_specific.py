"""Arrows that are cut: does an answer hold two worlds' values of one variable at once?"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from dotwin.graph.causal_graph import Node
from dotwin.graph.through_time import Window
from dotwin.graph.twin_graph import TwinGraph

__all__ = ["recanting_witness"]

type Edge = tuple[Node, Node]


def recanting_witness(
    graph: TwinGraph,
    changed: Collection[str],
    cuts: Collection[tuple[str, str]],
    outcome: str,
    natural: Collection[str] = (),
    carry: Collection[str] = (),
    part_time: bool = False,
) -> str | None:
    """Return an indicator whose values in two worlds an outcome depends on at once, or None.

    Where an arrow is cut, its effect sees the cause as it is in the baseline, while all else is as
    in the changed world. Where some indicator that the changes reach acts on the outcome both
    through the cut arrow and around it, the outcome depends on how this indicator's values in the
    two worlds belong together in one unit. It is a *recanting witness* [1]_: no data, not even an
    experiment, can tell. Without one the answer is an average over laws of single worlds.

    Parameters
    ----------
    graph : TwinGraph
    changed : collection of str
        What else the scenario changes.
    cuts : collection of (str, str)
        Causes and effects.
    outcome : str
    natural, carry : collection of str
        As in `licence`.
    part_time : bool
        Whether an arrow is cut in some periods and whole in others.

    References
    ----------
    .. [1] Avin, C., Shpitser, I. and Pearl, J. (2005). Identifiability of path-specific effects.
       IJCAI 19, 357-363.
    """
    window = Window.of(graph, [*changed, *(cause for cause, _ in cuts)], outcome)
    unrolled = graph.unroll(window.last + 1)
    edges = [edge for edge in unrolled.edges if edge[0] not in unrolled.latent]
    span = {(effect, t) for _, effect in cuts for t in window.span}
    cut = {(c, e) for c, e in edges if (_name(c), _name(e)) in set(cuts) and e in span}
    # What is whole in other periods is a way around.
    active = edges if part_time else [edge for edge in edges if edge not in cut]
    plan: set[Node] = {(name, t) for name in changed for t in window.span}
    set_values = {node for node in plan if _name(node) not in natural}
    passing = [edge for edge in active if edge[1] not in set_values]

    def by_nature(edge: Edge) -> bool:
        """Whether an arrow leads from an indicator's natural value, which no change touches."""
        name = _name(edge[0])
        return edge[0] in plan and _name(edge[1]) == name and name not in carry

    first = {edge[1] for edge in passing if edge[0] in plan and not by_nature(edge)}
    reached = _closure(first, passing, forwards=True)
    ends: list[Node] = [(outcome, t) for t in window.span]
    for end in ends:
        around = _closure({end}, active, forwards=False)
        through = _closure({c for c, e in cut if e in around}, edges, forwards=False)
        if both := reached & around & through:
            return min(map(_name, both))
    return None


def _closure(start: Iterable[Node], edges: Iterable[Edge], *, forwards: bool) -> set[Node]:
    """Return what can be reached along edges, the start included."""
    steps: dict[Node, list[Node]] = {}
    for cause, effect in edges:
        here, there = (cause, effect) if forwards else (effect, cause)
        steps.setdefault(here, []).append(there)
    found = set(start)
    waiting = list(found)
    while waiting:
        fresh = [node for node in steps.get(waiting.pop(), ()) if node not in found]
        found.update(fresh)
        waiting += fresh
    return found


def _name(node: Node) -> str:
    return node if isinstance(node, str) else node[0]
