"""An early warning knows its probabilities, and does not claim more than it knows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dotwin.effects import EarlyWarning, WarningScores
from dotwin.effects.alerts.crossings import line_of
from dotwin.effects.alerts.warning import NOTICE, without_noise
from dotwin.effects.alerts.warning_scores import (
    _chances_of_counts,
    log_and_brier,
    reliability_bands,
    score,
)
from dotwin.errors import DataError, NewGroupsError, SpecificationError
from dotwin.inference import Fit, fit
from dotwin.spec import Scenario, Twin, at_least, shift
from dotwin.spec.expressions import parse
from tests.worlds.conftest import MONTHS, make_panel

UNITS, PERIODS = 12, 6


def homes(**more: Any) -> Twin:
    """Pay moves vacancies, which persist and move what inspectors find, if they look."""
    fields: dict[str, Any] = {
        "twin": "homes",
        "panel": {"unit": "home", "levels": ["region"], "period": MONTHS},
        "indicators": {
            "pay": {"domain": "workforce"},
            "vacancy": {
                "domain": "workforce",
                "family": "normal",
                "pooling": ["home"],
                "causes": {
                    "vacancy[-1]": {"scale": "natural"},
                    "pay": {"scale": "natural", "between": "same"},
                },
                "initial": False,
            },
            "looks": {"domain": "quality", "family": "poisson"},
            "found": {
                "domain": "safeguarding",
                "family": "poisson",
                "when": "looks > 0",
                "otherwise": 0,
                "causes": {"vacancy": {"scale": "natural"}},
            },
        },
        "thresholds": {
            "understaffed": {"of": "vacancy", "above": 2, "meaning": "rota fails"},
            "harm": {"of": "found", "above": 0, "escalate_to": "director"},
        },
        "scenarios": {
            "raise pay": {"interventions": ["do(pay, -1)"], "question": "What does pay do?"},
        },
    }
    return Twin(**{**fields, **more})


def a_fit(
    twin: Twin | None = None,
    draws: int = 40,
    intercept: Any = 0.0,
    persistence: float = 0.5,
    looks: float = 0.4,
    effects: Any = None,
    start: Any = 1.0,
) -> Fit:
    """A fit of known parameters, one of which may differ from draw to draw."""
    twin = twin or homes()
    rng = np.random.default_rng(0)
    vacancy = rng.normal(0, 1, (UNITS, PERIODS))
    vacancy[:, -1] = start
    panel = make_panel(
        twin,
        {
            "pay": rng.normal(0, 1, (UNITS, PERIODS)) * [0, 0, 0, 0, 1, 0] + 0.0,
            "vacancy": vacancy,
            "looks": rng.poisson(1.0, (UNITS, PERIODS)),
            "found": 0,
            "helped": 0.0,
        },
        UNITS,
        PERIODS,
        {"region": ["north", "south"] * (UNITS // 2)},
    )
    values: dict[str, Any] = {
        "vacancy.intercept": np.broadcast_to(np.asarray(intercept, dtype=float), draws),
        "vacancy.causes": np.tile([persistence, 0.5], (draws, 1)),
        "vacancy.residual_sd": np.ones(draws),
        "vacancy.sd_home": np.ones(draws),
        "looks.intercept": np.full(draws, np.log(looks)),
        "found.intercept": np.full(draws, -1.0),
        "found.causes": np.zeros((draws, 1)),
    }
    if effects is not None:
        values["vacancy.home"] = np.broadcast_to(np.asarray(effects, dtype=float), (draws, UNITS))
    return Fit.from_parameters(twin, panel, values)


def centred(one: Fit) -> float:
    """The predictor's centres shift the intercept: the mean of a value that starts at 0."""
    reference = one.designs["vacancy"].reference.factors
    return -0.5 * reference["vacancy[-1]"][0] - 0.5 * reference["pay"][0]


# ── probabilities ────────────────────────────────────────────────────────────────────────────────


