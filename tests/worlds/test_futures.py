"""Reading futures: aggregation within a draw, probabilities, times, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.errors import ExpressionError, SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Scenario, Twin, scale
from dotwin.worlds import Futures
from dotwin.worlds.aggregate import adds_up


@pytest.fixture(scope="module")
def futures(workforce: Fit) -> Futures:
    surge = Scenario("surge", [scale("referrals", 1.15, over=3)])
    return workforce.simulate(periods=4, scenarios=[surge], seed=5, draws=12)


def cell(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    (row,) = table.to_dict("records")
    return row


def test_counts_are_totals_and_other_indicators_averages(futures: Futures) -> None:
    data = futures.draws.sel(scenario="surge").isel(period=2)
    label = futures.run.future.labels[2]
    totals = data["incidents"].sum("unit").values.ravel()
    row = cell(futures.summary(of="incidents"), scenario="surge", period=label)
    assert row["mean"] == pytest.approx(totals.mean())
    assert row["median"] == pytest.approx(np.median(totals))
    assert row["5%"] == pytest.approx(np.quantile(totals, 0.05))
    averages = data["vacancy_rate"].mean("unit").values.ravel()
    row = cell(futures.summary(of="vacancy_rate"), scenario="surge", period=label)
    assert row["mean"] == pytest.approx(averages.mean())


def test_a_ratio_is_a_ratio_of_sums_within_each_draw(futures: Futures) -> None:
    data = futures.draws.sel(scenario="baseline")
    north = data.isel(unit=(data["region"] == "region-01").values)
    sums = north.sum("unit")
    expected = (sums["missed_visits"] / sums["scheduled_visits"]).values.reshape(-1, 4)
    table = futures.summary(by="region", of="missed_visits / scheduled_visits")
    for t, label in enumerate(futures.run.future.labels):
        row = cell(table, scenario="baseline", region="region-01", period=label)
        assert row["mean"] == pytest.approx(expected[:, t].mean())
    share = futures.summary(by="region", of="share(missed_visits)")
    np.testing.assert_allclose(share["mean"], table["mean"], rtol=1e-12)


def test_a_product_is_taken_unit_by_unit_before_it_adds_up(futures: Futures) -> None:
    data = futures.draws.sel(scenario="baseline")
    expected = (data["missed_visits"] * data["travel_minutes"]).sum("unit").values.reshape(-1, 4)
    table = futures.summary(of="missed_visits * travel_minutes")
    got = table[table["scenario"] == "baseline"]["mean"]
    np.testing.assert_allclose(got, expected.mean(axis=0), rtol=1e-12)


def test_groups_add_up_to_the_whole(futures: Futures) -> None:
    whole = futures.summary(of="incidents").set_index(["scenario", "period"])["mean"]
    for by in ("region", "provider", "start(vacancy_rate) > 0.15", ["region", "acuity > 2"]):
        parts = futures.summary(by=by, of="incidents").groupby(["scenario", "period"])["mean"].sum()
        np.testing.assert_allclose(parts.loc[whole.index], whole, rtol=1e-12)


def test_groups_by_state_use_the_state_when_futures_begin(futures: Futures, workforce: Fit) -> None:
    groups = futures.groups("start(vacancy_rate) > 0.15")
    last = workforce.panel.values("vacancy_rate")[:, -1]
    assert groups.labels == (("no",), ("yes",))
    np.testing.assert_array_equal(groups.codes == 1, last > 0.15)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("vacancy_rate", r"biased.*start\(vacancy_rate\)"),
        ("vacancy_rate > 0.1", "biased"),
        ("acuity", "distinct values"),
        ("regio", "Did you mean 'region'"),
    ],
)
def test_groups_that_mean_nothing_are_refused(futures: Futures, by: str, words: str) -> None:
    with pytest.raises(SpecificationError, match=words):
        futures.summary(by=by)


def test_probability_is_the_share_of_draws_in_which_the_group_crosses(futures: Futures) -> None:
    expression = "missed_visits / scheduled_visits"
    table = futures.probability(f"{expression} > 0.04", by="region")
    sums = futures.draws.groupby("region").sum()
    crossed = ((sums["missed_visits"] / sums["scheduled_visits"]) > 0.04).mean(("chain", "draw"))
    for row in table.to_dict("records"):
        position = futures.run.future.labels.index(row["period"])
        one = crossed.sel(scenario=row["scenario"], region=row["region"]).isel(period=position)
        assert row["probability"] == pytest.approx(one.item())
    ever = futures.probability(f"{expression} > 0.04", by="region", ever=True)
    assert len(ever) == 2 * 3
    worst = table.groupby(["scenario", "region"])["probability"].max().to_numpy()
    assert (ever["probability"].to_numpy() >= worst - 1e-12).all()


def test_a_threshold_is_named_or_written_out(futures: Futures) -> None:
    named = futures.probability("missed_visits_share", by="provider")
    written = futures.probability("missed_visits / scheduled_visits > 0.05", by="provider")
    assert named.equals(written)
    with pytest.raises(SpecificationError, match="not a condition"):
        futures.probability("missed_visits / scheduled_visits")


def test_time_to_counts_units_that_never_cross_and_orders_the_rest(futures: Futures) -> None:
    # Travel time never changes: a unit crosses in the first period or never.
    table = futures.time_to("travel_minutes > 30")
    crosses = (
        futures.draws["travel_minutes"].isel(scenario=0, chain=0, draw=0, period=0) > 30
    ).values
    row = cell(table, scenario="baseline")
    assert row["never"] == pytest.approx(1 - crosses.mean())
    first, never = futures.run.future.labels[0], "not within 4"
    for share in (0.1, 0.25, 0.5, 0.75, 0.9):
        assert row[f"by {share:.0%}"] == (first if crosses.mean() >= share else never)


def test_time_to_is_the_first_crossing(futures: Futures) -> None:
    values = futures.draws["backlog"].sel(scenario="surge").values[0]
    crossed = values > 6
    first = np.where(crossed.any(-1), crossed.argmax(-1), 4)
    row = cell(futures.time_to("backlog > 6"), scenario="surge")
    assert row["never"] == pytest.approx((first == 4).mean())
    ordered = np.sort(first, axis=None)
    labels = [*futures.run.future.labels, "not within 4"]
    assert row["by 50%"] == labels[ordered[int(np.ceil(0.5 * ordered.size)) - 1]]


def test_realised_changes_are_against_the_baseline_by_period(futures: Futures) -> None:
    table = futures.realised
    assert set(table["indicator"]) == {"referrals"}
    np.testing.assert_allclose(table["relative"], [0.05, 0.10, 0.15, 0.15], rtol=1e-9)


def test_results_say_what_is_wrong_with_an_expression(futures: Futures) -> None:
    with pytest.raises(ExpressionError, match="Did you mean 'incidents'"):
        futures.summary(of="incident")
    with pytest.raises(ExpressionError, match="their own period"):
        futures.summary(of="incidents - incidents[-1]")


def test_what_adds_up_is_known_from_family_unit_and_use() -> None:
    twin = Twin(
        twin="t",
        panel={"unit": "home"},
        indicators={
            "beds": {"domain": "capacity"},
            "visits": {"domain": "demand"},
            "falls": {"domain": "outcome", "family": "poisson", "exposure": "beds"},
            "missed": {"domain": "quality", "family": "binomial", "trials": "visits"},
            "wage": {"domain": "cost", "unit": "$ per hour", "family": "normal"},
            "bill": {"domain": "cost", "unit": "USD a month", "family": "gamma"},
            "ill": {"domain": "outcome", "family": "bernoulli"},
            "both": {"domain": "outcome", "equals": "falls + missed"},
            "rate": {"domain": "outcome", "equals": "falls / beds"},
        },
    )
    summing = {name for name in twin.indicators if adds_up(twin, name)}
    assert summing == {"beds", "visits", "falls", "missed", "bill", "both"}


def test_a_repr_says_what_the_futures_are(futures: Futures) -> None:
    text = repr(futures)
    for part in ("baseline and surge", "14 units", "4 months", "12 draws", "given"):
        assert part in text
