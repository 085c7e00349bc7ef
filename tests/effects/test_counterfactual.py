"""What would have happened: exact where noise inverts, calibrated where it does not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from scipy.special import expit

import dotwin as dw
from benchmarks.counterfactual import CASES, band, distance, fit_of, pit_of, worlds_of
from dotwin.effects.examples import joe
from dotwin.errors import DataError, LicenceError, SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Scenario, Twin, do, scale, shift
from dotwin.worlds.abduction import look_back, looking_back
from tests.worlds.conftest import known_fit, make_panel

NATURAL = {"scale": "natural"}
MONTHS = {"column": "month", "frequency": "month"}
NORMAL = {"family": "normal", "plausible": [-1, 1]}
WINDOW = slice("2020-05", "2020-08")
STAFF = Scenario("kept staff", [do("turnover", 0.02)])
REACHED = (
    "turnover", "vacancy_rate", "waiting", "starts", "backlog", "scheduled_visits",
    "missed_visits", "incidents", "hospitalizations",
)  # fmt: skip


def back(fit: Fit, *interventions, periods=WINDOW, draws: int = 12, **options):
    return fit.counterfactual(
        Scenario("s", list(interventions)), periods=periods, draws=draws, **options
    )


# ── published numbers ──────────────────────────────────────────────────────────────────────────


def test_joes_score_is_the_published_one() -> None:
    """Pearl, Glymour and Jewell (2016), Causal Inference in Statistics: A Primer, section 4.2.3."""
    answer = joe().counterfactual(Scenario("more homework", [do("homework", 2)]))
    assert answer.draws["score"].sel(world="counterfactual").item() == pytest.approx(1.9, abs=1e-12)
    assert answer.draws["score"].sel(world="factual").item() == 1.5
    # His own part of homework and of the score: 0.75 each.
    idle = joe().counterfactual(Scenario("none", [do("encouragement", 0)]))
    assert idle.draws["homework"].sel(world="counterfactual").item() == pytest.approx(0.75)
    expected = 0.75 + 0.4 * 0.75
    assert idle.draws["score"].sel(world="counterfactual").item() == pytest.approx(expected)


def test_the_chain_of_dowhy_is_the_published_one() -> None:
    """X0 -> {X1, X2}, X2 -> X3 with 2, .5, .5; unit (1, 3, 3, 4): X3 had X2 been 2 is 3.5.

    tests/gcm/test_whatif.py of dowhy 0.14.
    """
    twin = Twin(
        twin="chain",
        panel={"unit": "unit"},
        indicators={
            "x0": {"domain": "context", **NORMAL},
            "x1": {"domain": "quality", **NORMAL, "causes": {"x0": NATURAL}},
            "x2": {"domain": "quality", **NORMAL, "causes": {"x0": NATURAL}},
            "x3": {"domain": "outcome", **NORMAL, "causes": {"x2": NATURAL}},
        },
    )
    facts = {"x0": 1.0, "x1": 3.0, "x2": 3.0, "x3": 4.0}
    values = {f"{name}.{k}": [v] for name in facts for k, v in
              (("intercept", 0.0), ("residual_sd", 1.0))}  # fmt: skip
    values |= {"x1.causes": [[2.0]], "x2.causes": [[0.5]], "x3.causes": [[0.5]]}
    fit = Fit.from_parameters(twin, make_panel(twin, facts, 1), values)
    answer = fit.counterfactual(Scenario("two", [do("x2", 2)]), on=["x0", "x1", "x2", "x3"])
    would = {name: answer.draws[name].sel(world="counterfactual").item() for name in facts}
    assert would == pytest.approx({"x0": 1.0, "x1": 3.0, "x2": 2.0, "x3": 3.5}, abs=1e-12)


# ── laws ───────────────────────────────────────────────────────────────────────────────────────


def test_a_world_in_which_nothing_is_changed_is_the_facts_exactly(workforce: Fit) -> None:
    idle = back(
        workforce, scale("turnover", 1.0), shift("vacancy_rate", 0.0), scale("referrals", 1.0),
        scale("scheduled_visits", 1.0), scale("missed_visits", 1.0),
    )  # fmt: skip
    assert set(idle.outcomes) == {*REACHED, "referrals"}
    places = slice(4, 8)
    for name in idle.outcomes:
        was, would = idle.values[name]
        np.testing.assert_array_equal(was, would, err_msg=name)
        facts = workforce.panel.values(name)[:, places]
        np.testing.assert_array_equal(was, np.broadcast_to(facts, was.shape), err_msg=name)
    assert not idle.notes


def test_identical_scenarios_differ_by_exactly_zero(workforce: Fit) -> None:
    one, other = (
        workforce.counterfactual(Scenario(name, [do("turnover", 0.02)]), periods=WINDOW, draws=12)
        for name in ("one", "other")
    )
    for name in REACHED:
        np.testing.assert_array_equal(one.values[name][1], other.values[name][1])


def test_what_the_scenario_does_not_reach_is_the_facts_bit_by_bit(workforce: Fit) -> None:
    answer = workforce.counterfactual(
        Scenario("s", [scale("missed_visits", 0.5)]), periods=WINDOW, draws=12,
        on=["referrals", "vacancy_rate", "missed_visits", "incidents"],
    )  # fmt: skip
    for name in ("referrals", "vacancy_rate"):
        was, would = answer.values[name]
        np.testing.assert_array_equal(was, would)
    was, would = answer.values["missed_visits"]
    assert (was != would).any()


def test_nothing_parts_before_the_scenario_begins(workforce: Fit) -> None:
    answer = back(workforce, do("turnover", 0.02, start="2020-07"))
    for name in REACHED:
        was, would = answer.values[name]
        np.testing.assert_array_equal(was[:, :, :2], would[:, :, :2])
    assert (answer.values["turnover"][1][:, :, 2:] == 0.02).all()


def test_behind_a_cut_arrow_a_cause_is_seen_as_it_was(workforce: Fit) -> None:
    changes = [scale("vacancy_rate", 0.5), dw.block("vacancy_rate", "starts")]
    answer = back(workforce, *changes, on=["starts", "missed_visits"], assume="monotone coupling")
    was, would = answer.values["starts"]
    whole = back(workforce, changes[0], on=["starts", "missed_visits"])
    # What waits may still differ through scheduled work; in the first month nothing else does.
    np.testing.assert_array_equal(was[:, :, 0], would[:, :, 0])
    assert (whole.values["starts"][1][:, :, 0] != was[:, :, 0]).any()
    assert (answer.values["missed_visits"][1] != answer.values["missed_visits"][0]).any()


def test_values_do_not_depend_on_blocks(workforce: Fit) -> None:
    whole = back(workforce, do("turnover", 0.02)).values["missed_visits"][1]
    run, facts = look_back(workforce, [STAFF], periods=WINDOW, seed=0, draws=12)
    for block in looking_back(run, facts).blocks(5):
        world = block.worlds[1]
        for t in range(4):
            values = world.seen["missed_visits"][world.past + t]
            own = whole[block.rows][:, :, t]
            np.testing.assert_array_equal(np.broadcast_to(values, own.shape), own)


def test_names_and_order_of_units_and_regions_change_nothing() -> None:
    twin = Twin(
        twin="homes",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "x": {"domain": "context", "plausible": [-1, 1], "unconfounded": "drawn"},
            "y": {
                "domain": "outcome", **NORMAL, "pooling": ["region"],
                "causes": {"x": NATURAL, "y[-1]": NATURAL},
            },
        },
    )  # fmt: skip
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 6, 4))
    values = {
        "y.intercept": [0.1], "y.causes": [[0.5, 0.4]], "y.residual_sd": [1.0],
        "y.sd_region": [0.3],
    }  # fmt: skip

    def answer(order, names):
        groups = [names[i % 2] for i in order]
        panel = make_panel(twin, {"x": x[order], "y": y[order]}, 6, 4, {"region": groups})
        effects = {"y.region": [[0.4, -0.2] if names[0] < names[1] else [-0.2, 0.4]]}
        fit = Fit.from_parameters(twin, panel, values | effects)
        would = fit.counterfactual(Scenario("s", [shift("x", 1.0)]), periods=slice(1, 4)).values[
            "y"
        ][1]
        return would[:, np.argsort(order)]

    plain = answer(np.arange(6), ["a", "b"])
    np.testing.assert_array_equal(plain, answer(np.array([3, 1, 0, 5, 2, 4]), ["a", "b"]))
    np.testing.assert_array_equal(plain, answer(np.arange(6), ["z", "b"]))


def test_averaging_over_units_drawn_from_the_model_gives_the_interventional_mean() -> None:
    """y ~ Poisson(exp(0.3 + 0.8 x)) with x ~ N(0, 0.7): E[y | do(x = 1)] = exp(1.1)."""
    twin = Twin(
        twin="counts",
        panel={"unit": "unit"},
        indicators={
            "x": {"domain": "context", "plausible": [-1, 1], "unconfounded": "drawn"},
            "y": {"domain": "outcome", "family": "poisson", "causes": {"x": NATURAL}},
        },
    )
    rng = np.random.default_rng(0)
    count = 6000
    x = rng.normal(0, 0.7, (count, 1))
    y = rng.poisson(np.exp(0.3 + 0.8 * x))
    fit = known_fit(
        twin, make_panel(twin, {"x": x, "y": y}, count),
        {"y.intercept": 0.3, "y.causes": [0.8]}, draws=8,
    )  # fmt: skip
    would = fit.counterfactual(Scenario("one", [do("x", 1)]), draws=8).values["y"][1]
    mean = np.exp(1.1)
    assert would.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / count))
    # The whole distribution, too: one draw per unit against Poisson, ties broken at random.
    u = rng.uniform(size=count)
    pit = stats.poisson(mean).cdf(would[0, :, 0] - 1) + u * stats.poisson(mean).pmf(would[0, :, 0])
    assert distance(pit) < band(count)


# ── evidence ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("family", ["normal", "gamma", "beta_binomial", "hurdle gamma", "ordinal"])
def test_hidden_worlds_lie_inside_the_band(family: str) -> None:
    for asked, pit in pit_of(family, 400, 11, draws=49).items():
        assert distance(pit) < band(pit.size), asked


def test_what_is_missing_is_drawn_from_its_posterior_on_a_grid() -> None:
    """m given x and a binomial y: every draw's place in the posterior that a grid gives."""
    case, units, draws = CASES["binomial"], 300, 80
    truth = worlds_of(case, units, 77)
    m = np.where(np.arange(units) < 30, truth["m"], np.nan)
    fit = fit_of(case, truth["x"], m, truth["y"], draws)
    answer = fit.counterfactual(Scenario("s", [do("x", 1)]), draws=draws, on=["m", "y"])
    hidden = slice(30, None)
    x, y = truth["x"][hidden], truth["y"][hidden]
    grid = np.linspace(-6, 6, 2001)[:, None]
    eta = 0.7 * x + 0.5 * (x + 0.8 * grid)
    weight = np.exp(stats.binom(12, expit(eta)).logpmf(y) - 0.5 * grid**2)
    below = np.cumsum(weight, axis=0) - 0.5 * weight
    below /= weight.sum(axis=0)
    place = (answer.values["m"][0][:, hidden, 0] - x) / 0.8
    found = [np.interp(place[:, i], grid[:, 0], below[:, i]) for i in range(len(x))]
    assert distance(np.ravel(found)) < band(place.size)