def test_crossing_within_two_periods_is_a_bivariate_normal_probability() -> None:
    one = a_fit(start=1.0)
    warning = one.early_warning("vacancy > 2", horizon=2, seed=1, interventions=())
    base = centred(one)
    # x1 = base + x0 / 2 + e1, x2 = base + x1 / 2 + e2
    mean = np.array([base + 0.5, base + 0.5 * (base + 0.5)])
    law = stats.multivariate_normal(mean, [[1.0, 0.5], [0.5, 1.25]])
    exact = 1.0 - law.cdf(np.array([2.0, 2.0]))
    error = np.sqrt(exact * (1 - exact) / warning.paths)
    np.testing.assert_allclose(warning.probability, exact, atol=4 * error)
    by_first = 1.0 - stats.norm.cdf(2.0, mean[0], 1.0)
    # The first period is reckoned, not drawn: it is exact.
    np.testing.assert_allclose(warning.crossed_by.iloc[:, 0], by_first, rtol=1e-9)


def test_reckoning_the_last_step_agrees_with_drawing_it() -> None:
    one = a_fit(start=np.linspace(-1, 3, UNITS))
    reckoned = one.early_warning("vacancy > 2", horizon=3, seed=2, interventions=())
    # The same condition in a form that only drawing can answer.
    drawn = one.early_warning("vacancy - 2 > 0", horizon=3, seed=2, interventions=())
    assert line_of(one.twin, parse("vacancy > 2")) is not None
    assert line_of(one.twin, parse("vacancy - 2 > 0")) is None
    p = reckoned.probability
    error = np.sqrt(p * (1 - p) / drawn.paths)
    assert (np.abs(p - drawn.probability) < 4 * error).all()
    noise = [w.crossings.noise[0].mean() for w in (reckoned, drawn)]
    assert noise[0] < noise[1]


@pytest.mark.parametrize(
    ("condition", "exact"),
    [
        ("looks > 1", stats.poisson.sf(1, 0.4)),
        ("looks < 1", stats.poisson.cdf(0, 0.4)),
        ("looks < 1.5", stats.poisson.cdf(1, 0.4)),
    ],
)
def test_counts_cross_above_and_below_where_the_condition_says(
    condition: str, exact: float
) -> None:
    warning = a_fit().early_warning(condition, horizon=1, seed=1, interventions=())
    np.testing.assert_allclose(warning.probability, exact, rtol=1e-9)


def test_being_looked_at_and_found_are_told_apart() -> None:
    warning = a_fit().early_warning("harm", horizon=1, seed=3, interventions=())
    assert warning.looked_at == "looks > 0"
    table = warning.summary()
    look, hit = 1 - np.exp(-0.4), 1 - np.exp(-np.exp(-1.0))
    error = np.sqrt(look * (1 - look) / warning.paths)
    np.testing.assert_allclose(table["looked_at"], look, atol=4 * error)
    np.testing.assert_allclose(table["found_if_looked_at"], hit, rtol=1e-6)
    np.testing.assert_allclose(
        table["probability"], table["looked_at"] * table["found_if_looked_at"], rtol=1e-9
    )


def test_the_chance_of_a_look_grows_with_the_horizon() -> None:
    warning = a_fit().early_warning("harm", horizon=3, seed=3, interventions=())
    table = warning.summary()
    look = 1 - np.exp(-3 * 0.4)
    each = (1 - np.exp(-0.4)) * (1 - np.exp(-np.exp(-1.0)))
    error = 0.5 / np.sqrt(warning.paths)
    np.testing.assert_allclose(table["looked_at"], look, atol=4 * error)
    np.testing.assert_allclose(table["probability"], 1 - (1 - each) ** 3, atol=4 * error)


# ── what is not known ────────────────────────────────────────────────────────────────────────────


