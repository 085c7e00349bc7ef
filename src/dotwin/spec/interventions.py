"""Interventions and scenarios as values: what is changed, by how much, when and for whom."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Sequence
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import Field, PlainValidator, model_serializer, model_validator

from dotwin.errors import Problem, SpecificationError, nearest
from dotwin.spec.expressions import parse
from dotwin.spec.prior import Prior
from dotwin.spec.value import Value, Whole, described, shortest

__all__ = ["Intervention", "Scenario", "at_least", "at_most", "do", "scale", "shift"]

Verb = Literal["do", "shift", "scale", "at_least", "at_most"]
_VERBS: tuple[str, ...] = ("do", "shift", "scale", "at_least", "at_most")
_OPTIONS = ("start", "until", "periods", "over", "where", "carry")
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

    Build it with `do`, `shift`, `scale`, `at_least` or `at_most`, or write the same call as text
    in YAML. ``do`` sets the value; the others change the *natural value*, the one that the
    intervened world itself yields in each period. Other indicators see the changed value; the
    indicator's own lag sees the natural one unless ``carry`` is true.

    Parameters
    ----------
    verb : {'do', 'shift', 'scale', 'at_least', 'at_most'}
    indicator : str
    value : float or Prior
        In the indicator's own unit; a share for indicators with trials; a factor for ``scale``.
        A distribution is drawn once per posterior draw.
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
    value: Amount
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
        if self.until is not None and self.periods is not None:
            raise SpecificationError(f"'{self}': give until= or periods=, not both.")
        first, last = self.window
        if last < first:
            raise SpecificationError(f"'{self}': until comes before start.")
        if self.verb == "do" and self.carry:
            raise SpecificationError(
                f"'{self}': what is set has no natural value left for its own lag to see; "
                "carry belongs to shift, scale, at_least and at_most."
            )
        if self.where is not None:
            parse(self.where)
        return self

    @property
    def window(self) -> tuple[float, float]:
        """First and last future period, counted from 1; infinite where a date or nothing says."""
        first = self.start if isinstance(self.start, int) else 1
        if isinstance(self.until, int):
            return first, self.until
        if self.periods is not None and not isinstance(self.start, str):
            return first, first + self.periods - 1
        return first, math.inf

    @model_serializer
    def _to_text(self) -> str:
        return str(self)

    def __str__(self) -> str:
        value = self.value if isinstance(self.value, Prior) else shortest(self.value)
        parts = [self.indicator, str(value)]
        for name in _OPTIONS:
            option = getattr(self, name)
            if option is not None and option is not False:
                parts.append(f"{name}={option!r}")
        return f"{self.verb}({', '.join(parts)})"

    def __repr__(self) -> str:
        return str(self)


def _read(text: str) -> dict[str, Any]:
    """Read a call such as ``scale(referrals, 1.15, over=8)``."""
    form = "write it as shift(vacancy_rate, -0.02, start=3, over=4, where='acuity > 2')"
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise SpecificationError(f"'{text}' is no intervention; {form}.") from None
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
        raise SpecificationError(f"'{text}' is no intervention; {form}.")
    verb = node.func.id
    if verb not in _VERBS:
        raise SpecificationError(f"'{text}': there is no verb '{verb}'. {nearest(verb, _VERBS)}")
    if len(node.args) != 2 or not isinstance(node.args[0], ast.Name):
        raise SpecificationError(f"'{text}': {verb} takes an indicator and a value; {form}.")
    data: dict[str, Any] = {"verb": verb, "indicator": node.args[0].id}
    try:
        data["value"] = ast.literal_eval(node.args[1])
    except (ValueError, TypeError):
        data["value"] = ast.unparse(node.args[1])
    for keyword in node.keywords:
        if keyword.arg not in _OPTIONS:
            hint = nearest(str(keyword.arg), _OPTIONS)
            raise SpecificationError(f"'{text}': there is no option '{keyword.arg}'. {hint}")
        try:
            data[keyword.arg] = ast.literal_eval(keyword.value)
        except (ValueError, TypeError):
            raise SpecificationError(
                f"'{text}': {keyword.arg} takes a number or quoted text; {form}."
            ) from None
    return data


def _build(verb: Verb, indicator: str, value: float | Prior | str, **options: Any) -> Intervention:
    return Intervention(verb=verb, indicator=indicator, value=value, **options)


def do(
    indicator: str,
    value: float | Prior | str,
    *,
    start: int | str | None = None,
    until: int | str | None = None,
    periods: int | None = None,
    over: int | None = None,
    where: str | None = None,
) -> Intervention:
    """Set an indicator to a value. See `Intervention` for the options.

    Examples
    --------
    >>> do("turnover", 0.02, periods=6)
    do(turnover, 0.02, periods=6)
    """
    return _build(
        "do",
        indicator,
        value,
        start=start,
        until=until,
        periods=periods,
        over=over,
        where=where,
        # What is set has no natural value left for its own lag to see.
        carry=False,
    )


def shift(
    indicator: str,
    value: float | Prior | str,
    *,
    start: int | str | None = None,
    until: int | str | None = None,
    periods: int | None = None,
    over: int | None = None,
    where: str | None = None,
    carry: bool = False,
) -> Intervention:
    """Add to the natural value. See `Intervention` for the options.

    Examples
    --------
    >>> shift("vacancy_rate", -0.02, where="acuity > 2")
    shift(vacancy_rate, -0.02, where='acuity > 2')
    """
    return _build(
        "shift",
        indicator,
        value,
        start=start,
        until=until,
        periods=periods,
        over=over,
        where=where,
        carry=carry,
    )


def scale(
    indicator: str,
    value: float | Prior | str,
    *,
    start: int | str | None = None,
    until: int | str | None = None,
    periods: int | None = None,
    over: int | None = None,
    where: str | None = None,
    carry: bool = False,
) -> Intervention:
    """Multiply the natural value. See `Intervention` for the options.

    Examples
    --------
    >>> scale("referrals", 1.15, over=8)
    scale(referrals, 1.15, over=8)
    """
    return _build(
        "scale",
        indicator,
        value,
        start=start,
        until=until,
        periods=periods,
        over=over,
        where=where,
        carry=carry,
    )


def at_least(
    indicator: str,
    value: float | Prior | str,
    *,
    start: int | str | None = None,
    until: int | str | None = None,
    periods: int | None = None,
    over: int | None = None,
    where: str | None = None,
    carry: bool = False,
) -> Intervention:
    """Raise the natural value to a floor. See `Intervention` for the options.

    Examples
    --------
    >>> at_least("nurse_hours", 3.48)
    at_least(nurse_hours, 3.48)
    """
    return _build(
        "at_least",
        indicator,
        value,
        start=start,
        until=until,
        periods=periods,
        over=over,
        where=where,
        carry=carry,
    )


def at_most(
    indicator: str,
    value: float | Prior | str,
    *,
    start: int | str | None = None,
    until: int | str | None = None,
    periods: int | None = None,
    over: int | None = None,
    where: str | None = None,
    carry: bool = False,
) -> Intervention:
    """Lower the natural value to a ceiling. See `Intervention` for the options.

    Examples
    --------
    >>> at_most("agency_share", 0.1)
    at_most(agency_share, 0.1)
    """
    return _build(
        "at_most",
        indicator,
        value,
        start=start,
        until=until,
        periods=periods,
        over=over,
        where=where,
        carry=carry,
    )


class Scenario(Value):
    """A named set of interventions.

    Parameters
    ----------
    name : str
        What people call it; 'baseline' is taken by the world without intervention.
    interventions : sequence of Intervention or str
        At most one per indicator and period.
    question : str
        What the scenario is to answer, in the reader's words.

    Raises
    ------
    SpecificationError
        When an intervention cannot be read, or two of them meet on one indicator.

    Examples
    --------
    >>> Scenario("surge", [scale("referrals", 1.15, over=8)]).interventions
    (scale(referrals, 1.15, over=8),)
    """

    name: str
    interventions: tuple[Intervention, ...]
    question: str = ""

    def __init__(
        self,
        name: str,
        interventions: Intervention | str | Sequence[Intervention | str],
        *,
        question: str = "",
    ) -> None:
        if isinstance(interventions, Intervention | str):
            interventions = [interventions]
        super().__init__(name=name, interventions=interventions, question=question)

    @classmethod
    def read(cls, name: str, fields: Any) -> Scenario:
        """Read a scenario as a file gives it: its name, and a map of its fields.

        Parameters
        ----------
        name : str
        fields : dict
            ``interventions`` and ``question``.

        Raises
        ------
        SpecificationError
            Also for fields that a scenario does not have.
        """
        if not isinstance(fields, dict):
            raise SpecificationError(f"must be a map of fields to values, not {described(fields)}.")
        known = ("interventions", "question")
        fields = {key: value for key, value in fields.items() if (key, value) != ("name", name)}
        problems = [
            Problem.at((key,), f"there is no '{key}' here. {nearest(str(key), known)}")
            for key in fields
            if key not in known
        ]
        if "interventions" not in fields:
            problems.append(Problem.at(("interventions",), "is missing."))
        try:
            given = {key: value for key, value in fields.items() if key in known}
            scenario = cls(name, **{"interventions": ["do(x, 0)"], **given})
        except SpecificationError as error:
            raise SpecificationError([*problems, *error.problems]) from None
        if problems:
            raise SpecificationError(problems)
        return scenario

    @model_validator(mode="after")
    def _sound(self) -> Scenario:
        if self.name == "baseline":
            raise SpecificationError(
                "'baseline' is the world without intervention; choose another name."
            )
        if not self.name.strip():
            raise SpecificationError("a scenario needs a name.")
        if not self.interventions:
            raise SpecificationError("a scenario needs at least one intervention.")
        for one, other in combinations(self.interventions, 2):
            if one.indicator == other.indicator and _meet(one, other):
                raise SpecificationError(
                    f"'{one}' and '{other}' change {one.indicator} in the same periods; a scenario "
                    "holds one change per indicator and period. End the first with until=, or "
                    "write two scenarios."
                )
        return self


def _meet(one: Intervention, other: Intervention) -> bool:
    """Whether two interventions share a period, as far as their options say."""
    for first, second in ((one, other), (other, one)):
        # Periods written alike sort as they follow each other: 2025-03 before 2025-04.
        if isinstance(first.until, str) and isinstance(second.start, str):
            if len(first.until) == len(second.start) and first.until < second.start:
                return False
        elif first.window[1] < second.window[0]:
            return False
    return True