def test_a_coupling_that_is_not_the_truth_is_seen() -> None:
    found = pit_of("poisson", 400, 5, draws=49, coupling="reversed")
    assert distance(found["y would have been"]) > band(400)
    assert distance(found["m was"]) < band(200)


def test_every_family_has_a_case() -> None:
    from dotwin.mechanisms.families import FAMILIES

    assert {str(case.declared["family"]) for case in CASES.values()} == set(FAMILIES)


def test_a_missing_run_is_drawn_given_what_came_before_and_after() -> None:
    """A normal walk observed at both ends: the middle is a bridge, known in closed form."""
    twin = Twin(
        twin="walk",
        panel={"unit": "unit", "period": MONTHS},
        indicators={
            "x": {"domain": "context", "plausible": [-1, 1], "unconfounded": "drawn"},
            "s": {"domain": "quality", **NORMAL, "causes": {"s[-1]": NATURAL}},
            "y": {"domain": "outcome", **NORMAL, "causes": {"s": NATURAL, "x": NATURAL}},
        },
    )
    units = 40
    rng = np.random.default_rng(2)
    s = np.array([0.0, 1.0, 0.0, 0.0, 3.0, 0.0]) + np.zeros((units, 6))
    s[0, 2:4] = np.nan
    y = rng.normal(size=(units, 6))
    y[0, 3] = np.nan
    panel = make_panel(twin, {"x": 0.0, "s": s, "y": y}, units, 6)
    sd_s, sd_y, phi, b = 0.7, 1.3, 0.9, 0.6
    draws = 4000
    centre = {"s.intercept": 0.0, "y.intercept": 0.0}
    fit = known_fit(
        twin, panel,
        {**centre, "s.causes": [phi], "s.residual_sd": sd_s, "y.causes": [b, 0.5],
         "y.residual_sd": sd_y},
        draws=draws,
    )  # fmt: skip
    answer = fit.counterfactual(
        Scenario("s", [shift("x", 1.0)]), periods=slice(2, 4), draws=draws, on=["s", "y"]
    )
    drawn = answer.values["s"][0][:, 0, :]
    # s[2] given s[1], s[3], y[2]; s[3] given s[2], s[4]: y[3] is missing and tells nothing.
    precision = np.array(
        [[(1 + phi**2) / sd_s**2 + b**2 / sd_y**2, -phi / sd_s**2],
         [-phi / sd_s**2, (1 + phi**2) / sd_s**2]]
    )  # fmt: skip
    pull = np.array([phi * 1.0 / sd_s**2 + b * y[0, 2] / sd_y**2, phi * 3.0 / sd_s**2])
    covariance = np.linalg.inv(precision)
    mean = covariance @ pull
    error = 4 * np.sqrt(np.diag(covariance) / draws)
    assert np.all(np.abs(drawn.mean(axis=0) - mean) < error)
    np.testing.assert_allclose(np.cov(drawn.T), covariance, atol=6 * covariance.max() / draws**0.5)
    assert answer.notes == (
        "2 missing values of s are drawn given all that is known",
        "1 missing value of y is drawn given all that is known",
    )
    # What is drawn is kept in both worlds: y moves by exactly 0.5 where it is a number.
    was, would = answer.values["y"]
    np.testing.assert_allclose(would - was, 0.5, atol=1e-12)
    np.testing.assert_array_equal(answer.values["s"][0], answer.values["s"][1])


