"""Changes of natural values: shifts, scalings, bounds, rules and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from dotwin.errors import SpecificationError
from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.estimand import Estimand
from dotwin.graph.expression import NATURAL, Expression, Probability, product, summed
from dotwin.graph.general import Hedge, district_factor, effects_first, names_of
from dotwin.graph.identification import Identification, identify
from dotwin.graph.mixed_graph import MixedGraph
from dotwin.graph.projection import with_latent, without_deterministic
from dotwin.graph.question import Question, Words, check_question, listed
from dotwin.graph.separation import Node, node_name

__all__ = [
    "Change",
    "Kind",
    "check_kinds",
    "identify_change",
    "set_or_self",
    "set_value",
    "split_graph",
]

#: What sets a value. All but 'do' and 'policy' start from the natural value.
type Kind = Literal["do", "shift", "scale", "at_least", "at_most", "rule", "policy"]

_KINDS = ("do", "shift", "scale", "at_least", "at_most", "rule", "policy")


def identify_change(
    graph: CausalGraph,
    kinds: Mapping[Node, Kind],
    causes: frozenset[Node],
    outcomes: frozenset[Node],
    reads: frozenset[Node] = frozenset(),
    carry: frozenset[Node] = frozenset(),
    *,
    words: Words | None = None,
    recordable: Mapping[str, frozenset[Node]] | None = None,
    assuming: tuple[str, ...] = (),
    known: frozenset[Node] = frozenset(),
) -> Identification:
    r"""Judge whether outcomes under changes of natural values follow from what is observed.

    Each changed variable is split into its natural value, which keeps its causes, and the value
    set, which has its effects; its own lag reads the natural value unless it is to be carried. In
    the split graph the ancestors of what the answer needs (the outcomes, natural values that a
    change starts from, what rules read) fall into districts, and the answer is the sum over the
    product of their laws. It is identified when each district's law is, and when no district
    reads or holds one variable by two values at once: then no recorded unit shows what it asks for.
    (A cause with two values is an exception that is not looked for: where its set values are
    identified, what is not seen of one value can follow from what is seen of the other.)

    Parameters
    ----------
    graph : CausalGraph
    kinds : dict of Node to str
        One for each cause.
    causes, outcomes, reads, carry : frozenset of Node
        As in `CausalGraph.identify_change`.
    words, recordable, assuming, known
        As in `identify`.

    Returns
    -------
    Identification

    Raises
    ------
    SpecificationError
        When the question makes no sense.

    References
    ----------
    .. [1] Tian, J. (2008). Identifying dynamic sequential plans. UAI 24, 554-561. arXiv:1206.3292
    .. [2] Correa, J. and Bareinboim, E. (2020). A calculus for stochastic interventions: causal
       effect identification and surrogate experiments. doi:10.1609/aaai.v34i06.6567
    .. [3] Díaz, I., Williams, N., Hoffman, K. and Schenck, E. (2023). Nonparametric causal effects
       based on longitudinal modified treatment policies. doi:10.1080/01621459.2021.1955691
    .. [4] Richardson, T. and Robins, J. (2013). Single world intervention graphs. University of
       Washington CSSS, working paper 128.
    """
    check_question(graph, causes, outcomes)
    check_kinds(graph, kinds, causes, reads, carry)
    if set(kinds.values()) == {"do"}:
        return identify(
            graph,
            causes,
            outcomes,
            words=words,
            recordable=recordable,
            assuming=assuming,
            known=known,
        )
    change = Change(graph, kinds, causes, outcomes, reads, carry, words, recordable)
    change.check_reads()
    say = change.words
    found = change.law()
    what, on = say.listed(change.ordered(causes)), say.listed(change.ordered(outcomes))
    if isinstance(found, str | Hedge):
        path, shown_path = change.path_in_words()
        reason = (found if isinstance(found, str) else change.in_words(found)) + shown_path
        return Identification(
            change.query,
            False,
            None,
            reason[:1].upper() + reason[1:],
            hedge=found if isinstance(found, Hedge) else None,
            open_path=path,
            assuming=assuming,
            _question=change,
        )
    simple = change.adjusted()
    if not change.reached:
        reason = f"No chain of causes leads from {what} to {on}, so changing it changes nothing."
    elif simple is not None:
        with_what = f"Given {say.listed(simple[0])}, n" if simple[0] else "N"
        reason = f"{with_what}othing else moves both {what}'s natural value and {on}."
    else:
        reason = (
            f"The natural values of {what} and {on} under set values have a joint law that the "
            f"general algorithm finds."
        )
    expression = found if simple is None else simple[1]
    known = frozenset(change.split.named(change.needed()))
    shown = [
        *map(node_name, change.ordered(outcomes)),
        *map(node_name, change.ordered(causes)),
        *(node_name(node) + NATURAL for node in change.ordered(causes & known - outcomes)),
        *map(node_name, change.ordered((reads & known) - causes - outcomes)),
    ]
    return Identification(
        change.query,
        True,
        "no effect" if not change.reached else "ID" if simple is None else "back door",
        reason,
        adjustment=None if simple is None else simple[0],
        estimand=Estimand(change.query, expression, tuple(shown)),
        assuming=assuming,
        _question=change,
    )


def check_kinds(
    graph: CausalGraph,
    kinds: Mapping[Node, Kind],
    causes: frozenset[Node],
    reads: frozenset[Node],
    carry: frozenset[Node],
) -> None:
    """Raise when changes make no sense on a graph."""
    if set(kinds) != causes:
        raise SpecificationError("kind= names each cause once, or is one word for all of them.")
    for kind in kinds.values():
        if kind not in _KINDS:
            raise SpecificationError(f"kind '{kind}': say one of {', '.join(_KINDS)}.")
    if strangers := carry - causes:
        raise SpecificationError(
            f"{listed(sorted(map(node_name, strangers)))}: carry= names causes that are changed."
        )
    if unseen := reads & set(graph.latent):
        raise SpecificationError(
            f"{listed(sorted(map(node_name, unseen)))}: a rule cannot read what nobody records."
        )
    if reads and not {"rule", "policy"} & set(kinds.values()):
        raise SpecificationError("reads= belongs to a rule or a policy.")


class Change(Question):
    """A question about changes, on the graph with each changed variable split in two."""

    def __init__(
        self,
        graph: CausalGraph,
        kinds: Mapping[Node, Kind],
        causes: frozenset[Node],
        outcomes: frozenset[Node],
        reads: frozenset[Node],
        carry: frozenset[Node],
        words: Words | None,
        recordable: Mapping[str, frozenset[Node]] | None,
    ) -> None:
        self.kinds, self.reads, self.carry = kinds, reads, carry
        # Exact nodes that a rule reads stay, as outcomes do.
        super().__init__(graph, causes, outcomes, words=words, recordable=recordable, keep=reads)
        self.natural = frozenset(n for n, kind in kinds.items() if kind not in ("do", "policy"))
        self.x = self.mixed.bits(causes)
        self.split = MixedGraph.of(
            split_graph(graph, causes, carry, kinds, outcomes | reads).project()
        )

    @property
    def query(self) -> str:
        """The question in the field's notation."""
        changes = (f"{self.kinds[n]}({node_name(n)})" for n in self.ordered(self.causes))
        outcomes = ", ".join(map(node_name, self.ordered(self.outcomes)))
        return f"P({outcomes} | {', '.join(changes)})"

    def obstacle(self, graph: CausalGraph) -> Hedge | None:
        """Return what prevents identification in another version of the graph."""
        again = Change(
            graph, self.kinds, self.causes, self.outcomes, self.reads, self.carry, None, None
        )
        found = again.law()
        if isinstance(found, str):  # the whole district is at fault
            return Hedge(again.mixed.named(again.mixed.everything), ())
        return found if isinstance(found, Hedge) else None

    def check_reads(self) -> None:
        """Raise when a rule reads what only it affects."""
        ruled = [n for n, kind in self.kinds.items() if kind in ("rule", "policy")]
        for read in self.ordered(self.reads):
            one = self.split.bits([set_or_self(read, self.causes)])
            earlier = self.split.ancestors(one)
            if all(earlier & self.split.bits([set_value(node)]) for node in ruled):
                raise SpecificationError(
                    f"a rule for {listed([node_name(n) for n in ruled])} cannot read "
                    f"{node_name(read)}, which it affects; let it read an earlier value."
                )

    @property
    def reached(self) -> bool:
        """Whether a set value acts on an outcome."""
        set_values = self.split.bits(set_value(node) for node in self.causes)
        return bool(self.split.descendants(set_values) & self.split.bits(self.outcomes))

    def needed(self) -> int:
        """Return, in the split graph, all whose law the answer sums over."""
        split = self.split
        sources = split.bits(set_value(node) for node in self.causes)
        found = split.ancestors(split.bits(self.outcomes))
        while True:
            wanted = found
            for node in self.causes:
                if found & split.bits([set_value(node)]):
                    if node in self.natural:
                        wanted |= split.bits([node])
                    if self.kinds[node] in ("rule", "policy"):
                        wanted |= split.bits(set_or_self(r, self.causes) for r in self.reads)
            wanted = split.ancestors(wanted)
            if wanted == found:
                return found & ~sources
            found = wanted

    def law(self) -> Expression | Hedge | str:
        """Return the joint law of outcomes, natural values and what is read, or an obstacle."""
        split, mixed = self.split, self.mixed
        needed = self.needed()
        relevant = mixed.ancestors(mixed.bits(split.named(needed)))
        factors: list[Expression] = []
        for district in split.districts(needed):
            nodes = split.named(district)
            read = set(split.named(split.all_parents(district)))
            renamed: dict[str, str] = {}
            for node in self.causes:
                by_nature = node in nodes or node in read
                if by_nature and set_value(node) in read:
                    return (
                        f"Hidden causes tie {self.words.listed(nodes)} together, and within this "
                        f"group {self.words.name(node)} would have to be at its natural value and "
                        f"at the changed one at once, which no recorded unit shows."
                    )
                if by_nature:
                    renamed[node_name(node)] = node_name(node) + NATURAL
            one = district_factor(mixed, mixed.bits(nodes), relevant)
            if isinstance(one, Hedge):
                return one
            factors.append(one.renamed(renamed))
        kept = self.outcomes | self.causes | self.reads
        rest = [node for node in split.named(needed) if node not in kept]
        return summed([node_name(node) for node in reversed(rest)], product(factors))

    def adjusted(self) -> tuple[frozenset[Node], Expression] | None:
        """Return the formula of adjustment where one cause starts from its natural value."""
        if len(self.causes) > 1 or self.reads or self.causes != self.natural or not self.reached:
            return None
        own = self.split.bits(self.causes)
        if self.split.descendants(own) != own:  # its own lag reads the natural value
            return None
        sets = self.adjustment
        if sets is None or not sets.exists:
            return None
        bits = sets.optimal if sets.optimal is not None else sets.smallest or 0
        if bits & self.mixed.descendants(self.x):
            return None
        given = (*names_of(self.mixed, self.x), *names_of(self.mixed, bits))
        law = Probability(names_of(self.mixed, self.y), given)
        natural = tuple(name + NATURAL for name in names_of(self.mixed, self.x))
        weights = Probability((*natural, *names_of(self.mixed, bits)))
        chosen = frozenset(self.mixed.named(bits))
        return chosen, summed(effects_first(self.mixed, bits), product([law, weights]))

    def in_words(self, hedge: Hedge) -> str:
        """Return a hedge as a sentence."""
        return (
            f"Hidden causes tie {self.words.listed(hedge.larger)} together, and the answer needs "
            f"{self.words.listed(hedge.smaller)} apart from the rest of this group, which nothing "
            f"recorded gives: two systems can agree on all that is recorded and differ in the "
            f"answer."
        )


