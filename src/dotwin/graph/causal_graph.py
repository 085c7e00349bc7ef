"""A bare causal graph: arrows, hidden common causes, and what they imply about independence."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn

from dotwin.errors import SpecificationError, nearest
from dotwin.graph.separation import Node, Nodes, OpenPath, first_open_path, node_name

if TYPE_CHECKING:
    import networkx as nx

    from dotwin.graph.identification import Identification
    from dotwin.graph.natural_values import Kind

__all__ = ["CausalGraph", "Node", "OpenPath", "node_name"]


@dataclass(frozen=True, init=False, eq=False)
class CausalGraph:
    """A directed acyclic graph with hidden common causes; immutable.

    Parameters
    ----------
    edges : iterable of (Node, Node)
        Arrows from cause to effect.
    hidden : iterable of (Node, Node, ...)
        Sets of variables, mostly pairs, that share a cause which no column records. Each becomes
        an explicit latent node, so that every path through it can be printed.
    nodes : iterable of Node
        Variables without any arrow, or all of them in the order wanted.
    latent : iterable of Node
        Nodes of ``edges`` that no column records.
    deterministic : iterable of Node
        Nodes that are exact functions of their parents, without noise of their own.

    Raises
    ------
    SpecificationError
        When the arrows form a cycle (which the message names) or a hidden cause has fewer than
        two effects.

    References
    ----------
    .. [1] Pearl, J. (2009). Causality, 2nd ed. doi:10.1017/CBO9780511803161

    Examples
    --------
    >>> graph = CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
    >>> print(graph.open_back_door_path("X", "Y"))
    X ← Z → Y
    >>> graph.open_back_door_path("X", "Y", given="Z") is None
    True
    """

    edges: tuple[tuple[Node, Node], ...]
    hidden: tuple[tuple[Node, ...], ...]
    nodes: tuple[Node, ...]
    latent: tuple[Node, ...]
    deterministic: tuple[Node, ...]
    # Adjacency of the explicit graph, in which each hidden set has a node of its own.
    _parents: dict[Node, tuple[Node, ...]] = field(repr=False)
    _children: dict[Node, tuple[Node, ...]] = field(repr=False)
    _anonymous: frozenset[Node] = field(repr=False)

    def __init__(
        self,
        edges: Iterable[tuple[Node, Node]],
        hidden: Iterable[Iterable[Node]] = (),
        *,
        nodes: Iterable[Node] = (),
        latent: Iterable[Node] = (),
        deterministic: Iterable[Node] = (),
    ) -> None:
        arrows = tuple(dict.fromkeys((cause, effect) for cause, effect in edges))
        sets = tuple(dict.fromkeys(_hidden_set(members) for members in hidden))
        named = tuple(
            dict.fromkeys(
                [
                    *nodes,
                    *(node for arrow in arrows for node in arrow),
                    *(node for members in sets for node in members),
                ]
            )
        )
        unseen, exact = frozenset(latent), frozenset(deterministic)
        for node in sorted((unseen | exact) - set(named), key=node_name):
            _unknown(node, named)
        anonymous: dict[Node, tuple[Node, ...]] = {}
        for members in sets:
            name = _hidden_name(members)
            while name in named:  # one of the same effects is a node already
                name = f"another {name}"
            anonymous[name] = members
        explicit = [
            *arrows,
            *((cause, node) for cause, group in anonymous.items() for node in group),
        ]
        parents: dict[Node, list[Node]] = {node: [] for node in (*named, *anonymous)}
        children: dict[Node, list[Node]] = {node: [] for node in parents}
        for cause, effect in explicit:
            parents[effect].append(cause)
            children[cause].append(effect)
        values = {
            "edges": arrows,
            "hidden": sets,
            "nodes": tuple(node for node in named if node not in unseen),
            "latent": (*(node for node in named if node in unseen), *anonymous),
            "deterministic": tuple(node for node in named if node in exact),
            "_parents": {node: tuple(found) for node, found in parents.items()},
            "_children": {node: tuple(found) for node, found in children.items()},
            "_anonymous": frozenset(anonymous),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)
        self.topological_order()  # a cycle raises here, with its name

    def __eq__(self, other: object) -> bool:
        """Tell whether two graphs have the same nodes, arrows and hidden causes."""
        return isinstance(other, CausalGraph) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[frozenset[object], ...]:
        hidden = frozenset(frozenset(members) for members in self.hidden)
        exact = frozenset(self.deterministic)
        return frozenset(self.nodes), frozenset(self.edges), hidden, frozenset(self.latent), exact

    def __contains__(self, node: object) -> bool:
        return node in self._parents

    # ── kin ────────────────────────────────────────────────────────────────────────────────────

    def parents(self, node: Node) -> tuple[Node, ...]:
        """Return the direct causes of a node, hidden pairs left out."""
        return tuple(n for n in self._parents[self._one(node)] if n not in self._anonymous)

    def children(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes that a node acts on directly."""
        return self._children[self._one(node)]

    def ancestors(self, nodes: Nodes) -> frozenset[Node]:
        """Return every node with a directed path to one of these, hidden pairs left out."""
        return _reach(self._some(nodes), self._parents) - self._anonymous

    def descendants(self, nodes: Nodes) -> frozenset[Node]:
        """Return every node to which a directed path leads from one of these."""
        return _reach(self._some(nodes), self._children)

    def topological_order(self) -> tuple[Node, ...]:
        """Return the nodes, causes before effects, otherwise as declared; hidden pairs left out."""
        waiting = {node: len(causes) for node, causes in self._parents.items()}
        ready = deque(node for node, count in waiting.items() if count == 0)
        order: list[Node] = []
        while ready:
            node = ready.popleft()
            order.append(node)
            for child in self._children[node]:
                waiting[child] -= 1
                if waiting[child] == 0:
                    ready.append(child)
        if len(order) < len(waiting):
            ring = " → ".join(node_name(node) for node in _cycle(self._parents, set(order)))
            raise SpecificationError(
                f"the arrows form a cycle, {ring}: a causal graph has none. Remove an arrow, or "
                f"let one act a period later."
            )
        return tuple(node for node in order if node not in self._anonymous)

    # ── separation ─────────────────────────────────────────────────────────────────────────────

    def open_path(
        self,
        a: Nodes,
        b: Nodes,
        given: Nodes = (),
        *,
        without_arrows_into: Iterable[Node] = (),
        without_arrows_out_of: Iterable[Node] = (),
    ) -> OpenPath | None:
        """Return a shortest path that d-connects a and b, or None when given separates them.

        The search is breadth-first over (node, direction of arrival), so its time is linear in
        the number of arrows. A shortest connecting walk never visits a node twice: the detour
        between two visits could be cut out, and a node that it passed downwards has a conditioned
        descendant, so it stays open as a collider.

        A deterministic node whose parents are all known is known too, and so on: it blocks, and
        on its own it depends on nothing (D-separation [2]_).

        Parameters
        ----------
        a, b, given : Node or iterable of Node
            Disjoint; hidden causes may be among them.
        without_arrows_into, without_arrows_out_of : iterable of Node
            Nodes whose incoming or outgoing arrows are removed first (the graph after an
            intervention on them, and the one of the back-door criterion).

        Returns
        -------
        OpenPath or None
            From a node of ``a`` to a node of ``b``.

        References
        ----------
        .. [1] Shachter, R. D. (1998). Bayes-Ball. UAI 14, 480-487. arXiv:1301.7412
        .. [2] Geiger, D., Verma, T. and Pearl, J. (1990). Identifying independence in Bayesian
           networks. doi:10.1002/net.3230200504

        Examples
        --------
        >>> graph = CausalGraph([("X", "M"), ("Y", "M")])
        >>> graph.open_path("X", "Y") is None
        True
        >>> print(graph.open_path("X", "Y", given="M"))
        X → M ← Y
        """
        start, goal, known = self._some(a), self._some(b), self._some(given)
        for shared in (start & goal, start & known, goal & known):
            if shared:
                names = ", ".join(sorted(map(node_name, shared)))
                raise ValueError(
                    f"{names}: a variable stands on one side of the question or is given, not both."
                )
        into, out_of = frozenset(without_arrows_into), frozenset(without_arrows_out_of)
        return first_open_path(
            list(self._ordered(start)),
            goal,
            given=known,
            determined=self._determined_by(known, into),
            causes=lambda node: (
                n for n in self._parents[node] if node not in into and n not in out_of
            ),
            effects=lambda node: (
                n for n in self._children[node] if node not in out_of and n not in into
            ),
        )

    def _determined_by(self, known: frozenset[Node], into: Set[Node]) -> frozenset[Node]:
        """Return some nodes with those that are exact functions of them."""
        found = set(known)
        if self.deterministic:
            exact = frozenset(self.deterministic) - into
            for node in self.topological_order():
                if node in exact and found.issuperset(self._parents[node]):
                    found.add(node)
        return frozenset(found)

    def is_d_separated(self, a: Nodes, b: Nodes, given: Nodes = ()) -> bool:
        """Tell whether ``given`` blocks every path between a and b.

        Examples
        --------
        >>> CausalGraph([("A", "B"), ("B", "C")]).is_d_separated("A", "C", given="B")
        True
        """
        return self.open_path(a, b, given) is None

    def open_back_door_path(
        self, treatment: Nodes, outcome: Nodes, given: Nodes = ()
    ) -> OpenPath | None:
        """Return a path that confounds treatment and outcome, or None when all are blocked.

        A back-door path enters the treatment by an arrow. It is looked for in the graph without
        the arrows that leave the treatments.

        Parameters
        ----------
        treatment, outcome, given : Node or iterable of Node

        Returns
        -------
        OpenPath or None
            It prints in words, such as ``X ← Z → Y``.

        References
        ----------
        .. [1] Pearl, J. (1995). Causal diagrams for empirical research. Biometrika 82, 669-688.
           doi:10.1093/biomet/82.4.669

        Examples
        --------
        >>> print(CausalGraph([("X", "Y")], hidden=[("X", "Y")]).open_back_door_path("X", "Y"))
        X ← hidden cause of X and Y → Y
        """
        treated = self._some(treatment)
        return self.open_path(treated, outcome, given, without_arrows_out_of=treated)

    def is_back_door_set(self, treatment: Nodes, outcome: Nodes, given: Nodes) -> bool:
        """Tell whether ``given`` meets the back-door criterion.

        Its members are observed, none is affected by a treatment, and together they block every
        back-door path.

        Examples
        --------
        >>> graph = CausalGraph([("X", "M"), ("M", "Y")])
        >>> graph.is_back_door_set("X", "Y", ()), graph.is_back_door_set("X", "Y", "M")
        (True, False)
        """
        known = self._some(given)
        if known & (self.descendants(treatment) | set(self.latent)):
            return False
        return self.open_back_door_path(treatment, outcome, known) is None

    def back_door_set(self, treatment: Nodes, outcome: Nodes) -> frozenset[Node] | None:
        """Return a minimal set that meets the back-door criterion, or None when there is none.

        The observed ancestors of treatment and outcome that no treatment affects meet the
        criterion whenever any set does (van der Zander, Liśkiewicz and Textor 2014); members
        are then dropped while the rest still blocks every path.

        Returns
        -------
        frozenset of Node or None

        References
        ----------
        .. [1] van der Zander, B., Liśkiewicz, M., Textor, J. (2014). Constructing separators and
           adjustment sets in ancestral graphs. UAI 30, 907-916.

        Examples
        --------
        >>> graph = CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
        >>> graph.back_door_set("X", "Y")
        frozenset({'Z'})
        """
        treated, outcomes = self._some(treatment), self._some(outcome)
        relevant = self.ancestors(treated) | self.ancestors(outcomes)
        affected = self.descendants(treated) | treated
        known = relevant - affected - outcomes - set(self.latent)
        if self.open_back_door_path(treated, outcomes, known) is not None:
            return None
        for node in self._ordered(known):
            if self.open_back_door_path(treated, outcomes, known - {node}) is None:
                known -= {node}
        return frozenset(known)

    def identify(self, causes: Nodes, outcomes: Nodes, given: Nodes = ()) -> Identification:
        """Tell whether P(outcomes | do(causes), given) follows from what is observed, and how.

        Strategies are tried from the simplest: adjustment (the back door), the front door, and
        the general algorithm, which finds a formula whenever there is one. An instrument is named
        where nothing else helps; by itself it identifies nothing.

        Parameters
        ----------
        causes, outcomes, given : Node or iterable of Node
            Disjoint. Several causes are set together, such as one treatment at several periods.

        Returns
        -------
        Identification
            With ``identified``, ``strategy``, ``adjustment``, ``estimand``; where the effect is
            not identified, with what prevents it and what to record.

        Examples
        --------
        >>> graph = CausalGraph([("X", "M"), ("M", "Y")], hidden=[("X", "Y")])
        >>> found = graph.identify("X", "Y")
        >>> found.strategy, str(found.estimand)
        ('front door', 'Σ_M P(M | X) Σ_X′ P(X′) P(Y | X′, M)')
        """
        from dotwin.graph.identification import identify

        return identify(self, self._some(causes), self._some(outcomes), self._some(given))

    def identify_change(
        self,
        causes: Nodes,
        outcomes: Nodes,
        *,
        kind: Kind | Mapping[Node, Kind],
        reads: Nodes = (),
        carry: Nodes = (),
        given: Nodes = (),
    ) -> Identification:
        """Tell whether the outcomes under a change of natural values follow from what is observed.

        A shift, a scaling, a bound or a rule sets a value that depends on the one that the
        variable would have by itself. Each changed variable is therefore split in two: its
        natural value, which is what it is by itself, and the value that its children see. The
        answer is identified when their joint law with the outcomes is.

        Parameters
        ----------
        causes, outcomes : Node or iterable of Node
        kind : {'do', 'shift', 'scale', 'at_least', 'at_most', 'rule', 'policy'} or dict
            One for all causes, or one for each. ``do`` sets a value; ``shift``, ``scale``,
            ``at_least`` and ``at_most`` start from the natural value; ``rule`` changes it where a
            condition on ``reads`` holds and leaves it elsewhere; ``policy`` sets it by ``reads``
            alone.
        reads : Node or iterable of Node
            What rules and policies look at: for a cause at a period, those not later than it.
        carry : Node or iterable of Node
            Causes whose own lag sees the changed value rather than the natural one.
        given : Node or iterable of Node
            What is known of those who are asked about, as it is under the change.

        Returns
        -------
        Identification
            Its estimand is the joint law of the outcomes under set values ``X``, of the natural
            values ``X°`` and of what is read; the answer sums it with ``X`` a function of these.
            Where something is given, it is in that law too, or held, and the answer is that sum
            divided by its own sum over the outcomes.

        Examples
        --------
        >>> graph = CausalGraph([("Z", "X"), ("Z", "Y"), ("X", "Y")])
        >>> print(graph.identify_change("X", "Y", kind="shift").estimand)
        Σ_Z P(Y | X, Z) P(X°, Z)
        """
        from dotwin.graph.conditional_change import identify_conditional_change
        from dotwin.graph.natural_values import check_kinds, identify_change

        chosen, known = self._some(causes), self._some(given)
        kinds: Mapping[Node, Kind] = (
            kind if isinstance(kind, Mapping) else dict.fromkeys(self._ordered(chosen), kind)
        )
        on, read, fed = self._some(outcomes), self._some(reads), self._some(carry)
        if not known:
            return identify_change(self, kinds, chosen, on, read, fed)
        check_kinds(self, kinds, chosen, read, fed)
        if set(kinds.values()) == {"do"}:
            return self.identify(chosen, on, given=known)
        return identify_conditional_change(self, kinds, on, read, fed, known)

    def project(self) -> CausalGraph:
        """Return the latent projection: observed nodes only, and pairs that share a hidden cause.

        An arrow stands for a directed path whose inner nodes are all hidden, a hidden pair for a
        hidden node with such paths to both. Every d-separation and every verdict of
        identification among observed nodes is the same in both graphs.

        References
        ----------
        .. [1] Verma, T. S. (1993). Graphical aspects of causal models. UCLA, R-191.

        Examples
        --------
        >>> graph = CausalGraph([("U", "V"), ("V", "X"), ("U", "Y")], latent=["U", "V"])
        >>> graph.project().hidden
        (('X', 'Y'),)
        """
        from dotwin.graph.projection import projected

        return projected(self)

    @property
    def all_arrows(self) -> tuple[tuple[Node, Node], ...]:
        """Every arrow, those from the nodes that stand for hidden sets too."""
        return tuple((cause, node) for node, causes in self._parents.items() for cause in causes)

    def to_networkx(self) -> nx.DiGraph[Node]:
        """Return the explicit graph, each hidden set a node of its own with ``hidden=True``."""
        import networkx as nx

        graph: nx.DiGraph[Node] = nx.DiGraph()
        for node in self._parents:
            graph.add_node(node, hidden=node in self.latent)
        graph.add_edges_from((c, e) for e, causes in self._parents.items() for c in causes)
        return graph

    # ── reading arguments ──────────────────────────────────────────────────────────────────────

    def _one(self, node: Node) -> Node:
        if node not in self._parents:
            _unknown(node, self._parents)
        return node

    def _some(self, nodes: Nodes) -> frozenset[Node]:
        match nodes:
            case str():
                return frozenset([self._one(nodes)])
            case (str(name), int(period)):
                return frozenset([self._one((name, period))])
            case _:
                return frozenset(self._one(node) for node in nodes)

    def _ordered(self, nodes: Set[Node]) -> Iterator[Node]:
        return (node for node in self._parents if node in nodes)


