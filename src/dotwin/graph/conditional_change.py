"""Changes of natural values, asked about among those of whom something is known."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

from dotwin.graph.adjustment import Adjustment
from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.estimand import Estimand
from dotwin.graph.expression import NATURAL
from dotwin.graph.general import Hedge
from dotwin.graph.identification import Identification
from dotwin.graph.mixed_graph import MixedGraph
from dotwin.graph.natural_values import Change, Kind, set_or_self, set_value, split_graph
from dotwin.graph.question import check_question
from dotwin.graph.separation import Node, node_name

__all__ = ["identify_conditional_change"]


def identify_conditional_change(
    graph: CausalGraph,
    kinds: Mapping[Node, Kind],
    outcomes: frozenset[Node],
    reads: frozenset[Node],
    carry: frozenset[Node],
    given: frozenset[Node],
) -> Identification:
    """Judge whether outcomes under changes, among those with given values, are identified.

    In the graph in which each set value is made from the natural value and from what is read, what
    is given is treated as set where that makes no difference (rule 2 of the do-calculus); the rest
    is asked about jointly with the outcomes, and then conditioned on.

    Parameters
    ----------
    graph : CausalGraph
    kinds : dict of Node to str
        One for each cause; some start from the natural value or read something.
    outcomes, reads, carry, given : frozenset of Node
        As in `CausalGraph.identify_change`.

    Returns
    -------
    Identification

    Raises
    ------
    SpecificationError
        When the question makes no sense.

    References
    ----------
    .. [1] Shpitser, I. and Pearl, J. (2006). Identification of conditional interventional
       distributions. UAI 22, 437-444. arXiv:1206.6876
    .. [2] Correa, J. and Bareinboim, E. (2020). A calculus for stochastic interventions: causal
       effect identification and surrogate experiments. doi:10.1609/aaai.v34i06.6567
    """
    check_question(graph, frozenset(kinds), outcomes, given)
    change = ConditionalChange(graph, kinds, outcomes, reads, carry, given)
    change.check_reads()
    found = change.law()
    what, on, known = (
        change.words.listed(change.ordered(nodes)) for nodes in (frozenset(kinds), outcomes, given)
    )
    if isinstance(found, str | Hedge):
        reason = (
            found
            if isinstance(found, str)
            else f"Hidden causes tie {change.words.listed(found.larger)} together, and the joint "
            f"law of {on} and {known} under the change needs {change.words.listed(found.smaller)} "
            f"apart from the rest of this group, which nothing recorded gives."
        )
        hedge = found if isinstance(found, Hedge) else None
        return Identification(change.query, False, None, reason, hedge=hedge, _question=change)
    needed = frozenset(change.split.named(change.needed()))
    shown = [
        *map(node_name, change.ordered(change.outcomes)),
        *map(node_name, change.ordered(change.causes)),
        *(node_name(n) + NATURAL for n in change.ordered(change.causes & needed)),
        *map(node_name, change.ordered((reads & needed) - change.causes - change.outcomes)),
    ]
    reason = (
        f"The natural values of {what}, {on} and {known} under set values have a law that the "
        f"general algorithm finds; the answer sums it over natural values, and divides it by its "
        f"sum over {on}."
    )
    estimand = Estimand(change.query, found, tuple(shown))
    return Identification(change.query, True, "ID", reason, estimand=estimand, _question=change)


class ConditionalChange(Change):
    """A question about changes among those of whom something is known."""

    def __init__(
        self,
        graph: CausalGraph,
        kinds: Mapping[Node, Kind],
        outcomes: frozenset[Node],
        reads: frozenset[Node],
        carry: frozenset[Node],
        given: frozenset[Node],
    ) -> None:
        self.asked = dict(kinds), outcomes, given
        moved = _as_set(graph, kinds, outcomes, reads, carry, given)
        more: dict[Node, Kind] = {**kinds, **dict.fromkeys(moved, "do")}
        joint = outcomes | (given - moved)
        super().__init__(graph, more, frozenset(more), joint, reads, carry, None, None)

    @property
    def query(self) -> str:
        """The question in the field's notation."""
        kinds, outcomes, given = self.asked
        behind = [f"{kinds[n]}({node_name(n)})" for n in self.ordered(kinds)]
        behind += map(node_name, self.ordered(given))
        left = ", ".join(map(node_name, self.ordered(outcomes)))
        return f"P({left} | {', '.join(behind)})"

    @cached_property
    def adjustment(self) -> Adjustment | None:
        """None: sets that would do for everybody need not do among those with what is given."""
        return None

    def obstacle(self, graph: CausalGraph) -> Hedge | None:
        """Return what prevents identification in another version of the graph."""
        kinds, outcomes, given = self.asked
        again = ConditionalChange(graph, kinds, outcomes, self.reads, self.carry, given)
        found = again.law()
        if isinstance(found, str):  # the whole district is at fault
            return Hedge(again.mixed.named(again.mixed.everything), ())
        return found if isinstance(found, Hedge) else None


def _as_set(
    graph: CausalGraph,
    kinds: Mapping[Node, Kind],
    outcomes: frozenset[Node],
    reads: frozenset[Node],
    carry: frozenset[Node],
    given: frozenset[Node],
) -> frozenset[Node]:
    """Return what of the given may as well be set."""
    causes = frozenset(kinds)
    split = split_graph(graph, causes, carry, kinds, outcomes | reads | given)
    parted = MixedGraph.of(split.project())
    arrows: list[tuple[Node, Node]] = []
    for node, kind in kinds.items():
        if kind not in ("do", "policy"):
            arrows.append((node, set_value(node)))
        for read in (set_or_self(one, causes) for one in reads):
            affected = parted.ancestors(parted.bits([read])) & parted.bits([set_value(node)])
            if kind in ("rule", "policy") and not affected:
                arrows.append((read, set_value(node)))
    made = CausalGraph([*split.edges, *arrows], nodes=split.nodes, latent=split.latent)
    whole = MixedGraph.of(made.project())
    y = whole.bits(outcomes)
    held = whole.bits(set_value(node) for node, kind in kinds.items() if kind == "do")
    moved: frozenset[Node] = frozenset()
    waiting = True
    while waiting:
        waiting = False
        for node in sorted(given - moved - set(graph.deterministic), key=node_name):
            one = whole.bits([node])
            rest = held | whole.bits(given - {node})
            cut = whole.without(into=whole.bits(moved), out_of=one)
            if cut.separated(one, y, rest):
                moved, waiting = moved | {node}, True
                break
    return moved
