"""Interventions as values: what is changed, by how much, when and for whom."""

from __future__ import annotations

import ast
import math
import re
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_serializer, model_validator

from dotwin.errors import SpecificationError, nearest
from dotwin.spec.expressions import parse
from dotwin.spec.prior import Prior
from dotwin.spec.value import Number, Value, Whole, described, shortest

__all__ = ["VERBS", "Intervention"]

Verb = Literal["do", "shift", "scale", "at_least", "at_most", "policy", "block", "redeploy"]

_WHEN = ("start", "until", "periods")
_CHANGE = (*_WHEN, "over", "where", "carry")
#: Verb -> the options that it takes.
VERBS: dict[str, tuple[str, ...]] = {
    "do": (*_WHEN, "over", "where"),
    "shift": _CHANGE,
    "scale": _CHANGE,
    "at_least": _CHANGE,
    "at_most": _CHANGE,
    "policy": (*_WHEN, "over", "where"),
    "block": _WHEN,
    "redeploy": ("within", "share", "amount", "floor", *_CHANGE),
}
_OPTIONS = frozenset(option for options in VERBS.values() for option in options)
#: Verb -> the field that its second argument is; a value for all others.
_SECOND = {"policy": "rule", "block": "effect", "redeploy": "rule"}
#: Verb -> how it is written.
_FORMS = {
    "policy": "write it as policy(agency_share, '0.5 * vacancy_rate[-1]', start=3)",
    "block": "write it as block(vacancy_rate, missed_visits)",
    "redeploy": "write it as redeploy(nurse_hours, 'acuity[-1]', within=region, share=0.1)",
}
_FORM = "write it as shift(vacancy_rate, -0.02, start=3, over=4, where='acuity > 2')"
_PERIOD = re.compile(r"\d{4}([- ]?Q[1-4]|-?W\d{1,2}|-\d{1,2}(-\d{1,2})?)?")


def _amount(value: Any) -> float | Prior:
    if isinstance(value, Prior):
        return value
    if isinstance(value, str):
        return Prior.parse(value)
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise SpecificationError(
            f"must be a number or a distribution such as normal(0.1, 0.02), not {described(value)}."
        )
    return number


def _period(value: Any) -> int | str | None:
    if value is None or (isinstance(value, str) and _PERIOD.fullmatch(value)):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise SpecificationError(
        f"must count future periods from 1, or name a period such as '2025-03' or '2025Q1'; "
        f"{described(value)} is neither."
    )


type Amount = Annotated[float | Prior, PlainValidator(_amount)]
type PeriodMark = Annotated[int | str | None, PlainValidator(_period)]


