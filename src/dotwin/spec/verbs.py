"""The verbs: functions that build interventions."""

from __future__ import annotations

from dotwin.spec.interventions import Intervention
from dotwin.spec.prior import Prior

__all__ = ["at_least", "at_most", "block", "do", "policy", "redeploy", "scale", "shift"]


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
    return Intervention(
        verb="do",
        indicator=indicator,
        value=value,
        start=start,
        until=until,
        periods=periods,
        over=over,
        where=where,
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
    return Intervention(
        verb="shift",
        indicator=indicator,
        value=value,
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
    return Intervention(
        verb="scale",
        indicator=indicator,
        value=value,
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
    return Intervention(
        verb="at_least",
        indicator=indicator,
        value=value,
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
    return Intervention(
        verb="at_most",
        indicator=indicator,
        value=value,
        start=start,
        until=until,
        periods=periods,
        over=over,
        where=where,
        carry=carry,
    )


def policy(
    indicator: str,
    rule: str,
    *,
    start: int | str | None = None,
    until: int | str | None = None,
    periods: int | None = None,
    over: int | None = None,
    where: str | None = None,
) -> Intervention:
    """Set an indicator to what a rule says. See `Intervention` for the options.

    The rule is an expression of the intervened world in the same period: of earlier values, of what
    the indicator does not act on within the period, and of ``start(...)``. Where it has no value,
    because a state that it reads is missing, the indicator keeps its natural value.

    Examples
    --------
    >>> policy("agency_share", "min(0.2, 0.5 * vacancy_rate[-1])", start=3)
    policy(agency_share, 'min(0.2, 0.5 * vacancy_rate[-1])', start=3)
    """
    return Intervention(
        verb="policy",
        indicator=indicator,
        rule=rule,
        start=start,
        until=until,
        periods=periods,
        over=over,
        where=where,
    )


def block(
    cause: str,
    effect: str,
    *,
    start: int | str | None = None,
    until: int | str | None = None,
    periods: int | None = None,
) -> Intervention:
    """Cut one arrow. See `Intervention` for the options.

    The effect's mechanism goes on to read the cause, but as it is in the baseline: in the same
    draw, unit and period, without any intervention. So what other interventions of the scenario do
    to the cause does not pass along this arrow, and a scenario that only blocks changes nothing.
    The difference that a block makes is what passes along the arrow: a path-specific effect [1]_.

    References
    ----------
    .. [1] Pearl, J. (2001). Direct and indirect effects. UAI 17, 411-420. arXiv:1301.2300

    Examples
    --------
    >>> block("vacancy_rate", "missed_visits")
    block(vacancy_rate, missed_visits)
    """
    return Intervention(
        verb="block", indicator=cause, effect=effect, start=start, until=until, periods=periods
    )


def redeploy(
    indicator: str,
    rule: str,
    *,
    within: str,
    share: float | Prior | str | None = None,
    amount: float | Prior | str | None = None,
    floor: float | None = None,
    start: int | str | None = None,
    until: int | str | None = None,
    periods: int | None = None,
    over: int | None = None,
    where: str | None = None,
    carry: bool = False,
) -> Intervention:
    """Move a resource between units; its total stays. See `Intervention` for the options.

    In each period and group the units are ranked by the rule. The unit that ranks highest receives
    what the lowest gives, the second highest what the second lowest gives, and so on; the middle
    one of an odd number neither gives nor receives. Who gives, gives a share of what it has, or an
    amount, and keeps the floor. Units of equal rule value do not exchange.

    What stays the same is the sum over the group: of the indicator, or, where it has a ``weight``,
    of the indicator times its weight. Hours per resident day with ``weight: residents`` move as
    hours.

    Examples
    --------
    >>> redeploy("nurse_hours", "acuity[-1]", within="region", share=0.1)
    redeploy(nurse_hours, 'acuity[-1]', within=region, share=0.1)
    """
    return Intervention(
        verb="redeploy",
        indicator=indicator,
        rule=rule,
        within=within,
        share=share,
        amount=amount,
        floor=floor,
        start=start,
        until=until,
        periods=periods,
        over=over,
        where=where,
        carry=carry,
    )
