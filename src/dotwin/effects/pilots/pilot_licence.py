"""The licence of a pilot's effect: what its assignment, its design and the graph allow."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.effects.pilots.untreated import NEVER, without
from dotwin.errors import SpecificationError
from dotwin.worlds.licence import Licence, Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from dotwin.effects.compared import Worlds
    from dotwin.inference import Fit
    from dotwin.panel import Panel
    from dotwin.spec.twin import Twin

__all__ = ["licence_of_pilot", "refuse_interference", "set_by_design"]

#: With fewer untreated units beside the treated ones, what a period did is poorly known.
_FEW = 10


def refuse_interference(twin: Twin, programme: str) -> None:
    """Refuse where units that have not begun feel those that have.

    Raises
    ------
    SpecificationError
    """
    reached = {programme, *twin.graph.descendants(programme)}
    for arrow in twin.graph.arrows:
        if arrow.across and arrow.cause in reached:
            raise SpecificationError(
                f"pilot: {arrow.effect} reads {arrow.cause} of other {twin.unit}s, so a "
                f"{twin.unit} that has not begun feels those that have, and nobody shows what "
                f"would have been without. Ask fit.counterfactual(dw.do('{programme}', 0)), which "
                f"takes it off everybody."
            )


def set_by_design(fit: Fit, programme: str, starts: NDArray[np.int64]) -> str:
    """Return how the programme was assigned, where nothing declared may act on that.

    An indicator that has a mechanism besides must be marked as set in every unit-period from the
    first start.
    """
    one = fit.twin.indicators[programme]
    if one.assigned is None or one.assigned.how == "rule":
        return ""
    if not one.is_given:
        if one.assigned.column not in fit.panel.data:
            return ""
        first = int(starts.min())
        marks = np.asarray(fit.panel.data[one.assigned.column].values)[:, first:] == 1
        present = np.asarray(fit.panel.data["present"].values, dtype=bool)[:, first:]
        if not marks[present].all():
            return ""
    return one.assigned.how


def licence_of_pilot(
    worlds: Worlds,
    fit: Fit,
    programme: str,
    outcomes: tuple[str, ...],
    starts: NDArray[np.int64],
    anticipation: int,
    assumed: frozenset[str],
) -> Licence:
    """Judge a pilot's effect.

    Parameters
    ----------
    worlds : Worlds
        With and without the programme, without values.
    fit : Fit
    programme : str
    outcomes : tuple of str
        What the outcome is made of and the programme can change.
    starts : int array (unit,)
    anticipation : int
    assumed : frozenset of str
    """
    name = without(programme).name
    found = worlds.licence(name, outcomes, assumed)
    how = set_by_design(fit, programme, starts)
    identified = found.identified
    twin, label = fit.twin, fit.twin.label(programme)
    if how and not twin.indicators[programme].is_given:
        identified = Verdict("yes", f"Nothing declared acts on {label}: every start was set.")
    if identified.status == "yes":
        identified = replace(
            identified,
            sentence=f"{_design(how, label)} {identified.sentence} {_rests(twin, anticipation)}",
        )
    return replace(found, identified=identified, supported=_supported(fit, starts, anticipation))


def _design(how: str, label: str) -> str:
    return {
        "randomised": f"{label[:1].upper()}{label[1:]} was assigned by lot.",
        "phased": (
            f"{label[:1].upper()}{label[1:]} began in phases; that their order has nothing to do "
            f"with what would have happened is declared, not shown. The periods before the start "
            f"can contradict it."
        ),
        "": (
            f"Who began {label} was chosen, so the answer rests on the declared causes of that "
            f"choice. The periods before the start can contradict it."
        ),
    }[how]


def _rests(twin: Twin, anticipation: int) -> str:
    before = "before it began" if not anticipation else f"more than {anticipation} periods before"
    return (
        f"It rests besides on two claims: no {twin.unit} changed because of it {before}, and none "
        f"felt that others had begun."
    )


def _supported(fit: Fit, starts: NDArray[np.int64], anticipation: int) -> Verdict:
    """Say how many untreated units there were beside the treated ones."""
    panel, unit = fit.panel, fit.twin.unit
    present = np.asarray(panel.data["present"].values, dtype=bool)
    periods = np.arange(present.shape[1])
    begun = periods[None, :] >= np.where(starts == NEVER, NEVER, starts - anticipation)[:, None]
    beside = (present & ~begun).sum(axis=0)
    asked = (present & begun).any(axis=0)
    fewest = int(beside[asked].min())
    alone: list[Any] = [panel.period_labels[t] for t in np.flatnonzero(asked & (beside == 0))]
    if alone:
        return Verdict(
            "no",
            f"In {len(alone)} of {int(asked.sum())} periods every {unit} had begun (first in "
            f"{alone[0]}), so nothing shows what these periods did by themselves: there the "
            f"forecasts rest on the past alone.",
        )
    sentence = f"In every period since the first start, {fewest:,} {unit}s or more had not begun."
    if level := _together(panel, starts):
        return Verdict(
            "thin",
            f"{sentence} But all {unit}s of a {level} began together: what else moved a {level} "
            f"then is not told from the pilot, and no interval holds it.",
        )
    return Verdict("yes" if fewest >= _FEW else "thin", sentence)


def _together(panel: Panel, starts: NDArray[np.int64]) -> str:
    """Return a level whose groups began, or did not begin, as a whole."""
    for level in reversed(panel.twin.panel.levels):
        codes, names = panel.groups(level)
        several = int((np.bincount(codes, minlength=len(names)) > 1).sum())
        pairs = len(np.unique(np.stack([codes, starts], axis=1), axis=0))
        if several > 1 and pairs == len(names):
            return level
    return ""
