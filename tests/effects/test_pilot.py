"""Pilots: effects of each cohort and period against closed forms, peers and known truths."""

from __future__ import annotations

from typing import Any

import causaldata
import numpy as np
import pandas as pd
import pytest

import dotwin as dw
from dotwin.effects.examples import small_pilot
from dotwin.effects.pilots.pilot import Pilot
from dotwin.effects.pilots.pilot_licence import refuse_interference
from dotwin.errors import DataError, LicenceError, SpecificationError
from dotwin.inference import Fit
from tests.effects.rollouts import (
    NEVER,
    callaway_santanna,
    fitted,
    fixed_effects,
    imputed,
    panel_of,
    rollout_twin,
    staggered,
)

REPLICATES = 12


def answered(twin: dw.Twin, panel: dw.Panel, **options: Any) -> Pilot:
    return fitted(twin, panel).pilot("coaching", on="falls", seed=2, **options)


@pytest.fixture(scope="module")
def growing() -> tuple[Pilot, np.ndarray, np.ndarray, np.ndarray]:
    starts, falls, effect = staggered(0)
    twin = rollout_twin()
    return answered(twin, panel_of(twin, starts, falls)), starts, falls, effect


# ── closed forms and peers ─────────────────────────────────────────────────────────────────────


def test_a_randomised_pilot_gives_the_analysis_of_covariance() -> None:
    """Of treated units, what a regression among controls predicts: mean and standard error."""
    rng = np.random.default_rng(4)
    homes = 80
    before = rng.normal(0.0, 1.0, homes)
    starts = np.where(rng.permutation(homes) < homes // 2, 1, NEVER)
    after = 0.3 + 0.6 * before - 0.8 * (starts == 1) + rng.normal(0.0, 0.7, homes)
    twin = rollout_twin(
        "randomised",
        pooling=[],
        causes={
            "falls[-1]": {"prior": "normal(0, 10)"},
            "coaching": {"scale": "natural", "between": "same"},
        },
        priors={"intercept": "normal(0, 10)", "residual_sd": "half_normal(10)"},
    )
    found = answered(twin, panel_of(twin, starts, np.stack([before, after], axis=1)))
    control, treated = starts == NEVER, starts == 1
    x, y = before[control], after[control]
    slope = np.cov(x, y)[0, 1] / x.var(ddof=1)
    expected = after[treated].mean() - (y.mean() + slope * (before[treated].mean() - x.mean()))
    freedom = control.sum() - 2
    variance = ((y - y.mean() - slope * (x - x.mean())) ** 2).sum() / freedom
    spread = (before[treated].mean() - x.mean()) ** 2 / ((x - x.mean()) ** 2).sum()
    variance *= 1 / treated.sum() + 1 / control.sum() + spread
    draws = found.average()
    # The posterior is Student's t: its variance is larger by n / (n - 2).
    error = np.sqrt(variance * freedom / (freedom - 2))
    assert draws.mean() == pytest.approx(expected, abs=4 * error / np.sqrt(draws.size))
    assert draws.std() == pytest.approx(error, rel=4 / np.sqrt(2 * draws.size))
    assert "was assigned by lot" in found.licence.identified.sentence


def test_with_two_periods_it_is_the_difference_in_differences() -> None:
    """Of Callaway and Sant'Anna (2021), and so of everybody, where homes differ much."""
    rng = np.random.default_rng(5)
    homes = 40
    starts = np.repeat([1, NEVER], homes // 2)
    own = rng.normal(0.0, 3.0, (homes, 1)) + (starts == 1)[:, None]
    falls = own + np.array([0.0, 0.7]) + rng.normal(0.0, 0.1, (homes, 2))
    falls[starts == 1, 1] -= 0.5
    twin = rollout_twin()
    draws = answered(twin, panel_of(twin, starts, falls)).average()
    error = 0.1 * np.sqrt(2 * 2 / (homes // 2))
    expected = callaway_santanna(starts, falls, 1, 1)
    # Shrinkage of homes moves it by the noise's share of their variance.
    allowed = 4 * error / np.sqrt(draws.size) + 2 * (0.1 / 3.0) ** 2
    assert draws.mean() == pytest.approx(expected, abs=allowed)
    assert draws.std() == pytest.approx(error, rel=0.25)


def test_a_staggered_roll_out_is_the_imputation_estimator() -> None:
    """Least squares on untreated unit-periods: Borusyak, Jaravel and Spiess (2024).

    With little noise, homes and months are hardly shrunk.
    """
    starts, falls, _ = staggered(0, noise=0.1)
    twin = rollout_twin()
    found = answered(twin, panel_of(twin, starts, falls))
    gap = imputed(starts, falls)
    table = found.summary(["cohort", "since"])
    assert list(table["since"].astype(int)) == [*range(8), *range(4)]
    for row in table.to_dict("records"):
        cohort = 4 if row["cohort"] == "2020-05" else 8
        expected = gap[starts == cohort, cohort + int(row["since"])].mean()
        sd = (row["95%"] - row["5%"]) / 3.29
        assert row["mean"] == pytest.approx(expected, abs=0.25 * sd)


@pytest.mark.realdata
def test_on_published_data_it_agrees_with_least_squares() -> None:
    """Laws on self-defence and homicides: Cheng and Hoekstra (2013), doi 10.3368/jhr.48.3.821.

    They report 8 % more. Least squares on the untreated years of 50 states gives 6.7 %.
    """
    table = causaldata.castle.load_pandas().data
    falls = np.log(table.pivot(index="sid", columns="year", values="homicide").to_numpy())
    post = table.pivot(index="sid", columns="year", values="post").to_numpy() > 0
    starts = np.where(post.any(axis=1), post.argmax(axis=1), NEVER)
    assert [int((starts == g).sum()) for g in (6, 7, 8, 9, 10, NEVER)] == [1, 13, 4, 2, 1, 29]
    twin = rollout_twin(plausible=[0.3, 2.5], priors={})
    draws = answered(twin, panel_of(twin, starts, falls)).average()
    gap = imputed(starts, falls)[np.arange(11)[None, :] >= starts[:, None]].mean()
    assert gap == pytest.approx(0.0669, abs=5e-5)
    # States are drawn towards each other a little, and one state's draws are not the other's.
    assert abs(draws.mean() - gap) < draws.std()
    assert np.quantile(draws, 0.05) < 0.08 < np.quantile(draws, 0.95)


# ── known truths ───────────────────────────────────────────────────────────────────────────────


def test_two_way_fixed_effects_are_wrong_where_this_is_not(growing: Any) -> None:
    found, starts, falls, effect = growing
    truth = effect[np.arange(12)[None, :] >= starts[:, None]].mean()
    row = found.summary().iloc[0]
    assert row["5%"] < truth < row["95%"]
    # Early cohorts serve as controls of later ones there: half of the effect is lost.
    assert fixed_effects(starts, falls) > 0.6 * truth


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held: list[float] = []
    whole: list[bool] = []
    twin = rollout_twin()
    for seed in range(REPLICATES):
        starts, falls, effect = staggered(100 + seed, homes=30, months=10)
        fit = fitted(twin, panel_of(twin, starts, falls), draws=350)
        found = fit.pilot("coaching", on="falls", seed=2)
        table = found.summary(["cohort", "since"])
        truth = [
            effect[starts == c, c + s].mean() for c, last in ((4, 6), (8, 2)) for s in range(last)
        ]
        held.append(float(((table["5%"] < truth) & (truth < table["95%"])).mean()))
        row = found.summary().iloc[0]
        truth_of_all = effect[np.arange(10)[None, :] >= starts[:, None]].mean()
        whole.append(bool(row["5%"] < truth_of_all < row["95%"]))
    error = np.std(held, ddof=1) / np.sqrt(REPLICATES)
    assert abs(np.mean(held) - 0.9) < 3 * error + 0.01
    # Of 12 intervals at 90 %, fewer than 8 hold once in 200 times.
    assert sum(whole) >= 8


def test_units_that_always_differed_are_not_drawn_towards_the_others() -> None:
    """Homes that begin are 3 above the rest, and few noisy months before show each home's level.

    Where all homes are claimed to be of one kind (``between: same``), their forecasts are too low.
    """
    starts, falls, effect = staggered(11, homes=180, noise=3.0)
    falls = falls + 3.0 * (starts != NEVER)[:, None]
    truth = effect[np.arange(12)[None, :] >= starts[:, None]].mean()
    found = {}
    for between in ("", "same"):
        cause = {"scale": "natural"} | ({"between": between} if between else {})
        twin = rollout_twin(causes={"coaching": cause})
        found[between] = answered(twin, panel_of(twin, starts, falls)).summary().iloc[0]
    assert found[""]["5%"] < truth < found[""]["95%"]
    assert found["same"]["5%"] > truth


# ── aggregation ────────────────────────────────────────────────────────────────────────────────


def test_averages_are_the_weighted_effects_of_cohorts_and_periods(growing: Any) -> None:
    found = growing[0]
    fine = found.cells.difference(found.cells.groups(("cohort", "since")), "unit-periods")
    for weights in ("unit-periods", "units", "cohorts", {"2020-05": 3.0, "2020-09": 1.0}):
        share = found.weights(weights)["weight"].to_numpy()
        assert share.sum() == pytest.approx(1.0)
        assert (share >= 0).all()
        np.testing.assert_allclose(found.average(weights), fine @ share, rtol=1e-9)
    # 20 homes for 8 months and 20 for 4.
    np.testing.assert_allclose(found.weights()["weight"], 1 / 12)
    np.testing.assert_allclose(found.weights("units")["weight"], [1 / 16] * 8 + [1 / 8] * 4)
    only = found.summary(weights={"2020-05": 1.0, "2020-09": 0.0})
    assert only["mean"].item() == pytest.approx(found.summary("cohort")["mean"].iloc[0])


def test_effects_by_period_and_start_read_the_same_unit_periods(growing: Any) -> None:
    found = growing[0]
    by_period = found.summary("period")
    assert by_period["unit_periods"].tolist() == [20] * 4 + [40] * 4
    assert found.summary("start(falls) > 0")["unit_periods"].sum() == 240
    cube = found.draws["difference"].mean(("chain", "draw"))
    table = found.summary(["cohort", "since"]).set_index(["cohort", "since"])["mean"]
    assert cube.sel(cohort="2020-09", since=3).item() == pytest.approx(table["2020-09", "3"])
    assert np.isnan(cube.sel(cohort="2020-09", since=4).item())


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"2020-05": 1.0}, "2020-09 has none"),
        ({"2020-05": 1.0, "2020-09": -1.0}, "a weight is 0 or more"),
        ("homes", "'unit-periods', 'units', 'cohorts'"),
    ],
)
def test_weights_that_are_none_are_refused(growing: Any, weights: Any, message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        growing[0].summary(weights=weights)


# ── known parameters ───────────────────────────────────────────────────────────────────────────


def test_with_known_parameters_the_effect_is_the_one_that_was_put_in() -> None:
    found = small_pilot().pilot("coaching", on="falls", seed=1)
    # Noise with sd 0.3 on ten unit-periods, 100 draws.
    assert found.average().mean() == pytest.approx(-1.0, abs=4 * 0.3 / np.sqrt(10 * 100))
    assert found.average().std() == pytest.approx(0.3 / np.sqrt(10), rel=0.25)
    assert repr(found).startswith("In 4 homes that began coaching, mean falls was ")
    assert found.cohorts["units"].tolist() == [2, 2, 2]


def lagging(panel_months: int = 8) -> tuple[Fit, np.ndarray]:
    """A fit of known parameters: coaching lowers need, need last month brings falls."""
    starts = np.array([3, 3, 5, NEVER, NEVER])
    natural = {"scale": "natural", "between": "same"}
    twin = dw.Twin(
        twin="lagging",
        panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "coaching": {
                "domain": "quality", "plausible": [-1, 1],
                "assigned": {"how": "randomised", "column": "coaching"},
            },
            "beds": {"domain": "context", "family": "normal", "plausible": [-1, 1]},
            "need": {
                "domain": "quality", "family": "normal", "plausible": [-1, 1],
                "causes": {"coaching": natural, "beds": natural},
            },
            "falls": {
                "domain": "outcome", "family": "normal", "plausible": [-1, 1],
                "causes": {"need[-1]": natural},
            },
        },
    )  # fmt: skip
    rng = np.random.default_rng(3)
    shape = (5, panel_months)
    beds = rng.normal(size=shape)
    coaching = (np.arange(panel_months)[None, :] >= starts[:, None]).astype(float)
    need = 2.0 * beds - 3.0 * coaching
    falls = np.concatenate([np.zeros((5, 1)), 0.5 * need[:, :-1]], axis=1)
    panel = panel_of(twin, starts, falls, beds=beds, need=need)
    values = {
        "beds.intercept": 0.0, "beds.residual_sd": 1.0,
        "need.intercept": 0.0, "need.causes": [-3.0, 2.0], "need.residual_sd": 1e-9,
        "falls.intercept": 0.0, "falls.causes": [0.5], "falls.residual_sd": 1e-9,
    }  # fmt: skip
    return Fit.from_parameters(twin, panel, values), starts


