"""The general algorithm: every effect that a graph with hidden causes identifies, and no other."""

from __future__ import annotations

from dataclasses import dataclass

from dotwin.graph.expression import Expression, Probability, product, ratio, summed
from dotwin.graph.mixed_graph import MixedGraph, members
from dotwin.graph.separation import Node, node_name

__all__ = ["Hedge", "conditional_effect", "district_factor", "joint_effect", "names_of"]


@dataclass(frozen=True)
class Hedge:
    """Why an effect is not identified: two sets of variables that hidden causes tie together.

    Every variable of either set is joined to the others of its set by hidden causes, and acts on
    the roots of both inside the set. The larger set contains an intervention, the smaller does not.
    Two systems can then agree on all that is recorded and differ in the effect.

    Parameters
    ----------
    larger, smaller : tuple of Node

    References
    ----------
    .. [1] Shpitser, I. and Pearl, J. (2006). Identification of joint interventional distributions
       in recursive semi-Markovian causal models. AAAI 21, 1219-1226.
    """

    larger: tuple[Node, ...]
    smaller: tuple[Node, ...]


def names_of(graph: MixedGraph, bits: int) -> tuple[str, ...]:
    """Return the printed names of a set's variables, causes first."""
    return tuple(node_name(node) for node in graph.named(bits))


def effects_first(graph: MixedGraph, bits: int) -> tuple[str, ...]:
    """Return the printed names of a set's variables, effects first, as sums cancel best."""
    return names_of(graph, bits)[::-1]


def joint_effect(graph: MixedGraph, causes: int, outcomes: int) -> Expression | Hedge:
    r"""Express P(outcomes | do(causes)) by what is observed, or say what prevents it.

    The ancestors :math:`D` of the outcomes other than through the causes fall into districts, sets
    joined by hidden causes, and

    .. math:: P(y \mid do(x)) = \sum_{D \setminus y} \prod_j Q[D_j]

    where :math:`Q[D_j]` is the law of a district when everything else is set. The effect is
    identified exactly when each of these is [1]_ [2]_.

    Parameters
    ----------
    graph : MixedGraph
    causes, outcomes : int

    Returns
    -------
    Expression or Hedge

    References
    ----------
    .. [1] Tian, J. and Pearl, J. (2002). A general identification condition for causal effects.
       AAAI 18, 567-573.
    .. [2] Huang, Y. and Valtorta, M. (2006). On the completeness of an identifiability algorithm
       for semi-Markovian models. doi:10.1007/s10472-008-9101-x
    """
    relevant = graph.ancestors(outcomes)
    needed = graph.ancestors(outcomes, relevant & ~causes)
    factors: list[Expression] = []
    for district in graph.districts(needed):
        one = district_factor(graph, district, relevant)
        if isinstance(one, Hedge):
            return one
        factors.append(one)
    return summed(effects_first(graph, needed & ~outcomes), product(factors))


def district_factor(graph: MixedGraph, wanted: int, relevant: int) -> Expression | Hedge:
    """Express the law of a district when everything else is set, or return a hedge.

    Parameters
    ----------
    graph : MixedGraph
    wanted : int
        A set that hidden causes join.
    relevant : int
        An ancestral set that contains it.

    Returns
    -------
    Expression or Hedge
        What is free in it besides the set and its parents does not matter for its value.
    """
    found = graph.district(wanted, relevant)
    law = product(
        Probability(names_of(graph, 1 << i), names_of(graph, graph.blanket(i, relevant)))
        for i in members(found)
    )
    while True:
        ancestral = graph.ancestors(wanted, found)
        law = summed(effects_first(graph, found & ~ancestral), law)
        if ancestral == wanted:
            return law
        if ancestral == found:
            return Hedge(graph.named(found), graph.named(wanted))
        found = graph.district(wanted, ancestral)
        # The law of one district among those that are left: each of its variables given all that
        # come before it.
        factors: list[Expression] = []
        for i in reversed(list(members(ancestral))):
            before = summed(names_of(graph, 1 << i), law)
            if found >> i & 1:
                factors.append(ratio(law, before))
            law = before
        law = product(reversed(factors))


def conditional_effect(
    graph: MixedGraph, causes: int, outcomes: int, given: int
) -> Expression | Hedge:
    """Express P(outcomes | do(causes), given) by what is observed, or say what prevents it.

    What is given is treated as set where that makes no difference (rule 2 of the do-calculus);
    the rest is asked about jointly with the outcomes and then conditioned on.

    Parameters
    ----------
    graph : MixedGraph
    causes, outcomes, given : int

    Returns
    -------
    Expression or Hedge

    References
    ----------
    .. [1] Shpitser, I. and Pearl, J. (2006). Identification of conditional interventional
       distributions. UAI 22, 437-444. arXiv:1206.6876
    """
    moved = True
    while moved:
        moved = False
        for i in members(given):
            one = 1 << i
            rest = causes | (given & ~one)
            if graph.without(into=causes, out_of=one).separated(one, outcomes, rest):
                causes, given, moved = causes | one, given & ~one, True
                break
    whole = joint_effect(graph, causes, outcomes | given)
    if isinstance(whole, Hedge) or not given:
        return whole
    return ratio(whole, summed(effects_first(graph, outcomes), whole))
