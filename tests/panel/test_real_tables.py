"""Published nursing-home tables are read whole, with their ids, in little time."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from dotwin.errors import DataError
from dotwin.panel import Panel, compare_set_aside, read_panel, usable_rows
from dotwin.spec.twin import Twin

pytestmark = pytest.mark.realdata

INDICATORS: dict[str, dict[str, Any]] = {
    "beds": {"domain": "capacity"},
    "for_profit": {"domain": "context"},
    "rn_hprd": {"domain": "workforce", "family": "gamma", "zeros": "hurdle"},
    "agency_hours_pct": {"domain": "workforce", "family": "beta", "out_of": 100, "ends": [0, 1]},
    "days_reported": {"domain": "context"},
    "days_without_rn": {"domain": "workforce", "family": "binomial", "trials": "days_reported"},
    "citing_surveys": {"domain": "safeguarding", "family": "poisson"},
    "citations": {
        "domain": "safeguarding",
        "family": "negative_binomial",
        "when": "citing_surveys > 0",
        "otherwise": 0,
        "at_least": "citing_surveys",
    },
    "fine_usd": {"domain": "safeguarding", "family": "lognormal", "zeros": "hurdle"},
}
QUARTERLY = {"column": "quarter", "frequency": "quarter"}


def quarters_twin(levels: list[str]) -> Twin:
    return Twin(
        twin="quarters",
        panel={"unit": "ccn", "levels": levels, "period": QUARTERLY},
        indicators=INDICATORS,
    )


@pytest.fixture(scope="module")
def panel(cms_data: Path) -> Panel:
    return read_panel(cms_data / "home_quarters.csv.gz", quarters_twin([]))


@pytest.fixture(scope="module")
def table(cms_data: Path) -> pd.DataFrame:
    return pd.read_csv(cms_data / "home_quarters.csv.gz", dtype={"ccn": str, "state": str})


def test_every_row_arrives_with_its_id_and_value(panel: Panel, table: pd.DataFrame) -> None:
    assert len(table) == 25_716
    rows = panel.rows
    theirs = table.sort_values(["ccn", "quarter"]).reset_index(drop=True)
    assert panel.units[0] == "015009"
    for column in ["ccn", "quarter", *INDICATORS]:
        pd.testing.assert_series_equal(
            rows[column], theirs[column], check_dtype=False, check_names=False
        )


def test_a_home_that_the_table_puts_in_two_states_is_named(
    cms_data: Path, table: pd.DataFrame
) -> None:
    twin = quarters_twin(["state"])
    with pytest.raises(DataError, match="1 ccn in more than one state — ccn 655000 in GU, HI"):
        read_panel(cms_data / "home_quarters.csv.gz", twin)
    # Numbers that begin with 65 belong to Guam.
    table = table.assign(state=table["state"].where(table["ccn"] != "655000", "GU"))
    codes, states = read_panel(table, twin).groups("state")
    by_state = table.drop_duplicates("ccn")["state"].value_counts()
    assert {state: int((codes == i).sum()) for i, state in enumerate(states)} == by_state.to_dict()


def test_zeros_that_a_gamma_cannot_take_are_reported_or_counted(cms_data: Path) -> None:
    one = {name: {**value} for name, value in INDICATORS.items()}
    del one["rn_hprd"]["zeros"]
    twin = Twin(twin="q", panel={"unit": "ccn", "period": QUARTERLY}, indicators=one)
    path = cms_data / "home_quarters.csv.gz"
    with pytest.raises(DataError, match=r"rn_hprd: 15\d values are exactly 0 .*zeros: hurdle"):
        read_panel(path, twin)
    panel = read_panel(path, twin, on_invalid="missing")
    number = panel.quality.table.loc["rn_hprd", "impossible"]
    assert number == (pd.read_csv(path)["rn_hprd"] == 0).sum()
    assert panel.quality.table.loc["rn_hprd", "missing"] == number


def test_lags_and_missing_causes_set_rows_aside_by_the_reason_that_pandas_finds(
    panel: Panel, table: pd.DataFrame
) -> None:
    used, reasons = usable_rows(panel, "days_without_rn", [("rn_hprd", 1), ("days_reported", 0)])
    before = table[["ccn", "quarter"]].assign(
        quarter=(pd.PeriodIndex(table["quarter"], freq="Q") + 1).astype(str), lagged=True
    )
    joined = table.merge(before, on=["ccn", "quarter"], how="left")
    known = joined["days_without_rn"].notna()
    assert used.sum() == (known & joined["lagged"].notna()).sum()
    by_reason = reasons.set_index("reason")["rows"]
    assert by_reason["outcome days_without_rn missing"] == (~known).sum()
    absent = by_reason["lag of rn_hprd: unit absent in that period"]
    assert absent == (known & joined["lagged"].isna()).sum()
    difference = compare_set_aside(panel, used)["difference in sds"]
    assert np.isfinite(difference["beds"])


def test_a_cross_section_of_homes_is_read(cms_data: Path) -> None:
    stars = ["1", "2", "3", "4", "5"]
    twin = Twin(
        twin="homes",
        panel={"unit": "ccn", "levels": ["state"]},
        indicators={
            "overall_rating": {"domain": "quality", "family": "ordinal", "categories": stars},
            "citations": {"domain": "safeguarding", "family": "negative_binomial"},
            "nurse_turnover_pct": {"domain": "workforce", "out_of": 100},
        },
    )
    panel = read_panel(cms_data / "homes.csv.gz", twin)
    table = pd.read_csv(cms_data / "homes.csv.gz", dtype={"ccn": str})
    assert repr(panel) == "Panel of 11,561 ccns in 52 states: 11,561 rows, 3 indicators."
    assert np.nanmean(panel.values("overall_rating")) + 1 == pytest.approx(
        table["overall_rating"].mean()
    )
    assert panel.quality.table.loc["nurse_turnover_pct", "missing"] == (
        table["nurse_turnover_pct"].isna().sum()
    )