def _hidden_set(members: Iterable[Node]) -> tuple[Node, ...]:
    found = tuple(dict.fromkeys((members,) if isinstance(members, str) else members))
    if len(found) < 2:
        raise SpecificationError(
            f"a hidden cause has two effects or more, as in hidden=[('X', 'Y')]; "
            f"{', '.join(map(node_name, found)) or 'nothing'} alone is not confounded by it."
        )
    return found


def _hidden_name(members: tuple[Node, ...]) -> str:
    *first, last = sorted(map(node_name, members))
    return f"hidden cause of {', '.join(first)} and {last}"


def _unknown(node: Node, valid: Iterable[Node]) -> NoReturn:
    name = node_name(node)
    raise SpecificationError(
        f"the graph has no variable '{name}'. {nearest(name, map(node_name, valid))}"
    )


def _reach(start: Set[Node], neighbours: Mapping[Node, tuple[Node, ...]]) -> frozenset[Node]:
    """Return what one step or more from start leads to."""
    found: set[Node] = set()
    queue = deque(start)
    while queue:
        for node in neighbours[queue.popleft()]:
            if node not in found:
                found.add(node)
                queue.append(node)
    return frozenset(found)


def _cycle(parents: Mapping[Node, tuple[Node, ...]], placed: Set[Node]) -> list[Node]:
    """Return one cycle among the nodes that no topological order could place."""
    # Each node left over has a parent left over: walking backwards must come round.
    node = next(node for node in parents if node not in placed)
    walk: list[Node] = []
    while node not in walk:
        walk.append(node)
        node = next(cause for cause in parents[node] if cause not in placed)
    ring = [*walk[walk.index(node) :], node]
    ring.reverse()
    first = min(range(len(ring) - 1), key=lambda i: list(parents).index(ring[i]))
    return [*ring[first:-1], *ring[: first + 1]]
