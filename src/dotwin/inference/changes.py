"""What a later panel changes for one mechanism: rows added, values revised, rows that are gone."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from dotwin.mechanisms.columns import UnitConstants
from dotwin.mechanisms.design import Design

if TYPE_CHECKING:
    from dotwin.panel import Panel

__all__ = ["Changes", "changes_between", "kept_constants", "rows_of"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

#: The last digits of a number may differ between two files of the same table.
SAME = 1e-9


@dataclass(frozen=True, eq=False)
class Changes:
    """The rows of a mechanism in a later panel, set against those of an earlier one.

    Parameters
    ----------
    earlier, added : int array
        Positions among the rows of the later design.
    revised, gone : int
        Earlier rows whose values are others now, and that are no more.
    """

    earlier: Indices
    added: Indices
    revised: int
    gone: int


def places_in(earlier: Panel, later: Panel) -> Indices:
    """Find each unit of an earlier panel in a later one; -1 where it is no more."""
    return np.asarray(later.units.get_indexer(earlier.units), dtype=np.intp)


def kept_constants(design: Design, earlier: Panel, later: Panel) -> dict[str, Floats]:
    """Give the units of a later panel the unit means and first values that they have in a fit.

    A coefficient on a unit's mean belongs to the mean that it was learned with. Were the mean taken
    anew, every old row would change with each new period, and the coefficient its meaning with it.
    Units of whose rows the mechanism used none taught it nothing: theirs are taken anew.

    Parameters
    ----------
    design : Design
        Of the earlier panel.
    earlier, later : Panel

    Returns
    -------
    dict of str to array, dims (unit,)
        Of the later panel; missing where they are to be taken anew.
    """
    place = places_in(earlier, later)
    known = np.zeros(place.size, dtype=bool)
    known[design.unit] = True
    known &= place >= 0
    kept: UnitConstants = {key: np.full(len(later.units), np.nan) for key in design.constants}
    for key, values in design.constants.items():
        kept[key][place[known]] = values[known]
    return dict(kept)


def changes_between(old: Design, new: Design, earlier: Panel, later: Panel) -> Changes:
    """Set a mechanism's rows in a later panel against those in an earlier one.

    Parameters
    ----------
    old, new : Design
    earlier, later : Panel
        The later one begins in the same period.

    Returns
    -------
    Changes
    """
    at = np.full(new.used.shape, -1, dtype=np.intp)
    at[new.unit, new.period] = np.arange(new.rows)
    place = places_in(earlier, later)[old.unit]
    found = np.where(place >= 0, at[place, old.period], -1)
    there = found >= 0
    here = found[there]
    same = np.ones(here.size, dtype=bool)

    def compare(before: Floats | None, after: Floats | None) -> None:
        if before is not None and after is not None:
            close = np.isclose(before[there], after[here], rtol=SAME, atol=SAME)
            same[:] &= close if close.ndim == 1 else close.all(axis=1)

    compare(old.y, new.y)
    compare(old.trials, new.trials)
    compare(old.lower, new.lower)
    for before, after in zip(old.predictors, new.predictors, strict=True):
        compare(before.columns, after.columns)
        compare(before.offset, after.offset)
        for level, codes in before.groups.items():
            names = np.array(old.group_names[level], dtype=object)[codes[there]]
            same &= (
                names == np.array(new.group_names[level], dtype=object)[after.groups[level]][here]
            )
    added = np.ones(new.rows, dtype=bool)
    added[here] = False
    return Changes(
        earlier=np.flatnonzero(~added),
        added=np.flatnonzero(added),
        revised=int((~same).sum()),
        gone=int((~there).sum()),
    )


def rows_of(design: Design, which: Indices) -> Design:
    """Return a design with some of its rows only."""
    return replace(
        design,
        unit=design.unit[which],
        period=design.period[which],
        y=design.y[which],
        trials=None if design.trials is None else design.trials[which],
        lower=None if design.lower is None else design.lower[which],
        predictors=tuple(
            replace(
                arrays,
                columns=arrays.columns[which],
                offset=arrays.offset[which],
                groups={level: codes[which] for level, codes in arrays.groups.items()},
            )
            for arrays in design.predictors
        ),
    )
