"""A design accounts for every row, has scales from stated places, and refuses the undefined."""

from typing import Any

import numpy as np
import pytest

from dotwin.errors import DataError, ExpressionError
from dotwin.mechanisms.design import build_design
from dotwin.mechanisms.references import RANGE_IN_SDS
from tests.mechanisms.small import design_of, small_panel, small_table


def test_used_and_set_aside_rows_add_up_to_the_rows_present() -> None:
    table = small_table()
    rng = np.random.default_rng(5)
    table["y"] = rng.poisson(3, 72).astype(float)
    table.loc[[4, 5, 30], "y"] = np.nan
    table.loc[[7, 30, 44], "staffing"] = np.nan
    table.loc[[12, 13], "days"] = 0.0
    table.loc[[12, 13], "y"] = 0.0
    table = table.drop(index=[20, 21, 66])
    one = {
        "family": "poisson",
        "exposure": "days",
        "when": "surveys > 0",
        "otherwise": 0,
        "causes": {"staffing": {}, "log1p(y[-1])": {}},
    }
    table.loc[table["surveys"] == 0, "y"] = 0.0
    design = design_of(small_panel(table, y=one), "y")
    assert design.rows + design.accounting["rows"].sum() == len(table)
    reasons = dict(zip(design.accounting["reason"], design.accounting["rows"], strict=True))
    assert reasons["lags reach before the window"] == (table["quarter"] == "2020Q1").sum()
    assert reasons["'surveys > 0' does not hold"] == int(
        ((table["surveys"] == 0) & (table["quarter"] != "2020Q1")).sum()
    )
    assert design.rows == design.used.sum() == design.y.size == design.main.columns.shape[0]


def test_the_reference_scale_is_the_plausible_range_else_the_rows_used() -> None:
    table = small_table().assign(y=np.arange(72.0))
    one: dict[str, Any] = {"family": "normal", "causes": {"staffing": {}, "log(beds)": {}}}
    panel = small_panel(table, y=one)
    declared = panel.twin.model_dump(mode="json", by_alias=True)
    declared["indicators"]["beds"]["plausible"] = [20, 90]
    twin = type(panel.twin)(**declared)
    reference = build_design(twin, "y", panel).reference
    low, high = np.log(20), np.log(90)
    assert reference.factors["log(beds)"] == pytest.approx(
        ((low + high) / 2, (high - low) / RANGE_IN_SDS)
    )
    mean, sd = table["staffing"].mean(), table["staffing"].std(ddof=0)
    assert reference.factors["staffing"] == pytest.approx((mean, sd))


def test_coefficients_of_an_identity_link_are_in_sds_of_the_child() -> None:
    table = small_table().assign(y=np.arange(72.0) * 7.0)
    one: dict[str, Any] = {
        "family": "normal",
        "causes": {"staffing": {}, "beds": {"scale": "natural"}},
    }
    design = design_of(small_panel(table, y=one), "y")
    assert design.reference.multiplier == pytest.approx(table["y"].std(ddof=0))
    assert design.main.columns[:, 0].std() == pytest.approx(table["y"].std(ddof=0))
    natural = np.sort(design.main.columns[:, 1])
    np.testing.assert_allclose(natural, np.sort(table["beds"] - table["beds"].mean()), atol=1e-9)


def test_a_log_link_has_no_multiplier() -> None:
    table = small_table().assign(y=np.arange(1.0, 73.0))
    one: dict[str, Any] = {"family": "gamma", "causes": {"staffing": {}}}
    assert design_of(small_panel(table, y=one), "y").reference.multiplier == 1.0


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("log(surveys)", r"log1p\(surveys\)"),
        ("logit(quota)", r"logit\(min\(max\(quota, 0.01\), 0.99\)\)"),
        ("days / surveys", "max"),
        ("sqrt(surveys - 2)", r"sqrt\(max"),
    ],
)
def test_an_undefined_expression_counts_its_rows_and_names_a_form_that_works(
    text: str, advice: str
) -> None:
    table = small_table().assign(y=np.arange(72.0))
    table["quota"] = np.where(table["surveys"] == 0, 1.0, 0.5)
    quota = {"family": "beta", "ends": [1]}
    number = int((table["surveys"] < 2).sum() if "sqrt" in text else (table["surveys"] == 0).sum())
    panel = small_panel(table, quota=quota, y={"family": "normal", "causes": {text: {}}})
    with pytest.raises(ExpressionError, match=advice) as error:
        design_of(panel, "y")
    assert f"undefined in {number} of 72 rows" in str(error.value)


