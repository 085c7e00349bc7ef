"""What recording would identify an effect: the smallest sets of hidden causes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.general import Hedge
from dotwin.graph.projection import shown_effects, with_latent
from dotwin.graph.separation import Node

__all__ = ["smallest_to_record"]


def smallest_to_record(
    graph: CausalGraph,
    candidates: Mapping[str, frozenset[Node]],
    obstacle: Callable[[CausalGraph], Hedge | None],
) -> tuple[tuple[str, ...], ...]:
    """Return every smallest set of hidden causes that, if recorded, identifies an effect.

    Recording more never makes an effect less identified. So a set that fails is enlarged until
    nothing can be added without success, and one of those left out has to be recorded in any
    case: a demand. The sets that meet all demands found so far are tried, smallest first, and each
    failure adds a demand.

    Parameters
    ----------
    graph : CausalGraph
    candidates : dict of str to frozenset of Node
        Hidden causes by name, each with its nodes.
    obstacle : callable
        Returns the hedge of a graph, or None when the effect is identified in it.

    Returns
    -------
    tuple of tuple of str
        All of one size; empty when recording every candidate does not help.
    """

    def fails(names: frozenset[str]) -> Hedge | None:
        nodes = frozenset[Node]().union(*(candidates[name] for name in names))
        return obstacle(_recorded(graph, nodes))

    order = list(candidates)
    if fails(frozenset(order)) is not None:
        return ()
    demands: list[frozenset[str]] = []
    for size in range(len(candidates) + 1):
        found: dict[frozenset[str], None] = {}
        while True:
            chosen = next(
                (one for one in _hitting(demands, size, frozenset()) if one not in found), None
            )
            if chosen is None:
                break
            hedge = fails(chosen)
            if hedge is None:
                found[chosen] = None
                continue
            most = chosen
            # What the obstacle does not rest on goes in at once.
            nodes = frozenset[Node]().union(*(candidates[name] for name in chosen))
            involved = _involved(_recorded(graph, nodes), hedge)
            apart = chosen | {name for name in order if not candidates[name] & involved}
            if fails(apart) is not None:
                most = apart
            for name in order:
                if name not in most and fails(most | {name}) is not None:
                    most |= {name}
            demands.append(frozenset(order) - most)
        if found:
            return tuple(sorted(tuple(sorted(one, key=order.index)) for one in found))
    return ()


def _hitting(
    demands: list[frozenset[str]], size: int, chosen: frozenset[str]
) -> Iterator[frozenset[str]]:
    """Yield sets of at most some size that have a member in common with every demand."""
    unmet = next((demand for demand in demands if not demand & chosen), None)
    if unmet is None:
        yield chosen
    elif len(chosen) < size:
        for name in sorted(unmet):
            yield from _hitting(demands, size, chosen | {name})


def _recorded(graph: CausalGraph, nodes: frozenset[Node]) -> CausalGraph:
    """Return the graph in which some hidden causes are recorded."""
    return with_latent(graph, frozenset(graph.latent) - nodes)


def _involved(graph: CausalGraph, hedge: Hedge) -> frozenset[Node]:
    """Return the hidden causes on which a hedge may rest."""
    tied = frozenset(hedge.larger)
    joins = {node for node in graph.latent if len(shown_effects(graph, node) & tied) > 1}
    # Others may stand between: between recorded variables, or between a join and what it joins.
    sources = joins | set(graph.nodes)
    between = {node for node in graph.latent if graph.ancestors(node) & sources}
    return frozenset(joins | between)
