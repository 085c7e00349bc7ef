"""Arrows and hidden pairs over observed variables, sets of which are the bits of integers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotwin.graph.causal_graph import CausalGraph
    from dotwin.graph.separation import Node

__all__ = ["MixedGraph", "members"]


def members(bits: int) -> Iterator[int]:
    """Yield the positions of the bits that are set, lowest first."""
    while bits:
        low = bits & -bits
        yield low.bit_length() - 1
        bits ^= low


@dataclass(frozen=True, eq=False)
class MixedGraph:
    """An acyclic directed mixed graph, its variables numbered with causes before effects.

    A set of variables is an integer whose bit ``i`` says whether variable ``i`` is in it, which
    makes unions, intersections and the searches below a few machine words of work each.

    Parameters
    ----------
    nodes : sequence of Node
        In topological order.
    parents : sequence of int
        For each variable, the set of its direct causes.
    siblings : sequence of int
        For each variable, the set of those with which it shares a hidden cause.
    """

    nodes: Sequence[Node]
    parents: Sequence[int]
    siblings: Sequence[int]

    @classmethod
    def of(cls, graph: CausalGraph) -> MixedGraph:
        """Read a projected graph, one whose hidden causes are hidden sets."""
        nodes = graph.topological_order()
        place = {node: i for i, node in enumerate(nodes)}
        parents, siblings = [0] * len(nodes), [0] * len(nodes)
        for cause, effect in graph.edges:
            parents[place[effect]] |= 1 << place[cause]
        for group in graph.hidden:
            shared = sum(1 << place[node] for node in group)
            for node in group:
                siblings[place[node]] |= shared & ~(1 << place[node])
        return cls(nodes, parents, siblings)

    @cached_property
    def everything(self) -> int:
        """The set of all variables."""
        return (1 << len(self.nodes)) - 1

    @cached_property
    def children(self) -> Sequence[int]:
        """For each variable, the set of those it acts on directly."""
        found = [0] * len(self.nodes)
        for i, causes in enumerate(self.parents):
            for cause in members(causes):
                found[cause] |= 1 << i
        return found

    @cached_property
    def _place(self) -> dict[Node, int]:
        return {node: i for i, node in enumerate(self.nodes)}

    def bits(self, nodes: Iterable[Node]) -> int:
        """Return some variables as a set."""
        return sum(1 << self._place[node] for node in set(nodes))

    def named(self, bits: int) -> tuple[Node, ...]:
        """Return the variables of a set, causes first."""
        return tuple(self.nodes[i] for i in members(bits))

    # ── kin; each set includes where it starts ─────────────────────────────────────────────────

    def _closed(self, start: int, step: Sequence[int], within: int) -> int:
        found = fresh = start & within
        while fresh:
            reached = 0
            for i in members(fresh):
                reached |= step[i]
            fresh = reached & within & ~found
            found |= fresh
        return found

    def ancestors(self, bits: int, within: int | None = None) -> int:
        """Return a set with all that act on it, along paths inside ``within``."""
        return self._closed(bits, self.parents, self.everything if within is None else within)

    def descendants(self, bits: int, within: int | None = None) -> int:
        """Return a set with all that it acts on, along paths inside ``within``."""
        return self._closed(bits, self.children, self.everything if within is None else within)

    def district(self, bits: int, within: int) -> int:
        """Return what hidden causes join to a set, through variables inside ``within``."""
        return self._closed(bits, self.siblings, within)

    def districts(self, within: int) -> list[int]:
        """Return the parts into which hidden causes join the variables of a set."""
        found: list[int] = []
        left = within
        while left:
            one = self.district(left & -left, within)
            found.append(one)
            left &= ~one
        return found

    def all_parents(self, bits: int) -> int:
        """Return the direct causes of a set's members."""
        found = 0
        for i in members(bits):
            found |= self.parents[i]
        return found

    def blanket(self, i: int, within: int) -> int:
        """Return what shields a variable from all others before it in the order.

        Given its district among the variables before it and their parents, it is independent of
        the rest of them.

        Parameters
        ----------
        i : int
        within : int
            An ancestral set with the variable.
        """
        before = within & ((1 << (i + 1)) - 1)
        district = self.district(1 << i, before)
        return (district | self.all_parents(district)) & ~(1 << i)

    # ── separation ─────────────────────────────────────────────────────────────────────────────

    def without(self, into: int = 0, out_of: int = 0) -> MixedGraph:
        """Return the graph without arrows into, and arrows out of, some variables.

        A hidden cause acts by arrows into both its variables, so cutting those into one of them
        removes the pair.
        """
        parents = [
            0 if into >> i & 1 else causes & ~out_of for i, causes in enumerate(self.parents)
        ]
        siblings = [
            0 if into >> i & 1 else others & ~into for i, others in enumerate(self.siblings)
        ]
        return MixedGraph(self.nodes, parents, siblings)

    def without_arrows(self, pairs: Iterable[tuple[int, int]]) -> MixedGraph:
        """Return the graph without some arrows, each from a variable to another."""
        parents = list(self.parents)
        for cause, effect in pairs:
            parents[effect] &= ~(1 << cause)
        return MixedGraph(self.nodes, parents, self.siblings)

    def neighbours(self, within: int) -> list[int]:
        """Return the undirected graph in which separation is reachability.

        Two variables are neighbours when a path joins them on which every inner node is a
        collider: a district and its parents are all neighbours of one another.

        Parameters
        ----------
        within : int
            An ancestral set.

        References
        ----------
        .. [1] Richardson, T. (2003). Markov properties for acyclic directed mixed graphs.
           doi:10.1111/1467-9469.00323
        """
        found = [0] * len(self.nodes)
        for district in self.districts(within):
            joined = district | self.all_parents(district)
            for i in members(joined):
                found[i] |= joined & ~(1 << i)
        return found

    def separated(self, a: int, b: int, given: int) -> bool:
        """Tell whether ``given`` blocks every path between two disjoint sets."""
        relevant = self.ancestors(a | b | given)
        neighbours = self.neighbours(relevant)
        return not self._closed(a, neighbours, relevant & ~given) & b