def test_known_parameters_leave_no_interval_and_fixed_ranks() -> None:
    one = a_fit(effects=np.linspace(-2, 2, UNITS), start=0.0)
    warning = one.early_warning("vacancy > 2", horizon=1, seed=1, alert_at=0.2, interventions=())
    table = warning.summary()
    np.testing.assert_allclose(table["5%"], table["95%"])
    # The largest effect is the highest risk.
    np.testing.assert_array_equal(table["rank 5%"], np.arange(UNITS, 0, -1))
    np.testing.assert_array_equal(table["rank 95%"], np.arange(UNITS, 0, -1))
    assert set(table["verdict"]) == {"alert", "no alert"}
    assert table[table.columns[0]].tolist() == list(one.panel.units)


def test_it_abstains_where_the_interval_holds_the_line() -> None:
    one = a_fit(draws=60, intercept=np.linspace(-3, 3, 60), start=0.0)
    warning = one.early_warning("vacancy > 2", horizon=1, seed=1, alert_at=0.2, interventions=())
    assert set(warning.verdicts) == {"abstains"}
    assert warning.alerts().empty
    assert "abstains on 12" in repr(warning)


def test_it_abstains_where_futures_cannot_be_computed() -> None:
    warning = a_fit().early_warning("log(vacancy) > 5", horizon=1, seed=1, interventions=())
    assert (warning.crossings.unknown > 0.05).all()
    assert set(warning.verdicts) == {"abstains"}


def test_ranks_of_units_that_are_alike_say_nothing() -> None:
    rng = np.random.default_rng(5)
    one = a_fit(draws=200, effects=rng.normal(0, 1, (200, UNITS)), start=0.0)
    table = one.early_warning("vacancy > 2", horizon=1, seed=1, interventions=()).summary()
    assert (table["rank 5%"] <= 2).all()
    assert (table["rank 95%"] >= UNITS - 1).all()


@pytest.mark.parametrize("truth", [0.0, 1.0, 3.0])
def test_noise_is_taken_out_of_a_spread_and_not_too_much(truth: float) -> None:
    rng = np.random.default_rng(1)
    draws, units = 200, 400
    values = rng.normal(0, truth, (draws, units)) + rng.normal(0, 1, (draws, units))
    cleaned = without_noise(values, np.ones(units)).std(axis=0)
    assert cleaned.mean() > truth
    assert cleaned.min() > 0.8 * truth
    assert cleaned.mean() < values.std(axis=0).mean()
    # A spread that is all noise never becomes certainty.
    assert np.quantile(cleaned, 0.05) > 0.1
    np.testing.assert_allclose(without_noise(values, np.ones(units)).mean(0), values.mean(0))


# ── what could be done ───────────────────────────────────────────────────────────────────────────


def test_a_licensed_intervention_gains_what_the_model_says() -> None:
    one = a_fit(homes(indicators=with_reason()), start=1.0)
    warning = one.early_warning("understaffed", horizon=1, seed=1)
    (row,) = warning.interventions().to_dict("records")
    assert row["shown"]
    assert row["identified"] == "yes"
    base = centred(one) + 0.5
    exact = stats.norm.sf(2, base, 1) - stats.norm.sf(2, base - 0.5, 1)
    gains = warning.gains()
    np.testing.assert_allclose(gains["gain"], exact, rtol=1e-6)
    assert row["spared"] == pytest.approx(UNITS * exact)


def with_reason() -> dict[str, Any]:
    indicators = {
        name: one.model_dump(exclude_unset=True) for name, one in homes().indicators.items()
    }
    indicators["pay"]["unconfounded"] = "set by lot"
    return indicators


def test_an_unlicensed_intervention_has_a_reason_and_no_number() -> None:
    warning = a_fit().early_warning("understaffed", horizon=1, seed=1)
    (row,) = warning.interventions().to_dict("records")
    assert not row["shown"]
    assert np.isnan(row["spared"])
    assert row["because"].startswith("Not identified: ")
    assert warning.gains().empty
    assert [program.name for program in warning.run.programs] == ["baseline"]


def test_what_the_panel_never_showed_has_no_number_either() -> None:
    one = a_fit(homes(indicators=with_reason()))
    far = Scenario("fortune", [shift("pay", -50)])
    warning = one.early_warning("understaffed", horizon=1, seed=1, interventions=far)
    (row,) = warning.interventions().to_dict("records")
    assert row["supported"] == "no"
    assert row["because"].startswith("Extrapolated: ")
    assert np.isnan(row["spared"])


