"""Periods are read, counted and named as pandas' own calendar does."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.panel.periods import parse_periods, period_labels, period_ordinals, period_starts

PANDAS = {"day": "D", "week": "W-SUN", "month": "M", "quarter": "Q", "year": "Y"}
FREQUENCIES = list(PANDAS)
dates = st.dates(datetime.date(1700, 1, 1), datetime.date(2250, 12, 31))


@pytest.mark.parametrize("frequency", FREQUENCIES)
@given(date=dates, steps=st.integers(-400, 400))
@settings(max_examples=60, deadline=None)
def test_periods_follow_each_other_as_in_pandas(
    frequency: str, date: datetime.date, steps: int
) -> None:
    ours = period_ordinals(np.array([date], dtype="datetime64[D]"), frequency)
    theirs = pd.Period(date, freq=PANDAS[frequency]) + steps
    if not 1700 < theirs.year < 2250:
        return
    start = period_starts(ours + steps, frequency)[0]
    assert start == theirs.start_time.to_datetime64()


@pytest.mark.parametrize("frequency", FREQUENCIES)
@given(ordinal=st.integers(-200, 270))
@settings(max_examples=60, deadline=None)
def test_a_period_that_is_written_and_read_again_is_itself(frequency: str, ordinal: int) -> None:
    (label,) = period_labels([ordinal], frequency)
    parsed = parse_periods(pd.Series([label]), frequency)
    assert parsed.readable.all()
    assert parsed.ordinals.tolist() == [ordinal]


@given(date=dates)
@settings(max_examples=200, deadline=None)
def test_weeks_are_named_by_the_iso_calendar(date: datetime.date) -> None:
    ordinal = period_ordinals(np.array([date], dtype="datetime64[D]"), "week")
    iso = date.isocalendar()
    assert period_labels(ordinal, "week") == [f"{iso.year}-W{iso.week:02d}"]


@pytest.mark.parametrize(
    ("frequency", "written", "label"),
    [
        ("quarter", "2024Q2", "2024Q2"),
        ("quarter", "2024-Q2", "2024Q2"),
        ("quarter", "2024 q2", "2024Q2"),
        ("quarter", "2024-06-30", "2024Q2"),
        ("quarter", "2024-05", "2024Q2"),
        ("month", "2024-03", "2024-03"),
        ("month", "2024-3", "2024-03"),
        ("month", "2024M03", "2024-03"),
        ("month", "202403", "2024-03"),
        ("month", "2024/03/31", "2024-03"),
        ("month", "2024-03-31T23:59:59", "2024-03"),
        ("month", "2024-03-31 23:59:59+00", "2024-03"),
        ("year", "2024", "2024"),
        ("year", "2024.0", "2024"),
        ("year", "2024Q3", "2024"),
        ("day", "20240229", "2024-02-29"),
        ("week", "2024-03-10", "2024-W10"),
        ("week", "2024-03-11", "2024-W11"),
        ("week", "2020-W53", "2020-W53"),
    ],
)
def test_the_usual_ways_to_write_a_period_are_read(
    frequency: str, written: str, label: str
) -> None:
    parsed = parse_periods(pd.Series([written]), frequency)
    assert parsed.readable.all()
    assert not parsed.too_coarse
    assert period_labels(parsed.ordinals, frequency) == [label]


@pytest.mark.parametrize(
    "written",
    [
        "2023-02-29",
        "2024-00-01",
        "2024-1-32",
        "2021-W53",
        "2024-W00",
        "24-01-01",
        "45352",
        "1/2/24",
    ],
)
@pytest.mark.parametrize("frequency", FREQUENCIES)
def test_what_is_no_date_is_not_read_as_one(frequency: str, written: str) -> None:
    assert not parse_periods(pd.Series([written]), frequency).readable.any()


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(pd.to_datetime(["2024-04-01", "2024-07-15"])),
        pd.Series(pd.to_datetime(["2024-04-01 00:00", "2024-07-15 13:00"])).dt.tz_localize(
            "Asia/Tokyo"
        ),
        pd.Series([datetime.date(2024, 4, 1), datetime.date(2024, 7, 15)], dtype=object),
        pd.Series(pd.PeriodIndex(["2024Q2", "2024Q3"], freq="Q")),
        pd.Series(["2024Q2", "2024Q3"], dtype="category"),
    ],
    ids=["datetime", "with a zone", "date objects", "period", "categorical"],
)
def test_types_of_date_are_read_like_text(column: pd.Series) -> None:
    parsed = parse_periods(column, "quarter")
    assert period_labels(parsed.ordinals, "quarter") == ["2024Q2", "2024Q3"]


def test_years_may_be_numbers() -> None:
    for column in (pd.Series([2023, 2024]), pd.Series([2023.0, 2024.0])):
        assert period_labels(parse_periods(column, "year").ordinals, "year") == ["2023", "2024"]


def test_an_unknown_frequency_is_refused() -> None:
    with pytest.raises(ValueError, match="no frequency 'decade'"):
        period_starts([1], "decade")
    with pytest.raises(ValueError, match="no frequency 'decade'"):
        period_ordinals(np.array(["2024"], dtype="datetime64[Y]"), "decade")
