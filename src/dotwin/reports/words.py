"""Interventions, intervals and numbers in the words of a report."""

from __future__ import annotations

from collections.abc import Sequence

from dotwin.plots.quantity import Quantity, quantity
from dotwin.reports.table import cell, declared
from dotwin.spec.interventions import Intervention
from dotwin.spec.prior import Prior
from dotwin.spec.twin import Twin

__all__ = ["capital", "intervention_words", "listed", "range_words", "when_words"]


def capital(text: str) -> str:
    """Begin a text with a capital."""
    return text[:1].upper() + text[1:]


def listed(words: Sequence[str], last: str = "and") -> str:
    """Write a list as people do."""
    if len(words) < 2:
        return "".join(words)
    return f"{', '.join(words[:-1])} {last} {words[-1]}"


def range_words(low: float, high: float) -> str:
    """Write an interval."""
    return f"{cell(float(low))} to {cell(float(high))}"


def _shown(twin: Twin, name: str) -> Quantity:
    """Return how an intervention's value is shown: shares for indicators with trials."""
    trials = twin.indicators[name].trials
    return quantity(twin, f"share({name})" if trials else name)


def intervention_words(twin: Twin, one: Intervention) -> str:
    """Say what an intervention does, when and to whom.

    Parameters
    ----------
    twin : Twin
    one : Intervention

    Returns
    -------
    str

    Examples
    --------
    >>> import dotwin as dw
    >>> twin = dw.read_twin("workforce_pressure")
    >>> intervention_words(twin, dw.scale("referrals", 1.15, over=8))
    'referrals become 1.15 times what they would be, rising to that over 8 months'
    """
    shown = _shown(twin, one.indicator)
    if one.value is None:
        return _of_a_rule(twin, one, shown) + when_words(twin, one)
    uncertain = isinstance(one.value, Prior)
    text = str(one.value) if isinstance(one.value, Prior) else declared(one.value * shown.factor)
    unit, change = (
        (" (in its own unit)",) * 2 if uncertain else (f" {shown.unit}", f" {shown.difference}")
    )
    match one.verb:
        case "do":
            what = f"{shown.label}: set to {text}{unit}"
        case "at_least":
            what = f"{shown.label}: raised to at least {text}{unit}"
        case "at_most":
            what = f"{shown.label}: held at {text}{unit} or less"
        case "scale":
            factor = str(one.value) if isinstance(one.value, Prior) else declared(one.value)
            what = f"{shown.label} become {factor} times what they would be"
        case _ if isinstance(one.value, Prior):
            what = f"{shown.label}: changed by {text}{change}"
        case _:
            size = declared(abs(one.value) * shown.factor)
            direction = "lower" if one.value < 0 else "higher"
            what = f"{shown.label}: {size}{change} {direction} than it would be"
    return what + when_words(twin, one)


def _of_a_rule(twin: Twin, one: Intervention, shown: Quantity) -> str:
    """Say what a policy, a cut arrow or a redeployment does."""
    if one.verb == "policy":
        return f"{shown.label}: set by the rule {one.rule}"
    if one.verb == "block":
        effect = twin.label(str(one.effect))
        return f"{effect}: sees {shown.label} as in the baseline, whatever is done"
    much = one.share if one.amount is None else one.amount
    size = declared(much) if isinstance(much, float) else str(much)
    if one.share is not None:
        size = f"{declared(100 * one.share)} %" if isinstance(one.share, float) else size
        size += " of what a unit has"
    kept = "" if one.floor is None else f", which keeps at least {declared(one.floor)}"
    return (
        f"{shown.label}: moved within each {one.within}, its total unchanged, from who is lowest "
        f"to who is highest by {one.rule} ({size}{kept})"
    )


def when_words(twin: Twin, one: Intervention) -> str:
    """Say when an intervention acts and for whom."""
    period = twin.panel.period.frequency if twin.panel.period else "period"
    parts = []
    if one.over is not None:
        parts.append(f"rising to that over {one.over} {period}s")
    if one.start is not None:
        at = f"{period} {one.start}" if isinstance(one.start, int) else one.start
        parts.append(f"from {at}")
    if one.until is not None:
        at = f"{period} {one.until}" if isinstance(one.until, int) else one.until
        parts.append(f"until {at}")
    if one.periods is not None:
        parts.append(f"for {one.periods} {period}s")
    if one.where is not None:
        parts.append(f"only where {one.where}")
    if one.carry:
        parts.append("a shock that persists")
    return "".join(f", {part}" for part in parts)
