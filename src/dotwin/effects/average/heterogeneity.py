"""Where differences between groups come from: coefficients that vary, or different starting points.

Groups differ in an effect for two reasons that look alike in a table and mean different things. A
mechanism on the way may act more strongly in one group: its coefficient varies, by a varying slope
or an interaction. Or the same coefficient acts from another starting point, and the scale on which
the outcome is read does the rest: +0.5 on the logit of a risk of 1 % is another difference than on
that of 40 %.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dotwin.spec.expressions import Ref

if TYPE_CHECKING:
    from dotwin.effects.average.question import Question
    from dotwin.mechanisms.equation import Term

__all__ = ["heterogeneity_of"]


def heterogeneity_of(question: Question) -> str:
    """Name the source of differences between groups.

    Parameters
    ----------
    question : Question

    Returns
    -------
    str
        Starts with 'the coefficient varies', 'same coefficient, different starting point' or
        'same effect everywhere'.
    """
    twin, fit = question.twin, question.fit
    graph = twin.graph
    ends = set(question.outcome.indicators)
    above = ends.union(*(graph.ancestors(end) for end in ends))
    way = (graph.descendants(question.cause) | {question.cause}) & above
    found: dict[str, None] = {}
    straight = True
    for child in twin.indicators:
        if child not in way or child == question.cause:
            continue
        if child not in fit.designs:
            straight = False
            continue
        equation = fit.designs[child].equation
        straight &= equation.family.link == "identity" and len(equation.predictors) == 1
        for predictor in equation.predictors:
            for term in predictor.terms:
                if term.is_unit_constant or not _names(term) & way:
                    continue
                what = f"{twin.label(child)} on {' * '.join(map(str, term.factors))}"
                for level in term.varying:
                    found[f"{what} by {level}"] = None
                for other in sorted(_others(term, way)):
                    found[f"{what}, with {twin.label(other)}"] = None
                straight &= all(isinstance(factor, Ref) for factor in term.factors)
    if found:
        return f"the coefficient varies: {'; '.join(found)}"
    rate = question.outcome.kind in ("condition", "expression")
    if straight and not rate and len(question.outcome.indicators) == 1:
        return "same effect everywhere: the same coefficients, and nothing bends them"
    return "same coefficient, different starting point"


def _names(term: Term) -> frozenset[str]:
    return frozenset().union(*(factor.names() for factor in term.factors))


def _others(term: Term, way: set[str]) -> set[str]:
    """What else an interaction multiplies with."""
    if len(term.factors) == 1 and isinstance(term.factors[0], Ref):
        return set()
    return set(_names(term)) - way