def test_all_undefined_expressions_are_named_at_once() -> None:
    table = small_table().assign(y=np.arange(72.0))
    causes: dict[str, Any] = {"log(surveys)": {}, "days / surveys": {}}
    with pytest.raises(ExpressionError) as error:
        design_of(small_panel(table, y={"family": "normal", "causes": causes}), "y")
    assert len(error.value.problems) == 2


def test_a_missing_input_is_missing_and_not_undefined() -> None:
    table = small_table().assign(y=np.arange(72.0))
    table["days"] = table["days"].where(table["days"] > 8)
    design = design_of(small_panel(table, y={"family": "normal", "causes": {"log(days)": {}}}), "y")
    assert design.rows == table["days"].notna().sum()


def test_a_share_of_no_trials_is_missing_and_not_undefined() -> None:
    table = small_table()
    rng = np.random.default_rng(2)
    table.loc[[3, 9], "visits"] = 0
    table["missed"] = rng.binomial(table["visits"], 0.3)
    table["y"] = rng.normal(size=72)
    panel = small_panel(
        table,
        missed={"family": "binomial", "trials": "visits"},
        y={"family": "normal", "causes": {"logit(share(missed))": {}}},
    )
    assert design_of(panel, "y").rows == 70
    missed = design_of(panel, "missed")
    assert missed.rows == 70
    assert dict(missed.accounting.to_records(index=False).tolist()) == {"trials visits are 0": 2}


def test_a_cause_that_never_changes_is_refused() -> None:
    table = small_table().assign(y=np.arange(72.0), beds=50)
    with pytest.raises(DataError, match="the same value 50 in all 72 rows"):
        design_of(small_panel(table, y={"family": "normal", "causes": {"beds": {}}}), "y")


def test_a_mechanism_without_rows_says_why() -> None:
    table = small_table().assign(y=np.nan)
    with pytest.raises(DataError, match=r"no row .*y missing: 72"):
        design_of(small_panel(table, y={"family": "normal"}), "y")


def test_offsets_are_log_exposure_of_the_main_predictor_only() -> None:
    table = small_table().assign(y=np.random.default_rng(1).poisson(2, 72))
    one = {"family": "poisson", "exposure": "days", "zeros": "inflated"}
    design = design_of(small_panel(table, y=one), "y")
    np.testing.assert_allclose(np.sort(design.main.offset), np.sort(np.log(table["days"])))
    assert (design.predictors[1].offset == 0).all()


def test_assigned_rows_are_not_the_mechanisms() -> None:
    table = small_table().assign(y=np.arange(72.0))
    table["by_trial"] = (table["provider"] < "p03").astype(int)
    one = {"family": "normal", "assigned": {"how": "randomised", "column": "by_trial"}}
    design = design_of(small_panel(table, y=one), "y")
    assert design.rows == 72 - 18
    assert "y was assigned" in set(design.accounting["reason"])


def test_an_indicator_of_a_region_is_counted_once_per_region_and_period() -> None:
    table = small_table()
    table["pool"] = table["region"].map({"r0": 1.0, "r1": 2.0, "r2": 3.0, "r3": 4.0}) + (
        table["quarter"].rank(method="dense")
    )
    design = design_of(small_panel(table, pool={"family": "normal", "level": "region"}), "pool")
    assert design.rows == 4 * 6
    expected = table.groupby(["region", "quarter"])["pool"].first()
    np.testing.assert_allclose(np.sort(design.y), np.sort(expected))


def test_a_stored_reference_keeps_the_meaning_of_parameters() -> None:
    table = small_table().assign(y=np.arange(72.0))
    panel = small_panel(table, y={"family": "normal", "causes": {"staffing": {}}})
    design = design_of(panel, "y")
    part = panel.select(periods=slice(0, 3))
    again = build_design(
        panel.twin, "y", part, structure=design.structure, reference=design.reference
    )
    early = design.period < 3
    np.testing.assert_array_equal(again.main.columns, design.main.columns[early])
