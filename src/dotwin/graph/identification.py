"""The verdict of identification: whether, by which strategy, and what would help if not."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Literal

from dotwin.errors import SpecificationError
from dotwin.graph.adjustment import Adjustment
from dotwin.graph.causal_graph import CausalGraph, Node, OpenPath, node_name
from dotwin.graph.estimand import Estimand
from dotwin.graph.expression import Expression, Probability, product, summed
from dotwin.graph.front_door import Instrument, front_door, instruments
from dotwin.graph.general import (
    Hedge,
    conditional_effect,
    effects_first,
    joint_effect,
    names_of,
)
from dotwin.graph.mixed_graph import MixedGraph
from dotwin.graph.remedies import smallest_to_record

__all__ = ["Identification", "Strategy", "Words", "identify", "query_of"]

type Strategy = Literal["no effect", "back door", "front door", "ID", "instrument"]

#: How many letters of a formula are printed with a verdict; `estimand` prints any.
_FORMULA = 400
#: How many variables held fixed are named.
_HELD = 8
#: How many smallest sets of hidden causes a sentence lists.
_LISTED = 3


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


@dataclass(frozen=True, eq=False)
class Identification:
    """Whether a causal quantity follows from a graph and what is observed, and how.

    Parameters
    ----------
    query : str
        ``P(Y | do(X))``.
    identified : bool
    strategy : {'no effect', 'back door', 'front door', 'ID', 'instrument'} or None
        The simplest that works; 'ID' is the general algorithm. 'instrument' stands only beside
        ``identified=False``: an instrument bounds an effect, and identifies it only with a further
        assumption about the equations. None when nothing helps.
    reason : str
        The verdict in a sentence or two for people.
    adjustment : frozenset of Node or None
        With the back door: the set with the smallest asymptotic variance where one is known, else
        a smallest one.
    mediators : frozenset of Node or None
        With the front door: what the causes act through.
    estimand : Estimand or None
        The formula, where identified.
    hedge : Hedge or None
        Where not identified: the variables that hidden causes tie together.
    open_path : OpenPath or None
        Where not identified: a shortest path by which something else moves causes and outcomes.
    instruments : tuple of Instrument
        Where one cause's effect on one outcome is not identified.
    assuming : tuple of str
        What counts as known although no column records it.
    """

    query: str
    identified: bool
    strategy: Strategy | None
    reason: str
    adjustment: frozenset[Node] | None = None
    mediators: frozenset[Node] | None = None
    estimand: Estimand | None = None
    hedge: Hedge | None = None
    open_path: OpenPath | None = None
    instruments: tuple[Instrument, ...] = ()
    assuming: tuple[str, ...] = ()
    _question: Question | None = field(default=None, repr=False)

    @property
    def optimal_adjustment(self) -> frozenset[Node] | None:
        """The valid set with the smallest asymptotic variance, where one is known."""
        return self._set(None if self._sets is None else self._sets.optimal)

    @property
    def smallest_adjustment(self) -> frozenset[Node] | None:
        """A valid set with the fewest members, or None when there is none."""
        return self._set(None if self._sets is None else self._sets.smallest)

    def adjustment_sets(self) -> Iterator[frozenset[Node]]:
        """Yield every valid set of which nothing can be left out, one at a time."""
        if self._sets is not None and self._question is not None:
            for bits in self._sets.minimal():
                yield frozenset(self._question.mixed.named(bits))

    @cached_property
    def would_identify(self) -> tuple[tuple[str, ...], ...]:
        """Every smallest set of hidden causes that, if recorded, would make it identified.

        Empty where the effect is identified already, or where recording them all would not help.
        """
        if self.identified or self._question is None:
            return ()
        return self._question.would_identify()

    @property
    def what_to_record(self) -> str:
        """`would_identify` as a sentence; empty where there is nothing to say."""
        sets = self.would_identify
        if not sets:
            return ""
        several = [listed([_the(name) for name in one]) for one in islice(sets, _LISTED)]
        if len(sets) > _LISTED:
            several.append(f"one of {len(sets) - _LISTED} other sets of {len(sets[0])}")
        head = "" if len(sets) == 1 else "either "
        return f"Recording {head}{', or '.join(several)} would identify it."

    @property
    def _sets(self) -> Adjustment | None:
        found = None if self._question is None else self._question.adjustment
        return found if found is not None and found.exists else None

    def _set(self, bits: int | None) -> frozenset[Node] | None:
        if bits is None or self._question is None:
            return None
        return frozenset(self._question.mixed.named(bits))

    def __str__(self) -> str:
        if self.identified:
            lines = [f"{self.query}: identified ({self.strategy}). {self.reason}"]
            formula = str(self.estimand)
            if len(formula) <= _FORMULA:
                lines.append(f"{self.query} = {formula}")
        else:
            lines = [f"{self.query}: not identified. {self.reason}"]
            if self.what_to_record:
                lines.append(self.what_to_record)
        lines += self.assuming
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)


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
        self.plain = graph.without_deterministic(keep=outcomes | given | keep)
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


def identify(
    graph: CausalGraph,
    causes: frozenset[Node],
    outcomes: frozenset[Node],
    given: frozenset[Node] = frozenset(),
    *,
    words: Words | None = None,
    recordable: Mapping[str, frozenset[Node]] | None = None,
    assuming: tuple[str, ...] = (),
    known: frozenset[Node] = frozenset(),
) -> Identification:
    """Judge whether P(outcomes | do(causes), given) follows from what a graph's columns record.

    Parameters
    ----------
    graph : CausalGraph
    causes, outcomes, given : frozenset of Node
    words : Words, optional
        How variables are called in sentences.
    recordable : dict of str to frozenset of Node, optional
        The hidden causes that somebody could record; all of the graph unless given.
    assuming : tuple of str
        What counts as known although no column records it, in sentences.
    known : frozenset of Node
        The nodes of which these sentences speak; none of them is offered as an instrument.

    Returns
    -------
    Identification

    Raises
    ------
    SpecificationError
        When the question makes no sense: nothing asked about, a variable on two sides of it, one
        that no column records, or an exact one that is to be set.
    """
    check_question(graph, causes, outcomes, given)
    asked = Question(graph, causes, outcomes, given, words, recordable)
    say = asked.words

    def verdict(
        strategy: Strategy,
        reason: str,
        expression: Expression,
        adjustment: frozenset[Node] | None = None,
        mediators: frozenset[Node] | None = None,
    ) -> Identification:
        shown = (*asked.ordered(outcomes), *asked.ordered(causes), *asked.ordered(given))
        estimand = Estimand(asked.query, expression, tuple(map(node_name, shown)))
        return Identification(
            asked.query,
            True,
            strategy,
            reason,
            adjustment,
            mediators,
            estimand,
            assuming=assuming,
            _question=asked,
        )

    mixed, x, y, z = asked.mixed, asked.x, asked.y, asked.z
    what, on = say.listed(asked.ordered(causes)), say.listed(asked.ordered(outcomes))
    if not x:
        return verdict(
            "no effect",
            f"No chain of causes leads from {what} to {on}, so setting it changes nothing there."
            if causes
            else "Nothing is set.",
            Probability(names_of(mixed, y), names_of(mixed, z)),
        )
    if asked.adjustment is not None and asked.adjustment.exists:
        bits = asked.adjustment.optimal
        if bits is None:
            bits = asked.adjustment.smallest or 0
        chosen = mixed.named(bits)
        reason = (
            f"Adjusting for {say.listed(chosen)} closes every path by which something else moves "
            f"both {what} and {on}."
            if chosen
            else f"Nothing else moves both {what} and {on}, so no adjustment is needed."
        )
        return verdict("back door", reason, adjusted(mixed, x, y, z, bits), frozenset(chosen))
    if not z and (through := front_door(mixed, x, y)) is not None:
        mediators = mixed.named(through)
        reason = (
            f"{what} acts on {on} only through {say.listed(mediators)}. Nothing hidden moves both "
            f"{what} and {say.listed(mediators)}, and {what} blocks all else that moves both "
            f"{say.listed(mediators)} and {on}, so the two steps are measured one by one."
        )
        return verdict(
            "front door",
            _sentence(reason),
            _through(mixed, x, y, through),
            mediators=frozenset(mediators),
        )
    found = asked.effect()
    if isinstance(found, Hedge):
        return _not_identified(asked, found, assuming, known)
    return verdict(
        "ID",
        "No one set to adjust for and no front door gives it, but the general algorithm finds a "
        "formula.",
        found,
    )


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


def adjusted(mixed: MixedGraph, x: int, y: int, z: int, chosen: int) -> Expression:
    """Return the formula of adjustment for a set."""
    law = Probability(names_of(mixed, y), (*names_of(mixed, x), *names_of(mixed, z | chosen)))
    if not chosen:
        return law
    weights = Probability(names_of(mixed, chosen), names_of(mixed, z))
    return summed(effects_first(mixed, chosen), product([law, weights]))


def _through(mixed: MixedGraph, x: int, y: int, mediators: int) -> Expression:
    """Return the formula of the front door."""
    second = summed(
        names_of(mixed, x),
        product(
            [
                Probability(names_of(mixed, x)),
                Probability(names_of(mixed, y), names_of(mixed, x | mediators)),
            ]
        ),
    )
    first = Probability(names_of(mixed, mediators), names_of(mixed, x))
    return summed(effects_first(mixed, mediators), product([first, second]))


def _not_identified(
    asked: Question, hedge: Hedge, assuming: tuple[str, ...], known: frozenset[Node]
) -> Identification:
    say, mixed = asked.words, asked.mixed
    path, shown = asked.path_in_words()
    tied, rest = say.listed(hedge.larger), say.listed(hedge.smaller)
    reason = (
        f"Hidden causes tie {tied} together, and the answer needs {rest} apart from the rest of "
        f"this group, which nothing recorded gives: two systems can agree on all that is recorded "
        f"and differ in the answer."
    )
    reason += shown
    found: tuple[Instrument, ...] = ()
    if len(asked.causes) == len(asked.outcomes) == 1 and not asked.given:
        every = instruments(mixed, asked.x, asked.y)
        found = tuple(one for one in every if one.variable not in known)
    if found:
        reason += (
            f" {_instrument_words(found, say)}: it bounds the effect, and identifies it only with "
            f"a further assumption about the equations, such as linearity, or that it moves nobody "
            f"in the opposite direction."
        )
    return Identification(
        asked.query,
        False,
        "instrument" if found else None,
        _sentence(reason),
        hedge=hedge,
        open_path=path,
        instruments=found,
        assuming=assuming,
        _question=asked,
    )


def _instrument_words(found: tuple[Instrument, ...], say: Words) -> str:
    first = found[0]
    given = f", given {say.listed(first.given)}," if first.given else ""
    return _sentence(f"{say.name(first.variable)}{given} is an instrument")


def _the(name: str) -> str:
    return f"the {name}" if name.startswith("hidden cause of ") else name


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]
