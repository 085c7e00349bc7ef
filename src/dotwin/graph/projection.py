"""Other graphs that say the same: hidden nodes projected away, exact ones replaced."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from itertools import combinations

from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.separation import Node

__all__ = ["projected", "shown_effects", "with_latent", "without_deterministic"]


def with_latent(graph: CausalGraph, latent: Collection[Node]) -> CausalGraph:
    """Return the same arrows with other nodes hidden; hidden sets become nodes with names.

    Parameters
    ----------
    graph : CausalGraph
    latent : collection of Node
        Those that no column records from now on; all others, hidden causes too, are recorded.
    """
    return CausalGraph(
        graph.all_arrows,
        nodes=[*graph.nodes, *graph.latent],
        latent=latent,
        deterministic=graph.deterministic,
    )


def without_deterministic(graph: CausalGraph, keep: Collection[Node] = ()) -> CausalGraph:
    """Return the graph in which exact nodes are replaced by what they are functions of.

    Their children read their parents instead. Nothing is lost that was recorded, and no formula
    conditions on both an exact node and its parts in combinations that never happen.

    Parameters
    ----------
    graph : CausalGraph
    keep : collection of Node
        Exact nodes that stay, without children.
    """
    if not graph.deterministic:
        return graph
    exact = frozenset(graph.deterministic)
    whole = with_latent(graph, graph.latent)
    sources: dict[Node, tuple[Node, ...]] = {}
    arrows: list[tuple[Node, Node]] = []
    for node in whole.topological_order():
        found: dict[Node, None] = {}
        for cause in whole.parents(node):
            found |= dict.fromkeys(sources[cause] if cause in exact else (cause,))
        sources[node] = tuple(found)
        if node not in exact or node in keep:
            arrows += [(cause, node) for cause in found]
    gone = exact - frozenset(keep)
    return CausalGraph(
        arrows,
        nodes=[node for node in (*whole.nodes, *whole.latent) if node not in gone],
        latent=[node for node in whole.latent if node not in gone],
    )


def shown_effects(graph: CausalGraph, node: Node) -> frozenset[Node]:
    """Return the observed nodes that a node acts on directly or through hidden ones only."""
    unseen = frozenset(graph.latent)
    found: set[Node] = set()
    queue = deque([node])
    while queue:
        for child in graph.children(queue.popleft()):
            if child not in found:
                found.add(child)
                if child in unseen:
                    queue.append(child)
    return frozenset(found - unseen)


def projected(graph: CausalGraph) -> CausalGraph:
    """Return the latent projection; see `CausalGraph.project`."""
    unseen = frozenset(graph.latent)
    order = {node: i for i, node in enumerate(graph.nodes)}

    def shown(node: Node) -> list[Node]:
        return sorted(shown_effects(graph, node), key=order.__getitem__)

    # With a hidden parent, a node is no function of what is left.
    hidden_parent = {effect for cause, effect in graph.all_arrows if cause in unseen}
    return CausalGraph(
        [(node, child) for node in graph.nodes for child in shown(node)],
        dict.fromkeys(pair for node in graph.latent for pair in combinations(shown(node), 2)),
        nodes=graph.nodes,
        deterministic=[n for n in graph.deterministic if n not in unseen | hidden_parent],
    )