def test_what_the_programme_cannot_reach_stays_what_it_was() -> None:
    """Beds are no result of coaching: falls without it are those of the beds that there were."""
    fit, _ = lagging()
    found = fit.pilot("coaching", on="falls")
    table = found.summary(["cohort", "since"])
    # Need falls at once, falls a month later.
    expected = [0.0] + [-1.5] * 4 + [0.0] + [-1.5] * 2
    np.testing.assert_allclose(table["mean"], expected, atol=1e-6)
    np.testing.assert_allclose(table["5%"], expected, atol=1e-6)


def test_a_missing_result_is_left_out_and_a_missing_cause_with_its_unit() -> None:
    fit, _ = lagging()
    data = fit.panel.data.copy(deep=True)
    data["falls"][0, 6] = np.nan
    data["need"][1, 6] = np.nan
    gone = Fit.from_parameters(fit.twin, dw.Panel.from_dataset(data, fit.twin), _known(fit))
    found = gone.pilot("coaching", on="falls")
    assert found.summary()["unit_periods"].item() == 12
    assert "1 home-period is left out: the outcome is missing" in found.notes
    data["beds"][1, 6] = np.nan
    data["need"][2, 4] = np.nan
    gone = Fit.from_parameters(fit.twin, dw.Panel.from_dataset(data, fit.twin), _known(fit))
    found = gone.pilot("coaching", on="falls")
    # Home 1 lacks a cause after its start, home 2 the need before its start.
    assert found.left_out["unit"].tolist() == ["h001", "h002"]
    assert found.summary()["unit_periods"].item() == 4


