"""What a report says of effects and of the other causal answers that were asked for."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dotwin.effects import (
    Attribution,
    Counterfactual,
    Effect,
    FollowUp,
    Influence,
    Mediation,
    Necessity,
    Pilot,
)
from dotwin.errors import SpecificationError
from dotwin.reports.table import Table, from_frame
from dotwin.reports.words import capital

if TYPE_CHECKING:
    import pandas as pd

    from dotwin.inference.fit import Fit

__all__ = ["INTERVAL", "CausalAnswer", "checked", "couples_worlds", "effect_section"]

#: What can be asked of a fit and stands in its report.
CausalAnswer = (
    Effect | Counterfactual | Mediation | Attribution | Necessity | Pilot | FollowUp | Influence
)

#: What an answer about variation is, whatever its licence.
_VARIATION = "shares of variation, not effects"
#: A hyphen that stands for a minus: not that of a date.
_MINUS = re.compile(r"(?<![\w-])-(?=\d)")
INTERVAL = "90 % equal-tailed posterior interval"
_KINDS = {
    Effect: "what acting would bring",
    Counterfactual: "what would have been",
    Mediation: "by which way an effect travels",
    Attribution: "why it changed or differs",
    Necessity: "whether it would have happened anyway",
    Pilot: "what a pilot did",
    FollowUp: "what came of a decision",
    Influence: "where variation comes from",
}


def checked(fit: Fit, effects: Sequence[CausalAnswer]) -> tuple[CausalAnswer, ...]:
    """Return the answers, all of which are this fit's.

    Raises
    ------
    SpecificationError
        When one is no causal answer, or comes from another fit.
    """
    if isinstance(effects, CausalAnswer):
        effects = (effects,)
    for place, one in enumerate(effects, 1):
        if not isinstance(one, CausalAnswer):
            raise SpecificationError(
                f"effects=, number {place} is of type {type(one).__name__}: a report takes what "
                f"fit.effect, fit.counterfactual, fit.mediation, fit.attribute, fit.necessity, "
                f"fit.pilot, fit.influence and futures.follow_up return."
            )
        if all(fit is not other for other in _fits(one)):
            raise SpecificationError(
                f"effects=, number {place} ({one!r}) comes from another fit than the one given."
            )
    return tuple(effects)


def effect_section(number: int, one: CausalAnswer) -> dict[str, Any]:
    """Gather what the page says of one answer.

    Parameters
    ----------
    number : int
        Its place in the report, from 1.
    one : Effect, Counterfactual, Mediation, Attribution, Necessity, Pilot, FollowUp or Influence

    Returns
    -------
    dict
    """
    licence = one.licence
    estimand = getattr(one, "estimand", None)
    return {
        "name": f"effect {number}",
        "heading": capital(_KINDS[type(one)]),
        "sentence": _MINUS.sub("−", repr(one)),
        "estimand": "" if estimand is None else getattr(estimand, "words", str(estimand)),
        "meaning": _VARIATION if isinstance(one, Influence) else licence.meaning,
        "licence": {
            name: {"status": verdict.status, "sentence": verdict.sentence}
            for name, verdict in (
                ("identified", licence.identified),
                ("supported", licence.supported),
                ("converged", licence.converged),
                ("backtested", licence.backtested),
            )
        },
        "notes": [f"{capital(note).rstrip('.')}." for note in getattr(one, "notes", ())],
        "table": _table(one.summary()),
    }


def couples_worlds(one: CausalAnswer) -> bool:
    """Whether an answer holds two worlds' values of one unit at once."""
    if isinstance(one, Mediation):
        return one.kind != "interventional"
    # Futures that are compared as they come hold no world that did not happen.
    return not isinstance(one, Effect | Pilot | FollowUp | Influence)


def _fits(one: CausalAnswer) -> tuple[Fit, ...]:
    """Return what an answer was asked of: the change between two fits is asked of both."""
    if isinstance(one, Effect):
        return (one.question.fit,)
    if isinstance(one, Pilot):
        return (one.fit,)
    if isinstance(one, Attribution):
        return tuple(end.fit for compared in one.comparisons for end in compared.ends)
    return (one.run.fit,)


def _table(frame: pd.DataFrame) -> Table:
    """Show a summary whole; a percent sign stands apart from its number."""
    columns = [(str(name), str(name).replace("%", " %")) for name in frame.columns]
    return from_frame(frame, "The answer in numbers", columns, INTERVAL)
