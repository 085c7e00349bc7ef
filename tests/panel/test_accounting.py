"""Accounting follows its equation, from its first value on, and never makes up a missing part."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from dotwin.errors import DataError
from dotwin.panel import Panel, derive_accounting, read_panel
from dotwin.spec.twin import Twin

YEAR = {"unit": "site", "levels": ["region"], "period": {"column": "year", "frequency": "year"}}


def make_twin(**indicators: dict[str, Any]) -> Twin:
    return Twin(
        twin="accounts",
        panel=YEAR,
        indicators={name: {"domain": "capacity", **one} for name, one in indicators.items()},
    )


def make_table(**columns: list[Any]) -> pd.DataFrame:
    """Two sites in one region, as many years as the columns are long; both sites are alike."""
    years = len(next(iter(columns.values())))
    one = pd.DataFrame({"year": [str(2000 + t) for t in range(years)], **columns})
    return pd.concat([one.assign(site=site, region="r") for site in "AB"], ignore_index=True)


def series(panel: Panel, name: str) -> list[float]:
    return panel.values(name)[0].tolist()


flows = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=8)


@given(flows=flows, start=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_queue_is_what_a_loop_over_its_flows_makes_it(
    flows: list[tuple[int, int]], start: int
) -> None:
    twin = make_twin(
        arrivals={},
        starts={},
        queue={"equals": "max(0, queue[-1] + arrivals - starts)", "start": start},
    )
    arrivals, starts = (list(column) for column in zip(*flows, strict=True))
    expected = list(
        itertools.accumulate(
            flows[1:], lambda queue, flow: max(0, queue + flow[0] - flow[1]), initial=start
        )
    )
    panel = read_panel(make_table(arrivals=arrivals, starts=starts), twin)
    assert series(panel, "queue") == expected


def test_a_recorded_first_value_starts_the_recursion() -> None:
    twin = make_twin(inflow={}, stock={"equals": "stock[-1] + inflow", "column": "stock"})
    panel = read_panel(make_table(inflow=[9, 1, 2], stock=[7, None, None]), twin)
    assert series(panel, "stock") == [7, 8, 10]


def test_a_recorded_column_is_read_although_there_is_a_start() -> None:
    twin = make_twin(inflow={}, stock={"equals": "stock[-1] + inflow", "start": 0})
    panel = read_panel(make_table(inflow=[9, 1, 2], stock=[7, 8, 10]), twin)
    assert series(panel, "stock") == [7, 8, 10]


def test_nothing_is_known_before_the_first_record() -> None:
    twin = make_twin(inflow={}, stock={"equals": "stock[-1] + inflow", "column": "stock"})
    panel = read_panel(make_table(inflow=[9, 1, 2], stock=[None, 7, None]), twin)
    np.testing.assert_array_equal(series(panel, "stock"), [np.nan, 7, 9])


def test_a_late_unit_starts_in_its_own_first_period() -> None:
    twin = make_twin(inflow={}, stock={"equals": "stock[-1] + inflow", "start": 5})
    table = make_table(inflow=[1, 2, 3]).drop(index=[0])
    values = read_panel(table, twin).values("stock")
    np.testing.assert_array_equal(values, [[np.nan, 5, 8], [5, 7, 10]])


def test_after_a_missing_flow_the_stock_is_unknown_until_it_is_recorded_again() -> None:
    twin = make_twin(inflow={}, stock={"equals": "stock[-1] + inflow", "column": "stock"})
    table = make_table(inflow=[1, None, 1, 1, 1], stock=[3, None, None, 9, None])
    panel = read_panel(table, twin)
    np.testing.assert_array_equal(series(panel, "stock"), [3, np.nan, np.nan, 9, 10])


def test_an_identity_without_a_past_holds_in_every_period() -> None:
    twin = make_twin(total={"equals": "a + b"}, a={}, b={}, part={"equals": "a / total"})
    panel = read_panel(make_table(a=[1, 2], b=[3, 2]), twin)
    assert series(panel, "total") == [4, 4]
    assert series(panel, "part") == [0.25, 0.5]


def test_accounts_that_feed_each_other_over_time_run_together() -> None:
    twin = make_twin(
        drawn={"equals": "0.5 * balance[-1]", "start": 1},
        balance={"equals": "balance[-1] - drawn + income", "start": 10},
        income={},
    )
    panel = read_panel(make_table(income=[0, 0, 4]), twin)
    assert series(panel, "balance") == [10, 5, 6.5]
    assert series(panel, "drawn") == [1, 5, 2.5]


def test_accounting_may_add_up_a_region() -> None:
    twin = make_twin(beds={}, regional={"equals": "sum(beds, over=region)"})
    table = make_table(beds=[3.0, 4.0])
    table.loc[table["site"] == "B", "beds"] = [10.0, np.nan]
    panel = read_panel(table, twin)
    assert panel.values("regional").tolist() == [[13, 4], [13, 4]]


def test_rounding_in_the_seventh_digit_is_no_contradiction() -> None:
    twin = make_twin(a={}, third={"equals": "a / 3", "column": "third"})
    read_panel(make_table(a=[1e6], third=[333333.3333]), twin)
    with pytest.raises(DataError, match=r"2 values differ from 'a / 3', by up to 0\.3333"):
        read_panel(make_table(a=[1e6], third=[333333.0]), twin)


def test_a_kept_residual_is_the_record_less_the_equation_of_the_recorded_past() -> None:
    twin = make_twin(
        inflow={}, stock={"equals": "stock[-1] + inflow", "column": "stock", "residual": "keep"}
    )
    panel = read_panel(make_table(inflow=[1, 1, None, 1, 1], stock=[3, 6, 7, 8, None]), twin)
    np.testing.assert_array_equal(panel.data["residual__stock"].values[0], [0, 2, np.nan, 0, 0])
    assert series(panel, "stock") == [3, 6, 7, 8, 9]
    assert (
        "stock: 2 records of 'stock[-1] + inflow' with an adjustment, 2 on average in size."
        in panel.quality.problems
    )


@given(
    inflow=st.lists(st.integers(-5, 5), min_size=2, max_size=8),
    noise=st.integers(0, 2**31),
)
@settings(max_examples=40, deadline=None)
def test_equation_plus_residual_gives_every_record(inflow: list[int], noise: int) -> None:
    twin = make_twin(
        inflow={}, stock={"equals": "stock[-1] + inflow", "column": "stock", "residual": "keep"}
    )
    stock = np.random.default_rng(noise).normal(size=len(inflow)).tolist()
    panel = read_panel(make_table(inflow=inflow, stock=stock), twin)
    residual = panel.data["residual__stock"].values[0]
    rebuilt = [stock[0]]
    for flow, rest in zip(inflow[1:], residual[1:].tolist(), strict=True):
        rebuilt.append(rebuilt[-1] + flow + rest)
    np.testing.assert_allclose(rebuilt, stock, atol=1e-12)


def test_a_dataset_gets_its_accounts_and_keeps_the_rest() -> None:
    twin = make_twin(a={}, double={"equals": "2 * a"})
    dims = ("unit", "period")
    data = xr.Dataset(
        {"a": (dims, [[1.0, np.nan]]), "present": (dims, [[True, True]])},
        coords={"unit": ["A"], "region": ("unit", ["r"]), "period": [0, 1]},
    )
    derived = derive_accounting(data, twin)
    np.testing.assert_array_equal(derived["double"].values, [[2, np.nan]])
    xr.testing.assert_identical(derived.drop_vars("double"), data)
    with pytest.raises(DataError, match=r"double: 1 value differs from '2 \* a'"):
        derive_accounting(derived.assign(double=derived["double"] + 1), twin)
