"""The first licence of a causal answer: identified on the declared graph, and so computed?"""

from __future__ import annotations

from collections.abc import Callable, Collection
from copy import copy
from dataclasses import dataclass, replace
from typing import Literal

from dotwin.errors import SpecificationError
from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.factors import Basis, resting_on
from dotwin.graph.identification import Identification
from dotwin.graph.natural_values import Kind
from dotwin.graph.neighbours import Rules, elsewhere, own_name, with_neighbour, with_rules
from dotwin.graph.question import listed
from dotwin.graph.separation import Node, OpenPath
from dotwin.graph.through_time import (
    MODELLED,
    Window,
    identify_through_time,
    node_label,
    path_in_words,
    undeclared,
)
from dotwin.graph.twin_graph import TwinGraph

__all__ = ["IdentificationVerdict", "licence"]

#: How many indicator-periods the full question of identification is put to.
_NODES = 120


@dataclass(frozen=True)
class IdentificationVerdict:
    """Whether a causal answer follows from the declared graph and the data.

    Parameters
    ----------
    status : {'licensed', 'not licensed'}
    reason : str
        One sentence for people.
    open_paths : tuple of OpenPath
        What the answer cannot hold fixed: a shortest path, then one for each other hidden cause
        that would confound alone. Empty when licensed or when no path is to blame. Indicators
        have their names, ``x[+1]`` a period after the path's first; hidden causes their labels.
    conditioned_on : tuple of str
        The indicators that the answer holds fixed because no intervention reaches them, as
        declared; in a panel, the recorded past of every indicator comes on top.
    identification : Identification or None
        Where not licensed: what the graph says of the question whatever this model computes. It
        may be identified by a formula that the mechanisms as fitted do not use.
    further : str
        That in a sentence, which also ends ``reason``: how it is identified in principle, or what
        to record.
    coupling : bool
        Whether all that stands in the way is how the values of one unit in two worlds belong
        together, which no data can tell.
    basis : {'graph', 'form', 'prior', ''}
        Where hidden causes that are fitted close the open paths: whether the graph identifies the
        answer without them, or only the form of what is fitted does, or neither, so that it rests
        on the prior of their loadings (then not licensed). 'graph' wherever else it is licensed.
    """

    status: Literal["licensed", "not licensed"]
    reason: str
    open_paths: tuple[OpenPath, ...] = ()
    conditioned_on: tuple[str, ...] = ()
    identification: Identification | None = None
    further: str = ""
    coupling: bool = False
    basis: Basis = ""

    @property
    def licensed(self) -> bool:
        """Whether the answer may be given without naming an assumption."""
        return self.status == "licensed"

    @property
    def open_path(self) -> OpenPath | None:
        """The shortest of the open paths."""
        return self.open_paths[0] if self.open_paths else None

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}"


