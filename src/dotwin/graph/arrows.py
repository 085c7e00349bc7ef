"""What a twin declares, as arrows between indicators and as unknowns that groups share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from dotwin.spec.expressions import Across, Call, Expr, Ref, parse
from dotwin.spec.twin import Indicator, Twin

__all__ = ["Arrow", "GroupEffect", "arrows_into", "group_effects"]

Kind = Literal["cause", "trials", "exposure", "at_least", "when", "zeros", "equals"]


@dataclass(frozen=True)
class Arrow:
    """A direct effect of one indicator on another.

    Parameters
    ----------
    cause, effect : str
        Indicators.
    lag : int
        Periods between them, 0 within one period.
    kind : {'cause', 'trials', 'exposure', 'at_least', 'when', 'zeros', 'equals'}
        The part of the mechanism that reads the cause.
    term : str
        The expression that does.
    across : bool
        Whether it reads other units, through a mean or sum over a group.
    """

    cause: str
    effect: str
    lag: int
    kind: Kind
    term: str
    across: bool = False


@dataclass(frozen=True)
class GroupEffect:
    """An unknown of one mechanism that its groups, periods or trend share.

    Parameters
    ----------
    name : str
        ``missed_visits | provider``.
    indicator : str
    level : str
        A level, the unit, 'period' for shocks, or 'trend' for a random walk.
    """

    name: str
    indicator: str
    level: str


def arrows_into(twin: Twin, effect: str, indicator: Indicator) -> Iterator[Arrow]:
    """Yield an arrow for each (indicator, lag) that each part of the mechanism reads."""
    parts: list[tuple[Kind, str]] = [("cause", text) for text in indicator.causes]
    for kind in ("trials", "exposure", "at_least", "when", "equals"):
        if text := getattr(indicator, kind):
            parts.append((kind, text))
    if indicator.zeros is not None:
        parts += [("zeros", text) for text in indicator.zeros.causes]
    seen: set[tuple[str, int, Kind, bool]] = set()
    for kind, text in parts:
        for name, lag, across in _reads(twin, parse(text), across=False):
            if (key := (name, lag, kind, across)) not in seen:
                seen.add(key)
                yield Arrow(name, effect, lag, kind, text, across)


def _reads(twin: Twin, expression: Expr, across: bool) -> Iterator[tuple[str, int, bool]]:
    if isinstance(expression, Ref) and expression.name in twin.indicators:
        yield expression.name, expression.lag, across
    match expression:
        # A share reads what it is counted out of, too.
        case Call(function="share", arguments=(Ref(name=name, lag=lag),)) if (
            name in twin.indicators and (trials := twin.indicators[name].trials)
        ):
            yield trials, lag, across
    for child in expression.children():
        yield from _reads(twin, child, across or isinstance(expression, Across))


def group_effects(twin: Twin, name: str, indicator: Indicator) -> Iterator[GroupEffect]:
    """Yield the unknowns that a mechanism's groups share, slopes with their intercepts."""
    levels = dict.fromkeys(indicator.pooling)
    every_cause = list(indicator.causes.values())
    if indicator.zeros is not None:
        levels |= dict.fromkeys(indicator.zeros.pooling)
        every_cause += indicator.zeros.causes.values()
    levels |= dict.fromkeys(level for cause in every_cause for level in cause.varying)
    for level in levels:
        shown = level
        if level == "period" and twin.panel.period is not None:
            shown = twin.panel.period.frequency
        yield GroupEffect(f"{name} | {shown}", name, level)
    if indicator.trend == "walk":
        yield GroupEffect(f"{name} | trend", name, "trend")
