"""What an effect is asked, what it refuses, and how its answer reads."""

from __future__ import annotations

import numpy as np
import pytest

from dotwin.effects import Effect
from dotwin.errors import LicenceError, SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Scenario, Twin, do
from tests.effects.small import MONTHS, NATURAL, known_fit, linear, make_panel

UNITS, PERIODS, DRAWS = 12, 8, 40


def homes(*, hidden: bool = False) -> Fit:
    """staff -> missed visits (of scheduled ones) and falls (by residents), in two regions."""
    twin = Twin(
        twin="homes",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators={
            "residents": {"domain": "context"},
            "visits": {"domain": "demand"},
            "pay": {"domain": "workforce"},
            "staff": {
                "domain": "workforce",
                "family": "normal",
                "plausible": [2, 4],
                "causes": {"pay": NATURAL, "staff[-1]": NATURAL},
            },
            "missed": {
                "domain": "quality",
                "family": "binomial",
                "trials": "visits",
                "causes": {"staff": NATURAL},
            },
            "falls": {
                "domain": "outcome",
                "family": "poisson",
                "exposure": "residents",
                "causes": {"staff": NATURAL},
            },
            "alarm": {"domain": "outcome", "family": "bernoulli", "causes": {"falls": NATURAL}},
        },
        hidden_causes={"management": {"affects": ["staff", "falls"], "level": "home"}}
        if hidden
        else {},
        thresholds={"missing": {"of": "missed / visits", "above": 0.2, "meaning": "too many"}},
    )
    rng = np.random.default_rng(2)
    shape = (UNITS, PERIODS)
    panel = make_panel(
        twin,
        {
            "residents": np.arange(10, 10 + UNITS)[:, None],
            "visits": np.arange(20, 20 + 5 * UNITS, 5)[:, None],
            "pay": rng.normal(0, 1, shape),
            "staff": rng.normal(3, 0.5, shape),
            "missed": rng.binomial(20, 0.1, shape),
            "falls": rng.poisson(4, shape),
            "alarm": rng.integers(0, 2, shape),
        },
        UNITS,
        PERIODS,
        {"region": ["north"] * 7 + ["south"] * 5},
    )
    values = {
        "staff.intercept": 3.0, "staff.causes": [0.1, 0.4], "staff.residual_sd": 0.5,
        "missed.intercept": -2.0, "falls.intercept": -1.0, "falls.causes": [-0.3],
        "alarm.intercept": 0.0, "alarm.causes": [0.1],
    }  # fmt: skip
    fit = known_fit(twin, panel, values | {"missed.causes": [-0.5]}, draws=1)
    draws = {n: np.repeat(np.asarray(v)[None], DRAWS, axis=0) for n, v in values.items()}
    draws["missed.causes"] = np.linspace(-0.7, -0.3, DRAWS)[:, None]
    return type(fit).from_parameters(twin, panel, draws)


@pytest.fixture(scope="module")
def fit() -> Fit:
    return homes()


def risks(fit: Fit, staff: float) -> np.ndarray:
    """The share of missed visits when staff is set, by draw."""
    centre = fit.designs["missed"].reference.factors["staff"][0]
    slope = fit.draws().values["missed.causes"][:, 0]
    return 1 / (1 + np.exp(2.0 - slope * (staff - centre)))


def test_what_the_cause_acts_on_directly_is_exact(fit: Fit) -> None:
    """Given its causes an outcome's average is known, so no noise is left at all."""
    effect = fit.effect("staff", on="missed", contrast=(3, 4), horizon=3)
    expected = risks(fit, 4) - risks(fit, 3)
    found = effect.draws["difference"]
    assert found.dims == ("chain", "draw", "period")
    np.testing.assert_allclose(found, np.broadcast_to(expected[None, :, None], found.shape))
    ratio = risks(fit, 4) / risks(fit, 3)
    np.testing.assert_allclose(effect.draws["ratio"].isel(period=0)[0], ratio)
    assert (effect.summary()["noise"] < 1e-12).all()
    row = effect.summary().iloc[0]
    assert row["5%"] == pytest.approx(np.quantile(expected, 0.05))
    assert row["to"] - row["from"] == pytest.approx(row["mean"])
    assert row["unit"] == "per visits"


