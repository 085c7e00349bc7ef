"""Random discrete systems on a graph, and the truth about them by enumeration.

Nothing here knows how a formula was found: a system is a table of conditional probabilities for
each node, hidden ones too, and what an intervention does is computed by replacing tables.
"""

from __future__ import annotations

import string
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import xarray as xr

from dotwin.graph import CausalGraph, node_name
from dotwin.graph.separation import Node


@dataclass(frozen=True)
class System:
    """Each node's parents and its table, an axis for each parent and then one for itself."""

    graph: CausalGraph
    parents: Mapping[Node, tuple[Node, ...]]
    tables: Mapping[Node, np.ndarray]

    def law(
        self,
        shown: Collection[str],
        without: Collection[Node] = (),
        reading: Mapping[tuple[Node, Node], str] | None = None,
        own: Mapping[Node, str] | None = None,
    ) -> xr.DataArray:
        """Multiply the tables and sum over all but some variables.

        ``without`` names nodes whose tables are left out; ``reading[cause, effect]`` names the
        variable by which an effect reads a cause, and ``own[node]`` that of a node itself, where
        it is not the node's own name.
        """
        reading, own = reading or {}, own or {}
        letters: dict[str, str] = {}
        sizes: dict[str, int] = {}

        def letter(variable: str, size: int) -> str:
            sizes[variable] = size
            return letters.setdefault(variable, string.ascii_letters[len(letters)])

        terms: list[str] = []
        arrays: list[np.ndarray] = []
        for node, table in self.tables.items():
            if node in without:
                continue
            names = [reading.get((p, node), node_name(p)) for p in self.parents[node]]
            names.append(own.get(node, node_name(node)))
            terms.append("".join(letter(n, k) for n, k in zip(names, table.shape, strict=True)))
            arrays.append(table)
        for name in shown:  # set values that nothing reads
            if name not in letters:
                size = next(
                    t.shape[-1]
                    for n, t in self.tables.items()
                    if node_name(n) == name.removesuffix("°")
                )
                terms.append(letter(name, size))
                arrays.append(np.ones(size))
        out = "".join(letters[name] for name in shown)
        values = np.einsum(f"{','.join(terms)}->{out}", *arrays, optimize="greedy")
        return xr.DataArray(values, dims=list(shown))

    def observed(self) -> xr.DataArray:
        return self.law([node_name(n) for n in self.graph.nodes])

    def under(
        self, causes: Collection[Node], outcomes: Collection[Node], given: Collection[Node] = ()
    ) -> xr.DataArray:
        """P(outcomes | do(causes), given) for all values."""
        y, z = [node_name(n) for n in outcomes], [node_name(n) for n in given]
        x = [node_name(n) for n in causes]
        joint = self.law([*y, *x, *z], without=causes)
        return joint / joint.sum(y)


def random_system(
    graph: CausalGraph, rng: np.random.Generator, levels: int = 2, hidden_levels: int = 2
) -> System:
    """Draw a table for every node; exact nodes get a random function of their parents."""
    explicit = graph.to_networkx()
    unseen = set(graph.latent)
    size = {n: hidden_levels if n in unseen else levels for n in explicit.nodes}
    parents = {n: tuple(explicit.predecessors(n)) for n in explicit.nodes}
    tables: dict[Node, np.ndarray] = {}
    for node, causes in parents.items():
        shape = [size[c] for c in causes]
        if node in graph.deterministic:
            tables[node] = np.eye(size[node])[rng.integers(0, size[node], size=shape)]
        else:
            tables[node] = rng.dirichlet(np.ones(size[node]), size=shape)
    return System(graph, parents, tables)


def random_graph(
    rng: np.random.Generator, fewest: int = 4, most: int = 7
) -> tuple[CausalGraph, Node, Node]:
    """Draw a graph with hidden pairs, a cause and an outcome that it acts on."""
    while True:
        size = int(rng.integers(fewest, most + 1))
        names = [f"V{i}" for i in range(size)]
        dense = rng.uniform(0.25, 0.6)
        edges = [
            (names[i], names[k])
            for i in range(size)
            for k in range(i + 1, size)
            if rng.random() < dense
        ]
        pairs = [(names[i], names[k]) for i in range(size) for k in range(i + 1, size)]
        chosen = rng.permutation(len(pairs))[: rng.integers(1, size)]
        graph = CausalGraph(edges, [pairs[int(i)] for i in chosen], nodes=names)
        i, k = sorted(int(n) for n in rng.choice(size, 2, replace=False))
        if names[k] in graph.descendants(names[i]):
            return graph, names[i], names[k]


def random_chain(rng: np.random.Generator) -> tuple[CausalGraph, Node, Node]:
    """Draw a chain with a few shortcuts and many hidden pairs along it.

    Here adjustment seldom helps, and what is identified often needs a front door or the general
    algorithm, with ratios of sums.
    """
    size = int(rng.integers(4, 8))
    names = [f"V{i}" for i in range(size)]
    apart = [(i, k) for i in range(size) for k in range(i + 2, size)]
    edges = [(names[i], names[i + 1]) for i in range(size - 1)]
    edges += [(names[i], names[k]) for i, k in apart if rng.random() < 0.12]
    next_to = [(i, i + 1) for i in range(size - 1) if rng.random() < 0.15]
    pairs = [(names[i], names[k]) for i, k in apart + next_to]
    chosen = rng.permutation(len(pairs))[: rng.integers(2, size)]
    graph = CausalGraph(edges, [pairs[int(i)] for i in chosen], nodes=names)
    return graph, names[int(rng.integers(0, size - 1))], names[-1]


def random_latent(rng: np.random.Generator) -> tuple[CausalGraph, Node, Node]:
    """Draw a graph with unrecorded variables among the others and hidden causes of three."""
    graph, cause, outcome = random_graph(rng, 5, 7)
    others = [n for n in graph.nodes if n not in (cause, outcome)]
    unseen = [str(n) for n in rng.choice(others, 2, replace=False)]
    three = [str(n) for n in rng.choice(graph.nodes, 3, replace=False)]
    hidden = [*graph.hidden[:2], three]
    return CausalGraph(graph.edges, hidden, nodes=graph.nodes, latent=unseen), cause, outcome


def gap(estimated: xr.DataArray, truth: xr.DataArray) -> float:
    """Return the largest difference, over every value of what else the formula keeps free."""
    aligned = truth.broadcast_like(estimated).transpose(*estimated.dims)
    return float(np.max(np.abs(estimated.values - aligned.values)))
