"""The first licence of a causal answer: is the query identified on the declared graph?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

from dotwin.errors import SpecificationError
from dotwin.graph.causal_graph import CausalGraph, Node, OpenPath
from dotwin.graph.twin_graph import PAST, TwinGraph, is_exogenous

__all__ = ["IdentificationVerdict", "licence"]


@dataclass(frozen=True)
class IdentificationVerdict:
    """Whether a causal answer follows from the declared graph and the data.

    Parameters
    ----------
    status : {'licensed', 'not licensed'}
    reason : str
        One sentence for people.
    open_path : OpenPath, optional
        What the answer cannot hold fixed; None when licensed or when no path is to blame.
    conditioned_on : tuple of str
        The indicators whose recorded history the answer holds fixed, as declared.
    """

    status: Literal["licensed", "not licensed"]
    reason: str
    open_path: OpenPath | None = None
    conditioned_on: tuple[str, ...] = ()

    @property
    def licensed(self) -> bool:
        """Whether the answer may be given without naming an assumption."""
        return self.status == "licensed"

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}"


def licence(
    graph: TwinGraph, intervened: str | Collection[str], outcome: str, *, window: int = 3
) -> IdentificationVerdict:
    r"""Judge whether intervening on some indicators has an identified effect on an outcome.

    The forward simulation of a twin is the parametric g-formula: every indicator on which the
    outcome depends is drawn from its own mechanism given its own causes, and an intervened one is
    set. On the graph unrolled over a window, the simulation equals the truth when two things hold.

    1. *No open back door.* For an intervened indicator x at period k, and every later or equal
       period of the outcome, no path that enters :math:`x_k` by an arrow is open given the
       recorded history before it: the observed ancestors of treatment and outcome that come no
       later than period k and that :math:`x_k` does not affect. This is the sequential back-door
       criterion [1]_. Later interventions are left in the graph as the mechanisms make them, which
       opens more paths than cutting them would: the verdict then also holds for changes that read
       the natural value (shifts, scalings, bounds) and for pulses.
    2. *Each mechanism stands alone.* For every simulated indicator v that can be told from its
       past, v is independent of all earlier observed ancestors of treatment and outcome given its
       own causes. Otherwise the product of the mechanisms is not the joint law of the data, even
       where that law would identify the effect (a hidden cause of a mediator and the outcome, for
       instance). This is what makes step 1's formula a product of fitted mechanisms.

    Group effects, period shocks and walking trends enter one mechanism each and are parts of its
    model, so they count as known; that they are independent of one another is an assumption which
    `TwinGraph.assumptions` states, not an open path. The same holds for the past before the
    window: the recorded first periods, which every mechanism reads through its lags and first
    values, stand between it and all that is simulated, because interventions begin after as many
    periods as the longest lag. It matters where a hidden cause reaches through it to later periods.
    Declared hidden causes count as unknown.

    The criterion is sufficient, not necessary: what is not licensed here may still be identified
    by another strategy, such as the front door.

    Parameters
    ----------
    graph : TwinGraph
    intervened : str or collection of str
        The indicators that are set, jointly and in every period from the start of the window.
    outcome : str
    window : int
        Periods simulated after the longest chain of lags from treatment to outcome has been run
        through; structure repeats itself from period to period, so more of them add nothing.

    Returns
    -------
    IdentificationVerdict

    References
    ----------
    .. [1] Pearl, J. and Robins, J. (1995). Probabilistic evaluation of sequential plans from causal
       models with hidden variables. UAI 11, 444-453. arXiv:1302.4977
    .. [2] Robins, J. (1986). A new approach to causal inference in mortality studies with a
       sustained exposure period. doi:10.1016/0270-0255(86)90088-6

    Examples
    --------
    >>> import dotwin as dw
    >>> twin = dw.Twin(
    ...     twin="staffing",
    ...     panel={"unit": "home"},
    ...     indicators={
    ...         "staff": {"domain": "workforce", "family": "normal"},
    ...         "falls": {"domain": "quality", "family": "poisson", "causes": {"staff": {}}},
    ...     },
    ...     hidden_causes={"case_mix": {"affects": ["staff", "falls"], "level": "home"}},
    ... )
    >>> print(licence(twin.graph, "staff", "falls").open_path)
    staff ← case mix → falls
    """
    if window < 1:
        raise ValueError(f"a window has one period or more, not {window}.")
    chosen = {intervened} if isinstance(intervened, str) else set(intervened)
    if not chosen:
        raise SpecificationError("name at least one indicator that the intervention changes.")
    reaching = tuple(name for name in sorted(chosen) if graph.reaches(name, outcome))
    what, of = _listed(graph, chosen), graph.label(outcome)
    if not reaching:
        if outcome in chosen:
            return _verdict("licensed", f"{of} is what the intervention itself sets.")
        return _verdict(
            "licensed",
            f"no chain of causes leads from {what} to {of}, so the effect is exactly zero.",
        )
    for name in reaching:
        if (problem := _undeclared(graph, name)) is not None:
            return _verdict("not licensed", problem)

    query = _Query(graph, reaching, outcome, window)
    held = query.conditioned_on()
    if (path := query.back_door()) is not None:
        named = query.named(path)
        return _verdict(
            "not licensed",
            f"{_listed(graph, reaching)} and {of} move together for a reason that no column "
            f"records: {named}.",
            named,
            held,
        )
    if (path := query.joined_mechanisms()) is not None:
        named = query.named(path)
        return _verdict(
            "not licensed",
            f"on the way to {of}, two mechanisms share a cause that no column records, so "
            f"simulating them one by one is not the truth: {named}.",
            named,
            held,
        )
    others = [name for name in held if name not in chosen]
    history = f" given the recorded history of {_listed(graph, others)}" if others else ""
    return _verdict(
        "licensed",
        f"on the declared graph, nothing unrecorded moves both {what} and {of}{history}.",
        None,
        held,
    )


class _Query:
    """One question on the unrolled graph, with what is known and what is simulated."""

    def __init__(
        self, graph: TwinGraph, treatments: tuple[str, ...], outcome: str, window: int
    ) -> None:
        self.graph, self.treatments, self.outcome = graph, treatments, outcome
        # Before the window's first intervention every mechanism has all its lags inside it.
        self.first = graph.max_lag
        between = [
            name
            for name in graph.indicators
            if any(graph.reaches(t, name) for t in treatments)
            and (name == outcome or graph.reaches(name, outcome))
        ]
        longest = sum(
            max((a.lag for a in graph.arrows if a.effect == name and a.cause != name), default=0)
            for name in between
        )
        in_time = graph.twin.panel.period is not None
        self.last = self.first + longest + window - 1 if in_time else 0
        self.unrolled: CausalGraph = graph.unroll(self.last + 1)
        self.modelled = frozenset(
            node
            for node in self.unrolled.latent
            if (node if isinstance(node, str) else node[0])
            in {effect.name for effect in graph.group_effects}
        )
        ends = [(outcome, t) for t in range(self.first, self.last + 1)]
        starts = [(name, t) for name in treatments for t in range(self.first, self.last + 1)]
        observed = frozenset(self.unrolled.nodes)
        relevant = self.unrolled.ancestors([*ends, *starts]) | set(ends) | set(starts)
        # Declared period by period, causes first: an order in which no cause follows its effect.
        self.order = self.unrolled.nodes
        self.relevant = relevant & observed

    def conditioned_on(self) -> tuple[str, ...]:
        names = {node[0] for node in self.relevant if isinstance(node, tuple)} - {self.outcome}
        return tuple(name for name in self.graph.indicators if name in names)

    def back_door(self) -> OpenPath | None:
        """Return the shortest path that step 1 finds open."""
        found: list[OpenPath] = []
        for k in range(self.first, self.last + 1):
            for name in self.treatments:
                treated: Node = (name, k)
                affected = self.unrolled.descendants(treated)
                history = {
                    node
                    for node in self.relevant - affected - {treated}
                    if isinstance(node, tuple) and node[1] <= k
                }
                # Where no path of causes from this period is left, nothing is confounded.
                ends = {(self.outcome, t) for t in range(k, self.last + 1)} & affected
                if not ends:
                    continue
                path = self.unrolled.open_path(
                    treated, ends, history | self.modelled, without_arrows_out_of=[treated]
                )
                if path is not None:
                    found.append(path)
        return min(found, key=lambda path: len(path.nodes), default=None)

    def joined_mechanisms(self) -> OpenPath | None:
        """Return the shortest path that step 2 finds open."""
        set_here = {(name, t) for name in self.treatments for t in range(self.first, self.last + 1)}
        needed = {(self.outcome, t) for t in range(self.first, self.last + 1)}
        waiting = list(needed)
        simulated = set(needed)
        while waiting:  # ancestors of the outcome, not through what is set
            for parent in self.unrolled.parents(waiting.pop()):
                if parent in self.relevant and parent not in simulated | set_here:
                    simulated.add(parent)
                    waiting.append(parent)
        place = {node: i for i, node in enumerate(self.order)}
        latest: dict[str, Node] = {}
        for node in sorted(simulated, key=place.__getitem__):
            name, t = node
            indicator = self.graph.twin.indicators[str(name)]
            if isinstance(t, int) and t >= self.first and not indicator.is_given:
                latest[str(name)] = node
        found: list[OpenPath] = []
        for node in latest.values():
            causes = set(self.unrolled.parents(node))
            earlier = {n for n in self.order[: place[node]] if n in self.relevant} - causes
            if earlier:
                path = self.unrolled.open_path(
                    node, earlier, (causes & self.relevant) | self.modelled
                )
                if path is not None:
                    found.append(path)
        return min(found, key=lambda path: len(path.nodes), default=None)

    def named(self, path: OpenPath) -> OpenPath:
        """Return the path in names for people, periods counted from the path's first node."""
        origin = path.nodes[0][1] if isinstance(path.nodes[0], tuple) else self.last
        names: list[Node] = []
        for node in path.nodes:
            name, t = node if isinstance(node, tuple) else (node, origin)
            if name in self.graph.twin.hidden_causes:
                names.append(self.graph.label(name))
            elif t == origin or name == PAST:
                names.append(name)
            else:
                names.append(f"{name}[{int(t) - int(origin):+d}]")
        return OpenPath(tuple(names), path.arrows)


def _undeclared(graph: TwinGraph, name: str) -> str | None:
    """Return why an effect of a given is not identified, or None."""
    indicator = graph.twin.indicators[name]
    if not indicator.is_given or is_exogenous(indicator):
        return None
    label = graph.label(name)
    if indicator.assigned is not None:
        return (
            f"the effect of {label} is not identified: it is set by a rule, and what the rule "
            f"reads is not declared."
        )
    return f"the effect of {label} is not identified: why it varies is not declared."


def _listed(graph: TwinGraph, names: Collection[str]) -> str:
    words = [graph.label(name) for name in graph.indicators if name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _verdict(
    status: Literal["licensed", "not licensed"],
    reason: str,
    open_path: OpenPath | None = None,
    conditioned_on: tuple[str, ...] = (),
) -> IdentificationVerdict:
    sentence = reason[0].upper() + reason[1:]
    return IdentificationVerdict(status, sentence, open_path, conditioned_on)
