"""The causal graph of a twin: indicators, their lags, group effects, shocks and hidden causes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cached_property
from typing import TYPE_CHECKING

from dotwin.errors import SpecificationError, nearest
from dotwin.graph.arrows import Arrow, GroupEffect, arrows_into, group_effects
from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.separation import Node
from dotwin.spec.expressions import parse
from dotwin.spec.twin import Indicator, Twin

if TYPE_CHECKING:
    from dotwin.graph.assumptions import Assumptions
    from dotwin.graph.components import Component
    from dotwin.graph.draw import Drawing
    from dotwin.graph.identification import Identification
    from dotwin.graph.implications import Implication
    from dotwin.graph.natural_values import Kind as ChangeKind

__all__ = ["PAST", "TwinGraph"]

#: The one hidden node that stands for everything before the window of an unrolled graph.
PAST = "the past before the window"


class TwinGraph:
    """The lagged causal graph that a twin declares.

    Its nodes are the indicators, the group effects and shocks of their mechanisms, and the hidden
    causes. An arrow is drawn from everything that an indicator's mechanism reads: its causes, what
    it is counted out of, and what bounds, switches or defines it.

    Parameters
    ----------
    twin : Twin

    Raises
    ------
    SpecificationError
        When arrows within one period form a cycle; the message names it.

    Examples
    --------
    >>> import dotwin as dw
    >>> twin = dw.Twin(
    ...     twin="staffing",
    ...     panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
    ...     indicators={
    ...         "staff": {"domain": "workforce", "family": "normal", "causes": {"falls[-1]": {}}},
    ...         "falls": {"domain": "quality", "family": "poisson", "causes": {"staff": {}}},
    ...     },
    ... )
    >>> twin.graph.order(), twin.graph.feedback("falls", "staff")
    (('staff', 'falls'), True)
    """

    def __init__(self, twin: Twin) -> None:
        self.twin = twin
        self.arrows: tuple[Arrow, ...] = tuple(
            arrow
            for name, indicator in twin.indicators.items()
            for arrow in arrows_into(twin, name, indicator)
        )
        self.group_effects: tuple[GroupEffect, ...] = tuple(
            effect
            for name, indicator in twin.indicators.items()
            for effect in group_effects(twin, name, indicator)
        )
        try:
            same_period = CausalGraph(self._same_period, nodes=self.indicators)
        except SpecificationError as error:
            raise SpecificationError(
                f"within one period, {error} A lag such as x[-1] turns a cycle into feedback."
            ) from None
        self._order = tuple(str(node) for node in same_period.topological_order())

    def __repr__(self) -> str:
        lagged = sum(arrow.lag > 0 for arrow in self.arrows)
        return (
            f"TwinGraph of {self.twin.name!r}: {len(self.indicators)} indicators, "
            f"{len(self.arrows)} arrows ({lagged} lagged), "
            f"{len(self.twin.hidden_causes)} hidden causes"
        )

    # ── the parts ──────────────────────────────────────────────────────────────────────────────

    @property
    def indicators(self) -> tuple[str, ...]:
        """The indicators, as declared."""
        return tuple(self.twin.indicators)

    @property
    def max_lag(self) -> int:
        """The longest lag of any arrow, in periods."""
        return max((arrow.lag for arrow in self.arrows), default=0)

    @property
    def _same_period(self) -> list[tuple[Node, Node]]:
        return [(arrow.cause, arrow.effect) for arrow in self.arrows if arrow.lag == 0]

    @cached_property
    def _summary(self) -> dict[str, tuple[str, ...]]:
        children: dict[str, dict[str, None]] = {name: {} for name in self.indicators}
        for arrow in self.arrows:
            children[arrow.cause][arrow.effect] = None
        return {name: tuple(found) for name, found in children.items()}

    def order(self) -> tuple[str, ...]:
        """Return the indicators so that within a period causes come before effects."""
        return self._order

    def parents(self, indicator: str) -> tuple[str, ...]:
        """Return the indicators that act on this one directly, at any lag."""
        self._known(indicator)
        return tuple(name for name in self.indicators if indicator in self._summary[name])

    def children(self, indicator: str) -> tuple[str, ...]:
        """Return the indicators on which this one acts directly, at any lag."""
        self._known(indicator)
        return tuple(name for name in self.indicators if name in self._summary[indicator])

    def descendants(self, indicator: str) -> frozenset[str]:
        """Return all that this one acts on in time; itself too, when it feeds back to itself."""
        self._known(indicator)
        found: set[str] = set()
        waiting = [indicator]
        while waiting:
            fresh = [name for name in self._summary[waiting.pop()] if name not in found]
            found.update(fresh)
            waiting += fresh
        return frozenset(found)

    def ancestors(self, indicator: str) -> frozenset[str]:
        """Return all that act on this one in time; itself too, when it feeds back to itself."""
        self._known(indicator)
        return frozenset(name for name in self.indicators if indicator in self.descendants(name))

    def reaches(self, cause: str, effect: str) -> bool:
        """Tell whether a directed path leads from cause to effect, in the same or a later period.

        ``reaches(x, x)`` tells whether x at one period acts on x at a later one.
        """
        self._known(effect)
        return effect in self.descendants(cause)

    def feedback(self, child: str, cause: str) -> bool:
        """Tell whether the child acts, in time, on its own cause (or on itself)."""
        return self.reaches(child, cause)

    def label(self, node: str) -> str:
        """Return what people read for an indicator or hidden cause."""
        if node in self.twin.hidden_causes:
            return self.twin.hidden_causes[node].label or node.replace("_", " ")
        return self.twin.label(node)

    def _known(self, indicator: str) -> None:
        if indicator not in self.twin.indicators:
            raise SpecificationError(
                f"the twin has no indicator '{indicator}'. {nearest(indicator, self.indicators)}"
            )

    # ── through time ───────────────────────────────────────────────────────────────────────────

    def unroll(self, periods: int, past: bool = True) -> CausalGraph:
        """Return the graph over a window of periods, for a unit.

        A node ``("x", t)`` is indicator x at period t, counted from 0. A group effect is one
        hidden node with an arrow into each period; shocks and hidden causes of level 'period', or
        over periods, have a node per period. Such a hidden cause may persist, so each of its
        periods acts on the next. A trend that walks is one node as well.

        What came before the window is one hidden node, `PAST`. It acts on every indicator at the
        first periods, as many as the longest lag, except on those that vary for declared reasons
        of their own; group effects and stable hidden causes act on it, since values before the
        window already carry them.

        Parameters
        ----------
        periods : int
            Length of the window.
        past : bool
            Whether the past before the window is a hidden node.

        Returns
        -------
        CausalGraph

        Notes
        -----
        An indicator that equals others of its unit is marked as exact, once all that it reads lies
        inside the window.

        A cause that reads other units, such as a regional mean, is drawn as an arrow from the
        unit's own indicator: the graph stands for any one unit, and what acts on the others'
        values acts on its own.
        """
        if periods < 1:
            raise ValueError(f"a window has one period or more, not {periods}.")
        edges: list[tuple[Node, Node]] = []
        latent: dict[Node, None] = {}
        stable: list[Node] = []
        for arrow in self.arrows:
            edges += [
                ((arrow.cause, t - arrow.lag), (arrow.effect, t)) for t in range(arrow.lag, periods)
            ]
        for effect in self.group_effects:
            per_period = effect.level == "period"
            for t in range(periods):
                source: Node = (effect.name, t) if per_period else effect.name
                edges.append((source, (effect.indicator, t)))
                latent[source] = None
            if not per_period:
                stable.append(effect.name)
        for name, hidden in self.twin.hidden_causes.items():
            per_period = "period" in (hidden.level, hidden.over)
            for t in range(periods):
                source = (name, t) if per_period else name
                edges += [(source, (affected, t)) for affected in hidden.affects]
                latent[source] = None
                if per_period and t:
                    edges.append(((name, t - 1), source))
            if self.twin.panel.period is not None:
                stable.append((name, 0) if per_period else name)
        if past and self.max_lag:
            latent[PAST] = None
            edges += [
                (PAST, (name, t))
                for name, indicator in self.twin.indicators.items()
                if not is_exogenous(indicator)
                for t in range(min(self.max_lag, periods))
            ]
            # A period's hidden cause begins before the window, so there the past acts on it.
            edges += [(PAST, n) if isinstance(n, tuple) else (n, PAST) for n in stable]
        nodes = [(name, t) for t in range(periods) for name in self.order()]
        exact = [(name, t) for name, lag in self._exact.items() for t in range(lag, periods)]
        return CausalGraph(edges, nodes=nodes, latent=latent, deterministic=exact)

    @property
    def _exact(self) -> dict[str, int]:
        """The indicators that are functions of others in their own unit, with their longest lag."""
        found: dict[str, int] = {}
        for name, indicator in self.twin.indicators.items():
            arrows = [arrow for arrow in self.arrows if arrow.effect == name]
            if indicator.equals is None or indicator.residual == "keep" or not arrows:
                continue
            # What is read of other units, or is no indicator, is not in the unit's own graph.
            known = parse(indicator.equals).names() <= self.twin.indicators.keys()
            if known and not any(arrow.across for arrow in arrows):
                found[name] = max(arrow.lag for arrow in arrows)
        return found

    def identify(
        self,
        causes: str | Collection[str],
        outcome: str,
        *,
        kind: ChangeKind | Mapping[str, ChangeKind] = "do",
        reads: Collection[str] = (),
        carry: Collection[str] = (),
        periods: int | None = None,
    ) -> Identification:
        """Tell whether the effect of changing indicators on an outcome follows from the data.

        The question is put to the graph unrolled over a window of periods, in which the past
        before the window, group effects, shocks and hidden causes are nodes. The causes are
        changed in every period from the first whose lags lie inside the window; the outcome is
        asked about in each period from then on, and the answer is that for the last one, or for
        the first that is not identified.

        First no hidden node counts as known. Where that identifies nothing, group effects and
        period shocks do, as far as each enters one mechanism alone, because that mechanism's
        model estimates them; ``assuming`` then says so.

        Whether an effect is identified is one thing, whether this model computes it another:
        `licence` says that.

        Parameters
        ----------
        causes : str or collection of str
            Indicators.
        outcome : str
        kind, reads, carry
            As in `CausalGraph.identify_change`, for indicators.
        periods : int, optional
            Length of the window. Long enough for the longest chain of lags from cause to outcome
            and three periods more, unless given.

        Returns
        -------
        Identification
            Nodes are ``(indicator, period)``, periods counted from the window's first, 0.

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
        ... )
        >>> twin.graph.identify("staff", "falls").strategy
        'back door'
        """
        from dotwin.graph.through_time import identify_through_time

        chosen = (causes,) if isinstance(causes, str) else tuple(dict.fromkeys(causes))
        kinds = kind if isinstance(kind, Mapping) else dict.fromkeys(chosen, kind)
        return identify_through_time(self, chosen, outcome, kinds, reads, carry, periods)

    def components(self, impute: Collection[str] = ()) -> tuple[Component, ...]:
        """Return the groups of mechanisms that share an unknown, each as small as can be.

        An imputed cause is an unknown of its own mechanism and of every mechanism that reads it,
        directly or through an exact indicator. A hidden cause that is fitted is an unknown of all
        that it affects. Those that are declared only are named with the mechanisms that they act
        on, and join none.

        Parameters
        ----------
        impute : collection of str
            Indicators whose missing values are parameters.

        Returns
        -------
        tuple of Component
            Every indicator with a family is in exactly one.
        """
        from dotwin.graph.components import components

        return components(self, impute)

    # ── for people ─────────────────────────────────────────────────────────────────────────────

    def assumptions(self) -> Assumptions:
        """Return every claim that the graph makes, a sentence each.

        Returns
        -------
        Assumptions
            A tuple of `Assumption` that prints as a list of sentences.
        """
        from dotwin.graph.assumptions import assumptions

        return assumptions(self)

    def implications(self) -> tuple[Implication, ...]:
        """List a basis of the conditional independences that the graph implies.

        Returns
        -------
        tuple of Implication
            One per arrow that is not drawn; `Fit.test_graph` tests them.

        Examples
        --------
        >>> import dotwin as dw
        >>> twin = dw.Twin(
        ...     twin="staffing",
        ...     panel={"unit": "home"},
        ...     indicators={
        ...         "pay": {"domain": "workforce"},
        ...         "staff": {"domain": "workforce", "family": "normal", "causes": {"pay": {}}},
        ...         "falls": {"domain": "quality", "family": "poisson", "causes": {"staff": {}}},
        ...     },
        ... )
        >>> [str(one) for one in twin.graph.implications()]
        ['falls ⟂ pay | staff']
        """
        from dotwin.graph.implications import implications

        return implications(self)

    def draw(self) -> Drawing:
        """Draw the graph as SVG.

        Returns
        -------
        Drawing
            Shows itself in a notebook; ``.svg`` is the text and ``.save(path)`` writes it.
        """
        from dotwin.graph.draw import draw

        return draw(self)


def is_exogenous(indicator: Indicator) -> bool:
    """Tell whether a given varies for a declared reason that touches none of its effects."""
    if not indicator.is_given:
        return False
    # A rule reads something, and a given declares no causes that would say what.
    by_design = indicator.assigned is not None and indicator.assigned.how != "rule"
    return bool(indicator.unconfounded) or by_design