def _known(fit: Fit) -> dict[str, np.ndarray]:
    posterior = fit.posterior["posterior"]
    return {str(name): posterior[name].values[0, 0] for name in posterior.data_vars}


def test_units_that_began_with_the_panel_are_left_out_by_name() -> None:
    twin = rollout_twin()
    starts, falls, _ = staggered(0, homes=12)
    starts[0] = 0
    fit = Fit.from_parameters(
        twin,
        panel_of(twin, starts, falls),
        {
            "falls.intercept": 0.0, "falls.causes": [0.0, 0.0], "falls.sd_home": 1.0,
            "falls.sd_period": 1.0, "falls.residual_sd": 1.0,
        },
    )  # fmt: skip
    found = fit.pilot("coaching", on="falls")
    assert found.left_out["unit"].tolist() == ["h000"]
    assert "1 home is left out: began before the panel shows enough of it untreated" in repr(found)
    everyone = panel_of(twin, np.zeros(12, dtype=int), falls)
    values = {**_known(fit), "falls.causes": [0.0]}
    with pytest.raises(DataError, match="begins late enough"):
        Fit.from_parameters(twin, everyone, values).pilot("coaching", on="falls")


# ── the licence ────────────────────────────────────────────────────────────────────────────────


def chosen(hidden: bool = False, **coaching: Any) -> Fit:
    """A fit in which who is coached is, as a rule, chosen by need, and by managers if hidden."""
    twin = dw.Twin(
        twin="chosen",
        panel={"unit": "home", "period": {"column": "month", "frequency": "month"}},
        indicators={
            "need": {"domain": "context", "family": "normal", "plausible": [-1, 1]},
            "coaching": {"domain": "quality", "family": "bernoulli", **coaching},
            "falls": {
                "domain": "outcome", "family": "normal", "plausible": [-1, 1],
                "causes": {"coaching": {"scale": "natural"}, "need": {"scale": "natural"}},
            },
        },
        hidden_causes={"manager": {"affects": ["coaching", "falls"], "level": "home"}}
        if hidden
        else {},
    )  # fmt: skip
    rng = np.random.default_rng(1)
    starts = np.array([2, 2, NEVER, NEVER])
    data = panel_of(twin, starts, rng.normal(size=(4, 5)), need=rng.normal(size=(4, 5))).data
    data = data.assign(set=(("unit", "period"), np.ones((4, 5)) * (np.arange(5) >= 2)))
    panel = dw.Panel.from_dataset(data, twin)
    values = {
        "need.intercept": 0.0, "need.residual_sd": 1.0, "coaching.intercept": 0.0,
        "falls.intercept": 0.0, "falls.causes": [0.0, 0.0], "falls.residual_sd": 1.0,
    }  # fmt: skip
    if coaching.get("causes"):
        values["coaching.causes"] = [0.0]
    return Fit.from_parameters(twin, panel, values)


