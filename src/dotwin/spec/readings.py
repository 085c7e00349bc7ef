"""The expressions of a twin: where each one stands, and whether it can be read there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dotwin.errors import ExpressionError, Problem, nearest
from dotwin.spec.expressions import (
    Across,
    Arithmetic,
    Bool,
    Call,
    Compare,
    Expr,
    Not,
    Number,
    Ref,
    Start,
    Text,
    parse,
)
from dotwin.spec.twin import Indicator, Twin

__all__ = ["Place", "Reading", "problems_of_reading", "readings_of", "same_period_parents"]

Place = Literal["cause", "equals", "exposure", "when", "of", "where", "rule", "probability"]

#: Where an expression decides something rather than measures it.
_CONDITIONS = ("when", "where", "probability")
#: Where groups may be named, as in ``region == 'North'``.
_NAMES_GROUPS = ("when", "where", "rule", "probability", "of")


@dataclass(frozen=True)
class Reading:
    """One expression and the place that reads it.

    Parameters
    ----------
    path : tuple of str and int
    text : str
    place : str
    child : str, optional
        The indicator whose mechanism reads it.
    """

    path: tuple[str | int, ...]
    text: str
    place: Place
    child: str | None = None


def readings_of(twin: Twin) -> Iterator[Reading]:
    """Yield every expression of a twin but those of its scenarios."""
    for name, one in twin.indicators.items():
        path = ("indicators", name)
        for text in one.causes:
            yield Reading((*path, "causes", text), text, "cause", name)
        for text in one.zeros.causes if one.zeros is not None else ():
            yield Reading((*path, "zeros", "causes", text), text, "cause", name)
        if one.equals is not None:
            yield Reading((*path, "equals"), one.equals, "equals", name)
        if one.exposure is not None:
            yield Reading((*path, "exposure"), one.exposure, "exposure", name)
        if one.when is not None:
            yield Reading((*path, "when"), one.when, "when", name)
    for name, threshold in twin.thresholds.items():
        yield Reading(("thresholds", name, "of"), threshold.of, "of")


def same_period_parents(twin: Twin) -> dict[str, set[str]]:
    """List what each indicator reads within one period; unreadable expressions read nothing."""
    parents: dict[str, set[str]] = {name: set() for name in twin.indicators}
    for reading in readings_of(twin):
        if reading.child is None:
            continue
        try:
            expression = parse(reading.text)
        except ExpressionError:
            continue
        for name, lag in expression.refs():
            if lag == 0 and name in twin.indicators:
                parents[reading.child].add(name)
    for name, one in twin.indicators.items():
        others = (one.trials or name, one.at_least or name)
        parents[name] |= {other for other in others if other in twin.indicators} - {name}
    return parents


def problems_of_reading(twin: Twin, reading: Reading) -> list[Problem]:
    """List what keeps an expression from being read where it stands.

    Parameters
    ----------
    twin : Twin
    reading : Reading

    Returns
    -------
    list of Problem
    """
    try:
        expression = parse(reading.text)
    except ExpressionError as error:
        return [problem.under(reading.path) for problem in error.problems]
    said = [*_names(twin, reading, expression), *_groups(twin, expression)]
    if not said:
        # Of names that nobody declared nothing more can be said.
        said = [
            *_lags(twin, expression),
            *_shares(twin, expression),
            *_categories(twin, reading, expression),
            *_levels(twin, reading, expression),
            *_form(twin, reading, expression),
        ]
    return [Problem.at(reading.path, what) for what in dict.fromkeys(said)]


def _refs(expression: Expr) -> Iterator[Ref]:
    return (e for e in expression.walk() if isinstance(e, Ref))


def _names(twin: Twin, reading: Reading, expression: Expr) -> Iterator[str]:
    levels = twin.panel.all_levels if reading.place in _NAMES_GROUPS else ()
    compared = {
        side.name: other.name
        for e in expression.walk()
        if isinstance(e, Compare)
        for side, other in ((e.left, e.right), (e.right, e.left))
        if isinstance(side, Ref) and isinstance(other, Ref)
    }
    for ref in _refs(expression):
        if ref.name in twin.indicators:
            continue
        if ref.name in levels:
            if not _is_compared(ref, expression):
                yield (
                    f"'{ref.name}' is a level; it can only be compared with one of its groups, as "
                    f"in {ref.name} == 'North'."
                )
            continue
        if ref.name in twin.panel.all_levels:
            yield (
                f"'{ref.name}' is a level, not an indicator; differences between its groups belong "
                "into pooling or varying."
            )
            continue
        other = compared.get(ref.name)
        if other is not None and (other in levels or _holds_categories(twin, other)):
            yield f"'{ref.name}' is a category; put it in quotes: {other} == '{ref.name}'."
            continue
        yield (
            f"there is no indicator '{ref.name}'. {nearest(ref.name, [*twin.indicators, *levels])}"
        )


def _groups(twin: Twin, expression: Expr) -> Iterator[str]:
    for e in expression.walk():
        if not isinstance(e, Across) or e.over in (*twin.panel.levels, *twin.exposures):
            continue
        if e.over == twin.unit:
            yield f"'{e}' goes over the units of a group; '{e.over}' is the unit itself."
        elif not twin.panel.levels and not twin.exposures:
            yield f"'{e}' needs a level above the unit; panel > levels declares none."
        else:
            known = (*twin.panel.levels, *twin.exposures)
            yield f"there is no level '{e.over}', nor an exposure matrix. {nearest(e.over, known)}"


def _lags(twin: Twin, expression: Expr) -> Iterator[str]:
    for ref in _refs(expression):
        if ref.lag and ref.name in twin.panel.all_levels:
            yield f"'{ref}': a level has no lags."
        elif ref.lag and twin.panel.period is None:
            yield (
                f"'{ref}' is a lag, and a cross-section has one period. Declare panel > period, or "
                "leave the lag out."
            )


def _shares(twin: Twin, expression: Expr) -> Iterator[str]:
    for e in expression.walk():
        match e:
            case Call(function="share", arguments=(Ref(name=name),)) if twin.indicators[
                name
            ].trials is None and twin.indicators[name].family not in ("binomial", "beta_binomial"):
                yield f"'{e}': {name} has no trials, so it has no share; write {name} itself."
            case Call(function="logit", arguments=(Ref(name=name),)) if (
                twin.indicators[name].trials is not None
            ):
                yield f"'{e}': {name} is a count with trials; write logit(share({name}))."
            case Call(function="logit", arguments=(Ref(name=name) as ref,)) if (
                whole := twin.indicators[name].out_of or 1.0
            ) != 1.0:
                part = f"{ref} / {whole:g}"
                yield f"'{e}': {name} is recorded out of {whole:g}; write logit({part})."


def _holds_categories(twin: Twin, name: str) -> bool:
    one = twin.indicators.get(name)
    return one is not None and bool(one.categories)


def _holds_text(one: Indicator) -> bool:
    return bool(one.categories) and one.family is None


def _is_compared(ref: Ref, expression: Expr) -> bool:
    return any(
        isinstance(e, Compare) and e.op in ("==", "!=") and ref in (e.left, e.right)
        for e in expression.walk()
    )


def _categories(twin: Twin, reading: Reading, expression: Expr) -> Iterator[str]:
    for ref in _refs(expression):
        one = twin.indicators.get(ref.name)
        alone = reading.place == "cause" and expression == ref
        if one is None or not _holds_text(one) or alone or _is_compared(ref, expression):
            continue
        yield (
            f"'{ref.name}' holds text; compare it with one of its categories, as in "
            f"{ref.name} == '{one.categories[0]}'"
            + (", or let it be a cause on its own." if reading.place == "cause" else ".")
        )
    for e in expression.walk():
        if not isinstance(e, Compare):
            continue
        for side, other in ((e.left, e.right), (e.right, e.left)):
            if not (isinstance(side, Ref) and isinstance(other, Text)):
                continue
            one = twin.indicators.get(side.name)
            if one is None:
                continue
            if one.categories and other.value not in one.categories:
                hint = nearest(other.value, one.categories)
                yield f"'{side.name}' has no category '{other.value}'. {hint}"
            elif not one.categories and not one.is_given:
                yield f"'{side.name}' holds numbers; it is never {other}."


def _levels(twin: Twin, reading: Reading, expression: Expr) -> Iterator[str]:
    """An indicator of a level can only read what is known at that level."""
    if reading.child is None:
        return
    ranks = {level: rank for rank, level in enumerate(twin.panel.all_levels)}
    level = twin.indicators[reading.child].level or twin.unit
    if level not in ranks:
        return

    def too_fine(e: Expr) -> Iterator[Ref]:
        grouped = isinstance(e, Across) and not e.others and e.over in ranks
        if isinstance(e, Across) and grouped and ranks[e.over] <= ranks[level]:
            return
        if isinstance(e, Ref):
            one = twin.indicators.get(e.name)
            its = e.name if one is None else one.level or twin.unit
            if its in ranks and ranks[its] > ranks[level]:
                yield e
        for child in e.children():
            yield from too_fine(child)

    for ref in too_fine(expression):
        yield (
            f"{reading.child} is recorded by {level}, and {ref.name} differs within one; read it "
            f"as mean({ref}, over={level}) or sum({ref}, over={level})."
        )


def _form(twin: Twin, reading: Reading, expression: Expr) -> Iterator[str]:
    starts = [e for e in expression.walk() if isinstance(e, Start)]
    if starts and reading.place not in ("where", "rule"):
        yield f"'{starts[0]}' has a meaning only in an intervention's where or rule."
    if reading.place in _CONDITIONS:
        inner = expression.item if isinstance(expression, Start) else expression
        if not isinstance(inner, Compare | Bool | Not | Ref):
            yield f"'{reading.text}' is no condition; compare it, as in {reading.text} > 2."
    if not any(_refs(expression)):
        yield f"'{reading.text}' reads no indicator."
    if reading.place == "cause" and reading.child is not None:
        yield from _cause(twin, reading, expression)


def _is_product(expression: Expr) -> bool:
    match expression:
        case Arithmetic(op="*", left=left, right=right):
            return not isinstance(left, Number) and not isinstance(right, Number)
    return False


def _cause(twin: Twin, reading: Reading, expression: Expr) -> Iterator[str]:
    assert reading.child is not None
    child = twin.indicators[reading.child]
    siblings = child.causes
    if child.zeros is not None and "zeros" in reading.path[:3]:
        siblings = child.zeros.causes
    if isinstance(expression, Ref):
        one = twin.indicators[expression.name]
        if one.trials is not None:
            yield (
                f"'{expression}' is a bare count out of {one.trials}: as a cause it mixes how "
                f"often with how many. Write share({expression}) or logit(share({expression})) for "
                f"how often, log1p({expression}) for how many."
            )
    declared: dict[str, str] = {}
    for text in siblings:
        try:
            declared.setdefault(str(parse(text)), text)
        except ExpressionError:
            continue
    same = declared[str(expression)]
    if same != reading.text:
        yield f"is the same cause as '{same}'; keep one."
    if _is_product(expression) and isinstance(expression, Arithmetic):
        for factor in (expression.left, expression.right):
            if str(factor) not in declared:
                yield (
                    f"is an interaction, so '{factor}' must be a cause of its own too; declare it "
                    "beside it."
                )