def licence(
    graph: TwinGraph,
    intervened: str | Collection[str],
    outcome: str,
    *,
    natural: Collection[str] = (),
    reads: Collection[str] = (),
    carry: Collection[str] = (),
    rules: Rules | None = None,
    exchanging: Collection[str] = (),
    window: int = 3,
) -> IdentificationVerdict:
    r"""Judge whether intervening on some indicators has an identified effect on an outcome.

    The forward simulation of a twin is the parametric g-formula [2]_: whatever the outcome depends
    on is drawn from its own mechanism given its own causes, and an intervened indicator is set. On
    the graph unrolled over a window, its contrasts are those of the system when two things hold.

    1. *No open back door.* Take the interventions in the order of time (and of causes within a
       period): :math:`x_1, x_2, \dots` No path that enters :math:`x_i` by an arrow leads to the
       outcome, given what can be known apart from this and later interventions: all observed
       ancestors of treatments and outcome that neither :math:`x_i` nor a later intervention
       affects, once the arrows into later interventions are cut. This is the sequential back-door
       criterion [1]_.
    2. *Each step stands alone.* An indicator on the way from treatment to outcome is independent,
       given its own causes, of everything else observed before it. Otherwise the product of the
       fitted mechanisms is not the law of the data, even where that law would identify the effect:
       a hidden cause of a step and of the outcome, say.

    Group effects, period shocks and walking trends enter one mechanism each and are parts of its
    model, so they count as known; that they are independent of one another is an assumption which
    `TwinGraph.assumptions` states, not an open path. The past before the window is closed off by
    the recorded first periods, which the mechanisms read through their lags and first values:
    interventions begin after as many periods as the longest lag. A hidden cause that persists from
    the past stays open, because declared hidden causes count as unknown.

    Where units act on each other, through causes that read other units or because a resource moves
    between them, the graph holds a unit and a neighbour, each with its own indicators, group
    effects and hidden causes; those of outer levels and of periods they share.

    Where a declared hidden cause joins only indicators that no intervention reaches, it concerns
    how they vary together, a matter of forecasting them and not of this verdict.

    A hidden cause that is fitted is a part of the mechanisms, and closes what it would open. Then
    the question is put to the graph as well. What the graph identifies with the hidden cause
    unknown (by a front door, say) is licensed as such: the joint fit computes it. What only the
    form of the fitted factor identifies is licensed as 'identified only by form', with the form
    (`factor_verdict`). Where not even that does, the answer rests on the prior of the loadings and
    is not licensed.

    The two are more than identification: they say that the mechanisms *as fitted* compute the
    answer. Where they fail, the full question is put to the graph (`TwinGraph.identify`). If it is
    identified by another formula, such as a front door, the verdict names that, and still is 'not
    licensed', since this model does not compute it. If it is not identified, the verdict says
    what to record.

    Parameters
    ----------
    graph : TwinGraph
    intervened : str or collection of str
        The indicators that are changed, jointly and in every period from the start of the window.
    outcome : str
    natural : collection of str
        Those among them whose own mechanism goes on to matter: because the change reads the natural
        value (shifts, scalings, bounds, policies) or because it ends. Arrows into their later
        periods are then left in place, which opens more paths, and condition 2 holds for them too.
    reads : collection of str
        What the rules of ``natural`` changes look at.
    carry : collection of str
        Those of ``natural`` whose own lag sees the changed value.
    rules : dict of str to collection of (str, int or None), optional
        What the conditions and rules of each changed indicator read, with lags; None for the value
        when the change begins. Each is an arrow of its own while the change acts.
    exchanging : collection of str
        Those of ``natural`` of which units hand something to each other.
    window : int
        Periods simulated beyond the longest chain of lags from treatment to outcome; the structure
        repeats itself from period to period, so more of them add nothing.

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
    if strangers := sorted(set(natural) - chosen):
        raise SpecificationError(
            f"{', '.join(strangers)}: 'natural' names indicators that are not intervened on."
        )
    reaching = tuple(name for name in sorted(chosen) if graph.reaches(name, outcome))
    what, of = _listed(graph, chosen), graph.label(outcome)
    if outcome in chosen and (outcome not in natural or not reaching):
        return _verdict("licensed", f"{of} is what the intervention itself sets.")
    if not reaching:
        return _verdict(
            "licensed",
            f"no chain of causes leads from {what} to {of}, so the effect is exactly zero.",
        )
    for name in reaching:
        if (problem := undeclared(graph, name)) is not None:
            return _verdict("not licensed", problem)

    query = _Query(
        graph, reaching, outcome, frozenset(natural), window, rules or {}, frozenset(exchanging)
    )
    held = query.conditioned_on()
    fitted = [name for name, one in graph.twin.hidden_causes.items() if one.is_fitted]

    def refused(verdict: IdentificationVerdict) -> IdentificationVerdict:
        return _with_identification(graph, verdict, reaching, outcome, natural, reads, carry)

    if fitted and (paths := query.open_paths()):
        query = query.knowing(fitted)
        if not query.open_paths():
            acting = [name for name in fitted if query.not_knowing(name).open_paths()]
            found = refused(_verdict("not licensed", "open", paths, held))
            known = found.identification
            how = _how(graph, known) if known is not None and known.identified else ""
            reason, basis = resting_on(graph, acting or fitted, "; ".join(map(str, paths)), how)
            if basis == "prior":
                return replace(_verdict("not licensed", reason, paths, held), basis=basis)
            return replace(_verdict("licensed", reason, (), held), basis=basis)
    if paths := query.all_open(query.back_door):
        return refused(
            _verdict(
                "not licensed",
                f"{_listed(graph, reaching)} and {of} move together for a reason that no column "
                f"records: {'; '.join(map(str, paths))}.",
                paths,
                held,
            )
        )
    if paths := query.all_open(query.joined_mechanisms):
        return refused(
            _verdict(
                "not licensed",
                f"on the way to {of}, a step shares with what came before it a cause that no "
                f"column records, so it cannot be simulated by itself: "
                f"{'; '.join(map(str, paths))}.",
                paths,
                held,
            )
        )
    fixed = [_listed(graph, held)] if held else []
    if graph.twin.panel.period is not None:
        fixed.append("the recorded past")
    history = f", with {' and '.join(fixed)} held fixed" if fixed else ""
    if query.neighbours:
        history += f"; each {graph.twin.unit} and its neighbours act on each other"
    return _verdict(
        "licensed",
        f"on the declared graph, nothing unrecorded moves both {what} and {of}{history}.",
        (),
        held,
    )


class _Query:
    """One question on the unrolled graph, with what is known and what is simulated."""

    def __init__(
        self,
        graph: TwinGraph,
        treatments: tuple[str, ...],
        outcome: str,
        natural: frozenset[str],
        window: int,
        rules: Rules,
        exchanging: frozenset[str],
    ) -> None:
        self.graph, self.outcome, self.natural = graph, outcome, natural
        # The first intervention finds every mechanism's lags inside the window.
        periods = Window.of(graph, treatments, outcome, window)
        self.first, self.last = periods.first, periods.last
        unrolled: CausalGraph = graph.unroll(self.last + 1)
        acting = {name: read for name, read in rules.items() if name in treatments}
        unrolled = with_rules(unrolled, acting, self.first, self.last)
        self.neighbours = bool(exchanging) or any(arrow.across for arrow in graph.arrows)
        if self.neighbours:
            unrolled = with_neighbour(graph, unrolled, exchanging)
        self.unrolled = unrolled
        self.parts = frozenset(effect.name for effect in graph.group_effects)
        span = periods.span
        own: list[Node] = [(n, t) for t in span for n in graph.order() if n in treatments]
        known = frozenset(unrolled.nodes)
        self.plan = [n for node in own for n in (node, elsewhere(node)) if n in known]
        self.ends = frozenset[Node]((outcome, t) for t in span)
        observed = known
        causes = unrolled.ancestors([*self.ends, *self.plan])
        self.relevant = (causes & observed) | self.ends | set(self.plan)

    @property
    def modelled(self) -> frozenset[Node]:
        """The hidden nodes that are parts of the mechanisms."""
        return frozenset(n for n in self.unrolled.latent if _name(n) in self.parts)

    def knowing(self, hidden: Collection[str]) -> _Query:
        """Ask the same with hidden causes that are fitted among the parts of the mechanisms."""
        other = copy(self)
        other.parts = self.parts | set(hidden)
        return other

    def not_knowing(self, hidden: str) -> _Query:
        """Ask the same with one hidden cause less among them."""
        other = copy(self)
        other.parts = self.parts - {hidden}
        return other

    def open_paths(self) -> tuple[OpenPath, ...]:
        """Return the paths that one of the conditions finds open."""
        return self.all_open(self.back_door) or self.all_open(self.joined_mechanisms)

    def conditioned_on(self) -> tuple[str, ...]:
        names = {_name(node) for node in self.relevant}
        reached = {_name(node) for node in self.unrolled.descendants(self.plan)}
        return tuple(
            name
            for name in self.graph.indicators
            if name in names - reached and (name, self.first) not in self.plan
        )

    def all_open(
        self, search: Callable[[frozenset[Node]], OpenPath | None]
    ) -> tuple[OpenPath, ...]:
        """Return the path that a search finds, and those left by each hidden cause alone."""
        if (shortest := search(frozenset())) is None:
            return ()
        hidden = self.graph.twin.hidden_causes
        found = {path_in_words(self.graph, shortest): None}
        for name in hidden:
            others = frozenset(
                n for n in self.unrolled.latent if _name(n) in hidden.keys() - {name}
            )
            if (path := search(others)) is not None:
                found[path_in_words(self.graph, path)] = None
        return tuple(found)

    def back_door(self, known: frozenset[Node]) -> OpenPath | None:
        """Return the shortest path that condition 1 finds open."""
        found: list[OpenPath] = []
        for i, treated in enumerate(self.plan):
            later = self.plan[i + 1 :]
            cut = [node for node in later if _name(node) not in self.natural]
            affected = self.unrolled.descendants([treated, *later])
            history = self.relevant - affected - {treated, *later}
            ends = self.ends & self.unrolled.descendants(treated)
            if not ends:
                continue
            path = self.unrolled.open_path(
                treated,
                ends,
                history | self.modelled | known,
                without_arrows_into=cut,
                without_arrows_out_of=[treated],
            )
            if path is not None:
                found.append(path)
        return min(found, key=lambda path: len(path.nodes), default=None)

    def joined_mechanisms(self, known: frozenset[Node]) -> OpenPath | None:
        """Return the shortest path that condition 2 finds open."""
        fixed = {node for node in self.plan if _name(node) not in self.natural}
        simulated: set[Node] = set(self.ends)
        waiting: list[Node] = list(self.ends)
        while waiting:  # ancestors of the outcome, other than through what is set
            for parent in self.unrolled.parents(waiting.pop()):
                if parent in self.relevant and parent not in simulated | fixed:
                    simulated.add(parent)
                    waiting.append(parent)
        steps = simulated & self.unrolled.descendants(self.plan)
        # Period by period, causes first: the order in which the simulation draws. A step's last
        # period has seen the most, so it stands for the earlier ones.
        order = [node for node in self.unrolled.nodes if node in self.relevant]
        last = {_whose(node): i for i, node in enumerate(order) if node in steps}
        found: list[OpenPath] = []
        for i in last.values():
            causes = set(self.unrolled.parents(order[i])) & self.relevant
            if earlier := set(order[:i]) - causes:
                path = self.unrolled.open_path(order[i], earlier, causes | self.modelled | known)
                if path is not None:
                    found.append(path)
        return min(found, key=lambda path: len(path.nodes), default=None)


def _name(node: Node) -> str:
    """Return the name of a node, the unit's own or a neighbour's."""
    return own_name(node)


def _whose(node: Node) -> str:
    return node if isinstance(node, str) else node[0]


def _with_identification(
    graph: TwinGraph,
    verdict: IdentificationVerdict,
    changed: tuple[str, ...],
    outcome: str,
    natural: Collection[str],
    reads: Collection[str],
    carry: Collection[str],
) -> IdentificationVerdict:
    """Add to a refusal what the graph says whatever this model computes."""
    if outcome in changed or any(graph.twin.indicators[n].equals is not None for n in changed):
        return verdict
    # What a rule reads of the changed indicator itself is its natural value, which is there anyway.
    reads = [name for name in reads if name not in changed]
    from_nature: Kind = "rule" if reads else "shift"
    kinds: dict[str, Kind] = {n: from_nature if n in natural else "do" for n in changed}
    found = identify_through_time(
        graph,
        changed,
        outcome,
        kinds,
        reads if from_nature in kinds.values() else (),
        [name for name in changed if name in carry],
        periods=_affordable(graph, changed, outcome),
    )
    if found.identified:
        further = (
            f"The graph identifies it in principle, {_how(graph, found)}; but that formula is not "
            f"computed by this model, which simulates one mechanism after another."
        )
    else:
        further = found.what_to_record
    reason = f"{verdict.reason} {further}".rstrip()
    return replace(verdict, reason=reason, identification=found, further=further)


def _affordable(graph: TwinGraph, changed: Collection[str], outcome: str) -> int | None:
    """Return how many periods the full question is put to, fewer where there are many nodes."""
    if graph.twin.panel.period is None:
        return None
    whole = Window.of(graph, changed, outcome)
    return min(whole.last + 1, max(whole.first + 3, _NODES // len(graph.indicators)))


def _how(graph: TwinGraph, found: Identification) -> str:
    known = " (with group effects known)" if MODELLED in found.assuming else ""
    return _by(graph, found) + known


def _by(graph: TwinGraph, found: Identification) -> str:
    match found.strategy:
        case "back door" if found.adjustment:
            return f"by adjusting for {listed([node_label(graph, n) for n in found.adjustment])}"
        case "back door":
            return "without adjusting for anything"
        case "front door":
            labels = [node_label(graph, node) for node in found.mediators or ()]
            return f"by the front door through {listed(labels)}"
        case _:
            return "by a formula that the general algorithm finds"


def _listed(graph: TwinGraph, names: Collection[str]) -> str:
    words = [graph.label(name) for name in graph.indicators if name in names]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _verdict(
    status: Literal["licensed", "not licensed"],
    reason: str,
    open_paths: tuple[OpenPath, ...] = (),
    conditioned_on: tuple[str, ...] = (),
) -> IdentificationVerdict:
    sentence = reason[0].upper() + reason[1:]
    return IdentificationVerdict(status, sentence, open_paths, conditioned_on)