def test_a_chosen_roll_out_needs_its_back_door_closed() -> None:
    by_need = {"need": {"scale": "natural"}}
    licence = chosen(causes=by_need).pilot("coaching", on="falls").licence
    assert licence.identified.status == "yes"
    assert "was chosen" in licence.identified.sentence
    with pytest.raises(LicenceError, match="manager"):
        chosen(causes=by_need, hidden=True).pilot("coaching", on="falls")
    found = chosen(causes=by_need, hidden=True).pilot(
        "coaching", on="falls", assume="no hidden causes"
    )
    assert found.licence.identified.status == "assumed"
    assert "association under the declared graph, not an effect" in repr(found)


def test_a_lot_cuts_what_would_have_chosen() -> None:
    lot = {"how": "randomised", "column": "set"}
    cut = chosen(causes={"need": {"scale": "natural"}}, hidden=True, assigned=lot)
    licence = cut.pilot("coaching", on="falls").licence
    assert licence.identified.status == "yes"
    assert "by lot" in licence.identified.sentence
    # Where a start was not set, what chose it still counts.
    data = cut.panel.data.copy(deep=True)
    data["set"][0, 3] = 0.0
    other = Fit.from_parameters(cut.twin, dw.Panel.from_dataset(data, cut.twin), _known(cut))
    with pytest.raises(LicenceError, match="manager"):
        other.pilot("coaching", on="falls")