def test_setting_the_threshold_indicator_itself_is_drawn_not_reckoned() -> None:
    twin = homes()
    assert line_of(twin, parse("vacancy > 2"), frozenset({"vacancy"})) is None
    floor = Scenario("ceiling", [at_least("vacancy", -0.5)], source="none needed")
    warning = a_fit(start=0.0).early_warning(
        "vacancy < -0.5", horizon=1, seed=1, interventions=floor
    )
    (row,) = warning.interventions().to_dict("records")
    if row["shown"]:
        np.testing.assert_allclose(warning.gains()["gain"], warning.probability, atol=1e-9)
    else:
        assert row["because"].startswith("Extrapolated")


# ── what it rests on ─────────────────────────────────────────────────────────────────────────────


def test_a_forecast_rests_on_the_last_value_and_the_units_own_effect() -> None:
    start = np.zeros(UNITS)
    start[3] = 2.0
    effects = np.zeros(UNITS)
    effects[7] = 2.0
    one = a_fit(start=start, effects=effects)
    warning = one.early_warning("vacancy > 2", horizon=1, seed=1, interventions=())
    base = centred(one)
    table = warning.drivers(["u03", "u07"]).set_index(["home", "source"])["contribution"]
    high, usual = stats.norm.sf(2, base + 1, 1), stats.norm.sf(2, base, 1)
    assert table["u03", "vacancy"] == pytest.approx(high - usual, rel=1e-6)
    assert table["u03", "home"] == pytest.approx(0.0, abs=1e-12)
    effect = stats.norm.sf(2, base + 2, 1) - usual
    assert table["u07", "home"] == pytest.approx(effect, rel=1e-6)
    assert table["u07", "vacancy"] == pytest.approx(0.0, abs=1e-12)
    with pytest.raises(SpecificationError, match="no warning for home 'nowhere'"):
        warning.drivers("nowhere")


# ── what it says ─────────────────────────────────────────────────────────────────────────────────


def test_every_form_of_it_says_what_an_alert_may_lead_to() -> None:
    warning = a_fit().early_warning("harm", horizon=2, seed=1, interventions=())
    assert NOTICE in repr(warning)
    assert NOTICE in warning._repr_html_()
    assert warning.summary().attrs["notice"] == NOTICE
    assert warning.draws.attrs["notice"] == NOTICE
    assert NOTICE in warning.plot()._suptitle.get_text()
    assert "Tell: director" in repr(warning)
    assert "under usual action" in repr(warning)


def test_it_carries_the_verdicts_on_the_forecast() -> None:
    warning = a_fit().early_warning("harm", horizon=1, seed=1, interventions=())
    assert warning.licence.identified.status == "yes"
    assert warning.licence.backtested.sentence == "Not backtested."


def test_the_same_seed_warns_the_same() -> None:
    one = a_fit()
    first, again = (one.early_warning("harm", horizon=2, seed=4) for _ in range(2))
    np.testing.assert_array_equal(first.draws["risk"], again.draws["risk"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"threshold": "vacancy"}, "no condition and no threshold"),
        ({"threshold": "vacancies > 2"}, "there is no 'vacancies'"),
        ({"alert_at": 1.5}, "alert_at=1.5"),
        ({"replicates": 3}, "replicates=3"),
        ({"interval": 90}, "interval=90"),
    ],
)
def test_what_cannot_be_asked_is_told(arguments: dict[str, Any], message: str) -> None:
    asked = {"threshold": "harm", "horizon": 1, "seed": 1, **arguments}
    with pytest.raises(SpecificationError, match=message):
        a_fit().early_warning(asked.pop("threshold"), **asked)


