"""Tables of results: one row per scenario, quantity, group and period, the interval in its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from dotwin.errors import SpecificationError

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["interval_ends", "number", "over_draws"]


def interval_ends(interval: float) -> tuple[float, float]:
    """Return the probabilities at the ends of an equal-tailed interval.

    Examples
    --------
    >>> [round(p, 3) for p in interval_ends(0.9)]
    [0.05, 0.95]
    """
    if not 0 < interval < 1:
        raise SpecificationError(
            f"interval={interval}: a probability between 0 and 1, such as 0.9."
        )
    return (1 - interval) / 2, (1 + interval) / 2


def over_draws(
    values: NDArray[np.float64],
    axes: Sequence[tuple[Sequence[str], Sequence[Sequence[Any]]]],
    interval: float,
    extra: Mapping[str, Any],
) -> pd.DataFrame:
    """Summarise draws in a table.

    Parameters
    ----------
    values : float array (draw, ...)
        One further dim per axis.
    axes : sequence of (column names, labels)
        Each label has a value per column name.
    interval : float
        Probability of the equal-tailed interval.
    extra : dict of str to value
        Constant columns, which go last.

    Returns
    -------
    DataFrame
        The axes' columns, then ``mean``, ``median``, ``5%``, ``95%`` (for 0.9), then the extra.
    """
    import pandas as pd

    low, high = interval_ends(interval)
    columns: dict[str, Any] = {}
    shape = values.shape[1:]
    for position, (names, labels) in enumerate(axes):
        for k, name in enumerate(names):
            one = np.array([label[k] for label in labels], dtype=object)
            index = [None] * len(shape)
            index[position] = slice(None)  # type: ignore[call-overload] # an index may mix both
            columns[name] = np.broadcast_to(one[tuple(index)], shape).ravel()
    columns["mean"] = values.mean(axis=0).ravel()
    middle, lower, upper = np.quantile(values, [0.5, low, high], axis=0)
    columns["median"] = middle.ravel()
    columns[f"{100 * low:g}%"] = lower.ravel()
    columns[f"{100 * high:g}%"] = upper.ravel()
    table = pd.DataFrame(columns)
    for name, value in extra.items():
        table[name] = value
    return table


def number(value: float) -> str:
    """Write a number for a sentence, with three significant digits.

    Examples
    --------
    >>> number(1234.56), number(-0.04567), number(0)
    ('1,230', '-0.0457', '0')
    """
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    digits = 2 - int(np.floor(np.log10(abs(value))))
    rounded = round(value, digits)
    return f"{rounded:,.{max(digits, 0)}f}" if abs(rounded) < 1e15 else f"{rounded:.3g}"
