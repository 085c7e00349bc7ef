"""What a family says of one row: its log density given the linear predictor, and two derivatives.

A linear predictor is split into a part eta that is computed once per row and the group's effect v
that quadrature moves. ``base`` holds what one exponential per row has to say, and ``move`` turns it
into that at v. Every family and kind of truncation has functions of its own
(`dotwin.inference.deterministic.counts`, `dotwin.inference.deterministic.amounts`), so that only
what a mechanism needs is ever compiled.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["BOUNDED", "INFLATED", "POSITIVE", "WHOLE", "Terms"]

#: What is changed of the family: nothing; counts of at least one; outcomes of at least each row's
#: own bound; counts whose zeros may come from a second source.
WHOLE, POSITIVE, BOUNDED, INFLATED = 0, 1, 2, 3


class Terms(NamedTuple):
    """The compiled functions of a family and kind.

    All numbers are floats of one row. ``extra`` are the trials of a binomial, the log of a gamma's
    outcome, or the log of one minus a beta's, whose ``y`` is the log of the outcome. ``lower`` is
    the bound of a truncated outcome; ``d`` the family's parameter; ``c`` its logarithm or, for a
    student_t, the degrees of freedom. ``table``, dims (lane, number), is of the tail that a bound
    keeps, where the outcome is continuous.

    Parameters
    ----------
    base_of : compiled
        From (eta, d, c): the exponential of a row that all values of the group's effect share.
    move_of : compiled
        From v: what turns the base at an effect of 0 into that at an effect of v.
    value : compiled
        From (eta, base, v, move, y, extra, lower, d, c, second, table, lane): the log density but
        for terms that no effect enters. ``second`` is the linear predictor of zeros from a second
        source.
    curved : compiled
        From the same without ``second``: the derivative of the value in the linear predictor, and
        minus the second one. Zeros from a second source are left to ``mixed``.
    mixed : compiled, optional
        From (eta, base, v, move, y, extra, d, c, second, slope, bend, table, lane), with slope and
        bend from ``curved``: where zeros may come from a second source the derivative and minus
        the second one in the counts' linear predictor, the same in that of the second source, and
        minus the mixed derivative.
    """

    base_of: Any
    move_of: Any
    value: Any
    curved: Any
    mixed: Any = None