def test_new_homes_need_leave() -> None:
    one = a_fit()
    more = make_panel(
        one.twin,
        {"pay": 0.0, "vacancy": 0.0, "looks": 1, "found": 0},
        UNITS + 1,
        PERIODS,
        {"region": ["north"] * (UNITS + 1)},
    )
    with pytest.raises(NewGroupsError):
        one.early_warning("understaffed", horizon=1, seed=1, panel=more)
    warning = one.early_warning(
        "understaffed", horizon=1, seed=1, panel=more, new_groups="population", interventions=()
    )
    width = (warning.summary()["95%"] - warning.summary()["5%"]).to_numpy()
    # Nobody knows the effect of a home that was never seen.
    assert width[-1] > 0.2
    np.testing.assert_allclose(width[:-1], 0.0, atol=1e-12)


# ── were they right? ─────────────────────────────────────────────────────────────────────────────


def test_scores_are_those_of_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(1)
    p = rng.uniform(0.01, 0.9, 500)
    y = (rng.uniform(size=500) < p).astype(float)
    logs, brier = log_and_brier(p, y)
    assert -logs.mean() == pytest.approx(metrics.log_loss(y, p))
    assert brier.mean() == pytest.approx(metrics.brier_score_loss(y, p))


def test_counts_of_unlike_cases_have_the_poisson_binomial_law() -> None:
    p = np.random.default_rng(2).uniform(0, 0.3, 23)
    exact = stats.poisson_binom(p).pmf(np.arange(24))
    np.testing.assert_allclose(_chances_of_counts(p), exact, atol=1e-12)


def test_bands_hold_right_probabilities_and_show_wrong_ones() -> None:
    rng = np.random.default_rng(3)
    p = rng.beta(1, 15, 3000)
    held = [reliability_bands(p, (rng.uniform(size=p.size) < p) * 1.0)["inside"].all()
            for _ in range(60)]  # fmt: skip
    # Ninety-five in a hundred at least: 50 of 60 is four standard errors below.
    assert sum(held) >= 50
    wrong = (rng.uniform(size=p.size) < 2.0 * p) * 1.0
    assert not reliability_bands(p, wrong)["inside"].all()


