"""Every present row is used, or set aside for exactly one reason."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dotwin.panel import (
    Panel,
    account_rows,
    across_units,
    compare_set_aside,
    lagged,
    read_panel,
    usable_rows,
)
from dotwin.spec.twin import Twin

bools = arrays(bool, (4, 3))


@given(present=bools, checks=st.lists(bools, max_size=4))
@settings(max_examples=60, deadline=None)
def test_used_and_counted_rows_add_up_to_the_present_ones(
    present: np.ndarray, checks: list[np.ndarray]
) -> None:
    used, table = account_rows(present, [(f"reason {i}", ok) for i, ok in enumerate(checks)])
    assert used.sum() + table["rows"].sum() == present.sum()
    assert (used == np.logical_and.reduce([present, *checks])).all()
    assert (table["rows"] > 0).all()


def test_a_row_that_fails_twice_is_counted_under_the_first_reason() -> None:
    no = np.zeros((1, 1), dtype=bool)
    _, table = account_rows(~no, [("first", no), ("second", no)])
    assert table.to_dict("records") == [{"reason": "first", "rows": 1}]


def test_rows_of_one_reason_from_two_checks_are_one_line() -> None:
    ok = np.array([[True, False, True], [True, True, False]])
    _, table = account_rows(np.ones((2, 3), dtype=bool), [("x", ok), ("x", ok[::-1])])
    assert table.to_dict("records") == [{"reason": "x", "rows": 4}]


@pytest.fixture(scope="module")
def panel() -> Panel:
    nan = np.nan
    twin = Twin(
        twin="t",
        panel={"unit": "home", "period": {"column": "year", "frequency": "year"}},
        indicators={
            "y": {"domain": "quality", "family": "normal"},
            "x": {"domain": "workforce"},
            "owner": {"domain": "context", "categories": ["a", "b"]},
        },
    )
    table = pd.DataFrame(
        {
            "home": list("PPPPQQQRRR"),
            "year": [2020, 2021, 2022, 2023, 2020, 2022, 2023, 2021, 2022, 2023],
            "y": [1.0, 2, nan, 4, 5, 6, 7, 8, 9, 10],
            "x": [1.0, nan, 3, 4, 5, 6, 7, 8, 9, nan],
            "owner": [*"aaaabbb", "", "", ""],
        }
    )
    return read_panel(table, twin)


def test_each_reason_is_told_apart(panel: Panel) -> None:
    # P 2020 and Q 2020: before the window; R 2021 and Q 2022: absent the year before; P 2022: no
    # outcome; R 2023: x missing, though its lag is known; R 2022 and R 2023: no owner.
    used, table = usable_rows(panel, "y", [("x", 1), ("x", 0), ("owner", 0)])
    assert dict(zip(table["reason"], table["rows"], strict=True)) == {
        "outcome y missing": 1,
        "lag of x before the window": 2,
        "lag of x: unit absent in that period": 2,
        "cause x missing": 2,
        "cause owner missing": 1,
    }
    assert used.tolist() == [[False, False, False, True], [False] * 3 + [True], [False] * 4]


def test_a_missing_lag_is_not_an_absent_one(panel: Panel) -> None:
    _, table = usable_rows(panel, "x", [("y", 1)])
    assert table.set_index("reason")["rows"]["lag of y missing"] == 1


def test_a_lag_that_is_known_although_the_unit_was_absent_sets_nothing_aside(panel: Panel) -> None:
    used, table = usable_rows(panel, "y", [("owner", 1)])
    assert used[1].tolist() == [False, False, True, True]
    by_reason = table.set_index("reason")["rows"]
    assert by_reason["lag of owner: unit absent in that period"] == 1
    assert by_reason["lag of owner missing"] == 2


def test_where_the_mechanism_does_not_hold_comes_first(panel: Panel) -> None:
    holds = np.ones(panel.data["present"].shape)
    holds[0, :] = 0.0
    holds[1, :] = np.nan
    used, table = usable_rows(panel, "y", [("x", 0)], holds=("x > 2", holds))
    assert dict(zip(table["reason"], table["rows"], strict=True)) == {
        "whether it holds (when x > 2) is unknown": 3,
        "does not hold (when x > 2)": 4,
        "cause x missing": 1,
    }
    assert used.sum() == 2


def test_set_aside_rows_are_compared_with_the_used_ones(panel: Panel) -> None:
    used = panel.data["present"].values & (np.nan_to_num(panel.values("y"), nan=-1) >= 5)
    table = compare_set_aside(panel, used)
    rows = panel.rows
    inside, outside = rows[rows["y"] >= 5], rows[~(rows["y"] >= 5)]
    y = table.loc["y"]
    assert y["mean used"] == pytest.approx(inside["y"].mean())
    assert y["mean set aside"] == pytest.approx(outside["y"].mean())
    pooled = np.sqrt((inside["y"].var(ddof=0) + outside["y"].var(ddof=0)) / 2)
    gap = outside["y"].mean() - inside["y"].mean()
    assert y["difference in sds"] == pytest.approx(gap / pooled)
    assert (y["values used"], y["values set aside"]) == (6, 3)
    assert table.loc["owner = b", "mean used"] == 1.0
    assert table.loc["owner = b", "mean set aside"] == 0.0


def test_nothing_set_aside_leaves_nothing_to_compare(panel: Panel) -> None:
    table = compare_set_aside(panel, panel.data["present"].values)
    assert table["mean set aside"].isna().all()
    assert table["difference in sds"].isna().all()


@given(
    values=arrays(float, (6, 2), elements=st.one_of(st.just(np.nan), st.integers(-9, 9))),
    codes=arrays(np.intp, 6, elements=st.integers(0, 2)),
    function=st.sampled_from(["mean", "sum"]),
)
@settings(max_examples=60, deadline=None)
def test_group_means_and_sums_are_those_of_pandas(
    values: np.ndarray, codes: np.ndarray, function: str
) -> None:
    frame = pd.DataFrame(values)
    options = {"min_count": 1} if function == "sum" else {}
    expected = frame.groupby(codes).transform(function, **options)
    np.testing.assert_allclose(across_units(function, values, codes, False), expected)
    ours = across_units(function, values, codes, True)
    for i in range(len(values)):
        others = frame[(codes == codes[i]) & (np.arange(6) != i)]
        theirs = others.sum(min_count=1) if function == "sum" else others.mean()
        np.testing.assert_allclose(ours[i], theirs, atol=1e-12)


def test_a_lag_moves_values_and_leaves_the_start_unknown() -> None:
    assert lagged(np.array([["a", "b", "c"]]), 2).tolist() == [["", "", "a"]]
    np.testing.assert_array_equal(lagged(np.array([[1.0, 2.0]]), 1), [[np.nan, 1.0]])
    np.testing.assert_array_equal(lagged(np.array([[1.0, 2.0]]), 5), [[np.nan, np.nan]])