class Intervention(Value):
    """One change to one indicator's mechanism.

    Build it with `do`, `shift`, `scale`, `at_least`, `at_most`, `policy`, `block` or `redeploy`,
    or write the same call as text in YAML. ``do`` and ``policy`` set the value, ``block`` cuts one
    arrow; the others change the *natural value*, the one that the intervened world itself yields in
    each period. Other indicators see the changed value; the indicator's own lag sees the natural
    one unless ``carry`` is true.

    Parameters
    ----------
    verb : {'do', 'shift', 'scale', 'at_least', 'at_most', 'policy', 'block', 'redeploy'}
    indicator : str
        For ``block`` the cause.
    value : float or Prior, optional
        In the indicator's own unit; a share for indicators with trials; a factor for ``scale``.
        A distribution is drawn once per posterior draw, and alike in all scenarios that say the
        same change.
    rule : str, optional
        For ``policy`` the value, for ``redeploy`` whose need is greater, as an expression of the
        period's state.
    effect : str, optional
        For ``block`` the indicator that no longer sees the cause.
    within : str, optional
        For ``redeploy`` the level within whose groups the total stays the same.
    share, amount : float or Prior, optional
        For ``redeploy`` how much a unit gives: a share of what it has, or an amount.
    floor : float, optional
        For ``redeploy`` the value below which nobody gives; 0 unless said otherwise.
    start : int or str, optional
        First period: a count of future periods from 1, or a period such as ``2025-03``. The first
        future period unless said otherwise.
    until : int or str, optional
        Last period, in the same words. For good unless said otherwise.
    periods : int, optional
        How many periods it lasts; instead of ``until``.
    over : int, optional
        Rise linearly to full strength in the ``over``-th period, and stay.
    where : str, optional
        A condition: on levels and givens a fixed group, on an indicator a rule that is read anew
        each period, with ``start(...)`` the group fixed when the intervention begins.
    carry : bool
        Whether the indicator's own lag sees the changed value: a shock that persists.
    """

    verb: Verb
    indicator: str
    value: Amount | None = None
    rule: str | None = None
    effect: str | None = None
    within: str | None = None
    share: Amount | None = None
    amount: Amount | None = None
    floor: Number | None = None
    start: PeriodMark = None
    until: PeriodMark = None
    periods: Annotated[Whole, Field(ge=1)] | None = None
    over: Annotated[Whole, Field(ge=1)] | None = None
    where: str | None = None
    carry: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, data: Any) -> Any:
        return _read(data) if isinstance(data, str) else data

    @model_validator(mode="after")
    def _sound(self) -> Intervention:
        second = _SECOND.get(self.verb, "value")
        if getattr(self, second) is None:
            form = _FORMS.get(self.verb, _FORM)
            raise SpecificationError(
                f"{self.verb}({self.indicator}): its {second} is missing; {form}."
            )
        if self.until is not None and self.periods is not None:
            raise SpecificationError(f"'{self}': give until= or periods=, not both.")
        first, last = self.window
        if last < first:
            raise SpecificationError(f"'{self}': until comes before start.")
        if self.verb in ("do", "policy") and self.carry:
            raise SpecificationError(
                f"'{self}': what is set has no natural value left for its own lag to see; "
                "carry belongs to shift, scale, at_least, at_most and redeploy."
            )
        for option in sorted(self._given - {*VERBS[self.verb], second}):
            accepted = ", ".join(VERBS[self.verb])
            raise SpecificationError(
                f"'{self}': {self.verb} has no {option}=. Accepted: {accepted}."
            )
        for text in (self.where, self.rule):
            if text is not None:
                parse(text)
        if self.verb == "redeploy":
            self._conserves()
        if self.verb == "block" and self.effect == self.indicator:
            raise SpecificationError(
                f"'{self}': block cuts an arrow between two indicators; what an indicator keeps of "
                f"its own past is part of its mechanism."
            )
        return self

    def _conserves(self) -> None:
        if self.within is None:
            raise SpecificationError(
                f"'{self}': say within which groups the total stays the same, as in within=region."
            )
        if (self.share is None) == (self.amount is None):
            raise SpecificationError(
                f"'{self}': say how much a unit gives: share= (of what it has) or amount=."
            )
        if isinstance(self.share, float) and not 0 < self.share <= 1:
            raise SpecificationError(f"'{self}': share is above 0 and at most 1.")
        if isinstance(self.amount, float) and not self.amount > 0:
            raise SpecificationError(f"'{self}': amount is above 0.")
        if self.floor is not None and self.floor < 0:
            raise SpecificationError(f"'{self}': floor is 0 or more.")

    @property
    def _given(self) -> set[str]:
        """The options that are said."""
        plain = {"verb", "indicator"}
        return {
            name
            for name in type(self).model_fields.keys() - plain
            if getattr(self, name) is not None and getattr(self, name) is not False
        }

    @property
    def window(self) -> tuple[float, float]:
        """First and last future period, counted from 1; infinite where a date or nothing says."""
        first = self.start if isinstance(self.start, int) else 1
        if isinstance(self.until, int):
            return first, self.until
        if self.periods is not None and not isinstance(self.start, str):
            return first, first + self.periods - 1
        return first, math.inf

    @property
    def changed(self) -> str:
        """The indicator whose value it changes: for ``block`` the effect."""
        return self.effect if self.effect is not None else self.indicator

    @property
    def expressions(self) -> tuple[str, ...]:
        """What it reads: the condition and the rule."""
        return tuple(text for text in (self.where, self.rule) if text is not None)

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    def __str__(self) -> str:
        second = _SECOND.get(self.verb, "value")
        parts = [self.indicator, _written(getattr(self, second), bare=second != "rule")]
        # What does not belong is shown too, by the message that refuses it.
        ordered = [*VERBS[self.verb], *sorted(self._given - {*VERBS[self.verb]})]
        for name in ordered:
            option = getattr(self, name)
            if name != second and option is not None and option is not False:
                parts.append(f"{name}={_written(option, bare=name == 'within')}")
        return f"{self.verb}({', '.join(parts)})"

    def __repr__(self) -> str:
        return str(self)


def _written(value: Any, bare: bool) -> str:
    """Write an argument as it stands in a call."""
    if isinstance(value, float):
        return shortest(value)
    return str(value) if bare or isinstance(value, Prior) else repr(value)


def _read(text: str) -> dict[str, Any]:
    """Read a call such as ``scale(referrals, 1.15, over=8)``."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SpecificationError(f"'{text}' is no intervention; {_FORM}.") from None
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise SpecificationError(f"'{text}' is no intervention; {_FORM}.")
    verb = node.func.id
    if verb not in VERBS:
        raise SpecificationError(f"'{text}': there is no verb '{verb}'. {nearest(verb, VERBS)}")
    form, second = _FORMS.get(verb, _FORM), _SECOND.get(verb, "value")
    if len(node.args) != 2 or not isinstance(node.args[0], ast.Name):
        what = {"rule": "a rule", "effect": "the effect that it acts on"}.get(second, "a value")
        raise SpecificationError(f"'{text}': {verb} takes an indicator and {what}; {form}.")
    data: dict[str, Any] = {"verb": verb, "indicator": node.args[0].id}
    data[second] = _literal(node.args[1])
    if second == "rule" and not isinstance(data[second], str):
        data[second] = ast.unparse(node.args[1])
    for keyword in node.keywords:
        if keyword.arg not in _OPTIONS:
            hint = nearest(str(keyword.arg), VERBS[verb])
            raise SpecificationError(f"'{text}': there is no option '{keyword.arg}'. {hint}")
        bare = isinstance(keyword.value, ast.Name) if keyword.arg == "within" else False
        call = isinstance(keyword.value, ast.Call) and keyword.arg in ("share", "amount")
        if bare or call:
            data[keyword.arg] = ast.unparse(keyword.value)
            continue
        try:
            data[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError):
            raise SpecificationError(
                f"'{text}': {keyword.arg} takes a number or quoted text; {form}."
            ) from None
    return data


def _literal(node: ast.expr) -> Any:
    """Read a number or quoted text; anything else is kept as it is written."""
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        return ast.unparse(node)
