"""What stands in for adjustment: a front door, or an instrument, which is less than it seems."""

from __future__ import annotations

from dataclasses import dataclass

from dotwin.graph.mixed_graph import MixedGraph, members
from dotwin.graph.separation import Node

__all__ = ["Instrument", "front_door", "instruments"]


@dataclass(frozen=True)
class Instrument:
    """A variable that moves the cause and, given some others, reaches the outcome only through it.

    It identifies no effect by the graph alone. It bounds the effect, and identifies it with a
    further assumption about the equations: no interaction of cause and hidden cause (as in linear
    systems), or that nobody responds to the instrument in the opposite direction, which gives the
    effect among those who respond.

    Parameters
    ----------
    variable : Node
    given : tuple of Node

    References
    ----------
    .. [1] Angrist, J., Imbens, G. and Rubin, D. (1996). Identification of causal effects using
       instrumental variables. doi:10.1080/01621459.1996.10476902
    .. [2] Balke, A. and Pearl, J. (1997). Bounds on treatment effects from studies with imperfect
       compliance. doi:10.1080/01621459.1997.10474074
    """

    variable: Node
    given: tuple[Node, ...]


def front_door(graph: MixedGraph, causes: int, outcomes: int) -> int | None:
    r"""Return a set of mediators that meets the front-door criterion, or None.

    The mediators cut every directed path from causes to outcomes, nothing confounds causes and
    mediators, and the causes block all that confounds mediators and outcomes. Then
    :math:`P(y \mid do(x)) = \sum_m P(m \mid x) \sum_{x'} P(y \mid m, x') P(x')`.

    Of all variables that nothing joins to the causes from behind, those are taken away that
    something joins to the outcomes from behind, until none is left to take. What a valid set
    holds is never taken, so this finds the largest one; members are then dropped while the rest
    still is one.

    Parameters
    ----------
    graph : MixedGraph
    causes, outcomes : int

    References
    ----------
    .. [1] Pearl, J. (1995). Causal diagrams for empirical research. doi:10.1093/biomet/82.4.669
    .. [2] Jeong, H., Tian, J. and Bareinboim, E. (2022). Finding and listing front-door adjustment
       sets. NeurIPS 35. arXiv:2210.05816
    """
    affected = graph.descendants(causes) & ~causes
    between = affected & graph.ancestors(outcomes) & ~outcomes
    behind_causes = graph.without(out_of=causes)
    chosen = 0
    for i in members(between):
        # A cause that a mediator affects cannot stand for what comes before the mediator.
        if graph.descendants(1 << i) & causes:
            continue
        if behind_causes.separated(causes, 1 << i, 0):
            chosen |= 1 << i
    chosen = _without_confounded(graph, chosen, causes, outcomes)
    if not _is_front_door(graph, chosen, causes, outcomes):
        return None
    for i in members(chosen):
        fewer = chosen & ~(1 << i)
        if _is_front_door(graph, fewer, causes, outcomes):
            chosen = fewer
    return chosen


def _without_confounded(graph: MixedGraph, chosen: int, causes: int, outcomes: int) -> int:
    while True:
        behind = graph.without(out_of=chosen)
        bad = sum(1 << i for i in members(chosen) if not behind.separated(1 << i, outcomes, causes))
        if not bad:
            return chosen
        chosen &= ~bad


def _is_front_door(graph: MixedGraph, chosen: int, causes: int, outcomes: int) -> bool:
    if not chosen:
        return False
    if graph.descendants(causes, graph.everything & ~chosen) & outcomes:
        return False
    return _without_confounded(graph, chosen, causes, outcomes) == chosen


def instruments(graph: MixedGraph, cause: int, outcome: int) -> tuple[Instrument, ...]:
    """Return each instrument for the effect of one cause on one outcome.

    Parameters
    ----------
    graph : MixedGraph
    cause, outcome : int
        One variable each.

    Returns
    -------
    tuple of Instrument
        Each with a set of variables, not affected by the cause, of which none can be left out.

    References
    ----------
    .. [1] van der Zander, B., Textor, J. and Liśkiewicz, M. (2015). Efficiently finding conditional
       instruments for causal inference. IJCAI 24, 3243-3249.
    """
    without_effect = graph.without(out_of=cause)
    unaffected = graph.everything & ~graph.descendants(cause) & ~outcome
    found: list[Instrument] = []
    for i in members(unaffected):
        one = 1 << i
        given = graph.ancestors(one | outcome) & unaffected & ~one
        for chosen in (0, given):
            if without_effect.separated(one, outcome, chosen):
                given = chosen
                break
        else:
            continue
        for k in members(given):
            fewer = given & ~(1 << k)
            if without_effect.separated(one, outcome, fewer):
                given = fewer
        if not graph.separated(one, cause, given):
            found.append(Instrument(graph.nodes[i], graph.named(given)))
    return tuple(found)
