"""What is read off an effect: numbers needed to treat, the long run, where groups differ."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.errors import LicenceError, SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Twin
from tests.effects.small import MONTHS, NATURAL, binary_network, known_fit, linear, make_panel

SAME = "same coefficient, different starting point"


def trial(low: float, high: float, draws: int = 2001) -> Fit:
    """A yes/no treatment of a risk of 0.3, whose change runs evenly from low to high over draws."""
    twin = Twin(
        twin="trial",
        panel={"unit": "person", "levels": ["ward"]},
        indicators={
            "treated": {"domain": "context", "unconfounded": "randomised"},
            "death": {"domain": "outcome", "family": "bernoulli", "causes": {"treated": NATURAL}},
        },
    )
    rng = np.random.default_rng(0)
    values = {"treated": rng.integers(0, 2, (6, 1)), "death": rng.integers(0, 2, (6, 1))}
    panel = make_panel(twin, values, 6, groups={"ward": ["a", "b"] * 3})
    fit = known_fit(twin, panel, {"death.intercept": 0.0, "death.causes": [0.0]})
    centre = fit.designs["death"].reference.factors["treated"][0]
    risk = 0.3 + np.linspace(low, high, draws)
    slope = np.log(risk / (1 - risk)) - np.log(0.3 / 0.7)
    intercept = np.log(0.3 / 0.7) + slope * centre
    return Fit.from_parameters(
        twin, panel, {"death.intercept": intercept, "death.causes": slope[:, None]}
    )


def test_a_number_needed_to_treat_has_two_ranges_when_harm_is_not_ruled_out() -> None:
    """Altman (1998): 10 points less, interval -5 to 25, is benefit from 4 or harm from 20.

    BMJ 317, 1309-1312, doi:10.1136/bmj.317.7168.1309
    """
    # Evenly from -26.67 to 6.67 points, the 90 % interval is -25 to 5.
    effect = trial(-0.8 / 3, 0.2 / 3).effect("treated", on="death", draws=2001)
    found = effect.number_needed_to_treat(worse="higher")
    row = found.table.iloc[0]
    assert row["benefit from"] == pytest.approx(4, rel=1e-3)
    assert row["harm from"] == pytest.approx(20, rel=1e-3)
    assert np.isinf(row["benefit to"])
    assert np.isinf(row["harm to"])
    assert np.isnan(row["number"])
    assert row["probability of benefit"] == pytest.approx(0.8, abs=1e-3)
    assert "benefit from 4 persons to infinitely many, or harm from 20 to inf" in repr(found)
    # What is harm changes sides.
    other = effect.number_needed_to_treat(worse="lower").table.iloc[0]
    assert other["harm from"] == pytest.approx(4, rel=1e-3)


def test_a_number_needed_to_treat_is_one_number_when_the_direction_is_known() -> None:
    effect = trial(-0.15, -0.05).effect("treated", on="death", draws=2001)
    row = effect.number_needed_to_treat(worse="higher").table.iloc[0]
    assert (row["number"], row["direction"]) == (pytest.approx(10), "benefit")
    assert row["benefit from"] == pytest.approx(1 / 0.145)
    assert row["benefit to"] == pytest.approx(1 / 0.055)
    assert np.isnan(row["harm from"])
    backwards = trial(-0.15, -0.05).effect("treated", on="death", contrast=(1, 0), draws=2001)
    same = backwards.number_needed_to_treat(worse="higher").table.iloc[0]
    assert same["direction"] == "benefit"
    text = repr(effect.number_needed_to_treat(worse="higher"))
    assert text.startswith("10 persons set to treated for one more to come to benefit")


def test_only_yes_or_no_exposures_and_probabilities_have_numbers_needed_to_treat() -> None:
    fit = linear({"x": {}, "y": {"x": 1.0}})
    with pytest.raises(SpecificationError, match="by a degree"):
        fit.effect("x", on="y", horizon=1).number_needed_to_treat(worse="higher")
    network = binary_network({"a": [], "b": ["a"]}, {"a": {(): 0.5}, "b": {(0,): 0.1, (1,): 0.2}})
    effect = network.effect("a", on="b")
    with pytest.raises(SpecificationError, match="'higher' or 'lower'"):
        effect.number_needed_to_treat(worse="more")


def test_the_long_run_is_the_sum_of_a_geometric_series() -> None:
    """y = x + 0.9 y[-1] comes to 10 for each unit of x that is held."""
    fit = linear({"x": {}, "y": {"x": 1.0, "y[-1]": 0.9}})
    effect = fit.effect("x", on="y", contrast=(0, 2), horizon=2)
    found = effect.long_run()
    np.testing.assert_allclose(found.draws["difference"], 20.0, rtol=1e-4)
    assert found.unstable == 0.0
    assert "in the long run" in repr(found)
    np.testing.assert_allclose(found.summary(by="home")["mean"], 20.0, rtol=1e-4)


def test_draws_that_never_settle_have_no_long_run() -> None:
    fit = linear({"x": {}, "y": {"x": 1.0, "y[-1]": 0.0}})
    persistence = np.array([0.5, 1.0, 0.8, 1.02])
    values = {k: np.repeat(v[:1], 4, axis=0) for k, v in fit.draws().values.items()}
    values["y.causes"] = np.column_stack([np.ones(4), persistence])
    several = Fit.from_parameters(fit.twin, fit.panel, values)
    found = several.effect("x", on="y", contrast=(0, 1), horizon=2).long_run()
    assert found.unstable == 0.5
    difference = found.draws["difference"].values[0]
    np.testing.assert_array_equal(np.isnan(difference), [False, True, False, True])
    np.testing.assert_allclose(difference[[0, 2]], [2.0, 5.0], rtol=1e-4)
    assert "50% of draws have no long run" in repr(found)
    assert found.summary()["mean"].item() == pytest.approx(3.5, rel=1e-4)
    once = several.effect("x", on="y", contrast=(0, 1), horizon=2, hold="once")
    with pytest.raises(SpecificationError, match="held for good"):
        once.long_run()


def test_a_stock_that_nothing_drains_has_no_long_run() -> None:
    twin = Twin(
        twin="stock",
        panel={"unit": "home", "period": MONTHS},
        indicators={
            "inflow": {"domain": "demand", "family": "normal"},
            "stock": {"domain": "capacity", "equals": "stock[-1] + inflow", "start": 0},
        },
    )
    panel = make_panel(twin, {"inflow": np.zeros((2, 3))}, 2, 3)
    fit = known_fit(twin, panel, {"inflow.intercept": 0.0, "inflow.residual_sd": 1.0}, draws=2)
    found = fit.effect("inflow", on="stock", contrast=(0, 1), horizon=2)
    np.testing.assert_allclose(found.draws["difference"][0, 0], [1, 2], atol=1e-12)
    assert found.long_run().unstable == 1.0


def grouped(**cause: object) -> Fit:
    twin = Twin(
        twin="groups",
        panel={"unit": "home", "levels": ["region"]},
        indicators={
            "rural": {"domain": "context"},
            "staff": {"domain": "workforce", "unconfounded": "set by law"},
            "falls": {
                "domain": "outcome",
                "family": "bernoulli",
                "causes": {"staff": {**NATURAL, **cause}, "rural": NATURAL},
            },
        },
    )
    rng = np.random.default_rng(0)
    values = {n: rng.integers(0, 2, (8, 1)) for n in ("rural", "staff", "falls")}
    panel = make_panel(twin, values, 8, groups={"region": ["n", "s"] * 4})
    known = {"falls.intercept": 0.0, "falls.causes": [1.0, 2.0]}
    if cause:
        known["falls.sd_slope_region"] = [0.1]
    return known_fit(twin, panel, known)


def test_the_source_of_heterogeneity_is_named() -> None:
    effect = grouped().effect("staff", on="falls", by="rural")
    assert effect.heterogeneity == SAME
    assert SAME in repr(effect)
    assert effect.summary().attrs["heterogeneity"] == SAME
    # The same coefficient at two baselines: the differences are those of the logistic curve.
    assert len(np.unique(effect.summary()["mean"].round(9))) == 2
    varying = grouped(varying=["region"]).effect("staff", on="falls", by="region")
    assert varying.heterogeneity == "the coefficient varies: falls on staff by region"
    straight = linear({"x": {}, "y": {"x": 1.0}}).effect("x", on="y", horizon=1, by="home")
    assert straight.heterogeneity.startswith("same effect everywhere")
    network = binary_network(
        {"a": [], "c": [], "b": ["a", "c"]},
        {"a": {(): 0.5}, "c": {(): 0.5}, "b": {(0, 0): 0.1, (0, 1): 0.2, (1, 0): 0.3, (1, 1): 0.6}},
    )
    by = network.effect("a", on="b", by="start(c)")
    assert by.heterogeneity == "the coefficient varies: b on a * c, with c"
    # In a cross-section a group keeps the states that it was chosen by.
    np.testing.assert_allclose(by.draws["difference"].sel({"start(c)": "0"}), 0.2, rtol=1e-9)
    np.testing.assert_allclose(by.draws["difference"].sel({"start(c)": "1"}), 0.4, rtol=1e-9)
    with pytest.raises(SpecificationError, match="b is a result of a"):
        network.effect("a", on="b", by="start(b)")


def test_groups_that_share_a_hidden_cause_with_the_outcome_are_not_licensed() -> None:
    twin = Twin(
        twin="shared",
        panel={"unit": "home"},
        indicators={
            "complaints": {"domain": "quality", "family": "bernoulli"},
            "staff": {"domain": "workforce", "family": "bernoulli"},
            "falls": {"domain": "outcome", "family": "bernoulli", "causes": {"staff": NATURAL}},
        },
        hidden_causes={"management": {"affects": ["complaints", "falls"], "level": "home"}},
    )
    values = {n: np.tile([[0], [1]], (4, 1)) for n in ("complaints", "staff", "falls")}
    fit = known_fit(
        twin,
        make_panel(twin, values, 8),
        {
            "complaints.intercept": 0,
            "staff.intercept": 0,
            "falls.intercept": 0,
            "falls.causes": [1],
        },
    )
    assert fit.effect("staff", on="falls").licence.identified.status == "yes"
    with pytest.raises(LicenceError, match="management, which no column records, moves both"):
        fit.effect("staff", on="falls", by="start(complaints)")
    assumed = fit.effect(
        "staff", on="falls", among="start(complaints) == 1", assume="no hidden causes"
    )
    assert assumed.licence.identified.status == "assumed"