def set_value(node: Node) -> Node:
    """Return the node that stands for the value that a variable's effects see."""
    return f"{node_name(node)}, as set"


def set_or_self(node: Node, causes: frozenset[Node]) -> Node:
    """Return the node that others see: of a cause, that of the value set."""
    return set_value(node) if node in causes else node


def split_graph(
    graph: CausalGraph,
    causes: frozenset[Node],
    carry: frozenset[Node],
    kinds: Mapping[Node, Kind],
    keep: frozenset[Node],
) -> CausalGraph:
    """Return the graph in which each changed variable's effects hang on a node of their own."""
    whole = with_latent(graph, graph.latent)
    arrows: list[tuple[Node, Node]] = []
    for cause, effect in whole.edges:
        own_lag = isinstance(cause, tuple) and isinstance(effect, tuple) and cause[0] == effect[0]
        # What is set without regard to a natural value has none for its own lag to see.
        by_nature = own_lag and cause not in carry and kinds.get(cause) not in ("do", "policy")
        changed = cause in causes and not by_nature
        arrows.append((set_value(cause) if changed else cause, effect))
    split = CausalGraph(
        arrows,
        nodes=[*whole.nodes, *map(set_value, sorted(causes, key=node_name))],
        latent=whole.latent,
        deterministic=whole.deterministic,
    )
    return without_deterministic(split, keep)
