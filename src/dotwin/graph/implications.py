"""What a twin's graph forbids: the conditional independences that it implies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dotwin.graph.causal_graph import CausalGraph, Node

if TYPE_CHECKING:
    from dotwin.graph.twin_graph import TwinGraph

__all__ = ["Implication", "implications"]


@dataclass(frozen=True)
class Implication:
    """One independence that the graph implies: a missing arrow, as a claim about data.

    Given its direct causes and its group effects and shocks, ``effect`` has nothing further to do
    with what ``cause`` was ``lag`` periods before.

    Parameters
    ----------
    effect, cause : str
        Indicators; the same one for its own past.
    lag : int
        Periods from cause to effect.
    given : tuple of (str, int)
        The effect's direct causes with their lags.
    group_effects : tuple of str
        The effect's group effects and shocks, which are given as well.
    """

    effect: str
    cause: str
    lag: int
    given: tuple[tuple[str, int], ...]
    group_effects: tuple[str, ...]

    @property
    def pair(self) -> str:
        """The two that are independent, such as ``falls ⟂ pay[-1]``."""
        return f"{self.effect} ⟂ {_lagged(self.cause, self.lag)}"

    def __str__(self) -> str:
        given = [_lagged(name, lag) for name, lag in self.given] + list(self.group_effects)
        return f"{self.pair} | {', '.join(given)}" if given else self.pair


def _lagged(name: str, lag: int) -> str:
    return f"{name}[-{lag}]" if lag else name


def implications(graph: TwinGraph) -> tuple[Implication, ...]:
    """List a basis of the independences that a twin's graph implies.

    One per arrow that is not drawn, from an indicator that comes before: all others follow from
    these (the pairwise Markov property of an ordered graph [1]_). Each is checked for separation on
    the graph unrolled in time, in which hidden causes stay hidden and the group effects and shocks
    of the effect's own mechanism are known; pairs that a declared hidden cause joins are left out.

    Parameters
    ----------
    graph : TwinGraph

    Returns
    -------
    tuple of Implication
        Effects in causal order; lags up to the longest that is drawn, at least one in a panel.

    References
    ----------
    .. [1] Lauritzen, S. L., Dawid, A. P., Larsen, B. N. and Leimer, H.-G. (1990). Independence
       properties of directed Markov fields. doi:10.1002/net.3230200503
    """
    twin = graph.twin
    longest = max(1, graph.max_lag) if twin.panel.period is not None else 0
    # So late that nothing which is asked about lies in the periods that the past acts on.
    now = 2 * longest + graph.max_lag
    unrolled = graph.unroll(now + 1)
    order = [name for name in graph.order() if twin.indicators[name].is_given]
    order += [name for name in graph.order() if not twin.indicators[name].is_given]
    place = {name: i for i, name in enumerate(order)}
    drawn = {(arrow.cause, arrow.effect, arrow.lag) for arrow in graph.arrows}
    found = []
    for effect in twin.stochastic:
        node: Node = (effect, now)
        given = tuple(
            parent for parent in unrolled.parents(node) if _name(parent) not in twin.hidden_causes
        )
        causes = tuple(
            (parent[0], now - parent[1])
            for parent in given
            if isinstance(parent, tuple) and parent[0] in twin.indicators
        )
        own = tuple(e.name for e in graph.group_effects if e.indicator == effect)
        for cause in order:
            if twin.indicators[cause].equals is not None:
                continue
            for lag in range(longest + 1):
                if lag == 0 and place[cause] >= place[effect]:
                    continue
                if (cause, effect, lag) in drawn:
                    continue
                if _separated(unrolled, node, (cause, now - lag), given):
                    found.append(Implication(effect, cause, lag, causes, own))
    return tuple(sorted(found, key=lambda one: place[one.effect]))


def _name(node: Node) -> str:
    return node if isinstance(node, str) else str(node[0])


def _separated(graph: CausalGraph, a: Node, b: Node, given: tuple[Node, ...]) -> bool:
    return b not in given and graph.is_d_separated([a], [b], list(given))
