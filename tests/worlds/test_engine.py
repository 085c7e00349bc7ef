"""The forward engine: mechanisms of every kind, starts, givens, groups never seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from dotwin.errors import DataError, NewGroupsError, SpecificationError
from dotwin.inference import Fit
from dotwin.spec import Scenario, Twin, do, shift

MONTHS = {"column": "month", "frequency": "month"}
UNITS, PERIODS, DRAWS = 6, 10, 300
REGIONS = ["north", "north", "north", "south", "south", "south"]


def one_of(build, indicators: dict, data: dict, values: dict, *, period: bool = True, **options):
    """A fit of some indicators on a panel with regions, with known parameters."""
    make_panel, known_fit = build
    layout = {"unit": "home", "levels": ["region"]} | ({"period": MONTHS} if period else {})
    twin = Twin(twin="small", panel=layout, indicators=indicators, **options)
    panel = make_panel(twin, data, UNITS, PERIODS if period else 1, {"region": REGIONS})
    return known_fit(twin, panel, values, draws=DRAWS)


def simulate(fit: Fit, periods: int = 4, **options):
    return fit.simulate(periods=periods, seed=11, draws=DRAWS, **options)


def noise(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 1, (UNITS, PERIODS))


NORMAL = {"domain": "quality", "family": "normal", "plausible": [-1, 1]}


def test_group_effects_of_known_units_are_kept(build) -> None:
    effects, regions = np.arange(6.0) * 10, np.array([100.0, 0.0])
    y = {**NORMAL, "pooling": ["region", "home"]}
    values = {
        "y.intercept": 1.0, "y.residual_sd": 1e-6, "y.sd_home": 1.0, "y.home": effects,
        "y.sd_region": 1.0, "y.region": regions,
    }  # fmt: skip
    draws = simulate(one_of(build, {"y": y}, {"y": noise()}, values)).draws["y"].values
    expected = 1 + effects + np.repeat(regions, 3)
    np.testing.assert_allclose(draws, np.broadcast_to(expected[:, None], draws.shape), atol=1e-4)


def test_a_period_shock_is_new_shared_by_all_units_and_has_its_sd(build) -> None:
    y = {**NORMAL, "pooling": ["period"]}
    values = {"y.intercept": 0.0, "y.residual_sd": 1e-9, "y.sd_period": 2.0}
    values["y.period"] = np.full(PERIODS, 50.0)
    draws = simulate(one_of(build, {"y": y}, {"y": noise()}, values)).draws["y"].values[0, 0]
    np.testing.assert_allclose(draws, np.broadcast_to(draws[:, :1], draws.shape), atol=1e-6)
    shocks = draws[:, 0]
    assert stats.kstest(shocks.ravel() / 2.0, "norm").pvalue > 1e-3
    correlation = np.corrcoef(shocks, rowvar=False)[np.triu_indices(4, 1)]
    assert (np.abs(correlation) < 4 / np.sqrt(DRAWS)).all()


def test_a_walk_goes_on_from_where_it_stood(build) -> None:
    y = {**NORMAL, "trend": "walk"}
    path = np.linspace(0, 7, PERIODS)
    values = {"y.intercept": 0.0, "y.residual_sd": 1e-9, "y.sd_walk": 0.5, "y.walk": path}
    draws = simulate(one_of(build, {"y": y}, {"y": noise()}, values)).draws["y"].values[0, 0, :, 0]
    np.testing.assert_allclose(
        draws.std(axis=0), 0.5 * np.sqrt([1, 2, 3, 4]), rtol=4 / np.sqrt(2 * DRAWS)
    )
    assert np.abs(draws.mean(axis=0) - 7).max() < 4 * 1.0 / np.sqrt(DRAWS)
    assert stats.kstest(np.diff(draws, axis=1)[:, 1] / 0.5, "norm").pvalue > 1e-3


def test_a_season_keeps_to_the_calendar(build) -> None:
    y = {**NORMAL, "season": {"cycle": 12}}
    values = {"y.intercept": 0.0, "y.residual_sd": 1e-9, "y.causes": [1.0, 0.0]}
    fit = one_of(build, {"y": y}, {"y": noise()}, values)
    futures = simulate(fit, periods=14)
    y = futures.draws["y"].values[0, 0, 0, 0]
    np.testing.assert_allclose(y[:2], y[12:], atol=1e-6)
    scale = fit.designs["y"].reference.multiplier
    month = np.array([10, 11, 0, 1])  # from November 2024
    np.testing.assert_allclose(y[:4], scale * np.sin(2 * np.pi * month / 12), atol=1e-6)


def test_where_a_mechanism_does_not_hold_the_value_is_the_other_one(build) -> None:
    indicators = {
        "open": {"domain": "context"},
        "y": {**NORMAL, "when": "open > 0", "otherwise": -7.0},
    }
    open_ = np.array([0, 1, 0, 1, 1, 0.0])[:, None]
    data = {"open": open_, "y": np.where(open_ > 0, noise(), -7.0)}
    fit = one_of(build, indicators, data, {"y.intercept": 0.0, "y.residual_sd": 1.0})
    scenario = [Scenario("s", [shift("y", 100.0)])]
    draws = simulate(fit, scenarios=scenario).draws["y"].values[:, 0]
    closed = open_[:, 0] == 0
    assert (draws[:, :, closed] == -7.0).all()
    np.testing.assert_allclose(draws[1][:, ~closed], draws[0][:, ~closed] + 100.0)


def test_extra_zeros_and_end_points_have_their_share(build) -> None:
    indicators = {
        "count": {
            "domain": "quality", "family": "poisson", "zeros": "inflated", "plausible": [2, 6],
        },
        "part": {"domain": "quality", "family": "beta", "ends": [0, 1], "plausible": [0.2, 0.6]},
    }  # fmt: skip
    rng = np.random.default_rng(1)
    shape = (UNITS, PERIODS)
    data = {"count": rng.poisson(3, shape) * rng.integers(0, 2, shape)}
    data["part"] = np.where(rng.random(shape) < 0.2, 0.0, rng.beta(4, 6, shape))
    values = {
        "count.intercept": np.log(4), "count.zeros.intercept": 0.0,
        "part.intercept": 0.0, "part.dispersion": 10.0,
        "part.end0.intercept": np.log(0.5), "part.end1.intercept": np.log(0.25),
    }  # fmt: skip
    draws = simulate(one_of(build, indicators, data, values)).draws
    n = draws["count"].size
    expected = 0.5 + 0.5 * np.exp(-4)
    assert abs((draws["count"] == 0).mean().item() - expected) < 4 * 0.5 / np.sqrt(n)
    # Logits against the interior: weights 0.5, 0.25 and 1.
    for end, share in ((0, 0.5 / 1.75), (1, 0.25 / 1.75)):
        assert abs((draws["part"] == end).mean().item() - share) < 4 * 0.5 / np.sqrt(n)


def test_trials_exposure_and_bounds_are_other_indicators_as_simulated(build) -> None:
    indicators = {
        "visits": {"domain": "demand", "family": "poisson", "plausible": [20, 60]},
        "missed": {"domain": "quality", "family": "binomial", "trials": "visits"},
        "falls": {"domain": "outcome", "family": "poisson", "exposure": "visits"},
        "cost": {
            "domain": "cost", "family": "lognormal", "at_least": "visits", "plausible": [20, 90],
        },
    }  # fmt: skip
    rng = np.random.default_rng(1)
    visits = rng.poisson(40, (UNITS, PERIODS)) + 1.0
    data = {"visits": visits, "missed": rng.binomial(visits.astype(int), 0.3)}
    data |= {"falls": rng.poisson(3, visits.shape), "cost": visits + 5}
    values = {
        "visits.intercept": np.log(40), "missed.intercept": -1.0, "falls.intercept": -3.0,
        "cost.intercept": 3.6, "cost.residual_sd": 0.5,
    }  # fmt: skip
    draws = simulate(one_of(build, indicators, data, values)).draws
    assert (draws["missed"] <= draws["visits"]).all()
    assert (draws["cost"] >= draws["visits"]).all()
    rate = (draws["falls"].sum() / draws["visits"].sum()).item()
    assert rate == pytest.approx(np.exp(-3), rel=4 / np.sqrt(draws["falls"].sum().item()))


def test_units_can_read_the_mean_of_the_others_in_their_region(build) -> None:
    across = "mean(x, over=region, others=True)"
    indicators = {
        "x": {"domain": "context"},
        "y": {**NORMAL, "causes": {across: {"scale": "natural"}}},
    }
    x = np.array([1.0, 2, 6, 0, 10, 20])[:, None]
    fit = one_of(
        build, indicators, {"x": x, "y": noise()},
        {"y.intercept": 0.0, "y.causes": [1.0], "y.residual_sd": 1e-9},
    )  # fmt: skip
    centre = fit.designs["y"].reference.factors[across][0]
    scenario = [Scenario("s", [do("x", 100.0, where="x == 6")])]
    draws = simulate(fit, scenarios=scenario).draws["y"].values[:, 0, 0, :, 0]
    np.testing.assert_allclose(draws[0] + centre, [4, 3.5, 1.5, 15, 10, 5], atol=1e-6)
    np.testing.assert_allclose(draws[1] + centre, [51, 50.5, 1.5, 15, 10, 5], atol=1e-6)


def test_an_indicator_of_a_region_has_one_value_per_region(build) -> None:
    indicators = {"pool": {**NORMAL, "level": "region"}, "y": NORMAL}
    pool = np.repeat(noise()[:2], 3, axis=0)
    values = {
        "pool.intercept": 0.0, "pool.residual_sd": 1.0, "y.intercept": 0.0, "y.residual_sd": 1.0,
    }  # fmt: skip
    draws = simulate(one_of(build, indicators, {"pool": pool, "y": noise(1)}, values)).draws
    one = draws["pool"].values[0, 0]
    for units in (slice(0, 3), slice(3, 6)):
        group = one[:, units]
        np.testing.assert_array_equal(group, np.broadcast_to(group[:, :1], group.shape))
    assert np.corrcoef(one[:, 0].ravel(), one[:, 3].ravel())[0, 1] == pytest.approx(
        0, abs=4 / np.sqrt(4 * DRAWS)
    )


@pytest.fixture(scope="module")
def lagged(build) -> Fit:
    indicators = {
        "x": {"domain": "context", "hold": "mean(3)"},
        "s": {"domain": "context", "hold": "seasonal"},
        "k": {"domain": "context"},
        "y": {
            **NORMAL,
            "causes": {c: {"scale": "natural"} for c in ("x", "s", "k", "y[-2]")},
        },
    }
    periods = 14
    rng = np.random.default_rng(4)
    data = {"x": np.arange(periods), "s": np.arange(periods) ** 2}
    data |= {name: rng.normal(0, 1, (UNITS, periods)) for name in ("k", "y")}
    make_panel, known_fit = build
    twin = Twin(
        twin="small",
        panel={"unit": "home", "levels": ["region"], "period": MONTHS},
        indicators=indicators,
    )
    data["y"][2, -1] = np.nan
    data["k"][4, -1] = np.nan
    panel = make_panel(twin, data, UNITS, periods, {"region": REGIONS})
    values = {"y.intercept": 0.0, "y.causes": [0.0, 0.0, 0.0, 0.5], "y.residual_sd": 1.0}
    return known_fit(twin, panel, values, draws=DRAWS)


def test_givens_go_on_as_they_are_held(lagged: Fit) -> None:
    draws = simulate(lagged, periods=3).draws
    np.testing.assert_array_equal(draws["x"].values[0, 0, 0, 0], [12, 12, 12])
    np.testing.assert_array_equal(draws["s"].values[0, 0, 0, 0], [2**2, 3**2, 4**2])
    k = lagged.panel.values("k")[:4, -1]
    np.testing.assert_array_equal(draws["k"].values[0, 0, 0, :4, 2], k)


def test_inputs_take_the_place_of_what_is_held(lagged: Fit) -> None:
    months = ["2025-03", "2025-04"]
    units = [str(u) for u in lagged.panel.units]
    rows = [(u, m, i + 10 * j) for i, u in enumerate(units) for j, m in enumerate(months)]
    inputs = pd.DataFrame(rows, columns=["home", "month", "x"])
    inputs["k"] = 1.0
    draws = simulate(lagged, periods=2, inputs=inputs).draws
    np.testing.assert_array_equal(draws["x"].values[0, 0, 0], [[i, i + 10.0] for i in range(6)])
    same_for_all = pd.DataFrame({"month": months, "s": [1.0, 2.0]})
    draws = simulate(lagged, periods=2, inputs=same_for_all).draws
    np.testing.assert_array_equal(draws["s"].values[0, 0, 0, 3], [1, 2])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (pd.DataFrame({"month": ["2025-03"], "x": [1.0]}), "1 of 2 values"),
        (pd.DataFrame({"month": ["2025-03"], "z": [1.0]}), "no given"),
        (pd.DataFrame({"month": ["2025-03"], "y": [1.0]}), "intervention"),
        (pd.DataFrame({"month": ["2025-03"] * 2, "x": [1.0, 2.0]}), "more than one row"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(lagged: Fit, inputs, words) -> None:
    with pytest.raises(DataError, match=words):
        simulate(lagged, periods=2, inputs=inputs)


def test_units_without_a_given_are_left_out_and_counted(lagged: Fit) -> None:
    futures = simulate(lagged, periods=2)
    assert futures.left_out.to_dict("records") == [
        {"unit": "u04", "reason": "k has no value to hold"}
    ]
    assert "u04" not in futures.draws["unit"]
    assert "1 unit is left out: k has no value to hold" in repr(futures)


def test_a_missing_last_value_is_drawn_from_its_causes(lagged: Fit) -> None:
    futures = simulate(lagged, periods=2)
    # y two periods ahead follows half of the last y: unknown for u02, so one more sd of 0.5.
    y = futures.draws["y"].values[0, 0]
    assert y[:, 2, 1].std() == pytest.approx(np.sqrt(1 + 0.25), rel=4 / np.sqrt(2 * DRAWS))
    assert y[:, 1, 1].std() == pytest.approx(1.0, rel=4 / np.sqrt(2 * DRAWS))
    assert any("1 missing last value" in note for note in futures.notes)


def test_a_unit_that_left_is_left_out_or_carried(lagged: Fit, build) -> None:
    data = lagged.panel.data.copy(deep=True)
    for name in ("x", "s", "k", "y"):
        data[name].values[0, -2:] = np.nan
    data["present"].values[0, -2:] = False
    panel = type(lagged.panel).from_dataset(data, lagged.twin)
    inputs = pd.DataFrame({"k": [0.0]})
    futures = simulate(lagged, periods=2, panel=panel, inputs=inputs)
    assert "u00" in set(futures.left_out["unit"])
    assert "absent" in futures.left_out["reason"].iloc[0]
    carried = simulate(lagged, periods=2, panel=panel, inputs=inputs, carry_forward=2)
    assert "u00" in carried.draws["unit"]
    y = carried.draws["y"].sel(unit="u00").values[0, 0]
    facts = lagged.panel.values("y")[0, -4:-2]
    centre = lagged.designs["y"].reference.factors["y[-2]"][0]
    assert np.abs(y.mean(axis=0) - 0.5 * (facts - centre)).max() < 4 / np.sqrt(DRAWS)


def test_groups_never_seen_are_refused_by_name_or_drawn_from_the_population(build) -> None:
    y = {**NORMAL, "pooling": ["home"]}
    values = {"y.intercept": 0.0, "y.residual_sd": 1e-9, "y.sd_home": 3.0}
    fit = one_of(build, {"y": y}, {"y": noise()}, values)
    data = fit.panel.data.assign_coords(unit=[f"u{i:02d}" for i in range(2, 8)])
    other = type(fit.panel).from_dataset(data, fit.twin)
    with pytest.raises(NewGroupsError, match="home u06, u07"):
        simulate(fit, panel=other)
    futures = simulate(fit, panel=other, new_groups="population")
    y = futures.draws["y"].values[0, 0]
    np.testing.assert_allclose(y[:, :4], 0.0, atol=1e-6)
    new = y[:, 4:]
    np.testing.assert_allclose(new, np.broadcast_to(new[..., :1], new.shape), atol=1e-6)
    assert stats.kstest(new[..., 0].ravel() / 3.0, "norm").pvalue > 1e-3
    assert any("2 new homes are drawn" in note for note in futures.notes)


def test_a_new_unit_without_a_past_starts_like_a_fitted_one(build) -> None:
    y = {**NORMAL, "causes": {"y[-1]": {}}}
    values = {"y.intercept": 0.0, "y.causes": [1.0], "y.residual_sd": 1e-9}
    fit = one_of(build, {"y": y}, {"y": noise()}, values)
    data = fit.panel.data.assign_coords(unit=[f"u{i:02d}" for i in range(5)] + ["new"])
    data = data.assign(y=data["y"].where(data["unit"] != "new"))
    panel = type(fit.panel).from_dataset(data, fit.twin)
    futures = simulate(fit, panel=panel, periods=1)
    centre = fit.designs["y"].reference.factors["y[-1]"][0]
    drawn = futures.draws["y"].sel(unit="new").values.ravel() + centre
    states = fit.panel.values("y")[:, -1]
    nearest = np.abs(drawn[:, None] - states).argmin(axis=1)
    np.testing.assert_allclose(drawn, states[nearest], atol=1e-6)
    counts = np.bincount(nearest, minlength=UNITS)
    assert stats.chisquare(counts).pvalue > 1e-3
    assert any("1 new home is started from last states" in note for note in futures.notes)


def test_a_cross_section_is_replayed_with_new_noise(build) -> None:
    values = {"y.intercept": 5.0, "y.residual_sd": 2.0}
    fit = one_of(build, {"y": NORMAL}, {"y": noise()[:, :1]}, values, period=False)
    y = fit.simulate(seed=1, draws=DRAWS).draws["y"].values
    assert y.shape == (1, 1, DRAWS, UNITS, 1)
    assert stats.kstest((y.ravel() - 5) / 2, "norm").pvalue > 1e-3
    with pytest.raises(SpecificationError, match="cross-section"):
        fit.simulate(periods=3, seed=1)
    start = fit.panel.values("y")[:, 0]
    changed = (
        fit.simulate(
            scenarios=[Scenario("s", [shift("y", 1.0, where="start(y) > 0")])], seed=1, draws=5
        )
        .draws["y"]
        .values
    )
    np.testing.assert_array_equal((changed[1] != changed[0])[0, 0, :, 0], start > 0)


def test_results_beyond_a_gibibyte_ask_for_a_folder(build) -> None:
    values = {"y.intercept": 5.0, "y.residual_sd": 2.0}
    fit = one_of(build, {"y": NORMAL}, {"y": noise()}, values)
    with pytest.raises(SpecificationError, match=r"GiB: name a folder with out="):
        fit.simulate(periods=100_000, seed=1, draws=DRAWS)


def test_predictors_beyond_all_numbers_give_missing_values_that_are_counted(build) -> None:
    y = {"domain": "outcome", "family": "poisson"}
    fit = one_of(build, {"y": y}, {"y": np.round(np.abs(noise()) * 3)}, {"y.intercept": 800.0})
    futures = simulate(fit)
    assert np.isnan(futures.draws["y"].values).all()
    assert any("could not be computed" in note for note in futures.notes)
