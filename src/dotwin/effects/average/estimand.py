"""What an effect estimates, in words and symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dotwin.effects.average.question import Question

__all__ = ["EffectEstimand", "estimand_of"]


@dataclass(frozen=True)
class EffectEstimand:
    """A causal contrast, said twice.

    Parameters
    ----------
    words : str
        A sentence.
    symbols : str
        The same as a formula.
    """

    words: str
    symbols: str

    def __str__(self) -> str:
        return f"{self.words}\n{self.symbols}"


def estimand_of(question: Question) -> EffectEstimand:
    """Say what a question asks for.

    Parameters
    ----------
    question : Question
    """
    twin, outcome = question.twin, question.outcome
    cause = twin.label(question.cause)
    first, second = (name.rpartition(" = ")[2] for name in question.names)
    units = f"{int((question.groups.codes >= 0).sum()):,} {twin.unit}s"
    whom = f"the {units}" + (f" with {question.among}" if question.among is not None else "")
    if question.by:
        whom = f"each group of {', '.join(question.by)} among {whom}"
    weight = f", weighted by {outcome.weight}" if outcome.weight is not None else ""
    if outcome.kind == "rate" and outcome.weight is None:
        weight = ", as a ratio of sums"
    given = " | " + question.among if question.among is not None else ""
    y, a = outcome.text, question.cause
    if question.horizon is None:
        words = (
            f"The {outcome.words} of {whom}{weight}, if {cause} were {second} for all of them, "
            f"less the same if it were {first}; each keeps its given inputs, and what {cause} acts "
            f"on follows."
        )
        symbols = f"E[{y} | do({a} = {second}){given}] − E[{y} | do({a} = {first}){given}]"
        return EffectEstimand(words, symbols)
    labels = question.run.future.labels
    change = question.run.programs[1].changes[question.cause][0]
    acting = [t for t in range(len(labels)) if change.acts(t)]
    begin, end = labels[acting[0]], labels[acting[-1]]
    during = f"in {begin}" if begin == end else f"in each period from {begin} to {end}"
    after = ""
    if acting[-1] < len(labels) - 1:
        after = ", and went on by itself afterwards"
    words = (
        f"By period from {labels[0]} to {labels[-1]}, the {outcome.words} of {whom}{weight}, if "
        f"{cause} were {second} {during}{after}, less the same if it were {first}; everything else "
        f"unfolds from the last states recorded, with all feedback."
    )
    span = f"{a}[{begin}]" if begin == end else f"{a}[{begin}…{end}]"
    past = f"past{', ' + question.among if question.among is not None else ''}"
    symbols = (
        f"E[{y}[t] | do({span} = {second}), {past}] − E[{y}[t] | do({span} = {first}), {past}]"
    )
    return EffectEstimand(words, symbols)