def test_groups_conditions_and_point_masses_are_looked_back_on_too() -> None:
    """A float pool per region, a home that was closed, a share with ends; a region's gap."""
    twin = Twin(
        twin="levels",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "x": {
                "domain": "context", "plausible": [-1, 1], "unconfounded": "drawn",
                "level": "region",
            },
            "open": {"domain": "context", "plausible": [0, 1]},
            "pool": {"domain": "workforce", "family": "poisson", "level": "region",
                     "causes": {"x": NATURAL}},
            "y": {"domain": "quality", **NORMAL, "when": "open == 1", "otherwise": 0,
                  "causes": {"log1p(pool)": NATURAL, "y[-1]": NATURAL}},
            "z": {"domain": "outcome", "family": "beta", "plausible": [0.1, 0.9], "ends": [0, 1],
                  "causes": {"mean(y, over=region, others=True)": NATURAL}},
        },
    )  # fmt: skip
    rng = np.random.default_rng(0)
    x = np.repeat(rng.normal(size=(2, 5)), 3, axis=0)
    pool = np.repeat(rng.poisson(3, (2, 5)), 3, axis=0).astype(float)
    pool[3:, 2] = np.nan
    is_open = np.ones((6, 5))
    is_open[0, 3] = 0
    y = np.where(is_open == 0, 0.0, rng.normal(size=(6, 5)))
    z = rng.uniform(0.1, 0.9, (6, 5))
    z[1, 2], z[2, 3] = 0, 1
    panel = make_panel(
        twin, {"x": x, "open": is_open, "pool": pool, "y": y, "z": z}, 6, 5,
        {"region": ["a", "a", "a", "b", "b", "b"]},
    )  # fmt: skip
    values = {
        "pool.intercept": 1.0, "pool.causes": [0.3], "y.intercept": 0.0, "y.causes": [0.5, 0.3],
        "y.residual_sd": 1.0, "z.intercept": 0.0, "z.causes": [0.4], "z.dispersion": 5.0,
        "z.end0.intercept": -2.0, "z.end1.intercept": -2.0,
    }  # fmt: skip
    fit = known_fit(twin, panel, values, 5)
    idle = fit.counterfactual(Scenario("s", [shift("x", 0.0)]), periods=slice(1, 5), draws=5)
    for name in idle.outcomes:
        np.testing.assert_array_equal(*idle.values[name], err_msg=name)
        assert np.isfinite(idle.values[name][1]).all()
    more = fit.counterfactual(Scenario("s", [shift("x", 1.0)]), periods=slice(1, 5), draws=5)
    was, would = more.values["pool"]
    for values in (was, would):
        np.testing.assert_array_equal(values[:, 3], values[:, 4])
        np.testing.assert_array_equal(values[:, 0], values[:, 1])
    assert (would >= was).all()
    # Closed stays closed, whatever the pool.
    assert (more.values["y"][1][:, 0, 2] == 0).all()


