"""One question about a graph, in the forms that strategies read, and the words for its answer."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from dotwin.errors import SpecificationError
from dotwin.graph.adjustment import Adjustment
from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.expression import Expression
from dotwin.graph.general import Hedge, conditional_effect, joint_effect
from dotwin.graph.mixed_graph import MixedGraph
from dotwin.graph.projection import without_deterministic
from dotwin.graph.remedies import smallest_to_record
from dotwin.graph.separation import Node, OpenPath, node_name

__all__ = ["Question", "Words", "check_question", "listed", "query_of"]

#: How many variables held fixed are named.
_HELD = 8


@dataclass(frozen=True)
class Words:
    """How the variables of a graph are called in sentences.

    Parameters
    ----------
    names : dict of Node to str
        Names other than a node's own.
    rewritten : callable, optional
        How a path is put in words, where not by these names.
    """

    names: Mapping[Node, str] = field(default_factory=dict)
    rewritten: Callable[[OpenPath], OpenPath] | None = None

    def name(self, node: Node) -> str:
        """Return what people read for a node."""
        return self.names.get(node, node_name(node))

    def listed(self, nodes: Collection[Node], joiner: str = "and") -> str:
        """Return what people read for some nodes."""
        return listed([self.name(node) for node in nodes], joiner)

    def path(self, path: OpenPath) -> str:
        """Return what people read for a path."""
        return path.words(self.names) if self.rewritten is None else str(self.rewritten(path))


def listed(words: Collection[str], joiner: str = "and") -> str:
    """Join words as a sentence does: ``a, b and c``."""
    found = list(dict.fromkeys(words))
    if len(found) < 2:
        return found[0] if found else "nothing"
    return f"{', '.join(found[:-1])} {joiner} {found[-1]}"


class Question:
    """One question about a graph, in the forms that the strategies read.

    Parameters
    ----------
    graph : CausalGraph
    causes, outcomes, given : frozenset of Node
    words : Words
    recordable : dict of str to frozenset of Node, optional
        The hidden causes that somebody could record; all of the graph unless given.
    keep : frozenset of Node
        Exact nodes that stay although nothing is asked about them.
    """

    def __init__(
        self,
        graph: CausalGraph,
        causes: frozenset[Node],
        outcomes: frozenset[Node],
        given: frozenset[Node] = frozenset(),
        words: Words | None = None,
        recordable: Mapping[str, frozenset[Node]] | None = None,
        keep: frozenset[Node] = frozenset(),
    ) -> None:
        self.graph, self.words = graph, words or Words()
        self.causes, self.outcomes, self.given = causes, outcomes, given
        self._recordable = recordable
        self.plain = without_deterministic(graph, keep=outcomes | given | keep)
        self.mixed = MixedGraph.of(self.plain.project())
        self.y, self.z = self.mixed.bits(outcomes), self.mixed.bits(given)
        # Causes that reach the outcomes only through other causes, or not at all, change nothing.
        every = self.mixed.bits(causes)
        reached = self.mixed.ancestors(self.y | self.z, self.mixed.everything & ~every)
        self.x = every & self.mixed.all_parents(reached)

    @property
    def query(self) -> str:
        """The question in the field's notation."""
        return query_of(self.ordered(self.causes), self.ordered(self.outcomes), self.given)

    def ordered(self, nodes: Collection[Node]) -> tuple[Node, ...]:
        """Return some nodes as the graph lists them."""
        return tuple(node for node in self.graph.nodes if node in nodes)

    @cached_property
    def adjustment(self) -> Adjustment | None:
        """The sets to adjust for; None where what is given is affected by a cause."""
        if self.z & self.mixed.descendants(self.x):
            return None
        return Adjustment(self.mixed, self.x, self.y, self.z)

    def effect(self) -> Expression | Hedge:
        """Return what the general algorithm finds."""
        return _effect(self.mixed, self.x, self.y, self.z)

    def obstacle(self, graph: CausalGraph) -> Hedge | None:
        """Return what prevents identification in another version of the graph."""
        found = Question(graph, self.causes, self.outcomes, self.given).effect()
        return found if isinstance(found, Hedge) else None

    def would_identify(self) -> tuple[tuple[str, ...], ...]:
        """Return the smallest sets of hidden causes to record."""
        candidates = self._recordable
        if candidates is None:
            candidates = {node_name(node): frozenset([node]) for node in self.plain.latent}
        return smallest_to_record(self.plain, candidates, self.obstacle)

    def open_path(self) -> tuple[OpenPath | None, frozenset[Node]]:
        """Return a shortest path by which something else moves causes and outcomes, and what with.

        It is looked for with all held fixed that may be: what the causes do not affect, among
        what acts on causes and outcomes.
        """
        causes = frozenset(self.mixed.named(self.x))
        if not causes:
            return None, frozenset()
        sets = Adjustment(self.mixed, self.x, self.y, self.z)
        bits = sets.candidates & ~self.mixed.descendants(self.x)
        held = frozenset(self.mixed.named(bits)) & set(self.graph.nodes)
        path = self.graph.open_back_door_path(causes, self.outcomes, self.given | held)
        # Only what is needed to keep the sentence true is said to be held fixed.
        for node in self.ordered(held) if len(held) <= _HELD else ():
            fewer = held - {node}
            if self.graph.open_back_door_path(causes, self.outcomes, self.given | fewer) == path:
                held = fewer
        return path, held

    def path_in_words(self) -> tuple[OpenPath | None, str]:
        """Return the open path, and a sentence that shows it."""
        path, held = self.open_path()
        if path is None:
            return None, ""
        if not held:
            return path, f" Open path: {self.words.path(path)}."
        fixed = self.words.listed(self.ordered(held)) if len(held) <= _HELD else "all that may be"
        return path, f" With {fixed} held fixed, a path stays open: {self.words.path(path)}."


def _effect(mixed: MixedGraph, x: int, y: int, z: int) -> Expression | Hedge:
    return conditional_effect(mixed, x, y, z) if z else joint_effect(mixed, x, y)


def query_of(
    causes: Collection[Node], outcomes: Collection[Node], given: Collection[Node] = ()
) -> str:
    """Write a question in the field's notation: ``P(Y | do(X), Z)``."""
    behind = [f"do({', '.join(map(node_name, causes))})"] if causes else []
    behind += sorted(map(node_name, given))
    bar = f" | {', '.join(behind)}" if behind else ""
    return f"P({', '.join(map(node_name, outcomes))}{bar})"


def check_question(
    graph: CausalGraph,
    causes: frozenset[Node],
    outcomes: frozenset[Node],
    given: frozenset[Node] = frozenset(),
) -> None:
    """Raise when a question makes no sense on a graph."""
    if not outcomes:
        raise SpecificationError("name at least one outcome.")
    for shared in (causes & outcomes, causes & given, outcomes & given):
        if shared:
            raise SpecificationError(
                f"{listed(sorted(map(node_name, shared)))}: a variable is a cause, an outcome or "
                f"given, not two of these."
            )
    if unseen := (causes | outcomes | given) & set(graph.latent):
        raise SpecificationError(
            f"{listed(sorted(map(node_name, unseen)))}: no column records it, so no question "
            f"about it can be answered from data."
        )
    if exact := causes & set(graph.deterministic):
        raise SpecificationError(
            f"{listed(sorted(map(node_name, exact)))}: it is exact, a function of its parents, and "
            f"cannot be set apart from them; set these."
        )