def test_a_given_programme_says_how_it_was_assigned() -> None:
    starts, falls, _ = staggered(0, homes=12)
    for how, words in (("phased", "began in phases"), ("randomised", "by lot")):
        twin = rollout_twin(how, pooling=[])
        fit = Fit.from_parameters(
            twin,
            panel_of(twin, starts, falls),
            {"falls.intercept": 0.0, "falls.causes": [0.0], "falls.residual_sd": 1.0},
        )
        found = fit.pilot("coaching", on="falls")
        assert words in found.licence.identified.sentence
        assert "none felt that others had begun" in found.licence.identified.sentence
        assert found.licence.supported.status == "thin"
    for how in ("rule", ""):
        twin = rollout_twin(how, pooling=[])
        fit = Fit.from_parameters(twin, panel_of(twin, starts, falls), _known(fit))
        with pytest.raises(LicenceError, match="not identified"):
            fit.pilot("coaching", on="falls")


def test_periods_in_which_everyone_had_begun_are_not_supported() -> None:
    starts, falls, _ = staggered(0, homes=12)
    starts[starts == NEVER] = 10
    twin = rollout_twin(pooling=[])
    values = {"falls.intercept": 0.0, "falls.causes": [0.0], "falls.residual_sd": 1.0}
    fit = Fit.from_parameters(twin, panel_of(twin, starts, falls), values)
    supported = fit.pilot("coaching", on="falls").licence.supported
    assert supported.status == "no"
    assert "In 2 of 8 periods every home had begun (first in 2020-11)" in supported.sentence