def test_rates_are_ratios_of_sums_unless_weighted(fit: Fit) -> None:
    """Staff acts on falls per resident alike in all homes, so all averages of rates agree."""
    rate = fit.effect("staff", on="falls", contrast=(3, 4), horizon=1)
    centre = fit.designs["falls"].reference.factors["staff"][0]
    expected = np.exp(-1 - 0.3 * (4 - centre)) - np.exp(-1 - 0.3 * (3 - centre))
    np.testing.assert_allclose(rate.draws["difference"], expected)
    weighted = fit.effect("staff", on="falls", contrast=(3, 4), horizon=1, weight="residents")
    np.testing.assert_allclose(weighted.draws["difference"], expected)
    # The alarm goes off more where there are more falls, which is in larger homes.
    plain = fit.effect("staff", on="alarm", contrast=(3, 4), horizon=1, replicates=8)
    heavy = fit.effect(
        "staff", on="alarm", contrast=(3, 4), horizon=1, replicates=8, weight="residents"
    )
    size = np.arange(10, 10 + UNITS, dtype=float)
    by = plain.summary(by="home")["mean"].to_numpy()
    assert plain.summary()["mean"].item() == pytest.approx(by.mean())
    assert heavy.summary()["mean"].item() == pytest.approx((by * size).sum() / size.sum())


def test_an_effect_is_that_of_the_two_scenarios(fit: Fit) -> None:
    """The contrast of futures says the same within its noise."""
    scenarios = [
        Scenario(name, [do("staff", staff)], source="budget")
        for name, staff in (("few", 3), ("many", 4))
    ]
    futures = fit.simulate(periods=2, scenarios=scenarios, seed=3)
    other = futures.contrast("many", against="few", on="alarm", replicates=40)
    effect = fit.effect("staff", on="alarm", contrast=(3, 4), horizon=2, replicates=40, seed=3)
    mine = effect.summary()["mean"].to_numpy()
    theirs = other.summary()["mean"].to_numpy()
    # Alarms are means of 12 homes, 40 draws and 40 noises, each with an sd below 0.5.
    np.testing.assert_allclose(mine, theirs, atol=4 * 0.5 * np.sqrt(2 / (12 * 40 * 40)))


def test_groups_are_read_at_the_start(fit: Fit) -> None:
    effect = fit.effect("staff", on="missed", contrast=(3, 4), horizon=2, by="region")
    assert effect.draws["difference"].dims == ("chain", "draw", "region", "period")
    again = fit.effect("staff", on="missed", contrast=(3, 4), horizon=2).summary(by="region")
    np.testing.assert_allclose(again["mean"], effect.summary()["mean"])
    assert list(again["region"]) == ["north", "north", "south", "south"]
    started = effect.summary(by="start(staff) > 3")
    assert set(started["start(staff) > 3"]) == {"yes", "no"}
    two = fit.effect("staff", on="missed", horizon=1, by=("region", "start(staff) > 3"))
    assert "group" in two.draws.dims
    assert list(two.summary().columns[1:3]) == ["region", "start(staff) > 3"]


@pytest.mark.parametrize("text", ["staff", "falls > 3", "missed"])
def test_groups_by_a_result_are_refused(fit: Fit, text: str) -> None:
    with pytest.raises(SpecificationError, match="groups chosen by a result are biased"):
        fit.effect("staff", on="missed", by=text)
    with pytest.raises(SpecificationError, match="groups chosen by a result are biased"):
        fit.effect("staff", on="missed", among=f"{text} > 2" if ">" not in text else text)


