"""Periods as whole numbers: reading them from a table, counting them, naming them.

A period is the number of days, weeks, months, quarters or years since the one that holds
1970-01-01, so that a lag is a subtraction and the next period is the next number. Weeks begin on
Monday (ISO 8601).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

__all__ = ["ParsedPeriods", "parse_periods", "period_labels", "period_ordinals", "period_starts"]

type Integers = NDArray[np.int64]
type Times = NDArray[np.datetime64]

#: 1970-01-01 was a Thursday: its week began three days before.
_DAYS_TO_MONDAY = 3

#: How a period may be written, finest first: kind -> patterns with named parts.
_FORMS: dict[str, tuple[str, ...]] = {
    "day": (
        r"(?P<year>\d{4})[-/](?P<month>\d{1,2})[-/](?P<day>\d{1,2})(?:[T ]\d{1,2}:\d{2}.*)?",
        r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})",
    ),
    "week": (r"(?P<year>\d{4})-?W(?P<week>\d{1,2})",),
    "month": (
        r"(?P<year>\d{4})[-/](?P<month>\d{1,2})",
        r"(?P<year>\d{4})-?M(?P<month>\d{1,2})",
        r"(?P<year>\d{4})(?P<month>\d{2})",
    ),
    "quarter": (r"(?P<year>\d{4})[- ]?Q(?P<quarter>[1-4])",),
    "year": (r"(?P<year>\d{4})(?:\.0)?",),
}
_EXAMPLES = {
    "day": "2024-03-05",
    "week": "2024-W10",
    "month": "2024-03",
    "quarter": "2024Q2",
    "year": "2024",
}
#: Frequency -> the kinds of date that lie within exactly one of its periods.
_READABLE_AS: dict[str, tuple[str, ...]] = {
    "day": ("day",),
    "week": ("week", "day"),
    "month": ("month", "day"),
    "quarter": ("quarter", "month", "day"),
    "year": ("year", "quarter", "month", "day"),
}
#: Nanosecond time stamps reach from 1678 to 2262.
_YEARS = (1678, 2261)
#: Stands for a date that does not exist.
_NO_DAY = np.iinfo(np.int64).min


def period_ordinals(times: ArrayLike, frequency: str) -> Integers:
    """Count periods since the one that holds 1970-01-01.

    Parameters
    ----------
    times : array_like of datetime64
        Any moment within each period.
    frequency : {'day', 'week', 'month', 'quarter', 'year'}

    Returns
    -------
    ndarray of int64, same shape

    Examples
    --------
    >>> period_ordinals(np.array(["2024-05-31"], dtype="datetime64[D]"), "quarter")
    array([217])
    """
    moments = np.asarray(times)
    match frequency:
        case "day":
            return moments.astype("datetime64[D]").astype(np.int64)
        case "week":
            return (moments.astype("datetime64[D]").astype(np.int64) + _DAYS_TO_MONDAY) // 7
        case "month":
            return moments.astype("datetime64[M]").astype(np.int64)
        case "quarter":
            return moments.astype("datetime64[M]").astype(np.int64) // 3
        case "year":
            return moments.astype("datetime64[Y]").astype(np.int64)
    raise ValueError(f"no frequency '{frequency}'; accepted: {', '.join(_READABLE_AS)}.")


def period_starts(ordinals: ArrayLike, frequency: str) -> Times:
    """Give the first moment of each period; the inverse of `period_ordinals`.

    Parameters
    ----------
    ordinals : array_like of int
    frequency : {'day', 'week', 'month', 'quarter', 'year'}

    Returns
    -------
    ndarray of datetime64[ns], same shape

    Examples
    --------
    >>> period_starts([217], "quarter").astype("datetime64[D]")
    array(['2024-04-01'], dtype='datetime64[D]')
    """
    counts = np.asarray(ordinals, dtype=np.int64)
    match frequency:
        case "day":
            starts = counts.astype("datetime64[D]")
        case "week":
            starts = (counts * 7 - _DAYS_TO_MONDAY).astype("datetime64[D]")
        case "month":
            starts = counts.astype("datetime64[M]")
        case "quarter":
            starts = (counts * 3).astype("datetime64[M]")
        case "year":
            starts = counts.astype("datetime64[Y]")
        case _:
            raise ValueError(f"no frequency '{frequency}'; accepted: {', '.join(_READABLE_AS)}.")
    return starts.astype("datetime64[ns]")


def period_labels(ordinals: ArrayLike, frequency: str) -> list[str]:
    """Name periods as people write them.

    Parameters
    ----------
    ordinals : array_like of int
    frequency : {'day', 'week', 'month', 'quarter', 'year'}

    Returns
    -------
    list of str
        Such as ``2024-03-05``, ``2024-W10``, ``2024-03``, ``2024Q2`` or ``2024``.

    Examples
    --------
    >>> period_labels([217, 218], "quarter")
    ['2024Q2', '2024Q3']
    """
    starts = period_starts(np.atleast_1d(np.asarray(ordinals)), frequency)
    match frequency:
        case "week":
            # The ISO year of a week is that of its Thursday.
            thursday = starts.astype("datetime64[D]") + np.timedelta64(3, "D")
            first = thursday.astype("datetime64[Y]").astype("datetime64[D]")
            week = (thursday - first).astype(np.int64) // 7 + 1
            years = thursday.astype("datetime64[Y]").astype(str)
            return [f"{year}-W{number:02d}" for year, number in zip(years, week, strict=True)]
        case "quarter":
            quarter = starts.astype("datetime64[M]").astype(np.int64) % 12 // 3 + 1
            years = starts.astype("datetime64[Y]").astype(str)
            return [f"{year}Q{number}" for year, number in zip(years, quarter, strict=True)]
    code = {"day": "D", "month": "M", "year": "Y"}[frequency]
    return [str(label) for label in starts.astype(f"datetime64[{code}]").astype(str)]


@dataclass(frozen=True)
class ParsedPeriods:
    """A column of periods, read.

    Parameters
    ----------
    ordinals : ndarray of int64, dims (row,)
        Meaningful where ``readable``.
    readable : ndarray of bool, dims (row,)
    missing : ndarray of bool, dims (row,)
        Rows with an empty cell.
    minority : ndarray of bool, dims (row,)
        Rows written in another way than most.
    kinds : dict of str to int
        How many rows are written as which kind of date.
    too_coarse : bool
        Whether most rows name a span longer than the period, such as quarters for months.
    """

    ordinals: Integers
    readable: NDArray[np.bool_]
    missing: NDArray[np.bool_]
    minority: NDArray[np.bool_]
    kinds: dict[str, int]
    too_coarse: bool


def accepted_forms(frequency: str) -> str:
    """Say how a period of this frequency may be written."""
    forms = [_EXAMPLES[kind] for kind in _READABLE_AS[frequency]]
    return forms[0] if len(forms) == 1 else f"{', '.join(forms[:-1])} or {forms[-1]}"


def parse_periods(column: pd.Series, frequency: str) -> ParsedPeriods:
    """Read a column of periods written in any one of the accepted ways.

    Parameters
    ----------
    column : Series, dims (row,)
        Text such as ``2024Q2``, ``2024-03`` or ISO dates; date and time types; whole years.
    frequency : {'day', 'week', 'month', 'quarter', 'year'}

    Returns
    -------
    ParsedPeriods

    Examples
    --------
    >>> parse_periods(pd.Series(["2024Q2", "2024-Q3"]), "quarter").ordinals
    array([217, 218])
    """
    codes, unique = _distinct_texts(column)
    kinds = np.full(len(unique), "", dtype=object)
    days = np.full(len(unique), _NO_DAY, dtype=np.int64)
    for kind, patterns in _FORMS.items():
        for pattern in patterns:
            parts = unique.str.extract(f"^{pattern}$", expand=True)
            found = parts["year"].notna().to_numpy() & (kinds == "")
            if not found.any():
                continue
            numbers = parts.loc[found].astype(np.int64)
            days[found] = _first_days(numbers)
            kinds[found] = kind
    readable = days != _NO_DAY
    missing = codes < 0
    row_kinds = np.where(missing, "", kinds[codes])
    row_readable = readable[codes] & ~missing
    written, counts = np.unique(row_kinds[row_readable].astype(str), return_counts=True)
    main = str(written[np.argmax(counts)]) if len(written) else ""
    coarse = bool(main) and main not in _READABLE_AS[frequency]
    ordinals = np.zeros(len(column), dtype=np.int64)
    moments = days[codes[row_readable]].astype("datetime64[D]")
    ordinals[row_readable] = period_ordinals(moments, frequency)
    return ParsedPeriods(
        ordinals=ordinals,
        readable=row_readable,
        missing=missing,
        minority=row_readable & (row_kinds != main),
        kinds={str(kind): int(count) for kind, count in zip(written, counts, strict=True)},
        too_coarse=coarse,
    )


def _distinct_texts(column: pd.Series) -> tuple[NDArray[np.intp], pd.Series]:
    """Code each row by its distinct text; -1, the last text, stands for an empty cell."""
    if isinstance(column.dtype, pd.PeriodDtype):
        column = column.dt.start_time
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        # The clock on the wall decides which day it is, not the one in Greenwich.
        texts = column.dt.tz_localize(None).dt.strftime("%Y-%m-%d")
    elif pd.api.types.is_float_dtype(column.dtype):
        whole = column.dropna()
        texts = column.astype(object)
        texts.loc[whole.index] = [f"{v:.0f}" if v == round(v) else repr(v) for v in whole]
    else:
        texts = column
    codes, values = pd.factorize(texts)
    stripped = pd.Series([*(str(value).strip().upper() for value in values), ""], dtype="str")
    return np.where(stripped.eq("").to_numpy()[codes], -1, codes), stripped


def _first_days(parts: pd.DataFrame) -> Integers:
    """Turn years with a month, quarter or week into days since 1970-01-01."""
    year = parts["year"].to_numpy()
    sound = (year >= _YEARS[0]) & (year <= _YEARS[1])
    months = np.zeros(len(parts), dtype=np.int64)
    if "month" in parts:
        months = parts["month"].to_numpy() - 1
        sound &= (months >= 0) & (months < 12)
    if "quarter" in parts:
        months = (parts["quarter"].to_numpy() - 1) * 3
    month = (year - 1970) * 12 + months
    days = _days_of_months(month)
    if "day" in parts:
        day = parts["day"].to_numpy()
        sound &= (day >= 1) & (day <= _days_of_months(month + 1) - days)
        days += day - 1
    if "week" in parts:
        # Week 1 is the one with 4 January in it; the last one's Thursday is still in December.
        week = parts["week"].to_numpy()
        monday = (days + 3 + _DAYS_TO_MONDAY) // 7 * 7 - _DAYS_TO_MONDAY + (week - 1) * 7
        sound &= (week >= 1) & (monday + 3 < _days_of_months(month + 12))
        days = monday
    return np.where(sound, days, _NO_DAY)


def _days_of_months(months: Integers) -> Integers:
    """First day of each month, counted from 1970-01-01."""
    return months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