def test_regions_that_began_as_a_whole_are_named() -> None:
    starts, falls, _ = staggered(0, homes=60)
    alone = rollout_twin(pooling=[])
    twin = dw.Twin(
        twin="regions",
        panel={
            "unit": "home",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators=dict(alone.indicators),
    )
    values = {"falls.intercept": 0.0, "falls.causes": [0.0], "falls.residual_sd": 1.0}
    data = panel_of(alone, starts, falls).data
    for regions, status in (
        (np.repeat(list("abcdef"), 10), "thin"),
        (np.tile(["a", "b"], 30), "yes"),
    ):
        panel = dw.Panel.from_dataset(data.assign_coords(region=("unit", regions)), twin)
        found = Fit.from_parameters(twin, panel, values).pilot("coaching", on="falls")
        supported = found.licence.supported
        assert supported.status == status
        assert ("all homes of a region began together" in supported.sentence) == (status == "thin")


def test_conditions_and_shares_of_units_are_outcomes() -> None:
    """Falls of 5 and a home's own, 1 fewer with coaching: how many homes pass 4.5?"""
    fit = small_pilot()
    found = fit.pilot("coaching", on="falls > 4.5", seed=1)
    table = found.summary("cohort")
    # Homes at 3 and 4 of the first cohort, at 5 and 3.5 of the second; without it 1 more each.
    np.testing.assert_allclose(table["observed"], [0.0, 0.5])
    np.testing.assert_allclose(table["untreated"], [0.48, 0.75], atol=0.06)
    assert found.outcome.unit == "share of units"
    ratio = fit.pilot("coaching", on="falls / 2", seed=1)
    plain = fit.pilot("coaching", on="falls", seed=1)
    np.testing.assert_allclose(ratio.average(), plain.average() / 2)


def test_units_that_feel_each_other_are_refused() -> None:
    alone = rollout_twin()
    coaching, falls = alone.indicators["coaching"], alone.indicators["falls"]
    causes = {"coaching": {}, "mean(coaching, over=region, others=True)": {}}
    twin = dw.Twin(
        twin="neighbours",
        panel={
            "unit": "home",
            "levels": ["region"],
            "period": {"column": "month", "frequency": "month"},
        },
        indicators={
            "coaching": coaching,
            "falls": {"domain": falls.domain, "family": "normal", "causes": causes},
        },
    )
    refuse_interference(alone, "coaching")
    with pytest.raises(SpecificationError, match="feels those that have"):
        refuse_interference(twin, "coaching")


# ── what cannot be asked ───────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"programme": "coachin", "on": "falls"}, "Did you mean 'coaching'"),
        ({"programme": "falls", "on": "falls"}, "must be 1 where the pilot runs"),
        ({"programme": "coaching", "on": "fals"}, "there is no 'fals'"),
        ({"programme": "coaching", "on": "coaching"}, "no chain of causes"),
        ({"programme": "coaching", "on": "falls", "anticipation": -1}, "0 or more"),
        ({"programme": "coaching", "on": "falls", "assume": "luck"}, "no hidden causes"),
    ],
)
def test_a_wrong_question_says_what_is_wrong(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(SpecificationError, match=message):
        small_pilot().pilot(**asked)


def test_units_that_stop_count_as_begun() -> None:
    fit = small_pilot()
    data = fit.panel.data.copy(deep=True)
    data["coaching"][0, 4] = 0.0
    found = Fit.from_parameters(fit.twin, dw.Panel.from_dataset(data, fit.twin), _known(fit)).pilot(
        "coaching", on="falls"
    )
    assert found.summary()["unit_periods"].item() == 10
    assert "1 home is counted as begun although it later stopped" in found.notes


def test_anticipation_moves_what_is_untreated() -> None:
    found = small_pilot().pilot("coaching", on="falls", anticipation=1)
    assert found.summary("since")["since"].tolist() == ["-1", "0", "1", "2"]
    assert found.summary("since")["mean"].iloc[0] == pytest.approx(0.0, abs=0.1)


def test_a_pilot_can_be_drawn(growing: Any) -> None:
    found = growing[0]
    assert len(found.plot().axes) == 1
    figure = found.plot("cohort")
    assert [axes.get_title("left") for axes in figure.axes] == ["began 2020-05", "began 2020-09"]
    assert isinstance(found.cohorts, pd.DataFrame)