def test_uncertainty_is_kept_apart(workforce: Fit) -> None:
    answer = workforce.counterfactual(
        STAFF, periods=slice("2020-07", None), draws=12, on="missed_visits", ahead=2
    )
    table = answer.uncertainty(on="missed_visits").set_index("period")
    shares = table[["parameters", "abducted noise", "future noise"]]
    # Missed visits cannot part in the first month: they read last month's vacancies.
    assert shares.sum(axis=1).to_numpy() == pytest.approx([0.0, 1.0, 1.0, 1.0, 1.0])
    assert (table.loc["2020-08":"2020-09", "future noise"] == 0).all()
    assert (table.loc["2020-10":, "future noise"] > 0).all()
    # A number's noise is known, so nothing but the parameters is left.
    numbers = joe().counterfactual(Scenario("s", [do("homework", 2)])).uncertainty()
    assert (numbers[["abducted noise", "future noise"]] == 0).all(axis=None)


def test_after_the_panel_both_worlds_share_new_noise(workforce: Fit) -> None:
    answer = workforce.counterfactual(
        Scenario("none", [scale("turnover", 1.0)]), periods=slice("2020-07", None), draws=12,
        ahead=3,
    )  # fmt: skip
    assert answer.run.future.labels[-1] == "2020-12"
    for name in answer.outcomes:
        was, would = answer.values[name]
        np.testing.assert_array_equal(was, would, err_msg=name)
        assert np.isfinite(would).all()
    ahead = workforce.simulate(periods=3, seed=0, draws=12).draws["missed_visits"]
    np.testing.assert_array_equal(
        answer.values["missed_visits"][0][:, :, -3:], ahead.values[0].reshape(12, 14, 3)
    )


