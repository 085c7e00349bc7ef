"""Future periods: which follow the panel's last, how they are named, and which one a date means."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import SpecificationError

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["FuturePeriods"]


@dataclass(frozen=True, eq=False)
class FuturePeriods:
    """The periods to simulate.

    Parameters
    ----------
    frequency : {'day', 'week', 'month', 'quarter', 'year'} or None
        None for a cross-section, whose single period is replayed.
    ordinals : int64 array (period,)
        Each period's number from a fixed origin of the calendar; 0 in a cross-section.

    Examples
    --------
    >>> future = FuturePeriods("month", np.array([663, 664, 665]))
    >>> future.labels, future.position("2025-06"), future.position(2)
    (('2025-04', '2025-05', '2025-06'), 2, 1)
    """

    frequency: str | None
    ordinals: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ordinals)

    @cached_property
    def coordinate(self) -> NDArray[Any]:
        """Where each period starts, for the dim ``period``; 0 in a cross-section."""
        from dotwin.panel.periods import period_starts

        if self.frequency is None:
            return np.zeros(1, dtype=np.int64)
        return period_starts(self.ordinals, self.frequency)

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """What people call the periods: ``2025-04``, ``2025Q2``."""
        from dotwin.panel.periods import period_labels

        if self.frequency is None:
            return ("0",)
        return tuple(period_labels(self.ordinals, self.frequency))

    def position(self, date: int | str) -> int:
        """Find a period, counted from 0; it may lie outside the future.

        Parameters
        ----------
        date : int or str
            A count of future periods from 1, or a date or period such as ``2025-03``.

        Raises
        ------
        SpecificationError
            When the text is no date of this calendar.
        """
        import pandas as pd

        from dotwin.panel.periods import parse_periods

        if isinstance(date, int):
            return date - 1
        if self.frequency is None:
            raise SpecificationError(f"'{date}': a cross-section has no dates.")
        parsed = parse_periods(pd.Series([date]), self.frequency)
        if not parsed.readable[0] or parsed.too_coarse:
            raise SpecificationError(
                f"'{date}' is no {self.frequency}; write a count of future periods from 1, or one "
                f"of {self.labels[0]} … {self.labels[-1]}."
            )
        return int(parsed.ordinals[0] - self.ordinals[0])