def test_a_declared_group_leaves_the_others_out(fit: Fit) -> None:
    among = fit.effect("staff", on="alarm", horizon=1, among="region == 'south'", seed=1)
    by = fit.effect("staff", on="alarm", horizon=1, by="region", seed=1)
    np.testing.assert_array_equal(
        among.draws["difference"], by.draws["difference"].sel(region="south")
    )
    assert "7 of 12 units are outside the group" in among.notes
    assert "among units with region == 'south'" in repr(among)
    with pytest.raises(SpecificationError, match="no unit meets"):
        fit.effect("staff", on="alarm", among="start(staff) > 99")
    with pytest.raises(SpecificationError, match="a condition says who belongs"):
        fit.effect("staff", on="alarm", among="region")


def test_conditions_ratios_and_thresholds_are_outcomes(fit: Fit) -> None:
    share = fit.effect("staff", on="missed / visits > 0.2", horizon=2, contrast=(2, 4))
    named = fit.effect("staff", on="missing", horizon=2, contrast=(2, 4))
    np.testing.assert_array_equal(share.draws["difference"], named.draws["difference"])
    assert (share.draws["difference"] < 0).mean() > 0.9
    ratio = fit.effect("staff", on="missed / visits", horizon=1, contrast=(3, 4), replicates=32)
    expected = (risks(fit, 4) - risks(fit, 3)).mean()
    # 12 homes with 20 to 75 visits, 40 draws, 32 noises, and at most as variable as coins.
    error = 4 * np.sqrt(2 * 0.25 / (570 * 40 * 32))
    assert ratio.summary()["mean"].item() == pytest.approx(expected, abs=error)


def test_the_usual_contrast_goes_from_the_reference_centre_to_one_sd_above(fit: Fit) -> None:
    first, second = fit.effect("staff", on="missed", horizon=1).question.contrast
    assert (first, second) == (pytest.approx(3.0), pytest.approx(3 + 2 / 3.29, rel=1e-3))
    assert fit.effect("alarm", on="falls", horizon=1).question.contrast == (0.0, 1.0)


def test_what_is_not_reached_is_exactly_the_same(fit: Fit) -> None:
    effect = fit.effect("alarm", on="missed", horizon=3)
    np.testing.assert_array_equal(effect.draws["difference"], 0.0)
    assert "is the same in 2024-11" in repr(effect)


def test_the_same_fit_and_seed_give_the_same_bytes(fit: Fit) -> None:
    asked = {"on": "alarm", "horizon": 2, "contrast": (3, 4)}
    one, two = fit.effect("staff", **asked), fit.effect("staff", **asked, seed=fit.settings.seed)
    other = fit.effect("staff", **asked, seed=9)
    assert one.worlds.values.tobytes() == two.worlds.values.tobytes()
    assert one.worlds.values.tobytes() != other.worlds.values.tobytes()


def test_an_effect_carries_its_licence() -> None:
    fit = homes(hidden=True)
    with pytest.raises(LicenceError, match="management") as refused:
        fit.effect("staff", on="falls", horizon=2)
    assert "assume='no hidden causes'" in str(refused.value)
    assumed = fit.effect("staff", on="falls", horizon=2, assume="no hidden causes")
    assert assumed.licence.identified.status == "assumed"
    assert "association under the declared graph, not an effect" in repr(assumed)
    assert fit.effect("staff", on="missed", horizon=2).licence.identified.status == "yes"
    with pytest.raises(LicenceError, match="why it varies is not declared"):
        fit.effect("pay", on="falls")