def later(one: Fit, found: Any, acted: Any = 0.0) -> Any:
    """The panel of a fit with one more month."""
    twin = one.twin
    past = {name: one.panel.values(name) for name in twin.indicators}
    new = {"pay": 0.0, "vacancy": 0.0, "looks": 1.0, "found": found, "helped": acted}
    values = {
        name: np.column_stack([past[name], np.broadcast_to(new[name], UNITS)]) for name in past
    }
    groups = {"region": ["north", "south"] * (UNITS // 2)}
    return make_panel(twin, values, UNITS, PERIODS + 1, groups)


def test_warnings_are_set_beside_what_came() -> None:
    one = a_fit()
    warning = one.early_warning("harm", horizon=1, seed=1, interventions=())
    found = np.zeros(UNITS)
    found[:3] = 2
    scores = warning.score(later(one, found))
    assert scores.cases["crossed"].tolist() == [1.0] * 3 + [0.0] * (UNITS - 3)
    # Six quiet months: (0 + 1/2) / (6 + 1).
    np.testing.assert_allclose(scores.cases["history"], 0.5 / 7)
    assert scores.table["units"].tolist() == ["all"]
    row = scores.table.iloc[0]
    p, q, y = warning.probability, np.full(UNITS, 0.5 / 7), (found > 0)
    gain = np.where(y, np.log(p / q), np.log((1 - p) / (1 - q)))
    assert row["log_score_gain"] == pytest.approx(gain.mean())
    assert row["log_score_gain_se"] == pytest.approx(stats.sem(gain))
    assert row["brier_gain"] == pytest.approx(((q - y) ** 2 - (p - y) ** 2).mean())
    assert scores.warns == ""
    assert len(scores.plot().axes) == 1


def test_units_that_were_acted_on_stand_apart_and_are_no_proof() -> None:
    one = a_fit()
    warning = one.early_warning("harm", horizon=1, seed=1, interventions=())
    scores = warning.score(later(one, 0.0), acted=["u00", "u05"])
    assert scores.table["units"].tolist() == ["all", "not acted on", "acted on"]
    assert scores.table["n"].tolist() == [UNITS, UNITS - 2, 2]
    assert "changed what it predicts" in repr(scores)
    assert len(scores.judged) == UNITS - 2
    assert scores.reliability()["n"].sum() == UNITS - 2
    with pytest.raises(SpecificationError, match="no home 'elsewhere'"):
        warning.score(later(one, 0.0), acted=["elsewhere"])
    with pytest.raises(SpecificationError, match="no such indicator"):
        warning.score(later(one, 0.0), acted="helped")


def test_action_may_be_recorded_in_the_panel() -> None:
    indicators = {**with_reason(), "helped": {"domain": "context"}}
    one = a_fit(homes(indicators=indicators, scenarios={}), draws=4)
    warning = one.early_warning("harm", horizon=1, seed=1)
    helped = np.arange(UNITS) < 4
    scores = warning.score(later(one, 0.0, helped.astype(float)), acted="helped")
    assert scores.cases["acted"].tolist() == helped.tolist()


def test_an_outcome_beyond_the_panel_is_unknown_unless_it_crossed() -> None:
    one = a_fit()
    warning = one.early_warning("harm", horizon=2, seed=1, interventions=())
    found = np.zeros(UNITS)
    found[0] = 1
    scores = warning.score(later(one, found))
    assert scores.cases["unit"].tolist() == ["u00"]
    assert scores.unknown == UNITS - 1
    with pytest.raises(DataError, match="knows no outcome"):
        score([warning], one.panel)


@pytest.fixture(scope="module")
def backtested() -> WarningScores:
    twin = Twin(
        twin="homes",
        panel={"unit": "home", "period": MONTHS},
        indicators={"falls": {"domain": "quality", "family": "poisson", "pooling": ["home"]}},
        thresholds={"many": {"of": "falls", "above": 3}},
    )
    panel = twin.simulate_panel(
        units={"home": 60}, periods=9, seed=2,
        parameters={"falls.intercept": 0.8, "falls.sd_home": 0.7},
    )  # fmt: skip
    one = fit(twin, panel, draws=300, tune=300, chains=2, seed=1, progress=False)
    return one.backtest_warning("many", horizon=2, origins=3, progress=False, draws=100)


def test_a_right_model_warns_better_than_history(backtested: WarningScores) -> None:
    assert (
        sorted(set(backtested.cases["origin"])) == ["2020-05", "2020-06", "2020-07"]
        or len(set(backtested.cases["origin"])) == 3
    )
    assert len(backtested.cases) == 180
    assert backtested.unknown == 0
    row = backtested.table.iloc[0]
    assert row["log_score_gain"] > 0
    assert row["expected"] == pytest.approx(row["crossed"], abs=0.1)


def test_a_backtest_needs_a_past(backtested: WarningScores) -> None:
    with pytest.raises(DataError, match="takes 9 or more"):
        a_fit().backtest_warning("harm", horizon=6, progress=False)
    with pytest.raises(SpecificationError, match="counts of 1 or more"):
        a_fit().backtest_warning("harm", horizon=0, progress=False)


def test_a_cross_section_has_no_warning() -> None:
    twin = Twin(
        twin="homes",
        panel={"unit": "home"},
        indicators={"x": {"domain": "quality", "family": "poisson"}},
    )
    one = Fit.from_parameters(twin, make_panel(twin, {"x": [[1], [2]]}, 2), {"x.intercept": 0.0})
    with pytest.raises(SpecificationError, match="cross-section"):
        one.early_warning("x > 1", horizon=1, seed=1)


def test_the_summary_is_a_table_per_unit(backtested: WarningScores) -> None:
    warning: EarlyWarning = a_fit().early_warning("harm", horizon=1, seed=1, interventions=())
    table = warning.summary()
    assert isinstance(table, pd.DataFrame)
    assert set(table["likely_by"]) == {"not within 1"}
    assert table["region"].tolist() == ["north", "south"] * (UNITS // 2)
