"""How many units must be treated for one to benefit, as ranges of benefit and harm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from dotwin.effects.average.question import is_yes_no
from dotwin.errors import SpecificationError
from dotwin.worlds.tables import interval_ends

if TYPE_CHECKING:
    import pandas as pd

    from dotwin.effects.average.result import Effect

__all__ = ["NeededToTreat", "number_needed_to_treat"]

Worse = Literal["higher", "lower"]


@dataclass(frozen=True, eq=False, repr=False)
class NeededToTreat:
    """Numbers needed to treat.

    A difference near 0 has a number near infinity, on either side: an interval of the difference
    that includes 0 is two ranges of the number, of benefit and of harm, and both end in infinity
    [1]_. There is no single number then.

    Parameters
    ----------
    effect : Effect
    worse : {'higher', 'lower'}
    interval : float
    table : DataFrame
        Columns those of the effect's groups and ``period``; ``number`` and ``direction``
        ('benefit' or 'harm') from the median difference, missing where the interval includes 0;
        ``benefit from``, ``benefit to``, ``harm from``, ``harm to`` (missing where the interval
        rules that side out); ``probability of benefit``.

    References
    ----------
    .. [1] Altman, D. G. (1998). Confidence intervals for the number needed to treat. BMJ 317,
       1309-1312. doi:10.1136/bmj.317.7168.1309
    """

    effect: Effect
    worse: Worse
    interval: float
    table: pd.DataFrame

    def summary(self) -> pd.DataFrame:
        """Return the table."""
        return self.table

    def __repr__(self) -> str:
        question = self.effect.question
        row = self.table.iloc[-1]
        cause = question.twin.label(question.cause)
        who = f"{question.twin.unit}s"
        if np.isfinite(row["number"]):
            kind = str(row["direction"])
            low, high = row[f"{kind} from"], row[f"{kind} to"]
            finding = (
                f"{_number(row['number'])} {who} set to {cause} for one more to come to {kind} "
                f"({self.interval:.0%} interval {_number(low)} to {_number(high)})"
            )
        else:
            finding = (
                f"The number needed to treat with {cause} is not known in its direction: benefit "
                f"from {_number(row['benefit from'])} {who} to infinitely many, or harm from "
                f"{_number(row['harm from'])} to infinitely many ({self.interval:.0%} interval)"
            )
        group = [str(row[name]) for name in question.groups.names]
        where = f" in {', '.join(group)}" if group else ""
        text = f"{finding}{where}{self.effect.when}"
        if self.effect.licence.identified.status != "yes":
            text += f": {self.effect.licence.meaning}"
        return f"{text}."


def _number(value: float) -> str:
    """Write a count of units: always rounded up, since a part of one cannot be treated."""
    return "infinitely many" if np.isinf(value) else f"{int(np.ceil(round(value, 6))):,}"


def number_needed_to_treat(effect: Effect, worse: Worse, interval: float) -> NeededToTreat:
    """Turn differences of probabilities into numbers needed to treat.

    Parameters
    ----------
    effect : Effect
    worse : {'higher', 'lower'}
        Which direction of the outcome is harm.
    interval : float

    Raises
    ------
    SpecificationError
        When the exposure is not yes or no, or the outcome is no probability.
    """
    question = effect.question
    if worse not in ("higher", "lower"):
        raise SpecificationError(f"worse='{worse}': say 'higher' or 'lower'.")
    if not is_yes_no(question.fit, question.cause) or set(question.contrast) != {0.0, 1.0}:
        raise SpecificationError(
            f"{question.cause} is not set to no (0) and yes (1), and nobody is treated or not by "
            f"a degree: a number needed to treat depends on the step that is called treatment. "
            f"Report the difference."
        )
    if not question.outcome.is_probability:
        raise SpecificationError(
            f"{question.outcome.text} is no probability, so nobody is the one who benefits; use a "
            f"yes/no outcome, a share or a condition."
        )
    # From no to yes, whichever way the contrast was asked.
    sign = 1.0 if question.contrast[1] == 1.0 else -1.0
    benefit = sign * (-1.0 if worse == "higher" else 1.0)
    draws = effect.draws["difference"].values
    gained = benefit * draws.reshape((-1, *draws.shape[2:]))
    low, high = interval_ends(interval)
    middle, least, most = (np.quantile(gained, q, axis=0).ravel() for q in (0.5, low, high))
    table = effect.summary()
    kept = [name for name in (*question.groups.names, "period") if name in table]
    table = table[kept].copy()
    with np.errstate(divide="ignore"):
        inverse = {
            key: 1.0 / np.abs(v) for key, v in zip("mlh", (middle, least, most), strict=True)
        }
    sided = (least > 0) | (most < 0)
    table["number"] = np.where(sided, inverse["m"], np.nan)
    table["direction"] = np.where(sided, np.where(least > 0, "benefit", "harm"), "")
    table["benefit from"] = np.where(most > 0, inverse["h"], np.nan)
    table["benefit to"] = np.where(most > 0, np.where(least > 0, inverse["l"], np.inf), np.nan)
    table["harm from"] = np.where(least < 0, inverse["l"], np.nan)
    table["harm to"] = np.where(least < 0, np.where(most < 0, inverse["h"], np.inf), np.nan)
    table["probability of benefit"] = (gained > 0).mean(axis=0).ravel()
    return NeededToTreat(effect, worse, interval, table)