def test_values_beyond_the_support_must_be_asked_for() -> None:
    """A share of 1.2 goes to its edge, 1."""
    twin = Twin(
        twin="edges",
        panel={"unit": "home"},
        indicators={
            "vacant": {"domain": "workforce", "family": "beta", "plausible": [0.05, 0.4]},
            "falls": {"domain": "outcome", "family": "poisson", "causes": {"vacant": NATURAL}},
        },
    )
    panel = make_panel(twin, {"vacant": np.linspace(0.1, 0.3, 5)[:, None], "falls": 2}, 5)
    values = {
        "vacant.intercept": -1.0, "vacant.dispersion": 10.0,
        "falls.intercept": 0.5, "falls.causes": [1.0],
    }  # fmt: skip
    fit = known_fit(twin, panel, values)
    with pytest.raises(LicenceError, match="assume='edge'"):
        fit.effect("vacant", on="falls", contrast=(0.1, 1.2))
    effect = fit.effect("vacant", on="falls", contrast=(0.1, 1.2), assume="edge")
    centre = fit.designs["falls"].reference.factors["vacant"][0]
    expected = np.exp(0.5 + 1 - centre) - np.exp(0.5 + 0.1 - centre)
    np.testing.assert_allclose(effect.draws["difference"], expected, rtol=1e-4)
    for name, value in (("horizon", 3), ("periods", 2), ("start", 1), ("hold", "once")):
        with pytest.raises(SpecificationError, match="cross-section"):
            fit.effect("vacant", on="falls", **{name: value})
    with pytest.raises(SpecificationError, match="cross-section"):
        effect.at(1)


def test_a_question_that_cannot_be_is_refused_in_its_own_words(fit: Fit) -> None:
    def refused(match: str, cause: str = "staff", **asked: object) -> None:
        with pytest.raises(SpecificationError, match=match):
            fit.effect(cause, **{"on": "missed", **asked})

    refused("Did you mean 'staff'", cause="staf")
    refused("Did you mean 'missed'", on="mised")
    refused("is what is set", on="staff")
    refused("which differ", contrast=(2, 2))
    refused("two numbers", contrast=(1, 2, 3))
    refused("'throughout' or 'once'", hold="always")
    refused("in one period only", hold="once", periods=3)
    refused("itself changed by staff", weight="falls")
    refused("no weight applies", on="missed / visits", weight="residents")
    refused("an effect knows 'no hidden causes', 'prior', 'edge'", assume="nothing")
    refused("start lies after", start=13, horizon=4)
    effect: Effect = fit.effect("staff", on="missed", horizon=2)
    with pytest.raises(SpecificationError, match="ask for more with horizon="):
        effect.at(3)
    with pytest.raises(SpecificationError, match="'difference' or 'ratio'"):
        effect.summary(of="odds")


def test_a_finding_and_its_estimand_read_as_sentences(fit: Fit) -> None:
    effect = fit.effect("staff", on="missed", contrast=(3, 4), horizon=3, periods=2)
    assert repr(effect.at(2)).startswith(
        "With thin support in the panel, setting staff to 4 rather than 3, missed per visits is 0.0"
    )
    assert "lower in 2024-10 (90 % interval -0.0" in repr(effect.at(2))
    assert "in each period from 2024-09 to 2024-10, and went on by itself afterwards" in (
        effect.estimand.words
    )
    assert effect.estimand.symbols.startswith("E[missed[t] | do(staff[2024-09…2024-10] = 4), past]")
    for verdict in ("identified: yes", "supported: ", "converged: yes", "backtested: unknown"):
        assert verdict in str(effect.licence)


def test_a_change_that_lasts_for_ever_differs_from_one_impulse() -> None:
    fit = linear({"x": {"x[-1]": 0.5}, "y": {"x": 1.0}})
    once = fit.effect("x", on="y", contrast=(0, 1), horizon=3, hold="once")
    assert "to 1 rather than 0 once" in repr(once)
    np.testing.assert_allclose(once.draws["difference"][0, 0], [1, 0.5, 0.25], atol=1e-12)


def test_contrasts_at_the_same_noise_add_up_and_turn_around(fit: Fit) -> None:
    def difference(first: float, second: float) -> np.ndarray:
        asked = {"on": "alarm", "horizon": 3, "replicates": 2, "seed": 5}
        effect = fit.effect("staff", contrast=(first, second), **asked)
        return effect.draws["difference"].values

    np.testing.assert_array_equal(difference(2, 4), -difference(4, 2))
    np.testing.assert_allclose(
        difference(2, 3) + difference(3, 4), difference(2, 4), rtol=0, atol=1e-12
    )
