"""The verdict of identification: whether, by which strategy, and what would help if not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from typing import Literal

from dotwin.graph.adjustment import Adjustment
from dotwin.graph.causal_graph import CausalGraph
from dotwin.graph.estimand import Estimand
from dotwin.graph.expression import Expression, Probability, product, summed
from dotwin.graph.front_door import Instrument, front_door, instruments
from dotwin.graph.general import Hedge, effects_first, names_of
from dotwin.graph.mixed_graph import MixedGraph
from dotwin.graph.question import Question, Words, check_question, listed
from dotwin.graph.separation import Node, OpenPath, node_name

__all__ = ["Identification", "Strategy", "identify"]

type Strategy = Literal["no effect", "back door", "front door", "ID", "instrument"]

#: How many letters of a formula are printed with a verdict; `estimand` prints any.
_FORMULA = 400
#: How many smallest sets of hidden causes a sentence lists.
_LISTED = 3


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