# ── words and refusals ─────────────────────────────────────────────────────────────────────────


def test_the_licence_says_what_single_units_rest_on(workforce: Fit) -> None:
    answer = workforce.counterfactual(STAFF, periods=WINDOW, draws=12)
    assert answer.licence.identified.status == "yes"
    assert "which no data can test" in answer.licence.identified.sentence
    assert "coupling: monotone" in repr(answer)
    assert answer.draws.attrs["coupling"] == "monotone"


def test_summaries_hold_both_worlds_and_the_difference(workforce: Fit) -> None:
    answer = workforce.counterfactual(STAFF, periods=WINDOW, draws=12)
    table = answer.summary(by="region", on="share(missed_visits)")
    assert list(table.columns) == [
        "indicator", "region", "period", "factual", "counterfactual", "mean", "median", "5%", "95%",
        "unit",
    ]  # fmt: skip
    np.testing.assert_allclose(table["counterfactual"] - table["factual"], table["mean"])
    assert len(table) == 3 * 4


def test_an_unlicensed_counterfactual_is_refused_until_named(workforce: Fit) -> None:
    with pytest.raises(LicenceError, match="why it varies is not declared"):
        back(workforce, shift("wage_gap", -0.05))
    named = back(workforce, shift("wage_gap", -0.05), assume="no hidden causes")
    assert "association under the declared graph" in repr(named)


