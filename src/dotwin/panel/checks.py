"""Which values cannot be what their indicator says they are, and what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from dotwin.errors import Problem, nearest
from dotwin.panel.environment import ArrayEnvironment
from dotwin.panel.layout import Places, agreeing, counted
from dotwin.spec.expressions import Start, evaluate, parse
from dotwin.spec.support import support_of
from dotwin.spec.twin import Indicator, Twin

__all__ = ["Checked", "Impossible", "check_values"]

type Bools = NDArray[np.bool_]
type Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Impossible:
    """Values of one indicator that cannot be, for one reason.

    Parameters
    ----------
    indicator : str
    mask : ndarray of bool, dims (unit, period)
    what : str
        What is wrong with them, to follow a count: 'lie below 0'.
    remedy : str
        What is accepted, or what to declare.
    values : ndarray, dims (unit, period)
        As they were found.
    """

    indicator: str
    mask: Bools
    what: str
    remedy: str
    values: NDArray[Any]

    def problem(self, places: Places) -> Problem:
        """Say it, naming the first few places."""
        shown = places.list(self.mask, lambda u, p: show(self.values[u, p]))
        number = int(self.mask.sum())
        count = f"{counted(number, 'value')} {agreeing(number, self.what)}"
        return Problem(places.where(self.indicator), f"{count} — {shown}. {self.remedy}")

    def rows(self, places: Places) -> pd.DataFrame:
        """List every one of them, a row each."""
        unit, period = np.nonzero(self.mask)
        return pd.DataFrame(
            {
                "indicator": self.indicator,
                "unit": [str(places.units[u]) for u in unit.tolist()],
                "period": [places.labels[p] for p in period.tolist()],
                "value": [show(value) for value in self.values[self.mask].tolist()],
                "reason": agreeing(1, self.what),
            }
        )


def show(value: Any) -> str:
    """Write a value as a message shows it."""
    return f"{value:.6g}" if isinstance(value, float) else repr(str(value))


@dataclass
class Checked:
    """Values with the impossible ones made missing, and the list of those."""

    arrays: Arrays
    found: list[Impossible] = field(default_factory=list)

    def flag(self, name: str, bad: Bools, what: str, remedy: str) -> None:
        """Note values as impossible and make them missing."""
        if not bad.any():
            return
        before = self.arrays[name]
        self.found.append(Impossible(name, bad, what, remedy, before))
        empty = "" if before.dtype.kind == "U" else np.nan
        self.arrays[name] = np.where(bad, empty, before)


def check_values(
    twin: Twin,
    arrays: Mapping[str, NDArray[Any]],
    groups: Mapping[str, tuple[NDArray[np.intp], list[str]]],
) -> Checked:
    """Find values that their indicator's declaration rules out.

    First each value alone: infinite, outside its family's support, a category that is not
    declared. Then, among the values that passed, each with the others of its row: counts above
    their trials or below their floor, events without exposure, values where the mechanism does not
    hold.

    Parameters
    ----------
    twin : Twin
    arrays : mapping of str to ndarray, dims (unit, period)
        Float with NaN for missing; text with "" for missing.
    groups : mapping of str to (codes, names)

    Returns
    -------
    Checked
    """
    checked = Checked(dict(arrays))
    for name, one in twin.indicators.items():
        if name not in arrays:
            continue
        if arrays[name].dtype.kind == "U":
            _check_categories(checked, name, one)
        else:
            _check_support(checked, name, one, twin, groups)
    _check_roles(checked, twin)
    for name, one in twin.indicators.items():
        if name in arrays and arrays[name].dtype.kind == "f":
            _check_relations(checked, name, one, twin, groups)
    return checked


def _check_categories(checked: Checked, name: str, one: Indicator) -> None:
    values = checked.arrays[name]
    if not one.categories:
        return
    unknown = (values != "") & ~np.isin(values, np.array(one.categories))
    if unknown.any():
        # The most frequent stranger is the likeliest misspelling.
        strangers, counts = np.unique(values[unknown], return_counts=True)
        hint = nearest(str(strangers[np.argmax(counts)]), one.categories)
        checked.flag(
            name,
            unknown,
            "are not among the declared categories",
            f"{hint} Correct them or add them to categories.",
        )


def _check_support(
    checked: Checked,
    name: str,
    one: Indicator,
    twin: Twin,
    groups: Mapping[str, tuple[NDArray[np.intp], list[str]]],
) -> None:
    values = checked.arrays[name]
    checked.flag(
        name, np.isinf(values), "are infinite", "Write finite numbers, or leave them empty."
    )
    values = checked.arrays[name]
    support = support_of(one)
    wrong = ~np.isnan(values) & ~support.contains(values)
    # Where the mechanism does not hold, its family says nothing about the value.
    wrong &= _holds(checked, one, twin, groups) != 0
    if one.when is not None and one.otherwise is not None:
        wrong &= values != one.otherwise
    if not wrong.any():
        return
    kind = f"A {one.family.replace('_', ' ')}" if one.family else "The indicator"
    accepted = f"{kind} takes {support.describe()}."
    at_end = np.zeros_like(wrong)
    if one.family == "beta":
        whole = one.out_of or 1.0
        ends = [end for end in (0.0, whole) if bool((wrong & (values == end)).any())]
        at_end = wrong & np.isin(values, ends)
        if at_end.any():
            declared = [*one.ends, *(1.0 if end else 0.0 for end in ends)]
            shown = ", ".join(f"{end:g}" for end in sorted(set(declared)))
            checked.flag(
                name,
                at_end,
                f"are exactly {' or '.join(f'{end:g}' for end in ends)}",
                f"A beta lies strictly between 0 and {whole:g}; write ends: [{shown}] to give "
                f"its ends a probability of their own.",
            )
        rest = values[wrong & ~at_end]
        if one.out_of is None and rest.size and rest.min() >= 0 and 1.5 < rest.max() <= 100:
            accepted += " If these are percentages, write out_of: 100."
    elif one.family in ("gamma", "lognormal") and one.zeros is None:
        at_end = wrong & (values == 0)
        checked.flag(
            name,
            at_end,
            "are exactly 0",
            f"{kind} takes {support.describe()}; write zeros: hurdle to give zero an equation of "
            f"its own.",
        )
    wrong &= ~at_end
    if support.integer:
        broken = wrong & (values != np.floor(values))
        checked.flag(name, broken, "are not whole numbers", accepted)
        wrong &= ~broken
    for side, outside in (
        (f"lie below {support.low:g}", values < support.low),
        (f"are exactly {support.low:g}", values == support.low),
        (f"lie above {support.high:g}", values > support.high),
        (f"are exactly {support.high:g}", values == support.high),
    ):
        checked.flag(name, wrong & outside, side, accepted)


def _holds(
    checked: Checked,
    one: Indicator,
    twin: Twin,
    groups: Mapping[str, tuple[NDArray[np.intp], list[str]]],
) -> NDArray[np.float64] | float:
    """Where the mechanism holds: 1, 0, or NaN where its condition is unknown."""
    return 1.0 if one.when is None else _evaluate(one.when, checked, twin, groups)


def _evaluate(
    text: str,
    checked: Checked,
    twin: Twin,
    groups: Mapping[str, tuple[NDArray[np.intp], list[str]]],
) -> NDArray[np.float64]:
    """Read an expression from the values; all missing where a part is not in the table."""
    expression = parse(text)
    shape = next(iter(checked.arrays.values())).shape
    there = set(checked.arrays) | set(groups)
    if not expression.names() <= there or any(isinstance(e, Start) for e in expression.walk()):
        return np.full(shape, np.nan)
    values = evaluate(expression, ArrayEnvironment(twin, checked.arrays, groups))
    return np.broadcast_to(np.asarray(values, dtype=float), shape)


def _check_roles(checked: Checked, twin: Twin) -> None:
    """Check what an indicator is used as: numbers of trials, weights."""
    for role, used_as in (("trials", "trials of"), ("weight", "weight of")):
        users: dict[str, list[str]] = {}
        for name, one in twin.indicators.items():
            other = getattr(one, role)
            if other in checked.arrays and checked.arrays[other].dtype.kind == "f":
                users.setdefault(other, []).append(name)
        for other, names in users.items():
            values = checked.arrays[other]
            purpose = f"It is the {used_as} {', '.join(names)}"
            checked.flag(
                other, values < 0, "lie below 0", f"{purpose}: write 0 or more, or leave empty."
            )
            if role == "trials":
                values = checked.arrays[other]
                broken = ~np.isnan(values) & (values != np.floor(values))
                checked.flag(
                    other, broken, "are not whole numbers", f"{purpose}: write whole numbers."
                )


def _check_relations(
    checked: Checked,
    name: str,
    one: Indicator,
    twin: Twin,
    groups: Mapping[str, tuple[NDArray[np.intp], list[str]]],
) -> None:
    holds = _holds(checked, one, twin, groups)
    if one.when is not None and one.otherwise is not None:
        values = checked.arrays[name]
        elsewhere = (holds == 0) & ~np.isnan(values) & (values != one.otherwise)
        checked.flag(
            name,
            elsewhere,
            f"are not {one.otherwise:g} although '{one.when}' does not hold",
            f"Elsewhere the value is {one.otherwise:g} (otherwise); correct them or the condition.",
        )
    values = checked.arrays[name]
    if one.trials is not None:
        trials = _evaluate(one.trials, checked, twin, groups)
        checked.flag(
            name,
            values > trials,
            f"exceed the trials ({one.trials})",
            f"Each lies between 0 and its {one.trials}; correct either column.",
        )
        values = checked.arrays[name]
    if one.exposure is not None:
        exposure = _evaluate(one.exposure, checked, twin, groups)
        accepted = f"The exposure of {name} must be above 0 where anything happened."
        negative = ~np.isnan(values) & (exposure < 0)
        checked.flag(name, negative, f"have an exposure below 0 ({one.exposure})", accepted)
        # Nothing happened to nobody: such a row is no contradiction, it only says nothing.
        events = (values != 0) & ~np.isnan(values) & (exposure == 0)
        checked.flag(name, events, f"are not 0 at an exposure of 0 ({one.exposure})", accepted)
        values = checked.arrays[name]
    if one.at_least is not None:
        floor = _evaluate(one.at_least, checked, twin, groups)
        # Where it is unknown whether the mechanism holds, the value of elsewhere is no offence.
        below = (values < floor) & (holds != 0)
        if one.zeros is not None:
            # A zero of its own equation has no floor.
            below &= values != 0
        if one.otherwise is not None:
            below &= (holds == 1) | (values != one.otherwise)
        checked.flag(
            name,
            below,
            f"lie below the declared floor, {one.at_least}",
            f"Each must be at_least {one.at_least}; correct either column or the declaration.",
        )