@pytest.mark.parametrize(
    ("change", "options", "error", "words"),
    [
        (do("turnovr", 0.1), {}, SpecificationError, "Did you mean 'turnover'"),
        (do("turnover", 0.1), {"periods": "2031-01"}, DataError, "2020-01 to 2020-09"),
        (do("turnover", 0.1), {"periods": slice("2020-01", "2020-04")}, DataError,
         "first period to look back on is 2020-02"),
        (do("turnover", 0.1), {"on": "missed"}, SpecificationError, "no indicator 'missed'"),
        (do("turnover", 0.1), {"ahead": 2}, SpecificationError, "ends with the panel's last"),
        (do("turnover", 0.1), {"assume": "luck"}, SpecificationError, "'no hidden causes', "),
        (do("backlog", 3), {}, SpecificationError, "change its parts: referrals, starts"),
        (do("turnover", 0.1, start="2020-09"), {}, SpecificationError, "start lies after"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_said(workforce: Fit, change, options, error, words) -> None:
    with pytest.raises(error, match=words):
        back(workforce, change, **options)


def test_what_happened_is_no_counterfactual(workforce: Fit) -> None:
    with pytest.raises(SpecificationError, match="'baseline' is what happened"):
        workforce.counterfactual("baseline")


def test_units_that_are_not_there_are_left_out_and_counted() -> None:
    twin = dw.Twin(
        twin="two",
        panel={"unit": "unit", "period": MONTHS},
        indicators={
            "x": {"domain": "context", "plausible": [-1, 1], "unconfounded": "drawn"},
            "y": {"domain": "outcome", **NORMAL, "causes": {"x": NATURAL}},
        },
    )
    x, y = np.zeros((3, 4)), np.arange(12.0).reshape(3, 4)
    x[1, 2] = np.nan
    x[2, 1:], y[2, 1:] = np.nan, np.nan
    fit = known_fit(
        twin, make_panel(twin, {"x": x, "y": y}, 3, 4),
        {"y.intercept": 0.0, "y.causes": [1.0], "y.residual_sd": 1.0},
    )  # fmt: skip
    answer = fit.counterfactual(Scenario("s", [shift("x", 1)]), periods=slice(1, 4))
    assert answer.run.start.members.units == ("u00",)
    assert set(answer.left_out["unit"]) == {"u01", "u02"}
    assert any("x is not known" in reason for reason in answer.left_out["reason"])
